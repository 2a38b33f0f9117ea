//! Texts in which something could fail on another tenant's row: each lacks one fence or barrier.

use crate::sql::verify::verify;

const G: &str = "orders.tenant_id OPERATOR(pg_catalog.=) $9";

/// A statement, its sound form, and unsound ones; `{g}` is the guard of orders.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "SELECT id FROM orders WHERE note::int > 1",
        "SELECT id FROM public.orders WHERE {g} AND CASE WHEN {g} THEN note::int END > 1",
        &["SELECT id FROM public.orders WHERE {g} AND note::int > 1"],
    ),
    (
        "SELECT id FROM orders WHERE 1 / id > 1 OR id = 2",
        "SELECT id FROM public.orders WHERE {g} AND (CASE WHEN {g} THEN 1 / id END > 1 OR id = 2)",
        &["SELECT id FROM public.orders WHERE {g} AND (1 / id > 1 OR id = 2)"],
    ),
    (
        "SELECT orders.id FROM orders JOIN countries c ON c.code = orders.note::int::text",
        "SELECT orders.id FROM public.orders JOIN public.countries c ON c.code = CASE WHEN {g} THEN orders.note::int::text END WHERE {g}",
        &["SELECT orders.id FROM public.orders JOIN public.countries c ON c.code = orders.note::int::text WHERE {g}"],
    ),
    (
        "SELECT 1 FROM (SELECT note FROM orders) s WHERE s.note::int > 1",
        "SELECT 1 FROM (SELECT note FROM public.orders WHERE {g} OFFSET 0) s WHERE s.note::int > 1",
        &["SELECT 1 FROM (SELECT note FROM public.orders WHERE {g}) s WHERE s.note::int > 1"],
    ),
    (
        "SELECT 1 FROM (SELECT note::int AS n FROM orders) s WHERE s.n > 1",
        "SELECT 1 FROM (SELECT note::int AS n FROM public.orders WHERE {g} OFFSET 0) s WHERE s.n > 1",
        &["SELECT 1 FROM (SELECT note::int AS n FROM public.orders WHERE {g}) s WHERE s.n > 1"],
    ),
    (
        "WITH w AS (SELECT note FROM orders) SELECT 1 FROM w WHERE w.note::int > 1",
        "WITH w AS (SELECT note FROM public.orders WHERE {g} OFFSET 0) SELECT 1 FROM w WHERE w.note::int > 1",
        &["WITH w AS (SELECT note FROM public.orders WHERE {g}) SELECT 1 FROM w WHERE w.note::int > 1"],
    ),
    (
        "WITH w AS (SELECT note::int AS n FROM orders) SELECT 1 FROM w",
        "WITH w AS MATERIALIZED (SELECT note::int AS n FROM public.orders WHERE {g}) SELECT 1 FROM w",
        &["WITH w AS (SELECT note::int AS n FROM public.orders WHERE {g}) SELECT 1 FROM w"],
    ),
    (
        "SELECT note FROM orders GROUP BY note HAVING note::int > 1 AND count(*) > 1",
        "SELECT note FROM public.orders WHERE {g} GROUP BY note HAVING CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>=) 0 THEN note::int > 1 END \
         AND pg_catalog.count(*) > 1",
        &["SELECT note FROM public.orders WHERE {g} GROUP BY note HAVING note::int > 1 AND pg_catalog.count(*) > 1"],
    ),
    (
        "UPDATE orders SET note = '' WHERE note::int > 1",
        "UPDATE public.orders SET note = '' WHERE {g} AND CASE WHEN {g} THEN note::int END > 1",
        &["UPDATE public.orders SET note = '' WHERE {g} AND note::int > 1"],
    ),
    (
        "DELETE FROM orders USING (SELECT code FROM countries) s WHERE s.code::int = 1",
        "DELETE FROM public.orders USING (SELECT code FROM public.countries OFFSET 0) s WHERE {g} AND s.code::int = 1",
        &["DELETE FROM public.orders USING (SELECT code FROM public.countries) s WHERE {g} AND s.code::int = 1"],
    ),
    (
        "SELECT 1 FROM countries WHERE EXISTS (SELECT 1 FROM orders WHERE note::int = 1)",
        "SELECT 1 FROM public.countries WHERE EXISTS (SELECT 1 FROM public.orders WHERE {g} AND CASE WHEN {g} THEN note::int END = 1)",
        &["SELECT 1 FROM public.countries WHERE EXISTS (SELECT 1 FROM public.orders WHERE {g} AND note::int = 1)"],
    ),
    (
        // What is looked up for a row of the outer query can fail on it before its guard.
        "SELECT 1 FROM orders WHERE EXISTS (SELECT 1 FROM countries WHERE orders.note::int = 1)",
        "SELECT 1 FROM public.orders WHERE {g} AND EXISTS (SELECT 1 FROM public.countries WHERE CASE WHEN orders.tenant_id IS NULL OR {g} THEN orders.note::int END = 1)",
        &["SELECT 1 FROM public.orders WHERE {g} AND EXISTS (SELECT 1 FROM public.countries WHERE orders.note::int = 1)"],
    ),
];

#[test]
fn what_can_fail_is_behind_its_guard() {
    let judge = crate::sql::tests::judge();
    for (client, good, bad) in CASES {
        let proof = |text: &str| verify(client, &text.replace("{g}", G), judge.catalog(), 9);
        assert_eq!(proof(good).map(|_| ()), Ok(()), "{good}");
        for text in *bad {
            assert!(proof(text).is_err_and(|d| d.to_string().contains("fail")), "{text}");
        }
    }
}

#[test]
fn what_runs_behind_the_filter_needs_no_fence() {
    let judge = crate::sql::tests::judge();
    for (client, sent) in [
        (
            "SELECT note::int, 1 / id FROM orders ORDER BY note::int",
            "SELECT note::int, 1 / id FROM public.orders WHERE {g} ORDER BY note::int",
        ),
        (
            "SELECT (SELECT code FROM countries WHERE code = orders.note::int::text) FROM orders",
            "SELECT (SELECT code FROM public.countries WHERE code = orders.note::int::text) FROM public.orders WHERE {g}",
        ),
        ("SELECT id FROM orders WHERE note = '1' AND id > 1 + 1", "SELECT id FROM public.orders WHERE {g} AND note = '1' AND id > 1 + 1"),
        ("SELECT code FROM countries WHERE code::int > 1", "SELECT code FROM public.countries WHERE code::int > 1"),
    ] {
        assert_eq!(verify(client, &sent.replace("{g}", G), judge.catalog(), 9).map(|_| ()), Ok(()), "{sent}");
    }
}
