//! Sentinel upstream: the wall finds the master, and goes with it when another server becomes it.

use super::redis::POLICY;
use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Leash, Redis, Wall, eventually, free_port};
use std::path::Path;
use std::time::{Duration, Instant};

struct Servers {
    first: Option<Redis>,
    second: Redis,
    sentinel: u16,
    _leash: Leash,
    _directory: tempfile::TempDir,
}

/// A master, its replica, and a sentinel over both.
fn servers() -> Servers {
    // Of their own: replication leaves a file there.
    let (directory, sentinel) = (tempfile::tempdir().unwrap(), free_port());
    let place = |name: &str| {
        let place = directory.path().join(name);
        std::fs::create_dir(&place).unwrap();
        place.display().to_string()
    };
    let first = Redis::start_with(&["--dir", &place("first")]);
    let second = Redis::start_with(&["--dir", &place("second"), "--replicaof", &format!("127.0.0.1 {}", first.port)]);
    let file = directory.path().join("sentinel.conf");
    let text = format!(
        "port {sentinel}\nbind 127.0.0.1\ndir {}\nlogfile /dev/null\nsentinel monitor mymaster 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n",
        directory.path().display(),
        first.port
    );
    std::fs::write(&file, text).unwrap();
    let leash = Leash::start("KILL", None, &["redis-server", file.to_str().unwrap(), "--sentinel"], Path::new("/"), &[]);
    let knows = || {
        std::net::TcpStream::connect(("127.0.0.1", sentinel)).is_ok()
            && format!("{:?}", Client::connect(sentinel, None).ask(&words(&["SENTINEL", "REPLICAS", "mymaster"]))).contains("127.0.0.1")
    };
    let end = Instant::now() + Duration::from_secs(30);
    while !knows() {
        assert!(Instant::now() < end, "the sentinel does not see the replica");
        std::thread::sleep(Duration::from_millis(100));
    }
    Servers { first: Some(first), second, sentinel, _leash: leash, _directory: directory }
}

fn wall(servers: &Servers, more: &str) -> Wall {
    // The first one is not there: the others are asked.
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:1', sentinel: {{ master: mymaster, others: ['127.0.0.1:{}'] }}{more} }}\npolicies: policies/\n",
        servers.sentinel
    );
    Wall::start(&config, &[("test.yaml", POLICY)])
}

fn ok() -> Value {
    Value::Line('+', "OK".into())
}

/// A write that succeeds within a while, on a new connection each time.
fn writes(port: u16) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        let wrote = std::panic::catch_unwind(|| Client::connect(port, Some("acme")).ask(&words(&["SET", "after", "2"])) == ok());
        if wrote.unwrap_or(false) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

#[test]
fn a_failover_is_followed() {
    let mut servers = servers();
    let (alone, shared) = (wall(&servers, ""), wall(&servers, ", multiplex: { connections: 1 }"));
    let mut own = Client::connect(alone.port("redis"), Some("acme"));
    assert_eq!(own.ask(&words(&["SET", "k", "1"])), ok());
    let mut idle = Client::connect(shared.port("redis"), Some("acme"));
    assert_eq!(idle.ask(&words(&["GET", "k"])), Value::Bulk('$', b"1".to_vec()));
    assert_eq!(own.ask(&words(&["WAIT", "1", "5000"])), Value::Line(':', "1".into()));
    servers.first.take();
    assert!(writes(alone.port("redis")), "{}", alone.log());
    assert!(writes(shared.port("redis")), "{}", shared.log());
    // A client without state goes on; one with a connection of its own was ended.
    assert!(eventually(|| idle.ask(&words(&["GET", "after"])) == Value::Bulk('$', b"2".to_vec())));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| own.ask(&words(&["GET", "after"])))).is_err());
    let mut second = Client::connect(servers.second.port, None);
    assert_eq!(second.ask(&words(&["GET", "acme:after"])), Value::Bulk('$', b"2".to_vec()));
    assert!(!alone.has_ended() && !shared.has_ended() && !alone.log().contains("panicked") && !shared.log().contains("panicked"));
}

#[test]
fn a_master_that_is_none_any_more_is_left() {
    let servers = servers();
    let (alone, shared) = (wall(&servers, ""), wall(&servers, ", multiplex: { connections: 1 }"));
    let mut idle = Client::connect(shared.port("redis"), Some("acme"));
    assert_eq!(idle.ask(&words(&["SET", "k", "1"])), ok());
    let mut sentinel = Client::connect(servers.sentinel, None);
    let end = Instant::now() + Duration::from_secs(30);
    while sentinel.ask(&words(&["SENTINEL", "FAILOVER", "mymaster"])) != ok() {
        assert!(Instant::now() < end, "the sentinel does not fail over");
        std::thread::sleep(Duration::from_millis(200));
    }
    // The sentinel ends the connections of a server that it promotes.
    let ask_second = |words: &[Vec<u8>]| {
        std::panic::catch_unwind(|| Client::connect(servers.second.port, None).ask(&words.to_vec())).unwrap_or(Value::Nil('$'))
    };
    while !format!("{:?}", ask_second(&words(&["ROLE"]))).contains("\"master\"") {
        assert!(Instant::now() < end, "the replica does not become the master");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(writes(alone.port("redis")), "{}", alone.log());
    let end = Instant::now() + Duration::from_secs(20);
    while idle.ask(&words(&["SET", "k", "3"])) != ok() || ask_second(&words(&["GET", "acme:k"])) != Value::Bulk('$', b"3".to_vec()) {
        assert!(Instant::now() < end, "{}", shared.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}
