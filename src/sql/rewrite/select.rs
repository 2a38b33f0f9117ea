//! SELECT, VALUES, set operations, WITH.

use super::from::{Filter, barrier, barriers, has_shared};
use super::{Res, Rewriter};
use crate::sql::scope::{Scope, Traits};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{CteMaterialize, Node, SelectStmt, WithClause};

impl Rewriter<'_> {
    /// Rewrites a query; the traits are those of its target list (can its output columns raise?).
    pub(super) fn select(&mut self, select: &mut SelectStmt) -> Res<Traits> {
        if select.into_clause.is_some() {
            return Err(Refusal::not_allowed("SELECT INTO is not allowed"));
        }
        let names = self.ctes.len();
        let traits = self.with(select.with_clause.as_mut()).and_then(|()| match (select.larg.is_some(), select.rarg.is_some()) {
            (false, false) => self.simple_select(select),
            _ => self.set_operation(select),
        });
        self.ctes.truncate(names);
        traits
    }

    fn set_operation(&mut self, select: &mut SelectStmt) -> Res<Traits> {
        let mut traits = Traits::default();
        for side in [select.larg.as_mut(), select.rarg.as_mut()].into_iter().flatten() {
            traits.add(self.select(side)?);
        }
        self.levels.push(Scope::default());
        let tail = self.tail(select);
        self.levels.pop();
        tail?;
        if select.locking_clause.is_empty() {
            Ok(traits)
        } else {
            Err(Refusal::not_understood("row locks on a set operation are not supported"))
        }
    }

    fn simple_select(&mut self, select: &mut SelectStmt) -> Res<Traits> {
        let fences = self.fences;
        let (scope, guards) = self.from_list(&mut select.from_clause, Scope::default())?;
        if !select.locking_clause.is_empty() {
            self.locking(select, &scope)?;
        }
        self.levels.push(scope);
        let traits = self.clauses(select, guards);
        self.levels.pop();
        let traits = traits?;
        if self.fences != fences {
            barriers(&mut select.from_clause);
        }
        Ok(traits)
    }

    /// The items of FROM and the guards that the level's WHERE has to take.
    pub(super) fn from_list(&mut self, from: &mut [Node], mut scope: Scope) -> Res<(Scope, Vec<Node>)> {
        let mut guards = Vec::new();
        for item in from {
            guards.extend(self.from_item(item, Filter::Above, &mut scope)?);
        }
        Ok((scope, guards))
    }

    fn clauses(&mut self, select: &mut SelectStmt, guards: Vec<Node>) -> Res<Traits> {
        if let Some(condition) = select.where_clause.as_mut() {
            self.condition(condition)?;
        }
        select.where_clause = nodes::guarded(guards, select.where_clause.take());
        if let Some(level) = self.levels.last_mut() {
            level.passed = true;
        }
        let mut traits = self.exprs(&mut select.target_list)?;
        for row in &mut select.values_lists {
            traits.add(self.expr(row)?);
        }
        // DISTINCT without ON is one empty node.
        for item in select.distinct_clause.iter_mut().filter(|n| n.node.is_some()) {
            self.expr(item)?;
        }
        self.exprs(&mut select.group_clause)?;
        self.exprs(&mut select.window_clause)?;
        if let Some(having) = select.having_clause.as_mut() {
            self.having(having)?;
        }
        self.tail(select)?;
        Ok(traits)
    }

    /// HAVING without an aggregate is run as WHERE. The guard costs one operator: a condition whose raising part stands under
    /// another operator costs more and runs later; one that is a single raising operator might not, and is refused.
    fn having(&mut self, having: &mut Node) -> Res<()> {
        if let Some(NodeEnum::BoolExpr(x)) = having.node.as_mut() {
            return x.args.iter_mut().try_for_each(|part| self.having(part));
        }
        let traits = self.expr(having)?;
        if !traits.raises() {
            return Ok(());
        }
        self.raised = true;
        self.fences += 1;
        let nested = match having.node.as_ref() {
            Some(NodeEnum::AExpr(x)) => {
                let quiet = nodes::names(&x.name).and_then(|n| n.last().map(|s| self.is_quiet(s)));
                quiet.unwrap_or(false)
            }
            _ => false,
        };
        if nested { Ok(()) } else { Err(self.unknown("a condition in HAVING that can fail on a stored value", having)) }
    }

    fn tail(&mut self, select: &mut SelectStmt) -> Res<()> {
        self.exprs(&mut select.sort_clause)?;
        self.optional(select.limit_count.as_mut())?;
        self.optional(select.limit_offset.as_mut())?;
        Ok(())
    }

    fn locking(&mut self, select: &SelectStmt, scope: &Scope) -> Res<()> {
        if let Some(shared) = has_shared(scope) {
            return Err(Refusal::not_allowed(format!("permission denied for table {}", shared.name))
                .detail("Rows that all tenants read cannot be locked by one.")
                .hint_at("It is `shared: read`", &shared.place));
        }
        let from_subquery = select.from_clause.iter().any(|n| !matches!(n.node, Some(NodeEnum::RangeVar(_) | NodeEnum::JoinExpr(_))));
        if from_subquery { Err(Refusal::not_understood("row locks on a subquery are not supported")) } else { Ok(()) }
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
            if cte.cycle_clause.is_some() || cte.search_clause.is_some() {
                return Err(Refusal::not_understood("SEARCH and CYCLE are not supported").at(self.at(cte.location)));
            }
            let Some(query) = cte.ctequery.as_mut().and_then(|q| q.node.as_mut()) else {
                return Err(Refusal::not_understood("WITH without a query"));
            };
            // A WITH query sees no column of the levels around it.
            let levels = std::mem::take(&mut self.levels);
            let result = self.cte_query(query, with.recursive);
            self.levels = levels;
            let raises = result?;
            if let (NodeEnum::SelectStmt(select), false) = (&mut *query, with.recursive)
                && (raises || self.cte_barriers)
                && cte.ctematerialized != CteMaterialize::Always as i32
            {
                barrier(select);
            }
            if !with.recursive {
                self.ctes[base].push(cte.ctename.clone());
            }
        }
        Ok(())
    }

    fn cte_query(&mut self, query: &mut NodeEnum, recursive: bool) -> Res<bool> {
        match query {
            NodeEnum::SelectStmt(select) => Ok(self.select(select)?.raises() && !recursive),
            NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) => {
                self.has_write = true;
                self.write(query)?;
                Ok(false)
            }
            _ => Err(Refusal::not_understood("this statement in WITH is not supported")),
        }
    }
}
