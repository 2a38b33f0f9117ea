//! How rows refer to rows: foreign keys, and what must hold of a `through` table so that each of its rows has one owner.

use super::catalog::{Catalog, CatalogProblem, Column, Relation, number, text};
use crate::policy::{TableRule, Through};
use std::collections::{HashMap, HashSet};

/// A foreign key, as the table has it that refers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
    /// `ON DELETE …` and `ON UPDATE …`, as pg_constraint has them.
    pub actions: (char, char),
    /// What its generated columns are computed from, and the same of the parent's.
    pub bases: (Bases, Bases),
}

/// The columns that generated columns of a key are computed from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bases {
    /// None is generated.
    #[default]
    Plain,
    /// These; where there are none, perhaps any.
    Columns(Vec<String>),
}

/// What writes of a relation's rows let other rows take their defaults (ON DELETE or ON UPDATE SET DEFAULT), over any number of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resets {
    /// A row that goes, with the name of the table that changes.
    pub deleted: Option<String>,
    /// Columns that change, each with the same.
    pub updated: Vec<(String, String)>,
}

impl Bases {
    /// Whether a key's generated columns may change with this one.
    pub fn may_change(&self, column: &str) -> bool {
        matches!(self, Self::Columns(all) if all.is_empty() || all.iter().any(|c| c == column))
    }

    fn add(&mut self, told: &str) {
        if told.is_empty() {
            return;
        }
        let named: Vec<String> = serde_json::from_str(told).unwrap_or_default();
        *self = match std::mem::take(self) {
            Self::Columns(all) if all.is_empty() || named.is_empty() => Self::Columns(Vec::new()),
            Self::Columns(all) => Self::Columns(all.into_iter().chain(named).collect()),
            Self::Plain => Self::Columns(named),
        };
    }
}

/// `SET DEFAULT`, as pg_constraint has it.
const SET_DEFAULT: char = 'd';

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
            let action = |index: usize| text(row, index).chars().next().unwrap_or(SET_DEFAULT);
            keys.push(ForeignKey {
                name,
                parent: (text(row, 1), text(row, 2)),
                columns: Vec::new(),
                deferrable: text(row, 7) == "t",
                holds_deleted: holds(8),
                holds_updated: holds(9),
                valid: text(row, 10) == "t",
                actions: (action(8), action(9)),
                bases: Default::default(),
            });
        }
        if let Some(key) = keys.last_mut() {
            key.columns.push((text(row, 5), text(row, 6)));
            key.bases.0.add(&text(row, 11));
            key.bases.1.add(&text(row, 12));
        }
    }
    all
}

/// Over all foreign keys, also those of tables that are not listed.
fn find_resets(catalog: &mut Catalog, relations: &[Vec<Option<String>>], foreign: &[Vec<Option<String>>]) {
    let names: HashMap<u32, (String, String)> = relations.iter().map(|r| (number(r, 0), (text(r, 1), text(r, 2)))).collect();
    let keys = read(foreign);
    let keys: Vec<(&(String, String), &ForeignKey)> =
        keys.iter().filter_map(|(oid, all)| Some((names.get(oid)?, all))).flat_map(|(of, all)| all.iter().map(move |k| (of, k))).collect();
    if !keys.iter().any(|(_, k)| k.actions.0 == SET_DEFAULT || k.actions.1 == SET_DEFAULT) {
        return;
    }
    for relation in catalog.relations.values_mut() {
        let own = (relation.schema.clone(), relation.name.clone());
        let deleted = reset_by(&keys, Event { table: &own, changed: None });
        let columns = relation.columns.iter().map(|c| c.name.as_str());
        let hit = |c: &str| Some((c.to_owned(), reset_by(&keys, Event { table: &own, changed: Some(c) })?));
        let updated = columns.filter_map(hit).collect();
        let resets = Resets { deleted, updated };
        if resets != Resets::default() {
            std::sync::Arc::make_mut(relation).resets = resets;
        }
    }
}

/// A row of a table goes, or this column of it changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Event<'k> {
    table: &'k (String, String),
    changed: Option<&'k str>,
}

/// The table whose rows take their defaults in the end.
fn reset_by<'k>(keys: &[(&'k (String, String), &'k ForeignKey)], first: Event<'k>) -> Option<String> {
    let (mut seen, mut left) = (HashSet::new(), vec![first]);
    while let Some(event) = left.pop() {
        if !seen.insert(event) {
            continue;
        }
        for (child, key) in keys.iter().filter(|(_, k)| k.parent == *event.table) {
            let action = match event.changed {
                None => key.actions.0,
                Some(column) if key.columns.iter().any(|(_, theirs)| theirs == column) || key.bases.1.may_change(column) => key.actions.1,
                Some(_) => continue,
            };
            match action {
                SET_DEFAULT => return Some(child.1.clone()),
                'c' if event.changed.is_none() => left.push(Event { table: child, changed: None }),
                'c' | 'n' => left.extend(key.columns.iter().map(|(own, _)| Event { table: child, changed: Some(own.as_str()) })),
                _ => {}
            }
        }
    }
    None
}

/// Finds what writes of the listed tables reset, and what is wrong with the `through` tables. `relations` and `foreign` are upstream's answers.
pub(super) fn check(catalog: &mut Catalog, relations: &[Vec<Option<String>>], foreign: &[Vec<Option<String>>]) -> Vec<CatalogProblem> {
    find_resets(catalog, relations, foreign);
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
        if a.computed || b.computed {
            let generated = if a.computed { format!("{full}.{own}") } else { format!("{parent_name}.{theirs}") };
            return problem(format!("{generated} is generated"), "name a column that is written");
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
