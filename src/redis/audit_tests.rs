//! What is told of commands, and that an operator's go on as they are.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn turn(session: &mut impl Session, input: &str) -> Turn {
    let mut turn = Turn::default();
    session.from_client(&mut BytesMut::from(input), &mut turn).unwrap();
    turn
}

#[test]
fn each_command_is_told_without_passwords() {
    let mut session = Audited::new(Unguarded::default());
    for (said, wanted) in [
        ("GET a\r\n", "GET a"),
        ("*2\r\n$3\r\nGET\r\n$3\r\na b\r\n", "GET \"a b\""),
        ("SET k \"\"\r\n", "SET k \"\""),
        ("AUTH app hush\r\n", "AUTH (…)"),
        ("HELLO 3 AUTH app hush SETNAME x\r\n", "HELLO 3 AUTH (…)"),
        ("ACL SETUSER app on >hush\r\n", "ACL SETUSER app (…)"),
        ("CONFIG SET requirepass hush\r\n", "CONFIG SET requirepass (…)"),
        ("MIGRATE h 1 k 0 5 AUTH hush\r\n", "MIGRATE h 1 k 0 5 AUTH (…)"),
    ] {
        assert_eq!(turn(&mut session, said).facts, [Fact::Audited(wanted.into())], "{said}");
    }
    let long = format!("SET k {}\r\n", "x".repeat(TEXT_BYTES));
    let mut input = BytesMut::from(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{}\r\n", long.len(), long).as_str());
    let mut turn = Turn::default();
    session.from_client(&mut input, &mut turn).unwrap();
    let [Fact::Audited(text)] = turn.facts.as_slice() else { unreachable!() };
    assert!(text.len() < TEXT_BYTES + 100, "{}", text.len());
}

#[test]
fn an_operators_commands_go_on_and_a_drain_waits_for_replies() {
    let mut session = Unguarded::default();
    let sent = turn(&mut session, "FLUSHALL\r\nGET a\r\n").to_upstream;
    assert_eq!(&sent[..], b"*1\r\n$8\r\nFLUSHALL\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    assert!(!session.at_rest());
    let mut said = Turn::default();
    session.from_upstream(&mut BytesMut::from("+OK\r\n$3\r\nab"), &mut said).unwrap();
    assert!(!session.at_rest());
    session.from_upstream(&mut BytesMut::from("c\r\n"), &mut said).unwrap();
    assert_eq!(&said.to_client[..], b"+OK\r\n$3\r\nabc\r\n");
    assert!(session.at_rest());
    turn(&mut session, "MULTI\r\n");
    session.from_upstream(&mut BytesMut::from("+OK\r\n"), &mut said).unwrap();
    assert!(!session.at_rest());
}

#[test]
fn what_waits_for_others_is_not_waited_for() {
    for (said, heard, owes) in [
        ("GET a", "", true),
        ("GET a", "$-1\r\n", false),
        ("BLPOP q 0", "", false),
        ("WAIT 1 0", "", false),
        ("GET a\r\nBLPOP q 0\r\nGET a", "", true),
        ("GET a\r\nBLPOP q 0\r\nGET a", "$-1\r\n", false),
        ("GET a\r\nBLPOP q 0\r\nGET a", "$-1\r\n*-1\r\n", true),
        ("CLIENT REPLY OFF\r\nGET a", "", false),
        ("GET a", ">1\r\n+x\r\n", false),
    ] {
        let mut session = Unguarded::default();
        let mut turn = turn(&mut session, &format!("{said}\r\n"));
        session.from_upstream(&mut BytesMut::from(heard), &mut turn).unwrap();
        assert_eq!(session.owes(), owes, "{said} {heard}");
    }
}
