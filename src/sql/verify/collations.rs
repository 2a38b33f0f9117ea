//! Where two collations may meet and neither was chosen, what needs one fails on the first row that comes: 42P22, found as it runs.

use super::{Walk, kind, list, names, text};
use crate::sql::hazards::C_COLLATION;
use crate::sql::tree::Value;
use std::collections::BTreeSet;

impl Walk<'_> {
    /// Before a statement of the client's is walked: whether collations of more than one kind are in it, `name`'s own counted always.
    pub(super) fn look_for_collations(&mut self, client: &Value) {
        let hazards = &self.catalog.hazards;
        let (mut by_number, mut by_name): (BTreeSet<u32>, BTreeSet<&str>) = ([C_COLLATION].into(), BTreeSet::new());
        let mut view = false;
        client.has(&mut |name, part| {
            if matches!(name, "CollateClause" | "coll_clause") {
                by_name.extend(names(list(part, "collname")).last().filter(|n| !["default", "C"].contains(*n)));
            } else if name == "String" {
                by_number.extend(hazards.collations_of(text(part, "sval")));
            } else if let "RangeVar" | "relation" = name
                && let Some(relation) = self.catalog.find(text(part, "schemaname"), text(part, "relname"))
            {
                view |= relation.is_expanded() && !hazards.has_one_collation();
                by_number.extend(relation.columns.iter().map(|c| c.collation).filter(|number| *number > 0));
            }
            false
        });
        self.conditions.collations = view || by_number.len() + by_name.len() >= 2;
    }

    /// A node that needs one collation and may be given two.
    pub(super) fn meets_collations(&self, name: &str, node: &Value) -> bool {
        if !self.conditions.collations {
            return false;
        }
        match name {
            "AExpr" => carries(&node["lexpr"]) > 0 && carries(&node["rexpr"]) > 0,
            "FuncCall" | "MinMaxExpr" | "CaseExpr" => node_carries(node) > 1,
            "SubLink" => !node["testexpr"].is_null(),
            _ => false,
        }
    }
}

/// How many parts of it may have a collation of their own.
fn carries(value: &Value) -> usize {
    match (kind(value), value) {
        (Some(("ColumnRef" | "ParamRef" | "SubLink" | "SqlvalueFunction", _)), _) => 1,
        (Some(("FuncCall" | "TypeCast", node)), _) => node_carries(node).max(1),
        (Some((name, node)), _) if name.starts_with("Json") => node_carries(node).max(1),
        (Some((_, node)), _) => node_carries(node),
        (None, Value::Array(all)) => all.iter().map(carries).sum(),
        (None, Value::Object(_)) => node_carries(value),
        _ => 0,
    }
}

fn node_carries(node: &Value) -> usize {
    node.as_object().map_or(0, |fields| fields.values().map(carries).sum())
}
