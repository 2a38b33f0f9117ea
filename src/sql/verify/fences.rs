//! Fences: `CASE WHEN guard THEN … END` around what can fail, and `CASE WHEN count(*) >= 0 THEN … END` in HAVING.

use super::scopes::Seen;
use super::{Res, Walk, fields, is_zero, kind, list, names};
use crate::sql::catalog::SYSTEM_COLUMNS;
use crate::sql::tree::Value;

impl Walk<'_> {
    pub(super) fn is_fence(&self, case: &Value) -> bool {
        let [when] = list(case, "args") else { return false };
        let Some(when) = fields(when, "CaseWhen") else { return false };
        let bare = case["arg"].is_null() && case["defresult"].is_null();
        let condition = &when["expr"];
        let alone = std::slice::from_ref(condition);
        let all = Self::parts(condition, 1).unwrap_or(alone);
        bare && !all.is_empty() && all.iter().all(|p| self.guard(p).is_some() || self.guard_or_absent(p))
    }

    pub(super) fn guard_or_absent(&self, value: &Value) -> bool {
        let Some([absent, guard]) = Self::parts(value, 2) else { return false };
        let Some(found) = self.guard(guard) else { return false };
        let Some(test) = fields(absent, "NullTest") else { return false };
        let is_null = test.get("nulltesttype").and_then(Value::as_i64) == Some(1);
        let column = fields(&test["arg"], "ColumnRef").map(|c| names(list(c, "fields")));
        // Which column tells that the row is absent is looked at where the relation is known.
        let of_it = column.is_some_and(|c| c.len() == 2 && c[0] == found.reference && (c[1] == found.column || found.column.is_empty()));
        is_null && of_it
    }

    /// HAVING, some of whose parts may stand in `CASE WHEN count(*) >= 0 THEN … END`: true of every group.
    pub(super) fn having(&mut self, f: &Value, c: &Value) -> Res<()> {
        if let (Some(("BoolExpr", fv)), Some(("BoolExpr", cv))) = (kind(f), kind(c))
            && list(fv, "args").len() == list(cv, "args").len()
        {
            list(fv, "args").iter().zip(list(cv, "args")).try_for_each(|(f, c)| self.having(f, c))?;
            return self.rest(fv, cv, &["args"]);
        }
        let inner = group_fence(f).filter(|inner| group_fence(c).is_none() || group_fence(inner).is_some());
        self.having_part(c, inner.is_some())?;
        self.same(inner.unwrap_or(f), c)
    }

    /// Whether a certain aggregate of this level stands in an expression.
    pub(super) fn aggregates(&self, value: &Value) -> bool {
        match value {
            Value::Array(all) => all.iter().any(|v| self.aggregates(v)),
            Value::Object(map) => {
                let certain = fields(value, "FuncCall").filter(|call| call["over"].is_null() && self.is_aggregate(call));
                certain.is_some_and(|call| self.groups_here(call))
                    || map.iter().any(|(key, inner)| key != "subselect" && self.aggregates(inner))
            }
            _ => false,
        }
    }

    /// An aggregate whose arguments name only columns further out is one of the query there, and a constant here: HAVING is not kept for it.
    fn groups_here(&self, call: &Value) -> bool {
        let direct = call.get("agg_within_group") == Some(&Value::Bool(true));
        let keys: &[&str] = if direct { &["agg_order", "agg_filter"] } else { &["args", "agg_order", "agg_filter"] };
        let (mut named, mut elsewhere) = (Vec::new(), false);
        for part in keys.iter().filter_map(|key| call.get(key)) {
            columns_beside_subqueries(part, &mut named, &mut elsewhere);
        }
        if named.is_empty() && !elsewhere {
            return true;
        }
        let Some(level) = self.levels.last() else { return false };
        named.iter().any(|column| match column.as_slice() {
            [name] => {
                let none = |i: &Seen| i.joined && SYSTEM_COLUMNS.contains(name);
                let shows = |i: &Seen| i.relation.as_ref().is_some_and(|r| r.has_column(name)) && !none(i);
                level.items.iter().any(shows)
            }
            [.., relation, _] => level.items.iter().any(|i| i.name == *relation),
            [] => false,
        })
    }
}

/// The names of columns in an expression, and whether it has a subquery, into which this does not look.
fn columns_beside_subqueries<'v>(value: &'v Value, named: &mut Vec<Vec<&'v str>>, subqueries: &mut bool) {
    match (kind(value), value) {
        (Some(("SubLink", _)), _) => *subqueries = true,
        (Some(("ColumnRef", column)), _) => {
            let parts = list(column, "fields");
            let mut names = names(parts);
            // `t.*` as its row.
            names.extend((names.len() < parts.len()).then_some("*"));
            named.push(names);
        }
        (_, Value::Array(all)) => all.iter().for_each(|v| columns_beside_subqueries(v, named, subqueries)),
        (_, Value::Object(map)) => map.values().for_each(|v| columns_beside_subqueries(v, named, subqueries)),
        _ => {}
    }
}

/// What stands behind `CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>=) 0 THEN … END`.
fn group_fence(value: &Value) -> Option<&Value> {
    let case = fields(value, "CaseExpr")?;
    let [when] = list(case, "args") else { return None };
    let when = fields(when, "CaseWhen")?;
    let test = fields(&when["expr"], "AExpr")?;
    let count = fields(&test["lexpr"], "FuncCall")?;
    let plain = ["args", "agg_order"].iter().all(|k| list(count, k).is_empty())
        && ["agg_filter", "over"].iter().all(|k| count[*k].is_null())
        && count["agg_star"] == Value::Bool(true);
    let sound = case["arg"].is_null()
        && case["defresult"].is_null()
        && names(list(test, "name")) == ["pg_catalog", ">="]
        && test["kind"].as_i64() == Some(1)
        && names(list(count, "funcname")) == ["pg_catalog", "count"]
        && is_zero(&test["rexpr"]);
    (sound && plain).then_some(&when["result"])
}

/// The first place that a part of a tree names.
pub(super) fn first_place(value: &Value) -> Option<usize> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("location").and_then(|v| v.as_u64()?.try_into().ok());
            own.into_iter().chain(fields.values().filter_map(first_place)).min()
        }
        Value::Array(all) => all.iter().filter_map(first_place).min(),
        _ => None,
    }
}
