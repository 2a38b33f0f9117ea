//! What bytes need that come while a session has no connection.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

type Any = Session<crate::sql::Judge>;

fn message(tag: u8, body: usize) -> Vec<u8> {
    let length = u32::try_from(body + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, &vec![0; body]].concat()
}

#[test]
fn a_connection_is_taken_when_the_client_waits_for_an_answer() {
    for (tag, need) in
        [(b'Q', Need::Connection), (b'S', Need::Connection), (b'H', Need::Connection), (b'P', Need::More), (b'B', Need::More)]
    {
        assert_eq!(Any::need(&message(tag, 9)), need, "{}", char::from(tag));
        assert_eq!(Any::need(&message(tag, 9)[..7]), Need::More, "half of {}", char::from(tag));
    }
    assert_eq!(Any::need(b""), Need::More);
    assert_eq!(Any::need(&[message(b'P', 9), message(b'D', 2), message(b'S', 0)].concat()), Need::Connection);
}

#[test]
fn bytes_without_a_sync_wait_up_to_a_bound() {
    let few = message(b'B', 100).repeat(9);
    assert_eq!(Any::need(&few), Need::More);
    assert_eq!(Any::need(&few.repeat(WAITING_BYTES / few.len() + 1)), Need::Connection);
}

#[test]
fn a_client_that_ends_or_breaks_the_protocol_takes_none() {
    for (bytes, why) in
        [(message(b'X', 0), "Terminate"), (message(b'!', 3), "no such message"), (b"Q\0\0\0\x01".to_vec(), "a length too short")]
    {
        assert_eq!(Any::need(&bytes), Need::Nothing, "{why}");
    }
    // What came before is answered first.
    assert_eq!(Any::need(&[message(b'P', 9), message(b'!', 3)].concat()), Need::Connection);
}
