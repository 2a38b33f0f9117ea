//! Certificates are replaced every second while pgbench and redis-benchmark run: nothing fails. A slice of what
//! `make rotation` plays for a minute.

use crate::support::{Authority, Postgres, Redis, Wall};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity:
  mtls: { cn: '{tenant}' }
postgres:
  layout: rows
  tables:
    public.counters: { scoped: tenant_id }
redis: { prefix: '{tenant}:' }
";

const SCRIPT: &str = "UPDATE counters SET n = n + 1 WHERE id = 1;\nSELECT n FROM counters WHERE id = 1;\n";

fn pgbench(port: u16, directory: &std::path::Path, seconds: u64, more: &[&str]) -> Child {
    let mut command = Command::new("pgbench");
    command.args(["-n", "-f", "script.sql", "-c", "2", "-T", &seconds.to_string(), "-U", "app", "-h", "localhost"]).args(more).arg("shop");
    command.current_dir(directory).env("PGPORT", port.to_string()).env("PGSSLMODE", "verify-full");
    command.env("PGSSLROOTCERT", "ca.crt").env("PGSSLCERT", "client.crt").env("PGSSLKEY", "client.key");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn redis_benchmark(port: u16, directory: &std::path::Path, seconds: u64, more: &[&str]) -> Child {
    // There is no end by time: `timeout` ends it, and what it has counted until then does not matter, its complaints do.
    let mut command = Command::new("timeout");
    command.args([&seconds.to_string(), "redis-benchmark", "-h", "localhost", "-p", &port.to_string(), "--tls", "--cacert", "ca.crt"]);
    command.args(["--cert", "client.crt", "--key", "client.key", "-t", "set,get", "-c", "4", "-n", "100000000", "-q"]).args(more);
    command.current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn certificates_are_replaced_under_load_and_nothing_fails() {
    let seconds: u64 = std::env::var("PARTYWALL_ROTATION_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let (ours, database, cache) = (Authority::new(), Postgres::shared().database(), Redis::start());
    database.psql(
        "CREATE TABLE counters (tenant_id text, id int, n bigint, PRIMARY KEY (tenant_id, id)); INSERT INTO counters VALUES ('acme', 1, 0)",
    );
    let tls = "identity: [mtls], tls: { cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], crl: tls/crl.pem, require: true }";
    let listener =
        format!("  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: cache, policy: test, {tls} }}\nupstreams:\n");
    let config = Wall::config(&database, tls, "user: postgres")
        .replace("upstreams:\n", &format!("{listener}  cache: {{ address: '127.0.0.1:{}' }}\n", cache.port));
    let (server, client) = (ours.server("localhost"), ours.client("", false));
    let files = [
        ("test.yaml", POLICY),
        ("tls/tls.crt", &server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &ours.pem),
        ("tls/crl.pem", &ours.revoke(&[])),
    ];
    let wall = Wall::start(&config, &files);
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("script.sql", SCRIPT), ("ca.crt", &*ours.pem), ("client.crt", &*client.certificate), ("client.key", &*client.key)]
    {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    Command::new("chmod").args(["600", "client.key"]).current_dir(directory.path()).status().unwrap();
    let (pg, redis) = (wall.port("pg"), wall.port("redis"));
    let long = pgbench(pg, directory.path(), seconds, &[]);
    let short = pgbench(pg, directory.path(), seconds, &["-C"]);
    let kept = redis_benchmark(redis, directory.path(), seconds, &[]);
    let anew = redis_benchmark(redis, directory.path(), seconds, &["-k", "0"]);
    let start = Instant::now();
    let mut replaced = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        let next = ours.server("localhost");
        wall.rewrite("tls/tls.crt", &next.certificate);
        wall.rewrite("tls/tls.key", &next.key);
        wall.rewrite("tls/crl.pem", &ours.revoke(&[&ours.client("", false)]));
        replaced += 1;
        std::thread::sleep(Duration::from_secs(1));
    }
    let mut transactions = 0;
    for run in [long, short] {
        let output = run.wait_with_output().unwrap();
        let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{complaints}");
        assert!(said.contains("number of failed transactions: 0 "), "{said}{complaints}");
        let line = said.lines().find_map(|l| l.strip_prefix("number of transactions actually processed: ")).unwrap();
        transactions += line.split('/').next().unwrap().trim().parse::<u64>().unwrap();
    }
    assert!(transactions > 10 * seconds, "{transactions}");
    assert_eq!(database.psql("SELECT n FROM counters"), transactions.to_string());
    for run in [kept, anew] {
        let output = run.wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(124), "it ran to its end: {complaints}");
        assert!(!complaints.contains("Error") && !complaints.contains("rror from server"), "{complaints}");
    }
    let renewed = wall.log().matches("certificates and keys renewed").count();
    assert!(replaced >= seconds / 2 && renewed as u64 >= seconds / 4, "{replaced} {renewed}");
    assert!(!wall.log().contains("counts no more"), "{}", wall.log());
}
