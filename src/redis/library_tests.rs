//! How a library goes upstream and comes back, and what its text can do to that. What runs in it is tested against a server.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::text::{CODE_MAX_BYTES, Function, unwrapped, wrapped};
use super::*;
use crate::redis::cases::{names, setup};
use crate::redis::commands::{Found, find};

/// `pw`, the prefix in hexadecimal, `v`, the version, `_`.
fn own() -> String {
    format!("pw61636d653av{}_", version())
}

fn ask<A: AsRef<[u8]>>(args: &[A]) -> Result<(String, Functional), String> {
    let request = Request::new(args);
    let Found::Entry(entry) = find(request.arg(0), Some(request.arg(1))) else { unreachable!() };
    let mut out = BytesMut::new();
    let said = command(entry, &request, &setup(), &mut out).map_err(|refusal| String::from_utf8(refusal.text).unwrap())?;
    let mut words = Vec::new();
    let mut scanner = crate::redis::wire::Scanner::default();
    while let Some(sent) = scanner.scan(&mut out, &crate::redis::wire::Limits::TENANT).unwrap() {
        words.extend(sent.iter().map(|word| String::from_utf8_lossy(word).into_owned()));
    }
    Ok((words.join(" "), said))
}

fn sent(args: &[&str]) -> String {
    ask(args).unwrap().0
}

#[test]
fn names_and_keys_are_the_tenants_own() {
    let own = own();
    assert_eq!(sent(&["FCALL", "f", "1", "k", "a"]), format!("FCALL {own}f 1 acme:k a"));
    assert_eq!(sent(&["fcall_ro", "f", "0", "a"]), format!("fcall_ro {own}f 0 a"));
    assert_eq!(sent(&["FUNCTION", "DELETE", "x*"]), format!("FUNCTION DELETE {own}x*"));
    assert_eq!(sent(&["FUNCTION", "LIST"]), format!("FUNCTION LIST LIBRARYNAME {own}*"));
    assert_eq!(sent(&["function", "list", "withcode", "libraryname", "a*"]), format!("FUNCTION LIST LIBRARYNAME {own}a* WITHCODE"));
}

#[test]
fn errors_name_the_tenants_own() {
    let own = own();
    let said = |line: &str| String::from_utf8(names().unquote(line.as_bytes(), &[Bytes::from_static(b"f")])).unwrap();
    assert_eq!(said(&format!("-ERR Function {own}f already exists\r\n")), "-ERR Function f already exists\r\n");
    assert_eq!(said(&format!("-ERR Library '{own}l' already exists\r\n")), "-ERR Library 'l' already exists\r\n");
    let killed = format!("-ERR Script killed by user with FUNCTION KILL. script: {own}f, on @user_function:506.\r\n");
    assert_eq!(said(&killed), "-ERR Script killed by user with FUNCTION KILL. script: f, on @user_function:506.\r\n");
    assert!(!ask(&["FCALL", "f", "0"]).map(|(_, said)| matches!(said, Functional::Sent(reply) if reply.quotes.is_empty())).unwrap());
}

#[test]
fn a_count_that_is_none_leaves_no_keys() {
    let own = own();
    for (count, words) in [("x", "x"), (" 1", "x"), ("+1", "x"), ("01", "x"), ("-5", "-1"), ("3", "1"), ("9223372036854775808", "x")] {
        assert_eq!(sent(&["FCALL", "f", count, "a", "b"]), format!("FCALL {own}f {words}"), "{count}");
    }
}

#[test]
fn refusals_are_the_servers() {
    let code = |text: &'static str| vec!["FUNCTION", "LOAD", text];
    for (args, words) in [
        (code("return 1"), "ERR Missing library metadata"),
        (code("#!lua name=x"), "ERR Invalid library metadata"),
        (code("#!lua \0name=x\n"), "ERR Invalid library metadata"),
        (code("#!lua name=\"x\n"), "ERR Invalid library metadata"),
        (code("#!lua\n"), "ERR Library name was not given"),
        (code("#!lua name=a name=b\n"), "ERR Invalid metadata value, name argument was given multiple times"),
        (code("#!lua name=a foo=b\n"), "ERR Invalid metadata value given: foo=b"),
        (
            code("#!lua name=a-b\n"),
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            code("#!lua name=\n"),
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (code("#!js name=a\n"), "ERR Engine 'js' not found"),
        (vec!["FUNCTION", "LOAD", "x", "#!lua name=a\n"], "ERR Unknown option given: x"),
        (vec!["FUNCTION", "LIST", "x"], "ERR Unknown argument x"),
        (vec!["FUNCTION", "LIST", "LIBRARYNAME"], "ERR library name argument was not given"),
        (vec!["FUNCTION", "FLUSH", "x"], "ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
        (vec!["FUNCTION", "RESTORE", "x"], "NOPERM this user has no permissions to run the 'function|restore' command"),
    ] {
        assert_eq!(ask(&args).map(|_| ()), Err(words.into()), "{args:?}");
    }
    assert!(ask(&["FUNCTION", "LOAD", &format!("#!lua name=a\n{}", "x".repeat(CODE_MAX_BYTES))]).is_err());
}

fn load(code: &[u8]) -> Errand {
    match ask(&[b"FUNCTION".as_slice(), b"LOAD", b"REPLACE", code]).unwrap().1 {
        Functional::Errand(errand) => errand,
        other => unreachable!("{other:?}"),
    }
}

fn answer(errand: &mut Errand, reply: &str) -> Option<String> {
    errand.scratch().extend_from_slice(reply.as_bytes());
    match errand.step(&setup(), encode::Resp::Two) {
        Progress::More => None,
        Progress::Done(words) => Some(String::from_utf8_lossy(&words).into_owned()),
    }
}

fn asks(errand: &mut Errand) -> String {
    let mut out = BytesMut::new();
    errand.ask(&setup(), &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn a_library_is_looked_at_and_then_wrapped() {
    let own = own();
    let code = b"#!lua name=lib\nredis.register_function('f', function() return 'x' end)";
    let mut errand = load(code);
    let first = asks(&mut errand);
    assert!(first.contains("#!lua flags=no-writes\n") && first.contains("\nredis.register_function('f', function() return 'x' end)\r\n"));
    assert_eq!(answer(&mut errand, "*1\r\n*3\r\n$1\r\nf\r\n$2\r\na'\r\n$9\r\nno-writes\r\n"), None);
    let second = asks(&mut errand);
    let ends = format!(
        "redis.register_function{{function_name='{own}f',callback=function(keys, args) return invoke('f', keys, args) end,\
         flags={{'no-writes',}},description='a\\039'}}\n\r\n"
    );
    assert!(
        second.contains("$7\r\nREPLACE\r\n") && second.contains(&format!("#!lua name={own}lib\nlocal CODE='")) && second.ends_with(&ends)
    );
    assert_eq!(errand.awaits().shape, Shape::Library);
    assert_eq!(answer(&mut errand, "$3\r\nlib\r\n"), None);
    assert!(asks(&mut errand).contains("LIBRARYNAME"));
    assert_eq!(answer(&mut errand, "*0\r\n").as_deref(), Some("$3\r\nlib\r\n"));
}

#[test]
fn a_function_that_runs_is_told_in_the_clients_own_words() {
    let counted = "$7\r\nengines\r\n*2\r\n$3\r\nLUA\r\n*4\r\n$15\r\nlibraries_count\r\n:0\r\n$15\r\nfunctions_count\r\n:0\r\n";
    let running = |name: &str| {
        let words: String = ["FCALL", name, "1", "acme:k", "acme:v"].iter().map(|w| format!("${}\r\n{w}\r\n", w.len())).collect();
        format!(
            "*4\r\n$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n${}\r\n{name}\r\n$7\r\ncommand\r\n*5\r\n{words}\
             $11\r\nduration_ms\r\n:6000\r\n$7\r\nengines\r\n*0\r\n",
            name.len()
        )
    };
    let said = |stats: &str| {
        let Functional::Errand(mut errand) = ask(&["FUNCTION", "STATS"]).unwrap().1 else { unreachable!() };
        assert!(asks(&mut errand).contains("STATS"));
        if let Some(said) = answer(&mut errand, stats) {
            return said;
        }
        assert!(asks(&mut errand).contains("LIST"));
        answer(&mut errand, "-BUSY Redis is busy running a script.\r\n").unwrap()
    };
    let own = "*4\r\n$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n$1\r\nf\r\n$7\r\ncommand\r\n*5\r\n$5\r\nFCALL\r\n$1\r\nf\r\n$1\r\n1\r\n\
               $1\r\nk\r\n$6\r\nacme:v\r\n$11\r\nduration_ms\r\n:6000\r\n";
    assert_eq!(said(&running(&format!("{}f", self::own()))), format!("{own}{counted}"));
    // Another tenant's is nobody's business.
    assert_eq!(said(&running("pw61636d653b_f")), format!("*4\r\n$14\r\nrunning_script\r\n$-1\r\n{counted}"));
    // The server itself says so of a script.
    assert!(said("-BUSY Redis is busy running a script.\r\n").starts_with("-BUSY"));
}

#[test]
fn what_a_library_says_of_itself_is_looked_over() {
    for reply in [
        "*0\r\n",
        ":1\r\n",
        "$1\r\nf\r\n",
        "*1\r\n*1\r\n$1\r\nf\r\n",
        "*1\r\n*2\r\n$0\r\n\r\n$-1\r\n",
        "*1\r\n*2\r\n$3\r\na'b\r\n$-1\r\n",
        "*1\r\n*2\r\n$3\r\na\nb\r\n$-1\r\n",
        "*1\r\n*3\r\n$1\r\nf\r\n$-1\r\n$3\r\nx'}\r\n",
        "*1\r\n*3\r\n$1\r\nf\r\n$-1\r\n:1\r\n",
    ] {
        let mut errand = load(b"#!lua name=lib\n");
        let said = answer(&mut errand, reply).unwrap();
        assert!(said.starts_with("-ERR Error registering functions"), "{reply:?} {said}");
    }
    let mut errand = load(b"#!lua name=lib\n");
    assert_eq!(answer(&mut errand, "-ERR Error compiling function: x\r\n").unwrap(), "-ERR Error compiling function: x\r\n");
}

#[test]
fn any_text_stays_within_its_string_and_comes_back() {
    let mut every: Vec<u8> = b"#!lua name=x\n".to_vec();
    every.extend(0..=255);
    every.extend_from_slice(b"]]--'\"\\' end\nredis.register_function{} 012");
    let functions = [Function { name: "f".into(), description: Some(Bytes::from(every.clone())), flags: Vec::new() }];
    let library = wrapped(&names(), "x", &every, &functions);
    assert_eq!(unwrapped(&library).unwrap(), every);
    // Behind CODE's first quote the next one ends it, and the line with it.
    let line = library.split(|b| *b == b'\n').nth(1).unwrap();
    assert_eq!(line.iter().filter(|b| **b == b'\'').count(), 2);
    assert!(line.iter().all(|b| b.is_ascii_graphic() || *b == b' '));
    for none in [
        b"".as_slice(),
        b"#!lua name=x\n",
        b"#!lua name=x\nlocal CODE='a\\99",
        b"#!lua name=x\nlocal CODE='a\\999'",
        b"#!lua name=x\nlocal CODE='a",
    ] {
        assert_eq!(unwrapped(none), None);
    }
}

#[test]
fn flush_deletes_one_after_another() {
    let own = own();
    let Functional::Errand(mut errand) = ask(&["FUNCTION", "FLUSH"]).unwrap().1 else { unreachable!() };
    assert!(asks(&mut errand).contains("pw61636d653a[_v]*"));
    let library = |name: &str| format!("*2\r\n$12\r\nlibrary_name\r\n${}\r\n{name}\r\n", name.len());
    // Those of other versions, too, and none of somebody else.
    let list = ["pw61636d653a_old", "pw61636d653b_x", &format!("{own}a"), &format!("{own}b")].map(library).concat();
    assert_eq!(answer(&mut errand, &format!("*4\r\n{list}")), None);
    assert!(asks(&mut errand).contains(&format!("{own}b\r\n")));
    assert_eq!(answer(&mut errand, "+OK\r\n"), None);
    assert!(asks(&mut errand).contains(&format!("{own}a\r\n")));
    // Somebody else was faster.
    assert_eq!(answer(&mut errand, "-ERR Library not found\r\n"), None);
    assert!(asks(&mut errand).contains("pw61636d653a_old\r\n"));
    assert_eq!(answer(&mut errand, "+OK\r\n").as_deref(), Some("+OK\r\n"));
}

#[test]
fn only_an_own_function_is_killed() {
    for (running, own) in [("pw61636d653a_f", true), ("pw61636d653b_f", false), ("f", false)] {
        let Functional::Errand(mut errand) = ask(&["FUNCTION", "KILL"]).unwrap().1 else { unreachable!() };
        assert!(asks(&mut errand).contains("STATS"));
        let stats = format!("*2\r\n$14\r\nrunning_script\r\n*2\r\n$4\r\nname\r\n${}\r\n{running}\r\n", running.len());
        let said = answer(&mut errand, &stats);
        assert_eq!(said.is_none(), own, "{running} {said:?}");
        if own {
            assert!(asks(&mut errand).contains("KILL"));
        }
    }
    // None runs; or one that it cannot end keeps the server busy, which it tells everybody.
    for (stats, told) in [
        ("*4\r\n$14\r\nrunning_script\r\n*-1\r\n$7\r\nengines\r\n*0\r\n", "-NOTBUSY No scripts in execution right now.\r\n"),
        ("-BUSY Redis is busy\r\n", "-BUSY Redis is busy\r\n"),
    ] {
        let Functional::Errand(mut errand) = ask(&["FUNCTION", "KILL"]).unwrap().1 else { unreachable!() };
        asks(&mut errand);
        assert_eq!(answer(&mut errand, stats).as_deref(), Some(told));
    }
}
