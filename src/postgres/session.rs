//! A client's conversation after authentication: what it says is judged, and each message that goes on queues its reply.
//!
//! A refused message is not left out: a wall-made one that surely fails goes in its place, and the error that comes back is
//! given the refusal's words. So order, aborted transactions and the skip to Sync are the server's own, never an imitation.

use super::copying::Copying;
use super::expect::{Expect, Queue};
use super::lent::Pooled;
use super::names::{self, Found, Known, Portals, Statement};
use super::own::Own;
use super::reread::Made;
use super::wire::{self, CLIENT_LONG_BYTES, Frame, Target};
use super::{Judging, bind, effects, encode, errors, routing, rows};
use crate::policy::TenantId;
use crate::session::{Close, Fact, Turn};
use crate::sql::Refusal;
use crate::sql::private::Declared;
use bytes::BytesMut;
use std::sync::{Arc, atomic::AtomicBool};

const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];

/// One client's conversation, from the first ReadyForQuery on (which the shell has passed).
#[derive(Debug)]
pub struct Session<J> {
    pub(super) judge: J,
    /// Counts the judges this session has had.
    pub(super) generation: u64,
    /// The generation that its policy came with.
    pub(super) ruled_since: u64,
    pub(super) tenant: TenantId,
    pub(super) flow: Flow,
    /// Of the last ReadyForQuery.
    pub(super) status: u8,
    pub(super) queue: Queue,
    pub(super) known: Known,
    pub(super) portals: Portals,
    pub(super) copying: Copying,
    pub(super) own: Own,
    pub(super) made: Made,
    /// Where its connections upstream are lent to it.
    pub(super) pooled: Option<Box<Pooled>>,
    /// Bytes of a row that have not come yet.
    pub(super) row_bytes: usize,
    /// Upstream has said its last words.
    pub(super) ended: bool,
    /// The client's bytes that must wait for replies; see [`Step::Wait`].
    held: BytesMut,
    pub(super) waiting: bool,
    /// May take long; see [`Turn::laborious`].
    beside: bool,
    /// A router stands before it, which may say what is refused.
    pub(super) routed: Option<Arc<AtomicBool>>,
    /// The policy does not have this tenant any more.
    pub(super) revoked: bool,
    /// The judge by which the rows that the client sends were looked at last.
    pub(super) copies_by: u64,
}

/// Where upstream stands in the extended protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// After ReadyForQuery.
    Ready,
    /// Something was answered and no Sync yet.
    Open,
    /// An error came and the client has not sent its Sync: upstream ignores all else.
    Skipping,
}

/// A statement's text that is longer than this takes long to judge: milliseconds.
const LONG_TEXT_BYTES: usize = 4 << 10;
/// So do more statements in a row than this.
const TEXTS_IN_A_ROW: usize = 8;

/// What became of a client's message.
pub(super) enum Step {
    Done,
    /// It cannot be judged before more replies have come.
    Wait,
}

impl<J: Judging> Session<J> {
    /// A session of `tenant`. Upstream is idle, in no transaction, and has no prepared statements.
    pub fn new(judge: J, tenant: TenantId) -> Self {
        Self {
            judge,
            generation: 0,
            ruled_since: 0,
            tenant,
            flow: Flow::Ready,
            status: b'I',
            queue: Queue::default(),
            known: Known::new(),
            portals: Portals::new(),
            copying: Copying::No,
            own: Own::default(),
            made: Made::default(),
            pooled: None,
            ended: false,
            row_bytes: 0,
            held: BytesMut::new(),
            waiting: false,
            beside: false,
            routed: None,
            revoked: false,
            copies_by: 0,
        }
    }

    /// Names are looked up in these schemas from the start.
    pub fn at(mut self, path: Option<Arc<[String]>>) -> Self {
        self.own = Own::at(path);
        self
    }

    /// Puts it behind a router: its client cannot reach it but through that.
    pub fn route(&mut self, leaves: Arc<AtomicBool>) {
        self.routed = Some(leaves);
    }

    /// From now on `judge` judges. What another policy or catalog let through, and has not been sent to run, is refused.
    pub fn set_judge(&mut self, judge: J) {
        // What a transaction has made only its own judge knows. Who has made something asks itself: the others' catalog may be from before.
        let same_policy = judge.version().0 == self.judge.version().0;
        if same_policy && self.made.ever {
            self.made.offered = true;
            return;
        }
        self.made.stale |= self.made.private;
        self.replace_judge(judge);
    }

    /// Takes messages off until one has to wait.
    fn drain(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        let mut texts = 0;
        loop {
            if self.queue.is_full() {
                self.wait(turn);
                return Ok(());
            }
            let frame = match wire::take(input, wire::client_cap) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(e) => {
                    self.last_words(&errors::unreadable(&e), turn);
                    return Err(Close::ClientBroke("message length"));
                }
            };
            let text = matches!(frame.tag, b'Q' | b'P') && !self.reads_rows();
            texts += usize::from(text);
            turn.laborious = text && !self.beside && (frame.bytes.len() > LONG_TEXT_BYTES || texts > TEXTS_IN_A_ROW);
            let step = if turn.laborious { Step::Wait } else { self.message(&frame, turn)? };
            if let Step::Wait = step {
                let rest = std::mem::replace(input, frame.bytes);
                input.unsplit(rest);
                self.wait(turn);
                return Ok(());
            }
        }
    }

    /// Goes on with what had to wait; called when replies have come.
    pub(super) fn resume(&mut self, turn: &mut Turn) -> Result<(), Close> {
        if !self.waiting {
            return Ok(());
        }
        self.waiting = false;
        let mut held = std::mem::take(&mut self.held);
        let result = self.drain(&mut held, turn);
        self.held = held;
        result
    }

    fn message(&mut self, frame: &Frame, turn: &mut Turn) -> Result<Step, Close> {
        match frame.tag {
            // The server answers what came before, and reads it then.
            b'X' if self.answers_come() => return Ok(Step::Wait),
            b'X' => {
                turn.to_upstream.extend_from_slice(if self.says_goodbye() { TERMINATE } else { &[] });
                return Err(Close::Bye);
            }
            // Upstream would answer with an error that no message here waits for.
            b'S' | b'H' if wire::empty(frame.body()).is_err() => {
                self.last_words(&errors::unreadable(&wire::WireError::Trailing), turn);
                return Err(Close::ClientBroke("message format"));
            }
            _ if self.reads_rows() => {
                self.copy_data(frame, turn)?;
                return Ok(Step::Done);
            }
            _ if self.awaits_copy() => return Ok(Step::Wait),
            // As the server: late copy data is read and ignored.
            b'd' | b'c' | b'f' => return Ok(Step::Done),
            b'Q' | b'F' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' => {}
            routing::REFUSE if self.routed.is_some() => {}
            tag => {
                let refusal = Refusal::with_state("08P01", format!("invalid frontend message type {tag}"));
                self.last_words(&refusal, turn);
                return Err(Close::ClientBroke("message type"));
            }
        }
        if self.flow == Flow::Skipping && frame.tag != b'S' {
            return Ok(Step::Done);
        }
        if (matches!(frame.tag, b'Q' | b'P') && self.awaits_temps()) || (frame.tag != b'S' && self.awaits_statements()) {
            self.flush_once(turn);
            return Ok(Step::Wait);
        }
        if matches!(frame.tag, b'Q' | b'P') && (self.awaits_catalog() || self.asks_first(turn)?) {
            match self.may_wait() {
                Ok(()) => {
                    self.flush_once(turn);
                    return Ok(Step::Wait);
                }
                Err(refusal) if frame.tag == b'Q' => self.refuse_script(refusal, turn),
                Err(refusal) => self.refuse_step(refusal, turn),
            }
            return Ok(Step::Done);
        }
        let flushed = std::mem::take(&mut self.own.flushed);
        match frame.tag {
            b'Q' => return Ok(self.query(frame, turn)),
            b'F' => self.refuse_script(Refusal::not_understood("function calls by protocol are not supported"), turn),
            b'S' => self.sync(turn),
            routing::REFUSE => self.told_to_refuse(frame, turn)?,
            b'H' => self.flush(frame, turn),
            _ => {
                let step = match frame.tag {
                    b'P' => self.parse(frame, turn),
                    b'B' => self.bind(frame, turn),
                    b'D' => self.describe(frame, turn),
                    b'E' => self.execute(frame, turn),
                    _ => self.close(frame, turn),
                };
                self.asks_for_answers(matches!(step, Ok(Step::Wait)), flushed, turn);
                return Ok(step.unwrap_or_else(|refusal| {
                    self.refuse_step(refusal, turn);
                    Step::Done
                }));
            }
        }
        Ok(Step::Done)
    }

    pub(super) fn sync(&mut self, turn: &mut Turn) {
        turn.to_upstream.extend_from_slice(&[b'S', 0, 0, 0, 4]);
        self.queue.push(Expect::Sync);
        if self.flow == Flow::Skipping {
            self.flow = Flow::Open;
        }
    }

    fn parse(&mut self, frame: &Frame, turn: &mut Turn) -> Result<Step, Refusal> {
        let parse = wire::parse(frame.body()).map_err(|e| errors::unreadable(&e))?;
        names::admit(parse.name)?;
        self.has_room(parse.name)?;
        let declared = Declared::of(&parse.types).ok_or_else(|| Refusal::syntax("too many parameter types"))?;
        let prepared = self.judge.extended_for(parse.sql, declared, &self.tenant, &self.own.temps)?;
        let types = bind::types(&parse.types, &prepared, self.judge.catalog())?;
        turn.facts.extend(prepared.assurance.alone.then_some(Fact::Alone));
        let statement = self.parsed(parse.sql, prepared, types);
        if self.pooled.is_some() {
            return self.parse_shared(parse.name, statement, turn);
        }
        let text = statement.prepared.outgoing.as_str();
        encode::parse(&mut turn.to_upstream, parse.name, text, &statement.types).map_err(|e| errors::unreadable(&e))?;
        self.queue.push(Expect::Parse { name: parse.name.into(), statement: Arc::new(statement) });
        Ok(Step::Done)
    }

    fn bind(&mut self, frame: &Frame, turn: &mut Turn) -> Result<Step, Refusal> {
        let message = wire::bind(frame.body()).map_err(|e| errors::unreadable(&e))?;
        names::admit(message.portal)?;
        if self.portals.len() >= names::PORTALS && !self.portals.contains_key(message.portal) {
            return Err(effects::too_many_portals());
        }
        let statement = match self.statement(message.statement)? {
            Some(statement) => self.by_this_path(statement)?,
            None => return Ok(Step::Wait),
        };
        let prepared = &statement.prepared;
        bind::check(&message, prepared, &statement.types, &self.tenant)?;
        let Some(name) = self.upstream_name(message.statement, &statement, turn)? else { return Ok(Step::Wait) };
        let as_it_is = *name == *message.statement;
        let message = wire::Bind { statement: &name, ..message };
        let added = prepared.assurance.columns(0).len();
        let mut format = 0;
        if added > 0 {
            let results;
            (results, format) = rows::formats(message.results, added);
            let message = wire::Bind { results: &results, ..message.clone() };
            bind::write(&mut turn.to_upstream, &message, prepared, &self.tenant).map_err(|e| errors::unreadable(&e))?;
        } else if as_it_is && prepared.tenant_types.is_empty() && prepared.channels.is_empty() {
            turn.to_upstream.extend_from_slice(&frame.bytes);
        } else {
            bind::write(&mut turn.to_upstream, &message, prepared, &self.tenant).map_err(|e| errors::unreadable(&e))?;
        }
        self.queue.push(Expect::Bind { portal: message.portal.into(), statement, format });
        Ok(Step::Done)
    }

    fn describe(&mut self, frame: &Frame, turn: &mut Turn) -> Result<Step, Refusal> {
        let expect = match wire::target(frame.body()).map_err(|e| errors::unreadable(&e))? {
            Target::Portal(name) => {
                names::admit(name)?;
                Expect::Columns(self.bound(name).0)
            }
            Target::Statement(name) => match self.statement(name)? {
                Some(statement) => match self.upstream_name(name, &statement, turn)? {
                    Some(known) if *known != *name => {
                        encode::describe_statement(&mut turn.to_upstream, &known).map_err(|e| errors::unreadable(&e))?;
                        self.queue.push(Expect::Parameters(statement));
                        return Ok(Step::Done);
                    }
                    Some(_) => Expect::Parameters(statement),
                    None => return Ok(Step::Wait),
                },
                None => return Ok(Step::Wait),
            },
        };
        turn.to_upstream.extend_from_slice(&frame.bytes);
        self.queue.push(expect);
        Ok(Step::Done)
    }

    fn execute(&mut self, frame: &Frame, turn: &mut Turn) -> Result<Step, Refusal> {
        let portal = wire::execute(frame.body()).map_err(|e| errors::unreadable(&e))?;
        names::admit(portal)?;
        self.fresh_portal(portal)?;
        let (statement, format) = self.bound(portal);
        if let Some(bound) = &statement
            && !self.may_run(std::slice::from_ref(&bound.prepared.kind))?
        {
            return Ok(Step::Wait);
        }
        turn.to_upstream.extend_from_slice(&frame.bytes);
        turn.facts.push(Fact::Permitted);
        if let Some(bound) = &statement {
            self.statement_leaves(bound);
            rows::told(&bound.prepared.assurance, turn);
        }
        self.queue.push(Expect::Execute { statement, format });
        Ok(Step::Done)
    }

    fn close(&mut self, frame: &Frame, turn: &mut Turn) -> Result<Step, Refusal> {
        let expect = match wire::target(frame.body()).map_err(|e| errors::unreadable(&e))? {
            Target::Portal(name) => {
                names::admit(name)?;
                Expect::ClosePortal(name.into())
            }
            Target::Statement(name) => {
                names::admit(name)?;
                if self.pooled.is_some() && !name.is_empty() && !self.known.get(name).is_some_and(|s| s.in_sql) {
                    return Ok(self.close_shared(name, turn));
                }
                Expect::CloseStatement(name.into())
            }
        };
        turn.to_upstream.extend_from_slice(&frame.bytes);
        self.queue.push(expect);
        Ok(Step::Done)
    }

    /// The statement that `name` will mean; None where that hangs on replies. Errors: it is none, or judged by another policy.
    fn statement(&self, name: &str) -> Result<Option<Arc<Statement>>, Refusal> {
        let found = match self.pooled {
            Some(_) => names::find_settled(name, &self.queue, &self.known),
            None => names::find(name, &self.queue, &self.known),
        };
        match found {
            Found::Statement(s) if s.generation == self.generation => Ok(Some(s)),
            Found::Statement(s) if s.generation >= self.ruled_since || self.judge.is_own_place() => self.judged_again(&s).map(Some),
            Found::Statement(_) => Err(effects::outdated()),
            Found::Nothing => Err(names::no_statement(name)),
            Found::Uncertain => Ok(None),
        }
    }

    /// In place of a message of the extended protocol.
    pub(super) fn refuse_step(&mut self, refusal: Refusal, turn: &mut Turn) {
        turn.facts.push(Fact::Refused(refusal.sqlstate));
        let bind = wire::Bind { portal: "", statement: names::RESERVED, formats: Vec::new(), count: 0, values: &[], results: &[0, 0] };
        let _ = bind::write_plain(&mut turn.to_upstream, &bind); // has no NUL, so it is written
        self.queue.push(Expect::Refused(refusal));
    }

    /// Does some of what the client has sent wait here?
    pub(super) fn is_held_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// A FATAL error, unless it would stand inside a row.
    pub(super) fn last_words(&self, refusal: &Refusal, turn: &mut Turn) {
        if self.row_bytes == 0 {
            errors::fatal(&mut turn.to_client, refusal);
        }
    }
}

impl<J: Judging + 'static> crate::session::Session for Session<J> {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        if !self.waiting {
            // The part of a message that came with what had to wait goes before.
            if !self.held.is_empty() {
                let rest = std::mem::replace(input, std::mem::take(&mut self.held));
                input.unsplit(rest);
            }
            self.drain(input, turn)?;
        }
        if self.waiting {
            self.held.unsplit(input.split());
            if self.held.len() > 2 * CLIENT_LONG_BYTES {
                self.last_words(&Refusal::with_state("53400", "too many messages without reading replies"), turn);
                return Err(Close::ClientBroke("pipeline"));
            }
        }
        Ok(())
    }

    fn labour(&mut self, turn: &mut Turn) -> Result<(), Close> {
        self.beside = true;
        let result = self.resume(turn);
        self.beside = false;
        result
    }

    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        let result = self.replies(input, turn);
        if let Err(Close::UpstreamBroke(_)) = &result {
            self.last_words(&errors::upstream_failed(), turn);
        }
        result?;
        self.resume(turn)
    }

    fn renewed(&mut self, turn: &mut Turn) -> Result<(), Close> {
        self.still_holds(turn)
    }

    fn wants_client(&self) -> bool {
        !self.waiting
    }

    fn owes(&self) -> bool {
        self.waiting || self.row_bytes > 0 || self.answers_come()
    }

    fn at_rest(&self) -> bool {
        self.status == b'I' && self.flow == Flow::Ready && self.queue.is_empty() && self.row_bytes == 0 && self.held.is_empty()
    }

    fn farewell(&mut self, turn: &mut Turn) {
        self.last_words(&errors::sent_away(), turn);
    }

    fn abandoned(&mut self, turn: &mut Turn) {
        if !self.ended {
            self.last_words(&errors::upstream_failed(), turn);
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
