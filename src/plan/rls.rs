//! Row-level security for the policy: what `check --live` looks for.

use super::{Phase, Step, name_of, step};
use crate::policy::TableRule;
use crate::sql::live::backstop::{POLICY, condition};
use crate::sql::live::names::ident;
use crate::sql::live::{Live, Table};

/// The role that is shown where upstream's is above row-level security.
const ROLE: &str = "partywall_app";
const TEXT: u32 = 25;

/// The statements; `type_of` is what a tenant column of that name gets that is not there yet.
pub fn backstop(live: &Live, type_of: &dyn Fn(&str) -> String, steps: &mut Vec<Step>) {
    let above = live.role.superuser || live.role.bypasses;
    let role = ident(if above { ROLE } else { &live.role.name });
    let listed: Vec<&Table> = live.tables.iter().filter(|t| t.entry.is_some()).collect();
    if above {
        let sql = format!("CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE");
        let why = format!("\"{}\" is above row-level security: connect as this one, and give it a password", live.role.name);
        steps.push(Step { phase: Phase::Backstop, sql, why, policy: None });
        let mut schemas: Vec<&str> = listed.iter().map(|t| t.schema.as_str()).collect();
        schemas.sort_unstable();
        schemas.dedup();
        for schema in schemas {
            let sql = format!("GRANT USAGE ON SCHEMA {0} TO {role}", ident(schema));
            steps.push(Step { phase: Phase::Backstop, sql, why: "no more than it needs".into(), policy: None });
            let sql = format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {0} TO {role}", ident(schema));
            steps.push(Step { phase: Phase::Backstop, sql, why: "for serial columns".into(), policy: None });
        }
    }
    for table in listed {
        if above {
            grants(table, &role, steps);
        }
        if table.is_table() && (table.tenant().is_some() || table.through().is_some()) {
            secure(live, table, type_of, steps);
        }
    }
}

fn grants(table: &Table, role: &str, steps: &mut Vec<Step>) {
    let name = name_of(table);
    let rights = match table.entry.as_ref().map(|e| &e.rule) {
        Some(TableRule::SharedRead) => "SELECT",
        Some(TableRule::Hidden) | None => return,
        Some(_) if !table.is_table() => "SELECT",
        Some(_) => "SELECT, INSERT, UPDATE, DELETE",
    };
    steps.push(step(Phase::Backstop, format!("GRANT {rights} ON {name} TO {role}"), "what the policy lets tenants do", table));
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
