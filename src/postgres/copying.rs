//! COPY in a session. Until it is known whether upstream reads copy data, nothing of the client's goes on: its next messages mean one
//! thing to a server in COPY and another to one that is not.

use super::copy::Injector;
use super::expect::Expect;
use super::session::Session;
use super::wire::{Frame, Reader};
use super::{Judging, encode};
use crate::session::{Close, Turn};
use crate::sql::{CopyIn, Gain, Kind, Refusal};
use bytes::{BufMut, BytesMut};

/// Where upstream stands with COPY.
#[derive(Debug)]
pub(super) enum Copying {
    /// Not in COPY.
    No,
    /// It sends rows.
    Out,
    /// It reads rows.
    In {
        /// What adds the tenant.
        injector: Injector,
        /// Syncs that came before the first row: upstream ignores them, unless it fails before it reads them.
        syncs: usize,
        /// Data has gone on.
        started: bool,
    },
    /// All rows are sent; completion or an error will follow.
    Sent,
}

const UNEXPECTED: Close = Close::UpstreamBroke("copy");

impl<J: Judging> Session<J> {
    /// Is some COPY … FROM STDIN sent of which nobody knows yet whether it began?
    pub(super) fn awaits_copy(&self) -> bool {
        let begun = usize::from(matches!(self.copying, Copying::In { .. } | Copying::Sent));
        let owed = self.queue.forwards().map(|e| match e {
            Expect::Script { script, done, .. } => {
                script.kinds.get(*done..).unwrap_or_default().iter().filter(|k| matches!(k, Kind::CopyIn(_))).count()
            }
            Expect::Execute { statement: Some(s), .. } => usize::from(matches!(s.prepared.kind, Kind::CopyIn(_))),
            _ => 0,
        });
        self.queue.may_copy() && owed.sum::<usize>() > begun
    }

    /// Does upstream read rows?
    pub(super) fn reads_rows(&self) -> bool {
        matches!(self.copying, Copying::In { .. })
    }

    /// Whether upstream says all that it has to, though the client will say no more: without a Sync or a Flush behind them it keeps answers to itself, and
    /// in COPY it waits for rows.
    pub(super) fn answers_come(&self) -> bool {
        // In COPY a Flush is not heard.
        let flushed = self.own.flushed && !matches!(self.copying, Copying::Sent) && !self.queue.is_empty();
        !self.reads_rows() && (flushed || self.queue.backwards().any(Expect::is_sent_off))
    }

    /// Would the judge that holds now let the rows in that upstream reads? All else that was let through is looked at where it is used.
    pub(super) fn may_copy_on(&self) -> bool {
        let (sql, kinds) = match self.queue.peek() {
            Some(Expect::Script { sql, script, .. }) => (sql, &script.kinds[..]),
            Some(Expect::Execute { statement: Some(s), .. }) => (&s.sql, std::slice::from_ref(&s.prepared.kind)),
            _ => return false,
        };
        self.judge.simple_for(sql, &self.tenant, &self.own.temps).is_ok_and(|again| again.kinds[..] == *kinds)
    }

    /// A client's message while upstream reads rows.
    pub(super) fn copy_data(&mut self, frame: &Frame, turn: &mut Turn) -> Result<(), Close> {
        let Copying::In { injector, syncs, started } = &mut self.copying else { return Ok(()) };
        match frame.tag {
            b'd' => {
                *started = true;
                send(|out| injector.feed(frame.body(), out), turn)?;
            }
            b'c' => {
                send(|out| injector.finish(out), turn)?;
                turn.to_upstream.extend_from_slice(&frame.bytes);
                self.copying = Copying::Sent;
            }
            b'f' => {
                turn.to_upstream.extend_from_slice(&frame.bytes);
                self.copying = Copying::Sent;
            }
            b'S' if !*started => *syncs += 1,
            b'S' | b'H' => {}
            tag => {
                let refusal = Refusal::with_state("08P01", format!("unexpected message type 0x{tag:02X} during COPY from stdin"));
                self.last_words(&refusal, turn);
                return Err(Close::ClientBroke("message in copy"));
            }
        }
        Ok(())
    }

    /// CopyInResponse and CopyOutResponse.
    pub(super) fn copy_begins(&mut self, frame: &Frame, turn: &mut Turn) -> Result<(), Close> {
        let kind = match self.queue.peek() {
            Some(Expect::Script { script, done, .. }) => script.kinds.get(*done),
            Some(Expect::Execute { statement: Some(s), .. }) => Some(&s.prepared.kind),
            _ => None,
        };
        match (kind, frame.tag, &self.copying) {
            (Some(Kind::CopyIn(copy)), b'G', Copying::No) => {
                response(copy, frame.body(), turn)?;
                let injector = Injector::new(copy, &self.tenant);
                self.copying = Copying::In { injector, syncs: 0, started: false };
            }
            (Some(Kind::CopyOut), b'H', Copying::No) => {
                turn.to_client.extend_from_slice(&frame.bytes);
                self.copying = Copying::Out;
            }
            _ => return Err(UNEXPECTED),
        }
        Ok(())
    }

    /// CopyDone of upstream.
    pub(super) fn copy_out_ends(&mut self, frame: &Frame, turn: &mut Turn) -> Result<(), Close> {
        if !matches!(self.copying, Copying::Out) {
            return Err(UNEXPECTED);
        }
        self.copying = Copying::No;
        turn.to_client.extend_from_slice(&frame.bytes);
        Ok(())
    }

    /// An error ends COPY. A Sync that upstream has not read in it counts after all.
    pub(super) fn copy_failed(&mut self) -> usize {
        match std::mem::replace(&mut self.copying, Copying::No) {
            Copying::In { syncs, started: false, .. } => syncs,
            _ => 0,
        }
    }
}

/// CopyData with what `write` writes, if it writes anything.
fn send(write: impl FnOnce(&mut BytesMut), turn: &mut Turn) -> Result<(), Close> {
    let mut rows = BytesMut::new();
    write(&mut rows);
    if rows.is_empty() {
        return Ok(());
    }
    let sent = encode::message(&mut turn.to_upstream, b'd', |b| {
        b.put_slice(&rows);
        Ok(())
    });
    sent.map_err(|_| Close::ClientBroke("copy data"))
}

/// CopyInResponse without the column that the wall added.
fn response(copy: &CopyIn, body: &[u8], turn: &mut Turn) -> Result<(), Close> {
    let mut reader = Reader::new(body);
    let format = reader.byte().map_err(|_| UNEXPECTED)?;
    let columns = reader.u16().map_err(|_| UNEXPECTED)?;
    let formats = reader.bytes(usize::from(columns) * 2).map_err(|_| UNEXPECTED)?;
    reader.end().map_err(|_| UNEXPECTED)?;
    let added = usize::from(copy.gain == Gain::First);
    let shown = usize::from(columns).checked_sub(added).ok_or(UNEXPECTED)?;
    let written = encode::message(&mut turn.to_client, b'G', |b| {
        b.put_u8(format);
        encode::count(b, shown)?;
        b.put_slice(formats.get(added * 2..).unwrap_or_default());
        Ok(())
    });
    written.map_err(|_| UNEXPECTED)
}
