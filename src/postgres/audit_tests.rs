//! What is told of an operator's messages, and when its conversation is at rest.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::postgres::encode;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::message(&mut out, tag, |b| {
        b.extend_from_slice(body);
        Ok(())
    })
    .unwrap();
    out.to_vec()
}

fn told(turn: &mut Turn) -> Vec<String> {
    let text = |fact| if let Fact::Audited(text) = fact { text.to_string() } else { String::new() };
    turn.facts.drain(..).map(text).collect()
}

#[test]
fn each_run_is_told_with_its_text_and_goes_on_as_it_is() {
    let sent = [
        message(b'Q', b"DROP TABLE a\0"),
        message(b'P', b"s\0SELECT $1\0\0\0"),
        message(b'B', b"p\0s\0\0\0\0\0\0\0"),
        message(b'E', b"p\0\0\0\0\0"),
        message(b'E', b"p\0\0\0\0\0"),
        message(b'E', b"other\0\0\0\0\0"),
        message(b'S', b""),
    ]
    .concat();
    // At once and byte by byte.
    for step in [sent.len(), 1] {
        let (mut session, mut turn, mut input) = (Audited::new(Unguarded::default()), Turn::default(), BytesMut::new());
        for part in sent.chunks(step) {
            input.extend_from_slice(part);
            session.from_client(&mut input, &mut turn).unwrap();
        }
        assert_eq!(turn.to_upstream, sent);
        assert_eq!(told(&mut turn), ["DROP TABLE a", "SELECT $1", "SELECT $1", "(a cursor)"]);
        assert!(!session.at_rest());
        let back = [message(b'Z', b"I"), message(b'D', b"\0\0"), message(b'Z', b"T")].concat();
        let mut input = BytesMut::new();
        for part in back.chunks(step) {
            input.extend_from_slice(part);
            session.from_upstream(&mut input, &mut turn).unwrap();
        }
        assert_eq!(turn.to_client, back);
        assert!(!session.owes() && !session.at_rest(), "a transaction is open");
        session.from_upstream(&mut BytesMut::from(&message(b'Z', b"I")[..]), &mut turn).unwrap();
        assert!(session.at_rest());
    }
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let text = cut(&"ä".repeat(TEXT_BYTES));
    assert!(text.len() < TEXT_BYTES + 40 && text.ends_with("bytes)"));
}

#[test]
fn rows_that_do_not_come_are_not_waited_for() {
    let (mut session, mut turn) = (Unguarded::default(), Turn::default());
    // What the client says, what upstream says, and whether an answer is to come.
    for (said, heard, owes) in [
        ((b'Q', b"COPY a FROM STDIN\0".as_slice()), None, true),
        ((b'd', b"x\n"), Some((b'G', b"\0\0\0".as_slice())), false),
        ((b'c', b""), None, true),
        ((b'd', b""), Some((b'C', b"COPY 1\0")), true),
        ((b'd', b""), Some((b'Z', b"I")), false),
        // Two in one text.
        ((b'Q', b"COPY a FROM STDIN; COPY b FROM STDIN\0"), Some((b'G', b"\0\0\0")), false),
        ((b'c', b""), Some((b'C', b"COPY 1\0")), true),
        ((b'd', b""), Some((b'G', b"\0\0\0")), false),
        ((b'c', b""), Some((b'Z', b"I")), false),
        // All at once.
        ((b'Q', b"COPY a FROM STDIN\0"), None, true),
        ((b'f', b"\0"), Some((b'G', b"\0\0\0")), true),
        ((b'd', b""), Some((b'E', b"\0")), true),
        ((b'd', b""), Some((b'Z', b"I")), false),
        ((b'Q', b"COPY a FROM STDIN\0"), Some((b'G', b"\0\0\0")), false),
        ((b'd', b""), Some((b'E', b"\0")), true),
    ] {
        session.from_client(&mut BytesMut::from(&message(said.0, said.1)[..]), &mut turn).unwrap();
        if let Some((tag, body)) = heard {
            session.from_upstream(&mut BytesMut::from(&message(tag, body)[..]), &mut turn).unwrap();
        }
        assert_eq!(session.owes(), owes, "{} {}", char::from(said.0), heard.map_or(' ', |(tag, _)| char::from(tag)));
    }
}
