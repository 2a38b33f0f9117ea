//! The independent verifier: reads the final text again and proves that it is the client's statement with sound guards and nothing else.
//!
//! It shares no code with `rewrite`. Both texts are parsed by PostgreSQL's grammar into a generic tree (node name → fields) and walked in
//! lockstep; wherever the final tree differs, the difference must be one of the sanctioned additions, checked for form and for place.
//! The tenant's parameters have numbers that the client's text cannot contain, so an addition is never mistaken for the client's.

mod copy;
mod from;
mod utility;
mod write;

use super::catalog::Catalog;
use crate::policy::TableRule;
use serde_json::{Map, Value};

/// Why the final text is not proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Disagreement(pub String);

/// What was proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Byte offsets (final text, client's text) of the same token.
    pub places: Vec<(usize, usize)>,
    /// Listed relations seen, as `schema.name`, sorted.
    pub relations: Vec<String>,
    /// What the rewriter added, in the order it was proved.
    pub held: Vec<Held>,
}

/// An addition that was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub hold: Hold,
    /// `schema.name`; empty for a fence.
    pub relation: String,
    /// The name by which the statement refers to the relation.
    pub reference: String,
    /// Byte offset in the client's text of what it is for.
    pub client: Option<usize>,
}

/// How a tenant is kept to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A guard in a filter.
    Filter,
    /// The relation became a guarded subquery.
    Wrapped,
    /// The tenant column of new rows is written by the wall.
    Inserted,
    /// The client writes it, and its value is checked.
    Own,
    /// An upsert that meets another tenant's row fails.
    Upsert,
    /// An expression that can fail runs behind the guard only.
    Fence,
}

type Res<T> = Result<T, Disagreement>;

fn disagree<T>(why: impl Into<String>) -> Res<T> {
    Err(Disagreement(why.into()))
}

/// Proves `outgoing` against `client`: same statements, every scoped relation guarded by a parameter from `first` on.
pub fn verify(client: &str, outgoing: &str, catalog: &Catalog, first: u16) -> Res<Proof> {
    let (client, outgoing) = (statements(client)?, statements(outgoing)?);
    if client.len() != outgoing.len() {
        return disagree("the number of statements differs");
    }
    let mut walk = Walk { catalog, first: i64::from(first), ctes: Vec::new(), filters: Vec::new(), proof: Proof::default() };
    for (f, c) in outgoing.iter().zip(&client) {
        walk.statement(&f["stmt"], &c["stmt"])?;
    }
    let mut proof = walk.proof;
    proof.relations.sort();
    proof.relations.dedup();
    Ok(proof)
}

fn statements(text: &str) -> Res<Vec<Value>> {
    let parsed = pg_query::parse(text, pg_query::ParserOptions::default()).or_else(|_| disagree("the text is not PostgreSQL's"))?;
    match serde_json::to_value(&parsed.protobuf.stmts) {
        Ok(Value::Array(all)) => Ok(all),
        _ => disagree("the tree has no generic form"),
    }
}

/// A guard found in a filter, not yet matched with the relation it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    reference: String,
    column: String,
}

struct Walk<'a> {
    catalog: &'a Catalog,
    first: i64,
    ctes: Vec<Vec<String>>,
    /// Guards of the filters around, each taken by exactly one relation.
    filters: Vec<Vec<Found>>,
    proof: Proof,
}

/// The kind and fields of a wrapped node.
fn kind(value: &Value) -> Option<(&str, &Value)> {
    let inner = value.get("node")?.as_object()?;
    inner.iter().next().map(|(k, v)| (k.as_str(), v))
}

/// The fields of a node of this kind.
fn fields<'v>(value: &'v Value, wanted: &str) -> Option<&'v Value> {
    kind(value).filter(|(k, _)| *k == wanted).map(|(_, v)| v)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The strings of a list of String nodes.
fn names(values: &[Value]) -> Vec<&str> {
    values.iter().filter_map(|v| fields(v, "String")).map(|s| text(s, "sval")).collect()
}

impl Walk<'_> {
    /// The final value is the client's, up to sanctioned additions inside.
    fn same(&mut self, f: &Value, c: &Value) -> Res<()> {
        if let (Some((fk, fv)), Some((ck, cv))) = (kind(f), kind(c)) {
            if fk == "CaseExpr" && self.is_fence(fv) {
                let client = first_place(c);
                self.proof.held.push(Held { hold: Hold::Fence, relation: String::new(), reference: String::new(), client });
                return self.same(&fields(&list(fv, "args")[0], "CaseWhen").unwrap_or(&Value::Null)["result"], c);
            }
            if fk != ck {
                return disagree(format!("{ck} became {fk}"));
            }
            return self.same_node(fk, fv, cv);
        }
        match (f, c) {
            (Value::Object(f), Value::Object(c)) => self.same_fields(f, c, &[]),
            (Value::Array(f), Value::Array(c)) if f.len() == c.len() => f.iter().zip(c).try_for_each(|(f, c)| self.same(f, c)),
            (f, c) if f == c && !f.is_object() && !f.is_array() => Ok(()),
            _ => disagree("a part was added, lost or changed"),
        }
    }

    fn same_fields(&mut self, f: &Map<String, Value>, c: &Map<String, Value>, done: &[&str]) -> Res<()> {
        if f.len() != c.len() {
            return disagree("a node has other fields");
        }
        for (key, fv) in f {
            let Some(cv) = c.get(key) else { return disagree(format!("field {key} appeared")) };
            if is_place(key) {
                if let (Some(fp), Some(cp)) = (fv.as_u64(), cv.as_u64()) {
                    self.proof.places.push((fp as usize, cp as usize));
                }
            } else if !done.contains(&key.as_str()) {
                self.same(fv, cv).map_err(|d| Disagreement(format!("{key}: {d}")))?;
            }
        }
        Ok(())
    }

    fn rest(&mut self, f: &Value, c: &Value, done: &[&str]) -> Res<()> {
        match (f, c) {
            (Value::Object(f), Value::Object(c)) => self.same_fields(f, c, done),
            _ => disagree("not a node"),
        }
    }

    fn same_node(&mut self, name: &str, f: &Value, c: &Value) -> Res<()> {
        match name {
            "SelectStmt" => self.select(f, c),
            "InsertStmt" => self.insert(f, c),
            "UpdateStmt" => self.update(f, c),
            "DeleteStmt" => self.delete(f, c),
            "RangeVar" => disagree("a relation stands where none is expected"),
            "FuncCall" => {
                let (fname, cname) = (names(list(f, "funcname")), names(list(c, "funcname")));
                let qualified = fname.len() == 2 && cname.len() == 1 && fname[1] == cname[0];
                if fname != cname && !qualified {
                    return disagree("another function is called");
                }
                self.rest(f, c, &["funcname"])
            }
            "TypeName" => self.type_name(f, c),
            "TypeCast" => {
                self.type_name(&f["type_name"], &c["type_name"])?;
                self.rest(f, c, &["type_name"])
            }
            // Of a list of alternatives only those known to hold no relation outside the kinds above may pass.
            "IntoClause" | "CopyStmt" | "ExplainStmt" | "LockStmt" | "TruncateStmt" | "CurrentOfExpr" | "MergeStmt"
            | "RangeTableSample" => disagree(format!("{name} is not proved")),
            _ => self.rest(f, c, &[]),
        }
    }

    fn type_name(&mut self, f: &Value, c: &Value) -> Res<()> {
        if f.is_null() || c.is_null() {
            return self.same(f, c);
        }
        let (fname, cname) = (names(list(f, "names")), names(list(c, "names")));
        let qualified =
            fname.len() == 2 && cname.len() == 1 && fname[1] == cname[0] && self.catalog.types.get(cname[0]).is_some_and(|s| s == fname[0]);
        if fname != cname && !qualified {
            return disagree("another type is named");
        }
        self.rest(f, c, &["names"])
    }

    /// `REF.column OPERATOR(pg_catalog.=) $tenant`
    fn guard(&self, value: &Value) -> Option<Found> {
        let x = fields(value, "AExpr")?;
        let plain = x.get("kind").and_then(Value::as_i64) == Some(1) && names(list(x, "name")) == ["pg_catalog", "="];
        let number = fields(&x["rexpr"], "ParamRef")?.get("number")?.as_i64()?;
        let column = fields(&x["lexpr"], "ColumnRef")?;
        match names(list(column, "fields")).as_slice() {
            [reference, column] if plain && number >= self.first => {
                Some(Found { reference: (*reference).to_owned(), column: (*column).to_owned() })
            }
            _ => None,
        }
    }

    /// Parts of an AND or OR (`boolop` 1 or 2); the value itself otherwise.
    fn parts(value: &Value, boolop: i64) -> Option<&[Value]> {
        let x = fields(value, "BoolExpr")?;
        (x.get("boolop").and_then(Value::as_i64) == Some(boolop)).then(|| list(x, "args"))
    }

    fn is_fence(&self, case: &Value) -> bool {
        let [when] = list(case, "args") else { return false };
        let Some(when) = fields(when, "CaseWhen") else { return false };
        let bare = case["arg"].is_null() && case["defresult"].is_null();
        let condition = &when["expr"];
        let alone = std::slice::from_ref(condition);
        let all = Self::parts(condition, 1).unwrap_or(alone);
        bare && !all.is_empty() && all.iter().all(|p| self.guard(p).is_some() || self.guard_or_absent(p))
    }

    fn guard_or_absent(&self, value: &Value) -> bool {
        let Some([absent, guard]) = Self::parts(value, 2) else { return false };
        let Some(found) = self.guard(guard) else { return false };
        let Some(test) = fields(absent, "NullTest") else { return false };
        let is_null = test.get("nulltesttype").and_then(Value::as_i64) == Some(1);
        let column = fields(&test["arg"], "ColumnRef").map(|c| names(list(c, "fields")));
        is_null && column == Some(vec![found.reference.as_str(), found.column.as_str()])
    }

    /// Takes the guards off the front of a condition and compares what is left with the client's.
    fn filter(&mut self, f: &Value, c: &Value) -> Res<Vec<Found>> {
        if let Some(found) = self.guard(f) {
            return if c.is_null() { Ok(vec![found]) } else { disagree("the client's condition is gone") };
        }
        let Some(parts) = Self::parts(f, 1) else {
            self.same(f, c)?;
            return Ok(Vec::new());
        };
        let guards: Vec<Found> = parts.iter().map_while(|p| self.guard(p)).collect();
        match &parts[guards.len()..] {
            _ if guards.is_empty() => self.same(f, c)?,
            [] if c.is_null() => {}
            [one] if Self::parts(c, 1).is_none() || Self::parts(one, 1).is_some() => self.same(one, c)?,
            many => {
                let Some(theirs) = Self::parts(c, 1).filter(|t| t.len() == many.len()) else { return disagree("the condition differs") };
                many.iter().zip(theirs).try_for_each(|(f, c)| self.same(f, c))?;
            }
        }
        Ok(guards)
    }

    fn with(&mut self, f: &Value, c: &Value) -> Res<()> {
        if f.is_null() && c.is_null() {
            return Ok(());
        }
        let (fctes, cctes) = (list(f, "ctes"), list(c, "ctes"));
        let recursive = c.get("recursive").and_then(Value::as_bool).unwrap_or_default();
        if fctes.len() != cctes.len() || f.get("recursive") != c.get("recursive") {
            return disagree("WITH differs");
        }
        let every = cctes.iter().filter_map(|c| fields(c, "CommonTableExpr")).map(|c| text(c, "ctename").to_owned());
        self.ctes.push(if recursive { every.collect() } else { Vec::new() });
        for (f, c) in fctes.iter().zip(cctes) {
            let (Some(f), Some(c)) = (fields(f, "CommonTableExpr"), fields(c, "CommonTableExpr")) else { return disagree("WITH differs") };
            self.same(&f["ctequery"], &c["ctequery"])?;
            self.rest(f, c, &["ctequery"])?;
            if let Some(names) = self.ctes.last_mut().filter(|_| !recursive) {
                names.push(text(c, "ctename").to_owned());
            }
        }
        Ok(())
    }

    fn select(&mut self, f: &Value, c: &Value) -> Res<()> {
        let names = self.ctes.len();
        self.with(&f["with_clause"], &c["with_clause"])?;
        if !f["into_clause"].is_null() {
            return disagree("SELECT INTO is not proved");
        }
        for arm in ["larg", "rarg"] {
            match (f[arm].is_null(), c[arm].is_null()) {
                (true, true) => {}
                (false, false) => self.select(&f[arm], &c[arm])?,
                _ => return disagree("a set operation differs"),
            }
        }
        let guards = self.filter(&f["where_clause"], &c["where_clause"])?;
        self.filters.push(guards);
        let sink = self.filters.len() - 1;
        self.from_list(list(f, "from_clause"), list(c, "from_clause"), sink)?;
        self.used_up()?;
        let mut done = vec!["with_clause", "larg", "rarg", "where_clause", "from_clause"];
        let free = c["limit_count"].is_null() && c["limit_offset"].is_null();
        if free && f["limit_count"].is_null() && is_zero(&f["limit_offset"]) {
            done.extend(["limit_offset", "limit_option"]);
        }
        self.rest(f, c, &done)?;
        self.ctes.truncate(names);
        Ok(())
    }

    /// Every guard of the innermost filter was for a relation.
    fn used_up(&mut self) -> Res<()> {
        match self.filters.pop() {
            Some(left) if left.is_empty() => Ok(()),
            _ => disagree("a guard is for no relation of its place"),
        }
    }

    /// The listed relation that a reference means, with its tenant column if it is scoped; None for a WITH query.
    fn relation(&mut self, f: &Value, c: &Value) -> Res<Option<Option<String>>> {
        let (schema, name) = (text(c, "schemaname"), text(c, "relname"));
        if text(f, "relname") != name || !text(f, "catalogname").is_empty() {
            return disagree("another relation is named");
        }
        if schema.is_empty() && self.ctes.iter().flatten().any(|n| n == name) {
            return if text(f, "schemaname").is_empty() { Ok(None) } else { disagree("a WITH query became a table") };
        }
        let listed = |schema: &str| self.catalog.relations.get(&(schema.to_owned(), name.to_owned()));
        let expected = if schema.is_empty() { self.catalog.search_path.iter().find_map(|s| listed(s)) } else { listed(schema) };
        let Some(relation) = expected.filter(|r| r.schema == text(f, "schemaname")) else { return disagree("a relation is not listed") };
        self.proof.relations.push(format!("{}.{}", relation.schema, relation.name));
        match &relation.rule {
            TableRule::Scoped { column } => Ok(Some(Some(column.clone()))),
            TableRule::SharedRead => Ok(Some(None)),
            TableRule::Hidden => disagree("a hidden relation is named"),
        }
    }
}

/// Notes an addition for the relation that is named at `f` and `c`.
fn hold(proof: &mut Proof, hold: Hold, f: &Value, c: &Value, reference: &str) {
    let relation = format!("{}.{}", text(f, "schemaname"), text(f, "relname"));
    let client = c["location"].as_u64().and_then(|l| usize::try_from(l).ok());
    proof.held.push(Held { hold, relation, reference: reference.to_owned(), client });
}

/// The first place that a part of a tree names.
fn first_place(value: &Value) -> Option<usize> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("location").and_then(|v| v.as_u64()?.try_into().ok());
            own.into_iter().chain(fields.values().filter_map(first_place)).min()
        }
        Value::Array(all) => all.iter().filter_map(first_place).min(),
        _ => None,
    }
}

fn is_zero(value: &Value) -> bool {
    fields(value, "AConst").is_some_and(|c| c["val"]["Ival"]["ival"].as_i64() == Some(0) && c["isnull"] == Value::Bool(false))
}

fn is_place(key: &str) -> bool {
    matches!(
        key,
        "location" | "stmt_location" | "stmt_len" | "name_location" | "list_start" | "list_end" | "rexpr_list_start" | "rexpr_list_end"
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
