//! How long upstream took for each of the client's commands, for its SLOWLOG: from when it was sent, or the one before it was answered, to the first byte
//! of its reply. What waits by its nature (BLPOP) is not timed, and what is queued in a transaction is answered by its EXEC. What is sent in one go
//! the server answers in one go: then the first has the time of all.

use super::{Awaited, Session};
use crate::redis::commands::Entry;
use crate::redis::slowlog;
use crate::redis::wire::Request;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Of a pipeline, the words of so much are kept; commands beyond are in no log.
const WORDS_BYTES: usize = 64 << 10;

/// What is timed.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// The clock, when the session was last given bytes.
    now: u64,
    /// Of all that was ever awaited, how much has come.
    come: i64,
    /// When the reply that is passing began; 0 before it does.
    begun: u64,
    /// Nothing where nothing is under way: a client at rest takes no room for it.
    under_way: Option<Box<UnderWay>>,
}

#[derive(Debug, Default)]
struct UnderWay {
    commands: VecDeque<Timed>,
    /// Their words, one after the other.
    words: BytesMut,
    /// When the one before the oldest was answered.
    free: u64,
}

#[derive(Debug)]
struct Timed {
    /// It is answered when so much has come.
    until: i64,
    sent: u64,
    words: usize,
}

impl Session {
    /// From how many microseconds on a command is slow; None: none is.
    fn slow(&self) -> Option<u64> {
        let set = if self.setup.test_passthrough { self.setup.peers.slowlog.slow() } else { None };
        set.unwrap_or(self.setup.names.slow_micros())
    }

    /// The session is given bytes.
    pub(super) fn tick(&mut self) {
        if self.slow().is_some() {
            self.timing.now = (self.setup.clock)();
        }
    }

    /// A command was taken. `before` it so much was awaited; `queues`: it stood in a transaction.
    pub(super) fn time(&mut self, entry: &Entry, request: &Request, before: usize, queues: bool) {
        let Some(slow) = self.slow() else { return };
        // The server keeps credentials out of it, too.
        let secret = entry.name == "auth" || entry.name == "hello" && request.len() > 2;
        if self.transaction.is_some() && (queues || entry.name == "multi") || secret {
            return;
        }
        let answered = self.awaited.len() <= before;
        // A mark says where a reply ended, and is none.
        let marks = usize::from(matches!(self.awaited.back(), Some(Awaited::Mark(_))));
        match self.awaited.iter().rev().nth(marks) {
            Some(Awaited::Blocked(_)) if !answered => {}
            Some(Awaited::Reply(_) | Awaited::Hello(..) | Awaited::Login | Awaited::Step | Awaited::Confirmations { .. }) if !answered => {
                let until = self.timing.come + (self.awaited.len() - marks) as i64;
                let under_way = self.timing.under_way.get_or_insert_default();
                let mark = under_way.words.len();
                if mark <= WORDS_BYTES {
                    slowlog::words(&mut under_way.words, request);
                }
                let words = under_way.words.len() - mark;
                under_way.commands.push_back(Timed { until, sent: self.timing.now, words });
            }
            // The wall's own answers take no time that is worth telling.
            _ if slow == 0 => {
                let mut words = BytesMut::new();
                slowlog::words(&mut words, request);
                self.was_slow(0, words.freeze());
            }
            _ => {}
        }
    }

    /// Bytes of a reply are there.
    pub(super) fn begins_to_come(&mut self) {
        if self.timing.under_way.is_some() && self.passing == 0 && !matches!(self.awaited.front(), Some(Awaited::Step)) {
            self.timing.begun = self.timing.now;
        }
    }

    /// The oldest of what is awaited, which has come.
    pub(super) fn pop_awaited(&mut self) -> Option<Awaited> {
        let oldest = self.awaited.pop_front()?;
        self.timing.come += 1;
        let begun = match std::mem::take(&mut self.timing.begun) {
            0 => self.timing.now,
            begun => begun,
        };
        let Some(under_way) = &mut self.timing.under_way else { return Some(oldest) };
        let is_whole = under_way.commands.front().is_some_and(|timed| timed.until <= self.timing.come);
        if is_whole && let Some(timed) = under_way.commands.pop_front() {
            let micros = begun.saturating_sub(timed.sent.max(under_way.free));
            let words = under_way.words.split_to(timed.words);
            under_way.free = self.timing.now;
            if under_way.commands.is_empty() {
                self.timing.under_way = None;
            }
            if !words.is_empty() && self.slow().is_some_and(|slow| micros >= slow) {
                self.was_slow(micros, Bytes::copy_from_slice(&words));
            }
        }
        Some(oldest)
    }

    /// Awaits something before all else.
    pub(super) fn await_first(&mut self, first: Awaited) {
        self.awaited.push_front(first);
        self.timing.come -= 1;
    }

    fn was_slow(&self, micros: u64, words: Bytes) {
        let (at, address, name) = (self.timing.now / 1_000_000, self.setup.address.clone(), self.name.clone());
        self.setup.peers.slowlog.push(slowlog::Entry { at, micros, words, address, name });
    }
}

#[cfg(test)]
#[path = "timing_tests.rs"]
mod tests;
