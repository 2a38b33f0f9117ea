//! `verify_rows`: the tenant columns that the wall added are checked in each row and taken out again; a row of another tenant's ends the session.
//!
//! Where nothing was added nothing here runs: rows pass by their headers alone.

use super::Judging;
use super::encode;
use super::expect::Expect;
use super::names::Statement;
use super::session::Session;
use super::wire::{self, Frame, Reader, UPSTREAM_BYTES};
use crate::session::{Close, Fact, Turn};
use crate::sql::rows::{Checked, Coverage};
use crate::sql::{Assurance, Refusal};
use bytes::{BufMut, BytesMut};
use std::sync::Arc;

const BROKEN: Close = Close::UpstreamBroke("checked row");
const TEXT: u16 = 0;
/// A field of RowDescription behind its name: relation, column, type, size, modifier, format.
const FIELD_BYTES: usize = 18;
/// pg_type.oid of record.
const RECORD: u32 = 2249;

/// Added columns of the rows that come, and the format of their values.
type Wanted = (Vec<Checked>, u16);

impl<J: Judging> Session<J> {
    /// Takes checked rows off the front; false where the rows that come now are none.
    pub(super) fn checked_rows(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<bool, Close> {
        if self.row_bytes > 0 {
            return Ok(false);
        }
        let Some((columns, format)) = self.checking() else { return Ok(false) };
        while let Some((b'D', _)) = wire::header(input).map_err(|_| BROKEN)? {
            let Some(frame) = wire::take(input, |_| UPSTREAM_BYTES).map_err(|_| BROKEN)? else { return Ok(true) };
            self.checked_row(&frame, &columns, format, turn)?;
        }
        Ok(true)
    }

    /// What is checked in the rows that may come now.
    fn checking(&self) -> Option<Wanted> {
        let (columns, format) = match self.queue.peek()? {
            Expect::Script { script, done, .. } => (script.assurance.columns(*done), TEXT),
            Expect::Execute { statement: Some(s), format } => (s.prepared.assurance.columns(0), *format),
            _ => return None,
        };
        (!columns.is_empty()).then(|| (columns.to_vec(), format))
    }

    fn checked_row(&self, frame: &Frame, columns: &[Checked], format: u16, turn: &mut Turn) -> Result<(), Close> {
        let mut reader = Reader::new(frame.body());
        let count = usize::from(reader.u16().map_err(|_| BROKEN)?);
        let theirs = count.checked_sub(columns.len()).ok_or(BROKEN)?;
        for _ in 0..theirs {
            wire::value(&mut reader).map_err(|_| BROKEN)?;
        }
        let end = frame.body().len() - reader.left();
        for column in columns {
            let value = wire::value(&mut reader).map_err(|_| BROKEN)?;
            if !column.is_own(value, format, &self.tenant) {
                turn.facts.push(Fact::RowMismatch);
                self.last_words(&Refusal::with_state("XX000", "the answer could not be verified; the session has ended"), turn);
                return Err(Close::RowMismatch);
            }
        }
        reader.end().map_err(|_| BROKEN)?;
        encode::message(&mut turn.to_client, b'D', |b| {
            encode::count(b, theirs)?;
            b.put_slice(frame.body().get(2..end).unwrap_or_default());
            Ok(())
        })
        .map_err(|_| BROKEN)
    }

    /// RowDescription loses the added columns, and whole rows get their types. Call before the queue moves on.
    pub(super) fn row_description(&self, frame: &Frame, turn: &mut Turn) -> Result<(), Close> {
        let (assurance, index) = match self.queue.peek() {
            Some(Expect::Script { script, done, .. }) => (&script.assurance, *done),
            Some(Expect::Columns(Some(statement))) => (&statement.prepared.assurance, 0),
            _ => {
                turn.to_client.extend_from_slice(&frame.bytes);
                return Ok(());
            }
        };
        let (added, row_types) = (assurance.columns(index).len(), assurance.row_types(index));
        if added == 0 && row_types.is_empty() {
            turn.to_client.extend_from_slice(&frame.bytes);
            return Ok(());
        }
        let mut reader = Reader::new(frame.body());
        let count = usize::from(reader.u16().map_err(|_| BROKEN)?);
        let theirs = count.checked_sub(added).ok_or(BROKEN)?;
        let mut fields = BytesMut::with_capacity(frame.body().len());
        for place in 0..count {
            let (name, rest) = reader.raw_string().and_then(|name| Ok((name, reader.bytes(FIELD_BYTES)?))).map_err(|_| BROKEN)?;
            let (table, after) = rest.split_at_checked(4).ok_or(BROKEN)?;
            let (column, after) = after.split_at_checked(2).ok_or(BROKEN)?;
            let (told, end) = after.split_at_checked(4).ok_or(BROKEN)?;
            let row = row_types.iter().find(|row| row.place == place && told == RECORD.to_be_bytes());
            let (table, told) = row.map_or((number(table), number(told)), |row| (row.table, row.row_type));
            if place < theirs {
                fields.put_slice(name);
                fields.put_u8(0);
                fields.put_u32(table);
                fields.put_slice(column);
                fields.put_u32(told);
                fields.put_slice(end);
            }
        }
        reader.end().map_err(|_| BROKEN)?;
        encode::message(&mut turn.to_client, b'T', |b| {
            encode::count(b, theirs)?;
            b.put_slice(&fields);
            Ok(())
        })
        .map_err(|_| BROKEN)
    }

    /// FETCH would show the columns that were added to a statement of the protocol. Errors: 0A000.
    pub(super) fn plain_portal(&self, name: &str) -> Result<(), Refusal> {
        let added = |s: &Arc<Statement>| !s.prepared.assurance.columns(0).is_empty();
        let sent =
            self.queue.forwards().any(|e| matches!(e, Expect::Bind { portal, statement, .. } if **portal == *name && added(statement)));
        let there = self.portals.get(name).is_some_and(|p| p.statement.as_ref().is_some_and(added));
        if sent || there {
            return Err(Refusal::not_understood("FETCH from a portal of the protocol is not supported while its rows are verified"));
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// What is checked, and what not, of a text that goes on.
pub fn told(assurance: &Assurance, turn: &mut Turn) {
    turn.facts.extend(assurance.rows.iter().filter(|r| r.coverage != Coverage::Nothing).map(|r| Fact::Rows(r.coverage.word())));
}

/// Result formats with those of the added columns, as Bind has them, and the added columns' format. None and one hold for more columns as
/// they are; a code for each goes on with text.
pub fn formats(results: &[u8], added: usize) -> (BytesMut, u16) {
    let mut out = BytesMut::from(results);
    let mut reader = Reader::new(results);
    let count = reader.u16().unwrap_or_default();
    match (count, reader.u16()) {
        (1, Ok(code)) => return (out, code),
        (2.., Ok(_)) => {
            let total = count.saturating_add(u16::try_from(added).unwrap_or(u16::MAX));
            if let Some(head) = out.get_mut(..2) {
                head.copy_from_slice(&total.to_be_bytes());
            }
            (0..added).for_each(|_| out.put_u16(TEXT));
        }
        _ => {}
    }
    (out, TEXT)
}
