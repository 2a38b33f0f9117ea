//! What the server itself lets a tenant do: the rules of the ACL user that its connections are where the policy has `backstop: acl`. They are for the day
//! when the wall is wrong, so they hold what the wall sends and nothing else, as few words as that takes: the server goes through all its commands for
//! each category, and a user costs it memory.

use super::commands::{Entry, Lacks, Rule};
use super::names::Names;
use super::understand::is_word;
use bytes::Bytes;

/// Commands that the wall sends for a tenant. Categories of types hold commands on given keys only, new ones too.
const COMMANDS: &[&str] = &[
    "-@all",
    "+@string",
    "+@hash",
    "+@list",
    "+@set",
    "+@sortedset",
    "+@stream",
    "+@bitmap",
    "+@hyperloglog",
    "+@geo",
    "+@transaction",
    "+@pubsub",
    "+pubsub|help",
    // KEYS and SCAN stay: walks and scripts are made of them. They give names, never values.
    "+@keyspace",
    "-@dangerous",
    "-dbsize",
    "-randomkey",
    "+keys",
    "+sort",
    "+sort_ro",
    "+restore",
    // `STORE x STORE y` writes y and is checked for x. Their kin without STORE are not.
    "-georadius",
    "-georadiusbymember",
    // Of the wall's own, in transactions, too.
    "+eval",
    "+select",
    "+wait",
    "+ping",
    "+echo",
    "+time",
    "+lolwut",
    "+command",
    "+memory|usage",
    "+client|info",
    "+client|kill",
    "+client|unblock",
    "+client|tracking",
    "+client|trackinginfo",
    "+client|caching",
    "+client|getredir",
];

/// With scripts.
const SCRIPTS: &[&str] = &[
    "+@scripting",
    "-script",
    "-function",
    "+script|help",
    "+function|help",
    "+function|load",
    "+function|list",
    "+function|delete",
    "+function|stats",
    "+function|kill",
];

/// What not every server has.
const LATER: &[&str] = &[
    "waitaof",
    "client no-touch",
    "client setinfo",
    "acl cat",
    "acl genpass",
    "acl help",
    "client help",
    "commandlog help",
    "config help",
    "memory help",
    "slowlog help",
    "vadd",
    "vcard",
    "vdim",
    "vemb",
    "vgetattr",
    "vinfo",
    "vismember",
    "vlinks",
    "vrem",
    "vsetattr",
    "vsim",
];

/// The words behind ACL SETUSER and the user's name, without a password.
pub fn rules(names: &Names, lacks: &Lacks) -> Vec<Vec<u8>> {
    let mut rules = vec![b"reset".to_vec(), b"on".to_vec()];
    rules.push([b"~", names.escaped().as_ref(), b"*"].concat());
    rules.extend(names.shared().iter().map(|pattern| [b"%R~", pattern.as_slice()].concat()));
    rules.push(b"resetchannels".to_vec());
    rules.push([b"&", names.escaped().as_ref(), b"*"].concat());
    rules.extend(COMMANDS.iter().map(|rule| rule.as_bytes().to_vec()));
    if names.allows_scripts() {
        rules.extend(SCRIPTS.iter().map(|rule| rule.as_bytes().to_vec()));
    }
    let later = LATER.iter().filter(|name| !lacks.has(name));
    rules.extend(later.map(|name| format!("+{}", name.replace(' ', "|")).into_bytes()));
    // The server compares a pattern that is listened to with those of the user letter by letter; no script can listen. Events are told in channels
    // whose names begin otherwise, and one command may name both.
    rules.push(b"(+psubscribe &*)".to_vec());
    let own = names.escaped().as_ref();
    rules.push([b"(+subscribe &", own, b"* &__keyevent@*__:* &__redis__:invalidate &__keyspace@*__:", own, b"*)"].concat());
    rules
}

/// The rules of the user for what the server can only refuse or allow as a whole: SORT by patterns, GEORADIUS, XREAD where a
/// name is STREAMS; scripts cannot reach it.
pub const PATTERNS: &[&str] =
    &["reset", "on", "~*", "-@all", "+sort", "+sort_ro", "+georadius", "+georadiusbymember", "+xread", "+xreadgroup"];

/// The rules of the user that makes the others over connections that clients share: it reads nothing.
pub const MAKER: &[&str] = &["reset", "on", "-@all", "+acl|setuser"];

/// The logins between which a session changes for such a command.
#[derive(Debug)]
pub struct Switch {
    /// AUTH of the user for it.
    pub patterns: Bytes,
    /// AUTH of the tenant's own.
    pub own: Bytes,
}

/// Whether a command is one that the tenant's own user is refused for the patterns in it, or for what the server does not see.
pub fn is_refused<'a>(entry: &Entry, mut words: impl Iterator<Item = &'a [u8]>) -> bool {
    match entry.rule {
        Rule::Sort => words.any(|word| is_word(word, "by") || is_word(word, "get")),
        // It looks for the word, which may be the name of a group.
        Rule::XRead | Rule::XReadGroup => words.filter(|word| is_word(word, "streams")).count() > 1,
        Rule::GeoRadius => !entry.name.ends_with("_ro"),
        _ => false,
    }
}

/// Whether a server of this version has users whose rules are in parts, and of reading alone.
pub fn is_possible(version: &str) -> bool {
    super::script::supported(version)
}

/// Whether the server can be told of a name or pattern: it takes none with blanks.
pub fn can_tell(name: &[u8]) -> bool {
    !name.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 11))
}

#[cfg(test)]
#[path = "acl_tests.rs"]
mod tests;
