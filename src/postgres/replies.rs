//! Upstream's messages against what is expected; rows pass as they are, what the wall added is taken out.

use super::copying::Copying;
use super::expect::Expect;
use super::names::{self, Portal};
use super::notices::{self, Fate};
use super::session::{Flow, Session};
use super::wire::{self, HEADER_BYTES, Reader, UPSTREAM_BYTES, WireError};
use super::{Judging, encode, errors, hidden, own_schema};
use crate::session::{Close, Fact, Turn};
use crate::sql::{Kind, Refusal};
use bytes::{BufMut, BytesMut};

/// Between a transaction statement's completion and ReadyForQuery.
const UNKNOWN: u8 = b'?';
/// The least DataRow: header and a count of columns.
const ROW_BYTES: usize = HEADER_BYTES + 2;

impl<J: Judging> Session<J> {
    pub(super) fn replies(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        loop {
            if self.catalog_answer(input, turn)? {
                return Ok(());
            }
            if !self.checked_rows(input, turn)? {
                self.rows(input, turn)?;
            }
            if self.row_bytes > 0 {
                return Ok(());
            }
            match wire::take(input, |_| UPSTREAM_BYTES) {
                Ok(Some(frame)) if self.own_answer(&frame) => self.here(turn),
                Ok(Some(frame)) => {
                    self.reply(&frame, turn)?;
                    self.here(turn);
                }
                Ok(None) => return Ok(()),
                Err(_) => return Err(Close::UpstreamBroke("message length")),
            }
        }
    }

    /// Moves all rows at the front, and what is there of the last one, by their headers alone.
    fn rows(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        let mut end = self.row_bytes;
        while let Some((tag @ (b'D' | b'd'), length)) =
            wire::header(input.get(end..).unwrap_or_default()).map_err(|_| Close::UpstreamBroke("message length"))?
        {
            let expected = match tag {
                b'D' => matches!(self.queue.peek(), Some(Expect::Execute { .. } | Expect::Script { .. })) && length >= ROW_BYTES,
                _ => matches!(self.copying, Copying::Out),
            };
            if !expected {
                return Err(Close::UpstreamBroke("row"));
            }
            end += length;
        }
        if end > 0 {
            let here = end.min(input.len());
            self.row_bytes = end - here;
            turn.to_client.unsplit(input.split_to(here));
        }
        Ok(())
    }

    fn reply(&mut self, frame: &wire::Frame, turn: &mut Turn) -> Result<(), Close> {
        match frame.tag {
            b'E' => return self.error(frame, turn),
            b'N' => return self.notice(frame, turn).map_err(|_| Close::UpstreamBroke("notice")),
            b'S' => {
                pinned(frame)?;
                let written = own_schema::write_status(&mut turn.to_client, self.judge.own_schema(), frame.body());
                if written.map_err(|_| Close::UpstreamBroke("parameter status"))? {
                    return Ok(());
                }
            }
            b'A' => return self.notification(frame, turn),
            b'Z' => {
                self.ready(frame, turn)?;
                self.ask_again(turn)?;
            }
            b't' => return self.parameters(frame, turn),
            b'T' => {
                self.row_description(frame, turn)?;
                return self.answered(b'T', turn);
            }
            b'G' | b'H' => return self.copy_begins(frame, turn),
            b'c' => return self.copy_out_ends(frame, turn),
            b'C' => {
                self.copying = Copying::No;
                if let Some(tag) = self.complete(frame, turn)? {
                    let message = encode::message(&mut turn.to_client, b'C', |b| encode::string(b, tag.as_bytes()));
                    return message.map_err(|_| Close::UpstreamBroke("command tag"));
                }
            }
            tag => self.answered(tag, turn)?,
        }
        turn.to_client.extend_from_slice(&frame.bytes);
        Ok(())
    }

    fn notice(&self, frame: &wire::Frame, turn: &mut Turn) -> Result<(), WireError> {
        let fields = wire::fields(frame.body())?;
        match notices::fate(&fields) {
            Fate::Told => {}
            Fate::Logged => return Ok(()),
            Fate::Withheld(place) => {
                turn.facts.push(Fact::Withheld(place));
                return Ok(());
            }
        }
        let told = own_schema::fields(self.judge.own_schema(), &fields);
        let fields: Vec<(u8, &[u8])> = told.iter().map(|(code, text)| (*code, text.as_ref())).collect();
        hidden::pass(&mut turn.to_client, b'N', &fields, (&self.judge, &self.tenant), |_| None)
    }

    /// Messages that pass as they are and end, or go on with, the reply that is expected.
    fn answered(&mut self, tag: u8, turn: &mut Turn) -> Result<(), Close> {
        const UNEXPECTED: Close = Close::UpstreamBroke("reply");
        match (self.queue.next().ok_or(UNEXPECTED)?, tag) {
            (Expect::Script { .. }, b'T' | b'I') => return Ok(()),
            (Expect::Parse { name, statement }, b'1') => {
                self.known.insert(name.clone(), statement.clone());
                if let Some(lent) = self.pooled.as_mut().and_then(|p| p.lent.as_mut()) {
                    lent.statements.unnamed = Some(statement.clone());
                }
            }
            (Expect::Bind { portal, statement, format }, b'2') => {
                let portal_is =
                    Portal { statement: Some(statement.clone()), format: *format, generation: statement.generation, hold: false };
                self.portals.insert(portal.clone(), portal_is);
            }
            (Expect::CloseStatement(name), b'3') => {
                self.known.remove(name);
            }
            (Expect::ClosePortal(portal), b'3') => {
                self.portals.remove(portal);
            }
            (Expect::Columns(_), b'T' | b'n') => {}
            (Expect::Execute { .. }, b's' | b'I') => turn.facts.push(Fact::Answered),
            _ => return Err(UNEXPECTED),
        }
        self.queue.pop();
        self.flow = Flow::Open;
        Ok(())
    }

    /// CommandComplete: its effects; the tag to show where the statement was sent as another one.
    fn complete(&mut self, frame: &wire::Frame, turn: &mut Turn) -> Result<Option<&'static str>, Close> {
        const UNEXPECTED: Close = Close::UpstreamBroke("reply");
        let (kind, sql, generation) = match self.queue.next().ok_or(UNEXPECTED)? {
            Expect::Script { sql, script, done, generation, .. } => {
                // More completions than statements were judged: the server read the text otherwise.
                let kind = script.kinds.get(*done).ok_or(UNEXPECTED)?;
                *done += 1;
                (kind.clone(), sql.clone(), *generation)
            }
            Expect::Execute { statement, .. } => {
                let statement = statement.clone();
                turn.facts.push(Fact::Answered);
                self.queue.pop();
                self.flow = Flow::Open;
                let Some(statement) = statement else { return Ok(None) };
                if statement.prepared.kind.is_transaction() {
                    self.status = UNKNOWN;
                }
                (statement.prepared.kind.clone(), statement.sql.clone(), statement.generation)
            }
            _ => return Err(UNEXPECTED),
        };
        let tag = frame.body().split_last().map_or(&[][..], |(_, tag)| tag);
        self.completed(&kind, tag, &sql, generation);
        Ok(match kind {
            Kind::Truncate => Some("TRUNCATE TABLE"),
            Kind::Shown => Some("SHOW"),
            _ => None,
        })
    }

    /// ParameterDescription loses the tenant's parameters.
    fn parameters(&mut self, frame: &wire::Frame, turn: &mut Turn) -> Result<(), Close> {
        const BROKEN: Close = Close::UpstreamBroke("parameter description");
        let Some(next) = self.queue.next() else { return Err(BROKEN) };
        let Expect::Parameters(statement) = next else { return Err(BROKEN) };
        let client = usize::from(statement.prepared.client_params);
        let added = statement.prepared.tenant_types.len();
        *next = Expect::Columns(Some(statement.clone()));
        self.flow = Flow::Open;
        let mut reader = Reader::new(frame.body());
        let count = reader.u16().map_err(|_| BROKEN)?;
        let types = reader.bytes(usize::from(count) * 4).map_err(|_| BROKEN)?;
        reader.end().map_err(|_| BROKEN)?;
        if usize::from(count) != client + added {
            return Err(BROKEN);
        }
        encode::message(&mut turn.to_client, b't', |b| {
            encode::count(b, client)?;
            b.put_slice(types.get(..client * 4).unwrap_or_default());
            Ok(())
        })
        .map_err(|_| BROKEN)
    }

    fn ready(&mut self, frame: &wire::Frame, turn: &mut Turn) -> Result<(), Close> {
        const BROKEN: Close = Close::UpstreamBroke("ready for query");
        let [status @ (b'I' | b'T' | b'E')] = *frame.body() else { return Err(BROKEN) };
        let simple = match self.queue.pop() {
            Some(Expect::Sync) => false,
            Some(Expect::RefusedScript { refusal: None }) => true,
            Some(Expect::Script { .. }) => {
                turn.facts.push(Fact::Answered);
                true
            }
            _ => return Err(BROKEN),
        };
        self.status = status;
        self.own.ready(status);
        self.flow = Flow::Ready;
        if status == b'I' {
            self.portals.retain(|_, portal| portal.hold);
        }
        self.part_ended(simple);
        Ok(())
    }

    fn error(&mut self, frame: &wire::Frame, turn: &mut Turn) -> Result<(), Close> {
        const BROKEN: Close = Close::UpstreamBroke("error");
        let fields = wire::fields(frame.body()).map_err(|_| BROKEN)?;
        let told = own_schema::fields(self.judge.own_schema(), &fields);
        let fields: Vec<(u8, &[u8])> = told.iter().map(|(code, text)| (*code, text.as_ref())).collect();
        let code = errors::field(&fields, b'C');
        self.ended |= errors::is_last(&fields);
        self.outlived(code);
        let (judge, tenant, out) = (&self.judge, &self.tenant, &mut turn.to_client);
        match self.queue.next() {
            // The wall's own failing message gives its place to the refusal; other errors (a timeout, the end) stand for themselves.
            Some(Expect::RefusedScript { refusal }) => match (refusal.take(), code) {
                (Some(refusal), Some(b"42601")) => errors::refusal(out, &as_if_read(refusal, self.status)),
                _ => hidden::pass(out, b'E', &fields, (judge, tenant), |_| None).map_err(|_| BROKEN)?,
            },
            Some(Expect::Refused(refusal)) if code == Some(names::RESERVED_FAILS) => {
                errors::refusal(out, &as_if_read(refusal.clone(), self.status));
            }
            Some(Expect::Script { script, done, refusal: refusal @ Some(_), .. })
                if *done == script.kinds.len() && code == Some(names::RESERVED_FAILS) =>
            {
                refusal.take().into_iter().for_each(|r| errors::refusal(out, &r));
            }
            next => {
                let copy = next.as_deref().and_then(Expect::copy_in);
                let text = match next {
                    Some(Expect::Script { sql, script, .. }) => Some((sql.clone(), &script.outgoing)),
                    Some(Expect::Parse { statement, .. } | Expect::Given { statement, .. } | Expect::Bind { statement, .. }) => {
                        Some((statement.sql.clone(), &statement.prepared.outgoing))
                    }
                    Some(Expect::Execute { statement: Some(s), .. }) => Some((s.sql.clone(), &s.prepared.outgoing)),
                    _ => None,
                };
                let position = |p| text.and_then(|(sql, outgoing)| judge.position(&sql, outgoing, p));
                let counted = copy.as_ref().and_then(|copy| errors::copy_message(&fields, copy));
                let context = copy.and_then(|copy| errors::copy_context(&fields, &copy));
                let told = fields.iter().map(|(code, text)| match &counted {
                    Some(message) if *code == b'M' => (*code, message.as_bytes()),
                    _ => (*code, *text),
                });
                hidden::pass_with(out, b'E', &told.collect::<Vec<_>>(), (judge, tenant), position, context).map_err(|_| BROKEN)?;
                if errors::is_stale(&fields) {
                    turn.facts.push(Fact::CatalogStale);
                }
            }
        }
        self.own.failed();
        let syncs = self.copy_failed();
        self.after_error(turn);
        for _ in 0..syncs {
            self.sync(turn);
        }
        Ok(())
    }

    /// In the extended protocol upstream now skips to Sync; a simple query, or Sync itself, ends with ReadyForQuery anyway.
    fn after_error(&mut self, turn: &mut Turn) {
        let simple = matches!(self.queue.peek(), None | Some(Expect::Sync | Expect::Script { .. } | Expect::RefusedScript { .. }));
        if simple {
            return;
        }
        self.flow = Flow::Open;
        loop {
            match self.queue.peek() {
                Some(Expect::Sync) => return,
                Some(Expect::Execute { .. } | Expect::Script { .. }) => turn.facts.push(Fact::Answered),
                Some(_) => {}
                None => {
                    self.flow = Flow::Skipping;
                    return;
                }
            }
            let passed = self.queue.pop();
            self.passed_over(passed);
        }
    }
}

/// In an aborted transaction the server looks at the grammar alone before it says so.
fn as_if_read(refusal: Refusal, status: u8) -> Refusal {
    match refusal.sqlstate {
        "42P01" | "42703" | "42704" | "42883" | "42501" | "0A000" if status == b'E' => errors::aborted(),
        _ => refusal,
    }
}

/// ParameterStatus must not report another reading of the bytes than the judge's.
fn pinned(frame: &wire::Frame) -> Result<(), Close> {
    const BROKEN: Close = Close::UpstreamBroke("parameter status");
    let mut reader = Reader::new(frame.body());
    let (name, value) = (reader.raw_string().map_err(|_| BROKEN)?, reader.raw_string().map_err(|_| BROKEN)?);
    reader.end().map_err(|_| BROKEN)?;
    match (name, value) {
        (b"client_encoding", b"UTF8") | (b"standard_conforming_strings", b"on") => Ok(()),
        (b"client_encoding" | b"standard_conforming_strings", _) => Err(BROKEN),
        _ => Ok(()),
    }
}
