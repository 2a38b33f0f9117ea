//! The resolved policy: every name checked, every pattern compiled. Made only by `policy::file`.

use super::identity::IdentitySources;
use regex_syntax::hir::{Class, Hir, HirKind};
use std::sync::Arc;

/// Where in a policy file an entry stands; shown in hints (`policies/shop.yaml:14`).
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The whole-match pattern of tenant ids.
#[derive(Clone, Debug)]
pub struct TenantPattern(regex::Regex);

impl TenantPattern {
    /// Compiles `pattern`, anchored at both ends (`\A(?:…)\z`). Errors are the regex crate's.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        regex::Regex::new(pattern)?; // so that `a)(b` cannot escape the group below
        regex::Regex::new(&format!(r"\A(?:{pattern})\z")).map(Self)
    }

    /// The tenant that `text` names, or None when it is no tenant. Never accepts an empty id, one over 128 bytes, or one
    /// with a control character.
    pub fn accept(&self, text: &str) -> Option<TenantId> {
        let sane = !text.is_empty() && text.len() <= 128 && !text.chars().any(char::is_control);
        (sane && self.0.is_match(text)).then(|| TenantId(text.into()))
    }

    /// Whether an id could hold this character, as far as the pattern's parts tell: where it does not say, it could.
    pub fn may_hold(&self, character: char) -> bool {
        regex_syntax::parse(self.0.as_str()).map_or(true, |pattern| part_holds(&pattern, character))
    }
}

fn part_holds(part: &Hir, character: char) -> bool {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).map_or(true, |text| text.contains(character)),
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&character)),
        HirKind::Class(Class::Bytes(_)) => true,
        HirKind::Repetition(repetition) => part_holds(&repetition.sub, character),
        HirKind::Capture(capture) => part_holds(&capture.sub, character),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| part_holds(part, character)),
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// Whether it holds a hash tag of Redis Cluster, so that all of a tenant's keys are in one slot: braces with something between them.
    pub fn has_hash_tag(&self) -> bool {
        let all = format!("{}x{}", self.before, self.after);
        all.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(tag, _)| !tag.is_empty())
    }
}

/// Limits a tenant; None is no limit.
#[derive(Clone, Debug, Default)]
pub struct Limits {
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
    /// What holds for this tenant: its own entry where it says something, else the default.
    pub fn of(&self, tenant: &TenantId) -> Limit {
        let own = self.tenants.get(tenant.as_str());
        Limit { connections: own.and_then(|l| l.connections).or(self.default.connections) }
    }
}
