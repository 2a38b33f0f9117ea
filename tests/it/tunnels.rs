//! Tunnels of one HTTP/2 connection, each of another tenant: none holds up the others.

use super::redis::POLICY;
use super::support::{Authority, Redis, Wall, eventually, socket, tls_with};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// What a read waits for.
const SHORTLY: Duration = Duration::from_millis(50);

trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// The client's side of HTTP/2 (RFC 9113), as far as tunnels need it.
struct Gateway {
    stream: Box<dyn Wire>,
    input: Vec<u8>,
    /// What may be sent, on the connection (0) and its streams.
    windows: BTreeMap<u32, i64>,
    initial: i64,
    heard: BTreeMap<u32, Vec<u8>>,
}

impl Gateway {
    fn connect(port: u16) -> Self {
        let stream = socket(port);
        stream.set_read_timeout(Some(SHORTLY)).unwrap();
        Self::over(Box::new(stream))
    }

    fn over(stream: Box<dyn Wire>) -> Self {
        let mut gateway =
            Self { stream, input: Vec::new(), windows: BTreeMap::from([(0, 65_535)]), initial: 65_535, heard: BTreeMap::new() };
        gateway.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        gateway.frame(SETTINGS, 0, 0, &[]);
        gateway
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.stream.write_all(&[&head, payload].concat()).unwrap();
    }

    /// Opens a tunnel of a tenant's.
    fn open(&mut self, stream: u32, tenant: &str) {
        let mut block = Vec::new();
        for (name, value) in [(":method", "CONNECT"), (":authority", "redis:6379"), ("x-tenant", tenant)] {
            // A literal without a place in the table (RFC 7541, 6.2.2).
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.windows.insert(stream, self.initial);
        self.frame(HEADERS, 4, stream, &block);
        self.until(10, |gateway| gateway.heard.contains_key(&stream));
    }

    /// Takes in frames until it holds, for so many seconds at most. False: it did not come to hold.
    fn until(&mut self, seconds: u64, holds: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !holds(self) && Instant::now() < end {
            let mut part = [0; 16 << 10];
            if let Ok(count) = self.stream.read(&mut part) {
                self.input.extend_from_slice(&part[..count]);
            }
            while let Some(length) = self.input.get(..3).map(|l| usize::from(l[0]) << 16 | usize::from(l[1]) << 8 | usize::from(l[2])) {
                if self.input.len() < 9 + length {
                    break;
                }
                let frame: Vec<u8> = self.input.drain(..9 + length).collect();
                let stream = u32::from_be_bytes(frame[5..9].try_into().unwrap());
                self.hear(frame[3], frame[4], stream, &frame[9..]);
            }
        }
        holds(self)
    }

    fn hear(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        match kind {
            SETTINGS if flags & 1 == 0 => {
                for setting in payload.chunks(6).filter(|s| u16::from_be_bytes([s[0], s[1]]) == INITIAL_WINDOW_SIZE) {
                    let initial = i64::from(u32::from_be_bytes(setting[2..6].try_into().unwrap()));
                    self.windows.iter_mut().filter(|(stream, _)| **stream > 0).for_each(|(_, window)| *window += initial - self.initial);
                    self.initial = initial;
                }
                self.frame(SETTINGS, 1, 0, &[]);
            }
            WINDOW_UPDATE => *self.windows.entry(stream).or_default() += i64::from(u32::from_be_bytes(payload.try_into().unwrap())),
            PING if flags & 1 == 0 => self.frame(PING, 1, 0, payload),
            HEADERS => drop(self.heard.insert(stream, Vec::new())),
            DATA => self.heard.entry(stream).or_default().extend_from_slice(payload),
            _ => {}
        }
    }

    /// Says as much of it as may be said within a while; how much.
    fn say(&mut self, stream: u32, words: &[u8]) -> usize {
        let mut said = 0;
        while said < words.len() {
            let may = |gateway: &Self| gateway.windows[&0].min(gateway.windows[&stream]);
            if !self.until(1, |gateway| may(gateway) > 0) {
                break;
            }
            let count = usize::try_from(may(self)).unwrap().min(words.len() - said).min(16 << 10);
            self.frame(DATA, 0, stream, &words[said..said + count]);
            [0, stream].iter().for_each(|at| *self.windows.get_mut(at).unwrap() -= i64::try_from(count).unwrap());
            said += count;
        }
        said
    }
}

#[test]
fn a_tenant_that_is_not_read_leaves_others_room() {
    let redis = Redis::start();
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [header], tunnel: http }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        redis.port
    );
    let header = "identity: { header: { name: x-tenant, trust: [loopback] }, startup:";
    let wall = Wall::start(&config, &[("test.yaml", &POLICY.replace("identity: { startup:", header))]);
    let mut gateway = Gateway::connect(wall.port("redis"));
    gateway.until(10, |gateway| gateway.initial != 65_535);
    for (stream, tenant) in [(1, "acme"), (3, "acme"), (5, "globex")] {
        gateway.open(stream, tenant);
    }
    // It waits, and nobody reads what it says on top.
    let waits = "*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n".to_owned() + &"*1\r\n$4\r\nPING\r\n".repeat(300_000);
    for stream in [1, 3] {
        assert!(gateway.say(stream, waits.as_bytes()) < waits.len());
    }
    assert_eq!(gateway.say(5, b"*1\r\n$4\r\nPING\r\n"), 14);
    assert!(gateway.until(10, |gateway| gateway.heard[&5] == b"+PONG\r\n"));
}

#[test]
fn a_tunnel_is_a_session_whose_certificate_counts_when_it_is_opened() {
    let (redis, ours) = (Redis::start(), Authority::new());
    let (server, client) = (ours.server("localhost"), ours.client("", false));
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [mtls], tunnel: http, \
         tls: {{ cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], crl: tls/crl.pem }} }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        redis.port
    );
    let keeps = POLICY.replace("identity: { startup: { trust: [loopback] } }", "identity: { mtls: { cn: '{tenant}', expiry: keep } }");
    let files = [
        ("test.yaml", &*keeps),
        ("tls/tls.crt", &server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &ours.pem),
        ("tls/crl.pem", &ours.revoke(&[])),
    ];
    let wall = Wall::start(&config, &files);
    let connect = || {
        let stream = tls_with(socket(wall.port("redis")), "localhost", &ours, Some(&client), &["h2"]).ok()?;
        stream.sock.set_read_timeout(Some(SHORTLY)).unwrap();
        Some(Gateway::over(Box::new(stream)))
    };
    let mut gateway = connect().unwrap();
    gateway.open(1, "");
    let answered = |gateway: &mut Gateway, stream: u32| {
        gateway.heard.entry(stream).or_default().clear();
        gateway.say(stream, b"*1\r\n$4\r\nPING\r\n");
        gateway.until(2, |gateway| gateway.heard[&stream] == b"+PONG\r\n")
    };
    assert!(answered(&mut gateway, 1));
    wall.rewrite("tls/crl.pem", &ours.revoke(&[&client]));
    assert!(eventually(|| wall.log().contains("renewed")), "{}", wall.log());
    for stream in [3, 5] {
        gateway.open(stream, "");
        assert!(!answered(&mut gateway, stream), "a new session over the old connection");
    }
    assert!(answered(&mut gateway, 1), "what has begun is kept");
}
