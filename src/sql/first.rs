//! What stands before the refused one among several statements of a text.

use super::private::Temps;
use super::{Judge, Refusal, Script, parse};
use crate::policy::TenantId;
use std::sync::Arc;

impl Judge {
    /// Of a text that is refused: its first statements, as many as are let through together, and why the next one is not. Errors: `refusal`, the whole
    /// text's, where that is the first one, or the text cannot be read.
    pub fn simple_before(&self, sql: &str, tenant: &TenantId, temps: &Temps, refusal: Refusal) -> Result<(Arc<Script>, Refusal), Refusal> {
        // Most are one statement, and have been read once.
        let statements = if sql.contains(';') { parse::parse(sql).unwrap_or_default() } else { Vec::new() };
        let end = |count: usize| {
            let last = statements.get(count.checked_sub(1)?)?;
            usize::try_from(last.stmt_location + last.stmt_len).ok()
        };
        let (mut through, mut script) = (0, None);
        let (mut refused, mut refusal) = (statements.len(), refusal);
        // What is refused with its first so many statements is refused with more.
        while refused - through > 1 {
            let middle = through + (refused - through) / 2;
            let Some(first) = end(middle).and_then(|end| sql.get(..end)) else { return Err(refusal) };
            match self.simple_for(first, tenant, temps) {
                Ok(judged) => (through, script) = (middle, Some(judged)),
                Err(why) => (refused, refusal) = (middle, why),
            }
        }
        match script {
            // What no grammar takes is refused with all that stands before it.
            Some(script) if refusal.sqlstate != "42601" => Ok((script, refusal)),
            _ => Err(refusal),
        }
    }
}
