//! Who names connections by the server's numbers knows first which server hears it.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::redis::cases::setup;
use crate::redis::session::Setup;
use crate::session::Session as _;
use bytes::BytesMut;
use std::sync::Arc;

const PING: &str = "*1\r\n$4\r\nPING\r\n";

/// What the client says, and what goes upstream.
fn say(session: &mut Session, turn: &mut Turn, commands: &[&[&str]]) -> String {
    let mut client = BytesMut::new();
    commands.iter().for_each(|words| encode::command(&mut client, words));
    session.from_client(&mut client, turn).unwrap();
    String::from_utf8(turn.to_upstream.split().to_vec()).unwrap()
}

fn hear(session: &mut Session, turn: &mut Turn, said: &str) -> String {
    session.from_upstream(&mut said.into(), turn).unwrap();
    String::from_utf8(turn.to_upstream.split().to_vec()).unwrap()
}

#[test]
fn a_connection_of_ones_own_is_open_before_others_are_named() {
    let (line, number) = (Arc::<Line>::default(), |id, run| Number { id, run });
    let mut session = Session::new(Setup { id: 7, line: Some(line.clone()), upstream: Number::default(), ..setup() });
    let (mut turn, peers) = (Turn::default(), session.setup.peers.clone());
    for (id, upstream) in [(8, number(88, 1)), (9, number(99, 2))] {
        peers.join(id, upstream, String::new());
    }
    let unblock = |id| [["CLIENT", "UNBLOCK", id]];
    for (run, mine, others) in [(1, "8", "9"), (2, "9", "8")] {
        assert_eq!(say(&mut session, &mut turn, &unblock(mine).each_ref().map(|words| words.as_slice())), PING);
        assert!(line.is_own());
        // The lane has opened it.
        peers.update(7, |me| me.upstream = number(70, run));
        assert!(hear(&mut session, &mut turn, "+PONG\r\n").contains(if run == 1 { "\r\n88\r\n" } else { "\r\n99\r\n" }));
        assert_eq!(hear(&mut session, &mut turn, ":1\r\n"), "");
        assert_eq!(turn.to_client.split(), ":1\r\n");
        // It is left, and its number with it.
        assert!(!line.is_own() && !peers.is_numbered(7));
        assert_eq!(say(&mut session, &mut turn, &unblock(others).each_ref().map(|words| words.as_slice())), PING);
        peers.update(7, |me| me.upstream = number(71, run));
        assert_eq!(hear(&mut session, &mut turn, "+PONG\r\n"), "");
        assert_eq!(turn.to_client.split(), ":0\r\n");
    }
}

#[test]
fn nobody_is_named_while_the_connection_is_being_opened() {
    let line = Arc::<Line>::default();
    let mut session = Session::new(Setup { id: 7, line: Some(line.clone()), upstream: Number::default(), ..setup() });
    let (mut turn, peers) = (Turn::default(), session.setup.peers.clone());
    peers.join(8, Number { id: 88, run: 1 }, String::new());
    let sent = say(&mut session, &mut turn, &[&["SELECT", "1"], &["CLIENT", "TRACKING", "ON", "REDIRECT", "8"]]);
    assert_eq!(sent, "*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n");
    peers.update(7, |me| me.upstream = Number { id: 70, run: 2 });
    assert_eq!(hear(&mut session, &mut turn, "+OK\r\n"), "");
    assert_eq!(turn.to_client.split(), "+OK\r\n-ERR The client ID you want redirect to does not exist\r\n");
}
