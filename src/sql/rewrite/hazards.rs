//! What fails in some databases only (see `sql::hazards`).

use super::{Context, Res, Rewriter, collations};
use crate::policy::Home;
use crate::sql::catalog::Relation;
use crate::sql::hazards::Hazards;
use crate::sql::scope::Thing;
use crate::sql::tree::Value;
use crate::sql::{Refusal, conversions, functions, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, CaseExpr, JoinExpr, Node, SubLink, TypeName};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether a statement may make values that cannot be compared without a chance to fail, of no column: by a parameter, a type or a function.
pub(super) fn is_odd(cx: &Context<'_>) -> bool {
    let hazards = &cx.catalog.hazards;
    // As it is written, and as PostgreSQL folds it; an escaped name is in no word.
    let folded = cx.own.text.to_lowercase();
    let makes = |word: &str| hazards.makes_shape(word) || word.starts_with("json_");
    let words = |text: &str| text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).any(makes);
    if !folded.contains("u&") && !words(cx.own.text) && (folded == cx.own.text || !words(&folded)) {
        return false;
    }
    let last =
        |names: &Value| names.as_array().and_then(|n| n.last()).and_then(|n| n.pointer("/node/String/sval")?.as_str()).map(str::to_owned);
    cx.tree.has(&mut |name, part| match name {
        "TypeName" | "type_name" => last(&part["names"]).is_some_and(|n| hazards.makes_shape(&n)),
        "FuncCall" => last(&part["funcname"]).is_some_and(|n| hazards.makes_shape(&n)),
        // Values of type json; of others the type is named.
        "JsonObjectConstructor" | "JsonArrayConstructor" | "JsonObjectAgg" | "JsonArrayAgg" | "JsonParseExpr" | "JsonScalarExpr" => true,
        _ => false,
    })
}

/// Makes a temporary relation of which nothing later would know that comparing its columns can fail.
pub(super) fn is_misfit(cx: &Context<'_>, statement: &NodeEnum) -> bool {
    let makes = match statement {
        NodeEnum::CreateStmt(_) | NodeEnum::CreateTableAsStmt(_) | NodeEnum::ViewStmt(_) | NodeEnum::AlterTableStmt(_) => true,
        NodeEnum::SelectStmt(select) => select.into_clause.is_some(),
        _ => false,
    };
    makes && cx.catalog.home == Home::Rows
}

impl Rewriter<'_> {
    /// Whether a reference certainly stands for stored values: a column that is computed as it is read can fail, and so can a row that has one.
    pub(super) fn is_stored(&self, names: &[&str], star: bool) -> bool {
        let computed = &self.cx.catalog.hazards.computed;
        let row = |name: &str| names.len() == 1 && self.levels.iter().flat_map(|l| &l.items).any(|i| i.name == name);
        let item = (names.len() > 1).then(|| names[names.len() - 2]);
        let opaque = || {
            self.levels.iter().flat_map(|l| &l.items).any(|i| matches!(i.thing, Thing::Opaque) && item.is_none_or(|name| i.name == name))
        };
        let named = |names: &[&str]| names.last().is_some_and(|name| computed.contains(*name) || row(name)) || opaque();
        computed.is_empty() || left_out!(self.cx, Computed) || !(star || named(names))
    }

    /// `xmax` of a row that all tenants read tells that one of them holds it locked, or refers to it.
    pub(super) fn tells_no_lock(&self, item: Option<&str>, field: &str, place: Option<u32>) -> Res<()> {
        let shared = |thing: &Thing| matches!(thing, Thing::Shared(relation) if relation.is_shared());
        let mut items = self.levels.iter().flat_map(|l| &l.items).filter(|i| item.is_none_or(|name| i.name == name));
        if field == "xmax" && items.any(|i| shared(&i.thing)) {
            return Err(Refusal::not_understood("xmax of rows that all tenants read is not supported").at(place));
        }
        Ok(())
    }

    /// `age` of a transaction id counts everybody's transactions: its one argument must certainly be a time.
    pub(super) fn counts_no_transactions(&self, name: &str, args: &[Node], place: Option<u32>) -> Res<()> {
        if name != "age" || !matches!(args, [one] if !self.is_time(one)) {
            return Ok(());
        }
        Err(Refusal::not_understood("age of what may be a transaction id is not supported")
            .hint("Cast the argument to timestamptz, or to the type that it has.")
            .at(place))
    }

    fn is_time(&self, expr: &Node) -> bool {
        match &expr.node {
            Some(NodeEnum::ColumnRef(column)) => self.types_of(column).is_some_and(|types| types.into_iter().all(functions::is_time)),
            Some(NodeEnum::TypeCast(cast)) => {
                let names = cast.type_name.as_ref().and_then(|t| nodes::names(&t.names)).unwrap_or_default();
                !self.cx.catalog.hazards.may_be_domain(&names) && names.last().is_some_and(|n| functions::is_time_by_name(n))
            }
            Some(NodeEnum::SqlvalueFunction(_)) => true,
            Some(NodeEnum::FuncCall(call)) => match nodes::names(&call.funcname).and_then(|n| n.last().map(|n| (*n).to_owned())).as_deref()
            {
                Some("max" | "min") => call.args.iter().all(|arg| self.is_time(arg)),
                Some(name) => functions::gives_time(name),
                None => false,
            },
            Some(NodeEnum::CoalesceExpr(x)) => x.args.iter().all(|arg| self.is_time(arg)),
            _ => false,
        }
    }

    /// Whether a call, an operator or a choice between values meets two collations of which none is certain.
    pub(super) fn meets_collations(&self, expr: &Node) -> bool {
        let looks = || {
            matches!(
                expr.node,
                Some(NodeEnum::AExpr(_) | NodeEnum::FuncCall(_) | NodeEnum::CaseExpr(_) | NodeEnum::MinMaxExpr(_) | NodeEnum::SubLink(_))
            )
        };
        self.collations && looks() && collations::meet_in(expr)
    }

    /// Whether what USING or NATURAL merges is alike, and compared, without a chance to fail: columns of listed relations, which are known.
    pub(super) fn merges_safely(&mut self, join: &JoinExpr) -> bool {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let known = |side: &Option<Box<Node>>, out: &mut _| side.as_deref().is_some_and(|side| self.tables_of(side, out));
        let known = known(&join.larg, &mut left) & known(&join.rarg, &mut right);
        let columns = |tables: &[Arc<Relation>], name: &str| {
            let all = tables.iter().flat_map(|t| &t.columns).filter(|c| c.name == name);
            all.map(|c| (c.type_oid, c.collation)).collect::<Vec<_>>()
        };
        let names: BTreeSet<&str> = match join.is_natural {
            true => left.iter().flat_map(|t| &t.columns).map(|c| c.name.as_str()).filter(|n| !columns(&right, n).is_empty()).collect(),
            false => nodes::names(&join.using_clause).unwrap_or_default().into_iter().collect(),
        };
        let hazards = &self.cx.catalog.hazards;
        let loud = |name: &str| {
            let found = [columns(&left, name), columns(&right, name)].concat();
            let meet = self.collations && found.windows(2).any(|pair| pair[0].1 != pair[1].1);
            meet || hazards.shapes.contains(name) || hazards.computed.contains(name)
        };
        let odd = self.collations || !(hazards.shapes.is_empty() && hazards.computed.is_empty());
        let loud = names.iter().any(|name| loud(name)) || (!known && odd);
        self.merged_loudly(loud);
        let alike = |name: &str| {
            let found = [columns(&left, name), columns(&right, name)].concat();
            found.windows(2).all(|pair| pair[0].0 == pair[1].0) || !found.into_iter().any(|(oid, _)| conversions::can_fail(oid))
        };
        known && !loud && names.into_iter().all(alike)
    }

    /// A join that can fail by what it compares tells whether it is run: no table whose guard is a join stands in such a statement.
    fn merged_loudly(&mut self, loud: bool) {
        let through = || self.cx.catalog.relations.values().any(|r| r.through().is_some());
        self.early |= loud && through() && !left_out!(self.cx, EarlyParents);
    }

    /// The listed relations that a side of a join is made of; false where there is something else in it.
    fn tables_of(&self, side: &Node, out: &mut Vec<Arc<Relation>>) -> bool {
        match &side.node {
            Some(NodeEnum::RangeVar(var)) if !self.is_cte(var) && self.temp_of(var).is_none() => {
                let renamed = var.alias.as_ref().is_some_and(|a| !a.colnames.is_empty());
                let found = self.cx.catalog.find(&var.schemaname, &var.relname).filter(|_| !renamed);
                out.extend(found.cloned());
                found.is_some()
            }
            Some(NodeEnum::JoinExpr(join)) => {
                let sides = [&join.larg, &join.rarg].into_iter().flatten();
                let unknown = sides.map(|side| self.tables_of(side, out)).filter(|known| !known).count();
                unknown == 0 && join.alias.is_none()
            }
            _ => false,
        }
    }

    /// Whether a column of a type that may fail to become another stands beside an array that may be of another: an empty one makes ANY cost nothing.
    pub(super) fn meets_other_array(&self, x: &AExpr) -> bool {
        let any = matches!(AExprKind::try_from(x.kind), Ok(AExprKind::AexprOpAny | AExprKind::AexprOpAll));
        let (Some(left), Some(right)) = (&x.lexpr, &x.rexpr) else { return false };
        let fallible = match &left.node {
            Some(NodeEnum::ColumnRef(column)) => self.types_of(column).is_none_or(|types| types.into_iter().any(conversions::can_fail)),
            Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) | None => false,
            Some(_) => true,
        };
        any && fallible && !self.is_firm_array(right)
    }

    fn is_firm_array(&self, array: &Node) -> bool {
        let firm = |t: &TypeName| nodes::names(&t.names).is_some_and(|n| n.last().is_some_and(|n| conversions::is_firm_type(n)));
        match &array.node {
            // A literal takes the type of the other side.
            Some(NodeEnum::AConst(_)) => true,
            Some(NodeEnum::ParamRef(_)) => !self.loose,
            Some(NodeEnum::TypeCast(cast)) => cast.type_name.as_ref().is_some_and(firm),
            Some(NodeEnum::AArrayExpr(array)) => !array.elements.is_empty() && array.elements.iter().all(|e| self.is_firm(e)),
            _ => false,
        }
    }

    /// Whether some of these may be values that cannot be compared without a chance to fail.
    pub(super) fn may_be_shapes<'n>(&self, parts: impl IntoIterator<Item = &'n Node>) -> bool {
        parts.into_iter().any(|part| self.may_be_shape(part))
    }

    /// The same of what `CASE x WHEN y` compares.
    pub(super) fn compares_shapes(&self, case: &CaseExpr) -> bool {
        let when = |arm: &Node| matches!(&arm.node, Some(NodeEnum::CaseWhen(w)) if w.expr.as_deref().is_some_and(|e| self.may_be_shape(e)));
        case.arg.as_deref().is_some_and(|arg| self.may_be_shape(arg) || case.args.iter().any(when))
    }

    /// The same of what stands before IN and a subquery: its columns are like it.
    fn tests_shape(&self, test: Option<&Node>) -> bool {
        let untyped = |n: &Node| matches!(n.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)));
        let any = self.odd || !self.cx.catalog.hazards.shapes.is_empty();
        any && test.is_some_and(|t| untyped(t) || self.may_be_shape(t))
    }

    /// Whether comparing what stands before IN with what the subquery gives can fail in this database.
    pub(super) fn test_fails(&self, link: &SubLink) -> bool {
        link.testexpr.is_some() && (self.collations || self.tests_shape(link.testexpr.as_deref()))
    }

    /// Whether a DISTINCT, GROUP BY, ORDER BY or UNION, which name no operator, may compare what cannot be compared.
    pub(super) fn sorts_oddly(&self) -> bool {
        self.odd || self.collations
    }

    /// Whether some comparison in the statement may fail in this database.
    pub(super) fn compares_oddly(&self) -> bool {
        self.sorts_oddly() || !self.cx.catalog.hazards.shapes.is_empty()
    }

    /// Whether an operator never looks into texts by a collation that does not let it.
    pub(super) fn takes_any_collation(&self, operator: &str) -> bool {
        !self.cx.catalog.hazards.collations || Hazards::is_plain_operator(operator)
    }

    /// The same of a function.
    pub(super) fn calls_with_any_collation(&self, name: &str) -> bool {
        !self.cx.catalog.hazards.collations || functions::is_aggregate(name)
    }
}
