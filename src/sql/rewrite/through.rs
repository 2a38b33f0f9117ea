//! Tables without a tenant column: a row is the tenant's where the row that it refers to is.

use super::free::is_by_parent;
use super::{Res, Rewriter};
use crate::policy::TableRule;
use crate::sql::Refusal;
use crate::sql::catalog::Relation;
use crate::sql::scope::{Guard, Step, Thing};
use pg_query::NodeEnum;
use pg_query::protobuf::Node;
use std::sync::Arc;

/// How the names begin that the wall gives to what it adds.
pub(super) const RESERVED: &str = "partywall_";

impl Rewriter<'_> {
    pub(super) fn through_guard(&mut self, relation: &Relation, reference: &str) -> Res<Guard> {
        if reference.starts_with(RESERVED) {
            return Err(Refusal::not_understood(format!("the name \"{reference}\" is not supported here"))
                .detail(format!("Names that begin with {RESERVED} are the wall's own.")));
        }
        let (mut steps, last) = self.steps(relation)?;
        if left_out!(self.cx, ThroughLink) {
            steps.iter_mut().for_each(|s| s.on.clear());
        }
        let TableRule::Scoped { column, .. } = &last.rule else { return Err(Refusal::no_relation(&relation.name)) };
        let type_oid = last.stored_column(column).ok_or_else(|| Refusal::no_relation(&relation.name))?.type_oid;
        let witness = steps.first().and_then(|s| s.on.first()).and_then(|(own, _)| relation.column(own));
        let not_null = witness.is_some_and(|c| c.not_null);
        let parameter = self.tenant_parameter(type_oid)?;
        self.rows.guards += 1;
        self.hidden.named |= last.hidden.is_some();
        Ok(Guard { reference: reference.to_owned(), column: column.clone(), not_null, parameter, through: steps })
    }

    /// The way up from a relation, and the relation with the tenant column.
    pub(super) fn steps(&self, relation: &Relation) -> Res<(Vec<Step>, Arc<Relation>)> {
        let mut steps = Vec::new();
        let mut at = Arc::new(relation.clone());
        while let TableRule::Through(through) = &at.rule {
            let parent = self.cx.catalog.relations.get(&(through.schema.clone(), through.table.clone()));
            // The policy's reader and the catalog's check leave neither gaps nor circles.
            let parent = parent.filter(|_| steps.len() < 16).ok_or_else(|| Refusal::no_relation(&relation.name))?.clone();
            let on = through.on.clone();
            steps.push(Step { schema: parent.schema.clone(), table: parent.name.clone(), on });
            at = parent;
        }
        Ok((steps, at))
    }

    /// Where no foreign key keeps a parent as long as rows belong to it, they would be nobody's, or soon another's.
    pub(super) fn keeps_its_rows(&self, parent: &Relation, changed: Option<&[Node]>) -> Res<()> {
        let is_changed = |column: &str| {
            let named = |t: &Node| matches!(&t.node, Some(NodeEnum::ResTarget(t)) if t.name == column);
            changed.is_none_or(|targets| targets.iter().any(named))
        };
        let below = |r: &'_ Arc<Relation>| r.through().is_some_and(|t| t.schema == parent.schema && t.table == parent.name);
        let mut children: Vec<&Arc<Relation>> = self.cx.catalog.relations.values().filter(|r| below(r)).collect();
        children.sort_by_key(|r| (&r.schema, &r.name));
        for child in children {
            let Some(through) = child.through() else { continue };
            let holds = child.backing().is_some_and(|key| if changed.is_some() { key.holds_updated } else { key.holds_deleted });
            if holds || !through.on.iter().any(|(_, theirs)| is_changed(theirs)) || left_out!(self.cx, KeepsRows) {
                continue;
            }
            let what = if changed.is_some() { "the key of a row" } else { "a row" };
            return Err(Refusal::not_allowed(format!("{what} of \"{}\" that others belong to cannot go", parent.name))
                .detail(format!("No foreign key keeps the rows of \"{}\", which would be nobody's.", child.name))
                .hint_at("Add a foreign key with ON DELETE CASCADE or NO ACTION; it is a `through` table", &child.place));
        }
        Ok(())
    }

    /// What stands in a subquery and raises may read a row of the levels around it before they are filtered: a plain guard is the
    /// first thing a scan looks at, but a parent's is a join. Then such tables are wrapped; true where that is done and one stands there
    /// still, the target of a write. `before` is how many expressions raised before the subquery.
    pub(super) fn early_subquery(&mut self, before: usize) -> bool {
        let due =
            (self.raisings != before || self.sorts_oddly()) && !left_out!(self.cx, EarlyParents) && self.levels.iter().any(is_by_parent);
        self.early |= due;
        due && self.mode.wrapped_through
    }

    /// The same of an item of FROM; `sees` says whether what stands before it can be seen there. A subquery in a condition further out stands in a
    /// fence of its own, but none can stand around an item.
    pub(super) fn not_before_parents(&mut self, before: usize, sees: bool) -> Res<()> {
        let early = self.early_subquery(before);
        if !early || !sees || !self.levels.last().is_some_and(is_by_parent) {
            return Ok(());
        }
        Err(Refusal::not_understood("a subquery that can fail cannot be guarded here")
            .detail("It could run on rows of a `through` table before they are known to be the tenant's."))
    }

    /// From here on what is looked at runs on rows that have passed the filter of a write on a `through` table.
    pub(super) fn write_passed(&mut self, passed: bool) {
        if let Some(level) = self.levels.last_mut()
            && matches!(level.items.first().map(|i| &i.thing), Some(Thing::Guarded(_, guard)) if !guard.through.is_empty())
        {
            level.passed = passed;
        }
    }

    pub(super) fn no_through(&self, relation: &Relation, what: &str) -> Res<()> {
        if relation.through().is_none() {
            return Ok(());
        }
        Err(Refusal::not_understood(format!("{what} into \"{}\" is not supported", relation.name))
            .hint_at("It is a `through` table", &relation.place))
    }
}
