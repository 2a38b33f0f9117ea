//! An audited conversation: each command is told as it comes; and the conversation of an operator, which nobody judges.

use super::commands::{Found, find};
use super::encode::{self, Resp};
use super::frames::Measure;
use super::wire::{Limits, Request, Scanner, WireError};
use crate::session::{Close, Fact, Session, Turn};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::sync::Arc;

/// The longest text that is told whole, in bytes.
const TEXT_BYTES: usize = 64 << 10;

/// A session whose commands are told.
#[derive(Debug)]
pub struct Audited<S> {
    /// The session.
    pub inner: S,
    scanner: Scanner,
}

impl<S: Session> Audited<S> {
    /// Tells what `inner` is given from now on.
    pub fn new(inner: S) -> Self {
        Self { inner, scanner: Scanner::default() }
    }
}

/// What is told of a command: its words, as redis-cli would quote them; of who logs in, no password.
fn told(request: &Request) -> Arc<str> {
    let is = |at: usize, word: &str| request.arg(at).eq_ignore_ascii_case(word.as_bytes());
    let secret_from = match request.len() {
        _ if is(0, "auth") => 1,
        count if is(0, "hello") => (1..count).find(|at| is(*at, "auth")).map_or(count, |at| at + 1),
        count if is(0, "migrate") => (1..count).find(|at| is(*at, "auth") || is(*at, "auth2")).map_or(count, |at| at + 1),
        _ if (is(0, "acl") && is(1, "setuser")) || (is(0, "config") && is(1, "set")) => 3,
        count => count,
    };
    let mut text = String::new();
    for (at, arg) in request.iter().enumerate() {
        if text.len() > TEXT_BYTES {
            text.push_str(&format!("… ({} bytes)", request.size()));
            break;
        }
        if at > 0 {
            text.push(' ');
        }
        if at >= secret_from {
            text.push_str("(…)");
            break;
        }
        let shown = arg.get(..TEXT_BYTES.min(arg.len())).unwrap_or_default().escape_ascii().to_string();
        let plain = !shown.is_empty() && !shown.contains([' ', '\\', '"']);
        text.push_str(&if plain { shown } else { format!("\"{shown}\"") });
    }
    text.into()
}

impl<S: Session> Session for Audited<S> {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        while self.inner.wants_client() {
            match self.scanner.scan(input, &Limits::TENANT) {
                Ok(Some(request)) => {
                    turn.facts.push(Fact::Audited(told(&request)));
                    self.inner.from_client(&mut request.encoded(), turn)?;
                }
                Ok(None) if self.scanner.over(&Limits::TENANT) => return Err(broken(&WireError::Request, turn)),
                Ok(None) => break,
                Err(error) => return Err(broken(&error, turn)),
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

fn broken(error: &WireError, turn: &mut Turn) -> Close {
    encode::error(&mut turn.to_client, format!("ERR Protocol error: {error}").as_bytes());
    Close::ClientBroke("protocol")
}

/// Whether it may be answered only when somebody else has done something.
fn waits(request: &Request) -> bool {
    match find(request.arg(0), (request.len() > 1).then(|| request.arg(1))) {
        Found::Entry(entry) => entry.may_wait(),
        _ => false,
    }
}

/// An operator's conversation: what it says goes on as it is.
#[derive(Debug)]
pub struct Unguarded {
    scanner: Scanner,
    /// Of the reply that is passing; None once something came that is none.
    measure: Option<Measure>,
    resp: Resp,
    /// Replies that are to come, and whether each may wait for others: whoever is gone is not told of it.
    owed: VecDeque<bool>,
    /// Between MULTI and EXEC.
    open: bool,
}

impl Default for Unguarded {
    fn default() -> Self {
        Self { scanner: Scanner::default(), measure: Some(Measure::default()), resp: Resp::Two, owed: VecDeque::new(), open: false }
    }
}

impl Session for Unguarded {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        loop {
            let request = match self.scanner.scan(input, &Limits::TENANT) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(error) => return Err(broken(&error, turn)),
            };
            let is = |word: &str| request.arg(0).eq_ignore_ascii_case(word.as_bytes());
            if is("hello") && request.len() > 1 {
                // Frames of the newer protocol hold those of the older.
                self.resp = Resp::Three;
            }
            self.open = is("multi") || (self.open && !is("exec") && !is("discard") && !is("reset"));
            if is("client") && request.arg(1).eq_ignore_ascii_case(b"reply") {
                // Not every command has a reply from here on.
                self.measure = None;
            }
            if self.measure.is_some() {
                self.owed.push_back(waits(&request));
            }
            turn.to_upstream.extend_from_slice(&request.encoded());
        }
    }

    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        while let Some(measure) = self.measure.as_mut().filter(|_| !input.is_empty()) {
            match measure.feed(input, self.resp) {
                Ok((0, false)) => return Ok(()),
                Ok((bytes, whole)) => {
                    turn.to_client.extend_from_slice(&input.split_to(bytes));
                    if whole {
                        self.owed.pop_front();
                    }
                }
                // What is pushed unasked: where replies end is not known any more.
                Err(_) => self.measure = None,
            }
        }
        turn.to_client.extend_from_slice(&input.split());
        Ok(())
    }

    fn owes(&self) -> bool {
        self.measure.is_some() && self.owed.front() == Some(&false)
    }

    fn at_rest(&self) -> bool {
        !self.open && self.measure.as_ref().is_none_or(|m| m.at_rest() && self.owed.is_empty())
    }

    fn farewell(&mut self, turn: &mut Turn) {
        if self.measure.as_ref().is_some_and(Measure::at_rest) {
            encode::error(&mut turn.to_client, b"ERR the session has ended");
        }
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
