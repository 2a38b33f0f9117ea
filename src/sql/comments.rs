//! Comments that tools read: one before a statement (pg_hint_plan) and one behind it (sqlcommenter). They are taken out before anything is
//! judged, with blanks in their places, and put around what was judged.

use super::Judge;
use super::outgoing::Outgoing;
use super::verify;
use crate::policy::Comments;
use std::ops::Range;

/// Longest comment that is kept, in bytes.
const BYTES_MAX: usize = 2048;

/// A text without its outer comments, and those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// As long as the client's, with blanks for the comments.
    pub text: String,
    /// The comment before; empty where there is none.
    pub before: String,
    /// The comment behind.
    pub behind: String,
}

impl Judge {
    /// The comments to keep of a text; None where there are none, or the policy keeps none.
    pub(super) fn comments(&self, sql: &str) -> Option<Kept> {
        let keep = self.policy.postgres.as_ref().is_some_and(|p| p.comments == Comments::Keep);
        if keep { split(sql) } else { None }
    }
}

impl Kept {
    /// What was judged with its comments around it; without them where they could be read as anything else.
    pub fn around(&self, judged: &Outgoing) -> Outgoing {
        let with = judged.between(&self.before, &self.behind);
        if verify::adds_only_comments(with.as_str(), judged.as_str()) { with } else { judged.clone() }
    }
}

/// Takes the outer comments off; None where there is none that can be kept. What is no comment for PostgreSQL (in a line comment, or in a string
/// that does not end) makes no difference: blanks stand in its place there, too.
pub fn split(sql: &str) -> Option<Kept> {
    let before = leading(sql);
    let behind = trailing(sql, before.as_ref().map_or(0, |b| b.end));
    let keep = |at: &Range<usize>| sql.get(at.clone()).is_some_and(is_plain);
    let (before, behind) = (before.filter(keep), behind.filter(keep));
    if before.is_none() && behind.is_none() {
        return None;
    }
    let mut text = sql.to_owned();
    let mut take = |at: Option<Range<usize>>| {
        let Some(at) = at else { return String::new() };
        let comment = sql.get(at.clone()).unwrap_or_default().to_owned();
        text.replace_range(at, &" ".repeat(comment.len()));
        comment
    };
    let (before, behind) = (take(before), take(behind));
    Some(Kept { text, before, behind })
}

fn leading(sql: &str) -> Option<Range<usize>> {
    let start = sql.len() - sql.trim_ascii_start().len();
    let inside = sql.get(start..)?.strip_prefix("/*")?;
    Some(start..start + 2 + inside.find("*/")? + 2)
}

fn trailing(sql: &str, from: usize) -> Option<Range<usize>> {
    let end = sql.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == ';').len();
    let rest = sql.get(from..end)?.strip_suffix("*/")?;
    Some(from + rest.rfind("/*")?..end)
}

/// No comment in it, nothing but printable ASCII, and no hint that would set a setting.
fn is_plain(comment: &str) -> bool {
    let Some(inside) = comment.strip_prefix("/*").and_then(|c| c.strip_suffix("*/")) else { return false };
    let nested = inside.contains("/*") || inside.contains("*/") || inside.ends_with('/');
    let sets = inside.trim_start().starts_with('+') && inside.to_ascii_lowercase().replace(' ', "").contains("set(");
    let printable = inside.bytes().all(|b| matches!(b, b' '..=b'~'));
    comment.len() <= BYTES_MAX && printable && !nested && !sets
}

#[cfg(test)]
#[path = "comments_tests.rs"]
mod tests;
