//! Whole rows among the outermost output columns: a table that stands as a subquery gives a record, where a private database says the table's own
//! row type. Text and binary form are the same; only the number in RowDescription differs, which the session puts right.

use super::Rewriter;
use super::hidden::{is_plain, star_of};
use crate::sql::catalog::Relation;
use crate::sql::nodes;
use crate::sql::rows::RowType;
use crate::sql::scope::{Item, Scope, Thing};
use pg_query::NodeEnum;
use pg_query::protobuf::Node;

impl Rewriter<'_> {
    /// Which of the columns are such rows, before the list is walked, its stars written out. `from`: what a bare star shows, if that is known.
    pub(super) fn row_types_of(&self, targets: &[Node], scope: &Scope, from: Option<&[Node]>) -> Vec<RowType> {
        let mut place = Some(0);
        let mut found = Vec::new();
        for target in targets {
            let width = match star_of(target).as_deref() {
                Some([]) if from.is_some_and(|from| from.iter().all(is_plain)) => scope.items.iter().map(width).sum(),
                Some([name]) => scope.items.iter().find(|i| i.name == *name).and_then(width),
                Some(_) => None,
                None => {
                    found.extend(place.zip(self.row_of_table(target)).map(|(place, (table, row_type))| RowType { place, table, row_type }));
                    (!is_expansion(target)).then_some(1)
                }
            };
            place = place.zip(width).map(|(place, width)| place + width);
        }
        found
    }

    /// The table and the type of a target that is a row of a table in FROM, or of the written one, that does not give it itself.
    fn row_of_table(&self, target: &Node) -> Option<(u32, u32)> {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
        let Some(NodeEnum::ColumnRef(column)) = target.val.as_ref().and_then(|v| v.node.as_ref()) else { return None };
        let names = nodes::names(&column.fields)?;
        let [name] = names.as_slice() else { return None };
        let items = || self.levels.iter().flat_map(|l| &l.items);
        if items().any(|i| i.has_column(name) || (matches!(i.thing, Thing::Opaque | Thing::Merged) && i.name != *name)) {
            return None;
        }
        let relation = match &items().find(|i| i.name == *name)?.thing {
            Thing::Wrapped(relation) => relation,
            Thing::Guarded(relation, _) if relation.hidden.is_some() => relation,
            _ => return None,
        };
        Some((relation.oid, relation.row_type)).filter(|(_, row_type)| *row_type != 0)
    }
}

fn relation(item: &Item) -> Option<&Relation> {
    match &item.thing {
        Thing::Guarded(relation, _) | Thing::Shared(relation) | Thing::Wrapped(relation) => Some(relation),
        Thing::Opaque | Thing::Merged => None,
    }
}

fn width(item: &Item) -> Option<usize> {
    relation(item).map(|r| r.columns.len())
}

/// `(x).*`
fn is_expansion(target: &Node) -> bool {
    match &target.node {
        Some(NodeEnum::ResTarget(t)) => matches!(t.val.as_ref().and_then(|v| v.node.as_ref()), Some(NodeEnum::AIndirection(_))),
        _ => true,
    }
}
