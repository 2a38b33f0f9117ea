//! MERGE: the target's guard stands in ON, so that another tenant's row is no match, and before each condition for rows that match nothing; sources
//! are wrapped, since ON filters none of their rows.

use super::from::{Filter, barriers, push};
use super::own::tenant_type;
use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::scope::{Guard, Scope};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{CmdType, MergeMatchKind, MergeStmt, MergeWhenClause, Node, ResTarget};

impl Rewriter<'_> {
    pub(super) fn merge(&mut self, x: &mut MergeStmt) -> Res<()> {
        let (relation, guard, mut scope) = self.target(x.relation.as_mut())?;
        let fences = self.fences;
        let Some(source) = x.source_relation.as_mut() else { return Err(Refusal::not_understood("MERGE without a source")) };
        let mut sources = Scope::default();
        let filter = if left_out!(self.cx, MergeSource) { Filter::Above } else { Filter::None };
        if !self.from_item(source, filter, &mut sources)?.is_empty() && !left_out!(self.cx, MergeSource) {
            return Err(Refusal::not_understood("this source of MERGE is not supported"));
        }
        for item in sources.items {
            let source = push(&mut scope, item.name, item.thing)?;
            (source.nullable, source.carries, source.joined, source.aliased) = (item.nullable, item.carries, item.joined, item.aliased);
        }
        self.levels.push(scope);
        let result = self.merge_parts(x, &relation, &guard);
        self.levels.pop();
        if self.fences != fences
            && let Some(source) = x.source_relation.as_mut()
        {
            barriers(std::slice::from_mut(source.as_mut()));
        }
        result
    }

    fn merge_parts(&mut self, x: &mut MergeStmt, relation: &Relation, guard: &Guard) -> Res<()> {
        let Some(on) = x.join_condition.as_mut() else { return Err(Refusal::not_understood("MERGE without a condition")) };
        self.condition(on)?;
        let guards = if left_out!(self.cx, MergeTarget) { Vec::new() } else { vec![guard.predicate()] };
        x.join_condition = nodes::guarded(guards, x.join_condition.take());
        self.write_passed(true);
        for when in &mut x.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = when.node.as_mut() else {
                return Err(Refusal::not_understood("this part of MERGE is not supported"));
            };
            self.merge_when(when, relation, guard)?;
        }
        self.returning(x.returning_clause.as_mut())
    }

    fn merge_when(&mut self, when: &mut MergeWhenClause, relation: &Relation, guard: &Guard) -> Res<()> {
        if when.match_kind == MergeMatchKind::MergeWhenNotMatchedBySource as i32 {
            return self.merge_unmatched(when, relation, guard);
        }
        self.optional(when.condition.as_mut())?;
        self.merge_action(when, relation, guard)
    }

    /// Rows of the target that no source row leads to: those of other tenants are among them, for the guard in ON only keeps rows from matching.
    /// So it stands here again, before whatever the client asks (conditions of WHEN are looked at in the order in which they are written); the
    /// source cannot be named.
    fn merge_unmatched(&mut self, when: &mut MergeWhenClause, relation: &Relation, guard: &Guard) -> Res<()> {
        let Some(around) = self.levels.pop() else { return Err(Refusal::not_understood("MERGE without a target")) };
        let items = around.items.first().cloned().into_iter().collect();
        self.levels.push(Scope { items, ..Scope::default() });
        let result = self.merge_guarded(when, relation, guard);
        self.levels.pop();
        self.levels.push(around);
        result
    }

    fn merge_guarded(&mut self, when: &mut MergeWhenClause, relation: &Relation, guard: &Guard) -> Res<()> {
        if let Some(condition) = when.condition.as_mut() {
            self.condition(condition)?;
        }
        let guards = if left_out!(self.cx, MergeUnmatched) { Vec::new() } else { vec![guard.predicate()] };
        when.condition = nodes::guarded(guards, when.condition.take());
        self.write_passed(true);
        self.merge_action(when, relation, guard)
    }

    fn merge_action(&mut self, when: &mut MergeWhenClause, relation: &Relation, guard: &Guard) -> Res<()> {
        match CmdType::try_from(when.command_type).unwrap_or(CmdType::Undefined) {
            CmdType::CmdUpdate => {
                self.own_assignments(relation, &mut when.target_list, false)?;
                self.assignments(&mut when.target_list)?;
                self.assignment_checks(relation, &guard.reference, &mut when.target_list)
            }
            CmdType::CmdInsert => self.merge_insert(when, relation, guard),
            CmdType::CmdDelete => self.keeps_its_rows(relation, None).and_then(|()| self.resets_nothing(relation, None)),
            CmdType::CmdNothing => Ok(()),
            _ => Err(Refusal::not_understood("this part of MERGE is not supported")),
        }
    }

    fn merge_insert(&mut self, when: &mut MergeWhenClause, relation: &Relation, guard: &Guard) -> Res<()> {
        if when.target_list.is_empty() {
            if when.values.len() > relation.columns.len() {
                return Err(Refusal::syntax("INSERT has more expressions than target columns"));
            }
            when.target_list = relation.columns[..when.values.len()].iter().map(|c| named(&c.name)).collect();
        }
        self.writable(relation, &when.target_list)?;
        for target in &mut when.target_list {
            match target.node.as_mut() {
                Some(NodeEnum::ResTarget(t)) => self.target_indirection(t)?,
                _ => return Err(Refusal::not_understood("this part of MERGE is not supported")),
            }
        }
        if when.target_list.len() != when.values.len() {
            return Err(Refusal::syntax("INSERT has not as many expressions as target columns"));
        }
        let mut own = false;
        for (target, value) in when.target_list.iter().zip(&mut when.values) {
            if matches!(&target.node, Some(NodeEnum::ResTarget(t)) if t.name == guard.column) {
                own = true;
                self.own_expression(value, guard, tenant_type(relation, &guard.column))?;
            } else if !matches!(value.node, Some(NodeEnum::SetToDefault(_))) {
                self.expr(value)?;
            }
        }
        if relation.through().is_some() {
            return self.merge_insert_checks(relation, &when.target_list, &mut when.values);
        }
        if !own {
            when.target_list.push(named(&guard.column));
            let value = if left_out!(self.cx, MergeInsert) { nodes::text("globex") } else { nodes::parameter(guard.parameter) };
            when.values.push(value);
        }
        self.merge_insert_checks(relation, &when.target_list, &mut when.values)
    }
}

fn named(column: &str) -> Node {
    nodes::node(NodeEnum::ResTarget(Box::new(ResTarget { name: column.to_owned(), location: -1, ..Default::default() })))
}
