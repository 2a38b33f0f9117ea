//! Every source of identity on both protocols: good, absent, forged, expired, conflicting, oversized. What is good has its tenant; what is not has
//! the right refusal, and the log has the reason.

use crate::smoke::shop;
use crate::support::{Authority, Client, Redis, Signed, Stream, Wall, ask_for_tls, eventually, message, socket, startup, terminated, tls};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use serde_json::json;
use std::io::{Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a client shows of itself.
#[derive(Clone, Default)]
pub struct Dial {
    /// Before anything else.
    pub first: Vec<u8>,
    /// TLS, perhaps with a certificate.
    pub tls: bool,
    pub certificate: Option<Signed>,
    /// Header lines of a tunnel.
    pub tunnel: Option<String>,
    /// PostgreSQL's startup parameters, beside user and database.
    pub parameters: Vec<(&'static str, String)>,
    /// A user and a password: for PostgreSQL where it asks for one, for Redis by AUTH.
    pub said: Option<(String, String)>,
    /// Before the question of a PostgreSQL client.
    pub header: String,
    pub unix: bool,
}

/// A stream, and what was read of it already.
struct Peeked(Vec<u8>, Box<dyn Stream>);

impl Read for Peeked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return self.1.read(buffer);
        }
        let count = self.0.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0.drain(..count);
        Ok(count)
    }
}

impl Write for Peeked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.1.flush()
    }
}

/// A wall with one source on both protocols.
pub struct Port {
    pub wall: Wall,
    pub authority: Authority,
    _cache: Redis,
    directory: tempfile::TempDir,
}

impl Port {
    pub fn new(identity: &str, sources: &str, listener: &str, files: &[(&str, &str)]) -> Self {
        Self::in_environment(identity, sources, (listener, files), &[])
    }

    pub fn in_environment(identity: &str, sources: &str, (listener, files): (&str, &[(&str, &str)]), environment: &[(&str, &str)]) -> Self {
        let (cache, authority, database) = (Redis::start(), Authority::new(), shop());
        let directory = tempfile::tempdir().unwrap();
        let server = authority.server("localhost");
        let redis_sources = sources.replace(", statement", "").replace("statement", "static");
        let config = Wall::config(&database, &format!("identity: [{sources}]{listener}"), "user: postgres").replace(
            "upstreams:\n",
            &format!(
                "  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: cache, policy: test, identity: [{redis_sources}]{listener} }}\n\
                 upstreams:\n  cache: {{ address: '127.0.0.1:{}' }}\n",
                cache.port
            ),
        );
        let config = config.replace("policies: policies/", "policies: policies/test.yaml");
        let unix = format!("unix:{}/", directory.path().display());
        let config = if sources.contains("peer") {
            let at = config.find("127.0.0.1:0', upstream: db").unwrap();
            let (one, two) = config.split_at(at);
            format!(
                "{one}{}",
                two.replacen("127.0.0.1:0", &format!("{unix}pg"), 1).replacen(
                    "127.0.0.1:0', upstream: cache",
                    &format!("{unix}redis', upstream: cache"),
                    1
                )
            )
        } else {
            config
        };
        let policy = crate::smoke::POLICY
            .replace("  startup: { trust: [loopback] }\n", &format!("{identity}\n  static: {{ tenant: acme }}\n"))
            + "redis: { prefix: '{tenant}:' }\n";
        let policy = if identity.contains("static:") { policy.replacen("  static: { tenant: acme }\n", "", 1) } else { policy };
        let mut all = vec![
            ("test.yaml", &*policy),
            ("tls/tls.crt", &*server.certificate),
            ("tls/tls.key", &*server.key),
            ("tls/ca.crt", &*authority.pem),
        ];
        all.extend(files);
        let wall = Wall::attempt_in(&config, &all, environment).unwrap_or_else(|said| panic!("{said}"));
        let mut direct = socket(cache.port);
        write!(direct, "MSET acme:who acme globex:who globex\r\n").unwrap();
        direct.read_exact(&mut [0; 5]).unwrap();
        Self { wall, authority, _cache: cache, directory }
    }

    fn reach(&self, listener: &str, dial: &Dial) -> Option<Box<dyn Stream>> {
        if dial.unix {
            return Some(Box::new(std::os::unix::net::UnixStream::connect(self.directory.path().join(listener)).unwrap()));
        }
        let mut socket = socket(self.wall.port(listener));
        socket.write_all(&dial.first).unwrap();
        if dial.tls {
            if listener == "pg" {
                assert_eq!(ask_for_tls(&mut socket), b'S');
            }
            return Some(Box::new(tls(socket, "localhost", &self.authority, dial.certificate.as_ref()).ok()?));
        }
        if let Some(headers) = &dial.tunnel {
            write!(socket, "CONNECT db:1 HTTP/1.1\r\nHost: db:1\r\n{headers}\r\n").ok()?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).ok()?;
                answer.push(byte[0]);
            }
            if !answer.starts_with(b"HTTP/1.1 200") {
                return None;
            }
        }
        Some(Box::new(socket))
    }

    /// The tenant, or the SQLSTATE, or `closed`.
    fn postgres(&self, dial: &Dial) -> String {
        let Some(mut stream) = self.reach("pg", dial) else { return "closed".into() };
        let (user, password) = dial.said.clone().unwrap_or(("app".into(), String::new()));
        let mut parameters = vec![("user", user.as_str())];
        parameters.extend(dial.parameters.iter().map(|(n, v)| (*n, v.as_str())));
        if !dial.parameters.iter().any(|(name, _)| *name == "database") {
            parameters.push(("database", "shop"));
        }
        if stream.write_all(&startup(&parameters)).is_err() {
            return "closed".into();
        }
        let mut first = vec![0; 9];
        if stream.read_exact(&mut first).is_err() {
            return "closed".into();
        }
        match (first[0], first[8]) {
            (b'R', 3) => {
                stream.write_all(&message(b'p', &terminated(&password))).unwrap();
                first.clear();
            }
            (b'R', 10) => match scram(&mut stream, &password, first[4]) {
                Ok(()) => first.clear(),
                Err(code) => return code,
            },
            _ => {}
        }
        match Client::begun(Box::new(Peeked(first, stream))) {
            Err(error) if error.code.is_empty() => "closed".into(),
            Err(error) => error.code,
            Ok(mut client) => match client
                .query(&format!("{}SELECT CASE min(item) WHEN 'anvil' THEN 'acme' ELSE 'globex' END FROM orders", dial.header))
            {
                Ok(rows) => rows.text(),
                Err(error) => error.code,
            },
        }
    }

    /// The tenant, or the first word of the error, or `closed`.
    fn redis(&self, dial: &Dial) -> String {
        let Some(mut stream) = self.reach("redis", dial) else { return "closed".into() };
        let mut asked = String::new();
        if let Some((user, password)) = &dial.said {
            asked.push_str(&format!("*3\r\n$4\r\nAUTH\r\n${}\r\n{user}\r\n${}\r\n{password}\r\n", user.len(), password.len()));
        }
        asked.push_str("GET who\r\nQUIT\r\n");
        let _ = stream.write_all(asked.as_bytes());
        let mut back = Vec::new();
        let _ = stream.read_to_end(&mut back);
        let back = String::from_utf8_lossy(&back);
        let error = back.lines().find_map(|l| l.strip_prefix('-')).and_then(|l| l.split(' ').next());
        let tenant = back.lines().find(|l| matches!(*l, "acme" | "globex"));
        error.or(tenant).unwrap_or("closed").to_owned()
    }
}

/// The client's side of SCRAM-SHA-256. Errors: the SQLSTATE.
fn scram(stream: &mut Box<dyn Stream>, password: &str, length: u8) -> Result<(), String> {
    let mut rest = vec![0; usize::from(length) - 8];
    stream.read_exact(&mut rest).unwrap();
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    let first = [&terminated("SCRAM-SHA-256")[..], &u32::try_from(scram.message().len()).unwrap().to_be_bytes(), scram.message()].concat();
    stream.write_all(&message(b'p', &first)).unwrap();
    let body = reply(stream)?;
    scram.update(&body).unwrap();
    stream.write_all(&message(b'p', scram.message())).unwrap();
    let body = reply(stream)?;
    scram.finish(&body).map_err(|e| e.to_string())
}

/// What stands behind the kind of an Authentication message.
fn reply(stream: &mut Box<dyn Stream>) -> Result<Vec<u8>, String> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).map_err(|_| "closed")?;
    let mut body = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4];
    stream.read_exact(&mut body).unwrap();
    if head[0] == b'R' { Ok(body[4..].to_vec()) } else { Err(crate::support::error(&body).code) }
}

/// One line of a table: what it is, what is shown, what PostgreSQL's and Redis' clients get, and what the log says.
pub type Case = (&'static str, Dial, &'static str, &'static str, &'static str);

pub const ABSENT: &str = "no tenant identity was given";
pub const INVALID: &str = "the tenant identity is not valid";
pub const CONFLICT: &str = "two tenant identities were given and differ";
pub const UNTRUSTED: &str = "the tenant identity comes from where it is not trusted";

pub fn check(port: &Port, cases: &[Case]) {
    for (what, dial, postgres, redis, reason) in cases {
        let mut seen = port.wall.log().len();
        for (protocol, wanted) in [("postgres", postgres), ("redis", redis)] {
            if *wanted == "-" {
                continue;
            }
            let got = if protocol == "postgres" { port.postgres(dial) } else { port.redis(dial) };
            // What a client is told while it still sends may be lost.
            assert!(wanted.split('|').any(|w| w == got), "{protocol}, {what}: {got}: {}", port.wall.log());
            let told = eventually(|| port.wall.log()[seen..].contains(reason));
            assert!(told, "{protocol}, {what}: no `{reason}` in {}", &port.wall.log()[seen..]);
            seen = port.wall.log().len();
        }
    }
}

pub fn with(change: impl FnOnce(&mut Dial)) -> Dial {
    let mut dial = Dial::default();
    change(&mut dial);
    dial
}

pub fn says(user: &str, password: &str) -> Dial {
    with(|d| d.said = Some((user.to_owned(), password.to_owned())))
}

pub fn long() -> String {
    "a".repeat(3000)
}

#[test]
fn mtls() {
    let port = Port::new(
        "  mtls: { cn: '{tenant}', uri: 'spiffe://corp/tenant/{tenant}/*' }",
        "mtls",
        ", tls: { cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], require: true }",
        &[],
    );
    let (ours, other) = (&port.authority, Authority::new());
    let shows = |signed: Option<Signed>| with(|d| (d.tls, d.certificate) = (true, signed));
    let path = long();
    check(
        &port,
        &[
            ("good", shows(Some(ours.client("", false))), "acme", "acme", ""),
            ("absent", shows(None), "28000", "NOAUTH", ABSENT),
            ("without TLS", Dial::default(), "28000", "-", "without TLS"),
            ("forged", shows(Some(other.client("", false))), "closed", "closed", "connection refused"),
            ("expired", shows(Some(ours.client("", true))), "closed", "closed", "xpired"),
            ("conflicting", shows(Some(ours.client("spiffe://corp/tenant/globex/app", false))), "28000", "NOAUTH", CONFLICT),
            ("oversized", shows(Some(ours.client(&format!("spiffe://corp/tenant/{path}/app"), false))), "28000", "NOAUTH", ""),
        ],
    );
}

pub fn token(key: &EncodingKey, tenant: &str, seconds: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    encode(&Header::new(Algorithm::ES256), &json!({"tenant": tenant, "exp": now + seconds}), key).unwrap()
}

#[test]
fn jwt_and_header() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let (x, y) = pair.public_key_raw()[1..].split_at(32);
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": B64.encode(x), "y": B64.encode(y)}]}).to_string();
    let (ours, other) =
        (EncodingKey::from_ec_der(pair.serialized_der()), EncodingKey::from_ec_der(rcgen::KeyPair::generate().unwrap().serialized_der()));
    let files = [("jwks.json", jwks.as_str())];
    let port = Port::new("  jwt: { from: [password], keys: jwks.json, leeway: 0s }", "jwt", "", &files);
    let says = |token: String| with(|d| d.said = Some(("app".into(), token)));
    check(
        &port,
        &[
            ("good", says(token(&ours, "acme", 60)), "acme", "acme", ""),
            ("absent", says(String::new()), "28P01", "WRONGPASS", "proves nothing"),
            ("forged", says(token(&other, "acme", 60)), "28P01", "WRONGPASS", "InvalidSignature"),
            ("expired", says(token(&ours, "acme", -9)), "28P01", "WRONGPASS", "ExpiredSignature"),
            ("oversized", says(token(&ours, &long(), 60)), "28000", "WRONGPASS", INVALID),
        ],
    );
    let identity = "  header: { name: x-tenant, trust: [loopback] }\n  jwt: { from: [header], keys: jwks.json, leeway: 0s }";
    let port = Port::new(identity, "header, jwt", ", tunnel: http", &files);
    let opens = |headers: String| with(|d| d.tunnel = Some(headers));
    let bearer = |key: &EncodingKey, tenant: &str, seconds| format!("Authorization: Bearer {}\r\n", token(key, tenant, seconds));
    check(
        &port,
        &[
            ("good header", opens("x-tenant: acme\r\n".into()), "acme", "acme", ""),
            ("good token", opens(bearer(&ours, "acme", 60)), "acme", "acme", ""),
            ("absent", opens(String::new()), "28000", "NOAUTH", ABSENT),
            ("forged token", opens(bearer(&other, "acme", 60)), "28P01", "NOAUTH", "InvalidSignature"),
            ("expired token", opens(bearer(&ours, "acme", -9)), "28P01", "NOAUTH", "ExpiredSignature"),
            ("conflicting", opens(format!("x-tenant: acme\r\n{}", bearer(&ours, "globex", 60))), "28000", "NOAUTH", CONFLICT),
            ("twice", opens("x-tenant: acme\r\nx-tenant: globex\r\n".into()), "28000", "NOAUTH", CONFLICT),
            ("oversized", opens(format!("x-tenant: {}\r\n", long())), "28000", "NOAUTH", INVALID),
            ("far too large", opens(format!("x-tenant: {}\r\n", long().repeat(400))), "closed", "closed", "tunnels refused"),
        ],
    );
    let port = Port::new("  header: { name: x-tenant, trust: ['spiffe://corp/gateway'] }", "header", ", tunnel: http", &[]);
    check(&port, &[("from a stranger", opens("x-tenant: acme\r\n".into()), "28000", "NOAUTH", UNTRUSTED)]);
}

/// A PROXY header of version 2, with values.
pub fn proxied(values: &[(u8, &[u8])]) -> Vec<u8> {
    let one = |(kind, value): &(u8, &[u8])| [&[*kind], &u16::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat();
    let rest = [&[10, 0, 0, 9, 127, 0, 0, 1, 0, 80, 21, 56][..], &values.iter().flat_map(one).collect::<Vec<_>>()].concat();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11".as_slice(), &u16::try_from(rest.len()).unwrap().to_be_bytes(), &rest].concat()
}

#[test]
fn proxy() {
    let identity = "  proxy: { tlv: { type: 0xE1, value: '{tenant}' } }";
    let says = |values: &[(u8, &[u8])]| with(|d| d.first = proxied(values));
    let port = Port::new(identity, "proxy", ", proxy_protocol: { trust: [loopback] }", &[]);
    check(
        &port,
        &[
            ("good", says(&[(0xE1, b"acme")]), "acme", "acme", ""),
            ("absent", says(&[]), "28000", "NOAUTH", ABSENT),
            ("no header", Dial::default(), "closed", "closed", "connection refused"),
            ("conflicting", says(&[(0xE1, b"acme"), (0xE1, b"globex")]), "28000", "NOAUTH", CONFLICT),
            ("forged: no text", says(&[(0xE1, b"\xff\xfe")]), "28000", "NOAUTH", INVALID),
            ("oversized", says(&[(0xE1, &[b'a'; 300])]), "28000", "NOAUTH", INVALID),
        ],
    );
    let port = Port::new(identity, "proxy", ", proxy_protocol: { trust: [10.0.0.0/8] }", &[]);
    check(&port, &[("from a stranger", says(&[(0xE1, b"acme")]), "closed", "closed", "not trusted")]);
}

#[test]
fn startup_and_peer() {
    let says = |tenant: &str| {
        with(|d| {
            d.parameters = vec![("partywall.tenant", tenant.to_owned())];
            d.said = Some((tenant.to_owned(), "x".into()));
        })
    };
    let port = Port::new("  startup: { trust: [loopback] }", "startup", "", &[]);
    check(
        &port,
        &[
            ("good", says("acme"), "acme", "acme", ""),
            ("absent", Dial::default(), "28000", "-", ABSENT),
            ("forged: no tenant", says("A'b"), "28000", "WRONGPASS", INVALID),
            ("oversized", says(&long()), "28000", "WRONGPASS", INVALID),
            ("far too large", says(&long().repeat(40)), "08P01|closed", "ERR|closed", "connection refused"),
        ],
    );
    let port = Port::new("  startup: { trust: [10.0.0.0/8] }", "startup", "", &[]);
    check(&port, &[("from a stranger", says("acme"), "28000", "WRONGPASS", UNTRUSTED)]);
    let port = Port::new("  startup: { trust: [loopback] }", "static, startup", "", &[]);
    check(&port, &[("conflicting", says("globex"), "28000", "-", CONFLICT)]);
    use std::os::unix::fs::MetadataExt;
    let account = std::fs::metadata(port.directory.path()).unwrap().uid();
    let local = with(|d| d.unix = true);
    let port = Port::new(&format!("  peer: {{ users: {{ {account}: acme }} }}"), "peer", "", &[]);
    check(&port, &[("good", local.clone(), "acme", "acme", "")]);
    let port = Port::new(&format!("  peer: {{ users: {{ {}: acme }} }}", account + 1), "peer", "", &[]);
    check(&port, &[("another's account", local, "28000", "NOAUTH", ABSENT)]);
}

#[test]
fn password_and_static() {
    // Of the password `pencil` (RFC 7677, 3).
    let users = "app: { tenant: acme, password: 'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=' }";
    let files = [("policies/users.yaml", users)];
    let port = Port::new("  password: { users: users.yaml }", "password", "", &files);
    check(
        &port,
        &[
            ("good", says("app", "pencil"), "acme", "acme", ""),
            ("absent", says("app", "x"), "28P01", "WRONGPASS", ""),
            ("forged", says("nobody", "pencil"), "28P01", "WRONGPASS", ""),
            ("oversized", says(&long(), "pencil"), "28P01", "WRONGPASS", ""),
        ],
    );
    let port = Port::new("  password: { users: users.yaml }\n  static: { tenant: globex }", "static, password", "", &files);
    check(&port, &[("conflicting is settled by what spoke first", says("app", "pencil"), "globex", "-", "")]);
    let port = Port::new("  static: { env: PARTYWALL_TEST_NO_SUCH_VARIABLE }", "static", "", &[]);
    check(&port, &[("absent", Dial::default(), "28000", "NOAUTH", ABSENT)]);
    let port = Port::new("  static: { tenant: 'A B' }", "static", "", &[]);
    check(&port, &[("no tenant", Dial::default(), "28000", "NOAUTH", INVALID)]);
}

#[test]
fn statement() {
    let says = |header: String| with(|d| d.header = header);
    let key = "a key of thirty-two characters.....";
    let port = Port::new("  statement: { trust: [loopback], key: statement.key }", "statement", "", &[("statement.key", key)]);
    let signed = |tenant: &str, seconds: i64, key: &str| {
        use hmac::{Hmac, KeyInit, Mac};
        let ends = (i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + seconds).to_string();
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(format!("{tenant}\n{ends}").as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
        says(format!("/*tenant='{tenant}',tenant_exp='{ends}',tenant_sig='{hex}'*/ "))
    };
    check(
        &port,
        &[
            ("good", signed("acme", 60, key), "acme", "-", ""),
            ("absent", Dial::default(), "28000", "-", ABSENT),
            ("not signed", says("/*tenant='acme'*/ ".into()), "28000", "-", "the tenant is not signed"),
            ("forged", signed("acme", 60, &key.replace("two", "six")), "28000", "-", "the tenant's signature is not valid"),
            ("expired", signed("acme", -1, key), "28000", "-", "the tenant's signature has ended"),
            ("conflicting", says("/*tenant='acme',tenant='globex'*/ ".into()), "28000", "-", "says something twice"),
            ("oversized", says(format!("/*tenant='{}'*/ ", long().repeat(2))), "28000", "-", "too long"),
        ],
    );
}
