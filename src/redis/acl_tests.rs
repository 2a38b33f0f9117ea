//! The rules of a tenant's user: its own names only, and no scripts where the policy has none.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{RedisPolicy, RedisPrefix, TenantPattern};

fn said(prefix: &str, shared: &[&str], scripts: bool) -> Option<Vec<String>> {
    let policy = RedisPolicy {
        prefix: RedisPrefix { before: prefix.into(), after: ":".into() },
        shared: shared.iter().map(|text| (*text).to_owned()).collect(),
        growth_max_bytes: RedisPolicy::GROWTH_MAX_BYTES,
        slow_micros: Some(RedisPolicy::SLOW_MICROS),
        scripts,
        restore: false,
        reads_replicas: false,
        backstop: true,
    };
    let names = Names::new(&policy, &TenantPattern::new("[a-z]+").unwrap().accept("acme").unwrap())?;
    let listed = ["get", "acl", "acl|cat"].map(str::as_bytes);
    let rules = rules(&names, &Lacks::new(listed.into_iter()));
    Some(rules.into_iter().map(|rule| String::from_utf8(rule).unwrap()).collect())
}

#[test]
fn names_are_the_tenants_own() {
    let rules = said("p[", &["config:*"], true).unwrap();
    for rule in [
        r"~p\[acme:*",
        "%R~config:*",
        r"&p\[acme:*",
        "+function|load",
        "+acl|cat",
        r"(+subscribe &p\[acme:* &__keyevent@*__:* &__redis__:invalidate &__keyspace@*__:p\[acme:*)",
    ] {
        assert!(rules.iter().any(|known| known == rule), "{rule} {rules:?}");
    }
    // What the server lacks it would not take.
    assert!(!rules.iter().any(|rule| rule.contains("vadd") || rule.contains("no-touch")));
    let order = |rule: &str| rules.iter().position(|known| known == rule).unwrap();
    assert!(order("reset") == 0 && order("+@keyspace") < order("-@dangerous") && order("-@dangerous") < order("+client|kill"));
}

#[test]
fn without_scripts_none_can_be_loaded() {
    let rules = said("", &[], false).unwrap();
    assert!(rules.iter().all(|rule| !rule.contains("function") && rule != "+@scripting"));
}

#[test]
fn names_with_blanks_are_none() {
    assert!(said("a b", &[], true).is_none());
    assert!(said("", &["c d*"], true).is_none());
    assert!(["a b", "a\tb", "a\x0bb", "a\0b", "a\nb"].iter().all(|text| !can_tell(text.as_bytes())) && can_tell(b"a[*"));
}

#[test]
fn only_what_the_server_cannot_look_at_runs_as_another() {
    let is = |words: &[&str]| {
        let request = crate::redis::wire::Request::new(words);
        is_refused(crate::redis::understand::lookup(&request, &Lacks::default()).unwrap(), request.iter())
    };
    assert!(is(&["SORT", "l", "BY", "w_*"]) && is(&["SORT_RO", "l", "get", "#"]) && is(&["GEORADIUS", "g", "0", "0", "1", "m"]));
    assert!(is(&["XREADGROUP", "GROUP", "streams", "c", "STREAMS", "s", ">"]) && !is(&["XREAD", "STREAMS", "s", "0"]));
    assert!(!is(&["SORT", "l", "ALPHA"]) && !is(&["GEORADIUS_RO", "g", "0", "0", "1", "m"]) && !is(&["GET", "by"]));
}
