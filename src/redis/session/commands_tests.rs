//! What a session is left with when upstream refuses, and when a client wants no answer.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::redis::cases::setup;
use crate::session::Session as _;
use bytes::BytesMut;

/// What the client hears when it says this, and upstream that.
fn talk(session: &mut Session, said: &[&[&str]], heard: &str) -> String {
    let (mut turn, mut client) = (Turn::default(), BytesMut::new());
    said.iter().for_each(|words| encode::command(&mut client, words));
    session.from_client(&mut client, &mut turn).unwrap();
    session.from_upstream(&mut heard.into(), &mut turn).unwrap();
    String::from_utf8(turn.to_client.to_vec()).unwrap()
}

#[test]
fn a_refused_subscription_leaves_no_mark() {
    const REFUSED: &str = "-TRYAGAIN x\r\n";
    let mut session = Session::new(setup());
    let peers = session.setup.peers.clone();
    for command in ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"] {
        assert_eq!(talk(&mut session, &[&[command, "a", "b"]], REFUSED), REFUSED);
        assert_eq!(talk(&mut session, &[&["GET", "a"]], "$-1\r\n"), "$-1\r\n", "{command}");
        assert!(peers.patterns() == 0 && !peers.contains(|_, member| member.listens()));
    }
    // What was there before stays.
    let confirmed = "*3\r\n$9\r\nsubscribe\r\n$6\r\nacme:a\r\n:1\r\n";
    assert!(talk(&mut session, &[&["SUBSCRIBE", "a"]], confirmed).contains("$1\r\na\r\n"));
    assert_eq!(talk(&mut session, &[&["SUBSCRIBE", "a", "b"]], REFUSED), REFUSED);
    assert!(peers.contains(|_, member| member.channels == 1) && session.subscriptions.len() == 1);
}

#[test]
fn reset_is_silent_where_its_answer_is_not_wanted() {
    let done = "+OK\r\n".repeat(3);
    let silent: &[&[&str]] = &[&["CLIENT", "REPLY", "SKIP"], &["RESET"], &["GET", "a"]];
    assert_eq!(talk(&mut Session::new(setup()), silent, &format!("{done}$-1\r\n")), "$-1\r\n");
    let off: &[&[&str]] = &[&["CLIENT", "REPLY", "OFF"], &["GET", "a"], &["RESET"], &["GET", "a"]];
    assert_eq!(talk(&mut Session::new(setup()), off, &format!("$-1\r\n{done}$-1\r\n")), "+RESET\r\n$-1\r\n");
}

#[test]
fn before_a_cluster_there_is_one_database() {
    let mut session = Session::new(super::super::Setup { cluster: true, ..setup() });
    assert_eq!(talk(&mut session, &[&["SELECT", "0"]], "+OK\r\n"), "+OK\r\n");
    assert_eq!(talk(&mut session, &[&["SELECT", "3"]], ""), "-ERR SELECT is not allowed in cluster mode\r\n");
}

#[test]
fn what_only_some_servers_know_of_a_client_is_answered_for_a_server_of_its_own() {
    let mut session = Session::new(setup());
    for (command, heard) in [
        (["CLIENT", "CAPA", "redirect"], "+OK\r\n"),
        (["CLIENT", "IMPORT-SOURCE", "on"], "-ERR Server is not in import mode\r\n"),
        (["CLIENT", "IMPORT-SOURCE", "x"], "-ERR Server is not in import mode\r\n"),
        (["CLIENT", "IMPORT-SOURCE", "OFF"], "+OK\r\n"),
        (["COMMANDLOG", "LEN", "slow"], ":0\r\n"),
    ] {
        assert_eq!(talk(&mut session, &[&command], ""), heard, "{command:?}");
    }
}
