//! Clients that go away in the midst of something: nothing of theirs stays, for what they left open nobody will end.

use super::pool::pooled;
use super::redis_oracle::reply::{Client as Redis, Value, words};
use super::smoke::{POLICY, shop};
use super::support::{self, Client, Database, Wall, eventually};

/// Connections to the database, but for the one that asks.
fn backends(database: &Database) -> String {
    database.psql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

/// Says something and goes.
fn leave(mut client: Client, what: &str) {
    let batch = |client: &mut Client| {
        client.parse("", "SELECT item FROM orders", &[]);
        client.bind("", "", &[]);
        client.execute("", 0);
    };
    match what {
        "batch" => batch(&mut client),
        "transaction" => {
            client.query("BEGIN").unwrap();
            batch(&mut client);
        }
        "statement" => {
            client.query("SELECT item FROM orders").unwrap();
            batch(&mut client);
        }
        "part" => {
            batch(&mut client);
            client.send(&[b'S', 0, 0]);
        }
        // A Flush is not heard in COPY.
        "flushed" => {
            client.parse("", "COPY orders (id, item) FROM STDIN", &[]);
            client.bind("", "", &[]);
            client.execute("", 0);
            client.message(b'H', b"");
            while client.receive().is_some_and(|(tag, _)| tag != b'G') {}
            client.message(b'c', b"");
        }
        "copy" => client.message(b'Q', &support::terminated("COPY orders (id, item) FROM STDIN")),
        _ => {
            client.message(b'Q', &support::terminated("BEGIN; COPY orders (id, item) FROM STDIN"));
            client.message(b'd', b"9\tx");
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
}

const ALL: [&str; 7] = ["batch", "transaction", "statement", "part", "copy", "rows", "flushed"];

#[test]
fn a_batch_without_its_end_ends_with_its_client() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    for what in ALL {
        leave(Client::tenant(wall.port("pg"), "acme"), what);
        assert!(eventually(|| backends(&database) == "0"), "{what}");
    }
    for mode in ["session", "transaction"] {
        let wall = pooled(&database, &format!("mode: {mode}, size: 1, wait: 2s"), POLICY);
        for what in ALL {
            leave(Client::tenant(wall.port("pg"), "acme"), what);
            // The only connection serves the next.
            let serves = || {
                Client::connect(wall.port("pg"), &[("user", "app"), ("partywall.tenant", "globex")])
                    .is_ok_and(|mut c| c.query("SELECT 1").is_ok())
            };
            assert!(eventually(serves), "{mode} {what}");
        }
    }
}

#[test]
fn a_copy_ends_with_its_client_where_statements_say_the_tenant() {
    let database = shop();
    let policy = POLICY.replace("  startup: { trust: [loopback] }\n", "  statement: { trust: [loopback] }\n");
    let wall = Wall::start(&Wall::config(&database, "identity: [statement]", "user: postgres"), &[("test.yaml", &policy)]);
    let copy = "/*tenant='acme'*/ COPY orders (id, item) FROM STDIN";
    // Another's statement, behind rows that cannot come any more.
    let mut client = Client::connect(wall.port("pg"), &[("user", "app")]).unwrap();
    [copy, "/*tenant='globex'*/ SELECT 1"].iter().for_each(|sql| client.message(b'Q', &support::terminated(sql)));
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(client);
    assert!(eventually(|| backends(&database) == "0"), "another's");
    // Behind a Terminate, too; and what was asked before that is answered.
    for (last, answered) in [(copy, false), ("/*tenant='acme'*/ SELECT item FROM orders WHERE pg_sleep(0.2) IS NOT NULL", true)] {
        let mut client = Client::connect(wall.port("pg"), &[("user", "app")]).unwrap();
        client.message(b'Q', &support::terminated(last));
        client.message(b'X', b"");
        let rows = std::iter::from_fn(|| client.receive()).filter(|(tag, _)| *tag == b'D').count();
        assert_eq!(rows > 0, answered, "{last}");
        assert!(eventually(|| backends(&database) == "0"), "{last}");
    }
    for begun in [false, true] {
        let mut client = Client::connect(wall.port("pg"), &[("user", "app")]).unwrap();
        client.message(b'Q', &support::terminated(copy));
        assert!(!begun || client.receive().is_some_and(|(tag, _)| tag == b'G'));
        drop(client);
        assert!(eventually(|| backends(&database) == "0"), "{begun}");
    }
}

/// Answers that are due come, though the client will say no more.
#[test]
fn who_says_no_more_is_answered() {
    use std::io::{Read, Write};
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let simple = |sql: &str| support::message(b'Q', &support::terminated(sql));
    let parse = [b"\0", &support::terminated("SELECT item FROM orders ORDER BY id")[..], b"\0\0"].concat();
    let batch = [(b'P', &parse[..]), (b'B', &[0; 8]), (b'E', &[0; 5]), (b'H', b"")].map(|(tag, body)| support::message(tag, body)).concat();
    let bye = support::message(b'X', b"");
    let simple_ones = [simple("SELECT pg_sleep(1)"), simple("SELECT item FROM orders ORDER BY id")].concat();
    let copy = [simple("SELECT item FROM orders ORDER BY id"), simple("COPY orders (id, item) FROM STDIN")].concat();
    for (said, ends) in [(&simple_ones, false), (&batch, false), (&simple_ones, true), (&batch, true), (&copy, true)] {
        let said = [&said[..], if ends { &bye } else { b"" }].concat();
        let mut stream = support::socket(wall.port("pg"));
        stream.write_all(&support::startup(&[("user", "app"), ("partywall.tenant", "acme")])).unwrap();
        stream.write_all(&said).unwrap();
        if !ends {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert!(String::from_utf8_lossy(&all).contains("rocket"));
        assert!(eventually(|| backends(&database) == "0"));
    }
}

#[test]
fn an_unfinished_value_and_wait_end_with_their_client() {
    for (redis, wall) in [super::redis::start(), super::redis_multiplex::start()] {
        let mut server = Redis::connect(redis.port, None);
        let mut busy = || {
            let Value::Bulk(_, list) = server.ask(&words(&["CLIENT", "LIST"])) else { panic!() };
            let list = String::from_utf8(list).unwrap();
            list.lines().filter(|line| line.contains("cmd=wait") || !line.contains("qbuf=0 ") && !line.contains("cmd=client|list")).count()
        };
        let mut value = Redis::connect(wall.port("redis"), Some("acme"));
        value.begin(&format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000000\r\n{}", "x".repeat(3_000_000)));
        let mut waits = Redis::connect(wall.port("redis"), Some("acme"));
        waits.send([words(&["WAIT", "5", "0"])].iter());
        assert!(eventually(|| busy() == 2), "both are there");
        drop((value, waits));
        assert!(eventually(|| busy() == 0), "{}", busy());
    }
}

/// The kernel probes a connection that is quiet, on both sides of the wall.
#[test]
fn sockets_are_kept_alive() {
    let (redis, wall) = super::redis::start();
    let mut client = Redis::connect(wall.port("redis"), Some("acme"));
    client.ask(&words(&["PING"]));
    // Of proc(5): `02` in the sixth column is the timer of keepalive; 01 is an established connection.
    let probed = |local: Option<u16>, remote: Option<u16>| {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let is = |field: &str, port: Option<u16>| port.is_none_or(|port| field.ends_with(&format!(":{port:04X}")));
        let mut rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.any(|row| is(row[1], local) && is(row[2], remote) && row[3] == "01" && row[5].starts_with("02:"))
    };
    assert!(eventually(|| probed(Some(wall.port("redis")), None)), "from the client");
    assert!(eventually(|| probed(None, Some(redis.port))), "to the server");
}
