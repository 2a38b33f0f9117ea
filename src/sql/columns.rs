//! Columns of listed relations.

use super::catalog::{number, text};
use super::hazards;
use std::collections::HashMap;

/// Columns that every table has and no list names (PostgreSQL manual, 5.5 "System Columns").
pub const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type OID; of a domain its base's.
    pub type_oid: u32,
    /// False for a collation by which different texts can be equal.
    pub deterministic: bool,
    /// NOT NULL.
    pub not_null: bool,
    /// GENERATED … STORED, or identity ALWAYS.
    pub generated: bool,
    /// May hold a value of type json (itself, or inside a composite), whose operators can fail late.
    pub json: bool,
    /// GENERATED … AS (expression): nobody writes it.
    pub computed: bool,
    /// Computed as it is read, not stored.
    pub virtually: bool,
    /// Its collation where that is not the database's default; else 0.
    pub collation: u32,
    /// Comparing its values cannot fail.
    pub comparable: bool,
    /// Has a DEFAULT, or is an identity.
    pub default: bool,
}

/// Those of each relation, by its OID, from the answers to the catalog's query.
pub(super) fn read(rows: &[Vec<Option<String>>]) -> HashMap<u32, Vec<Column>> {
    let mut all: HashMap<u32, Vec<Column>> = HashMap::new();
    for row in rows {
        all.entry(number(row, 0)).or_default().push(Column {
            name: text(row, 1),
            type_oid: number(row, 5),
            not_null: text(row, 3) == "t",
            generated: text(row, 4) == "t",
            deterministic: text(row, 6) != "f",
            json: text(row, 7) == "t",
            computed: text(row, 8) == "t",
            virtually: text(row, 12) == "t",
            collation: number(row, 13),
            comparable: hazards::is_comparable(number(row, 5), text(row, 11) == "t"),
            default: text(row, 9) == "t",
        });
    }
    all
}
