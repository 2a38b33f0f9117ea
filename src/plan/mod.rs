//! `partywall plan`: the way of a schema to many tenants, as SQL to be read and run by a person: expand, backfill, constrain, index, backstop.
//! Pure: the schema as upstream tells it → statements, in the order in which they can be run.

mod keys;
mod rls;

use crate::policy::{Backstop, Place, Policy};
use crate::sql::catalogs::quote_text;
use crate::sql::live::names::ident;
use crate::sql::live::{Live, Table};
use serde::Serialize;

/// The part of the migration that a statement belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// New columns; the application does not notice.
    Expand,
    /// The rows that are there get their tenant.
    Backfill,
    /// Indexes that the rest needs.
    Index,
    /// NOT NULL, and keys within a tenant.
    Constrain,
    /// Row-level security, and the role to connect as.
    Backstop,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its part.
    pub phase: Phase,
    /// The text, without a semicolon.
    pub sql: String,
    /// What to know of it.
    pub why: String,
    /// The policy's entry, `file:line`.
    pub policy: Option<String>,
}

impl Phase {
    /// All, in order.
    pub const ALL: [Phase; 5] = [Phase::Expand, Phase::Backfill, Phase::Index, Phase::Constrain, Phase::Backstop];

    /// What a person is told of it.
    pub fn about(self) -> &'static str {
        match self {
            Phase::Expand => "expand: new columns, which the application does not notice",
            Phase::Backfill => "backfill: rows that are there get their tenant; on a big table run it in parts",
            Phase::Index => "index: built while the application works; not inside a transaction",
            Phase::Constrain => "constrain: from here on the application must come through the wall",
            Phase::Backstop => "backstop: row-level security for the same policy",
        }
    }
}

/// The tenant that all rows belong to before there are many, as SQL; psql's variable where none is named.
pub fn tenant_literal(tenant: Option<&str>) -> String {
    tenant.map_or_else(|| ":'tenant'".to_owned(), quote_text)
}

/// What is to be done for `policy` to hold upstream; nothing where all of it is. `tenant` is whose the rows are that are there.
pub fn plan(policy: &Policy, live: &Live, tenant: Option<&str>) -> Vec<Step> {
    let mut steps = Vec::new();
    let scoped: Vec<(&Table, &str)> =
        live.tables.iter().filter(|t| t.is_table()).filter_map(|t| t.tenant().map(|column| (t, column))).collect();
    for (table, column) in &scoped {
        let type_name = usual_type(&scoped, column);
        expand(table, column, &type_name, &tenant_literal(tenant), &mut steps);
        if !table.keys.iter().any(|k| !k.partial && k.columns.first().is_some_and(|c| c == column)) && !keys::will_lead(live, table, column)
        {
            let sql = format!("CREATE INDEX CONCURRENTLY ON {} ({})", name_of(table), ident(column));
            steps.push(step(Phase::Index, sql, "each statement looks for its tenant's rows first", table));
        }
    }
    keys::constrain(live, &scoped, &mut steps);
    if policy.postgres.as_ref().is_some_and(|p| p.backstop == Backstop::Rls) {
        rls::backstop(live, &|column| usual_type(&scoped, column), &mut steps);
    }
    steps.sort_by_key(|s| s.phase);
    steps
}

/// The type that most tenant columns of this name have; text where there is none yet.
fn usual_type(scoped: &[(&Table, &str)], name: &str) -> String {
    let of = |(table, column): &(&Table, &str)| table.column(column).map(|c| c.type_name.clone());
    let types: Vec<String> = scoped.iter().filter(|(_, column)| *column == name).filter_map(of).collect();
    let most = types.iter().max_by_key(|t| types.iter().filter(|o| o == t).count());
    most.cloned().unwrap_or_else(|| "text".into())
}

fn expand(table: &Table, column: &str, type_name: &str, tenant: &str, steps: &mut Vec<Step>) {
    let (name, quoted) = (name_of(table), ident(column));
    let known = table.column(column);
    if known.is_none() {
        let sql = format!("ALTER TABLE {name} ADD COLUMN {quoted} {type_name}");
        steps.push(step(Phase::Expand, sql, "it says whose a row is", table));
        let sql = format!("ALTER TABLE {name} ALTER COLUMN {quoted} SET DEFAULT {tenant}");
        steps.push(step(Phase::Expand, sql, "what the application still writes by itself belongs to the first tenant", table));
    }
    if known.is_none_or(|c| !c.not_null) {
        let sql = format!("UPDATE {name} SET {quoted} = {tenant} WHERE {quoted} IS NULL");
        steps.push(step(Phase::Backfill, sql, "a row without a tenant is nobody's", table));
        let check = ident(&format!("{}_{column}_there", table.name));
        for (sql, why) in [
            (format!("ALTER TABLE {name} ADD CONSTRAINT {check} CHECK ({quoted} IS NOT NULL) NOT VALID"), "holds for new rows at once"),
            (format!("ALTER TABLE {name} VALIDATE CONSTRAINT {check}"), "reads the table without stopping writes"),
            (format!("ALTER TABLE {name} ALTER COLUMN {quoted} SET NOT NULL"), "needs no scan: the check says it already"),
            (format!("ALTER TABLE {name} DROP CONSTRAINT {check}"), "has done its work"),
        ] {
            steps.push(step(Phase::Constrain, sql, why, table));
        }
    }
    if known.is_none() {
        let sql = format!("ALTER TABLE {name} ALTER COLUMN {quoted} DROP DEFAULT");
        steps.push(step(Phase::Constrain, sql, "from now on the wall writes it", table));
    }
}

fn step(phase: Phase, sql: impl Into<String>, why: impl Into<String>, table: &Table) -> Step {
    let place = |p: &Place| format!("{}:{}", p.file, p.line);
    Step { phase, sql: sql.into(), why: why.into(), policy: table.entry.as_ref().map(|e| place(&e.place)) }
}

/// `schema.name`, quoted where it must be.
fn name_of(table: &Table) -> String {
    format!("{}.{}", ident(&table.schema), ident(&table.name))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
