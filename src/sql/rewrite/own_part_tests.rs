//! Places of statements.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::sql::parse;

#[test]
fn parts_are_the_statements_and_places_are_the_texts() {
    let text = "SELECT 'é' ; /* ü */ SELECT 2;\n\tSELECT 'ß', 3";
    let parts = Part::parts(text, &parse::parse(text).unwrap());
    let texts: Vec<&str> = parts.iter().map(|part| part.text.trim()).collect();
    assert_eq!(texts, ["SELECT 'é'", "SELECT 2", "SELECT 'ß', 3"]);
    for (part, word) in parts.iter().zip(["'é'", "2;", "3"]) {
        let byte = text.find(word).unwrap();
        assert_eq!(part.characters_before(byte), Some(text[..byte].chars().count()), "{word}");
    }
    // Before the statement there is nothing of it.
    assert_eq!(parts[2].characters_before(3), None);
}

#[test]
fn a_statement_that_stands_nowhere_has_the_whole_text() {
    let stmt = RawStmt { stmt_location: 2, stmt_len: 90, ..RawStmt::default() };
    let parts = Part::parts("SELECT 1", &[stmt]);
    assert_eq!((parts[0].text, parts[0].characters_before(7)), ("SELECT 1", Some(7)));
}
