//! The command table: `commands.txt` and `commands_later.txt` as the servers publish it, and `rules.txt`, which says what the wall does with each.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

/// What is done with a command; the words of `rules.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "rules.txt says it of each")]
pub enum Rule {
    Keys,
    Restore,
    KeysQuoting,
    KeysFacts,
    KeysModule,
    KeysFirst,
    NumKeys,
    NumKeysFirst,
    GeoRadius,
    Sort,
    XRead,
    XReadGroup,
    Pass,
    Session,
    Keyspace,
    Publish,
    Subscribe,
    PubSub,
    Local,
    Slowlog,
    Tracking,
    Clients,
    Script,
    Function,
    NoCluster,
    /// Stands in no rule.
    Refused,
}

/// Where keys stand, from the published specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// From `first` to `last` (counted from `first`, or from the end when negative) in steps.
    Range {
        /// What is done to them.
        access: Access,
        /// Of the first.
        first: usize,
        /// Of the last.
        last: i64,
        /// From one to the next.
        step: usize,
    },
    /// Behind a count.
    Count {
        /// What is done to them.
        access: Access,
        /// Where the count stands.
        at: usize,
        /// From one to the next.
        step: usize,
    },
    /// Anything else: the command needs a parser of its own.
    Other,
}

/// What a command does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only reads.
    Read,
    /// Anything else.
    Write,
    /// It is a channel.
    Channel,
}

/// One command or subcommand.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Lower case; a subcommand has its container before it.
    pub name: &'static str,
    /// Exact count of words, or at least so many when negative.
    pub arity: i64,
    /// In the source's words.
    pub flags: Vec<&'static str>,
    /// In the source's order.
    pub specs: Vec<Spec>,
    /// What the wall does.
    pub rule: Rule,
    /// It has subcommands.
    pub is_container: bool,
    /// It came after 7.0.
    pub is_later: bool,
}

impl Entry {
    /// Whether so many words are right for it.
    pub fn takes(&self, count: usize) -> bool {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if self.arity < 0 { count >= -self.arity } else { count == self.arity }
    }

    /// Whether it may be answered only when somebody else has done something.
    pub fn may_wait(&self) -> bool {
        self.flags.contains(&"blocking") || self.name == "wait"
    }

    /// The name as the server writes it in errors: `config|get`.
    pub fn full_name(&self) -> String {
        self.name.replace(' ', "|")
    }
}

/// Commands of the table that a server does not have. It would answer them with an error that quotes what it was sent: names as they stand there.
#[derive(Clone, Debug, Default)]
pub struct Lacks(HashSet<&'static str>);

impl Lacks {
    /// All but those that the server lists (COMMAND LIST, since 7.0). What the wall answers itself a server need not have, where 7.0 has it.
    pub fn new<'a>(listed: impl Iterator<Item = &'a [u8]>) -> Self {
        let listed: HashSet<String> = listed.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
        let own = [Rule::Session, Rule::Keyspace, Rule::Local, Rule::Slowlog, Rule::NoCluster];
        let sent = all().filter(|entry| entry.is_later || !own.contains(&entry.rule));
        Self(sent.filter(|entry| !listed.contains(&entry.full_name())).map(|entry| entry.name).collect())
    }

    /// What one of two servers lacks.
    pub fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether this is one of them.
    pub fn contains(&self, entry: &Entry) -> bool {
        self.has(entry.name)
    }

    /// The same by name.
    pub fn has(&self, name: &str) -> bool {
        !self.0.is_empty() && self.0.contains(name)
    }
}

/// What a command's first words name.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A command.
    Entry(&'static Entry),
    /// A container without such a subcommand.
    NoSubcommand(&'static Entry),
    /// Nothing.
    Unknown,
}

/// The table's entry for the first words of a command.
pub fn find(name: &[u8], second: Option<&[u8]>) -> Found {
    let table = table();
    let mut lower = [0; KEY_MAX_BYTES];
    let Some(first) = key(name, &mut lower).and_then(|name| table.entries.get(name)) else { return Found::Unknown };
    let (Some(second), true) = (second, first.is_container) else { return Found::Entry(first) };
    match key(second, &mut lower).and_then(|second| table.entries.get(format!("{} {second}", first.name).as_str())) {
        Some(entry) => Found::Entry(entry),
        // COMMAND does something without one.
        None => Found::NoSubcommand(first),
    }
}

/// All of the table.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    table().entries.values()
}

/// The longest name is 23 bytes.
const KEY_MAX_BYTES: usize = 32;

/// A name in lower case, put into `lower`.
fn key<'l>(name: &[u8], lower: &'l mut [u8; KEY_MAX_BYTES]) -> Option<&'l str> {
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    // A blank would reach a subcommand by another way.
    std::str::from_utf8(lower).ok().filter(|name| !name.contains(' '))
}

struct Table {
    entries: HashMap<&'static str, Entry>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let rules = rules();
        let mut entries: HashMap<_, _> = lines(include_str!("commands.txt"))
            .chain(lines(include_str!("commands_later.txt")))
            .filter_map(|line| entry(line, &rules))
            .map(|entry| (entry.name, entry))
            .collect();
        let containers: Vec<_> = entries.keys().filter_map(|name: &&'static str| Some(name.split_once(' ')?.0)).collect();
        for container in containers {
            if let Some(entry) = entries.get_mut(container) {
                entry.is_container = true;
            }
        }
        Table { entries }
    })
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn rules() -> HashMap<&'static str, Rule> {
    let mut rules = HashMap::new();
    for line in lines(include_str!("rules.txt")) {
        let Some((word, names)) = line.split_once(':') else { continue };
        for name in names.split(',') {
            rules.insert(name.trim(), rule(word));
        }
    }
    rules
}

fn rule(word: &str) -> Rule {
    match word {
        "keys" => Rule::Keys,
        "restore" => Rule::Restore,
        "keys-quoting" => Rule::KeysQuoting,
        "keys-facts" => Rule::KeysFacts,
        "keys-module" => Rule::KeysModule,
        "keys-first" => Rule::KeysFirst,
        "numkeys" => Rule::NumKeys,
        "numkeys-first" => Rule::NumKeysFirst,
        "georadius" => Rule::GeoRadius,
        "sort" => Rule::Sort,
        "xread" => Rule::XRead,
        "xreadgroup" => Rule::XReadGroup,
        "pass" => Rule::Pass,
        "session" => Rule::Session,
        "keyspace" => Rule::Keyspace,
        "publish" => Rule::Publish,
        "subscribe" => Rule::Subscribe,
        "pubsub" => Rule::PubSub,
        "local" => Rule::Local,
        "slowlog" => Rule::Slowlog,
        "tracking" => Rule::Tracking,
        "clients" => Rule::Clients,
        "script" => Rule::Script,
        "function" => Rule::Function,
        "nocluster" => Rule::NoCluster,
        _ => Rule::Refused,
    }
}

fn entry(line: &'static str, rules: &HashMap<&'static str, Rule>) -> Option<Entry> {
    let mut fields = line.split(" | ");
    let name = fields.next()?;
    let arity = fields.next()?.parse().ok()?;
    let flags = fields.next()?.split(',').filter(|f| *f != "-").collect();
    let specs = fields.next()?.split(' ').filter(|s| *s != "-").map(|s| spec(s).unwrap_or(Spec::Other)).collect();
    let is_later = !fields.next()?.split(',').any(|server| server == "redis-7.0");
    Some(Entry { name, arity, flags, specs, rule: rules.get(name).copied().unwrap_or(Rule::Refused), is_container: false, is_later })
}

fn spec(text: &str) -> Option<Spec> {
    let access = match text.chars().next()? {
        'r' => Access::Read,
        'w' => Access::Write,
        'c' => Access::Channel,
        _ => return None,
    };
    if let Some((_, at)) = text.split_once('#') {
        let (at, step) = at.split_once('/').unwrap_or((at, "1"));
        return Some(Spec::Count { access, at: at.parse().ok()?, step: step.parse().ok().filter(|step| *step > 0)? });
    }
    let mut numbers = text.split_once('@')?.1.split(':');
    let (first, last, step) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(Spec::Range { access, first, last, step })
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
