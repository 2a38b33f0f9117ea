//! `partywall plan`: the SQL that makes upstream's schema hold the policy. It is printed, never run.

use super::check::report;
use crate::app::Disk;
use crate::config::{self, Listener, Protocol};
use crate::plan::{Phase, Step, plan};
use crate::sql::live::{BACKSTOP, Live, QUERIES};
use crate::upstream::postgres::Target;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Plan {
    /// The configuration
    #[arg(long, default_value = "partywall.yaml")]
    config: PathBuf,
    /// Whose the rows are that are there already; without it psql's variable `tenant` stands in the text
    #[arg(long)]
    tenant: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plan {
    /// Prints the statements for each PostgreSQL upstream.
    pub fn run(self) -> ExitCode {
        let config = match config::load(&self.config, &Disk) {
            Ok(config) => config,
            Err(findings) => {
                report(&findings, self.json);
                return ExitCode::FAILURE;
            }
        };
        let mut told: Vec<(String, String)> = Vec::new();
        let mut all = Vec::new();
        for listener in config.listeners.iter().filter(|l| l.protocol == Protocol::Postgres) {
            let key = (listener.upstream.name.clone(), listener.policy.name.to_string());
            if told.contains(&key) {
                continue;
            }
            if let Some(tenant) = self.tenant.as_deref().filter(|t| listener.policy.tenants.accept(t).is_none()) {
                eprintln!("partywall: `{tenant}` is no tenant of policy `{}`", listener.policy.name);
                return ExitCode::from(2);
            }
            match self.of(listener) {
                Ok(steps) => all.push((listener, steps)),
                Err(error) => {
                    eprintln!("partywall: upstream `{}`: {error:#}", listener.upstream.name);
                    return ExitCode::FAILURE;
                }
            }
            told.push(key);
        }
        if self.json {
            let entry = |(l, steps): &(&Listener, Vec<Step>)| serde_json::json!({ "upstream": l.upstream.name, "policy": &*l.policy.name, "steps": steps });
            println!("{}", all.iter().map(entry).collect::<serde_json::Value>());
        } else {
            all.iter().for_each(|(listener, steps)| print(listener, steps));
        }
        ExitCode::SUCCESS
    }

    fn of(&self, listener: &Listener) -> anyhow::Result<Vec<Step>> {
        let target = Target::new(&listener.upstream)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answers = runtime
            .block_on(target.answers(BACKSTOP.iter().chain(QUERIES).map(Into::into).collect()))
            .with_context(|| listener.upstream.address.clone())?;
        Ok(plan(&listener.policy, &Live::read(&listener.policy, &answers), self.tenant.as_deref()))
    }
}

/// A script for psql: statements with their reasons, by phase.
fn print(listener: &Listener, steps: &[Step]) {
    println!("-- upstream `{}`, policy `{}`", listener.upstream.name, listener.policy.name);
    if steps.is_empty() {
        println!("-- nothing is to be done");
    }
    for phase in Phase::ALL {
        let mut of_phase = steps.iter().filter(|s| s.phase == phase).peekable();
        if of_phase.peek().is_some() {
            println!("\n-- {}", phase.about());
        }
        for step in of_phase {
            let place = step.policy.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
            let end = if step.sql.starts_with("--") { "" } else { ";" };
            println!("{}{end}  -- {}{place}", step.sql, step.why);
        }
    }
}
