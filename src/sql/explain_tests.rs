//! Reasons name table, policy line and place.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::super::tests::judge;
use super::*;

fn explain(sql: &str) -> Explanation {
    let judge = judge();
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    judge.explain(sql, &tenant).unwrap()
}

fn kinds(sql: &str) -> Vec<(&'static str, String)> {
    explain(sql).reasons.into_iter().map(|r| (r.kind, r.subject)).collect()
}

#[test]
fn each_reference_has_its_reason() {
    let done = explain("SELECT * FROM orders o JOIN countries c ON c.code = o.note");
    assert!(done.rewritten.contains("o.tenant_id OPERATOR(pg_catalog.=) 'acme'"));
    let guard = &done.reasons[0];
    assert_eq!((guard.kind, guard.subject.as_str(), guard.position), ("guard", "public.orders AS o", Some(15)));
    assert_eq!(guard.policy.as_deref(), Some("policies/shop.yaml:9"));
    assert_eq!(done.reasons[1].kind, "shared");
    assert_eq!(done.reasons.len(), 2);
}

#[test]
fn every_kind_of_addition_is_told() {
    assert_eq!(kinds("SELECT id FROM orders WHERE note::int > 5").iter().map(|k| k.0).collect::<Vec<_>>(), ["guard", "fence"]);
    assert_eq!(explain("SELECT id FROM orders WHERE note::int > 5").reasons[1].position, Some(29));
    assert_eq!(kinds("SELECT * FROM orders FULL JOIN countries ON true")[0].0, "guarded subquery");
    assert_eq!(kinds("INSERT INTO orders (id) VALUES (1)"), [("tenant column", "public.orders".into())]);
    assert_eq!(kinds("INSERT INTO orders (id, tenant_id) VALUES (1, 'acme')")[0].0, "own value");
    assert_eq!(kinds("UPDATE orders SET total = 1"), [("guard", "public.orders".into())]);
    let upsert = kinds("INSERT INTO orders (tenant_id, id) VALUES ('acme', 1) ON CONFLICT (tenant_id, id) DO UPDATE SET total = 2");
    assert_eq!(upsert.iter().map(|k| k.0).collect::<Vec<_>>(), ["own value", "upsert"]);
}

#[test]
fn another_tenants_value_is_refused_as_for_a_client() {
    let judge = judge();
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    let refusal = judge.explain("INSERT INTO orders (id, tenant_id) VALUES (1, 'globex')", &tenant).unwrap_err();
    assert_eq!(refusal.sqlstate, "42501");
}
