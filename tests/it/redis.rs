//! Redis through the wall: two tenants on one server, by `tests/redis/live.txt`; who may connect; what the server then holds.

use super::support::{Redis, Wall};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Of both tenants.
pub const POLICY: &str = "version: 1\nname: test\ntenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }\n\
    identity: { startup: { trust: [loopback] } }\nredis: { prefix: '{tenant}:', shared: { read: [ 'common:*' ] } }\n";

/// A server, and the wall before it on port `redis`.
pub fn start() -> (Redis, Wall) {
    start_with(&[], POLICY)
}

/// The same with further arguments of the server's and another policy.
fn start_with(arguments: &[&str], policy: &str) -> (Redis, Wall) {
    let redis = Redis::start_with(arguments);
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        redis.port
    );
    let wall = Wall::start(&config, &[("test.yaml", policy)]);
    (redis, wall)
}

/// A client that says words and reads replies as text.
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// A connection.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    /// A tenant's.
    pub fn of(port: u16, tenant: &str) -> Self {
        let mut client = Self::connect(port);
        assert_eq!(client.ask(&format!("AUTH {tenant} x")), "OK");
        client
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// Says a line and reads the reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.reply()
    }

    /// Reads a reply; nothing where the connection ended.
    pub fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).unwrap_or(("", ""));
        let count = |sign: i64| rest.parse::<i64>().unwrap() * sign;
        match kind {
            "+" | ":" | "," | "#" => rest.to_owned(),
            "-" => format!("!{rest}"),
            "_" => "nil".to_owned(),
            "$" | "=" | "*" if rest == "-1" => "nil".to_owned(),
            "$" | "=" => {
                let mut bytes = vec![0; usize::try_from(count(1)).unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                format!("\"{}\"", bytes[..bytes.len() - 2].escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\""))
            }
            "*" | "~" | ">" => self.many(kind, count(1)),
            "%" => self.many(kind, count(2)),
            "" => String::new(),
            other => panic!("{other}{rest}"),
        }
    }

    fn many(&mut self, kind: &str, count: i64) -> String {
        let items: Vec<String> = (0..count).map(|_| self.reply()).collect();
        format!("{}[{}]", kind.trim_start_matches('*'), items.join(" "))
    }
}

#[test]
fn two_tenants_talk_to_one_server() {
    let (redis, wall) = start();
    play(&redis, &wall);
}

/// Plays `tests/redis/live.txt`.
pub fn play(redis: &Redis, wall: &Wall) {
    play_where(redis, wall, |_| true);
}

/// The same, those commands of it that are wanted.
pub fn play_where(redis: &Redis, wall: &Wall, wanted: fn(&str) -> bool) {
    let mut server = Client::connect(redis.port);
    server.ask("SET common:rate 7");
    server.ask("CONFIG SET notify-keyspace-events KEA");
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    let (mut last, mut cases, mut wrong) = (None::<(String, String)>, 0, Vec::new());
    for line in include_str!("../redis/live.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((asked, got)) = last.take() {
            if got != line && wanted(&asked) {
                wrong.push(format!("{asked}\n  {line}\n  {got}"));
            }
            cases += 1;
            continue;
        }
        let (who, command) = line.split_once(": ").unwrap();
        let (name, tenant) = (who, who.trim_end_matches(char::is_numeric));
        let client = clients.entry(name.to_owned()).or_insert_with(|| Client::of(wall.port("redis"), tenant));
        let got = match command {
            "hear" => client.reply(),
            _ if !wanted(line) => String::new(),
            _ => client.ask(command),
        };
        last = Some((line.to_owned(), got));
    }
    assert!(wrong.is_empty() && last.is_none(), "{}", wrong.join("\n"));
    assert!(cases > 60, "{cases}");
    // All that the server holds is somebody's own, or shared.
    let keys = server.ask("KEYS *");
    assert!(keys.contains("acme:"), "{keys}");
    for key in keys.trim_matches(['[', ']']).split("\" \"") {
        let key = key.trim_matches('"');
        assert!(["acme:", "globex:", "common:"].iter().any(|p| key.starts_with(p)), "{key}");
    }
}

#[test]
fn nobody_without_a_name_is_served() {
    let (_redis, wall) = start();
    let mut client = Client::connect(wall.port("redis"));
    assert_eq!(client.ask("GET k"), "!NOAUTH Authentication required.");
    for bad in ["AUTH ACME x", "AUTH common x", "AUTH \"a ~* +@all\" x", "AUTH \"\" x"] {
        let mut client = Client::connect(wall.port("redis"));
        assert!(client.ask(bad).starts_with("!WRONGPASS") || client.ask("PING").starts_with('!'), "{bad}");
    }
    let mut client = Client::of(wall.port("redis"), "acme");
    assert!(client.ask("AUTH globex x").starts_with("!WRONGPASS"));
    assert_eq!(client.ask("ACL WHOAMI"), "\"acme\"");
}

#[test]
fn what_is_restored_is_what_policy_and_server_vouch_for() {
    let on = POLICY.replace("redis: {", "redis: { restore: on,");
    let looks = ["--sanitize-dump-payload", "yes"];
    let noperm = "!NOPERM this user has no permissions to run the 'restore' command";
    for (arguments, policy, string, stream) in [
        (&looks[..], on.as_str(), "OK", "!ERR this proxy restores strings, lists, sets, sorted sets and hashes only"),
        (&looks, POLICY, noperm, noperm),
        (&[], &on, noperm, noperm),
    ] {
        let (_redis, wall) = start_with(arguments, policy);
        let mut client = Client::of(wall.port("redis"), "acme");
        client.ask("SET s value");
        client.ask("XADD x 1-1 a 1");
        for (key, said) in [("s", string), ("x", stream)] {
            let payload = client.ask(&format!("DUMP {key}"));
            assert_eq!(client.ask(&format!("RESTORE {key}2 0 {payload}")), said, "{key}");
        }
        assert_eq!(client.ask("GET s2"), if string == "OK" { "\"value\"" } else { "nil" });
        // So many elements in so few bytes: the server would be busy with it for long.
        let many = client.ask("RESTORE m 0 \"\\x02\\x81\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x00\\x01a\"");
        assert_eq!(many, if string == "OK" { "!ERR Bad data format" } else { noperm });
    }
}

#[test]
fn a_large_value_streams() {
    let (_redis, wall) = start();
    let mut client = Client::of(wall.port("redis"), "acme");
    let before = wall.resident_kib();
    let size = 64 << 20;
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${size}\r\n");
    client.0.get_mut().write_all(head.as_bytes()).unwrap();
    let piece = vec![b'v'; 1 << 20];
    for _ in 0..size >> 20 {
        client.0.get_mut().write_all(&piece).unwrap();
    }
    client.0.get_mut().write_all(b"\r\n").unwrap();
    assert_eq!(client.reply(), "OK");
    assert_eq!(client.ask("STRLEN k"), size.to_string());
    client.say("GET k");
    let mut bytes = vec![0; size + format!("${size}\r\n\r\n").len()];
    client.0.read_exact(&mut bytes).unwrap();
    let grown = wall.resident_kib().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more");
}

#[test]
fn a_drain_ends_sessions_at_rest() {
    let (_redis, wall) = start();
    let (mut idle, mut busy) = (Client::of(wall.port("redis"), "acme"), Client::of(wall.port("redis"), "acme"));
    assert_eq!(busy.ask("MULTI"), "OK");
    assert_eq!(idle.ask("PING"), "PONG");
    wall.signal("TERM");
    assert_eq!(idle.0.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(busy.ask("SET k v"), "QUEUED");
    assert_eq!(busy.ask("EXEC"), "[OK]");
    assert_eq!(busy.0.read(&mut [0; 1]).unwrap(), 0);
}
