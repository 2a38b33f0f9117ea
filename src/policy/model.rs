//! The resolved policy: every name checked, every pattern compiled. Made only by `policy::file`.

use super::TenantPattern;
use super::identity::IdentitySources;
use std::collections::HashMap;
use std::sync::Arc;

/// Where in a policy file an entry stands; shown in hints (`policies/shop.yaml:14`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Path as the user typed it.
    pub file: Arc<str>,
    /// 1-based line.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
}

/// One policy, immutable; a reload makes a new one with another `version`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The policy's `name`, that listeners refer to.
    pub name: Arc<str>,
    /// The file it came from.
    pub file: Arc<str>,
    /// Differs whenever the content differs; part of every cache key.
    pub version: u64,
    /// Which strings are tenants.
    pub tenants: TenantPattern,
    /// The sources that a listener may name.
    pub identity: IdentitySources,
    /// Whom nobody guards.
    pub operators: Option<super::Operators>,
    /// What each part within a tenant may do; None where all of a tenant may the same.
    pub roles: Option<super::Roles>,
    /// PostgreSQL rules, if the policy has any.
    pub postgres: Option<PostgresPolicy>,
    /// Redis rules, if the policy has any.
    pub redis: Option<RedisPolicy>,
    /// Limits a tenant.
    pub limits: Limits,
}

/// A tenant's id: matched whole by the policy's pattern, so safe to be put into a prefix. Made only by [`TenantPattern::accept`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub(super) Arc<str>);

impl TenantId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// PostgreSQL rules.
#[derive(Clone, Debug, Default)]
pub struct PostgresPolicy {
    /// Where tenants' tables are.
    pub layouts: super::Layouts,
    /// Where that stands in the file.
    pub layouts_at: Option<Place>,
    /// In file order; the first pattern that matches a relation decides, exact names before globs.
    pub tables: Vec<TableEntry>,
    /// Listed functions, as written: `public.slugify(text)`.
    pub functions: Vec<FunctionEntry>,
    /// What EXPLAIN shows.
    pub explain: Explain,
    /// Whether a second parser must have read what is sent.
    pub second_opinion: SecondOpinion,
    /// Whether the rows that come back are checked.
    pub verify_rows: VerifyRows,
    /// What of the policy the server itself holds.
    pub backstop: Backstop,
    /// What becomes of the comments around a statement.
    pub comments: Comments,
}

/// `postgres.comments`: the comments before and behind a statement, where tools read them (sqlcommenter, pg_hint_plan).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comments {
    /// The server does not see them.
    #[default]
    Drop,
    /// One before and one behind are sent on, where they are plain.
    Keep,
}

/// `postgres.backstop`: what holds where the wall does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backstop {
    /// Nothing.
    #[default]
    None,
    /// Row-level security on the tenant of the connection.
    Rls,
}

/// `postgres.verify_rows`: whose statements return the tenant column as well, to be checked in each row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyRows {
    /// No statement's.
    #[default]
    Off,
    /// One of [`VerifyRows::EVERY`] texts'.
    Sample,
    /// All that can.
    All,
}

impl VerifyRows {
    /// With `sample`, one of so many texts is checked.
    pub const EVERY: u32 = 16;
}

/// `postgres.second_opinion`: what becomes of a statement that the second parser cannot read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondOpinion {
    /// It runs on the first parser's word, and is counted.
    #[default]
    WhenReadable,
    /// It is refused.
    Required,
}

/// `postgres.explain`: what tenants learn of plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Explain {
    /// Nothing.
    #[default]
    Deny,
    /// The plan's shape, without costs, row counts and measurements.
    Plan,
}

/// One line of `postgres.tables`.
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// Schema part, may contain `*` and `?`.
    pub schema: String,
    /// Relation part, may contain `*` and `?`.
    pub name: String,
    /// What holds for it.
    pub rule: TableRule,
    /// Where it stands.
    pub place: Place,
}

/// What a table is to tenants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TableRule {
    /// Rows are told apart by this column.
    Scoped {
        /// The tenant column.
        column: String,
        /// It does not exist for tenants.
        hidden: bool,
    },
    /// A row belongs to the tenant who owns the row of another table that it refers to.
    Through(Through),
    /// All tenants read the same rows; nobody writes.
    SharedRead,
    /// Does not exist for tenants.
    Hidden,
    /// One tenant's own, whole: in its own database or schema. No entry of the file says so.
    Own,
}

/// How a row without a tenant column finds the row that says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Through {
    /// Schema of the parent.
    pub schema: String,
    /// The parent.
    pub table: String,
    /// Columns of the table and those of the parent that they equal.
    pub on: Vec<(String, String)>,
}

impl PostgresPolicy {
    /// The entry that decides on a relation.
    pub fn deciding(&self, schema: &str, name: &str) -> Option<&TableEntry> {
        deciding_entry(&self.tables, schema, name).map(|index| &self.tables[index])
    }
}

/// An exact name decides before a glob; among globs the first in the file.
pub fn deciding_entry(entries: &[TableEntry], schema: &str, name: &str) -> Option<usize> {
    let exact = entries.iter().position(|e| e.schema == schema && e.name == name);
    exact.or_else(|| entries.iter().position(|e| glob(&e.schema, schema) && glob(&e.name, name)))
}

/// The same for many relations: what [`deciding_entry`] finds, found by name.
pub struct Deciding<'e> {
    exact: HashMap<(&'e str, &'e str), usize>,
    globs: Vec<(usize, &'e TableEntry)>,
}

impl<'e> Deciding<'e> {
    /// Of these entries.
    pub fn of(entries: &'e [TableEntry]) -> Self {
        let mut exact = HashMap::with_capacity(entries.len());
        for (index, e) in entries.iter().enumerate() {
            exact.entry((e.schema.as_str(), e.name.as_str())).or_insert(index);
        }
        let patterns = |e: &TableEntry| [&e.schema, &e.name].iter().any(|text| text.contains(['*', '?']));
        Self { exact, globs: entries.iter().enumerate().filter(|(_, e)| patterns(e)).collect() }
    }

    /// The number of the entry that decides on a relation.
    pub fn find(&self, schema: &str, name: &str) -> Option<usize> {
        let glob = || self.globs.iter().find(|(_, e)| glob(&e.schema, schema) && glob(&e.name, name)).map(|(index, _)| *index);
        self.exact.get(&(schema, name)).copied().or_else(glob)
    }
}

/// `*` any run of characters, `?` one.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).filter(|&i| text.is_char_boundary(i)).any(|i| glob(chars.as_str(), &text[i..])),
        Some(wanted) => {
            let mut rest = text.chars();
            rest.next().is_some_and(|c| wanted == '?' || c == wanted) && glob(chars.as_str(), rest.as_str())
        }
    }
}

/// One line of `postgres.functions`.
#[derive(Clone, Debug)]
pub struct FunctionEntry {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Argument types as written.
    pub arguments: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// Redis rules.
#[derive(Clone, Debug)]
pub struct RedisPolicy {
    /// `prefix: '{tenant}:'` split at the tenant.
    pub prefix: RedisPrefix,
    /// `shared.read`: patterns of unprefixed keys that all tenants read and nobody writes.
    pub shared: Vec<String>,
    /// How far a string may be made to grow by an offset alone.
    pub growth_max_bytes: u32,
    /// From how many microseconds on a command stands in its tenant's SLOWLOG. None: none does.
    pub slow_micros: Option<u64>,
    /// Whether tenants may run scripts of their own.
    pub scripts: bool,
    /// `restore: on`: whether tenants may give the server payloads of RESTORE.
    pub restore: bool,
    /// Reads that may be a little behind go to replicas.
    pub reads_replicas: bool,
    /// `backstop: acl`: each tenant's connections are a user's of its own on the server.
    pub backstop: bool,
}

impl RedisPolicy {
    /// A string grows to the offset that SETBIT, SETRANGE or BITFIELD names while all tenants wait.
    pub const GROWTH_MAX_BYTES: u32 = 64 << 20;
    /// A server's own default (`slowlog-log-slower-than`).
    pub const SLOW_MICROS: u64 = 10_000;
}

/// The text before and after the tenant's id in every key and channel. `after` is never empty and holds a character that no
/// tenant id can contain (checked by `policy::file`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisPrefix {
    /// Literal before the id.
    pub before: String,
    /// Literal after the id.
    pub after: String,
}

impl RedisPrefix {
    /// The bytes that stand before each of this tenant's keys.
    pub fn of(&self, tenant: &TenantId) -> Vec<u8> {
        format!("{}{}{}", self.before, tenant.as_str(), self.after).into_bytes()
    }

    /// Whether no tenant's prefix can begin another's: a character of `after` stands in no id. Where two prefixes began alike, one id would end where
    /// `after` begins, and the longer one would have that character there, or `after` would have it earlier than where it has it first.
    pub fn is_sound_for(&self, tenants: &TenantPattern) -> bool {
        self.after.chars().any(|c| !tenants.may_hold(c))
    }

    /// Whether no other tenant's prefix can begin this one's, whatever the pattern: `after` stands at its end and nowhere before.
    pub fn takes(&self, tenant: &TenantId) -> bool {
        let end = tenant.as_str().len();
        format!("{}{}", tenant.as_str(), self.after).find(&self.after) == Some(end)
    }

    /// Whether it holds a hash tag of Redis Cluster, so that all of a tenant's keys are in one slot: braces with something between them.
    pub fn has_hash_tag(&self) -> bool {
        let all = format!("{}x{}", self.before, self.after);
        all.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(tag, _)| !tag.is_empty())
    }
}

/// Limits a tenant; None is no limit.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The most advisory locks that a session holds; None is [`Limits::ADVISORY_LOCKS`].
    pub advisory_locks: Option<u32>,
    /// For tenants without an entry of their own.
    pub default: Limit,
    /// By tenant id.
    pub tenants: std::collections::BTreeMap<String, Limit>,
}

/// One set of limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Open connections at once, over all listeners.
    pub connections: Option<u32>,
}

impl Limits {
    /// What a connection may hold of the server's table of locks, which has room for 64 a connection (`max_locks_per_transaction`) unless it is told otherwise.
    pub const ADVISORY_LOCKS: u32 = 50;

    /// What holds for this tenant: its own entry where it says something, else the default.
    pub fn of(&self, tenant: &TenantId) -> Limit {
        let own = self.tenants.get(tenant.as_str());
        Limit { connections: own.and_then(|l| l.connections).or(self.default.connections) }
    }
}
