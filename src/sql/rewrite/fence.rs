//! Fences: a condition that can raise an error on a stored value runs only behind the guard.
//!
//! PostgreSQL orders the conditions at a scan by cost and, within one cost, in an order of its own; a cheap raising condition (`a ~ b`) may
//! run before the guard, and its error would quote another tenant's value. So each such condition becomes `CASE WHEN guard THEN … END`,
//! and subqueries beside it become barriers (see `from`).

use super::{Res, Rewriter, free};
use crate::sql::Refusal;
use crate::sql::scope::{Traits, Use, guards_for};
use crate::sql::{functions, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{BoolExpr, BoolExprType, Node, SubLinkType};

impl Rewriter<'_> {
    /// `ROW(…)`, also without the word.
    pub(super) fn row_value(&mut self, parts: &mut [Node]) -> Res<Traits> {
        self.row_values += 1;
        self.exprs(parts)
    }

    /// The value of a target. One that holds a row counts as what can fail: what is done with it outside may compare it.
    pub(super) fn target_value(&mut self, value: Option<&mut Box<Node>>) -> Res<Traits> {
        let rows = self.row_values;
        let traits = self.optional(value)?;
        Ok(if self.row_values > rows { traits.raising() } else { traits })
    }

    /// Whether an operand is certainly, or may be, a whole row of an item of FROM: a comparison of such rows can fail on what is equal.
    pub(super) fn is_whole_row(&self, operand: Option<&Node>) -> bool {
        let Some(NodeEnum::ColumnRef(column)) = operand.and_then(|n| n.node.as_ref()) else { return false };
        match nodes::names(&column.fields).as_deref() {
            Some([name]) => self.levels.iter().flat_map(|l| &l.items).any(|i| i.name == *name),
            _ => false,
        }
    }

    /// Rewrites a condition (WHERE, ON); true if some part of it had to be fenced. The smallest part that raises is fenced, so that a
    /// comparison stays one that an index or a join can use. The value of a condition on a row that the guard removes does not matter.
    pub(super) fn condition(&mut self, condition: &mut Node) -> Res<bool> {
        self.condition_part(condition, true)
    }

    /// `apart`: PostgreSQL looks at it as a condition of its own, not as a part of one.
    fn condition_part(&mut self, condition: &mut Node, apart: bool) -> Res<bool> {
        match condition.node.as_mut() {
            Some(NodeEnum::BoolExpr(x)) => return self.connected(x, apart),
            Some(NodeEnum::NullTest(x)) if !is_row_of(x.arg.as_deref()) => {
                self.values_alone(x.arg.as_deref());
                self.mark_alone(x.arg.as_deref());
                return self.condition_of(x.arg.as_mut());
            }
            Some(NodeEnum::BooleanTest(x)) => return self.condition_of(x.arg.as_mut()),
            Some(NodeEnum::AExpr(x)) if !is_row_of(x.lexpr.as_deref()) && !is_row_of(x.rexpr.as_deref()) => {
                return self.comparison(condition);
            }
            Some(NodeEnum::SubLink(x)) if !is_row_of(x.testexpr.as_deref()) && x.oper_name.is_empty() && !self.test_fails(x) => {
                self.mark_test(x);
                let mut test = x.testexpr.take();
                let fenced = self.condition_of(test.as_mut());
                let kinds = [SubLinkType::ExistsSublink, SubLinkType::AnySublink, SubLinkType::ExprSublink];
                self.alone = apart && kinds.iter().any(|kind| x.sub_link_type == *kind as i32);
                let traits = self.sublink(x);
                x.testexpr = test;
                return Ok(self.fence_if(condition, &traits?, false)? | fenced?);
            }
            _ => {}
        }
        let traits = self.expr(condition)?;
        self.fence_if(condition, &traits, false)
    }

    /// Parts of AND, OR and NOT.
    fn connected(&mut self, x: &mut BoolExpr, apart: bool) -> Res<bool> {
        let kind = BoolExprType::try_from(x.boolop).unwrap_or(BoolExprType::Undefined);
        let exists = |n: &Node| matches!(&n.node, Some(NodeEnum::SubLink(l)) if l.sub_link_type == SubLinkType::ExistsSublink as i32);
        let mut fenced = false;
        for part in &mut x.args {
            let apart = apart && (kind == BoolExprType::AndExpr || (kind == BoolExprType::NotExpr && exists(part)));
            fenced |= self.condition_part(part, apart)?;
        }
        Ok(fenced)
    }

    fn condition_of(&mut self, part: Option<&mut Box<Node>>) -> Res<bool> {
        let Some(part) = part else { return Ok(false) };
        let traits = self.expr(part)?;
        self.fence_if(part, &traits, false)
    }

    /// An operation: its left side alone is fenced where neither the operator nor the right side raises, or its right side alone.
    fn comparison(&mut self, condition: &mut Node) -> Res<bool> {
        let Some(NodeEnum::AExpr(x)) = condition.node.as_mut() else { return Ok(false) };
        self.mark_operands(x);
        self.told_from_null(x);
        self.resolve_beside(x)?;
        let costly = [&x.lexpr, &x.rexpr].map(|side| side.as_ref().is_some_and(|s| free::is_costly(&self.cx.catalog.hazards, x, s)));
        let mut left = self.optional(x.lexpr.as_mut())?;
        let right = self.optional(x.rexpr.as_mut())?;
        let list = matches!(x.rexpr.as_ref().and_then(|r| r.node.as_ref()), Some(NodeEnum::List(_)));
        let by_parent = self.levels.iter().any(free::is_by_parent);
        let late = costly[1] && !by_parent && right.raising.iter().all(|used| *used == Use::Free);
        if !self.is_quiet(x)? || (list && right.raises() && !late) {
            let quiet = self.is_quiet(x)?;
            left.add(right);
            left.varies |= self.is_late_operator(x);
            let traits = if quiet { left } else { left.raising() };
            return self.fence_if(condition, &traits, false);
        }
        let mut fenced = false;
        for ((side, traits), costly) in [(x.lexpr.as_mut(), left), (x.rexpr.as_mut(), right)].into_iter().zip(costly) {
            if let Some(side) = side {
                fenced |= self.fence_if(side, &traits, costly)?;
            }
        }
        Ok(fenced)
    }

    /// `costly`: the condition in which the part stands costs more than a guard, if the part costs anything.
    fn fence_if(&mut self, part: &mut Node, traits: &Traits, costly: bool) -> Res<bool> {
        self.raisings += usize::from(traits.raises());
        let costly = (costly || self.full || left_out!(self.cx, Free)) && (self.full || !self.levels.iter().any(free::is_by_parent));
        if costly && traits.raising.iter().all(|used| *used == Use::Free) {
            // The filter of a catalog may cost more.
            self.fences += usize::from(traits.raises() && !self.catalogs.items.is_empty());
            return Ok(traits.raises());
        }
        if traits.raises() && !left_out!(self.cx, Fence) {
            self.fence(part, traits, costly)?;
        }
        Ok(traits.raises())
    }

    /// An index that gives rows in an operator's order works it out for each row that it holds, before any filter of the scan (Index Scan, Order By).
    pub(super) fn distance(&mut self, expr: &mut Node, traits: &Traits) -> Res<()> {
        let orders = match &expr.node {
            Some(NodeEnum::AExpr(x)) => nodes::names(&x.name).is_some_and(|n| n.last().is_some_and(|n| functions::may_order_rows(n))),
            _ => false,
        };
        let filtered = self.levels.last().is_some_and(|level| level.passed || level.written);
        if orders && filtered && traits.raises() && !left_out!(self.cx, Distances) {
            self.fence(expr, traits, false)?;
        }
        Ok(())
    }

    fn fence(&mut self, condition: &mut Node, traits: &Traits, costly: bool) -> Res<()> {
        self.raised = true;
        self.fences += 1;
        let mut uses = self.fence_uses(&traits.raising);
        uses.retain(|used| !(costly && *used == Use::Free));
        let wide = if self.aggregated > 0 { Use::Beside } else { Use::Any };
        uses.iter_mut().filter(|used| matches!(used, Use::Free | Use::Any)).for_each(|used| used.clone_from(&wide));
        let mut due = guards_for(&self.levels, &uses);
        if due.is_empty() && !costly {
            // What it reads needs no guard, but whether it is looked at may tell of what stands beside it.
            due = guards_for(&self.levels, &[wide]);
        }
        let mut guards = Vec::new();
        for (guard, may_be_absent) in due {
            if !may_be_absent {
                guards.push(guard.predicate());
            } else if guard.not_null {
                guards.push(guard.predicate_or_absent());
            } else {
                let place = nodes::location(condition).and_then(|l| self.at(l));
                return Err(Refusal::not_understood("a condition that can fail cannot be guarded across an outer join here")
                    .detail(format!("Column \"{}\" of \"{}\" may be NULL.", guard.witness(), guard.reference))
                    .hint("Declare the column NOT NULL.")
                    .at(place));
            }
        }
        if !guards.is_empty() {
            let inner = std::mem::take(condition);
            *condition = nodes::case(nodes::and(guards), inner, None);
        }
        Ok(())
    }
}

fn is_row_of(node: Option<&Node>) -> bool {
    node.is_some_and(|n| matches!(n.node, Some(NodeEnum::RowExpr(_))))
}
