//! The table holds together: rules name commands that exist, and rest on specifications that say enough.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn entry(name: &str) -> &'static Entry {
    all().find(|entry| entry.name == name).unwrap()
}

#[test]
fn rules_name_commands_that_exist_once() {
    let mut seen = std::collections::HashSet::new();
    for line in lines(include_str!("rules.txt")) {
        let (word, names) = line.split_once(": ").unwrap();
        assert_ne!(rule(word), Rule::Refused, "{word}");
        for name in names.split(", ") {
            assert!(seen.insert(name), "{name} twice");
            assert!(all().any(|entry| entry.name == name), "{name} is no command");
        }
    }
    assert!(seen.len() > 200);
}

#[test]
fn a_rule_by_specification_has_one_that_locates_all_keys() {
    for entry in all() {
        let ranges = entry.specs.iter().all(|spec| matches!(spec, Spec::Range { access: Access::Read | Access::Write, .. }));
        match entry.rule {
            Rule::Keys | Rule::KeysFirst | Rule::KeysQuoting | Rule::KeysFacts | Rule::KeysModule => {
                assert!(ranges && !entry.specs.is_empty(), "{}", entry.name)
            }
            Rule::NumKeys | Rule::NumKeysFirst => {
                assert!(entry.specs.iter().any(|s| matches!(s, Spec::Count { .. })), "{}", entry.name);
                assert!(!entry.specs.contains(&Spec::Other), "{}", entry.name);
            }
            Rule::Pass | Rule::Session | Rule::Local | Rule::Slowlog | Rule::Keyspace | Rule::PubSub => {
                assert!(entry.specs.is_empty(), "{}", entry.name)
            }
            _ => {}
        }
    }
}

#[test]
fn names_are_found_as_the_server_finds_them() {
    assert!(matches!(find(b"GeT", Some(b"k")), Found::Entry(e) if e.name == "get"));
    assert!(matches!(find(b"object", Some(b"ENCODING")), Found::Entry(e) if e.name == "object encoding"));
    assert!(matches!(find(b"object", Some(b"nosuch")), Found::NoSubcommand(e) if e.name == "object"));
    assert!(matches!(find(b"object", None), Found::Entry(e) if e.name == "object"));
    for unknown in [b"object encoding".as_slice(), b"object|encoding", b"get\0", b"", b"\xff", b"g\xc3\xa9t"] {
        assert!(matches!(find(unknown, Some(b"k")), Found::Unknown));
    }
}

#[test]
fn what_reaches_beyond_a_tenant_is_refused() {
    for name in
        ["monitor", "debug", "shutdown", "config set", "migrate", "sync", "psync", "acl setuser", "script kill", "client pause", "swapdb"]
    {
        assert_eq!(entry(name).rule, Rule::Refused, "{name}");
    }
}

#[test]
fn arity_is_the_servers() {
    assert!(entry("get").takes(2) && !entry("get").takes(3) && !entry("get").takes(1));
    assert!(entry("del").takes(2) && entry("del").takes(1000) && !entry("del").takes(1));
    assert_eq!(entry("config get").full_name(), "config|get");
}

#[test]
fn what_a_server_lacks_is_refused_in_its_own_words() {
    use crate::redis::understand::lookup;
    use crate::redis::wire::Request;
    let has = ["get", "client", "client|id", "command"];
    let lacks = Lacks::new(has.iter().map(|name| name.as_bytes()));
    let said = |words: &[&str]| lookup(&Request::new(words), &lacks).map(|e| e.name).map_err(|r| String::from_utf8(r.text).unwrap());
    assert_eq!(said(&["GET", "k"]), Ok("get"));
    assert_eq!(said(&["VADD", "k", "a b"]), Err("ERR unknown command 'VADD', with args beginning with: 'k' 'a b' ".into()));
    assert_eq!(said(&["client", "no-TOUCH", "on"]), Err("ERR unknown subcommand 'no-TOUCH'. Try CLIENT HELP.".into()));
    assert_eq!(said(&["XINFO", "stream", "k"]), Err("ERR unknown command 'XINFO', with args beginning with: 'stream' 'k' ".into()));
    // What the wall answers itself, or by other commands, a server need not have.
    assert_eq!(said(&["KEYS", "*"]), Ok("keys"));
    assert_eq!(said(&["CLIENT", "LIST"]), Ok("client list"));
    // 128 bytes, the marks among them.
    let long = "x".repeat(300);
    assert_eq!(said(&["VADD", &long, "y"]), Err(format!("ERR unknown command 'VADD', with args beginning with: '{}' ", &long[..128])));
    // But what came after 7.0 it has, or not.
    assert_eq!(
        said(&["COMMANDLOG", "LEN", "slow"]),
        Err("ERR unknown command 'COMMANDLOG', with args beginning with: 'LEN' 'slow' ".into())
    );
    assert_eq!(said(&["COMMANDLOG", "NOSUCH"]), Err("ERR unknown command 'COMMANDLOG', with args beginning with: 'NOSUCH' ".into()));
    assert_eq!(said(&["CLIENT", "CAPA", "redirect"]), Err("ERR unknown subcommand 'CAPA'. Try CLIENT HELP.".into()));
    assert_eq!(said(&["CLUSTERSCAN", "0"]), Err("ERR unknown command 'CLUSTERSCAN', with args beginning with: '0' ".into()));
    assert!(!Lacks::default().has("vadd"));
}
