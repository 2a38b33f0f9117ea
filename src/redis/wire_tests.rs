//! Round trip, every chunking, the server's strictness, hostile lengths; and a public decoder's opinion.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use proptest::prelude::*;

/// What comes of bytes that are given in these pieces.
fn scan(pieces: &[&[u8]]) -> (Vec<Vec<Vec<u8>>>, Option<WireError>) {
    let (mut scanner, mut input, mut got) = (Scanner::default(), BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match scanner.scan(&mut input, &Limits::TENANT) {
                Ok(Some(request)) => got.push(request.iter().map(<[u8]>::to_vec).collect()),
                Ok(None) => break,
                Err(error) => return (got, Some(error)),
            }
        }
    }
    (got, None)
}

fn whole(bytes: &[u8]) -> (Vec<Vec<Vec<u8>>>, Option<WireError>) {
    let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
    let at_once = scan(&[bytes]);
    assert_eq!(at_once, scan(&bytewise), "{}", bytes.escape_ascii());
    at_once
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|w| w.as_bytes().to_vec()).collect()
}

#[test]
fn commands_come_as_arrays_and_as_lines() {
    let (got, error) = whole(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nSET k \"a b\"\r\n\r\n  \nPING\n*1\r\n$0\r\n\r\n");
    assert_eq!(got, [words(&["GET", "k"]), words(&["SET", "k", "a b"]), words(&["PING"]), words(&[""])]);
    assert_eq!(error, None);
}

#[test]
fn what_the_server_ignores_is_ignored() {
    assert_eq!(whole(b"*-5\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n").0, [words(&["PING"])]);
    // It does not look at the two bytes behind an argument, nor at the one behind a carriage return.
    assert_eq!(whole(b"*1\r\n$4\r\nPINGxx*1\rx$4\rxPONG\r\n").0, [words(&["PING"]), words(&["PONG"])]);
}

#[test]
fn what_the_server_refuses_is_refused() {
    use WireError::*;
    let cases: &[(&[u8], WireError)] = &[
        (b"*+2\r\n", Count),
        (b"*02\r\n", Count),
        (b"* 2\r\n", Count),
        (b"*9223372036854775808\r\n", Count),
        (b"*2147483648\r\n", Count),
        (b"*\r\n", Count),
        (b"*1\r\n$-1\r\n", Length),
        (b"*1\r\n$+4\r\nPING\r\n", Length),
        (b"*1\r\n$04\r\nPING\r\n", Length),
        (b"*1\r\n$536870913\r\n", Length),
        (b"*1\r\n$99999999999999999999\r\n", Length),
        (b"*1\r\nPING\r\n", Dollar(b'P')),
        (b"GET \"k\r\n", Quotes),
        (b"GET 'k'x\r\n", Quotes),
    ];
    for (bytes, error) in cases {
        assert_eq!(whole(bytes), (Vec::new(), Some(error.clone())), "{}", bytes.escape_ascii());
    }
    assert_eq!(scan(&[&[b'A'; 70_000]]).1, Some(Line("inline request")));
    assert_eq!(scan(&[b"*", &[b'1'; 70_000]]).1, Some(Line("mbulk count string")));
    assert_eq!(WireError::Dollar(b'\n').to_string(), "expected '$', got '\\n'");
}

#[test]
fn a_stranger_may_say_little() {
    let hear = |bytes: &[u8]| Scanner::default().scan(&mut BytesMut::from(bytes), &Limits::STRANGER).map(|r| r.is_some());
    assert_eq!(hear(b"*11\r\n"), Err(WireError::StrangerCount));
    assert_eq!(hear(b"*1\r\n$16385\r\n"), Err(WireError::StrangerLength));
    assert_eq!(hear(b"*1\r\n$4\r\nPING\r\n"), Ok(true));
}

#[test]
fn a_truncated_command_is_none() {
    let bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\n";
    for end in 0..bytes.len() {
        assert_eq!(scan(&[&bytes[..end]]), (Vec::new(), None), "{end}");
    }
}

#[test]
fn lengths_allocate_nothing() {
    let (mut scanner, mut input) = (Scanner::default(), BytesMut::from(&b"*1048576\r\n$536870912\r\nx"[..]));
    assert_eq!(scanner.scan(&mut input, &Limits::TENANT), Ok(None));
    assert!(input.capacity() < 1 << 16 && scanner.args.capacity() < 1 << 10);
    assert!(scanner.over(&Limits::TENANT));
}

#[test]
fn a_long_argument_is_forwarded_as_it_comes() {
    let body = vec![b'v'; 3 << 20];
    let mut bytes = format!("*4\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(b"\r\n$2\r\nNX\r\nPING\r\n");
    for size in [1 << 10, 7777, 1 << 20] {
        let (mut scanner, mut input, mut out, mut rest) = (Scanner::default(), BytesMut::new(), BytesMut::new(), None::<Rest>);
        let mut done = false;
        for piece in bytes.chunks(size) {
            input.extend_from_slice(piece);
            if rest.is_none() && !done {
                assert_eq!(scanner.scan(&mut input, &Limits::TENANT), Ok(None));
                if let Some(begun) = scanner.begun(&mut input, 1 << 20, |args, count| args.len() == 2 && count == 4) {
                    assert_eq!((begun.args.arg(1), begun.rest.due()), (b"k".as_slice(), body.len()));
                    rest = Some(begun.rest);
                }
            }
            if let Some(forwarding) = &mut rest
                && forwarding.forward(&mut input, &mut out, &Limits::TENANT).unwrap()
            {
                (rest, done) = (None, true);
            }
            assert!(done || input.len() <= 1 << 20);
        }
        assert!(done);
        assert_eq!(out.len(), body.len() + "\r\n$2\r\nNX\r\n".len());
        assert_eq!(&input[..], b"PING\r\n");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20), cut in 0usize..2000) {
        let bytes = Request::new(&args).encoded();
        let cut = cut % bytes.len();
        prop_assert_eq!(scan(&[&bytes[..cut], &bytes[cut..]]), (vec![args.clone()], None));
        // A public decoder reads the same.
        let (frame, length) = redis_protocol::resp2::decode::decode(&bytes).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len());
        let redis_protocol::resp2::types::OwnedFrame::Array(frames) = frame else { unreachable!() };
        let theirs: Vec<_> = frames.into_iter().map(|f| match f {
            redis_protocol::resp2::types::OwnedFrame::BulkString(text) => text,
            other => unreachable!("{other:?}"),
        }).collect();
        prop_assert_eq!(theirs, args);
    }

    #[test]
    fn anything_is_read_alike_however_it_is_cut(bytes in prop::collection::vec(prop::sample::select(b"*$012-\r\nGET\"'\\x +".to_vec()), 0..60)) {
        whole(&bytes);
    }
}
