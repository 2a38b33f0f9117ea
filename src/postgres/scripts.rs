//! Query messages: a text of one statement or more, answered with one ReadyForQuery.

use super::expect::Expect;
use super::session::{Session, Step};
use super::wire::{self, Frame};
use super::{Judging, encode, errors, rows};
use crate::session::{Fact, Turn};
use crate::sql::{Kind, Refusal, Script};
use std::sync::Arc;

/// A text that no grammar takes; sent in place of a refused Query.
const FAILING_QUERY: &str = "partywall refused";
/// A statement that is read and then fails, for no client can make one of that name (`names::admit`); sent in place of the first refused one of several.
const FAILING_STATEMENT: &str = "EXECUTE \"partywall refused\"";
/// What the server says of [`FAILING_STATEMENT`], but in an aborted transaction.
pub(super) const FAILS_WITH: &str = "26000";

impl<J: Judging> Session<J> {
    pub(super) fn query(&mut self, frame: &Frame, turn: &mut Turn) -> Step {
        let sent = wire::query(frame.body()).map_err(|e| errors::unreadable(&e)).and_then(|sql| {
            match self.judge.simple_for(sql, &self.tenant, &self.own.temps) {
                Ok(script) => self.run(sql, script, None, turn),
                Err(whole) => match self.judge.simple_before(sql, &self.tenant, &self.own.temps) {
                    // DEALLOCATE by itself is the wall's to answer.
                    Some((script, refusal)) if self.pooled.is_none() || !script.kinds.iter().any(|k| matches!(k, Kind::Deallocate(_))) => {
                        self.run(sql, script, Some(refusal), turn)
                    }
                    _ => Err(whole),
                },
            }
        });
        sent.unwrap_or_else(|refusal| {
            self.refuse_script(refusal, turn);
            Step::Done
        })
    }

    /// Sends what was judged of the client's text; behind it what fails, where the next statement is refused: PostgreSQL runs the statements of a text
    /// one after another, and what BEGIN or COMMIT among them did before the error stays done (Frontend/Backend Protocol, 55.2.2.1).
    fn run(&mut self, sql: &str, script: Arc<Script>, refusal: Option<Refusal>, turn: &mut Turn) -> Result<Step, Refusal> {
        if !self.may_run(&script.kinds)? {
            return Ok(Step::Wait);
        }
        if let Some(step) = self.deallocate(&script, turn)? {
            return Ok(step);
        }
        let judged = script.outgoing.as_str();
        let written = match &refusal {
            None => encode::query(&mut turn.to_upstream, judged),
            // A comment to the end of the line ends before it.
            Some(_) => encode::query(&mut turn.to_upstream, &format!("{judged}\n; {FAILING_STATEMENT}")),
        };
        written.map_err(|e| errors::unreadable(&e))?;
        self.script_leaves(&script);
        turn.facts.push(Fact::Permitted);
        turn.facts.extend(refusal.as_ref().map(|r| Fact::Refused(r.sqlstate)));
        turn.facts.extend(script.assurance.alone.then_some(Fact::Alone));
        rows::told(&script.assurance, turn);
        self.queue.push(Expect::Script { sql: sql.into(), script, done: 0, generation: self.generation, refusal });
        Ok(Step::Done)
    }

    /// In place of a message that is answered with ReadyForQuery.
    pub(super) fn refuse_script(&mut self, refusal: Refusal, turn: &mut Turn) {
        turn.facts.push(Fact::Refused(refusal.sqlstate));
        let _ = encode::query(&mut turn.to_upstream, FAILING_QUERY); // has no NUL, so it is written
        self.queue.push(Expect::RefusedScript { refusal: Some(refusal) });
    }
}
