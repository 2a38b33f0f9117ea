//! What can fail in some databases only, or costs less than it seems: no statement may tell a tenant, by failing or by anything else in its answer,
//! that others' rows are there. Each is asked before and after another tenant has rows that it would stumble over.

use crate::support::{Client, Postgres, Wall};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders:    { scoped: tenant_id }
    public.letters:   { scoped: tenant_id }
    public.uses:      { scoped: tenant_id }
    public.places:    { scoped: tenant_id }
    public.hidden:    { scoped: { column: org, hidden: true } }
    public.countries: { shared: read }
";

const SCHEMA: &str = "
CREATE COLLATION nd (provider = icu, locale = 'und', deterministic = false);
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN yes AS bool CHECK (VALUE);
CREATE TYPE pair AS (p point, t text);
CREATE TABLE orders (id int NOT NULL, tenant_id text NOT NULL, note text NOT NULL, flag bool NOT NULL DEFAULT true, nums int[] NOT NULL DEFAULT '{1}',
    a pair, x xml[], big bigint, amount numeric, ring circle, ls lseg, PRIMARY KEY (tenant_id, id));
CREATE TABLE letters (id int NOT NULL, tenant_id text NOT NULL, note text NOT NULL, flag bool NOT NULL DEFAULT true, nn text COLLATE nd,
    german text COLLATE \"de-x-icu\", PRIMARY KEY (tenant_id, id));
CREATE TABLE places (id int NOT NULL, tenant_id text NOT NULL, area polygon, PRIMARY KEY (tenant_id, id));
CREATE INDEX ON places USING gist (area);
INSERT INTO places VALUES (1, 'acme', '((0,0),(1,1),(1,0))');
CREATE TABLE countries (code text PRIMARY KEY);
INSERT INTO countries VALUES ('DE');
CREATE TABLE uses (id int NOT NULL, tenant_id text NOT NULL, code text REFERENCES countries, PRIMARY KEY (tenant_id, id));
CREATE TABLE hidden (id int NOT NULL, org text NOT NULL, stars int, PRIMARY KEY (org, id));
INSERT INTO hidden VALUES (1, 'acme', 1);
INSERT INTO uses VALUES (8, 'acme', NULL), (9, 'acme', NULL);
INSERT INTO orders (id, tenant_id, note, flag) VALUES (1, 'acme', 'a', false);
";

/// Of another tenant: what each of the statements would stumble over.
const OTHERS: &str = "
INSERT INTO orders SELECT n, 'globex', 'z', true, '{1}', '(\"(1,1)\",x)'::pair, ARRAY['<a/>'::xml], 8000000000, 1e300, '<(0,0),1e200>', '[(-1e308,0),(1e308,1e308)]' FROM generate_series(1, 40) n;
INSERT INTO letters SELECT n, 'globex', 'z', true, 'q', 'q' FROM generate_series(1, 40) n;
INSERT INTO uses VALUES (1, 'globex', 'DE');
INSERT INTO places VALUES (1, 'globex', '((-1e308,-1e308),(1e308,1e308),(1e308,-1e308))');
";

/// Texts of several statements, which settle first how they are planned.
const IN_TURN: &[&str] = &[
    "PREPARE a(float8[]) AS SELECT id FROM orders WHERE note > 'y' AND amount = ANY($1); EXECUTE a('{}')",
    "PREPARE a(oid[]) AS SELECT id FROM orders WHERE NOT flag OR big = ANY($1); EXECUTE a('{}')",
    "PREPARE a(name) AS SELECT id FROM letters WHERE note > 'y' AND $1 < german; EXECUTE a('x')",
    "PREPARE a(name[]) AS SELECT id FROM letters WHERE note > 'y' AND german < $1[1]; EXECUTE a('{x}')",
    "SET plan_cache_mode = force_generic_plan; PREPARE a(name) AS SELECT id FROM orders WHERE note > 'y' AND note < $1[0:1]; EXECUTE a('x')",
    "SET plan_cache_mode = force_generic_plan; PREPARE a(circle) AS SELECT id FROM orders WHERE note > 'y' AND (NOT flag OR circle_eq($1, $1)); EXECUTE a('<(0,0),1e200>')",
    "SET plan_cache_mode = force_generic_plan; PREPARE a(lseg) AS SELECT id FROM orders WHERE note > 'y' AND length($1) IS NULL; EXECUTE a('[(-1e308,0),(1e308,1e308)]')",
    "SET enable_seqscan = off; SET enable_sort = off; SELECT id FROM places ORDER BY area <-> point '(0,0)' LIMIT 1",
    "SET enable_seqscan = off; SET enable_sort = off; SELECT id FROM (SELECT * FROM places) s ORDER BY area <-> point '(0,0)' LIMIT 1",
    "SET enable_seqscan = off; SET enable_sort = off; WITH w AS (SELECT * FROM places) SELECT area <-> point '(0,0)' AS d FROM w ORDER BY d",
];

/// A statement, and its parameters.
const ASKED: &[(&str, &[Option<&str>])] = &[
    (
        "SELECT id FROM orders WHERE note > 'y' AND CASE WHEN note IS NOT NULL THEN '-1'::information_schema.cardinal_number IS NULL END",
        &[],
    ),
    ("SELECT id FROM orders WHERE flag AND CASE WHEN flag THEN 'x'::information_schema.yes_or_no IS NULL END", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND '-1'::posint IS NULL", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND ARRAY['-1']::posint[] IS NULL", &[]),
    ("SELECT id FROM (SELECT *, '-1'::posint AS k FROM orders) s WHERE note > 'y' AND k IS NULL", &[]),
    ("SELECT id FROM orders, (VALUES ('-1'::posint)) s(k) WHERE note > 'y' AND k IS NULL", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND true = 'f'::yes", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND flag = 'f'::yes", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND a = a", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND CASE a WHEN a THEN true END", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND x = x", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND a IN (SELECT a FROM orders)", &[]),
    ("SELECT count(*) FROM orders o WHERE note > 'y' AND (o.a).t = 'x' AND NULLIF(a, a) IS NULL", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND circle_eq(ring, ring)", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND lseg_lt(ls, ls)", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND length(ls) IS NULL", &[]),
    ("SELECT id FROM orders o WHERE note > 'y' AND (o.ls).length IS NULL", &[]),
    ("SELECT id FROM letters WHERE flag AND nn LIKE 'a%'", &[]),
    ("SELECT id FROM letters WHERE flag AND nn ^@ 'a'", &[]),
    ("SELECT id FROM letters WHERE flag AND note COLLATE nd ILIKE 'a%'", &[]),
    ("SELECT id FROM letters WHERE flag AND starts_with(note COLLATE nd, 'a')", &[]),
    ("SELECT id FROM letters WHERE flag AND strpos(nn, 'a') > 0", &[]),
    ("SELECT id FROM letters WHERE note > 'y' AND upper(coalesce(nn, german)) IS NULL", &[]),
    ("SELECT id FROM letters WHERE note > 'y' AND CASE WHEN flag THEN nn < german END", &[]),
    (
        "SELECT id FROM (SELECT id, note, note COLLATE \"C\" AS a, note COLLATE \"POSIX\" AS b FROM letters) s WHERE note > 'y' AND upper(coalesce(a, b)) IS NULL",
        &[],
    ),
    (
        "SELECT id FROM letters o, (SELECT 'q' COLLATE \"C\" AS c, 'r' COLLATE \"POSIX\" AS d) s WHERE note > 'y' AND upper(coalesce(c, note, d)) IS NULL",
        &[],
    ),
    ("SELECT code, xmax FROM countries", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND (flag <> 't' OR to_date('zz', 'YYYY') IS NULL)", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND (NOT flag OR note > $1 OR to_date('zz', 'YYYY') IS NULL)", &[None]),
    ("SELECT id FROM orders o, (SELECT 5 AS k) s WHERE note > 'y' AND (NOT o.flag OR s.k = 6 OR to_date('zz', 'YYYY') IS NULL)", &[]),
    ("SELECT id FROM orders o, (VALUES (5)) s(k) WHERE note > 'y' AND (NOT o.flag OR s.k = 6 OR to_date('zz', 'YYYY') IS NULL)", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND nums > ARRAY[$1::int[], $2::int[]]", &[Some("{1}"), Some("{1,2}")]),
    ("SELECT id FROM orders WHERE note > 'y' AND (id < 0 OR ARRAY[$1::int[], $2::int[]] IS NULL)", &[Some("{1}"), Some("{1,2}")]),
    ("SELECT id FROM orders LEFT JOIN floats USING (amount) WHERE amount IS NULL", &[]),
    ("SELECT id FROM orders NATURAL LEFT JOIN oids WHERE note > 'y' AND big IS NULL", &[]),
    ("SELECT id FROM orders RIGHT JOIN oids USING (big) WHERE note > 'y' AND big IS NULL", &[]),
    ("SELECT j.big FROM (orders LEFT JOIN oids USING (big)) AS j WHERE j.big IS NULL", &[]),
    ("SELECT o.id FROM orders o JOIN orders p USING (ring)", &[]),
    ("SELECT o.id FROM orders o LEFT JOIN orders p USING (a) WHERE o.note > 'y'", &[]),
    ("SELECT o.id FROM (orders o JOIN uses u ON u.id = o.id) JOIN orders p USING (ring)", &[]),
    ("WITH w AS (SELECT ring, note FROM orders) SELECT w.note FROM w JOIN orders p USING (ring) WHERE w.note > 'y'", &[]),
    ("SELECT count(*) FROM orders NATURAL JOIN countries", &[]),
    ("SELECT count(*) FROM letters l JOIN letters m USING (nn, german)", &[]),
    ("SELECT id FROM orders WHERE amount = ANY ('{}'::float8[])", &[]),
    ("SELECT id FROM orders WHERE amount <> ALL (ARRAY[]::float8[])", &[]),
    ("SELECT id FROM orders WHERE amount = SOME (NULL::float8[])", &[]),
    ("SELECT id FROM orders WHERE big = ANY ('{}'::oid[])", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND (WITH w AS (SELECT 1 / (note = 'z')::int - 1 AS x) SELECT 1 / x FROM w) > 0", &[]),
    ("SELECT id FROM orders WHERE CASE WHEN note > 'y' THEN (SELECT id FROM uses) IS NULL END", &[]),
    ("SELECT id FROM orders WHERE CASE WHEN note > 'y' THEN (VALUES (1), (2)) IS NULL END", &[]),
    ("SELECT id FROM orders WHERE CASE WHEN note > 'y' THEN (SELECT 1 LIMIT -1) IS NULL END", &[]),
    ("SELECT id FROM orders WHERE CASE WHEN note > 'y' THEN EXISTS (SELECT 1 OFFSET -1) END", &[]),
    ("SELECT id FROM orders WHERE CASE WHEN note > 'y' THEN (SELECT count(*) FROM uses TABLESAMPLE bernoulli (200)) IS NULL END", &[]),
    ("SELECT count(*) FROM orders WHERE CASE WHEN note > 'y' THEN (SELECT id FROM uses WHERE id = 9 FOR UPDATE) IS NULL END", &[]),
    ("SELECT xmax = '0' FROM uses WHERE id = 9", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND (NOT flag OR $1::circle < $2::circle)", &[Some("<(0,0),1e200>"), Some("<(0,0),1e200>")]),
    ("SELECT id FROM orders WHERE note > 'y' AND (NOT flag OR ARRAY[$1::json] < ARRAY[$2::json])", &[Some("1"), Some("2")]),
    (
        "SELECT id FROM orders WHERE note > 'y' AND (CASE WHEN flag THEN format('%z', 1) END)::text = (CASE WHEN flag THEN format('%z', 1) END)::text",
        &[],
    ),
    ("SELECT id FROM orders WHERE CASE WHEN note > 'y' THEN COALESCE($1::numeric, $2::float8) IS NULL END", &[Some("1e400"), None]),
    ("SELECT id FROM orders WHERE COALESCE(CASE WHEN flag THEN amount END, 7::float8) IS NULL", &[]),
    ("SELECT id FROM (SELECT *, amount AS q FROM orders) s WHERE COALESCE(s.q, 7::float8) IS NULL", &[]),
    ("SELECT s.id FROM (SELECT id, amount FROM orders) s LEFT JOIN floats USING (amount) WHERE amount IS NULL", &[]),
    ("SELECT id FROM orders WHERE note > 'y' AND ('-1'::int4).posint IS NULL", &[]),
    ("SELECT id FROM (SELECT id, note, a AS zz FROM orders) s WHERE note > 'y' AND zz < zz", &[]),
];

#[test]
fn nothing_that_fails_tells_of_others_rows() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for set in ["enable_indexscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan"] {
        acme.query(&format!("SET {set}")).unwrap();
    }
    acme.query("CREATE TEMP TABLE floats (amount float8)").unwrap();
    acme.query("CREATE TEMP TABLE oids (big oid)").unwrap();
    let ask = |acme: &mut Client| -> Vec<String> {
        let answer = |(sql, parameters): &(&str, &[Option<&str>])| match acme.extended(sql, parameters) {
            Ok(rows) => format!("{sql}\n  {}\n{}", rows.tag, rows.text()),
            Err(error) => format!("{sql}\n  {} {}", error.code, error.message),
        };
        let mut all: Vec<String> = ASKED.iter().map(answer).collect();
        for text in IN_TURN {
            // Each text in a session of its own, for what it settles lasts.
            all.push(match Client::tenant(wall.port("pg"), "acme").query(text) {
                Ok(rows) => format!("{text}\n  {}\n{}", rows.tag, rows.text()),
                Err(error) => format!("{text}\n  {} {}", error.code, error.message),
            });
        }
        all
    };
    let before = ask(&mut acme);
    database.psql(OTHERS);
    let after = ask(&mut acme);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    // They were asked, not refused for another reason.
    let refused = before.iter().filter(|answer| answer.contains("\n  42") || answer.contains("\n  0A000")).collect::<Vec<_>>();
    assert!(refused.len() <= 1, "{refused:#?}");
}

/// Pulled out of WITH, the level around a subquery shows nothing that does not exist for the tenant.
#[test]
fn a_hidden_column_is_not_there_in_with() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for sql in [
        "UPDATE hidden n SET stars = 2 RETURNING (WITH w AS (SELECT n.org) SELECT w::text FROM w)",
        "UPDATE hidden SET stars = 2 RETURNING (WITH w AS (SELECT org) SELECT w::text FROM w)",
        "DELETE FROM hidden n RETURNING (WITH w AS (SELECT n.*) SELECT w::text FROM w)",
        "INSERT INTO hidden VALUES (2, 1) RETURNING (WITH w AS (SELECT hidden.org) SELECT w::text FROM w)",
    ] {
        match acme.query(sql) {
            Ok(rows) => assert!(!rows.text().contains("acme"), "{sql}: {}", rows.text()),
            Err(error) => assert!(matches!(error.code.as_str(), "42703" | "0A000"), "{sql}: {error:?}"),
        }
    }
}
