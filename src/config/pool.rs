//! `pool:` of a PostgreSQL upstream.

use super::document::{Node, Reader, Value};
use super::{Protocol, Upstream};
use crate::policy::sources::seconds;
use crate::policy::{Backstop, Policy};
use std::time::Duration;

/// How clients share connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// A client has its connection for a transaction, not for as long as it stays.
    pub transaction: bool,
    /// The most connections.
    pub size: usize,
    /// The most that one tenant may have of them at a time.
    pub per_tenant: usize,
    /// A client waits so long for one.
    pub wait: Duration,
    /// One that nobody has used for so long is closed.
    pub idle: Duration,
}

/// Reads it; None where each client has a connection of its own.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Pool> {
    let fields = reader.fields(node, &["mode", "size", "per_tenant", "wait", "idle"], &[]);
    let transaction = match fields.get("mode").map(|n| (n, reader.text(n))) {
        None => false,
        Some((_, Some(mode))) if mode == "session" => false,
        Some((_, Some(mode))) if mode == "transaction" => true,
        Some((at, _)) => {
            reader.say(at, "unknown mode", "write `session` or `transaction`");
            return None;
        }
    };
    let size = fields.get("size").map(|n| count(reader, n));
    let per_tenant = fields.get("per_tenant").map(|n| count(reader, n));
    let wait = fields.get("wait").map(|n| seconds(reader, n));
    let idle = fields.get("idle").map(|n| seconds(reader, n));
    let size = match size {
        None if !transaction => {
            for (key, at) in ["per_tenant", "wait", "idle"].iter().filter_map(|key| Some((key, fields.get(key)?))) {
                reader.say(at, format!("without `size` there is no pool that `{key}` could be of"), "add `size:`");
            }
            return None;
        }
        None => SIZE,
        Some(size) => size?,
    };
    let per_tenant = per_tenant.map_or(Some(size), |n| n)?.min(size);
    let (wait, idle) = (wait.map_or(Some(WAIT), |n| n)?, idle.map_or(Some(IDLE), |n| n)?);
    Some(Pool { transaction, size, per_tenant, wait, idle })
}

/// What a pool does not go with.
pub(super) fn check(
    reader: &mut Reader<'_>,
    at: Option<&Node>,
    upstream: Option<&Upstream>,
    protocol: Option<Protocol>,
    policy: Option<&Policy>,
) {
    let (Some(at), Some(Upstream { pool: Some(_), .. })) = (at, upstream) else { return };
    let backstop = policy.and_then(|p| p.postgres.as_ref()).is_some_and(|p| p.backstop == Backstop::Rls);
    if protocol == Some(Protocol::Redis) {
        reader.say(at, "`pool` is for PostgreSQL", "take it out of the upstream");
    } else if backstop {
        let message = "`backstop: rls` names the tenant in a setting of its connection, and `pool` shares connections";
        reader.say(at, message, "take one of them out");
    }
}

const SIZE: usize = 20;
const WAIT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(300);

fn count(reader: &mut Reader<'_>, node: &Node) -> Option<usize> {
    match node.value {
        Value::Int(n @ 1..=10_000) => usize::try_from(n).ok(),
        _ => {
            reader.say(node, "a number from 1 to 10000 is expected here", "write e.g. `20`");
            None
        }
    }
}
