//! What the names of a level stand for.

use super::{Of, Reader, Res, disagree, fields, list, text};
use crate::policy::Verb;
use crate::sql::catalog::{Relation, SYSTEM_COLUMNS};
use crate::sql::tree::Value;
use std::sync::Arc;

/// Columns that stand under one name: a table's, or another thing's. A join with an alias is several sources of one name.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    /// Whose columns they are.
    pub(super) table: Option<Arc<Relation>>,
    /// As they are called here, and in the table.
    pub(super) columns: Vec<(String, String)>,
    /// There may be others.
    pub(super) more: bool,
    /// Only with its name before a column.
    pub(super) qualified: bool,
    /// The columns have other names than are known here.
    pub(super) renamed: bool,
    /// Tables inside, for row locks.
    pub(super) inside: Vec<Arc<Relation>>,
}

impl Source {
    pub(super) fn table(name: &str, relation: &Arc<Relation>, renamed: &[&str]) -> Self {
        let mut columns: Vec<(String, String)> = relation.columns.iter().map(|c| (c.name.clone(), c.name.clone())).collect();
        columns.iter_mut().zip(renamed).for_each(|(column, new)| (*new).clone_into(&mut column.0));
        let (table, inside) = (Some(relation.clone()), vec![relation.clone()]);
        Self { name: name.to_owned(), table, columns, more: false, qualified: false, renamed: false, inside }
    }

    pub(super) fn other(name: &str, columns: Vec<String>, more: bool) -> Self {
        let columns = columns.into_iter().map(|c| (c, String::new())).collect();
        Self { name: name.to_owned(), table: None, columns, more, qualified: false, renamed: false, inside: Vec::new() }
    }

    /// The table's name of what is called so here.
    fn called(&self, name: &str) -> Option<String> {
        let listed = self.columns.iter().find(|(here, _)| here == name).map(|(_, own)| own.clone());
        listed.or_else(|| (self.table.is_some() && SYSTEM_COLUMNS.contains(&name)).then(|| name.to_owned()))
    }
}

impl Reader<'_> {
    /// `a`, `t.a`, `s.t.a`, `*`, `t.*`.
    pub(super) fn reference(&mut self, parts: &[Value]) -> Res<()> {
        let names = super::super::names(parts);
        let star = parts.last().is_some_and(|p| fields(p, "AStar").is_some());
        if names.len() + usize::from(star) != parts.len() {
            return disagree("a column's name is none");
        }
        match (names.as_slice(), star) {
            ([], _) => {
                let all: Vec<Source> = self.frames.last().into_iter().flatten().filter(|s| !s.qualified).cloned().collect();
                all.iter().for_each(|s| self.every_column(s));
                Ok(())
            }
            ([.., name], true) => self.row(name),
            ([name], false) => self.bare(name),
            ([.., item, name], false) => self.qualified(item, name),
        }
    }

    fn every_column(&mut self, source: &Source) {
        if let Some(table) = &source.table {
            self.want(table, Verb::Select, Of::All);
        }
    }

    /// The sources of the nearest level that has some of this name.
    fn named(&self, name: &str) -> Vec<Source> {
        let of_level = |frame: &Vec<Source>| frame.iter().filter(|s| s.name == name).cloned().collect::<Vec<_>>();
        self.frames.iter().rev().map(of_level).find(|found| !found.is_empty()).unwrap_or_default()
    }

    fn row(&mut self, name: &str) -> Res<()> {
        let found = self.named(name);
        found.iter().for_each(|s| self.every_column(s));
        if found.is_empty() { disagree(format!("nothing here is called {name}")) } else { Ok(()) }
    }

    fn qualified(&mut self, item: &str, name: &str) -> Res<()> {
        let found = self.named(item);
        if found.is_empty() {
            return disagree(format!("nothing here is called {item}"));
        }
        let mut is_column = false;
        for source in &found {
            is_column |= self.takes(source, name);
        }
        // Else it is the call `name(item)`.
        if !is_column {
            found.iter().for_each(|s| self.every_column(s));
        }
        Ok(())
    }

    /// Wants the column of this name, if there is one.
    fn takes(&mut self, source: &Source, name: &str) -> bool {
        if source.renamed {
            self.every_column(source);
            return false;
        }
        match (source.called(name), &source.table) {
            (Some(own), Some(table)) => {
                self.column_of(table, Verb::Select, &own);
                true
            }
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// A bare name: of the nearest level that has such a column, else a whole row.
    pub(super) fn bare(&mut self, name: &str) -> Res<()> {
        for at in (0..self.frames.len()).rev() {
            let frame = self.frames.get(at).cloned().unwrap_or_default();
            if self.taken_here(&frame, name) {
                return Ok(());
            }
            self.none_hides(&frame, name)?;
        }
        let row = self.named(name);
        row.iter().for_each(|s| self.every_column(s));
        Ok(())
    }

    pub(super) fn taken_here(&mut self, frame: &[Source], name: &str) -> bool {
        let mut taken = false;
        for source in frame.iter().filter(|s| !s.qualified) {
            taken |= self.takes(source, name);
        }
        taken
    }

    /// None of these is a table of which only some columns may be read, where this name could be one that is not known.
    pub(super) fn none_hides(&self, frame: &[Source], name: &str) -> Res<()> {
        match frame.iter().filter(|s| !s.qualified).find_map(|s| s.table.as_ref().filter(|t| self.is_partial(t))) {
            Some(table) => disagree(format!("{name} may be a column of {} that the role may not read", table.name)),
            None => Ok(()),
        }
    }

    pub(super) fn is_partial(&self, relation: &Relation) -> bool {
        self.catalog.rights.as_deref().is_some_and(|r| !r.may_all(relation, Verb::Select))
    }

    /// What a name in FROM stands for.
    pub(super) fn from_name(&mut self, var: &Value) -> Res<Source> {
        let (alias, name) = (&var["alias"], text(var, "relname"));
        let called = if alias.is_null() { name } else { text(alias, "aliasname") };
        let renamed = super::super::names(list(alias, "colnames"));
        let bare = text(var, "schemaname").is_empty() && text(var, "catalogname").is_empty();
        if let Some((_, columns, more)) = self.queries.iter().rev().find(|(query, _, _)| bare && query == name) {
            return Ok(Source::other(called, new_names(columns.clone(), &renamed), *more));
        }
        match self.relation(var)? {
            None => Ok(Source::other(called, new_names(Vec::new(), &renamed), true)),
            Some(relation) => {
                self.want(&relation, Verb::Select, if renamed.is_empty() { Of::Any } else { Of::All });
                Ok(Source::table(called, &relation, &renamed))
            }
        }
    }
}

/// Columns with new names for the first of them.
pub(super) fn new_names(mut columns: Vec<String>, names: &[&str]) -> Vec<String> {
    let known = columns.len().min(names.len());
    columns.splice(..known, names.iter().map(|n| (*n).to_owned()));
    columns
}
