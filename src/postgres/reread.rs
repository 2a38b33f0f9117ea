//! After DDL in a tenant's own place: the catalog is asked for again, on the session's own connection, before the next statement is judged.
//!
//! Only there is seen what an open transaction has made. Nothing of the question or its answer reaches the client.

use super::expect::Expect;
use super::session::{Flow, Session};
use super::wire::{self, Frame, Reader, UPSTREAM_BYTES};
use super::{Judging, encode};
use crate::session::{Close, Fact, Turn};
use crate::sql::catalog::Rows;
use crate::sql::home::Question;
use crate::sql::{Kind, Refusal};
use bytes::BytesMut;
use std::collections::HashMap;

const BROKEN: Close = Close::UpstreamBroke("catalog");

/// The question's own settings, until its transaction or savepoint ends: none of the client's cuts it off, or changes how expressions are printed.
/// One that the server does not have is left out.
const STEADY: &str = "SELECT pg_catalog.set_config(s.name, s.value, true) FROM (VALUES ('statement_timeout', '0'), ('transaction_timeout', '0'), \
    ('lock_timeout', '60000'), ('quote_all_identifiers', 'off'), ('DateStyle', 'ISO'), ('IntervalStyle', 'iso_8601'), ('extra_float_digits', '3')) AS s(name, value) \
    WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL";

/// How the session's judge stands to what its transaction has made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// DDL has run, or was undone, since the catalog was read.
    pub stale: bool,
    /// The judge knows what only this transaction has made.
    pub private: bool,
    /// The session has run DDL.
    pub ever: bool,
    /// Others' catalog has been read again since.
    pub offered: bool,
}

/// What is asked, and the answers so far.
#[derive(Debug, Default)]
pub struct Asked {
    names: Vec<&'static str>,
    answers: Vec<Rows>,
    rows: Rows,
}

impl<J: Judging> Session<J> {
    /// Another judge: what was judged before is judged again, and under another policy refused.
    pub(super) fn replace_judge(&mut self, judge: J) {
        let (before, now) = (self.judge.version(), judge.version());
        self.generation += u64::from(now != before);
        if now.0 != before.0 {
            self.ruled_since = self.generation;
        }
        self.judge = judge;
    }

    /// Must the next text wait until the catalog has been read again?
    pub(super) fn awaits_catalog(&self) -> bool {
        let changes = |e: &Expect| match e {
            Expect::Script { script, .. } => script.kinds.contains(&Kind::Ddl),
            Expect::Execute { statement: Some(s), .. } => s.prepared.kind == Kind::Ddl,
            Expect::Catalog(_) => true,
            _ => false,
        };
        // Nobody else changes a catalog: elsewhere the queue need not be looked through.
        self.judge.is_own_place() && (self.made.stale || self.queue.forwards().any(changes))
    }

    /// Before a text, at rest: asks where others' catalog was read again. True where the text has to wait for it.
    pub(super) fn asks_first(&mut self, turn: &mut Turn) -> Result<bool, Close> {
        let rest = self.flow == Flow::Ready && self.queue.is_empty() && self.status != b'E';
        if !(self.made.offered && rest) {
            return Ok(false);
        }
        self.made.stale = true;
        self.ask_again(turn)?;
        Ok(true)
    }

    /// A text that waits for a Sync which stands behind it would wait for ever. Errors: 0A000.
    pub(super) fn may_wait(&self) -> Result<(), Refusal> {
        if self.made.stale && self.flow != Flow::Ready && self.queue.is_empty() {
            return Err(Refusal::not_understood("a statement after DDL in one pipeline is not supported").hint("Send Sync before it."));
        }
        Ok(())
    }

    /// Takes in what a completed statement has done to the catalog.
    pub(super) fn catalog_completed(&mut self, kind: &Kind, tag: &[u8]) {
        match kind {
            Kind::Ddl => (self.made.stale, self.made.ever) = (true, true),
            Kind::End | Kind::RollbackTo(_) if tag == b"ROLLBACK" => self.made.stale |= self.made.private,
            _ => {}
        }
    }

    /// ReadyForQuery came: asks, where the catalog may be another.
    pub(super) fn ask_again(&mut self, turn: &mut Turn) -> Result<(), Close> {
        let ended = self.status == b'I' && self.made.private;
        let pending = self.queue.forwards().any(|e| matches!(e, Expect::Catalog(_)));
        if self.status == b'E' || pending || !(self.made.stale || ended) {
            return Ok(());
        }
        let own = |name, sql: &'static str| Question { name, sql: sql.into() };
        let mut queries = self.judge.catalog_queries();
        queries.insert(0, own("steady", STEADY));
        if self.status == b'T' {
            // One of them changes the path for its transaction, which here is the client's.
            queries.insert(0, own("begin", "SAVEPOINT partywall"));
            queries.extend([own("undo", "ROLLBACK TO SAVEPOINT partywall"), own("end", "RELEASE SAVEPOINT partywall")]);
        }
        let text: Vec<&str> = queries.iter().map(|q| q.sql.as_ref()).collect();
        encode::query(&mut turn.to_upstream, &text.join(";\n")).map_err(|_| BROKEN)?;
        self.unnamed_is_gone();
        let names = queries.into_iter().map(|q| q.name).collect();
        self.queue.push(Expect::Catalog(Asked { names, ..Asked::default() }));
        self.made.stale = true;
        Ok(())
    }

    /// Takes the answer's messages off the front; false where what comes is no part of it.
    pub(super) fn catalog_answer(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<bool, Close> {
        while self.row_bytes == 0 && matches!(self.queue.peek(), Some(Expect::Catalog(_))) {
            match wire::header(input).map_err(|_| BROKEN)? {
                Some((b'T' | b'D' | b'C' | b'Z' | b'E', _)) => {}
                Some(_) => return Ok(false),
                None => return Ok(true),
            }
            let Some(frame) = wire::take(input, |_| UPSTREAM_BYTES).map_err(|_| BROKEN)? else { return Ok(true) };
            self.catalog_frame(&frame, turn)?;
        }
        Ok(false)
    }

    fn catalog_frame(&mut self, frame: &Frame, turn: &mut Turn) -> Result<(), Close> {
        let Some(Expect::Catalog(asked)) = self.queue.next() else { return Err(BROKEN) };
        match frame.tag {
            b'T' => asked.rows = Rows::new(),
            b'D' => asked.rows.push(row(frame).map_err(|_| BROKEN)?),
            b'C' => asked.answers.push(std::mem::take(&mut asked.rows)),
            b'Z' => {
                let answers: HashMap<&'static str, Rows> = asked.names.iter().copied().zip(std::mem::take(&mut asked.answers)).collect();
                let complete = answers.len() == asked.names.len();
                self.queue.pop();
                let judge = self.judge.reread(&answers).filter(|_| complete).ok_or(BROKEN)?;
                self.replace_judge(judge);
                (self.made.stale, self.made.offered) = (false, false);
                self.made.private = self.status != b'I';
                // Others of this tenant are to know it as well.
                if self.status == b'I' {
                    turn.facts.push(Fact::CatalogStale);
                }
            }
            // A timeout of the client's, or a lost connection: without its catalog the session cannot go on.
            _ => return Err(BROKEN),
        }
        Ok(())
    }
}

fn row(frame: &Frame) -> Result<Vec<Option<String>>, wire::WireError> {
    let mut reader = Reader::new(frame.body());
    let count = reader.u16()?;
    (0..count).map(|_| wire::value(&mut reader)?.map(wire::utf8).transpose().map(|text| text.map(str::to_owned))).collect()
}
