//! Tables without a tenant column: a row belongs to the tenant who owns the row that it refers to.

use crate::support::{Client, Database, Postgres, Wall};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders: { scoped: tenant_id }
    public.items:  { through: { table: public.orders, on: { order_id: id } } }
    public.parts:  { through: { table: public.items, on: { order_id: order_id, line: line } } }
";

/// Acme has order 1 and globex order 2, each with an item and a part; the other's texts cannot be read as numbers.
const SCHEMA: &str = "
CREATE TABLE orders (id int PRIMARY KEY, tenant_id text NOT NULL, note text);
CREATE TABLE items (order_id int NOT NULL REFERENCES orders ON DELETE CASCADE, line int NOT NULL, sku text, qty int NOT NULL DEFAULT 1,
    PRIMARY KEY (order_id, line));
CREATE TABLE parts (order_id int NOT NULL, line int NOT NULL, name text, FOREIGN KEY (order_id, line) REFERENCES items ON DELETE CASCADE);
INSERT INTO orders VALUES (1, 'acme', '10'), (2, 'globex', 'CANARY'), (3, 'acme', '30');
INSERT INTO items VALUES (1, 1, '11', 5), (1, 2, '12', 6), (2, 1, 'CANARY', 0);
INSERT INTO parts VALUES (1, 1, '1'), (2, 1, 'CANARY');";

fn orders() -> Database {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    database
}

fn others(database: &Database) -> String {
    let rows = |table: &str| database.psql(&format!("SELECT ctid, xmin, xmax, t FROM {table} t WHERE t::text LIKE '%CANARY%' ORDER BY 1"));
    ["orders", "items", "parts"].map(rows).join("\n")
}

#[test]
fn rows_are_read_by_way_of_their_parents() {
    let database = orders();
    let wall = Wall::for_database(&database, POLICY);
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    for (sql, wanted) in [
        ("SELECT order_id, line FROM items ORDER BY 1, 2", "1|1\n1|2"),
        ("SELECT name FROM parts", "1"),
        ("SELECT o.id, i.line FROM orders o LEFT JOIN items i ON i.order_id = o.id ORDER BY 1, 2", "1|1\n1|2\n3|"),
        ("SELECT o.id, i.line FROM items i FULL JOIN orders o ON i.order_id = o.id ORDER BY 1, 2", "1|1\n1|2\n3|"),
        ("SELECT line, name FROM items JOIN parts USING (order_id, line)", "1|1"),
        ("SELECT count(*) FROM items WHERE sku::int > 11", "1"),
        ("SELECT sku FROM items WHERE (SELECT items.sku::int) > 11", "12"),
        ("SELECT x FROM items i, LATERAL (SELECT i.sku::int AS x) s ORDER BY 1", "11\n12"),
        ("SELECT n FROM items i, generate_series(i.sku::int, 12) n ORDER BY 1", "11\n12\n12"),
        ("SELECT sku::int + 100 / qty FROM items ORDER BY 1", "28\n31"),
        ("SELECT max(name::int) FROM parts GROUP BY name::int HAVING max(name::int) > 0", "1"),
        ("WITH w AS (SELECT sku::int AS x FROM items) SELECT x FROM w WHERE x > 11", "12"),
        ("SELECT i FROM items i WHERE line = 2", "(1,2,12,6)"),
        ("SELECT ctid IS NOT NULL, tableoid::regclass FROM parts", "t|parts"),
        ("TABLE parts", "1|1|1"),
    ] {
        assert_eq!(acme.query(sql).map(|a| a.text()), Ok(wanted.to_owned()), "{sql}");
    }
    assert_eq!(acme.extended("SELECT sku FROM items WHERE line = $1", &[Some("2")]).unwrap().text(), "12");
    assert_eq!(globex.query("SELECT sku FROM items").unwrap().text(), "CANARY");
    assert_eq!(acme.query("SELECT 1 FROM items WHERE sku = 'CANARY' AND qty / 0 > 1").unwrap().text(), "");
}

#[test]
fn rows_are_changed_by_way_of_their_parents() {
    let database = orders();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let before = others(&database);
    for (sql, tag) in [
        ("UPDATE items SET qty = qty + 1", "UPDATE 2"),
        ("UPDATE items i SET qty = o.id FROM orders o WHERE o.id = i.order_id RETURNING sku::int", "UPDATE 2"),
        ("UPDATE parts SET name = (SELECT max(sku::int)::text FROM items)", "UPDATE 1"),
        ("MERGE INTO items i USING orders o ON true WHEN MATCHED AND o.id = 3 THEN UPDATE SET qty = 9", "MERGE 2"),
        ("DELETE FROM parts USING items i WHERE i.line = parts.line", "DELETE 1"),
        ("TRUNCATE parts", "TRUNCATE TABLE"),
        ("DELETE FROM items WHERE sku::int = 12", "DELETE 1"),
        ("DELETE FROM orders WHERE id = 1", "DELETE 1"),
    ] {
        assert_eq!(acme.query(sql).map(|a| a.tag), Ok(tag.to_owned()), "{sql}");
    }
    assert_eq!(others(&database), before);
    assert_eq!(database.psql("SELECT count(*) FROM items"), "1");
    for sql in ["INSERT INTO items VALUES (2, 2)", "UPDATE items SET order_id = 2", "COPY items FROM STDIN"] {
        assert!(acme.query(sql).is_err(), "{sql}");
    }
}

#[test]
fn only_the_rows_themselves_are_locked() {
    let database = orders();
    let wall = Wall::for_database(&database, POLICY);
    let (mut one, mut two) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "acme"));
    one.query("BEGIN").unwrap();
    assert_eq!(one.query("SELECT line FROM items WHERE line = 1 FOR UPDATE").unwrap().text(), "1");
    assert_eq!(two.query("SELECT id FROM orders WHERE id = 1 FOR UPDATE NOWAIT").unwrap().text(), "1");
    assert_eq!(two.query("SELECT line FROM items WHERE line = 2 FOR UPDATE NOWAIT").unwrap().text(), "2");
    assert_eq!(two.query("SELECT line FROM items WHERE line = 1 FOR UPDATE NOWAIT").unwrap_err().code, "55P03");
    // A cursor stands on the own rows only, so that WHERE CURRENT OF needs no guard.
    one.query("DECLARE c CURSOR FOR SELECT qty FROM items ORDER BY line FOR UPDATE").unwrap();
    assert_eq!(one.query("FETCH 2 FROM c").unwrap().text(), "5\n6");
    assert_eq!(one.query("UPDATE items SET qty = 7 WHERE CURRENT OF c RETURNING line").unwrap().text(), "2");
}

/// What makes a table unfit to be a parent, and the start of what is said at its entry.
const UNFIT: &[(&str, &str)] = &[
    ("ALTER TABLE items DROP COLUMN order_id CASCADE", "public.items has no column \"order_id\""),
    ("ALTER TABLE orders RENAME COLUMN id TO number", "public.orders has no column \"id\""),
    (
        "ALTER TABLE items DROP CONSTRAINT items_order_id_fkey; DROP TABLE parts; CREATE TABLE parts (order_id int, line int); ALTER TABLE items ALTER order_id TYPE text",
        "public.items.order_id and public.orders.id cannot be compared",
    ),
    ("ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE", "the columns of public.orders under `on` are not unique"),
    (
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE; ALTER TABLE orders ADD UNIQUE (id) DEFERRABLE",
        "the columns of public.orders under `on` are not unique",
    ),
    (
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE; CREATE UNIQUE INDEX ON orders (id) WHERE id > 1",
        "the columns of public.orders under `on` are not unique",
    ),
    (
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE; ALTER TABLE orders ADD PRIMARY KEY (tenant_id, id)",
        "the columns of public.orders under `on` are not unique",
    ),
    ("CREATE TABLE old () INHERITS (orders)", "public.orders cannot tell whose"),
    ("DROP TABLE parts; CREATE VIEW parts AS SELECT 1 AS order_id, 2 AS line", "public.parts is a view"),
];

#[test]
fn a_parent_that_cannot_tell_stops_the_start() {
    for (change, wanted) in UNFIT {
        let database = orders();
        database.psql(change);
        let config = Wall::config(&database, "identity: [startup]", "user: postgres");
        let Err(said) = Wall::attempt(&config, &[("policy.yaml", POLICY)]) else { panic!("{change}: it starts") };
        assert!(said.contains(wanted) && said.contains("policy.yaml:1"), "{change}: {said}");
    }
}

#[test]
fn a_parent_stays_where_no_foreign_key_holds_its_rows() {
    for (change, held) in [
        ("ALTER TABLE items DROP CONSTRAINT items_order_id_fkey", false),
        ("ALTER TABLE items DROP CONSTRAINT items_order_id_fkey, ADD FOREIGN KEY (order_id) REFERENCES orders ON DELETE SET NULL", false),
        ("ALTER TABLE items DROP CONSTRAINT items_order_id_fkey, ADD FOREIGN KEY (order_id) REFERENCES orders NOT VALID", false),
        ("ALTER TABLE items DROP CONSTRAINT items_order_id_fkey, ADD FOREIGN KEY (order_id) REFERENCES orders ON UPDATE CASCADE", true),
    ] {
        let database = orders();
        database.psql(change);
        let wall = Wall::for_database(&database, POLICY);
        let mut acme = Client::tenant(wall.port("pg"), "acme");
        let deleted = acme.query("DELETE FROM orders WHERE id = 3");
        assert_eq!(deleted.map(|a| a.tag).map_err(|e| e.code), if held { Ok("DELETE 1".into()) } else { Err("42501".into()) }, "{change}");
    }
}
