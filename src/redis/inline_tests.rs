//! Lines as the server splits them.

use super::split;

fn words(line: &[u8]) -> Option<Vec<String>> {
    split(line).map(|words| words.iter().map(|w| w.escape_ascii().to_string()).collect())
}

#[test]
fn words_and_quotes() {
    let some = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect());
    assert_eq!(words(b"  SET k  v "), some(&["SET", "k", "v"]));
    assert_eq!(words(b""), some(&[]));
    assert_eq!(words(br#"SET "a b" 'c d'"#), some(&["SET", "a b", "c d"]));
    assert_eq!(words(br#""\x41\n\q\"" '\'\n'"#), some(&["A\\nq\\\"", "\\'\\\\n"]));
    assert_eq!(words(br#"a"b c""#), some(&["ab c"]));
    assert_eq!(words(br#""" x"#), some(&["", "x"]));
    assert_eq!(words(br#""\xZZ""#), some(&["xZZ"]));
    assert_eq!(words(b"a\0b c"), some(&["a"]));
    assert_eq!(words(b"\x0ba\x0bb"), some(&["a\\x0bb"]));
}

#[test]
fn quotes_must_end_a_word() {
    for bad in [br#""a"#.as_slice(), b"'a", br#""a"b"#, b"'a'b", br#""a\"#, b"\"\\"] {
        assert_eq!(words(bad), None, "{}", bad.escape_ascii());
    }
}
