//! Policies as typed, good and bad.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::config::document::{Finding, Findings};

fn read_text(text: &str) -> (Option<Policy>, Vec<Finding>) {
    let mut findings = Findings::new();
    let policy = read(&mut Reader { file: "p.yaml".into(), findings: &mut findings }, text);
    (policy, findings)
}

#[test]
fn the_shipped_policies_load() {
    for text in [
        include_str!("../../policies/shop.yaml"),
        include_str!("../../policies/pgbench.yaml"),
        include_str!("../../policies/helpdesk.yaml"),
    ] {
        let (policy, findings) = read_text(text);
        assert!(findings.is_empty(), "{findings:?}");
        assert!(!policy.unwrap().postgres.unwrap().tables.is_empty());
    }
}

#[test]
fn the_rules_are_read() {
    let (policy, _) = read_text(include_str!("../../policies/shop.yaml"));
    let tables = policy.unwrap().postgres.unwrap().tables;
    assert_eq!(tables[0].rule, TableRule::Scoped { column: "tenant_id".into(), hidden: false });
    assert_eq!((tables[0].place.line, tables[4].rule.clone(), tables[5].rule.clone()), (12, TableRule::SharedRead, TableRule::Hidden));
}

const HEAD: &str = "version: 1\nname: x\ntenants: { id: '[a-z]+' }\n";

/// What is added to the head, and line and start of the finding.
const BAD: &[(&str, u32, &str)] = &[
    ("operators: { mtls: [] }\n", 4, "nobody is an operator"),
    ("operators: { mtls: [ migrator ] }\n", 4, "`migrator` is no operator's name"),
    ("postgrse: {}\n", 4, "unknown key `postgrse`"),
    ("identity: { jwt: {} }\n", 4, "`from` is missing"),
    ("identity:\n  startup: { trust: [10.0.0.0] }\n", 5, "`10.0.0.0` is nobody who could be trusted"),
    ("identity:\n  startup: {}\n", 5, "nobody is trusted"),
    ("identity:\n  mtls: { uri: 'spiffe://x/y' }\n", 5, "the template needs"),
    ("postgres:\n  explain: analyze\n", 5, "`explain` is either"),
    ("postgres:\n  second_opinion: never\n", 5, "`second_opinion` is either"),
    ("postgres:\n  comments: hints\n", 5, "`comments` is `drop` or `keep`"),
    ("postgres:\n  verify_rows: some\n", 5, "`verify_rows` is `off`"),
    ("postgres:\n  backstop: views\n", 5, "`backstop` is `none`"),
    ("postgres:\n  layout: columns\n", 5, "a layout is `rows`"),
    ("postgres:\n  tables:\n    orders: { scoped: t }\n", 6, "`orders` names no schema"),
    ("postgres:\n  tables:\n    a.b: { through: {} }\n", 6, "`table` is missing"),
    ("postgres:\n  tables:\n    a.b: { through: { table: a.p, on: { x: id } } }\n", 6, "`a.p` is not listed"),
    ("postgres:\n  tables:\n    a.p: { shared: read }\n    a.b: { through: { table: a.p, on: { x: id } } }\n", 7, "`a.p` has no tenant"),
    ("postgres:\n  tables:\n    a.p: { scoped: t }\n    a.b: { through: { table: p, on: { x: id } } }\n", 7, "`p` names no table"),
    ("postgres:\n  tables:\n    a.p: { scoped: t }\n    a.b: { through: { table: a.p, on: {} } }\n", 7, "`on` names no columns"),
    (
        "postgres:\n  tables:\n    a.p: { scoped: t }\n    a.b: { through: { table: a.p, on: { x: id } }, scoped: t }\n",
        7,
        "a table is exactly one",
    ),
    (
        "postgres:\n  tables:\n    a.b: { through: { table: a.c, on: { x: id } } }\n    a.c: { through: { table: a.b, on: { x: id } } }\n",
        7,
        "`a.c` never comes to a table with a tenant column",
    ),
    ("postgres:\n  tables:\n    a.*: { through: { table: a.b, on: { x: id } } }\n", 6, "`a.*` never comes"),
    ("postgres:\n  tables:\n    a.b: { scoped: { column: t, hidden: maybe } }\n", 6, "`hidden` is true or false"),
    ("postgres:\n  tables:\n    a.b: { shared: write }\n", 6, "a shared table can only be read"),
    ("postgres:\n  tables:\n    a.b: { scoped: t, hidden: true }\n", 6, "a table is exactly one"),
    ("postgres:\n  functions: [ slugify ]\n", 5, "`slugify` is no function signature"),
    ("redis: { prefix: '{tenant}' }\n", 4, "a tenant's id could hold"),
    ("redis: { prefix: '{tenant}a' }\n", 4, "a tenant's id could hold"),
    ("redis: { prefix: 'x:' }\n", 4, "the prefix needs"),
    ("limits: { default: { connections: 0 } }\n", 4, "a whole number"),
    ("limits: { default: { statement_timeout: 30s } }\n", 4, "`statement_timeout` is not supported yet"),
];

#[test]
fn bad_policies_are_told_with_their_line() {
    for (text, line, message) in BAD {
        let (policy, findings) = read_text(&format!("{HEAD}{text}"));
        assert!(policy.is_none(), "{text}");
        let found = findings.iter().any(|f| f.line == *line && f.message.starts_with(message) && !f.fix.is_empty());
        assert!(found, "{text}: {findings:?}");
    }
}

#[test]
fn an_id_that_could_hold_what_ends_the_prefix_is_told() {
    for (id, prefix, good) in [
        ("[a-z]{2,}(:[a-z]{2,})?", "{tenant}:", false),
        ("org-[0-9]+(:team-[0-9]+)?", "{tenant}:", false),
        ("[0-9a-f]{8}(:[0-9a-f]{8}(:[0-9a-f]{8})?)?", "t:{tenant}:", false),
        ("[a-z]{9}[^a]{30}", "{tenant}:", false),
        (".*", "{tenant}|", false),
        ("[a-z]+(:[a-z]+)?", "{tenant}::", false),
        ("[a-z]+(:[a-z]+)?", "{tenant}:/", true),
        ("[a-z]+(:[a-z]+)?", "{{tenant}}", true),
        ("[a-z]+", "{tenant}:", true),
    ] {
        let (policy, findings) = read_text(&format!("version: 1\nname: x\ntenants: {{ id: '{id}' }}\nredis: {{ prefix: '{prefix}' }}\n"));
        assert_eq!((policy.is_some(), findings.is_empty()), (good, good), "{id} {prefix}: {findings:?}");
        assert!(good || findings[0].message.starts_with("a tenant's id could hold"), "{findings:?}");
    }
}

#[test]
fn broken_yaml_and_duplicates_are_findings() {
    assert!(read_text("version: [1").0.is_none());
    let (policy, findings) = read_text(&format!("{HEAD}name: y\n"));
    assert!(policy.is_none() && !findings.is_empty());
}

#[test]
fn what_an_id_may_hold_is_told_by_its_pattern() {
    for (pattern, holds) in [
        ("[a-z]+", false),
        ("[a-z]{2,}(:[a-z]{2,})?", true),
        ("org-[0-9]+:team-[0-9]+", true),
        ("[a-z]{9}:[a-z]", true),
        ("(?i)[a-z0-9-]+", false),
        ("[^:]+", false),
        (".+", true),
        (r"\S{3}", true),
        (r"a\x3ab", true),
    ] {
        assert_eq!(TenantPattern::new(pattern).unwrap().may_hold(':'), holds, "{pattern}");
    }
}

#[test]
fn what_decides_is_the_same_found_by_name_and_one_by_one() {
    let names = ["a", "b", "a*", "*", "?", "ab"];
    let pairs = || names.iter().flat_map(|schema| names.iter().map(move |name| (*schema, *name)));
    let entry = |(schema, name): (&str, &str), line| {
        let place = Place { file: "p.yaml".into(), line, column: 1 };
        TableEntry { schema: schema.into(), name: name.into(), rule: TableRule::SharedRead, place }
    };
    // Every third pair from each start on, some of them twice.
    for start in 0..names.len() * names.len() {
        let mut entries: Vec<_> =
            (1..).zip(pairs().cycle().skip(start).step_by(3).take(18)).map(|(line, pair)| entry(pair, line)).collect();
        entries.rotate_left(start % 5);
        let deciding = Deciding::of(&entries);
        for (schema, name) in pairs().chain([("c", "c"), ("", "")]) {
            assert_eq!(deciding.find(schema, name), deciding_entry(&entries, schema, name), "{schema}.{name}");
        }
    }
}
