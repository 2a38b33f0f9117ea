//! The functions of pg_catalog that a tenant may call: `functions.txt` beside this file, name by name. What is not in it is refused.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What is known of a listed function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// It can raise an error on some value of its arguments.
    pub raises: bool,
}

static TABLE: LazyLock<HashMap<&'static str, Listed>> = LazyLock::new(|| {
    include_str!("functions.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, class)| (name, Listed { raises: class.trim() != "quiet" }))
        .collect()
});

/// The entry of this name, if tenants may call it.
pub fn find(name: &str) -> Option<Listed> {
    TABLE.get(name).copied()
}

/// Built-in types that a tenant may name. None of them reads a catalog (so no `regclass` and its kin).
const TYPES: &[&str] = &[
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "nummultirange",
    "numeric",
    "numrange",
    "oid",
    "path",
    "point",
    "polygon",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xml",
];

/// May a tenant name this built-in type?
pub fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// Operators that never raise an error on a stored value.
pub fn is_quiet_operator(name: &str) -> bool {
    matches!(name, "=" | "<>" | "!=" | "<" | ">" | "<=" | ">=" | "->" | "->>" | "@>" | "<@" | "&&" | "?" | "?|" | "?&")
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
