//! Parts of PostgreSQL's trees in their generic form.

use crate::sql::tree::Value;

/// PostgreSQL's CTEMaterializeAlways as the tree has it.
pub(super) const MATERIALIZED: i64 = 2;

/// The kind and fields of a wrapped node.
pub(super) fn kind(value: &Value) -> Option<(&str, &Value)> {
    let inner = value.get("node")?.as_object()?;
    inner.iter().next()
}

/// The fields of a node of this kind.
pub(super) fn fields<'v>(value: &'v Value, wanted: &str) -> Option<&'v Value> {
    kind(value).filter(|(k, _)| *k == wanted).map(|(_, v)| v)
}

pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The strings of a list of String nodes.
pub(super) fn names(values: &[Value]) -> Vec<&str> {
    values.iter().filter_map(|v| fields(v, "String")).map(|s| text(s, "sval")).collect()
}
