//! Messages that go to the session in charge, and what it lacks for them: a statement that the client has prepared is prepared there, too.

use super::{Mark, Res, Router, Rules, Setting};
use crate::policy::TenantId;
use crate::postgres::wire::{self, Frame, Target};
use crate::postgres::{encode, errors, names};
use crate::sql::neutral::{self, Neutral};
use bytes::{BufMut, BytesMut};
use std::collections::HashMap;

/// A prepared statement as the client knows it.
#[derive(Debug)]
pub(super) struct Named {
    /// Tells it from another one of that name.
    pub(super) id: u64,
    /// Whose header it has.
    pub(super) tenant: Option<TenantId>,
    pub(super) neutral: Option<Neutral>,
    /// The Parse that makes it.
    pub(super) parse: BytesMut,
}

/// Statements by name, and the bytes kept for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: HashMap<String, Named>,
    bytes: usize,
}

impl Names {
    /// Most bytes that are kept.
    const BYTES_MAX: usize = 64 << 20;

    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= names::STATEMENTS || self.bytes >= Self::BYTES_MAX
    }

    pub(super) fn get(&self, name: &str) -> Option<&Named> {
        self.all.get(name)
    }

    pub(super) fn insert(&mut self, name: &str, named: Named) {
        self.remove(name);
        self.bytes += named.parse.len();
        self.all.insert(name.to_owned(), named);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.bytes -= self.all.remove(name).map_or(0, |n| n.parse.len());
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Router {
    /// The policy is another: what was SET counts if it could be SET now.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        let tenants = &self.rules.tenants;
        let counts = |setting: &Setting| tenants.accept(setting.tenant.as_str()).is_some();
        self.setting = self.setting.take().filter(counts);
        for place in [&mut self.local, &mut self.lasting].into_iter().flatten() {
            *place = place.take().filter(counts);
        }
    }

    /// To the session in charge, after what it lacks.
    pub(super) fn forward(&mut self, frame: &Frame, text: Option<String>, tenant: Option<TenantId>) -> Res<()> {
        let unreadable = |e| errors::unreadable(&e);
        match frame.tag {
            b'Q' => {
                self.names.remove("");
                if let (None, Some(Neutral::Deallocate(name))) = (&text, wire::query(frame.body()).ok().and_then(neutral::read)) {
                    self.names.remove(&name);
                }
                match text {
                    Some(text) => encode::query(&mut self.to_session, &text).map_err(unreadable)?,
                    None => self.to_session.extend_from_slice(&frame.bytes),
                }
                self.marks.push_back(Mark::Ready(false));
                return Ok(());
            }
            b'P' => return self.parse(frame, text, tenant),
            b'B' => {
                let message = wire::bind(frame.body()).map_err(unreadable)?;
                self.prepare_there(message.statement);
                let ends = self.names.get(message.statement).and_then(|n| n.neutral.as_ref());
                let ends = matches!(ends, Some(Neutral::Commit { .. } | Neutral::Rollback { .. }));
                self.batch_ended |= ends && self.local.is_some();
            }
            b'D' => {
                if let Target::Statement(name) = wire::target(frame.body()).map_err(unreadable)? {
                    self.prepare_there(name);
                }
            }
            b'C' => {
                if let Target::Statement(name) = wire::target(frame.body()).map_err(unreadable)? {
                    self.names.remove(name);
                    self.there.parsed.remove(name);
                }
                self.marks.push_back(Mark::Close(false));
            }
            _ => {}
        }
        self.open = true;
        self.to_session.extend_from_slice(&frame.bytes);
        Ok(())
    }

    fn parse(&mut self, frame: &Frame, text: Option<String>, tenant: Option<TenantId>) -> Res<()> {
        let unreadable = |e| errors::unreadable(&e);
        let parse = wire::parse(frame.body()).map_err(unreadable)?;
        let neutral = neutral::read(text.as_deref().unwrap_or(parse.sql));
        let owner = if text.is_some() { tenant } else { None };
        let mut bytes = BytesMut::new();
        encode::parse(&mut bytes, parse.name, text.as_deref().unwrap_or(parse.sql), &parse.types).map_err(unreadable)?;
        let id = self.remember(parse.name, Named { id: 0, tenant: owner, neutral, parse: bytes.clone() });
        self.close_there(parse.name, id);
        self.there.parsed.insert(parse.name.to_owned(), id);
        self.marks.push_back(Mark::Parse(parse.name.to_owned(), id, false));
        self.open = true;
        self.to_session.unsplit(bytes);
        Ok(())
    }

    pub(super) fn remember(&mut self, name: &str, named: Named) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.names.insert(name, Named { id, ..named });
        id
    }

    /// Closes what the session has under this name, if that is another statement.
    fn close_there(&mut self, name: &str, id: u64) {
        if name.is_empty() || self.there.parsed.get(name).is_none_or(|known| *known == id) {
            return;
        }
        let closed = encode::message(&mut self.to_session, b'C', |b| {
            b.put_u8(b'S');
            encode::string(b, name.as_bytes())
        });
        if closed.is_ok() {
            self.there.parsed.remove(name);
            self.marks.push_back(Mark::Close(true));
        }
    }

    /// Sends the statement's Parse again where the session in charge does not have it.
    fn prepare_there(&mut self, name: &str) {
        let Some((id, parse)) = self.names.get(name).map(|n| (n.id, n.parse.clone())) else { return };
        if self.there.parsed.get(name) == Some(&id) {
            return;
        }
        self.close_there(name, id);
        self.there.parsed.insert(name.to_owned(), id);
        self.marks.push_back(Mark::Parse(name.to_owned(), id, true));
        self.to_session.extend_from_slice(&parse);
    }
}
