//! What can fail and reads no column of a row tells, by being run, that there was such a row: it stands behind the guards of its level, unless the
//! condition that it is in certainly costs more than a guard, so that PostgreSQL looks at it later (costsize.c, cost_qual_eval_walker; createplan.c,
//! order_qual_clauses). Where rows are filtered by a join, no cost helps.

use super::{Res, Walk, disagree, fields, json, kind, list, names, raises, text};
use crate::sql::catalog::Catalog;
use crate::sql::tree::{Fields, Value};
use crate::sql::{conversions as facts, functions};
use pg_query::protobuf::{AExprKind, SubLinkType};

/// Where in a condition the walk is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// At a condition of its own: a part of nothing but AND.
    pub(super) apart: bool,
    /// Inside an operator that no constant takes away, so that the whole costs more than a guard.
    pub(super) costly: bool,
    /// In the condition of a FULL JOIN, which stays at the join: its tables are wrapped.
    pub(super) full: bool,
}

const AND: i64 = 1;
const NOT: i64 = 3;

impl Place {
    /// A whole condition of a filter.
    pub(super) fn condition() -> Self {
        Self { apart: true, ..Self::default() }
    }

    /// Inside the field `key` of this node.
    pub(super) fn inside(self, catalog: &Catalog, node: &Fields, key: &str, value: &Value) -> Self {
        let of = |name: &str| node.get(name).unwrap_or(&Value::Null);
        match (of("boolop").as_i64(), key) {
            (Some(AND), "args") => self,
            (Some(NOT), "args") => {
                let exists = |v: &Value| fields(v, "SubLink").is_some_and(|l| is_a(l, SubLinkType::ExistsSublink));
                Self { apart: self.apart && value.as_array().is_some_and(|parts| parts.iter().all(exists)), ..self }
            }
            _ => {
                let operator = matches!(key, "lexpr" | "rexpr") && !of("name").is_null();
                Self {
                    apart: false,
                    costly: self.costly
                        || (operator
                            && stays(catalog, of("kind"), names_of(of("name")), value, of(if key == "lexpr" { "rexpr" } else { "lexpr" }))),
                    ..self
                }
            }
        }
    }
}

fn names_of(value: &Value) -> Vec<&str> {
    names(value.as_array().map(Vec::as_slice).unwrap_or_default())
}

fn is_a(link: &Value, kind: SubLinkType) -> bool {
    link["sub_link_type"].as_i64() == Some(i64::from(kind as i32))
}

/// An operator that the planner keeps whatever its other side is: of equality only where this side is no truth value, for `x = true` is `x`.
fn stays(catalog: &Catalog, form: &Value, name: Vec<&str>, side: &Value, other: &Value) -> bool {
    let bare = |v: &Value| matches!(kind(v), Some(("AConst" | "ParamRef" | "ColumnRef", _)));
    let of_kind = |kinds: &[AExprKind]| form.as_i64().is_some_and(|k| kinds.iter().any(|other| i64::from(*other as i32) == k));
    if of_kind(&[AExprKind::AexprLike, AExprKind::AexprIlike, AExprKind::AexprBetween, AExprKind::AexprNotBetween]) {
        return true;
    }
    if of_kind(&[AExprKind::AexprIn]) {
        let plain = |v: &Value| matches!(kind(v), Some(("AConst" | "ParamRef" | "ColumnRef", _))) || is_no_truth_value(catalog, v);
        return bare(other) && fields(side, "List").is_some_and(|all| list(all, "items").iter().all(plain));
    }
    if !of_kind(&[AExprKind::AexprOp]) {
        return false;
    }
    let equality = matches!(name.last(), Some(&("=" | "<>" | "!=")));
    // What is equal to itself is only looked at for NULL.
    !equality || (bare(other) && is_no_truth_value(catalog, side))
}

fn is_no_truth_value(catalog: &Catalog, side: &Value) -> bool {
    if let Some(cast) = fields(side, "TypeCast") {
        let to = names(list(&cast["type_name"], "names"));
        return fields(&cast["arg"], "ParamRef").is_some() || (to.last() != Some(&"bool") && !catalog.hazards.may_be_domain(&to));
    }
    let bare = |x: &Value| matches!(names(list(x, "name")).as_slice(), ["+" | "-" | "*" | "/" | "%" | "||"]);
    fields(side, "AExpr").is_some_and(bare)
}

fn is_number(value: &Value) -> bool {
    match kind(value) {
        None => true,
        Some(("AConst", c)) => !c["val"]["Ival"].is_null() || !c["val"]["Fval"].is_null(),
        Some(("AExpr", x)) => is_arithmetic(x),
        _ => false,
    }
}

fn is_arithmetic(x: &Value) -> bool {
    let operator = matches!(names(list(x, "name")).last(), Some(&("+" | "-" | "*" | "/" | "%")));
    operator && is_number(&x["lexpr"]) && is_number(&x["rexpr"])
}

/// Whether anything in it is more than constants of which the planner makes another.
pub(super) fn varies(catalog: &Catalog, value: &Value) -> bool {
    match value {
        Value::Array(all) => all.iter().any(|v| varies(catalog, v)),
        Value::Object(map) => match kind(value) {
            Some(("AConst", _)) => false,
            Some(("AExpr", x)) => {
                // With a time zone, a text search configuration, or code of the operator's own.
                let late = |name: &&str| matches!(*name, "+" | "-" | "@@" | "||") || catalog.operators.contains(*name);
                let late = !is_arithmetic(x) && names(list(x, "name")).last().is_none_or(late);
                late || varies(catalog, &x["lexpr"]) || varies(catalog, &x["rexpr"])
            }
            Some(("TypeCast", cast)) => !is_made_at_once(catalog, cast),
            Some((
                "ParamRef" | "SqlvalueFunction" | "FuncCall" | "SubLink" | "AIndirection" | "XmlExpr" | "XmlSerialize" | "MergeSupportFunc",
                _,
            )) => true,
            Some((name, _)) if name.starts_with("Json") => true,
            _ => map.values().any(|v| varies(catalog, v)),
        },
        _ => false,
    }
}

/// A literal of a type is read with the statement; a number becomes another, or text, in the planner.
fn is_made_at_once(catalog: &Catalog, cast: &Value) -> bool {
    // To a domain the value is brought as the statement runs.
    if catalog.hazards.may_be_domain(&names(list(&cast["type_name"], "names"))) {
        return false;
    }
    if let Some(array) = fields(&cast["arg"], "AArrayExpr") {
        let target = cast["type_name"].clone();
        let each = |v: &Value| fields(v, "AConst").is_some_and(|c| is_made(c, &target));
        return list(array, "elements").iter().all(each);
    }
    fields(&cast["arg"], "AConst").is_some_and(|c| is_made(c, &cast["type_name"]))
}

fn is_made(constant: &Value, target: &Value) -> bool {
    let text = !constant["val"]["Sval"].is_null() || !constant["val"]["Bsval"].is_null() || constant["isnull"] == Value::Bool(true);
    let target = names(list(target, "names")).last().copied().unwrap_or_default();
    text || matches!(target, "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" | "text" | "varchar" | "bpchar" | "bool")
}

/// `now() + interval '1 day'`, `CURRENT_DATE - 30`.
pub(super) fn is_short_span_from_now(x: &Value) -> bool {
    let now = match kind(&x["lexpr"]) {
        Some(("SqlvalueFunction", _)) => true,
        Some(("FuncCall", call)) => list(call, "args").is_empty() && names(list(call, "funcname")).last() == Some(&"now"),
        _ => false,
    };
    let short = match kind(&x["rexpr"]) {
        Some(("AConst", c)) => c["val"]["Ival"]["ival"].as_i64().is_some_and(|days| (0..10_000).contains(&days)),
        Some(("TypeCast", cast)) => {
            let literal = fields(&cast["arg"], "AConst").and_then(|c| c["val"]["Sval"]["sval"].as_str());
            let to = &cast["type_name"];
            list(to, "typmods").is_empty()
                && names(list(to, "names")).last() == Some(&"interval")
                && literal.is_some_and(functions::is_short_span)
        }
        _ => false,
    };
    now && short && matches!(names(list(x, "name")).as_slice(), ["+" | "-"])
}

/// What fails as it is run though no expression in it does: a limit that may be negative, a sample of no such share, a subquery of more than one
/// row; a lock, which is seen.
pub(super) fn fails_by_itself(node: &Value) -> bool {
    let sure = |v: &Value| match kind(v) {
        None => true,
        Some(("AConst", c)) => {
            c["isnull"] == Value::Bool(true)
                || c["val"]["Ival"]["ival"].as_i64().is_some_and(|n| n >= 0)
                || !c["val"]["Ival"].is_null() && c["val"]["Ival"]["ival"].is_null()
        }
        Some(_) => false,
    };
    match kind(node) {
        Some(("SelectStmt", s)) => !sure(&s["limit_count"]) || !sure(&s["limit_offset"]) || !list(s, "locking_clause").is_empty(),
        Some(("RangeTableSample", sample)) => {
            let share =
                |v: &Value| fields(v, "AConst").is_some_and(|c| c["val"]["Ival"]["ival"].as_i64().is_some_and(|n| (0..=100).contains(&n)));
            !list(sample, "args").iter().all(share) || !(sample["repeatable"].is_null() || share(&sample["repeatable"]))
        }
        Some(("SubLink", link)) => is_a(link, SubLinkType::ExprSublink),
        _ => false,
    }
}

/// An array of arrays fails where they differ in length, and costs nothing.
pub(super) fn may_hold_arrays(array: &Value) -> bool {
    let scalar = |v: &Value| match kind(v) {
        Some(("AConst" | "SqlvalueFunction", _)) => true,
        Some(("TypeCast", cast)) => {
            let to = &cast["type_name"];
            list(to, "array_bounds").is_empty() && names(list(to, "names")).last().is_some_and(|n| facts::is_firm_type(n))
        }
        _ => false,
    };
    !list(array, "elements").iter().all(scalar)
}

/// A slice of an array, which fails where it is of a fixed length, and costs nothing.
pub(super) fn is_slice(indirection: &Value) -> bool {
    list(indirection, "indirection").iter().any(|s| fields(s, "AIndices").is_some_and(|i| i["is_slice"] == Value::Bool(true)))
}

/// A function that only the wall makes something of, with the names in literals: what stands for it is proved where it stands.
pub(super) fn is_call_of_the_walls(catalog: &Catalog, c: &Value) -> bool {
    let Some(call) = fields(c, "FuncCall") else { return false };
    let args = list(call, "args");
    let named = names(list(call, "funcname"));
    let unknown = matches!(named.as_slice(), [name] | ["pg_catalog", name] if functions::find_call(name, args.len()).is_none());
    unknown && args.iter().all(|a| fields(a, "AConst").is_some()) && !named.last().is_some_and(|n| super::hazards::has_effect(catalog, n))
}

impl Walk<'_> {
    /// A subquery is run once a row needs it: what fails in it, or is seen from outside, tells of that row, unless it is a condition of its own, which
    /// becomes a join or is looked at before any row.
    pub(super) fn tells_late(&self, link: &Value, apart: bool) -> bool {
        let alone = apart && [SubLinkType::ExistsSublink, SubLinkType::AnySublink, SubLinkType::ExprSublink].iter().any(|k| is_a(link, *k));
        let seen = || {
            let mut uses = Vec::new();
            raises::used(self.catalog, &link["subselect"], &mut uses);
            uses.contains(&raises::Use::Any)
        };
        !alone || (self.fails_anywhere(&link["subselect"]) && seen())
    }

    /// COALESCE, CASE and GREATEST of a column that may fail to become of another's type.
    pub(super) fn may_convert(&self, c: &Value) -> bool {
        match kind(c) {
            Some(("CoalesceExpr" | "MinMaxExpr", x)) => self.converts_one(list(x, "args").iter().collect()),
            Some(("CaseExpr", x)) => {
                let arms = || list(x, "args").iter().filter_map(|a| fields(a, "CaseWhen"));
                let results = arms().map(|a| &a["result"]).chain([&x["defresult"]]).collect();
                let compared = arms().map(|a| &a["expr"]).chain([&x["arg"]]).collect();
                self.converts_one(results) || (!x["arg"].is_null() && self.converts_one(compared))
            }
            _ => false,
        }
    }

    /// The same of what is of no known type: two parameters, what a subquery gives.
    /// `columns`: of more than casts and parameters.
    pub(super) fn may_convert_unseen(&self, c: &Value, columns: bool) -> bool {
        let unseen = |parts: Vec<&Value>| {
            let solid: Vec<&Value> = parts.into_iter().filter(|v| !matches!(kind(v), None | Some(("AConst", _)))).collect();
            let unknown = |v: &&Value| match kind(v) {
                Some(("ColumnRef", c)) => self.types_of(c).is_none(),
                Some(("FuncCall", call)) => !names(list(call, "funcname")).last().is_some_and(|n| facts::is_firm_call(n)),
                Some(("TypeCast" | "ParamRef", _)) => !columns,
                _ => true,
            };
            solid.len() > 1 && solid.iter().any(unknown)
        };
        match kind(c) {
            Some(("CoalesceExpr" | "MinMaxExpr", x)) => unseen(list(x, "args").iter().collect()),
            Some(("CaseExpr", x)) => {
                let arms = || list(x, "args").iter().filter_map(|a| fields(a, "CaseWhen"));
                unseen(arms().map(|a| &a["result"]).chain([&x["defresult"]]).collect())
                    || (!x["arg"].is_null() && unseen(arms().map(|a| &a["expr"]).chain([&x["arg"]]).collect()))
            }
            _ => false,
        }
    }

    fn converts_one(&self, parts: Vec<&Value>) -> bool {
        let types = |v: &Value| fields(v, "ColumnRef").and_then(|c| self.types_of(c));
        let fallible: Vec<u32> = parts.iter().filter_map(|p| types(p)).flatten().filter(|t| facts::can_fail(*t)).collect();
        let unlike = |v: &&Value| match kind(v) {
            None | Some(("AConst", _)) => false,
            _ => types(v).is_none_or(|of| of.iter().any(|t| fallible.iter().any(|f| f != t))),
        };
        !fallible.is_empty() && parts.iter().any(unlike)
    }

    /// Where a guard is a join: keys by which rows are sorted or grouped may be made before it, and other items of FROM may be run for rows
    /// that it removes; then nothing in them can fail.
    pub(super) fn nothing_before_parents(&self, c: &Value, arm: bool) -> Res<()> {
        if !self.levels.last().is_some_and(|l| l.is_by_parent()) {
            return Ok(());
        }
        const KEYS: &[&str] = &["sort_clause", "group_clause", "distinct_clause", "window_clause"];
        // Those of an aggregate are keys as well (since PostgreSQL 16), wherever it stands: one in a subquery may be of this level.
        let shown = ["target_list", "having_clause"];
        let keyed = arm || KEYS.iter().any(|k| !list(c, k).is_empty()) || shown.iter().any(|k| sorts_calls(&c[*k]));
        if keyed && (self.compares_oddly() || shown.iter().chain(KEYS).any(|k| self.fails_anywhere(&c[*k]))) {
            return disagree("a key that can fail may be made before a guard by way of a parent");
        }
        if list(c, "from_clause").iter().any(|item| self.item_fails(item)) {
            return disagree("what can fail in FROM may be run before a guard by way of a parent");
        }
        Ok(())
    }

    /// A certain aggregate: no function of that name is the operator's.
    pub(super) fn is_aggregate(&self, call: &Value) -> bool {
        let named = names(list(call, "funcname"));
        let own = matches!(named.as_slice(), [name] | ["pg_catalog", name] if functions::is_aggregate(name));
        let theirs = |n: &str| self.catalog.user_functions.contains(n) || self.catalog.functions.iter().any(|(_, other)| other == n);
        own && !named.last().is_some_and(|n| theirs(n))
    }

    fn item_fails(&self, item: &Value) -> bool {
        match kind(item) {
            Some(("JoinExpr", join)) => self.item_fails(&join["larg"]) || self.item_fails(&join["rarg"]),
            Some(("RangeVar", var)) => {
                let named = text(var, "schemaname").is_empty() && self.ctes.iter().flatten().any(|n| n == text(var, "relname"));
                named && (self.sorts_oddly() || self.conditions.with_fails)
            }
            _ => self.sorts_oddly() || self.fails_anywhere(item),
        }
    }
}

/// Whether a call in it is over a window, or an aggregate of values that are sorted or told apart.
fn sorts_calls(value: &Value) -> bool {
    match value {
        Value::Array(all) => all.iter().any(sorts_calls),
        Value::Object(map) => {
            let sorted =
                |call: &Value| !call["over"].is_null() || call["agg_distinct"] == Value::Bool(true) || !list(call, "agg_order").is_empty();
            fields(value, "FuncCall").is_some_and(sorted) || json::sorts(value) || map.values().any(sorts_calls)
        }
        _ => false,
    }
}
