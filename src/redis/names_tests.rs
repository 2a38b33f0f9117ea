//! Errors quote the client's own names; a tenant that cannot be told from shared keys is none.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{RedisPrefix, TenantPattern};

fn for_tenant(tenant: &str, shared: &[&str]) -> Option<Names> {
    let prefix = RedisPrefix { before: "t[".into(), after: "]:".into() };
    let policy = RedisPolicy {
        prefix,
        shared: shared.iter().map(|s| (*s).to_owned()).collect(),
        growth_max_bytes: RedisPolicy::GROWTH_MAX_BYTES,
        slow_micros: Some(RedisPolicy::SLOW_MICROS),
        scripts: true,
        restore: false,
        reads_replicas: false,
        backstop: false,
    };
    Names::new(&policy, &TenantPattern::new("[a-z*:\\]]+").unwrap().accept(tenant).unwrap())
}

#[test]
fn patterns_hold_the_prefix_literally() {
    let names = for_tenant("a*", &[]).unwrap();
    assert_eq!(names.prefix(), "t[a*]:");
    assert_eq!(names.all(), b"t\\[a\\*\\]:*");
}

#[test]
fn a_tenant_whose_keys_another_could_name_is_none() {
    let for_tenant = |tenant: &str, after: &str| {
        let prefix = RedisPrefix { before: String::new(), after: after.into() };
        let policy = RedisPolicy {
            prefix,
            shared: Vec::new(),
            growth_max_bytes: 1,
            scripts: false,
            restore: false,
            reads_replicas: false,
            backstop: false,
            slow_micros: None,
        };
        Names::new(&policy, &TenantPattern::new(".+").unwrap().accept(tenant).unwrap()).is_some()
    };
    for (tenant, after, good) in [
        ("acme", ":", true),
        ("acme:eu", ":", false),
        ("acme:", "::", false),
        (":acme", "::", true),
        ("a::b", "::", false),
        ("ab", "ab", false),
    ] {
        assert_eq!(for_tenant(tenant, after), good, "{tenant} {after}");
    }
}

#[test]
fn a_tenant_whose_keys_could_be_shared_is_none() {
    assert!(for_tenant("acme", &["config:*"]).is_some());
    // Its prefix would begin that of `acme`'s neighbours.
    assert!(for_tenant("acme]:x", &[]).is_none() && for_tenant("acme:x", &[]).is_some());
    for pattern in ["t*", "t\\[acme\\]:*", "?*", "t[[]acme]:x"] {
        assert!(for_tenant("acme", &[pattern]).is_none(), "{pattern}");
    }
}

#[test]
fn errors_quote_the_clients_own_key() {
    let names = for_tenant("a", &[]).unwrap();
    let unquote = |line: &str, key: &'static [u8]| String::from_utf8(names.unquote(line.as_bytes(), &[Bytes::from_static(key)])).unwrap();
    assert_eq!(
        unquote("-NOGROUP No such key 't[a]:k' or consumer group 't[a]:k' in XREADGROUP with GROUP option\r\n", b"k"),
        "-NOGROUP No such key 'k' or consumer group 't[a]:k' in XREADGROUP with GROUP option\r\n"
    );
    assert_eq!(
        unquote("-NOGROUP No such consumer group 'x' for key name 't[a]:k'\r\n", b"k"),
        "-NOGROUP No such consumer group 'x' for key name 'k'\r\n"
    );
    // The server quotes C strings without line ends.
    assert_eq!(unquote("-NOGROUP No such key 't[a]:k  x' or\r\n", b"k\r\nx\0y"), "-NOGROUP No such key 'k  x' or\r\n");
    assert_eq!(unquote("-ERR syntax error\r\n", b"k"), "-ERR syntax error\r\n");
    // Since 7.2 the server names its user, which is the wall's.
    let user = "User partywall:0123456789abcdef:fedcba9876543210:acme has no permissions to run the 'georadius' command";
    for (begins, line) in
        [("NOPERM", format!("-NOPERM {user}\r\n")), ("ERR ACL failure in script:", format!("-ERR ACL failure in script: {user}\r\n"))]
    {
        assert!(Names::may_be_quoted(line.as_bytes()));
        assert_eq!(unquote(&line, b"k"), format!("-{begins} this user has no permissions to run the 'georadius' command\r\n"));
    }
}

#[test]
fn a_library_is_ones_own_whichever_version_wrapped_it() {
    let names = for_tenant("a", &[]).unwrap();
    let current = String::from_utf8(names.library().to_vec()).unwrap();
    let base = "pw745b615d3a";
    assert!(current.starts_with(&format!("{base}v")) && current.ends_with('_'));
    for (full, own) in [
        (format!("{current}l"), Some("l")),
        (format!("{base}_l"), Some("l")),
        (format!("{base}_v1_l"), Some("v1_l")),
        (format!("{base}v0_l_l"), Some("l_l")),
        (format!("{base}v0"), None),
        (format!("{base}l"), None),
        // Of a longer prefix, which another tenant could have.
        (format!("{base}61_l"), None),
        (format!("{base}61v0_l"), None),
        ("l".to_owned(), None),
    ] {
        assert_eq!(names.own_library(full.as_bytes()), own.map(str::as_bytes), "{full}");
    }
    assert_eq!(names.all_libraries(), format!("{base}[_v]*").into_bytes());
}
