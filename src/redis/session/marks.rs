//! Marks behind what client's code says over a connection of the client's own; a shared one has its own.

use super::{Awaited, Session};
use crate::redis::mark::Mark;
use crate::redis::shape::Reply;
use crate::redis::understand::Refusal;
use crate::session::{Close, Turn};
use bytes::BytesMut;

impl Session {
    /// A script went out.
    pub(super) fn sent_script(&mut self, reply: Reply, turn: &mut Turn) -> Result<(), Refusal> {
        self.sent(reply, turn)?;
        self.mark(turn);
        Ok(())
    }

    /// What went out last must end where its reply does. On a cluster it may be answered elsewhere than what is asked behind it.
    pub(super) fn mark(&mut self, turn: &mut Turn) {
        if self.transaction.is_some() || self.shares() || self.setup.cluster {
            return;
        }
        let mark = Mark::by_chance();
        mark.ask(&mut turn.to_upstream);
        self.awaited.push_back(Awaited::Mark(mark));
    }

    /// The echo of the mark that is due. False while not all of it is there.
    pub(super) fn pass_mark(&mut self, input: &mut BytesMut) -> Result<bool, Close> {
        let Some(Awaited::Mark(mark)) = self.awaited.front() else { return Ok(true) };
        let bytes = mark.echoed_or_busy(input, self.failed)?;
        if bytes == 0 {
            return Ok(false);
        }
        let _ = input.split_to(bytes);
        self.pop_awaited();
        Ok(true)
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
