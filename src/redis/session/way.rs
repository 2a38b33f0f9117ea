//! Whether a client's next command may go over a connection that others use too, or needs one of the client's own; and when that one holds nothing
//! of it any more. Between two ways the session waits until every reply of the first has come, so that order is the server's own.

use super::{Awaited, Found, LARGE_BYTES, Need, Session, Stain, Way};
use crate::redis::commands::{Entry, Rule};
use crate::redis::line::Line;
use crate::redis::shape::Shape;
use crate::redis::tenant::Number;
use crate::redis::understand::is_word;
use crate::redis::wire::Request;
use crate::redis::{acl, encode, stateless};
use crate::session::Turn;

/// A command of more bytes than this does not go over a shared connection.
const SHARED_REQUEST_BYTES: usize = 64 << 10;

/// Replies awaited at once of a client over one.
const SHARED_AWAITED_MAX: usize = 128;

/// Whether a command names connections by the server's numbers, so that it must be known which server hears it.
fn names_connections(entry: &Entry, request: &Request) -> bool {
    entry.rule == Rule::Clients || (entry.name == "client tracking" && request.iter().any(|word| is_word(word, "redirect")))
}

/// What is left on a connection of the client's own, beside what the session knows anyway.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stains {
    /// Keys are watched.
    watching: bool,
    /// A database, tracking, and the like: only RESET takes it off.
    lasting: bool,
    /// It may hear of keys that it has named: CLIENT TRACKING, WATCH.
    pub(super) hears_of_keys: bool,
    /// WAIT was asked for: what was written is to be read.
    waited: bool,
}

impl Session {
    /// Goes the way that a command needs. False: it must wait until nothing is under way.
    pub(super) fn find_way(&mut self, found: &Found, request: &Request, turn: &mut Turn) -> bool {
        let Some(line) = self.setup.line.clone() else { return true };
        let Ok(entry) = found else { return true };
        let numbers = names_connections(entry, request) && !self.setup.cluster;
        if line.is_own() {
            if numbers && !self.awaited.is_empty() && !self.setup.peers.is_numbered(self.setup.id) {
                return false;
            }
            self.stain(stateless::stain(entry, request.iter()), entry.name);
            return true;
        }
        let wide = self.is_large() || request.size() > SHARED_REQUEST_BYTES;
        let switches = self.setup.switch.is_some() && acl::is_refused(entry, request.iter());
        match if switches { Need::Own } else { stateless::need(entry, request.iter()) } {
            Need::Any if !wide => self.find_side(&line, stateless::is_read(entry, request.iter())),
            _ if !self.awaited.is_empty() => false,
            Need::Quiet => true,
            Need::Any | Need::Own => {
                line.go(Way::Own(self.resp));
                if numbers {
                    // It is opened first: to which server it leads is known then.
                    encode::command(&mut turn.to_upstream, &["PING"]);
                    self.awaited.push_back(Awaited::Reply(Shape::Silence.into()));
                    return false;
                }
                self.stain(stateless::stain(entry, request.iter()), entry.name);
                true
            }
        }
    }

    /// On shared connections: reads to replicas, where the policy says so, all else to the master. False as above.
    fn find_side(&self, line: &Line, is_read: bool) -> bool {
        let reads = is_read && self.setup.names.reads_replicas() && !self.stains.waited;
        match line.way() {
            Way::Shared(resp) if reads && self.awaited.is_empty() => line.go(Way::Read(resp)),
            Way::Read(resp) if !reads && self.awaited.is_empty() => line.go(Way::Shared(resp)),
            Way::Read(_) if !reads => return false,
            _ => {}
        }
        true
    }

    /// The same for a long command that is forwarded as it comes.
    pub(super) fn find_way_for_long(&mut self) -> bool {
        let Some(line) = &self.setup.line else { return true };
        if !line.is_own() {
            if !self.awaited.is_empty() {
                return false;
            }
            line.go(Way::Own(self.resp));
        }
        true
    }

    /// Whether the connection is one that others use too.
    pub(super) fn shares(&self) -> bool {
        self.setup.line.as_ref().is_some_and(|line| !line.is_own())
    }

    /// On a shared connection another protocol is another connection. Nothing is under way.
    pub(super) fn speak_shared(&mut self) {
        self.hears = self.resp;
        if let Some(line) = &self.setup.line {
            line.go(Way::Shared(self.resp));
        }
    }

    /// RESET has taken everything off.
    pub(super) fn unstain(&mut self) {
        self.stains = Stains::default();
    }

    fn stain(&mut self, stain: Stain, name: &str) {
        match stain {
            Stain::Watch => self.stains.watching = true,
            Stain::Unwatch if self.transaction.is_none() => self.stains.watching = false,
            Stain::Lasting => self.stains.lasting = true,
            Stain::Unwatch | Stain::None => {}
        }
        self.stains.waited |= matches!(name, "wait" | "waitaof");
        if matches!(name, "exec" | "discard") && self.transaction.is_some() {
            self.stains.watching = false;
        }
    }

    /// Gives the client's own connection back once it provably holds nothing of it.
    pub(super) fn leave_own(&mut self) {
        let Some(line) = &self.setup.line else { return };
        let held = self.stains.watching
            || self.stains.lasting
            || !self.awaited.is_empty()
            || self.transaction.is_some()
            || self.subscriptions.len() > 0
            || self.listening > 0
            || self.message.is_some()
            || self.walk.is_some()
            || self.rest.is_some()
            || self.hears != self.resp
            || !self.stripper.at_rest();
        if line.is_own() && !held && !self.is_large() {
            // The next one of its own is another connection.
            self.setup.peers.update(self.setup.id, |me| me.upstream = Number::default());
            line.go(Way::Shared(self.resp));
        }
    }

    /// Whether its replies are too large to share a connection.
    fn is_large(&self) -> bool {
        self.setup.line.as_ref().is_some_and(|line| line.is_large()) || self.setup.peers.is_large()
    }

    /// How many replies may be awaited at once: those of other clients wait behind them on a shared connection.
    pub(super) fn most_awaited(&self) -> usize {
        if self.shares() { self.window.min(SHARED_AWAITED_MAX) } else { self.window }
    }

    /// After a large reply the client keeps a connection of its own.
    pub(super) fn weigh(&self, bytes: usize) {
        if let Some(line) = self.setup.line.as_ref().filter(|_| bytes > LARGE_BYTES) {
            line.set_large();
        }
    }
}

#[cfg(test)]
#[path = "way_tests.rs"]
mod tests;
