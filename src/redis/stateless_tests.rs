//! What may share a connection: nothing that leaves something there, or waits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::redis::commands::all;

fn words(text: &str) -> Vec<&[u8]> {
    text.split(' ').map(str::as_bytes).collect()
}

#[test]
fn what_keeps_state_or_waits_may_not_share() {
    let held = "MULTI|EXEC|DISCARD|WATCH a|SELECT 0|SELECT 1|SUBSCRIBE c|UNSUBSCRIBE|PSUBSCRIBE c*|SSUBSCRIBE c|HELLO 3|AUTH x|RESET|QUIT|MONITOR|\
        CLIENT REPLY OFF|CLIENT TRACKING ON|CLIENT CACHING YES|CLIENT NO-TOUCH ON|CLIENT NO-EVICT ON|CLIENT SETNAME x|CLIENT KILL ID 1|\
        CLIENT PAUSE 1|CLIENT INFO|BLPOP a 0|BRPOPLPUSH a b 0|BLMOVE a b LEFT LEFT 0|BZPOPMIN a 0|BLMPOP 0 1 a LEFT|BZMPOP 0 1 a MIN|WAIT 1 0|\
        WAITAOF 1 0 0|XREAD BLOCK 0 STREAMS a $|XREAD COUNT 1 block 0 STREAMS a $|XREADGROUP GROUP g c BLOCK 0 STREAMS a >|SYNC|PSYNC a 1|\
        FUNCTION LOAD x|SCRIPT KILL|SCRIPT DEBUG YES|ASKING|READONLY|CLUSTER RESET|MIGRATE h 1 k 0 1|SHUTDOWN|DEBUG SLEEP 1|FLUSHALL|\
        SWAPDB 0 1|REPLICAOF NO ONE|CONFIG SET a b|NOSUCH|FAILOVER";
    for command in held.split('|') {
        assert!(!may_share(&words(command.trim_start())), "{command}");
    }
    let free = "GET a|set a b|MGET a b|DEL a|EVAL x 0|EVALSHA x 0|XREAD STREAMS a $|XREAD COUNT 1 STREAMS a 0|PUBLISH c m|SCAN 0|UNLINK a|PING|\
        ECHO x|LPOP a|XREADGROUP GROUP g c STREAMS a >|OBJECT ENCODING a|COMMAND|COMMAND DOCS|TIME|PUBSUB CHANNELS|SORT a|HGETALL h";
    for command in free.split('|') {
        assert!(may_share(&words(command.trim_start())), "{command}");
    }
}

#[test]
fn a_blocking_command_shares_only_as_xread_without_its_option() {
    for entry in all().filter(|entry| entry.flags.contains(&"blocking") && !entry.name.starts_with("xread")) {
        assert_eq!(need(entry, [b"x".as_slice(); 4].into_iter()), Need::Own, "{}", entry.name);
    }
    for entry in all().filter(|entry| entry.flags.contains(&"no_multi") || entry.flags.contains(&"pubsub")) {
        let publishes = entry.name.contains("publish") || entry.name.starts_with("pubsub");
        let refused = matches!(entry.rule, Rule::Refused | Rule::NoCluster);
        let parts: Vec<&[u8]> = entry.name.split(' ').map(str::as_bytes).collect();
        assert!(publishes || refused || !may_share(&parts), "{}", entry.name);
    }
}

#[test]
fn stains_are_known() {
    let stain_of = |text: &str| {
        let words = words(text);
        let Found::Entry(entry) = find(words[0], words.get(1).copied()) else { panic!("{text}") };
        stain(entry, words.into_iter())
    };
    assert_eq!(stain_of("watch a"), Stain::Watch);
    assert_eq!(stain_of("unwatch"), Stain::Unwatch);
    for lasting in ["select 1", "select 00", "client tracking on", "client caching yes", "client no-touch on"] {
        assert_eq!(stain_of(lasting), Stain::Lasting, "{lasting}");
    }
    assert_eq!(stain_of("select 0"), Stain::None);
    assert_eq!(stain_of("get a"), Stain::None);
}

#[test]
fn reads_are_known() {
    let words = |text: &'static str| text.split(' ').map(str::as_bytes).collect::<Vec<_>>();
    for read in ["GET k", "MGET a b", "HGETALL k", "SORT_RO l", "XREAD STREAMS s 0", "ZRANGE z 0 -1", "OBJECT ENCODING k", "SINTERCARD 1 k"]
    {
        assert!(may_read(&words(read)), "{read}");
    }
    for other in [
        "SET k v",
        "GETDEL k",
        "GETEX k",
        "SORT l",
        "XREAD BLOCK 1 STREAMS s 0",
        "KEYS *",
        "SCAN 0",
        "DBSIZE",
        "EVAL x 0",
        "EVAL_RO x 0",
        "PING",
        "PUBLISH c m",
        "WATCH k",
        "MULTI",
        "BLPOP k 0",
        "XREADGROUP GROUP g c STREAMS s >",
        "GEORADIUS k 0 0 1 m",
        "RANDOMKEY",
        "NOSUCH",
        "SELECT 0",
    ] {
        assert!(!may_read(&words(other)), "{other}");
    }
}
