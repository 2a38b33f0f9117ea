//! Which strings are tenants: the pattern of ids, and what no id that it accepts can hold.

use super::TenantId;
use regex_syntax::hir::{Class, Hir, HirKind};
use std::sync::Arc;

/// The whole-match pattern of tenant ids.
#[derive(Clone, Debug)]
pub struct TenantPattern {
    regex: regex::Regex,
    /// What the regular expression is made of; the same text as `regex`, read by the same parser.
    parts: Arc<Hir>,
}

impl TenantPattern {
    /// Compiles `pattern`, anchored at both ends (`\A(?:…)\z`). Errors are the regex crate's.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        regex::Regex::new(pattern)?; // so that `a)(b` cannot escape the group below
        let whole = format!(r"\A(?:{pattern})\z");
        let parts = regex_syntax::parse(&whole).map_err(|e| regex::Error::Syntax(e.to_string()))?;
        Ok(Self { regex: regex::Regex::new(&whole)?, parts: Arc::new(parts) })
    }

    /// The tenant that `text` names, or None when it is no tenant. Never accepts an empty id, one over 128 bytes, or one
    /// with a control character.
    pub fn accept(&self, text: &str) -> Option<TenantId> {
        let sane = !text.is_empty() && text.len() <= 128 && !text.chars().any(char::is_control);
        (sane && self.regex.is_match(text)).then(|| TenantId(text.into()))
    }

    /// Could an id hold this character? Errs on the side of yes: what stands somewhere in the pattern counts, whether or not a match can come there.
    pub fn may_hold(&self, wanted: char) -> bool {
        holds(&self.parts, wanted)
    }
}

fn holds(part: &Hir, wanted: char) -> bool {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => text.contains(wanted),
            Err(_) => true,
        },
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&wanted)),
        // A byte that is no character by itself may be part of any.
        HirKind::Class(Class::Bytes(class)) => match u8::try_from(wanted).ok().filter(u8::is_ascii) {
            Some(byte) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&byte)),
            None => !class.is_ascii(),
        },
        HirKind::Repetition(repetition) => holds(&repetition.sub, wanted),
        HirKind::Capture(capture) => holds(&capture.sub, wanted),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| holds(part, wanted)),
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
