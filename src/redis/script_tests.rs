//! What a script may call, how its commands are written, and whose it is. What the wrapper holds is tested against a server.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::redis::commands::{Found, find};

fn setup(version: &str) -> Setup {
    Setup { version: version.into(), ..crate::redis::cases::setup() }
}

fn ask(setup: &Setup, args: &[&str]) -> Result<String, String> {
    let Found::Entry(entry) = find(args[0].as_bytes(), args.get(1).map(|a| a.as_bytes())) else { unreachable!() };
    let mut out = BytesMut::new();
    match command(entry, &Request::new(args), setup, &mut out) {
        Ok(Scripted::Sent) => Ok(String::from_utf8(out.to_vec()).unwrap()),
        Ok(Scripted::Answer(words)) => Ok(String::from_utf8(words.to_vec()).unwrap()),
        Err(refusal) => Err(String::from_utf8(refusal.text).unwrap()),
    }
}

#[test]
fn keys_and_the_text_travel_as_arguments() {
    let setup = setup("7.0.15");
    let sent = ask(&setup, &["EVAL", "return 1", "1", "k", "a"]).unwrap();
    let sha = sha1::hex(b"return 1");
    let tail = format!("$1\r\n1\r\n$6\r\nacme:k\r\n$5\r\nacme:\r\n$5\r\nacme:\r\n$8\r\nreturn 1\r\n$40\r\n{sha}\r\n");
    let chance = |sent: &str| sent.split(&tail).nth(1).and_then(|rest| rest.split("\r\n").nth(1)?.parse::<u64>().ok()).unwrap();
    assert!(sent.starts_with("*11\r\n$4\r\nEVAL\r\n") && sent.ends_with("\r\n$1\r\n1\r\n$1\r\na\r\n"), "{sent}");
    // What a run draws from begins with its own number.
    let again = ask(&setup, &["EVAL", "return 1", "1", "k", "a"]).unwrap();
    assert!(chance(&sent) < 1 << 48 && chance(&again) < 1 << 48 && chance(&sent) != chance(&again));
    // The name in upper case is the same script.
    let sent = ask(&setup, &["EVALSHA", &sha.to_uppercase(), "0"]).unwrap();
    assert!(sent.starts_with(&format!("*9\r\n$7\r\nEVALSHA\r\n$40\r\n{}\r\n$1\r\n0\r\n", wrapper(None).1)), "{sent}");
}

#[test]
fn flags_stand_before_the_wrapper_and_not_before_the_text() {
    let setup = setup("7.0.15");
    let text = "#!lua flags=allow-oom,no-writes flags=no-writes\nreturn 1";
    let sent = ask(&setup, &["EVAL", text, "0"]).unwrap();
    assert!(sent.contains("\r\n#!lua flags=no-writes,allow-oom\n-- Before core.lua"), "{}", &sent[..200]);
    let tail = format!("$9\r\n\nreturn 1\r\n$40\r\n{}\r\n", sha1::hex(text.as_bytes()));
    assert!(sent.contains(&tail) && sent.ends_with("\r\n$1\r\n0\r\n"), "{}", &sent[sent.len() - 200..]);
    let bare = ask(&setup, &["EVAL", "#!lua\nreturn 1", "0"]).unwrap();
    assert!(bare.contains("\r\n#!lua\n-- Before core.lua"));
    let first = wrapper(Some(3));
    assert!(sent.contains(&first.0) && first.1 != wrapper(None).1 && first.1 != wrapper(Some(0)).1);
    let sent = ask(&setup, &["EVALSHA_RO", &sha1::hex(text.as_bytes()), "0"]).unwrap();
    assert!(sent.starts_with(&format!("*9\r\n$10\r\nEVALSHA_RO\r\n$40\r\n{}\r\n", first.1)), "{}", &sent[..100]);
    // What the server would not keep is not kept.
    assert!(ask(&setup, &["EVAL", "#!perl\n", "0"]).is_err() && setup.peers.scripts.text(sha1::hex(b"#!perl\n").as_bytes()).is_none());
}

#[test]
fn scripts_are_the_tenants_own() {
    let (mine, other) = (setup("7.0.15"), setup("7.0.15"));
    let sha = mine.peers.scripts.keep(b"return 1");
    let exists = |setup: &Setup| ask(setup, &["SCRIPT", "EXISTS", &sha]).unwrap();
    assert_eq!((exists(&mine).as_str(), exists(&other).as_str()), ("*1\r\n:1\r\n", "*1\r\n:0\r\n"));
    assert_eq!(ask(&other, &["EVALSHA", &sha, "0"]), Err("NOSCRIPT No matching script. Please use EVAL.".into()));
    assert_eq!(ask(&mine, &["SCRIPT", "SHOW", &sha.to_uppercase()]), Ok("$8\r\nreturn 1\r\n".into()));
    assert_eq!(ask(&other, &["SCRIPT", "SHOW", &sha]), Err("NOSCRIPT No matching script.".into()));
    assert_eq!(ask(&mine, &["SCRIPT", "FLUSH", "ASYNC"]), Ok("+OK\r\n".into()));
    assert_eq!(exists(&mine), "*1\r\n:0\r\n");
}

#[test]
fn what_is_kept_is_bounded() {
    let scripts = Scripts::default();
    let first = scripts.keep(b"first");
    for n in 0..KEPT_MAX {
        scripts.keep(format!("return {n}").as_bytes());
    }
    assert!(scripts.text(first.as_bytes()).is_none() && scripts.0.lock().unwrap().texts.len() == KEPT_MAX);
    for n in 0..20 {
        scripts.keep(&vec![n; 1 << 20]);
    }
    assert!(scripts.0.lock().unwrap().bytes <= KEPT_MAX_BYTES);
}

#[test]
fn refusals_are_the_servers() {
    let good = setup("7.0.15");
    for (args, words) in [
        (vec!["EVAL", "x", "-1", "k"], "ERR Number of keys can't be negative"),
        (vec!["EVAL", "x", "99", "k"], "ERR Number of keys can't be greater than number of args"),
        (vec!["EVAL", "x", "01", "k"], "ERR value is not an integer or out of range"),
        (vec!["EVAL", "#!lua", "0"], "ERR Invalid script shebang"),
        (vec!["EVAL", "#!lua \"\nreturn 1", "0"], "ERR Invalid engine in script shebang"),
        (vec!["EVAL", "#!perl\nreturn 1", "0"], "ERR Unexpected engine in script shebang: #!perl"),
        (vec!["EVAL", "#!lua name=x\nreturn 1", "0"], "ERR Unknown lua shebang option: name=x"),
        (vec!["EVAL", "#!lua flags=no-writes,x\nreturn 1", "0"], "ERR Unexpected flag in script shebang: x"),
        (vec!["EVAL", "#!lua flags=no-writes,\nreturn 1", "0"], "ERR Unexpected flag in script shebang: "),
        (vec!["EVAL", "#!lua flags=\0\nreturn 1", "0"], "ERR Invalid script shebang"),
        (vec!["SCRIPT", "FLUSH", "x"], "ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
    ] {
        assert_eq!(ask(&good, &args), Err(words.into()), "{args:?}");
    }
    assert_eq!(ask(&setup("6.2.14"), &["EVAL", "x", "0"]), Err("NOPERM this user has no permissions to run the 'eval' command".into()));
}

/// `core.lua` refuses a rule that it does not know; here none is.
#[test]
fn every_rule_is_one_that_the_wrapper_knows() {
    let known = |spec: &str| {
        let numbers: Vec<&str> = spec.split(':').collect();
        let range = numbers.len() == 3 && numbers.iter().all(|n| n.parse::<i32>().is_ok());
        range
            || spec.strip_prefix('#').is_some_and(|n| n.split('/').all(|n| n.parse::<u32>().is_ok()))
            || ["own", "none", "whole", "!", "container"].contains(&spec)
    };
    let text = &wrapper(None).0;
    let commands = text.split("local COMMANDS = '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    let mut seen = 0;
    for entry in commands.split_whitespace() {
        let rule = entry.split_once('=').unwrap().1;
        let (arity, rule) = rule.split_once(',').unwrap_or(("0", rule));
        let rule = rule.strip_prefix("7.2?").unwrap_or(rule);
        assert!(arity.parse::<i64>().is_ok(), "{entry}");
        let (places, shape) = rule.split_once('>').unwrap_or((rule, "first"));
        assert!(places.split(';').all(known) && ["first", "streams", "facts"].contains(&shape), "{entry}");
        seen += 1;
    }
    assert_eq!(seen, all().count());
}

#[test]
fn a_script_may_call_what_stays_within_the_tenant() {
    let text = &wrapper(None).0;
    for line in [
        " get=2,1:0:1 ",
        " mset=-3,1:-1:2 ",
        " zunionstore=-4,1:0:1;#2 ",
        " lmpop=-4,#1>first ",
        " msetex=-4,#1/2 ",
        " sort=-2,own ",
        " xread=-4,own>streams ",
        " object|encoding=3,2:0:1 ",
        " select=2,none ",
        " keys=2,whole ",
        // At once; what 7.0 refuses there only since 7.2.
        " blmpop=-5,#2>first ",
        " blpop=-3,7.2?1:-2:1>first ",
        " blmove=6,7.2?1:0:1;2:0:1 ",
        " wait=3,7.2?none ",
        " waitaof=4,none ",
    ] {
        assert!(text.contains(line), "{line}");
    }
    for name in
        ["eval", "monitor", "config|get", "flushall", "subscribe", "multi", "watch", "migrate", "script|load", "client|list", "debug"]
    {
        let line = text.split(&format!(" {name}=")).nth(1).and_then(|rest| rest.split(' ').next());
        assert!(line.is_some_and(|rule| rule.ends_with(",!")), "{name}");
    }
    assert!(text.contains(" vinfo=-1,1:0:1>facts ") && text.contains(" attributes-count ") && !text.contains("vset-uid"));
    assert!(!text.contains("@FACTS@") && !text.contains("@COMMANDS@") && !text.contains("' ..\n    '@"));
}
