//! What the operator changes without a word to anybody, and databases in another encoding: the wall judges by what is there.

use crate::support::{Client, Database, Postgres, Wall, eventually};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders: { scoped: tenant_id }
    public.v:      { scoped: tenant_id }
";

const SCHEMA: &str = "
CREATE TABLE orders (id int NOT NULL, tenant_id text NOT NULL, amount int, note text, PRIMARY KEY (tenant_id, id));
CREATE VIEW v AS SELECT id, tenant_id, note FROM orders WHERE note <> 'x';
INSERT INTO orders VALUES (1, 'acme', 1, 'a');
";

#[test]
fn a_type_that_changes_without_an_error_is_heard_of() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let sql = "SELECT id FROM orders WHERE amount = ANY('{}'::float4[])";
    assert_eq!(acme.query(sql).unwrap().text(), "");
    acme.parse("kept", sql, &[]);
    acme.sync();
    acme.answers();
    database.psql("ALTER TABLE orders ALTER amount TYPE numeric; INSERT INTO orders VALUES (1, 'globex', 1e400)");
    // Nobody's statement has failed for it.
    assert!(eventually(|| acme.query(sql).is_ok()), "{:?}", acme.query(sql));
    acme.bind("", "kept", &[]);
    acme.execute("", 0);
    acme.sync();
    let quoted = acme.answers().into_iter().filter_map(Result::err).any(|e| e.message.contains("0000"));
    assert!(!quoted);
}

/// A view is read as it is now, and a statement whose text comes out the same goes on in its transaction.
#[test]
fn views_are_as_they_are_now_and_what_is_the_same_goes_on() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for (name, sql) in [("kept", "SELECT id FROM orders WHERE id = $1"), ("view", "SELECT id FROM v WHERE id = $1")] {
        acme.parse(name, sql, &[]);
        acme.sync();
        acme.answers();
    }
    acme.query("BEGIN").unwrap();
    database.psql("CREATE OR REPLACE VIEW v AS SELECT id, tenant_id, note FROM orders WHERE note <> 'a'; CREATE INDEX ON orders (note); CREATE FUNCTION ff() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let mut other = Client::tenant(wall.port("pg"), "acme");
    assert!(eventually(|| other.query("SELECT id FROM v").unwrap().text().is_empty()));
    let mut run = |name: &str| {
        acme.bind("", name, &[Some("1")]);
        acme.execute("", 0);
        acme.sync();
        acme.answers().into_iter().next().unwrap()
    };
    assert_eq!(run("kept").unwrap().text(), "1");
    assert_eq!(run("view").unwrap_err().code, "0A000");
}

fn other(encoding: &str) -> Database {
    let server = Postgres::shared();
    let name = format!("other_{}", encoding.to_lowercase());
    server.psql("postgres", &format!("CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"));
    Database { port: server.port, name }
}

#[test]
fn names_and_definitions_of_another_encoding_are_read() {
    let database = other("LATIN1");
    let client = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name), ("client_encoding", "UTF8")]);
    let mut above = client.unwrap();
    for sql in SCHEMA.split(";\n") {
        above.query(sql.trim_start()).ok();
    }
    above.query("CREATE TABLE \"café\" (id int)").unwrap();
    above.query("CREATE OR REPLACE VIEW v AS SELECT id, tenant_id, note FROM orders WHERE note <> 'Ã©'").unwrap();
    above.query("INSERT INTO orders VALUES (2, 'acme', 1, 'é'), (3, 'acme', 1, 'Ã©')").unwrap();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(acme.query("SELECT id, note FROM v ORDER BY id").unwrap().text(), "1|a\n2|é");
}

/// A view's constants are those of its text, whatever the database's and the client's settings are.
#[test]
fn constants_of_a_view_hang_on_no_setting() {
    let database = Postgres::shared().database();
    database.psql("CREATE TABLE orders (id int, tenant_id text, d date, f float8, i interval)");
    database.psql("CREATE VIEW v AS SELECT id, tenant_id FROM orders WHERE d = date '2020-01-02' AND f = '0.30000000000000004' AND i = interval '-1 day +2 hours'");
    database.psql("INSERT INTO orders VALUES (1, 'acme', '2020-01-02', 0.30000000000000004, '-1 day +2 hours'), (2, 'acme', '2020-02-01', 0.3, '-1 day -2 hours')");
    for set in [
        "datestyle = 'SQL, DMY'",
        "extra_float_digits = 0",
        "intervalstyle = sql_standard",
        "quote_all_identifiers = on",
        // Too short for what the wall asks, and long enough for its first word, which takes it back.
        "statement_timeout = 40",
    ] {
        database.psql(&format!("ALTER DATABASE {} SET {set}", database.name));
    }
    let wall = Wall::for_database(&database, POLICY);
    database.psql(&format!("ALTER DATABASE {} RESET statement_timeout", database.name));
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for set in ["datestyle = 'ISO, MDY'", "datestyle = 'SQL, DMY'", "intervalstyle = postgres", "intervalstyle = sql_standard"] {
        acme.query(&format!("SET {set}")).unwrap();
        assert_eq!(acme.query("SELECT id FROM v").unwrap().text(), "1", "{set}");
    }
}
