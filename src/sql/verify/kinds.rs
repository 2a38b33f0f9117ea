//! Node by node: what passes as the client wrote it, and the names in it that must be PostgreSQL's own. A kind that is not here is not proved.

use super::{Res, Walk, disagree, fields, is_zero, json, kind, labels, list, names, text};
use crate::sql::private::TEMP;
use crate::sql::tree::Value;
use crate::sql::{functions, newer, settings};

/// Kinds that hold no name to be judged: no relation, function, operator, type or collation.
const PLAIN: &[&str] = &[
    "AArrayExpr",
    "AConst",
    "AIndices",
    "AStar",
    "BoolExpr",
    "BooleanTest",
    "Boolean",
    "CaseExpr",
    "CaseWhen",
    "CoalesceExpr",
    "Float",
    "GroupingFunc",
    "GroupingSet",
    "Integer",
    "List",
    "MinMaxExpr",
    "MultiAssignRef",
    "NamedArgExpr",
    "NullTest",
    "ParamRef",
    "RangeTableFuncCol",
    "ResTarget",
    "ReturningOption",
    "SetToDefault",
    "SqlvalueFunction",
    "String",
    "WindowDef",
    "XmlExpr",
    "XmlSerialize",
    // Whole statements without relations of their own, and their options.
    "ClosePortalStmt",
    "DeclareCursorStmt",
    "ExecuteStmt",
    "FetchStmt",
    "PrepareStmt",
    "DeallocateStmt",
    "DefElem",
    "DiscardStmt",
    "TransactionStmt",
    "VariableShowStmt",
];

/// PostgreSQL's A_Expr_Kind of BETWEEN, NOT BETWEEN and the symmetric ones, as the tree has them: the name is no operator's.
const BETWEEN: std::ops::RangeInclusive<i64> = 11..=14;

/// Fields that hold a node without its wrapping and no name to be judged.
const PLAIN_PARTS: &[&str] = &["alias", "join_using_alias", "over", "search_clause", "val"];

impl Walk<'_> {
    pub(super) fn same_node(&mut self, name: &str, f: &Value, c: &Value) -> Res<()> {
        match name {
            "SelectStmt" => self.select(f, c),
            "InsertStmt" => self.insert(f, c),
            "UpdateStmt" => self.update(f, c),
            "DeleteStmt" => self.delete(f, c),
            "MergeStmt" => self.merge(f, c),
            "FuncCall" => {
                let inside = usize::from(self.is_aggregate(c) || c["agg_within_group"] == Value::Bool(true));
                self.conditions.aggregated += inside;
                let proved = self.function(f, c);
                self.conditions.aggregated -= inside;
                proved
            }
            "TypeName" => self.type_name(f, c),
            "AExpr" if f["kind"].as_i64().is_some_and(|k| BETWEEN.contains(&k)) => {
                ["<", ">", "<=", ">="].into_iter().try_for_each(|o| self.operator(vec![o]))?;
                self.rest(f, c, &[])
            }
            "AExpr" => self.with_operator("name", f, c),
            "CaseExpr" if !c["arg"].is_null() => {
                self.operator(vec!["="])?;
                self.rest(f, c, &[])
            }
            "SubLink" => {
                self.not_before_parents(&c["subselect"])?;
                self.stays_apart(f, c)?;
                self.operator(names(list(f, "oper_name")))?;
                self.rest(f, c, &["subselect"])
            }
            "SortBy" => self.with_operator("use_op", f, c),
            "CollateClause" => {
                collation(f)?;
                self.rest(f, c, &[])
            }
            "ColumnRef" => self.column(f, c),
            "RowExpr" => self.row(f, c),
            "AIndirection" => {
                let row = fields(&f["arg"], "ColumnRef").map(|c| names(list(c, "fields"))).filter(|n| n.len() == 1);
                let mut row = row.and_then(|n| n.first().copied());
                let steps = list(f, "indirection").iter().filter_map(|s| fields(s, "String"));
                steps.map(|s| text(s, "sval")).try_for_each(|field| self.field(row.take(), field))?;
                self.rest(f, c, &[])
            }
            "TypeCast" => self.rest(f, c, &[]),
            // A transaction that would wait for others'.
            "DefElem" if text(c, "defname") == "transaction_deferrable" && is_zero(&f["arg"]) => self.rest(f, c, &["arg"]),
            "DefElem" if text(c, "defname") == "transaction_deferrable" => disagree("a transaction is deferrable"),
            // The name that the client's expression has by itself may be written out.
            "ResTarget" if text(c, "name").is_empty() && !text(f, "name").is_empty() => {
                if labels::label(&c["val"]).is_none_or(|name| name != text(f, "name")) {
                    return disagree("a column has another name");
                }
                self.rest(f, c, &["name"])
            }
            "ColumnDef" => {
                if !f["raw_default"].is_null() || !list(f, "constraints").is_empty() {
                    return disagree("a column definition computes something");
                }
                self.rest(f, c, &[])
            }
            "IndexElem" if list(f, "collation").is_empty() && list(f, "opclass").is_empty() => self.rest(f, c, &[]),
            "LockingClause" => locking(f, c),
            "MergeSupportFunc" => self.since("merge_action", newer::V17).and_then(|()| self.rest(f, c, &[])),
            _ if PLAIN.contains(&name) => self.rest(f, c, &[]),
            _ => self.json(name, f, c),
        }
    }

    /// A field's value that is a node without its wrapping.
    pub(super) fn same_part(&mut self, key: &str, f: &Value, c: &Value) -> Res<()> {
        match key {
            "type_name" => self.type_name(f, c),
            "coll_clause" => {
                collation(f)?;
                self.rest(f, c, &[])
            }
            "returning_clause" => self.returning(f, c),
            "cycle_clause" => {
                self.only_own_operators(&["=", "<>"])?;
                self.rest(f, c, &[])
            }
            _ if PLAIN_PARTS.contains(&key) || json::PARTS.contains(&key) => self.rest(f, c, &[]),
            // The one kind of constant inside `val`, and the empty node that DISTINCT is.
            "Ival" | "Fval" | "Boolval" | "Sval" | "Bsval" => self.rest(f, c, &[]),
            "" if f == c && f.get("node").is_some_and(Value::is_null) => Ok(()),
            _ => disagree(format!("{key} is not proved here")),
        }
    }

    /// The name is PostgreSQL's own or listed, and the client's up to its schema.
    fn function(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fname, cname) = (names(list(f, "funcname")), names(list(c, "funcname")));
        self.is_age_of_time(c)?;
        // In FROM, `unnest` of several arrays is a form of its own, and PostgreSQL's whatever the path is.
        let several = list(f, "args").len() > 1 && !self.catalog.user_functions.contains("unnest");
        if fname == ["unnest"] && cname == fname && several {
            return self.rest(f, c, &[]);
        }
        let own = matches!(fname.as_slice(), ["pg_catalog" | "information_schema", _]);
        let reveals = std::mem::take(&mut self.reveals);
        if !own && !reveals && fname.last().is_some_and(|name| self.catalog.revealing.contains(*name)) {
            return disagree("a function returns rows of a table with a hidden column");
        }
        // Whichever of this name the arguments choose, it is PostgreSQL's own or listed.
        if let [name] = fname.as_slice()
            && cname == fname
            && self.catalog.overloads.contains(*name)
            && functions::find(name).is_some()
        {
            return self.rest(f, c, &[]);
        }
        let [schema, name] = fname.as_slice() else { return disagree("a function's name is not qualified") };
        let theirs = match cname.as_slice() {
            [bare] => bare == name,
            [s, n] => self.meant(s) == Some(*schema) && n == name,
            _ => false,
        };
        if !theirs {
            return disagree("another function is called");
        }
        if let ["pg_catalog", "nextval" | "currval"] = fname.as_slice() {
            return self.sequence(f, c);
        }
        if fname == ["pg_catalog", "setval"] {
            return self.setval(f, c);
        }
        if fname == ["pg_catalog", "pg_notify"] {
            return self.notify(f, c);
        }
        let literal =
            |index: usize| list(f, "args").get(index).and_then(|a| fields(a, "AConst")).and_then(|a| a["val"]["Sval"]["sval"].as_str());
        let listed = match (*schema, *name) {
            ("pg_catalog", "set_config") if self.dump_guard => true,
            ("pg_catalog", "set_config") => literal(0).is_some_and(|name| match literal(1) {
                Some(value) if name.eq_ignore_ascii_case("search_path") => self.path_is_known(value),
                Some(value) => self.catalog.settings.admit(name, Some(value)).is_ok(),
                None => list(f, "args").get(1).is_some_and(|a| fields(a, "ParamRef").is_some()) && self.catalog.settings.admit_any(name),
            }),
            ("pg_catalog", "current_setting") => literal(0).is_some_and(settings::may_show),
            ("pg_catalog", name) if functions::find_call(name, list(f, "args").len()).is_some() => true,
            ("information_schema", "_pg_expandarray") => true,
            (schema, name) => self.catalog.functions.contains(&(schema.to_owned(), name.to_owned())),
        };
        if !listed {
            return disagree("a function is not listed");
        }
        self.rest(f, c, &["funcname"])
    }

    /// Schemas by plain names, each pg_catalog or one of which tables are listed, or none at all.
    pub(super) fn path_is_known(&self, value: &str) -> bool {
        if self.catalog.home.schema().is_some() {
            return false;
        }
        let known = |schema: &str| {
            let named = self.catalog.system.namespaces.contains_key(schema) || self.catalog.search_path.iter().any(|s| s == schema);
            let listed = self.catalog.relations.keys().chain(&self.catalog.functions).any(|(s, _)| s == schema);
            schema == "pg_catalog" || named || listed
        };
        value.is_empty() || value.split(',').map(|s| s.trim().trim_matches('"')).all(|s| s == "$user" || known(s))
    }

    fn with_operator(&mut self, key: &str, f: &Value, c: &Value) -> Res<()> {
        self.operator(names(list(f, key)))?;
        self.rest(f, c, &[])
    }

    /// None, or PostgreSQL's own, or one that calls listed functions only.
    pub(super) fn operator(&self, name: Vec<&str>) -> Res<()> {
        let listed = |bare: &str| self.catalog.operators.contains(bare);
        match name.as_slice() {
            [] => Ok(()),
            [bare] if listed(bare) => Ok(()),
            [schema, bare] if *schema != "pg_catalog" && listed(bare) => Ok(()),
            ["pg_catalog", bare] if functions::find_operator(bare).is_some() => Ok(()),
            [bare] if functions::find_operator(bare).is_some() && !self.catalog.user_operators.contains(*bare) => Ok(()),
            _ => disagree("an operator is not PostgreSQL's own"),
        }
    }

    /// These names are PostgreSQL's own operators and nobody else's.
    pub(super) fn only_own_operators(&self, operators: &[&str]) -> Res<()> {
        match operators.iter().find(|o| self.catalog.operators.contains(**o)) {
            None => operators.iter().try_for_each(|o| self.operator(vec![o])),
            Some(_) => disagree("an application's operator may run on rows before their guard"),
        }
    }

    fn type_name(&mut self, f: &Value, c: &Value) -> Res<()> {
        if f.is_null() || c.is_null() {
            return self.same(f, c);
        }
        let (fname, cname) = (names(list(f, "names")), names(list(c, "names")));
        if self.is_searched_elsewhere(&cname) {
            return disagree("a text search object may be looked up in a schema of others");
        }
        if let [TEMP, name] = fname.as_slice() {
            let own = matches!(cname.as_slice(), [n] | [TEMP, n] if n == name) && self.private.temps.row_type(name).is_some();
            let plain = f["setof"] != Value::Bool(true) && f["pct_type"] != Value::Bool(true);
            return if own && plain { self.rest(f, c, &["names"]) } else { disagree("a type is no temporary table's") };
        }
        if matches!(cname.as_slice(), [n] if self.private.temps.row_type(n).is_some()) {
            return disagree("a temporary table's type became another");
        }
        let user = |schema: &str, name: &str| self.catalog.types.get(name).is_some_and(|s| s == schema);
        let known = match fname.as_slice() {
            [name] => functions::is_type(name.strip_prefix('_').unwrap_or(name)) && !self.catalog.types.contains_key(*name),
            ["pg_catalog", name] => functions::is_type(name),
            ["information_schema", name] if functions::is_information_domain(name) => true,
            [schema, name] => user(schema, name),
            _ => false,
        };
        let qualified = fname.len() == 2
            && user(fname[0], fname[1])
            && match cname.as_slice() {
                [name] => fname[1] == *name,
                [schema, name] => fname[1] == *name && self.meant(schema) == Some(fname[0]),
                _ => false,
            };
        // The client's own name of a schema is not there where it stands for another.
        if cname.len() == 2 && !matches!(cname[0], "pg_catalog" | "information_schema") && self.meant(cname[0]) != fname.first().copied() {
            return disagree("another type is named");
        }
        if !known || (fname != cname && !qualified) {
            return disagree("another type is named");
        }
        if f["setof"] == Value::Bool(true) || f["pct_type"] == Value::Bool(true) {
            return disagree("this form of a type is not proved");
        }
        self.rest(f, c, &["names"])
    }

    fn column(&mut self, f: &Value, c: &Value) -> Res<()> {
        if let Some(proved) = self.column_schema(f, c) {
            return proved;
        }
        let short = self.without_schema(f, c);
        let c = short.as_ref().unwrap_or(c);
        if let Some(proved) = self.system_column(f, c) {
            return proved;
        }
        let parts = list(f, "fields");
        let named = names(parts);
        if let ([.., item, field], true) = (named.as_slice(), named.len() == parts.len()) {
            self.field(Some(item), field)?;
        }
        self.visible(&named, named.len() < parts.len())?;
        if let [name] = named.as_slice() {
            self.shows_no_lock(None, name)?;
        }
        if let [name] = names(list(c, "fields")).as_slice()
            && self.is_behind_a_namesake(name)
        {
            return disagree("a name may mean what no fence can name");
        }
        let table = match (named.as_slice(), named.len() < parts.len()) {
            ([schema, table, _], false) | ([schema, table], true) => Some((schema, table)),
            _ => None,
        };
        if table.is_some_and(|(schema, table)| self.is_behind_its_namesake(schema, table)) {
            return disagree("a name with a schema may mean what no fence can name");
        }
        if named.len() < parts.len() && (named.len() + 1 != parts.len() || parts.last().and_then(kind).is_none_or(|(k, _)| k != "AStar")) {
            return disagree("this column reference is not proved");
        }
        self.rest(f, c, &[])
    }
}

/// One of PostgreSQL's own, or a bare name: a collation runs no code of a user's.
fn collation(f: &Value) -> Res<()> {
    match names(list(f, "collname")).as_slice() {
        [_] | ["pg_catalog", _] => Ok(()),
        _ => disagree("a collation is not PostgreSQL's own"),
    }
}

/// FOR UPDATE and its kin: the names after OF are those of FROM items, and the client's.
fn locking(f: &Value, c: &Value) -> Res<()> {
    let named = |v: &Value| -> Option<Vec<String>> {
        let one = |r: &Value| {
            let var = fields(r, "RangeVar").filter(|v| text(v, "schemaname").is_empty() && text(v, "catalogname").is_empty())?;
            var["alias"].is_null().then(|| text(var, "relname").to_owned())
        };
        list(v, "locked_rels").iter().map(one).collect()
    };
    let same = named(f).is_some() && named(f) == named(c) && f["strength"] == c["strength"] && f["wait_policy"] == c["wait_policy"];
    if same { Ok(()) } else { disagree("a row lock differs") }
}
