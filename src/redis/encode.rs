//! What the wall itself writes: commands for upstream and replies for the client, in RESP2 or RESP3.

use bytes::{BufMut, BytesMut};

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resp {
    /// The old one.
    #[default]
    Two,
    /// After `HELLO 3`.
    Three,
}

/// `kind`, a number, a line end.
pub fn header(out: &mut BytesMut, kind: u8, number: usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (left % 10) as u8;
        }
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.put_u8(kind);
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

/// A bulk string.
pub fn bulk(out: &mut BytesMut, text: &[u8]) {
    joined(out, b"", text);
}

/// A bulk string of two parts.
pub fn joined(out: &mut BytesMut, before: &[u8], text: &[u8]) {
    three(out, before, text, b"");
}

/// A bulk string of three parts.
pub fn three(out: &mut BytesMut, first: &[u8], second: &[u8], third: &[u8]) {
    header(out, b'$', first.len() + second.len() + third.len());
    for part in [first, second, third, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// A whole command.
pub fn command<T: AsRef<[u8]>>(out: &mut BytesMut, args: &[T]) {
    bulks(out, b'*', args);
}

/// A simple string.
pub fn simple(out: &mut BytesMut, text: &str) {
    out.put_u8(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// An error. Line ends in the text become blanks, as the server does.
pub fn error(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b'-');
    out.extend(text.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
    out.extend_from_slice(b"\r\n");
}

/// An integer.
pub fn integer(out: &mut BytesMut, number: i64) {
    out.extend_from_slice(format!(":{number}\r\n").as_bytes());
}

/// An array of bulk strings.
pub fn bulks<T: AsRef<[u8]>>(out: &mut BytesMut, kind: u8, items: &[T]) {
    header(out, kind, if kind == b'%' { items.len() / 2 } else { items.len() });
    for item in items {
        bulk(out, item.as_ref());
    }
}

/// No bulk string.
pub fn null(out: &mut BytesMut, resp: Resp) {
    out.extend_from_slice(match resp {
        Resp::Two => b"$-1\r\n".as_slice(),
        Resp::Three => b"_\r\n".as_slice(),
    });
}

/// The head of a map with this many pairs: RESP2 has a flat array.
pub fn map(out: &mut BytesMut, resp: Resp, pairs: usize) {
    match resp {
        Resp::Two => header(out, b'*', pairs * 2),
        Resp::Three => header(out, b'%', pairs),
    }
}

/// Text for people: a verbatim string in RESP3.
pub fn verbatim(out: &mut BytesMut, resp: Resp, text: &[u8]) {
    match resp {
        Resp::Two => bulk(out, text),
        Resp::Three => {
            header(out, b'=', text.len() + 4);
            out.extend_from_slice(b"txt:");
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
    }
}
