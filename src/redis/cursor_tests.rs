//! Hidden cursors come back, stay small, and zero stays the end.

use super::*;
use proptest::prelude::*;

#[test]
fn cursors_are_read_as_the_server_reads_them() {
    assert_eq!(read(b"0"), Some(0));
    assert_eq!(read(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(read(b"-1"), Some(u64::MAX));
    for bad in [b"".as_slice(), b" 1", b"1 ", b"x", b"18446744073709551616", b"--1", b"\xff"] {
        assert_eq!(read(bad), None, "{}", bad.escape_ascii());
    }
}

#[test]
fn zero_is_the_end() {
    assert_eq!((hide(0, 7), reveal(0, 7)), (Some(0), 0));
    assert_eq!(hide(1 << 48, 7), None);
}

proptest! {
    #[test]
    fn what_is_hidden_is_revealed(cursor in 1u64..1 << 48, secret: u64) {
        let hidden = hide(cursor, secret).unwrap_or(0);
        prop_assert!(hidden != 0 && hidden < 1 << 48);
        prop_assert_eq!(reveal(hidden, secret), cursor);
    }
}
