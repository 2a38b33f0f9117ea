//! What a session has of its own: temporary tables and channels.

use crate::smoke::{POLICY, shop};
use crate::support::{Client, Wall, eventually};

#[test]
fn temporary_tables_are_the_sessions_own() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    acme.query("CREATE TEMP TABLE picked (id serial PRIMARY KEY, item text NOT NULL DEFAULT 'none', CHECK (id > 0))").unwrap();
    assert_eq!(globex.query("SELECT * FROM picked").unwrap_err().code, "42P01");
    assert_eq!(acme.query("INSERT INTO picked (item) SELECT item FROM orders ORDER BY id RETURNING id").unwrap().text(), "1\n2");
    assert_eq!(acme.extended("INSERT INTO picked (item) VALUES ($1), (DEFAULT)", &[Some("x")]).unwrap().tag, "INSERT 0 2");
    assert_eq!(acme.query("UPDATE picked SET item = o.item || '!' FROM orders o WHERE o.item = picked.item").unwrap().tag, "UPDATE 2");
    assert_eq!(
        acme.query("SELECT p.id, o.id FROM picked p LEFT JOIN orders o ON o.id = p.id ORDER BY 1").unwrap().text(),
        "1|1\n2|2\n3|\n4|"
    );
    assert_eq!(acme.query("DELETE FROM picked USING orders WHERE orders.id = picked.id").unwrap().tag, "DELETE 2");
    acme.query("INSERT INTO picked VALUES (3, 'y') ON CONFLICT (id) DO UPDATE SET item = excluded.item").unwrap();
    assert_eq!(acme.query("TABLE picked ORDER BY id").unwrap().text(), "3|y\n4|none");
    assert_eq!(acme.query("INSERT INTO orders (id, item) SELECT id, item FROM picked").unwrap().tag, "INSERT 0 2");
    assert_eq!(acme.query("TRUNCATE picked").unwrap().tag, "TRUNCATE TABLE");
    assert_eq!(acme.query("DROP TABLE picked").unwrap().tag, "DROP TABLE");
    assert_eq!(acme.query("SELECT * FROM picked").unwrap_err().code, "42P01");
    assert_eq!(database.psql("SELECT tenant_id, item FROM orders WHERE id = 4"), "acme|none");
}

#[test]
fn made_by_queries_and_in_transactions() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(acme.extended("CREATE TEMP TABLE t AS SELECT id, item FROM orders WHERE id >= $1", &[Some("2")]).unwrap().tag, "SELECT 1");
    assert_eq!(acme.query("SELECT id, item INTO TEMP u FROM orders; SELECT count(*) FROM u").unwrap().text(), "2");
    assert_eq!(acme.query("SELECT t.item, u.id FROM t, u ORDER BY 2").unwrap().text(), "rocket|1\nrocket|2");
    // A table of the session hides the shared one of that name, until it is gone.
    acme.query("BEGIN").unwrap();
    acme.query("CREATE TEMP TABLE orders (id int)").unwrap();
    assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "0");
    assert_eq!(acme.query("SELECT count(*) FROM public.orders").unwrap().text(), "2");
    acme.query("ROLLBACK").unwrap();
    assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    assert_eq!(acme.query("DISCARD TEMP").unwrap().tag, "DISCARD TEMP");
    assert_eq!(acme.query("SELECT * FROM t").unwrap_err().code, "42P01");
    assert_eq!(acme.query("DROP TABLE IF EXISTS t").unwrap().tag, "DROP TABLE");
    assert_eq!(acme.query("CREATE TABLE t (id int)").unwrap_err().code, "42501");
    // Rows go in and out of it untouched.
    acme.query("CREATE TEMP TABLE t (id int, item text)").unwrap();
    acme.message(b'Q', b"COPY t FROM STDIN\0");
    acme.message(b'd', b"1\tx\n");
    acme.message(b'c', b"");
    assert_eq!(acme.answers().pop().unwrap().unwrap().tag, "COPY 1");
    assert_eq!(acme.query("COPY t TO STDOUT").unwrap().tag, "COPY 1");
}

/// The notification that comes with the next answer.
fn heard(client: &mut Client) -> Vec<(String, String)> {
    client.message(b'Q', b"SELECT 1\0");
    let mut all = Vec::new();
    while let Some((tag, body)) = client.receive() {
        if tag == b'A' {
            let text = String::from_utf8(body[4..].to_vec()).unwrap();
            let mut parts = text.split('\0');
            all.push((parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned()));
        }
        if tag == b'Z' {
            break;
        }
    }
    all
}

#[test]
fn channels_are_the_tenants_own() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let [mut one, mut two, mut globex] = ["acme", "acme", "globex"].map(|t| Client::tenant(wall.port("pg"), t));
    let long = "x".repeat(63);
    for client in [&mut one, &mut globex] {
        client.query("LISTEN jobs").unwrap();
        client.query(&format!("LISTEN {long}")).unwrap();
    }
    two.query("NOTIFY jobs, 'by statement'").unwrap();
    two.query("SELECT pg_notify('jobs', 'by literal')").unwrap();
    two.extended("SELECT pg_notify($1, $2)", &[Some("jobs"), Some("by parameter")]).unwrap();
    two.query(&format!("NOTIFY {long}, 'long'")).unwrap();
    database.psql("NOTIFY jobs, 'by nobody'");
    let wanted = [("jobs", "by statement"), ("jobs", "by literal"), ("jobs", "by parameter"), (&long, "long")];
    let mut got = heard(&mut one);
    if got.len() < wanted.len() {
        std::thread::sleep(std::time::Duration::from_millis(300));
        got.extend(heard(&mut one));
    }
    assert_eq!(got, wanted.map(|(c, p)| (c.to_owned(), p.to_owned())));
    assert_eq!(heard(&mut globex), []);
    one.query("UNLISTEN jobs").unwrap();
    two.query("NOTIFY jobs").unwrap();
    assert_eq!(heard(&mut one), []);
    assert_eq!(two.query("SELECT pg_notify('', 'x')").unwrap_err().code, "22023");
    assert_eq!(two.extended("SELECT pg_notify($1, 'x')", &[Some(&"y".repeat(64))]).unwrap_err().code, "22023");
}

#[test]
fn sequences_of_listed_tables() {
    let database = shop();
    database.psql("CREATE SEQUENCE orders_seq OWNED BY orders.id; CREATE SEQUENCE loose_seq");
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(acme.query("SELECT nextval('orders_seq'), currval('public.orders_seq')").unwrap().text(), "1|1");
    assert_eq!(acme.query("INSERT INTO orders (id, item) VALUES (nextval('orders_seq') + 100, 'x') RETURNING id").unwrap().text(), "102");
    assert_eq!(acme.query("SELECT nextval('loose_seq')").unwrap_err().code, "42P01");
    assert_eq!(acme.query("SELECT setval('orders_seq', 1)").unwrap_err().code, "42501");
}

#[test]
fn advisory_locks_are_the_tenants_own() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let [mut one, mut two, mut globex] = ["acme", "acme", "globex"].map(|t| Client::tenant(wall.port("pg"), t));
    for key in ["4242", "42, 42", "'7'", "id) FROM (VALUES (1), (2)) v(id", "hashtext('migration')"] {
        let (lock, attempt, free) = (
            format!("SELECT pg_advisory_lock({key})"),
            format!("SELECT pg_try_advisory_lock({key})"),
            format!("SELECT pg_advisory_unlock({key})"),
        );
        one.query(&lock).unwrap();
        let rows = |answer: crate::support::Answer| answer.unwrap().text().lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(rows(two.query(&attempt)).iter().all(|r| r == "f"), "{key}");
        assert!(rows(globex.query(&attempt)).iter().all(|r| r == "t"), "{key}");
        assert!(rows(two.query(&free)).iter().all(|r| r == "f"), "{key}");
        assert!(two.notices.pop().is_some_and(|n| n.message == "you don't own a lock of type ExclusiveLock"), "{key}");
        assert!(rows(one.query(&free)).iter().all(|r| r == "t"), "{key}");
        assert!(rows(two.query(&attempt)).iter().all(|r| r == "t"), "{key}");
        two.query("SELECT pg_advisory_unlock_all()").unwrap();
        globex.query("SELECT pg_advisory_unlock_all()").unwrap();
    }
    // By the protocol, shared, and for a transaction.
    assert_eq!(one.extended("SELECT pg_try_advisory_lock_shared($1)", &[Some("9")]).unwrap().text(), "t");
    assert_eq!(two.extended("SELECT pg_try_advisory_lock_shared($1)", &[Some("9")]).unwrap().text(), "t");
    assert_eq!(two.extended("SELECT pg_try_advisory_lock($1)", &[Some("9")]).unwrap().text(), "f");
    assert_eq!(one.extended("SELECT pg_advisory_unlock_shared($1)", &[Some("9")]).unwrap().text(), "t");
    assert_eq!(two.query("SELECT pg_try_advisory_lock(9)").unwrap().text(), "t");
    one.query("BEGIN").unwrap();
    one.extended("SELECT pg_advisory_xact_lock($1, $2)", &[Some("1"), Some("-2")]).unwrap();
    assert_eq!(two.query("SELECT pg_try_advisory_xact_lock(1, -2)").unwrap().text(), "f");
    assert_eq!(two.query("SELECT pg_try_advisory_xact_lock(4294967294)").unwrap().text(), "t");
    one.query("COMMIT").unwrap();
    assert_eq!(two.query("SELECT pg_try_advisory_xact_lock(1, -2)").unwrap().text(), "t");
    assert_eq!(one.query("SELECT pg_advisory_lock(NULL)").unwrap().text(), "");
    assert_eq!(one.query("SELECT pg_advisory_lock(1.5)").unwrap_err().code, "42883");
    // Locks on rows' numbers are taken for the tenant's own rows only.
    assert_eq!(one.query("SELECT count(*) FROM orders WHERE pg_try_advisory_lock(id)").unwrap().text(), "2");
    assert_eq!(database.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"), "4");
}

#[test]
fn temporary_tables_are_changed_as_in_a_private_database() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut alone = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap();
    alone.query("BEGIN; DELETE FROM orders WHERE tenant_id <> 'acme'").unwrap();
    for sql in [
        "CREATE TEMP TABLE draft (LIKE orders INCLUDING ALL, marked boolean DEFAULT false)",
        "INSERT INTO draft SELECT * FROM orders",
        "CREATE INDEX ON draft (lower(item))",
        "CREATE UNIQUE INDEX draft_item ON draft USING btree (item) WHERE price > 1",
        "ALTER TABLE draft ADD COLUMN total numeric DEFAULT 1 + 1, ALTER COLUMN marked SET NOT NULL",
        "UPDATE draft SET total = price * 2 WHERE id = 1",
        "ALTER TABLE draft ALTER COLUMN total TYPE text USING round(total)::text, ADD CHECK (id > 0)",
        "SELECT id, item, marked, total FROM draft ORDER BY id",
        "ALTER TABLE draft DROP COLUMN marked, ALTER COLUMN item DROP DEFAULT",
        "SELECT * FROM draft ORDER BY id",
        "SELECT d.item FROM draft d JOIN orders o USING (id) ORDER BY 1",
        "TRUNCATE draft",
        "SELECT count(*) FROM draft",
        "SAVEPOINT s",
        "INSERT INTO draft (tenant_id, id, item) VALUES ('acme', -1, 'x')",
    ] {
        if sql == "SAVEPOINT s" {
            alone.query(sql).unwrap();
            continue;
        }
        let shown =
            |answer: crate::support::Answer| answer.map(|r| (r.tag.clone(), r.columns.clone(), r.text())).map_err(|e| (e.code, e.message));
        let (walled, wanted) = (shown(acme.query(sql)), shown(alone.query(sql)));
        assert_eq!(walled, wanted, "{sql}");
    }
    alone.query("ROLLBACK").unwrap();
    assert_eq!(acme.query("CREATE INDEX ON orders (item)").unwrap_err().code, "42501");
    assert_eq!(acme.query("ALTER TABLE orders DROP COLUMN item").unwrap_err().code, "42501");
    assert_eq!(database.psql("SELECT count(*) FROM orders"), "4");
}

#[test]
fn comments_are_kept_where_the_policy_says_so() {
    let database = shop();
    let last = || {
        database.psql(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%orders%'",
        )
    };
    let (plain, policy) = (Wall::for_database(&database, POLICY), POLICY.replace("layout: rows", "layout: rows\n  comments: keep"));
    let mut acme = Client::tenant(plain.port("pg"), "acme");
    acme.query("/*+ SeqScan(orders) */ SELECT id FROM orders /*traceparent='00-1'*/").unwrap();
    assert_eq!(last(), "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'acme'");
    drop(acme);
    drop(plain);
    let wall = Wall::for_database(&database, &policy);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let sql = "/*+ SeqScan(orders) */ SELECT id FROM orders WHERE id = 1 /*traceparent='00-1'*/;";
    for _ in 0..3 {
        assert_eq!(acme.query(sql).unwrap().text(), "1");
        let sent = "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'acme' AND id = 1";
        assert_eq!(last(), format!("/*+ SeqScan(orders) */ {sent} /*traceparent='00-1'*/"));
    }
    assert_eq!(acme.extended("SELECT item FROM orders WHERE id = $1 /* x */", &[Some("2")]).unwrap().text(), "rocket");
    assert!(last().ends_with("AND id = $1 /* x */"), "{}", last());
    // Places in errors are those of the client's own text.
    let wrong = "/* a */ SELECT id, nosuch FROM orders /* b */";
    assert_eq!(acme.query(wrong).unwrap_err().position, Some(20));
    assert_eq!(acme.query("/* a */ SELECT id FROM nowhere /* b */").unwrap_err().position, Some(24));
    assert_eq!(acme.query("/* a */ SELECT 1/0 FROM orders WHERE id / 0 > 'x' /* b */").unwrap_err().code, "22P02");
}

/// The server's table of locks is one for all: whoever fills it, all tenants' statements fail.
#[test]
fn a_session_holds_so_many_advisory_locks_and_savepoints_and_no_more() {
    let database = shop();
    let (wall, few) =
        (Wall::for_database(&database, POLICY), Wall::for_database(&database, &format!("{POLICY}limits: {{ advisory_locks: 3 }}\n")));
    let held = || {
        let own = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        database.psql(&format!("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {own}"))
    };
    for key in ["n", "n, n", "(random() * 1e15)::int8"] {
        for lock in ["pg_advisory_lock", "pg_try_advisory_lock_shared", "pg_advisory_xact_lock"] {
            let mut client = Client::tenant(wall.port("pg"), "acme");
            client.query("BEGIN").unwrap();
            let error = client.query(&format!("SELECT count({lock}({key})) FROM generate_series(1, 40000) n")).unwrap_err();
            assert_eq!((error.code.as_str(), error.message.as_str()), ("53200", "out of advisory locks"), "{lock}({key})");
            assert!(matches!(held().as_str(), "50" | "0"), "{}", held());
        }
        assert!(eventually(|| held() == "0"));
    }
    let mut client = Client::tenant(few.port("pg"), "acme");
    for n in 0..20 {
        assert_eq!(
            client.query(&format!("SELECT pg_try_advisory_lock({n})")).map_or_else(|e| e.code, |r| r.text()),
            if n < 3 { "t" } else { "53200" }
        );
    }
    assert_eq!(client.extended("SELECT pg_advisory_lock($1)", &[Some("9")]).unwrap_err().code, "53200");
    assert_eq!(client.query("SELECT pg_advisory_unlock(1)").unwrap().text(), "t");
    assert_eq!(client.query("SELECT pg_try_advisory_lock(9)").unwrap().text(), "t");
    client.query("BEGIN").unwrap();
    for _ in 0..1000 {
        client.query("SAVEPOINT s").unwrap();
    }
    assert_eq!(client.query("SAVEPOINT s").unwrap_err().code, "53400");
    client.query("ROLLBACK").unwrap();
    let released = "SAVEPOINT a; RELEASE a;".repeat(1500);
    assert!(client.simple(&format!("BEGIN; {released} COMMIT")).iter().all(Result::is_ok));
    assert_eq!(client.simple(&format!("BEGIN; {}", "SAVEPOINT a;".repeat(1500))).pop().unwrap().unwrap_err().code, "53400");
}

/// What ends a transaction that keeps others waiting is the operator's to say.
#[test]
fn no_tenant_lifts_the_operators_timeouts() {
    let database = shop();
    for time in ["statement_timeout = '1s'", "idle_in_transaction_session_timeout = '1min'"] {
        database
            .psql(&format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {}', current_database()); END $$", time.replace('\'', "''")));
    }
    let direct = Wall::for_database(&database, POLICY);
    let upstream = "user: postgres, pool: { mode: transaction, size: 2 }";
    let pooled = Wall::start(&Wall::config(&database, "identity: [startup]", upstream), &[("test.yaml", POLICY)]);
    for wall in [&direct, &pooled] {
        let connect = |options: &str| {
            Client::connect(wall.port("pg"), &[("user", "app"), ("partywall.tenant", "acme"), ("options", options)]).map_err(|e| e.code)
        };
        let mut client = connect("-c statement_timeout=0 -c idle_in_transaction_session_timeout=1000 -c lock_timeout=0").unwrap();
        let mut ask = |sql: &str| client.query(sql).map(|r| r.text()).map_err(|e| e.code);
        assert_eq!(ask("SHOW statement_timeout"), Ok("1s".into()));
        assert_eq!(ask("SHOW idle_in_transaction_session_timeout"), Ok("1s".into()));
        for lifted in ["SET statement_timeout = 0", "SET statement_timeout TO '1d'", "SET SESSION statement_timeout = 1001"] {
            assert_eq!(ask("SET statement_timeout = 100").and_then(|_| ask("SHOW statement_timeout")), Ok("100ms".into()));
            assert_eq!(ask(lifted).and_then(|_| ask("SHOW statement_timeout")), Ok("1s".into()), "{lifted}");
        }
        assert_eq!(ask("SELECT pg_sleep(3)"), Err("57014".into()));
        assert_eq!(ask("SELECT set_config('statement_timeout', '0', false)"), Err("42501".into()));
        assert_eq!(ask("SELECT set_config('statement_timeout', '200', false)"), Ok("200ms".into()));
        assert_eq!(ask("RESET ALL").and_then(|_| ask("SHOW idle_in_transaction_session_timeout")), Ok("1s".into()));
        assert_eq!(connect("-c statement_timeout=0x0").map(|_| ()), Err("42501".into()));
        assert_eq!(ask("SET lock_timeout = 0").and_then(|_| ask("SHOW lock_timeout")), Ok("0".into()));
    }
}
