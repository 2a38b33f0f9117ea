//! A third reader of final texts, simpler than the rewriter and the verifier and without their code: every relation stands at a known place,
//! is listed, and if it is scoped, a guard of its level removes every other tenant's row. It knows nothing of the client's text.

use partywall::policy::Through;
use serde_json::Value;
use std::collections::HashSet;

/// What a listed relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule<'a> {
    /// Rows belong to the tenant in this column.
    Scoped(&'a str),
    /// The same, and the column does not exist for the tenant.
    Hidden(&'a str),
    /// Rows belong to whom the parent's row belongs that they refer to.
    Through(&'a Through),
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
type Guards<'v> = Vec<Guard<'v>>;

/// What removes rows.
#[derive(Clone, Copy, Debug)]
enum Guard<'v> {
    /// This column of this reference is the tenant's.
    Column(&'v str, &'v str),
    /// `EXISTS (query)`
    Exists(&'v Value),
}

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

    fn guarded(&self, var: &Value, guards: &Guards<'_>, ctes: &HashSet<String>) -> Found {
        let Some(rule) = self.rule(var, ctes)? else { return Ok(()) };
        let alias = var["alias"]["aliasname"].as_str().unwrap_or(text(var, "relname"));
        if rule == Rule::Shared || guards.iter().any(|guard| self.holds(guard, alias, rule)) {
            return Ok(());
        }
        Err(format!("{} as {alias} has no guard", text(var, "relname")))
    }

    /// Whether a guard removes every row of this reference that is not the tenant's.
    fn holds(&self, guard: &Guard<'_>, alias: &str, rule: Rule<'_>) -> bool {
        match (guard, rule) {
            (Guard::Column(reference, c), Rule::Scoped(column) | Rule::Hidden(column)) => *reference == alias && *c == column,
            (Guard::Exists(query), Rule::Through(through)) => self.has_parents(query, through, alias),
            _ => false,
        }
    }

    /// `SELECT 1 FROM parent p, … WHERE p.key = reference.column AND … AND p.tenant = tenant`, over as many parents as there are.
    fn has_parents(&self, query: &Value, through: &Through, reference: &str) -> bool {
        let parent = list(query, "from_clause").iter().filter_map(|i| node(i, "RangeVar")).find(|v| {
            text(v, "schemaname") == through.schema && text(v, "relname") == through.table && v["alias"]["aliasname"] != reference
        });
        let Some(alias) = parent.and_then(|p| p["alias"]["aliasname"].as_str()) else { return false };
        let linked = |(own, theirs): &(String, String)| {
            conjuncts(&query["where_clause"]).into_iter().filter_map(|c| node(c, "AExpr")).any(|x| {
                let column = |side: &str| node(&x[side], "ColumnRef").map(|c| names(list(c, "fields"))).unwrap_or_default();
                names(list(x, "name")) == ["pg_catalog", "="] && column("lexpr") == [alias, theirs] && column("rexpr") == [reference, own]
            })
        };
        through.on.iter().all(linked)
            && match (self.listed)(&through.schema, &through.table) {
                Some(Rule::Through(next)) => self.has_parents(query, next, alias),
                Some(rule) => self.guards(&query["where_clause"]).iter().any(|guard| self.holds(guard, alias, rule)),
                None => false,
            }
    }

    fn select(&self, select: &Value, ctes: &HashSet<String>) -> Found {
        let mut guards = self.guards(&select["where_clause"]);
        // What stands beside a row may be the parent that makes it the tenant's.
        guards.push(Guard::Exists(select));
        list(select, "from_clause").iter().try_for_each(|item| self.from(item, &guards, ctes))?;
        for item in list(select, "from_clause") {
            let var = node(item, "RangeVar").or_else(|| node(&node(item, "RangeTableSample")?["relation"], "RangeVar"));
            if let Some(Rule::Hidden(column)) = var.map(|v| self.rule(v, ctes)).transpose()?.flatten() {
                self.hides(list(select, "target_list"), None, column)?;
            }
        }
        self.rest(select, &["from_clause"], ctes)
    }

    /// No column of these is the hidden one, nor a star that has it: of any relation, or of this one.
    fn hides(&self, targets: &[Value], of: Option<&str>, hidden: &str) -> Found {
        for column in targets.iter().filter_map(|t| node(t, "ResTarget")).filter_map(|t| node(&t["val"], "ColumnRef")) {
            let parts = list(column, "fields");
            let star = parts.last().is_some_and(|p| node(p, "AStar").is_some());
            let shown = match (names(parts).as_slice(), star) {
                ([], true) => true,
                ([.., name], true) => of.is_none_or(|of| of == *name),
                ([last], false) => *last == hidden,
                // OLD and NEW are names of the written table, too.
                ([.., name, last], false) => *last == hidden && of.is_none_or(|of| [of, "old", "new"].contains(name)),
                _ => true,
            };
            if shown {
                return Err(format!("the hidden column {hidden} is shown"));
            }
        }
        Ok(())
    }

    fn from(&self, item: &Value, guards: &Guards<'_>, ctes: &HashSet<String>) -> Found {
        if let Some(var) = node(item, "RangeVar") {
            return self.guarded(var, guards, ctes);
        }
        if let Some(sample) = node(item, "RangeTableSample") {
            self.from(&sample["relation"], guards, ctes)?;
            return self.rest(sample, &["relation"], ctes);
        }
        let Some(join) = node(item, "JoinExpr") else { return self.walk(item, ctes) };
        let own = self.guards(&join["quals"]);
        let both: Guards<'_> = guards.iter().chain(&own).copied().collect();
        for side in ["larg", "rarg"] {
            let var = node(&join[side], "RangeVar").map(|v| self.rule(v, ctes)).transpose()?.flatten();
            if matches!(var, Some(Rule::Hidden(_))) {
                return Err("a table with a hidden column stands as itself in a join".into());
            }
        }
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

    /// `REF.column OPERATOR(pg_catalog.=) tenant`, and EXISTS, among the parts of a condition that must all hold.
    fn guards<'v>(&self, condition: &'v Value) -> Guards<'v> {
        conjuncts(condition).into_iter().filter_map(|part| self.one_guard(part)).collect()
    }

    fn one_guard<'v>(&self, part: &'v Value) -> Option<Guard<'v>> {
        // EXISTS_SUBLINK
        if let Some(link) = node(part, "SubLink").filter(|l| l["sub_link_type"].as_i64() == Some(1)) {
            return node(&link["subselect"], "SelectStmt").map(Guard::Exists);
        }
        let x = node(part, "AExpr")?;
        let plain = x["kind"].as_i64() == Some(1) && names(list(x, "name")) == ["pg_catalog", "="];
        let own = value_of(&x["rexpr"]).is_some_and(|v| (self.own)(&v));
        match names(list(node(&x["lexpr"], "ColumnRef")?, "fields")).as_slice() {
            [reference, column] if plain && own => Some(Guard::Column(reference, column)),
            _ => None,
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
        if let Some(Rule::Hidden(column)) = rule {
            let alias = target["alias"]["aliasname"].as_str().unwrap_or(text(target, "relname"));
            self.hides(list(&change["returning_clause"], "exprs"), Some(alias), column)?;
        }
        list(change, from).iter().try_for_each(|item| self.from(item, &guards, ctes))?;
        self.rest(change, &["relation", from], ctes)
    }

    /// The tenant column is set to nothing but the tenant.
    fn unassigned(&self, targets: &[Value], rule: Option<Rule<'_>>) -> Found {
        let column = match rule {
            Some(Rule::Scoped(column)) => column,
            Some(Rule::Hidden(column)) if targets.iter().filter_map(|t| node(t, "ResTarget")).any(|t| text(t, "name") == column) => {
                return Err("the hidden column is assigned".into());
            }
            Some(Rule::Through(through)) => return self.below_own(targets.iter().filter_map(|t| node(t, "ResTarget")), through),
            _ => return Ok(()),
        };
        let mut set = targets.iter().filter_map(|t| node(t, "ResTarget")).filter(|t| text(t, "name") == column);
        // An upsert may take it from the row that was to be inserted, which is held to be the tenant's.
        let excluded = |v: &Value| node(v, "ColumnRef").is_some_and(|c| names(list(c, "fields")) == ["excluded", column]);
        match set.all(|t| self.is_own(&t["val"]) || excluded(&t["val"])) {
            true => Ok(()),
            false => Err("the tenant column is assigned".into()),
        }
    }

    /// What these columns are assigned is looked up among the tenant's parents.
    fn below_own<'v>(&self, targets: impl Iterator<Item = &'v Value>, through: &Through) -> Found {
        let leads = |t: &&Value| through.on.iter().any(|(own, _)| own == text(t, "name"));
        let mut set = targets.filter(leads).filter(|t| node(&t["val"], "SetToDefault").is_none()).peekable();
        if set.peek().is_none() || set.any(|t| self.looks_up(&t["val"], through)) {
            return Ok(());
        }
        Err("a row is moved below a parent that was not looked up".into())
    }

    /// `EXISTS (SELECT 1 FROM parent …, tenant … FOR KEY SHARE)` stands somewhere inside.
    fn looks_up(&self, value: &Value, through: &Through) -> bool {
        let here = node(value, "SubLink").and_then(|l| node(&l["subselect"], "SelectStmt")).is_some_and(|query| {
            let first = list(query, "from_clause").first().and_then(|i| node(i, "RangeVar"));
            let parent = first.is_some_and(|v| text(v, "schemaname") == through.schema && text(v, "relname") == through.table);
            let tenant = self.guards(&query["where_clause"]).iter().any(|g| matches!(g, Guard::Column(..)));
            parent && tenant && !list(query, "locking_clause").is_empty()
        });
        here || match value {
            Value::Object(fields) => fields.values().any(|v| self.looks_up(v, through)),
            Value::Array(all) => all.iter().any(|v| self.looks_up(v, through)),
            _ => false,
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
            Some(rule @ Rule::Through(through)) => {
                let columns = list(insert, "cols").iter().filter_map(|c| node(c, "ResTarget")).map(|c| text(c, "name"));
                let leads = columns.into_iter().any(|c| through.on.iter().any(|(own, _)| own == c));
                let defaults = list(&insert["select_stmt"]["node"]["SelectStmt"], "values_lists")
                    .iter()
                    .all(|row| node(row, "List").is_some_and(|r| list(r, "items").iter().any(|i| node(i, "SetToDefault").is_some())));
                if leads && !defaults && !self.looks_up(&insert["select_stmt"], through) {
                    return Err("new rows have parents that were not looked up".into());
                }
                let conflict = &insert["on_conflict_clause"];
                self.unassigned(list(conflict, "target_list"), Some(rule))?;
                if conflict["action"].as_i64() == Some(3) && !self.somewhere(&conflict["where_clause"]) {
                    return Err("an upsert has no guard".into());
                }
            }
            Some(rule @ (Rule::Scoped(column) | Rule::Hidden(column))) => {
                if let Rule::Hidden(column) = rule {
                    let alias = target["alias"]["aliasname"].as_str().unwrap_or(text(target, "relname"));
                    self.hides(list(&insert["returning_clause"], "exprs"), Some(alias), column)?;
                }
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
                Some(Rule::Through(_)) => return Err("rows that are a parent's are copied".into()),
                Some(Rule::Scoped(_) | Rule::Hidden(_)) if copy["is_from"] != Value::Bool(true) => {
                    return Err("a whole relation is copied out".into());
                }
                Some(Rule::Scoped(_) | Rule::Hidden(_)) if !self.somewhere(&copy["where_clause"]) => {
                    return Err("rows are copied in unchecked".into());
                }
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

/// The parts of a condition that must all hold.
fn conjuncts(condition: &Value) -> Vec<&Value> {
    match node(condition, "BoolExpr").filter(|b| b["boolop"].as_i64() == Some(1)) {
        Some(all) => list(all, "args").iter().flat_map(conjuncts).collect(),
        None => vec![condition],
    }
}
