//! `verify_rows`: a row of another tenant's, come back in spite of the guard, does not reach the client.

use crate::support::{Client, Database, Postgres, Wall, eventually, get, terminated};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[A-Za-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders: { scoped: tenant_id }
    public.counted: { scoped: org }
    public.notes: { scoped: { column: org_id, hidden: true } }
    public.items: { through: { table: public.orders, on: { order_id: id } } }
    public.parts: { through: { table: public.items, on: { item: id } } }
";

const SCHEMA: &str = "
CREATE COLLATION relaxed (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE orders (tenant_id text NOT NULL, id int UNIQUE, note text);
INSERT INTO orders VALUES ('acme', 1, 'mine'), ('acme', 2, 'mine'), ('ACME', 3, 'theirs'), ('globex', 4, 'theirs');
CREATE TABLE counted (org int NOT NULL, id int);
INSERT INTO counted VALUES (7, 1), (8, 2);
CREATE TABLE notes (org_id text NOT NULL, id int, title text);
INSERT INTO notes VALUES ('acme', 1, 'own'), ('ACME', 3, 'THEIRS');
CREATE TABLE items (id int UNIQUE, order_id int REFERENCES orders (id) ON DELETE CASCADE, sku text);
INSERT INTO items VALUES (1, 1, 'own'), (2, 3, 'THEIRS'), (3, 4, 'THEIRS');
CREATE TABLE parts (item int REFERENCES items (id) ON DELETE CASCADE, name text);
INSERT INTO parts VALUES (1, 'own'), (2, 'THEIRS');
";

/// Behind the wall's back: `acme` equals `ACME` from now on, so that a sound guard lets another tenant's row through.
const BREAK: &str = "ALTER TABLE orders ALTER tenant_id TYPE text COLLATE relaxed";

fn start(how: &str) -> (Database, Wall) {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let policy = POLICY.replace("  layout: rows\n", &format!("  layout: rows\n  verify_rows: {how}\n"));
    let wall = Wall::for_database(&database, &policy);
    (database, wall)
}

fn metric(wall: &Wall, line: &str) -> bool {
    eventually(|| get(wall.port("admin"), "/metrics").1.lines().any(|l| l == line))
}

#[test]
fn rows_come_without_the_column_in_every_format() {
    let (_database, wall) = start("all");
    let mut client = Client::tenant(wall.port("pg"), "acme");
    let rows = client.query("SELECT id, note FROM orders ORDER BY id").unwrap();
    assert_eq!((rows.text().as_str(), rows.columns.len()), ("1|mine\n2|mine", 2));
    assert_eq!(client.query("SELECT * FROM orders WHERE id = 1").unwrap().text(), "acme|1|mine");
    assert_eq!(client.query("UPDATE orders SET note = 'x' WHERE id = 2 RETURNING note").unwrap().text(), "x");
    let rows = client.extended("SELECT note FROM orders WHERE id = $1", &[Some("2")]).unwrap();
    assert_eq!((rows.text().as_str(), rows.columns), ("x", vec!["note".to_owned()]));
    // One binary code for all columns, and one for each.
    client.parse("s", "SELECT id FROM orders WHERE note = 'mine'", &[]);
    for results in [vec![0, 1, 0, 1], vec![0, 0]] {
        let body = [&b"\0s\0\0\0\0\0"[..], &results].concat();
        client.message(b'B', &body);
        client.execute("", 1);
        client.sync();
        let rows = client.answers().remove(0).unwrap();
        assert_eq!((rows.rows.len(), rows.rows[0].len(), rows.tag.as_str()), (1, 1, "PortalSuspended"));
    }
    let mut seven = Client::tenant(wall.port("pg"), "7");
    assert_eq!(seven.query("SELECT id FROM counted").unwrap().text(), "1");
    let checked = |n: u32, how: &str| format!("partywall_verify_rows_total{{listener=\"pg\",tenant=\"acme\",checked=\"{how}\"}} {n}");
    assert!(metric(&wall, &checked(6, "whole")));
    client.query("SELECT count(*) FROM orders").unwrap();
    assert!(metric(&wall, &checked(1, "unchecked")));
}

#[test]
fn a_row_of_another_tenant_ends_the_session() {
    let (database, wall) = start("all");
    let mut client = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(client.query("SELECT id FROM orders").unwrap().rows.len(), 2);
    database.psql(BREAK);
    for extended in [false, true] {
        let mut client = Client::tenant(wall.port("pg"), "acme");
        let sql = "SELECT id, note FROM orders ORDER BY id";
        if extended {
            client.parse("", sql, &[]);
            client.bind("", "", &[]);
            client.execute("", 0);
            client.sync();
        } else {
            client.message(b'Q', &terminated(sql));
        }
        let error = client.answers().into_iter().find_map(Result::err).unwrap();
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("FATAL", "XX000"));
        assert!(!format!("{error:?}").contains("ACME") && !format!("{error:?}").contains("tenant"), "{error:?}");
        assert!(client.receive().is_none(), "the session goes on");
    }
    assert!(metric(&wall, "partywall_row_mismatch_total{listener=\"pg\",tenant=\"acme\"} 2"));
    assert!(wall.log().contains("a row of another tenant came back"));
}

/// A table that hides the column shows it to the wall alone.
#[test]
fn a_row_whose_tenant_is_hidden_is_checked_too() {
    let (database, wall) = start("all");
    let mut client = Client::tenant(wall.port("pg"), "acme");
    for (sql, wanted) in [
        ("SELECT id, title FROM notes", "1|own"),
        ("SELECT n.id, o.id FROM notes n NATURAL JOIN orders o", "1|1"),
        ("SELECT b.title FROM notes a LEFT JOIN notes b ON b.id = a.id + 1", ""),
        ("UPDATE notes SET title = 'own' RETURNING *", "1|own"),
    ] {
        assert_eq!(client.query(sql).unwrap().text(), wanted, "{sql}");
        let rows = client.extended(sql, &[]).unwrap();
        assert!(
            rows.text() == wanted && !rows.columns.iter().any(|c| c.contains("partywall") || c == "org_id"),
            "{sql}: {:?}",
            rows.columns
        );
    }
    for name in ["\"partywall ro\"", "orgid", "\"partywallrow 0\""] {
        let error = client.query(&format!("SELECT n.{name} FROM notes n")).unwrap_err();
        assert_eq!((error.code.as_str(), error.hint), ("42703", None), "{name}");
    }
    assert!(metric(&wall, "partywall_verify_rows_total{listener=\"pg\",tenant=\"acme\",checked=\"whole\"} 11"));
    // A star would show it: what is not checked is counted.
    assert_eq!(client.query("SELECT * FROM notes").unwrap().text(), "1|own");
    assert!(metric(&wall, "partywall_verify_rows_total{listener=\"pg\",tenant=\"acme\",checked=\"unchecked\"} 1"));
    database.psql(&BREAK.replace("orders", "notes").replace("tenant_id", "org_id"));
    for sql in ["SELECT id FROM notes", "SELECT n.title FROM notes n ORDER BY id DESC", "UPDATE notes SET id = 1 RETURNING title"] {
        let mut client = Client::tenant(wall.port("pg"), "acme");
        let error = client.query(sql).unwrap_err();
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("FATAL", "XX000"), "{sql}");
    }
}

/// The tenant of such a row is its parent's, one or two steps up.
#[test]
fn a_row_below_another_tenants_parent_ends_the_session() {
    let (database, wall) = start("all");
    let mut client = Client::tenant(wall.port("pg"), "acme");
    for (sql, wanted) in [
        ("SELECT sku FROM items", "own"),
        ("SELECT * FROM items", "1|1|own"),
        ("SELECT name FROM parts", "own"),
        ("SELECT o.id, i.sku FROM orders o LEFT JOIN items i ON i.order_id = o.id ORDER BY 1", "1|own\n2|"),
        ("INSERT INTO items VALUES (9, 2, 'new') RETURNING sku", "new"),
        ("UPDATE items SET order_id = 1 WHERE id = 9 RETURNING id", "9"),
        ("DELETE FROM items WHERE id = 9 RETURNING sku", "new"),
    ] {
        assert_eq!(client.query(sql).unwrap().text(), wanted, "{sql}");
        let again = client.extended(&sql.replace('9', "8"), &[]).unwrap();
        assert_eq!(
            (again.text(), again.columns.len()),
            (wanted.replace('9', "8"), wanted.lines().next().unwrap().split('|').count()),
            "{sql}"
        );
    }
    assert!(metric(&wall, "partywall_verify_rows_total{listener=\"pg\",tenant=\"acme\",checked=\"whole\"} 14"));
    database.psql(BREAK);
    for sql in
        ["SELECT sku FROM items", "SELECT name FROM parts", "UPDATE items SET sku = 'x' RETURNING id", "DELETE FROM parts RETURNING name"]
    {
        let mut client = Client::tenant(wall.port("pg"), "acme");
        let error = client.query(sql).unwrap_err();
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("FATAL", "XX000"), "{sql}");
        assert!(!format!("{error:?}").contains("THEIRS"), "{error:?}");
    }
    assert!(metric(&wall, "partywall_row_mismatch_total{listener=\"pg\",tenant=\"acme\"} 4"));
}

#[test]
fn a_write_that_returns_another_tenants_row_is_undone() {
    let (database, wall) = start("all");
    let mut client = Client::tenant(wall.port("pg"), "acme");
    client.query("BEGIN").unwrap();
    database.psql(BREAK);
    assert_eq!(client.query("DELETE FROM orders RETURNING id").unwrap_err().code, "XX000");
    let left = || database.psql("SELECT count(*) FROM orders") == "4";
    assert!(eventually(left), "the transaction was not undone");
}

#[test]
fn a_sample_sees_it_too_and_without_the_key_nobody_does() {
    for (how, seen) in [("sample", true), ("'off'", false)] {
        let (database, wall) = start(how);
        database.psql(BREAK);
        let mut client = Client::tenant(wall.port("pg"), "acme");
        let ended = (0..20).any(|_| client.query("SELECT id FROM orders").is_err());
        assert_eq!(ended, seen, "{how}");
    }
}

/// The whole way with a rewriter that leaves the guard out and a verifier that looks away.
#[cfg(feature = "mutants")]
#[test]
fn a_guard_that_is_left_out_is_noticed_in_the_rows() {
    use crate::support::message;
    use bytes::BytesMut;
    use partywall::postgres;
    use partywall::session::{Close, Session, Turn};
    use partywall::sql::mutants::{Mutant, Mutation};
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let mut server = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap();
    for (mutant, sql) in [
        (Mutant::Where, "SELECT id FROM orders"),
        (Mutant::LeftOn, "SELECT a.id FROM orders a LEFT JOIN orders b ON true"),
        (Mutant::Wrap, "SELECT a.id FROM orders a FULL JOIN orders b ON a.id = b.id"),
        (Mutant::UpdateTarget, "UPDATE orders SET note = 'x' RETURNING id"),
        (Mutant::DeleteTarget, "DELETE FROM orders RETURNING id"),
        (Mutant::InsertValue, "INSERT INTO orders (id) VALUES (9) RETURNING id"),
    ] {
        let judge = judge(&mut server).mutated(Mutation { mutant, unproved: true });
        let tenant = judge.policy().tenants.accept("acme").unwrap();
        let mut session = postgres::Session::new(judge, tenant);
        let mut turn = Turn::default();
        let mut input = BytesMut::from(&message(b'Q', &terminated(sql))[..]);
        session.from_client(&mut input, &mut turn).unwrap();
        server.query("BEGIN").unwrap();
        server.send(&turn.to_upstream);
        let mut end = None;
        loop {
            let (tag, body) = server.receive().unwrap();
            let mut input = BytesMut::from(&message(tag, &body)[..]);
            if end.is_none() {
                end = session.from_upstream(&mut input, &mut turn).err();
            }
            if tag == b'Z' {
                break;
            }
        }
        server.query("ROLLBACK").unwrap();
        assert_eq!(end, Some(Close::RowMismatch), "{mutant:?}");
    }
}

#[cfg(feature = "mutants")]
fn judge(server: &mut Client) -> partywall::sql::Judge {
    use partywall::config::{Files, load_policy};
    use std::path::{Path, PathBuf};
    struct Memory(String);
    impl Files for Memory {
        fn text(&self, _: &Path) -> Result<String, String> {
            Ok(self.0.clone())
        }
        fn policies(&self, _: &Path) -> Result<Vec<PathBuf>, String> {
            Ok(Vec::new())
        }
    }
    let text = Memory(POLICY.replace("  layout: rows\n", "  verify_rows: all\n"));
    let policy = load_policy(Path::new("p.yaml"), &text).unwrap();
    let queries = partywall::sql::catalog::QUERIES.iter().chain(partywall::sql::catalogs::QUERIES);
    let answers = queries.map(|q| (q.name, server.query(q.sql).unwrap().rows)).collect();
    let catalog = partywall::sql::Catalog::build(&policy, &answers).unwrap();
    partywall::sql::Judge::new(policy.into(), catalog.into())
}
