//! The two servers' databases, and one pair of connections that runs cases on both.

use super::answer::{Answer, Side, ask, read};
use super::compare::{Verdict, compare};
use super::generate::{Case, Step};
use super::seed::{APART, rows};
use super::tables::{SCOPED, TABLES, Table};
use crate::support::{Client, PgError, Postgres, Wall};
use partywall::config::{Files, load_policy};
use partywall::policy::{Policy, TenantId};
use partywall::sql::catalog::QUERIES;
use partywall::sql::{Catalog, Judge};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The policy of all its tables.
pub const POLICY: &str = include_str!("../../oracle/policy.yaml");
/// The tables, and what tells their rows.
pub const SCHEMA: &str = include_str!("../../oracle/schema.sql");
const STATE: &str = "SELECT public.oracle_own(), public.oracle_others()";

/// A server with a shared and a private database for each pair.
pub struct Bench {
    server: Postgres,
    wall: Option<Wall>,
    judge: Judge,
}

/// The policy as one file.
struct OneFile(String);

impl Files for OneFile {
    fn text(&self, _: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
    fn policies(&self, path: &Path) -> Result<Vec<PathBuf>, String> {
        Ok(vec![path.into()])
    }
}

impl Bench {
    /// Makes `pairs` pairs of databases; with the wall before the shared ones, or only its judge.
    pub fn start(pairs: usize, with_wall: bool) -> Self {
        Self::start_with(pairs, with_wall, "")
    }

    /// The same with further lines under the policy's `postgres:`.
    pub fn start_with(pairs: usize, with_wall: bool, keys: &str) -> Self {
        let text = POLICY.replace("\npostgres:\n", &format!("\npostgres:\n{keys}"));
        let server = Postgres::start_with("shared_buffers = 128MB\nautovacuum = on\nautovacuum_naptime = 5s\n", TRUST, &[]);
        let run = |db: &str, sql: &str| server.psql(db, sql);
        run("postgres", "CREATE DATABASE base");
        run("base", SCHEMA);
        let seed = std::env::temp_dir().join(format!("partywall-oracle-{}.sql", std::process::id()));
        std::fs::write(&seed, rows()).unwrap();
        run("base", &format!("SET client_min_messages = error; {}", std::fs::read_to_string(&seed).unwrap()));
        let _ = std::fs::remove_file(seed);
        for n in 0..pairs {
            run("postgres", &format!("CREATE DATABASE shared_{n} TEMPLATE base"));
            run("postgres", &format!("CREATE DATABASE private_{n} TEMPLATE base"));
            let mut alone = String::from(
                "SET session_replication_role = replica; DROP TABLE secrets; DELETE FROM domains WHERE tenant_id <> 'acme'; ALTER TABLE domains ALTER tenant_id SET DEFAULT 'acme';",
            );
            for table in TABLES[..SCOPED].iter().filter(|t| t.name != "events_2024") {
                alone.push_str(&private(table));
            }
            run(&format!("private_{n}"), &alone);
            run(&format!("private_{n}"), "VACUUM ANALYZE");
            run(&format!("shared_{n}"), "VACUUM ANALYZE");
        }
        let policy = load_policy(Path::new("policies/test.yaml"), &OneFile(text.clone())).unwrap_or_else(|f| panic!("{f:?}"));
        let judge = judge(server.port, policy);
        let wall = with_wall.then(|| Wall::start(&config(server.port, pairs), &[("test.yaml", &text)]));
        Self { server, wall, judge }
    }

    /// What decides for the wall, to ask why.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// A pair of connections; judged by this judge, or through the wall.
    pub fn pair(&self, number: usize, judge: Option<Judge>) -> Pair<'_> {
        let (private, shared) = (format!("private_{number}"), format!("shared_{number}"));
        let limit = [("options", "-c statement_timeout=8s")];
        let direct =
            |database: &str| connected(Client::connect(self.server.port, &[("user", "postgres"), ("database", database), limit[0]]));
        let tenant: TenantId = self.judge.policy().tenants.accept("acme").unwrap();
        let wall = match (judge, &self.wall) {
            (Some(judge), _) => Side::Judged(direct(&shared), judge, tenant),
            (None, Some(wall)) => {
                let mut client = Client::tenant(wall.port(&format!("pg{number}")), "acme");
                client.query("SET statement_timeout = '8s'").unwrap();
                Side::Socket(client)
            }
            (None, None) => panic!("there is no wall"),
        };
        let mut pair = Pair { bench: self, wall, private: direct(&private), others: String::new(), unread: 0 };
        pair.others = direct(&shared).query(STATE).unwrap().rows[0][1].clone().unwrap();
        pair
    }

    /// As superuser, past everything: the other tenants' rows of a shared database.
    pub fn others(&self, number: usize) -> String {
        self.server.psql(&format!("shared_{number}"), "SELECT oracle_others()")
    }
}

/// What makes a table private: no other tenant's row, a tenant column that fills itself, and keys that hold without it.
fn private(table: &Table) -> String {
    let (name, tenant, key) = (table.name, table.tenant, table.key.join(", "));
    if table.is_through() {
        let parent = table.columns.iter().find(|c| matches!(c.name, "project_id" | "task_id")).unwrap().name;
        return format!("DELETE FROM {name} WHERE {parent} > {APART};");
    }
    let only = if name == "events" { "" } else { "ONLY " };
    if !table.shows_tenant() {
        // With the column go the keys that hold it.
        return format!(
            "DELETE FROM {name} WHERE {tenant} <> 'acme'; ALTER TABLE {name} DROP COLUMN {tenant} CASCADE; ALTER TABLE {name} ADD PRIMARY KEY ({key});"
        );
    }
    let mut sql = format!("DELETE FROM {only}{name} WHERE {tenant} <> 'acme'; ALTER TABLE {name} ALTER {tenant} SET DEFAULT 'acme';");
    sql.push_str(&format!("CREATE UNIQUE INDEX ON {name} ({key});"));
    for column in table.columns.iter().filter(|c| matches!(c.name, "email" | "sku")) {
        sql.push_str(&format!("CREATE UNIQUE INDEX ON {name} ({});", column.name));
    }
    sql
}

const TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

fn config(port: u16, pairs: usize) -> String {
    let mut config = String::from("listeners:\n");
    for n in 0..pairs {
        config.push_str(&format!(
            "  - {{ name: pg{n}, protocol: postgres, listen: '127.0.0.1:0', upstream: db{n}, policy: test, identity: [startup] }}\n"
        ));
    }
    config.push_str("upstreams:\n");
    for n in 0..pairs {
        config.push_str(&format!("  db{n}: {{ address: '127.0.0.1:{port}', database: shared_{n}, user: postgres }}\n"));
    }
    config + "policies: policies/\n"
}

fn judge(port: u16, policy: Policy) -> Judge {
    let mut client = connected(Client::connect(port, &[("user", "postgres"), ("database", "shared_0")]));
    let answers = QUERIES.iter().chain(partywall::sql::catalogs::QUERIES).map(|q| (q.name, client.query(q.sql).unwrap().rows)).collect();
    let catalog = Catalog::build(&policy, &answers).unwrap_or_else(|p| panic!("{p:?}"));
    Judge::new(Arc::new(policy), Arc::new(catalog))
}

fn connected(client: Result<Client, PgError>) -> Client {
    client.unwrap_or_else(|e| panic!("{e:?}"))
}

/// Two connections, one case at a time.
pub struct Pair<'b> {
    bench: &'b Bench,
    wall: Side,
    private: Client,
    others: String,
    /// Answers that nobody waits for.
    unread: usize,
}

/// A step's outcome.
pub struct Outcome {
    /// Which step.
    pub index: usize,
    /// What came of it.
    pub verdict: Verdict,
}

impl Pair<'_> {
    /// Runs a case on both sides; an outcome for each step that was run, the state last in a transaction.
    pub fn run(&mut self, case: &Case) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if case.transaction {
            self.later("BEGIN");
        }
        for (index, step) in case.steps.iter().enumerate() {
            let savepoint = case.transaction && takes_savepoint(&step.sql);
            if savepoint {
                self.later("SAVEPOINT s");
            }
            let verdict = match self.step(step) {
                Verdict::Same | Verdict::RowType | Verdict::Modifier if case.forbidden => {
                    Verdict::Different("accepted", "a forbidden statement".into())
                }
                Verdict::Different("sqlstate", what) if case.forbidden && what.starts_with("wall refused") => Verdict::Refused(what),
                other => other,
            };
            let stop = matches!(verdict, Verdict::Refused(_) | Verdict::Slow | Verdict::Sooner | Verdict::Different(..));
            let failed = matches!(verdict, Verdict::SameError(_) | Verdict::OtherKey);
            outcomes.push(Outcome { index, verdict });
            if stop {
                break;
            }
            if failed && savepoint {
                self.later("ROLLBACK TO SAVEPOINT s");
            }
        }
        let good = |o: &Outcome| !matches!(o.verdict, Verdict::Refused(_) | Verdict::Slow | Verdict::Sooner | Verdict::Different(..));
        if case.transaction && outcomes.iter().all(good) {
            self.settle();
            if self.private.status == b'T' {
                outcomes.push(Outcome { index: case.steps.len(), verdict: self.state() });
            }
        }
        if case.transaction || self.wall.client().status != b'I' || self.private.status != b'I' {
            self.later("ROLLBACK");
        }
        if case.steps.iter().any(|s| s.sql.starts_with("PREPARE") || s.again > 0) {
            self.later("DEALLOCATE ALL");
        }
        outcomes
    }

    fn step(&mut self, step: &Step) -> Verdict {
        let (wall, private) = self.ask(step);
        let refused = || {
            // A mutant that let the statement through has not refused it.
            let judge = match &self.wall {
                Side::Judged(_, judge, _) => judge,
                Side::Socket(_) => &self.bench.judge,
            };
            let tenant = judge.policy().tenants.accept("acme").unwrap();
            let declined = match &step.parameters {
                None => judge.simple(&step.sql, &tenant).err(),
                Some(_) => judge.extended(&step.sql, 0, &tenant).err(),
            };
            declined.is_some()
        };
        compare(step, &wall, &private, refused)
    }

    /// Both answers to a step.
    pub fn ask(&mut self, step: &Step) -> (Answer, Answer) {
        let refusal = self.wall.send(step);
        ask(&mut self.private, step);
        self.settle();
        let private = read(&mut self.private);
        let wall = match refusal {
            None => read(self.wall.client()),
            Some(r) => {
                let error = PgError { code: r.sqlstate.into(), message: r.message.clone(), detail: r.detail.clone(), ..PgError::default() };
                Answer { error: Some(error), ..Answer::default() }
            }
        };
        (wall, private)
    }

    /// Sends to both and does not wait.
    fn later(&mut self, sql: &str) {
        for client in [self.wall.client(), &mut self.private] {
            client.message(b'Q', &crate::support::terminated(sql));
        }
        self.unread += 1;
    }

    /// Reads what was sent without waiting.
    fn settle(&mut self) {
        for _ in 0..std::mem::take(&mut self.unread) {
            read(self.wall.client());
            read(&mut self.private);
        }
    }

    /// The tenant's rows on both sides, and everybody else's as they were.
    fn state(&mut self) -> Verdict {
        let step = Step { sql: STATE.into(), parameters: None, ordered: true, again: 0, fetch: 0 };
        let (wall, private) = self.ask(&step);
        let cell = |answer: &Answer, at: usize| answer.parts.first().and_then(|p| p.rows.first()).and_then(|r| r[at].clone());
        let (own, others, expected) = (cell(&wall, 0), cell(&wall, 1), cell(&private, 0));
        if own.is_none() || own != expected {
            let detail = format!("{own:?}\nprivate {expected:?} {}", super::compare::brief(&wall));
            return Verdict::Different("own rows", detail);
        }
        if others.as_deref() != Some(self.others.as_str()) {
            return Verdict::Different("others' rows", changed(&self.others, others.as_deref().unwrap_or_default()));
        }
        Verdict::Same
    }
}

/// The tables whose sums differ.
fn changed(before: &str, after: &str) -> String {
    let names = before.split(' ').zip(after.split(' ')).filter(|(b, a)| b != a);
    names.map(|(b, _)| b.split(':').next().unwrap_or_default()).collect::<Vec<_>>().join(", ")
}

fn takes_savepoint(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    !matches!(first, "SET" | "DECLARE" | "FETCH" | "MOVE" | "CLOSE" | "PREPARE" | "EXECUTE" | "DEALLOCATE")
}
