//! Reads from replicas, where the policy says so: what only reads goes there, what must be new does not, and without a replica in sync all goes to the master.

use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Leash, Redis, Wall, eventually, free_port};
use std::path::Path;

const POLICY: &str = "version: 1\nname: test\ntenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }\n\
    identity: { startup: { trust: [loopback] } }\nredis: { prefix: '{tenant}:', reads: replica }\n";

fn wall(upstream: &str) -> Wall {
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ {upstream}, multiplex: {{ connections: 1 }} }}\npolicies: policies/\n"
    );
    Wall::start(&config, &[("test.yaml", POLICY)])
}

fn ask(port: u16, command: &[&str]) -> Value {
    Client::connect(port, None).ask(&words(command))
}

fn bulk(text: &str) -> Value {
    Value::Bulk('$', text.as_bytes().to_vec())
}

fn ok() -> Value {
    Value::Line('+', "OK".into())
}

/// How often a server was asked for this.
fn calls(port: u16, command: &str) -> u64 {
    let Value::Bulk(_, info) = ask(port, &["INFO", "commandstats"]) else { panic!() };
    let text = String::from_utf8(info).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

struct Servers {
    first: Redis,
    second: Option<Redis>,
    directory: tempfile::TempDir,
}

fn servers() -> Servers {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let place = directory.path().join(name);
        std::fs::create_dir(&place).unwrap();
        place.display().to_string()
    };
    let first = Redis::start_with(&["--dir", &place("first"), "--repl-diskless-sync-delay", "0"]);
    let second = Redis::start_with(&["--dir", &place("second"), "--replicaof", &format!("127.0.0.1 {}", first.port)]);
    Servers { first, second: Some(second), directory }
}

#[test]
fn what_only_reads_goes_to_a_replica_in_sync() {
    let mut servers = servers();
    let (master, replica) = (servers.first.port, servers.second.as_ref().unwrap().port);
    let wall = wall(&format!("address: '127.0.0.1:{master}'"));
    let mut client = Client::connect(wall.port("redis"), Some("acme"));
    let mut other = Client::connect(wall.port("redis"), Some("globex"));
    assert_eq!(client.ask(&words(&["SET", "k", "1"])), ok());
    assert_eq!(other.ask(&words(&["SET", "k", "theirs"])), ok());
    let read = || calls(replica, "get");
    // Each thread of the wall hears of the replica by itself.
    let goes_there = |client: &mut Client, value: &str| {
        let before = read();
        client.ask(&words(&["GET", "k"])) == bulk(value) && read() > before
    };
    assert!(eventually(|| goes_there(&mut client, "1")) && eventually(|| goes_there(&mut other, "theirs")), "{}", wall.log());
    let (before, at_master) = (read(), calls(master, "get"));
    for _ in 0..10 {
        assert_eq!(client.ask(&words(&["GET", "k"])), bulk("1"));
        assert_eq!(other.ask(&words(&["GET", "k"])), bulk("theirs"));
    }
    assert_eq!((read() - before, calls(master, "get") - at_master), (20, 0));
    // A pipeline keeps its order, whichever server each goes to.
    let commands = [["INCR", "n"], ["GET", "k"], ["INCR", "n"], ["GET", "k"], ["DEL", "n"], ["STRLEN", "k"]].map(|command| words(&command));
    client.send(commands.iter());
    let said: Vec<Value> = commands.iter().map(|_| client.reply()).collect();
    let number = |n: i64| Value::Line(':', n.to_string());
    assert_eq!(said, [number(1), bulk("1"), number(2), bulk("1"), number(1), number(1)]);
    what_must_be_new_is_read_from_the_master(&wall, master, replica);
    // Without it all is read from the master.
    servers.second = None;
    let mut served = 0;
    assert!(eventually(|| {
        served = if client.ask(&words(&["GET", "k"])) == bulk("1") { served + 1 } else { 0 };
        served > 20
    }));
    // And from the replica again, once there is one.
    let place = servers.directory.path().join("again");
    std::fs::create_dir(&place).unwrap();
    let again = Redis::start_with(&["--dir", place.to_str().unwrap(), "--replicaof", &format!("127.0.0.1 {master}")]);
    assert!(eventually(|| client.ask(&words(&["GET", "k"])) == bulk("1") && calls(again.port, "get") > 0), "{}", wall.log());
    assert!(!wall.has_ended() && !wall.log().contains("panicked") && !wall.log().contains("keeps state"), "{}", wall.log());
}

/// Transactions, scripts, walks over keys, what WATCH is about, and all of a session that asked WAIT.
fn what_must_be_new_is_read_from_the_master(wall: &Wall, master: u16, replica: u16) {
    let mut client = Client::connect(wall.port("redis"), Some("acme"));
    let before = calls(replica, "get");
    let exec = [vec!["WATCH", "k"], vec!["GET", "k"], vec!["MULTI"], vec!["GET", "k"], vec!["EXEC"]].map(|command| words(&command));
    client.send(exec.iter());
    let said: Vec<Value> = exec.iter().map(|_| client.reply()).collect();
    assert_eq!((&said[1], said[4].items()), (&bulk("1"), [bulk("1")].as_slice()));
    assert_eq!(client.ask(&words(&["EVAL", "return redis.call('GET', 'k')", "0"])), bulk("1"));
    assert_eq!(client.ask(&words(&["KEYS", "*"])).items(), [bulk("k")]);
    assert_eq!((calls(replica, "get"), calls(replica, "scan")), (before, 0));
    assert_eq!(client.ask(&words(&["SET", "w", "1"])), ok());
    assert!(!client.ask(&words(&["WAIT", "1", "1000"])).is_error());
    let at_master = calls(master, "get");
    assert_eq!(client.ask(&words(&["GET", "w"])), bulk("1"));
    assert_eq!((calls(replica, "get"), calls(master, "get") - at_master), (before, 1));
}

#[test]
fn a_sentinels_replicas_are_read_too() {
    let servers = servers();
    let (master, replica, sentinel) = (servers.first.port, servers.second.as_ref().unwrap().port, free_port());
    let file = servers.directory.path().join("sentinel.conf");
    let text = format!(
        "port {sentinel}\nbind 127.0.0.1\ndir {}\nlogfile /dev/null\nsentinel monitor mymaster 127.0.0.1 {master} 1\n",
        servers.directory.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let _leash = Leash::start("KILL", None, &["redis-server", file.to_str().unwrap(), "--sentinel"], Path::new("/"), &[]);
    assert!(eventually(|| std::net::TcpStream::connect(("127.0.0.1", sentinel)).is_ok()));
    let wall = wall(&format!("address: '127.0.0.1:{sentinel}', sentinel: {{ master: mymaster }}"));
    let mut client = Client::connect(wall.port("redis"), Some("acme"));
    assert_eq!(client.ask(&words(&["SET", "k", "1"])), ok());
    assert!(eventually(|| client.ask(&words(&["GET", "k"])) == bulk("1") && calls(replica, "get") > 0), "{}", wall.log());
}

#[test]
fn reads_from_replicas_want_shared_connections() {
    for (upstream, said) in [("", "wants shared connections"), (", cluster: {}, multiplex: { connections: 1 }", "replicas are not read")] {
        let config = format!(
            "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
             upstreams:\n  r: {{ address: '127.0.0.1:1'{upstream} }}\npolicies: policies/\n"
        );
        let policy = POLICY.replace("{tenant}:", "{{tenant}}:");
        let refused = Wall::attempt(&config, &[("test.yaml", &policy)]).err().unwrap();
        assert!(refused.contains(said), "{refused}");
    }
}
