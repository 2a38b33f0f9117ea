//! Judged texts, bounded by bytes. A hit compares the whole text; a judge of another policy or catalog has a cache of its own.

use super::Judged;
use quick_cache::{Equivalent, Weighter, sync};
use std::sync::Arc;

/// Upper bound of the texts kept, client's and outgoing together, with an estimate of what stands beside them, in bytes.
const BYTES_MAX: u64 = 8 << 20;
/// What an entry holds beside its texts, about, in bytes.
pub(super) const ENTRY_BYTES: usize = 400;
/// How many entries room is made for at first.
pub(super) const ENTRIES: usize = 256;

/// The text, judged with this many declared parameters (None for a simple query).
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Option<u16>, Box<str>);

/// A key to look for, borrowed; it hashes as [`Key`] does.
#[derive(Hash)]
struct Wanted<'a>(Option<u16>, &'a str);

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, Arc<Judged>> for Bytes {
    fn weight(&self, key: &Key, judged: &Arc<Judged>) -> u64 {
        (key.1.len() + judged.template.as_str().len() + ENTRY_BYTES) as u64
    }
}

/// Shared by all sessions of a judge.
#[derive(Debug)]
pub struct Cache(sync::Cache<Key, Arc<Judged>, Bytes>);

impl Default for Cache {
    fn default() -> Self {
        Self(sync::Cache::with_weighter(ENTRIES, BYTES_MAX, Bytes))
    }
}

impl Cache {
    /// The entry for this text, judged with this many declared parameters (None for a simple query).
    pub fn get(&self, sql: &str, declared: Option<u16>) -> Option<Arc<Judged>> {
        self.0.get(&Wanted(declared, sql))
    }

    /// Keeps an entry.
    pub fn put(&self, sql: &str, declared: Option<u16>, judged: Arc<Judged>) {
        self.0.insert(Key(declared, sql.into()), judged);
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
