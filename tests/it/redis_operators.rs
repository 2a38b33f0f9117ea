//! Operators on Redis: unguarded with a reason, or acting for a tenant; each command is told, and the session ends with the certificate.

use crate::support::{Authority, Redis, Signed, Wall, eventually, socket, tls};
use std::io::{Read, Write};

const MIGRATOR: &str = "spiffe://corp.example/migrator";
const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity: { mtls: { uri: 'spiffe://corp.example/tenant/{tenant}/*', expiry: keep } }
operators: { mtls: ['spiffe://corp.example/migrator', 'spiffe://corp.example/tenant/globex/*'] }
redis: { prefix: '{tenant}:' }
";

fn start(ours: &Authority) -> (Redis, Wall) {
    let (redis, server) = (Redis::start(), ours.server("localhost"));
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [mtls], \
         tls: {{ cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], crl: [tls/ca.crl], require: true }} }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        redis.port
    );
    let files = [
        ("test.yaml", POLICY),
        ("tls/tls.crt", &server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &ours.pem),
        ("tls/ca.crl", &ours.revoke(&[])),
    ];
    let wall = Wall::start(&config, &files);
    (redis, wall)
}

/// What comes back when these lines are said one after another, up to the end of the connection or of patience.
struct Caller(crate::support::Tls);

impl Caller {
    fn new(wall: &Wall, ours: &Authority, client: &Signed) -> Self {
        Self(tls(socket(wall.port("redis")), "localhost", ours, Some(client)).unwrap())
    }

    /// One line, and a reply of one line, or of two for a string.
    fn ask(&mut self, line: &str) -> String {
        let _ = self.0.write_all(format!("{line}\r\n").as_bytes());
        let first = self.line();
        if first.starts_with('$') && first != "$-1" { self.line() } else { first }
    }

    fn line(&mut self) -> String {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while matches!(self.0.read(&mut byte), Ok(1)) && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }
}

fn told(wall: &Wall, text: &str) -> String {
    let line = |l: &&str| l.contains("\"target\":\"audit\"") && l.contains(text);
    assert!(eventually(|| wall.log().lines().any(|l| line(&l))), "no `{text}` in {}", wall.log());
    wall.log().lines().find(line).unwrap_or_default().to_owned()
}

#[test]
fn an_operator_is_unguarded_or_acts_for_a_tenant() {
    let ours = Authority::new();
    let (_redis, wall) = start(&ours);
    let migrator = ours.client(MIGRATOR, false);
    let mut acme = Caller::new(&wall, &ours, &ours.client("spiffe://corp.example/tenant/acme/app", false));
    assert_eq!(acme.ask("SET a mine"), "+OK");
    let mut ops = Caller::new(&wall, &ours, &migrator);
    for (said, wanted) in [
        ("GET a", "-NOAUTH Authentication required."),
        ("AUTH \" \"", "-NOAUTH an operator has to give a reason: AUTH reason, or AUTH tenant reason"),
        ("AUTH ACME ticket-7", "-NOAUTH the tenant identity is not valid"),
        ("AUTH ticket-7", "+OK"),
        ("GET acme:a", "mine"),
        ("SET globex:b theirs", "+OK"),
        ("CONFIG SET maxmemory-policy noeviction", "+OK"),
        ("MULTI", "+OK"),
        ("DISCARD", "+OK"),
    ] {
        assert_eq!(ops.ask(said), wanted, "{said}");
    }
    let line = told(&wall, "SET globex:b theirs");
    assert!(line.contains(MIGRATOR) && line.contains("ticket-7") && line.contains("(operator)"), "{line}");
    assert!(told(&wall, "CONFIG SET maxmemory-policy (…)").contains("ticket-7"));
    let mut acting = Caller::new(&wall, &ours, &migrator);
    for (said, wanted) in [
        ("AUTH acme ticket-8", "+OK"),
        ("GET a", "mine"),
        ("GET globex:b", "$-1"),
        ("SHUTDOWN", "-NOPERM this user has no permissions to run the 'shutdown' command"),
    ] {
        assert_eq!(acting.ask(said), wanted, "{said}");
    }
    let line = told(&wall, "GET globex:b");
    assert!(line.contains(MIGRATOR) && line.contains("ticket-8") && line.contains("\"acme\""), "{line}");
    // HELLO says it as well; the other protocol is the server's from there on.
    let mut ops = Caller::new(&wall, &ours, &migrator);
    let _ = ops.ask("HELLO 2 AUTH default ticket-9");
    assert!(told(&wall, "HELLO 2").contains("ticket-9"));
    // A tenant's certificate that a pattern takes in by mistake is neither.
    let mut both = Caller::new(&wall, &ours, &ours.client("spiffe://corp.example/tenant/globex/app", false));
    assert_eq!(both.ask("AUTH why"), "-NOAUTH two identities were given and differ: an operator's and a tenant's");
    assert!(both.ask("AUTH acme why").starts_with("-NOAUTH two identities"));
}

#[test]
fn an_operators_session_ends_with_its_certificate() {
    let ours = Authority::new();
    let (_redis, wall) = start(&ours);
    let (migrator, tenant) = (ours.client(MIGRATOR, false), ours.client("spiffe://corp.example/tenant/acme/app", false));
    let mut kept = Caller::new(&wall, &ours, &tenant);
    let mut all = [Caller::new(&wall, &ours, &migrator), Caller::new(&wall, &ours, &migrator)];
    for (caller, said) in all.iter_mut().zip(["AUTH because", "AUTH acme because"]) {
        assert_eq!(caller.ask(said), "+OK");
        assert_eq!(caller.ask("PING"), "+PONG");
    }
    wall.rewrite("tls/ca.crl", &ours.revoke(&[&migrator, &tenant]));
    // The policy keeps tenants' sessions, and never an operator's.
    for caller in &mut all {
        assert!(eventually(|| caller.ask("PING") != "+PONG"));
    }
    assert_eq!(kept.ask("PING"), "+PONG");
}
