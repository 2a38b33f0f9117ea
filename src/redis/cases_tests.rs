//! `tests/redis/*.txt`: a command as an inline client writes it, then `> ` what is sent, `! ` the refusal, or `= ` what the wall does itself. The
//! tenant is acme, the prefix `{tenant}:`, and `config:*` is shared.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{RedisPolicy, RedisPrefix, TenantPattern};

pub(crate) fn names() -> Names {
    let prefix = RedisPrefix { before: String::new(), after: ":".into() };
    let tenant = TenantPattern::new("[a-z]+").unwrap().accept("acme").unwrap();
    Names::new(
        &RedisPolicy {
            prefix,
            shared: vec!["config:*".into()],
            growth_max_bytes: RedisPolicy::GROWTH_MAX_BYTES,
            slow_micros: Some(RedisPolicy::SLOW_MICROS),
            scripts: true,
            restore: false,
            reads_replicas: false,
            backstop: false,
        },
        &tenant,
    )
    .unwrap()
}

/// A session's, of Redis 7.0.15 and without a shared connection.
pub(super) fn setup() -> Setup {
    let peers = tenant::Tenant::default();
    peers.libraries.are_none();
    Setup {
        names: names(),
        tenant: "acme".into(),
        id: 1,
        version: "7.0.15".into(),
        lacks: Default::default(),
        secret: 1,
        peers: peers.into(),
        address: "127.0.0.1:9".into(),
        upstream: tenant::Number { id: 77, run: 1 },
        sanitizes: false,
        test_passthrough: false,
        cluster: false,
        line: None,
        switch: None,
        again: None,
        clock: || 0,
    }
}

fn said(command: &str) -> String {
    let words = inline::split(command.as_bytes()).unwrap();
    match explain_for(&names(), &wire::Request::new(&words)) {
        Ok(Explained::Sent(words)) => format!("> {}", words.iter().map(|w| word(w)).collect::<Vec<_>>().join(" ")),
        Ok(Explained::Answered(how)) => format!("= {how}"),
        Err(refusal) => format!("! {}", String::from_utf8_lossy(&refusal.text)),
    }
}

/// As an inline client would write it.
fn word(word: &[u8]) -> String {
    let plain = !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\'));
    if plain { String::from_utf8_lossy(word).into_owned() } else { format!("\"{}\"", word.escape_ascii().to_string().replace("\\'", "'")) }
}

fn check(file: &str) {
    let (mut command, mut cases, mut wrong) = (None, 0, Vec::new());
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match command {
            Some(asked) if line.starts_with(['>', '!', '=']) => {
                let got = said(asked);
                if got.trim_end() != line.trim_end() {
                    wrong.push(format!("{asked}\n  {line}\n  {got}"));
                }
                cases += 1;
                command = None;
            }
            _ => command = Some(line),
        }
    }
    assert!(wrong.is_empty() && command.is_none(), "{}", wrong.join("\n"));
    assert!(cases > 5, "{cases}");
}

#[test]
fn commands_are_rewritten() {
    check(include_str!("../../tests/redis/rewrite.txt"));
}

#[test]
fn commands_are_refused() {
    check(include_str!("../../tests/redis/refuse.txt"));
}
