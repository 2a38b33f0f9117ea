//! What the verifier must not let pass: each outgoing text is a rewriter's mistake.

use super::*;

/// A statement, a good rewriting and several bad ones.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "SELECT id FROM orders",
        "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
        &[
            "SELECT id FROM public.orders",
            "SELECT id FROM orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
            "SELECT id FROM public.secrets WHERE secrets.tenant_id OPERATOR(pg_catalog.=) $1",
            "SELECT id FROM public.orders WHERE orders.customer OPERATOR(pg_catalog.=) $1",
            "SELECT id FROM public.orders WHERE orders.tenant_id = $1",
            "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.<>) $1",
            "SELECT id FROM public.orders WHERE items.tenant_id OPERATOR(pg_catalog.=) $1",
            "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 OR true",
            "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'globex'",
            "SELECT id, note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
            "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1; SELECT 1",
            "DELETE FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
        ],
    ),
    (
        "SELECT 1 FROM orders o LEFT JOIN items i ON i.line = o.id",
        "SELECT 1 FROM public.orders o LEFT JOIN public.items i ON i.tenant_id OPERATOR(pg_catalog.=) $1 AND i.line = o.id \
         WHERE o.tenant_id OPERATOR(pg_catalog.=) $1",
        &[
            "SELECT 1 FROM public.orders o LEFT JOIN public.items i ON i.line = o.id \
             WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND i.tenant_id OPERATOR(pg_catalog.=) $1",
            "SELECT 1 FROM public.orders o LEFT JOIN public.items i ON i.tenant_id OPERATOR(pg_catalog.=) $1 AND o.tenant_id OPERATOR(pg_catalog.=) $1 \
             AND i.line = o.id",
            "SELECT 1 FROM public.orders o JOIN public.items i ON i.tenant_id OPERATOR(pg_catalog.=) $1 AND i.line = o.id \
             WHERE o.tenant_id OPERATOR(pg_catalog.=) $1",
        ],
    ),
    (
        "SELECT 1 FROM orders WHERE note::int > 1",
        "SELECT 1 FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 AND \
         CASE WHEN orders.tenant_id OPERATOR(pg_catalog.=) $1 THEN note::int > 1 END",
        &[
            "SELECT 1 FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 AND \
             CASE WHEN orders.tenant_id OPERATOR(pg_catalog.=) $1 THEN note::int > 1 ELSE true END",
            "SELECT 1 FROM public.orders WHERE CASE WHEN orders.tenant_id OPERATOR(pg_catalog.=) $1 THEN note::int > 1 END",
            "SELECT 1 FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 AND CASE WHEN true THEN note::int > 1 END",
        ],
    ),
    (
        "INSERT INTO orders (id) VALUES (7)",
        "INSERT INTO public.orders (id, tenant_id) VALUES (7, $1)",
        &[
            "INSERT INTO public.orders (id) VALUES (7)",
            "INSERT INTO public.orders (id, tenant_id) VALUES (7, 'globex')",
            "INSERT INTO public.orders (id, tenant_id) VALUES (7, $1), (8, 'x')",
            "INSERT INTO public.orders (id, note) VALUES (7, $1)",
            "INSERT INTO public.orders (tenant_id, id) VALUES ($1, 7)",
        ],
    ),
    (
        "UPDATE orders SET note = 'x'",
        "UPDATE public.orders SET note = 'x' WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
        &[
            "UPDATE public.orders SET note = 'x'",
            "UPDATE public.orders SET note = 'x', tenant_id = $1 WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
        ],
    ),
    (
        "DELETE FROM orders",
        "DELETE FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
        &["DELETE FROM public.orders", "DELETE FROM ONLY public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1"],
    ),
    (
        "WITH orders AS (SELECT 1) SELECT * FROM orders",
        "WITH orders AS (SELECT 1) SELECT * FROM orders",
        &[
            "WITH orders AS (SELECT 1) SELECT * FROM public.orders",
            "WITH orders AS (SELECT 1) SELECT * FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
        ],
    ),
];

#[test]
fn mistakes_of_a_rewriter_are_seen() {
    let judge = crate::sql::tests::judge();
    for (client, good, bad) in CASES {
        assert_eq!(verify(client, good, judge.catalog(), 1).map(|_| ()), Ok(()), "{good}");
        for text in *bad {
            assert!(verify(client, text, judge.catalog(), 1).is_err(), "passed:\n{text}\nfor\n{client}");
        }
    }
}

#[test]
fn a_relation_is_found_wherever_it_hides() {
    let judge = crate::sql::tests::judge();
    for text in [
        "SELECT 1 UNION TABLE public.orders",
        "SELECT (SELECT 1 FROM public.orders)",
        "SELECT 1 WHERE EXISTS (TABLE public.orders)",
        "SELECT ARRAY(SELECT 1 FROM public.orders)",
        "SELECT 1 ORDER BY (SELECT 1 FROM public.orders)",
        "SELECT 1 LIMIT (SELECT 1 FROM public.orders)",
        "VALUES ((SELECT 1 FROM public.orders))",
        "SELECT * FROM generate_series(1, (SELECT 1 FROM public.orders))",
        "WITH w AS (TABLE public.orders) SELECT 1",
        "COPY (TABLE public.orders) TO STDOUT",
        "EXPLAIN SELECT 1 FROM public.orders",
        "SELECT count(*) FILTER (WHERE EXISTS (TABLE public.orders))",
        "SELECT CASE WHEN 1 IN (TABLE public.orders) THEN 1 END",
        "SELECT 1 INTO public.orders",
        "LOCK TABLE public.orders",
        "TRUNCATE public.orders",
        "PREPARE p AS TABLE public.orders",
    ] {
        assert!(verify(text, text, judge.catalog(), 1).is_err(), "passed: {text}");
    }
}
