//! What a piece of the operator's code names: relations, functions, and what cannot be told. Pure; by PostgreSQL's own grammar.

use crate::sql::catalogs::quote_text;
use crate::sql::parse;
use serde_json::Value;
use std::collections::BTreeSet;

/// A name with its schema, or an empty one.
pub type Name = (String, String);

/// What is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Relations that are read, or named otherwise.
    pub reads: BTreeSet<Name>,
    /// Relations that are written.
    pub writes: BTreeSet<Name>,
    /// Functions that are called.
    pub calls: BTreeSet<Name>,
    /// Statements other than queries and writes, by PostgreSQL's name of them.
    pub others: BTreeSet<String>,
    /// SQL that is made up at run time.
    pub dynamic: bool,
    /// Some of it cannot be read.
    pub unreadable: bool,
}

/// Statements whose relations are told as read and written.
const PLAIN: &[&str] = &["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CallStmt"];

impl Touched {
    /// Of a function, by the server's own CREATE FUNCTION, in SQL or PL/pgSQL.
    pub fn of_function(language: &str, definition: &str) -> Self {
        let mut touched = Self::default();
        match language {
            "sql" => touched.sql_function(definition),
            "plpgsql" => touched.plpgsql_function(definition),
            _ => touched.unreadable = true,
        }
        touched
    }

    /// Of an expression.
    pub fn of_expression(text: &str) -> Self {
        Self::of_statement(&format!("SELECT {text}"))
    }

    /// Of a statement: a query, or a definition with expressions in it.
    pub fn of_statement(text: &str) -> Self {
        let mut touched = Self::default();
        match tree(text) {
            Some(tree) => touched.walk(&tree),
            None => touched.unreadable = true,
        }
        touched
    }

    /// Whether some name has no schema, and so is looked up by search_path.
    pub fn has_bare_names(&self) -> bool {
        self.reads.iter().chain(&self.writes).any(|(schema, _)| schema.is_empty())
    }

    fn sql_function(&mut self, definition: &str) {
        let tree = tree(definition);
        let Some(function) = tree.as_ref().and_then(|t| find(t, "CreateFunctionStmt")) else { return self.unreadable = true };
        if !function["sql_body"].is_null() {
            return self.walk(&function["sql_body"]);
        }
        match body(function) {
            Some(body) => self.statements(body),
            None => self.unreadable = true,
        }
    }

    fn plpgsql_function(&mut self, definition: &str) {
        let tree = tree(definition);
        let function = tree.as_ref().and_then(|t| find(t, "CreateFunctionStmt"));
        let returns = function.and_then(|f| name(&f["return_type"]["names"])).map(|(_, name)| name);
        let text = match (returns.as_deref(), function.and_then(body)) {
            (Some(kind @ ("trigger" | "event_trigger")), Some(body)) => as_plain(kind, body),
            _ => definition.to_owned(),
        };
        match pg_query::parse_plpgsql(&text) {
            Ok(tree) => self.plpgsql(&tree),
            Err(_) => self.unreadable = true,
        }
    }

    /// PL/pgSQL's tree holds SQL as texts, each a PLpgSQL_expr.
    fn plpgsql(&mut self, value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|v| self.plpgsql(v)),
            Value::Object(map) => {
                for (key, inner) in map {
                    match key.as_str() {
                        "PLpgSQL_expr" => self.fragment(inner["query"].as_str().unwrap_or_default()),
                        "dynquery" | "PLpgSQL_stmt_dynexecute" | "PLpgSQL_stmt_dynfors" => {
                            self.dynamic = true;
                            self.plpgsql(inner);
                        }
                        "PLpgSQL_stmt_commit" | "PLpgSQL_stmt_rollback" => drop(self.others.insert("TransactionStmt".into())),
                        _ => self.plpgsql(inner),
                    }
                }
            }
            _ => {}
        }
    }

    /// A statement, an expression, or an assignment.
    fn fragment(&mut self, text: &str) {
        let assigned = text.split_once(":=").map(|(_, value)| value);
        let readings = [Some(text.to_owned()), Some(format!("SELECT {text}")), assigned.map(|value| format!("SELECT {value}"))];
        match readings.into_iter().flatten().find_map(|t| tree(&t)) {
            Some(tree) => self.program(&tree),
            None => self.unreadable = true,
        }
    }

    fn statements(&mut self, text: &str) {
        match tree(text) {
            Some(tree) => self.program(&tree),
            None => self.unreadable = true,
        }
    }

    /// Statements that run.
    fn program(&mut self, tree: &Value) {
        for statement in tree.as_array().into_iter().flatten() {
            let kinds = statement["stmt"]["node"].as_object().into_iter().flat_map(|m| m.keys());
            self.others.extend(kinds.filter(|k| !PLAIN.contains(&k.as_str())).cloned());
        }
        self.walk(tree);
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|v| self.walk(v)),
            Value::Object(map) => {
                if let (Some(name), Some(_)) = (map.get("relname").and_then(Value::as_str), map.get("relpersistence")) {
                    self.reads.insert((word(map.get("schemaname")), name.to_owned()));
                }
                if map.contains_key("agg_within_group") {
                    self.calls.extend(map.get("funcname").and_then(name));
                }
                // A trigger names its function and is on a relation: neither is called by an expression of it.
                for (key, inner) in map {
                    match (key.as_str(), inner.get("relation").filter(|r| !r.is_null())) {
                        ("InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt", Some(target)) => {
                            self.writes.insert((word(target.get("schemaname")), word(target.get("relname"))));
                            let parts = inner.as_object().into_iter().flatten().filter(|(k, _)| *k != "relation");
                            parts.for_each(|(_, part)| self.walk(part));
                        }
                        _ => self.walk(inner),
                    }
                }
            }
            _ => {}
        }
    }
}

/// The body that is written as text: the first string of AS.
fn body(function: &Value) -> Option<&str> {
    let mut options = function["options"].as_array()?.iter().filter_map(|o| find(o, "DefElem"));
    find(&options.find(|o| o["defname"] == "as")?["arg"], "String")?["sval"].as_str()
}

/// A trigger's function as a plain one that is given what the server gives it: of the former the parser's output is no JSON.
fn as_plain(kind: &str, body: &str) -> String {
    let (given, result) = match kind {
        "trigger" => (
            "new record, old record, tg_name text, tg_when text, tg_level text, tg_op text, tg_relid oid, tg_relname text, \
             tg_table_name text, tg_table_schema text, tg_nargs integer, tg_argv text[]",
            "record",
        ),
        _ => ("tg_event text, tg_tag text", "void"),
    };
    format!("CREATE FUNCTION f({given}) RETURNS {result} LANGUAGE plpgsql AS {}", quote_text(body))
}

fn tree(text: &str) -> Option<Value> {
    serde_json::to_value(parse::parse(text).ok()?).ok()
}

fn word(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A list of String nodes as a name.
fn name(list: &Value) -> Option<Name> {
    let words: Vec<&str> = list.as_array()?.iter().filter_map(|n| n["node"]["String"]["sval"].as_str()).collect();
    match words.as_slice() {
        [name] => Some((String::new(), (*name).to_owned())),
        [.., schema, name] => Some(((*schema).to_owned(), (*name).to_owned())),
        [] => None,
    }
}

/// The first node of this kind.
fn find<'v>(value: &'v Value, kind: &str) -> Option<&'v Value> {
    match value {
        Value::Array(all) => all.iter().find_map(|v| find(v, kind)),
        Value::Object(map) => map.get(kind).or_else(|| map.values().find_map(|v| find(v, kind))),
        _ => None,
    }
}

#[cfg(test)]
#[path = "touched_tests.rs"]
mod tests;
