//! What the verifier must not let pass of utility statements: each outgoing text is a rewriter's mistake.

use crate::sql::verify::verify;

const GUARD: &str = "orders.tenant_id OPERATOR(pg_catalog.=) $9";
const MARKER: &str =
    "('partywall:tenant' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.left(orders.tenant_id::pg_catalog.text, 0), ''))::pg_catalog.bool";

/// A statement, a good rewriting and several bad ones; `{g}` stands for the guard, `{m}` for the wall's own error.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "DECLARE c CURSOR FOR SELECT id FROM orders",
        "DECLARE c CURSOR FOR SELECT id FROM public.orders WHERE {g}",
        &[
            "DECLARE c CURSOR FOR SELECT id FROM public.orders",
            "DECLARE d CURSOR FOR SELECT id FROM public.orders WHERE {g}",
            "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM public.orders WHERE {g}",
        ],
    ),
    (
        "PREPARE p AS SELECT id FROM orders WHERE id = $1",
        "PREPARE p AS SELECT id FROM public.orders WHERE {g} AND id = $1",
        &[
            "PREPARE p AS SELECT id FROM public.orders WHERE id = $1",
            "PREPARE p AS SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 AND id = $1",
            "PREPARE q AS SELECT id FROM public.orders WHERE {g} AND id = $1",
        ],
    ),
    ("EXECUTE p(1)", "EXECUTE p(1)", &["EXECUTE q(1)", "EXECUTE p(2)", "EXECUTE p(1, $9)"]),
    (
        "EXPLAIN (FORMAT json) SELECT id FROM orders",
        "EXPLAIN (FORMAT json, COSTS off) SELECT id FROM public.orders WHERE {g}",
        &[
            "EXPLAIN (FORMAT json) SELECT id FROM public.orders WHERE {g}",
            "EXPLAIN (FORMAT json, COSTS on) SELECT id FROM public.orders WHERE {g}",
            "EXPLAIN (FORMAT json, ANALYZE, COSTS off) SELECT id FROM public.orders WHERE {g}",
            "EXPLAIN (VERBOSE, COSTS off) SELECT id FROM public.orders WHERE {g}",
            "EXPLAIN (FORMAT json, COSTS off) SELECT id FROM public.orders",
        ],
    ),
    (
        "EXPLAIN ANALYZE SELECT id FROM orders",
        "EXPLAIN (COSTS off) SELECT id FROM public.orders WHERE {g}",
        &["EXPLAIN (ANALYZE, COSTS off) SELECT id FROM public.orders WHERE {g}"],
    ),
    (
        "LOCK orders IN ROW SHARE MODE",
        "LOCK public.orders IN ROW SHARE MODE",
        &["LOCK public.orders IN SHARE MODE", "LOCK public.items IN ROW SHARE MODE", "LOCK orders IN ROW SHARE MODE", "LOCK public.orders"],
    ),
    ("LOCK countries IN ACCESS SHARE MODE", "LOCK public.countries IN ACCESS SHARE MODE", &["LOCK public.countries IN ROW SHARE MODE"]),
    (
        "TRUNCATE orders, ONLY items",
        "WITH a AS (DELETE FROM public.orders WHERE {g}) DELETE FROM ONLY public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $9",
        &[
            "TRUNCATE public.orders, ONLY public.items",
            "WITH a AS (DELETE FROM public.orders) DELETE FROM ONLY public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $9",
            "WITH a AS (DELETE FROM public.orders WHERE {g}) DELETE FROM ONLY public.items",
            "WITH a AS (DELETE FROM public.orders WHERE {g}) DELETE FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $9",
            "WITH a AS (DELETE FROM public.orders WHERE {g} RETURNING id) DELETE FROM ONLY public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $9",
            "DELETE FROM ONLY public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $9",
            "WITH a AS (SELECT 1) DELETE FROM ONLY public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $9",
        ],
    ),
    (
        "UPDATE orders SET note = 'x' WHERE CURRENT OF c",
        "UPDATE public.orders SET note = 'x' WHERE CURRENT OF c",
        &["UPDATE public.orders SET note = 'x' WHERE CURRENT OF d", "UPDATE public.orders SET tenant_id = 'x' WHERE CURRENT OF c"],
    ),
    (
        "UPDATE orders SET note = 'x' WHERE id = 1",
        "UPDATE public.orders SET note = 'x' WHERE {g} AND id = 1",
        &["UPDATE public.orders SET note = 'x' WHERE CURRENT OF c"],
    ),
    (
        "COPY orders (id, note) TO STDOUT CSV",
        "COPY (SELECT orders.id, orders.note FROM ONLY public.orders WHERE {g}) TO STDOUT CSV",
        &[
            "COPY public.orders (id, note) TO STDOUT CSV",
            "COPY (SELECT orders.id, orders.note FROM ONLY public.orders) TO STDOUT CSV",
            "COPY (SELECT orders.id, orders.note FROM public.orders WHERE {g}) TO STDOUT CSV",
            "COPY (SELECT orders.note, orders.id FROM ONLY public.orders WHERE {g}) TO STDOUT CSV",
            "COPY (SELECT orders.id, orders.note FROM ONLY public.orders WHERE {g} LIMIT 1) TO STDOUT CSV",
            "COPY (SELECT orders.id, orders.note FROM ONLY public.orders WHERE {g}) TO STDOUT",
            "COPY (SELECT orders.id, orders.note FROM ONLY public.orders WHERE {g}) TO '/tmp/x' CSV",
            "COPY (SELECT orders.id, orders.note FROM ONLY public.orders WHERE {g}) TO PROGRAM 'x' CSV",
        ],
    ),
    (
        "COPY (SELECT id FROM orders) TO STDOUT",
        "COPY (SELECT id FROM public.orders WHERE {g}) TO STDOUT",
        &["COPY (SELECT id FROM public.orders) TO STDOUT"],
    ),
    (
        "COPY orders (id) FROM STDIN",
        "COPY public.orders (tenant_id, id) FROM STDIN WHERE CASE WHEN {g} THEN true ELSE {m} END",
        &[
            "COPY public.orders (tenant_id, id) FROM STDIN",
            "COPY public.orders (id) FROM STDIN WHERE CASE WHEN {g} THEN true ELSE {m} END",
            "COPY public.orders (tenant_id, id) FROM STDIN WHERE {g}",
            "COPY public.orders (tenant_id, id) FROM STDIN WHERE CASE WHEN {g} THEN true ELSE true END",
            "COPY public.orders (tenant_id, id) FROM STDIN WHERE CASE WHEN true THEN true ELSE {m} END",
            "COPY public.orders (tenant_id, id) FROM STDIN WHERE CASE WHEN {g} THEN id > 1 ELSE {m} END",
            "COPY public.orders (note, id) FROM STDIN WHERE CASE WHEN {g} THEN true ELSE {m} END",
            "COPY public.orders (tenant_id, id) FROM '/etc/passwd' WHERE CASE WHEN {g} THEN true ELSE {m} END",
            "COPY public.orders (tenant_id, id) FROM STDIN CSV WHERE CASE WHEN {g} THEN true ELSE {m} END",
        ],
    ),
    (
        "COPY orders FROM STDIN WHERE id > 1",
        "COPY public.orders (id, tenant_id, customer, total, note) FROM STDIN WHERE CASE WHEN {g} THEN id > 1 ELSE {m} END",
        &[
            "COPY public.orders FROM STDIN WHERE CASE WHEN {g} THEN id > 1 ELSE {m} END",
            "COPY public.orders (id, tenant_id, customer, total, note) FROM STDIN WHERE CASE WHEN {g} THEN true ELSE {m} END",
        ],
    ),
    ("SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS ALL DEFERRED", &["SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS x DEFERRED"]),
    ("DISCARD PLANS", "DISCARD PLANS", &["DISCARD ALL"]),
];

#[test]
fn mistakes_in_utility_statements_are_seen() {
    let judge = crate::sql::tests::judge();
    let fill = |text: &str| text.replace("{m}", MARKER).replace("{g}", GUARD);
    for (client, good, bad) in CASES {
        let good = fill(good);
        assert_eq!(verify(client, &good, judge.catalog(), 9).map(|_| ()), Ok(()), "{good}");
        for text in bad.iter().map(|b| fill(b)) {
            assert!(verify(client, &text, judge.catalog(), 9).is_err(), "passed:\n{text}\nfor\n{client}");
        }
    }
}

#[test]
fn like_copies_nothing_that_the_catalogs_do_not_show() {
    let mut catalog = crate::sql::Catalog::clone(crate::sql::tests::judge().catalog());
    let orders = catalog.find("", "orders").map(|r| r.oid).unwrap_or_default();
    let like = |including: &str| {
        let (client, sent) = ("CREATE TEMP TABLE t", "CREATE TEMPORARY TABLE pg_temp.t");
        (format!("{client} (LIKE orders {including})"), format!("{sent} (LIKE public.orders {including})"))
    };
    let passes = |catalog: &crate::sql::Catalog, including: &str| {
        let (client, sent) = like(including);
        verify(&client, &sent, catalog, 9).is_ok()
    };
    let telling = ["ALL", "DEFAULTS", "CONSTRAINTS", "GENERATED", "INDEXES", "STATISTICS"].map(|what| format!("INCLUDING {what}"));
    assert!(telling.iter().all(|including| passes(&catalog, including)));
    let check = ["C", "5", &orders.to_string(), "0", "tenant_id = 'globex'"].map(|v| Some(v.to_owned())).to_vec();
    let answers = [(crate::sql::catalogs::EXPRESSIONS, vec![check])].into();
    catalog.system.hidden.read_expressions(&answers, &[(orders, "tenant_id".into())]);
    for including in &telling {
        assert!(!passes(&catalog, including), "{including}");
    }
    assert!(passes(&catalog, "") && passes(&catalog, "INCLUDING COMMENTS INCLUDING IDENTITY INCLUDING STORAGE INCLUDING COMPRESSION"));
}
