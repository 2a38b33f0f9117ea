//! What names mean in a statement, as PostgreSQL looks them up (parse_relation.c, parse_expr.c `transformColumnRef`), as far as rights care.

use super::{Refusal, Relation, Res, Walk};
use crate::policy::Verb;
use crate::sql::catalog::SYSTEM_COLUMNS;
use crate::sql::nodes;
use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, Node};
use std::sync::Arc;

/// A query level: its items in order of appearance.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    pub(super) items: Vec<Item>,
}

/// What stands in FROM, or is written.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// By which it is referred to.
    pub(super) name: String,
    pub(super) what: What,
    /// A bare name may find its columns.
    pub(super) bare: bool,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// A relation, and its columns: the name here and its own.
    Table(Arc<Relation>, Vec<(String, String)>),
    /// Anything else: its columns, whether there may be more, and the tables inside, which row locks reach.
    Rows(Vec<String>, bool, Vec<Arc<Relation>>),
    /// A join with an alias; with new names for its columns.
    Join(Vec<Item>, bool),
}

/// What a bare name finds at one level.
enum Found {
    Nothing,
    Column,
}

impl Item {
    /// A table, whose first columns have these new names.
    pub(super) fn table(name: &str, relation: Arc<Relation>, renamed: &[&str]) -> Self {
        let own = relation.columns.iter().map(|c| c.name.clone());
        let columns = own.enumerate().map(|(i, own)| (renamed.get(i).map_or_else(|| own.clone(), |n| (*n).to_owned()), own)).collect();
        Self { name: name.to_owned(), what: What::Table(relation, columns), bare: true }
    }

    pub(super) fn rows(name: &str, columns: Vec<String>, open: bool, tables: Vec<Arc<Relation>>) -> Self {
        Self { name: name.to_owned(), what: What::Rows(columns, open, tables), bare: true }
    }

    /// Names of the columns that a star shows; whether there may be more.
    pub(super) fn shows(&self) -> (Vec<String>, bool) {
        match &self.what {
            What::Table(_, columns) => (columns.iter().map(|(shown, _)| shown.clone()).collect(), false),
            What::Rows(columns, open, _) => (columns.clone(), *open),
            What::Join(items, renamed) => {
                let (mut all, mut open) = (Vec::new(), *renamed);
                for item in items {
                    let (columns, more) = item.shows();
                    all.extend(columns);
                    open |= more;
                }
                (all, open)
            }
        }
    }

    /// The tables that a row lock on it reaches.
    pub(super) fn tables(&self) -> Vec<Arc<Relation>> {
        match &self.what {
            What::Table(relation, _) => vec![relation.clone()],
            What::Rows(_, _, tables) => tables.clone(),
            What::Join(items, _) => items.iter().flat_map(Item::tables).collect(),
        }
    }
}

impl Walk<'_> {
    /// A column reference: each column that it may read needs SELECT.
    pub(super) fn column(&self, column: &ColumnRef) -> Res<()> {
        let star = matches!(column.fields.last().and_then(|n| n.node.as_ref()), Some(NodeEnum::AStar(_)));
        let named = if star { column.fields.get(..column.fields.len() - 1).unwrap_or_default() } else { &column.fields[..] };
        let names = nodes::names(named).ok_or_else(Self::unknown)?;
        match (names.as_slice(), star) {
            ([], true) => {
                self.levels.last().map_or(Ok(()), |level| level.items.iter().filter(|i| i.bare).try_for_each(|i| self.whole_item(i)))
            }
            ([.., item], true) => self.whole_item(self.item(item)?),
            ([name], false) => self.bare(name),
            ([.., item, name], false) => self.of_item(self.item(item)?, name),
            ([], false) => Err(Self::unknown()),
        }
    }

    /// The nearest item of this name.
    fn item(&self, name: &str) -> Res<&Item> {
        let found = self.levels.iter().rev().find_map(|l| l.items.iter().find(|i| i.name == name));
        found.ok_or_else(|| Refusal::with_state("42P01", format!("missing FROM-clause entry for table \"{name}\"")))
    }

    /// All of its columns.
    fn whole_item(&self, item: &Item) -> Res<()> {
        match &item.what {
            What::Table(relation, _) => self.all(relation, Verb::Select),
            What::Rows(..) => Ok(()),
            What::Join(items, _) => items.iter().try_for_each(|i| self.whole_item(i)),
        }
    }

    /// `item.name`: a column, or the call `name(item)`.
    fn of_item(&self, item: &Item, name: &str) -> Res<()> {
        match &item.what {
            What::Table(relation, columns) => match own_name(columns, name) {
                Some(own) => self.may(relation, Verb::Select, own),
                None => self.all(relation, Verb::Select),
            },
            What::Rows(..) => Ok(()),
            What::Join(items, true) => items.iter().try_for_each(|i| self.whole_item(i)),
            What::Join(items, false) => match self.within(items, name)? {
                Found::Column => Ok(()),
                Found::Nothing => items.iter().try_for_each(|i| self.whole_item(i)),
            },
        }
    }

    /// A name that finds a column of the nearest level that has one, or else is a whole row.
    fn bare(&self, name: &str) -> Res<()> {
        for level in self.levels.iter().rev() {
            if let Found::Column = self.within(&level.items, name)? {
                return Ok(());
            }
            self.is_known(&level.items, name)?;
        }
        self.item(name).map_or(Ok(()), |item| self.whole_item(item))
    }

    /// What a bare name finds among these items.
    fn within(&self, items: &[Item], name: &str) -> Res<Found> {
        let mut found = Found::Nothing;
        for item in items.iter().filter(|i| i.bare) {
            match &item.what {
                What::Table(relation, columns) => {
                    if let Some(own) = own_name(columns, name) {
                        self.may(relation, Verb::Select, own)?;
                        found = Found::Column;
                    }
                }
                What::Rows(columns, _, _) if columns.iter().any(|c| c == name) => found = Found::Column,
                What::Rows(..) => {}
                What::Join(items, true) => items.iter().try_for_each(|i| self.whole_item(i))?,
                What::Join(items, false) => {
                    if let Found::Column = self.within(items, name)? {
                        found = Found::Column;
                    }
                }
            }
        }
        Ok(found)
    }

    /// A name that none of these items has, as far as is known: a table of which some columns may be read must not be among them.
    pub(super) fn is_known(&self, items: &[Item], name: &str) -> Res<()> {
        let limited = items.iter().flat_map(|i| self.limited(i)).next();
        match limited {
            Some(relation) if items.iter().any(|i| i.name == name) => Err(self.refused(&relation)),
            Some(relation) => Err(self
                .rights
                .hinted(Refusal::with_state("42703", format!("column \"{name}\" does not exist in \"{}\"", relation.name)))
                .detail("The session's role may read some columns of that table only: a name that is not one of it must be written with its table's.")),
            None => Ok(()),
        }
    }

    /// Tables among it of which a bare name may find a column, and of which the role may read some columns only.
    pub(super) fn limited(&self, item: &Item) -> Vec<Arc<Relation>> {
        match &item.what {
            What::Table(relation, _) if item.bare && self.is_limited(relation) => vec![relation.clone()],
            What::Join(items, _) => items.iter().flat_map(|i| self.limited(i)).collect(),
            _ => Vec::new(),
        }
    }

    /// A column that both sides of a join must have.
    pub(super) fn using(&self, sides: [&[Item]; 2], column: &Node) -> Res<()> {
        let Some(NodeEnum::String(name)) = &column.node else { return Err(Self::unknown()) };
        for side in sides {
            if let Found::Nothing = self.within(side, &name.sval)? {
                self.is_known(side, &name.sval)?;
            }
        }
        Ok(())
    }

    /// Whether a bare name finds a column at the innermost level.
    pub(super) fn is_column_here(&self, name: &str) -> bool {
        let here = |item: &Item| item.bare && item.shows().0.iter().any(|c| c == name);
        self.levels.last().is_some_and(|level| level.items.iter().any(here))
    }
}

/// The own name of a column that is called so here.
fn own_name<'n>(columns: &'n [(String, String)], name: &'n str) -> Option<&'n str> {
    let found = columns.iter().find(|(shown, _)| shown == name).map(|(_, own)| own.as_str());
    found.or_else(|| SYSTEM_COLUMNS.contains(&name).then_some(name))
}
