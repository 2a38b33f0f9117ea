//! `partywall explain`: what becomes of a statement or command, and why.
//!
//! The schema comes from the live server (`--config`), from a file (`--schema`, or the policy's own name with `.sql`), or is guessed from
//! the policy alone; the last is said.

mod redis;

use super::paint::{Paint, Tone};
use crate::app::Disk;
use crate::config::document::Finding;
use crate::config::{self, Protocol};
use crate::policy::{Granted, Home, Policy, Role, TenantId};
use crate::sql::catalog::CatalogProblem;
use crate::sql::{Catalog, Explanation, Judge, Reason, Refusal, offline};
use crate::upstream::postgres::{ConnectError, Target};
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The configuration: its first PostgreSQL listener gives policy and live schema [default: partywall.yaml]
    #[arg(long, conflicts_with_all = ["policy", "schema"])]
    config: Option<PathBuf>,
    /// One policy file, with no server
    #[arg(long)]
    policy: Option<PathBuf>,
    /// CREATE TABLE statements, e.g. of `pg_dump --schema-only` [default: the policy's path with `.sql`, if there is one]
    #[arg(long, requires = "policy")]
    schema: Option<PathBuf>,
    /// Whose statement it is
    #[arg(long)]
    tenant: String,
    /// As what role of the policy; without it nothing is refused for want of a right
    #[arg(long)]
    role: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// It is a Redis command
    #[arg(long)]
    redis: bool,
    /// The statement, or the command with its arguments
    #[arg(value_name = "STATEMENT")]
    sql: String,
}

/// What a statement is judged on.
struct Ground {
    judge: Judge,
    /// What the reader must know of it.
    note: Option<String>,
}

/// Problems that are told like those of `check`.
type Findings = Vec<Finding>;

impl Explain {
    /// Prints the rewritten text with its reasons, or the refusal.
    pub fn run(self) -> ExitCode {
        if self.redis {
            return self.run_redis();
        }
        match self.ground() {
            Err(error) => {
                eprintln!("partywall: {error:#}");
                ExitCode::from(2)
            }
            Ok(Err(findings)) => {
                super::check::report(&findings, self.json);
                ExitCode::FAILURE
            }
            Ok(Ok((ground, tenant))) => match ground.judge.explain(&self.sql, &tenant) {
                Ok(done) => self.print(&ground, &done, &tenant),
                Err(refusal) => self.refuse(&ground, &refusal),
            },
        }
    }

    fn run_redis(&self) -> ExitCode {
        let policy = match &self.policy {
            Some(path) => config::load_policy(path, &Disk).map(Arc::new).map(Some),
            None => self.configured(Protocol::Redis).map(|listener| listener.map(|l| l.policy)),
        };
        let outcome = match policy {
            Err(findings) => {
                super::check::report(&findings, self.json);
                return ExitCode::FAILURE;
            }
            Ok(policy) => policy.context("no Redis listener").and_then(|p| {
                let whose = (&self.tenant_of(&p)?, &self.role_of(&p)?);
                redis::run(&p, whose, &self.sql, self.json)
            }),
        };
        outcome.unwrap_or_else(|error| {
            eprintln!("partywall: {error:#}");
            ExitCode::from(2)
        })
    }

    /// The configuration's first listener of this protocol.
    fn configured(&self, protocol: Protocol) -> Result<Option<config::Listener>, Findings> {
        let path = self.config.clone().unwrap_or_else(|| "partywall.yaml".into());
        Ok(config::load(&path, &Disk)?.listeners.into_iter().find(|l| l.protocol == protocol))
    }

    fn tenant_of(&self, policy: &Policy) -> anyhow::Result<TenantId> {
        let tenant = policy.tenants.accept(&self.tenant);
        tenant.with_context(|| format!("`{}` is no tenant of policy `{}` ({})", self.tenant, policy.name, policy.file))
    }

    fn role_of(&self, policy: &Policy) -> anyhow::Result<Role> {
        let Some(name) = &self.role else { return Ok(Role::Operator) };
        let role = Role::Named(name.as_str().into());
        match policy.granted(&role) {
            Granted::Role(_) => Ok(role),
            _ => bail!("`{name}` is no role of policy `{}` ({})", policy.name, policy.file),
        }
    }

    /// Where the tenant's tables are.
    fn home(&self, policy: &Policy) -> anyhow::Result<Home> {
        let Some(postgres) = &policy.postgres else {
            bail!("policy `{}` says nothing of PostgreSQL ({}); --redis explains a Redis command", policy.name, policy.file);
        };
        postgres.layouts.home(&self.tenant_of(policy)?).with_context(|| format!("tenant `{}` has no place", self.tenant))
    }

    fn ground(&self) -> anyhow::Result<Result<(Ground, TenantId), Findings>> {
        let (policy, catalog) = match &self.policy {
            Some(path) => match config::load_policy(path, &Disk) {
                Ok(policy) => (Arc::new(policy), None),
                Err(findings) => return Ok(Err(findings)),
            },
            None => match self.live()? {
                Ok((policy, catalog)) => (policy, Some(catalog)),
                Err(findings) => return Ok(Err(findings)),
            },
        };
        let (tenant, role) = (self.tenant_of(&policy)?, self.role_of(&policy)?);
        let home = self.home(&policy)?;
        let (catalog, note) = match catalog {
            Some(catalog) => (Ok(catalog), None),
            None => self.without_a_server(&policy, &home)?,
        };
        Ok(catalog.map_err(found).map(|catalog| (Ground { judge: Judge::new(policy, Arc::new(catalog)).for_role(&role), note }, tenant)))
    }

    fn live(&self) -> anyhow::Result<Result<(Arc<Policy>, Catalog), Findings>> {
        let listener = match self.configured(Protocol::Postgres) {
            Ok(listener) => listener.context("no PostgreSQL listener")?,
            Err(findings) => return Ok(Err(findings)),
        };
        let home = self.home(&listener.policy)?;
        let upstream = listener.upstream_of(&home).context("no such upstream")?;
        let target = Target::new(&upstream)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(target.catalog_for(&listener.policy, &home)) {
            Ok(catalog) => Ok(Ok((listener.policy.clone(), catalog))),
            Err(ConnectError::Catalog(problems)) => Ok(Err(found(problems))),
            Err(error) => Err(error)
                .with_context(|| format!("database `{}` of upstream `{}` at {}", upstream.database, upstream.name, upstream.address)),
        }
    }

    /// The catalog of a file, or a guess, with what must be said of it.
    #[allow(clippy::type_complexity, reason = "two outcomes and a note")]
    fn without_a_server(&self, policy: &Policy, home: &Home) -> anyhow::Result<(Result<Catalog, Vec<CatalogProblem>>, Option<String>)> {
        let beside = self.policy.as_ref().map(|p| p.with_extension("sql")).filter(|p| p.exists());
        if let Some(path) = self.schema.clone().or(beside) {
            let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            return Ok((offline::from_dump_for(policy, home, &text), Some(format!("schema of {}, not of a live server", path.display()))));
        }
        if *home != Home::Rows {
            bail!("tenant `{}` has its own place, whose tables no policy lists: add --schema FILE, or leave --policy out", self.tenant);
        }
        let guess = offline::guessed(policy, &self.sql);
        let guess = guess.context("an INSERT without a column list can only be explained with its table's columns: add --schema FILE")?;
        Ok((guess, Some("no schema was given: columns are taken to exist and to be text, so more may be fenced than on the server".into())))
    }

    fn print(&self, ground: &Ground, done: &Explanation, tenant: &TenantId) -> ExitCode {
        if self.json {
            let reason = |r: &Reason| serde_json::json!({ "kind": r.kind, "subject": r.subject, "reason": r.text, "policy": r.policy, "position": r.position });
            let reasons: Vec<_> = done.reasons.iter().map(reason).collect();
            let note = &ground.note;
            println!("{}", serde_json::json!({ "rewritten": done.rewritten, "reasons": reasons, "note": note }));
            return ExitCode::SUCCESS;
        }
        let paint = Paint::stdout();
        println!("{}", paint.guards(&done.rewritten, tenant.as_str()));
        let width = |of: &dyn Fn(&Reason) -> usize| done.reasons.iter().map(of).max().unwrap_or_default();
        let (kinds, subjects) = (width(&|r| r.kind.chars().count()), width(&|r| self.subject(r).chars().count()));
        if !done.reasons.is_empty() {
            println!();
        }
        for reason in &done.reasons {
            let policy = reason.policy.as_ref().map(|p| format!("  ({p})")).unwrap_or_default();
            let (kind, subject) = (format!("{:kinds$}", reason.kind), format!("{:subjects$}", self.subject(reason)));
            println!("  {}  {subject}  {}{}", paint.tone(Tone::Green, &kind), reason.text, paint.tone(Tone::Dim, &policy));
        }
        if let Some(note) = &ground.note {
            println!("\n{}", paint.tone(Tone::Dim, &format!("note: {note}")));
        }
        ExitCode::SUCCESS
    }

    /// What a reason is for; a fence names no relation but a place.
    fn subject(&self, reason: &Reason) -> String {
        if !reason.subject.is_empty() {
            return reason.subject.clone();
        }
        let start = reason.position.map_or(0, |p| usize::try_from(p).unwrap_or(1).saturating_sub(1));
        let rest: String = self.sql.chars().skip(start).take(24).collect();
        format!("at `{}…`", rest.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn refuse(&self, ground: &Ground, r: &Refusal) -> ExitCode {
        if self.json {
            let (state, note) = (r.sqlstate, &ground.note);
            println!(
                "{}",
                serde_json::json!({ "refused": state, "message": r.message, "detail": r.detail, "hint": r.hint, "position": r.position, "note": note })
            );
            return ExitCode::FAILURE;
        }
        let paint = Paint::stdout();
        println!("{} {} {}", paint.tone(Tone::Red, "refused:"), paint.tone(Tone::Bold, r.sqlstate), r.message);
        if let Some((number, line, column)) = r.position.and_then(|p| place(&self.sql, p)) {
            let head = format!("  {number} | ");
            println!("{}{line}\n{}{}", paint.tone(Tone::Dim, &head), " ".repeat(head.len() + column), paint.tone(Tone::Red, "^"));
        }
        for (name, text) in [("detail", &r.detail), ("hint", &r.hint), ("note", &ground.note)] {
            if let Some(text) = text {
                println!("  {} {text}", paint.tone(Tone::Dim, &format!("{name}:")));
            }
        }
        ExitCode::FAILURE
    }
}

/// The line of a 1-based character position: its number, its text, and the 0-based column in it.
fn place(text: &str, position: u32) -> Option<(usize, &str, usize)> {
    let index = usize::try_from(position).ok()?.checked_sub(1)?;
    let byte = text.char_indices().nth(index).map_or(text.len(), |(b, _)| b);
    let start = text.get(..byte)?.rfind('\n').map_or(0, |n| n + 1);
    let line = text.get(start..)?.lines().next().unwrap_or_default();
    Some((text.get(..start)?.matches('\n').count() + 1, line, text.get(start..byte)?.chars().count()))
}

fn found(problems: Vec<CatalogProblem>) -> Findings {
    let finding = |p: CatalogProblem| {
        let (file, line, column) = p.place.map_or((String::new(), 0, 0), |at| (at.file.to_string(), at.line, at.column));
        Finding { file, line, column, message: p.message, fix: p.fix }
    };
    problems.into_iter().map(finding).collect()
}
