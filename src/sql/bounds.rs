//! What bounds a session, by the policy.

use super::catalog::{Row, text};
use crate::policy::{Limits, Policy};
use std::collections::BTreeSet;

/// The server's settings, and the policy's limits of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Names of the server's settings, in lower case; none where they are not known.
    pub names: BTreeSet<String>,
    /// The most advisory locks that a session holds.
    pub advisory_locks: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { names: BTreeSet::new(), advisory_locks: Limits::ADVISORY_LOCKS }
    }
}

impl Bounds {
    /// Reads the answer of the query `settings`.
    pub fn read(policy: &Policy, rows: &[Row]) -> Self {
        let names = rows.iter().map(|r| text(r, 0)).collect();
        Self { names, advisory_locks: policy.limits.advisory_locks.unwrap_or(Limits::ADVISORY_LOCKS) }
    }
}
