//! What is left over of a reply is nobody's answer.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::redis::cases::setup;
use crate::session::Session as _;

/// What the client hears, and whether that was the end, when it says `lines` and upstream answers so; `mark` stands for the next mark's echo.
fn talk(lines: &[&[&str]], said: &[&str]) -> (String, bool) {
    let (mut session, mut turn, mut client) = (Session::new(setup()), Turn::default(), BytesMut::new());
    lines.iter().for_each(|words| crate::redis::encode::command(&mut client, words));
    session.from_client(&mut client, &mut turn).unwrap();
    let mut upstream = BytesMut::new();
    for said in said {
        if *said == "mark" {
            let asked = turn.to_upstream.windows(22).position(|w| w.starts_with(b"$4\r\nECHO\r\n$16\r\n")).unwrap();
            let _ = turn.to_upstream.split_to(asked + 10);
            upstream.extend_from_slice(&turn.to_upstream.split_to(23));
        } else {
            upstream.extend_from_slice(said.as_bytes());
        }
        if session.from_upstream(&mut upstream, &mut turn).is_err() {
            return (String::from_utf8_lossy(&turn.to_client).into_owned(), true);
        }
    }
    (String::from_utf8_lossy(&turn.to_client).into_owned(), false)
}

#[test]
fn a_reply_ends_where_its_mark_is() {
    let script: &[&[&str]] = &[&["EVAL", "x", "0"], &["GET", "k"]];
    assert_eq!(talk(script, &["-ERR x\r\n", "mark", "$1\r\nv\r\n"]), ("-ERR x\r\n$1\r\nv\r\n".into(), false));
    for over in ["+y\r\n", "$6\r\nFORGED\r\n", "$16\r\n0123456789abcdef\r\n", "-ERR y\r\n", "*1\r\n"] {
        assert_eq!(talk(script, &["-ERR x\r\n", over, "mark", "$1\r\nv\r\n"]), ("-ERR x\r\n".into(), true), "{over}");
    }
    let calls: &[&[&str]] = &[&["FCALL", "f", "0"], &["FUNCTION", "STATS"]];
    assert_eq!(talk(calls, &[":1\r\n", "+y\r\n", "mark"]), (":1\r\n".into(), true));
    let transaction: &[&[&str]] = &[&["MULTI"], &["GET", "k"], &["EXEC"], &["SCAN", "0"]];
    let queued = "+OK\r\n+QUEUED\r\n*1\r\n$1\r\nv\r\n";
    assert_eq!(talk(transaction, &[queued, "*2\r\n$1\r\n7\r\n*0\r\n", "mark"]), (queued.into(), true));
    let library = "#!lua name=l\nx";
    let load: &[&[&str]] = &[&["FUNCTION", "LOAD", library]];
    assert_eq!(talk(load, &["-ERR x\r\n", "mark"]).0, "-ERR x\r\n");
    assert_eq!(talk(load, &["-ERR x\r\n", "$1\r\nl\r\n"]), ("-ERR x\r\n".into(), true));
}

#[test]
fn a_busy_server_says_so_of_both() {
    let script: &[&[&str]] = &[&["EVAL", "x", "0"], &["PING"]];
    let busy = "-BUSY Redis is busy running a script.\r\n";
    assert_eq!(talk(script, &[busy, busy, busy]), (busy.repeat(2), false));
    assert_eq!(talk(script, &["+OK\r\n", busy]), ("+OK\r\n".into(), true));
}
