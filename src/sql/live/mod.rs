//! Upstream's schema with all that concerns the policy: what `check --live` tells of, and what `plan` mends. Not read while serving, but for
//! the part that the backstop needs.

pub mod backstop;
pub mod behind;
pub mod code;
pub mod data;
pub mod inspect;
pub mod names;
mod queries;
pub mod reach;
pub mod running;
pub mod touched;

pub use queries::{BACKSTOP, CODE, QUERIES};

use super::catalog::{Rows, number, text};
use crate::policy::{Place, Policy, TableEntry, TableRule, Through};
use std::collections::HashMap;

/// How grave a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The wall does not start so, or must not.
    Error,
    /// One tenant can learn or suffer something of another, or it will be slow.
    Warning,
    /// To be known.
    Note,
}

/// What upstream's schema means for the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How grave.
    pub severity: Severity,
    /// What it is.
    pub message: String,
    /// What mends it.
    pub fix: String,
    /// The policy's entry.
    pub place: Option<Place>,
}

/// Upstream as far as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The role that connects.
    pub role: Role,
    /// By name; all of them, listed or not.
    pub tables: Vec<Table>,
    /// Of a child or partition, what it is one of.
    pub parents: HashMap<u32, Vec<u32>>,
    /// `server_version_num`
    pub server_version: u32,
    /// Where the table of an oid stands.
    by_oid: HashMap<u32, usize>,
}

/// The role that the wall connects as.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// A superuser.
    pub superuser: bool,
    /// BYPASSRLS.
    pub bypasses: bool,
    /// A role that it is a member of and that is above row-level security, or reads the server's files.
    pub above: Option<String>,
}

/// The owner of a relation.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    /// pg_authid.oid
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// A superuser, or BYPASSRLS.
    pub above: bool,
}

/// What a view's query, or a rule, names.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// pg_class.oid
    pub oid: u32,
    /// pg_class.relkind
    pub kind: char,
    /// `schema.name`
    pub name: String,
}

/// A relation.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// pg_class.oid
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// r, p, v, m, f.
    pub kind: char,
    /// Row-level security is enabled.
    pub rls: bool,
    /// It holds for the owner too.
    pub forced: bool,
    /// The role is, or is a member of, the owner.
    pub owned: bool,
    /// A view that reads as the one who asks.
    pub invoker: bool,
    /// Whose it is.
    pub owner: Owner,
    /// The role may read or write rows of it.
    pub open: bool,
    /// What its query or its rules name.
    pub reads: Vec<Read>,
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Indexes and constraints made of them.
    pub keys: Vec<Key>,
    /// Foreign keys.
    pub foreign: Vec<Foreign>,
    /// Row-level security's.
    pub policies: Vec<RowPolicy>,
    /// What the policy makes of it; None where it is not listed.
    pub entry: Option<TableEntry>,
}

/// A column.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// Name.
    pub name: String,
    /// As SQL writes it.
    pub type_name: String,
    /// Of a domain, the base.
    pub type_oid: u32,
    /// NOT NULL.
    pub not_null: bool,
}

/// An index.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// Name of the index.
    pub name: String,
    /// Of a primary key.
    pub primary: bool,
    /// Unique, or an exclusion constraint.
    pub unique: bool,
    /// The constraint that it makes, or nothing.
    pub constraint: String,
    /// Columns; empty names for expressions.
    pub columns: Vec<String>,
    /// Has expressions or a WHERE.
    pub partial: bool,
    /// An exclusion constraint.
    pub exclusion: bool,
}

/// A foreign key.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// Name.
    pub name: String,
    /// The table that it refers to.
    pub target: u32,
    /// Its columns and those they refer to.
    pub columns: Vec<(String, String)>,
    /// `ON DELETE …`, as one letter.
    pub on_delete: char,
    /// `ON UPDATE …`, as one letter.
    pub on_update: char,
    /// DEFERRABLE.
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    pub deferred: bool,
}

/// A policy of row-level security.
#[derive(Clone, Debug, Default)]
pub struct RowPolicy {
    /// Name.
    pub name: String,
    /// One of those of which one is enough.
    pub permissive: bool,
    /// `*`, or the one command it is for.
    pub command: char,
    /// It holds for the role.
    pub applies: bool,
    /// The owners of views and rules for whom it holds.
    pub owners: Vec<u32>,
    /// USING, as the server prints it.
    pub using: String,
    /// WITH CHECK.
    pub check: String,
}

impl Table {
    /// `schema.name`
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The tenant column that the policy names.
    pub fn tenant(&self) -> Option<&str> {
        match self.entry.as_ref().map(|e| &e.rule) {
            Some(TableRule::Scoped { column, .. }) => Some(column),
            _ => None,
        }
    }

    /// How a row finds the one that says whose it is.
    pub fn through(&self) -> Option<&Through> {
        match self.entry.as_ref().map(|e| &e.rule) {
            Some(TableRule::Through(through)) => Some(through),
            _ => None,
        }
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Holds rows itself.
    pub fn is_table(&self) -> bool {
        matches!(self.kind, 'r' | 'p')
    }

    /// A note at the policy's entry.
    pub fn note(&self, severity: Severity, message: impl Into<String>, fix: impl Into<String>) -> Note {
        Note { severity, message: message.into(), fix: fix.into(), place: self.entry.as_ref().map(|e| e.place.clone()) }
    }
}

impl Live {
    /// From the answers to [`QUERIES`], or to [`BACKSTOP`] alone.
    pub fn read(policy: &Policy, answers: &HashMap<&'static str, Rows>) -> Self {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut live = Self::default();
        if let Some(row) = rows("live_role").first() {
            let above = row.get(4).cloned().flatten();
            live.role = Role { name: text(row, 0), superuser: truth(row, 1), bypasses: truth(row, 2), above };
            live.server_version = number(row, 3);
        }
        for row in rows("live_tables") {
            let (schema, name) = (text(row, 1), text(row, 2));
            live.tables.push(Table {
                oid: number(row, 0),
                kind: letter(row, 3),
                rls: truth(row, 4),
                forced: truth(row, 5),
                owned: truth(row, 6),
                invoker: truth(row, 7),
                owner: Owner { oid: number(row, 8), name: text(row, 9), above: truth(row, 10) },
                open: truth(row, 11),
                entry: policy.postgres.as_ref().and_then(|p| p.deciding(&schema, &name)).cloned(),
                schema,
                name,
                ..Table::default()
            });
        }
        live.by_oid = live.tables.iter().enumerate().map(|(at, table)| (table.oid, at)).collect();
        for row in rows("live_parents") {
            live.parents.entry(number(row, 0)).or_default().push(number(row, 1));
        }
        let (by_oid, tables) = (&live.by_oid, &mut live.tables);
        let mut each = |name: &str, add: &dyn Fn(&mut Table, &[Option<String>])| {
            for row in rows(name) {
                if let Some(table) = by_oid.get(&number(row, 0)).and_then(|at| tables.get_mut(*at)) {
                    add(table, row);
                }
            }
        };
        each("live_columns", &|t, row| {
            let (name, type_name, type_oid, not_null) = (text(row, 1), text(row, 2), number(row, 3), truth(row, 4));
            t.columns.push(Column { name, type_name, type_oid, not_null });
        });
        each("live_keys", &add_key);
        each("live_foreign", &add_foreign);
        each("live_policies", &|t, row| {
            let (using, check) = (text(row, 5), text(row, 6));
            t.policies.push(RowPolicy {
                name: text(row, 1),
                permissive: truth(row, 2),
                command: letter(row, 3),
                applies: truth(row, 4),
                owners: text(row, 7).split(' ').filter_map(|oid| oid.parse().ok()).collect(),
                using,
                check,
            });
        });
        each("live_reads", &|t, row| {
            let name = format!("{}.{}", text(row, 3), text(row, 4));
            t.reads.push(Read { oid: number(row, 1), kind: letter(row, 2), name });
        });
        live
    }

    /// The table of this name.
    pub fn named(&self, schema: &str, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.schema == schema && t.name == name)
    }

    /// The table of this oid.
    pub fn table(&self, oid: u32) -> Option<&Table> {
        self.by_oid.get(&oid).and_then(|at| self.tables.get(*at))
    }

    /// The policy's entry for a relation; a partition or child that has none of its own is its parent's.
    pub fn entry<'l>(&'l self, table: &'l Table) -> Option<&'l TableEntry> {
        // As deep as anybody nests partitions.
        self.entry_above(table, 32)
    }

    fn entry_above<'l>(&'l self, table: &'l Table, depth: u32) -> Option<&'l TableEntry> {
        if depth == 0 || table.entry.is_some() {
            return table.entry.as_ref();
        }
        let parents = self.parents.get(&table.oid).into_iter().flatten();
        parents.filter_map(|oid| self.table(*oid)).find_map(|parent| self.entry_above(parent, depth - 1))
    }
}

fn add_key(table: &mut Table, row: &[Option<String>]) {
    let name = text(row, 1);
    if table.keys.last().is_none_or(|k| k.name != name) {
        table.keys.push(Key {
            name,
            primary: truth(row, 2),
            unique: truth(row, 3),
            constraint: text(row, 4),
            partial: truth(row, 5),
            exclusion: truth(row, 7),
            columns: Vec::new(),
        });
    }
    if let Some(key) = table.keys.last_mut() {
        key.columns.push(text(row, 6));
    }
}

fn add_foreign(table: &mut Table, row: &[Option<String>]) {
    let name = text(row, 1);
    if table.foreign.last().is_none_or(|f| f.name != name) {
        table.foreign.push(Foreign {
            name,
            target: number(row, 2),
            on_delete: letter(row, 5),
            on_update: letter(row, 6),
            deferrable: truth(row, 7),
            deferred: truth(row, 8),
            columns: Vec::new(),
        });
    }
    if let Some(foreign) = table.foreign.last_mut() {
        foreign.columns.push((text(row, 3), text(row, 4)));
    }
}

fn truth(row: &[Option<String>], index: usize) -> bool {
    row.get(index).is_some_and(|v| v.as_deref() == Some("t"))
}

fn letter(row: &[Option<String>], index: usize) -> char {
    text(row, index).chars().next().unwrap_or(' ')
}
