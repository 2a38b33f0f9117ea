//! Redis Cluster upstream: to each tenant it is one server, wherever its slot is, goes, or has been.

use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Redis, Wall, eventually, free_port};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const POLICY: &str = "version: 1\nname: test\ntenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }\n\
    identity: { startup: { trust: [loopback] } }\nredis: { prefix: '{{tenant}}:' }\n";

/// CLUSTER KEYSLOT of the tags.
const SLOTS: [(&str, u16); 2] = [("acme", 11304), ("hooli", 4703)];

/// Three masters, and replicas of them where wanted.
pub struct Cluster {
    nodes: Vec<Option<Redis>>,
    ids: Vec<String>,
    ports: Vec<u16>,
    _directory: tempfile::TempDir,
}

fn ask(port: u16, command: &[&str]) -> Value {
    Client::connect(port, None).ask(&words(command))
}

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

impl Cluster {
    pub fn start(replicas: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let nodes: Vec<Redis> = (0..if replicas { 6 } else { 3 })
            .map(|at| {
                let place = directory.path().join(at.to_string());
                std::fs::create_dir(&place).unwrap();
                let (place, bus) = (place.display().to_string(), free_port().to_string());
                Redis::start_with(&[
                    "--dir",
                    &place,
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "1500",
                    "--cluster-announce-bus-port",
                    &bus,
                    "--repl-diskless-sync-delay",
                    "0",
                ])
            })
            .collect();
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut command = vec!["redis-cli", "--cluster", "create"];
        command.extend(addresses.iter().map(String::as_str));
        command.extend(["--cluster-replicas", if replicas { "1" } else { "0" }, "--cluster-yes"]);
        let done = std::process::Command::new("timeout").arg("60").args(&command).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
        let ids = ports.iter().map(|port| text(&ask(*port, &["CLUSTER", "MYID"]))).collect();
        let cluster = Self { nodes: nodes.into_iter().map(Some).collect(), ids, ports, _directory: directory };
        let good = |port: &u16| text(&ask(*port, &["CLUSTER", "INFO"])).contains("cluster_state:ok");
        assert!(eventually(|| cluster.ports.iter().all(good)), "the cluster does not come up");
        cluster
    }

    /// A wall before it; the first of the named nodes is not there.
    pub fn wall(&self, more: &str) -> Wall {
        let config = format!(
            "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
             upstreams:\n  r: {{ address: '127.0.0.1:1', cluster: {{ others: ['127.0.0.1:{}'] }}{more} }}\npolicies: policies/\n",
            self.ports[1]
        );
        Wall::start(&config, &[("test.yaml", POLICY)])
    }

    fn walls(&self) -> [Wall; 2] {
        [self.wall(""), self.wall(", multiplex: { connections: 1 }")]
    }

    /// Which node has a slot, as itself says.
    fn owner(&self, slot: u16) -> usize {
        let has = |at: &usize| {
            let (Some(_), Value::Line(':', count)) =
                (&self.nodes[*at], ask(self.ports[*at], &["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]))
            else {
                return false;
            };
            let probe = ask(self.ports[*at], &["EXISTS", &format!("{{{}}}:probe", SLOTS.iter().find(|s| s.1 == slot).unwrap().0)]);
            count.parse::<u64>().is_ok() && !probe.is_error()
        };
        (0..self.nodes.len()).find(has).unwrap_or_else(|| panic!("nobody has slot {slot}"))
    }

    /// Begins to give a slot to a node.
    fn begin(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        assert_eq!(ask(self.ports[to], &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.ids[from]]), ok());
        assert_eq!(ask(self.ports[from], &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.ids[to]]), ok());
    }

    /// Moves so many of its keys; how many were left to move.
    fn carry(&self, slot: u16, from: usize, to: usize, count: usize) -> usize {
        let keys = ask(self.ports[from], &["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), &count.to_string()]);
        let keys: Vec<String> = keys.items().iter().map(text).collect();
        if !keys.is_empty() {
            let port = self.ports[to].to_string();
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            command.extend(keys.iter().map(String::as_str));
            let said = ask(self.ports[from], &command);
            assert!(!said.is_error(), "{said:?}");
        }
        keys.len()
    }

    fn finish(&self, slot: u16, from: usize, to: usize) {
        for at in [to, from] {
            assert_eq!(ask(self.ports[at], &["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &self.ids[to]]), ok());
        }
    }
}

fn ok() -> Value {
    Value::Line('+', "OK".into())
}

fn bulk(text: &str) -> Value {
    Value::Bulk('$', text.as_bytes().to_vec())
}

fn number(number: i64) -> Value {
    Value::Line(':', number.to_string())
}

/// Nothing that a client hears says where a node is.
fn told_nothing(value: &Value, cluster: &Cluster) {
    let said = format!("{value:?}");
    assert!(!said.contains("MOVED") && !said.contains("ASK ") && !said.contains("127.0.0.1"), "{said}");
    assert!(!cluster.ports.iter().any(|port| said.contains(&port.to_string())), "{said}");
}

fn quiet(wall: &Wall) {
    let log = wall.log();
    assert!(!wall.has_ended() && !log.contains("panicked") && !log.contains("broke the protocol") && !log.contains("keeps state"), "{log}");
}

#[test]
fn a_tenant_has_a_server_in_a_cluster() {
    let cluster = Cluster::start(false);
    for (tag, slot) in SLOTS {
        assert_eq!(ask(cluster.ports[0], &["CLUSTER", "KEYSLOT", &format!("{{{tag}}}:x")]), number(slot.into()));
    }
    assert_ne!(cluster.owner(SLOTS[0].1), cluster.owner(SLOTS[1].1));
    for wall in cluster.walls() {
        let tenants = SLOTS.map(|(tenant, _)| Client::connect(wall.port("redis"), Some(tenant)));
        for (at, mut client) in tenants.into_iter().enumerate() {
            one_server(&mut client, &mut Client::connect(wall.port("redis"), Some(SLOTS[at].0)), &cluster);
        }
        quiet(&wall);
    }
    // All that is anywhere is somebody's own.
    for port in &cluster.ports {
        for key in ask(*port, &["KEYS", "*"]).items() {
            assert!(text(key).starts_with("{acme}:") || text(key).starts_with("{hooli}:"), "{key:?}");
        }
    }
}

/// What a server does, one tenant by two clients.
fn one_server(client: &mut Client, other: &mut Client, cluster: &Cluster) {
    let mut says = |command: &[&str]| {
        let said = client.ask(&words(command));
        told_nothing(&said, cluster);
        said
    };
    assert_eq!(says(&["FLUSHALL"]), ok());
    // Keys that a cluster would spread, and tags that would put them elsewhere.
    assert_eq!(says(&["MSET", "a", "1", "b", "2", "{x}c", "3", "{y}d", "4", "}{z}e", "5"]), ok());
    assert_eq!(says(&["MGET", "a", "b", "{x}c", "{y}d", "}{z}e"]).items().len(), 5);
    assert_eq!(says(&["DBSIZE"]), number(5));
    assert_eq!(says(&["RENAME", "{x}c", "{y}c"]), ok());
    assert_eq!(says(&["KEYS", "{*"]).items().len(), 2);
    assert_eq!(says(&["SCAN", "0", "COUNT", "1000"]).items()[1].items().len(), 5);
    assert!(!says(&["RANDOMKEY"]).is_error());
    assert_eq!(says(&["EVAL", "return redis.call('MGET', 'a', KEYS[1], '{y}d')", "1", "b"]).items().len(), 3);
    assert_eq!(says(&["EVAL", "redis.call('SET', '{far}k', 'v') return redis.call('GET', '{far}k')", "0"]), bulk("v"));
    assert_eq!(says(&["WATCH", "a"]), ok());
    assert_eq!(says(&["MULTI"]), ok());
    for command in [["INCR", "a"], ["INCR", "b"], ["DEL", "{far}k"]] {
        assert_eq!(says(&command), Value::Line('+', "QUEUED".into()));
    }
    assert_eq!(says(&["DBSIZE"]), Value::Line('+', "QUEUED".into()));
    assert_eq!(says(&["EXEC"]).items(), [number(2), number(3), number(1), number(5)]);
    assert_eq!(says(&["SELECT", "0"]), ok());
    assert_eq!(says(&["SELECT", "1"]), Value::Line('-', "ERR SELECT is not allowed in cluster mode".into()));
    assert_eq!(says(&["CLUSTER", "NODES"]), Value::Line('-', "ERR This instance has cluster support disabled".into()));
    assert!(says(&["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)"]).is_error());
    assert!(text(&says(&["INFO"])).contains("redis_mode:standalone"));
    // Words like a redirection, made up by a script, lead nowhere.
    for words in ["MOVED 11304 127.0.0.1:1", "ASK 11304 127.0.0.1:1", "TRYAGAIN x", "CLUSTERDOWN x"] {
        let script = format!("redis.call('INCR', 'runs') return redis.error_reply('{words}')");
        assert_eq!(says(&["EVAL", &script, "0"]), Value::Line('-', "TRYAGAIN the keys are being moved".into()));
    }
    assert_eq!(says(&["GET", "runs"]), bulk("4"));
    assert_eq!(says(&["EVAL", "return {redis.error_reply('MOVED 1 127.0.0.1:1')}", "0"]).items().len(), 1);
    assert_eq!(says(&["UNLINK", "a", "b", "{y}c", "{y}d", "}{z}e", "runs"]), number(6));
    // What waits, and what is heard.
    client.send(std::iter::once(&words(&["BLPOP", "q", "10"])));
    assert!(eventually(|| text(&other.ask(&words(&["CLIENT", "LIST"]))).contains("flags=b")));
    assert_eq!(other.ask(&words(&["RPUSH", "q", "x"])), number(1));
    assert_eq!(client.reply().items(), [bulk("q"), bulk("x")]);
    assert_eq!(client.ask(&words(&["SUBSCRIBE", "news"])).items(), [bulk("subscribe"), bulk("news"), number(1)]);
    assert_eq!(other.ask(&words(&["PUBLISH", "news", "x"])), number(1));
    assert_eq!(client.reply().items(), [bulk("message"), bulk("news"), bulk("x")]);
    assert_eq!(other.ask(&words(&["PUBSUB", "CHANNELS"])).items(), [bulk("news")]);
    assert_eq!(client.ask(&words(&["UNSUBSCRIBE"])).items(), [bulk("unsubscribe"), bulk("news"), number(0)]);
    assert_eq!(client.ask(&words(&["SET", "k", "v"])), ok());
    let id = text(&client.ask(&words(&["CLIENT", "ID"]))).trim_start_matches(':').to_owned();
    assert_eq!(other.ask(&words(&["CLIENT", "KILL", "ID", &id])), number(1));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.ask(&words(&["PING"])))).is_err());
}

/// A client that counts, in pipelines, and sees to it that all it was told is true.
fn load(port: u16, tenant: &str, name: &str, stop: &AtomicBool) -> (u64, u64) {
    let mut client = Client::connect(port, Some(tenant));
    let (mut done, mut refused) = (0_u64, 0_u64);
    let mut totals = [0_i64; 20];
    while !stop.load(Ordering::Relaxed) {
        let keys: Vec<String> = (0..20).map(|at| format!("{name}:{at}")).collect();
        let commands: Vec<_> = keys.iter().map(|key| words(&["INCR", key])).chain([words(&["MGET", &keys[0], &keys[7]])]).collect();
        client.send(commands.iter());
        for total in &mut totals {
            *total += 1;
            assert_eq!(client.reply(), number(*total), "{tenant} {name}");
        }
        match client.reply() {
            Value::Many(_, items) => assert_eq!(items, [bulk(&totals[0].to_string()), bulk(&totals[7].to_string())]),
            said => {
                assert_eq!(said, Value::Line('-', "TRYAGAIN the keys are being moved".into()));
                refused += 1;
            }
        }
        // A whole SCAN finds all, or says that it cannot.
        let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
        loop {
            let page = client.ask(&words(&["SCAN", &cursor, "MATCH", &format!("{name}:*"), "COUNT", "10"]));
            if page == Value::Line('-', "TRYAGAIN the keys are being moved".into()) {
                refused += 1;
                break;
            }
            found.extend(page.items()[1].items().iter().map(text));
            cursor = text(&page.items()[0]);
            if cursor == "0" {
                assert_eq!(found.len(), 20, "{tenant} {name}: {found:?}");
                break;
            }
        }
        let transaction = [vec!["MULTI"], vec!["SET", "x", name], vec!["GET", "x"], vec!["EXEC"]].map(|command| words(&command));
        client.send(transaction.iter());
        let said: Vec<Value> = transaction.iter().map(|_| client.reply()).collect();
        match &said[3] {
            Value::Many(_, items) => assert_eq!(items[..], [ok(), bulk(name)]),
            other => {
                assert!(format!("{other:?}").starts_with("-EXECABORT "), "{said:?}");
                refused += 1;
            }
        }
        done += 1;
    }
    (done, refused)
}

#[test]
fn slots_move_under_load() {
    let cluster = Cluster::start(false);
    let walls = cluster.walls();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for (at, wall) in walls.iter().enumerate() {
        for tenant in ["acme", "hooli"] {
            let (port, stop, name) = (wall.port("redis"), stop.clone(), format!("of{at}"));
            clients.push(std::thread::spawn(move || load(port, tenant, &name, &stop)));
        }
    }
    let mut listener = Client::connect(walls[0].port("redis"), Some("acme"));
    assert_eq!(listener.ask(&words(&["SUBSCRIBE", "c"])).items().len(), 3);
    std::thread::sleep(Duration::from_millis(500));
    for round in 0..4 {
        for (_, slot) in SLOTS {
            let from = cluster.owner(slot);
            let to = (from + 1 + round % 2) % 3;
            cluster.begin(slot, from, to);
            while cluster.carry(slot, from, to, 5) > 0 {
                std::thread::sleep(Duration::from_millis(30));
            }
            cluster.finish(slot, from, to);
            assert_eq!(cluster.owner(slot), to);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (done, refused) = client.join().unwrap_or_else(|_| panic!("{}\n{}", walls[0].log(), walls[1].log()));
        assert!(done > 20, "{done} rounds, {refused} refused");
    }
    // Whoever listens is ended, for what it should hear may be said elsewhere.
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener.reply())).is_err());
    walls.iter().for_each(quiet);
}

/// Whether the connection ends, and not only keeps silent.
fn ends(client: &mut Client) -> bool {
    let began = Instant::now();
    let mut ended = false;
    while !ended {
        ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.reply())).is_err();
    }
    began.elapsed() < Duration::from_secs(15)
}

/// Whatever the protocol, and however long the command that it was held by.
#[test]
fn what_a_client_holds_is_not_lost_unheard() {
    let cluster = Cluster::start(false);
    for wall in cluster.walls() {
        let connect = || Client::connect(wall.port("redis"), Some("acme"));
        for kib in [100, 131, 150, 180, 250, 1500] {
            assert_eq!(connect().ask(&words(&["SET", "big", &"x".repeat(kib << 10)])), ok(), "{kib} KiB");
        }
        let mut listeners = Vec::new();
        for (hello, count) in [("2", 1), ("2", 20_000), ("3", 1), ("3", 20_000)] {
            let mut client = connect();
            client.ask(&words(&["HELLO", hello]));
            let names: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
            client.send([words(&[&["SUBSCRIBE"], &names.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())].iter());
            (0..count).for_each(|_| assert_eq!(client.reply().items().len(), 3));
            listeners.push((client, hello, count));
        }
        let (mut watcher, mut refused, mut other) = (connect(), connect(), connect());
        let names: Vec<String> = (0..200).map(|n| format!("{n}{}", "x".repeat(1000))).collect();
        assert_eq!(watcher.ask(&words(&[&["WATCH", "w"], &names.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())), ok());
        assert_eq!(refused.ask(&words(&["SET", "a", "1"])), ok());
        let (slot, from) = (SLOTS[0].1, cluster.owner(SLOTS[0].1));
        let to = (from + 1) % 3;
        cluster.begin(slot, from, to);
        while cluster.carry(slot, from, to, 100) > 0 {}
        cluster.finish(slot, from, to);
        // A subscription that the node refused leaves no mark.
        let _ = refused.ask(&words(&["SSUBSCRIBE", "shard"])).is_error() && {
            assert_eq!(refused.ask(&words(&["GET", "a"])), bulk("1"));
            true
        };
        assert_eq!(other.ask(&words(&["SET", "w", "2"])), ok());
        let commands = [&["MULTI"][..], &["SET", "w", "lost"], &["EXEC"]].map(words);
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| commands.iter().for_each(|command| drop(watcher.ask(command)))));
        assert_eq!(other.ask(&words(&["GET", "w"])), bulk("2"));
        for (client, hello, count) in &mut listeners {
            assert!(ends(client), "RESP{hello}, {count} channels");
        }
        quiet(&wall);
    }
}

/// A node whose words come in pieces of seven bytes.
fn dribbling(node: u16, listener: std::net::TcpListener) {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    let pass = |mut from: TcpStream, mut to: TcpStream, piece: usize| {
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut part[..piece]) {
                if to.write_all(&part[..count]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_micros(if piece < 4096 { 300 } else { 0 }));
            }
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    };
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", node)) else { return };
            client.set_nodelay(true).unwrap();
            pass(client.try_clone().unwrap(), server.try_clone().unwrap(), 4096);
            pass(server, client, 7);
        }
    });
}

/// The answer to what the wall asks for itself behind a subscription comes later than what its client waits for.
#[test]
fn an_answer_in_pieces_leaves_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, bus) = (listener.local_addr().unwrap().port().to_string(), free_port().to_string());
    let place = directory.path().display().to_string();
    let enabled = ["--dir", &place, "--cluster-enabled", "yes", "--cluster-port", &bus];
    let node = Redis::start_with(&[&enabled[..], &["--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", &port]].concat());
    assert_eq!(ask(node.port, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), ok());
    assert!(eventually(|| text(&ask(node.port, &["CLUSTER", "INFO"])).contains("cluster_state:ok")));
    dribbling(node.port, listener);
    for more in ["", ", multiplex: { connections: 1 }"] {
        let config = format!(
            "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
             upstreams:\n  r: {{ address: '127.0.0.1:{port}', cluster: {{}}{more} }}\npolicies: policies/\n"
        );
        let wall = Wall::start(&config, &[("test.yaml", POLICY)]);
        for hello in ["2", "3"] {
            let mut client = Client::connect(wall.port("redis"), Some("acme"));
            client.ask(&words(&["HELLO", hello]));
            for command in ["SUBSCRIBE", "UNSUBSCRIBE"] {
                assert_eq!(client.ask(&words(&[command, "news"])).items().len(), 3);
            }
            assert_eq!(client.ask(&words(&["SET", "k", "v"])), ok(), "RESP{hello}{more}");
        }
        quiet(&wall);
    }
}

#[test]
fn a_cluster_fails_over() {
    let mut cluster = Cluster::start(true);
    let walls = cluster.walls();
    let mut idle: Vec<Client> = walls.iter().map(|wall| Client::connect(wall.port("redis"), Some("acme"))).collect();
    for (at, client) in idle.iter_mut().enumerate() {
        assert_eq!(client.ask(&words(&["SET", &format!("k{at}"), "1"])), ok());
        assert_eq!(client.ask(&words(&["WAIT", "1", "5000"])), number(1));
    }
    let master = cluster.owner(SLOTS[0].1);
    cluster.nodes[master] = None;
    let end = Instant::now() + Duration::from_secs(40);
    for (at, wall) in walls.iter().enumerate() {
        let mut last = String::new();
        loop {
            let tried = std::panic::catch_unwind(|| Client::connect(wall.port("redis"), Some("acme")).ask(&words(&["SET", "after", "2"])));
            match tried {
                Ok(said) if said == ok() => break,
                Ok(said) => {
                    told_nothing(&said, &cluster);
                    last = format!("{said:?}");
                }
                Err(_) => {}
            }
            assert!(Instant::now() < end, "{last}\n{}", wall.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        // A client that held nothing goes on; over shared connections it may hear what became of the old ones.
        assert!(eventually(|| idle[at].ask(&words(&["GET", &format!("k{at}")])) == bulk("1")));
    }
    walls.iter().for_each(quiet);
}

#[test]
fn a_policy_without_a_tag_is_no_policy_for_a_cluster() {
    let config = "listeners:\n  - { name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }\n\
                  upstreams:\n  r: { address: '127.0.0.1:1', cluster: {} }\npolicies: policies/\n";
    for (prefix, more, said) in [
        ("{tenant}:", "", "no hash tag"),
        ("{}{tenant}:", "", "no hash tag"),
        ("{{tenant}}:", ", shared: { read: ['x:*'] }", "no shared keys"),
    ] {
        let policy = POLICY.replace("redis: { prefix: '{{tenant}}:' }", &format!("redis: {{ prefix: '{prefix}'{more} }}"));
        let refused = Wall::attempt(config, &[("test.yaml", &policy)]).err().unwrap();
        assert!(refused.contains(said), "{refused}");
    }
}
