//! What the wall logs in with upstream: from a file, the environment, a command, by tenant; and rotations of each.

use crate::smoke::{POLICY, SCHEMA};
use crate::support::{Client, Database, Postgres, Redis, Wall, eventually, socket};
use std::io::{BufRead, BufReader, Write};

fn server() -> (Postgres, Database) {
    let server = Postgres::start_with("", "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n", &[]);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql("shop", SCHEMA);
    for role in ["app", "app_acme", "special"] {
        let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'first'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}");
        server.psql("shop", &sql);
    }
    let database = Database { port: server.port, name: "shop".into() };
    (server, database)
}

fn password(server: &Postgres, role: &str, password: &str) {
    server.psql("shop", &format!("ALTER ROLE {role} PASSWORD '{password}'"));
}

fn connects(wall: &Wall, tenant: &str) -> Result<String, String> {
    let startup = [("user", "x"), ("database", "x"), ("partywall.tenant", tenant), ("application_name", "asked")];
    let mut client = Client::connect(wall.port("pg"), &startup).map_err(|e| e.code)?;
    client.query("SELECT count(*) FROM orders").map(|rows| rows.text()).map_err(|e| e.code)
}

#[test]
fn a_password_is_rotated_in_its_file_without_a_restart() {
    let (server, database) = server();
    let config = Wall::config(&database, "identity: [startup]", "user: app, password_file: secret");
    let wall = Wall::start(&config, &[("test.yaml", POLICY), ("./secret", "first\n")]);
    let mut lives = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(connects(&wall, "acme"), Ok("2".into()));
    password(&server, "app", "second");
    assert_eq!(connects(&wall, "acme"), Err("08006".into()), "the file has the old one");
    wall.rewrite("./secret", "second\n");
    assert_eq!(connects(&wall, "acme"), Ok("2".into()));
    wall.rewrite("./secret", "");
    assert_eq!(connects(&wall, "acme"), Ok("2".into()), "half of a rotation");
    assert_eq!(lives.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    assert!(!wall.log().contains("second"), "{}", wall.log());
}

#[test]
fn a_command_is_asked_again_when_what_it_printed_fails() {
    let (server, database) = server();
    let config = Wall::config(&database, "identity: [startup]", "user: app, password_command: [cat, policies/../secret]");
    let wall = Wall::start(&config, &[("test.yaml", POLICY), ("./secret", "first\n")]);
    assert_eq!(connects(&wall, "acme"), Ok("2".into()));
    wall.rewrite("./secret", "second\n");
    assert_eq!(connects(&wall, "acme"), Ok("2".into()), "what it printed first still holds");
    password(&server, "app", "second");
    assert_eq!(connects(&wall, "acme"), Ok("2".into()));
    password(&server, "app", "third");
    assert_eq!(connects(&wall, "acme"), Err("08006".into()));
}

#[test]
fn tenants_log_in_with_their_own() {
    let (server, database) = server();
    let credentials = "user: app, password_file: secret, credentials: { each: { user: 'app_{tenant}', password_file: 'db/{tenant}' }, \
                       tenants: { globex: { user: special, password_file: secret } } }";
    let config = Wall::config(&database, "identity: [startup]", credentials);
    let files = [("test.yaml", POLICY), ("./secret", "first"), ("db/acme", "first")];
    let wall = Wall::start(&config, &files);
    let startup = |tenant| [("user", "x"), ("partywall.tenant", tenant), ("application_name", tenant)];
    let _open: Vec<Client> = ["acme", "globex"].map(|t| Client::connect(wall.port("pg"), &startup(t)).unwrap()).into();
    let seen = server
        .psql("shop", "SELECT application_name, usename FROM pg_stat_activity WHERE datname = 'shop' AND usename <> 'postgres' ORDER BY 1");
    assert_eq!(seen, "acme|app_acme\nglobex|special");
    assert_eq!(connects(&wall, "initech"), Err("08006".into()), "it has none, and gets no other's");
    assert!(eventually(|| wall.log().contains("db/initech")), "{}", wall.log());
}

#[test]
fn a_pool_lends_each_tenant_connections_of_its_own_login_only() {
    let (server, database) = server();
    server.psql("shop", "REVOKE SELECT ON countries FROM special; ALTER ROLE special SET datestyle = 'German'");
    let credentials = "user: app, password_file: secret, credentials: { tenants: { globex: { user: special, password_file: secret }, \
                       acme: { user: app_acme, password_file: secret } } }, pool: { mode: transaction, size: 1, wait: 2s }";
    let config = Wall::config(&database, "identity: [startup]", credentials);
    let wall = Wall::start(&config, &[("test.yaml", POLICY), ("./secret", "first")]);
    // The others share the upstream's.
    let mut clients = ["acme", "globex", "initech", "umbrella"].map(|tenant| Client::tenant(wall.port("pg"), tenant));
    let users = ["app_acme", "special", "app", "app"];
    let backends = || {
        server.psql(
            "shop",
            "SELECT usename FROM pg_stat_activity WHERE datname = 'shop' AND usename IN ('app', 'app_acme', 'special') ORDER BY 1",
        )
    };
    for round in 0..3 {
        for (client, user) in clients.iter_mut().zip(users) {
            let read = client.query("SELECT count(*) FROM countries").map(|rows| rows.text()).map_err(|e| e.code);
            assert_eq!(read, if user == "special" { Err("42501".into()) } else { Ok("2".into()) }, "{user}, {round}");
            let style = client.query("SHOW datestyle").unwrap().text();
            assert_eq!(style.starts_with("German"), user == "special", "{user}: {style}");
            assert!(eventually(|| backends() == user), "one connection, {user}'s: {}", backends());
        }
    }
    // Who waits for the one connection gets one of its own.
    let [acme, globex, ..] = &mut clients;
    acme.query("BEGIN").unwrap();
    globex.parse("", "SELECT count(*) FROM orders", &[]);
    globex.bind("", "", &[]);
    globex.execute("", 0);
    globex.sync();
    std::thread::sleep(std::time::Duration::from_millis(200));
    acme.query("COMMIT").unwrap();
    assert!(globex.answers().pop().unwrap().is_ok());
    assert!(eventually(|| backends() == "special"), "{}", backends());
}

/// One command as a tenant: the first line of the answer.
fn redis(port: u16, command: &str) -> String {
    let mut stream = socket(port);
    write!(stream, "{command}\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

#[test]
fn the_password_of_redis_is_rotated_too() {
    let server = Redis::start_with(&["--requirepass", "first"]);
    let policy =
        "version: 1\nname: cache\ntenants: { id: '[a-z]+' }\nidentity: { static: { tenant: acme } }\nredis: { prefix: '{tenant}:' }\n";
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: cache, policy: cache, identity: [static] }}\n\
         upstreams:\n  cache: {{ address: '127.0.0.1:{}', password_file: secret }}\npolicies: policies/\n",
        server.port
    );
    let wall = Wall::start(&config, &[("cache.yaml", policy), ("./secret", "first")]);
    assert_eq!(redis(wall.port("redis"), "SET k v"), "+OK");
    let mut admin = socket(server.port);
    write!(admin, "AUTH first\r\nCONFIG SET requirepass second\r\n").unwrap();
    BufReader::new(admin).lines().take(2).for_each(|line| assert_eq!(line.unwrap(), "+OK"));
    wall.rewrite("./secret", "second\n");
    assert_eq!(redis(wall.port("redis"), "SET k v"), "+OK");
    let by_tenant = config.replace("password_file: secret", "credentials: { each: { password_env: X } }");
    let said = Wall::attempt(&by_tenant, &[("cache.yaml", policy)]).err().unwrap();
    assert!(said.contains("share connections"), "{said}");
}
