//! TLS on both sides, and who a certificate says one is.

use crate::smoke::{POLICY, shop};
use crate::support::{Authority, Client, Database, PgError, Postgres, Signed, Wall, ask_for_tls, socket, startup, tls};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

const ACME: &[(&str, &str)] = &[("user", "app"), ("partywall.tenant", "acme")];

/// A wall whose port speaks TLS; `extra` are further keys of `tls:`.
fn wall(database: &Database, server: &Signed, client_ca: &Authority, identity: &str, extra: &str) -> Wall {
    let listener = format!("identity: {identity}, tls: {{ cert: tls/tls.crt, key: tls/tls.key{extra} }}");
    let policy = POLICY.replace("identity:\n", "identity:\n  mtls: { uri: 'spiffe://corp.example/tenant/{tenant}/*' }\n");
    let files = [
        ("tls/tls.crt", server.certificate.as_str()),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &client_ca.pem),
        ("test.yaml", &policy),
    ];
    Wall::start(&Wall::config(database, &listener, "user: postgres"), &files)
}

/// A client over TLS, with a certificate or none; an error of the connection has no code.
fn over_tls(port: u16, authority: &Authority, client: Option<&Signed>, parameters: &[(&str, &str)]) -> Result<Client, PgError> {
    let mut socket = socket(port);
    assert_eq!(ask_for_tls(&mut socket), b'S');
    let stream = tls(socket, "localhost", authority, client).map_err(|e| PgError { message: e.to_string(), ..PgError::default() })?;
    Client::start(Box::new(stream), parameters)
}

fn code(result: Result<Client, PgError>) -> String {
    result.map_or_else(|e| e.code, |_| "served".into())
}

/// psql's answer, or the last line of what it complains of.
fn psql(port: u16, tenant: &str, environment: &[(&str, &str)]) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["-X", "-A", "-t", "-h", "localhost", "-U", "app", "-d", "app", "-c", "SELECT count(*) FROM orders"])
        .envs(environment.iter().copied())
        .env("PGPORT", port.to_string())
        .env("PGOPTIONS", format!("-c partywall.tenant={tenant}"))
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn a_port_without_tls_says_so() {
    let wall = Wall::for_database(&shop(), POLICY);
    let mut socket = socket(wall.port("pg"));
    assert_eq!(ask_for_tls(&mut socket), b'N');
    let client = Client::start(Box::new(socket), ACME).unwrap();
    assert_eq!(client.status, b'I');
    assert_eq!(psql(wall.port("pg"), "acme", &[("PGSSLMODE", "prefer")]), Ok("2".into()));
    assert!(psql(wall.port("pg"), "acme", &[("PGSSLMODE", "require")]).unwrap_err().contains("does not support SSL"));
}

#[test]
fn tls_is_optional_or_required_and_verified_by_the_client() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (database, server) = (shop(), ours.server("localhost"));
    let directory = tempfile::tempdir().unwrap();
    let root = |authority: &Authority, name: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, &authority.pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, bad) = (root(&ours, "ours.crt"), root(&other, "other.crt"));
    let optional = wall(&database, &server, &ours, "[startup]", "");
    let required = wall(&database, &server, &ours, "[startup]", ", require: true");
    for port in [optional.port("pg"), required.port("pg")] {
        assert_eq!(psql(port, "acme", &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &good)]), Ok("2".into()));
        assert!(psql(port, "acme", &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &bad)]).is_err());
    }
    assert_eq!(psql(optional.port("pg"), "acme", &[("PGSSLMODE", "disable")]), Ok("2".into()));
    assert!(psql(required.port("pg"), "acme", &[("PGSSLMODE", "disable")]).unwrap_err().contains("TLS"));
    assert_eq!(code(Client::connect(required.port("pg"), ACME)), "28000");
    // Inside TLS there is no more TLS.
    let mut client = over_tls(optional.port("pg"), &ours, None, ACME).unwrap();
    assert_eq!(client.query("SELECT count(*) FROM orders").unwrap().text(), "2");
}

#[test]
fn gssenc_is_answered_n_and_the_connection_goes_on() {
    let wall = Wall::for_database(&shop(), POLICY);
    let mut socket = socket(wall.port("pg"));
    socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 48]).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
    assert_eq!(ask_for_tls(&mut socket), b'N');
    assert_eq!(Client::start(Box::new(socket), ACME).unwrap().status, b'I');
}

#[test]
fn nothing_sent_in_plain_text_is_heard_inside_tls() {
    let authority = Authority::new();
    let wall = wall(&shop(), &authority.server("localhost"), &authority, "[startup]", "");
    let request = [0, 0, 0, 8, 4, 210, 22, 47];
    for gss in [false, true] {
        // In one segment with the request: an error in plain text, and the end.
        let mut socket = socket(wall.port("pg"));
        let mut bytes = request.to_vec();
        bytes[7] += u8::from(gss);
        socket.write_all(&[bytes, startup(ACME)].concat()).unwrap();
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
        assert!(said.first() == Some(&b'E') && String::from_utf8_lossy(&said).contains("unencrypted data"), "{said:?}");
    }
    // After the `S`: no TLS, so no service.
    let mut socket = socket(wall.port("pg"));
    assert_eq!(ask_for_tls(&mut socket), b'S');
    socket.write_all(&startup(ACME)).unwrap();
    let mut said = Vec::new();
    let _ = socket.read_to_end(&mut said);
    assert!(!said.windows(9).any(|w| w == [b'R', 0, 0, 0, 8, 0, 0, 0, 0]), "{said:?}");
}

#[test]
fn the_certificate_says_who_one_is() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = ours.server("localhost");
    let wall = wall(&shop(), &server, &ours, "[mtls]", ", client_ca: tls/ca.crt, require: true");
    let port = wall.port("pg");
    let user = &[("user", "app")];
    for (tenant, rows) in [("acme", "anvil\nrocket"), ("globex", "laser\nwhale")] {
        let signed = ours.client(&format!("spiffe://corp.example/tenant/{tenant}/app"), false);
        let mut client = over_tls(port, &ours, Some(&signed), user).unwrap();
        assert_eq!(client.query("SELECT item FROM orders ORDER BY id").unwrap().text(), rows);
    }
    let uri = "spiffe://corp.example/tenant/acme/app";
    assert_eq!(code(over_tls(port, &ours, Some(&other.client(uri, false)), user)), "", "another authority: TLS refuses");
    assert_eq!(code(over_tls(port, &ours, Some(&ours.client(uri, true)), user)), "", "expired: TLS refuses");
    assert_eq!(code(over_tls(port, &ours, Some(&ours.client("", false)), user)), "28000", "no name, though its CN is acme");
    assert_eq!(code(over_tls(port, &ours, Some(&ours.client("spiffe://evil.example/tenant/acme/app", false)), user)), "28000");
    assert_eq!(code(over_tls(port, &ours, Some(&server), user)), "28000", "a certificate that names a host");
    assert_eq!(code(over_tls(port, &ours, None, user)), "28000", "no certificate");
    assert_eq!(code(over_tls(port, &ours, None, ACME)), "28000", "the startup parameter does not count on this port");
    let acme = ours.client(uri, false);
    let ignored = &[("user", "app"), ("partywall.tenant", "globex")];
    assert_eq!(code(over_tls(port, &ours, Some(&acme), ignored)), "42501", "a name that does not count is no setting either");
}

#[test]
fn certificate_and_parameter_must_agree() {
    let ours = Authority::new();
    let wall = wall(&shop(), &ours.server("localhost"), &ours, "[mtls, startup]", ", client_ca: tls/ca.crt");
    let acme = ours.client("spiffe://corp.example/tenant/acme/app", false);
    assert_eq!(code(over_tls(wall.port("pg"), &ours, Some(&acme), ACME)), "served");
    assert_eq!(code(over_tls(wall.port("pg"), &ours, Some(&acme), &[("user", "a"), ("partywall.tenant", "globex")])), "28000");
}

#[test]
fn the_server_behind_is_verified_in_full() {
    let (ours, other) = (Authority::new(), Authority::new());
    let serve = |signed: &Signed| {
        let files = [("server.crt", signed.certificate.as_str()), ("server.key", &signed.key)];
        let conf = "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n";
        let server = Postgres::start_with(conf, "hostssl all all 127.0.0.1/32 trust\n", &files);
        let run = |sql: &str| server.psql("postgres", sql);
        run("CREATE DATABASE shop");
        server.psql("shop", crate::smoke::SCHEMA);
        server
    };
    let attempt = |server: &Postgres, ca: Option<&Authority>| {
        let database = Database { port: server.port, name: "shop".into() };
        let upstream = if ca.is_some() { "user: postgres, tls: { ca: tls/db.crt }" } else { "user: postgres" };
        let pem = ca.map(|c| c.pem.clone()).unwrap_or_default();
        Wall::attempt(&Wall::config(&database, "identity: [startup]", upstream), &[("test.yaml", POLICY), ("tls/db.crt", &pem)])
    };
    let (named, misnamed) = (serve(&ours.server("127.0.0.1")), serve(&ours.server("127.0.0.2")));
    let wall = attempt(&named, Some(&ours)).unwrap_or_else(|e| panic!("{e}"));
    let mut client = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(client.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    let encrypted =
        named.psql("postgres", "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'shop'");
    assert_eq!(encrypted, "t");
    let refused = |server, ca| attempt(server, ca).err().unwrap_or_else(|| panic!("it started"));
    assert!(refused(&named, Some(&other)).contains("certificate"), "another authority");
    assert!(refused(&misnamed, Some(&ours)).contains("certificate"), "another name");
    assert!(refused(&named, None).contains("no encryption"), "the server takes TLS only");
    let plain = Postgres::shared().database();
    let server = Wall::config(&plain, "identity: [startup]", "user: postgres, tls: { ca: tls/db.crt }");
    let said = Wall::attempt(&server, &[("test.yaml", POLICY), ("tls/db.crt", &ours.pem)]).err().unwrap();
    assert!(said.contains("does not offer TLS"), "{said}");
}

#[test]
fn what_a_false_server_puts_behind_its_s_is_not_heard() {
    let ours = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let database = Database { port: listener.local_addr().unwrap().port(), name: "shop".into() };
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read_exact(&mut [0; 8]);
        let _ = socket.write_all(&[b"S".as_slice(), &[b'R', 0, 0, 0, 8, 0, 0, 0, 0], &[b'Z', 0, 0, 0, 5, b'I']].concat());
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let config = Wall::config(&database, "identity: [startup]", "user: postgres, tls: { ca: tls/db.crt }");
    let said = Wall::attempt(&config, &[("test.yaml", POLICY), ("tls/db.crt", &ours.pem)]).err().unwrap();
    assert!(said.contains("upstream `db`"), "{said}");
}

#[test]
fn the_wall_shows_itself_to_the_server_in_every_way() {
    let hba = "host all postgres 127.0.0.1/32 trust\nhost all trusted 127.0.0.1/32 trust\nhost all clear 127.0.0.1/32 password\n\
               host all hashed 127.0.0.1/32 md5\nhost all salted 127.0.0.1/32 scram-sha-256\nhost all certified 127.0.0.1/32 ident\n";
    let server = Postgres::start_with("", hba, &[]);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql("shop", crate::smoke::SCHEMA);
    for (role, method) in
        [("trusted", "scram-sha-256"), ("clear", "scram-sha-256"), ("hashed", "md5"), ("salted", "scram-sha-256"), ("certified", "md5")]
    {
        let sql = format!(
            "SET password_encryption = '{method}'; CREATE ROLE {role} LOGIN PASSWORD 'pâss w0rd'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"
        );
        server.psql("shop", &sql);
    }
    let database = Database { port: server.port, name: "shop".into() };
    let attempt = |role: &str, password: Option<&str>| {
        let file = if password.is_some() { ", password_file: secret" } else { "" };
        let config = Wall::config(&database, "identity: [startup]", &format!("user: {role}{file}"));
        Wall::attempt(&config, &[("test.yaml", POLICY), ("./secret", password.unwrap_or_default())])
    };
    for (role, password) in
        [("trusted", None), ("clear", Some("pâss w0rd")), ("hashed", Some("pâss w0rd\n")), ("salted", Some("pâss w0rd"))]
    {
        let wall = attempt(role, password).unwrap_or_else(|e| panic!("{role}: {e}"));
        let mut client = Client::tenant(wall.port("pg"), "acme");
        assert_eq!(client.query("SELECT count(*) FROM orders").unwrap().text(), "2", "{role}");
    }
    for (role, password, said) in [
        ("clear", Some("wrong"), "password authentication failed"),
        ("hashed", Some("wrong"), "password authentication failed"),
        ("salted", Some("wrong"), "password authentication failed"),
        ("salted", None, "asks for a password"),
        ("certified", Some("x"), "28000"),
    ] {
        let refused = attempt(role, password).err().unwrap_or_else(|| panic!("{role} started"));
        assert!(refused.contains(said), "{role}: {refused}");
        assert!(!refused.contains("wrong"), "{refused}");
    }
}
