//! SQL/JSON, node by node. What stands in these nodes without a wrapping of its own is named here; all of them count as what can fail.

use super::{Res, Walk, disagree, kind, list};
use crate::sql::newer::{V16, V17};
use crate::sql::tree::Value;
use pg_query::protobuf::JsonExprOp;

/// Fields of such nodes that hold a part without its wrapping: values, pairs, behaviors, formats, paths.
pub(super) const PARTS: &[&str] =
    &["arg", "constructor", "context_item", "expr", "format", "on_empty", "on_error", "output", "pathspec", "returning", "value"];

/// Which of JSON_EXISTS, JSON_QUERY and JSON_VALUE it is.
fn called(x: &Value) -> Option<&'static str> {
    let is = |op: JsonExprOp| x["op"].as_i64() == Some(i64::from(op as i32));
    match () {
        () if is(JsonExprOp::JsonExistsOp) => Some("json_exists"),
        () if is(JsonExprOp::JsonQueryOp) => Some("json_query"),
        () if is(JsonExprOp::JsonValueOp) => Some("json_value"),
        () => None,
    }
}

/// The name by which such a node is written like a call, and the first version that reads it so.
fn written(name: &str, x: &Value) -> Option<(&'static str, u32)> {
    Some(match name {
        "JsonObjectConstructor" => ("json_object", V16),
        "JsonArrayConstructor" => ("json_array", V16),
        "JsonObjectAgg" => ("json_objectagg", V16),
        "JsonArrayAgg" => ("json_arrayagg", V16),
        "JsonParseExpr" => ("json", V17),
        "JsonScalarExpr" => ("json_scalar", V17),
        "JsonSerializeExpr" => ("json_serialize", V17),
        "JsonFuncExpr" => (called(x)?, V17),
        _ => return None,
    })
}

/// Its name as an output column.
pub(super) fn label(name: &str, x: &Value) -> Option<&'static str> {
    written(name, x).map(|(name, _)| name)
}

/// Whether values of such a node may be of type json, whose comparison fails where it stands in a row.
pub(super) fn makes_json(name: &str) -> bool {
    matches!(name, "JsonObjectConstructor" | "JsonArrayConstructor" | "JsonObjectAgg" | "JsonArrayAgg" | "JsonParseExpr" | "JsonScalarExpr")
}

/// An aggregate of JSON's that sorts its values, or runs over a window.
pub(super) fn sorts(value: &Value) -> bool {
    let aggregate = kind(value).filter(|(name, _)| matches!(*name, "JsonObjectAgg" | "JsonArrayAgg")).map(|(_, x)| &x["constructor"]);
    aggregate.is_some_and(|x| !x["over"].is_null() || !list(x, "agg_order").is_empty())
}

impl Walk<'_> {
    /// A node of JSON's; any other is not proved.
    pub(super) fn json(&mut self, name: &str, f: &Value, c: &Value) -> Res<()> {
        if let Some((written, since)) = written(name, c) {
            self.since(written, since)?;
        }
        match name {
            "JsonObjectAgg" | "JsonArrayAgg" => {
                self.conditions.aggregated += 1;
                let proved = self.rest(f, c, &[]);
                self.conditions.aggregated -= 1;
                proved
            }
            "JsonFuncExpr" if called(c).is_none() => disagree("a JSON function is not known"),
            "JsonObjectConstructor"
            | "JsonArrayConstructor"
            | "JsonParseExpr"
            | "JsonScalarExpr"
            | "JsonSerializeExpr"
            | "JsonFuncExpr"
            | "JsonIsPredicate"
            | "JsonKeyValue"
            | "JsonValueExpr"
            | "JsonArgument"
            | "JsonTableColumn" => self.rest(f, c, &[]),
            _ => disagree(format!("{name} is not proved here")),
        }
    }
}
