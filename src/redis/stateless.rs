//! Which commands leave nothing on the connection that they come over, and are answered without waiting for anybody else: those may share one with
//! other clients' commands. A list: what is not known to be so is not.

use super::commands::{Entry, Found, Rule, find};
use super::understand::is_word;

/// What a client's command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any connection, or none.
    Any,
    /// That nothing is under way, for what follows is said otherwise.
    Quiet,
    /// A connection of the client's own.
    Own,
}

/// What a command leaves on a connection that is the client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stain {
    /// Keys are watched.
    Watch,
    /// None are any more.
    Unwatch,
    /// Something that stays until RESET.
    Lasting,
    /// Nothing, or what the session knows without being told.
    None,
}

/// What of a client's command: `words` are all of its arguments.
pub fn need<'a>(entry: &Entry, words: impl Iterator<Item = &'a [u8]> + Clone) -> Need {
    match entry.rule {
        // Nothing goes upstream.
        Rule::Local | Rule::Slowlog | Rule::NoCluster | Rule::Refused => Need::Any,
        // They are walks with SCAN and UNLINK; the others go through all databases.
        Rule::Keyspace if ["keys", "scan", "randomkey", "dbsize", "flushdb"].contains(&entry.name) => Need::Any,
        Rule::Session => match entry.name {
            "hello" | "reset" => Need::Quiet,
            // Of a transaction that there is not: with one, the connection is the client's own already.
            "exec" | "discard" | "auth" | "quit" | "client reply" => Need::Any,
            // It is there already.
            "select" if words.clone().nth(1) == Some(b"0") => Need::Any,
            _ => Need::Own,
        },
        _ if stateless(entry, words) => Need::Any,
        _ => Need::Own,
    }
}

/// What a command leaves behind.
pub fn stain<'a>(entry: &Entry, mut words: impl Iterator<Item = &'a [u8]>) -> Stain {
    match entry.name {
        "watch" => Stain::Watch,
        "unwatch" => Stain::Unwatch,
        "select" if words.nth(1) == Some(b"0") => Stain::None,
        "select" | "client tracking" | "client caching" | "client no-touch" => Stain::Lasting,
        _ => Stain::None,
    }
}

/// Whether this, as it goes upstream, may go over a connection that others use too.
pub fn may_share(words: &[&[u8]]) -> bool {
    let Some(name) = words.first() else { return false };
    match find(name, words.get(1).copied()) {
        Found::Entry(entry) => entry.name == "scan" || stateless(entry, words.iter().copied()),
        _ => false,
    }
}

/// Whether a command of a client's reads keys and nothing else, so that a replica may answer it.
pub fn is_read<'a>(entry: &Entry, words: impl Iterator<Item = &'a [u8]>) -> bool {
    let by_key = matches!(
        entry.rule,
        Rule::Keys
            | Rule::KeysQuoting
            | Rule::KeysFacts
            | Rule::KeysModule
            | Rule::KeysFirst
            | Rule::NumKeys
            | Rule::NumKeysFirst
            | Rule::Sort
            | Rule::XRead
    );
    by_key && entry.flags.contains(&"readonly") && stateless(entry, words)
}

/// The same of this, as it goes upstream.
pub fn may_read(words: &[&[u8]]) -> bool {
    let Some(name) = words.first() else { return false };
    matches!(find(name, words.get(1).copied()), Found::Entry(entry) if is_read(entry, words.iter().copied()))
}

fn stateless<'a>(entry: &Entry, mut words: impl Iterator<Item = &'a [u8]>) -> bool {
    match entry.rule {
        Rule::Keys
        | Rule::Restore
        | Rule::KeysQuoting
        | Rule::KeysFacts
        | Rule::KeysModule
        | Rule::KeysFirst
        | Rule::NumKeys
        | Rule::NumKeysFirst
        | Rule::GeoRadius
        | Rule::Sort
        | Rule::Publish
        | Rule::PubSub => entry.name != "watch" && !entry.flags.contains(&"blocking"),
        Rule::XRead | Rule::XReadGroup => !words.any(|word| is_word(word, "block")),
        Rule::Script => ["eval", "eval_ro", "evalsha", "evalsha_ro", "script load", "script exists", "script flush", "script show"]
            .contains(&entry.name),
        // UNWATCH: nothing is watched there. CLIENT SETINFO is a label that no tenant sees.
        Rule::Pass => {
            entry.name.ends_with(" help")
                || entry.name.starts_with("command")
                || ["acl cat", "acl genpass", "client setinfo", "echo", "lolwut", "ping", "time", "unwatch"].contains(&entry.name)
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "stateless_tests.rs"]
mod tests;
