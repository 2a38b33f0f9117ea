//! What becomes of a Redis command.

use crate::cli::paint::{Paint, Tone};
use crate::policy::{Policy, Role, TenantId};
use crate::redis::{Explained, explain, inline};
use anyhow::Context;
use std::process::ExitCode;

/// Prints the words that are sent, who answers otherwise, or the refusal. Errors: what was typed is no command, or the policy has no
/// rules for it.
pub fn run(policy: &Policy, (tenant, role): (&TenantId, &Role), typed: &str, json: bool) -> anyhow::Result<ExitCode> {
    let words = inline::split(typed.as_bytes()).filter(|w| !w.is_empty()).context("that is no Redis command: a quote does not end")?;
    let outcome = explain(policy, tenant, role, &words);
    let outcome = outcome.with_context(|| format!("policy `{}` has no rules for Redis ({})", policy.name, policy.file))?;
    let paint = Paint::stdout();
    match outcome {
        Ok(Explained::Sent(sent)) => {
            if json {
                let sent: Vec<_> = sent.iter().map(|w| String::from_utf8_lossy(w)).collect();
                println!("{}", serde_json::json!({ "rewritten": sent }));
                return Ok(ExitCode::SUCCESS);
            }
            let line: Vec<String> = sent.iter().map(|w| word(w, &words, &paint)).collect();
            println!("{}", line.join(" "));
            if sent.iter().any(|w| !words.contains(w)) {
                let prefix = policy.redis.as_ref().map(|r| String::from_utf8_lossy(&r.prefix.of(tenant)).into_owned()).unwrap_or_default();
                println!("\n  {}  names that begin with {prefix} are {}'s alone", paint.tone(Tone::Green, "prefix"), tenant.as_str());
            }
        }
        Ok(Explained::Answered(why)) if json => println!("{}", serde_json::json!({ "answered": why })),
        Ok(Explained::Answered(why)) => println!("{} {why}", paint.tone(Tone::Green, "not sent as it is:")),
        Err(refusal) => {
            let text = String::from_utf8_lossy(&refusal.text).into_owned();
            match json {
                true => println!("{}", serde_json::json!({ "refused": refusal.label, "message": text })),
                false => println!("{} {text}", paint.tone(Tone::Red, "refused:")),
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A word as a person would type it; what the wall changed in green.
fn word(sent: &[u8], typed: &[Vec<u8>], paint: &Paint) -> String {
    let text = quoted(sent);
    if typed.iter().any(|w| w == sent) { text } else { paint.tone(Tone::Green, &text) }
}

fn quoted(word: &[u8]) -> String {
    let plain = !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\".contains(b));
    if plain { String::from_utf8_lossy(word).into_owned() } else { format!("\"{}\"", word.escape_ascii()) }
}
