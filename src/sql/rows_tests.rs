//! Which statements gain columns to be checked, as `tests/sql/rows.txt` says, and what counts as the tenant's own value.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{TenantPattern, VerifyRows};
use crate::sql::tests::{hidden_judge, judge, through_judge};
use crate::sql::{Judge, verify};
use std::sync::Arc;

fn tenant(id: &str) -> TenantId {
    TenantPattern::new(".*").unwrap().accept(id).unwrap()
}

fn checking(how: VerifyRows) -> Judge {
    checking_of(&judge(), how)
}

fn checking_of(plain: &Judge, how: VerifyRows) -> Judge {
    let mut policy = (**plain.policy()).clone();
    policy.postgres.as_mut().unwrap().verify_rows = how;
    Judge::new(Arc::new(policy), plain.catalog().clone())
}

/// What is sent and, behind it, how much is checked; `?` after a column's type where it may be NULL.
fn outcome(judge: &Judge, sql: &str) -> String {
    let prepared = match judge.extended(sql, 0, &tenant("acme")) {
        Ok(prepared) => prepared,
        Err(refusal) => return format!("! {} {} {:?}", refusal.sqlstate, refusal.message, refusal.detail),
    };
    let check = prepared.assurance.rows.first().cloned().unwrap_or_default();
    let shown = |c: &Checked| format!(" {}{}", c.type_oid, if c.nullable { "?" } else { "" });
    let columns: String = check.columns.iter().map(shown).collect();
    format!("{}\n{:?}{columns}", prepared.outgoing.as_str(), check.coverage)
}

#[test]
fn statements_gain_columns_as_the_cases_say() {
    let parents = checking_of(&through_judge(), VerifyRows::All);
    check_cases(&checking(VerifyRows::All), include_str!("../../tests/sql/rows.txt"), 20);
    check_cases(&parents, include_str!("../../tests/sql/rows-through.txt"), 8);
    check_cases(&checking_of(&hidden_judge(), VerifyRows::All), include_str!("../../tests/sql/rows-hidden.txt"), 16);
}

fn check_cases(judge: &Judge, text: &str, least: usize) {
    let (mut wrong, mut count) = (String::new(), 0);
    for case in text.split("\n\n").map(str::trim).filter(|c| !c.starts_with('#')) {
        let (sql, wanted) = case.split_once("\n=>\n").unwrap_or((case, ""));
        let got = outcome(judge, sql);
        if got != wanted {
            wrong.push_str(&format!("{sql}\n=>\n{got}\n\n"));
        }
        count += 1;
    }
    assert!(count > least && wrong.is_empty(), "these came out otherwise:\n\n{wrong}");
}

#[test]
fn without_the_key_nothing_is_added_and_with_sample_every_sixteenth_time() {
    let sql = "SELECT id FROM orders";
    assert!(outcome(&checking(VerifyRows::Off), sql).ends_with("\nNothing"));
    let judge = checking(VerifyRows::Sample);
    let checked: Vec<bool> = (0..33).map(|_| outcome(&judge, sql).ends_with("\nWhole 25")).collect();
    let wanted: Vec<bool> = (0..33).map(|n| n % 16 == 0).collect();
    assert_eq!(checked, wanted);
}

#[test]
fn a_script_is_checked_statement_by_statement() {
    let script =
        checking(VerifyRows::All).simple("BEGIN; SELECT id FROM orders; DELETE FROM items RETURNING sku", &tenant("acme")).unwrap();
    let columns: Vec<usize> = (0..4).map(|n| script.assurance.columns(n).len()).collect();
    assert_eq!(columns, [0, 1, 1, 0]);
}

/// What the rewriter must not make of `SELECT id FROM orders o`, and why it is not proved.
const UNSOUND: &[(&str, &str)] = &[
    ("id, o.note AS \"partywall row 0\"", "an added column is not the tenant's"),
    ("id, 'acme' AS \"partywall row 0\"", "an added column computes something"),
    ("id, x.tenant_id AS \"partywall row 0\"", "an added column is of no relation here"),
    ("o.tenant_id AS \"partywall row 0\", id", "a part was added, lost or changed"),
    ("id, o.tenant_id AS other", "a part was added, lost or changed"),
];

#[test]
fn the_verifier_proves_added_columns() {
    let catalog = judge().catalog().clone();
    let proved = |client: &str, targets: &str, tail: &str| {
        let outgoing = format!("SELECT {targets} FROM public.orders o WHERE o.tenant_id OPERATOR(pg_catalog.=) $1{tail}");
        verify::verify(client, &outgoing, &catalog, 1)
    };
    let client = "SELECT id FROM orders o";
    let sound = "id, o.tenant_id AS \"partywall row 0\"";
    assert_eq!(proved(client, sound, "").unwrap().rows, [Checked { type_oid: 25, nullable: false }]);
    for (targets, why) in UNSOUND {
        let told = proved(client, targets, "").unwrap_err().0;
        assert!(told.contains(why), "{targets}: {told}");
    }
    let grouped = proved("SELECT id FROM orders o GROUP BY id", sound, " GROUP BY id").unwrap_err().0;
    assert!(grouped.contains("grouped"), "{grouped}");
    let named = proved("SELECT id AS \"partywall row 0\" FROM orders o", sound, "").unwrap_err().0;
    assert!(named.contains("changed"), "{named}");
}

#[test]
fn the_verifier_proves_that_a_hidden_column_shows_nowhere() {
    let catalog = hidden_judge().catalog().clone();
    let proved = |client: &str, targets: &str, shown: &str, alias: &str| {
        let inner =
            format!("SELECT notes.id, notes.title, notes.stars{shown} FROM public.notes WHERE notes.org_id OPERATOR(pg_catalog.=) $1");
        verify::verify(client, &format!("SELECT {targets} FROM ({inner}) {alias}"), &catalog, 1)
    };
    let (shown, added) = (", notes.org_id AS \"partywall row 0\"", "n.\"partywall row 0\" AS \"partywall row 0\"");
    let sound = proved("SELECT id FROM notes n", &format!("id, {added}"), shown, "n").unwrap();
    assert_eq!(sound.rows, [Checked { type_oid: 25, nullable: false }]);
    for (client, targets, alias) in [
        ("SELECT * FROM notes n", "*", "n"),
        ("SELECT n.* FROM notes n", "n.*", "n"),
        ("SELECT n FROM notes n", "n", "n"),
        ("SELECT (n).id FROM notes n", "(n).id", "n"),
        ("SELECT a FROM notes n (a)", "a", "n(a)"),
        ("SELECT n.U&\"partywall\\0020row 0\" FROM notes n", "n.\"partywall row 0\"", "n"),
    ] {
        let told = proved(client, &format!("{targets}, {added}"), shown, alias).unwrap_err().0;
        assert!(told.contains("a hidden column could show"), "{client}: {told}");
        assert!(proved(client, targets, shown, alias).is_err(), "{client}");
    }
    for (shown, why) in [
        (", notes.title AS \"partywall row 0\"", "an added column is not the tenant's"),
        (", 'acme' AS \"partywall row 0\"", "an added column is of no relation here"),
        ("", "an added column is of no relation here"),
        (", notes.org_id, notes.org_id AS \"partywall row 0\"", "not sound"),
    ] {
        let told = proved("SELECT id FROM notes n", &format!("id, {added}"), shown, "n").unwrap_err().0;
        assert!(told.contains(why), "{shown}: {told}");
    }
    // It stands in FROM and is not asked for.
    assert!(proved("SELECT id FROM notes n", "id", shown, "n").is_err());
}

#[test]
fn the_verifier_proves_a_parents_tenant() {
    let catalog = through_judge().catalog().clone();
    let guard = "EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) i.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)";
    let proved = |query: &str| {
        let outgoing = format!("SELECT sku, {query} AS \"partywall row 0\" FROM public.items i WHERE {guard}");
        verify::verify("SELECT sku FROM items i", &outgoing, &catalog, 1)
    };
    let sound = "(SELECT partywall_1.tenant_id FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) i.order_id)";
    assert_eq!(proved(sound).unwrap().rows, [Checked { type_oid: 25, nullable: false }]);
    for (from, to) in [
        ("partywall_1.tenant_id FROM", "'acme' FROM"),
        ("partywall_1.tenant_id FROM", "partywall_1.note FROM"),
        (" WHERE partywall_1.id OPERATOR(pg_catalog.=) i.order_id", ""),
        ("i.order_id)", "i.line)"),
        ("i.order_id)", "i.order_id AND 1 OPERATOR(pg_catalog./) 0 OPERATOR(pg_catalog.=) 1)"),
        ("public.orders", "public.boxes"),
        ("(SELECT partywall_1.tenant_id", "(SELECT DISTINCT partywall_1.tenant_id"),
        ("i.order_id)", "i.order_id LIMIT 1)"),
        ("i.order_id", "$1"),
    ] {
        let told = proved(&sound.replace(from, to)).unwrap_err().0;
        assert!(told.contains("does not tell whose a row here is"), "{from} → {to}: {told}");
    }
}

/// Tenant, type, format, value, and whether it is its own.
type Value = (&'static str, u32, u16, Option<&'static [u8]>, bool);

#[test]
fn a_value_is_the_tenants_own_or_not() {
    let uuid = "0c7a1b6e-9d3f-4f51-8f0e-2b7f9a3c1d5e";
    let cases: &[Value] = &[
        ("acme", oid::TEXT, 0, Some(b"acme"), true),
        ("acme", oid::TEXT, 1, Some(b"acme"), true),
        ("acme", oid::TEXT, 0, Some(b"ACME"), false),
        ("acme", oid::TEXT, 0, Some(b""), false),
        ("acme", oid::TEXT, 0, None, false),
        ("7", oid::INT4, 0, Some(b"7"), true),
        ("007", oid::INT4, 0, Some(b"7"), true),
        ("7", oid::INT4, 0, Some(b"8"), false),
        ("7", oid::INT4, 1, Some(&[0, 0, 0, 7]), true),
        ("7", oid::INT4, 1, Some(&[0, 0, 0, 8]), false),
        (uuid, oid::UUID, 0, Some(uuid.as_bytes()), true),
        (uuid, oid::UUID, 1, Some(b"\x0c\x7a\x1b\x6e\x9d\x3f\x4f\x51\x8f\x0e\x2b\x7f\x9a\x3c\x1d\x5e"), true),
        (uuid, oid::UUID, 1, Some(&[0; 16]), false),
    ];
    for (id, type_oid, format, value, own) in cases {
        let checked = Checked { type_oid: *type_oid, nullable: false };
        assert_eq!(checked.is_own(*value, *format, &tenant(id)), *own, "{id} {type_oid} {format} {value:?}");
    }
    assert!(Checked { type_oid: 25, nullable: true }.is_own(None, 0, &tenant("acme")));
}
