//! FROM: where each guard stands.
//!
//! A guard goes to the nearest filter that removes exactly the rows it should: the level's WHERE, or the ON of a join for its nullable
//! side. Where there is none (FULL JOIN, USING or NATURAL on a nullable side, an aliased join, renamed columns) the table becomes
//! `(SELECT * FROM t WHERE guard OFFSET 0)`: the OFFSET keeps the planner from moving a condition before the guard.

use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::nodes;
use crate::sql::scope::{Item, Scope, Thing, Traits};

use crate::sql::{Refusal, parse, scope};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, JoinExpr, JoinType, Node, RangeFunction, RangeSubselect, RangeVar, SelectStmt};
use std::sync::Arc;

/// Deepest nesting of views in views.
pub(super) const VIEWS_MAX: usize = 8;

/// Whether the enclosing filter can take this side's guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// It can.
    Above,
    /// There is none: wrap the table, unless a join's own ON can take its guard.
    None,
    /// An alias of a join around hides the name, so no fence beside it could speak of the table: wrap it.
    Unseen,
}

impl Rewriter<'_> {
    /// Rewrites one item of FROM; gives the guards that the enclosing filter has to take.
    pub(super) fn from_item(&mut self, item: &mut Node, filter: Filter, scope: &mut Scope) -> Res<Vec<Node>> {
        let place = nodes::location(item);
        let (wrapped, joins) = (self.hidden.wrapped, matches!(item.node, Some(NodeEnum::JoinExpr(_))));
        if self.rows_call_in_from(item, scope)? {
            return Ok(Vec::new());
        }
        let guards = match item.node.as_mut() {
            Some(NodeEnum::RangeVar(var)) if self.is_cte(var) => {
                let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname).clone();
                push(scope, name, Thing::Opaque)?;
                Ok(Vec::new())
            }
            Some(NodeEnum::RangeVar(_)) => self.table(item, filter, scope),
            Some(NodeEnum::JoinExpr(join)) => self.join(join, filter, scope),
            Some(NodeEnum::RangeTableSample(_)) => self.sample(item, filter, scope),
            Some(NodeEnum::RangeSubselect(sub)) => self.subselect(sub, scope).map(|()| Vec::new()),
            Some(NodeEnum::RangeFunction(_)) => self.function_item(item, scope).map(|()| Vec::new()),
            Some(NodeEnum::RangeTableFunc(table)) => self.xml_table(table, scope).map(|()| Vec::new()),
            Some(NodeEnum::JsonTable(table)) => self.json_table(table, scope).map(|()| Vec::new()),
            _ => Err(self.unknown_at("this kind of FROM item", place)),
        }?;
        if let Some(last) = scope.items.last_mut().filter(|_| !joins) {
            last.locks_hidden = self.hidden.wrapped != wrapped;
        }
        Ok(guards)
    }

    fn table(&mut self, item: &mut Node, filter: Filter, scope: &mut Scope) -> Res<Vec<Node>> {
        let Some(NodeEnum::RangeVar(var)) = item.node.as_mut() else { return Err(Refusal::not_understood("not a relation")) };
        if let Some(catalog) = self.catalog_relation(var)? {
            let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname).clone();
            *item = catalog;
            push(scope, name, Thing::Opaque)?.locks_shared = true;
            return Ok(Vec::new());
        }
        if left_out!(self.cx, Unlisted) && self.cx.catalog.find(&var.schemaname, &var.relname).is_none() {
            return Ok(Vec::new());
        }
        if self.temp_of(var).is_none()
            && self.cx.catalog.find(&var.schemaname, &var.relname).is_none()
            && let Some(sequence) = self.cx.catalog.sequence(&var.schemaname, &var.relname).filter(|_| var.catalogname.is_empty())
        {
            let sequence = sequence.clone();
            if sequence.definition.is_none() && !sequence.is_own() {
                return Err(Refusal::not_understood(format!("reading sequence \"{}\" is not supported", sequence.name))
                    .detail("Its counter is everybody's.")
                    .hint_at("It is `shared: read`", &sequence.place)
                    .at(self.at(var.location)));
            }
            return self.view(item, &sequence, scope).map(|()| Vec::new());
        }
        let relation = self.relation(var)?;
        let renamed = var.alias.as_ref().is_some_and(|a| !a.colnames.is_empty());
        let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname).clone();
        if relation.is_expanded() {
            return self.view(item, &relation, scope).map(|()| Vec::new());
        }
        if relation.hidden.is_some() {
            return self.without_hidden(item, relation, scope).map(|()| Vec::new());
        }
        let wrapped = self.mode.wrapped_through && relation.through().is_some();
        if (filter != Filter::Above || wrapped || (renamed && !left_out!(self.cx, Renamed)))
            && let Some(guard) = self.guard(&relation, &relation.name)?
        {
            let was_in = var.alias.is_none().then(|| relation.schema.clone());
            *item = wrap(var, if left_out!(self.cx, Wrap) { nodes::truth(true) } else { guard.predicate() });
            self.renamed.extend(renamed.then(|| name.clone()));
            let aliased = was_in.is_none();
            let item = push(scope, name, if renamed { Thing::Opaque } else { Thing::Wrapped(relation) })?;
            (item.was_in, item.aliased) = (was_in, aliased);
            return Ok(Vec::new());
        }
        let aliased = var.alias.is_some();
        let guard = self.guard(&relation, &name)?;
        let predicate = guard.as_ref().map(scope::Guard::predicate);
        let shared = relation.is_shared() || relation.is_temporary_view();
        self.shared += usize::from(shared);
        let thing = guard.map_or_else(|| Thing::Shared(relation.clone()), |g| Thing::Guarded(relation.clone(), g));
        let item = push(scope, name, thing)?;
        (item.locks_shared, item.aliased) = (shared, aliased);
        Ok(predicate.into_iter().collect())
    }

    /// A view is read as the query it stands for, over the tenant's own rows: so nothing in it meets another tenant's.
    fn view(&mut self, item: &mut Node, relation: &Arc<Relation>, scope: &mut Scope) -> Res<()> {
        let Some(NodeEnum::RangeVar(var)) = item.node.as_ref() else { return Err(Refusal::not_understood("not a relation")) };
        let (place, unnamed) = (self.at(var.location), var.alias.is_none());
        let alias = var.alias.clone().unwrap_or_else(|| pg::Alias { aliasname: var.relname.clone(), colnames: Vec::new() });
        let refused = |why: &Refusal| {
            Refusal::not_understood(format!("view \"{}\" is not supported", relation.name))
                .detail(format!("Its definition cannot be read for one tenant: {}.", why.message))
                .hint_at("It is listed", &relation.place)
                .at(place)
        };
        let mut select = definition(relation).and_then(|s| super::hidden::without_column(relation, s)).map_err(|r| refused(&r))?;
        if self.views == VIEWS_MAX {
            return Err(refused(&Refusal::not_understood("views are nested too deeply")));
        }
        let around = (std::mem::take(&mut self.levels), std::mem::take(&mut self.ctes), self.shared);
        self.views += 1;
        let result = self.select(&mut select);
        self.views -= 1;
        let shared = around.2 != self.shared;
        (self.levels, self.ctes) = (around.0, around.1);
        if result.map_err(|r| refused(&r))?.raises() {
            barrier(&mut select);
        }
        let name = alias.aliasname.clone();
        let thing = if alias.colnames.is_empty() { Thing::Wrapped(relation.clone()) } else { Thing::Opaque };
        let was_in = unnamed.then(|| relation.schema.clone());
        let subquery = nodes::boxed(nodes::node(NodeEnum::SelectStmt(select)));
        *item = nodes::node(NodeEnum::RangeSubselect(Box::new(RangeSubselect { lateral: false, subquery, alias: Some(alias) })));
        let item = push(scope, name, thing)?;
        (item.locks_shared, item.was_in, item.aliased) = (shared, was_in, !unnamed);
        Ok(())
    }

    /// TABLESAMPLE by a built-in method that judges each row or block by itself: what is sampled of one tenant is a sample of its rows.
    fn sample(&mut self, item: &mut Node, filter: Filter, scope: &mut Scope) -> Res<Vec<Node>> {
        let refused = self.unknown("TABLESAMPLE here", item);
        let Some(NodeEnum::RangeTableSample(sample)) = item.node.as_mut() else { return Err(refused) };
        let method = nodes::names(&sample.method).unwrap_or_default();
        if !matches!(method.as_slice(), ["bernoulli" | "system"] | ["pg_catalog", "bernoulli" | "system"]) {
            return Err(refused);
        }
        // Another share than these fails.
        let share = |n: &Node| matches!(&n.node, Some(NodeEnum::AConst(c)) if matches!(&c.val, Some(pg::a_const::Val::Ival(i)) if (0..=100).contains(&i.ival)));
        let sure = sample.args.iter().all(share) && sample.repeatable.as_deref().is_none_or(share);
        self.asked.set(true);
        self.raisings += usize::from(!sure);
        self.levels.push(scope.clone());
        let arguments = self.sample_arguments(sample);
        self.levels.pop();
        // Its arguments see the levels around, from where they stand and from inside a subquery alike; a query in them may not.
        let fixed = !arguments?.uses.iter().any(|u| matches!(u, scope::Use::Beside | scope::Use::Any));
        let Some(relation) = sample.relation.as_mut() else { return Err(refused) };
        match relation.node.as_ref() {
            Some(NodeEnum::RangeVar(var)) if !self.is_cte(var) && !self.relation(&mut var.clone())?.is_expanded() => {}
            _ => return Err(refused),
        }
        let guards = self.table(relation, filter, scope)?;
        if matches!(relation.node, Some(NodeEnum::RangeVar(_))) {
            return Ok(guards);
        }
        // The table was wrapped: the sample is taken inside, from where its arguments see what they saw: nothing beside it, nothing of it.
        let mut wrapped = std::mem::take(relation.as_mut());
        let Some(NodeEnum::RangeSubselect(sub)) = wrapped.node.as_mut() else { return Err(refused) };
        let Some(NodeEnum::SelectStmt(select)) = sub.subquery.as_mut().and_then(|q| q.node.as_mut()) else { return Err(refused) };
        let Some(inside) = select.from_clause.first_mut().filter(|_| fixed) else { return Err(refused) };
        sample.relation = nodes::boxed(std::mem::take(inside));
        *inside = std::mem::take(item);
        *item = wrapped;
        Ok(guards)
    }

    fn sample_arguments(&mut self, sample: &mut pg::RangeTableSample) -> Res<Traits> {
        let mut traits = self.exprs(&mut sample.args)?;
        traits.add(self.optional(sample.repeatable.as_mut())?);
        Ok(traits)
    }

    fn join(&mut self, join: &mut JoinExpr, filter: Filter, scope: &mut Scope) -> Res<Vec<Node>> {
        if join.is_natural || !join.using_clause.is_empty() {
            self.own_operators(&["="])?;
        }
        let first = scope.items.len();
        let plain = !join.is_natural && join.using_clause.is_empty();
        let (above, on) = self.filters_of(join, filter);
        let kind = JoinType::try_from(join.jointype).unwrap_or(JoinType::Undefined);
        let fails = !plain && !self.merges_safely(join) && !left_out!(self.cx, Merged);
        self.fences += usize::from(fails);
        self.raised |= fails;
        let (left, right) = match kind {
            // What comes of the sides is made alike and compared where no guard stands before it, nor one in the ON of a join below.
            _ if fails => (Filter::Unseen, Filter::Unseen),
            JoinType::JoinInner if above == Filter::Above => (Filter::Above, Filter::Above),
            JoinType::JoinInner => (on, on),
            JoinType::JoinLeft => (above, on),
            JoinType::JoinRight => (on, above),
            JoinType::JoinFull if left_out!(self.cx, FullAbove) => (above, above),
            JoinType::JoinFull if above == Filter::Unseen => (above, above),
            // No fence may stand in its condition.
            JoinType::JoinFull if self.conversions.wanted || self.compares_oddly() => (Filter::Unseen, Filter::Unseen),
            JoinType::JoinFull => (Filter::None, Filter::None),
            _ => return Err(Refusal::not_understood("this kind of join is not supported")),
        };
        let (larg, rarg) = (join.larg.as_mut(), join.rarg.as_mut());
        let (Some(larg), Some(rarg)) = (larg, rarg) else { return Err(Refusal::not_understood("a join without sides")) };
        let left_guards = self.from_item(larg, left, scope)?;
        let middle = scope.items.len();
        let beyond = matches!(kind, JoinType::JoinRight | JoinType::JoinFull);
        scope.items[first..middle].iter_mut().for_each(|i| i.beyond = beyond);
        let right_guards = self.from_item(rarg, right, scope)?;
        scope.items[first..middle].iter_mut().for_each(|i| i.beyond = false);
        self.visible_using(join, &scope.items[first..])?;
        if !plain {
            self.using_converts(&scope.items[first..]);
        }
        self.joins_nothing_carried(join, &scope.items[first..])?;
        let (mut here, mut up) = (Vec::new(), Vec::new());
        let floats = kind == JoinType::JoinInner && above == Filter::Above;
        let moved = (kind == JoinType::JoinLeft && left_out!(self.cx, LeftAbove))
            || (kind == JoinType::JoinRight && left_out!(self.cx, RightAbove))
            || (!plain && left_out!(self.cx, UsingAbove));
        let own_side = |side: JoinType| !moved && !floats && (kind == JoinType::JoinInner || kind == side);
        if own_side(JoinType::JoinRight) {
            here.extend(left_guards)
        } else {
            up.extend(left_guards)
        }
        if own_side(JoinType::JoinLeft) {
            here.extend(right_guards)
        } else {
            up.extend(right_guards)
        }
        if (kind == JoinType::JoinInner && left_out!(self.cx, InnerOn))
            || (kind == JoinType::JoinLeft && left_out!(self.cx, LeftOn))
            || (kind == JoinType::JoinRight && left_out!(self.cx, RightOn))
        {
            here.clear();
        }
        if left_out!(self.cx, On) {
            join.quals = nodes::guarded(here, join.quals.take());
        } else {
            self.join_condition(join, here, scope, first)?;
        }
        close(join, kind, scope, first, middle)?;
        Ok(up)
    }

    /// Which filters the sides of a join may use: the one above it, and its own ON.
    fn filters_of(&self, join: &JoinExpr, filter: Filter) -> (Filter, Filter) {
        let above = match (&join.alias, filter) {
            (Some(_), _) if left_out!(self.cx, AliasedJoin) => Filter::None,
            (Some(_), _) => Filter::Unseen,
            (None, filter) => filter,
        };
        let plain = !join.is_natural && join.using_clause.is_empty();
        let unseen = join.alias.is_some() || filter == Filter::Unseen;
        let on = match plain {
            _ if unseen => above,
            true => Filter::Above,
            false if left_out!(self.cx, UsingAbove) => above,
            false => Filter::None,
        };
        (above, on)
    }

    fn join_condition(&mut self, join: &mut JoinExpr, guards: Vec<Node>, scope: &Scope, first: usize) -> Res<()> {
        let inside = Scope { items: scope.items[first..].to_vec(), ..Scope::default() };
        let condition = match join.quals.take() {
            None => None,
            Some(mut quals) => {
                self.levels.push(inside);
                let full = std::mem::replace(&mut self.full, join.jointype == JoinType::JoinFull as i32);
                let fenced = self.condition(&mut quals);
                self.full = full;
                let level = self.levels.pop();
                if fenced? {
                    barriers_in_join(join);
                }
                drop(level);
                Some(quals)
            }
        };
        join.quals = nodes::guarded(guards, condition);
        Ok(())
    }

    fn subselect(&mut self, sub: &mut RangeSubselect, scope: &mut Scope) -> Res<()> {
        if sub.lateral {
            self.levels.push(scope.clone());
        }
        let Some(NodeEnum::SelectStmt(select)) = sub.subquery.as_mut().and_then(|q| q.node.as_mut()) else {
            return Err(Refusal::not_understood("this kind of subquery is not supported"));
        };
        let shared = self.shared;
        let raisings = self.raisings;
        let traits = if left_out!(self.cx, Derived) { Ok(Default::default()) } else { self.select(select) };
        self.not_before_parents(raisings, sub.lateral)?;
        if sub.lateral {
            self.levels.pop();
        }
        if traits?.raises() && !left_out!(self.cx, SubqueryBarrier) {
            barrier(select);
        }
        let name = sub.alias.as_ref().map(|a| a.aliasname.clone()).unwrap_or_default();
        push(scope, name, Thing::Opaque)?.locks_shared = shared != self.shared;
        Ok(())
    }

    /// The calls of an item of FROM; gives its name.
    pub(super) fn from_function(&mut self, function: &mut RangeFunction, scope: &Scope) -> Res<String> {
        self.levels.push(scope.clone());
        let raisings = self.raisings;
        let mut result = Ok(());
        let mut name = String::new();
        for entry in &mut function.functions {
            let Some(NodeEnum::List(list)) = entry.node.as_mut() else {
                result = Err(Refusal::not_understood("this kind of function in FROM is not supported"));
                break;
            };
            // The second element holds a column definition list, which only record functions take.
            for part in list.items.iter_mut().filter(|n| n.node.is_some()) {
                if let Some(NodeEnum::List(definitions)) = part.node.as_mut() {
                    result = result.and_then(|()| definitions.items.iter_mut().try_for_each(|d| self.column_definition(d)));
                    continue;
                }
                if let (Some(NodeEnum::FuncCall(call)), true) = (&part.node, name.is_empty()) {
                    name = nodes::names(&call.funcname).and_then(|n| n.last().map(|s| (*s).to_owned())).unwrap_or_default();
                }
                if !left_out!(self.cx, FromFunction) {
                    result = result.and_then(|()| self.expr(part).map(|_| ())).and_then(|()| callable(part));
                }
            }
        }
        result = result.and_then(|()| self.not_before_parents(raisings, true));
        self.levels.pop();
        result?;
        for definition in &mut function.coldeflist {
            self.column_definition(definition)?;
        }
        Ok(function.alias.as_ref().map_or(name, |a| a.aliasname.clone()))
    }

    fn column_definition(&mut self, definition: &mut Node) -> Res<()> {
        match definition.node.as_mut() {
            Some(NodeEnum::ColumnDef(column)) if column.constraints.is_empty() && column.raw_default.is_none() => {
                column.type_name.as_mut().map_or(Ok(()), |t| self.type_name(t))
            }
            _ => Err(Refusal::not_understood("this column definition is not supported")),
        }
    }
}

/// What a join leaves to be seen of its items, which stand from `first` on, the right side's from `middle` on.
fn close(join: &JoinExpr, kind: JoinType, scope: &mut Scope, first: usize, middle: usize) -> Res<()> {
    for (index, item) in scope.items.iter_mut().enumerate().skip(first) {
        item.joined = true;
        item.nullable |= match kind {
            JoinType::JoinLeft => index >= middle,
            JoinType::JoinRight => index < middle,
            JoinType::JoinFull => true,
            _ => false,
        };
    }
    if let Some(alias) = &join.join_using_alias {
        push(scope, alias.aliasname.clone(), Thing::Merged)?;
    }
    if let Some(alias) = &join.alias {
        let shared = scope.items[first..].iter().any(|i| i.locks_shared);
        let hidden = scope.items[first..].iter().any(|i| i.locks_hidden);
        scope.items.truncate(first);
        let item = push(scope, alias.aliasname.clone(), Thing::Opaque)?;
        (item.locks_shared, item.locks_hidden) = (shared, hidden);
    }
    Ok(())
}

/// The query of a view, as upstream prints it.
pub(super) fn definition(view: &Relation) -> Res<Box<SelectStmt>> {
    let unreadable = || Refusal::not_understood("it is not one query");
    let mut stmts = parse::parse(view.definition.as_deref().ok_or_else(unreadable)?)?;
    match stmts.pop().and_then(|s| s.stmt).and_then(|n| n.node) {
        Some(NodeEnum::SelectStmt(select)) if stmts.is_empty() => Ok(select),
        _ => Err(unreadable()),
    }
}

/// FROM takes calls and what is written like one, and nothing else that may stand in the place of a catalog's function.
fn callable(part: &Node) -> Res<()> {
    match &part.node {
        Some(NodeEnum::FuncCall(_) | NodeEnum::SqlvalueFunction(_) | NodeEnum::TypeCast(_)) => Ok(()),
        Some(NodeEnum::CoalesceExpr(_) | NodeEnum::MinMaxExpr(_)) => Ok(()),
        _ => Err(Refusal::not_understood("this function is not supported in FROM")),
    }
}

/// Adds an item. Errors: 42712, the name stands there already.
pub(super) fn push(scope: &mut Scope, name: String, thing: Thing) -> Res<&mut Item> {
    if !name.is_empty() && scope.items.iter().any(|i| i.name == name) {
        return Err(Refusal::with_state("42712", format!("table name \"{name}\" specified more than once")));
    }
    let last = scope.items.len();
    scope.items.push(Item::new(name, thing));
    Ok(&mut scope.items[last])
}

/// `(SELECT * FROM t WHERE guard OFFSET 0) AS alias`
fn wrap(var: &RangeVar, guard: Node) -> Node {
    let alias = var.alias.clone().unwrap_or_else(|| pg::Alias { aliasname: var.relname.clone(), colnames: Vec::new() });
    let table = RangeVar { alias: None, ..var.clone() };
    let star = pg::ColumnRef { fields: vec![nodes::node(NodeEnum::AStar(pg::AStar {}))], location: -1 };
    let target = pg::ResTarget { val: nodes::boxed(nodes::node(NodeEnum::ColumnRef(star))), location: -1, ..Default::default() };
    let mut select = SelectStmt {
        target_list: vec![nodes::node(NodeEnum::ResTarget(Box::new(target)))],
        from_clause: vec![nodes::node(NodeEnum::RangeVar(table))],
        where_clause: nodes::boxed(guard),
        limit_option: pg::LimitOption::Default as i32,
        op: pg::SetOperation::SetopNone as i32,
        ..Default::default()
    };
    barrier(&mut select);
    let subquery = nodes::boxed(nodes::node(NodeEnum::SelectStmt(Box::new(select))));
    nodes::node(NodeEnum::RangeSubselect(Box::new(RangeSubselect { lateral: false, subquery, alias: Some(alias) })))
}

/// Keeps the planner from moving conditions into a subquery: `OFFSET 0`, unless it has a limit already.
pub(super) fn barrier(select: &mut SelectStmt) {
    if select.limit_count.is_none() && select.limit_offset.is_none() {
        select.limit_offset = nodes::boxed(nodes::integer(0));
        select.limit_option = pg::LimitOption::Count as i32;
    }
}

/// Makes every subquery among these FROM items a barrier.
pub(super) fn barriers(items: &mut [Node]) {
    for item in items {
        match item.node.as_mut() {
            Some(NodeEnum::RangeSubselect(sub)) => {
                if let Some(NodeEnum::SelectStmt(select)) = sub.subquery.as_mut().and_then(|q| q.node.as_mut()) {
                    barrier(select);
                }
            }
            Some(NodeEnum::JoinExpr(join)) => barriers_in_join(join),
            _ => {}
        }
    }
}

fn barriers_in_join(join: &mut JoinExpr) {
    for side in [join.larg.as_mut(), join.rarg.as_mut()].into_iter().flatten() {
        barriers(std::slice::from_mut(side.as_mut()));
    }
}
