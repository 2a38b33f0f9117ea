//! What upstream's catalog says of the listed tables: columns, types, keys; and which names are unsafe.
//!
//! The shell runs each of [`QUERIES`] and hands the rows to [`Catalog::build`]; nothing here opens a socket.

use crate::policy::{Place, Policy, TableRule};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A query that the loader runs (simple protocol, all values as text), by name.
pub struct CatalogQuery {
    /// Key in the map given to [`Catalog::build`].
    pub name: &'static str,
    /// The text.
    pub sql: &'static str,
}

/// Rows of one query: values as text, None for NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// The queries to run, in any order.
pub const QUERIES: &[CatalogQuery] = &[];

/// A problem that stops the start, with the policy's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogProblem {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub fix: String,
    /// The entry it concerns.
    pub place: Option<Place>,
}

/// The catalog as far as the wall needs it.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Differs whenever the content differs.
    pub version: u64,
    /// Effective schemas, in search order (`current_schemas(false)`).
    pub search_path: Vec<String>,
    /// By (schema, name): every relation that the policy lists and does not hide.
    pub relations: HashMap<(String, String), Relation>,
    /// Names of functions outside pg_catalog.
    pub user_functions: HashSet<String>,
    /// All function names that exist and are not in the table of allowed ones.
    pub unsafe_fields: HashSet<String>,
    /// Operator names (`@#`) defined outside pg_catalog.
    pub user_operators: HashSet<String>,
    /// User types (enums, domains) that listed columns use, by name.
    pub types: BTreeMap<String, String>,
}

/// A listed relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// pg_class.oid
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// pg_class.relkind: r, p, v, m, f.
    pub kind: char,
    /// In attnum order, dropped ones left out.
    pub columns: Vec<Column>,
    /// Unique and exclusion keys.
    pub keys: Vec<Key>,
    /// What the policy says.
    pub rule: TableRule,
    /// Where it says so.
    pub place: Place,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type OID (a domain's own, not its base).
    pub type_oid: u32,
    /// NOT NULL.
    pub not_null: bool,
    /// GENERATED … STORED, or identity ALWAYS.
    pub generated: bool,
}

/// A unique or exclusion constraint or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Index name.
    pub name: String,
    /// Its columns; empty names for expressions.
    pub columns: Vec<String>,
    /// Has expressions or a WHERE.
    pub partial: bool,
}

impl Catalog {
    /// Builds the catalog for `policy` from the answers to [`QUERIES`]. Errors: every problem found (a listed table without its
    /// tenant column, an entry that matches nothing, …), each with its line.
    pub fn build(policy: &Policy, answers: &HashMap<&'static str, Rows>) -> Result<Self, Vec<CatalogProblem>> {
        let _ = (policy, answers);
        Ok(Self::default())
    }
}
