//! What a session has of its own: temporary tables, its search_path, and channels.
//!
//! A temporary table is known from the completion of its CREATE on, a path from that of its SET; what is rolled back, to a savepoint too, takes back
//! what it made known.

use super::expect::Expect;
use super::session::Session;
use super::wire::{Frame, Reader};
use super::{Judging, encode};
use crate::session::{Close, Turn};
use crate::sql::private::{Temps, channel};
use crate::sql::{Kind, Refusal};
use bytes::BufMut;
use std::collections::HashMap;
use std::sync::Arc;

/// The most channels that a session may listen to.
const CHANNELS: usize = 10_000;

/// How many savepoints may be kept, each counted with the temporary tables that there are.
const SAVED: usize = 50_000;

/// How many savepoints may be open: each within which something was written holds a lock in a table that all sessions share (AssignTransactionId).
const SAVEPOINTS: u32 = 1000;

/// Temporary tables and channels of a session.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Temporary tables as the last completed statement left them.
    pub temps: Temps,
    /// As they were when the transaction began.
    before: Temps,
    /// Of the transaction, the oldest first.
    savepoints: Vec<Savepoint>,
    /// Something has changed since the transaction began.
    changed: bool,
    /// The statements since the last ReadyForQuery have failed.
    undone: bool,
    /// Tables made in this transaction, which may vanish with it.
    vanishing: Vec<String>,
    /// By upstream's name: the name that the client gave.
    channels: HashMap<String, String>,
    /// A Flush was sent for the message that waits.
    pub flushed: bool,
}

/// What there was at a SAVEPOINT.
#[derive(Debug)]
struct Savepoint {
    name: String,
    temps: Temps,
    vanishing: Vec<String>,
    /// So often in a row, with nothing changed: a driver may set one before each statement and never release it.
    times: u32,
}

impl Own {
    /// Of a session that begins with this search_path.
    pub fn at(path: Option<Arc<[String]>>) -> Self {
        let temps = Temps::with_path(path);
        Self { before: temps.clone(), temps, ..Self::default() }
    }

    /// ReadyForQuery with this status. Outside a transaction block an error has undone all since the last one.
    pub fn ready(&mut self, status: u8) {
        match (status, self.undone) {
            (b'I', true) => self.rolled_back(),
            (b'I', false) => self.committed(),
            _ => {}
        }
        self.undone = false;
    }

    /// An error.
    pub fn failed(&mut self) {
        self.undone = true;
    }

    /// Takes in what a completed statement has done; `tag` is its command tag.
    fn completed(&mut self, kind: &Kind, tag: &[u8]) {
        match kind {
            Kind::End if tag == b"COMMIT" => self.committed(),
            // Also what COMMIT comes to where a statement has failed.
            Kind::End => self.rolled_back(),
            Kind::Savepoint(name) => self.save(name),
            Kind::Release(name) => {
                if let Some(at) = self.savepoint(name) {
                    self.savepoints.truncate(at + 1);
                    if let Some(last) = self.savepoints.last_mut() {
                        last.times -= 1;
                    }
                    self.savepoints.retain(|s| s.times > 0);
                }
            }
            Kind::RollbackTo(name) => {
                let at = self.savepoint(name);
                self.savepoints.truncate(at.map_or(0, |at| at + 1));
                let (temps, vanishing) = match self.savepoints.last() {
                    Some(saved) => (saved.temps.clone(), saved.vanishing.clone()),
                    None => (self.before.clone(), Vec::new()),
                };
                (self.temps, self.vanishing) = (temps, vanishing);
            }
            _ => self.changed_by(kind),
        }
    }

    fn changed_by(&mut self, kind: &Kind) {
        match kind {
            Kind::CreateTemp { table, vanishes: true } => self.vanishing.push(table.name.clone()),
            Kind::DropTemp(names) => self.vanishing.retain(|name| !names.contains(name)),
            Kind::RenameTemp(from, to) => self.vanishing.iter_mut().filter(|name| *name == from).for_each(|name| name.clone_from(to)),
            _ => {}
        }
        self.changed |= changes(kind);
        self.temps.completed(kind);
    }

    fn savepoint(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|s| s.name == name)
    }

    fn save(&mut self, name: &str) {
        match self.savepoints.last_mut().filter(|s| s.name == name && s.temps == self.temps) {
            Some(last) => last.times += 1,
            None => {
                let (temps, vanishing) = (self.temps.clone(), self.vanishing.clone());
                self.savepoints.push(Savepoint { name: name.to_owned(), temps, vanishing, times: 1 });
            }
        }
    }

    fn committed(&mut self) {
        self.temps.completed(&Kind::DropTemp(std::mem::take(&mut self.vanishing)));
        self.temps.committed();
        self.ended();
    }

    fn rolled_back(&mut self) {
        self.temps = self.before.clone();
        self.ended();
    }

    fn ended(&mut self) {
        self.vanishing.clear();
        self.savepoints.clear();
        self.changed = false;
        self.before = self.temps.clone();
    }
}

/// Does it make temporary tables known or unknown, or change what names mean?
fn changes(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::CreateTemp { .. }
            | Kind::CreateTempView(_)
            | Kind::AlterTemp(_)
            | Kind::RenameTemp(..)
            | Kind::BindTemp { .. }
            | Kind::DropTemp(_)
            | Kind::DiscardAll
            | Kind::DiscardTemp
            | Kind::SearchPath { .. }
    )
}

/// May it take such changes back?
fn undoes(kind: &Kind) -> bool {
    matches!(kind, Kind::End | Kind::RollbackTo(_))
}

impl<J: Judging> Session<J> {
    /// Is something owed that makes temporary tables known or unknown, or changes what names mean: by itself, or by its failure?
    pub(super) fn awaits_temps(&self) -> bool {
        let open = self.own.changed;
        self.queue.forwards().any(|e| match e {
            Expect::Script { script, .. } => open || script.kinds.iter().any(changes),
            Expect::Execute { statement: Some(s), .. } => changes(&s.prepared.kind) || (open && undoes(&s.prepared.kind)),
            Expect::Sync | Expect::RefusedScript { .. } => open,
            _ => false,
        })
    }

    /// The client's Flush.
    pub(super) fn flush(&mut self, frame: &Frame, turn: &mut Turn) {
        self.own.flushed = true;
        turn.to_upstream.extend_from_slice(&frame.bytes);
    }

    /// Nothing more of the client's goes on before replies have come. Those that stand behind the last Sync upstream may keep to itself, and the client's
    /// own Sync may be among what waits.
    pub(super) fn wait(&mut self, turn: &mut Turn) {
        self.waiting = true;
        // The beginning of a COPY, or its error, is not kept.
        let kept = !turn.laborious && !self.awaits_copy();
        if kept && self.queue.backwards().next().is_some_and(|last| !last.is_sent_off()) {
            self.flush_once(turn);
        }
    }

    /// Upstream must answer what it has before the message that waits can be judged, and it may wait for a Sync with that.
    pub(super) fn flush_once(&mut self, turn: &mut Turn) {
        if !self.own.flushed {
            self.own.flushed = true;
            turn.to_upstream.extend_from_slice(&[b'H', 0, 0, 0, 4]);
        }
    }

    /// Errors: 53400 where the session listens to too many channels.
    pub(super) fn may_listen(&self) -> Result<(), Refusal> {
        if self.own.channels.len() < CHANNELS { Ok(()) } else { Err(Refusal::with_state("53400", "too many channels")) }
    }

    /// Errors: 53400 where there are too many savepoints; `here` more are open before it in its text.
    pub(super) fn may_save(&self, here: u32) -> Result<(), Refusal> {
        let kept = self.own.savepoints.len().saturating_mul(self.own.temps.len() + 1);
        let open: u32 = self.own.savepoints.iter().map(|s| s.times).sum();
        if kept < SAVED && open.saturating_add(here) < SAVEPOINTS {
            Ok(())
        } else {
            Err(Refusal::with_state("53400", "too many savepoints"))
        }
    }

    /// Takes in what a completed statement has done; `tag` is its command tag.
    pub(super) fn own_completed(&mut self, kind: &Kind, tag: &[u8]) {
        // Upstream says itself what it has stopped listening to; a name that is still known does no harm.
        if let Kind::Listen(name) = kind {
            self.own.channels.insert(channel(&self.tenant, name), name.clone());
        }
        self.own.completed(kind, tag);
    }

    /// NotificationResponse, under the name that the client listens to; None of another channel's.
    pub(super) fn notification(&self, frame: &Frame, turn: &mut Turn) -> Result<(), Close> {
        const BROKEN: Close = Close::UpstreamBroke("notification");
        let mut reader = Reader::new(frame.body());
        let process = reader.u32().map_err(|_| BROKEN)?;
        let (channel, payload) = (reader.raw_string().map_err(|_| BROKEN)?, reader.raw_string().map_err(|_| BROKEN)?);
        reader.end().map_err(|_| BROKEN)?;
        let Some(name) = std::str::from_utf8(channel).ok().and_then(|c| self.own.channels.get(c)) else { return Ok(()) };
        let written = encode::message(&mut turn.to_client, b'A', |b| {
            b.put_u32(process);
            encode::string(b, name.as_bytes())?;
            encode::string(b, payload)
        });
        written.map_err(|_| BROKEN)
    }
}

#[cfg(test)]
#[path = "own_tests.rs"]
mod tests;
