//! Where a syntax error stands. PostgreSQL's grammar says `at or near "word"`; the binding keeps the message and drops the place.

/// The most places of the word that are tried; a text with more gets an error without a position.
const TRIED_MAX: usize = 64;

/// The byte offset of the error that PostgreSQL's grammar reports for `text` with this message. The place is the first one of the
/// word at which the text up to its end already fails in the same way.
pub fn offset(text: &str, message: &str) -> Option<usize> {
    if message.ends_with("at end of input") {
        return Some(text.len());
    }
    let word = message.split_once("at or near \"")?.1.strip_suffix('"')?;
    if word.is_empty() {
        return None;
    }
    let fails = |end: usize| {
        let prefix = text.get(..end).unwrap_or_default();
        matches!(pg_query::parse(prefix, pg_query::ParserOptions::default()), Err(pg_query::Error::Parse(m)) if m == message)
    };
    text.match_indices(word).take(TRIED_MAX).map(|(at, _)| at).find(|at| fails(at + word.len()))
}

/// A 1-based position in characters, as the protocol counts, for a byte offset.
pub fn position(text: &str, offset: usize) -> Option<u32> {
    u32::try_from(text.get(..offset)?.chars().count() + 1).ok()
}

#[cfg(test)]
#[path = "syntax_tests.rs"]
mod tests;
