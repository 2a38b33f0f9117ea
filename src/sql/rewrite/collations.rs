//! Two collations that nobody chose between: what needs one fails as it runs (42P22; PostgreSQL manual, 24.2.1), so on whatever row comes first.

use super::Context;
use crate::sql::hazards::C_COLLATION;
use crate::sql::tree::{self, Value};
use pg_query::protobuf::Node;
use std::collections::BTreeSet;

/// Whether a statement may bring two collations together. Type `name` has one of its own, and is everywhere.
pub(super) fn may_meet(cx: &Context<'_>) -> bool {
    let hazards = &cx.catalog.hazards;
    let written = cx.own.text.as_bytes().windows(7).any(|word| word.eq_ignore_ascii_case(b"collate"));
    if (!written && hazards.has_one_collation()) || left_out!(cx, Collations) {
        return false;
    }
    let (mut numbers, mut names) = (BTreeSet::from([C_COLLATION]), BTreeSet::new());
    let mut hidden = false;
    cx.tree.has(&mut |name, part| {
        let named = |field: &str| part[field].as_str().unwrap_or_default();
        match name {
            "String" => numbers.extend(hazards.collations_of(named("sval"))),
            "CollateClause" | "coll_clause" => {
                let last = part["collname"].as_array().and_then(|n| n.last()).and_then(|n| n.pointer("/node/String/sval")?.as_str());
                names.extend(last.filter(|n| *n != "default" && *n != "C").map(str::to_owned));
            }
            "RangeVar" | "relation" => {
                if let Some(relation) = cx.catalog.find(named("schemaname"), named("relname")) {
                    numbers.extend(relation.columns.iter().map(|c| c.collation).filter(|c| *c != 0));
                    hidden |= relation.is_expanded();
                }
            }
            _ => {}
        }
        false
    });
    hidden || numbers.len() + names.len() > 1
}

/// Whether an expression brings a collation.
pub(super) fn brings(expr: &Node) -> bool {
    expr.node.as_ref().is_some_and(|inner| tree::of(inner).map_or(true, |tree| brought(&tree) > 0))
}

/// Whether two things that bring a collation stand in an expression.
pub(super) fn meet_in(expr: &Node) -> bool {
    let Some(inner) = &expr.node else { return false };
    tree::of(inner).map_or(true, |tree| brought(&tree) > 1)
}

fn brought(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.iter().map(brought).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, inner)| match name {
                // A parameter of type `name` has "C".
                "ColumnRef" | "ParamRef" | "SubLink" | "SqlvalueFunction" => 1,
                "FuncCall" | "TypeCast" => brought(inner).max(1),
                json if json.starts_with("Json") => brought(inner).max(1),
                _ => brought(inner),
            })
            .sum(),
        _ => 0,
    }
}
