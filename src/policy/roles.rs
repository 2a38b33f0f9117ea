//! `roles:` what a principal's part within its tenant lets it do. Without roles everybody of a tenant may do what the tenant may.

use super::model::{Place, Policy, glob};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// The roles of a policy.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// That of a principal which carries none; None refuses it.
    pub default: Option<Arc<str>>,
    /// By name.
    pub all: BTreeMap<Arc<str>, Arc<RoleRules>>,
}

/// What one role may do.
#[derive(Clone, Debug)]
pub struct RoleRules {
    /// Its name.
    pub name: Arc<str>,
    /// On PostgreSQL.
    pub postgres: Extent<Vec<Grant>>,
    /// On Redis.
    pub redis: Extent<RedisRights>,
    /// Where it stands.
    pub place: Place,
}

/// How much of what its tenant may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent<T> {
    /// All of it.
    All,
    /// What is listed, which may be nothing.
    Listed(T),
}

/// What a role may do with the relations of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Schema part, may contain `*` and `?`.
    pub schema: String,
    /// Relation part, may contain `*` and `?`.
    pub name: String,
    /// Of which columns, by verb.
    pub verbs: BTreeMap<Verb, Columns>,
    /// Where it stands.
    pub place: Place,
}

impl Grant {
    /// Does it speak of this relation?
    pub fn names(&self, schema: &str, name: &str) -> bool {
        glob(&self.schema, schema) && glob(&self.name, name)
    }
}

/// PostgreSQL's privileges on tables (GRANT), as far as a tenant can use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "they are PostgreSQL's own")]
pub enum Verb {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 5] = [Verb::Select, Verb::Insert, Verb::Update, Verb::Delete, Verb::Truncate];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }

    /// Whether it is given by column.
    pub fn has_columns(self) -> bool {
        !matches!(self, Self::Delete | Self::Truncate)
    }
}

/// Of which columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// All that there are and will be.
    All,
    /// These.
    Listed(BTreeSet<String>),
}

/// What a role may do on Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisRights {
    /// In order, each over those before it, as in ACL SETUSER; nothing before the first.
    pub commands: Vec<CommandRule>,
    /// Patterns of keys and channels as the tenant names them; None for all of its own.
    pub keys: Option<Vec<String>>,
}

/// One rule on commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRule {
    /// Given, or taken away.
    pub given: bool,
    /// `@read`, or the name of a command, perhaps with that of a subcommand behind `|`; lower case.
    pub what: String,
}

/// Commands, lower case, a subcommand behind its command's name, and the categories of each (Redis' `ACL CAT`).
static CATEGORIES: LazyLock<BTreeMap<&'static str, BTreeSet<&'static str>>> = LazyLock::new(|| {
    let lines = include_str!("categories.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ")).map(|(name, all)| (name, all.split(' ').collect())).collect()
});

impl CommandRule {
    /// Does it speak of a command, by the table's name (`client id`)? A command's rule is its subcommands', too. What has no category known is in all of
    /// them that are taken away, and in none that are given.
    pub fn speaks_of(&self, command: &str) -> bool {
        match self.what.strip_prefix('@') {
            Some("all") => true,
            Some(category) => CATEGORIES.get(command).map_or(!self.given, |all| all.contains(category)),
            None => {
                let named = self.what.replace('|', " ");
                command == named || command.strip_prefix(&named).is_some_and(|rest| rest.starts_with(' '))
            }
        }
    }

    /// Does it name something that there is?
    pub fn is_known(&self) -> bool {
        match self.what.strip_prefix('@') {
            Some(category) => category == "all" || CATEGORIES.values().any(|all| all.contains(category)),
            None => CATEGORIES.contains_key(self.what.replace('|', " ").as_str()),
        }
    }
}

impl RedisRights {
    /// May a command of this name be run?
    pub fn runs(&self, command: &str) -> bool {
        self.commands.iter().rev().find(|rule| rule.speaks_of(command)).is_some_and(|rule| rule.given)
    }
}

/// Who a principal is within its tenant, as its identity says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its identity says nothing.
    #[default]
    Unsaid,
    /// It says this.
    Named(Arc<str>),
    /// An operator who acts for the tenant: nobody's role holds it.
    Operator,
}

/// What a role comes to under a policy.
#[derive(Clone, Debug)]
pub enum Granted {
    /// What the tenant may.
    Whole,
    /// What the role may.
    Role(Arc<RoleRules>),
    /// Nothing: the policy has roles, and not this one.
    Nothing,
}

impl Policy {
    /// What somebody of this role may do.
    pub fn granted(&self, role: &Role) -> Granted {
        let Some(roles) = &self.roles else { return Granted::Whole };
        let name = match role {
            Role::Operator => return Granted::Whole,
            Role::Named(name) => Some(name),
            Role::Unsaid => roles.default.as_ref(),
        };
        name.and_then(|name| roles.all.get(name)).map_or(Granted::Nothing, |rules| Granted::Role(rules.clone()))
    }
}
