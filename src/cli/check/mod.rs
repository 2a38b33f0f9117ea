//! `partywall check`: the same code that `serve` reads its files with, and with `--live` what upstream's schema means for the policy.

mod live;

use super::paint::{Paint, Tone};
use crate::app::Disk;
use crate::config::{self, document::Finding};
use crate::sql::live::Severity;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The configuration
    #[arg(long, default_value = "partywall.yaml")]
    config: PathBuf,
    /// Look at the PostgreSQL servers too: what would stop `serve`, keys and foreign keys without the tenant, the operator's code that runs for
    /// tenants, rows of nobody and rows that refer to another tenant's
    #[arg(long)]
    live: bool,
    /// Look at the servers' schemas only, at no row
    #[arg(long, requires = "live")]
    schema_only: bool,
    /// Warnings are failures
    #[arg(long, requires = "live")]
    strict: bool,
    /// Print findings as JSON
    #[arg(long)]
    json: bool,
}

/// A finding and how grave it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Told {
    severity: Severity,
    #[serde(flatten)]
    finding: Finding,
}

impl Check {
    /// Prints every finding; the exit code is a failure where there is an error.
    pub fn run(self) -> ExitCode {
        let config = match config::load(&self.config, &Disk) {
            Ok(config) => config,
            Err(findings) => {
                report(&findings, self.json);
                return ExitCode::FAILURE;
            }
        };
        let told = if self.live { live::look(&config, !self.schema_only) } else { Vec::new() };
        let fails = |t: &Told| t.severity == Severity::Error || self.strict && t.severity == Severity::Warning;
        if self.json || !told.is_empty() {
            tell(&told, self.json);
        } else {
            println!("{}: good, {}", self.config.display(), counted(config.listeners.len(), "listener"));
        }
        if told.iter().any(fails) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Prints errors with the line they stand in and a caret.
pub fn report(findings: &[Finding], json: bool) {
    let told: Vec<Told> = findings.iter().map(|f| Told { severity: Severity::Error, finding: f.clone() }).collect();
    tell(&told, json);
}

fn tell(all: &[Told], json: bool) {
    if json {
        println!("{}", serde_json::to_string(all).unwrap_or_default());
        return;
    }
    let paint = Paint::stdout();
    for Told { severity, finding } in all {
        let (tone, word) = match severity {
            Severity::Error => (Tone::Red, "error:"),
            Severity::Warning => (Tone::Yellow, "warning:"),
            Severity::Note => (Tone::Cyan, "note:"),
        };
        println!("{} {}", paint.tone(tone, word), paint.tone(Tone::Bold, &finding.message));
        let place = match (finding.file.as_str(), finding.line) {
            ("", _) => None,
            (file, 0) => Some(file.to_owned()),
            (file, line) => Some(format!("{file}:{line}:{}", finding.column)),
        };
        if let Some(place) = place {
            println!("  {} {place}", paint.tone(Tone::Dim, "-->"));
        }
        if let Some(line) = source_line(finding) {
            let number = finding.line.to_string();
            let (gap, indent) = (" ".repeat(number.len()), usize::try_from(finding.column).unwrap_or(1).saturating_sub(1));
            // Tabs stay tabs, so that the caret stands below its character.
            let before: String = line.chars().take(indent).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let dim = |text: String| paint.tone(Tone::Dim, &text);
            println!("{}{line}\n{}{before}{}", dim(format!(" {number} | ")), dim(format!(" {gap} | ")), paint.tone(tone, "^"));
        }
        println!("  {} {}\n", paint.tone(Tone::Green, "fix:"), finding.fix);
    }
    println!("{}", summary(all));
}

/// `3 findings`, and of what kinds where not all are errors.
fn summary(all: &[Told]) -> String {
    let of = |severity: Severity, what: &str| {
        let count = all.iter().filter(|t| t.severity == severity).count();
        (count > 0).then(|| counted(count, what))
    };
    let kinds = [of(Severity::Error, "error"), of(Severity::Warning, "warning"), of(Severity::Note, "note")];
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    let total = counted(all.len(), "finding");
    if all.iter().all(|t| t.severity == Severity::Error) { total } else { format!("{total}: {}", kinds.join(", ")) }
}

fn source_line(finding: &Finding) -> Option<String> {
    let text = std::fs::read_to_string(&finding.file).ok()?;
    text.lines().nth(usize::try_from(finding.line).ok()?.checked_sub(1)?).map(str::to_owned)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
