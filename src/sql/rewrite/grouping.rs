//! GROUP BY a primary key makes the other columns of its table dependent: of a table that stands as a subquery, PostgreSQL does not know it.
//! So those that are looked at are grouped by, too; within a tenant the key tells them, and no group changes.

use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::nodes;
use crate::sql::scope::{Item, Thing};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, a_const};

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
        let looked_at = looked_at(select);
        let mut added = Vec::new();
        for item in &level.items {
            let Thing::Wrapped(relation) = &item.thing else { continue };
            let Some(key) = own_key(relation).filter(|_| item.hides.is_none() && !item.name.is_empty()) else { continue };
            let grouped = |column: &str| select.group_clause.iter().any(|g| names(meant(g, select), item, &level.items, column));
            if !key.iter().all(|k| grouped(k)) {
                continue;
            }
            let ordered = relation.columns.iter().filter(|c| !UNORDERED.contains(&c.type_oid) && !c.json);
            let wanted = ordered.filter(|c| !grouped(&c.name) && looked_at.sees(&c.name));
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

/// What a grouped query shows or sorts by, as text of its tree.
struct LookedAt(String);

fn looked_at(select: &SelectStmt) -> LookedAt {
    let parts = (&select.target_list, &select.sort_clause, &select.having_clause, &select.distinct_clause, &select.window_clause);
    LookedAt(serde_json::to_string(&parts).unwrap_or_default())
}

impl LookedAt {
    fn sees(&self, column: &str) -> bool {
        let name = serde_json::to_string(column).unwrap_or_default();
        self.0.contains("\"AStar\"") || self.0.contains(&format!("\"sval\":{name}"))
    }
}
