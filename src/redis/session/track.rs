//! CLIENT TRACKING: invalidations of the tenant's own keys, to a connection of the tenant's own. Upstream has other numbers of connections than the client.

use super::Session;
use crate::redis::commands::Entry;
use crate::redis::encode;
use crate::redis::rewrite;
use crate::redis::shape::Shape;
use crate::redis::understand::{self, Refusal, is_word};
use crate::redis::wire::{Request, integer};
use crate::session::Turn;
use bytes::{Bytes, BytesMut};

impl Session {
    pub(super) fn track(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        let own = self.redirection(entry, request)?;
        // Everything else is understood without it; upstream hears it last, with the number that it knows.
        let mut words: Vec<&[u8]> = request.iter().collect();
        if let Some((at, ..)) = own {
            words.drain(at..at + 2);
        }
        let mut plan = understand::plan(entry, &Request::new(&words))?;
        let upstream = own.map_or_else(String::new, |(_, _, upstream)| upstream.to_string());
        if own.is_some() {
            words.extend([b"REDIRECT".as_slice(), upstream.as_bytes()]);
        }
        if let Shape::Tracking(told) | Shape::Redirect(told) = &mut plan.reply.shape {
            *told = self.redirect;
        }
        rewrite::command(&mut turn.to_upstream, &Request::new(&words), &plan, &self.setup.names)?;
        if entry.name == "client tracking" {
            self.redirect = own.map_or(0, |(_, own, _)| own);
            self.stains.hears_of_keys |= !is_word(request.arg(2), "off");
        }
        self.sent(plan.reply, turn)
    }

    /// Where REDIRECT stands, the client's own number behind it, and upstream's. Errors: the server's own.
    fn redirection(&self, entry: &Entry, request: &Request) -> Result<Option<(usize, u64, u64)>, Refusal> {
        let (mut found, mut at) = (None, 3);
        while entry.name == "client tracking" && at + 1 < request.len() {
            if is_word(request.arg(at), "prefix") {
                at += 1;
            } else if is_word(request.arg(at), "redirect") {
                if found.is_some() {
                    return Err(Refusal::late("A client can only redirect to a single other client"));
                }
                let number = integer(request.arg(at + 1)).ok_or_else(|| Refusal::late("value is not an integer or out of range"))?;
                let peers = self.setup.peers.upstream_ids(self.setup.id, |peer, _| i64::try_from(peer) == Ok(number));
                let nobody = || Refusal::late("The client ID you want redirect to does not exist");
                let upstream = peers.first().copied().ok_or_else(nobody)?;
                found = Some((at, u64::try_from(number).map_err(|_| nobody())?, upstream));
                at += 1;
            }
            at += 1;
        }
        Ok(found)
    }

    /// What the server says once.
    pub(super) fn redirect_is_gone(&self) -> Bytes {
        let mut out = BytesMut::new();
        encode::header(&mut out, b'>', 2);
        encode::bulk(&mut out, b"tracking-redir-broken");
        encode::integer(&mut out, i64::try_from(self.redirect).unwrap_or(i64::MAX));
        out.freeze()
    }
}
