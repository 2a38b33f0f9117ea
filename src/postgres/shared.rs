//! A session whose connection upstream is lent to it: the client's names stand for the wall's, and what needs no server is answered here.

use super::expect::Expect;
use super::lent::{Lent, Place, Pooled, STATEMENTS_MAX, Settings};
use super::names::{self, Found, Statement};
use super::session::{Flow, Session, Step};
use super::wire::{self, Frame};
use super::{Judging, encode, errors, own_schema, routing, rows};
use crate::session::{Fact, Turn};
use crate::sql::{Kind, Refusal, Script, Traces};
use bytes::{Buf, BytesMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// So many bytes of a client's are kept before a connection is taken for them.
const WAITING_BYTES: usize = 64 << 10;

/// What a session without a connection needs for the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// More of them.
    More,
    /// None: they end it.
    Nothing,
    /// A connection.
    Connection,
}

/// How a session stands to the connection that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is at work.
    Busy,
    /// Its settings must be read, see [`Session::settle`].
    Unsettled,
    /// It keeps the connection.
    Kept,
    /// It needs it no more.
    Free,
}

impl<J: Judging> Session<J> {
    /// The same, with its connections lent.
    #[must_use]
    pub fn pooled(mut self, pooled: Pooled) -> Self {
        self.pooled = Some(Box::new(pooled));
        self
    }

    /// What the settings of its connection must be.
    pub fn wants(&self) -> Settings {
        self.pooled.as_ref().map(|p| p.settings().clone()).unwrap_or_default()
    }

    /// It has a connection, whose settings are what they must be.
    pub fn lend(&mut self, lent: Box<Lent>) {
        if let Some(pooled) = &mut self.pooled {
            pooled.lent = Some(lent);
        }
    }

    /// It has none any more.
    pub fn give(&mut self) -> Option<Box<Lent>> {
        let pooled = self.pooled.as_mut()?;
        let mut lent = pooled.lent.take()?;
        lent.last = pooled.number();
        // Whoever comes next does not know it.
        lent.statements.unnamed = None;
        Some(lent)
    }

    /// How it stands to its connection.
    pub fn hold(&self) -> Hold {
        let Some(pooled) = &self.pooled else { return Hold::Kept };
        let rest = self.status == b'I' && self.flow == Flow::Ready && self.queue.is_empty();
        if !rest || self.row_bytes > 0 || self.is_held_back() {
            return Hold::Busy;
        }
        if pooled.is_unsettled() {
            return Hold::Unsettled;
        }
        let kept = pooled.pinned || !self.own.temps.is_empty() || !self.portals.is_empty();
        if kept { Hold::Kept } else { Hold::Free }
    }

    /// Its connection's settings were read; None where they could not be. Gives what they must be.
    pub fn settle(&mut self, read: Option<Settings>) -> Settings {
        self.unnamed_is_gone();
        let Some(pooled) = &mut self.pooled else { return Settings::default() };
        match read {
            Some(read) => pooled.settle(read),
            None => pooled.keep(),
        }
        pooled.settings().clone()
    }

    /// Tells the client of a parameter that the server has reported.
    pub fn report(&self, name: &str, value: &str, turn: &mut Turn) {
        let _ = encode::parameter_status(&mut turn.to_client, name, own_schema::status(self.judge.own_schema(), name, value));
    }

    /// Its connection's settings are now what they must be.
    pub fn settled(&mut self) {
        if let Some(pooled) = &mut self.pooled {
            let settings = pooled.settings().clone();
            if let Some(lent) = &mut pooled.lent {
                lent.settings = settings;
            }
        }
    }

    /// What bytes need that came while it has no connection: nothing is asked of the server before the client waits for an answer.
    pub fn need(input: &[u8]) -> Need {
        let mut rest = input;
        let mut first = true;
        loop {
            match wire::header(rest) {
                Err(_) => return if first { Need::Nothing } else { Need::Connection },
                Ok(None) => break,
                Ok(Some((tag, length))) => {
                    let known = b"QFPBDECHSdcf".contains(&tag) || tag == routing::REFUSE;
                    if first && (!known || length > wire::client_cap(tag)) {
                        return Need::Nothing;
                    }
                    let Some(next) = rest.get(length..) else { break };
                    if !matches!(tag, b'P' | b'B' | b'D' | b'E' | b'C') {
                        return Need::Connection;
                    }
                    (rest, first) = (next, false);
                }
            }
        }
        // One long message waits until it is whole.
        if !first && input.len() > WAITING_BYTES { Need::Connection } else { Need::More }
    }

    /// Answers what the client waits for by this error, for there is no connection; the session goes on. False where it cannot.
    pub fn deny(input: &mut BytesMut, refusal: &Refusal, turn: &mut Turn) -> bool {
        while let Ok(Some((tag, length))) = wire::header(input) {
            if length > input.len() {
                break;
            }
            let whole = tag == routing::REFUSE && input.get(wire::HEADER_BYTES) == Some(&1);
            input.advance(length);
            if whole || matches!(tag, b'Q' | b'F' | b'S') {
                turn.facts.push(Fact::Refused(refusal.sqlstate));
                errors::refusal(&mut turn.to_client, refusal);
                encode::ready(&mut turn.to_client, b'I');
                return true;
            }
        }
        false
    }

    /// Tells the router of what a client would miss if the session were another.
    fn would_be_missed<'k>(&self, traces: Traces, mut kinds: impl Iterator<Item = &'k Kind>) {
        let made = |kind: &Kind| matches!(kind, Kind::CreateTemp { .. } | Kind::CreateTempView(_));
        if let Some(leaves) = &self.routed
            && (traces.has(Traces::SETTINGS) || traces.has(Traces::PIN) || kinds.any(made))
        {
            leaves.store(true, Ordering::Relaxed);
        }
    }

    /// Takes in that a simple query goes on.
    pub(super) fn script_leaves(&mut self, script: &Script) {
        self.would_be_missed(script.assurance.traces, script.kinds.iter());
        if let Some(pooled) = &mut self.pooled {
            pooled.leaves(script.assurance.traces);
            if let Some(lent) = &mut pooled.lent {
                lent.statements.unnamed = None;
            }
        }
    }

    /// Takes in that a statement runs.
    pub(super) fn statement_leaves(&mut self, statement: &Statement) {
        self.would_be_missed(statement.prepared.assurance.traces, std::iter::once(&statement.prepared.kind));
        if let Some(pooled) = &mut self.pooled {
            pooled.leaves(statement.prepared.assurance.traces);
        }
    }

    /// Is something owed that changes which statements upstream has?
    pub(super) fn awaits_statements(&self) -> bool {
        let changes = |k: &Kind| matches!(k, Kind::Deallocate(_) | Kind::DiscardAll | Kind::Prepare(_));
        self.pooled.is_some()
            && self.queue.forwards().any(|e| match e {
                Expect::Script { script, .. } => script.kinds.iter().any(changes),
                Expect::Execute { statement: Some(s), .. } => changes(&s.prepared.kind),
                _ => false,
            })
    }

    /// Parse. The unnamed statement goes on as it is; a named one only where upstream has none like it of the tenant's.
    pub(super) fn parse_shared(&mut self, name: &str, mut statement: Statement, turn: &mut Turn) -> Result<Step, Refusal> {
        if matches!(statement.prepared.kind, Kind::Deallocate(_)) {
            return Err(Refusal::not_understood("DEALLOCATE in the extended protocol is not supported here")
                .hint("Send Close, or DEALLOCATE as a simple query."));
        }
        let version = self.judge.version();
        let Some(pooled) = &mut self.pooled else { return Ok(Step::Done) };
        if name.is_empty() {
            let text = statement.prepared.outgoing.as_str();
            encode::parse(&mut turn.to_upstream, "", text, &statement.types).map_err(|e| errors::unreadable(&e))?;
            if let Some(lent) = &mut pooled.lent {
                lent.statements.unnamed = None;
            }
            self.queue.push(Expect::Parse { name: name.into(), statement: Arc::new(statement) });
            return Ok(Step::Done);
        }
        // What the server says where it is asked; the unnamed one it is.
        if self.status == b'E' && self.queue.is_empty() && !matches!(statement.prepared.kind, Kind::End | Kind::RollbackTo(_)) {
            return Err(errors::aborted());
        }
        statement.digest = pooled.digest(statement.prepared.outgoing.as_str(), &statement.types, version);
        match names::find_settled(name, &self.queue, &self.known) {
            Found::Statement(_) => return Err(Refusal::with_state("42P05", format!("prepared statement \"{name}\" already exists"))),
            Found::Uncertain => return Ok(Step::Wait),
            Found::Nothing if names::is_parted(&self.queue) => return Ok(Step::Wait),
            Found::Nothing => {}
        }
        let statement = Arc::new(statement);
        if self.prepared(&statement, turn)?.is_none() {
            return Ok(Step::Wait);
        }
        self.queue.push(Expect::Here { name: name.into(), statement: Some(statement) });
        self.here(turn);
        Ok(Step::Done)
    }

    /// The name that upstream knows a client's statement by; it is prepared there where it is not. None where that hangs on replies.
    pub(super) fn upstream_name(&mut self, name: &str, s: &Arc<Statement>, turn: &mut Turn) -> Result<Option<Arc<str>>, Refusal> {
        if self.pooled.is_none() || s.in_sql {
            return Ok(Some(name.into()));
        }
        if !name.is_empty() {
            return self.prepared(s, turn);
        }
        // In the part that is not answered yet the last Parse counts, for without it nothing of the part does.
        for expect in self.queue.backwards() {
            match expect {
                Expect::Parse { name: n, statement } if n.is_empty() => return Ok(Arc::ptr_eq(statement, s).then(|| name.into())),
                Expect::Given { name: n, statement, .. } if n.is_empty() => return Ok(Arc::ptr_eq(statement, s).then(|| name.into())),
                Expect::Sync | Expect::Script { .. } | Expect::RefusedScript { .. } | Expect::Catalog(_) => return Ok(None),
                _ => {}
            }
        }
        let there = self.pooled.as_ref().and_then(|p| p.lent.as_ref()?.statements.unnamed.as_ref());
        if !there.is_some_and(|there| Arc::ptr_eq(there, s)) {
            self.give_statement(0, name.into(), s, turn)?;
        }
        Ok(Some(name.into()))
    }

    /// The wall's name of a statement; None where that hangs on replies.
    fn prepared(&mut self, s: &Arc<Statement>, turn: &mut Turn) -> Result<Option<Arc<str>>, Refusal> {
        let Some(pooled) = &mut self.pooled else { return Ok(None) };
        let print = pooled.print();
        let Some(lent) = &mut pooled.lent else { return Err(errors::no_upstream()) };
        match lent.statements.find(&self.tenant, s, print) {
            Place::There(name) => return Ok(Some(name)),
            Place::Sent(name) => return Ok(names::is_sent_in_this_part(&name, &self.queue).then_some(name)),
            Place::Nowhere => {}
        }
        if lent.statements.len() >= STATEMENTS_MAX {
            return Err(Refusal::with_state("53400", "too many prepared statements"));
        }
        let surplus = lent.statements.surplus();
        let (key, name) = lent.statements.put(&self.tenant, s, print);
        for old in surplus {
            encode::close_statement(&mut turn.to_upstream, &old).map_err(|e| errors::unreadable(&e))?;
            self.queue.push(Expect::Shut(old));
        }
        self.give_statement(key, name.clone(), s, turn)?;
        Ok(Some(name))
    }

    fn give_statement(&mut self, key: u64, name: Arc<str>, s: &Arc<Statement>, turn: &mut Turn) -> Result<(), Refusal> {
        let text = s.prepared.outgoing.as_str();
        encode::parse(&mut turn.to_upstream, &name, text, &s.types).map_err(|e| errors::unreadable(&e))?;
        self.queue.push(Expect::Given { key, name, statement: s.clone() });
        Ok(())
    }

    /// Close of a statement: the client's name ends, upstream's stays for others.
    pub(super) fn close_shared(&mut self, name: &str, turn: &mut Turn) -> Step {
        if names::is_parted(&self.queue) {
            return Step::Wait;
        }
        self.queue.push(Expect::Here { name: name.into(), statement: None });
        self.here(turn);
        Step::Done
    }

    /// Answers what stands first and needs no server.
    pub(super) fn here(&mut self, turn: &mut Turn) {
        while let Some(Expect::Here { name, statement }) = self.queue.peek() {
            let tag = match statement {
                Some(statement) => {
                    self.known.insert(name.clone(), statement.clone());
                    b'1'
                }
                None => {
                    self.known.remove(name);
                    b'3'
                }
            };
            turn.to_client.extend_from_slice(&[tag, 0, 0, 0, 4]);
            self.queue.pop();
            self.flow = Flow::Open;
        }
    }

    /// An answer to what the wall itself has sent; false where it is none.
    pub(super) fn own_answer(&mut self, frame: &Frame) -> bool {
        let lent = self.pooled.as_mut().and_then(|p| p.lent.as_mut());
        match (self.queue.peek(), frame.tag, lent) {
            (Some(Expect::Given { name, statement, .. }), b'1', Some(lent)) if name.is_empty() => {
                lent.statements.unnamed = Some(statement.clone());
            }
            (Some(Expect::Given { key, name, .. }), b'1', Some(lent)) => lent.statements.confirm(&self.tenant, *key, name),
            (Some(Expect::Shut(_)), b'3', _) => {}
            _ => return false,
        }
        self.queue.pop();
        self.flow = Flow::Open;
        true
    }

    /// What was expected will not come, for an error came before it or in its place.
    pub(super) fn passed_over(&mut self, expect: Option<Expect>) {
        let Some(lent) = self.pooled.as_mut().and_then(|p| p.lent.as_mut()) else { return };
        match expect {
            Some(Expect::Given { key, name, .. }) => lent.statements.forget(&self.tenant, key, &name),
            Some(Expect::Shut(name)) => lent.statements.doom_name(name),
            _ => {}
        }
    }

    /// What must wait for answers here waits for a Flush, too: no Sync may stand before it.
    pub(super) fn asks_for_answers(&mut self, waits: bool, flushed: bool, turn: &mut Turn) {
        if waits && self.pooled.is_some() {
            self.own.flushed = flushed;
            self.flush_once(turn);
        }
    }

    /// A simple query of the wall's own took upstream's unnamed statement.
    pub(super) fn unnamed_is_gone(&mut self) {
        if let Some(lent) = self.pooled.as_mut().and_then(|p| p.lent.as_mut()) {
            lent.statements.unnamed = None;
        }
    }

    /// The server says that a statement's plan cannot be used any more: the next Parse must be a new one.
    pub(super) fn outlived(&mut self, code: Option<&[u8]>) {
        let Some(Expect::Bind { statement: s, .. } | Expect::Execute { statement: Some(s), .. } | Expect::Parameters(s)) =
            self.queue.peek()
        else {
            return;
        };
        if code == Some(b"0A000")
            && let Some(lent) = self.pooled.as_mut().and_then(|p| p.lent.as_mut())
        {
            lent.statements.doom(s);
        }
    }

    /// DEALLOCATE of what only the client knows by that name is answered here. None where it goes on.
    pub(super) fn deallocate(&mut self, script: &Script, turn: &mut Turn) -> Result<Option<Step>, Refusal> {
        let (Some(_), [Kind::Deallocate(name)]) = (&self.pooled, &*script.kinds) else { return Ok(None) };
        if !self.queue.is_empty() {
            self.flush_once(turn);
            return Ok(Some(Step::Wait));
        }
        let by_sql = match name {
            Some(name) => self.known.get(name.as_str()).is_some_and(|s| s.in_sql),
            None => self.known.values().any(|s| s.in_sql),
        };
        if by_sql {
            return Ok(None);
        }
        if self.status == b'E' {
            return Err(errors::aborted());
        }
        match name {
            Some(name) if self.known.remove(name.as_str()).is_none() => return Err(names::no_statement(name)),
            Some(_) => {}
            None => self.known.clear(),
        }
        self.known.remove("");
        self.flow = Flow::Ready;
        turn.facts.extend([Fact::Permitted, Fact::Answered]);
        rows::told(&script.assurance, turn);
        let tag = if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" };
        let _ = encode::message(&mut turn.to_client, b'C', |b| encode::string(b, tag.as_bytes()));
        encode::ready(&mut turn.to_client, self.status);
        Ok(Some(Step::Done))
    }

    /// PREPARE of a name that the protocol has given already.
    pub(super) fn may_prepare(&self, name: &str) -> Result<(), Refusal> {
        match self.pooled.is_some() && self.known.get(name).is_some_and(|s| !s.in_sql) {
            true => Err(Refusal::with_state("42P05", format!("prepared statement \"{name}\" already exists"))),
            false => Ok(()),
        }
    }

    /// ReadyForQuery came.
    pub(super) fn part_ended(&mut self, simple: bool) {
        let Some(pooled) = &mut self.pooled else { return };
        if simple {
            self.known.remove("");
            if let Some(lent) = &mut pooled.lent {
                lent.statements.unnamed = None;
            }
        }
        if self.status == b'I' {
            pooled.ended(self.queue.is_empty());
        }
    }

    /// Upstream has dropped all statements.
    pub(super) fn dropped_all(&mut self, discarded: bool) {
        let Some(pooled) = &mut self.pooled else { return };
        pooled.discarded |= discarded;
        if let Some(lent) = &mut pooled.lent {
            lent.statements.clear();
        }
    }

    pub(super) fn says_goodbye(&self) -> bool {
        self.pooled.is_none()
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
