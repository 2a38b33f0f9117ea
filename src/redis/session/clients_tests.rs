//! CLIENT KILL by age, on servers that know of it and on others.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::redis::cases;
use crate::redis::commands::Lacks;
use crate::redis::tenant::Number;
use crate::session::Session as _;
use std::cell::Cell;

thread_local! {
    static SECONDS: Cell<u64> = const { Cell::new(0) };
}

/// What a session that has been there for 100 seconds says to its server and to its client; another came 40 seconds ago.
fn said(lacks: Lacks, command: &[&str]) -> (String, String) {
    SECONDS.set(1000);
    let mut session = Session::new(Setup { clock: || SECONDS.get() * 1_000_000, lacks: lacks.into(), ..cases::setup() });
    session.setup.peers.join(8, Number { id: 88, run: 1 }, "127.0.0.1:8".into());
    session.setup.peers.update(8, |other| other.since = 1060);
    SECONDS.set(1100);
    let (mut turn, mut input) = (Turn::default(), BytesMut::new());
    encode::command(&mut input, command);
    // It may end itself.
    session.from_client(&mut input, &mut turn).ok();
    if !turn.to_upstream.is_empty() {
        session.from_upstream(&mut BytesMut::from(":1\r\n"), &mut turn).ok();
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&turn.to_upstream), text(&turn.to_client))
}

#[test]
fn the_old_ones_are_ended() {
    let killed = |age: &str| {
        let (upstream, client) = said(Lacks::default(), &["CLIENT", "KILL", "SKIPME", "no", "MAXAGE", age]);
        (upstream.contains("\r\n88\r\n"), client)
    };
    assert_eq!(killed("40"), (true, ":2\r\n".into()));
    assert_eq!(killed("41"), (false, ":1\r\n".into()));
    assert_eq!(killed("100"), (false, ":1\r\n".into()));
    assert_eq!(killed("101"), (false, ":0\r\n".into()));
    assert_eq!(killed("9223372036854775807"), (false, ":0\r\n".into()));
}

#[test]
fn ages_are_those_that_the_server_takes() {
    let heard = |age: &str| said(Lacks::default(), &["CLIENT", "KILL", "MAXAGE", age, "ID", "8"]).1;
    assert_eq!(heard("0"), "-ERR maxage should be greater than 0\r\n");
    assert_eq!(heard("-1"), "-ERR maxage should be greater than 0\r\n");
    assert_eq!(heard("x"), "-ERR maxage is not an integer or out of range\r\n");
}

#[test]
fn a_server_that_does_not_know_of_it_says_so() {
    let listed = |more: &'static [&'static str]| {
        let all = ["client", "client|kill", "client|id"].iter().chain(more).map(|name| name.as_bytes());
        said(Lacks::new(all), &["CLIENT", "KILL", "MAXAGE", "50"]).1
    };
    assert_eq!(listed(&[]), "-ERR syntax error\r\n");
    assert_eq!(listed(&["hexpire"]), ":0\r\n");
    assert_eq!(listed(&["client|capa"]), ":0\r\n");
}
