//! What stands before the refused one among several statements of a text.

use super::private::Temps;
use super::{Judge, Refusal, Script, parse};
use crate::policy::TenantId;
use std::sync::Arc;

impl Judge {
    /// Of a text that is refused: its first statements, as many as are let through together, and why the next one is not. None where that is the
    /// first one, or the text as a whole cannot be read.
    pub fn simple_before(&self, sql: &str, tenant: &TenantId, temps: &Temps) -> Option<(Arc<Script>, Refusal)> {
        let statements = parse::parse(sql).ok()?;
        let first = |count: usize| {
            let last = statements.get(count.checked_sub(1)?)?;
            // The last of a text has no length.
            let end = if count == statements.len() { sql.len() } else { usize::try_from(last.stmt_location + last.stmt_len).ok()? };
            Some(self.simple_for(sql.get(..end)?, tenant, temps))
        };
        let (mut through, mut script) = (0, None);
        let (mut refused, mut refusal) = (statements.len(), first(statements.len())?.err()?);
        // What is refused with its first so many statements is refused with more.
        while refused - through > 1 {
            let middle = through + (refused - through) / 2;
            match first(middle)? {
                Ok(judged) => (through, script) = (middle, Some(judged)),
                Err(why) => (refused, refusal) = (middle, why),
            }
        }
        // What no grammar takes is refused with all that stands before it.
        (refusal.sqlstate != "42601").then_some((script?, refusal))
    }
}
