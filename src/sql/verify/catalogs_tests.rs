//! Catalog references that a mistaken rewriter would send.

use super::super::verify;

const CLASS: &str = "SELECT oid, relname, pg_catalog.quote_ident(current_user)::pg_catalog.regrole::pg_catalog.oid AS relowner FROM pg_catalog.pg_class \
                     WHERE oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid";
const SHOWN: &str =
    "CASE WHEN c.oid::pg_catalog.oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid THEN c.oid::pg_catalog.oid::pg_catalog.regclass END";

/// The client's text, one that is sound, and some that are not; `{class}` and `{shown}` stand for the texts above.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "SELECT relname FROM pg_class c",
        "SELECT relname FROM ({class} OFFSET 0) c",
        &[
            "SELECT relname FROM pg_catalog.pg_class c",
            "SELECT relname FROM pg_class c",
            "SELECT relname FROM ({class} LIMIT 1) c",
            "SELECT relname FROM ({class} OFFSET 1) c",
            "SELECT relname FROM ({class} OR true) c",
            "SELECT relname FROM ({class}) d",
            "SELECT relname FROM LATERAL ({class}) c",
            "SELECT relname FROM (SELECT oid, relname FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid) c",
            "SELECT relname FROM (SELECT oid, relname, relowner FROM pg_catalog.pg_class) c",
        ],
    ),
    (
        "SELECT c.oid::regclass FROM pg_class c",
        "SELECT {shown} FROM ({class}) c",
        &["SELECT c.oid::regclass FROM ({class}) c", "SELECT c.oid::pg_catalog.oid::pg_catalog.regclass FROM ({class}) c"],
    ),
    (
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.oid::regclass = 'orders'::regclass",
        "SELECT {shown}::text FROM ({class} OFFSET 0) c WHERE c.oid::pg_catalog.oid = '1'::pg_catalog.oid",
        &[
            "SELECT {shown}::text FROM ({class} OFFSET 0) c WHERE c.oid::pg_catalog.oid = '2'::pg_catalog.oid",
            "SELECT {shown}::text FROM ({class} OFFSET 0) c WHERE c.oid::pg_catalog.oid = 'orders'::pg_catalog.regclass",
        ],
    ),
    (
        "SELECT 1 WHERE COALESCE(c.oid::regclass, 'x') = 1",
        "SELECT 1 WHERE COALESCE(c.oid::pg_catalog.oid, 'x') = 1",
        &["SELECT 1 WHERE COALESCE({shown}, 'x') = 1"],
    ),
    (
        "SELECT pg_get_viewdef('countries')",
        "SELECT CASE WHEN '4'::pg_catalog.oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid THEN pg_catalog.pg_get_viewdef('4'::pg_catalog.oid) END",
        &[
            "SELECT pg_catalog.pg_get_viewdef('countries')",
            "SELECT pg_catalog.pg_get_viewdef('4'::pg_catalog.oid)",
            "SELECT CASE WHEN '4'::pg_catalog.oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid THEN pg_catalog.pg_get_viewdef('5'::pg_catalog.oid) END",
        ],
    ),
    ("TABLE pg_timezone_names", "TABLE pg_catalog.pg_timezone_names", &["TABLE pg_catalog.pg_shadow", "TABLE pg_timezone_names"]),
];

#[test]
fn a_catalog_is_read_in_no_other_way() {
    let judge = crate::sql::tests::judge();
    let full = |text: &str| text.replace("{class}", CLASS).replace("{shown}", SHOWN);
    for (client, good, bad) in CASES {
        assert_eq!(verify(client, &full(good), judge.catalog(), 1).map(|_| ()), Ok(()), "{good}");
        for text in *bad {
            assert!(verify(client, &full(text), judge.catalog(), 1).is_err(), "passed:\n{text}\nfor\n{client}");
        }
    }
}

#[test]
fn a_refused_catalog_is_read_in_no_way() {
    let judge = crate::sql::tests::judge();
    for text in ["SELECT x FROM pg_catalog.pg_shadow", "SELECT x FROM (SELECT x FROM pg_catalog.pg_shadow) pg_shadow"] {
        assert!(verify("SELECT x FROM pg_shadow", text, judge.catalog(), 1).is_err(), "passed: {text}");
    }
}

#[test]
fn what_stands_twice_is_the_same_twice() {
    let judge = crate::sql::tests::judge();
    let proved = |from: &str, operand: &str, theirs: &str| {
        let client = format!("SELECT pg_get_viewdef({operand}){from}");
        let text = format!(
            "SELECT CASE WHEN {theirs}::pg_catalog.oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid THEN pg_catalog.pg_get_viewdef({theirs}::pg_catalog.oid) END{from}"
        );
        verify(&client, &text, judge.catalog(), 1).is_ok()
    };
    for (from, operand, theirs) in [
        ("", "4::oid", "4::oid"),
        ("", "$1", "$1"),
        ("", "length('x')", "pg_catalog.length('x')"),
        (" FROM (SELECT 4 AS x) s", "s.x", "s.x"),
        (" FROM (SELECT 4 AS x WHERE EXISTS (SELECT 1)) s", "x", "x"),
    ] {
        assert!(proved(from, operand, theirs), "{operand}{from}");
    }
    for (from, operand, theirs) in [
        ("", "(SELECT 4)", "(SELECT 4)"),
        ("", "1 + (SELECT 4)::int", "(1 + (SELECT 4)::int)"),
        ("", "random()::int", "pg_catalog.random()::int"),
        ("", "current_setting('TimeZone')::oid", "pg_catalog.current_setting('TimeZone')::oid"),
        (" FROM (SELECT (SELECT 4) AS x) s", "s.x", "s.x"),
        (" FROM (SELECT 1 AS x UNION SELECT (SELECT 4)) s", "x", "x"),
        (" FROM (VALUES ((SELECT 4))) s (x)", "s.x", "s.x"),
    ] {
        assert!(!proved(from, operand, theirs), "{operand}{from}");
    }
}
