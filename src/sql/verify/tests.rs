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
        "UPDATE orders SET tenant_id = 'acme'",
        "UPDATE public.orders SET tenant_id = 'acme' WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
        &[
            "UPDATE public.orders SET tenant_id = 'globex' WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
            "UPDATE public.orders SET tenant_id = note WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
            "UPDATE public.orders SET tenant_id = 'acme'::varchar(2) WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
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
    (
        "SELECT o.id FROM orders o LEFT JOIN items i ON i.order_id = o.id WHERE i.sku::int = 1",
        "SELECT o.id FROM public.orders o LEFT JOIN public.items i ON i.tenant_id OPERATOR(pg_catalog.=) $1 AND i.order_id = o.id \
         WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND CASE WHEN i.tenant_id IS NULL OR i.tenant_id OPERATOR(pg_catalog.=) $1 THEN i.sku::int END = 1",
        &[
            // A fence that takes a row that is not there for another tenant's.
            "SELECT o.id FROM public.orders o LEFT JOIN public.items i ON i.tenant_id OPERATOR(pg_catalog.=) $1 AND i.order_id = o.id \
             WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND CASE WHEN i.tenant_id OPERATOR(pg_catalog.=) $1 THEN i.sku::int END = 1",
            // By a column that is not the tenant's, and by a relation that is not there.
            "SELECT o.id FROM public.orders o LEFT JOIN public.items i ON i.tenant_id OPERATOR(pg_catalog.=) $1 AND i.order_id = o.id \
             WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND CASE WHEN o.note OPERATOR(pg_catalog.=) $1 THEN i.sku::int END = 1",
            "SELECT o.id FROM public.orders o LEFT JOIN public.items i ON i.tenant_id OPERATOR(pg_catalog.=) $1 AND i.order_id = o.id \
             WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND CASE WHEN x.tenant_id OPERATOR(pg_catalog.=) $1 THEN i.sku::int END = 1",
        ],
    ),
    (
        "SELECT 1 FROM orders o, (SELECT 'x' AS tenant_id) s WHERE o.note::int = 1",
        "SELECT 1 FROM public.orders o, (SELECT 'x' AS tenant_id OFFSET 0) s WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND \
         CASE WHEN o.tenant_id OPERATOR(pg_catalog.=) $1 THEN o.note::int END = 1",
        &[
            // The client's own column would decide.
            "SELECT 1 FROM public.orders o, (SELECT 'x' AS tenant_id OFFSET 0) s WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND \
             CASE WHEN s.tenant_id OPERATOR(pg_catalog.=) $1 THEN o.note::int END = 1",
            "SELECT 1 FROM public.orders o, (SELECT 'x' AS tenant_id OFFSET 0) s WHERE s.tenant_id OPERATOR(pg_catalog.=) $1 AND o.note::int = 1",
        ],
    ),
    (
        "SELECT note FROM orders GROUP BY note HAVING note ~ 'x'",
        "SELECT note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 GROUP BY note \
         HAVING CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>=) 0 THEN note ~ 'x' END",
        &[
            "SELECT note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 GROUP BY note \
             HAVING CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>=) 1 THEN note ~ 'x' END",
            "SELECT note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 GROUP BY note \
             HAVING CASE WHEN pg_catalog.count(note) OPERATOR(pg_catalog.>=) 0 THEN note ~ 'x' END",
            "SELECT note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 GROUP BY note \
             HAVING CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>=) 0 THEN note ~ 'x' ELSE true END",
            "SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>=) 0 THEN note END FROM public.orders \
             WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 GROUP BY note HAVING note ~ 'x'",
        ],
    ),
    (
        "SELECT id FROM v_orders",
        "SELECT id FROM (SELECT orders.id, orders.tenant_id, orders.note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 \
         AND orders.total > 0) v_orders",
        &[
            "SELECT id FROM public.v_orders WHERE v_orders.tenant_id OPERATOR(pg_catalog.=) $1",
            "SELECT id FROM (SELECT * FROM public.v_orders WHERE v_orders.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) v_orders",
            "SELECT id FROM (SELECT orders.id, orders.tenant_id, orders.note FROM public.orders WHERE orders.total > 0) v_orders",
            "SELECT id FROM (SELECT orders.id, orders.tenant_id, orders.note FROM public.orders \
             WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1) v_orders",
            "SELECT id FROM (SELECT orders.id, orders.tenant_id, orders.note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 \
             AND orders.total > 0) x",
        ],
    ),
    (
        "MERGE INTO orders o USING items i ON i.order_id = o.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
        "MERGE INTO public.orders o USING (SELECT * FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) i \
         ON o.tenant_id OPERATOR(pg_catalog.=) $1 AND i.order_id = o.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, tenant_id) VALUES (1, $1)",
        &[
            "MERGE INTO public.orders o USING (SELECT * FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) i \
             ON i.order_id = o.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, tenant_id) VALUES (1, $1)",
            "MERGE INTO public.orders o USING public.items i ON o.tenant_id OPERATOR(pg_catalog.=) $1 AND i.tenant_id OPERATOR(pg_catalog.=) $1 \
             AND i.order_id = o.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, tenant_id) VALUES (1, $1)",
            "MERGE INTO public.orders o USING (SELECT * FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) i \
             ON o.tenant_id OPERATOR(pg_catalog.=) $1 AND i.order_id = o.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
            "MERGE INTO public.orders o USING (SELECT * FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) i \
             ON o.tenant_id OPERATOR(pg_catalog.=) $1 AND i.order_id = o.id WHEN MATCHED THEN DELETE \
             WHEN NOT MATCHED THEN INSERT (id, tenant_id) VALUES (1, 'globex')",
        ],
    ),
    (
        "INSERT INTO orders (id, tenant_id) SELECT line, tenant_id FROM items",
        "INSERT INTO public.orders (id, tenant_id) SELECT line, CASE WHEN CASE WHEN tenant_id OPERATOR(pg_catalog.=) $1 THEN true ELSE \
         ('partywall:tenant' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.left(tenant_id::pg_catalog.text, 0), ''))::pg_catalog.bool END \
         THEN $1::pg_catalog.text END FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1",
        &[
            "INSERT INTO public.orders (id, tenant_id) SELECT line, tenant_id FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1",
            "INSERT INTO public.orders (id, tenant_id) SELECT line, CASE WHEN CASE WHEN tenant_id OPERATOR(pg_catalog.=) $1 THEN true ELSE true END \
             THEN $1::pg_catalog.text END FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1",
            "INSERT INTO public.orders (id, tenant_id) SELECT line, CASE WHEN CASE WHEN sku OPERATOR(pg_catalog.=) $1 THEN true ELSE \
             ('partywall:tenant' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.left(tenant_id::pg_catalog.text, 0), ''))::pg_catalog.bool END \
             THEN $1::pg_catalog.text END FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1",
        ],
    ),
    (
        "INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO public.orders (id, tenant_id) VALUES (1, $1) ON CONFLICT (id, tenant_id) DO NOTHING",
        &["INSERT INTO public.orders (id, tenant_id) VALUES (1, $1) ON CONFLICT (id) DO NOTHING"],
    ),
    (
        "SELECT 1 FROM orders o TABLESAMPLE bernoulli (5) FULL JOIN items ON true",
        "SELECT 1 FROM (SELECT * FROM public.orders TABLESAMPLE bernoulli(5) WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) o \
         FULL JOIN (SELECT * FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) items ON true",
        &[
            "SELECT 1 FROM (SELECT * FROM public.orders TABLESAMPLE bernoulli(6) WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) o \
             FULL JOIN (SELECT * FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) items ON true",
            "SELECT 1 FROM (SELECT * FROM public.orders TABLESAMPLE bernoulli(5) OFFSET 0) o \
             FULL JOIN (SELECT * FROM public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) items ON true",
        ],
    ),
    (
        "SELECT id FROM orders FOR UPDATE",
        "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
        &[
            "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1",
            "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 FOR UPDATE OF orders",
            "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 FOR UPDATE NOWAIT",
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
        // And what is none, but must be PostgreSQL's own or harmless.
        "SELECT pg_catalog.pg_read_file('x')",
        "SELECT public.leak(1)",
        "SELECT lower('x')",
        "SELECT 1 @# 2",
        "SELECT 1 OPERATOR(public.+) 2",
        "SELECT 1 ORDER BY 1 USING @#",
        "SELECT 1 IN (SELECT 1) OR 1 @# ANY (SELECT 1)",
        "SELECT 'x'::regclass",
        "SELECT 'x'::evil.mood",
        "SELECT 'x' COLLATE public.evil",
        "SELECT ('x').leak",
        "SELECT s.leak FROM (SELECT 1) s",
        "SELECT pg_catalog.set_config('role', 'x', false)",
        "SELECT pg_catalog.set_config('role', $1, false)",
        "SELECT pg_catalog.set_config('standard_conforming_strings', $1, false)",
        "SELECT pg_catalog.set_config('jit', lower($1), false)",
        "SELECT pg_catalog.current_setting('data_directory')",
        "SELECT xmlelement(name a, leak(1))",
        "SELECT xmlserialize(content '<a/>' AS public.evil)",
        "SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b public.evil)",
        "SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b int PATH leak('x'))",
        "SELECT * FROM xmltable('/a' PASSING (SELECT note FROM public.orders) COLUMNS b int)",
        "SELECT JSON_OBJECT('a': leak(1))",
        "SELECT code FROM public.countries FOR UPDATE",
        "SELECT code FROM (SELECT code FROM public.countries) c FOR UPDATE OF c",
        "SELECT code FROM public.countries TABLESAMPLE public.evil (1)",
        "CREATE TABLE x AS SELECT 1",
        "DO 'x'",
        "CALL leak()",
        "ALTER SYSTEM SET a = 1",
    ] {
        assert!(verify(text, text, judge.catalog(), 1).is_err(), "passed: {text}");
    }
}

#[test]
fn what_the_client_writes_into_the_tenant_column_is_noted() {
    let judge = crate::sql::tests::judge();
    let proof = |sql: &str, sent: &str| verify(sql, sent, judge.catalog(), 3).unwrap_or_default();
    let sql = "UPDATE orders SET tenant_id = $1 WHERE id = 1";
    let noted = proof(sql, "UPDATE public.orders SET tenant_id = $1 WHERE orders.tenant_id OPERATOR(pg_catalog.=) $3 AND id = 1");
    assert_eq!((noted.own_parameters.as_slice(), noted.own_literals.len()), (&[1][..], 0));
    let sql = "INSERT INTO orders (id, tenant_id) VALUES (1, 'acme'), (2, 'x'::text)";
    let noted = proof(sql, "INSERT INTO public.orders (id, tenant_id) VALUES (1, 'acme'), (2, 'x'::text)");
    assert_eq!(noted.own_literals, ["acme", "x"]);
    for unsound in ["note", "excluded.tenant_id", "DEFAULT", "'x'::char(1)", "lower('x')", "NULL"] {
        let sql = format!("UPDATE orders SET tenant_id = {unsound}");
        let sent = format!("UPDATE public.orders SET tenant_id = {unsound} WHERE orders.tenant_id OPERATOR(pg_catalog.=) $3");
        assert!(verify(&sql, &sent, judge.catalog(), 3).is_err(), "{unsound}");
    }
}

/// The key of an advisory lock: the form of its bytes, the words before the tenant, and the tenant.
fn lock(bytes: &str, words: &str, tenant: &str) -> String {
    format!(
        "SELECT pg_catalog.pg_advisory_lock(('x' OPERATOR(pg_catalog.||) pg_catalog.substr(pg_catalog.encode(pg_catalog.sha256({bytes} \
         OPERATOR(pg_catalog.||) pg_catalog.convert_to('{words}' OPERATOR(pg_catalog.||) {tenant}::pg_catalog.text, 'UTF8')), 'hex'), 1, 16))\
         ::pg_catalog.bit(64)::pg_catalog.int8{BOUND})"
    )
}

/// No lock beyond the fiftieth.
const BOUND: &str = " OPERATOR(pg_catalog.#) ('0' OPERATOR(pg_catalog.||) pg_catalog.query_to_xml('SELECT ''partywall:locks'' AS a FROM pg_catalog.pg_lock_status() l \
                     WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) ''advisory'' OFFSET 49 LIMIT 1', \
                     false, true, '')::pg_catalog.text)::pg_catalog.int8";

#[test]
fn an_advisory_lock_is_taken_by_the_tenants_digest_alone() {
    let judge = crate::sql::tests::judge();
    let holds = |client: &str, sent: &str| verify(client, sent, judge.catalog(), 9).is_ok();
    let (one, two) = ("SELECT pg_advisory_lock(id) FROM countries", "SELECT pg_advisory_lock(1, 2)");
    let good = lock("pg_catalog.int8send(7)", "partywall:lock:1:", "$9");
    assert!(holds("SELECT pg_advisory_lock(7)", &good));
    let frees = good.replace("pg_advisory_lock", "pg_advisory_unlock");
    assert!(holds("SELECT pg_advisory_unlock(7)", &frees.replace(BOUND, "")));
    assert!(!holds("SELECT pg_advisory_unlock(7)", &frees));
    let pair = "(pg_catalog.int4send(1) OPERATOR(pg_catalog.||) pg_catalog.int4send(2))";
    assert!(holds(two, &lock(pair, "partywall:lock:2:", "$9")));
    for (client, sent) in [
        ("SELECT pg_advisory_lock(7)", "SELECT pg_catalog.pg_advisory_lock(7)".to_owned()),
        ("SELECT pg_advisory_lock(8)", good.clone()),
        ("SELECT pg_advisory_xact_lock(7)", good.clone()),
        ("SELECT pg_advisory_lock($1)", lock("pg_catalog.int8send($1)", "partywall:lock:1:", "$1")),
        ("SELECT pg_advisory_lock($1)", lock("pg_catalog.int8send($1)", "partywall:lock:1:", "'globex'")),
        ("SELECT pg_advisory_lock(7)", lock("pg_catalog.int8send(7)", "partywall:lock:2:", "$9")),
        ("SELECT pg_advisory_lock(7)", good.replace("1, 16", "1, 4")),
        ("SELECT pg_advisory_lock(7)", good.replace(BOUND, "")),
        ("SELECT pg_advisory_lock(7)", good.replace("OFFSET 49", "OFFSET 50")),
        ("SELECT pg_advisory_lock(7)", good.replace("''advisory''", "''relation''")),
        ("SELECT pg_advisory_lock(7)", good.replace("query_to_xml('SELECT", "query_to_xml('SELECT DISTINCT")),
        ("SELECT pg_advisory_lock(7)", good.replace("sha256", "sha224")),
        ("SELECT pg_advisory_lock(7)", good.replace("pg_catalog.||", "public.||")),
        ("SELECT pg_advisory_lock(7)", good.replace("bit(64)", "bit(8)")),
        (one, format!("{} FROM public.countries", lock("pg_catalog.int8send(countries.id)", "partywall:lock:1:", "$9"))),
        (two, lock(pair, "partywall:lock:1:", "$9")),
        (two, lock("pg_catalog.int8send(1)", "partywall:lock:1:", "$9")),
    ] {
        assert!(!holds(client, &sent), "{client}\n{sent}");
    }
}
