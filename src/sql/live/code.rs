//! Code that runs on the server, and what hangs together: functions, triggers, rules, views, expressions, partitions.

use super::touched::{Name, Touched};
use super::{Live, Table, letter, truth};
use crate::policy::TableRule;
use crate::sql::catalog::{Rows, number, text};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// `current_schemas(false)` of the role that connects.
    pub path: Vec<String>,
    /// By oid; pg_catalog's left out.
    pub routines: BTreeMap<u32, Routine>,
    /// In order of relation and name.
    pub triggers: Vec<Trigger>,
    /// Functions that DDL runs, with the event trigger's name.
    pub events: Vec<(String, u32)>,
    /// Rewrite rules but views' own: relation, name, text.
    pub rules: Vec<(u32, String, String)>,
    /// Views and materialized views: definition and owner.
    pub views: BTreeMap<u32, (String, String)>,
    /// Expressions that run when a relation is written, or read.
    pub expressions: Vec<Expression>,
    /// Relations of extensions.
    pub of_extensions: BTreeSet<u32>,
    /// Columns whose numbers come from one counter for all: relation and name.
    pub counters: Vec<(u32, String)>,
}

/// A function or procedure.
#[derive(Clone, Debug, Default)]
pub struct Routine {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// As `pg_get_function_identity_arguments` prints them.
    pub arguments: String,
    /// How many a call gives.
    pub count: u32,
    /// pg_language.lanname
    pub language: String,
    /// SECURITY DEFINER
    pub definer: bool,
    /// An aggregate.
    pub aggregate: bool,
    /// The search_path that it sets for itself.
    pub path: Option<Vec<String>>,
    /// Whose it is.
    pub owner: String,
    /// The extension that brought it.
    pub extension: Option<String>,
    /// What its body names.
    pub touched: Touched,
}

/// A trigger.
#[derive(Clone, Debug, Default)]
pub struct Trigger {
    /// On this relation.
    pub relation: u32,
    /// Name.
    pub name: String,
    /// Its function.
    pub function: u32,
    /// What its condition names.
    pub condition: Touched,
}

/// An expression of the schema.
#[derive(Clone, Debug, Default)]
pub struct Expression {
    /// Of this relation.
    pub relation: u32,
    /// `default`, `CHECK`, …
    pub kind: String,
    /// Of the column, constraint, domain or index.
    pub name: String,
    /// What it names.
    pub touched: Touched,
}

/// What a relation is to tenants, its partitions' root considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Rows are told apart by tenant.
    Tenants,
    /// All read the same.
    Shared,
    /// The policy hides it.
    Hidden,
    /// The policy does not name it.
    Unlisted,
    /// PostgreSQL's own.
    Catalog,
}

impl Routine {
    /// `schema.name(arguments)`
    pub fn full_name(&self) -> String {
        format!("{}.{}({})", self.schema, self.name, self.arguments)
    }
}

impl Code {
    /// From the answers to [`super::CODE`] and the catalog's own queries.
    pub fn read(answers: &HashMap<&'static str, Rows>) -> Self {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let named = |r: &Vec<Option<String>>| (number(r, 0), text(r, 1));
        let counter = |r: &Vec<Option<String>>| (number(r, 0), text(r, 3));
        let mut counters: Vec<(u32, String)> =
            rows("sequences").iter().map(counter).chain(rows("live_identities").iter().map(named)).collect();
        counters.sort();
        counters.dedup();
        Self {
            path: rows("path").iter().map(|r| text(r, 0)).collect(),
            routines: rows("live_routines").iter().map(|r| (number(r, 0), routine(r))).collect(),
            triggers: rows("live_triggers").iter().map(|r| trigger(r)).collect(),
            events: rows("live_event_triggers").iter().map(|r| (text(r, 0), number(r, 1))).collect(),
            rules: rows("live_rules").iter().map(|r| (number(r, 0), text(r, 1), text(r, 2))).collect(),
            views: rows("live_views").iter().map(|r| (number(r, 0), (text(r, 1), text(r, 2)))).collect(),
            expressions: rows("live_expressions").iter().map(|r| expression(r)).collect(),
            of_extensions: rows("live_extensions").iter().map(|r| number(r, 0)).collect(),
            counters,
        }
    }

    /// The relation that a name means on this path.
    pub fn relation<'l>(live: &'l Live, (schema, name): &Name, path: &[String]) -> Option<&'l Table> {
        if schema.is_empty() { path.iter().find_map(|s| live.named(s, name)) } else { live.named(schema, name) }
    }

    /// The functions that a name may mean on this path.
    pub fn named<'c>(&'c self, (schema, name): &'c Name, path: &'c [String]) -> impl Iterator<Item = (u32, &'c Routine)> {
        let here = move |r: &Routine| if schema.is_empty() { path.contains(&r.schema) } else { r.schema == *schema };
        self.routines.iter().filter(move |(_, r)| r.name == *name && here(r)).map(|(oid, r)| (*oid, r))
    }
}

impl Live {
    /// What a relation is to tenants.
    pub fn standing(&self, table: &Table) -> Standing {
        match self.entry(table).map(|e| &e.rule) {
            None => Standing::Unlisted,
            Some(TableRule::Hidden) => Standing::Hidden,
            Some(TableRule::SharedRead) => Standing::Shared,
            Some(_) => Standing::Tenants,
        }
    }
}

fn routine(row: &[Option<String>]) -> Routine {
    let (language, aggregate) = (text(row, 4), letter(row, 6) == 'a');
    let touched = match row.get(10).cloned().flatten() {
        Some(definition) => Touched::of_function(&language, &definition),
        None => Touched { unreadable: true, ..Touched::default() },
    };
    Routine {
        schema: text(row, 1),
        name: text(row, 2),
        arguments: text(row, 3),
        definer: truth(row, 5),
        path: row.get(7).cloned().flatten().map(|setting| search_path(&setting)),
        count: number(row, 8),
        owner: text(row, 9),
        extension: row.get(11).cloned().flatten(),
        touched,
        language,
        aggregate,
    }
}

/// `search_path=a, "B"` as names.
fn search_path(setting: &str) -> Vec<String> {
    let list = setting.split_once('=').map_or("", |(_, list)| list);
    let name = |s: &str| s.trim().trim_matches('"').replace("\"\"", "\"");
    list.split(',').map(name).filter(|n| !n.is_empty()).collect()
}

fn trigger(row: &[Option<String>]) -> Trigger {
    let mut condition = Touched::of_statement(&text(row, 3));
    condition.reads.clear();
    Trigger { relation: number(row, 0), name: text(row, 1), function: number(row, 2), condition }
}

fn expression(row: &[Option<String>]) -> Expression {
    let (kind, body) = (text(row, 1), text(row, 3));
    let mut touched = if kind == "index" { Touched::of_statement(&body) } else { Touched::of_expression(&body) };
    if kind == "index" {
        touched.reads.clear();
    }
    Expression { relation: number(row, 0), name: text(row, 2), kind, touched }
}
