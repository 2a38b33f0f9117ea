//! The values of one row that a check of what the row refers to looks at.

use super::Res;
use super::links::Check;
use crate::sql::catalog::Relation;
use crate::sql::links::is_exact;
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::Node;

/// Where an assigned row's other values come from.
pub(super) enum Others<'n> {
    /// A row of values beside it, by the names of their columns.
    Row(&'n [String], Vec<Node>),
    /// Assignments; what none of them names stays as the row of this name has it.
    Set(&'n [String], Vec<Node>, String),
}

impl Others<'_> {
    /// The value of another column of the row, which stands in the statement twice.
    pub(super) fn value(&self, column: &str) -> Res<Node> {
        let (names, values) = match self {
            Self::Row(names, values) | Self::Set(names, values, _) => (names, values),
        };
        match (names.iter().position(|n| n == column).and_then(|at| values.get(at)), self) {
            (Some(value), _) if is_simple(value) => Ok(value.clone()),
            (Some(_), _) => Err(Refusal::not_understood(format!("this value for column \"{column}\" is not supported"))
                .detail("Beside another column it says which row is referred to.")
                .hint("Write a literal, a parameter or a column.")),
            (None, Self::Set(_, _, reference)) if !reference.is_empty() => Ok(nodes::column(reference, column)),
            (None, _) => Ok(nodes::null()),
        }
    }
}

/// Which of a new row's checks are of keys that its own key may satisfy: both are written as they are, and stored as they are compared.
pub(super) fn may_be_themselves(checks: &[Check], relation: &Relation, row: &Others<'_>) -> Vec<Check> {
    let exact = |name: &str| relation.column(name).is_some_and(|c| is_exact(c.type_oid));
    let Others::Row(names, _) = row else { return checks.to_vec() };
    // A trigger, or one of a partition, may put another key in its place.
    if relation.kind != 'r' || relation.triggers_on_insert {
        return checks.to_vec();
    }
    let written = |name: &str| names.iter().any(|n| n == name) && row.value(name).is_ok();
    // In the place of the first of its columns that are written stands a check.
    let first = |c: &Check| c.on.iter().map(|(own, _)| own.clone()).find(|own| names.contains(own));
    let is_checked = |name: &str| checks.iter().any(|c| first(c).is_some_and(|own| own == name));
    let sure = |(own, key): &(String, String)| exact(own) && exact(key) && written(key) && !is_checked(key);
    checks.iter().map(|c| Check { itself: c.parent.oid == relation.oid && c.on.iter().all(sure), ..c.clone() }).collect()
}

/// The same wherever it stands and however often.
fn is_simple(value: &Node) -> bool {
    match &value.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::ColumnRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_simple),
        _ => false,
    }
}

/// A subquery that reads nothing of the row is run once for all rows: a value that may differ from call to call must not be in it.
pub(super) fn runs_once(value: &Node) -> bool {
    let tree = serde_json::to_string(value).unwrap_or_default();
    let calls = ["\"FuncCall\"", "\"SubLink\""].iter().any(|k| tree.contains(k));
    calls && !tree.contains("\"ColumnRef\"")
}
