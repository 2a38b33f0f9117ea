//! GROUP BY a primary key makes the other columns of its table dependent: of a table that stands as a subquery, PostgreSQL does not know it.
//! So those that are looked at are grouped by, too; within a tenant the key tells them, and no group changes.

use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::scope::{Item, Thing};
use crate::sql::tree::{self, Value};
use crate::sql::{functions, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, a_const};
use std::collections::HashSet;

/// pg_type.oid of types without an order: json, xml, the geometric ones.
const UNORDERED: &[u32] = &[114, 142, 600, 601, 602, 603, 604, 628, 718];

impl Rewriter<'_> {
    /// Adds to GROUP BY what the keys in it make dependent; the innermost level is the query's own.
    pub(super) fn group_dependent(&self, select: &mut SelectStmt) -> Res<()> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let plain = select.group_clause.iter().all(|g| !matches!(g.node, Some(NodeEnum::GroupingSet(_))));
        if select.group_clause.is_empty() || !plain {
            return Ok(());
        }
        let own = |name: &str| functions::is_aggregate(name) && !self.cx.catalog.user_functions.contains(name);
        let looked_at = LookedAt::of(select, &own);
        let mut added = Vec::new();
        for item in &level.items {
            let Thing::Wrapped(relation) = &item.thing else { continue };
            // Its children's rows may have the same key and other values: PostgreSQL shows any row's then, and grouping by them makes more groups.
            if relation.inherited {
                continue;
            }
            let Some(key) = own_key(relation).filter(|_| item.hides.is_none() && !item.name.is_empty()) else { continue };
            let grouped = |column: &str| select.group_clause.iter().any(|g| names(meant(g, select), item, &level.items, column));
            if !key.iter().all(|k| grouped(k)) {
                continue;
            }
            let ordered = relation.columns.iter().filter(|c| !UNORDERED.contains(&c.type_oid) && !c.json);
            let wanted = ordered.filter(|c| !grouped(&c.name) && looked_at.sees(&item.name, &c.name));
            added.extend(wanted.map(|c| nodes::column(&item.name, &c.name)));
        }
        select.group_clause.extend(added);
        Ok(())
    }
}

/// The primary key of a table, without the column that it hides.
fn own_key(relation: &Relation) -> Option<Vec<&str>> {
    let hides = relation.hides();
    let key = relation.keys.iter().find(|k| k.primary && k.unique && !k.partial)?;
    let own: Vec<&str> = key.columns.iter().map(String::as_str).filter(|c| Some(*c) != hides).collect();
    (!own.is_empty()).then_some(own)
}

/// What GROUP BY a number groups by; stars before it hide which target that is.
fn meant<'a>(expr: &'a Node, select: &'a SelectStmt) -> &'a Node {
    let Some(NodeEnum::AConst(constant)) = &expr.node else { return expr };
    let Some(a_const::Val::Ival(number)) = &constant.val else { return expr };
    let before = usize::try_from(number.ival).ok().and_then(|n| select.target_list.get(..n)).unwrap_or_default();
    let value = |target: &'a Node| match &target.node {
        Some(NodeEnum::ResTarget(t)) => t.val.as_deref().filter(|v| !is_star(v)),
        _ => None,
    };
    if before.iter().all(|t| value(t).is_some()) { before.last().and_then(value).unwrap_or(expr) } else { expr }
}

fn is_star(value: &Node) -> bool {
    let last = match &value.node {
        Some(NodeEnum::ColumnRef(c)) => c.fields.last(),
        Some(NodeEnum::AIndirection(i)) => i.indirection.last(),
        _ => None,
    };
    last.is_some_and(|l| matches!(l.node, Some(NodeEnum::AStar(_))))
}

/// Whether an expression is this column of the item, and certainly no other.
fn names(expr: &Node, item: &Item, items: &[Item], column: &str) -> bool {
    let Some(NodeEnum::ColumnRef(found)) = &expr.node else { return false };
    match nodes::names(&found.fields).as_deref() {
        Some([reference, name]) => *reference == item.name && *name == column,
        Some([name]) => {
            let other = |i: &Item| i.name != item.name && (matches!(i.thing, Thing::Opaque) || i.has_column(name));
            *name == column && !items.iter().any(other)
        }
        _ => false,
    }
}

/// The columns that a grouped query shows or sorts by outside of its own aggregates, and the qualifiers they are written with.
#[derive(Default)]
struct LookedAt {
    all: bool,
    columns: HashSet<(Option<String>, String)>,
}

impl LookedAt {
    fn of(select: &SelectStmt, is_aggregate: &impl Fn(&str) -> bool) -> Self {
        let parts = (&select.target_list, &select.sort_clause, &select.having_clause, &select.distinct_clause, &select.window_clause);
        let mut seen = Self::default();
        match tree::of(&parts) {
            Ok(tree) => seen.walk(&tree, is_aggregate, false),
            Err(_) => seen.all = true,
        }
        seen
    }

    /// An aggregate in a subquery may be the subquery's, and what it takes from here is looked at.
    fn walk(&mut self, tree: &Value, is_aggregate: &impl Fn(&str) -> bool, inner: bool) {
        match tree {
            Value::Array(all) => all.iter().for_each(|part| self.walk(part, is_aggregate, inner)),
            Value::Object(fields) => {
                for (kind, value) in fields.iter() {
                    match kind {
                        "AStar" => self.all = true,
                        "ColumnRef" => self.column(value),
                        "FuncCall" if !inner && is_over_group(value, is_aggregate) => {}
                        _ => self.walk(value, is_aggregate, inner || kind == "SubLink"),
                    }
                }
            }
            Value::String(name) => self.all |= name == "AStar",
            _ => {}
        }
    }

    fn column(&mut self, column: &Value) {
        let fields = column.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let names: Option<Vec<&str>> = fields.iter().map(string).collect();
        match names.as_deref() {
            Some([name]) => _ = self.columns.insert((None, (*name).to_owned())),
            Some([qualifier, name]) => _ = self.columns.insert((Some((*qualifier).to_owned()), (*name).to_owned())),
            _ => self.all = true,
        }
    }

    fn sees(&self, reference: &str, column: &str) -> bool {
        self.all || [None, Some(reference.to_owned())].into_iter().any(|by| self.columns.contains(&(by, column.to_owned())))
    }
}

/// Whether a call is an aggregate of the query's groups: not one over a window, nor one with direct arguments, which are of the group.
fn is_over_group(call: &Value, is_aggregate: &impl Fn(&str) -> bool) -> bool {
    let name = call.get("funcname").and_then(Value::as_array).and_then(|n| n.last()).and_then(string);
    let direct = call.get("agg_within_group").and_then(Value::as_bool) == Some(true);
    call.get("over").is_none_or(Value::is_null) && !direct && name.is_some_and(is_aggregate)
}

fn string(node: &Value) -> Option<&str> {
    node.pointer("/node/String/sval").and_then(Value::as_str)
}
