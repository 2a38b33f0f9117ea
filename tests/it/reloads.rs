//! Reloads while a catalog cannot be read: what was taken away is gone all the same, nobody waits for another's lock, and signals are heard.

use crate::smoke::{POLICY, SCHEMA, shop};
use crate::support::{Client, Database, Postgres, Wall, eventually, get};
use std::time::{Duration, Instant};

/// A session of the server's own that holds a transaction with this statement open.
fn holding(database: &Database, sql: &str) -> Client {
    let parameters = [("user", "postgres"), ("database", database.name.as_str())];
    let mut client = Client::connect(database.port, &parameters).unwrap_or_else(|e| panic!("{e:?}"));
    client.query("BEGIN").unwrap();
    client.query(sql).unwrap();
    client
}

fn code(client: &mut Client, sql: &str) -> Result<String, String> {
    client.query(sql).map(|rows| rows.text()).map_err(|e| e.code)
}

const VIEW: &str = "CREATE VIEW items AS SELECT tenant_id, item FROM orders";
const WITH_VIEW: &str = "    public.items:     { scoped: tenant_id }\n";

#[test]
fn what_a_policy_takes_away_is_gone_though_the_catalog_cannot_be_read() {
    let database = shop();
    database.psql(VIEW);
    let policy = format!("{POLICY}{WITH_VIEW}");
    let wall = Wall::for_database(&database, &policy);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(code(&mut client, "SELECT count(*) FROM items"), Ok("2".into()));
    // Whoever asks for the view's query waits for this one.
    let mut holder = holding(&database, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    holder.query("CREATE TABLE later (tenant_id text, id int)").unwrap();
    let later = "    public.later:     { scoped: tenant_id }\n";
    wall.rewrite("test.yaml", &(policy.replace("public.countries: { shared: read }", "public.countries: { hidden: true }") + later));
    let asked = Instant::now();
    wall.signal("HUP");
    assert!(eventually(|| code(&mut client, "SELECT count(*) FROM countries") == Err("42P01".into())), "{}", wall.log());
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    let counted = "partywall_reloads_total{listener=\"pg\",outcome=\"on_old_catalog\"} 1";
    assert!(eventually(|| get(wall.port("admin"), "/metrics").1.contains(counted)));
    assert!(eventually(|| wall.log().contains("the new policy holds on the old one")), "{}", wall.log());
    // What it lists beside is there once it can be read.
    assert_eq!(code(&mut client, "SELECT count(*) FROM later"), Err("42P01".into()));
    holder.query("COMMIT").unwrap();
    assert!(eventually(|| code(&mut client, "SELECT count(*) FROM later") == Ok("0".into())), "{}", wall.log());
    assert_eq!(code(&mut client, "SELECT count(*) FROM countries"), Err("42P01".into()));
}

#[test]
fn a_reload_that_waits_keeps_no_signal_waiting() {
    let database = shop();
    database.psql(VIEW);
    let policy = format!("{POLICY}{WITH_VIEW}");
    let wall = Wall::for_database(&database, &policy);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    let _holder = holding(&database, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    // The second one does not wait for the first, and wins.
    wall.rewrite("test.yaml", &policy.replace("{ shared: read }", "{ hidden: true }"));
    wall.signal("HUP");
    std::thread::sleep(Duration::from_millis(300));
    wall.rewrite("test.yaml", &policy.replace("id: '", "id: 'x"));
    let asked = Instant::now();
    wall.signal("HUP");
    assert_eq!(client.receive().map(|m| m.0), Some(b'E'), "its tenant is one no more");
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    wall.rewrite("test.yaml", &policy.replace("{ shared: read }", "{ hidden: true }"));
    wall.signal("HUP");
    wall.signal("TERM");
    let told = Instant::now();
    assert!(eventually(|| wall.has_ended()) && told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

/// A tenant of the layout `schema` alters what its own view reads, and does not end its transaction.
#[test]
fn a_tenants_open_ddl_keeps_no_other_waiting() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    for who in ["acme", "globex"] {
        database.psql(&format!("CREATE SCHEMA tenant_{who}; SET search_path = tenant_{who}; CREATE TABLE t (id int, note text); CREATE VIEW v AS SELECT id FROM t; CREATE MATERIALIZED VIEW m AS SELECT id FROM t"));
    }
    let policy = POLICY.replace("layout: rows", "layout: { default: schema, tenants: { initech: rows } }");
    let wall = Wall::for_database(&database, &policy);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    acme.query("BEGIN").unwrap();
    acme.query("ALTER TABLE t ADD COLUMN more int").unwrap();
    let asked = Instant::now();
    let mut globex = Client::tenant(wall.port("pg"), "globex");
    assert_eq!(code(&mut globex, "SELECT count(*) FROM v"), Ok("0".into()));
    let mut initech = Client::tenant(wall.port("pg"), "initech");
    assert_eq!(code(&mut initech, "SELECT count(*) FROM countries"), Ok("2".into()));
    wall.rewrite("test.yaml", &policy.replace("{ shared: read }", "{ hidden: true }"));
    wall.signal("HUP");
    assert!(eventually(|| code(&mut initech, "SELECT count(*) FROM countries") == Err("42P01".into())), "{}", wall.log());
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert!(!wall.log().contains("the new policy holds on the old one"), "{}", wall.log());
}
