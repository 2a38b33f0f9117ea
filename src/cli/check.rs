//! `partywall check`: the same code that `serve` reads its files with.

use crate::app::Disk;
use crate::config::{self, document::Finding};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The configuration
    #[arg(long, default_value = "partywall.yaml")]
    config: PathBuf,
    /// Print findings as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Prints every finding.
    pub fn run(self) -> ExitCode {
        match config::load(&self.config, &Disk) {
            Ok(_) if self.json => println!("[]"),
            Ok(config) => println!("{}: good, {} listeners", self.config.display(), config.listeners.len()),
            Err(findings) => {
                report(&findings, self.json);
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}

/// Prints findings with the line they stand in and a caret.
pub fn report(findings: &[Finding], json: bool) {
    if json {
        println!("{}", serde_json::to_string(findings).unwrap_or_default());
        return;
    }
    for finding in findings {
        println!("error: {}\n  --> {}:{}:{}", finding.message, finding.file, finding.line, finding.column);
        let line = std::fs::read_to_string(&finding.file).ok();
        let line = line.as_ref().and_then(|t| t.lines().nth(usize::try_from(finding.line).ok()?.checked_sub(1)?));
        if let Some(line) = line {
            let indent = usize::try_from(finding.column).unwrap_or(1).saturating_sub(1);
            println!("   | {line}\n   | {}^", " ".repeat(indent));
        }
        println!("   = fix: {}\n", finding.fix);
    }
}
