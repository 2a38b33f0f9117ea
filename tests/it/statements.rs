//! Statements around queries, as a tenant sends them: cursors, PREPARE, TRUNCATE, LOCK, EXPLAIN.

use crate::smoke::{POLICY, shop};
use crate::support::{Client, Wall, eventually, get};

#[test]
fn cursors_walk_over_the_own_rows_only() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for sql in ["BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT id, item FROM orders ORDER BY id"] {
        acme.query(sql).unwrap();
    }
    assert_eq!(acme.query("FETCH ALL FROM c").unwrap().text(), "1|anvil\n2|rocket");
    assert_eq!(acme.query("FETCH FIRST FROM c").unwrap().text(), "1|anvil");
    assert_eq!(acme.query("MOVE FORWARD ALL IN c").unwrap().tag, "MOVE 1");
    assert_eq!(acme.query("FETCH BACKWARD 1 FROM c").unwrap().text(), "2|rocket");
    assert_eq!(acme.query("CLOSE c").unwrap().tag, "CLOSE CURSOR");
    acme.query("DECLARE u CURSOR FOR SELECT id FROM orders ORDER BY id FOR UPDATE").unwrap();
    assert_eq!(acme.query("FETCH 2 FROM u").unwrap().text(), "1\n2");
    assert_eq!(acme.query("UPDATE orders SET item = 'moved' WHERE CURRENT OF u RETURNING id").unwrap().text(), "2");
    assert_eq!(acme.query("DELETE FROM orders WHERE CURRENT OF nosuch").unwrap_err().code, "34000");
    acme.query("ROLLBACK").unwrap();
    acme.query("DECLARE held CURSOR WITH HOLD FOR SELECT item FROM orders ORDER BY id").unwrap();
    assert_eq!(acme.query("FETCH NEXT FROM held").unwrap().text(), "anvil");
    assert_eq!(acme.query("CLOSE ALL").unwrap().tag, "CLOSE CURSOR ALL");
    assert_eq!(acme.query("FETCH NEXT FROM held").unwrap_err().code, "34000");
    // By the protocol, the tenant is a parameter of the cursor.
    acme.query("BEGIN").unwrap();
    acme.extended("DECLARE e CURSOR FOR SELECT item FROM orders WHERE id >= $1 ORDER BY id", &[Some("2")]).unwrap();
    assert_eq!(acme.extended("FETCH ALL FROM e", &[]).unwrap().text(), "rocket");
    acme.query("COMMIT").unwrap();
    assert_eq!(database.psql("SELECT count(*) FROM orders"), "4");
}

#[test]
fn prepared_by_sql() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    for client in [&mut acme, &mut globex] {
        client.query("PREPARE p (int) AS SELECT item FROM orders WHERE id = $1").unwrap();
    }
    assert_eq!(acme.query("EXECUTE p(1)").unwrap().text(), "anvil");
    assert_eq!(globex.query("EXECUTE p(1)").unwrap().text(), "laser");
    assert_eq!(acme.query("PREPARE p AS SELECT 1").unwrap_err().code, "42P05");
    // The protocol knows it, too.
    acme.bind("", "p", &[Some("2")]);
    acme.describe_portal("");
    acme.execute("", 0);
    acme.sync();
    assert_eq!(acme.answers().pop().unwrap().unwrap().text(), "rocket");
    // What the protocol prepared waits for the tenant; EXECUTE must not supply another.
    acme.parse("q", "SELECT item FROM orders", &[]);
    acme.sync();
    acme.answers();
    assert_eq!(acme.query("EXECUTE q('globex')").unwrap_err().code, "0A000");
    assert_eq!(acme.extended("EXECUTE q('globex')", &[]).unwrap_err().code, "0A000");
    assert_eq!(acme.query("DEALLOCATE p").unwrap().tag, "DEALLOCATE");
    assert_eq!(acme.query("EXECUTE p(1)").unwrap_err().code, "26000");
    let both = acme.simple("PREPARE i (int, text) AS INSERT INTO orders (id, item) VALUES ($1, $2); EXECUTE i(7, 'new'); DEALLOCATE ALL");
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    assert_eq!(database.psql("SELECT tenant_id, item FROM orders WHERE id = 7"), "acme|new");
}

#[test]
fn truncate_takes_the_own_rows_only() {
    let database = shop();
    database.psql("CREATE TABLE lines (tenant_id text NOT NULL, id int, order_id int, FOREIGN KEY (tenant_id, order_id) REFERENCES orders ON DELETE CASCADE);
        INSERT INTO lines VALUES ('acme', 1, 1), ('globex', 1, 1)");
    let policy = format!("{POLICY}    public.lines: {{ scoped: tenant_id }}\n");
    let wall = Wall::for_database(&database, &policy);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    // As the server says it: something refers to the table.
    assert_eq!(acme.query("TRUNCATE orders").unwrap_err().code, "0A000");
    assert_eq!(acme.query("TRUNCATE lines").unwrap().tag, "TRUNCATE TABLE");
    assert_eq!(acme.extended("TRUNCATE TABLE orders, lines", &[]).unwrap().tag, "TRUNCATE TABLE");
    assert_eq!(database.psql("SELECT tenant_id, count(*) FROM orders GROUP BY 1"), "globex|2");
    assert_eq!(database.psql("SELECT tenant_id, count(*) FROM lines GROUP BY 1"), "globex|1");
}

#[test]
fn other_statements() {
    let database = shop();
    let policy = format!("{POLICY}  explain: plan\n");
    let wall = Wall::for_database(&database, &policy);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let plan = acme.query("EXPLAIN SELECT item FROM orders WHERE price > 3").unwrap().text();
    assert!(plan.contains("orders") && !plan.contains("cost=") && !plan.contains("rows="), "{plan}");
    let plan = acme.extended("EXPLAIN (FORMAT json) SELECT item FROM orders WHERE id = $1", &[Some("1")]).unwrap().text();
    assert!(plan.contains("Node Type") && !plan.contains("Plan Rows"), "{plan}");
    assert_eq!(acme.query("EXPLAIN ANALYZE SELECT item FROM orders").unwrap_err().code, "42501");
    for sql in
        ["BEGIN", "LOCK TABLE orders IN ROW EXCLUSIVE MODE", "SET CONSTRAINTS ALL DEFERRED", "COMMIT", "DISCARD PLANS", "DISCARD ALL"]
    {
        acme.query(sql).unwrap();
    }
    assert_eq!(acme.query("LOCK TABLE orders").unwrap_err().code, "42501");
}

#[test]
fn no_scan_and_no_transaction_goes_by_what_others_do() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    acme.query("RESET ALL").unwrap();
    assert_eq!(acme.query("SHOW synchronize_seqscans").unwrap().text(), "off");
    // A server that saw it as deferrable would wait for this one.
    globex.query("BEGIN ISOLATION LEVEL SERIALIZABLE").unwrap();
    globex.query("SELECT count(*) FROM orders").unwrap();
    acme.query("SET statement_timeout = '5s'").unwrap();
    acme.query("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE").unwrap();
    assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    assert_eq!(acme.query("SHOW transaction_deferrable").unwrap().text(), "off");
    acme.query("COMMIT").unwrap();
    let told = "SELECT source FROM pg_settings WHERE name = 'transaction_read_only'";
    assert_eq!(acme.query(told).unwrap().text(), "override");
}

#[test]
fn long_statements_run_and_longer_ones_are_refused() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let insert = |bytes: usize| format!("INSERT INTO orders (id, item) VALUES (50, '{}')", "it is long ".repeat(bytes / 11));
    assert_eq!(acme.query(&insert(8 << 20)).unwrap().tag, "INSERT 0 1");
    assert_eq!(acme.query("SELECT length(item) > 8000000 FROM orders WHERE id = 50").unwrap().text(), "t");
    assert_eq!(acme.query(&insert(17 << 20)).unwrap_err().code, "54000");
    let rows = format!("INSERT INTO orders (id, item) VALUES (60, 'x'){}", ",(61, 'y')".repeat(40_000));
    assert_eq!(acme.query(&rows).unwrap_err().code, "54001");
    assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "3");
}

#[test]
fn that_a_row_was_looked_at_is_not_told_by_a_notice() {
    let database = shop();
    // As after an upgrade of the library that sorts.
    database.psql(
        "ALTER TABLE orders ADD COLUMN en text COLLATE \"en-x-icu\" DEFAULT 'b'; UPDATE pg_collation SET collversion = '0' WHERE collname = 'en-x-icu'; ANALYZE orders (tenant_id, item)",
    );
    let wall = Wall::for_database(&database, POLICY);
    let mut direct = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap();
    direct.query("SELECT id FROM orders WHERE item > 'v' AND en > 'a'").unwrap();
    let seen: Vec<_> = direct.notices.iter().map(|n| (n.code.as_str(), n.fields[&'F'].as_str())).collect();
    assert_eq!(seen, [("01000", "pg_locale.c")], "the server warns at the first use");
    for text in ["v", "zz"] {
        let mut acme = Client::tenant(wall.port("pg"), "acme");
        assert_eq!(acme.query(&format!("SELECT id FROM orders WHERE item > '{text}' AND en > 'a'")).unwrap().text(), "");
        let mut other = Client::tenant(wall.port("pg"), "acme");
        other.extended("SELECT id FROM orders WHERE item > $1 AND en > 'a'", &[Some(text)]).unwrap();
        assert!(acme.notices.is_empty() && other.notices.is_empty(), "{text}: {:?} {:?}", acme.notices, other.notices);
    }
    let told =
        eventually(|| get(wall.port("admin"), "/metrics").1.contains("partywall_withheld_notices_total{listener=\"pg\",tenant=\"acme\"} "));
    assert!(told, "it is counted");
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for (sql, code) in [
        ("COMMIT", "25P01"),
        ("BEGIN; BEGIN; COMMIT", "25001"),
        ("SET LOCAL TimeZone = 'UTC'", "25P01"),
        ("DROP TABLE IF EXISTS nothing", "00000"),
        ("CREATE TEMP TABLE t (x int); CREATE TEMP TABLE IF NOT EXISTS t (x int)", "42P07"),
        ("CREATE TEMP VIEW v AS SELECT x FROM t; DROP TABLE t CASCADE", "00000"),
        ("SELECT '1:00'::time(9)", "22023"),
        ("SELECT pg_advisory_unlock(1)", "01000"),
    ] {
        acme.query(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let seen: Vec<_> = acme.notices.drain(..).map(|n| n.code).collect();
        assert_eq!(seen, [code], "{sql}");
    }
}

#[test]
fn what_the_server_logs_is_not_the_clients() {
    let database = shop();
    let name = &database.name;
    database.psql(&format!("ALTER DATABASE {name} SET client_min_messages = debug1; ALTER DATABASE {name} SET log_statement = 'all'"));
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    acme.query("SELECT id FROM orders").unwrap();
    acme.extended("SELECT item FROM orders WHERE id = $1", &[Some("1")]).unwrap();
    assert_eq!(acme.query("SET client_min_messages = log").unwrap_err().code, "42501");
    acme.query("SELECT pg_advisory_unlock(1)").unwrap();
    let seen: Vec<_> = acme.notices.iter().map(|n| n.severity.as_str()).collect();
    assert_eq!(seen, ["WARNING"], "{:?}", acme.notices);
    let (port, parameters) =
        (wall.port("pg"), [("user", "app"), ("database", "app"), ("partywall.tenant", "acme"), ("options", "-c client_min_messages=log")]);
    assert!(Client::connect(port, &parameters).is_err_and(|e| e.code == "42501"));
}

#[test]
fn errors_name_no_table_that_is_not_there() {
    let database = shop();
    database.psql(
        "CREATE TABLE hush (id int PRIMARY KEY); INSERT INTO hush VALUES (1); ALTER TABLE orders ADD hush int REFERENCES hush, ADD code int UNIQUE;
         CREATE TABLE hushed (code int REFERENCES orders (code)); UPDATE orders SET code = id WHERE tenant_id = 'acme'; INSERT INTO hushed VALUES (1)",
    );
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    acme.query("UPDATE orders SET hush = 1").unwrap();
    for sql in ["UPDATE orders SET hush = 2", "DELETE FROM orders WHERE id = 1"] {
        let error = acme.query(sql).unwrap_err();
        assert_eq!((error.code.as_str(), &error.detail), ("23503", &None), "{error:?}");
        assert!(!format!("{error:?}").replace("hush_fkey", "").replace("hushed_code", "").contains("hush"), "{error:?}");
    }
    // The temporary schema has no number.
    acme.query("CREATE TEMP TABLE t (a int PRIMARY KEY)").unwrap();
    assert_eq!(acme.query("SELECT current_schemas(true)").unwrap().text(), "{pg_temp,pg_catalog,public}");
    let error = acme.query("INSERT INTO t VALUES (1), (1)").unwrap_err();
    assert_eq!(error.fields.get(&'s').map(String::as_str), Some("pg_temp"), "{error:?}");
}
