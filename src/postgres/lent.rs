//! What a server connection that is shared holds, and what a session keeps that goes from one to another.
//!
//! Statements that clients prepare by name are prepared upstream under names of the wall's own, once for each tenant, text, its types and the
//! settings that it was read under: so a tenant's sessions share them, and what one client calls `s1` is never what another does. Tenants share
//! none: the server counts how often one was run, and from the sixth time on may plan it for all parameters alike, where other errors are raised
//! (plancache.c, choose_custom_plan).

use super::names::Statement;
use crate::policy::TenantId;
use crate::sql::Traces;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The most statements that a connection keeps prepared from one lending to the next.
const STATEMENTS: usize = 500;
/// The most that one lending may add to them.
pub const STATEMENTS_MAX: usize = 5000;
/// The most that go at once for one that comes.
const SURPLUS: usize = 8;

/// Settings of a session that are not those its connection began with, by name as the server writes it.
pub type Settings = Arc<[(String, String)]>;

/// A server connection's own state: it goes with the connection.
#[derive(Debug, Default)]
pub struct Lent {
    /// What is prepared.
    pub statements: Statements,
    /// What its settings are.
    pub settings: Settings,
    /// Who had it last; 0 is nobody.
    pub last: u64,
    /// Something must be taken away before another session gets it; see [`Traces::SOIL`].
    pub soiled: bool,
    /// No other session may get it.
    pub spent: bool,
}

/// Prepared statements of a connection, by tenant.
#[derive(Debug, Default)]
pub struct Statements {
    named: HashMap<TenantId, HashMap<u64, Slot>>,
    /// All of them together.
    count: usize,
    /// What stands in the unnamed one, where that is known.
    pub unnamed: Option<Arc<Statement>>,
    /// Names to be closed.
    doomed: Vec<Arc<str>>,
    made: u64,
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    name: Arc<str>,
    text: Arc<str>,
    types: Box<[u32]>,
    print: u64,
    /// Upstream has said that it is there.
    there: bool,
    used: u64,
}

/// Where a statement stands.
#[derive(Debug)]
pub enum Place {
    /// Under this name.
    There(Arc<str>),
    /// It was sent, and nothing has been said to it.
    Sent(Arc<str>),
    /// Nowhere.
    Nowhere,
}

impl Statements {
    /// The place of a statement of this tenant's that is read under settings of this print.
    pub fn find(&mut self, tenant: &TenantId, statement: &Statement, print: u64) -> Place {
        self.clock += 1;
        let key = key(statement, print);
        match self.named.get_mut(tenant).and_then(|own| own.get_mut(&key)) {
            Some(slot) if slot.is(statement, print) => {
                slot.used = self.clock;
                if slot.there { Place::There(slot.name.clone()) } else { Place::Sent(slot.name.clone()) }
            }
            Some(_) => {
                self.drop_key(tenant, key);
                Place::Nowhere
            }
            None => Place::Nowhere,
        }
    }

    /// A new name for one that is nowhere.
    pub fn put(&mut self, tenant: &TenantId, statement: &Statement, print: u64) -> (u64, Arc<str>) {
        self.made += 1;
        let name: Arc<str> = format!("{}{}", super::names::WALLS, self.made).into();
        let (text, types) = (statement.prepared.outgoing.text().clone(), statement.types.as_slice().into());
        let key = key(statement, print);
        let slot = Slot { name: name.clone(), text, types, print, there: false, used: self.clock };
        let before = self.named.entry(tenant.clone()).or_default().insert(key, slot);
        self.count += usize::from(before.is_none());
        (key, name)
    }

    /// Upstream has it.
    pub fn confirm(&mut self, tenant: &TenantId, key: u64, name: &str) {
        if let Some(slot) = self.named.get_mut(tenant).and_then(|own| own.get_mut(&key)).filter(|s| *s.name == *name) {
            slot.there = true;
        }
    }

    /// Upstream has refused it, or passed it over.
    pub fn forget(&mut self, tenant: &TenantId, key: u64, name: &str) {
        if self.named.get(tenant).and_then(|own| own.get(&key)).is_some_and(|s| *s.name == *name) {
            self.take(tenant, key);
        }
    }

    /// It is of no use any more, whoever's and under whatever settings.
    pub fn doom(&mut self, statement: &Statement) {
        let text = statement.prepared.outgoing.as_str();
        let all = self.named.iter().flat_map(|(tenant, own)| own.iter().map(move |(key, slot)| (tenant, *key, slot)));
        let useless: Vec<(TenantId, u64)> =
            all.filter(|(_, _, s)| s.there && *s.text == *text).map(|(tenant, key, _)| (tenant.clone(), key)).collect();
        useless.iter().for_each(|(tenant, key)| self.drop_key(tenant, *key));
    }

    /// A name that was to be closed is still to be.
    pub fn doom_name(&mut self, name: Arc<str>) {
        self.doomed.push(name);
    }

    fn drop_key(&mut self, tenant: &TenantId, key: u64) {
        let slot = self.take(tenant, key);
        self.doomed.extend(slot.map(|slot| slot.name));
    }

    fn take(&mut self, tenant: &TenantId, key: u64) -> Option<Slot> {
        let own = self.named.get_mut(tenant)?;
        let slot = own.remove(&key)?;
        self.count -= 1;
        if own.is_empty() {
            self.named.remove(tenant);
        }
        Some(slot)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names to close now, so that there is room for one more. Who has the most gives: a tenant does not lose its own by how much others prepare.
    pub fn surplus(&mut self) -> Vec<Arc<str>> {
        for _ in 0..SURPLUS {
            let Some((tenant, key)) = (self.count >= STATEMENTS).then(|| self.least()).flatten() else { break };
            self.drop_key(&tenant, key);
        }
        std::mem::take(&mut self.doomed)
    }

    /// Of those who have the most, the one that was not used for the longest time.
    fn least(&self) -> Option<(TenantId, u64)> {
        let idle = |own: &HashMap<u64, Slot>| own.iter().filter(|(_, s)| s.there).map(|(key, s)| (s.used, *key)).min();
        let most = self.named.values().map(HashMap::len).max()?;
        let richest = self.named.iter().filter(|(_, own)| own.len() == most);
        let found = richest.filter_map(|(tenant, own)| Some((idle(own)?, tenant))).min_by_key(|((used, _), _)| *used);
        found.map(|((_, key), tenant)| (tenant.clone(), key))
    }

    /// Upstream has dropped them all.
    pub fn clear(&mut self) {
        (self.named, self.count, self.unnamed, self.doomed) = (HashMap::new(), 0, None, Vec::new());
    }
}

impl Slot {
    /// Different ones of the same key are told apart.
    fn is(&self, statement: &Statement, print: u64) -> bool {
        let text = statement.prepared.outgoing.text();
        self.print == print && *self.types == *statement.types && (Arc::ptr_eq(&self.text, text) || self.text == *text)
    }
}

fn key(statement: &Statement, print: u64) -> u64 {
    statement.digest ^ print.rotate_left(32)
}

/// What a session keeps that has no connection of its own.
#[derive(Debug)]
pub struct Pooled {
    /// Of the process' sessions; never 0.
    number: u64,
    hasher: RandomState,
    /// What the client asked for when it began.
    startup: Settings,
    settings: Settings,
    /// The connection that it has now.
    pub(super) lent: Option<Box<Lent>>,
    /// It keeps the connection whatever comes.
    always: bool,
    pub(super) pinned: bool,
    /// Its settings may be others than they are believed to be.
    unsettled: bool,
    /// Those of its transaction.
    local: bool,
    /// DISCARD ALL has run.
    pub(super) discarded: bool,
    /// Stands for the settings; equal where they are.
    lasting_print: u64,
    print: u64,
    odd: u64,
}

impl Pooled {
    /// A session with these settings to begin with. `always`: the connection that it gets first stays its own.
    pub fn new(number: u64, hasher: RandomState, startup: Settings, always: bool) -> Self {
        let lasting_print = hasher.hash_one(&startup);
        let (settings, print) = (startup.clone(), lasting_print);
        let (pinned, unsettled, local, discarded) = (always, false, false, false);
        Self { number, hasher, startup, settings, lent: None, always, pinned, unsettled, local, discarded, lasting_print, print, odd: 0 }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What its connection's settings must be.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Stands for the settings that a text sent now is read under.
    pub fn print(&self) -> u64 {
        self.print
    }

    /// Of a statement's text and types as one judge let it through.
    pub fn digest(&self, text: &str, types: &[u32], version: (u64, u64)) -> u64 {
        self.hasher.hash_one((text, types, version))
    }

    /// Takes in what a statement that is sent may leave.
    pub fn leaves(&mut self, traces: Traces) {
        if traces == Traces::default() {
            return;
        }
        self.pinned |= traces.has(Traces::PIN);
        if let Some(lent) = &mut self.lent {
            lent.soiled |= traces.has(Traces::SOIL);
            lent.spent |= traces.has(Traces::SPENT);
        }
        if traces.has(Traces::SETTINGS) || traces.has(Traces::LOCAL) {
            self.unsettled |= traces.has(Traces::SETTINGS);
            self.local = true;
            self.odd += 1;
            // No other session's, and none of its own before.
            self.print = self.hasher.hash_one((self.number, self.odd));
        }
    }

    /// A transaction is over; `quiet` where nothing else was sent.
    pub fn ended(&mut self, quiet: bool) {
        if self.local && quiet {
            self.local = false;
            if !self.unsettled {
                self.print = self.lasting_print;
            }
        }
        if self.discarded && quiet {
            (self.discarded, self.pinned) = (false, self.always);
        }
    }

    /// Must its settings be read?
    pub fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// They were read: these are the connection's. What the client asked for when it began and has RESET is to be set again.
    pub fn settle(&mut self, read: Settings) {
        let back = self.startup.iter().filter(|(name, _)| !read.iter().any(|(n, _)| n == name));
        let mut settings: Vec<(String, String)> = read.iter().chain(back).cloned().collect();
        settings.sort();
        self.settings = settings.into();
        self.unsettled = false;
        self.lasting_print = self.hasher.hash_one(&self.settings);
        self.print = self.lasting_print;
        if let Some(lent) = &mut self.lent {
            lent.settings = read;
        }
    }

    /// They cannot be read: it keeps the connection, whose settings they are.
    pub fn keep(&mut self) {
        (self.unsettled, self.pinned) = (false, true);
        self.print = self.hasher.hash_one((self.number, self.odd));
    }
}

#[cfg(test)]
#[path = "lent_tests.rs"]
mod tests;
