//! Query messages: a text of one statement or more, answered with one ReadyForQuery.

use super::expect::Expect;
use super::session::{Session, Step};
use super::wire::{self, Frame};
use super::{Judging, encode, errors, names, rows};
use crate::session::{Fact, Turn};
use crate::sql::{Kind, Refusal, Script};
use std::sync::Arc;

/// A text that no grammar takes; sent in place of a refused Query.
const FAILING_QUERY: &str = "partywall refused";

impl<J: Judging> Session<J> {
    pub(super) fn query(&mut self, frame: &Frame, turn: &mut Turn) -> Step {
        let sent = wire::query(frame.body()).map_err(|e| errors::unreadable(&e)).and_then(|sql| {
            let (script, refusal) = match self.judge.simple_for(sql, &self.tenant, &self.own.temps) {
                Ok(script) => (script, None),
                Err(whole) => {
                    let (script, refusal) = self.judge.simple_before(sql, &self.tenant, &self.own.temps, whole)?;
                    // DEALLOCATE by itself is the wall's to answer.
                    if self.pooled.is_some() && script.kinds.iter().any(|k| matches!(k, Kind::Deallocate(_))) {
                        return Err(refusal);
                    }
                    (script, Some(refusal))
                }
            };
            self.run(sql, script, refusal, turn)
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
            // Read, and then an error; a comment to the end of the line ends before it.
            Some(_) => encode::query(&mut turn.to_upstream, &format!("{judged}\n; EXECUTE \"{}\"", names::RESERVED)),
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
