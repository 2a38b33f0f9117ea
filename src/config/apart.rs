//! Tenants of two policies on one Redis.

use super::document::{Node, Reader};
use super::{Listener, Protocol};
use crate::policy::Policy;

/// What begins a pattern's special part (Redis, KEYS).
const SPECIAL: [char; 4] = ['*', '?', '[', '\\'];

/// Whether keys of one policy's tenants can be keys of another's: where both lead to one server, the prefixes must tell them apart before any id begins, or be
/// the same, and then a tenant of either is one tenant.
pub(super) fn check(reader: &mut Reader<'_>, at: &Node, this: &Listener, others: &[Listener]) {
    let meets = |other: &&Listener| {
        let redis = this.protocol == Protocol::Redis && other.protocol == Protocol::Redis;
        redis && this.policy.name != other.policy.name && this.upstream.address == other.upstream.address
    };
    for other in others.iter().filter(meets) {
        if !are_apart(&this.policy, &other.policy) {
            reader.say(
                at,
                format!("tenants of the policies `{}` and `{}` could have the same keys on {}", other.policy.name, this.policy.name, this.upstream.address),
                "let their prefixes differ before `{tenant}`, as in `a:{tenant}:` and `b:{tenant}:`, and `shared:` name nothing that begins like the other's prefix",
            );
        }
    }
}

fn are_apart(one: &Policy, two: &Policy) -> bool {
    let (Some(a), Some(b)) = (&one.redis, &two.redis) else { return true };
    if a.prefix == b.prefix {
        // A character that stands in no id of either ends both; and each keeps its tenants from what it shares itself.
        let ends = a.prefix.after.chars().any(|c| !one.tenants.may_hold(c) && !two.tenants.may_hold(c));
        let same = a.shared.iter().all(|p| b.shared.contains(p)) && b.shared.iter().all(|p| a.shared.contains(p));
        return ends && same;
    }
    let apart = |patterns: &[String], before: &str| patterns.iter().all(|p| differ(p.split(SPECIAL).next().unwrap_or_default(), before));
    let (before, other) = (&a.prefix.before, &b.prefix.before);
    differ(before, other) && apart(&a.shared, other) && apart(&b.shared, before)
}

/// Can no text begin with both?
fn differ(one: &str, two: &str) -> bool {
    one.bytes().zip(two.bytes()).any(|(a, b)| a != b)
}

#[cfg(test)]
#[path = "apart_tests.rs"]
mod tests;
