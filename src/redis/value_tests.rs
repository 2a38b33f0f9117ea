//! Replies as values, whole and cut off.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn read(text: &'static str) -> Option<Value> {
    Value::read(&Bytes::from_static(text.as_bytes()))
}

#[test]
fn replies_are_read() {
    let map = read("%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*2\r\n$-1\r\n_\r\n").unwrap();
    assert_eq!(map.field("a"), Some(&Value::Line(b':', Bytes::from_static(b"1"))));
    assert_eq!(map.field("b"), Some(&Value::Many(vec![Value::Nil, Value::Nil])));
    assert_eq!(map.field("1"), None);
    assert_eq!(read("*1\r\n$2\r\n\r\n\r\n").unwrap().items()[0].text().unwrap(), "\r\n");
    assert_eq!(read("-ERR x\r\n"), Some(Value::Line(b'-', Bytes::from_static(b"ERR x"))));
}

#[test]
fn what_is_cut_off_has_the_elements_before() {
    let whole = "*2\r\n*2\r\n$1\r\na\r\n$3\r\nbcd\r\n:1\r\n";
    for end in 0..whole.len() {
        let value = read(&whole[..end]);
        assert!(value.is_none_or(|value| value.items().len() < 2), "{end}");
    }
    assert_eq!(read(&whole[..whole.len() - 8]).unwrap().items()[0].items().len(), 1);
    assert_eq!(read("*9223372036854775807\r\n"), Some(Value::Many(Vec::new())));
    assert_eq!(read("$9223372036854775807\r\nx"), None);
    assert_eq!(read("*-1\r\n"), Some(Value::Nil));
    assert_eq!(read("?\r\n"), None);
    let deep = "*1\r\n".repeat(100_000).leak();
    assert!(read(deep).is_some());
}
