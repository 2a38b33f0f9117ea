//! System columns (`ctid`, `tableoid` …) of a table that stands as a subquery of its visible columns.
//!
//! A first walk notes which of them a statement names of which such table; the next lets the subquery carry them under names of the wall's own,
//! and names them by these. A star over it is written out then, so that it shows the table's columns and nothing else.

use super::hidden::{column_of, is_plain, no_column, star, star_of, unproved};
use super::through::RESERVED;
use super::{Res, Rewriter};
use crate::sql::catalog::SYSTEM_COLUMNS;
use crate::sql::scope::{Item, Scope, Thing};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, JoinExpr, Node, ResTarget};
use std::collections::BTreeSet;

/// A system column of the table that became the subquery of this number.
pub(super) type Carried = BTreeSet<(usize, &'static str)>;

/// Where a name without a qualifier is found.
enum Found {
    /// Nowhere at this level.
    Nowhere,
    /// It is one of these tables', by its number and name.
    Of(usize, String),
    /// It is something that stands as itself.
    Other,
    /// Several have it.
    Several,
    /// A subquery or function may have such a column, and so has a table.
    Unknown,
    /// A subquery or function may have it.
    Perhaps,
}

impl Rewriter<'_> {
    /// What the subquery of this number shows besides, as targets.
    pub(super) fn carried_targets(&self, number: usize, table: &str) -> Vec<Node> {
        let target = |name: &&'static str| {
            let (val, name) = (nodes::boxed(nodes::column(table, name)), own_name(name));
            nodes::node(NodeEnum::ResTarget(Box::new(ResTarget { name, val, location: -1, ..Default::default() })))
        };
        SYSTEM_COLUMNS.iter().filter(|name| self.mode.carried.contains(&(number, **name))).map(target).collect()
    }

    /// A system column of such a table is named by the name under which the subquery shows it.
    pub(super) fn system_column(&mut self, column: &mut ColumnRef) -> Res<()> {
        let Some(names) = nodes::names(&column.fields) else { return Ok(()) };
        let place = self.at(column.location);
        let Some(field) = names.last().copied() else { return Ok(()) };
        if SYSTEM_COLUMNS.iter().any(|name| own_name(name) == field) {
            let shown = if names.len() > 1 { names.join(".") } else { format!("\"{field}\"") };
            return Err(no_column(&shown, place));
        }
        let Some(name) = SYSTEM_COLUMNS.iter().find(|name| **name == field) else { return Ok(()) };
        let found = match names.as_slice() {
            [_] => self.system_alone(name),
            [.., table, _] => match self.nearest(table).map(|i| (i.carries, i.name.clone())) {
                Some((Some(number), item)) => Found::Of(number, item),
                _ => Found::Other,
            },
            [] => Found::Other,
        };
        match found {
            Found::Of(number, item) => {
                self.carried.insert((number, name));
                if self.mode.carried.contains(&(number, *name)) {
                    column.fields = vec![nodes::string(&item), nodes::string(&own_name(name))];
                }
                Ok(())
            }
            Found::Several => Err(Refusal::with_state("42702", format!("column reference \"{name}\" is ambiguous")).at(place)),
            Found::Unknown => Err(unproved(&format!("the system column \"{name}\" without its table"), place)),
            Found::Nowhere | Found::Perhaps | Found::Other => self.no_catalog_system(&names, place),
        }
    }

    /// Level by level, as PostgreSQL looks: what stands in a join shows no system column by its bare name.
    fn system_alone(&self, name: &str) -> Found {
        let mut unknown = false;
        for level in self.levels.iter().rev() {
            match at_level(level, name) {
                Found::Nowhere => {}
                Found::Perhaps => unknown = true,
                Found::Of(number, item) => {
                    let meant = self.nearest(&item).is_some_and(|i| i.carries == Some(number));
                    return if unknown || !meant { Found::Unknown } else { Found::Of(number, item) };
                }
                found => return found,
            }
        }
        Found::Other
    }

    fn nearest(&self, name: &str) -> Option<&Item> {
        self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == name)
    }

    fn carries(&self, item: &Item) -> bool {
        item.carries.is_some_and(|number| self.mode.carried.range((number, "")..(number + 1, "")).next().is_some())
    }

    /// A star or a whole row would show what is carried.
    pub(super) fn nothing_carried(&self, names: &[&str], star: bool, place: Option<u32>) -> Res<()> {
        let shows = match (names, star) {
            ([], true) => self.levels.last().is_some_and(|l| l.items.iter().any(|i| self.carries(i))),
            ([.., table], true) => self.nearest(table).is_some_and(|i| self.carries(i)),
            ([name], false) => {
                let column = self.levels.iter().flat_map(|l| &l.items).any(|i| i.has_column(name));
                !column && self.nearest(name).is_some_and(|i| self.carries(i))
            }
            _ => false,
        };
        if shows { Err(unproved("a whole row beside a system column of it", place)) } else { Ok(()) }
    }

    /// A join by all columns of the same name, or one with a name of its own, would use or show what is carried.
    pub(super) fn joins_nothing_carried(&self, join: &JoinExpr, items: &[Item]) -> Res<()> {
        let named = nodes::names(&join.using_clause).unwrap_or_default();
        if let Some(name) = SYSTEM_COLUMNS.iter().map(|name| own_name(name)).find(|name| named.contains(&name.as_str())) {
            return Err(Refusal::with_state("42703", format!("column \"{name}\" specified in USING clause does not exist in left table")));
        }
        if (join.is_natural || join.alias.is_some()) && items.iter().any(|i| self.carries(i)) {
            return Err(unproved("NATURAL, or a join with a name, beside a system column", None));
        }
        Ok(())
    }

    /// Writes the stars of a target list out where they would show what is not the statement's: what is carried, or what the first item hides.
    pub(super) fn stars_written_out(&self, targets: &mut Vec<Node>, scope: &Scope, from: &[Node]) {
        let whole = |i: &Item| i.hides.is_none() && !self.carries(i);
        let mut out = Vec::new();
        for expr in std::mem::take(targets) {
            let shown = match star_of(&expr).as_deref() {
                Some([]) if scope.items.iter().any(|i| !whole(i)) && from.iter().all(is_plain) => {
                    let one = |i: &Item| if whole(i) { (!i.name.is_empty()).then(|| vec![star(&i.name)]) } else { columns_of(i) };
                    scope.items.iter().map(one).collect::<Option<Vec<_>>>().map(|all| all.concat())
                }
                Some([name]) => {
                    scope.items.iter().find(|i| i.name == *name).or_else(|| self.nearest(name)).filter(|i| !whole(i)).and_then(columns_of)
                }
                _ => None,
            };
            match shown {
                Some(columns) => out.extend(columns),
                None => out.push(expr),
            }
        }
        *targets = out;
    }
}

/// Whether ORDER BY or DISTINCT ON names what is shown under the name of a system column.
pub(super) fn is_output(expr: Option<&Node>, targets: Option<&[Option<String>]>) -> bool {
    let Some(NodeEnum::ColumnRef(column)) = expr.and_then(|e| e.node.as_ref()) else { return false };
    match nodes::names(&column.fields).as_deref() {
        Some([name]) => SYSTEM_COLUMNS.contains(name) && targets.is_none_or(|t| t.iter().any(|t| t.as_deref() == Some(name))),
        _ => false,
    }
}

fn at_level(level: &Scope, name: &str) -> Found {
    let (mut of, mut others, mut unknown) = (Vec::new(), 0, false);
    for item in level.items.iter().filter(|i| !i.joined) {
        match (&item.thing, item.carries) {
            (_, Some(number)) => of.push((number, item.name.clone())),
            (Thing::Opaque | Thing::Merged, None) => unknown = true,
            (Thing::Guarded(r, _) | Thing::Shared(r) | Thing::Wrapped(r), None) if r.kind != 'v' && item.name != "excluded" => others += 1,
            _ => others += usize::from(item.has_column(name)),
        }
    }
    match (of.len() + others, of.pop()) {
        (1, Some((number, item))) if !unknown => Found::Of(number, item),
        (1, Some(_)) => Found::Unknown,
        (_, Some(_)) => Found::Several,
        (0, None) if unknown => Found::Perhaps,
        (0, None) => Found::Nowhere,
        _ => Found::Other,
    }
}

/// The columns of a table of which these are known.
fn columns_of(item: &Item) -> Option<Vec<Node>> {
    match &item.thing {
        Thing::Guarded(relation, _) | Thing::Wrapped(relation) => {
            Some(relation.columns.iter().map(|c| column_of(&item.name, &c.name)).collect())
        }
        _ => None,
    }
}

fn own_name(system: &str) -> String {
    format!("{RESERVED}{system}")
}
