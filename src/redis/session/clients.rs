//! CLIENT KILL and CLIENT UNBLOCK: the tenant's own clients only, by way of upstream's connection of each. Upstream's numbers hold on the server that gave
//! them only, and until it is started anew: who asks names to its own server those that are that one's, and nobody else.

use super::{Awaited, Session, Setup};
use crate::redis::commands::Entry;
use crate::redis::encode;
use crate::redis::shape::{Reply, Shape};
use crate::redis::tenant::Member;
use crate::redis::understand::{Refusal, c_string, is_word, syntax};
use crate::redis::wire::{Request, integer};
use crate::session::{Close, Fact, Turn};
use bytes::{Bytes, BytesMut};

/// Which clients KILL is about.
#[derive(Debug, Default)]
struct Filter {
    id: Option<u64>,
    address: Option<Bytes>,
    /// In seconds; 0: any.
    least_age: u64,
    /// Listens to channels, or does not. Another kind than these the wall has none of.
    listens: Option<bool>,
    nobody: bool,
    skips_itself: bool,
}

impl Session {
    pub(super) fn clients(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        if self.transaction.is_some() {
            let name = entry.name.to_ascii_uppercase();
            return Err(Refusal::early("ERR", format!("{name} is not supported inside MULTI by this proxy")));
        }
        if entry.name == "client unblock" { self.unblock(request, turn) } else { self.kill(request, turn) }
    }

    fn unblock(&mut self, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        let how: &[u8] = match request.arg(3) {
            b"" if request.len() == 3 => b"TIMEOUT",
            word if is_word(word, "timeout") && request.len() == 4 => b"TIMEOUT",
            word if is_word(word, "error") && request.len() == 4 => b"ERROR",
            _ => return Err(Refusal::late("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        };
        let id = integer(request.arg(2)).ok_or_else(|| Refusal::late("value is not an integer or out of range"))?;
        let found = self.setup.peers.upstream_ids(self.setup.id, |peer, _| i64::try_from(peer) == Ok(id));
        match found.first() {
            Some(upstream) => {
                encode::command(&mut turn.to_upstream, &[b"CLIENT".as_slice(), b"UNBLOCK", upstream.to_string().as_bytes(), how]);
                self.sent(Reply::default(), turn)
            }
            None => {
                self.answer(Bytes::from_static(b":0\r\n"), turn);
                Ok(())
            }
        }
    }

    fn kill(&mut self, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        let old = request.len() == 3;
        let filter = if old { Filter { address: Some(request.bytes(2)), ..Filter::default() } } else { filter(request, &self.setup)? };
        let (me, now) = (self.setup.id, (self.setup.clock)() / 1_000_000);
        let wanted = |id: u64, member: &Member| {
            filter.id.is_none_or(|wanted| wanted == id)
                && !filter.nobody
                && (filter.least_age == 0 || now.saturating_sub(member.since) >= filter.least_age)
                && filter.listens.is_none_or(|listens| listens == member.listens())
                && filter.address.as_ref().is_none_or(|wanted| wanted == member.address.as_bytes())
                && !(filter.skips_itself && id == me)
        };
        // It ends when it has been answered: its own connection may not be open yet, and with that one upstream would hear of no more.
        let itself = self.setup.peers.contains(|id, member| id == me && wanted(id, member));
        let others = |id: u64, member: &Member| wanted(id, member) && id != me;
        let ended = usize::from(itself) + self.setup.peers.end(me, others);
        let found = self.setup.peers.upstream_ids(me, others);
        for upstream in &found {
            encode::command(&mut turn.to_upstream, &["CLIENT", "KILL", "ID", &upstream.to_string(), "SKIPME", "no"]);
            turn.facts.push(Fact::Permitted);
            self.awaited.push_back(Awaited::Reply(Shape::Silence.into()));
        }
        let mut words = BytesMut::new();
        match (old, found.len() + ended) {
            (true, 0) => return Err(Refusal::late("No such client")),
            (true, _) => encode::simple(&mut words, "OK"),
            (false, count) => encode::integer(&mut words, i64::try_from(count).unwrap_or(i64::MAX)),
        }
        self.answer(words.freeze(), turn);
        if itself {
            self.end(Close::Bye);
        }
        Ok(())
    }
}

fn filter(request: &Request, setup: &Setup) -> Result<Filter, Refusal> {
    // Of the servers that know of MAXAGE, Redis 7.4 and Valkey 8, each came with one of these commands.
    let ages = ["hexpire", "client capa"].iter().any(|later| !setup.lacks.has(later));
    let mut filter = Filter { skips_itself: true, ..Filter::default() };
    let mut at = 2;
    while at < request.len() {
        let (word, value) = (request.arg(at), request.arg(at + 1));
        if at + 1 >= request.len() {
            return Err(syntax());
        } else if is_word(word, "id") {
            let id = integer(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
            filter.id = Some(id.ok_or_else(|| Refusal::late("client-id should be greater than 0"))?);
        } else if is_word(word, "addr") {
            filter.address = Some(request.bytes(at + 1));
        } else if is_word(word, "laddr") {
            // Where the client has come to is not known.
            filter.nobody = true;
        } else if ages && is_word(word, "maxage") {
            let age = integer(value).ok_or_else(|| Refusal::late("maxage is not an integer or out of range"))?;
            let age = u64::try_from(age).ok().filter(|age| *age > 0);
            filter.least_age = age.ok_or_else(|| Refusal::late("maxage should be greater than 0"))?;
        } else if is_word(word, "type") {
            match c_string(value).to_ascii_lowercase().as_slice() {
                b"normal" => filter.listens = Some(false),
                b"pubsub" => filter.listens = Some(true),
                b"master" | b"replica" | b"slave" => filter.nobody = true,
                _ => return Err(Refusal::late(format!("Unknown client type '{}'", crate::redis::lossy(c_string(value))))),
            }
        } else if is_word(word, "user") {
            // All are the tenant's, who is the only user there is.
            if value != setup.tenant.as_bytes() && value != b"default" {
                return Err(Refusal::late(format!("No such user '{}'", crate::redis::lossy(c_string(value)))));
            }
        } else if is_word(word, "skipme") && (is_word(value, "yes") || is_word(value, "no")) {
            filter.skips_itself = is_word(value, "yes");
        } else {
            return Err(syntax());
        }
        at += 2;
    }
    Ok(filter)
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
