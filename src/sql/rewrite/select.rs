//! SELECT, VALUES, set operations, WITH.

use super::from::{Filter, barrier, barriers};
use super::system::is_output;
use super::{Res, Rewriter, labels};
use crate::sql::scope::{Item, Scope, Thing, Traits, Use};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{CteMaterialize, Node, SelectStmt, WithClause, a_const};

impl Rewriter<'_> {
    /// Rewrites a query; the traits are those of its target list (can its output columns raise?).
    pub(super) fn select(&mut self, select: &mut SelectStmt) -> Res<Traits> {
        if select.into_clause.is_some() {
            return Err(Refusal::not_allowed("SELECT INTO is not allowed"));
        }
        let names = self.ctes.len();
        let (top, outermost) = (std::mem::take(&mut self.rows.top), std::mem::take(&mut self.outermost));
        let arm = std::mem::take(&mut self.arm);
        let full = std::mem::take(&mut self.full);
        let traits = self.with(select.with_clause.as_mut()).and_then(|()| match (select.larg.is_some(), select.rarg.is_some()) {
            (false, false) => self.simple_select(select, (top, outermost), arm),
            _ => self.set_operation(select),
        });
        self.ctes.truncate(names);
        self.full = full;
        traits
    }

    fn set_operation(&mut self, select: &mut SelectStmt) -> Res<Traits> {
        let mut traits = Traits::default();
        for side in [select.larg.as_mut(), select.rarg.as_mut().filter(|_| !left_out!(self.cx, Arm))].into_iter().flatten() {
            self.arm = true;
            traits.add(self.select(side)?);
        }
        self.levels.push(Scope::default());
        let tail = self.tail(select, None);
        self.levels.pop();
        tail?;
        if self.may_mix() {
            // The arms' columns are made alike, each as soon as its row is read.
            traits.raising.push(Use::Any);
        }
        if select.locking_clause.is_empty() {
            Ok(traits)
        } else {
            Err(Refusal::not_understood("row locks on a set operation are not supported"))
        }
    }

    /// `top`: it is the whole statement, of which rows may be checked, and of which types may be told.
    fn simple_select(&mut self, select: &mut SelectStmt, top: (bool, bool), arm: bool) -> Res<Traits> {
        let fences = self.fences;
        let (scope, guards) = self.from_list(&mut select.from_clause, Scope::default())?;
        let reaches_in = self.locking(select, &scope)?;
        self.levels.push(scope);
        let traits = self.clauses(select, guards, top, arm);
        if let Some(scope) = self.levels.pop() {
            self.early_items(&scope);
        }
        let traits = traits?;
        self.no_late_locks(reaches_in, fences)?;
        if self.fences != fences && !left_out!(self.cx, SubqueryBarrier) {
            barriers(&mut select.from_clause);
        }
        Ok(traits)
    }

    /// The items of FROM and the guards that the level's WHERE has to take.
    pub(super) fn from_list(&mut self, from: &mut [Node], mut scope: Scope) -> Res<(Scope, Vec<Node>)> {
        let mut guards = Vec::new();
        // The target of a write: nothing in its FROM or USING can name it.
        let targets = scope.items.len();
        scope.items.iter_mut().for_each(|i| i.beyond = true);
        for item in from {
            guards.extend(self.from_item(item, Filter::Above, &mut scope)?);
        }
        scope.items[..targets].iter_mut().for_each(|i| i.beyond = false);
        Ok((scope, guards))
    }

    fn clauses(&mut self, select: &mut SelectStmt, guards: Vec<Node>, (top, outermost): (bool, bool), arm: bool) -> Res<Traits> {
        if let Some(condition) = select.where_clause.as_mut() {
            self.condition(condition)?;
        }
        let guards = if left_out!(self.cx, Where) { Vec::new() } else { guards };
        select.where_clause = nodes::guarded(guards, select.where_clause.take());
        if let Some(level) = self.levels.last_mut() {
            level.passed = true;
        }
        let aggregates = self.rows_aggregates();
        if let Some(level) = self.levels.last() {
            self.stars_written_out(&mut select.target_list, level, &select.from_clause);
            if outermost {
                self.row_types = self.row_types_of(&select.target_list, level, Some(&select.from_clause));
            }
        }
        let labels = labels::of(&select.target_list);
        let (raisings, sorted) = (self.raisings, self.sorted_calls);
        let mut traits = if left_out!(self.cx, TargetList) { Traits::default() } else { self.exprs(&mut select.target_list)? };
        labels::keep(&mut select.target_list, labels);
        for row in &mut select.values_lists {
            traits.add(self.expr(row)?);
        }
        // DISTINCT without ON is one empty node.
        let shown = labels::shown(&select.target_list);
        for item in select.distinct_clause.iter_mut().filter(|n| n.node.is_some() && !is_output(Some(n), Some(&shown))) {
            self.expr(item)?;
        }
        self.exprs(&mut select.group_clause)?;
        self.group_dependent(select)?;
        self.exprs(&mut select.window_clause)?;
        if let Some(having) = select.having_clause.as_mut() {
            self.having(having)?;
        }
        self.tail(select, Some(&shown))?;
        self.early_keys(select, raisings, sorted, arm);
        if top {
            self.rows_select(select, aggregates);
        }
        Ok(traits)
    }

    /// HAVING without an aggregate is run as WHERE, perhaps before the guard: a part that can raise is given one.
    fn having(&mut self, having: &mut Node) -> Res<()> {
        if let Some(NodeEnum::BoolExpr(x)) = having.node.as_mut() {
            return x.args.iter_mut().try_for_each(|part| self.having(part));
        }
        let traits = self.expr(having)?;
        if traits.raises() && !traits.aggregates && !left_out!(self.cx, Having) {
            self.raised = true;
            self.fences += 1;
            let inner = std::mem::take(having);
            *having = nodes::case(nodes::any_count(), inner, None);
        }
        Ok(())
    }

    /// ORDER BY, LIMIT and OFFSET; `shown` are the names of the output columns, of which all are meant where there are none.
    fn tail(&mut self, select: &mut SelectStmt, shown: Option<&[Option<String>]>) -> Res<()> {
        if left_out!(self.cx, Sort) {
            return Ok(());
        }
        let by = |n: &Node| match &n.node {
            Some(NodeEnum::SortBy(sort)) => sort.use_op.is_empty() && is_output(sort.node.as_deref(), shown),
            _ => false,
        };
        for sort in select.sort_clause.iter_mut().filter(|n| !by(n)) {
            self.expr(sort)?;
        }
        // A negative one fails.
        let sure = |n: &Option<Box<Node>>| match n.as_ref().and_then(|n| n.node.as_ref()) {
            None => true,
            Some(NodeEnum::AConst(c)) => c.isnull || matches!(&c.val, Some(a_const::Val::Ival(i)) if i.ival >= 0),
            _ => false,
        };
        self.raisings += usize::from(!sure(&select.limit_count) || !sure(&select.limit_offset));
        self.optional(select.limit_count.as_mut())?;
        self.optional(select.limit_offset.as_mut())?;
        Ok(())
    }

    /// Row locks: those named by OF, or all; none of them on rows that all tenants share. True where one reaches into a table with a hidden
    /// column.
    fn locking(&mut self, select: &SelectStmt, scope: &Scope) -> Res<bool> {
        let mut reaches_in = false;
        if !select.locking_clause.is_empty() {
            // A lock is seen from outside.
            self.raisings += 1;
            self.reads.extend((self.sublinks > 0).then_some(Use::Any));
        }
        for clause in &select.locking_clause {
            let Some(NodeEnum::LockingClause(clause)) = &clause.node else {
                return Err(Refusal::not_understood("this row lock is not supported"));
            };
            let mut named = Vec::new();
            for rel in &clause.locked_rels {
                match &rel.node {
                    Some(NodeEnum::RangeVar(var)) if var.schemaname.is_empty() && var.alias.is_none() => named.push(&var.relname),
                    _ => return Err(Refusal::syntax("row locks must name unqualified relations")),
                }
            }
            let locked = |item: &Item| named.is_empty() || named.contains(&&item.name);
            reaches_in |= scope.items.iter().any(|i| i.locks_hidden && locked(i));
            let Some(item) = scope.items.iter().find(|i| i.locks_shared && locked(i) && !left_out!(self.cx, SharedLock)) else { continue };
            let refusal = Refusal::not_allowed(format!("permission denied for table {}", item.name))
                .detail("Rows that all tenants read cannot be locked by one.");
            return Err(match &item.thing {
                Thing::Shared(relation) => refusal.hint_at("It is `shared: read`", &relation.place),
                _ => refusal,
            });
        }
        Ok(reaches_in)
    }

    /// WITH: each query sees the names before it, all of them where it is RECURSIVE.
    pub(super) fn with(&mut self, with: Option<&mut WithClause>) -> Res<()> {
        let Some(with) = with else { return Ok(()) };
        self.has_ctes = true;
        let mut names = Vec::new();
        for cte in &with.ctes {
            if let Some(NodeEnum::CommonTableExpr(cte)) = &cte.node {
                names.push(cte.ctename.clone());
            }
        }
        let base = self.ctes.len();
        self.ctes.push(if with.recursive { names.clone() } else { Vec::new() });
        for cte in &mut with.ctes {
            let Some(NodeEnum::CommonTableExpr(cte)) = cte.node.as_mut() else {
                return Err(Refusal::not_understood("WITH without a query"));
            };
            if let Some(cycle) = cte.cycle_clause.as_mut() {
                self.own_operators(&["=", "<>"])?;
                self.optional(cycle.cycle_mark_value.as_mut())?;
                self.optional(cycle.cycle_mark_default.as_mut())?;
            }
            let Some(query) = cte.ctequery.as_mut().and_then(|q| q.node.as_mut()) else {
                return Err(Refusal::not_understood("WITH without a query"));
            };
            // It sees no column of its own level, and those of the levels around that.
            let around = std::mem::replace(&mut self.catalogs.worked_out, self.catalogs.worked_out_within);
            let raises = self.cte_query(query)?;
            self.catalogs.worked_out = around;
            let fragile = (raises || self.mode.cte_barriers) && !left_out!(self.cx, CteBarrier);
            if let NodeEnum::SelectStmt(select) = &mut *query
                && fragile
                && cte.ctematerialized != CteMaterialize::Always as i32
            {
                // A recursive query takes no OFFSET; one in the list that does not refer to itself could be inlined.
                if with.recursive { cte.ctematerialized = CteMaterialize::Always as i32 } else { barrier(select) }
            }
            if !with.recursive {
                self.ctes[base].push(cte.ctename.clone());
            }
        }
        Ok(())
    }

    fn cte_query(&mut self, query: &mut NodeEnum) -> Res<bool> {
        match query {
            NodeEnum::SelectStmt(_) if left_out!(self.cx, Cte) => Ok(false),
            NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) if left_out!(self.cx, WritableCte) => Ok(false),
            NodeEnum::SelectStmt(select) => Ok(self.select(select)?.raises()),
            NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => {
                self.has_write = true;
                self.write(query)?;
                Ok(false)
            }
            _ => Err(Refusal::not_understood("this statement in WITH is not supported")),
        }
    }
}
