//! What a session has of its own: temporary tables, its search_path, and channels.
//!
//! A temporary table is known from the completion of its CREATE on; a transaction that is rolled back takes back what it made known.

use super::expect::Expect;
use super::session::Session;
use super::wire::{Frame, Reader};
use super::{Judging, encode};
use crate::session::{Close, Turn};
use crate::sql::private::{Temps, channel};
use crate::sql::{Kind, Refusal};
use bytes::BufMut;
use std::collections::HashMap;

/// The most channels that a session may listen to.
const CHANNELS: usize = 10_000;

/// Temporary tables and channels of a session.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Temporary tables as the last completed statement left them.
    pub temps: Temps,
    /// As they were when the transaction began.
    before: Temps,
    /// The statements since the last ReadyForQuery have failed, or ended the transaction by ROLLBACK.
    undone: bool,
    /// Tables made in this transaction, which may vanish with it.
    vanishing: Vec<String>,
    /// By upstream's name: the name that the client gave.
    channels: HashMap<String, String>,
    /// A Flush was sent for the message that waits.
    pub flushed: bool,
}

impl Own {
    /// ReadyForQuery with this status.
    pub fn ready(&mut self, status: u8) {
        if status == b'I' {
            if self.undone {
                self.temps = self.before.clone();
            } else {
                self.temps.completed(&Kind::DropTemp(std::mem::take(&mut self.vanishing)));
                self.temps.committed();
            }
            self.vanishing.clear();
            self.before = self.temps.clone();
        }
        self.undone = false;
    }

    /// An error: outside a transaction block it undoes all since the last ReadyForQuery.
    pub fn failed(&mut self) {
        self.undone = true;
    }
}

impl<J: Judging> Session<J> {
    /// Is some statement owed that makes temporary tables known or unknown, or changes what names mean?
    pub(super) fn awaits_temps(&self) -> bool {
        let changes = |k: &Kind| {
            matches!(
                k,
                Kind::CreateTemp { .. }
                    | Kind::AlterTemp(_)
                    | Kind::DropTemp(_)
                    | Kind::DiscardAll
                    | Kind::DiscardTemp
                    | Kind::SearchPath { .. }
            )
        };
        self.queue.forwards().any(|e| match e {
            Expect::Script { script, .. } => script.kinds.iter().any(changes),
            Expect::Execute { statement: Some(s), .. } => changes(&s.prepared.kind),
            _ => false,
        })
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

    /// Takes in what a completed statement has done; `tag` is its command tag.
    pub(super) fn own_completed(&mut self, kind: &Kind, tag: &[u8]) {
        match kind {
            // Upstream says itself what it has stopped listening to; a name that is still known does no harm.
            Kind::Listen(name) => {
                self.own.channels.insert(channel(&self.tenant, name), name.clone());
            }
            Kind::Transaction if tag == b"ROLLBACK" => self.own.undone = true,
            Kind::Transaction if tag == b"COMMIT" => self.own.undone = false,
            Kind::CreateTemp { table, vanishes } => {
                if *vanishes {
                    self.own.vanishing.push(table.name.clone());
                }
                self.own.temps.completed(kind);
            }
            _ => self.own.temps.completed(kind),
        }
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
