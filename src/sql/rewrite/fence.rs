//! Fences: a condition that can raise an error on a stored value runs only behind the guard.
//!
//! PostgreSQL orders the conditions at a scan by cost and, within one cost, in an order of its own; a cheap raising condition (`a ~ b`) may
//! run before the guard, and its error would quote another tenant's value. So each such condition becomes `CASE WHEN guard THEN … END`,
//! and subqueries beside it become barriers (see `from`).

use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::nodes;
use crate::sql::scope::{Traits, guards_for};
use pg_query::NodeEnum;
use pg_query::protobuf::Node;

impl Rewriter<'_> {
    /// Rewrites a condition (WHERE, ON); true if some part of it had to be fenced. The smallest part that raises is fenced, so that a
    /// comparison stays one that an index or a join can use. The value of a condition on a row that the guard removes does not matter.
    pub(super) fn condition(&mut self, condition: &mut Node) -> Res<bool> {
        match condition.node.as_mut() {
            Some(NodeEnum::BoolExpr(x)) => {
                let mut fenced = false;
                for part in &mut x.args {
                    fenced |= self.condition(part)?;
                }
                return Ok(fenced);
            }
            Some(NodeEnum::NullTest(x)) if !is_row_of(x.arg.as_deref()) => {
                self.values_alone(x.arg.as_deref());
                self.mark_alone(x.arg.as_deref());
                return self.condition_of(x.arg.as_mut());
            }
            Some(NodeEnum::BooleanTest(x)) => return self.condition_of(x.arg.as_mut()),
            Some(NodeEnum::AExpr(x)) if !is_row_of(x.lexpr.as_deref()) && !is_row_of(x.rexpr.as_deref()) => {
                return self.comparison(condition);
            }
            Some(NodeEnum::SubLink(x)) if !is_row_of(x.testexpr.as_deref()) && x.oper_name.is_empty() => {
                self.mark_test(x);
                let mut test = x.testexpr.take();
                let fenced = self.condition_of(test.as_mut());
                let traits = self.sublink(x);
                x.testexpr = test;
                return Ok(self.fence_if(condition, &traits?)? | fenced?);
            }
            _ => {}
        }
        let traits = self.expr(condition)?;
        self.fence_if(condition, &traits)
    }

    fn condition_of(&mut self, part: Option<&mut Box<Node>>) -> Res<bool> {
        let Some(part) = part else { return Ok(false) };
        let traits = self.expr(part)?;
        self.fence_if(part, &traits)
    }

    /// An operation: its left side alone is fenced where neither the operator nor the right side raises, or its right side alone.
    fn comparison(&mut self, condition: &mut Node) -> Res<bool> {
        let Some(NodeEnum::AExpr(x)) = condition.node.as_mut() else { return Ok(false) };
        self.mark_operands(x);
        self.told_from_null(x);
        self.resolve_beside(x)?;
        let mut left = self.optional(x.lexpr.as_mut())?;
        let right = self.optional(x.rexpr.as_mut())?;
        let list = matches!(x.rexpr.as_ref().and_then(|r| r.node.as_ref()), Some(NodeEnum::List(_)));
        if !self.is_quiet(x)? || (list && right.raises()) {
            let quiet = self.is_quiet(x)?;
            left.add(right);
            let traits = if quiet { left } else { left.raising() };
            return self.fence_if(condition, &traits);
        }
        let mut fenced = false;
        for (side, traits) in [(x.lexpr.as_mut(), left), (x.rexpr.as_mut(), right)] {
            if let Some(side) = side {
                fenced |= self.fence_if(side, &traits)?;
            }
        }
        Ok(fenced)
    }

    fn fence_if(&mut self, part: &mut Node, traits: &Traits) -> Res<bool> {
        if traits.raises() && !left_out!(self.cx, Fence) {
            self.fence(part, traits)?;
        }
        Ok(traits.raises())
    }

    fn fence(&mut self, condition: &mut Node, traits: &Traits) -> Res<()> {
        self.raised = true;
        self.fences += 1;
        let mut guards = Vec::new();
        for (guard, may_be_absent) in guards_for(&self.levels, &traits.raising) {
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
