//! Connections that clients share: nothing of one tenant stays where another can see it, and each finds its own session as it left it.

use crate::smoke::{POLICY, shop};
use crate::support::{Client, Database, Wall, eventually, get};
use std::time::{Duration, Instant};

/// A wall whose pool has this many connections.
pub fn pooled(database: &Database, pool: &str, policy: &str) -> Wall {
    let upstream = format!("user: postgres, pool: {{ {pool} }}");
    Wall::start(&Wall::config(database, "identity: [startup]", &upstream), &[("test.yaml", policy)])
}

/// Two tenants that have one connection between them.
fn two() -> (Database, Wall, Client, Client) {
    let database = shop();
    let wall = pooled(&database, "mode: transaction, size: 1, wait: 2s", POLICY);
    let (acme, globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    (database, wall, acme, globex)
}

fn ask(client: &mut Client, sql: &str) -> Result<String, String> {
    client.query(sql).map(|r| r.text()).map_err(|e| e.code)
}

fn backends(database: &Database) -> String {
    database.psql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

const ITEMS: &str = "SELECT item FROM orders ORDER BY id";

#[test]
fn two_tenants_share_a_connection() {
    let (database, wall, mut acme, mut globex) = two();
    for _ in 0..3 {
        assert_eq!(ask(&mut acme, ITEMS), Ok("anvil\nrocket".into()));
        assert_eq!(ask(&mut globex, ITEMS), Ok("laser\nwhale".into()));
        let row = acme.extended("SELECT item FROM orders WHERE id = $1", &[Some("1")]).unwrap();
        assert_eq!(row.text(), "anvil");
        let row = globex.extended("SELECT item FROM orders WHERE id = $1", &[Some("1")]).unwrap();
        assert_eq!(row.text(), "laser");
    }
    assert_eq!(backends(&database), "1");
    acme.query("BEGIN").unwrap();
    assert_eq!(acme.query("UPDATE orders SET item = 'x' WHERE id = 1").unwrap().tag, "UPDATE 1");
    let began = Instant::now();
    assert_eq!(ask(&mut globex, ITEMS), Err("53300".into()), "it waits, and not for ever");
    assert!(began.elapsed() > Duration::from_millis(1500));
    assert_eq!(globex.status, b'I');
    assert_eq!(globex.extended(ITEMS, &[]).unwrap_err().code, "53300", "in the extended protocol as well");
    acme.query("ROLLBACK").unwrap();
    assert_eq!(ask(&mut globex, ITEMS), Ok("laser\nwhale".into()), "and goes on");
    for line in ["partywall_pool{upstream=\"db\",state=\"idle\"} 1", "partywall_pool_events_total{upstream=\"db\",state=\"timed_out\"} 2"] {
        let mut metrics = String::new();
        let told = eventually(|| {
            metrics = get(wall.port("admin"), "/metrics").1;
            metrics.lines().any(|l| l == line)
        });
        assert!(told, "{metrics}");
    }
}

#[test]
fn each_session_has_its_own_settings() {
    let (_database, wall, mut acme, mut globex) = two();
    let mut tokyo = Client::connect(
        wall.port("pg"),
        &[("user", "app"), ("partywall.tenant", "globex"), ("TimeZone", "asia/tokyo"), ("application_name", "clock")],
    )
    .unwrap();
    assert_eq!(tokyo.parameters["TimeZone"], "Asia/Tokyo", "as the server writes it");
    assert_eq!(tokyo.parameters["application_name"], "clock");
    let zone = |client: &mut Client| ask(client, "SHOW TimeZone").unwrap();
    let home = zone(&mut globex);
    acme.query("SET TimeZone = 'America/New_York'").unwrap();
    assert_eq!(acme.parameters["TimeZone"], "America/New_York");
    for _ in 0..2 {
        assert_eq!((zone(&mut acme), zone(&mut globex), zone(&mut tokyo)), ("America/New_York".into(), home.clone(), "Asia/Tokyo".into()));
    }
    acme.query("BEGIN; SET TimeZone = 'Europe/Vienna'").unwrap();
    assert_eq!(zone(&mut acme), "Europe/Vienna");
    acme.query("ROLLBACK").unwrap();
    assert_eq!((zone(&mut globex), zone(&mut acme)), (home.clone(), "America/New_York".into()));
    acme.query("BEGIN; SET LOCAL TimeZone = 'Europe/Vienna'; COMMIT").unwrap();
    acme.query("SELECT set_config('datestyle', 'german', false)").unwrap();
    acme.query("SET statement_timeout = '7s'").unwrap();
    assert_eq!((ask(&mut globex, "SHOW DateStyle"), ask(&mut globex, "SHOW statement_timeout")), (Ok("ISO, MDY".into()), Ok("0".into())));
    assert_eq!((zone(&mut acme), ask(&mut acme, "SHOW DateStyle")), ("America/New_York".into(), Ok("German, DMY".into())));
    assert_eq!(ask(&mut acme, "SHOW statement_timeout"), Ok("7s".into()));
    acme.query("RESET TimeZone").unwrap();
    tokyo.query("SET TimeZone = 'UTC'").unwrap();
    tokyo.query("RESET TimeZone").unwrap();
    assert_eq!((zone(&mut acme), zone(&mut globex), zone(&mut tokyo)), (home.clone(), home.clone(), "Asia/Tokyo".into()));
    assert_eq!(tokyo.parameters["TimeZone"], "Asia/Tokyo", "what it asked for when it began");
    tokyo.query("DISCARD ALL").unwrap();
    assert_eq!((zone(&mut globex), zone(&mut tokyo)), (home, "Asia/Tokyo".into()));
    let wrong = Client::connect(wall.port("pg"), &[("user", "app"), ("partywall.tenant", "acme"), ("TimeZone", "nowhere")]).err().unwrap();
    assert_eq!((wrong.severity.as_str(), wrong.code.as_str()), ("FATAL", "22023"));
}

#[test]
fn a_literal_is_read_under_the_settings_of_its_session() {
    let (_database, _wall, mut acme, mut globex) = two();
    const TEXT: &str = "SELECT extract(epoch FROM '2000-01-01 00:00'::timestamptz)::int";
    let epoch = |client: &mut Client, name: &str| {
        client.parse(name, TEXT, &[]);
        client.bind("", name, &[]);
        client.execute("", 0);
        client.sync();
        client.answers().remove(0).unwrap().text()
    };
    acme.query("SET TimeZone = 'Asia/Tokyo'").unwrap();
    assert_eq!(epoch(&mut acme, "a"), "946652400");
    assert_eq!(epoch(&mut globex, "a"), "946684800");
    globex.query("BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'").unwrap();
    assert_eq!(epoch(&mut globex, "b"), "946652400");
    globex.query("COMMIT").unwrap();
    assert_eq!(epoch(&mut globex, "c"), "946684800");
}

#[test]
fn prepared_statements_are_each_sessions_own_and_shared_upstream() {
    let (database, wall, mut acme, mut globex) = two();
    acme.parse("s", ITEMS, &[]);
    acme.sync();
    globex.parse("s", "SELECT count(*) FROM orders WHERE id = $1", &[23]);
    globex.sync();
    assert!(acme.answers().is_empty() && globex.answers().is_empty());
    let mut other = Client::tenant(wall.port("pg"), "globex");
    let run = |client: &mut Client, name: &str, parameters: &[Option<&str>]| {
        client.bind("", name, parameters);
        client.describe_portal("");
        client.execute("", 0);
        client.sync();
        client.answers().remove(0).map(|r| r.text()).map_err(|e| (e.code, e.message))
    };
    for _ in 0..3 {
        assert_eq!(run(&mut acme, "s", &[]), Ok("anvil\nrocket".into()));
        assert_eq!(run(&mut globex, "s", &[Some("3")]), Ok("1".into()));
    }
    let missing = ("26000".to_owned(), "prepared statement \"s\" does not exist".to_owned());
    assert_eq!(run(&mut other, "s", &[]), Err(missing.clone()), "another session's");
    assert_eq!(run(&mut other, "partywall 1", &[]).unwrap_err().0, "26000", "the wall's own");
    other.parse("t", ITEMS, &[]);
    assert_eq!(run(&mut other, "t", &[]), Ok("laser\nwhale".into()));
    other.parse("t", "SELECT 1", &[]);
    other.sync();
    assert_eq!(other.answers()[0].as_ref().unwrap_err().code, "42P05");
    for by_sql in ["EXECUTE \"partywall 1\"('acme')", "DEALLOCATE \"partywall 1\"", "EXECUTE nothing"] {
        assert_eq!(ask(&mut other, by_sql), Err("26000".into()), "{by_sql}");
    }
    assert_eq!(ask(&mut other, "PREPARE \"partywall 1\" AS SELECT 1"), Err("42602".into()));
    assert_eq!(acme.query("DEALLOCATE s").unwrap().tag, "DEALLOCATE");
    assert_eq!(run(&mut acme, "s", &[]), Err(missing));
    acme.message(b'C', b"Ss\0");
    acme.parse("s", "SELECT 'again'", &[]);
    assert_eq!(run(&mut acme, "s", &[]), Ok("again".into()));
    assert_eq!(acme.query("DEALLOCATE ALL").unwrap().tag, "DEALLOCATE ALL");
    assert_eq!(run(&mut globex, "s", &[Some("3")]), Ok("1".into()), "others' stay");
    assert_eq!(backends(&database), "1");
}

#[test]
fn a_pipeline_keeps_its_order_over_answers_of_the_walls_own() {
    let (_database, _wall, mut acme, mut globex) = two();
    for client in [&mut acme, &mut globex] {
        client.parse("a", "SELECT 1", &[]);
        client.parse("b", "SELECT x FROM nowhere", &[]);
        client.parse("c", "SELECT 3", &[]);
        client.bind("", "a", &[]);
        client.execute("", 0);
        client.sync();
        client.bind("", "c", &[]);
        client.execute("", 0);
        client.sync();
        client.parse("c", "SELECT 33", &[]);
        client.bind("", "c", &[]);
        client.execute("", 0);
        client.sync();
        let tags: Vec<u8> = std::iter::from_fn(|| client.receive()).map(|m| m.0).take(8).collect();
        assert_eq!(tags, b"1EZEZ12D", "{}", String::from_utf8_lossy(&tags));
        assert_eq!(client.answers().len(), 1);
        client.message(b'C', b"Sa\0");
        client.message(b'C', b"Sc\0");
        client.sync();
        assert!(client.answers().is_empty());
        client.query("BEGIN").unwrap();
        client.query("SELECT 1/0").unwrap_err();
        client.parse("c", "SELECT 3", &[]);
        client.sync();
        assert_eq!(client.answers()[0].as_ref().unwrap_err().code, "25P02");
        client.query("ROLLBACK").unwrap();
    }
}

#[test]
fn what_a_session_must_come_back_to_keeps_its_connection() {
    let database = shop();
    let wall = pooled(&database, "mode: transaction, size: 2", POLICY);
    let keeps: &[(&str, &str)] = &[
        ("CREATE TEMP TABLE t (x int)", "SELECT count(*) FROM t"),
        ("LISTEN news", "NOTIFY news"),
        ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)"),
        ("PREPARE p AS SELECT 7", "EXECUTE p"),
        ("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "FETCH c"),
    ];
    for (keep, then) in keeps {
        let mut one = Client::tenant(wall.port("pg"), "acme");
        let mut others: Vec<Client> = (0..3).map(|_| Client::tenant(wall.port("pg"), "globex")).collect();
        one.query(keep).unwrap_or_else(|e| panic!("{keep}: {e:?}"));
        let pid = ask(&mut one, "SELECT pg_backend_pid()").unwrap();
        for other in &mut others {
            assert_ne!(ask(other, "SELECT pg_backend_pid()").unwrap(), pid, "{keep}");
            assert_eq!(ask(other, ITEMS), Ok("laser\nwhale".into()));
        }
        assert_eq!(ask(&mut one, "SELECT pg_backend_pid()").unwrap(), pid, "{keep}");
        one.query(then).unwrap_or_else(|e| panic!("{then}: {e:?}"));
        drop(one);
        let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        assert!(eventually(|| database.psql(&gone) == "0"), "{keep}: closed with its session");
    }
    let mut one = Client::tenant(wall.port("pg"), "acme");
    one.query("LISTEN news").unwrap();
    one.query("DISCARD ALL").unwrap();
    let mut pids: Vec<String> = Vec::new();
    for _ in 0..4 {
        pids.push(ask(&mut Client::tenant(wall.port("pg"), "globex"), "SELECT pg_backend_pid()").unwrap());
    }
    let mut two = Client::tenant(wall.port("pg"), "globex");
    two.query("BEGIN").unwrap();
    let mut three = Client::tenant(wall.port("pg"), "globex");
    assert_eq!(ask(&mut three, ITEMS), Ok("laser\nwhale".into()), "after DISCARD ALL it is free");
}

#[test]
fn nothing_of_a_session_is_left_for_the_next() {
    let database = shop();
    database.psql(
        "CREATE SEQUENCE tickets;
         CREATE FUNCTION litter() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
           PERFORM set_config('TimeZone', 'Asia/Tokyo', false), set_config('my.secret', 'acme', false), pg_advisory_lock(42);
           LISTEN litter; PERFORM setseed(0.5);
           RETURN 'done'; END $$;
         CREATE FUNCTION found() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(',', current_setting('TimeZone'),
           nullif(current_setting('my.secret', true), ''), (SELECT count(*) FROM pg_listening_channels()),
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
           (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema())) $$;",
    );
    let policy = POLICY
        .replace("  tables:\n", "  functions: [ public.litter(), public.found() ]\n  tables:\n    public.tickets: { shared: read }\n");
    let wall = pooled(&database, "mode: transaction, size: 1", &policy);
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    let clean = ask(&mut globex, "SELECT found()").unwrap();
    let pid = ask(&mut globex, "SELECT pg_backend_pid()").unwrap();
    assert_eq!(ask(&mut acme, "SELECT litter()"), Ok("done".into()));
    assert_eq!(ask(&mut globex, "SELECT found()"), Ok(clean.clone()));
    assert_eq!(ask(&mut acme, "SELECT nextval('tickets')"), Ok("1".into()));
    assert_eq!(ask(&mut globex, "SELECT currval('tickets')"), Err("55000".into()), "another session's number");
    acme.query("BEGIN").unwrap();
    assert_eq!(ask(&mut acme, "SELECT nextval('tickets')"), Ok("2".into()));
    assert_eq!(ask(&mut acme, "SELECT currval('tickets')"), Ok("2".into()), "within its transaction");
    acme.query("COMMIT").unwrap();
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..5 {
        acme.query("SELECT setseed(0.25)").unwrap();
        numbers.insert(ask(&mut globex, "SELECT random()").unwrap());
    }
    assert_eq!(numbers.len(), 5, "a seed of one session's says nothing of another's numbers: {numbers:?}");
    assert_eq!(ask(&mut globex, "SELECT pg_backend_pid()"), Ok(pid), "all of it on one connection");
    assert_eq!(ask(&mut globex, "SELECT found()"), Ok(clean));
}

#[test]
fn a_session_that_leaves_in_a_transaction_leaves_nothing() {
    let (database, wall, mut acme, mut globex) = two();
    acme.query("BEGIN; UPDATE orders SET item = 'gone' WHERE id = 1").unwrap();
    drop(acme);
    assert_eq!(ask(&mut globex, ITEMS), Ok("laser\nwhale".into()));
    let mut again = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(ask(&mut again, ITEMS), Ok("anvil\nrocket".into()));
    assert!(eventually(|| backends(&database) == "1"));
}

#[test]
fn a_server_that_goes_is_told_and_the_next_connection_is_a_new_one() {
    let (database, _wall, mut acme, mut globex) = two();
    assert_eq!(ask(&mut acme, ITEMS), Ok("anvil\nrocket".into()));
    const KILL: &str =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.psql(KILL);
    assert!(eventually(|| backends(&database) == "0"));
    assert_eq!(ask(&mut globex, ITEMS), Ok("laser\nwhale".into()), "an idle one that is gone is nobody's business");
    acme.query("BEGIN").unwrap();
    database.psql(KILL);
    let told = acme.query("SELECT 1").unwrap_err();
    assert!(["57P01", "08006"].contains(&told.code.as_str()), "{told:?}");
    assert_eq!(ask(&mut globex, ITEMS), Ok("laser\nwhale".into()));
}

#[test]
fn session_mode_gives_a_clean_connection_to_the_next() {
    let database = shop();
    let wall = pooled(&database, "mode: session, size: 1, wait: 5s", POLICY);
    let mut pids = std::collections::BTreeSet::new();
    for round in 0..4 {
        let tenant = if round % 2 == 0 { "acme" } else { "globex" };
        let mut client = Client::tenant(wall.port("pg"), tenant);
        assert_eq!(ask(&mut client, "SHOW TimeZone").unwrap(), ask(&mut client, "SELECT current_setting('TimeZone')").unwrap());
        assert_ne!(ask(&mut client, "SHOW TimeZone"), Ok("Asia/Tokyo".into()));
        assert_eq!(ask(&mut client, "SELECT count(*) FROM t"), Err("42P01".into()));
        client.query("SET TimeZone = 'Asia/Tokyo'; SELECT pg_advisory_lock(1); LISTEN x").unwrap();
        client.query("PREPARE p AS SELECT 1").unwrap();
        pids.insert(ask(&mut client, "SELECT pg_backend_pid()").unwrap());
        client.message(b'X', &[]);
    }
    assert_eq!(pids.len(), 1, "one connection for all");
    for tenant in ["acme", "globex"] {
        let mut client = Client::tenant(wall.port("pg"), tenant);
        assert_eq!(ask(&mut client, TEMPORARY), Ok("0|{pg_catalog,public}".into()));
        client.query("CREATE TEMP TABLE t (x int); DROP TABLE t").unwrap();
        client.message(b'X', &[]);
    }
}

/// What a connection says of its temporary schema.
const TEMPORARY: &str = "SELECT pg_my_temp_schema(), current_schemas(true)";

#[test]
fn that_others_made_temporary_tables_or_wrote_is_not_told() {
    let database = shop();
    database.psql(
        "CREATE FUNCTION litter() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE l (x int) ON COMMIT DROP; RETURN 1; END $$",
    );
    let policy = POLICY.replace("  tables:\n", "  functions: [ public.litter() ]\n  tables:\n");
    let wall = pooled(&database, "mode: transaction, size: 7, wait: 5s", &policy);
    let mut globex = Client::tenant(wall.port("pg"), "globex");
    const TIMEOUT: &str = "SELECT setting, source FROM pg_settings WHERE name = 'statement_timeout'";
    let before = (ask(&mut globex, TEMPORARY), ask(&mut globex, TIMEOUT));
    assert_eq!(before, (Ok("0|{pg_catalog,public}".into()), Ok("0|default".into())));
    for make in [
        "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1",
        "SELECT litter()",
        "DELETE FROM orders WHERE id = 99",
        "SET statement_timeout = '9s'",
    ] {
        let mut many: Vec<Client> = (0..7).map(|_| Client::tenant(wall.port("pg"), "acme")).collect();
        for client in &mut many {
            client.query("BEGIN").unwrap();
            client.query(make).unwrap();
        }
        many.iter_mut().for_each(|client| drop(client.query("COMMIT").unwrap()));
        // Each of the seven is there, and none is as its last session left it.
        let mut others: Vec<Client> = (0..7).map(|_| Client::tenant(wall.port("pg"), "globex")).collect();
        for client in &mut others {
            client.query("BEGIN").unwrap();
            assert_eq!((ask(client, TEMPORARY), ask(client, TIMEOUT)), before, "{make}");
        }
    }
}

#[test]
fn how_often_others_have_run_a_statement_is_not_told() {
    let (_database, wall, mut acme, mut globex) = two();
    // Planned for its parameters it divides by zero as it is planned; planned for all of them it never does.
    const TEXT: &str = "SELECT id FROM orders WHERE id > 0 AND CASE WHEN id < 0 THEN 10 / $1::int > 0 ELSE true END ORDER BY id";
    let run = |client: &mut Client, divisor: &str| {
        client.bind("", "s", &[Some(divisor)]);
        client.execute("", 0);
        client.sync();
        client.answers().remove(0).map(|r| r.text()).map_err(|e| e.code)
    };
    let mut other = Client::tenant(wall.port("pg"), "globex");
    for client in [&mut acme, &mut globex, &mut other] {
        client.parse("s", TEXT, &[]);
        client.sync();
        assert!(client.answers().is_empty());
    }
    for _ in 0..12 {
        assert_eq!(run(&mut globex, "1"), Ok("1\n3".into()));
    }
    assert_eq!(run(&mut globex, "0"), Ok("1\n3".into()), "its own executions count");
    assert_eq!(run(&mut other, "0"), Ok("1\n3".into()), "and those of its tenant's other sessions");
    assert_eq!(run(&mut acme, "0"), Err("22012".into()), "another tenant's do not");
}
