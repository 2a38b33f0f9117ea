//! What is answered while no session is in charge: BEGIN and what belongs to it, SET partywall.tenant, and refusals.
//!
//! A transaction that is begun here is begun there before its first statement; the client has its answer already.

use super::there::Named;
use super::{Next, Res, Router, Setting, Want};
use crate::postgres::wire::{self, Frame, Target};
use crate::postgres::{encode, errors, header, names};
use crate::sql::Refusal;
use crate::sql::neutral::Neutral;
use bytes::BytesMut;
use std::collections::HashMap;

/// The most statements that are kept for a transaction that has no tenant yet.
const KEPT: usize = 128;

/// The state of a client whose messages no session hears.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    /// Queries that were answered: BEGIN first.
    begun: Vec<BytesMut>,
    savepoints: Vec<String>,
    failed: bool,
    /// What was bound in this batch, and its text.
    portals: HashMap<String, (Neutral, String)>,
    /// An error came: all is ignored up to Sync.
    skipping: bool,
}

impl Lobby {
    pub(super) fn is_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    pub(super) fn skips(&self) -> bool {
        self.skipping
    }

    fn status(&self) -> u8 {
        match (self.is_begun(), self.failed) {
            (false, _) => b'I',
            (true, false) => b'T',
            (true, true) => b'E',
        }
    }

    /// Errors: 25P02, the transaction has failed before it had a tenant.
    pub(super) fn may_leave(&self) -> Res<()> {
        if self.failed { Err(errors::aborted()) } else { Ok(()) }
    }

    /// ErrorResponse, and ReadyForQuery where the message is `whole`.
    pub(super) fn refuse(&mut self, whole: bool, refusal: &Refusal, out: &mut BytesMut) {
        errors::refusal(out, refusal);
        self.failed = self.is_begun();
        if whole {
            encode::ready(out, self.status());
        } else {
            self.skipping = true;
        }
    }

    pub(super) fn sync(&mut self, out: &mut BytesMut) {
        self.skipping = false;
        self.portals.clear();
        encode::ready(out, self.status());
    }

    fn keep(&mut self, sql: &str) -> Res<()> {
        if self.begun.len() >= KEPT {
            return Err(Refusal::with_state("53400", "too many savepoints in a transaction without a tenant"));
        }
        let mut query = BytesMut::new();
        encode::query(&mut query, sql).map_err(|e| errors::unreadable(&e))?;
        self.begun.push(query);
        Ok(())
    }

    /// Errors: no transaction, or no such savepoint.
    fn savepoint(&self, name: &str, what: &str) -> Res<usize> {
        self.in_transaction(what)?;
        let at = self.savepoints.iter().rposition(|s| s == name);
        at.ok_or_else(|| Refusal::with_state("3B001", format!("savepoint \"{name}\" does not exist")))
    }

    fn in_transaction(&self, what: &str) -> Res<()> {
        let outside = || Refusal::with_state("25P01", format!("{what} can only be used in transaction blocks"));
        if self.is_begun() { Ok(()) } else { Err(outside()) }
    }
}

impl Router {
    /// Answers a message that is nobody's.
    pub(super) fn in_lobby(&mut self, frame: &Frame, neutral: Option<Neutral>) -> Res<Option<Next>> {
        let unreadable = |e| errors::unreadable(&e);
        match (frame.tag, neutral) {
            (b'Q', Some(neutral)) => {
                self.names.remove("");
                self.answer(&neutral, wire::query(frame.body()).map_err(unreadable)?)?;
                self.completed(&neutral);
                encode::ready(&mut self.to_client, self.lobby.status());
            }
            (b'P', neutral) => {
                let parse = wire::parse(frame.body()).map_err(unreadable)?;
                self.remember(parse.name, Named { id: 0, tenant: None, neutral, parse: frame.bytes.clone() });
                self.empty(b'1');
            }
            (b'B', Some(neutral)) => {
                let bind = wire::bind(frame.body()).map_err(unreadable)?;
                if bind.count > 0 {
                    return Err(Refusal::with_state("08P01", "bind message supplies parameters, but prepared statement requires 0"));
                }
                let named = self.names.get(bind.statement).ok_or_else(|| names::no_statement(bind.statement))?;
                let sql = wire::parse(named.parse.get(wire::HEADER_BYTES..).unwrap_or_default()).map_err(unreadable)?.sql.to_owned();
                names::admit(bind.portal)?;
                if self.lobby.portals.len() >= names::PORTALS {
                    return Err(Refusal::with_state("53400", "too many portals"));
                }
                self.lobby.portals.insert(bind.portal.to_owned(), (neutral, sql));
                self.empty(b'2');
            }
            (b'E', _) => {
                let portal = wire::execute(frame.body()).map_err(unreadable)?;
                let (neutral, sql) = self.lobby.portals.get(portal).cloned().ok_or_else(|| no_portal(portal))?;
                self.answer(&neutral, &sql)?;
                self.completed(&neutral);
            }
            (b'D' | b'C', _) => self.target(frame)?,
            _ => return Err(Refusal::with_state("08P01", "invalid message")),
        }
        Ok(None)
    }

    fn target(&mut self, frame: &Frame) -> Res<()> {
        match (frame.tag, wire::target(frame.body()).map_err(|e| errors::unreadable(&e))?) {
            (b'C', target) => {
                match target {
                    Target::Statement(name) => self.names.remove(name),
                    Target::Portal(name) => drop(self.lobby.portals.remove(name)),
                }
                self.empty(b'3');
            }
            (_, Target::Portal(name)) if !self.lobby.portals.contains_key(name) => return Err(no_portal(name)),
            (_, target) => {
                if matches!(target, Target::Statement(_)) {
                    self.to_client.extend_from_slice(&[b't', 0, 0, 0, 6, 0, 0]);
                }
                self.empty(b'n');
            }
        }
        Ok(())
    }

    /// A message without a body.
    fn empty(&mut self, tag: u8) {
        self.to_client.extend_from_slice(&[tag, 0, 0, 0, 4]);
    }

    /// CommandComplete or EmptyQueryResponse.
    fn completed(&mut self, neutral: &Neutral) {
        match neutral {
            Neutral::Empty => self.empty(b'I'),
            // A tag of the wall's own has no NUL.
            other => drop(encode::message(&mut self.to_client, b'C', |b| encode::string(b, other.tag().as_bytes()))),
        }
    }

    fn warn(&mut self, state: &str, message: &str) {
        let fields: [(u8, &[u8]); 4] = [(b'S', b"WARNING"), (b'V', b"WARNING"), (b'C', state.as_bytes()), (b'M', message.as_bytes())];
        // Texts of the wall's own have no NUL.
        let _ = encode::fields(&mut self.to_client, b'N', &fields);
    }

    fn answer(&mut self, neutral: &Neutral, sql: &str) -> Res<()> {
        let ends = matches!(neutral, Neutral::Commit { .. } | Neutral::Rollback { .. } | Neutral::RollbackTo(_));
        if self.lobby.failed && !ends {
            return Err(errors::aborted());
        }
        match neutral {
            Neutral::Empty => {}
            Neutral::Begin(_) if self.lobby.is_begun() => self.warn("25001", "there is already a transaction in progress"),
            Neutral::Begin(_) => self.lobby.keep(sql)?,
            Neutral::Commit { chain } => self.end(*chain, !self.lobby.failed, "COMMIT AND CHAIN")?,
            Neutral::Rollback { chain } => self.end(*chain, false, "ROLLBACK AND CHAIN")?,
            Neutral::Savepoint(name) => {
                self.lobby.in_transaction("SAVEPOINT")?;
                self.lobby.keep(sql)?;
                self.lobby.savepoints.push(name.clone());
            }
            Neutral::Release(name) => {
                let at = self.lobby.savepoint(name, "RELEASE SAVEPOINT")?;
                self.lobby.keep(sql)?;
                self.lobby.savepoints.truncate(at);
            }
            Neutral::RollbackTo(name) => {
                let at = self.lobby.savepoint(name, "ROLLBACK TO SAVEPOINT")?;
                self.lobby.keep(sql)?;
                self.lobby.savepoints.truncate(at + 1);
                self.lobby.failed = false;
            }
            Neutral::Choose { value, local } => self.choose(value.as_deref(), *local)?,
            Neutral::Clear(_) if self.lobby.is_begun() => {
                return Err(Refusal::with_state("25001", format!("{} cannot run inside a transaction block", neutral.tag())));
            }
            Neutral::Clear(_) => {
                self.names.clear();
                (self.setting, self.clear) = (None, true);
            }
            Neutral::Deallocate(name) => self.names.remove(name),
        }
        Ok(())
    }

    fn end(&mut self, chain: bool, commits: bool, what: &str) -> Res<()> {
        if chain {
            self.lobby.in_transaction(what)?;
        } else if !self.lobby.is_begun() {
            self.warn("25P01", "there is no transaction in progress");
        }
        self.lobby.begun.truncate(usize::from(chain));
        self.lobby.savepoints.clear();
        self.lobby.failed = false;
        self.transaction_ended(commits);
        Ok(())
    }

    /// SET partywall.tenant.
    fn choose(&mut self, value: Option<&str>, local: bool) -> Res<()> {
        if !self.lobby.savepoints.is_empty() {
            return Err(Refusal::not_understood("SET partywall.tenant after a SAVEPOINT is not supported").hint("Set it first."));
        }
        let setting = match value {
            Some(value) => {
                let (tenant, until) = self.accept(&header::word(value))?;
                Some(Setting { tenant, until })
            }
            None => None,
        };
        match (self.lobby.is_begun(), local) {
            (true, true) => self.local = Some(setting),
            (true, false) => (self.local, self.lasting) = (Some(setting.clone()), Some(setting)),
            (false, true) => self.warn("25P01", "SET LOCAL can only be used in transaction blocks"),
            (false, false) => self.setting = setting,
        }
        Ok(())
    }

    /// SET within the transaction is over; what was not LOCAL stays if it has committed.
    pub(super) fn transaction_ended(&mut self, committed: bool) {
        self.local = None;
        if let Some(setting) = self.lasting.take().filter(|_| committed) {
            self.setting = setting;
        }
    }

    /// Begins there what was begun here; true where that has to be waited for.
    pub(super) fn begin_there(&mut self) -> bool {
        let begun = std::mem::take(&mut self.lobby.begun);
        for query in &begun {
            self.to_session.extend_from_slice(query);
            self.marks.push_back(super::Mark::Ready(true));
        }
        self.lobby.savepoints.clear();
        !begun.is_empty()
    }

    /// What is nobody's, in the transaction or the batch of the session in charge.
    pub(super) fn neutral_in_session(&mut self, frame: &Frame, neutral: Neutral) -> Res<()> {
        let Neutral::Choose { value, local } = &neutral else {
            if let Neutral::Deallocate(name) = &neutral {
                self.names.remove(name);
            }
            return self.forward(frame, None, None);
        };
        let wanted = value.as_deref().map(|v| self.accept(&header::word(v))).transpose()?.map(|(tenant, _)| tenant);
        let said = self.setting.as_ref().map(|s| &s.tenant);
        let repeats = matches!(self.effective(), Ok(Want::Tenant(tenant)) if Some(&tenant) == wanted.as_ref());
        // What changes nothing is answered; in a batch it would have to wait for its turn.
        if frame.tag == b'Q' && !self.open && self.status == b'T' && repeats && (*local || said == wanted.as_ref()) {
            self.completed(&neutral);
            encode::ready(&mut self.to_client, b'T');
            return Ok(());
        }
        Err(Refusal::with_state("28000", "a transaction has one tenant").hint("SET partywall.tenant before its first statement."))
    }
}

fn no_portal(name: &str) -> Refusal {
    Refusal::with_state("34000", format!("portal \"{name}\" does not exist"))
}
