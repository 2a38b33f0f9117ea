//! Frames and decoders: round trips, every truncation refused, byte by byte as at once, hostile lengths.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::postgres::{bind, encode};
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    "[^\0]{0,20}"
}

fn encoded(write: impl FnOnce(&mut BytesMut) -> Result<(), WireError>) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out).unwrap();
    out
}

/// Every shorter body is refused, and so is a longer one.
fn exact(bytes: &[u8], takes: impl Fn(&[u8]) -> bool) {
    let body = &bytes[HEADER_BYTES..];
    assert!(takes(body));
    for end in 0..body.len() {
        assert!(!takes(&body[..end]), "{end} of {} bytes were taken", body.len());
    }
    assert!(!takes(&[body, &[0]].concat()), "a byte behind was taken");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn query_round_trips(sql in name()) {
        let bytes = encoded(|b| encode::query(b, &sql));
        prop_assert_eq!(query(&bytes[HEADER_BYTES..]).unwrap(), &sql);
        exact(&bytes, |b| query(b).is_ok());
    }

    #[test]
    fn parse_round_trips(name in name(), sql in name(), types in prop::collection::vec(any::<u32>(), 0..5)) {
        let bytes = encoded(|b| encode::parse(b, &name, &sql, &types));
        prop_assert_eq!(parse(&bytes[HEADER_BYTES..]).unwrap(), Parse { name: &name, sql: &sql, types });
        exact(&bytes, |b| parse(b).is_ok());
    }

    #[test]
    fn bind_round_trips(
        portal in name(),
        statement in name(),
        formats in prop::collection::vec(any::<u16>(), 0..4),
        values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..4),
        results in prop::collection::vec(0u16..2, 0..4),
    ) {
        let mut raw = Vec::new();
        for value in &values {
            raw.extend(value.as_ref().map_or(-1, |v| i32::try_from(v.len()).unwrap()).to_be_bytes());
            raw.extend(value.iter().flatten());
        }
        let mut codes = u16::try_from(results.len()).unwrap().to_be_bytes().to_vec();
        results.iter().for_each(|code| codes.extend(code.to_be_bytes()));
        let count = u16::try_from(values.len()).unwrap();
        // As many codes as values, or one, or none: other numbers are not written.
        let formats = match formats.len() { 0 | 1 => formats, _ => formats.iter().cycle().take(values.len()).copied().collect() };
        let sent = Bind { portal: &portal, statement: &statement, formats, count, values: &raw, results: &codes };
        let bytes = encoded(|b| bind::write_plain(b, &sent));
        let read = super::bind(&bytes[HEADER_BYTES..]).unwrap();
        if sent.formats != [0] || count == 1 {
            let spread = |b: &Bind<'_>| if b.formats.len() == 1 { b.formats.repeat(usize::from(count)) } else { b.formats.clone() };
            prop_assert_eq!(spread(&read), spread(&sent));
        }
        prop_assert_eq!(Bind { formats: Vec::new(), ..read }, Bind { formats: Vec::new(), ..sent });
        exact(&bytes, |b| super::bind(b).is_ok());
    }

    #[test]
    fn targets_and_executes_are_exact(name in name(), limit in any::<i32>()) {
        for kind in *b"SP" {
            let bytes = encoded(|b| encode::message(b, b'D', |b| {
                b.extend_from_slice(&[kind]);
                encode::string(b, name.as_bytes())
            }));
            exact(&bytes, |b| target(b).is_ok());
        }
        let bytes = encoded(|b| encode::message(b, b'E', |b| {
            encode::string(b, name.as_bytes())?;
            b.extend_from_slice(&limit.to_be_bytes());
            Ok(())
        }));
        exact(&bytes, |b| execute(b).is_ok());
    }

    #[test]
    fn fields_round_trip(texts in prop::collection::vec((1u8.., "[^\0]{0,9}"), 0..6)) {
        let sent: Vec<(u8, &[u8])> = texts.iter().map(|(c, t)| (*c, t.as_bytes())).collect();
        let bytes = encoded(|b| encode::fields(b, b'E', &sent));
        prop_assert_eq!(fields(&bytes[HEADER_BYTES..]).unwrap(), sent);
        exact(&bytes, |b| fields(b).is_ok());
    }

    /// No bytes make a decoder panic.
    #[test]
    fn garbage_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = (query(&body).is_ok(), parse(&body).is_ok(), super::bind(&body).is_ok(), target(&body).is_ok());
        let _ = (execute(&body).is_ok(), fields(&body).is_ok(), empty(&body).is_ok(), header(&body).is_ok());
    }

    #[test]
    fn byte_by_byte_is_as_at_once(frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..5)) {
        let mut all = BytesMut::new();
        for (tag, body) in &frames {
            encode::message(&mut all, *tag, |b| { b.extend_from_slice(body); Ok(()) }).unwrap();
        }
        let mut input = BytesMut::new();
        let mut seen = Vec::new();
        for byte in all {
            input.extend_from_slice(&[byte]);
            while let Some(frame) = take(&mut input, |_| 1000).unwrap() {
                seen.push((frame.tag, frame.body().to_vec()));
            }
        }
        prop_assert!(input.is_empty());
        prop_assert_eq!(seen, frames);
    }
}

#[test]
fn lengths_below_four_and_above_the_cap_are_refused_by_the_header_alone() {
    for length in [0u32, 1, 3, 0x8000_0000, u32::MAX] {
        let bytes = [b"Q", length.to_be_bytes().as_slice()].concat();
        assert_eq!(header(&bytes), Err(WireError::Length), "{length}");
        assert_eq!(take(&mut BytesMut::from(&bytes[..]), client_cap).unwrap_err(), WireError::Length);
    }
    for (tag, most) in [(b'Q', CLIENT_LONG_BYTES), (b'S', CLIENT_SHORT_BYTES), (b'?', CLIENT_SHORT_BYTES)] {
        let sized = |length: usize| {
            let mut input = BytesMut::from(&[&[tag], u32::try_from(length - 1).unwrap().to_be_bytes().as_slice()].concat()[..]);
            take(&mut input, client_cap).map(|f| f.is_none())
        };
        assert_eq!(sized(most), Ok(true));
        assert_eq!(sized(most + 1), Err(WireError::TooLong(most + 1)));
    }
    assert_eq!(header(b"Q\0\0\0"), Ok(None));
}

#[test]
fn counts_that_the_body_cannot_hold_are_refused() {
    let head = b"\0\0"; // portal and statement, or name and text
    for (what, body) in [
        ("parameter types", [head.as_slice(), &[0xff, 0xff], &[0; 40]].concat()),
        ("one type short", [head.as_slice(), &[0, 2], &[0; 7]].concat()),
    ] {
        assert!(parse(&body).is_err(), "{what}");
    }
    for (what, rest) in [
        ("formats", &[0xff, 0xff, 0, 0][..]),
        ("values", &[0, 0, 0xff, 0xff, 0, 0, 0, 1]),
        ("a value of 2 GB", &[0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 0]),
        ("a value of -2 bytes", &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe, 0, 0]),
        ("results", &[0, 0, 0, 0, 0xff, 0xff]),
    ] {
        assert!(super::bind(&[head, rest].concat()).is_err(), "{what}");
    }
}

#[test]
fn text_that_is_not_utf8_is_named_as_postgresql_names_it() {
    assert_eq!(query(b"a\xff\0"), Err(WireError::NotUtf8("0xff".into())));
    assert_eq!(query(b"a\xe4\xb8\0").unwrap_err().to_string(), "invalid byte sequence for encoding \"UTF8\": 0xe4 0xb8");
    assert_eq!(query(b"\xc0\x80\0").map(str::len).ok(), None, "an overlong NUL");
    assert_eq!(query(b"\xed\xa0\x80\0").ok(), None, "a surrogate");
    assert_eq!(query(b"a\0b\0"), Err(WireError::Trailing), "text behind the terminator");
}

#[test]
fn a_string_with_a_nul_is_not_written() {
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(encode::query(&mut out, "a\0b"), Err(WireError::Value));
    assert_eq!(&out[..], b"before");
}
