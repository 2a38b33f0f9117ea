//! `partywall explain`: what becomes of a statement, on the live catalog of a configuration's listener.

use crate::app::Disk;
use crate::config::{self, Protocol};
use crate::sql::Judge;
use crate::upstream::postgres::Target;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The configuration; its first PostgreSQL listener is asked for policy and schema
    #[arg(long, default_value = "partywall.yaml")]
    config: PathBuf,
    /// Whose statement it is
    #[arg(long)]
    tenant: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The statement
    sql: String,
}

impl Explain {
    /// Prints the rewritten text, or the refusal.
    pub fn run(self) -> ExitCode {
        let config = match config::load(&self.config, &Disk) {
            Ok(config) => config,
            Err(findings) => {
                super::check::report(&findings, self.json);
                return ExitCode::FAILURE;
            }
        };
        match self.explain(&config) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("partywall: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn explain(&self, config: &config::Config) -> anyhow::Result<ExitCode> {
        let listener = config.listeners.iter().find(|l| l.protocol == Protocol::Postgres).context("no PostgreSQL listener")?;
        let tenant = listener.policy.tenants.accept(&self.tenant).context("that is no tenant of the policy")?;
        let target = Target::new(&listener.upstream)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let catalog = runtime.block_on(target.catalog(&listener.policy)).context("the schema cannot be read")?;
        let outcome = Judge::new(listener.policy.clone(), Arc::new(catalog)).simple(&self.sql, &tenant);
        Ok(match outcome {
            Ok(script) if self.json => {
                println!("{}", serde_json::json!({ "rewritten": script.outgoing.as_str() }));
                ExitCode::SUCCESS
            }
            Ok(script) => {
                println!("{}", script.outgoing.as_str());
                ExitCode::SUCCESS
            }
            Err(r) if self.json => {
                println!(
                    "{}",
                    serde_json::json!({ "refused": r.sqlstate, "message": r.message, "detail": r.detail, "hint": r.hint, "position": r.position })
                );
                ExitCode::FAILURE
            }
            Err(r) => {
                println!("refused: {} {}", r.sqlstate, r.message);
                for (name, text) in [("detail", r.detail), ("hint", r.hint)] {
                    if let Some(text) = text {
                        println!("  {name}: {text}");
                    }
                }
                ExitCode::FAILURE
            }
        })
    }
}
