//! What an operator does who scopes a schema: a tenant column in each table, and a policy that lists what is there.

use crate::support::{Client, Database};
use partywall::config::Upstream;
use partywall::config::document::{Findings, Reader};
use partywall::policy::{Policy, TenantId};
use partywall::sql::Judge;
use partywall::upstream::postgres::Target;
use std::sync::Arc;

/// The tenant column. No corpus has one of this name.
pub const COLUMN: &str = "owner_tenant";

const OWN: &str = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

/// Gives each table its column that has none. Tables of a type cannot have one.
pub fn scope(shared: &mut Client) {
    let bare = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.reloftype = 0 AND {OWN} \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = '{COLUMN}') ORDER BY c.oid"
    );
    for row in shared.query(&bare).map(|r| r.rows).unwrap_or_default() {
        let table = row[0].clone().unwrap();
        let _ = shared.query(&format!(
            "ALTER TABLE {table} ADD COLUMN {COLUMN} text COLLATE \"default\" NOT NULL DEFAULT 'acme'; \
             ALTER TABLE {table} ALTER COLUMN {COLUMN} DROP DEFAULT"
        ));
    }
}

/// The tenant who asks.
pub fn tenant(judge: &Judge) -> TenantId {
    judge.policy().tenants.accept("acme").unwrap()
}

/// A judge of the policy that lists all there is.
pub fn judge(shared: &mut Client, database: &Database) -> Judge {
    let policy = policy(shared);
    let upstream = Upstream {
        pool: None,
        name: "db".into(),
        address: format!("127.0.0.1:{}", database.port),
        database: database.name.clone(),
        user: "postgres".into(),
        typed_user: Some("postgres".into()),
        credentials: Default::default(),
        ca: None,
        sentinel: None,
        cluster: None,
        multiplex: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let catalog = runtime.block_on(Target::new(&upstream).unwrap().catalog(&policy)).unwrap_or_else(|e| panic!("{e}"));
    Judge::new(Arc::new(policy), Arc::new(catalog))
}

fn policy(shared: &mut Client) -> Policy {
    let mut text =
        "version: 1\nname: corpora\ntenants: { id: '[a-z]+' }\nidentity: { static: { tenant: acme } }\npostgres:\n  explain: plan\n"
            .to_owned();
    let quoted = |name: &str| format!("'{}'", name.replace('\'', "''"));
    let relations = shared.query(&relations()).unwrap().rows;
    text.push_str(if relations.is_empty() { "" } else { "  tables:\n" });
    for row in relations {
        let value = |index: usize| row[index].clone().unwrap_or_default();
        let name = value(0);
        if name.contains(['\n', '*', '?']) {
            continue;
        }
        let rule = if value(1) == "t" { format!("{{ scoped: {{ column: {COLUMN}, hidden: true }} }}") } else { "{ shared: read }".into() };
        text.push_str(&format!("    {}: {rule}\n", quoted(&name)));
    }
    let functions = format!(
        "SELECT DISTINCT n.nspname || '.' || p.proname || '()' FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {OWN}"
    );
    let names = shared.query(&functions).unwrap().rows.into_iter().map(|r| r[0].clone().unwrap());
    let names: Vec<String> = names.filter(|n| !n.contains('\n')).map(|n| quoted(&n)).collect();
    text.push_str(&format!("  functions: [ {} ]\n", names.join(", ")));
    let mut findings = Findings::new();
    let read = partywall::policy::file::read(&mut Reader { file: "policy.yaml".into(), findings: &mut findings }, &text);
    read.unwrap_or_else(|| panic!("{findings:?}"))
}

/// What is scoped: tables with the column, and views that read any table or catalog. What is shared: views that read none, sequences that no column owns.
fn relations() -> String {
    format!(
        "SELECT n.nspname || '.' || c.relname, t.scoped FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind = 'v' THEN pg_catalog.pg_get_viewdef(c.oid) ~ '\\m(pg_|information_schema)' \
         OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid \
         WHERE r.ev_class = c.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> c.oid) \
         ELSE EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = '{COLUMN}' AND NOT a.attisdropped) END AS scoped) t \
         WHERE {OWN} AND (c.relkind = 'v' OR c.relkind IN ('r', 'p', 'f', 'm') AND t.scoped OR c.relkind = 'S' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o WHERE o.objid = c.oid AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')))"
    )
}
