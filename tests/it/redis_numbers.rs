//! Upstream's numbers of connections: they mean others' connections once the server was started anew, so nobody is ended or woken by an old one.

use super::redis::POLICY;
use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Redis, Wall, eventually};

/// Clients that do not read, so that the wall does not see the end of their connections either.
const DEAF: usize = 6;

fn number(number: i64) -> Value {
    Value::Line(':', number.to_string())
}

/// CLIENT LIST: the clients' numbers.
fn list(client: &mut Client) -> Vec<String> {
    let Value::Bulk(_, list) = client.ask(&words(&["CLIENT", "LIST"])) else { panic!() };
    let list = String::from_utf8(list).unwrap();
    list.lines().map(|line| line.split(' ').next().unwrap().trim_start_matches("id=").to_owned()).collect()
}

fn deaf(port: u16, own: bool) -> Client {
    let mut client = Client::connect(port, Some("acme"));
    if own {
        client.ask(&words(&["SELECT", "1"]));
    }
    client.ask(&words(&["SET", "big", &"x".repeat(60_000)]));
    let get = words(&["GET", "big"]);
    client.send((0..400).map(|_| &get));
    client
}

/// Tries everything that names a connection by its number, and goes on with another client where it was ended.
fn attack(port: u16) {
    let numbers = list(&mut Client::connect(port, Some("acme")));
    assert!(numbers.len() > DEAF, "those who do not read are there still: {numbers:?}");
    for number in &numbers {
        for command in [&["CLIENT", "UNBLOCK", number, "ERROR"][..], &["CLIENT", "KILL", "ID", number]] {
            let told = Client::connect(port, Some("acme")).ask(&words(command));
            assert!(!matches!(&told, Value::Line(':', count) if count != "0" && command[1] == "UNBLOCK"), "{command:?}: {told:?}");
        }
        // A server that does not know the number says so; a stranger's would be taken.
        let mut tracker = Client::connect(port, Some("acme"));
        tracker.ask(&words(&["HELLO", "3"]));
        let told = tracker.ask(&words(&["CLIENT", "TRACKING", "ON", "REDIRECT", number]));
        assert!(told.is_error(), "{number}: {told:?}");
    }
    Client::connect(port, Some("acme")).ask(&words(&["CLIENT", "KILL", "TYPE", "normal"]));
}

#[test]
fn a_number_names_nobody_on_a_server_that_was_started_anew() {
    let mut redis = Some(Redis::start());
    let upstream = redis.as_ref().unwrap().port;
    for (name, more) in [("alone", ""), ("shared", ", multiplex: { connections: 1 }")] {
        let config = format!(
            "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
             upstreams:\n  r: {{ address: '127.0.0.1:{upstream}'{more} }}\npolicies: policies/\n",
        );
        let wall = Wall::start(&config, &[("test.yaml", POLICY)]);
        let port = wall.port("redis");
        let _deaf: Vec<Client> = (0..DEAF).map(|_| deaf(port, name == "shared")).collect();
        let blocks = |client: &mut Client| client.send([words(&["BLPOP", "q", "60"])].iter());
        std::thread::sleep(std::time::Duration::from_millis(300));
        redis = None;
        assert!(eventually(|| {
            redis = redis.take().or_else(|| Redis::start_on(upstream, &[]));
            redis.is_some()
        }));
        let mut victims: Vec<Client> = (0..2 * DEAF).map(|_| Client::connect(port, Some("globex"))).collect();
        victims.iter_mut().for_each(blocks);
        let mut own = Client::connect(upstream, None);
        let blocked = |own: &mut Client| format!("{:?}", own.ask(&words(&["INFO", "clients"]))).contains("blocked_clients:12");
        assert!(eventually(|| blocked(&mut own)));
        attack(port);
        assert!(blocked(&mut own), "{name}");
        let mut other = Client::connect(port, Some("globex"));
        victims.iter().for_each(|_| assert!(!other.ask(&words(&["LPUSH", "q", "v"])).is_error()));
        victims.iter_mut().for_each(|victim| assert_eq!(victim.reply().items().len(), 2, "{name}"));
        // On the server that there is now they work.
        let mut waits = Client::connect(port, Some("acme"));
        let Value::Line(':', id) = waits.ask(&words(&["CLIENT", "ID"])) else { panic!() };
        blocks(&mut waits);
        let mut wakes = Client::connect(port, Some("acme"));
        assert!(eventually(|| wakes.ask(&words(&["CLIENT", "UNBLOCK", &id])) == number(1)), "{name}");
        assert_eq!(waits.reply(), Value::Nil('*'));
        assert!(!wall.has_ended() && !wall.log().contains("panicked"));
    }
}
