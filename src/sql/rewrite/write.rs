//! INSERT, UPDATE, DELETE: the tenant column is written by the wall and by nobody else.

use super::from::{barriers, push};
use super::own::tenant_type;
use super::{Res, Rewriter, labels};
use crate::sql::catalog::Relation;
use crate::sql::scope::{Guard, Scope, Thing, Traits};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    DeleteStmt, InsertStmt, Node, OnConflictAction, OnConflictClause, RangeVar, ResTarget, ReturningClause, SelectStmt, UpdateStmt,
};
use std::sync::Arc;

impl Rewriter<'_> {
    pub(super) fn write(&mut self, node: &mut NodeEnum) -> Res<()> {
        #[cfg(feature = "mutants")]
        if left_out!(self.cx, SharedWrite) && crate::sql::mutants::writes_shared(self.cx.catalog, node) {
            return Ok(());
        }
        let names = self.ctes.len();
        let (top, outermost) = (std::mem::take(&mut self.rows.top), std::mem::take(&mut self.outermost));
        let merges = matches!(node, NodeEnum::MergeStmt(_));
        let with = match node {
            NodeEnum::InsertStmt(x) => x.with_clause.as_mut(),
            NodeEnum::UpdateStmt(x) => x.with_clause.as_mut(),
            NodeEnum::DeleteStmt(x) => x.with_clause.as_mut(),
            NodeEnum::MergeStmt(x) => x.with_clause.as_mut(),
            _ => return Err(Refusal::not_understood("not a write")),
        };
        let walked = self.with(with);
        (self.rows.returning, self.returns) = (top && !merges, outermost);
        let result = walked.and_then(|()| match self.write_temp(node)? {
            true => Ok(()),
            false => self.through_view(node).and_then(|()| self.write_table(node)),
        });
        self.ctes.truncate(names);
        result
    }

    fn write_table(&mut self, node: &mut NodeEnum) -> Res<()> {
        match node {
            NodeEnum::InsertStmt(x) => self.insert(x),
            NodeEnum::UpdateStmt(x) => self.update(x),
            NodeEnum::DeleteStmt(x) => self.delete(x),
            NodeEnum::MergeStmt(x) => self.merge(x),
            _ => Err(Refusal::not_understood("not a write")),
        }
    }

    /// The target, which must be a scoped base table, and its guard.
    pub(super) fn target(&mut self, var: Option<&mut RangeVar>) -> Res<(Arc<Relation>, Guard, Scope)> {
        let var = var.ok_or_else(|| Refusal::not_understood("a write without a table"))?;
        let place = self.at(var.location);
        let relation = self.relation(var)?;
        let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname).clone();
        if !matches!(relation.kind, 'r' | 'p') && !relation.is_shared() {
            return Err(Refusal::not_understood(format!("writing to \"{}\" is not supported: it is not a table", relation.name)).at(place));
        }
        let aliased = var.alias.is_some();
        let Some(guard) = self.guard(&relation, &name)? else {
            return Err(Refusal::not_allowed(format!("permission denied for table {}", relation.name))
                .detail("All tenants read this table and none writes it.")
                .hint_at("It is `shared: read`", &relation.place)
                .at(place));
        };
        self.writes += 1;
        self.written.push((relation.schema.clone(), relation.name.clone(), self.writes));
        let mut scope = Scope::default();
        let item = push(&mut scope, name, Thing::Guarded(relation.clone(), guard.clone()))?;
        (item.hides, item.aliased) = (relation.hides().map(str::to_owned), aliased);
        Ok((relation, guard, scope))
    }

    fn update(&mut self, x: &mut UpdateStmt) -> Res<()> {
        let (relation, guard, scope) = self.target(x.relation.as_mut())?;
        self.own_assignments(&relation, &mut x.target_list, false)?;
        let fences = self.fences;
        let (scope, mut guards) = self.from_list(&mut x.from_clause, scope)?;
        if left_out!(self.cx, UpdateFrom) {
            guards.clear();
        }
        self.written_out(x.returning_clause.as_mut(), &scope, &x.from_clause);
        if !left_out!(self.cx, UpdateTarget) {
            guards.insert(0, guard.predicate());
        }
        self.levels.push(scope);
        self.write_passed(true);
        let result = self.assignments(&mut x.target_list);
        let result = result.and_then(|()| self.assignment_checks(&relation, &guard.reference, &mut x.target_list));
        self.write_passed(false);
        let result = result.and_then(|()| self.filter(&mut x.where_clause, guards, x.returning_clause.as_mut()));
        self.levels.pop();
        if self.fences != fences {
            barriers(&mut x.from_clause);
        }
        result
    }

    fn delete(&mut self, x: &mut DeleteStmt) -> Res<()> {
        let (relation, guard, scope) = self.target(x.relation.as_mut())?;
        self.keeps_its_rows(&relation, None)?;
        self.resets_nothing(&relation, None)?;
        let fences = self.fences;
        let (scope, mut guards) = self.from_list(&mut x.using_clause, scope)?;
        if left_out!(self.cx, DeleteUsing) {
            guards.clear();
        }
        self.written_out(x.returning_clause.as_mut(), &scope, &x.using_clause);
        if !left_out!(self.cx, DeleteTarget) {
            guards.insert(0, guard.predicate());
        }
        self.levels.push(scope);
        let result = self.filter(&mut x.where_clause, guards, x.returning_clause.as_mut());
        self.levels.pop();
        if self.fences != fences {
            barriers(&mut x.using_clause);
        }
        result
    }

    pub(super) fn filter(
        &mut self,
        condition: &mut Option<Box<Node>>,
        guards: Vec<Node>,
        returning: Option<&mut ReturningClause>,
    ) -> Res<()> {
        if self.current_of(condition.as_deref(), guards.len())? {
            return self.returning(returning);
        }
        if let Some(condition) = condition.as_mut() {
            self.condition(condition)?;
        }
        *condition = nodes::guarded(guards, condition.take());
        self.write_passed(true);
        self.returning(returning)
    }

    pub(super) fn returning(&mut self, returning: Option<&mut ReturningClause>) -> Res<()> {
        let Some(returning) = returning.filter(|_| !left_out!(self.cx, Returning)) else { return Ok(()) };
        if let (true, Some(level)) = (std::mem::take(&mut self.returns), self.levels.last()) {
            self.row_types = self.row_types_of(&returning.exprs, level, None);
        }
        let labels = labels::of(&returning.exprs);
        let before = self.enter_versions(&returning.options)?;
        let walked = self.written(|walk| walk.exprs(&mut returning.exprs));
        self.leave_versions(before);
        walked?;
        labels::keep(&mut returning.exprs, labels);
        self.rows_returning(&mut returning.exprs);
        Ok(())
    }

    /// SET a = …, SET (a, b) = …, SET a[1] = …
    pub(super) fn assignments(&mut self, targets: &mut [Node]) -> Res<()> {
        for target in targets {
            let Some(NodeEnum::ResTarget(t)) = target.node.as_mut() else {
                return Err(Refusal::not_understood("this assignment is not supported"));
            };
            self.target_indirection(t)?;
            if left_out!(self.cx, Set) {
                continue;
            }
            let Some(value) = t.val.as_mut() else { return Err(Refusal::not_understood("this assignment is not supported")) };
            match value.node.as_mut() {
                Some(NodeEnum::SetToDefault(_)) => {}
                // Each column of a (…) = (…) holds the same source; PostgreSQL prints the first.
                Some(NodeEnum::MultiAssignRef(m)) => {
                    if let Some(source) = m.source.as_mut() {
                        self.multi_source(source)?;
                    }
                }
                _ => {
                    self.written(|walk| walk.expr(value))?;
                }
            }
        }
        Ok(())
    }

    /// Walks what the innermost level assigns or returns.
    fn written(&mut self, walk: impl FnOnce(&mut Self) -> Res<Traits>) -> Res<Traits> {
        let mark = |walk: &mut Self, written: bool| walk.levels.last_mut().map(|level| std::mem::replace(&mut level.written, written));
        let around = mark(self, true);
        let walked = walk(self);
        mark(self, around.unwrap_or_default());
        walked
    }

    fn multi_source(&mut self, source: &mut Node) -> Res<()> {
        match source.node.as_mut() {
            Some(NodeEnum::RowExpr(row)) => {
                self.row_written_out(&mut row.args);
                for part in row.args.iter_mut().filter(|n| !matches!(n.node, Some(NodeEnum::SetToDefault(_)))) {
                    self.expr(part)?;
                }
                Ok(())
            }
            _ => self.expr(source).map(|_| ()),
        }
    }

    pub(super) fn target_indirection(&mut self, target: &mut ResTarget) -> Res<()> {
        for step in &mut target.indirection {
            match step.node.as_mut() {
                Some(NodeEnum::String(_)) => {}
                Some(NodeEnum::AIndices(index)) => {
                    self.optional(index.lidx.as_mut())?;
                    self.optional(index.uidx.as_mut())?;
                }
                _ => return Err(Refusal::not_understood("this assignment target is not supported")),
            }
        }
        Ok(())
    }

    fn insert(&mut self, x: &mut InsertStmt) -> Res<()> {
        let (relation, guard, scope) = self.target(x.relation.as_mut())?;
        let tenant_type = tenant_type(&relation, &guard.column);
        self.writable(&relation, &x.cols)?;
        self.written_out(x.returning_clause.as_mut(), &scope, &[]);
        for column in &mut x.cols {
            if let Some(NodeEnum::ResTarget(t)) = column.node.as_mut() {
                self.target_indirection(t)?;
            }
        }
        self.columns(x, &relation)?;
        let named = x.cols.iter().position(|c| matches!(&c.node, Some(NodeEnum::ResTarget(t)) if t.name == guard.column));
        let through = relation.through().is_some();
        if named.is_none() && !through {
            let target = ResTarget { name: guard.column.clone(), location: -1, ..Default::default() };
            x.cols.push(nodes::node(NodeEnum::ResTarget(Box::new(target))));
        }
        if through {
            self.plain_source(x)?;
        } else {
            self.source(x, named, &guard, tenant_type)?;
        }
        self.insert_checks(x, &relation)?;
        self.levels.push(scope);
        self.write_passed(true);
        let result =
            self.conflict(x.on_conflict_clause.as_mut(), &relation, &guard).and_then(|()| self.returning(x.returning_clause.as_mut()));
        self.levels.pop();
        result
    }

    /// Without a column list: the first columns of the table, as many as there are values.
    fn columns(&mut self, x: &mut InsertStmt, relation: &Relation) -> Res<()> {
        let Some(NodeEnum::SelectStmt(select)) = x.select_stmt.as_ref().and_then(|s| s.node.as_ref()) else { return Ok(()) };
        if !x.cols.is_empty() {
            return Ok(());
        }
        let known = || self.known_width(select, x.with_clause.as_ref()).filter(|_| relation.hidden.is_some());
        let width = width(select).or_else(known).ok_or_else(|| {
            Refusal::not_understood("INSERT without a column list from SELECT * is not supported").hint("Name the columns.")
        })?;
        if width > relation.columns.len() {
            return Err(Refusal::syntax("INSERT has more expressions than target columns"));
        }
        for column in &relation.columns[..width] {
            let target = ResTarget { name: column.name.clone(), location: -1, ..Default::default() };
            x.cols.push(nodes::node(NodeEnum::ResTarget(Box::new(target))));
        }
        Ok(())
    }

    fn source(&mut self, x: &mut InsertStmt, named: Option<usize>, guard: &Guard, tenant_type: u32) -> Res<()> {
        let value = if left_out!(self.cx, InsertValue) { nodes::text("globex") } else { nodes::parameter(guard.parameter) };
        let Some(source) = x.select_stmt.as_mut() else {
            let select = SelectStmt {
                values_lists: vec![nodes::node(NodeEnum::List(pg_query::protobuf::List { items: vec![value] }))],
                limit_option: pg_query::protobuf::LimitOption::Default as i32,
                op: pg_query::protobuf::SetOperation::SetopNone as i32,
                ..Default::default()
            };
            x.select_stmt = nodes::boxed(nodes::node(NodeEnum::SelectStmt(Box::new(select))));
            return Ok(());
        };
        let Some(NodeEnum::SelectStmt(select)) = source.node.as_mut() else {
            return Err(Refusal::not_understood("this INSERT is not supported"));
        };
        if select.values_lists.is_empty() || select.larg.is_some() {
            self.select(select)?;
            if named.is_some() && left_out!(self.cx, TenantFromQuery) {
                return Ok(());
            }
            if let Some(index) = named {
                return self.own_in_arms(select, index, guard, tenant_type);
            }
            let value = if left_out!(self.cx, InsertSelect) { nodes::text("globex") } else { value };
            return append_to_arms(select, &nodes::cast(value, cast_name(tenant_type)));
        }
        if !select.sort_clause.is_empty() || select.limit_count.is_some() || select.limit_offset.is_some() || select.with_clause.is_some() {
            return Err(Refusal::not_understood("VALUES with further clauses is not supported in INSERT"));
        }
        for row in &mut select.values_lists {
            let Some(NodeEnum::List(list)) = row.node.as_mut() else { return Err(Refusal::not_understood("this VALUES is not supported")) };
            for (index, item) in list.items.iter_mut().enumerate() {
                if Some(index) == named {
                    self.own_value(item, &guard.column, tenant_type)?;
                } else if !matches!(item.node, Some(NodeEnum::SetToDefault(_))) {
                    self.expr(item)?;
                }
            }
            match named {
                None => list.items.push(value.clone()),
                Some(index) if index < list.items.len() => {}
                Some(_) => return Err(too_few()),
            }
        }
        Ok(())
    }

    fn conflict(&mut self, conflict: Option<&mut Box<OnConflictClause>>, relation: &Relation, guard: &Guard) -> Res<()> {
        let Some(conflict) = conflict else { return Ok(()) };
        let private = if relation.through().is_some() {
            self.infer_through(conflict, relation)?
        } else {
            self.infer(conflict, relation, &guard.column)?
        };
        if conflict.action == OnConflictAction::OnconflictNothing as i32 {
            return if private || left_out!(self.cx, ConflictNothing) {
                Ok(())
            } else {
                Err(Refusal::not_understood("ON CONFLICT DO NOTHING on a key that tenants share is not supported")
                    .detail("A row of another tenant could turn the INSERT into nothing.")
                    .hint(match relation.hides() {
                        Some(_) => "For the operator: each unique key has to hold the tenant column.".to_owned(),
                        None => format!("Add the column \"{}\" to the unique key of \"{}\".", guard.witness(), relation.name),
                    }))
            };
        }
        self.upsert = true;
        self.own_assignments(relation, &mut conflict.target_list, true)?;
        let mut level = self.levels.last().cloned().unwrap_or_default();
        let excluded = push(&mut level, "excluded".into(), Thing::Wrapped(Arc::new(relation.clone())))?;
        excluded.hides = relation.hides().map(str::to_owned);
        self.levels.push(level);
        let result = self.assignments(&mut conflict.target_list);
        let result = result.and_then(|()| self.assignment_checks(relation, &guard.reference, &mut conflict.target_list));
        let result = result.and_then(|()| self.optional(conflict.where_clause.as_mut()));
        self.levels.pop();
        result?;
        if left_out!(self.cx, ConflictGuard) {
            return Ok(());
        }
        let client = conflict.where_clause.take().map_or_else(|| nodes::truth(true), |c| *c);
        conflict.where_clause = nodes::boxed(nodes::case(guard.predicate(), client, Some(marker(guard, "partywall:upsert"))));
        Ok(())
    }
}

pub(super) fn too_few() -> Refusal {
    Refusal::syntax("INSERT has more target columns than expressions")
}

/// An expression that fails with the wall's own marker, and nothing of the row, when a write meets another tenant's row.
pub(super) fn marker(guard: &Guard, text: &str) -> Node {
    marker_on(nodes::column(&guard.reference, guard.witness()), text)
}

/// The same for any column: it has to read the row, or the planner would run it at once.
pub(super) fn marker_on(column: Node, text: &str) -> Node {
    let call = pg_query::protobuf::FuncCall {
        funcname: vec![nodes::string("pg_catalog"), nodes::string("left")],
        args: vec![nodes::cast(column, "text"), nodes::integer(0)],
        funcformat: pg_query::protobuf::CoercionForm::CoerceExplicitCall as i32,
        location: -1,
        ..Default::default()
    };
    let empty = pg_query::protobuf::CoalesceExpr {
        args: vec![nodes::node(NodeEnum::FuncCall(Box::new(call))), nodes::text("")],
        location: -1,
        ..Default::default()
    };
    let joined = nodes::operator("||", nodes::text(text), nodes::node(NodeEnum::CoalesceExpr(Box::new(empty))));
    nodes::cast(joined, "bool")
}

/// How many columns a source has; None where a star hides it.
pub(super) fn width(select: &SelectStmt) -> Option<usize> {
    if let Some(left) = &select.larg {
        return width(left);
    }
    if let Some(NodeEnum::List(row)) = select.values_lists.first().and_then(|r| r.node.as_ref()) {
        return Some(row.items.len());
    }
    let star = |n: &Node| match &n.node {
        Some(NodeEnum::ResTarget(t)) => match t.val.as_ref().and_then(|v| v.node.as_ref()) {
            Some(NodeEnum::ColumnRef(c)) => matches!(c.fields.last().and_then(|f| f.node.as_ref()), Some(NodeEnum::AStar(_))),
            Some(NodeEnum::AIndirection(i)) => matches!(i.indirection.last().and_then(|f| f.node.as_ref()), Some(NodeEnum::AStar(_))),
            _ => false,
        },
        _ => true,
    };
    (!select.target_list.iter().any(star)).then_some(select.target_list.len())
}

/// Adds a column to every arm of a query.
fn append_to_arms(select: &mut SelectStmt, value: &Node) -> Res<()> {
    if select.larg.is_some() || select.rarg.is_some() {
        for side in [select.larg.as_mut(), select.rarg.as_mut()].into_iter().flatten() {
            append_to_arms(side, value)?;
        }
        return Ok(());
    }
    if select.values_lists.is_empty() {
        let target = ResTarget { val: nodes::boxed(value.clone()), location: -1, ..Default::default() };
        select.target_list.push(nodes::node(NodeEnum::ResTarget(Box::new(target))));
    }
    for row in &mut select.values_lists {
        if let Some(NodeEnum::List(list)) = row.node.as_mut() {
            list.items.push(value.clone());
        }
    }
    Ok(())
}

pub(super) fn cast_name(type_oid: u32) -> &'static str {
    match type_oid {
        20 => "int8",
        21 => "int2",
        23 => "int4",
        2950 => "uuid",
        _ => "text",
    }
}
