//! What the verifier must not let pass in a tenant's own schema: each outgoing text is a rewriter's mistake.
#![allow(clippy::panic, reason = "a test stops where it fails")]

use crate::config::document::{Findings, Reader};
use crate::policy::{Home, Policy};
use crate::sql::offline::from_dump_for;
use crate::sql::verify::verify;
use crate::sql::{Catalog, Judge};
use std::sync::Arc;

const POLICY: &str =
    "version: 1\nname: x\ntenants: { id: '[a-z]+' }\npostgres:\n  layout: schema\n  tables: { lists.countries: { shared: read } }\n";
const DUMP: &str = "
CREATE TYPE public.mood AS ENUM ('good');
CREATE TYPE tenant_b.mood AS ENUM ('bad');
CREATE TABLE public.orders (id int PRIMARY KEY, mood mood, item text);
CREATE TABLE public.items (id int);
CREATE TABLE tenant_b.orders (id int PRIMARY KEY, item text);
CREATE TABLE tenant_b.theirs (id int);
CREATE TABLE public.referred (id int PRIMARY KEY);
CREATE TABLE lists.countries (code text);
CREATE TABLE lists.hidden (code text);";

fn catalog() -> (Arc<Policy>, Catalog) {
    let mut findings = Findings::new();
    let mut reader = Reader { file: "p.yaml".into(), findings: &mut findings };
    let policy = crate::policy::file::read(&mut reader, POLICY).unwrap_or_else(|| panic!("{findings:?}"));
    let home = Home::Schema("tenant_a".into());
    let mut catalog = from_dump_for(&policy, &home, DUMP).unwrap_or_else(|p| panic!("{p:?}"));
    let key = ("public".to_owned(), "referred".to_owned());
    let Some(referred) = catalog.relations.get(&key) else { panic!("no table") };
    let referred = crate::sql::catalog::Relation { referenced_by: vec![99_999], ..(**referred).clone() };
    let sequence = crate::sql::catalog::Relation { kind: 'S', name: "items_id_seq".into(), ..referred.clone() };
    catalog.sequences.insert(("public".to_owned(), "items_id_seq".to_owned()), Arc::new(sequence));
    catalog.relations.insert(key, Arc::new(referred));
    (Arc::new(policy), catalog)
}

/// A statement, a good rewriting, and bad ones.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "SELECT * FROM orders",
        "SELECT * FROM tenant_a.orders",
        &[
            "SELECT * FROM orders",
            "SELECT * FROM public.orders",
            "SELECT * FROM tenant_b.orders",
            "SELECT * FROM pg_temp.orders",
            "SELECT * FROM x.tenant_a.orders",
        ],
    ),
    (
        "SELECT public.orders.id FROM public.orders",
        "SELECT tenant_a.orders.id FROM tenant_a.orders",
        &[
            "SELECT public.orders.id FROM tenant_a.orders",
            "SELECT orders.id FROM tenant_a.orders",
            "SELECT tenant_b.orders.id FROM tenant_a.orders",
        ],
    ),
    ("SELECT * FROM lists.countries", "SELECT * FROM lists.countries", &["SELECT * FROM tenant_a.countries", "SELECT * FROM lists.hidden"]),
    (
        "SELECT 'good'::mood",
        "SELECT 'good'::tenant_a.mood",
        &["SELECT 'good'::mood", "SELECT 'good'::tenant_b.mood", "SELECT 'good'::public.mood"],
    ),
    ("SELECT 'good'::public.mood", "SELECT 'good'::tenant_a.mood", &["SELECT 'good'::public.mood"]),
    (
        "INSERT INTO orders (id) VALUES (1)",
        "INSERT INTO tenant_a.orders (id) VALUES (1)",
        &["INSERT INTO tenant_b.orders (id) VALUES (1)", "INSERT INTO orders (id) VALUES (1)"],
    ),
    (
        "DELETE FROM orders USING items WHERE items.id = orders.id",
        "DELETE FROM tenant_a.orders USING tenant_a.items WHERE items.id = orders.id",
        &[
            "DELETE FROM tenant_a.orders USING tenant_b.items WHERE items.id = orders.id",
            "DELETE FROM tenant_a.orders USING items WHERE items.id = orders.id",
        ],
    ),
    (
        "MERGE INTO orders o USING items i ON i.id = o.id WHEN MATCHED THEN DELETE",
        "MERGE INTO tenant_a.orders o USING tenant_a.items i ON i.id = o.id WHEN MATCHED THEN DELETE",
        &[
            "MERGE INTO tenant_a.orders o USING tenant_b.orders i ON i.id = o.id WHEN MATCHED THEN DELETE",
            "MERGE INTO tenant_b.orders o USING tenant_a.items i ON i.id = o.id WHEN MATCHED THEN DELETE",
        ],
    ),
    (
        "TRUNCATE orders, public.items",
        "TRUNCATE tenant_a.orders, tenant_a.items",
        &[
            "TRUNCATE tenant_a.orders, tenant_b.theirs",
            "TRUNCATE orders, items",
            "TRUNCATE tenant_a.orders",
            "TRUNCATE tenant_a.orders, tenant_a.items CASCADE",
        ],
    ),
    (
        "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE tenant_a.orders IN ACCESS EXCLUSIVE MODE",
        &["LOCK TABLE tenant_b.orders IN ACCESS EXCLUSIVE MODE", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"],
    ),
    (
        "COPY orders FROM STDIN",
        "COPY tenant_a.orders FROM STDIN",
        &["COPY tenant_b.orders FROM STDIN", "COPY orders FROM STDIN", "COPY tenant_a.orders FROM '/etc/passwd'"],
    ),
    (
        "SET search_path TO public",
        "SET search_path TO tenant_a",
        &["SET search_path TO public", "SET search_path TO tenant_b", "SET search_path TO tenant_a, tenant_b"],
    ),
    (
        "SET LOCAL search_path = '$user', public",
        "SET LOCAL search_path TO tenant_a",
        &["SET search_path TO tenant_a", "SET LOCAL search_path TO '$user', public"],
    ),
    (
        "SHOW search_path",
        "SELECT '\"$user\", public'::pg_catalog.text AS search_path",
        &[
            "SHOW search_path",
            "SELECT current_setting('search_path') AS search_path",
            "SELECT '\"$user\", public'::pg_catalog.text AS search_path FROM tenant_b.orders",
        ],
    ),
    ("SELECT current_schema()", "SELECT 'public'::pg_catalog.name", &["SELECT current_schema()", "SELECT pg_catalog.current_schema()"]),
    ("SELECT current_schema", "SELECT 'public'::pg_catalog.name", &["SELECT current_schema"]),
    (
        "SELECT current_schemas(false)",
        "SELECT '{public}'::pg_catalog._name",
        &["SELECT pg_catalog.current_schemas(false)", "SELECT '{pg_catalog,public}'::pg_catalog._name"],
    ),
    (
        "CREATE TABLE t (id int REFERENCES orders, m mood)",
        "CREATE TABLE tenant_a.t (id int REFERENCES tenant_a.orders, m tenant_a.mood)",
        &[
            "CREATE TABLE t (id int REFERENCES tenant_a.orders, m tenant_a.mood)",
            "CREATE TABLE tenant_b.t (id int REFERENCES tenant_a.orders, m tenant_a.mood)",
            "CREATE TABLE tenant_a.t (id int REFERENCES tenant_b.orders, m tenant_a.mood)",
            "CREATE TABLE tenant_a.t (id int REFERENCES tenant_a.orders, m tenant_b.mood)",
            "CREATE TABLE tenant_a.t (id int REFERENCES tenant_a.orders, m tenant_a.mood) INHERITS (tenant_b.orders)",
        ],
    ),
    (
        "CREATE VIEW v AS SELECT id FROM orders",
        "CREATE VIEW tenant_a.v AS SELECT id FROM tenant_a.orders",
        &["CREATE VIEW tenant_a.v AS SELECT id FROM tenant_b.orders", "CREATE VIEW tenant_b.v AS SELECT id FROM tenant_a.orders"],
    ),
    (
        "DROP TABLE orders",
        "DROP TABLE tenant_a.orders",
        &["DROP TABLE tenant_b.orders", "DROP TABLE orders", "DROP TABLE tenant_a.orders CASCADE"],
    ),
    (
        "ALTER TABLE orders DROP COLUMN item",
        "ALTER TABLE tenant_a.orders DROP COLUMN item",
        &["ALTER TABLE tenant_b.orders DROP COLUMN item", "ALTER TABLE tenant_a.orders DROP COLUMN item CASCADE"],
    ),
    (
        "SET CONSTRAINTS public.c DEFERRED",
        "SET CONSTRAINTS tenant_a.c DEFERRED",
        &["SET CONSTRAINTS tenant_b.c DEFERRED", "SET CONSTRAINTS c DEFERRED"],
    ),
];

#[test]
fn only_the_own_schema_is_proved() {
    let (_, catalog) = catalog();
    for (client, good, bad) in CASES {
        assert_eq!(verify(client, good, &catalog, 9).map(|_| ()), Ok(()), "{client}");
        for outgoing in *bad {
            assert!(verify(client, outgoing, &catalog, 9).is_err(), "{client} => {outgoing}");
        }
    }
    for client in ["SELECT 'english'::regconfig", "SELECT 'pg_catalog.simple'::regdictionary", "SELECT NULL::regconfig"] {
        assert_eq!(verify(client, client, &catalog, 9).map(|_| ()), Ok(()), "{client}");
    }
    // What the client cannot name is not proved either.
    for (client, outgoing) in [
        ("SELECT * FROM tenant_a.orders", "SELECT * FROM tenant_a.orders"),
        ("SELECT * FROM tenant_b.orders", "SELECT * FROM tenant_b.orders"),
        ("SELECT 'good'::tenant_a.mood", "SELECT 'good'::tenant_a.mood"),
        ("SELECT 'good'::tenant_b.mood", "SELECT 'good'::tenant_b.mood"),
        ("TRUNCATE referred CASCADE", "TRUNCATE tenant_a.referred CASCADE"),
        ("DROP TABLE orders CASCADE", "DROP TABLE tenant_a.orders CASCADE"),
        ("ALTER TABLE orders OWNER TO x", "ALTER TABLE tenant_a.orders OWNER TO x"),
        ("ALTER TABLE orders DISABLE TRIGGER ALL", "ALTER TABLE tenant_a.orders DISABLE TRIGGER ALL"),
        ("SELECT 1 COLLATE tenant_b.c", "SELECT 1 COLLATE tenant_b.c"),
        ("SELECT 1 OPERATOR(tenant_b.+) 1", "SELECT 1 OPERATOR(tenant_b.+) 1"),
        ("SELECT tenant_b.f()", "SELECT tenant_b.f()"),
        ("SELECT 'tenant_b.x'::regconfig", "SELECT 'tenant_b.x'::regconfig"),
        ("SELECT $1::regconfig", "SELECT $1::regconfig"),
        ("SELECT ('tenant_b.' || 'x')::regdictionary", "SELECT ('tenant_b.' || 'x')::regdictionary"),
        ("SELECT to_tsvector('tenant_b.x', 'a')", "SELECT pg_catalog.to_tsvector('tenant_b.x', 'a')"),
        ("SELECT to_tsvector('tenant_b.x'::unknown, 'a')", "SELECT pg_catalog.to_tsvector('tenant_b.x'::unknown, 'a')"),
        ("SELECT to_tsvector('tenant_b.x' COLLATE \"C\", 'a')", "SELECT pg_catalog.to_tsvector('tenant_b.x' COLLATE \"C\", 'a')"),
        ("SELECT to_tsvector($1, 'a')", "SELECT pg_catalog.to_tsvector($1, 'a')"),
        ("SELECT ts_lexize('tenant_b.x', 'a')", "SELECT pg_catalog.ts_lexize('tenant_b.x', 'a')"),
        ("SELECT * FROM ts_parse('tenant_b.' || 'x', 'a')", "SELECT * FROM pg_catalog.ts_parse('tenant_b.' || 'x', 'a')"),
        ("CREATE TEMP TABLE t (c regconfig)", "CREATE TEMP TABLE pg_temp.t (c regconfig)"),
    ] {
        assert!(verify(client, outgoing, &catalog, 9).is_err(), "{client}");
    }
}

#[test]
fn a_catalog_that_is_wrong_about_a_place_is_not_believed() {
    let (_, good) = catalog();
    let key = ("public".to_owned(), "orders".to_owned());
    let Some(orders) = good.relations.get(&key) else { panic!("no orders") };
    let moved = crate::sql::catalog::Relation { schema: "tenant_b".into(), ..(**orders).clone() };
    let mut wrong = good.clone();
    wrong.relations.insert(key, Arc::new(moved));
    wrong.types.insert("mood".into(), "tenant_b".into());
    for (client, outgoing) in [
        ("SELECT * FROM orders", "SELECT * FROM tenant_b.orders"),
        ("SELECT 1 WHERE EXISTS (TABLE orders)", "SELECT 1 WHERE EXISTS (TABLE tenant_b.orders)"),
        ("DELETE FROM orders", "DELETE FROM tenant_b.orders"),
        ("COPY orders TO STDOUT", "COPY tenant_b.orders TO STDOUT"),
        ("SELECT 'x'::mood", "SELECT 'x'::tenant_b.mood"),
    ] {
        let said = verify(client, outgoing, &wrong, 9).map(|_| ()).map_err(|d| d.0);
        assert!(said.as_ref().is_err_and(|why| why.contains("outside the tenant's schema")), "{client}: {said:?}");
    }
}

#[test]
fn the_rewriter_makes_the_good_ones() {
    let (policy, catalog) = catalog();
    let Some(tenant) = policy.tenants.accept("a") else { panic!("no tenant") };
    let judge = Judge::new(policy, Arc::new(catalog));
    for (client, good, _) in CASES.iter().filter(|(client, ..)| !client.starts_with("SET CONSTRAINTS")) {
        let sent = judge.simple(client, &tenant).map(|s| s.outgoing.as_str().to_owned());
        // A target keeps the name that it had.
        let label =
            |text: String| text.replace(" AS \"current_schema\"", "").replace(" AS current_schemas", "").replace(" AS current_schema", "");
        let sent = sent.map(label);
        let printed =
            |sql: &str| crate::sql::parse::parse(sql).and_then(crate::sql::parse::deparse).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!(sent.map_err(|r| format!("{} {:?}", r.message, r.detail)), Ok(printed(good)), "{client}");
    }
}

#[cfg(feature = "mutants")]
#[test]
fn each_protection_is_missed() {
    use crate::sql::mutants::{Mutant, Mutation};
    let (policy, catalog) = catalog();
    let Some(tenant) = policy.tenants.accept("a") else { panic!("no tenant") };
    let judge = Judge::new(policy, Arc::new(catalog));
    for (mutant, sql) in [
        (Mutant::OwnSchema, "SELECT * FROM public.orders"),
        (Mutant::OwnSchema, "DELETE FROM orders"),
        (Mutant::OtherSchema, "SELECT * FROM tenant_b.orders"),
        (Mutant::OwnType, "SELECT 'good'::mood"),
        (Mutant::OwnSequence, "SELECT nextval('items_id_seq')"),
        (Mutant::SchemaPath, "SET search_path TO public"),
        (Mutant::SchemaShown, "SELECT current_schema()"),
        (Mutant::DdlSchema, "CREATE TABLE tenant_b.t (id int)"),
        (Mutant::DdlCascade, "DROP TABLE orders CASCADE"),
        (Mutant::DdlView, "CREATE VIEW v AS SELECT * FROM tenant_b.orders"),
        (Mutant::OwnCascade, "TRUNCATE referred CASCADE"),
    ] {
        let refused = judge.mutated(Mutation { mutant, unproved: false }).simple(sql, &tenant).err();
        let why = refused.map(|r| (r.sqlstate, r.message));
        assert!(why.as_ref().is_some_and(|(_, m)| m.contains("could not be proved")), "{mutant:?}: {why:?}");
    }
}
