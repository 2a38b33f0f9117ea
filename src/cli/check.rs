//! `partywall check`: the same code that `serve` reads its files with.

use super::paint::{Paint, Tone};
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
            Ok(config) => println!("{}: good, {}", self.config.display(), counted(config.listeners.len(), "listener")),
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
    let paint = Paint::stdout();
    for finding in findings {
        println!("{} {}", paint.tone(Tone::Red, "error:"), paint.tone(Tone::Bold, &finding.message));
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
            println!("{}{line}\n{}{before}{}", dim(format!(" {number} | ")), dim(format!(" {gap} | ")), paint.tone(Tone::Red, "^"));
        }
        println!("  {} {}\n", paint.tone(Tone::Green, "fix:"), finding.fix);
    }
    println!("{}", counted(findings.len(), "finding"));
}

fn source_line(finding: &Finding) -> Option<String> {
    let text = std::fs::read_to_string(&finding.file).ok()?;
    text.lines().nth(usize::try_from(finding.line).ok()?.checked_sub(1)?).map(str::to_owned)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
