//! `verify_rows`: the tenant column of each guarded relation beside what the client selects, for the session to check and take out again.
//!
//! Only where one more column changes nothing else: a plain SELECT that is the whole statement, without DISTINCT, GROUP BY and aggregates, and
//! RETURNING. What stands in a subquery, a WITH query or an aggregate is not seen by it.

use super::Rewriter;
use super::through::RESERVED;
use crate::policy::TableRule;
use crate::sql::catalog::Relation;
use crate::sql::rows::{Checked, Coverage, NAME, RowCheck, column_name};
use crate::sql::scope::{Item, Thing, owner};
use crate::sql::tree::{self, Value};
use crate::sql::{Kind, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, ResTarget, ReturningClause, SelectStmt};
use std::collections::BTreeSet;

/// What the walk notes for it.
#[derive(Debug, Default)]
pub struct Rows {
    /// The query that is entered next is the whole statement.
    pub(super) top: bool,
    /// The same of a write's RETURNING.
    pub(super) returning: bool,
    /// Columns that were added, in order.
    pub(super) added: Vec<Checked>,
    /// How many references were given a guard.
    pub(super) guards: usize,
    /// The statement shows no table as a whole, so that a column more of one in FROM shows nowhere.
    exposes: bool,
    /// Tables with a hidden column that show it to the statement's own level, and under which name.
    exposed: Vec<(String, String)>,
    /// How many aggregates, or what may be one, stood outside WHERE so far.
    aggregates: usize,
}

impl Rewriter<'_> {
    /// To be called before the whole statement is walked.
    pub(super) fn rows_begin(&mut self, node: &NodeEnum) {
        let returns = match node {
            NodeEnum::SelectStmt(select) => select.into_clause.is_none(),
            NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) => true,
            _ => false,
        };
        self.rows.top = returns && self.cx.rows && !self.cx.own.text.contains(NAME);
        let hides = self.rows.top && self.cx.catalog.relations.values().any(|r| r.hidden.is_some());
        self.rows.exposes = hides && matches!(node, NodeEnum::SelectStmt(_)) && shows_no_table(node);
    }

    /// Notes a call that may be an aggregate of any level around.
    pub(super) fn rows_call(&mut self, call: &FuncCall, name: &str) {
        let inner = call.agg_star && self.levels.len() > 1;
        let aggregates = &self.cx.catalog.aggregates;
        let may_be_one = aggregates.is_empty() || aggregates.contains(name);
        self.rows.aggregates += usize::from(may_be_one && call.over.is_none() && !inner);
    }

    /// How many of them there were; to be given to [`Rewriter::rows_select`].
    pub(super) fn rows_aggregates(&self) -> usize {
        self.rows.aggregates
    }

    /// Adds the columns to a plain SELECT, whose level is the innermost.
    pub(super) fn rows_select(&mut self, select: &mut SelectStmt, aggregates: usize) {
        let lists = [&select.distinct_clause, &select.group_clause, &select.values_lists];
        if aggregates == self.rows.aggregates && lists.iter().all(|l| l.is_empty()) && select.having_clause.is_none() {
            self.rows_expose(&mut select.from_clause);
            self.rows_add(&mut select.target_list);
        }
    }

    /// A table with a hidden column stands as a subquery of the others: it shows that one, too, by a name that no client's statement has.
    fn rows_expose(&mut self, from: &mut [Node]) {
        if !self.rows.exposes {
            return;
        }
        let items = self.levels.last().map(|l| l.items.as_slice()).unwrap_or_default();
        for item in items {
            let Thing::Wrapped(relation) = &item.thing else { continue };
            let Some(hides) = relation.hides().filter(|_| relation.kind != 'v') else { continue };
            let name = column_name(self.rows.exposed.len());
            if from.iter_mut().any(|node| expose(node, &item.name, &name, relation, hides)) {
                self.rows.exposed.push((item.name.clone(), name));
            }
        }
    }

    /// Adds them to RETURNING.
    pub(super) fn rows_returning(&mut self, targets: &mut Vec<Node>) {
        if std::mem::take(&mut self.rows.returning) {
            self.rows_add(targets);
        }
    }

    /// What is checked of a statement that was walked; nothing where nothing is asked for.
    pub(super) fn row_check(&mut self, kind: &Kind, node: &NodeEnum) -> RowCheck {
        let returning = |x: &Option<ReturningClause>| x.as_ref().is_some_and(|r| !r.exprs.is_empty());
        let returns = match node {
            NodeEnum::SelectStmt(_) => true,
            NodeEnum::InsertStmt(x) => returning(&x.returning_clause),
            NodeEnum::UpdateStmt(x) => returning(&x.returning_clause),
            NodeEnum::DeleteStmt(x) => returning(&x.returning_clause),
            NodeEnum::MergeStmt(x) => returning(&x.returning_clause),
            _ => kind == &Kind::CopyOut,
        };
        let elsewhere = matches!(kind, Kind::Fetch(_) | Kind::Execute(_));
        let columns = std::mem::take(&mut self.rows.added);
        let coverage = match (columns.len(), self.rows.guards) {
            _ if !self.cx.rows => Coverage::Nothing,
            _ if elsewhere => Coverage::Unchecked,
            (_, 0) => Coverage::Nothing,
            _ if !returns => Coverage::Nothing,
            (0, _) => Coverage::Unchecked,
            (added, guards) if added == guards => Coverage::Whole,
            _ => Coverage::Part,
        };
        RowCheck { columns, coverage, row_types: std::mem::take(&mut self.row_types) }
    }

    fn rows_add(&mut self, targets: &mut Vec<Node>) {
        let items = self.levels.last().map(|l| l.items.as_slice()).unwrap_or_default();
        let added: Vec<(Checked, Node)> = items.iter().filter_map(|item| self.row_owner(item)).collect();
        for (checked, val) in added {
            let name = column_name(self.rows.added.len());
            let target = ResTarget { name, val: nodes::boxed(val), location: -1, ..Default::default() };
            targets.push(nodes::node(NodeEnum::ResTarget(Box::new(target))));
            self.rows.added.push(checked);
        }
    }

    /// What tells whose a row of this item is, and what that must be.
    fn row_owner(&self, item: &Item) -> Option<(Checked, Node)> {
        let (relation, column) = match &item.thing {
            Thing::Guarded(relation, _) | Thing::Wrapped(relation) if relation.through().is_some() => {
                return self.parents_owner(item, relation);
            }
            Thing::Guarded(relation, guard) => (relation, guard.column.clone()),
            Thing::Wrapped(relation) if relation.hidden.is_some() => {
                let (_, column) = self.rows.exposed.iter().find(|(name, _)| *name == item.name)?;
                let type_oid = relation.stored_column(relation.hides()?)?.type_oid;
                return Some((Checked { type_oid, nullable: item.nullable }, nodes::column(&item.name, column)));
            }
            Thing::Wrapped(relation) => match &relation.rule {
                TableRule::Scoped { column, .. } => (relation, column.clone()),
                _ => return None,
            },
            Thing::Shared(_) | Thing::Opaque | Thing::Merged => return None,
        };
        let type_oid = relation.stored_column(&column)?.type_oid;
        Some((Checked { type_oid, nullable: item.nullable }, nodes::column(&item.name, &column)))
    }

    /// The tenant column of a row below a parent is the parent's.
    fn parents_owner(&self, item: &Item, relation: &Relation) -> Option<(Checked, Node)> {
        let (steps, last) = self.steps(relation).ok()?;
        let TableRule::Scoped { column, .. } = &last.rule else { return None };
        if item.name.is_empty() || item.name.starts_with(RESERVED) {
            return None;
        }
        let type_oid = last.stored_column(column)?.type_oid;
        Some((Checked { type_oid, nullable: item.nullable }, owner(&steps, &item.name, column)))
    }
}

/// Adds `relation.hides AS name` to the subquery that stands for the relation, if it stands here.
fn expose(node: &mut Node, alias: &str, name: &str, relation: &Relation, hides: &str) -> bool {
    match node.node.as_mut() {
        Some(NodeEnum::JoinExpr(join)) if join.alias.is_none() => {
            let mut sides = [join.larg.as_mut(), join.rarg.as_mut()].into_iter().flatten();
            sides.any(|side| expose(side, alias, name, relation, hides))
        }
        Some(NodeEnum::RangeSubselect(sub)) if sub.alias.as_ref().is_some_and(|a| a.aliasname == alias && a.colnames.is_empty()) => {
            let Some(NodeEnum::SelectStmt(select)) = sub.subquery.as_mut().and_then(|q| q.node.as_mut()) else { return false };
            let val = nodes::boxed(nodes::column(&relation.name, hides));
            let target = ResTarget { name: name.to_owned(), val, location: -1, ..Default::default() };
            select.target_list.push(nodes::node(NodeEnum::ResTarget(Box::new(target))));
            true
        }
        _ => false,
    }
}

/// No star, no list of columns' new names, not the wall's own name, no name alone that is also one of FROM's: none of what has a table's columns
/// without naming them.
fn shows_no_table(statement: &NodeEnum) -> bool {
    let Ok(tree) = tree::of(statement) else { return false };
    let (mut alone, mut tables) = (BTreeSet::new(), BTreeSet::new());
    names_of(&tree, &mut alone, &mut tables) && alone.is_disjoint(&tables)
}

/// Names that stand alone and names of what is in FROM; false where a star or a list of new names is met.
fn names_of<'v>(value: &'v Value, alone: &mut BTreeSet<&'v str>, tables: &mut BTreeSet<&'v str>) -> bool {
    let map = match value {
        Value::Array(all) => return all.iter().all(|v| names_of(v, alone, tables)),
        Value::Object(map) => map,
        // The wall's own name, which an identifier with escapes can spell.
        Value::String(text) => return !text.contains(NAME),
        _ => return true,
    };
    if map.get("AStar").is_some() || map.get("colnames").and_then(Value::as_array).is_some_and(|c| !c.is_empty()) {
        return false;
    }
    if let Some([one]) = map.get("ColumnRef").and_then(|c| c["fields"].as_array()).map(Vec::as_slice) {
        alone.extend(one["node"]["String"]["sval"].as_str());
    }
    let named = ["relname", "aliasname"].iter().filter_map(|key| map.get(key)?.as_str());
    tables.extend(named);
    map.values().all(|v| names_of(v, alone, tables))
}
