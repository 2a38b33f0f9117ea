//! Conversions that nobody wrote: on rows of `through` tables they are fenced like what can fail otherwise (see `sql::conversions`).

use super::{Context, Rewriter};
use crate::sql::catalog::{Relation, SYSTEM_COLUMNS};
use crate::sql::conversions::{can_fail, is_firm_call, is_firm_operator, is_firm_type, is_loose};
use crate::sql::nodes;
use crate::sql::scope::{Item, Scope, Thing, Traits, Use};
use crate::sql::tree::Value;
use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, Node, TypeName};
use std::sync::Arc;

/// What a statement may convert of a `through` table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conversions {
    /// It may read one.
    through: bool,
    /// Something in it may make PostgreSQL convert a column.
    pub(super) wanted: bool,
}

impl Conversions {
    /// Of this statement, of which a parameter may make PostgreSQL convert (`loose`). Errs on the side of yes.
    pub(super) fn of(cx: &Context<'_>, loose: bool) -> Self {
        if !cx.catalog.converts || left_out!(cx, Conversions) {
            return Self::default();
        }
        let through = cx.tree.has(&mut |name, part| matches!(name, "RangeVar" | "relation") && may_be_through(cx, part));
        Self { through, wanted: through && (loose || makes_convert(cx)) }
    }
}

fn may_be_through(cx: &Context<'_>, var: &Value) -> bool {
    listed(cx, var).is_some_and(|r| r.through().is_some() || r.is_expanded())
}

/// The listed relation that is named.
fn listed<'c>(cx: &Context<'c>, var: &Value) -> Option<&'c Arc<Relation>> {
    cx.catalog.find(text(var, "schemaname"), text(var, "relname"))
}

fn text<'v>(var: &'v Value, field: &str) -> &'v str {
    var[field].as_str().unwrap_or_default()
}

/// Whether a parameter is declared as of such a type, in Parse or in PREPARE.
pub(super) fn has_loose_parameters(cx: &Context<'_>, statement: &NodeEnum) -> bool {
    let firm = |t: &Node| matches!(&t.node, Some(NodeEnum::TypeName(t)) if firm_type(t));
    let declared = matches!(statement, NodeEnum::PrepareStmt(x) if !x.argtypes.iter().all(firm));
    cx.private.loose_parameters || declared
}

fn makes_convert(cx: &Context<'_>) -> bool {
    let (mut starred, mut shows_loose) = (false, false);
    let found = cx.tree.has(&mut |name, part| match name {
        "TypeName" | "type_name" => !part.is_null() && !last_of(&part["names"]).is_some_and(is_firm_type),
        "ColumnRef" => match last_of(&part["fields"]) {
            Some(column) => cx.catalog.loose_columns.contains(column) || SYSTEM_COLUMNS.contains(&column),
            None => {
                starred = true;
                false
            }
        },
        "FuncCall" => !last_of(&part["funcname"]).is_some_and(is_firm_call),
        "AExpr" => !last_of(&part["name"]).is_some_and(is_operator),
        "RangeVar" => {
            shows_loose |= listed(cx, part).is_some_and(|r| r.columns.iter().any(|c| is_loose(c.type_oid)));
            reads_catalog_or_view(cx, part)
        }
        "colnames" | "aliascolnames" => part.as_array().is_some_and(|names| !names.is_empty()) && !cx.catalog.loose_columns.is_empty(),
        _ => false,
    });
    found || (starred && shows_loose)
}

/// BETWEEN stands in the tree by its name.
fn is_operator(name: &str) -> bool {
    is_firm_operator(name) || name.contains("BETWEEN")
}

fn reads_catalog_or_view(cx: &Context<'_>, var: &Value) -> bool {
    let system = matches!(text(var, "schemaname"), "pg_catalog" | "information_schema") || text(var, "relname").starts_with("pg_");
    system || listed(cx, var).is_some_and(|relation| relation.is_expanded())
}

fn last_of(names: &Value) -> Option<&str> {
    names.as_array()?.last()?.pointer("/node/String/sval")?.as_str()
}

impl Rewriter<'_> {
    /// Whether values of different types may be made alike where that can fail: also a day and a time.
    pub(super) fn may_mix(&self) -> bool {
        self.conversions.through
    }

    /// Marks an expression as one that can fail where the parts of it may be of types that have to be made alike.
    pub(super) fn converted(&self, mut traits: Traits, parts: &[Node]) -> Traits {
        if self.may_mix() && !self.alike(parts) {
            return traits.raising();
        }
        // Elsewhere the guard is looked at first if the condition costs more than the conversion alone.
        if self.may_convert(parts) {
            traits.raising.push(Use::Free);
        }
        if self.may_convert_unseen(parts) {
            let given = |part: &Node| matches!(part.node, Some(NodeEnum::TypeCast(_) | NodeEnum::ParamRef(_)));
            let columns = parts.iter().any(|part| !given(part) && self.is_unseen(part));
            traits = if columns { traits.raising() } else { traits };
            traits.raising.push(Use::Free);
        }
        traits
    }

    /// Whether a column of a type that may fail to become another stands beside what may be of such a one.
    fn may_convert(&self, parts: &[Node]) -> bool {
        let of_column = |part: &Node| match &part.node {
            Some(NodeEnum::ColumnRef(column)) => self.types_of(column),
            _ => None,
        };
        let fallible: Vec<u32> = parts.iter().filter_map(of_column).flatten().filter(|t| can_fail(*t)).collect();
        let other = |part: &Node| match &part.node {
            Some(NodeEnum::AConst(_)) | None => false,
            _ => of_column(part).is_none_or(|types| types.iter().any(|t| fallible.iter().any(|f| f != t))),
        };
        !fallible.is_empty() && parts.iter().any(other)
    }

    /// The same of what nothing is known of: two parameters, what a subquery gives.
    fn may_convert_unseen(&self, parts: &[Node]) -> bool {
        let solid = || parts.iter().filter(|part| !matches!(part.node, Some(NodeEnum::AConst(_)) | None));
        solid().count() > 1 && solid().any(|part| self.is_unseen(part))
    }

    fn is_unseen(&self, part: &Node) -> bool {
        match &part.node {
            Some(NodeEnum::AConst(_)) | None => false,
            Some(NodeEnum::ColumnRef(column)) => self.types_of(column).is_none(),
            Some(NodeEnum::FuncCall(call)) => !nodes::names(&call.funcname).is_some_and(|n| n.last().is_some_and(|n| is_firm_call(n))),
            _ => true,
        }
    }

    /// The columns that USING compares are looked at as soon as a row is read: where that may convert, `through` tables are wrapped.
    pub(super) fn using_converts(&mut self, items: &[Item]) {
        let by_parent = |item: &Item| matches!(&item.thing, Thing::Guarded(_, guard) if !guard.through.is_empty());
        self.early |= self.conversions.wanted && items.iter().any(by_parent);
    }

    /// Whether nothing that is compared here makes another convert: comparisons of days and times take both as they are.
    pub(super) fn compares_alike(&self, sides: [Option<&Node>; 2]) -> bool {
        !self.conversions.wanted || sides.into_iter().flatten().all(|side| self.is_firm(side))
    }

    /// Values of one type, as COALESCE, CASE and GREATEST need them: constants, and columns of a type.
    fn alike(&self, parts: &[Node]) -> bool {
        let mut types = Vec::new();
        let plain = parts.iter().all(|part| match &part.node {
            Some(NodeEnum::ColumnRef(column)) => self.types_of(column).is_some_and(|found| {
                types.extend(found);
                true
            }),
            Some(NodeEnum::AConst(_)) | None => true,
            Some(NodeEnum::ParamRef(_)) => !self.loose,
            _ => false,
        });
        types.sort_unstable();
        types.dedup();
        plain && types.len() <= 1 && types.iter().all(|t| !is_loose(*t))
    }

    /// Whether an expression gives none of the types that make others convert.
    pub(super) fn is_firm(&self, expr: &Node) -> bool {
        let all = |parts: &[Node]| parts.iter().all(|part| self.is_firm(part));
        let both = |left: &Option<Box<Node>>, right: &Option<Box<Node>>| [left, right].into_iter().flatten().all(|side| self.is_firm(side));
        match &expr.node {
            None => true,
            Some(
                NodeEnum::AConst(_)
                | NodeEnum::SqlvalueFunction(_)
                | NodeEnum::BoolExpr(_)
                | NodeEnum::NullTest(_)
                | NodeEnum::BooleanTest(_),
            ) => true,
            Some(NodeEnum::ParamRef(_)) => !self.loose,
            Some(NodeEnum::ColumnRef(column)) => self.types_of(column).is_some_and(|types| types.iter().all(|t| !is_loose(*t))),
            Some(NodeEnum::TypeCast(x)) => x.type_name.as_ref().is_some_and(firm_type),
            Some(NodeEnum::FuncCall(x)) => nodes::names(&x.funcname).and_then(|n| n.last().map(|n| is_firm_call(n))).unwrap_or(false),
            Some(NodeEnum::AExpr(x)) => {
                let firm = nodes::names(&x.name).and_then(|n| n.last().map(|n| is_operator(n))).unwrap_or(false);
                firm && both(&x.lexpr, &x.rexpr)
            }
            Some(NodeEnum::CoalesceExpr(x)) => all(&x.args),
            Some(NodeEnum::MinMaxExpr(x)) => all(&x.args),
            Some(NodeEnum::RowExpr(x)) => all(&x.args),
            Some(NodeEnum::List(x)) => all(&x.items),
            Some(NodeEnum::AArrayExpr(x)) => all(&x.elements),
            Some(NodeEnum::CaseWhen(x)) => both(&x.result, &None),
            Some(NodeEnum::CaseExpr(x)) => x.arg.is_none() && all(&x.args) && both(&x.defresult, &None),
            Some(NodeEnum::CollateClause(x)) => both(&x.arg, &None),
            _ => false,
        }
    }

    /// The types that a column may have; None if something whose columns are not known may be meant.
    pub(super) fn types_of(&self, column: &ColumnRef) -> Option<Vec<u32>> {
        let names = nodes::names(&column.fields)?;
        let (name, item) = match names.as_slice() {
            [name] => (*name, None),
            [item, name] | [_, item, name] => (*name, Some(*item)),
            _ => return None,
        };
        for level in self.levels.iter().rev() {
            let found = types_at(level, name, item)?;
            if !found.is_empty() {
                return Some(found);
            }
        }
        None
    }
}

/// The types of this column at a level, none if it is not there; None where that cannot be told.
fn types_at(level: &Scope, name: &str, item: Option<&str>) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    let mut unknown = false;
    for at in level.items.iter().filter(|at| item.is_none_or(|item| at.name == item)) {
        match &at.thing {
            Thing::Guarded(relation, _) | Thing::Shared(relation) | Thing::Wrapped(relation) => {
                found.extend(relation.columns.iter().filter(|c| c.name == name).map(|c| c.type_oid));
                unknown |= item.is_some() && !relation.has_column(name);
            }
            Thing::Opaque | Thing::Merged => unknown = true,
        }
    }
    (!unknown || !found.is_empty()).then_some(found)
}

fn firm_type(type_name: &TypeName) -> bool {
    nodes::names(&type_name.names).and_then(|n| n.last().map(|n| is_firm_type(n))).unwrap_or(false)
}
