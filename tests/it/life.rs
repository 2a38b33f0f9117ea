//! From start to end of the process: what stops the start, reload, catalog changes, drain, limits, cancel, admin port, logs.

use crate::smoke::{POLICY, shop};
use crate::support::{Client, Leash, Postgres, Wall, eventually, get, socket};
use std::io::{Read, Write};
use std::net::TcpStream;

fn count(client: &mut Client) -> Result<String, String> {
    client.query("SELECT count(*) FROM orders").map(|r| r.text()).map_err(|e| e.code)
}

#[test]
fn a_listed_table_without_its_tenant_column_stops_the_start() {
    let database = shop();
    database.psql("ALTER TABLE orders RENAME tenant_id TO owner");
    let config = Wall::config(&database, "identity: [startup]", "user: postgres");
    let said = Wall::attempt(&config, &[("test.yaml", POLICY)]).err().unwrap();
    let line = POLICY.lines().position(|l| l.contains("public.orders")).unwrap() + 1;
    assert!(said.contains(&format!("policies/test.yaml:{line}:")) && said.contains("tenant_id"), "{said}");
    let missing = POLICY.replace("public.countries:", "public.nothing:");
    let said = Wall::attempt(&config, &[("test.yaml", &missing)]).err().unwrap();
    assert!(said.contains(&format!("policies/test.yaml:{}:", line + 1)), "an entry that matches nothing: {said}");
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_its_place() {
    let config = Wall::config(&shop(), "identity: [startup], typo: 1", "user: postgres");
    let said = Wall::attempt(&config, &[("test.yaml", POLICY)]).err().unwrap();
    assert!(said.contains("partywall.yaml:2:") && said.contains("typo"), "{said}");
    let said = Wall::attempt(&Wall::config(&shop(), "identity: [mtls]", "user: postgres"), &[("test.yaml", POLICY)]).err().unwrap();
    assert!(said.contains("partywall.yaml:2:") && said.contains("mtls"), "{said}");
}

#[test]
fn a_drain_lets_transactions_end() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let port = wall.port("pg");
    let (mut idle, mut busy) = (Client::tenant(port, "acme"), Client::tenant(port, "globex"));
    let mut copying = Client::tenant(port, "acme");
    busy.query("BEGIN").unwrap();
    busy.query("UPDATE orders SET item = 'drained' WHERE id = 1").unwrap();
    // A session in the middle of a pipeline, with a portal that has more rows.
    copying.parse("", "SELECT id FROM orders ORDER BY id", &[]);
    copying.bind("p", "", &[]);
    copying.execute("p", 1);
    copying.message(b'H', &[]);
    while copying.receive().unwrap().0 != b's' {}
    wall.signal("TERM");
    let (tag, body) = idle.receive().unwrap();
    assert!(tag == b'E' && String::from_utf8_lossy(&body).contains("57P01"), "{body:?}");
    assert_eq!(idle.receive(), None);
    assert!(eventually(|| TcpStream::connect(("127.0.0.1", port)).is_err()), "no new connections");
    assert_eq!(get(wall.port("admin"), "/readyz").0, 503);
    assert_eq!(get(wall.port("admin"), "/livez").0, 200);
    copying.execute("p", 0);
    copying.sync();
    assert_eq!(copying.answers()[0].as_ref().unwrap().text(), "2");
    assert_eq!(copying.receive().map(|m| m.0), Some(b'E'));
    assert_eq!(busy.query("UPDATE orders SET item = 'twice' WHERE id = 3").unwrap().tag, "UPDATE 1");
    assert_eq!(busy.query("COMMIT").unwrap().tag, "COMMIT");
    let (tag, body) = busy.receive().unwrap();
    assert!(tag == b'E' && String::from_utf8_lossy(&body).contains("57P01"));
    assert!(eventually(|| wall.has_ended()), "all sessions have ended");
    assert_eq!(database.psql("SELECT item FROM orders WHERE tenant_id = 'globex' ORDER BY id"), "drained\ntwice");
}

#[test]
fn one_that_waits_for_its_server_ends_when_told() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '{}' }}\npolicies: test.yaml\n",
        silent.local_addr().unwrap()
    );
    std::fs::write(directory.path().join("partywall.yaml"), config).unwrap();
    std::fs::write(directory.path().join("test.yaml"), super::redis::POLICY).unwrap();
    let wall = Leash::start("KILL", None, &[env!("CARGO_BIN_EXE_partywall"), "serve"], directory.path(), &[]);
    let _asked = silent.accept().unwrap();
    assert!(!wall.has_ended());
    wall.signal("TERM");
    assert!(eventually(|| wall.has_ended()));
}

#[test]
fn a_second_term_ends_it_now_and_what_was_open_is_rolled_back() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut busy = Client::tenant(wall.port("pg"), "acme");
    busy.query("BEGIN").unwrap();
    busy.query("DELETE FROM orders").unwrap();
    wall.signal("TERM");
    assert!(eventually(|| get(wall.port("admin"), "/readyz").0 == 503));
    wall.signal("TERM");
    assert_eq!(busy.receive().map(|m| m.0), Some(b'E'));
    assert!(eventually(|| wall.has_ended()));
    assert!(eventually(|| database.psql("SELECT count(*) FROM orders") == "4"));
}

#[test]
fn a_reload_reaches_live_sessions() {
    let wall = Wall::for_database(&shop(), POLICY);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    client.parse("s", "SELECT count(*) FROM orders", &[]);
    client.sync();
    client.answers();
    assert_eq!(count(&mut client), Ok("2".into()));
    wall.rewrite("test.yaml", &POLICY.replace("public.orders:    { scoped: tenant_id }", "public.orders: { hidden: true }"));
    wall.signal("HUP");
    assert!(eventually(|| count(&mut client) == Err("42P01".into())), "{}", wall.log());
    client.bind("", "s", &[]);
    client.execute("", 0);
    client.sync();
    assert_eq!(client.answers()[0].as_ref().unwrap_err().code, "0A000", "prepared under the old policy");
    // A policy that cannot be read changes nothing.
    wall.rewrite("test.yaml", "version: 1\nname: test\nwhat: is this\n");
    wall.signal("HUP");
    assert!(eventually(|| wall.log().contains("the new configuration is not used")), "{}", wall.log());
    assert_eq!(count(&mut client), Err("42P01".into()));
    wall.rewrite("test.yaml", POLICY);
    wall.signal("HUP");
    assert!(eventually(|| count(&mut client) == Ok("2".into())));
}

/// The tenant is one no more: who listens hears nothing more, and no transaction, cursor or COPY goes on.
#[test]
fn a_reload_that_takes_a_tenant_ends_its_sessions() {
    let database = shop();
    let sources = "  startup: { trust: [loopback] }\n";
    let policy = POLICY.replace(sources, &format!("{sources}  statement: {{ trust: [loopback] }}\n"));
    let chooses =
        "listeners:\n  - { name: chooses, protocol: postgres, listen: '127.0.0.1:0', upstream: db, policy: test, identity: [statement] }\n";
    let config = Wall::config(&database, "identity: [startup]", "user: postgres").replace("listeners:\n", chooses);
    let wall = Wall::start(&config, &[("test.yaml", &policy)]);
    let of = |tenant: &str| {
        let mut client = Client::connect(wall.port("pg"), &[("user", "app"), ("partywall.tenant", tenant)]).unwrap();
        // Not where connections are lent.
        let _ = client.query("LISTEN news");
        client
    };
    let (mut listens, mut stays, mut within) = (of("acme"), of("globex"), of("acme"));
    for sql in ["BEGIN", "DECLARE c CURSOR FOR SELECT item FROM orders"] {
        within.query(sql).unwrap();
    }
    let mut chooses = Client::connect(wall.port("chooses"), &[("user", "app")]).unwrap();
    chooses.query("SET partywall.tenant = 'acme'").unwrap();
    let _ = chooses.query("LISTEN news");
    wall.rewrite("test.yaml", &policy.replace("tenants: { id: '", "tenants: { id: 'g"));
    wall.signal("HUP");
    for client in [&mut listens, &mut within] {
        let (tag, body) = client.receive().unwrap();
        assert_eq!((tag, String::from_utf8_lossy(&body).contains("57P01")), (b'E', true));
        assert_eq!(client.receive(), None);
    }
    assert_eq!(stays.query("SELECT item FROM orders ORDER BY id").unwrap().text(), "laser\nwhale");
    assert!(Client::connect(wall.port("pg"), &[("user", "app"), ("partywall.tenant", "acme")]).is_err());
    // What was SET is taken back; another tenant's statement is served on the same connection. Each listener takes the new policy for itself.
    let taken = || wall.log().lines().any(|l| l.contains("policy and catalog renewed") && l.contains("chooses"));
    assert!(eventually(taken), "{}", wall.log());
    assert_eq!(chooses.query("SELECT item FROM orders").unwrap_err().code, "28000");
    assert_eq!(chooses.query("/*tenant='acme'*/ SELECT item FROM orders").unwrap_err().code, "28000");
    assert_eq!(chooses.query("/*tenant='globex'*/ SELECT min(item) FROM orders").unwrap().text(), "laser");
}

#[test]
fn a_changed_schema_is_read_again() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    database.psql("ALTER TABLE orders ADD COLUMN note text DEFAULT 'new'");
    let mut ask = |sql: &str| client.query(sql).map(|r| r.text()).map_err(|e| e.code);
    assert!(eventually(|| ask("SELECT note FROM orders WHERE id = 1") == Ok("new".into())), "a new column");
    database.psql("ALTER TABLE orders DROP COLUMN price");
    assert_eq!(ask("SELECT price FROM orders"), Err("42703".into()));
    database.psql("ALTER TABLE orders RENAME item TO thing");
    assert!(eventually(|| ask("SELECT thing FROM orders WHERE id = 1") == Ok("anvil".into())), "a new name");
    database.psql("ALTER TABLE orders RENAME TO gone");
    assert_eq!(ask("SELECT id FROM orders"), Err("42P01".into()));
    database.psql("ALTER TABLE gone RENAME TO orders");
    assert!(eventually(|| ask("SELECT thing FROM orders WHERE id = 1") == Ok("anvil".into())), "it is back");
}

#[test]
fn a_tenant_has_its_number_of_connections() {
    let policy = format!("{POLICY}limits:\n  default: {{ connections: 2 }}\n  tenants: {{ globex: {{ connections: 1 }} }}\n");
    let wall = Wall::for_database(&shop(), &policy);
    let connect =
        |tenant: &str| Client::connect(wall.port("pg"), &[("user", "app"), ("partywall.tenant", tenant)]).map_err(|e| (e.severity, e.code));
    let full = Err(("FATAL".to_owned(), "53300".to_owned()));
    let one = connect("acme").unwrap();
    let _two = connect("acme").unwrap();
    assert_eq!(connect("acme").map(|_| ()), full);
    let _other = connect("globex").unwrap();
    assert_eq!(connect("globex").map(|_| ()), full, "its own limit");
    drop(one);
    assert!(eventually(|| connect("acme").is_ok()), "a closed one makes room");
}

#[test]
fn cancel_works_by_the_walls_own_key() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let port = wall.port("pg");
    let mut client = Client::tenant(port, "acme");
    let backends = database
        .psql("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    assert!(!backends.split(' ').any(|pid| pid == client.key.0.to_string()), "the server's own process id is not shown");
    let cancel = |pid: u32, secret: u32| {
        let mut socket = socket(port);
        let words = [16u32, 80_877_102, pid, secret].map(u32::to_be_bytes).concat();
        socket.write_all(&words).unwrap();
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
        assert!(said.is_empty(), "a cancel request has no answer");
    };
    let running = || {
        database.psql(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()",
        )
    };
    let (pid, secret) = client.key;
    client.message(b'Q', b"SELECT pg_sleep(60)\0");
    assert!(eventually(|| running() == "1"));
    for (pid, secret) in [(pid, secret ^ 1), (pid + 1, secret), (0, 0), (backends.split(' ').next().unwrap().parse().unwrap(), secret)] {
        cancel(pid, secret);
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(running(), "1", "a wrong key cancels nothing");
    cancel(pid, secret);
    assert_eq!(client.answers()[0].as_ref().unwrap_err().code, "57014");
    assert_eq!(count(&mut client), Ok("2".into()), "the session goes on");
    drop(client);
    std::thread::sleep(std::time::Duration::from_millis(100));
    cancel(pid, secret); // a key of the past
    let metrics = || get(wall.port("admin"), "/metrics").1;
    assert!(eventually(|| metrics().contains("outcome=\"wrong_cancel\"} 5")), "{}", metrics());
}

#[test]
fn a_cancel_key_tells_nothing_of_other_connections() {
    let wall = Wall::for_database(&shop(), POLICY);
    let numbers: Vec<u32> = (0..12).map(|at| Client::tenant(wall.port("pg"), ["acme", "globex"][at % 2]).key.0).collect();
    let near = numbers.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1 << 16).count();
    assert!(near < 3, "{numbers:?}");
    assert!(numbers.windows(2).any(|pair| pair[1] < pair[0]), "{numbers:?}");
}

#[test]
fn an_upstream_that_ends_is_told() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    database.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    let (tag, body) = client.receive().unwrap();
    assert!(tag == b'E' && String::from_utf8_lossy(&body).contains("57P01"), "the server's own last words");
    assert_eq!(client.receive(), None);
    let server = Postgres::start();
    server.psql("postgres", crate::smoke::SCHEMA);
    let database = crate::support::Database { port: server.port, name: "postgres".into() };
    let wall = Wall::for_database(&database, POLICY);
    drop(server);
    let refused = Client::connect(wall.port("pg"), &[("user", "app"), ("partywall.tenant", "acme")]).err().unwrap();
    assert_eq!((refused.severity.as_str(), refused.code.as_str()), ("FATAL", "08006"));
    assert!(!refused.message.contains("127.0.0.1"), "{refused:?}");
}

#[test]
fn metrics_and_logs_tell_counts_and_no_text() {
    let wall = Wall::for_database(&shop(), POLICY);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    client.query("SELECT 'sekret-literal' FROM orders").unwrap();
    client.query("SELECT sekret_column FROM secrets").unwrap_err();
    client.extended("SELECT item FROM orders WHERE item = $1", &[Some("sekret-value")]).unwrap();
    Client::connect(wall.port("pg"), &[("user", "app")]).err().unwrap();
    // An answer may reach its client before it is counted.
    let mut metrics = String::new();
    let wanted = [
        "partywall_statements_total{listener=\"pg\",tenant=\"acme\",verdict=\"permitted\"} 2",
        "partywall_statements_total{listener=\"pg\",tenant=\"acme\",verdict=\"refused_42P01\"} 1",
        "partywall_connections_total{listener=\"pg\",outcome=\"served\"} 1",
        "partywall_connections_total{listener=\"pg\",outcome=\"no_identity\"} 1",
        "partywall_open_connections{listener=\"pg\",outcome=\"open\"} 1",
        "partywall_latency_seconds_count{listener=\"pg\",tenant=\"acme\"} 2",
    ];
    let counted = eventually(|| {
        metrics = get(wall.port("admin"), "/metrics").1;
        wanted.iter().all(|line| metrics.lines().any(|l| l == *line))
    });
    assert!(counted, "{wanted:#?}\n{metrics}");
    assert_eq!(get(wall.port("admin"), "/readyz"), (200, "ready\n".into()));
    assert_eq!(get(wall.port("admin"), "/tenants").1.trim(), "{\"acme\":1}");
    assert_eq!(get(wall.port("admin"), "/nothing").0, 404);
    drop(client);
    assert!(eventually(|| wall.log().contains("42P01")), "{}", wall.log());
    let log = wall.log();
    assert!(!(log.clone() + &metrics).contains("sekret"), "{log}{metrics}");
    assert!(log.lines().count() >= 2, "{log}");
    for line in log.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
    }
    let refused = log.lines().find(|l| l.contains("42P01")).unwrap();
    assert!(refused.contains("\"tenant\":\"acme\"") && refused.contains("\"connection\""), "{refused}");
}

#[test]
fn tenants_in_metrics_are_capped() {
    let wall = Wall::for_database(&shop(), POLICY);
    for n in 0..220 {
        Client::tenant(wall.port("pg"), &format!("t{n}")).query("SELECT 1").unwrap();
    }
    let metrics = get(wall.port("admin"), "/metrics").1;
    let tenants = metrics.lines().filter(|l| l.starts_with("partywall_statements_total") && l.contains("permitted")).count();
    assert!(tenants <= 201, "{tenants} tenants have a label of their own");
    assert!(metrics.contains("tenant=\"other\""));
}

#[test]
fn an_upstream_that_goes_without_a_word_is_told_too() {
    let server = Postgres::start();
    server.psql("postgres", crate::smoke::SCHEMA);
    let wall = Wall::for_database(&crate::support::Database { port: server.port, name: "postgres".into() }, POLICY);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    client.message(b'Q', b"SELECT pg_sleep(60)\0");
    let backend = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";
    assert!(eventually(|| !server.psql("postgres", backend).is_empty()));
    std::process::Command::new("kill").args(["-KILL", &server.psql("postgres", backend)]).status().unwrap();
    let answers = client.answers();
    assert_eq!(answers[0].as_ref().unwrap_err().code, "08006");
}
