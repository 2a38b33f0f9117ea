//! Positions of syntax errors, as PostgreSQL 15 gives them.

use super::*;

fn place(text: &str) -> Option<u32> {
    match pg_query::parse(text, pg_query::ParserOptions::default()) {
        Err(pg_query::Error::Parse(message)) => position(text, offset(text, &message)?),
        _ => None,
    }
}

#[test]
fn the_word_that_fails_is_found_and_not_its_twin() {
    assert_eq!(place("SELEC 1"), Some(1));
    assert_eq!(place("SELECT FROM WHERE"), Some(13));
    assert_eq!(place("SELECT 'unterminated"), Some(8));
    assert_eq!(place("SELECT a, b FROM t WHERE a b"), Some(28));
    assert_eq!(place("SELECT 'ü', ) FROM t"), Some(13));
    assert_eq!(place("SELECT (1"), Some(10));
    assert_eq!(place("SELECT 1"), None);
}
