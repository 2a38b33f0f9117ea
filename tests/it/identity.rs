//! Who is asking, over real sockets: tokens, tunnels, PROXY headers, direct TLS, host names, accounts, and what ends a session.

use crate::smoke::{POLICY, shop};
use crate::support::{
    Authority, Client, PgError, Redis, Signed, Wall, ask_for_tls, eventually, message, socket, startup, terminated, tls, tls_with,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

pub const USER: &[(&str, &str)] = &[("user", "app"), ("database", "shop")];

pub fn policy(identity: &str) -> String {
    POLICY.replace("  startup: { trust: [loopback] }\n", &format!("{identity}\n"))
}

/// A signer of tokens, and the set that holds its key.
pub struct Issuer {
    key: EncodingKey,
    pub jwks: String,
}

impl Issuer {
    pub fn new() -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": B64.encode(x), "y": B64.encode(y)}]}).to_string();
        Self { key: EncodingKey::from_ec_der(pair.serialized_der()), jwks }
    }

    /// A token that holds for so many seconds.
    pub fn token(&self, tenant: &str, seconds: i64) -> String {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        encode(&Header::new(Algorithm::ES256), &json!({"tenant": tenant, "exp": now + seconds}), &self.key).unwrap()
    }
}

pub const TOKEN: &str = "  jwt: { from: [password, header], keys: jwks.json, leeway: 0s }";

fn orders(client: &mut Client) -> String {
    client.query("SELECT item FROM orders ORDER BY id").unwrap().text()
}

fn code(result: Result<Client, PgError>) -> String {
    result.map_or_else(|e| e.code, |_| "served".into())
}

/// Says who it is by a password, on a connection as it is.
pub fn with_password(mut stream: TcpStream, password: &str) -> Result<Client, PgError> {
    stream.write_all(&startup(USER)).unwrap();
    let mut asked = [0; 9];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(asked, [b'R', 0, 0, 0, 8, 0, 0, 0, 3]);
    stream.write_all(&message(b'p', &terminated(password))).unwrap();
    Client::begun(Box::new(stream))
}

#[test]
fn a_token_is_taken_as_the_password() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let config = Wall::config(&shop(), "identity: [jwt]", "user: postgres");
    let wall = Wall::start(&config, &[("test.yaml", &policy(TOKEN)), ("jwks.json", &issuer.jwks)]);
    let port = wall.port("pg");
    assert_eq!(orders(&mut with_password(socket(port), &issuer.token("acme", 60)).unwrap()), "anvil\nrocket");
    assert_eq!(orders(&mut with_password(socket(port), &issuer.token("globex", 60)).unwrap()), "laser\nwhale");
    for bad in [other.token("acme", 60), issuer.token("acme", -1), "secret".into(), String::new()] {
        assert_eq!(code(with_password(socket(port), &bad)), "28P01", "{bad}");
    }
    assert_eq!(code(with_password(socket(port), &issuer.token("A'b", 60))), "28000");
    assert!(eventually(|| wall.log().contains("ExpiredSignature")), "{}", wall.log());
    // psql, with the token where it takes a password.
    let psql = Command::new("psql")
        .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", "SELECT count(*) FROM orders"])
        .env("PGPORT", port.to_string())
        .env("PGPASSWORD", issuer.token("acme", 60))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "2", "{}", String::from_utf8_lossy(&psql.stderr));
    // A new set: what the old key signed counts no more.
    wall.rewrite("jwks.json", &other.jwks);
    assert!(eventually(|| code(with_password(socket(port), &issuer.token("acme", 60))) == "28P01"));
    assert_eq!(orders(&mut with_password(socket(port), &other.token("acme", 60)).unwrap()), "anvil\nrocket");
}

#[test]
fn a_session_ends_with_its_token() {
    let issuer = Issuer::new();
    let config = Wall::config(&shop(), "identity: [jwt]", "user: postgres");
    let wall = Wall::start(&config, &[("test.yaml", &policy(TOKEN)), ("jwks.json", &issuer.jwks)]);
    let mut short = with_password(socket(wall.port("pg")), &issuer.token("acme", 2)).unwrap();
    let mut long = with_password(socket(wall.port("pg")), &issuer.token("acme", 600)).unwrap();
    assert_eq!(orders(&mut short), "anvil\nrocket");
    let (tag, body) = short.receive().unwrap();
    assert_eq!((tag, String::from_utf8_lossy(&body).contains("57P01")), (b'E', true));
    assert_eq!(short.receive(), None);
    assert_eq!(orders(&mut long), "anvil\nrocket");
}

/// Opens a tunnel by HTTP/1.1, with these header lines; gives the answer's first line.
fn tunnel<S: Read + Write>(mut stream: S, headers: &str) -> (String, S) {
    write!(stream, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    (String::from_utf8(answer).unwrap().lines().next().unwrap().to_owned(), stream)
}

#[test]
fn a_tunnel_carries_the_tenant_in_a_header() {
    let issuer = Issuer::new();
    let identity = format!("  header: {{ name: X-Tenant-Id, trust: [127.0.0.0/8] }}\n{TOKEN}");
    let listener = "identity: [header, jwt], tunnel: http";
    let wall =
        Wall::start(&Wall::config(&shop(), listener, "user: postgres"), &[("test.yaml", &policy(&identity)), ("jwks.json", &issuer.jwks)]);
    let connect = |headers: &str| {
        let (status, stream) = tunnel(socket(wall.port("pg")), headers);
        assert_eq!(status, "HTTP/1.1 200 OK");
        Client::start(Box::new(stream), USER)
    };
    assert_eq!(orders(&mut connect("X-Tenant-Id: acme\r\n").unwrap()), "anvil\nrocket");
    let bearer = |tenant: &str| format!("Authorization: Bearer {}\r\n", issuer.token(tenant, 60));
    assert_eq!(orders(&mut connect(&bearer("globex")).unwrap()), "laser\nwhale");
    assert_eq!(orders(&mut connect(&format!("x-tenant-id: acme\r\n{}", bearer("acme"))).unwrap()), "anvil\nrocket");
    assert_eq!(code(connect(&format!("x-tenant-id: acme\r\n{}", bearer("globex")))), "28000");
    assert_eq!(code(connect("x-tenant-id: acme\r\nx-tenant-id: globex\r\n")), "28000");
    assert_eq!(code(connect("x-tenant-id: ../acme\r\n")), "28000");
    assert_eq!(code(connect("Authorization: Bearer x.y.z\r\n")), "28P01");
    let mut plain = socket(wall.port("pg"));
    plain.write_all(b"GET / HTTP/1.1\r\nHost: db\r\nx-tenant-id: acme\r\n\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(plain).read_line(&mut answer).unwrap();
    assert!(answer.contains("405"), "{answer}");
}

#[test]
fn a_header_counts_only_from_those_who_are_trusted() {
    let ours = Authority::new();
    let server = ours.server("localhost");
    let identity = "  header: { name: x-tenant-id, trust: ['spiffe://corp.example/gateway'] }";
    let listener = "identity: [header], tunnel: http, tls: { cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt] }";
    let files =
        [("test.yaml", &*policy(identity)), ("tls/tls.crt", &server.certificate), ("tls/tls.key", &server.key), ("tls/ca.crt", &ours.pem)];
    let wall = Wall::start(&Wall::config(&shop(), listener, "user: postgres"), &files);
    let connect = |certificate: Option<&Signed>| {
        let stream = tls_with(socket(wall.port("pg")), "localhost", &ours, certificate, &["http/1.1"]).unwrap();
        let (status, stream) = tunnel(stream, "x-tenant-id: acme\r\n");
        assert_eq!(status, "HTTP/1.1 200 OK");
        Client::start(Box::new(stream), USER)
    };
    assert_eq!(orders(&mut connect(Some(&ours.client("spiffe://corp.example/gateway", false))).unwrap()), "anvil\nrocket");
    assert_eq!(code(connect(Some(&ours.client("spiffe://corp.example/app", false)))), "28000");
    assert_eq!(code(connect(None)), "28000");
}

/// A PROXY header of version 2 for 10.0.0.9, with one value.
fn proxied(kind: u8, value: &[u8]) -> Vec<u8> {
    let value = [&[kind], &u16::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat();
    let rest = [&[10, 0, 0, 9, 127, 0, 0, 1, 0, 80, 21, 56][..], &value].concat();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11".as_slice(), &u16::try_from(rest.len()).unwrap().to_be_bytes(), &rest].concat()
}

#[test]
fn a_proxy_in_front_names_the_tenant() {
    let identity = "  proxy: { tlv: { type: 0xE1, value: '{tenant}' } }\n  startup: { trust: [loopback] }";
    let listener = "identity: [proxy, startup], proxy_protocol: { trust: [loopback] }";
    let wall = Wall::start(&Wall::config(&shop(), listener, "user: postgres"), &[("test.yaml", &policy(identity))]);
    let connect = |first: &[u8], parameters: &[(&str, &str)]| {
        let mut stream = socket(wall.port("pg"));
        stream.write_all(first).unwrap();
        Client::start(Box::new(stream), parameters)
    };
    assert_eq!(orders(&mut connect(&proxied(0xE1, b"acme"), USER).unwrap()), "anvil\nrocket");
    assert_eq!(code(connect(&proxied(0xE2, b"acme"), USER)), "28000", "another type");
    let named = &[("user", "app"), ("partywall.tenant", "acme")];
    assert_eq!(code(connect(&proxied(0xE2, b"acme"), named)), "28000", "the client is not of this machine, though the proxy is");
    assert_eq!(code(connect(b"", named)), "", "without a header nobody is heard");
    let local = [b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".as_slice()].concat();
    assert_eq!(code(connect(&local, named)), "28000");
    let listener = "identity: [proxy], proxy_protocol: { trust: [10.0.0.0/8] }";
    let wall = Wall::start(&Wall::config(&shop(), listener, "user: postgres"), &[("test.yaml", &policy(identity))]);
    let mut stream = socket(wall.port("pg"));
    stream.write_all(&proxied(0xE1, b"acme")).unwrap();
    assert_eq!(code(Client::start(Box::new(stream), USER)), "", "a header from where it is not trusted");
}

/// A wall with TLS whose files can be rewritten.
pub fn secured(identity: &str, sources: &str, server: &Signed, authority: &Authority, crl: &str) -> Wall {
    let listener = format!(
        "identity: [{sources}], tls: {{ cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], crl: tls/crl.pem, require: true }}"
    );
    let files = [
        ("test.yaml", &*policy(identity)),
        ("tls/tls.crt", &server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &authority.pem),
        ("tls/crl.pem", crl),
    ];
    Wall::start(&Wall::config(&shop(), &listener, "user: postgres"), &files)
}

#[test]
fn direct_tls_needs_its_protocol_named() {
    let ours = Authority::new();
    let identity = "  startup: { sni: '{tenant}.db.example', trust: [loopback] }";
    let server = ours.server("acme.db.example");
    let wall = secured(identity, "startup", &server, &ours, &ours.revoke(&[]));
    let port = wall.port("pg");
    let direct = tls_with(socket(port), "acme.db.example", &ours, None, &["postgresql"]).unwrap();
    assert_eq!(orders(&mut Client::start(Box::new(direct), USER).unwrap()), "anvil\nrocket");
    let unnamed = tls(socket(port), "acme.db.example", &ours, None).unwrap();
    assert_eq!(code(Client::start(Box::new(unnamed), USER)), "");
    assert!(tls_with(socket(port), "acme.db.example", &ours, None, &["http/1.1"]).is_err());
    let mut asked = socket(port);
    assert_eq!(ask_for_tls(&mut asked), b'S');
    let asked = tls_with(asked, "acme.db.example", &ours, None, &["postgresql"]).unwrap();
    assert_eq!(orders(&mut Client::start(Box::new(asked), USER).unwrap()), "anvil\nrocket");
    assert_eq!(code(Client::connect(port, &[("user", "app"), ("partywall.tenant", "acme")])), "28000", "without TLS");
}

#[test]
fn certificates_are_revoked_and_rotated_while_sessions_live() {
    let (ours, other) = (Authority::new(), Authority::new());
    let identity = "  mtls: { cn: '{tenant}' }";
    let wall = secured(identity, "mtls", &ours.server("localhost"), &ours, &ours.revoke(&[]));
    let port = wall.port("pg");
    let connect = |authority: &Authority, client: &Signed| {
        let mut socket = socket(port);
        assert_eq!(ask_for_tls(&mut socket), b'S');
        match tls(socket, "localhost", authority, Some(client)) {
            Ok(stream) => Client::start(Box::new(stream), USER),
            Err(e) => Err(PgError { message: e.to_string(), ..PgError::default() }),
        }
    };
    let (good, bad) = (ours.client("", false), ours.client("", false));
    let mut lives = connect(&ours, &bad).unwrap();
    lives.query("BEGIN").unwrap();
    wall.rewrite("tls/crl.pem", &ours.revoke(&[&bad]));
    assert!(eventually(|| code(connect(&ours, &bad)).is_empty()));
    let mut stays = connect(&ours, &good).unwrap();
    assert_eq!(orders(&mut stays), "anvil\nrocket");
    // In a transaction it is not at a safe point.
    assert_eq!(lives.query("SELECT count(*) FROM orders; COMMIT").unwrap().tag, "COMMIT");
    let (tag, body) = lives.receive().unwrap();
    assert_eq!((tag, String::from_utf8_lossy(&body).contains("57P01")), (b'E', true));
    assert!(wall.log().contains("a client certificate counts no more"), "{}", wall.log());
    // Another server certificate, another authority for clients; half of it changes nothing.
    let server = other.server("localhost");
    wall.rewrite("tls/tls.crt", &server.certificate);
    assert!(eventually(|| wall.log().contains("stay as they were")), "{}", wall.log());
    assert_eq!(orders(&mut connect(&ours, &good).unwrap()), "anvil\nrocket");
    wall.rewrite("tls/tls.key", &server.key);
    wall.rewrite("tls/ca.crt", &other.pem);
    wall.rewrite("tls/crl.pem", &other.revoke(&[]));
    let theirs = other.client("", false);
    assert!(eventually(|| connect(&other, &theirs).is_ok()), "{}", wall.log());
    assert!(connect(&other, &good).is_err());
    // Its authority is one no more.
    assert_eq!(stays.receive().map(|(tag, _)| tag), Some(b'E'));
}

#[test]
fn a_policy_may_keep_sessions_whose_certificate_ends() {
    let ours = Authority::new();
    let wall = secured("  mtls: { cn: '{tenant}', expiry: keep }", "mtls", &ours.server("localhost"), &ours, &ours.revoke(&[]));
    let client = ours.client("", false);
    let connect = || {
        let mut socket = socket(wall.port("pg"));
        assert_eq!(ask_for_tls(&mut socket), b'S');
        Client::start(Box::new(tls(socket, "localhost", &ours, Some(&client)).ok()?), USER).ok()
    };
    let mut lives = connect().unwrap();
    wall.rewrite("tls/crl.pem", &ours.revoke(&[&client]));
    assert!(eventually(|| connect().is_none()));
    assert_eq!(orders(&mut lives), "anvil\nrocket");
}

#[test]
fn an_account_at_a_unix_socket_is_a_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let account = std::fs::metadata(directory.path()).unwrap().uid();
    let path = directory.path().join(".s.PGSQL.5432");
    let connect = |users: &str| {
        let config = Wall::config(&shop(), "identity: [peer]", "user: postgres")
            .replace("127.0.0.1:0', upstream", &format!("unix:{}', upstream", path.display()));
        let wall = Wall::start(&config, &[("test.yaml", &policy(&format!("  peer: {{ users: {{ {users} }} }}")))]);
        let answer = Client::start(Box::new(UnixStream::connect(&path).unwrap()), USER).map(|mut client| orders(&mut client));
        drop(wall);
        answer
    };
    assert_eq!(connect(&format!("{account}: acme, {}: globex", account + 1)), Ok("anvil\nrocket".into()));
    assert_eq!(connect(&format!("{}: acme", account + 1)).unwrap_err().code, "28000");
}

// Of the password `pencil` (RFC 7677, 3).
const PENCIL: &str = "'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='";

/// psql's answer to a user with a password, or what it complains of.
fn psql(port: u16, user: &str, password: &str, options: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["-X", "-A", "-t", "-w", "-c", "SELECT item FROM orders ORDER BY id"])
        .arg(format!("host=localhost port={port} user={user} dbname=shop password={password} {options}"))
        .output()
        .unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said.trim().to_owned()) } else { Err(complaint.into_owned()) }
}

#[test]
fn a_user_with_its_password_is_a_tenant() {
    let ours = Authority::new();
    let server = ours.server("localhost");
    let users = format!("app: {{ tenant: acme, password: {PENCIL} }}\nother: {{ tenant: globex, password: {PENCIL} }}\n");
    let listener = "identity: [password], tls: { cert: tls/tls.crt, key: tls/tls.key }";
    let files = [
        ("test.yaml", &*policy("  password: { users: users.yaml }")),
        ("policies/users.yaml", &users),
        ("tls/tls.crt", &server.certificate),
        ("tls/tls.key", &server.key),
    ];
    let config = Wall::config(&shop(), listener, "user: postgres").replace("policies: policies/", "policies: policies/test.yaml");
    let wall = Wall::start(&config, &files);
    let port = wall.port("pg");
    for options in ["sslmode=disable", "sslmode=require channel_binding=require", "sslmode=require channel_binding=disable"] {
        assert_eq!(psql(port, "app", "pencil", options), Ok("anvil\nrocket".into()), "{options}");
        assert_eq!(psql(port, "other", "pencil", options), Ok("laser\nwhale".into()), "{options}");
        for (user, password) in [("app", "pen"), ("nobody", "pencil")] {
            let said = psql(port, user, password, options).unwrap_err();
            assert!(said.contains("FATAL:  password authentication failed"), "{said}");
        }
    }
    assert!(psql(port, "app", "pencil", "sslmode=disable channel_binding=require").is_err());
    assert!(eventually(|| wall.log().contains("no such user, or another password")), "{}", wall.log());
    wall.rewrite("policies/users.yaml", &users.replace("app:", "late:"));
    assert!(eventually(|| psql(port, "late", "pencil", "sslmode=disable").is_ok()));
    assert!(psql(port, "app", "pencil", "sslmode=disable").is_err());
}

/// One line to Redis, one line back.
pub fn ask(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

#[test]
fn redis_takes_tokens_and_tunnels() {
    let (redis, issuer) = (Redis::start(), Issuer::new());
    let config = format!(
        "listeners:\n  - {{ name: plain, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [jwt] }}\n\
         \x20 - {{ name: tunnel, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [jwt], tunnel: http }}\n\
         \x20 - {{ name: users, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [password] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/test.yaml\n",
        redis.port
    );
    let users = format!("app: {{ tenant: acme, password: {PENCIL} }}");
    let policy = format!(
        "version: 1\nname: test\ntenants: {{ id: '[a-z]+' }}\nidentity:\n{TOKEN}\n  password: {{ users: users.yaml }}\nredis: {{ prefix: '{{tenant}}:' }}\n"
    );
    let wall = Wall::start(&config, &[("test.yaml", &policy), ("jwks.json", &issuer.jwks), ("policies/users.yaml", &users)]);
    let mut listed = socket(wall.port("users"));
    assert!(ask(&mut listed, "AUTH app pen").starts_with("-WRONGPASS"));
    assert!(ask(&mut listed, "AUTH pencil").starts_with("-WRONGPASS"));
    assert_eq!(ask(&mut listed, "AUTH app pencil"), "+OK");
    assert_eq!(ask(&mut listed, "SET own 1"), "+OK");
    let mut greeted = socket(wall.port("users"));
    greeted.write_all(b"HELLO 3 AUTH app pencil\r\nGET own\r\nQUIT\r\n").unwrap();
    let mut heard = String::new();
    greeted.read_to_string(&mut heard).unwrap();
    assert!(heard.starts_with('%') && heard.contains("$1\r\n1\r\n"), "{heard}");
    let mut client = socket(wall.port("plain"));
    assert_eq!(ask(&mut client, "GET k"), "-NOAUTH Authentication required.");
    assert!(ask(&mut client, "AUTH nonsense").starts_with("-WRONGPASS"));
    assert!(ask(&mut client, &format!("AUTH acme {}", issuer.token("acme", -5))).starts_with("-WRONGPASS"));
    assert_eq!(ask(&mut client, &format!("AUTH {}", issuer.token("acme", 60))), "+OK");
    assert_eq!(ask(&mut client, "INCR k"), ":1");
    let mut other = socket(wall.port("plain"));
    assert_eq!(ask(&mut other, &format!("AUTH whoever {}", issuer.token("globex", 60))), "+OK");
    assert_eq!(ask(&mut other, "EXISTS k"), ":0");
    let (status, mut inner) = tunnel(socket(wall.port("tunnel")), &format!("Proxy-Authorization: Bearer {}\r\n", issuer.token("acme", 60)));
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(ask(&mut inner, "INCR k"), ":2");
}

/// What strangers try on a port with passwords holds up nobody on another one.
#[test]
fn a_flood_of_passwords_holds_up_nobody() {
    let redis = Redis::start();
    let config = format!(
        "listeners:\n  - {{ name: fixed, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [static] }}\n\
         \x20 - {{ name: users, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [password] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/test.yaml\n",
        redis.port
    );
    let users = format!("app: {{ tenant: acme, password: {PENCIL} }}");
    let policy = "version: 1\nname: test\ntenants: { id: '[a-z]+' }\nidentity: { static: { tenant: globex }, password: { users: users.yaml } }\n\
                  redis: { prefix: '{tenant}:' }\n";
    let wall = Wall::start(&config, &[("test.yaml", policy), ("policies/users.yaml", &users)]);
    let mut other = socket(wall.port("fixed"));
    assert_eq!(ask(&mut other, "SET k v"), "+OK");
    let mut flood: Vec<TcpStream> = (0..4).map(|_| socket(wall.port("users"))).collect();
    for stranger in &mut flood {
        stranger.write_all("AUTH app wrong\r\n".repeat(400).as_bytes()).unwrap();
    }
    let mut longest = std::time::Duration::ZERO;
    for _ in 0..40 {
        let begun = std::time::Instant::now();
        assert_eq!(ask(&mut other, "EXISTS k"), ":1");
        longest = longest.max(begun.elapsed());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(longest < std::time::Duration::from_millis(1000), "{longest:?}");
    // Each has its tries, and no more.
    for mut stranger in flood {
        let mut answers = String::new();
        let _ = stranger.read_to_string(&mut answers);
        assert!(answers.matches("-WRONGPASS").count() <= 10, "{answers}");
    }
    let mut listed = socket(wall.port("users"));
    assert_eq!(ask(&mut listed, "AUTH app pencil"), "+OK", "who knows the password waits a little");
}

#[test]
fn who_says_two_things_at_the_start_is_refused() {
    let config = Wall::config(&shop(), "identity: [startup]", "user: postgres");
    let wall = Wall::start(&config, &[("test.yaml", POLICY)]);
    let connect = |more: &[(&str, &str)]| code(Client::connect(wall.port("pg"), &[USER, more].concat()));
    for (first, second) in [
        (("partywall.tenant", "acme"), ("PARTYWALL.TENANT", "globex")),
        (("Partywall.Tenant", "acme"), ("partywall.tenant", "globex")),
        (("partywall.tenant", "acme"), ("partywall.tenant", "globex")),
        (("partywall.tenant", "globex"), ("options", "-c partywall.tenant=acme")),
        (("options", "-c partywall.tenant=acme"), ("options", "--PARTYWALL.tenant=globex")),
        (("partywall.tenant", "acme"), ("user", "other")),
        (("partywall.tenant", "acme"), ("DATABASE", "other")),
    ] {
        assert_eq!(connect(&[first, second]), "28000", "{first:?} {second:?}");
    }
    assert_eq!(connect(&[("partywall.tenant", "acme"), ("options", "-c PARTYWALL.TENANT=acme")]), "served");
}
