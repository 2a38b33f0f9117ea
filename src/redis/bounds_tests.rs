//! What is too much, and what is the server's own business to refuse.

use super::*;
use crate::redis::commands::{Found, find};

fn said(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let Found::Entry(entry) = find(words[0].as_bytes(), None) else { unreachable!() };
    check(entry, &Request::new(&words), 1 << 20)
        .map_or_else(|refusal| String::from_utf8_lossy(&refusal.text).into_owned(), |()| "fine".into())
}

#[test]
fn what_grows_is_bounded() {
    let offset = "ERR bit offset is not an integer or out of range";
    let cases = [
        ("SETBIT k 8388607 1", "fine"),
        ("SETBIT k 8388608 1", offset),
        ("SETBIT k -1 1", "fine"),
        ("SETBIT k x 1", "fine"),
        ("SETRANGE k 1048576 x", "fine"),
        // The value is still to come.
        ("SETRANGE k 1048576", "fine"),
        ("SETRANGE k 1048577", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE k 1048577 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("BITFIELD k GET u8 99999999999 SET u8 0 1", "fine"),
        ("BITFIELD k OVERFLOW SAT INCRBY u8 #1048576 1", offset),
        ("BITFIELD k GET u8 0 SET i16 8388608 1", offset),
        ("BITFIELD k SET u8 #9223372036854775807 1", offset),
        ("BITFIELD k SET u8 0", "ERR syntax error"),
        ("BITFIELD k", "fine"),
        ("GETRANGE k 0 99999999999", "fine"),
    ];
    for (line, wanted) in cases {
        assert_eq!(said(line), wanted, "{line}");
    }
}

#[test]
fn what_is_repeated_is_bounded() {
    for name in ["SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"] {
        assert_eq!(said(&format!("{name} k -1048576")), "fine");
        assert_eq!(said(&format!("{name} k 99999999999")), "fine");
        assert!(said(&format!("{name} k -1048577")).starts_with("ERR value is out of range"));
    }
}
