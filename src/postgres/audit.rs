//! An audited conversation: each statement is told as it is run, with its text; and the conversation of an operator, which no judge reads.

use super::wire::{self, Frame, HEADER_BYTES, Target};
use super::{errors, names};
use crate::session::{Close, Fact, Session, Turn};
use crate::sql::Refusal;
use bytes::BytesMut;
use std::collections::HashMap;
use std::sync::Arc;

/// The longest text that is told whole, in bytes.
const TEXT_BYTES: usize = 64 << 10;

/// What statements and portals stand for.
#[derive(Debug, Default)]
struct Trail {
    statements: HashMap<String, Arc<str>>,
    portals: HashMap<String, Arc<str>>,
}

/// A session whose statements are told.
#[derive(Debug)]
pub struct Audited<S> {
    /// The session.
    pub inner: S,
    trail: Trail,
}

impl<S: Session> Audited<S> {
    /// Tells what `inner` is sent from now on.
    pub fn new(inner: S) -> Self {
        Self { inner, trail: Trail::default() }
    }
}

impl Trail {
    fn note(&mut self, frame: &Frame, turn: &mut Turn) {
        let unreadable = || Arc::from("(cannot be read)");
        match frame.tag {
            b'Q' => turn.facts.push(Fact::Audited(wire::query(frame.body()).map_or_else(|_| unreadable(), cut))),
            b'P' => {
                if let Ok(parse) = wire::parse(frame.body()) {
                    if self.statements.len() >= names::STATEMENTS {
                        // Told early rather than not at all.
                        turn.facts.push(Fact::Audited(cut(parse.sql)));
                    } else {
                        self.statements.insert(parse.name.to_owned(), cut(parse.sql));
                    }
                }
            }
            b'B' => {
                if let Ok(bind) = wire::bind(frame.body()) {
                    let text = self.statements.get(bind.statement).cloned();
                    if self.portals.len() >= names::PORTALS && !self.portals.contains_key(bind.portal) {
                        turn.facts.extend(text.map(Fact::Audited));
                    } else {
                        self.portals.insert(bind.portal.to_owned(), text.unwrap_or_else(|| Arc::from("(a statement prepared by SQL)")));
                    }
                }
            }
            b'E' => {
                let text = wire::execute(frame.body()).ok().and_then(|portal| self.portals.get(portal).cloned());
                turn.facts.push(Fact::Audited(text.unwrap_or_else(|| Arc::from("(a cursor)"))));
            }
            b'C' => match wire::target(frame.body()) {
                Ok(Target::Statement(name)) => drop(self.statements.remove(name)),
                Ok(Target::Portal(name)) => drop(self.portals.remove(name)),
                Err(_) => {}
            },
            b'F' => turn.facts.push(Fact::Audited(Arc::from("(a function call by protocol)"))),
            _ => {}
        }
    }
}

/// What is told of a text.
fn cut(sql: &str) -> Arc<str> {
    if sql.len() <= TEXT_BYTES {
        return sql.into();
    }
    let end = (0..=TEXT_BYTES).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or_default();
    format!("{}… ({} bytes)", sql.get(..end).unwrap_or_default(), sql.len()).into()
}

impl<S: Session> Session for Audited<S> {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        while self.inner.wants_client() {
            match wire::take(input, wire::client_cap) {
                Ok(Some(frame)) => {
                    self.trail.note(&frame, turn);
                    let mut bytes = frame.bytes;
                    self.inner.from_client(&mut bytes, turn)?;
                }
                Ok(None) => break,
                // It says so in its own words.
                Err(_) => return self.inner.from_client(input, turn),
            }
        }
        Ok(())
    }

    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        self.inner.from_upstream(input, turn)
    }

    fn labour(&mut self, turn: &mut Turn) -> Result<(), Close> {
        self.inner.labour(turn)
    }

    fn ended(&mut self) {
        self.inner.ended();
    }

    fn renewed(&mut self, turn: &mut Turn) -> Result<(), Close> {
        self.inner.renewed(turn)
    }

    fn wants_client(&self) -> bool {
        self.inner.wants_client()
    }

    fn owes(&self) -> bool {
        self.inner.owes()
    }

    fn at_rest(&self) -> bool {
        self.inner.at_rest()
    }

    fn farewell(&mut self, turn: &mut Turn) {
        self.inner.farewell(turn);
    }

    fn abandoned(&mut self, turn: &mut Turn) {
        self.inner.abandoned(turn);
    }
}

/// An operator's conversation: what it says goes on as it is.
#[derive(Debug)]
pub struct Unguarded {
    /// ReadyForQuery that are to come.
    owed: usize,
    status: u8,
    /// Messages of a batch were sent since the last Sync.
    open: bool,
    /// Bytes of upstream's message that have not come yet.
    passing: usize,
    /// Upstream reads rows.
    reads_rows: bool,
    /// All rows of the next COPY that upstream begins were sent since the last statement.
    sent_rows: bool,
}

impl Default for Unguarded {
    fn default() -> Self {
        Self { owed: 0, status: b'I', open: false, passing: 0, reads_rows: false, sent_rows: false }
    }
}

impl Unguarded {
    fn last_words(&self, refusal: &Refusal, turn: &mut Turn) {
        if self.passing == 0 {
            errors::fatal(&mut turn.to_client, refusal);
        }
    }
}

impl Session for Unguarded {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        loop {
            let frame = match wire::take(input, wire::client_cap) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.last_words(&errors::unreadable(&error), turn);
                    return Err(Close::ClientBroke("message length"));
                }
            };
            match frame.tag {
                b'X' => {
                    turn.to_upstream.extend_from_slice(&frame.bytes);
                    return Err(Close::Bye);
                }
                b'Q' | b'F' => {
                    self.owed += 1;
                    self.sent_rows = false;
                }
                // Upstream may not have come to read them yet.
                b'c' | b'f' => self.sent_rows = !std::mem::take(&mut self.reads_rows),
                b'S' => {
                    self.owed += 1;
                    self.open = false;
                }
                b'P' | b'B' | b'D' | b'E' | b'C' => (self.open, self.sent_rows) = (true, false),
                _ => {}
            }
            turn.to_upstream.extend_from_slice(&frame.bytes);
        }
    }

    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        const BROKEN: Close = Close::UpstreamBroke("message length");
        loop {
            let here = self.passing.min(input.len());
            self.passing -= here;
            turn.to_client.extend_from_slice(&input.split_to(here));
            if self.passing > 0 {
                return Ok(());
            }
            let Some((tag, length)) = wire::header(input).map_err(|_| BROKEN)? else { return Ok(()) };
            match tag {
                b'G' => self.reads_rows = !std::mem::take(&mut self.sent_rows),
                b'E' | b'Z' => self.reads_rows = false,
                _ => {}
            }
            if tag == b'Z' {
                let Some(status) = input.get(HEADER_BYTES) else { return Ok(()) };
                self.status = *status;
                self.owed = self.owed.saturating_sub(1);
            }
            self.passing = length;
        }
    }

    /// Whoever will say no more sends no more rows either.
    fn owes(&self) -> bool {
        (self.owed > 0 && !self.reads_rows) || self.passing > 0
    }

    fn at_rest(&self) -> bool {
        self.owed == 0 && !self.open && self.status == b'I' && self.passing == 0
    }

    fn farewell(&mut self, turn: &mut Turn) {
        self.last_words(&errors::sent_away(), turn);
    }

    fn abandoned(&mut self, turn: &mut Turn) {
        self.last_words(&errors::upstream_failed(), turn);
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
