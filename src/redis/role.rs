//! What a session's role may do on Redis, in Redis' own terms (ACL): commands, and patterns of keys and channels.

use super::commands::{Entry, Rule, all};
use super::glob;
use super::understand::{Place, Refusal};
use crate::policy::{Extent, Granted, RedisRights};
use std::collections::HashSet;

/// A role's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// By the table's names.
    commands: HashSet<&'static str>,
    /// Patterns of the names that it may use; None for all of the tenant's.
    names: Option<Vec<Vec<u8>>>,
}

impl Rights {
    /// What is granted; None where all is.
    pub fn of(granted: &Granted) -> Option<Self> {
        let nothing = RedisRights::default();
        let rights = match granted {
            Granted::Whole => return None,
            Granted::Nothing => &nothing,
            Granted::Role(rules) => match &rules.redis {
                Extent::All => return None,
                Extent::Listed(rights) => rights,
            },
        };
        let commands = all().map(|entry| entry.name).filter(|name| rights.runs(name)).collect();
        let names = rights.keys.as_ref().map(|keys| keys.iter().map(|k| k.clone().into_bytes()).collect());
        Some(Self { commands, names })
    }

    /// Does it give everything that `other` gives? Errs on the side of no: a pattern counts where it is listed.
    pub fn covers(&self, other: &Self) -> bool {
        let names = match (&self.names, &other.names) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => others.iter().all(|pattern| own.contains(pattern)),
        };
        names && other.commands.is_subset(&self.commands)
    }

    /// May this command be run? Errors: NOPERM. Scripts may not, for they run any command; and where names are bounded, nothing that tells or touches
    /// names without naming them, or tells what others of the tenant say.
    pub fn may_run(&self, entry: &Entry) -> Result<(), Refusal> {
        let bounded = matches!(entry.rule, Rule::Keyspace | Rule::PubSub | Rule::Tracking | Rule::Slowlog) && self.names.is_some();
        let script = matches!(entry.rule, Rule::Script | Rule::Function);
        // As on a server: what a client needs to say who it is, and to go.
        let free = entry.flags.contains(&"no_auth");
        if free || (self.commands.contains(entry.name) && !bounded && !script) { Ok(()) } else { Err(Refusal::noperm(entry)) }
    }

    /// May this name be used there? A pattern may where it is one that is listed. Errors: NOPERM.
    pub fn may_name(&self, place: Place, name: &[u8]) -> Result<(), Refusal> {
        let Some(listed) = &self.names else { return Ok(()) };
        let by_pattern = || listed.iter().any(|pattern| glob::matches(pattern, name, false));
        let literally = || listed.iter().any(|pattern| pattern == name);
        let (may, what) = match place {
            Place::Key(_) => (by_pattern(), "keys"),
            Place::Channel | Place::Heard => (by_pattern(), "channels"),
            Place::HeardPattern => (literally(), "channels"),
            Place::Pattern => (literally(), "keys"),
            // It reads keys that stand in other keys.
            Place::Star => (false, "keys"),
        };
        if may {
            Ok(())
        } else {
            Err(Refusal::early("NOPERM", format!("this user has no permissions to access one of the {what} used as arguments")))
        }
    }
}

#[cfg(test)]
#[path = "role_tests.rs"]
mod tests;
