//! Where tenants live, and what keeps two from meeting.
#![allow(clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::config::{self, Files, document::Finding};
use crate::policy::Policy;
use std::path::{Path, PathBuf};

struct Memory(String);

impl Files for Memory {
    fn text(&self, _: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
    fn policies(&self, _: &Path) -> Result<Vec<PathBuf>, String> {
        Ok(Vec::new())
    }
}

fn read(layout: &str) -> Result<Policy, Vec<Finding>> {
    let text = format!(
        "version: 1\nname: x\ntenants: {{ id: '[A-Za-z0-9_-]+' }}\npostgres:\n  layout: {layout}\n  tables: {{ public.t: {{ scoped: c }} }}\n"
    );
    config::load_policy(Path::new("p.yaml"), &Memory(text))
}

fn home(layout: &str, tenant: &str) -> Result<Home, NoHome> {
    let policy = read(layout).unwrap_or_else(|f| panic!("{layout}: {f:?}"));
    let tenant = policy.tenants.accept(tenant).unwrap_or_else(|| panic!("{tenant}"));
    policy.postgres.map(|p| p.layouts.home(&tenant)).unwrap_or_else(|| panic!("{layout}"))
}

fn database(upstream: Option<&str>, name: Option<&str>) -> Home {
    Home::Database { upstream: upstream.map(str::to_owned), name: name.map(str::to_owned) }
}

#[test]
fn places_are_told_by_the_id() {
    assert_eq!(home("rows", "a"), Ok(Home::Rows));
    assert_eq!(home("database", "a"), Ok(database(None, Some("tenant_a"))));
    assert_eq!(home("{ default: { database: 'x-{tenant}' } }", "a"), Ok(database(None, Some("x-a"))));
    let mixed = "{ default: rows, tenants: { big: { database: big_corp, upstream: other }, own: { upstream: third }, d: database } }";
    assert_eq!(home(mixed, "a"), Ok(Home::Rows));
    assert_eq!(home(mixed, "big"), Ok(database(Some("other"), Some("big_corp"))));
    assert_eq!(home(mixed, "own"), Ok(database(Some("third"), None)));
    assert_eq!(home(mixed, "d"), Ok(database(None, Some("tenant_d"))));
}

#[test]
fn a_name_that_would_be_cut_or_is_anothers_is_refused() {
    let long = "a".repeat(56);
    assert!(home("database", &long).is_ok());
    assert_eq!(home("database", &format!("{long}b")), Err(NoHome::TooLong(format!("tenant_{long}b"))));
    assert_eq!(home("schema", "a"), Ok(Home::Schema("tenant_a".into())));
    assert_eq!(home("{ default: { schema: '{tenant}' } }", "pg_x"), Err(NoHome::Reserved("pg_x".into())));
    assert_eq!(home("{ default: { schema: 't_{tenant}' } }", &"a".repeat(62)), Err(NoHome::TooLong(format!("t_{}", "a".repeat(62)))));
    assert_eq!(home("{ default: { database: '{tenant}' } }", "template1"), Err(NoHome::Reserved("template1".into())));
    assert_eq!(home("{ default: database, tenants: { a: { database: a_db, upstream: o } } }", "b"), Ok(database(None, Some("tenant_b"))));
}

#[test]
fn what_could_let_two_meet_is_a_finding() {
    for (layout, said) in [
        ("columns", "a layout is"),
        ("{ default: { database: all } }", "all tenants would share"),
        ("{ default: { upstream: other } }", "all tenants would share"),
        ("{ default: { database: '{tenant}{tenant}' } }", "is no name"),
        ("{ default: { database: '{who}' } }", "is no name"),
        ("{ default: { database: '' } }", "is no name"),
        ("{ tenants: { a: { database: x }, b: { database: x } } }", "would share one place"),
        ("{ tenants: { a: { upstream: x }, b: { upstream: x } } }", "would share one place"),
        ("{ default: database, tenants: { a: { database: tenant_b } } }", "would share the place `tenant_b`"),
        ("{ tenants: { a: { database: postgres } } }", "is no tenant's"),
        ("{ tenants: { 'a b': { database: x } } }", "`a b` is no tenant"),
        ("{ tenants: { a: {} } }", "either a `schema` or a `database`"),
        ("{ default: { schema: all } }", "all tenants would share"),
        ("{ tenants: { a: { schema: x }, b: { schema: x } } }", "would share one place"),
        ("{ tenants: { a: { schema: public } } }", "is no tenant's"),
        ("{ tenants: { a: { schema: pg_x } } }", "is no tenant's"),
        ("{ tenants: { a: { schema: information_schema } } }", "is no tenant's"),
        ("{ tenants: { a: { schema: 'a@b' } } }", "is no tenant's"),
        ("{ default: schema, tenants: { a: { schema: tenant_b } } }", "would share the place `tenant_b`"),
        ("{ database: x }", "unknown key `database`"),
        (&format!("{{ default: {{ database: '{{tenant}}{}' }} }}", "x".repeat(64)), "longer than 63 bytes"),
    ] {
        let findings = read(layout).err().unwrap_or_default();
        let hit = findings.iter().any(|f| f.message.contains(said) && f.line >= 5 && f.column > 1 && !f.fix.is_empty());
        assert!(hit, "{layout}: {findings:?}");
    }
    // One and the same tenant may have the name that the default gives it.
    assert!(read("{ default: database, tenants: { a: { database: tenant_a } } }").is_ok());
    assert!(read("{ default: database, tenants: { a: { database: tenant_b }, b: rows } }").is_ok());
}
