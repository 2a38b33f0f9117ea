//! What an upstream of Redis alone has: shared connections, and sentinels.

use super::document::{Node, Reader, items};
use super::{Protocol, Upstream, host_and_port};

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
    upstream: Option<&Upstream>,
    protocol: Option<Protocol>,
    passthrough: bool,
) {
    let (Some(at), Some(upstream)) = (at, upstream) else { return };
    if protocol == Some(Protocol::Postgres) {
        for (word, there) in [("multiplex", upstream.multiplex.is_some()), ("sentinel", upstream.sentinel.is_some())] {
            if there {
                reader.say(at, format!("`{word}` is for Redis"), "take it out of the upstream");
            }
        }
    } else if passthrough && upstream.multiplex.is_some() {
        reader.say(at, "`multiplex` and `unsafe_test_passthrough` do not go together", "take one of them out");
    }
}
