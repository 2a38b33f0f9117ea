//! What the connections of one tenant know of each other: their scripts, names and what they wait for. Of other tenants they know nothing.

use super::library::Libraries;
use super::script::Scripts;
use super::slowlog::Slowlog;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Large replies of one tenant over connections that others share.
pub const LARGE_MAX: usize = 8;

/// One tenant, on one listener.
#[derive(Debug, Default)]
pub struct Tenant {
    /// Its scripts.
    pub scripts: Scripts,
    /// Its libraries that other versions of the wall wrapped.
    pub libraries: Libraries,
    /// Its commands that were slow.
    pub slowlog: Slowlog,
    members: Mutex<BTreeMap<u64, Member>>,
    /// Patterns that are listened to, and by how many.
    heard: Mutex<HashMap<Bytes, usize>>,
    /// The last connection's number.
    last: AtomicU64,
    /// Libraries and functions, as they were seen last.
    functions: Mutex<(usize, usize)>,
    /// Large replies that came over shared connections.
    large: AtomicUsize,
}

/// Ends a connection that upstream has no number for, since it shares one there.
pub trait End: Send + Sync {
    /// Soon, and without a word.
    fn end(&self);
}

/// Upstream's number of a connection (CLIENT ID), which means another's on another server, and on the same one once it was started anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// 0: there is none.
    pub id: u64,
    /// What says which server it is of, and since which of its starts (`run_id`); 0: it is not known.
    pub run: u64,
}

/// What a connection shows of itself.
#[derive(Clone, Default)]
pub struct Member {
    /// Upstream's number of the connection.
    pub upstream: Number,
    /// `host:port` of the client.
    pub address: String,
    /// When it came, in seconds of Unix time.
    pub since: u64,
    /// `CLIENT SETNAME`
    pub name: Bytes,
    /// 2 or 3.
    pub resp: u8,
    /// It waits in a blocking command.
    pub blocked: bool,
    /// Commands since MULTI.
    pub queued: Option<usize>,
    /// Channels and shard channels it listens to.
    pub channels: usize,
    /// Patterns it listens to, by [`Tenant::listen`].
    pub patterns: HashSet<Bytes>,
    /// How it is ended where it shares its connection upstream.
    pub end: Option<Arc<dyn End>>,
    /// The last command that it waited for or asked about itself with.
    pub last: &'static str,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({})", self.address)
    }
}

impl Number {
    /// Whether it says anything.
    pub fn is_known(&self) -> bool {
        self.id != 0 && self.run != 0
    }

    /// Whether both are of one server, which has not started anew in between.
    fn is_beside(&self, other: &Self) -> bool {
        self.is_known() && other.is_known() && self.run == other.run
    }
}

impl Member {
    /// Whether it listens to channels.
    pub fn listens(&self) -> bool {
        self.channels + self.patterns.len() > 0
    }
}

impl Tenant {
    fn members(&self) -> MutexGuard<'_, BTreeMap<u64, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a connection: of the tenant's own, so that it does not tell how many others have.
    pub fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A connection begins.
    pub fn join(&self, id: u64, upstream: Number, address: String) {
        self.members().insert(id, Member { upstream, address, resp: 2, ..Member::default() });
    }

    /// It ended.
    pub fn leave(&self, id: u64) {
        let gone = self.members().remove(&id);
        self.forget(gone.into_iter().flat_map(|member| member.patterns));
    }

    /// It listens to these patterns, too.
    pub fn listen(&self, id: u64, patterns: &[Bytes]) {
        let mut members = self.members();
        let Some(member) = members.get_mut(&id) else { return };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for pattern in patterns {
            if member.patterns.insert(pattern.clone()) {
                *heard.entry(pattern.clone()).or_default() += 1;
            }
        }
    }

    /// It listens to these no more, or to none.
    pub fn ignore(&self, id: u64, patterns: Option<&[Bytes]>) {
        let mut members = self.members();
        let Some(member) = members.get_mut(&id) else { return };
        let gone: Vec<Bytes> = match patterns {
            None => member.patterns.drain().collect(),
            Some(patterns) => patterns.iter().filter_map(|pattern| member.patterns.take(pattern)).collect(),
        };
        self.forget(gone.into_iter());
    }

    fn forget(&self, patterns: impl Iterator<Item = Bytes>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for pattern in patterns {
            match heard.get_mut(&pattern) {
                Some(many @ 2..) => *many -= 1,
                _ => drop(heard.remove(&pattern)),
            }
        }
    }

    /// Changes what a connection shows.
    pub fn update(&self, id: u64, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members().get_mut(&id) {
            change(member);
        }
    }

    /// Connections, and how many of them wait.
    pub fn counts(&self) -> (usize, usize) {
        let members = self.members();
        (members.len(), members.values().filter(|member| member.blocked).count())
    }

    /// Patterns that anybody listens to, each once.
    pub fn patterns(&self) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether upstream's number of a connection is known.
    pub fn is_numbered(&self, id: u64) -> bool {
        self.members().get(&id).is_some_and(|member| member.upstream.is_known())
    }

    /// Upstream's numbers of the connections that are wanted, for the one that will say them to its own server: those of another server are left out,
    /// for there they are other clients', of any tenant.
    pub fn upstream_ids(&self, by: u64, wanted: impl Fn(u64, &Member) -> bool) -> Vec<u64> {
        let members = self.members();
        let Some(own) = members.get(&by).map(|member| member.upstream) else { return Vec::new() };
        let found = members.iter().filter(|(id, member)| own.is_beside(&member.upstream) && wanted(**id, member));
        found.map(|(_, member)| member.upstream.id).collect()
    }

    /// Whether there is one that is wanted.
    pub fn contains(&self, wanted: impl Fn(u64, &Member) -> bool) -> bool {
        self.members().iter().any(|(id, member)| wanted(*id, member))
    }

    /// Ends the connections that are wanted and that [`Tenant::upstream_ids`] leaves out; how many.
    pub fn end(&self, by: u64, wanted: impl Fn(u64, &Member) -> bool) -> usize {
        let members = self.members();
        let own = members.get(&by).map(|member| member.upstream).unwrap_or_default();
        let sharing = members.iter().filter(|(id, member)| !own.is_beside(&member.upstream) && wanted(**id, member));
        let found: Vec<_> = sharing.filter_map(|(_, member)| member.end.clone()).collect();
        drop(members);
        found.iter().for_each(|connection| connection.end());
        found.len()
    }

    /// So many libraries and functions it has now.
    pub fn keep_functions(&self, counts: (usize, usize)) {
        *self.functions.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// How many it had when they were last seen.
    pub fn functions(&self) -> (usize, usize) {
        *self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reply of this tenant's was large for a connection that others share; `times` as bad as it may be once.
    pub fn add_large(&self, times: usize) {
        self.large.fetch_add(times, Ordering::Relaxed);
    }

    /// Whether there were too many: then none of its clients shares connections with others any more.
    pub fn is_large(&self) -> bool {
        self.large.load(Ordering::Relaxed) >= LARGE_MAX
    }

    /// CLIENT LIST: a line each of those that are wanted.
    pub fn list(&self, tenant: &str, wanted: impl Fn(u64, &Member) -> bool) -> String {
        self.members().iter().filter(|(id, member)| wanted(**id, member)).map(|(id, member)| line(*id, member, tenant)).collect()
    }
}

/// A connection as CLIENT LIST has it; what the wall does not know stands as a server at rest has it.
fn line(id: u64, member: &Member, tenant: &str) -> String {
    let listens = member.listens();
    let flags: String =
        [('P', listens), ('b', member.blocked), ('x', member.queued.is_some())].iter().filter(|f| f.1).map(|f| f.0).collect();
    let flags = if flags.is_empty() { "N" } else { &flags };
    let multi = member.queued.map_or(-1, |queued| i64::try_from(queued).unwrap_or(i64::MAX));
    format!(
        "id={id} addr={} laddr= fd=0 name={} age=0 idle=0 flags={flags} db=0 sub={} psub={} ssub=0 multi={multi} qbuf=0 qbuf-free=0 \
         argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd={} user={tenant} redir=-1 resp={}\n",
        member.address,
        super::lossy(&member.name),
        member.channels,
        member.patterns.len(),
        member.last.replace(' ', "|"),
        member.resp,
    )
}

#[cfg(test)]
#[path = "tenant_tests.rs"]
mod tests;
