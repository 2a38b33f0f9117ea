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
use pg_query::protobuf::{BoolExprType, Node};

impl Rewriter<'_> {
    /// Rewrites a condition (WHERE, ON, HAVING); true if some part of it had to be fenced.
    pub(super) fn condition(&mut self, condition: &mut Node) -> Res<bool> {
        if let Some(NodeEnum::BoolExpr(both)) = condition.node.as_mut()
            && both.boolop == BoolExprType::AndExpr as i32
        {
            let mut fenced = false;
            for part in &mut both.args {
                fenced |= self.condition(part)?;
            }
            return Ok(fenced);
        }
        let traits = self.expr(condition)?;
        if traits.raises() {
            self.fence(condition, &traits)?;
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
                    .detail(format!("Column \"{}\" of \"{}\" may be NULL.", guard.column, guard.reference))
                    .hint("Declare the tenant column NOT NULL.")
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
