//! Row-level security for the policy: what `check --live` looks for.

use super::{Phase, Step, name_of, step};
use crate::policy::TableRule;
use crate::sql::live::backstop::{POLICY, condition, is_held};
use crate::sql::live::behind;
use crate::sql::live::names::ident;
use crate::sql::live::{Live, Table};

/// The role that is shown where upstream's is above row-level security.
const ROLE: &str = "partywall_app";
const TEXT: u32 = 25;

/// The statements; `type_of` is what a tenant column of that name gets that is not there yet.
pub fn backstop(live: &Live, type_of: &dyn Fn(&str) -> String, steps: &mut Vec<Step>) {
    let live = &with_invokers(live, steps);
    if live.role.superuser || live.role.bypasses {
        new_role(live, steps);
    } else if let Some(above) = &live.role.above {
        let sql = format!("REVOKE {} FROM {}", ident(above), ident(&live.role.name));
        steps.push(Step { phase: Phase::Backstop, sql, why: "its members are above row-level security".into(), policy: None });
    }
    for table in live.tables.iter().filter(|t| t.is_table() && is_held(live, t)) {
        secure(live, table, type_of, steps);
    }
    for gap in behind::gaps(live) {
        steps.push(step(Phase::Backstop, format!("-- {}", gap.message), gap.fix, gap.table));
    }
}

/// Makes views read as the one who asks, as long as that is all that is wrong.
fn with_invokers(live: &Live, steps: &mut Vec<Step>) -> Live {
    let mut live = live.clone();
    loop {
        let owned: Vec<u32> = behind::gaps(&live).iter().filter(|g| g.wants_invoker(&live)).map(|g| g.table.oid).collect();
        let Some(view) = live.tables.iter_mut().find(|t| owned.contains(&t.oid)) else { return live };
        view.invoker = true;
        let sql = format!("ALTER VIEW {} SET (security_invoker = true)", name_of(view));
        steps.push(step(Phase::Backstop, sql, "it would read as its owner, past row-level security", view));
    }
}

/// A role that row-level security holds for, with what the policy lets tenants do.
fn new_role(live: &Live, steps: &mut Vec<Step>) {
    let role = ident(ROLE);
    let sql = format!("CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE");
    let why = format!("\"{}\" is above row-level security: connect as this one, and give it a password", live.role.name);
    steps.push(Step { phase: Phase::Backstop, sql, why, policy: None });
    let listed: Vec<&Table> = live.tables.iter().filter(|t| t.entry.is_some()).collect();
    let mut grants: Vec<(&Table, &str, &str)> =
        listed.iter().filter_map(|t| Some((*t, rights(t)?, "what the policy lets tenants do"))).collect();
    for view in listed.iter().filter(|t| rights(t).is_some()) {
        let mut below = behind::unlisted_below(live, view);
        below.retain(|t| !grants.iter().any(|(known, ..)| known.oid == t.oid));
        grants.extend(below.into_iter().map(|t| (t, "SELECT", "a view that is listed reads it as the one who asks")));
    }
    let mut schemas: Vec<&str> = grants.iter().map(|(t, ..)| t.schema.as_str()).collect();
    schemas.sort_unstable();
    schemas.dedup();
    for schema in schemas {
        let sql = format!("GRANT USAGE ON SCHEMA {0} TO {role}", ident(schema));
        steps.push(Step { phase: Phase::Backstop, sql, why: "no more than it needs".into(), policy: None });
        let sql = format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {0} TO {role}", ident(schema));
        steps.push(Step { phase: Phase::Backstop, sql, why: "for serial columns".into(), policy: None });
    }
    for (table, rights, why) in grants {
        steps.push(step(Phase::Backstop, format!("GRANT {rights} ON {} TO {role}", name_of(table)), why, table));
    }
}

fn rights(table: &Table) -> Option<&'static str> {
    match table.entry.as_ref().map(|e| &e.rule) {
        Some(TableRule::SharedRead) => Some("SELECT"),
        Some(TableRule::Hidden) | None => None,
        Some(_) if table.is_table() => Some("SELECT, INSERT, UPDATE, DELETE"),
        // Nothing holds the rows of what is neither a table nor a view.
        Some(_) => (table.kind == 'v').then_some("SELECT"),
    }
}

fn secure(live: &Live, table: &Table, type_of: &dyn Fn(&str) -> String, steps: &mut Vec<Step>) {
    let name = name_of(table);
    if !table.rls {
        let sql = format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY");
        steps.push(step(Phase::Backstop, sql, "from here on only policies let rows through", table));
    }
    if !table.forced {
        let sql = format!("ALTER TABLE {name} FORCE ROW LEVEL SECURITY");
        steps.push(step(Phase::Backstop, sql, "for the owner too", table));
    }
    if table.policies.iter().any(|p| p.name == POLICY) {
        return;
    }
    let table = &Table { entry: live.entry(table).cloned(), ..table.clone() };
    let Some(condition) = condition(live, table, &ident(&table.name), &|column| oid_of(&type_of(column))) else { return };
    let sql = format!("CREATE POLICY {POLICY} ON {name} FOR ALL TO PUBLIC USING ({condition}) WITH CHECK ({condition})");
    steps.push(step(Phase::Backstop, sql, "rows of the connection's tenant, read and written", table));
}

/// The type of columns that are still to come.
fn oid_of(type_name: &str) -> u32 {
    match type_name {
        "bigint" => 20,
        "smallint" => 21,
        "integer" => 23,
        "uuid" => 2950,
        _ => TEXT,
    }
}
