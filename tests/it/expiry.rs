//! What ends with a token or a certificate, whatever a session is in the midst of; and that nothing begins with one that has ended.

use crate::identity::{Issuer, TOKEN, USER, policy, secured, with_password};
use crate::smoke::shop;
use crate::support::{Authority, Client, Database, Redis, Wall, ask_for_tls, error, eventually, socket, tls, tls_as, tls_config};
use rustls::HandshakeKind;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const GATEWAY: &str = "spiffe://corp.example/gateway";
/// Of those that end while something waits.
const SECONDS: u64 = 5;

/// What a session is in the midst of, whether that is a safe point, and what begins it.
type Wait = (&'static str, bool, fn(&mut Client, &str));

fn ask(client: &mut Client, header: &str, sql: &str) {
    client.query(&format!("{header}{sql}")).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
}

const WAITS: &[Wait] = &[
    ("listening", true, |c, h| ask(c, h, "LISTEN news")),
    ("idle", true, |c, h| ask(c, h, "SELECT 1")),
    ("half of a message", true, |c, _| c.send(b"Q\0\0")),
    ("in a transaction", false, |c, h| ask(c, h, "BEGIN; INSERT INTO orders (id, item) VALUES (77, 'never')")),
    ("in a failed one", false, |c, h| assert!(c.query(&format!("{h}BEGIN; SELECT 1/0")).is_err())),
    ("in COPY", false, |c, h| {
        c.message(b'Q', format!("{h}COPY orders (id, item) FROM STDIN\0").as_bytes());
        assert_eq!(c.receive().map(|(tag, _)| tag), Some(b'G'));
        c.message(b'd', b"78\tnever\n");
    }),
    ("in a pipeline", false, |c, h| {
        c.parse("", &format!("{h}INSERT INTO orders (id, item) VALUES (79, 'never')"), &[]);
        c.bind("", "", &[]);
        c.execute("", 0);
        c.message(b'H', &[]);
        assert_eq!(c.receive().map(|(tag, _)| tag), Some(b'1'));
    }),
];

/// Each session ends: at a safe point at once, else a while later; with last words, and with nothing done.
fn all_end(database: &Database, header: &str, begun: SystemTime, mut connect: impl FnMut() -> Client) {
    let mut all: Vec<_> = WAITS.iter().map(|wait| (wait, connect())).collect();
    for ((_, _, begin), client) in &mut all {
        begin(client, header);
    }
    for ((what, safe, _), client) in &mut all {
        let mut last = None;
        while let Some((tag, body)) = client.receive() {
            last = Some((tag, body)).filter(|(tag, _)| *tag == b'E').map(|(_, body)| error(&body).code);
        }
        let passed = SystemTime::now().duration_since(begun).unwrap().as_secs();
        assert_eq!(last.as_deref(), Some("57P01"), "{what}, after {passed} s");
        let (from, to) = if *safe { (SECONDS - 1, SECONDS + 5) } else { (SECONDS + 8, SECONDS + 18) };
        assert!((from..to).contains(&passed), "{what}: {passed} s");
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE '%transaction%'";
    assert!(eventually(|| database.psql(open) == "0"));
    assert_eq!(database.psql("SELECT count(*) FROM orders WHERE item = 'never'"), "0");
}

#[test]
fn whatever_waits_ends_with_its_token() {
    let issuer = Issuer::new();
    let both = ["user: postgres", "user: postgres, pool: { mode: transaction, size: 7 }"].map(|upstream| {
        let (database, issuer) = (shop(), &issuer);
        move || {
            let files = [("test.yaml", &*policy(TOKEN)), ("jwks.json", &issuer.jwks)];
            let wall = Wall::start(&Wall::config(&database, "identity: [jwt]", upstream), &files);
            let (begun, token) = (SystemTime::now(), issuer.token("acme", SECONDS.cast_signed()));
            all_end(&database, "", begun, || with_password(socket(wall.port("pg")), &token).unwrap());
        }
    });
    std::thread::scope(|scope| both.map(|one| scope.spawn(one)).map(|thread| thread.join().unwrap()));
}

/// It is no tenant, and its certificate no source's: all that it has rests on `trust`.
#[test]
fn who_chooses_by_a_certificate_ends_with_it() {
    let (ours, database) = (Authority::new(), shop());
    let listener = "identity: [statement], tls: { cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt] }";
    let server = ours.server("localhost");
    let files = [
        ("test.yaml", &*policy(&format!("  statement: {{ trust: ['{GATEWAY}'] }}"))),
        ("tls/tls.crt", &server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &ours.pem),
    ];
    let wall = Wall::start(&Wall::config(&database, listener, "user: postgres"), &files);
    let (begun, gateway) = (SystemTime::now(), ours.ending(GATEWAY, SECONDS));
    all_end(&database, "/*tenant='acme'*/ ", begun, || {
        let mut socket = socket(wall.port("pg"));
        assert_eq!(ask_for_tls(&mut socket), b'S');
        Client::start(Box::new(tls(socket, "localhost", &ours, Some(&gateway)).unwrap()), USER).unwrap()
    });
    assert!(wall.log().contains("a client certificate counts no more"), "{}", wall.log());
}

#[test]
fn tls_goes_on_with_no_certificate_that_has_ended_or_is_revoked() {
    let ours = Authority::new();
    let wall = secured("  mtls: { cn: '{tenant}', expiry: keep }", "mtls", &ours.server("localhost"), &ours, &ours.revoke(&[]));
    let dial = |config: &Arc<rustls::ClientConfig>| {
        let mut socket = socket(wall.port("pg"));
        assert_eq!(ask_for_tls(&mut socket), b'S');
        tls_as(socket, "localhost", config)
    };
    let serves = |config: &Arc<rustls::ClientConfig>| {
        let stream = dial(config).unwrap();
        let kind = stream.conn.handshake_kind().unwrap();
        let mut client = Client::start(Box::new(stream), USER).unwrap();
        ask(&mut client, "", "SELECT count(*) FROM orders");
        (client, kind)
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let ends = SystemTime::now() + Duration::from_secs(SECONDS);
        let (short, long) = (ours.ending("", SECONDS), ours.ending("", 600));
        let [of_short, of_long] = [&short, &long].map(|signed| Arc::new(tls_config(&ours, Some(signed), &[version])));
        let mut kept = serves(&of_short);
        assert_eq!((kept.1, serves(&of_short).1), (HandshakeKind::Full, HandshakeKind::Resumed));
        assert_eq!((serves(&of_long).1, serves(&of_long).1), (HandshakeKind::Full, HandshakeKind::Resumed));
        std::thread::sleep(ends.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_secs(2));
        // The handshake itself asks for no certificate: TLS goes on where it was.
        let refused = |config: &Arc<rustls::ClientConfig>| {
            let stream = dial(config).ok()?;
            Some((stream.conn.handshake_kind()?, Client::start(Box::new(stream), USER).is_ok()))
        };
        assert_eq!(refused(&of_short), Some((HandshakeKind::Resumed, false)), "{}", wall.log());
        assert!(eventually(|| wall.log().contains("xpired")), "{}", wall.log());
        assert_eq!(serves(&of_long).1, HandshakeKind::Resumed);
        ask(&mut kept.0, "", "SELECT count(*) FROM orders");
        wall.rewrite("tls/crl.pem", &ours.revoke(&[&long]));
        let served = |config: &Arc<rustls::ClientConfig>| refused(config).is_some_and(|(_, served)| served);
        assert!(eventually(|| !served(&of_long)), "{}", wall.log());
        assert!(!served(&of_long));
        wall.rewrite("tls/crl.pem", &ours.revoke(&[]));
        assert!(eventually(|| served(&of_long)), "{}", wall.log());
    }
}

/// The gateway is no tenant: its tunnels are tenants' by the header that it is trusted to say.
#[test]
fn tunnels_end_with_the_certificate_that_the_header_rests_on() {
    let (redis, ours) = (Redis::start(), Authority::new());
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [header], tunnel: http, \
         tls: {{ cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt] }} }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        redis.port
    );
    let policy = format!(
        "version: 1\nname: test\ntenants: {{ id: '[a-z]+' }}\nidentity: {{ header: {{ name: x-tenant, trust: ['{GATEWAY}'] }} }}\n\
         redis: {{ prefix: '{{tenant}}:' }}\n"
    );
    let server = ours.server("localhost");
    let files = [("test.yaml", &*policy), ("tls/tls.crt", &server.certificate), ("tls/tls.key", &server.key), ("tls/ca.crt", &ours.pem)];
    let wall = Wall::start(&config, &files);
    let (begun, gateway) = (SystemTime::now(), ours.ending(GATEWAY, SECONDS));
    let mut stream = tls(socket(wall.port("redis")), "localhost", &ours, Some(&gateway)).unwrap();
    write!(stream, "CONNECT r:1 HTTP/1.1\r\nHost: r:1\r\nx-tenant: acme\r\n\r\nPING\r\n").unwrap();
    let mut all = Vec::new();
    // TLS may end without a word of its own.
    let _ = stream.read_to_end(&mut all);
    let passed = SystemTime::now().duration_since(begun).unwrap().as_secs();
    assert!(String::from_utf8_lossy(&all).ends_with("+PONG\r\n"), "{}", String::from_utf8_lossy(&all));
    assert!((SECONDS - 1..SECONDS + 5).contains(&passed), "{passed} s");
}

/// As clients with tokens that end do it: they say the next one on the connection that they have.
#[test]
fn a_fresh_token_of_the_same_tenant_lets_a_redis_session_go_on() {
    let (redis, issuer) = (Redis::start(), Issuer::new());
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [jwt] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        redis.port
    );
    let policy = format!("version: 1\nname: test\ntenants: {{ id: '[a-z]+' }}\nidentity:\n{TOKEN}\nredis: {{ prefix: '{{tenant}}:' }}\n");
    let wall = Wall::start(&config, &[("test.yaml", &policy), ("jwks.json", &issuer.jwks)]);
    let enter = |words: &str| {
        let mut stream = socket(wall.port("redis"));
        assert_eq!(crate::identity::ask(&mut stream, &format!("{words} {}", issuer.token("acme", SECONDS.cast_signed()))), "+OK");
        assert_eq!(crate::identity::ask(&mut stream, "SET own 1"), "+OK");
        stream
    };
    let [mut renewed, mut by_hello, mut other, mut expired, mut forged] = ["AUTH", "AUTH app", "AUTH app", "AUTH app", "AUTH"].map(enter);
    let say = |stream: &mut _, words: &str| crate::identity::ask(stream, words);
    let lasting = issuer.token("acme", 600);
    assert_eq!(say(&mut renewed, &format!("AUTH whoever {lasting}")), "+OK");
    assert!(say(&mut renewed, &format!("AUTH whoever {lasting}")).starts_with("-WRONGPASS"), "too often");
    by_hello.write_all(format!("HELLO 2 AUTH whoever {lasting}\r\nPING\r\n").as_bytes()).unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"+PONG\r\n") {
        let mut byte = [0];
        by_hello.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    assert!(!String::from_utf8_lossy(&heard).contains("WRONGPASS"));
    for (stream, token) in [
        (&mut other, issuer.token("globex", 600)),
        (&mut expired, issuer.token("acme", -1)),
        (&mut forged, Issuer::new().token("acme", 600)),
    ] {
        assert!(say(stream, &format!("AUTH app {token}")).starts_with("-WRONGPASS"));
        assert_eq!(say(stream, "GET own"), "$1");
    }
    for mut stream in [other, expired, forged] {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    std::thread::sleep(Duration::from_secs(1));
    for stream in [&mut renewed, &mut by_hello] {
        assert_eq!(say(stream, "PING"), "+PONG");
    }
    // Another fresh one that ends soon: so does the session.
    assert_eq!(say(&mut renewed, &format!("AUTH {}", issuer.token("acme", 1))), "+OK");
    let begun = SystemTime::now();
    let _ = renewed.read_to_end(&mut Vec::new());
    assert!(begun.elapsed().unwrap() < Duration::from_secs(4));
    assert_eq!(say(&mut by_hello, "PING"), "+PONG");
}
