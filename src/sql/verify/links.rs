//! What a written row refers to is the tenant's own: the checks of a write are printed anew from the catalog and compared as a whole.

use super::through::quoted;
use super::write::Target;
use super::{Hold, Res, Walk, disagree, fields, hold, list, names, statements, text};
use crate::policy::{TableRule, Through};
use crate::sql::catalog::Relation;
use crate::sql::links::key_type;
use crate::sql::tree::Value;
use serde_json::json;
use std::borrow::Cow;

/// PostgreSQL's SubLinkType as the tree has it.
const SCALAR: i64 = 5;
/// The name of the subquery that holds the values.
const VALUES: &str = "partywall_v";

/// PostgreSQL's OVERRIDING USER VALUE as the tree has it.
const USER_VALUE: i64 = 2;

/// What a row that is written has to obey.
#[derive(Clone, Debug)]
pub(super) struct Needed {
    on: Vec<(String, String)>,
    parent: (String, String),
    /// The parent says whose the row is; then columns that may hold NULL must not.
    owner: bool,
    /// The name of the key whose error a breach is.
    key: Option<String>,
    /// The row's own key satisfies it, too.
    itself: bool,
}

/// How the values of one row are found in the final tree.
pub(super) struct Row<'v> {
    pub(super) names: Vec<String>,
    pub(super) values: Vec<&'v Value>,
    /// What columns that are not named stay as: those of the row of this name; empty where they take their defaults.
    pub(super) kept: String,
    /// More rows come in the same statement, or keys move in it.
    pub(super) several: bool,
    /// A new row, stored with the very values that are written.
    pub(super) new: bool,
}

impl Walk<'_> {
    /// Everything that a row of this relation has to obey.
    pub(super) fn needed(&self, relation: &Relation) -> Vec<Needed> {
        let same = |a: &[(String, String)], b: &[(String, String)]| a.len() == b.len() && a.iter().all(|c| b.contains(c));
        let mut all = Vec::new();
        if let TableRule::Through(through) = &relation.rule {
            let parent = (through.schema.clone(), through.table.clone());
            let key = relation.foreign.iter().find(|k| k.valid && k.parent == parent && same(&k.columns, &through.on));
            let key = key.filter(|k| !k.deferrable).map(|k| k.name.clone());
            all.push(Needed { on: through.on.clone(), parent, owner: true, key, itself: false });
        }
        for key in &relation.foreign {
            let Some(parent) = self.catalog.relations.get(&key.parent) else { continue };
            let exempt = match (&relation.rule, &parent.rule) {
                (_, TableRule::SharedRead | TableRule::Hidden) => true,
                (TableRule::Scoped { column: own, .. }, TableRule::Scoped { column: theirs, .. }) => {
                    key.columns.contains(&(own.clone(), theirs.clone()))
                }
                (TableRule::Through(t), _) => (&t.schema, &t.table) == (&key.parent.0, &key.parent.1) && same(&t.on, &key.columns),
                _ => false,
            };
            if !exempt {
                let name = (!key.deferrable).then(|| key.name.clone());
                all.push(Needed { on: key.columns.clone(), parent: key.parent.clone(), owner: false, key: name, itself: false });
            }
        }
        all
    }

    /// Whether a row could be stored that breaks it though nothing is checked: columns that are left out take NULL or a default.
    fn may_be_left_out(&self, relation: &Relation, needed: &Needed, left_out: &[&str]) -> Res<bool> {
        for own in left_out {
            let Some(column) = relation.column(own) else { return disagree("a key has a column that is none") };
            if column.default {
                return disagree("a default may lead to another tenant's row");
            }
            if needed.owner && !column.not_null {
                return disagree("a row that is written has no owner");
            }
        }
        Ok(!left_out.is_empty())
    }

    /// Takes the checks out of the values of one row; what is left is the client's.
    pub(super) fn checked_row(&mut self, target: &Target, row: &Row<'_>) -> Res<Vec<Value>> {
        let relation = target.relation.clone();
        let mut plain: Vec<Value> = row.values.iter().map(|v| (*v).clone()).collect();
        let mut here: Vec<Vec<Needed>> = vec![Vec::new(); plain.len()];
        for needed in self.needed(&relation) {
            let place = |own: &str| row.names.iter().position(|n| n == own);
            let is_default = |at: usize| row.values.get(at).is_none_or(|v| fields(v, "SetToDefault").is_some());
            let left_out: Vec<&str> =
                needed.on.iter().map(|(own, _)| own.as_str()).filter(|own| place(own).map_or(row.kept.is_empty(), is_default)).collect();
            let Some(first) = needed.on.iter().find_map(|(own, _)| place(own)) else {
                if row.kept.is_empty() {
                    self.may_be_left_out(&relation, &needed, &left_out)?;
                }
                continue;
            };
            if !self.may_be_left_out(&relation, &needed, &left_out)? {
                let needed = Needed { itself: self.may_be_itself(&relation, &needed, row), ..needed };
                here.get_mut(first).ok_or_else(|| super::Disagreement("a row is too short".into()))?.push(needed);
            }
        }
        for (index, needed) in here.iter().enumerate().filter(|(_, n)| !n.is_empty()) {
            plain[index] = self.checked_value(&relation, row, index, needed)?;
        }
        Ok(plain)
    }

    /// Whether a new row that refers to its own key is a good one: the key is written beside, by a value that means the same wherever it stands
    /// and is stored as it is compared.
    fn may_be_itself(&self, relation: &Relation, needed: &Needed, row: &Row<'_>) -> bool {
        let exact = |name: &str| {
            relation.column(name).is_some_and(|c| matches!(key_type(c.type_oid), Some("int2" | "int4" | "int8" | "text" | "uuid")))
        };
        let plain = |name: &str| row.names.iter().position(|n| n == name).and_then(|at| row.values.get(at)).is_some_and(|v| is_simple(v));
        let own = (&needed.parent.0, &needed.parent.1) == (&relation.schema, &relation.name);
        let as_written = row.new && relation.kind == 'r' && !relation.triggers_on_insert;
        as_written && own && needed.on.iter().all(|(own, key)| exact(own) && exact(key) && plain(key))
    }

    /// `(SELECT CASE WHEN checks THEN partywall_v.c1 END FROM (SELECT value::type AS c1, … OFFSET 0) partywall_v)`; gives the value.
    fn checked_value(&mut self, relation: &Relation, row: &Row<'_>, index: usize, needed: &[Needed]) -> Res<Value> {
        let own = row.names[index].clone();
        let mut columns = vec![own.clone()];
        for (column, _) in needed.iter().flat_map(|n| &n.on) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        for (_, key) in needed.iter().filter(|n| n.itself).flat_map(|n| &n.on) {
            if !columns.contains(key) {
                columns.push(key.clone());
            }
        }
        let found = row.values[index];
        if fields(found, "SubLink").and_then(|l| l["sub_link_type"].as_i64()) != Some(SCALAR) {
            return disagree("a value that leads to a parent is not checked");
        }
        let cell = |n: usize| {
            format!(
                "/node/SubLink/subselect/node/SelectStmt/from_clause/0/node/RangeSubselect/subquery/node/SelectStmt/target_list/{n}/node/ResTarget/val/node/TypeCast/arg"
            )
        };
        let mut casts = Vec::new();
        for (n, column) in columns.iter().enumerate() {
            let Some(name) = relation.column(column).and_then(|c| key_type(c.type_oid)) else {
                return disagree("a key of an unknown type");
            };
            casts.push(format!("NULL::pg_catalog.{name} AS c{}", n + 1));
        }
        let reference = |column: &str| format!("{VALUES}.c{}", columns.iter().position(|c| c == column).unwrap_or_default() + 1);
        let conditions = self.conditions(relation, needed, &reference, row.several)?;
        let text = format!("(SELECT CASE WHEN {conditions} THEN {VALUES}.c1 END FROM (SELECT {} OFFSET 0) {VALUES})", casts.join(", "));
        let mut expected = self.expected(&text)?;
        let mut bare = self.bare(found);
        let mut value = Value::Null;
        for (n, column) in columns.iter().enumerate() {
            let (Some(theirs), Some(ours)) = (bare.pointer_mut(&cell(n)).map(Value::take), expected.pointer_mut(&cell(n)).map(Value::take))
            else {
                return disagree("a value that leads to a parent is not checked");
            };
            if n == 0 {
                value = found.pointer(&cell(0)).cloned().unwrap_or_default();
                continue;
            }
            let at = row.names.iter().position(|name| name == column);
            let wanted = match at.and_then(|at| row.values.get(at)) {
                Some(other) if is_simple(other) => self.bare(other),
                None if !row.kept.is_empty() => self.expected(&format!("{}.{}", quoted(&row.kept), quoted(column)))?,
                _ => ours,
            };
            if theirs != wanted {
                return disagree("a check looks at another value than is written");
            }
        }
        if bare != expected {
            return disagree("a value that leads to a parent is not checked as it must be");
        }
        self.saw_checked(needed);
        Ok(value)
    }

    /// Takes the checks off a query whose rows are written: gives the query as it was before.
    pub(super) fn checked_query(&mut self, target: &Target, f: &Value, c: &Value, columns: &[String]) -> Res<Value> {
        let relation = target.relation.clone();
        let mut due = Vec::new();
        for needed in self.needed(&relation) {
            let left_out: Vec<&str> =
                needed.on.iter().map(|(own, _)| own.as_str()).filter(|own| !columns.iter().any(|c| c == own)).collect();
            if !self.may_be_left_out(&relation, &needed, &left_out)? {
                due.push(needed);
            }
        }
        if due.is_empty() {
            return Ok(f.clone());
        }
        let cell = "/from_clause/0/node/RangeSubselect/subquery/node/SelectStmt";
        let Some(mut inner) = f.pointer(cell).cloned() else { return disagree("a query's rows are not checked") };
        let reference = |column: &str| format!("{VALUES}.c{}", columns.iter().position(|c| c == column).unwrap_or_default() + 1);
        let mut outer = Vec::new();
        for (index, name) in columns.iter().enumerate() {
            let here: Vec<Needed> = due.iter().filter(|n| n.on.first().is_some_and(|(own, _)| own == name)).cloned().collect();
            let is_key = due.iter().any(|n| n.on.iter().any(|(own, _)| own == name));
            outer.push(if here.is_empty() {
                reference(name)
            } else {
                format!("CASE WHEN {} THEN {} END", self.conditions(&relation, &here, &reference, true)?, reference(name))
            });
            if put_back(&relation, (f, c), &mut inner, (index, name, is_key))? {
                outer.pop();
                outer.push("NULL".into());
            }
        }
        self.is_outer(f, &outer)?;
        if c["limit_count"].is_null() && c["limit_offset"].is_null() {
            if !inner["limit_count"].is_null() || !super::is_zero(&inner["limit_offset"]) {
                return disagree("a query's rows are not fenced off");
            }
            inner["limit_offset"] = Value::Null;
            inner["limit_option"] = c["limit_option"].clone();
        }
        self.saw_checked(&due);
        Ok(inner)
    }

    /// `SELECT outer FROM (…) AS partywall_v (c1, …)`, NULL where the client's own value stands outside.
    fn is_outer(&self, f: &Value, outer: &[String]) -> Res<()> {
        let cell = "/from_clause/0/node/RangeSubselect/subquery/node/SelectStmt";
        let aliases: Vec<String> = (1..=outer.len()).map(|n| format!("c{n}")).collect();
        let text = format!("SELECT {} FROM (SELECT) {VALUES} ({})", outer.join(", "), aliases.join(", "));
        let parsed = statements(&text)?;
        let expected = parsed.first().and_then(|s| fields(&s["stmt"], "SelectStmt")).cloned().unwrap_or_default();
        let mut found = f.clone();
        for (index, _) in outer.iter().enumerate().filter(|(_, t)| *t == "NULL") {
            if let Some(place) = found.pointer_mut(&format!("/target_list/{index}/node/ResTarget/val")) {
                *place = Value::node("AConst", Value::object(vec![("isnull", Value::Bool(true)), ("val", Value::Null)]));
            }
        }
        let blank = |mut v: Value, first| {
            if let Some(place) = v.pointer_mut(cell) {
                *place = Value::Null;
            }
            super::through::bare_from(&mut v, first);
            v
        };
        if blank(found, self.first) != blank(expected, 1) {
            return disagree("a query's rows are not checked as they must be");
        }
        Ok(())
    }

    fn saw_checked(&mut self, needed: &[Needed]) {
        for one in needed {
            self.proof.relations.push(format!("{}.{}", one.parent.0, one.parent.1));
            if let Some(parent) = self.catalog.relations.get(&one.parent).cloned() {
                self.saw_parents(&parent);
            }
        }
    }

    /// The condition that holds, or fails with an error, where a row obeys.
    fn conditions(&self, relation: &Relation, needed: &[Needed], reference: &dyn Fn(&str) -> String, several: bool) -> Res<String> {
        let mut all = Vec::new();
        for one in needed {
            let refs: Vec<String> = one.on.iter().map(|(own, _)| reference(own)).collect();
            let mut allowed = Vec::new();
            for ((own, _), value) in one.on.iter().zip(&refs) {
                if one.owner && relation.column(own).is_none_or(|c| !c.not_null) {
                    all.push(format!("CASE WHEN {value} IS NOT NULL THEN true ELSE {} END", nobody(value, "parent")));
                } else {
                    allowed.push(format!("{value} IS NULL"));
                }
            }
            let through = Through { schema: one.parent.0.clone(), table: one.parent.1.clone(), on: one.on.clone() };
            allowed.push(self.exists_text(relation, &through, &refs, " FOR KEY SHARE")?);
            if one.itself {
                let equal = |((_, key), own): (&(String, String), &String)| format!("{own} OPERATOR(pg_catalog.=) {}", reference(key));
                allowed.push(one.on.iter().zip(&refs).map(equal).collect::<Vec<_>>().join(" AND "));
            }
            let itself = several && (&one.parent.0, &one.parent.1) == (&relation.schema, &relation.name);
            let fails = match &one.key {
                Some(key) if !itself => {
                    let columns: Vec<&str> = one.on.iter().map(|(own, _)| own.as_str()).collect();
                    let says = json!([relation.schema, relation.name, key, columns.join(", "), one.parent.1]).to_string();
                    let shown = refs.iter().map(|r| format!("COALESCE({r}::pg_catalog.text, '')")).collect::<Vec<_>>();
                    let shown = shown.join(" OPERATOR(pg_catalog.||) ', ' OPERATOR(pg_catalog.||) ");
                    let prefix = format!("partywall:key:{says}=").replace('\'', "''");
                    let prefix = if prefix.contains('\\') { format!("E'{}'", prefix.replace('\\', "\\\\")) } else { format!("'{prefix}'") };
                    format!("({prefix} OPERATOR(pg_catalog.||) {shown} OPERATOR(pg_catalog.||) '|partywall')::pg_catalog.bool")
                }
                _ => nobody(&refs[0], if itself { "early" } else { "parent" }),
            };
            all.push(format!("CASE WHEN {} THEN true ELSE {fails} END", allowed.join(" OR ")));
        }
        Ok(all.join(" AND "))
    }

    /// Whether a column is assigned from which a generated one is computed that leads to a parent.
    fn computed_keys(&self, relation: &Relation, targets: &[Value]) -> bool {
        let needed = self.needed(relation);
        let leads = |columns: &[(String, String)]| needed.iter().any(|n| n.on == columns);
        let keys: Vec<_> = relation.foreign.iter().filter(|k| leads(&k.columns)).collect();
        let mut assigned = targets.iter().filter_map(|t| fields(t, "ResTarget")).map(|t| text(t, "name"));
        assigned.any(|name| keys.iter().any(|k| k.bases.0.may_change(name)))
    }

    /// What SET assigns to a column that leads to a parent is checked; gives the assignments as the client wrote them.
    pub(super) fn checked_assignments<'v>(&mut self, targets: &'v Value, target: &Target) -> Res<Cow<'v, Value>> {
        let needed = self.needed(&target.relation);
        if self.computed_keys(&target.relation, targets.as_array().map(Vec::as_slice).unwrap_or_default()) {
            return disagree("a generated column would refer to another row, which is not checked");
        }
        let leads = |name: &str| needed.iter().any(|n| n.on.iter().any(|(own, _)| own == name));
        let sets: Vec<&Value> = targets.as_array().into_iter().flatten().filter_map(|t| fields(t, "ResTarget")).collect();
        let names: Vec<String> = sets.iter().map(|t| text(t, "name").to_owned()).collect();
        if !names.iter().any(|n| leads(n)) {
            return Ok(Cow::Borrowed(targets));
        }
        if sets.iter().any(|t| leads(text(t, "name")) && !list(t, "indirection").is_empty()) {
            return disagree("a part of a key is assigned");
        }
        let moves = needed.iter().any(|n| {
            let own = (&n.parent.0, &n.parent.1) == (&target.relation.schema, &target.relation.name);
            own && n.on.iter().any(|(own, _)| names.contains(own)) && n.on.iter().any(|(_, theirs)| names.contains(theirs))
        });
        let row =
            Row { names, values: sets.iter().map(|t| &t["val"]).collect(), kept: target.reference.clone(), several: moves, new: false };
        let values = self.checked_row(target, &row)?;
        let mut plain = targets.clone();
        for (index, value) in values.into_iter().enumerate() {
            plain[index]["node"]["ResTarget"]["val"] = value;
        }
        Ok(Cow::Owned(plain))
    }

    /// The source of an INSERT without the checks of its rows.
    pub(super) fn unchecked_source<'v>(&mut self, f: &'v Value, c: &Value, target: &Target) -> Res<Cow<'v, Value>> {
        if self.needed(&target.relation).is_empty() {
            return Ok(Cow::Borrowed(&f["select_stmt"]));
        }
        let name = |v: &Value| fields(v, "ResTarget").map(|t| text(t, "name").to_owned()).unwrap_or_default();
        let names: Vec<String> = list(f, "cols").iter().map(name).collect();
        let leads = |v: &&Value| self.needed(&target.relation).iter().any(|n| n.on.iter().any(|(own, _)| *own == name(v)));
        if list(f, "cols").iter().filter(leads).any(|v| fields(v, "ResTarget").is_none_or(|t| !list(t, "indirection").is_empty())) {
            return disagree("a part of a key is written");
        }
        let mut plain = f["select_stmt"].clone();
        let Some(select) = fields(&f["select_stmt"], "SelectStmt") else {
            let row = Row { names, values: Vec::new(), kept: String::new(), several: false, new: false };
            return self.checked_row(target, &row).map(|_| Cow::Owned(plain));
        };
        if list(select, "values_lists").is_empty() || !select["larg"].is_null() {
            let Some(theirs) = fields(&c["select_stmt"], "SelectStmt") else { return disagree("the source of an INSERT differs") };
            plain["node"]["SelectStmt"] = self.checked_query(target, select, theirs, &names)?;
            return Ok(Cow::Owned(plain));
        }
        let rows = list(select, "values_lists");
        // Anything else but OVERRIDING USER VALUE, which puts another value in an identity's place.
        let new = f["override"].as_i64() != Some(USER_VALUE);
        for (index, row) in rows.iter().enumerate() {
            let values: Vec<&Value> = fields(row, "List").map(|r| list(r, "items")).unwrap_or_default().iter().collect();
            if values.len() != names.len() {
                return disagree("a row has another length than the column list");
            }
            let row = Row { names: names.clone(), values, kept: String::new(), several: rows.len() > 1, new };
            plain["node"]["SelectStmt"]["values_lists"][index]["node"]["List"]["items"] = self.checked_row(target, &row)?.into();
        }
        Ok(Cow::Owned(plain))
    }

    /// Notes the checks of an INSERT.
    pub(super) fn hold_checks(&mut self, f: &Value, c: &Value, target: &Target) {
        if !self.needed(&target.relation).is_empty() {
            hold(&mut self.proof, Hold::Linked, f, c, &target.reference);
        }
    }

    /// Nothing that COPY writes leads to a parent.
    pub(super) fn no_links(&self, relation: &Relation, columns: &[&str]) -> Res<()> {
        for needed in self.needed(relation) {
            let left_out: Vec<&str> = needed.on.iter().map(|(own, _)| own.as_str()).filter(|own| !columns.contains(own)).collect();
            if !self.may_be_left_out(relation, &needed, &left_out)? {
                return disagree("COPY writes a column that leads to a parent");
            }
        }
        Ok(())
    }
}

/// A literal or parameter of the client's has no type in a query: where it is checked it is cast, else it stands outside (true) and NULL
/// in its place. Puts it back into the query.
fn put_back(relation: &Relation, (f, c): (&Value, &Value), inner: &mut Value, (index, name, is_key): (usize, &str, bool)) -> Res<bool> {
    let set = !c["larg"].is_null();
    let theirs = list(c, "target_list").get(index).and_then(|t| fields(t, "ResTarget")).map(|t| &t["val"]).filter(|_| !set);
    if !theirs.is_some_and(|v| fields(v, "AConst").is_some() || fields(v, "ParamRef").is_some()) {
        return Ok(false);
    }
    let Some(place) = inner.pointer_mut(&format!("/target_list/{index}/node/ResTarget/val")) else {
        return disagree("a query has other columns");
    };
    if is_key {
        let wanted = relation.column(name).and_then(|c| key_type(c.type_oid)).unwrap_or_default();
        let cast = fields(place, "TypeCast").cloned().unwrap_or_default();
        if names(list(&cast["type_name"], "names")) != ["pg_catalog", wanted] || !list(&cast["type_name"], "array_bounds").is_empty() {
            return disagree("a literal has no type");
        }
        *place = cast["arg"].clone();
        return Ok(false);
    }
    if !fields(place, "AConst").is_some_and(|c| c["isnull"] == Value::Bool(true)) {
        return disagree("a literal stands twice");
    }
    *place = list(f, "target_list").get(index).and_then(|t| fields(t, "ResTarget")).map(|t| t["val"].clone()).unwrap_or_default();
    Ok(true)
}

/// An error that says nothing of the row.
fn nobody(value: &str, marker: &str) -> String {
    format!("('partywall:{marker}' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.left({value}::pg_catalog.text, 0), ''))::pg_catalog.bool")
}

fn is_simple(value: &Value) -> bool {
    match fields(value, "TypeCast") {
        Some(cast) => is_simple(&cast["arg"]),
        None => ["AConst", "ParamRef", "ColumnRef"].iter().any(|k| fields(value, k).is_some()),
    }
}
