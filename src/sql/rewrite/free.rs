//! What reads no column and can fail: as it is looked at row by row, it tells that there was a row that the conditions before it let pass.
//!
//! PostgreSQL puts a guard behind all conditions that cost no more: it takes the equality with a constant apart, and puts it back last
//! (equivclass.c), and the order is that of costs (order_qual_clauses in createplan.c; one for each function and operator, nothing for CASE,
//! COALESCE, IS NULL, and for what a subquery gave). So what fails is fenced unless its condition certainly costs more than a guard.

use super::{Res, Rewriter};
use crate::sql::hazards::Hazards;
use crate::sql::scope::{Scope, Thing, Traits, Use};
use crate::sql::{conversions, functions, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{AArrayExpr, AExpr, AExprKind, Node, SelectStmt, TypeName, a_const};

fn is_constant(node: &Node) -> bool {
    matches!(node.node, Some(NodeEnum::AConst(_)))
}

/// An element that is certainly no array.
fn is_no_array(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::SqlvalueFunction(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.type_name.as_ref().is_some_and(|t| {
            t.array_bounds.is_empty() && nodes::names(&t.names).is_some_and(|n| n.last().is_some_and(|n| conversions::is_firm_type(n)))
        }),
        _ => false,
    }
}

/// An operator between numbers, from which the planner makes another where they are constants.
fn is_arithmetic(x: &AExpr) -> bool {
    fn number(node: &Option<Box<Node>>) -> bool {
        match node.as_ref().and_then(|n| n.node.as_ref()) {
            None => true,
            Some(NodeEnum::AConst(c)) => matches!(c.val, Some(a_const::Val::Ival(_) | a_const::Val::Fval(_))),
            Some(NodeEnum::AExpr(x)) => is_arithmetic(x),
            _ => false,
        }
    }
    let operator = nodes::names(&x.name).is_some_and(|n| n.last().is_some_and(|n| ["+", "-", "*", "/", "%"].contains(n)));
    operator && number(&x.lexpr) && number(&x.rexpr)
}

/// `now() - interval '7 days'`, `CURRENT_DATE + 7`: whether it certainly cannot fail; None for what is no such thing, whatever the span.
pub(super) fn span_from_now(x: &AExpr) -> Option<bool> {
    let sides = (x.lexpr.as_ref().and_then(|n| n.node.as_ref()), x.rexpr.as_ref().and_then(|n| n.node.as_ref()));
    let (Some(base), Some(span)) = sides else { return None };
    let moves = nodes::names(&x.name).is_some_and(|n| matches!(n.as_slice(), ["+" | "-"]));
    let now = match base {
        NodeEnum::SqlvalueFunction(_) => true,
        NodeEnum::FuncCall(call) => call.args.is_empty() && nodes::names(&call.funcname).is_some_and(|n| n.last() == Some(&"now")),
        _ => false,
    };
    let text = |c: &Node| match &c.node {
        Some(NodeEnum::AConst(c)) => match &c.val {
            Some(a_const::Val::Sval(s)) => functions::is_short_span(&s.sval),
            _ => false,
        },
        _ => false,
    };
    let short = match span {
        NodeEnum::AConst(c) => matches!(&c.val, Some(a_const::Val::Ival(i)) if (0..10_000).contains(&i.ival)),
        NodeEnum::TypeCast(cast) => {
            // `interval '9999' year` says the unit elsewhere.
            let bare = |t: &TypeName| t.typmods.is_empty() && nodes::names(&t.names).is_some_and(|n| n.last() == Some(&"interval"));
            cast.type_name.as_ref().is_some_and(bare) && cast.arg.as_deref().is_some_and(text)
        }
        _ => false,
    };
    (moves && now).then_some(short)
}

/// Whether a comparison costs more than a guard if this side of it costs anything: no constant makes less of it. `= true` goes away where what
/// stands beside it is a condition itself.
pub(super) fn is_costly(hazards: &Hazards, x: &AExpr, side: &Node) -> bool {
    let Some(name) = nodes::names(&x.name).and_then(|n| n.last().map(|n| (*n).to_owned())) else { return false };
    let element = |n: &Node| {
        matches!(n.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::ColumnRef(_))) || is_no_condition(hazards, n)
    };
    let other = |side: &Node| [&x.lexpr, &x.rexpr].into_iter().flatten().map(AsRef::as_ref).find(|s: &&Node| !std::ptr::eq(*s, side));
    match AExprKind::try_from(x.kind) {
        // `x = x` becomes `x IS NOT NULL` (equivclass.c).
        Ok(AExprKind::AexprOp) => match name.as_str() {
            "=" | "<>" | "!=" => is_no_condition(hazards, side) && other(side).is_some_and(is_plain),
            _ => true,
        },
        Ok(AExprKind::AexprIn) => {
            x.lexpr.as_deref().is_some_and(is_plain) && matches!(&side.node, Some(NodeEnum::List(list)) if list.items.iter().all(element))
        }
        Ok(AExprKind::AexprLike | AExprKind::AexprIlike) => true,
        Ok(AExprKind::AexprBetween | AExprKind::AexprNotBetween) => true,
        _ => false,
    }
}

fn is_plain(side: &Node) -> bool {
    matches!(side.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::ColumnRef(_)))
}

fn is_no_condition(hazards: &Hazards, side: &Node) -> bool {
    match &side.node {
        Some(NodeEnum::TypeCast(cast)) => {
            let parameter = matches!(cast.arg.as_ref().and_then(|a| a.node.as_ref()), Some(NodeEnum::ParamRef(_)));
            let names = cast.type_name.as_ref().and_then(|t| nodes::names(&t.names)).unwrap_or_default();
            parameter || (names.last() != Some(&"bool") && !hazards.may_be_domain(&names))
        }
        Some(NodeEnum::AExpr(x)) => nodes::names(&x.name).is_some_and(|n| matches!(n.as_slice(), ["+" | "-" | "*" | "/" | "%" | "||"])),
        _ => false,
    }
}

impl Rewriter<'_> {
    /// A literal as a value of its type, which is made as the statement is read, or a number as one of these, as it is planned.
    pub(super) fn is_made_while_planning(&self, operand: Option<&Node>, to: &TypeName) -> bool {
        let constant = match operand.and_then(|n| n.node.as_ref()) {
            Some(NodeEnum::AConst(constant)) => constant,
            Some(NodeEnum::AArrayExpr(array)) => {
                return array.elements.iter().all(|e| is_constant(e) && self.is_made_while_planning(Some(e), to));
            }
            _ => return false,
        };
        let number = matches!(constant.val, Some(a_const::Val::Ival(_) | a_const::Val::Fval(_) | a_const::Val::Boolval(_)));
        let named = nodes::names(&to.names).unwrap_or_default();
        let plain = ["int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "bool"];
        !self.cx.catalog.hazards.may_be_domain(&named) && (!number || named.last().is_some_and(|n| plain.contains(n)))
    }

    /// An array costs nothing and fails where its elements are arrays of different lengths, so that no condition around it has to cost more than a guard.
    pub(super) fn array(&mut self, x: &mut AArrayExpr) -> Res<Traits> {
        let flat = x.elements.iter().all(is_no_array);
        let mut traits = self.exprs(&mut x.elements)?.raising();
        traits.raising.extend((!flat && !left_out!(self.cx, Arrays)).then_some(Use::Any));
        Ok(traits)
    }

    /// `x.f` may be the call `f(x)` (true where that can fail): a field that is no column of the relation must not be the name of a function
    /// that is not listed, nor be given a row with a hidden column.
    pub(super) fn field(&self, field: &str, relation: Option<&str>, place: Option<u32>) -> Res<bool> {
        self.tells_no_lock(relation, field, place)?;
        let own = relation.and_then(|r| self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == r));
        if own.is_some_and(|item| item.has_column(field)) || relation.is_some_and(|r| self.is_catalog_column(r, field)) {
            return Ok(false);
        }
        let call = functions::field(field);
        let hides = own.is_some_and(|i| i.hides.is_some() || i.carries.is_some());
        let refused = call == functions::Field::Refused || (hides && call != functions::Field::Nothing);
        if refused || self.cx.catalog.unsafe_fields.contains(field) {
            return Err(crate::sql::Refusal::with_state("42703", format!("column \"{field}\" does not exist"))
                .detail("A field of this name would be read as a call of the function of that name.")
                .at(place));
        }
        let quiet = call == functions::Field::Call { raises: false } && self.calls_with_any_collation(field);
        let cast = self.cx.catalog.hazards.is_own_type(field);
        let raises = !quiet && (cast || call != functions::Field::Nothing) && !left_out!(self.cx, FieldCall);
        // Of what a subquery gives it is a column; what a function gives may be a value alone.
        let opaque = own.is_some_and(|i| matches!(i.thing, Thing::Opaque));
        Ok(raises && (!opaque || self.levels.iter().any(is_by_parent)))
    }

    /// Whether the planner may make no constant of an operator between constants: with a time zone or a text search configuration, of arrays and
    /// text (pg_proc, provolatile), or of the operator's own.
    pub(super) fn is_late_operator(&self, x: &AExpr) -> bool {
        let names = nodes::names(&x.name).unwrap_or_default();
        let late = |name: &&str| matches!(*name, "+" | "-" | "@@" | "||") || self.cx.catalog.operators.contains(*name);
        !is_arithmetic(x) && names.last().is_none_or(late)
    }

    /// Whether an operand may be a value that cannot be compared without a chance to fail: in a database with such columns, what is not plain may.
    pub(super) fn may_be_shape(&self, operand: &Node) -> bool {
        let shapes = &self.cx.catalog.hazards.shapes;
        if shapes.is_empty() && !self.odd {
            return false;
        }
        match &operand.node {
            Some(NodeEnum::ParamRef(_)) => self.odd,
            Some(NodeEnum::ColumnRef(c)) if self.types_of(c).is_none() => true,
            Some(NodeEnum::ColumnRef(c)) => nodes::names(&c.fields).is_none_or(|n| n.last().is_none_or(|n| shapes.contains(*n))),
            Some(NodeEnum::AConst(_) | NodeEnum::SqlvalueFunction(_)) | None => false,
            Some(NodeEnum::TypeCast(cast)) => {
                let target = cast.type_name.as_ref().and_then(|t| nodes::names(&t.names).and_then(|n| n.last().map(|n| (*n).to_owned())));
                !target.is_some_and(|name| conversions::is_firm_type(&name) && name != "json")
            }
            Some(NodeEnum::List(list)) => list.items.iter().any(|item| self.may_be_shape(item)),
            _ => true,
        }
    }

    /// Rows of a level are still to be filtered by a join, and something else of FROM can fail: whether it is looked at tells of them.
    pub(super) fn early_items(&mut self, scope: &Scope) {
        let lazy = scope.items.iter().any(|i| matches!(i.thing, Thing::Opaque));
        self.early |= lazy && (self.raisings > 0 || self.sorts_oddly()) && by_parent(scope) && !left_out!(self.cx, EarlyParents);
    }

    /// Keys by which rows are sorted may be made before a join (since PostgreSQL 13, below Gather Merge; those of an aggregate since 16, planner.c,
    /// adjust_group_pathkeys_for_groupagg): where one can fail, tables whose guard is a join are wrapped. `before` is how many expressions raised before the target list.
    pub(super) fn early_keys(&mut self, select: &SelectStmt, before: usize, sorted: usize, arm: bool) {
        let keyed = arm
            || self.sorted_calls != sorted
            || [&select.sort_clause, &select.group_clause, &select.distinct_clause, &select.window_clause].iter().any(|c| !c.is_empty());
        let here = self.levels.last().is_some_and(by_parent);
        let fails = self.raisings != before || self.compares_oddly();
        self.early |= keyed && here && fails && !left_out!(self.cx, EarlyKeys);
    }

    /// The uses that a fence has to guard against: all of a level whose rows are filtered by a join, so that nothing tells of its rows.
    pub(super) fn fence_uses(&self, raising: &[Use]) -> Vec<Use> {
        let mut uses = raising.to_vec();
        if self.levels.last().is_some_and(is_by_parent) {
            uses.push(Use::Beside);
        }
        uses
    }
}

fn by_parent(level: &Scope) -> bool {
    level.items.iter().any(|i| matches!(&i.thing, Thing::Guarded(_, guard) if !guard.through.is_empty()))
}

/// Whether rows of a level are still to be filtered by way of their parents.
pub(super) fn is_by_parent(level: &Scope) -> bool {
    !level.passed && by_parent(level)
}
