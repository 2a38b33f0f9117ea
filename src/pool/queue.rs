//! Who waits: tenants take turns, and within one it is first come, first served.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Waiters by tenant.
#[derive(Debug)]
pub struct Queue<K, T> {
    /// Whose turn it is next; each that waits stands here once.
    order: VecDeque<K>,
    waiting: HashMap<K, VecDeque<T>>,
    total: usize,
}

impl<K, T> Default for Queue<K, T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new(), total: 0 }
    }
}

impl<K: Clone + Eq + Hash, T> Queue<K, T> {
    /// One more of this tenant's.
    pub fn push(&mut self, tenant: K, waiter: T) {
        self.total += 1;
        let own = self.waiting.entry(tenant.clone()).or_default();
        if own.is_empty() {
            self.order.push_back(tenant);
        }
        own.push_back(waiter);
    }

    /// The next one of a tenant that may have its turn.
    pub fn next(&mut self, may: impl Fn(&K) -> bool) -> Option<(K, T)> {
        let at = self.order.iter().position(may)?;
        let tenant = self.order.remove(at)?;
        let own = self.waiting.get_mut(&tenant)?;
        let waiter = own.pop_front()?;
        self.total -= 1;
        if own.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.order.push_back(tenant.clone());
        }
        Some((tenant, waiter))
    }

    /// Does one of this tenant's wait?
    pub fn has(&self, tenant: &K) -> bool {
        self.waiting.contains_key(tenant)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.total
    }

    /// Those of this tenant's that do not wait any more leave.
    pub fn leave(&mut self, tenant: &K, gone: impl Fn(&T) -> bool) {
        let Some(own) = self.waiting.get_mut(tenant) else { return };
        let before = own.len();
        own.retain(|waiter| !gone(waiter));
        self.total -= before - own.len();
        if own.is_empty() {
            self.waiting.remove(tenant);
            self.order.retain(|known| known != tenant);
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
