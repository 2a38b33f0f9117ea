//! Redis' own tools and drivers of other languages through the wall, two tenants on one server with the same names.

use super::redis::start;
use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Redis, Wall};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All keys of database 0 upstream.
pub fn keys(redis: &Redis) -> Vec<String> {
    let keys = cli(redis.port, &["--raw", "KEYS", "*"]);
    String::from_utf8_lossy(&keys.stdout).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What `redis-cli` says.
pub fn cli(port: u16, arguments: &[&str]) -> Output {
    Command::new("timeout").args(["60", "redis-cli", "-p", &port.to_string()]).args(arguments).output().unwrap()
}

/// Every key upstream is one tenant's, and there are some.
fn owned(redis: &Redis, tenants: &[&str]) {
    let keys = keys(redis);
    assert!(!keys.is_empty());
    for key in &keys {
        assert!(tenants.iter().any(|tenant| key.strip_prefix(tenant).is_some_and(|rest| rest.starts_with(':'))), "{key}");
    }
}

fn run(program: &str) {
    let made = Command::new("bash").arg("tests/clients.sh").current_dir(ROOT).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (redis, wall) = start();
    cli(redis.port, &["SET", "third:k", "silent"]);
    let interpreter = if program.ends_with(".py") { "target/clients/python/bin/python" } else { "node" };
    let output = Command::new("timeout")
        .args(["120", interpreter, &format!("tests/clients/{program}")])
        .current_dir(ROOT)
        .env("PORT", wall.port("redis").to_string())
        .env("NODE_PATH", "target/clients/node/node_modules")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), wall.log());
    owned(&redis, &["acme", "globex", "third"]);
    assert_eq!(cli(redis.port, &["--raw", "GET", "third:k"]).stdout, b"silent\n");
    quiet(&wall);
}

fn quiet(wall: &Wall) {
    assert!(!wall.has_ended() && !wall.log().contains("panicked"), "{}", wall.log());
}

#[test]
fn redis_py() {
    run("redis_client.py");
}

#[test]
fn ioredis() {
    run("ioredis_client.cjs");
}

#[test]
fn redis_cli() {
    let (redis, wall) = start();
    let say = |tenant: &str, arguments: &[&str]| {
        let output = cli(wall.port("redis"), &[&["--user", tenant, "--pass", "x", "--no-auth-warning"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    // On a server that has run no script yet.
    assert_eq!(say("acme", &["SCRIPT", "LOAD", "return 1"]), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    assert_eq!(say("acme", &["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"]), "1");
    assert!(say("acme", &["SCRIPT", "LOAD", "return return"]).contains("ERR Error compiling script (new function): user_script:1:"));
    for tenant in ["acme", "globex"] {
        assert_eq!(say(tenant, &["SET", "k", tenant]), "OK");
        assert_eq!(say(tenant, &["-3", "HSET", "h", "f", tenant]), "1");
    }
    assert_eq!(say("acme", &["GET", "k"]), "acme");
    assert_eq!(say("globex", &["-3", "--json", "HGETALL", "h"]), r#"{"f":"globex"}"#);
    let mut scanned: Vec<String> = say("acme", &["--scan"]).lines().map(str::to_owned).collect();
    scanned.sort();
    assert_eq!(scanned, ["h", "k"]);
    assert_eq!(say("acme", &["-n", "2", "DBSIZE"]), "0");
    assert_eq!(say("acme", &["EVAL", "return redis.call('GET', KEYS[1])", "1", "k"]), "acme");
    let big = say("acme", &["--bigkeys"]);
    assert!(big.contains("2 keys") && !big.contains("acme:"), "{big}");
    assert!(say("acme", &["MONITOR"]).contains("NOPERM"));
    owned(&redis, &["acme", "globex"]);
    quiet(&wall);
}

#[test]
fn redis_benchmark_has_no_errors() {
    let (redis, wall) = start();
    for tenant in ["acme", "globex"] {
        let output = Command::new("timeout")
            .args(["120", "redis-benchmark", "-p", &wall.port("redis").to_string(), "--user", tenant, "-a", "x"])
            .args(["-q", "-n", "2000", "-c", "8", "-P", "4"])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).to_lowercase();
        let bad = ["error", "noperm", "noauth", "wrongpass"].iter().find(|word| text.contains(**word));
        assert!(output.status.success() && bad.is_none(), "{text}");
        assert!(text.matches("requests per second").count() >= 20, "the default set has so many tests: {text}");
    }
    owned(&redis, &["acme", "globex"]);
    let own = |tenant: &str| keys(&redis).iter().filter(|key| key.starts_with(tenant)).count();
    assert_eq!(own("acme:"), own("globex:"));
    quiet(&wall);
}

/// A tenant counts its own connections, not those of others.
#[test]
fn numbers_of_connections_are_the_tenants_own() {
    for (_redis, wall) in [start(), super::redis_multiplex::start()] {
        let number = |tenant: &str| super::redis::Client::of(wall.port("redis"), tenant).ask("CLIENT ID");
        assert_eq!(number("acme"), "1");
        for n in ["1", "2", "3"] {
            assert_eq!(number("globex"), n);
        }
        assert_eq!(number("acme"), "2");
    }
}

/// What needs a connection of its own comes before and behind a change of the protocol, in one write.
#[test]
fn the_protocol_changes_between_two_connections_of_ones_own() {
    let (_redis, wall) = super::redis_multiplex::start();
    let mut client = Client::connect(wall.port("redis"), Some("acme"));
    client.ask(&words(&["HSET", "h", "f", "v"]));
    for (hello, kind) in [("3", '%'), ("2", '*'), ("3", '%'), ("3", '%')] {
        let asked = [&["INFO", "server"][..], &["HELLO", hello], &["MULTI"], &["HGETALL", "h"], &["EXEC"], &["ECHO", "x"]];
        client.send(asked.map(words).iter());
        (0..4).for_each(|_| drop(client.reply()));
        assert!(matches!(client.reply().items(), [Value::Many(said, _)] if *said == kind), "RESP{hello}");
        assert_eq!(client.reply(), Value::Bulk('$', b"x".to_vec()));
    }
    for (hello, kind) in [("2", '*'), ("3", '>')] {
        client.send([&["INFO", "server"][..], &["HELLO", hello], &["SUBSCRIBE", "ch"], &["UNSUBSCRIBE"]].map(words).iter());
        (0..2).for_each(|_| drop(client.reply()));
        for _ in 0..2 {
            assert!(matches!(client.reply(), Value::Many(said, _) if said == kind), "RESP{hello}");
        }
    }
    quiet(&wall);
}
