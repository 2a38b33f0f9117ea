//! Statements of several tenants on one connection: whose each message is, and which session hears it. Pure; `listen::statement` has the sessions.
//!
//! Each tenant has a session of its own with a connection of its own upstream, so two tenants here are as far apart as two clients. One session is
//! in charge at a time: another takes its place only where nothing is owed, no batch is open and no transaction is. What is nobody's (BEGIN, SET
//! partywall.tenant) is answered here while no session is in charge, and told to the one whose the first statement is.

mod lobby;
mod replies;
mod there;

use super::header::{self, Keys, Said};
use super::wire::{self, Frame, Target};
use super::{encode, errors, names};
use crate::policy::{TenantId, TenantPattern};
use crate::session::Close;
use crate::sql::Refusal;
use crate::sql::neutral::{self, Neutral};
use bytes::{BufMut, BytesMut};
use lobby::Lobby;
use std::collections::{HashMap, HashSet, VecDeque};
use there::{Named, Names};

/// A message of the wall's own to a session: a refusal for it to give in the place of what a client has sent. No client can send it.
pub const REFUSE: u8 = 0x00;

/// What a port takes for a statement header, and from whom a statement without one is.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which strings are tenants.
    pub tenants: TenantPattern,
    /// Whose a statement is that says nothing.
    pub otherwise: Option<TenantId>,
    /// The only tenant that may be named: another source has said so.
    pub only: Option<TenantId>,
    /// Keys that sign, if there are any.
    pub keys: Option<std::sync::Arc<Keys>>,
    /// What is not signed counts for nothing.
    pub signed: bool,
    /// Comments go on to the server.
    pub keep: bool,
}

/// What the shell is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: more bytes are needed from the client.
    Read,
    /// Nothing: the session in charge must answer first.
    Wait,
    /// Put this tenant's session in charge, then say so by [`Router::opened`] or [`Router::failed`].
    Open(TenantId),
    /// End all sessions: their state is to be gone.
    Clear,
}

/// What was said by SET.
#[derive(Clone, Debug)]
struct Setting {
    tenant: TenantId,
    /// When its signature ends.
    until: Option<u64>,
}

/// What the session in charge owes.
#[derive(Debug)]
enum Mark {
    /// ParseComplete, of a statement of this name and number; not for the client where the wall has sent it again.
    Parse(String, u64, bool),
    /// CloseComplete; true where it is not for the client.
    Close(bool),
    /// ReadyForQuery; with all before it not for the client where true.
    Ready(bool),
}

/// A session as far as it is known here.
#[derive(Debug, Default)]
struct Branch {
    /// Statements that it has, by name, and their numbers.
    parsed: HashMap<String, u64>,
    /// Parameters as it has reported them.
    parameters: HashMap<Vec<u8>, Vec<u8>>,
}

/// Whose a message is.
enum Want {
    Tenant(TenantId),
    Neutral(Neutral),
    /// Of the session in charge, or nobody's.
    Same,
    /// That hangs on replies.
    Unsettled,
}

/// The state of one client's connection.
#[derive(Debug)]
pub struct Router {
    /// For the client.
    pub to_client: BytesMut,
    /// For the session in charge.
    pub to_session: BytesMut,
    /// Refused here and not by a session, for the log.
    pub refused: Vec<Refusal>,
    rules: Rules,
    /// Seconds since 1970.
    now: u64,
    /// Of the sessions that are not in charge.
    branches: HashMap<TenantId, Branch>,
    current: Option<TenantId>,
    /// Of the session in charge.
    there: Branch,
    marks: VecDeque<Mark>,
    /// Messages of a batch have gone to the session since the last Sync.
    open: bool,
    /// A transaction may have ended in this batch.
    batch_ended: bool,
    /// Of the last ReadyForQuery of the session in charge.
    status: u8,
    lobby: Lobby,
    names: Names,
    next_id: u64,
    setting: Option<Setting>,
    /// SET within the transaction; None within is RESET.
    local: Option<Option<Setting>>,
    /// What of that stays when the transaction commits.
    lasting: Option<Option<Setting>>,
    /// The last command tag that could end a transaction was COMMIT.
    committed: bool,
    /// A transaction that was begun here could not be begun there.
    unbegun: bool,
    /// All sessions are to end.
    clear: bool,
    /// Parameters as the client knows them.
    told: HashMap<Vec<u8>, Vec<u8>>,
    /// Bytes of a reply that pass without being looked at.
    passing: usize,
    /// The session in charge has asked for rows since the last ReadyForQuery.
    reads_rows: bool,
    /// Tenants whose sessions were ended by the wall, and who have not been told.
    missed: HashSet<TenantId>,
}

type Res<T> = Result<T, Refusal>;

impl Router {
    /// For a client that has been told `parameters`.
    pub fn new(rules: Rules, parameters: &[(String, String)]) -> Self {
        Self {
            to_client: BytesMut::new(),
            to_session: BytesMut::new(),
            refused: Vec::new(),
            rules,
            now: 0,
            branches: HashMap::new(),
            current: None,
            there: Branch::default(),
            marks: VecDeque::new(),
            open: false,
            batch_ended: false,
            status: b'I',
            lobby: Lobby::default(),
            names: Names::default(),
            next_id: 0,
            setting: None,
            local: None,
            lasting: None,
            committed: false,
            unbegun: false,
            clear: false,
            told: parameters.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().into_bytes())).collect(),
            passing: 0,
            reads_rows: false,
            missed: HashSet::new(),
        }
    }

    /// The keys may be others by now; `now` in seconds since 1970.
    pub fn renew(&mut self, keys: Option<std::sync::Arc<Keys>>, now: u64) {
        (self.rules.keys, self.now) = (keys, now);
    }

    /// Takes messages off `input` until something else has to be done. Errors: the client broke the protocol, or said goodbye.
    pub fn from_client(&mut self, input: &mut BytesMut) -> Result<Next, Close> {
        loop {
            let frame = match wire::take(input, wire::client_cap) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(Next::Read),
                Err(e) => return self.broken(&errors::unreadable(&e), "message length"),
            };
            if let Some(next) = self.message(&frame)? {
                if next == Next::Wait {
                    self.no_more_rows();
                }
                let rest = std::mem::replace(input, frame.bytes);
                input.unsplit(rest);
                return Ok(next);
            }
            if std::mem::take(&mut self.clear) {
                return Ok(Next::Clear);
            }
        }
    }

    /// This tenant's session is in charge; `fresh` are the parameters of one that has just begun.
    pub fn opened(&mut self, tenant: TenantId, fresh: Option<&[(String, String)]>) {
        let there = match fresh {
            None => self.branches.remove(&tenant).unwrap_or_default(),
            Some(fresh) => {
                let parameters = fresh.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().into_bytes())).collect();
                Branch { parameters, ..Branch::default() }
            }
        };
        let before = std::mem::replace(&mut self.there, there);
        if let Some(current) = self.current.take().filter(|current| *current != tenant) {
            self.branches.insert(current, before);
        }
        for (name, value) in &self.there.parameters {
            if self.told.get(name) != Some(value) {
                self.told.insert(name.clone(), value.clone());
                // Neither has a NUL: they were read as strings that end with one.
                let _ = encode::message(&mut self.to_client, b'S', |b| encode::string(b, name).and_then(|()| encode::string(b, value)));
            }
        }
        if self.missed.remove(&tenant) {
            errors::warning(&mut self.to_client, &errors::session_ended());
        }
        (self.current, self.status, self.open) = (Some(tenant), b'I', false);
    }

    /// It cannot be had: the message that asked for it, the next of `input`, is refused.
    pub fn failed(&mut self, input: &mut BytesMut, refusal: Refusal) {
        if let Ok(Some(frame)) = wire::take(input, wire::client_cap) {
            self.refuse(&frame, refusal);
        }
    }

    /// A session has ended that the client has not ended: one that it may miss it is told of when the tenant comes again.
    pub fn ended(&mut self, tenant: &TenantId, missed: bool) {
        self.gone(tenant);
        self.missed.extend(missed.then(|| tenant.clone()));
    }

    /// All sessions have ended, as the client wanted.
    pub fn cleared(&mut self) {
        self.missed.clear();
    }

    /// A session that is not in charge has ended.
    pub fn gone(&mut self, tenant: &TenantId) {
        self.branches.remove(tenant);
        if self.current.as_ref() == Some(tenant) {
            (self.current, self.there) = (None, Branch::default());
        }
    }

    /// Is a session in the middle of something?
    pub fn is_busy(&self) -> bool {
        self.current.is_some() && (self.open || !self.marks.is_empty() || self.status != b'I')
    }

    /// May the connection end without anything being cut off?
    pub fn at_rest(&self) -> bool {
        !self.is_busy() && !self.lobby.is_begun() && self.passing == 0
    }

    /// Answers are still to come: a client that will send no more is waited for until they have.
    pub fn owes(&self) -> bool {
        self.is_owed() || self.passing > 0
    }

    /// Last words.
    pub fn farewell(&mut self, refusal: &Refusal) {
        if self.passing == 0 {
            errors::fatal(&mut self.to_client, refusal);
        }
    }

    fn broken<T>(&mut self, refusal: &Refusal, what: &'static str) -> Result<T, Close> {
        self.farewell(refusal);
        Err(Close::ClientBroke(what))
    }

    fn message(&mut self, frame: &Frame) -> Result<Option<Next>, Close> {
        match frame.tag {
            b'X' if self.is_owed() => return Ok(Some(Next::Wait)),
            b'X' => return Err(Close::Bye),
            b'S' | b'H' if wire::empty(frame.body()).is_err() => {
                return self.broken(&errors::unreadable(&wire::WireError::Trailing), "message format");
            }
            b'd' | b'c' | b'f' => {
                if self.is_busy() {
                    self.to_session.extend_from_slice(&frame.bytes);
                }
                return Ok(None);
            }
            b'S' | b'H' => {
                self.sync(frame);
                return Ok(None);
            }
            b'Q' | b'F' if self.open => {
                // The server would skip it after an error; whether it will cannot be known here.
                return self
                    .broken(&Refusal::with_state("08P01", "a simple query needs a Sync before it on this port"), "query in a batch");
            }
            b'Q' | b'F' | b'P' | b'B' | b'D' | b'E' | b'C' => {}
            tag => return self.broken(&Refusal::with_state("08P01", format!("invalid frontend message type {tag}")), "message type"),
        }
        if !self.is_busy() && self.lobby.skips() {
            return Ok(None);
        }
        let step = self.want(frame).and_then(|(want, text)| self.step(frame, want, text));
        Ok(step.unwrap_or_else(|refusal| {
            self.refuse(frame, refusal);
            None
        }))
    }

    /// Whose the message is; and its text, where that goes on with blanks in the place of its header.
    fn want(&mut self, frame: &Frame) -> Res<(Want, Option<String>)> {
        let unreadable = |e| errors::unreadable(&e);
        match frame.tag {
            b'Q' => self.of_text(wire::query(frame.body()).map_err(unreadable)?),
            b'P' => {
                let parse = wire::parse(frame.body()).map_err(unreadable)?;
                names::admit(parse.name)?;
                if !parse.name.is_empty() && self.names.get(parse.name).is_some() {
                    return Err(Refusal::with_state("42P05", format!("prepared statement \"{}\" already exists", parse.name)));
                }
                if self.names.is_full() {
                    return Err(Refusal::with_state("53400", "too many prepared statements"));
                }
                self.of_text(parse.sql)
            }
            b'B' => self.of_name(wire::bind(frame.body()).map_err(unreadable)?.statement).map(|w| (w, None)),
            b'D' => match wire::target(frame.body()).map_err(unreadable)? {
                Target::Statement(name) => self.of_name(name).map(|w| (w, None)),
                Target::Portal(_) => Ok((Want::Same, None)),
            },
            b'C' => wire::target(frame.body()).map_err(unreadable).map(|_| (Want::Same, None)),
            b'E' => wire::execute(frame.body()).map_err(unreadable).map(|_| (Want::Same, None)),
            _ => Err(Refusal::not_understood("function calls by protocol are not supported")),
        }
    }

    fn of_text(&self, sql: &str) -> Res<(Want, Option<String>)> {
        if let Some(said) = header::read(sql).map_err(bad)? {
            let (tenant, _) = self.accept(&said)?;
            let text = said.blanked(sql, self.rules.keep);
            self.stays_within(&text)?;
            return Ok((Want::Tenant(tenant), Some(text)));
        }
        self.stays_within(sql)?;
        match neutral::read(sql) {
            Some(Neutral::Deallocate(name)) => match self.names.get(&name).map(|n| n.tenant.clone()) {
                Some(Some(tenant)) => Ok((Want::Tenant(tenant), None)),
                Some(None) => Ok((Want::Neutral(Neutral::Deallocate(name)), None)),
                None => self.effective().map(|w| (w, None)),
            },
            Some(neutral) => Ok((Want::Neutral(neutral), None)),
            None => self.effective().map(|w| (w, None)),
        }
    }

    /// Errors: the text goes on behind the end of the transaction that a tenant was set in.
    fn stays_within(&self, sql: &str) -> Res<()> {
        if self.local.is_none() {
            return Ok(());
        }
        if matches!(neutral::read(sql), Some(Neutral::Commit { chain: true } | Neutral::Rollback { chain: true })) {
            return Err(Refusal::not_understood("AND CHAIN after SET partywall.tenant is not supported"));
        }
        if neutral::spans_transactions(sql) {
            return Err(Refusal::not_understood("a text that ends a transaction whose tenant was set within it must be one statement"));
        }
        Ok(())
    }

    fn of_name(&self, name: &str) -> Res<Want> {
        match self.names.get(name) {
            None if self.is_busy() => Ok(Want::Same),
            None => Err(names::no_statement(name)),
            Some(Named { tenant: Some(tenant), .. }) => Ok(Want::Tenant(tenant.clone())),
            Some(Named { neutral: Some(neutral), .. }) => Ok(Want::Neutral(neutral.clone())),
            Some(_) => self.effective(),
        }
    }

    /// Whose a statement is that says nothing itself.
    fn effective(&self) -> Res<Want> {
        if self.local.is_some() && !self.open && self.is_owed() {
            return Ok(Want::Unsettled);
        }
        if self.batch_ended {
            return Err(Refusal::not_understood("the transaction whose tenant was set may have ended in this batch; send a Sync first"));
        }
        let said = self.local.as_ref().unwrap_or(&self.setting);
        match said {
            Some(setting) if setting.until.is_some_and(|until| until <= self.now) => Err(bad("the tenant's signature has ended")),
            Some(setting) => Ok(Want::Tenant(setting.tenant.clone())),
            None => self.rules.otherwise.clone().map(Want::Tenant).ok_or_else(nobody),
        }
    }

    /// Is a ReadyForQuery owed?
    fn is_owed(&self) -> bool {
        self.marks.iter().any(|m| matches!(m, Mark::Ready(_)))
    }

    /// The tenant, and until when. Errors: 28000, it counts for nothing.
    fn accept(&self, said: &Said) -> Res<(TenantId, Option<u64>)> {
        let signed = said.signature.is_some() || said.expires.is_some();
        let until = match &self.rules.keys {
            Some(keys) if self.rules.signed || signed => Some(keys.verify(said, self.now).map_err(bad)?),
            None if self.rules.signed => return Err(bad("the tenant is not signed")),
            _ => None,
        };
        let tenant = self.rules.tenants.accept(&said.tenant).ok_or_else(|| bad("the tenant identity is not valid"))?;
        if self.rules.only.as_ref().is_some_and(|only| *only != tenant) {
            return Err(bad("two tenant identities were given and differ"));
        }
        Ok((tenant, until))
    }

    fn step(&mut self, frame: &Frame, want: Want, text: Option<String>) -> Res<Option<Next>> {
        let busy = self.is_busy();
        // Before the last answer it is not known whether a transaction is open.
        let unsettled = busy && !self.open && self.is_owed();
        match want {
            Want::Unsettled => Ok(Some(Next::Wait)),
            Want::Same if busy => self.forward(frame, None, None).map(|()| None),
            Want::Same => self.in_lobby(frame, None),
            Want::Neutral(_) if unsettled => Ok(Some(Next::Wait)),
            Want::Neutral(neutral) if busy => self.neutral_in_session(frame, neutral).map(|()| None),
            Want::Neutral(neutral) => self.in_lobby(frame, Some(neutral)),
            Want::Tenant(tenant) if busy && self.current.as_ref() == Some(&tenant) => {
                self.forward(frame, text, Some(tenant)).map(|()| None)
            }
            Want::Tenant(_) if unsettled => Ok(Some(Next::Wait)),
            Want::Tenant(_) if busy && self.open => Err(Refusal::not_understood("a batch of messages has one tenant; send a Sync first")),
            Want::Tenant(_) if busy => Err(bad("a transaction has one tenant")),
            Want::Tenant(tenant) => {
                self.lobby.may_leave()?;
                if self.current.as_ref() != Some(&tenant) {
                    return Ok(Some(Next::Open(tenant)));
                }
                if self.begin_there() {
                    return Ok(Some(Next::Wait));
                }
                self.forward(frame, text, Some(tenant)).map(|()| None)
            }
        }
    }

    /// In place of the message: by the session in charge, so that its transaction fails as it would; or here where none is.
    fn refuse(&mut self, frame: &Frame, refusal: Refusal) {
        self.refused.push(refusal.clone());
        let whole = matches!(frame.tag, b'Q' | b'F');
        if !self.is_busy() {
            self.lobby.refuse(whole, &refusal, &mut self.to_client);
            return;
        }
        // The texts are the wall's own, but a name in one may be the client's: it was read as a string that ends with a NUL.
        let _ = encode::message(&mut self.to_session, REFUSE, |b| {
            b.put_u8(u8::from(whole));
            encode::string(b, refusal.sqlstate.as_bytes())?;
            encode::string(b, refusal.message.as_bytes())
        });
        if whole {
            self.marks.push_back(Mark::Ready(false));
        } else {
            self.open = true;
        }
    }

    fn sync(&mut self, frame: &Frame) {
        if !self.open && !self.is_busy() {
            if frame.tag == b'S' {
                self.lobby.sync(&mut self.to_client);
            }
            return;
        }
        self.to_session.extend_from_slice(&frame.bytes);
        if frame.tag == b'S' {
            (self.open, self.batch_ended) = (false, false);
            self.marks.push_back(Mark::Ready(false));
        }
    }
}

/// 28000 with the reason.
fn bad(why: &str) -> Refusal {
    Refusal::with_state("28000", why)
}

fn nobody() -> Refusal {
    bad("no tenant identity was given").hint("Begin the statement with /*tenant='…'*/, or SET partywall.tenant before it.")
}

#[cfg(test)]
#[path = "../routing_tests.rs"]
mod tests;
