//! What an upstream of Redis alone has: shared connections, sentinels, and the nodes of a cluster.

use super::document::{Node, Reader, items};
use super::socket::host_and_port;
use super::{Protocol, Upstream};
use crate::policy::Policy;

/// The servers that know where the master is.
#[derive(Clone, Debug)]
pub struct Sentinel {
    /// The master's name.
    pub master: String,
    /// Sentinels beside the upstream's `address`.
    pub others: Vec<String>,
}

pub(super) fn sentinel(reader: &mut Reader<'_>, node: &Node) -> Option<Sentinel> {
    let fields = reader.fields(node, &["master", "others"], &[]);
    let master = reader.need(&fields, "master").and_then(|n| reader.text(n));
    let others = fields.get("others").map(items).unwrap_or_default().iter().filter_map(|n| host_and_port(reader, n)).collect();
    Some(Sentinel { master: master?, others })
}

/// Redis Cluster: `address` and others are nodes, which know all of them.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Nodes beside the upstream's `address`.
    pub others: Vec<String>,
}

pub(super) fn cluster(reader: &mut Reader<'_>, node: &Node) -> Cluster {
    let fields = reader.fields(node, &["others"], &[]);
    let others = fields.get("others").map(items).unwrap_or_default().iter().filter_map(|n| host_and_port(reader, n)).collect();
    Cluster { others }
}

pub(super) fn multiplex(reader: &mut Reader<'_>, node: &Node) -> Option<usize> {
    let fields = reader.fields(node, &["connections"], &[]);
    let at = reader.need(&fields, "connections")?;
    let count = reader.text(at).and_then(|text| text.parse().ok()).filter(|count| (1..=64).contains(count));
    if count.is_none() {
        reader.say(at, "a number from 1 to 64 is expected here", "write `multiplex: { connections: 2 }`");
    }
    count
}

/// Whether a port may lead to such an upstream.
pub(super) fn check(
    reader: &mut Reader<'_>,
    at: Option<&Node>,
    (upstream, policy): (Option<&Upstream>, Option<&Policy>),
    protocol: Option<Protocol>,
    passthrough: bool,
) {
    let (Some(at), Some(upstream)) = (at, upstream) else { return };
    if protocol == Some(Protocol::Postgres) {
        let (multiplex, sentinel, cluster) = (upstream.multiplex.is_some(), upstream.sentinel.is_some(), upstream.cluster.is_some());
        for (word, there) in [("multiplex", multiplex), ("sentinel", sentinel), ("cluster", cluster)] {
            if there {
                reader.say(at, format!("`{word}` is for Redis"), "take it out of the upstream");
            }
        }
        return;
    }
    if passthrough && upstream.multiplex.is_some() {
        reader.say(at, "`multiplex` and `unsafe_test_passthrough` do not go together", "take one of them out");
    }
    if policy.and_then(|policy| policy.redis.as_ref()).is_some_and(|redis| redis.reads_replicas) {
        if upstream.multiplex.is_none() {
            let fix = "write `multiplex: { connections: 2 }` at the upstream";
            reader.say(at, "the policy's `reads: replica` wants shared connections: reads go over some of them", fix);
        } else if upstream.cluster.is_some() {
            // A replica does not know which keys of a slot that moves are elsewhere already.
            reader.say(at, "on a cluster replicas are not read", "take `reads: replica` out of the policy");
        }
    }
    if upstream.cluster.is_some() {
        clustered(reader, at, upstream, policy, passthrough);
    }
}

/// What a cluster asks of a policy, and of what stands beside it.
fn clustered(reader: &mut Reader<'_>, at: &Node, upstream: &Upstream, policy: Option<&Policy>, passthrough: bool) {
    if upstream.sentinel.is_some() {
        reader.say(at, "`cluster` and `sentinel` do not go together", "take one of them out of the upstream");
    }
    if policy.and_then(|policy| policy.redis.as_ref()).is_some_and(|redis| redis.backstop) {
        let fix = "take `backstop` out of the policy, or put a server of its own in the cluster's place";
        reader.say(at, "`cluster` and the policy's `redis.backstop: acl` do not go together yet", fix);
    }
    if passthrough {
        reader.say(at, "`cluster` and `unsafe_test_passthrough` do not go together", "take one of them out");
    }
    let Some(redis) = policy.and_then(|policy| policy.redis.as_ref()) else { return };
    if !redis.prefix.has_hash_tag() {
        reader.say(
            at,
            "on a cluster a tenant's keys are in one slot, and the policy's `redis.prefix` has no hash tag for that",
            "write `prefix: '{{tenant}}:'` in the policy",
        );
    }
    if !redis.shared.is_empty() {
        reader.say(
            at,
            "on a cluster there are no shared keys: they are on another node than a tenant's",
            "take `redis.shared` out of the policy",
        );
    }
}
