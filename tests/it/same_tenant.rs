//! A property: after the handshake nothing that a client can send makes it another tenant. Random sequences of everything that looks as if it might,
//! against real servers; what comes back never holds the other tenant's data, and the question after it is answered with its own.

use crate::smoke::{POLICY, shop};
use crate::support::{Redis, Wall, eventually, message, socket, startup, terminated};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// Random sequences a port, where `PARTYWALL_CASES` names no other number.
const CASES: u32 = 40;

/// Sends it all, says that no more will come, and gives what came back until the wall closed.
fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = socket(port);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The wall may have closed in the middle: then there is less to read.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    back
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[terminated(name), terminated(sql), vec![0, 0]].concat())
}

fn bind(name: &str) -> Vec<u8> {
    message(b'B', &[terminated(""), terminated(name), vec![0; 6]].concat())
}

/// A text as one message, or by the extended protocol.
fn asked(sql: &str, extended: bool) -> Vec<u8> {
    if !extended {
        return message(b'Q', &terminated(sql));
    }
    [parse("", sql), bind(""), message(b'E', &[0; 5]), message(b'S', &[])].concat()
}

const ITEMS: &str = "SELECT item FROM orders ORDER BY id";

/// Texts that look as if they might change who one is.
fn texts() -> impl Strategy<Value = String> {
    let fixed = [
        "SET partywall.tenant = 'globex'",
        "SET SESSION partywall.tenant TO globex",
        "SET LOCAL \"partywall\".\"tenant\" = 'globex'",
        "RESET partywall.tenant",
        "RESET ALL",
        "DISCARD ALL",
        "DISCARD TEMP",
        "SELECT set_config('partywall.tenant', 'globex', false)",
        "SELECT set_config('partywall' || '.tenant', 'globex', true)",
        "UPDATE pg_settings SET setting = 'globex' WHERE name = 'partywall.tenant'",
        "SET ROLE globex",
        "SET SESSION AUTHORIZATION globex",
        "RESET SESSION AUTHORIZATION",
        "SET row_security = off",
        "SET search_path = pg_catalog",
        "BEGIN",
        "COMMIT",
        "ROLLBACK AND CHAIN",
        "SAVEPOINT a",
        "PREPARE p AS SELECT item FROM orders",
        "EXECUTE p",
        "DEALLOCATE ALL",
        "",
        "SELECT item FROM orders WHERE tenant_id = 'globex'",
        "UPDATE orders SET tenant_id = 'globex'",
        "INSERT INTO orders (tenant_id, id, item) VALUES ('globex', 77, 'planted')",
    ];
    let header = prop::sample::select(vec![
        "",
        "/*tenant='globex'*/ ",
        "/*tenant='globex',tenant_exp='9999999999',tenant_sig='00'*/ ",
        "--\n/*tenant='globex'*/",
        "/*tenant=globex*/",
        "; /*tenant='globex'*/",
        "/*/*tenant='globex'*/*/",
    ]);
    let behind =
        prop::sample::select(vec!["", " /*tenant='globex'*/", "; SET partywall.tenant = 'globex'; SELECT item FROM orders", " -- x"]);
    let body =
        prop_oneof![4 => prop::sample::select(fixed.to_vec()).prop_map(str::to_owned), 2 => Just(ITEMS.to_owned()), 1 => "[ -~]{0,40}"];
    (header, body, behind).prop_map(|(h, b, t)| format!("{h}{b}{t}"))
}

/// Messages of PostgreSQL's protocol; those that may leave the stream in no known state are told by true.
fn messages() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let odd = vec![
        startup(&[("user", "app"), ("partywall.tenant", "globex")]),
        // SSLRequest, GSSENCRequest and CancelRequest, which have their place before the startup.
        vec![0, 0, 0, 8, 4, 210, 22, 47],
        vec![0, 0, 0, 8, 4, 210, 22, 48],
        vec![0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1],
        message(b'p', &terminated("globex")),
        message(0, b"\x0128000\0x\0"),
        message(b'F', &[0; 10]),
        message(b'd', b"globex"),
        message(b'c', b""),
    ];
    prop_oneof![
        8 => (texts(), any::<bool>()).prop_map(|(sql, extended)| (asked(&sql, extended), false)),
        1 => texts().prop_map(|sql| (parse("named", &sql), true)),
        1 => Just(([bind("named"), message(b'E', &[0; 5]), message(b'S', &[])].concat(), false)),
        1 => prop::sample::select(odd).prop_map(|bytes| (bytes, true)),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| (bytes, true)),
    ]
}

fn runner() -> TestRunner {
    // Nothing is written beside the sources: a failure says its input.
    let cases = std::env::var("PARTYWALL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() })
}

/// Who is trusted to choose, and its sources, and whether the question of itself needs no header.
fn postgres(statement: &str, sources: &str) {
    let identity = format!("  startup: {{ trust: [loopback] }}\n{statement}");
    let policy = POLICY.replace("  startup: { trust: [loopback] }\n", &identity);
    let database = shop();
    let wall = Wall::start(&Wall::config(&database, &format!("identity: [{sources}]"), "user: postgres"), &[("test.yaml", &policy)]);
    let port = wall.port("pg");
    let hello = startup(&[("user", "app"), ("database", "shop"), ("partywall.tenant", "acme")]);
    let property = |sequence: Vec<(Vec<u8>, bool)>| {
        let lost = sequence.iter().any(|(_, lost)| *lost);
        let sent: Vec<u8> = sequence.into_iter().flat_map(|(bytes, _)| bytes).collect();
        // The one that asks at the end: it is acme's, whatever came before.
        let question = format!("/*tenant='acme'*/ {ITEMS}");
        let end = [
            message(b'S', &[]),
            asked("ROLLBACK", false),
            asked("/*tenant='acme'*/ SET search_path = public", false),
            asked(&question, false),
        ]
        .concat();
        let back = exchange(port, &[&hello[..], &sent, &end].concat());
        prop_assert!(!holds(&back, "laser") && !holds(&back, "whale"), "another tenant's: {}", String::from_utf8_lossy(&back));
        prop_assert!(lost || holds(&back, "anvil"), "no answer: {}", String::from_utf8_lossy(&back));
        Ok(())
    };
    runner().run(&prop::collection::vec(messages(), 1..8), property).unwrap_or_else(|e| panic!("{e}"));
    let rows = database.psql("SELECT tenant_id, id, item FROM orders WHERE tenant_id <> 'acme' ORDER BY id");
    assert_eq!(rows, "globex|1|laser\nglobex|3|whale");
}

#[test]
fn nothing_that_is_sent_to_postgres_changes_the_tenant() {
    postgres("", "startup");
}

#[test]
fn nor_where_others_may_choose() {
    postgres("  statement: { trust: ['spiffe://corp.example/gateway'] }\n", "startup, statement");
}

#[test]
fn nor_where_one_may_choose_and_another_source_has_spoken() {
    postgres("  statement: { trust: [loopback] }\n", "startup, statement");
}

fn command(words: &[&str]) -> Vec<u8> {
    let each: String = words.iter().map(|w| format!("${}\r\n{w}\r\n", w.len())).collect();
    format!("*{}\r\n{each}", words.len()).into_bytes()
}

fn commands() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let fixed: Vec<&[&str]> = vec![
        &["AUTH", "globex", "x"],
        &["AUTH", "globex"],
        &["AUTH", "default", "x"],
        &["HELLO"],
        &["HELLO", "2"],
        &["HELLO", "3", "AUTH", "globex", "x"],
        &["HELLO", "3", "AUTH", "globex", "x", "SETNAME", "globex"],
        &["RESET"],
        &["CLIENT", "SETNAME", "globex"],
        &["CLIENT", "NO-EVICT", "on"],
        &["CLIENT", "ID"],
        &["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "globex:"],
        &["SELECT", "0"],
        &["SELECT", "1"],
        &["MULTI"],
        &["EXEC"],
        &["DISCARD"],
        &["GET", "globex:k"],
        &["GET", "k"],
        &["SET", "globex:k", "planted"],
        &["EVAL", "return redis.call('get', KEYS[1])", "1", "globex:k"],
        &["EVAL", "return redis.call('get', 'globex:k')", "0"],
        &["SUBSCRIBE", "globex"],
        &["UNSUBSCRIBE"],
        &["KEYS", "*"],
        &["RANDOMKEY"],
        &["ACL", "WHOAMI"],
        &["ACL", "SETUSER", "globex", "on"],
        &["CONFIG", "SET", "requirepass", "x"],
        &["ASKING"],
        &["FAILOVER"],
        &["REPLICAOF", "NO", "ONE"],
    ];
    let fixed: Vec<Vec<u8>> = fixed.into_iter().map(command).collect();
    let inline = prop::sample::select(vec!["AUTH globex x\r\n", "HELLO 3 AUTH globex x\r\n", "RESET\r\n", "GET globex:k\r\n", "\r\n"]);
    prop_oneof![
        10 => prop::sample::select(fixed).prop_map(|bytes| (bytes, false)),
        2 => inline.prop_map(|text| (text.as_bytes().to_vec(), false)),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| (bytes, true)),
    ]
}

#[test]
fn nothing_that_is_sent_to_redis_changes_the_tenant() {
    let server = Redis::start();
    let policy =
        "version: 1\nname: test\ntenants: { id: '[a-z]+' }\nidentity:\n  startup: { trust: [loopback] }\nredis: { prefix: '{tenant}:' }\n";
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: cache, policy: test, identity: [startup] }}\n\
         upstreams:\n  cache: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        server.port
    );
    let wall = Wall::start(&config, &[("test.yaml", policy)]);
    let port = wall.port("redis");
    for tenant in ["acme", "globex"] {
        exchange(port, &[command(&["AUTH", tenant, "x"]), command(&["SET", "k", &format!("rows of {tenant}")])].concat());
    }
    assert!(eventually(|| holds(&exchange(server.port, &command(&["GET", "globex:k"])), "rows of globex")));
    let hello = command(&["AUTH", "acme", "x"]);
    let property = |sequence: Vec<(Vec<u8>, bool)>| {
        let lost = sequence.iter().any(|(_, lost)| *lost);
        let sent: Vec<u8> = sequence.into_iter().flat_map(|(bytes, _)| bytes).collect();
        let end = [command(&["DISCARD"]), command(&["UNSUBSCRIBE"]), command(&["SELECT", "0"]), command(&["GET", "k"])].concat();
        let back = exchange(port, &[&hello[..], &sent, &end].concat());
        prop_assert!(!holds(&back, "rows of globex"), "another tenant's: {}", String::from_utf8_lossy(&back));
        prop_assert!(lost || holds(&back, "rows of acme"), "no answer: {}", String::from_utf8_lossy(&back));
        Ok(())
    };
    runner().run(&prop::collection::vec(commands(), 1..10), property).unwrap_or_else(|e| panic!("{e}"));
    assert!(holds(&exchange(server.port, &command(&["GET", "globex:k"])), "rows of globex"), "it is as it was");
}
