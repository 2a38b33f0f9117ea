//! SLOWLOG: each tenant's own, as on a server of its own.

use super::redis::POLICY;
use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Redis, Wall};
use std::process::Command;

/// A server, and the wall before it with this beside the prefix in its policy, and with clients that share connections upstream or not.
fn start(rules: &str, shared: bool) -> (Redis, Wall) {
    let redis = Redis::start();
    let multiplex = if shared { ", multiplex: { connections: 1 }" } else { "" };
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}'{multiplex} }}\npolicies: policies/\n",
        redis.port
    );
    let policy = POLICY.replace("prefix: '{tenant}:'", &format!("prefix: '{{tenant}}:'{rules}"));
    let wall = Wall::start(&config, &[("test.yaml", &policy)]);
    (redis, wall)
}

/// Without what another run has otherwise: times, and the client's port.
fn masked(value: &Value) -> Value {
    match value {
        Value::Many(kind, items) if items.len() == 6 && matches!(items[3], Value::Many(..)) => {
            let number = |at: usize| match &items[at] {
                Value::Line(':', text) if text.parse::<u64>().is_ok() => Value::Line(':', "n".into()),
                other => other.clone(),
            };
            let address = match &items[4] {
                Value::Bulk('$', text) if text.starts_with(b"127.0.0.1:") => Value::Bulk('$', b"a".to_vec()),
                other => other.clone(),
            };
            Value::Many(*kind, vec![number(0), number(1), number(2), items[3].clone(), address, items[5].clone()])
        }
        Value::Many(kind, items) => Value::Many(*kind, items.iter().map(masked).collect()),
        other => other.clone(),
    }
}

/// What is asked of both.
const SAID: &[&[&str]] = &[
    &["SET", "k", "v"],
    &["get", "k"],
    &["CLIENT", "SETNAME", "me"],
    &["LPUSH", "k", "x"],
    &["ECHO", ""],
    &["KEYS", "k"],
    // The server has what a script calls in it, too, which the wall does not see.
    &["EVAL", "return KEYS[1]", "1", "k"],
    &["NOSUCH", "x"],
    &["GET"],
    &["SLOWLOG", "LEN"],
    &["SLOWLOG", "GET", "-1"],
    &["SLOWLOG", "GET"],
    &["SLOWLOG", "GET", "3"],
    &["SLOWLOG", "GET", "0"],
    &["SLOWLOG", "GET", "-2"],
    &["SLOWLOG", "GET", "x"],
    &["SLOWLOG", "GET", "1", "2"],
    &["SLOWLOG", "HELP"],
    &["SLOWLOG"],
    &["SLOWLOG", "NOSUCH"],
    &["SLOWLOG", "LEN", "x"],
    &["slowlog", "reset"],
    &["SLOWLOG", "GET"],
    &["CONFIG", "GET", "slowlog*"],
];

#[test]
fn it_is_as_a_private_servers() {
    let (long, many) = ("l".repeat(1000), "m ".repeat(100));
    let far = [&["SET", "long", &long][..], &[&["DEL"][..], &many.split_whitespace().collect::<Vec<_>>()].concat()];
    for shared in [false, true] {
        let (_redis, wall) = start(", slowlog_micros: 0", shared);
        let private = Redis::start_with(&["--slowlog-log-slower-than", "0"]);
        for resp in ["2", "3"] {
            let mut here = Client::connect(wall.port("redis"), Some("acme"));
            let mut there = Client::connect(private.port, None);
            // What came before is told, too: both begin anew.
            let _ = [&mut here, &mut there].map(|client| (client.ask(&words(&["HELLO", resp])), client.ask(&words(&["SLOWLOG", "RESET"]))));
            for command in far.iter().copied().chain(SAID.iter().copied()) {
                let (got, want) = (here.ask(&words(command)), there.ask(&words(command)));
                let (mut got, mut want) = (masked(&got), masked(&want));
                for map in [&mut got, &mut want].into_iter().filter(|_| command[0] == "CONFIG") {
                    // Each in an order of its own.
                    if let Value::Many(_, items) = map {
                        items.sort();
                    }
                }
                assert_eq!(got, want, "{command:?} over RESP{resp}, shared: {shared}");
            }
        }
        assert!(!wall.has_ended() && !wall.log().contains("panicked"), "{}", wall.log());
    }
}

#[test]
fn each_tenant_has_its_own() {
    const SLOW: &str = "local n = 0 for i = 1, 20000000 do n = n + i end return ARGV[1]";
    for shared in [false, true] {
        let (_redis, wall) = start("", shared);
        let connect = |tenant| Client::connect(wall.port("redis"), Some(tenant));
        let (mut acme, mut again, mut globex) = (connect("acme"), connect("acme"), connect("globex"));
        assert_eq!(acme.ask(&words(&["SET", "k", "quick"])), Value::Line('+', "OK".into()));
        assert_eq!(acme.ask(&words(&["EVAL", SLOW, "0", "SECRET"])), Value::Bulk('$', b"SECRET".to_vec()));
        // All connections of a tenant have one log, and no other tenant's has it.
        let log = again.ask(&words(&["SLOWLOG", "GET"]));
        let slow = log.items().iter().find(|entry| format!("{entry:?}").contains("SECRET")).unwrap_or_else(|| panic!("{log:?}"));
        let Value::Line(':', micros) = &slow.items()[2] else { panic!("{slow:?}") };
        assert!((10_000..60_000_000).contains(&micros.parse::<u64>().unwrap()), "{slow:?}");
        assert!(!format!("{:?}", globex.ask(&words(&["SLOWLOG", "GET", "-1"]))).contains("SECRET"));
        assert_eq!(globex.ask(&words(&["SLOWLOG", "RESET"])), Value::Line('+', "OK".into()));
        assert!(format!("{:?}", acme.ask(&words(&["SLOWLOG", "GET"]))).contains("SECRET"));
        let refused = acme.ask(&words(&["EVAL", "return redis.call('SLOWLOG', 'GET')", "0"]));
        assert!(refused.is_error(), "{refused:?}");
        let cli = |arguments: &[&str]| {
            let port = wall.port("redis").to_string();
            let login = ["30", "redis-cli", "-p", &port, "--user", "acme", "--pass", "x", "--no-auth-warning"];
            let output = Command::new("timeout").args(login).args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        for protocol in ["-2", "-3"] {
            assert!(cli(&[protocol, "--no-raw", "SLOWLOG", "GET"]).contains("4) \"SECRET\""));
        }
        assert_eq!(cli(&["SLOWLOG", "RESET"]), "OK\n");
        assert!(!format!("{:?}", acme.ask(&words(&["SLOWLOG", "GET"]))).contains("SECRET"));
    }
}

#[test]
fn a_policy_may_turn_it_off() {
    let (_redis, wall) = start(", slowlog_micros: off", false);
    let mut acme = Client::connect(wall.port("redis"), Some("acme"));
    acme.ask(&words(&["EVAL", "local n = 0 for i = 1, 20000000 do n = n + i end", "0"]));
    assert_eq!(acme.ask(&words(&["SLOWLOG", "LEN"])), Value::Line(':', "0".into()));
    let told = acme.ask(&words(&["CONFIG", "GET", "slowlog-log-slower-than"]));
    assert_eq!(format!("{told:?}"), "*[\"slowlog-log-slower-than\", \"-1\"]");
}
