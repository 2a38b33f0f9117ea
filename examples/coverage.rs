//! Says how many statements of a corpus the wall accepts, and why it refuses the others.
//!
//! `cargo run --example coverage -- POLICY HOST:PORT DATABASE USER [--catalogs] [--accepted FILE] CORPUS.jsonl …`: a corpus has one JSON
//! record a line, the statement under `sql`. `--catalogs` takes only statements that read PostgreSQL's catalogs; `--accepted` writes
//! `{"sql", "sent"}` records of what is accepted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool for developers stops where it fails")]

use partywall::config::Upstream;
use partywall::config::document::{Findings, Reader};
use partywall::sql::{Judge, Refusal};
use partywall::upstream::postgres::Target;
use std::collections::BTreeMap;
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().unwrap_or_else(|| panic!("POLICY HOST:PORT DATABASE USER CORPUS…"));
    let (policy, address, database, user) = (next(), next(), next(), next());
    let mut findings = Findings::new();
    let text = std::fs::read_to_string(&policy).unwrap();
    let policy = partywall::policy::file::read(&mut Reader { file: policy.as_str().into(), findings: &mut findings }, &text);
    let policy = policy.unwrap_or_else(|| panic!("{findings:?}"));
    let typed_user = Some(user.clone());
    let upstream = Upstream { typed_user, name: "db".into(), address, database, user, password_file: None, ca: None };
    let catalog = Target::new(&upstream).unwrap().catalog(&policy).await.unwrap_or_else(|e| panic!("{e}"));
    let judge = Judge::new(Arc::new(policy), Arc::new(catalog));
    let (mut catalogs, mut accepted_file, mut accepted_text) = (false, None, String::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--catalogs" => catalogs = true,
            "--accepted" => accepted_file = arguments.next(),
            file => report(&judge, file, catalogs, &mut accepted_text),
        }
    }
    if let Some(file) = accepted_file {
        std::fs::write(file, accepted_text).unwrap();
    }
}

fn report(judge: &Judge, file: &str, catalogs: bool, accepted_text: &mut String) {
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    let (mut total, mut accepted) = (0, 0);
    let mut reasons: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let sql = record["sql"].as_str().unwrap_or_default();
        if catalogs && !reads_catalogs(sql) {
            continue;
        }
        total += 1;
        match judge.extended(sql, 0, &tenant) {
            Ok(prepared) => {
                accepted += 1;
                let record = serde_json::json!({"sql": sql, "sent": prepared.outgoing.as_str(), "corpus": file});
                accepted_text.push_str(&format!("{record}\n"));
            }
            Err(refusal) => {
                let entry = reasons.entry(reason(&refusal)).or_insert_with(|| (0, sql.split_whitespace().collect::<Vec<_>>().join(" ")));
                entry.0 += 1;
            }
        }
    }
    println!("{file}: {accepted} of {total} accepted");
    let mut sorted: Vec<_> = reasons.into_iter().collect();
    sorted.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (reason, (count, example)) in sorted {
        println!("  {count:5}  {reason}\n           {}", example.chars().take(200).collect::<String>());
    }
}

fn reason(refusal: &Refusal) -> String {
    let detail = refusal.detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default();
    format!("{} {}{detail}", refusal.sqlstate, refusal.message)
}

fn reads_catalogs(sql: &str) -> bool {
    let lower = sql.to_lowercase();
    ["pg_", "information_schema", "::reg", "as reg", "obj_description", "format_type", "has_", "version()"]
        .iter()
        .any(|w| lower.contains(w))
}
