//! A third reader of final texts, simpler than the rewriter and the verifier and without their code: every relation stands at a known place,
//! is listed, and if it is scoped, a guard of its level removes every other tenant's row. It knows nothing of the client's text.

use serde_json::Value;
use std::collections::HashSet;

/// What a listed relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule<'a> {
    /// Rows belong to the tenant in this column.
    Scoped(&'a str),
    /// All tenants read it.
    Shared,
}

/// An auditor of one text.
pub struct Audit<'a> {
    /// What a schema's relation is; None where it is not listed.
    pub listed: &'a dyn Fn(&str, &str) -> Option<Rule<'a>>,
    /// Whether a value (`AConst`, `ParamRef`, perhaps in casts) is the tenant's.
    pub own: &'a dyn Fn(&Own) -> bool,
}

/// A value that may be the tenant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// A string literal.
    Literal(String),
    /// `$n`
    Parameter(u64),
}

type Found = Result<(), String>;
type Guards = Vec<(String, String)>;

/// The fields of a wrapped node of this kind.
pub fn node<'v>(value: &'v Value, kind: &str) -> Option<&'v Value> {
    value.get("node")?.get(kind)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn names(values: &[Value]) -> Vec<&str> {
    values.iter().filter_map(|v| node(v, "String")).map(|s| text(s, "sval")).collect()
}

/// What a value is, without casts.
pub fn value_of(value: &Value) -> Option<Own> {
    if let Some(cast) = node(value, "TypeCast") {
        return value_of(&cast["arg"]);
    }
    if let Some(number) = node(value, "ParamRef") {
        return number["number"].as_u64().map(Own::Parameter);
    }
    let literal = node(value, "AConst")?["val"]["Sval"]["sval"].as_str()?;
    Some(Own::Literal(literal.to_owned()))
}

impl Audit<'_> {
    /// Reads a text. Errors: what is not held.
    pub fn text(&self, sql: &str) -> Found {
        let parsed = pg_query::parse(sql, pg_query::ParserOptions::default()).map_err(|e| format!("is not read: {e}"))?;
        let tree = serde_json::to_value(&parsed.protobuf.stmts).map_err(|e| e.to_string())?;
        let mut ctes = HashSet::new();
        with_queries(&tree, &mut ctes);
        self.walk(&tree, &ctes)
    }

    fn walk(&self, value: &Value, ctes: &HashSet<String>) -> Found {
        match value {
            Value::Array(all) => all.iter().try_for_each(|v| self.walk(v, ctes)),
            Value::Object(fields) if fields.contains_key("relname") && fields.contains_key("relpersistence") => {
                match text(value, "schemaname") {
                    "pg_temp" => Ok(()),
                    _ => Err(format!("a relation at an unknown place: {}", text(value, "relname"))),
                }
            }
            Value::Object(fields) => {
                for (key, inner) in fields {
                    match key.as_str() {
                        "SelectStmt" | "larg" | "rarg" if inner.get("from_clause").is_some() => self.select(inner, ctes)?,
                        "InsertStmt" => self.insert(inner, ctes)?,
                        "UpdateStmt" => self.change(inner, "from_clause", ctes)?,
                        "DeleteStmt" => self.change(inner, "using_clause", ctes)?,
                        "MergeStmt" => self.merge(inner, ctes)?,
                        "CopyStmt" => self.copy(inner, ctes)?,
                        "LockStmt" => {
                            for var in list(inner, "relations").iter().filter_map(|v| node(v, "RangeVar")) {
                                self.rule(var, ctes)?;
                            }
                        }
                        // The columns of a listed table, and no row of it.
                        "TableLikeClause" => {
                            self.rule(&inner["relation"], ctes)?;
                        }
                        "locked_rels" => {}
                        _ => self.walk(inner, ctes)?,
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// All fields but those that were looked at.
    fn rest(&self, value: &Value, done: &[&str], ctes: &HashSet<String>) -> Found {
        let Some(fields) = value.as_object() else { return Ok(()) };
        for (key, inner) in fields.iter().filter(|(k, _)| !done.contains(&k.as_str())) {
            if matches!(key.as_str(), "larg" | "rarg") && !inner.is_null() {
                self.select(inner, ctes)?;
            } else {
                self.walk(inner, ctes)?;
            }
        }
        Ok(())
    }

    /// What a relation is: None for a WITH query or one's own.
    fn rule(&self, var: &Value, ctes: &HashSet<String>) -> Result<Option<Rule<'_>>, String> {
        let (schema, name) = (text(var, "schemaname"), text(var, "relname"));
        match schema {
            _ if !text(var, "catalogname").is_empty() => Err(format!("another database's {name}")),
            "" if ctes.contains(name) => Ok(None),
            "pg_temp" | "pg_catalog" | "information_schema" => Ok(None),
            _ => (self.listed)(schema, name).map(Some).ok_or_else(|| format!("{schema}.{name} is not listed")),
        }
    }

    fn guarded(&self, var: &Value, guards: &Guards, ctes: &HashSet<String>) -> Found {
        let Some(Rule::Scoped(column)) = self.rule(var, ctes)? else { return Ok(()) };
        let alias = var["alias"]["aliasname"].as_str().unwrap_or(text(var, "relname"));
        if guards.iter().any(|(reference, c)| reference == alias && c == column) {
            return Ok(());
        }
        Err(format!("{} as {alias} has no guard", text(var, "relname")))
    }

    fn select(&self, select: &Value, ctes: &HashSet<String>) -> Found {
        let guards = self.guards(&select["where_clause"]);
        list(select, "from_clause").iter().try_for_each(|item| self.from(item, &guards, ctes))?;
        self.rest(select, &["from_clause"], ctes)
    }

    fn from(&self, item: &Value, guards: &Guards, ctes: &HashSet<String>) -> Found {
        if let Some(var) = node(item, "RangeVar") {
            return self.guarded(var, guards, ctes);
        }
        if let Some(sample) = node(item, "RangeTableSample") {
            self.from(&sample["relation"], guards, ctes)?;
            return self.rest(sample, &["relation"], ctes);
        }
        let Some(join) = node(item, "JoinExpr") else { return self.walk(item, ctes) };
        let own = self.guards(&join["quals"]);
        let both: Guards = guards.iter().chain(&own).cloned().collect();
        // JOIN_INNER 1, JOIN_LEFT 2, JOIN_FULL 3, JOIN_RIGHT 4: ON removes rows of the nullable side alone.
        let (left, right) = match join["jointype"].as_i64() {
            Some(1) => (&both, &both),
            Some(2) => (guards, &both),
            Some(4) => (&both, guards),
            _ => (guards, guards),
        };
        self.from(&join["larg"], left, ctes)?;
        self.from(&join["rarg"], right, ctes)?;
        let Some(fields) = join.as_object() else { return Ok(()) };
        fields.iter().filter(|(k, _)| !matches!(k.as_str(), "larg" | "rarg")).try_for_each(|(_, v)| self.walk(v, ctes))
    }

    /// `REF.column OPERATOR(pg_catalog.=) tenant` among the parts of a condition that must all hold.
    fn guards(&self, condition: &Value) -> Guards {
        if let Some(all) = node(condition, "BoolExpr").filter(|b| b["boolop"].as_i64() == Some(1)) {
            return list(all, "args").iter().flat_map(|part| self.guards(part)).collect();
        }
        let Some(x) = node(condition, "AExpr") else { return Vec::new() };
        let plain = x["kind"].as_i64() == Some(1) && names(list(x, "name")) == ["pg_catalog", "="];
        let own = value_of(&x["rexpr"]).is_some_and(|v| (self.own)(&v));
        let column = node(&x["lexpr"], "ColumnRef").map(|c| names(list(c, "fields"))).unwrap_or_default();
        match column.as_slice() {
            [reference, column] if plain && own => vec![((*reference).to_owned(), (*column).to_owned())],
            _ => Vec::new(),
        }
    }

    fn change(&self, change: &Value, from: &str, ctes: &HashSet<String>) -> Found {
        let (target, guards) = (&change["relation"], self.guards(&change["where_clause"]));
        let rule = self.rule(target, ctes)?;
        if rule == Some(Rule::Shared) {
            return Err("a shared relation is changed".into());
        }
        if node(&change["where_clause"], "CurrentOfExpr").is_none() {
            self.guarded(target, &guards, ctes)?;
        }
        self.unassigned(list(change, "target_list"), rule)?;
        list(change, from).iter().try_for_each(|item| self.from(item, &guards, ctes))?;
        self.rest(change, &["relation", from], ctes)
    }

    /// The tenant column is set to nothing but the tenant.
    fn unassigned(&self, targets: &[Value], rule: Option<Rule<'_>>) -> Found {
        let Some(Rule::Scoped(column)) = rule else { return Ok(()) };
        let mut set = targets.iter().filter_map(|t| node(t, "ResTarget")).filter(|t| text(t, "name") == column);
        // An upsert may take it from the row that was to be inserted, which is held to be the tenant's.
        let excluded = |v: &Value| node(v, "ColumnRef").is_some_and(|c| names(list(c, "fields")) == ["excluded", column]);
        match set.all(|t| self.is_own(&t["val"]) || excluded(&t["val"])) {
            true => Ok(()),
            false => Err("the tenant column is assigned".into()),
        }
    }

    /// The tenant, or nobody (`CASE WHEN … THEN tenant END`).
    fn is_own(&self, value: &Value) -> bool {
        if let Some(case) = node(value, "CaseExpr") {
            let results = list(case, "args").iter().filter_map(|w| node(w, "CaseWhen"));
            return case["defresult"].is_null() && results.into_iter().all(|w| self.is_own(&w["result"]));
        }
        value_of(value).is_some_and(|v| (self.own)(&v))
    }

    fn insert(&self, insert: &Value, ctes: &HashSet<String>) -> Found {
        let target = &insert["relation"];
        match self.rule(target, ctes)? {
            Some(Rule::Shared) => return Err("a shared relation is written".into()),
            Some(rule @ Rule::Scoped(column)) => {
                let columns: Vec<&str> =
                    list(insert, "cols").iter().filter_map(|c| node(c, "ResTarget")).map(|c| text(c, "name")).collect();
                let at = columns.iter().position(|c| *c == column).ok_or("new rows have no tenant")?;
                let rows = node(&insert["select_stmt"], "SelectStmt").ok_or("new rows come from nowhere")?;
                if !self.column_is_own(rows, at, columns.len()) {
                    return Err("new rows have another tenant".into());
                }
                let conflict = &insert["on_conflict_clause"];
                self.unassigned(list(conflict, "target_list"), Some(rule))?;
                // ONCONFLICT_UPDATE
                if conflict["action"].as_i64() == Some(3) && !self.somewhere(&conflict["where_clause"]) {
                    return Err("an upsert has no guard".into());
                }
            }
            None => {}
        }
        self.rest(insert, &["relation"], ctes)
    }

    fn column_is_own(&self, rows: &Value, at: usize, count: usize) -> bool {
        if !rows["larg"].is_null() {
            return self.column_is_own(&rows["larg"], at, count) && self.column_is_own(&rows["rarg"], at, count);
        }
        let values = list(rows, "values_lists");
        if !values.is_empty() {
            // With more or fewer values than columns it is the server's error.
            let row = |v: &Value| node(v, "List").map(|l| list(l, "items")).is_some_and(|r| r.len() != count || self.is_own(&r[at]));
            return values.iter().all(row);
        }
        let targets: Vec<&Value> = list(rows, "target_list").iter().filter_map(|t| node(t, "ResTarget")).collect();
        let is_star =
            |t: &&&Value| node(&t["val"], "ColumnRef").is_some_and(|c| list(c, "fields").iter().any(|f| node(f, "AStar").is_some()));
        if targets.len() != count && !targets.iter().any(|t| is_star(&t)) {
            // The server's error.
            return true;
        }
        let place = if at + 1 == count { targets.len().checked_sub(1) } else { Some(at) };
        let moved = at + 1 != count && targets.iter().take(at).any(|t| is_star(&t));
        !moved && place.and_then(|p| targets.get(p)).is_some_and(|t| self.is_own(&t["val"]))
    }

    /// Whether a guard stands anywhere inside.
    fn somewhere(&self, value: &Value) -> bool {
        !self.guards(value).is_empty()
            || match value {
                Value::Object(fields) => fields.values().any(|v| self.somewhere(v)),
                Value::Array(all) => all.iter().any(|v| self.somewhere(v)),
                _ => false,
            }
    }

    fn merge(&self, merge: &Value, ctes: &HashSet<String>) -> Found {
        let target = &merge["relation"];
        let rule = self.rule(target, ctes)?;
        if rule == Some(Rule::Shared) {
            return Err("a shared relation is merged into".into());
        }
        self.guarded(target, &self.guards(&merge["join_condition"]), ctes)?;
        self.from(&merge["source_relation"], &Vec::new(), ctes)?;
        for clause in list(merge, "merge_when_clauses").iter().filter_map(|c| node(c, "MergeWhenClause")) {
            self.unassigned(list(clause, "target_list"), rule.filter(|_| list(clause, "values").is_empty()))?;
        }
        self.rest(merge, &["relation", "source_relation"], ctes)
    }

    fn copy(&self, copy: &Value, ctes: &HashSet<String>) -> Found {
        if copy["relation"].is_object() {
            match self.rule(&copy["relation"], ctes)? {
                Some(Rule::Scoped(_)) if copy["is_from"] != Value::Bool(true) => return Err("a whole relation is copied out".into()),
                Some(Rule::Scoped(_)) if !self.somewhere(&copy["where_clause"]) => return Err("rows are copied in unchecked".into()),
                Some(Rule::Shared) if copy["is_from"] == Value::Bool(true) => return Err("a shared relation is written".into()),
                _ => {}
            }
        }
        self.rest(copy, &["relation"], ctes)
    }
}

fn with_queries(value: &Value, into: &mut HashSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| with_queries(v, into)),
        Value::Object(fields) => {
            into.extend(fields.get("ctename").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|v| with_queries(v, into));
        }
        _ => {}
    }
}
