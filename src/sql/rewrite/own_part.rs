//! Where a statement stands in its text: what is asked of the words of one statement looks through no other.

use pg_query::protobuf::RawStmt;

/// A statement's part of a text.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The part.
    pub text: &'a str,
    /// Where it begins, in bytes.
    start: usize,
    /// How many characters stand before it.
    before: usize,
}

impl<'a> Part<'a> {
    /// The parts of a text, as its statements say where they stand; one that says it wrongly has the whole text.
    pub fn parts(source: &'a str, stmts: &[RawStmt]) -> Vec<Self> {
        let (mut counted, mut before) = (0, 0);
        let mut part = |stmt: &RawStmt| {
            let start = usize::try_from(stmt.stmt_location).ok()?;
            let len = usize::try_from(stmt.stmt_len).ok()?;
            let text = source.get(start..if len == 0 { source.len() } else { start + len })?;
            before += source.get(counted..start)?.chars().count();
            counted = start;
            Some(Self { text, start, before })
        };
        stmts.iter().map(|stmt| part(stmt).unwrap_or(Self { text: source, start: 0, before: 0 })).collect()
    }

    /// How many characters of the whole text stand before a byte of it.
    pub(super) fn characters_before(&self, place: usize) -> Option<usize> {
        Some(self.before + self.text.get(..place.checked_sub(self.start)?)?.chars().count())
    }
}

#[cfg(test)]
#[path = "own_part_tests.rs"]
mod tests;
