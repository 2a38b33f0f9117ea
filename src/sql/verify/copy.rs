//! COPY: out of a table it is a guarded query of the same columns; into a table WHERE lets only the tenant's rows through.

use super::scopes::{Level, Seen};
use super::{Found, Hold, Res, Walk, disagree, fields, hold, kind, list, names, text};
use crate::policy::TableRule;
use crate::sql::tree::Value;

impl Walk<'_> {
    pub(super) fn copy(&mut self, f: &Value, c: &Value) -> Res<()> {
        if f["is_program"] != Value::Bool(false) || !text(f, "filename").is_empty() || f["is_from"] != c["is_from"] {
            return disagree("COPY goes elsewhere");
        }
        if !c["relation"].is_null() && self.is_unguarded(&c["relation"]) {
            self.options(list(f, "options"), list(c, "options"))?;
            return self.copy_temp(f, c);
        }
        self.options(list(f, "options"), list(c, "options"))?;
        if f["is_from"] == Value::Bool(true) {
            self.copy_in(f, c)?;
            return self.rest(f, c, &["options", "relation", "attlist", "where_clause"]);
        }
        if !f["relation"].is_null() || !list(f, "attlist").is_empty() {
            return disagree("COPY of a bare table");
        }
        if c["relation"].is_null() {
            self.same(&f["query"], &c["query"])?;
        } else {
            self.rows_of(&f["query"], c)?;
        }
        self.rest(f, c, &["options", "relation", "attlist", "query"])
    }

    /// The client's options in their order, FREEZE left out.
    fn options(&mut self, f: &[Value], c: &[Value]) -> Res<()> {
        let named = |o: &&Value, name: &str| fields(o, "DefElem").is_some_and(|o| text(o, "defname") == name);
        let theirs: Vec<&Value> = c.iter().filter(|o| !named(o, "freeze")).collect();
        let ours: Vec<&Value> = f.iter().filter(|o| !named(o, "freeze")).collect();
        if theirs.len() != ours.len() {
            return disagree("COPY has other options");
        }
        ours.into_iter().zip(theirs).try_for_each(|(f, c)| match (header(f), header(c)) {
            (Some(f), Some(c)) if f == c => Ok(()),
            _ => self.same(f, c),
        })
    }

    fn rows_of(&mut self, query: &Value, c: &Value) -> Res<()> {
        let Some(select) = fields(query, "SelectStmt") else { return disagree("COPY of something else than a query") };
        let [table] = list(select, "from_clause") else { return disagree("COPY of several relations") };
        // Without its hidden column a table is a subquery, which is proved below.
        let table = fields(table, "RangeSubselect")
            .and_then(|s| list(&s["subquery"]["node"]["SelectStmt"], "from_clause").first())
            .unwrap_or(table);
        let Some(table) = fields(table, "RangeVar") else { return disagree("COPY of no relation") };
        let empty = ["distinct_clause", "group_clause", "window_clause", "values_lists", "sort_clause", "locking_clause"];
        let bare = empty.iter().all(|k| list(select, k).is_empty())
            && ["having_clause", "limit_count", "limit_offset", "with_clause", "into_clause", "larg", "rarg"]
                .iter()
                .all(|k| select[*k].is_null());
        if !bare || table["inh"] != Value::Bool(false) {
            return disagree("COPY of a table has further clauses");
        }
        let shown: Option<Vec<&str>> = list(select, "target_list").iter().map(|t| target(t, text(table, "relname"))).collect();
        if shown.is_none_or(|s| s != self.columns_of(&c["relation"], list(c, "attlist"))) {
            return disagree("COPY of other columns");
        }
        let mut client = select.clone();
        client["where_clause"] = Value::Null;
        let mut from = c["relation"].clone();
        from["inh"] = Value::Bool(false);
        client["from_clause"] = Value::Array(vec![Value::node("RangeVar", from)]);
        self.select(select, &client)
    }

    fn copy_in(&mut self, f: &Value, c: &Value) -> Res<()> {
        let listed = self.table_of(&f["relation"], &c["relation"])?;
        let Some(column) = listed.column else { return disagree("COPY into a table of all") };
        if column.is_empty() {
            return disagree("COPY into this table is not proved");
        }
        self.rest(&f["relation"], &c["relation"], &["schemaname"])?;
        let (written, theirs) = (names(list(f, "attlist")), self.columns_of(&c["relation"], list(c, "attlist")));
        let added = written.first() == Some(&column.as_str()) && !theirs.contains(&column.as_str());
        if listed.relation.hidden.is_some() && !added {
            return disagree("COPY names a hidden column");
        }
        if written.iter().filter(|w| **w == column).count() != 1 || written[usize::from(added)..] != theirs {
            return disagree("COPY into other columns");
        }
        self.no_links(&listed.relation, &written)?;
        let how = if added { Hold::Inserted } else { Hold::Own };
        hold(&mut self.proof, how, &f["relation"], &c["relation"], text(&f["relation"], "relname"));
        let case = fields(&f["where_clause"], "CaseExpr").filter(|c| c["arg"].is_null());
        let Some((when, otherwise)) = case.and_then(|c| match list(c, "args") {
            [when] => Some((fields(when, "CaseWhen")?, &c["defresult"])),
            _ => None,
        }) else {
            return disagree("COPY has no guard");
        };
        let wanted = Found { reference: text(&f["relation"], "relname").to_owned(), column, exists: Value::Null };
        if self.guard(&when["expr"]) != Some(wanted) || !is_marker(otherwise) {
            return disagree("COPY has no guard");
        }
        if c["where_clause"].is_null() {
            let truth = fields(&when["result"], "AConst").is_some_and(|t| t["val"]["Boolval"]["boolval"] == Value::Bool(true));
            return if truth { Ok(()) } else { disagree("COPY gained a condition") };
        }
        let Some(hides) = listed.relation.hides().map(str::to_owned) else { return self.same(&when["result"], &c["where_clause"]) };
        let name = text(&f["relation"], "relname").to_owned();
        self.levels.push(Level {
            items: vec![Seen { name, relation: Some(listed.relation), hides: Some(hides), ..Seen::default() }],
            passed: false,
        });
        let result = self.same(&when["result"], &c["where_clause"]);
        self.levels.pop();
        result
    }

    /// The columns of the client's list, or all that are not computed.
    fn columns_of<'s>(&'s self, relation: &Value, list: &'s [Value]) -> Vec<&'s str> {
        if !list.is_empty() {
            return names(list);
        }
        let key = self.target_name(relation);
        let columns = self.catalog.relations.get(&key).filter(|r| r.rule != TableRule::Hidden).map(|r| r.columns.as_slice());
        columns.unwrap_or_default().iter().filter(|c| !c.computed).map(|c| c.name.as_str()).collect()
    }
}

/// Whether this is HEADER, on or off; its older spelling has another form in the tree.
fn header(option: &Value) -> Option<bool> {
    let option = fields(option, "DefElem").filter(|o| text(o, "defname") == "header")?;
    match kind(&option["arg"]) {
        None => Some(true),
        Some(("Boolean", b)) => b["boolval"].as_bool(),
        Some(("String", s)) => match text(s, "sval").to_ascii_lowercase().as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// `table.column`, under no other name.
fn target<'v>(value: &'v Value, table: &str) -> Option<&'v str> {
    let target = fields(value, "ResTarget").filter(|t| text(t, "name").is_empty() && list(t, "indirection").is_empty())?;
    match names(list(fields(&target["val"], "ColumnRef")?, "fields")).as_slice() {
        [qualifier, column] if *qualifier == table => Some(column),
        _ => None,
    }
}

/// An expression that fails with the wall's own words: a cast of `'partywall:tenant' || …` to boolean.
fn is_marker(value: &Value) -> bool {
    let Some(cast) = fields(value, "TypeCast") else { return false };
    let Some((_, joined)) = kind(&cast["arg"]).filter(|(k, _)| *k == "AExpr") else { return false };
    let literal = fields(&joined["lexpr"], "AConst").map(|l| &l["val"]["Sval"]["sval"]);
    names(list(&cast["type_name"], "names")) == ["pg_catalog", "bool"]
        && names(list(joined, "name")) == ["pg_catalog", "||"]
        && literal.and_then(Value::as_str) == Some("partywall:tenant")
}
