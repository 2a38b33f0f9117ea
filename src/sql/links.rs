//! How rows refer to rows: foreign keys, and what must hold of a `through` table so that each of its rows has one owner.

use super::catalog::{Catalog, CatalogProblem, Column, Relation, number, text};
use crate::policy::{TableRule, Through};
use std::collections::HashMap;

/// A foreign key, as the table has it that refers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// Schema and name of the table that it refers to.
    pub parent: (String, String),
    /// Own columns and those of the parent.
    pub columns: Vec<(String, String)>,
    /// Can be checked as late as at COMMIT.
    pub deferrable: bool,
    /// Where a parent goes its rows go with it, or it cannot go.
    pub holds_deleted: bool,
    /// The same where the parent's key changes.
    pub holds_updated: bool,
    /// All rows obey it.
    pub valid: bool,
}

/// Types by which rows may be told to refer to each other, with the name to cast to: those that `=` compares as they are.
const KEY_TYPES: &[(u32, &str)] = &[
    (20, "int8"),
    (21, "int2"),
    (23, "int4"),
    (25, "text"),
    (1042, "bpchar"),
    (1043, "varchar"),
    (1082, "date"),
    (1114, "timestamp"),
    (1184, "timestamptz"),
    (1700, "numeric"),
    (2950, "uuid"),
];

/// pg_catalog's name of such a type.
pub fn key_type(oid: u32) -> Option<&'static str> {
    KEY_TYPES.iter().find(|(o, _)| *o == oid).map(|(_, name)| *name)
}

/// Whether a value of such a type is stored as a cast to it gives it, whatever the column's length and precision.
pub fn is_exact(oid: u32) -> bool {
    matches!(oid, 20 | 21 | 23 | 25 | 2950)
}

impl Relation {
    /// The foreign key that says what the policy says.
    pub fn backing(&self) -> Option<&ForeignKey> {
        let TableRule::Through(through) = &self.rule else { return None };
        self.foreign.iter().find(|key| {
            let same = key.columns.len() == through.on.len() && key.columns.iter().all(|c| through.on.contains(c));
            same && key.valid && key.parent.0 == through.schema && key.parent.1 == through.table
        })
    }

    /// The columns by which a row finds its owner.
    pub fn through(&self) -> Option<&Through> {
        match &self.rule {
            TableRule::Through(through) => Some(through),
            _ => None,
        }
    }
}

pub(super) fn read(rows: &[Vec<Option<String>>]) -> HashMap<u32, Vec<ForeignKey>> {
    let mut all: HashMap<u32, Vec<ForeignKey>> = HashMap::new();
    for row in rows {
        let keys = all.entry(number(row, 0)).or_default();
        let name = text(row, 3);
        if keys.last().is_none_or(|k| k.name != name) {
            let holds = |index: usize| matches!(text(row, index).as_str(), "a" | "r" | "c");
            keys.push(ForeignKey {
                name,
                parent: (text(row, 1), text(row, 2)),
                columns: Vec::new(),
                deferrable: text(row, 7) == "t",
                holds_deleted: holds(8),
                holds_updated: holds(9),
                valid: text(row, 10) == "t",
            });
        }
        if let Some(key) = keys.last_mut() {
            key.columns.push((text(row, 5), text(row, 6)));
        }
    }
    all
}

/// What is wrong with the `through` tables.
pub(super) fn check(catalog: &Catalog) -> Vec<CatalogProblem> {
    let mut all: Vec<&Relation> = catalog.relations.values().map(|r| r.as_ref()).filter(|r| r.through().is_some()).collect();
    all.sort_by_key(|r| (r.place.line, &r.schema, &r.name));
    all.into_iter().filter_map(|r| problem(catalog, r)).collect()
}

fn problem(catalog: &Catalog, relation: &Relation) -> Option<CatalogProblem> {
    let through = relation.through()?;
    let (full, parent_name) = (format!("{}.{}", relation.schema, relation.name), format!("{}.{}", through.schema, through.table));
    let problem = |message: String, fix: &str| Some(CatalogProblem { message, fix: fix.into(), place: Some(relation.place.clone()) });
    if relation.kind == 'v' {
        return problem(
            format!("{full} is a view"),
            "list it as `scoped`, with a column that tells the tenant: a view is read as its query",
        );
    }
    let Some(parent) = catalog.relations.get(&(through.schema.clone(), through.table.clone())) else {
        return problem(format!("{parent_name}, the parent of {full}, is not there"), "correct the name of the parent");
    };
    if !matches!(parent.kind, 'r' | 'p') || parent.inherited {
        return problem(format!("{parent_name} cannot tell whose the rows of {full} are"), "name a table, without children by inheritance");
    }
    for (own, theirs) in &through.on {
        let (Some(a), Some(b)) = (relation.column(own), parent.column(theirs)) else {
            let missing = if relation.column(own).is_none() {
                format!("{full} has no column \"{own}\"")
            } else {
                format!("{parent_name} has no column \"{theirs}\"")
            };
            return problem(missing, "name a column of the table and the one of its parent under `on`");
        };
        if !comparable(a, b) {
            return problem(
                format!("{full}.{own} and {parent_name}.{theirs} cannot be compared safely"),
                "use integers, text (with a deterministic collation) or uuid on both sides",
            );
        }
        if a.computed {
            return problem(format!("{full}.{own} is generated"), "name a column that is written");
        }
    }
    let told = |key: &str| through.on.iter().any(|(_, theirs)| theirs == key);
    if !parent.keys.iter().any(|k| k.unique && !k.partial && k.columns.iter().all(|c| told(c))) {
        return problem(
            format!("the columns of {parent_name} under `on` are not unique: a row of {full} could belong to several tenants"),
            "add a unique constraint, not deferrable, to the parent",
        );
    }
    None
}

fn comparable(a: &Column, b: &Column) -> bool {
    let integer = |c: &Column| matches!(c.type_oid, 20 | 21 | 23);
    let text = |c: &Column| matches!(c.type_oid, 25 | 1043) && c.deterministic;
    (integer(a) && integer(b)) || (text(a) && text(b)) || (a.type_oid == 2950 && b.type_oid == 2950)
}
