//! First messages: round trips, truncations, hostile lengths, bytes behind a TLS request.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use proptest::prelude::*;

fn framed(words: &[u8]) -> BytesMut {
    let length = u32::try_from(words.len() + 4).unwrap().to_be_bytes();
    BytesMut::from(&[&length, words].concat()[..])
}

fn startup_with(params: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    startup_message(&mut out, params).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn startup_round_trips_and_every_truncation_is_refused_or_waits(
        params in prop::collection::vec(("[^\0]{1,9}", "[^\0]{0,9}"), 0..5),
        behind in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let borrowed: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let whole = startup_with(&borrowed);
        let mut input = whole.clone();
        input.extend_from_slice(&behind);
        prop_assert_eq!(read_first(&mut input), Ok(Some(First::Startup { params, minor: 0 })));
        prop_assert_eq!(&input[..], &behind[..], "what follows stays");
        for end in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..end]);
            prop_assert_eq!(read_first(&mut part), Ok(None));
            prop_assert_eq!(part.len(), end, "nothing is taken of a partial message");
            // The same bytes with a length that says they are all.
            if end >= 8 {
                let mut cut = framed(&whole[4..end]);
                prop_assert!(read_first(&mut cut).is_err());
            }
        }
    }

    #[test]
    fn garbage_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_first(&mut BytesMut::from(&bytes[..]));
    }
}

#[test]
fn lengths_are_looked_at_before_anything_is_awaited() {
    for length in [0u32, 4, 7] {
        assert_eq!(read_first(&mut BytesMut::from(&length.to_be_bytes()[..])), Err(WireError::Length));
    }
    for length in [u32::try_from(STARTUP_BYTES).unwrap() + 1, 0x8000_0000, u32::MAX, 0x1603_0100] {
        let refused = read_first(&mut BytesMut::from(&length.to_be_bytes()[..]));
        assert_eq!(refused, Err(WireError::TooLong(usize::try_from(length).unwrap())), "0x1603… is a TLS hello");
    }
}

#[test]
fn requests_have_nothing_behind_them() {
    for (code, first) in [(SSL, First::Ssl), (GSS, First::Gss)] {
        assert_eq!(read_first(&mut framed(&code.to_be_bytes())), Ok(Some(first)));
        let mut early = framed(&code.to_be_bytes());
        early.extend_from_slice(b"\0");
        assert_eq!(read_first(&mut early), Err(WireError::Early));
        assert_eq!(read_first(&mut framed(&[&code.to_be_bytes()[..], b"x"].concat())), Err(WireError::Trailing));
    }
    let mut out = BytesMut::new();
    ssl_request(&mut out);
    assert_eq!(read_first(&mut out), Ok(Some(First::Ssl)));
}

#[test]
fn cancel_requests_have_a_key_of_4_to_256_bytes() {
    for (length, good) in [(0, false), (3, false), (4, true), (32, true), (256, true), (257, false)] {
        let mut out = BytesMut::new();
        cancel_request(&mut out, 7, &vec![9; length]);
        let wanted = if good { Ok(Some(First::Cancel { pid: 7, key: vec![9; length] })) } else { Err(WireError::Length) };
        assert_eq!(read_first(&mut out), wanted, "{length}");
    }
}

#[test]
fn other_protocols_are_refused_and_later_minors_negotiated() {
    let version = |v: u32| read_first(&mut framed(&[&v.to_be_bytes()[..], b"\0"].concat()));
    assert_eq!(version(2 << 16), Err(WireError::Version(2, 0)));
    assert_eq!(version(4 << 16), Err(WireError::Version(4, 0)));
    assert_eq!(version((1234 << 16) | 5681), Err(WireError::Version(1234, 5681)));
    assert_eq!(version((3 << 16) | 2), Ok(Some(First::Startup { params: vec![], minor: 2 })));
    let option = vec![("_pq_.wish".to_owned(), "1".to_owned()), ("user".to_owned(), "u".to_owned())];
    assert!(wants_negotiation(&option, 0) && wants_negotiation(&[], 2) && !wants_negotiation(&option[1..], 0));
    let mut out = BytesMut::new();
    negotiate(&mut out, &option).unwrap();
    assert_eq!(&out[..], b"v\0\0\0\x16\0\x03\0\0\0\0\0\x01_pq_.wish\0");
}

#[test]
fn a_startup_needs_its_end() {
    let body = |rest: &[u8]| read_first(&mut framed(&[&VERSION.to_be_bytes()[..], rest].concat()));
    assert_eq!(body(b"user\0u\0"), Err(WireError::Unterminated));
    assert_eq!(body(b"user\0\0"), Err(WireError::Unterminated), "a value is missing");
    assert_eq!(body(b"user\0u\0\0x"), Err(WireError::Trailing));
    assert_eq!(body(b"us\xffr\0u\0\0"), Err(WireError::NotUtf8("0xff".into())));
    let long = "x".repeat(STARTUP_BYTES);
    assert!(matches!(startup_message(&mut BytesMut::new(), &[("a", &long)]), Err(WireError::TooLong(_))));
    assert_eq!(startup_message(&mut BytesMut::new(), &[("a\0b", "")]), Err(WireError::Value));
}
