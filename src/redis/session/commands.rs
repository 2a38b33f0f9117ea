//! Commands that change the session: transactions, protocol, subscriptions; and walks over the keyspace.

use super::errand::Errand;
use super::{Awaited, Found, Replies, SUBSCRIPTIONS_MAX, Session, Transaction};
use crate::redis::channels::{self, Stands};
use crate::redis::commands::{Entry, Rule};
use crate::redis::encode::{self, Resp};
use crate::redis::keyspace::{self, Walk};
use crate::redis::shape::{Message, Reply, Shape};
use crate::redis::understand::{Place, Plan, Refusal, is_word, syntax};
use crate::redis::wire::Request;
use crate::redis::{local, rewrite};
use crate::session::{Close, Fact, Turn};
use bytes::Bytes;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What confirms a subscription, or its end.
fn kind(entry: &Entry) -> Message {
    match entry.name.split_once("subscribe").map(|(before, _)| before) {
        Some("" | "un") => Message::Heard,
        Some("p" | "pun") => Message::Pattern,
        _ => Message::Channel,
    }
}

/// Where the names of a subscription stand.
pub(in crate::redis) fn subscription(entry: &Entry, count: usize) -> Plan {
    let place = match kind(entry) {
        Message::Pattern => Place::HeardPattern,
        Message::Heard => Place::Heard,
        _ => Place::Channel,
    };
    Plan { places: (1..count).map(|at| (at, place)).collect(), ..Plan::default() }
}

impl Session {
    pub(super) fn session_command(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        match entry.name {
            "multi" if self.transaction.is_some() => self.say_error(b"ERR MULTI calls can not be nested", turn),
            "multi" => {
                encode::command(&mut turn.to_upstream, &["MULTI"]);
                self.sent(Reply::default(), turn)?;
                self.transaction = Some(Transaction::default());
            }
            "exec" => self.exec(turn),
            "discard" => match self.transaction.take() {
                None => self.say_error(b"ERR DISCARD without MULTI", turn),
                Some(_) => {
                    encode::command(&mut turn.to_upstream, &["DISCARD"]);
                    self.sent(Reply::default(), turn)?;
                }
            },
            "quit" => {
                self.say(Bytes::from_static(b"+OK\r\n"), turn);
                self.end(Close::Bye);
            }
            "reset" => self.reset(turn),
            // Before a cluster it would be lost with the slot's next move, where there are databases at all.
            "select" if self.setup.cluster && request.arg(1) != b"0" => return Err(Refusal::late("SELECT is not allowed in cluster mode")),
            "select" if self.shares() => self.answer(Bytes::from_static(b"+OK\r\n"), turn),
            "select" => {
                // Which one counts is upstream's to say: its databases are the tenant's.
                encode::command(&mut turn.to_upstream, &[b"SELECT".as_slice(), request.arg(1)]);
                self.sent(Reply::default(), turn)?;
            }
            "client reply" if self.transaction.is_some() => {
                return Err(Refusal::early("ERR", "CLIENT REPLY is not supported inside MULTI by this proxy"));
            }
            "client reply" => self.client_reply(request, turn)?,
            "hello" | "auth" if self.transaction.is_some() => {
                return Err(Refusal::early("ERR", "Command not allowed inside a transaction"));
            }
            "auth" => {
                let words = local::auth(self, request)?;
                self.answer(words, turn);
            }
            "hello" => {
                let hello = local::hello(self, request)?;
                self.hello(hello, turn);
            }
            _ => return Err(Refusal::noperm(entry)),
        }
        Ok(())
    }

    fn hello(&mut self, hello: local::Hello, turn: &mut Turn) {
        if let Some(name) = hello.name {
            self.setup.peers.update(self.setup.id, |me| me.name = name.clone());
            self.name = name;
        }
        let changes = hello.resp.is_some_and(|resp| resp != self.resp);
        if let Some(resp) = hello.resp {
            self.resp = resp;
        }
        let words = local::greeting(self);
        if self.shares() {
            self.speak_shared();
            self.answer(words, turn);
        } else if changes {
            let version = if self.resp == Resp::Three { "3" } else { "2" };
            encode::command(&mut turn.to_upstream, &["HELLO", version]);
            self.awaited.push_back(Awaited::Hello(Shape::InsteadOfAll(words).into(), self.resp));
            turn.facts.push(Fact::Permitted);
        } else {
            self.answer(words, turn);
        }
    }

    fn client_reply(&mut self, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        let word = request.arg(2);
        if is_word(word, "on") {
            self.replies = Replies::On;
            self.say(Bytes::from_static(b"+OK\r\n"), turn);
        } else if is_word(word, "off") {
            self.replies = Replies::Off;
        } else if !is_word(word, "skip") {
            return Err(syntax());
        } else if self.replies != Replies::Off {
            self.replies = Replies::SkipNext;
        }
        Ok(())
    }

    fn exec(&mut self, turn: &mut Turn) {
        let Some(transaction) = self.transaction.take() else { return self.say_error(b"ERR EXEC without MULTI", turn) };
        if transaction.dirty {
            encode::command(&mut turn.to_upstream, &["DISCARD"]);
            let words = Bytes::from_static(b"-EXECABORT Transaction discarded because of previous errors.\r\n");
            self.awaited.push_back(Awaited::Reply(Shape::InsteadOfAll(words).into()));
        } else {
            encode::command(&mut turn.to_upstream, &["EXEC"]);
            self.awaited.push_back(Awaited::Reply(Shape::Exec(transaction.replies).into()));
            self.mark(turn);
        }
        turn.facts.push(Fact::Permitted);
    }

    /// As RESET does, without its change of user: step by step, in silence.
    fn reset(&mut self, turn: &mut Turn) {
        // A SKIP is for this very answer.
        if self.replies == Replies::Off {
            self.replies = Replies::On;
        }
        self.name = Bytes::new();
        if self.shares() {
            self.resp = Resp::Two;
            self.speak_shared();
            self.setup.peers.update(self.setup.id, |me| me.name = Bytes::new());
            return self.say(Bytes::from_static(b"+RESET\r\n"), turn);
        }
        self.unstain();
        self.redirect = 0;
        // First, for a subscriber may say nothing else.
        let gone = std::mem::take(&mut self.subscriptions);
        let kinds = [
            ("UNSUBSCRIBE", gone.channels.len(), Message::Heard),
            ("PUNSUBSCRIBE", gone.patterns.len(), Message::Pattern),
            ("SUNSUBSCRIBE", gone.shards.len(), Message::Channel),
        ];
        for (command, left, shape) in kinds.into_iter().filter(|(_, left, _)| *left > 0) {
            encode::command(&mut turn.to_upstream, &[command]);
            self.awaited.push_back(Awaited::Confirmations { left, shape, then: 0, silent: true, added: Vec::new() });
        }
        let discard: &[&[&str]] = if self.transaction.take().is_some() { &[&["DISCARD"]] } else { &[] };
        for command in discard.iter().chain(&[["UNWATCH"].as_slice(), &["SELECT", "0"], &["CLIENT", "TRACKING", "OFF"]]) {
            encode::command(&mut turn.to_upstream, command);
            self.awaited.push_back(Awaited::Reply(Shape::Silence.into()));
        }
        if self.resp == Resp::Three {
            encode::command(&mut turn.to_upstream, &["HELLO", "2"]);
            self.awaited.push_back(Awaited::Hello(Shape::Silence.into(), Resp::Two));
            self.resp = Resp::Two;
        }
        self.setup.peers.ignore(self.setup.id, None);
        self.setup.peers.update(self.setup.id, |me| (me.channels, me.name) = Default::default());
        self.say(Bytes::from_static(b"+RESET\r\n"), turn);
    }

    pub(super) fn subscribe(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        if self.transaction.is_some() {
            return Err(Refusal::early("ERR", format!("{} is not supported inside MULTI by this proxy", entry.name.to_ascii_uppercase())));
        }
        let plan = subscription(entry, request.len());
        let shape = kind(entry);
        let told = channels::are_told_apart(self.setup.names.prefix());
        let understood = |name: &[u8]| match shape {
            Message::Pattern => channels::pattern(name).is_some_and(|stands| told || stands == Stands::Behind(0)),
            Message::Heard => told || channels::channel(name) == Stands::Behind(0),
            _ => true,
        };
        if !entry.name.contains("unsubscribe") && !request.iter().skip(1).all(understood) {
            return Err(Refusal::early("NOPERM", "this user has no permissions to access one of the channels used as arguments"));
        }
        if !entry.name.contains("unsubscribe") {
            plan.places.iter().try_for_each(|(at, place)| self.setup.names.may_name(*place, request.arg(*at)))?;
        }
        // Copies: a name must not hold on to the bytes it came in.
        let names: Vec<Bytes> = request.iter().skip(1).map(Bytes::copy_from_slice).collect();
        let set = match entry.name {
            "subscribe" | "unsubscribe" => &mut self.subscriptions.channels,
            "psubscribe" | "punsubscribe" => &mut self.subscriptions.patterns,
            _ => &mut self.subscriptions.shards,
        };
        let (mut left, mut added) = (names.len(), Vec::new());
        if entry.name.contains("unsubscribe") {
            if names.is_empty() {
                left = set.len().max(1);
                set.clear();
            }
            for name in &names {
                set.remove(name);
            }
        } else {
            if set.len() + names.len() > SUBSCRIPTIONS_MAX {
                return Err(Refusal::early("ERR", "too many subscriptions"));
            }
            added.extend(names.iter().filter(|name| set.insert((*name).clone())).cloned());
        }
        let (peers, me) = (&self.setup.peers, self.setup.id);
        match entry.name {
            "psubscribe" => peers.listen(me, &names),
            "punsubscribe" => peers.ignore(me, Some(names.as_slice()).filter(|names| !names.is_empty())),
            _ => peers.update(me, |me| me.channels = self.subscriptions.channels.len() + self.subscriptions.shards.len()),
        }
        rewrite::command(&mut turn.to_upstream, request, &plan, &self.setup.names)?;
        turn.facts.push(Fact::Permitted);
        self.awaited.push_back(Awaited::Confirmations { left, shape, then: self.subscriptions.len(), silent: false, added });
        Ok(())
    }

    /// Whether the first subscription of a RESP2 client is under way, and what becomes of another command hangs on how that ends: one who listens
    /// may say nothing else.
    pub(super) fn hangs_on_listening(&self, found: &Found) -> bool {
        let listens = matches!(found, Ok(entry) if entry.rule == Rule::Subscribe);
        let under_way = || self.awaited.iter().any(|a| matches!(a, Awaited::Confirmations { added, .. } if !added.is_empty()));
        self.resp == Resp::Two && !listens && under_way()
    }

    /// Upstream has refused a subscription, as a node of a cluster does that has the slot no more: the client listens to none of these names.
    pub(super) fn was_refused(&mut self, shape: Message, names: &[Bytes]) {
        let set = match shape {
            Message::Heard => &mut self.subscriptions.channels,
            Message::Pattern => &mut self.subscriptions.patterns,
            _ => &mut self.subscriptions.shards,
        };
        set.retain(|name| !names.contains(name));
        let (peers, me) = (&self.setup.peers, self.setup.id);
        if shape == Message::Pattern && !names.is_empty() {
            peers.ignore(me, Some(names));
        }
        peers.update(me, |me| me.channels = self.subscriptions.channels.len() + self.subscriptions.shards.len());
    }

    /// A number that nobody can foresee who does not know the secret.
    fn seed(&mut self) -> u64 {
        self.walks = self.walks.wrapping_add(1);
        let mut hasher = DefaultHasher::new();
        (self.setup.secret, self.setup.names.prefix(), self.setup.id, self.walks).hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn keyspace_command(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        let seed = self.seed();
        if self.transaction.is_some() {
            let reply = keyspace::within_transaction(entry, request, &self.setup, seed, &mut turn.to_upstream)?;
            return self.sent(reply, turn);
        }
        let mut walk = Walk::new(entry, request, &self.setup, seed)?;
        turn.facts.push(Fact::Permitted);
        walk.ask(&self.setup, &mut turn.to_upstream);
        self.awaited.push_back(Awaited::Step);
        self.walk = Some(Errand::Keys(Box::new(walk)));
        Ok(())
    }
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
