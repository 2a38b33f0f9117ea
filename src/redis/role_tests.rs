//! What roles may run and name.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::super::commands::{Found, find};
use super::*;
use crate::config::document::{Findings, Reader};
use crate::policy::{Policy, Role};

fn policy(commands: &str, keys: &str) -> Policy {
    let text = format!(
        "version: 1\nname: x\ntenants: {{ id: '[a-z]+' }}\nredis: {{ prefix: '{{tenant}}:' }}\nroles:\n  clerk: {{ redis: {{ commands: {commands}{keys} }} }}\n  \
         admin: {{ redis: all }}\n  none: {{}}\n"
    );
    let mut findings = Findings::new();
    let policy = crate::policy::file::read(&mut Reader { file: "p".into(), findings: &mut findings }, &text);
    policy.filter(|_| findings.is_empty()).unwrap_or_else(|| unreachable!("{findings:?}"))
}

fn of(commands: &str, keys: &str) -> Rights {
    Rights::of(&policy(commands, keys).granted(&Role::Named("clerk".into()))).unwrap()
}

fn runs(rights: &Rights, name: &str) -> bool {
    let (first, second) = name.split_once(' ').map_or((name, None), |(f, s)| (f, Some(s.as_bytes())));
    let Found::Entry(entry) = find(first.as_bytes(), second) else { unreachable!("{name}") };
    rights.may_run(entry).is_ok()
}

#[test]
fn rules_on_commands_are_taken_in_order() {
    for (commands, may, may_not) in [
        ("['@read']", vec!["get", "mget", "hgetall", "hello"], vec!["set", "del", "flushdb", "eval", "ping"]),
        ("['@read', '@write', '-@dangerous']", vec!["get", "set"], vec!["keys", "flushdb", "sort", "client id"]),
        ("['@all', '-keys']", vec!["get", "client id", "ping"], vec!["keys", "eval", "fcall", "script load"]),
        ("[get, 'client|id', -get]", vec!["client id"], vec!["get", "client list"]),
        ("[client, '-client|kill']", vec!["client id", "client list"], vec!["client kill"]),
        ("['+@string', '+hget']", vec!["set", "hget"], vec!["hset"]),
        ("[]", vec!["hello", "quit", "auth", "reset"], vec!["get", "ping", "select"]),
        ("['@fast', '-@string']", vec!["hget"], vec!["get", "hgetall"]),
    ] {
        let rights = of(commands, "");
        may.into_iter().for_each(|name| assert!(runs(&rights, name), "{commands}: {name}"));
        may_not.into_iter().for_each(|name| assert!(!runs(&rights, name), "{commands}: {name}"));
    }
}

#[test]
fn every_command_has_its_categories() {
    // What had none would be in no category that is given.
    let rights = of("['@fast', '@slow']", "");
    let without: Vec<&str> = all().map(|e| e.name).filter(|name| !rights.commands.contains(name)).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn names_are_bounded_by_patterns() {
    let rights = of("['@all']", ", keys: ['cart:*', news]");
    let key = Place::Key(super::super::commands::Access::Read);
    for (place, name, may) in [
        (key, "cart:1", true),
        (key, "cart:", true),
        (key, "carts", false),
        (key, "acme:cart:1", false),
        (Place::Channel, "news", true),
        (Place::Heard, "other", false),
        (Place::HeardPattern, "cart:*", true),
        (Place::HeardPattern, "cart:1*", false),
        (Place::Pattern, "*", false),
        (Place::Star, "cart:*", false),
    ] {
        assert_eq!(rights.may_name(place, name.as_bytes()).is_ok(), may, "{place:?} {name}");
    }
    for name in ["keys", "scan", "flushdb", "dbsize", "randomkey", "pubsub channels", "client tracking"] {
        assert!(!runs(&rights, name), "{name}");
    }
    assert!(of("['@all']", "").may_name(key, b"anything").is_ok());
    assert!(of("['@all']", ", keys: all").may_name(Place::Pattern, b"*").is_ok());
}

#[test]
fn who_has_no_role_runs_nothing() {
    let policy = policy("[get]", "");
    assert!(Rights::of(&policy.granted(&Role::Named("admin".into()))).is_none());
    assert!(Rights::of(&policy.granted(&Role::Operator)).is_none());
    for role in [Role::Unsaid, Role::Named("none".into()), Role::Named("stranger".into())] {
        assert!(!runs(&Rights::of(&policy.granted(&role)).unwrap(), "get"), "{role:?}");
    }
}

#[test]
fn rules_that_name_nothing_are_told() {
    for bad in ["'@reed'", "gett", "'client|idd'", "''", "'@'"] {
        let text = format!("version: 1\nname: x\ntenants: {{ id: '[a-z]+' }}\nroles: {{ a: {{ redis: {{ commands: [{bad}] }} }} }}\n");
        let mut findings = Findings::new();
        crate::policy::file::read(&mut Reader { file: "p".into(), findings: &mut findings }, &text);
        assert!(findings.iter().any(|f| f.message.starts_with("there is no command or category")), "{bad}: {findings:?}");
    }
}
