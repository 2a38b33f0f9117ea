//! Replies are cut where they end, however they are chunked, and nothing that is no reply passes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;

const TWO: &[&[u8]] = &[
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":-12\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$5\r\na\r\nbc\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*3\r\n$1\r\nx\r\n*2\r\n:1\r\n*0\r\n+\r\n",
    b"*2\r\n*1\r\n*1\r\n$3\r\n*1\r\r\n$-1\r\n",
];
const THREE: &[&[u8]] = &[
    b"_\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b"(123456789012345678901234567890\r\n",
    b"!3\r\nERR\r\n",
    b"=7\r\ntxt:a\r\n\r\n",
    b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n",
    b"~2\r\n$1\r\na\r\n$1\r\nb\r\n",
];

/// The replies that a stream is cut into when it comes in pieces of `size`.
fn cut(stream: &[u8], size: usize, resp: Resp) -> Result<Vec<Vec<u8>>, Broken> {
    let (mut measure, mut input, mut replies, mut reply) = (Measure::default(), Vec::new(), Vec::new(), Vec::new());
    for piece in stream.chunks(size) {
        input.extend_from_slice(piece);
        loop {
            let (bytes, whole) = measure.feed(&input, resp)?;
            reply.extend(input.drain(..bytes));
            assert_eq!(measure.at_rest(), reply.is_empty() || whole);
            if !whole {
                break;
            }
            replies.push(std::mem::take(&mut reply));
        }
    }
    assert!(input.is_empty() && reply.is_empty(), "something is left over");
    Ok(replies)
}

#[test]
fn replies_end_where_they_end() {
    for (resp, all) in [(Resp::Two, TWO.to_vec()), (Resp::Three, [TWO, THREE].concat())] {
        let stream = all.concat();
        for size in 1..=stream.len() {
            assert_eq!(cut(&stream, size, resp).unwrap(), all, "pieces of {size}");
        }
    }
}

#[test]
fn a_message_within_a_reply_is_none_of_its_elements() {
    let message = ">3\r\n$7\r\nmessage\r\n*1\r\n:1\r\n$1\r\nm\r\n";
    let all = format!("*2\r\n{message}:1\r\n*1\r\n{message}{message}+a\r\n{message}:2\r\n");
    for size in 1..=all.len() {
        let (mut measure, mut input, mut ends, mut taken) = (Measure::with_messages(), Vec::new(), Vec::new(), 0);
        for piece in all.as_bytes().chunks(size) {
            input.extend_from_slice(piece);
            while let Ok((bytes, whole)) = measure.feed(&input, Resp::Three) {
                taken += bytes;
                input.drain(..bytes);
                if !whole {
                    break;
                }
                ends.push(taken);
            }
        }
        assert_eq!(ends, [all.len() - message.len() - 4, all.len() - 4, all.len()], "pieces of {size}");
    }
    assert!(Measure::with_messages().feed(b"*1\r\n>1\r\n>1\r\n", Resp::Three).is_err());
}

#[test]
fn what_is_no_reply_breaks() {
    let bad: &[&[u8]] = &[
        b"*1\r\n>1\r\n+x\r\n",
        b">2\r\n+message\r\n+x\r\n",
        b"|1\r\n+a\r\n+b\r\n",
        b"$?\r\n",
        b"*?\r\n",
        b"$-2\r\n",
        b"$ 1\r\n",
        b"$01\r\n",
        b"$1\n",
        b"x\r\n",
        b"+a\rb\n",
        b"*9223372036854775807\r\n*9223372036854775807\r\n*9223372036854775807\r\n",
        b"%9223372036854775807\r\n%9223372036854775807\r\n",
        b"$1111111111111111111111111111111111111111111111111111111111111111111111",
    ];
    for bad in bad {
        let result = std::panic::catch_unwind(|| cut(bad, 1, Resp::Three));
        assert!(matches!(result, Ok(Err(_))), "{}", bad.escape_ascii());
    }
    // The new types are none of the old protocol.
    for new in THREE {
        assert!(cut(new, 1, Resp::Two).is_err(), "{}", new.escape_ascii());
    }
}

#[test]
fn commands_are_whole_or_none() {
    let two = b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n";
    let mut words = Vec::new();
    assert_eq!(command(two, &mut words), Some(21));
    assert_eq!(words, [b"GET".as_slice(), b"\r\n"]);
    assert_eq!(command(&two[21..], &mut words), Some(14));
    for end in 0..21 {
        assert_eq!(command(&two[..end], &mut words), None, "{end}");
    }
    let bad: &[&[u8]] = &[b"PING\r\n", b"*0\r\n", b"*1\r\n$4\r\nPING\n\n", b"*1\r\n:1\r\n", b"*-1\r\n", b"*1\n$1\r\na\r\n"];
    for bad in bad {
        assert_eq!(command(bad, &mut words), None, "{}", bad.escape_ascii());
    }
}
