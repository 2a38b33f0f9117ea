//! Where a tenant's tables are: `postgres.layout`. No two tenants ever have the same place.

use super::model::TenantId;
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a schema or database, in bytes; the server would cut a longer one, and two could meet.
pub const NAME_BYTES: usize = 63;
/// What `layout: schema` and `layout: database` stand for.
pub const DEFAULT_NAME: &str = "tenant_{tenant}";

/// Where tenants live: most of them, and those placed otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layouts {
    /// For tenants without an entry of their own.
    pub default: Layout,
    /// By tenant id.
    pub tenants: BTreeMap<String, Layout>,
    /// Schemas that the policy names itself: no tenant's.
    pub taken: BTreeSet<String>,
}

/// How tables are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Shared tables with a tenant column.
    #[default]
    Rows,
    /// A schema a tenant, in the listener's database.
    Schema(NamePattern),
    /// A database a tenant.
    Database {
        /// Its name; None for the upstream's own.
        name: Option<NamePattern>,
        /// One of `upstreams` in partywall.yaml; None for the listener's.
        upstream: Option<String>,
    },
}

/// A name, with the tenant's id in it where `{tenant}` stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// One tenant's.
    Fixed(String),
    /// Literals before and after the id: with them the id is told by the name.
    Around(String, String),
}

/// One tenant's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Home {
    /// In the shared tables.
    #[default]
    Rows,
    /// In this schema of the listener's database.
    Schema(String),
    /// In a database of its own.
    Database {
        /// One of `upstreams`; None for the listener's.
        upstream: Option<String>,
        /// Its name; None for the upstream's own.
        name: Option<String>,
    },
}

/// Why a tenant has no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHome {
    /// The server would cut the name.
    #[error("the name `{0}` is longer than {NAME_BYTES} bytes")]
    TooLong(String),
    /// The name is the server's or the policy's own.
    #[error("the name `{0}` is no tenant's")]
    Reserved(String),
    /// The name is another tenant's.
    #[error("the name `{0}` is another tenant's")]
    Taken(String),
}

impl NamePattern {
    /// Reads a name; None where `{tenant}` stands more than once, or a brace stands elsewhere.
    pub fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split("{tenant}").collect();
        if text.is_empty() || parts.iter().any(|p| p.contains(['{', '}', '\0'])) {
            return None;
        }
        match parts.as_slice() {
            [name] => Some(Self::Fixed((*name).to_owned())),
            [before, after] => Some(Self::Around((*before).to_owned(), (*after).to_owned())),
            _ => None,
        }
    }

    /// The name for this id.
    pub fn of(&self, tenant: &str) -> String {
        match self {
            Self::Fixed(name) => name.clone(),
            Self::Around(before, after) => format!("{before}{tenant}{after}"),
        }
    }

    /// The id that has this name.
    pub fn tenant<'n>(&self, name: &'n str) -> Option<&'n str> {
        match self {
            Self::Fixed(_) => None,
            Self::Around(before, after) => name.strip_prefix(before.as_str())?.strip_suffix(after.as_str()),
        }
    }
}

impl Layout {
    /// The place of this id.
    pub fn home(&self, tenant: &str) -> Home {
        match self {
            Self::Rows => Home::Rows,
            Self::Schema(name) => Home::Schema(name.of(tenant)),
            Self::Database { name, upstream } => Home::Database { upstream: upstream.clone(), name: name.as_ref().map(|n| n.of(tenant)) },
        }
    }
}

impl Layouts {
    fn layout(&self, tenant: &str) -> &Layout {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }

    /// Where this tenant's tables are. Errors: it would meet another, or the server would cut the name.
    pub fn home(&self, tenant: &TenantId) -> Result<Home, NoHome> {
        let home = self.layout(tenant.as_str()).home(tenant.as_str());
        self.sound(&home)?;
        let others = self.tenants.iter().filter(|(id, _)| *id != tenant.as_str());
        let meets = others.map(|(id, layout)| layout.home(id)).any(|other| other == home && other != Home::Rows);
        if meets { Err(NoHome::Taken(home.name().to_owned())) } else { Ok(home) }
    }

    /// Errors: the name is too long, or one that no tenant can have.
    pub fn sound(&self, home: &Home) -> Result<(), NoHome> {
        let name = home.name();
        let reserved = match home {
            Home::Rows => false,
            Home::Schema(name) => {
                name.is_empty()
                    // They would have a meaning in the texts that the catalogs are read by.
                    || name.contains(['@', '$'])
                    || name.starts_with("pg_")
                    || matches!(name.as_str(), "public" | "information_schema")
                    || self.taken.contains(name)
            }
            Home::Database { name, .. } => matches!(name.as_deref(), Some("" | "template0" | "template1" | "postgres")),
        };
        if reserved {
            return Err(NoHome::Reserved(name.to_owned()));
        }
        if name.len() > NAME_BYTES { Err(NoHome::TooLong(name.to_owned())) } else { Ok(()) }
    }

    /// The layouts, with the tenant's id where it is one tenant's.
    pub fn all(&self) -> impl Iterator<Item = (Option<&str>, &Layout)> {
        let named = self.tenants.iter().map(|(id, layout)| (Some(id.as_str()), layout));
        std::iter::once((None, &self.default)).chain(named)
    }

    /// Whether every tenant lives where it lives by `other`.
    pub fn same_places(&self, other: &Self) -> bool {
        let schemas = self.all().any(|(_, layout)| matches!(layout, Layout::Schema(_)));
        (&self.default, &self.tenants) == (&other.default, &other.tenants) && (!schemas || self.taken == other.taken)
    }

    /// Whether some tenant may live in the shared tables.
    pub fn has_rows(&self) -> bool {
        self.all().any(|(_, layout)| *layout == Layout::Rows)
    }
}

impl Home {
    /// Of the schema or database; empty where it has none of its own.
    pub fn name(&self) -> &str {
        match self {
            Self::Rows => "",
            Self::Schema(name) => name,
            Self::Database { name, .. } => name.as_deref().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
