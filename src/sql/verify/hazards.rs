//! What fails in some databases only (see `sql::hazards`), by rules of its own.

use super::json;
use super::raises::{Conditions, is_row};
use super::scopes::{Level, Seen};
use super::{Hold, Res, Walk, disagree, fields, kind, list, names};
use crate::policy::Home;
use crate::sql::catalog::{Catalog, Relation};
use crate::sql::conversions as facts;
use crate::sql::functions;
use crate::sql::hazards::Hazards;
use crate::sql::private::TEMP;
use crate::sql::tree::Value;
use pg_query::protobuf::AExprKind;
use std::sync::Arc;

impl Walk<'_> {
    /// Before a statement of the client's is walked: types and functions in it whose values do not compare, and parameters of such.
    pub(super) fn look_for_shapes(&mut self, client: &Value) {
        let makes = |names: Vec<&str>| names.last().is_some_and(|n| self.catalog.hazards.makes_shape(n));
        let found = client.has(&mut |name, part| match name {
            "FuncCall" => makes(names(list(part, "funcname"))),
            "TypeName" | "type_name" => makes(names(list(part, "names"))),
            _ => json::makes_json(name),
        });
        self.conditions.odd = found || self.conditions.loose;
        self.conditions.held = self.proof.held.len();
        let made = ["CreateStmt", "CreateTableAsStmt", "ViewStmt", "AlterTableStmt"].iter().any(|name| fields(client, name).is_some());
        let into = fields(client, "SelectStmt").is_some_and(|s| !s["into_clause"].is_null());
        let rows = self.catalog.home == Home::Rows;
        self.conditions.misfit = rows && (made || into) && (self.conditions.odd || self.conditions.collations);
    }

    /// Values of some types fail as they are compared: where there are such, no operand passes of which the type is not certain.
    pub(super) fn may_be_shape(&self, operand: &Value) -> bool {
        let (shapes, odd) = (&self.catalog.hazards.shapes, self.conditions.odd);
        if shapes.is_empty() && !odd {
            return false;
        }
        let Some((name, node)) = kind(operand) else { return false };
        match name {
            "AConst" | "SqlvalueFunction" => false,
            "ParamRef" => odd,
            "ColumnRef" => {
                let parts = list(node, "fields");
                let named = names(parts);
                let listed = self.types_of(node).is_some();
                !listed || named.len() != parts.len() || named.last().is_none_or(|n| shapes.contains(*n))
            }
            "TypeCast" => !names(list(&node["type_name"], "names")).last().is_some_and(|n| *n != "json" && facts::is_firm_type(n)),
            "List" => list(node, "items").iter().any(|item| self.may_be_shape(item)),
            _ => true,
        }
    }

    /// What names no operator, a DISTINCT or a UNION, may compare what cannot be compared.
    pub(super) fn sorts_oddly(&self) -> bool {
        self.conditions.odd || self.conditions.collations
    }

    /// Some comparison may fail in this database, or in this statement.
    pub(super) fn compares_oddly(&self) -> bool {
        self.sorts_oddly() || !self.catalog.hazards.shapes.is_empty()
    }

    /// A column that is worked out as it is read, or a row in which there may be one.
    pub(super) fn works_out(&self, column: &Value) -> bool {
        let computed = &self.catalog.hazards.computed;
        if computed.is_empty() {
            return false;
        }
        let parts = list(column, "fields");
        let named = names(parts);
        let unknown = |item: Option<&str>| {
            self.levels.iter().flat_map(|l| &l.items).any(|i| i.relation.is_none() && item.is_none_or(|n| i.name == n))
        };
        match named.as_slice() {
            [.., item, _] if unknown(Some(item)) => true,
            [_] if unknown(None) => true,
            _ if named.len() < parts.len() => true,
            [one] => computed.contains(*one) || self.levels.iter().any(|l| l.items.iter().any(|i| i.name == *one)),
            [.., last] => computed.contains(*last),
            [] => true,
        }
    }

    /// No `xmax` of rows that all tenants read: it changes as one of them locks such a row.
    pub(super) fn shows_no_lock(&self, item: Option<&str>, field: &str) -> Res<()> {
        let all = self.levels.iter().flat_map(|l| &l.items);
        let mut meant = all.filter(|i| item.is_none_or(|name| i.name == name));
        if field == "xmax" && meant.any(|i| i.guard.is_none() && i.relation.as_ref().is_some_and(|r| r.is_shared())) {
            return disagree("it shows who locks rows that all tenants read");
        }
        Ok(())
    }

    /// The one argument of `age` is a time, and no transaction id.
    pub(super) fn is_age_of_time(&self, call: &Value) -> Res<()> {
        match (names(list(call, "funcname")).last(), list(call, "args")) {
            (Some(&"age"), [one]) if !self.is_time(one) => disagree("it may tell how old a transaction is"),
            _ => Ok(()),
        }
    }

    fn is_time(&self, value: &Value) -> bool {
        let Some((name, node)) = kind(value) else { return false };
        match name {
            "SqlvalueFunction" => true,
            "ColumnRef" => self.types_of(node).is_some_and(|types| types.iter().all(|t| functions::is_time(*t))),
            "TypeCast" => {
                let to = names(list(&node["type_name"], "names"));
                to.last().is_some_and(|n| functions::is_time_by_name(n)) && !self.catalog.hazards.may_be_domain(&to)
            }
            "FuncCall" => {
                let called = names(list(node, "funcname")).last().copied().unwrap_or_default();
                functions::gives_time(called) || (["max", "min"].contains(&called) && list(node, "args").iter().all(|a| self.is_time(a)))
            }
            "CoalesceExpr" => list(node, "args").iter().all(|a| self.is_time(a)),
            _ => false,
        }
    }

    /// Where USING or NATURAL makes columns alike, or compares them, and that can fail, its tables are wrapped, and nothing moves into them.
    /// `middle` is where its right side begins.
    pub(super) fn merged_is_safe(&mut self, join: &Value, level: &Level, first: usize, middle: usize) -> Res<()> {
        let (natural, using) = (join["is_natural"] == Value::Bool(true), names(list(join, "using_clause")));
        if !natural && using.is_empty() {
            return Ok(());
        }
        let inside = level.items.get(first..).unwrap_or_default();
        // What is only another name for columns beside it has none of its own.
        let (left, right) = inside.split_at(middle.saturating_sub(first).min(inside.len()));
        let tables = |side: &[Seen]| -> Option<Vec<Arc<Relation>>> {
            side.iter().filter(|i| !i.merged).map(|i| i.relation.clone().filter(|r| r.schema != TEMP)).collect()
        };
        let hazards = &self.catalog.hazards;
        let (alike, quiet) = match (tables(left), tables(right)) {
            (Some(left), Some(right)) if !renames(&join["larg"]) && !renames(&join["rarg"]) => {
                let (mut alike, mut quiet) = (true, true);
                for column in left.iter().flat_map(|t| &t.columns) {
                    let merged = natural || using.contains(&column.name.as_str());
                    for other in right.iter().flat_map(|t| &t.columns).filter(|o| merged && o.name == column.name) {
                        let types = [column.type_oid, other.type_oid];
                        alike &= types[0] == types[1] || !types.into_iter().any(facts::can_fail);
                        quiet &= !(self.conditions.collations && column.collation != other.collation);
                        quiet &= !hazards.shapes.contains(&column.name) && !hazards.computed.contains(&column.name);
                    }
                }
                (alike, quiet)
            }
            _ => (false, hazards.shapes.is_empty() && hazards.computed.is_empty() && !self.conditions.collations),
        };
        self.conditions.loud |= !quiet;
        if alike && quiet {
            return Ok(());
        }
        self.conditions.raising += 1;
        match inside.iter().any(|i| i.guard.is_some()) {
            true => disagree("a join makes columns alike, or compares them, before a guard"),
            false => Ok(()),
        }
    }

    /// What such a join compares can fail, which tells whether it is run: beside no table whose guard is a join.
    pub(super) fn no_parents_beside_loud(&self, conditions: &Conditions) -> Res<()> {
        let through =
            |name: &str| self.catalog.relations.values().any(|r| r.through().is_some() && name == format!("{}.{}", r.schema, r.name));
        let held = self.proof.held.get(conditions.held..).unwrap_or_default();
        if conditions.loud && held.iter().any(|h| h.hold == Hold::Filter && through(&h.relation)) {
            return disagree("a join that can fail may run before a guard by way of a parent");
        }
        Ok(())
    }

    /// ANY and ALL over an array that may be empty cost nothing, but for what makes the column alike to its elements.
    pub(super) fn meets_other_array(&self, x: &Value) -> bool {
        let kinds = [AExprKind::AexprOpAny, AExprKind::AexprOpAll].map(|k| i64::from(k as i32));
        if !x["kind"].as_i64().is_some_and(|k| kinds.contains(&k)) {
            return false;
        }
        let fallible = match kind(&x["lexpr"]) {
            None | Some(("AConst" | "ParamRef", _)) => false,
            Some(("ColumnRef", column)) => self.types_of(column).is_none_or(|types| types.iter().any(|t| facts::can_fail(*t))),
            Some(_) => true,
        };
        let firm = match kind(&x["rexpr"]) {
            Some(("AConst", _)) => true,
            Some(("ParamRef", _)) => !self.conditions.loose,
            Some(("TypeCast", cast)) => names(list(&cast["type_name"], "names")).last().is_some_and(|n| facts::is_firm_type(n)),
            Some(("AArrayExpr", array)) => !list(array, "elements").is_empty() && list(array, "elements").iter().all(|e| self.firm(e)),
            _ => false,
        };
        fallible && !firm
    }

    /// What an index may work out for the rows that it holds, to give them in its order, before any filter.
    pub(super) fn is_distance(&self, c: &Value) -> bool {
        let orders = |x: &Value| names(list(x, "name")).last().is_some_and(|n| functions::may_order_rows(n));
        self.levels.last().is_some_and(|level| level.passed) && fields(c, "AExpr").is_some_and(orders)
    }

    /// Values that cannot be compared may be compared by this node, which names no operator.
    pub(super) fn orders_shapes(&self, name: &str, node: &Value) -> bool {
        let shape = |v: &Value| self.may_be_shape(v);
        match name {
            "MinMaxExpr" => list(node, "args").iter().any(shape),
            "CaseExpr" if !node["arg"].is_null() => {
                let arms = list(node, "args").iter().filter_map(|arm| fields(arm, "CaseWhen"));
                shape(&node["arg"]) || arms.map(|arm| &arm["expr"]).any(shape)
            }
            "SubLink" if !node["testexpr"].is_null() => {
                let untyped = matches!(kind(&node["testexpr"]), Some(("AConst" | "ParamRef", _)));
                (untyped && (self.conditions.odd || !self.catalog.hazards.shapes.is_empty())) || shape(&node["testexpr"])
            }
            _ => false,
        }
    }

    /// A collation that is not deterministic is one that this operator may not take.
    pub(super) fn minds_collations(&self, operator: &str) -> bool {
        self.catalog.hazards.collations && !Hazards::is_plain_operator(operator)
    }
}

/// Whether some columns of a side of a join have other names than in their table.
fn renames(side: &Value) -> bool {
    match kind(side) {
        Some(("JoinExpr", join)) => renames(&join["larg"]) || renames(&join["rarg"]),
        Some(("RangeTableSample", sample)) => renames(&sample["relation"]),
        Some((_, item)) => !list(&item["alias"], "colnames").is_empty(),
        None => true,
    }
}

/// Rows are compared as values unless two that are written out, without others in them, stand on both sides: then their columns are.
pub(super) fn compares_rows(x: &Value) -> bool {
    let flat = |v: &Value| fields(v, "RowExpr").is_some_and(|row| !list(row, "args").iter().any(is_row));
    let apart = |l: &Value, r: &Value| (is_row(l) || is_row(r)) && !(flat(l) && flat(r));
    let (left, right) = (&x["lexpr"], &x["rexpr"]);
    if x["kind"].as_i64() == Some(i64::from(AExprKind::AexprNullif as i32)) {
        return is_row(left) || is_row(right);
    }
    match fields(right, "List") {
        Some(all) => list(all, "items").iter().any(|item| apart(left, item)),
        None => apart(left, right),
    }
}

/// Functions whose call is seen from outside: it tells of the row as an error would. What a listed one does is not known.
pub(super) fn has_effect(catalog: &Catalog, name: &str) -> bool {
    functions::has_effect(name) || super::locks::shares_a_key(name) || catalog.functions.iter().any(|(_, listed)| listed == name)
}
