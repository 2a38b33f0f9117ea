//! Judged texts, bounded by bytes. A hit compares the whole text; a judge of another policy or catalog has a cache of its own.

use super::Judged;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Upper bound of the texts kept, client's and outgoing together, in bytes; the bookkeeping comes on top.
const BYTES_MAX: usize = 8 << 20;

type Entries = HashMap<(Option<u16>, Box<str>), (Arc<Judged>, usize)>;

/// Two generations: when the young one is full the old one is dropped and the young one grows old; a hit makes an entry young again.
#[derive(Debug, Default)]
pub struct Cache {
    inner: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: Entries,
    old: Entries,
    young_bytes: usize,
}

impl Cache {
    /// The entry for this text, judged with this many declared parameters (None for a simple query).
    pub fn get(&self, sql: &str, declared: Option<u16>) -> Option<Arc<Judged>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (declared, Box::from(sql));
        if let Some((hit, _)) = inner.young.get(&key) {
            return Some(hit.clone());
        }
        let (hit, bytes) = inner.old.remove(&key)?;
        inner.insert(key, hit.clone(), bytes);
        Some(hit)
    }

    /// Keeps an entry.
    pub fn put(&self, sql: &str, declared: Option<u16>, judged: Arc<Judged>, outgoing_bytes: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.insert((declared, Box::from(sql)), judged, sql.len() + outgoing_bytes);
    }
}

impl Generations {
    fn insert(&mut self, key: (Option<u16>, Box<str>), judged: Arc<Judged>, bytes: usize) {
        if self.young_bytes + bytes > BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, (judged, bytes));
    }
}
