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
    for sql in ["INSERT INTO items VALUES (2, 2)", "COPY items FROM STDIN"] {
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

/// What a row below order 2 (the other's), 9 (nobody's) and 1 (the own) comes to: SQLSTATE, or the tag.
#[test]
fn new_rows_stand_below_own_rows_only() {
    let database = orders();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let before = others(&database);
    for (sql, own) in [
        ("INSERT INTO items (order_id, line) VALUES (ID, 7)", "INSERT 0 1"),
        ("INSERT INTO items VALUES (3, 1), (ID, 8)", "INSERT 0 2"),
        ("INSERT INTO items (line, order_id) SELECT 9, ID", "INSERT 0 1"),
        ("INSERT INTO items (order_id, line) SELECT id, 10 FROM orders UNION SELECT ID, 11", "INSERT 0 3"),
        ("INSERT INTO items VALUES (ID, 1) ON CONFLICT DO NOTHING", "INSERT 0 0"),
        ("INSERT INTO items VALUES (1, 2) ON CONFLICT (order_id, line) DO UPDATE SET order_id = ID, line = 12", "INSERT 0 1"),
        ("UPDATE items SET order_id = ID WHERE order_id = 3 AND line = 10", "UPDATE 0"),
        ("UPDATE items SET order_id = order_id - 1 + ID WHERE line = 2", "UPDATE 1"),
        ("WITH w AS (INSERT INTO items VALUES (ID, 13) RETURNING line) SELECT line FROM w", "SELECT 1"),
        ("MERGE INTO items i USING orders o ON i.order_id = 99 WHEN NOT MATCHED AND o.id = 3 THEN INSERT VALUES (ID, 14)", "MERGE 1"),
        ("MERGE INTO items i USING orders o ON i.order_id = o.id WHEN MATCHED AND line = 2 THEN UPDATE SET order_id = ID", "MERGE 1"),
        ("INSERT INTO parts (line, order_id) VALUES (1, ID)", "INSERT 0 1"),
        ("UPDATE parts SET order_id = ID", "UPDATE 1"),
    ] {
        for (id, wanted) in [("2", "23503"), ("9", "23503"), ("1", own)] {
            let sql = sql.replace("ID", id);
            acme.query("BEGIN").unwrap();
            let got = acme.query(&sql).map(|a| a.tag).unwrap_or_else(|e| e.code);
            let wanted = if own == "UPDATE 0" { own } else { wanted };
            assert_eq!(got, wanted, "{sql}");
            acme.query("ROLLBACK").unwrap();
        }
    }
    assert_eq!(others(&database), before);
    // In the server's own words, whether the other's row is there or not.
    for id in ["2", "9"] {
        for attempt in [
            acme.query(&format!("INSERT INTO items VALUES ({id}, 1)")),
            acme.extended("INSERT INTO items VALUES ($1, 1)", &[Some(id)]),
            acme.extended("INSERT INTO items (order_id, line) SELECT $1, 1", &[Some(id)]),
            acme.extended("UPDATE items SET order_id = $1 WHERE line = 1", &[Some(id)]),
        ] {
            let error = attempt.unwrap_err();
            let said = "insert or update on table \"items\" violates foreign key constraint \"items_order_id_fkey\"";
            assert_eq!((error.code.as_str(), error.message.as_str()), ("23503", said));
            assert_eq!(error.detail, Some(format!("Key (order_id)=({id}) is not present in table \"orders\".")));
        }
        let error = acme.query(&format!("INSERT INTO parts VALUES ({id}, 1)")).unwrap_err();
        assert_eq!(error.detail, Some(format!("Key (order_id, line)=({id}, 1) is not present in table \"items\".")));
    }
    assert_eq!(acme.query("INSERT INTO items (line) VALUES (1)").unwrap_err().code, "23502");
    assert_eq!(acme.query("INSERT INTO items VALUES (NULL, 1)").unwrap_err().code, "23502");
    assert_eq!(acme.extended("INSERT INTO items VALUES ($1, 1)", &[None]).unwrap_err().code, "23502");
    assert_eq!(acme.query("COPY items FROM STDIN").unwrap_err().code, "0A000");
    assert_eq!(acme.extended("INSERT INTO items VALUES ($1, $2, $3)", &[Some("3"), Some("5"), Some("x")]).unwrap().tag, "INSERT 0 1");
}

#[test]
fn without_a_foreign_key_nobodys_rows_are_not_allowed() {
    let database = orders();
    database.psql("ALTER TABLE items DROP CONSTRAINT items_order_id_fkey; ALTER TABLE items DROP CONSTRAINT items_pkey CASCADE; ALTER TABLE items ALTER order_id DROP NOT NULL;
        ALTER TABLE items ADD UNIQUE (order_id, line); INSERT INTO items VALUES (NULL, 1, 'CANARY')");
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let before = others(&database);
    assert_eq!(acme.query("SELECT count(*) FROM items WHERE order_id IS NULL").unwrap().text(), "0");
    for sql in [
        "INSERT INTO items VALUES (2, 5)",
        "INSERT INTO items VALUES (9, 5)",
        "INSERT INTO items VALUES (NULL, 5)",
        "INSERT INTO items (line) VALUES (5)",
        "INSERT INTO items DEFAULT VALUES",
        "INSERT INTO items (order_id, line) SELECT NULL, 5",
        "UPDATE items SET order_id = NULL",
        "UPDATE items SET order_id = 2",
        "DELETE FROM orders",
    ] {
        assert_eq!(acme.query(sql).unwrap_err().code, "42501", "{sql}");
    }
    assert_eq!(acme.query("INSERT INTO items VALUES (1, 5)").unwrap().tag, "INSERT 0 1");
    assert_eq!(others(&database), before);
}

/// The parent goes while a row is written below it, and another tenant takes its number: the row must not become the other's.
#[test]
fn a_parent_that_was_seen_stays_until_the_end() {
    for keyed in [true, false] {
        let database = orders();
        if !keyed {
            database.psql("ALTER TABLE items DROP CONSTRAINT items_order_id_fkey");
        }
        let wall = Wall::for_database(&database, POLICY);
        let (mut acme, mut operator) = (
            Client::tenant(wall.port("pg"), "acme"),
            Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap(),
        );
        operator.query("SET lock_timeout = '300ms'").unwrap();
        acme.query("BEGIN").unwrap();
        acme.query("INSERT INTO items VALUES (3, 1)").unwrap();
        assert_eq!(operator.query("DELETE FROM orders WHERE id = 3").unwrap_err().code, "55P03");
        assert_eq!(operator.query("UPDATE orders SET id = 30 WHERE id = 3").unwrap_err().code, "55P03");
        assert_eq!(operator.query("UPDATE orders SET note = 'free' WHERE id = 3").unwrap().tag, "UPDATE 1");
        acme.query("COMMIT").unwrap();
        // The other way round: it waits for the end of the deletion, and sees it.
        operator.query("BEGIN").unwrap();
        operator.query("DELETE FROM items WHERE order_id = 3").unwrap();
        operator.query("DELETE FROM orders WHERE id = 3").unwrap();
        operator.query("INSERT INTO orders VALUES (3, 'globex')").unwrap();
        let late = std::thread::spawn(move || acme.query("INSERT INTO items VALUES (3, 2)").map(|a| a.tag).map_err(|e| e.code));
        std::thread::sleep(std::time::Duration::from_millis(300));
        operator.query("COMMIT").unwrap();
        assert_eq!(late.join().unwrap(), Err(if keyed { "23503" } else { "42501" }.to_owned()));
        assert_eq!(database.psql("SELECT count(*) FROM items WHERE order_id = 3"), "0");
    }
}

const KEYS_POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.users:     { scoped: tenant_id }
    public.tasks:     { scoped: tenant_id }
    public.countries: { shared: read }
";

/// Keys without the tenant: acme has users 1 and 3, globex 2.
const KEYS: &str = "
CREATE TABLE countries (code text PRIMARY KEY);
CREATE TABLE users (id bigint PRIMARY KEY, tenant_id text NOT NULL, boss bigint REFERENCES users, email text UNIQUE);
CREATE TABLE tasks (id serial PRIMARY KEY, tenant_id text NOT NULL, owner int NOT NULL REFERENCES users, helper bigint CONSTRAINT helped REFERENCES users,
    country text REFERENCES countries, later bigint REFERENCES users DEFERRABLE);
INSERT INTO countries VALUES ('at');
INSERT INTO users VALUES (1, 'acme', NULL), (2, 'globex', NULL), (3, 'acme', 1);
INSERT INTO tasks (tenant_id, owner) VALUES ('acme', 1);";

#[test]
fn foreign_keys_without_the_tenant_lead_to_own_rows_only() {
    let database = Postgres::shared().database();
    database.psql(KEYS);
    let wall = Wall::for_database(&database, KEYS_POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for (sql, own) in [
        ("INSERT INTO tasks (owner) VALUES (ID)", "INSERT 0 1"),
        ("INSERT INTO tasks (tenant_id, owner, helper) VALUES ('acme', 1, ID)", "INSERT 0 1"),
        ("INSERT INTO tasks (owner, helper) SELECT 1, ID", "INSERT 0 1"),
        ("INSERT INTO tasks (owner, country) SELECT id, 'at' FROM users WHERE id = 1 UNION ALL SELECT ID, NULL", "INSERT 0 2"),
        ("UPDATE tasks SET owner = ID", "UPDATE 1"),
        ("UPDATE tasks SET helper = ID, owner = 3", "UPDATE 1"),
        ("UPDATE users SET boss = ID WHERE id = 3", "UPDATE 1"),
        ("INSERT INTO users (id, boss) VALUES (7, ID)", "INSERT 0 1"),
        ("MERGE INTO tasks t USING users u ON false WHEN NOT MATCHED AND u.id = 1 THEN INSERT (owner) VALUES (ID)", "MERGE 1"),
    ] {
        for (id, wanted) in [("2", "23503"), ("9", "23503"), ("1", own)] {
            let sql = sql.replace("ID", id);
            acme.query("BEGIN").unwrap();
            let got = acme.query(&sql).map(|a| a.tag).unwrap_or_else(|e| e.code);
            assert_eq!(got, wanted, "{sql}");
            acme.query("ROLLBACK").unwrap();
        }
    }
    for id in ["2", "9"] {
        let error = acme.extended("INSERT INTO tasks (owner, helper) VALUES (1, $1)", &[Some(id)]).unwrap_err();
        assert_eq!(error.message, "insert or update on table \"tasks\" violates foreign key constraint \"helped\"");
        assert_eq!(error.detail, Some(format!("Key (helper)=({id}) is not present in table \"users\".")));
        // Where the server would look later, or at rows that the statement itself brings, there is one answer for both.
        for sql in [
            "INSERT INTO tasks (owner, later) VALUES (1, ID)",
            "INSERT INTO users (id, boss) VALUES (8, NULL), (7, ID)",
            "COPY tasks (owner) FROM STDIN",
        ] {
            let code = acme.query(&sql.replace("ID", id)).unwrap_err().code;
            assert!(matches!(code.as_str(), "42501" | "0A000"), "{sql}: {code}");
        }
    }
    // NULL leads nowhere, shared rows are everybody's, and what is not there at all is the server's own error.
    assert_eq!(acme.query("INSERT INTO tasks (owner, helper, country) VALUES (1, NULL, 'at')").unwrap().tag, "INSERT 0 1");
    assert_eq!(acme.query("INSERT INTO tasks (owner, country) VALUES (1, 'xx')").unwrap_err().code, "23503");
    assert_eq!(acme.query("INSERT INTO tasks (owner) VALUES (NULL)").unwrap_err().code, "23502");
    assert_eq!(acme.query("INSERT INTO tasks DEFAULT VALUES").unwrap_err().code, "23502");
    assert_eq!(
        acme.query("WITH u AS (INSERT INTO users (id) VALUES (5) RETURNING id) INSERT INTO tasks (owner) SELECT id FROM u")
            .unwrap_err()
            .code,
        "0A000"
    );
    assert_eq!(database.psql("SELECT count(*) FROM tasks WHERE owner = 2 OR helper = 2"), "0");
}

#[test]
fn a_new_row_may_refer_to_itself() {
    let database = Postgres::shared().database();
    database.psql(KEYS);
    let wall = Wall::for_database(&database, KEYS_POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut answer = |sql: &str| acme.query(sql).map(|a| a.tag).unwrap_or_else(|e| e.code);
    for (sql, wanted) in [
        ("INSERT INTO users (id, boss) VALUES (7, 7)", "INSERT 0 1"),
        ("INSERT INTO users (boss, id) VALUES (20, 20), (NULL, 21), (22, 22)", "INSERT 0 3"),
        ("INSERT INTO users (id, boss) VALUES (23, 24), (24, 24)", "42501"),
        ("INSERT INTO users (id, boss) VALUES (25, 26)", "23503"),
        ("INSERT INTO users (id, boss) VALUES (25, 2)", "23503"),
        // The other tenant's row has the key already.
        ("INSERT INTO users (id, boss) VALUES (2, 2)", "23505"),
        ("INSERT INTO users (id, boss) VALUES (20 + 8, 28)", "23503"),
        ("INSERT INTO users (id, boss) VALUES (30)", "42601"),
        ("INSERT INTO tasks (owner, helper) VALUES (1, 1), (1)", "42601"),
    ] {
        assert_eq!(answer(sql), wanted, "{sql}");
    }
    assert_eq!(acme.extended("INSERT INTO users (id, boss) VALUES ($1, $2)", &[Some("31"), Some("31")]).unwrap().tag, "INSERT 0 1");
    assert_eq!(acme.extended("INSERT INTO users (id, boss) VALUES ($1, $2)", &[Some("32"), Some("2")]).unwrap_err().code, "23503");
    drop(acme);
    // A trigger could store another key than the one that was compared.
    database.psql(
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := NEW.id + 100; RETURN NEW; END';
         CREATE TRIGGER other BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION other()",
    );
    let wall = Wall::for_database(&database, KEYS_POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(acme.query("INSERT INTO users (id, boss) VALUES (2, 2)").unwrap_err().code, "23503");
}

#[test]
fn what_is_converted_unasked_fails_on_no_other_row() {
    let database = Postgres::shared().database();
    database.psql(
        "CREATE TABLE orders (id int PRIMARY KEY, tenant_id text NOT NULL, note text);
         CREATE TABLE sums (order_id int NOT NULL REFERENCES orders, amount numeric, big bigint, day date, sku text);
         CREATE TABLE rates (code text, factor float8);
         INSERT INTO orders VALUES (1, 'acme', 'x'), (2, 'globex', 'CANARY');
         INSERT INTO sums VALUES (1, 5, 7, '2024-01-01', '3'), (2, ('1' || repeat('0', 310))::numeric, 99999999999, '5000000-01-01', 'CANARY');
         INSERT INTO rates VALUES ('a', 1.5); ANALYZE;",
    );
    let wall = Wall::for_database(
        &database,
        "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders: { scoped: tenant_id }
    public.sums:   { through: { table: public.orders, on: { order_id: id } } }
    public.rates:  { shared: read }
",
    );
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    for (sql, wanted) in [
        ("SELECT amount FROM sums WHERE amount > 1.5::float8", "5"),
        ("SELECT amount FROM sums WHERE big = 7::oid", "5"),
        ("SELECT s.amount FROM sums s JOIN rates r ON s.amount > r.factor", "5"),
        ("SELECT amount FROM sums WHERE amount IN (SELECT factor FROM rates)", ""),
        ("SELECT factor FROM rates WHERE factor IN (SELECT amount FROM sums)", ""),
        ("SELECT amount FROM sums WHERE coalesce(day, now()) > '2023-01-01'", "5"),
        ("SELECT count(*) FROM (SELECT amount AS a FROM sums UNION ALL SELECT factor FROM rates) u WHERE u.a IS NOT NULL", "2"),
        ("SELECT note FROM orders WHERE (id, 3) IN (SELECT order_id, sku::int FROM sums)", "x"),
        ("UPDATE sums SET sku = '4' WHERE amount < 100::float4 RETURNING sku", "4"),
    ] {
        assert_eq!(acme.query(sql).map(|a| a.text()), Ok(wanted.to_owned()), "{sql}");
    }
    assert_eq!(acme.query("PREPARE p(float8) AS SELECT amount FROM sums WHERE amount > $1").map(|a| a.text()), Ok(String::new()));
    assert_eq!(acme.query("EXECUTE p(2)").map(|a| a.text()), Ok("5".to_owned()));
    // On its own row it fails as it would anywhere.
    assert_eq!(globex.query("SELECT 1 FROM sums WHERE amount > 1.5::float8").unwrap_err().code, "22003");
    acme.parse("", "SELECT amount FROM sums WHERE amount > $1", &[701]);
    acme.bind("", "", &[Some("2.5")]);
    acme.execute("", 0);
    acme.sync();
    assert_eq!(acme.answers().pop().map(|a| a.map(|a| a.text())), Some(Ok("5".to_owned())));
}

#[test]
fn what_the_server_changes_by_itself_is_refused() {
    let database = Postgres::shared().database();
    database.psql(
        "CREATE TABLE boxes (id int PRIMARY KEY, tenant_id text NOT NULL, raw int, code int GENERATED ALWAYS AS (raw) STORED UNIQUE);
         CREATE TABLE things (id int PRIMARY KEY, tenant_id text NOT NULL, raw int, note text, box int GENERATED ALWAYS AS (raw) STORED REFERENCES boxes);
         CREATE TABLE shelves (id int PRIMARY KEY, tenant_id text NOT NULL, note text);
         CREATE TABLE boards (id int PRIMARY KEY, tenant_id text NOT NULL, shelf int REFERENCES shelves ON DELETE CASCADE);
         CREATE TABLE books (id int PRIMARY KEY, tenant_id text NOT NULL, board int DEFAULT 2 REFERENCES boards ON DELETE SET DEFAULT, box int DEFAULT 8 REFERENCES boxes (code) ON UPDATE SET DEFAULT);
         INSERT INTO boxes VALUES (1, 'acme', 7), (2, 'globex', 8);
         INSERT INTO things VALUES (1, 'acme', 1);
         INSERT INTO shelves VALUES (1, 'acme'), (2, 'globex');
         INSERT INTO boards VALUES (1, 'acme', 1), (2, 'globex', 2);
         INSERT INTO books VALUES (1, 'acme', 1, 7);",
    );
    let tables = ["boxes", "things", "shelves", "boards", "books"].map(|t| format!("    public.{t}: {{ scoped: tenant_id }}\n")).concat();
    let policy = POLICY.split("    public.orders").next().unwrap().to_owned() + &tables;
    let wall = Wall::for_database(&database, &policy);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for (sql, state) in [
        ("UPDATE things SET raw = 2", "0A000"),
        ("UPDATE things SET raw = 9", "0A000"),
        ("DELETE FROM boards", "42501"),
        ("DELETE FROM shelves WHERE id = 1", "42501"),
        ("UPDATE boxes SET raw = 9", "42501"),
        ("UPDATE boxes SET id = 9", "23503"),
    ] {
        assert_eq!(acme.query(sql).map_err(|e| e.code), Err(state.to_owned()), "{sql}");
    }
    for sql in
        ["UPDATE things SET note = 'x'", "UPDATE shelves SET note = 'x'", "UPDATE boards SET id = 3 WHERE id = 4", "DELETE FROM books"]
    {
        acme.query(sql).unwrap();
    }
    assert_eq!(database.psql("SELECT string_agg(id || tenant_id, ',' ORDER BY id) FROM boards"), "1acme,2globex");
}
