//! The names that expressions without one have as output columns: parse_target.c, FigureColname, as far as the wall may write them out.

use super::{fields, kind, list, names, text};
use crate::sql::tree::Value;

/// How much a name counts: that of a type or of CASE gives way to one inside.
enum Found<'v> {
    Weak(&'v str),
    Strong(&'v str),
}

/// The name of an output column; None where it is not one of the known kinds.
pub(super) fn label(value: &Value) -> Option<&str> {
    find(value).map(|found| match found {
        Found::Weak(name) | Found::Strong(name) => name,
    })
}

fn find(value: &Value) -> Option<Found<'_>> {
    let (name, node) = kind(value)?;
    let last = |key: &str| list(node, key).last().and_then(|n| fields(n, "String")).map(|s| text(s, "sval"));
    match name {
        "ColumnRef" => last("fields").map(Found::Strong),
        "FuncCall" => last("funcname").map(Found::Strong),
        "CollateClause" => find(&node["arg"]),
        "AIndirection" => match names(list(node, "indirection")).last() {
            Some(field) => Some(Found::Strong(field)),
            None => find(&node["arg"]),
        },
        "TypeCast" => match find(&node["arg"]) {
            Some(Found::Strong(name)) => Some(Found::Strong(name)),
            _ => names(list(&node["type_name"], "names")).last().map(|n| Found::Weak(n)),
        },
        "CaseExpr" => match find(&node["defresult"]) {
            Some(Found::Strong(name)) => Some(Found::Strong(name)),
            _ => Some(Found::Weak("case")),
        },
        "MergeSupportFunc" => Some(Found::Strong("merge_action")),
        json if super::json::label(json, node).is_some() => super::json::label(json, node).map(Found::Strong),
        // PostgreSQL's EXPR_SUBLINK.
        "SubLink" if node["sub_link_type"].as_i64() == Some(i64::from(pg_query::protobuf::SubLinkType::ExprSublink as i32)) => {
            let target = fields(list(fields(&node["subselect"], "SelectStmt")?, "target_list").first()?, "ResTarget")?;
            let named = text(target, "name");
            if named.is_empty() { label(&target["val"]).map(Found::Strong) } else { Some(Found::Strong(named)) }
        }
        _ => None,
    }
}
