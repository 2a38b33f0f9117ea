//! For tests of the wall only: commands by which the server's own test suite sets the server up pass, though they are about all tenants.

use super::Session;
use crate::redis::commands::Access;
use crate::redis::commands::Entry;
use crate::redis::rewrite;
use crate::redis::shape::Reply;
use crate::redis::understand::{Place, Plan, Refusal, is_word};
use crate::redis::wire::Request;
use crate::session::Turn;

/// Nothing of a key in them.
const PASS: &[&str] = &[
    "config get",
    "config set",
    "config resetstat",
    "config rewrite",
    "client pause",
    "client unpause",
    "latency reset",
    "latency latest",
    "latency history",
    "latency histogram",
    "latency doctor",
    "latency graph",
    "memory doctor",
    "memory malloc-stats",
    "memory purge",
    "memory stats",
    "info",
    "script kill",
    "role",
    "lastsave",
];
/// DEBUG with a key behind the word.
const DEBUG_KEYS: &[&str] = &["object", "listpack", "ziplist", "quicklist", "htstats-key", "sdslen", "digest-value"];

impl Session {
    /// Sends such a command as it is. False: it is none.
    pub(super) fn passes(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<bool, Refusal> {
        if !PASS.contains(&entry.name) && !["debug", "restore"].contains(&entry.name)
            || entry.name == "info" && is_word(request.arg(1), "keyspace")
        {
            return Ok(false);
        }
        if entry.name == "config set" {
            let words: Vec<&[u8]> = request.iter().skip(2).collect();
            words.chunks_exact(2).for_each(|pair| {
                if let [name, value] = pair {
                    self.setup.peers.slowlog.set(name, value)
                }
            });
        }
        let mut plan = Plan::default();
        if entry.name == "debug" && DEBUG_KEYS.iter().any(|word| is_word(request.arg(1), word)) {
            plan.places.push((2, Place::Key(Access::Read)));
        }
        if entry.name == "restore" {
            plan.places.push((1, Place::Key(Access::Write)));
        }
        rewrite::command(&mut turn.to_upstream, request, &plan, &self.setup.names)?;
        self.sent(Reply::default(), turn)?;
        Ok(true)
    }
}
