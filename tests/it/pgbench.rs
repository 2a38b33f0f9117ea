//! pgbench with its own scripts, unmodified, for two tenants at once in the same tables.

use crate::support::{Database, Postgres, Wall};
use std::process::{Command, Output};

const POLICY: &str = include_str!("../../policies/pgbench.yaml");
const TABLES: &[(&str, &str)] = &[("accounts", "aid"), ("branches", "bid"), ("tellers", "tid")];
const TRANSACTIONS: u32 = 40;
const CLIENTS: u32 = 8;

fn pgbench(port: u16, arguments: &[&str], tenant: &str) -> Command {
    let mut command = Command::new("pgbench");
    command.args(arguments).args(["-h", "127.0.0.1", "-U", "postgres"]).env("PGPORT", port.to_string());
    if !tenant.is_empty() {
        command.env("PGOPTIONS", format!("-c partywall.tenant={tenant}"));
    }
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

/// pgbench's tables, filled, each with a tenant column; the same rows for two tenants.
fn tables() -> Database {
    let database = Postgres::shared().database();
    let made = pgbench(database.port, &["-i", "-I", "dtg", "-q", &database.name], "").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (table, key) in TABLES.iter().chain(&[("history", "")]) {
        let columns = database.psql(&format!(
            "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = 'pgbench_{table}'::regclass AND attnum > 0"
        ));
        database.psql(&format!("ALTER TABLE pgbench_{table} ADD tenant_id text NOT NULL DEFAULT 'acme'"));
        database.psql(&format!("ALTER TABLE pgbench_{table} ALTER tenant_id DROP DEFAULT"));
        database.psql(&format!("INSERT INTO pgbench_{table} ({columns}, tenant_id) SELECT {columns}, 'globex' FROM pgbench_{table}"));
        if !key.is_empty() {
            database.psql(&format!("ALTER TABLE pgbench_{table} ADD PRIMARY KEY (tenant_id, {key})"));
        }
    }
    database.psql("ANALYZE");
    database
}

fn processed(output: &Output) -> u32 {
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complaints}");
    let failed = said.lines().find_map(|l| l.strip_prefix("number of failed transactions: ")).unwrap_or("0 ");
    assert!(failed.starts_with("0 "), "{said}{complaints}");
    let line = said.lines().find_map(|l| l.strip_prefix("number of transactions actually processed: ")).unwrap();
    line.split('/').next().unwrap().parse().unwrap()
}

/// Count and sum of the history, and that the other tables' balances add up to it.
fn booked(database: &Database, tenant: &str) -> u32 {
    let sum = |table: &str, column: &str| {
        database.psql(&format!("SELECT coalesce(sum({column}), 0) FROM pgbench_{table} WHERE tenant_id = '{tenant}'"))
    };
    let total = sum("history", "delta");
    for (table, column) in [("accounts", "abalance"), ("branches", "bbalance"), ("tellers", "tbalance")] {
        assert_eq!(sum(table, column), total, "{table} of {tenant}");
    }
    database.psql(&format!("SELECT count(*) FROM pgbench_history WHERE tenant_id = '{tenant}'")).parse().unwrap()
}

/// Every row of a tenant, as one number.
fn rows(database: &Database, tenant: &str) -> String {
    let one = |(table, key): &(&str, &str)| {
        database.psql(&format!(
            "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY {key})) FROM pgbench_{table} t WHERE tenant_id = '{tenant}'"
        ))
    };
    TABLES.iter().map(one).collect()
}

#[test]
fn pgbench_runs_unmodified_and_balances_add_up() {
    let database = tables();
    let wall = Wall::start(
        &Wall::config(&database, "identity: [startup]", "user: postgres").replace("policy: test", "policy: pgbench"),
        &[("pgbench.yaml", POLICY)],
    );
    let port = wall.port("pg");
    let (transactions, clients) = (TRANSACTIONS.to_string(), CLIENTS.to_string());
    let run = |mode: &str, script: &str, tenant: &str| {
        let script = format!("--builtin={script}");
        pgbench(port, &["-n", "-M", mode, "-c", &clients, "-j", "2", "-t", &transactions, &script, "anything"], tenant).spawn().unwrap()
    };
    let expected = TRANSACTIONS * CLIENTS;
    let untouched = rows(&database, "globex");
    let alone = run("simple", "tpcb-like", "acme").wait_with_output().unwrap();
    assert_eq!(processed(&alone), expected);
    assert_eq!(booked(&database, "acme"), expected);
    assert_eq!((rows(&database, "globex"), booked(&database, "globex")), (untouched, 0), "rows of the other");
    let both = |mode: &str, script: &str| {
        for child in ["acme", "globex"].map(|tenant| run(mode, script, tenant)) {
            assert_eq!(processed(&child.wait_with_output().unwrap()), expected, "{mode} {script}");
        }
    };
    let modes = ["simple", "extended", "prepared"];
    modes.iter().for_each(|mode| both(mode, "tpcb-like"));
    modes.iter().for_each(|mode| both(mode, "select-only"));
    assert_eq!((booked(&database, "acme"), booked(&database, "globex")), (4 * expected, 3 * expected));
    // This script leaves branches and tellers out.
    modes.iter().for_each(|mode| both(mode, "simple-update"));
    for tenant in ["acme", "globex"] {
        let total =
            |table: &str, column: &str| database.psql(&format!("SELECT sum({column}) FROM pgbench_{table} WHERE tenant_id = '{tenant}'"));
        assert_eq!(total("accounts", "abalance"), total("history", "delta"), "{tenant}");
    }
    assert_eq!(database.psql("SELECT count(DISTINCT tenant_id) FROM pgbench_history"), "2");
}

/// A thread for each client: pgbench waits for the answer to Parse, and a thread that waits for one client holds up its others' transactions.
#[test]
fn thirty_two_clients_of_two_tenants_share_four_connections() {
    let database = tables();
    let upstream = "user: postgres, pool: { mode: transaction, size: 4, wait: 60s }";
    let config = Wall::config(&database, "identity: [startup]", upstream).replace("policy: test", "policy: pgbench");
    let wall = Wall::start(&config, &[("pgbench.yaml", POLICY)]);
    for (mode, script) in
        ["simple", "extended", "prepared"].into_iter().flat_map(|mode| [(mode, "--builtin=tpcb-like"), (mode, "--builtin=select-only")])
    {
        let run = |tenant| {
            let arguments = ["-n", "-M", mode, "-c", "16", "-j", "16", "-t", "8", script, "anything"];
            pgbench(wall.port("pg"), &arguments, tenant).spawn().unwrap()
        };
        for child in ["acme", "globex"].map(run) {
            assert_eq!(processed(&child.wait_with_output().unwrap()), 16 * 8, "{mode} {script}");
        }
    }
    assert_eq!((booked(&database, "acme"), booked(&database, "globex")), (3 * 16 * 8, 3 * 16 * 8));
}
