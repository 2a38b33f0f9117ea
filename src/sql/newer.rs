//! What newer grammars read as syntax of its own and servers before them as the call of a function by that name, which may be anybody's.

use super::catalog::Catalog;

/// `server_version_num` of PostgreSQL 16.
pub const V16: u32 = 160_000;
/// The same of PostgreSQL 17.
pub const V17: u32 = 170_000;

/// Whether `name(…)`, syntax since that version, may call a function of the database's own on this server.
pub fn may_be_a_call(catalog: &Catalog, name: &str, since: u32) -> bool {
    catalog.server_version < since && (catalog.user_functions.contains(name) || catalog.functions.iter().any(|(_, listed)| listed == name))
}

#[cfg(test)]
#[path = "newer_tests.rs"]
mod tests;
