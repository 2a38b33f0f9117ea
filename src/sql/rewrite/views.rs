//! A write to an automatically updatable view becomes the same write to the table below it, as PostgreSQL itself has it (rewriteHandler.c,
//! rewriteTargetView): columns become the table's, the view's condition stands before the client's, and RETURNING keeps the view's names.
//!
//! Here nothing is guarded or judged: what comes out is a statement like any of the client's, and the walk goes on with that.

use super::from::{VIEWS_MAX, definition};
use super::view_names::{EXCLUDED, Has, Named, Names, Shown, unknown};
use super::view_write::{
    Layer, NO_COLUMNS, SINGLE, SYSTEM_COLUMN, Through, below, called, expression, not_updatable, not_written, system_column,
};
use super::write::width;
use super::{Res, Rewriter, hidden};
use crate::sql::catalog::Relation;
use crate::sql::views::Event;
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, DeleteStmt, InsertStmt, Node, RangeVar, SelectStmt, UpdateStmt};
use std::sync::Arc;

impl Rewriter<'_> {
    /// Puts the table in the place of a view that a write goes to.
    pub(super) fn through_view(&self, node: &mut NodeEnum) -> Res<()> {
        let (var, event) = match node {
            NodeEnum::InsertStmt(x) => (x.relation.as_ref(), Event::Insert),
            NodeEnum::UpdateStmt(x) => (x.relation.as_ref(), Event::Update),
            NodeEnum::DeleteStmt(x) => (x.relation.as_ref(), Event::Delete),
            NodeEnum::MergeStmt(x) => return self.no_merge(x.relation.as_ref()),
            _ => return Ok(()),
        };
        let Some(view) = var.and_then(|v| self.written_view(v)) else { return Ok(()) };
        let reference = var.map_or("", |v| v.alias.as_ref().map_or(v.relname.as_str(), |a| a.aliasname.as_str())).to_owned();
        let through = self.shown_by(&view, event, &reference, 0)?;
        through.can_be_checked(&view, event)?;
        match node {
            NodeEnum::InsertStmt(x) => self.insert_through(x, &view, &through, &reference),
            NodeEnum::UpdateStmt(x) => self.update_through(x, &view, &through, &reference),
            NodeEnum::DeleteStmt(x) => self.delete_through(x, &view, &through, &reference),
            _ => Ok(()),
        }
    }

    fn written_view(&self, var: &RangeVar) -> Option<Arc<Relation>> {
        let view = self.cx.catalog.find(&var.schemaname, &var.relname)?;
        (view.kind == 'v' && view.is_expanded() && var.catalogname.is_empty()).then(|| view.clone())
    }

    fn no_merge(&self, var: Option<&RangeVar>) -> Res<()> {
        match var.and_then(|v| self.written_view(v)) {
            Some(view) if self.cx.catalog.server_version < 170_000 => {
                let message = format!("cannot execute MERGE on relation \"{}\"", view.name);
                Err(Refusal::not_understood(message).detail("This operation is not supported for views."))
            }
            Some(_) => Err(unknown("MERGE")),
            None => Ok(()),
        }
    }

    fn shown_by(&self, view: &Relation, event: Event, reference: &str, depth: usize) -> Res<Through> {
        if view.writes.is_code(event) {
            return Err(Refusal::not_understood(format!("writing through view \"{}\" is not supported", view.name))
                .detail("It has an INSTEAD OF trigger or a rule: code of the database's own, which knows no tenant.")
                .hint_at("It is listed", &view.place));
        }
        let refused = |why: &str| {
            Refusal::not_understood(format!("writing through view \"{}\" is not supported", view.name))
                .detail(format!("Its definition cannot be read for one tenant: {why}."))
                .hint_at("It is listed", &view.place)
        };
        let select = definition(view).and_then(|s| hidden::without_column(view, s)).map_err(|r| refused(&r.message))?;
        if depth == VIEWS_MAX {
            return Err(refused("views are nested too deeply"));
        }
        let var = match select.from_clause.as_slice() {
            [Node { node: Some(NodeEnum::RangeVar(var)) }] if not_updatable(&select).is_none() => var,
            _ => return Err(not_written(view, event, not_updatable(&select).unwrap_or(SINGLE))),
        };
        let Some(below) = self.cx.catalog.find(&var.schemaname, &var.relname).filter(|_| !var.schemaname.is_empty()) else {
            return Err(refused("it reads what is not listed"));
        };
        let inner = match below.kind {
            'v' if below.is_expanded() => self.shown_by(below, event, reference, depth + 1)?,
            'r' | 'p' => Through::of_table(below, var.inh, reference),
            'm' => return Err(not_written(view, event, SINGLE)),
            _ => return Err(refused("it is not of a table")),
        };
        let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname).clone();
        let done = self.seen_through(view, &select, inner, name, reference);
        let done = done.map_err(|r| refused(if r.sqlstate == "42703" { "it reads a hidden column" } else { &r.message }))?;
        // What its list calls the server knows.
        if !view.writes.is_automatic(event) {
            let why = if view.writes.is_automatic(Event::Delete) { NO_COLUMNS } else { called(&select, &self.cx.catalog.aggregates) };
            return Err(not_written(view, event, why));
        }
        Ok(done)
    }

    /// The view's columns and condition in terms of the table, where those of what it reads are.
    fn seen_through(&self, view: &Relation, select: &SelectStmt, inner: Through, name: String, reference: &str) -> Res<Through> {
        let columns = inner.columns.clone();
        let item = Named { name, schema: None, has: Has::View(&columns) };
        let mut names = self.names(&inner.table, reference, vec![item]);
        // No WITH query of the client's is meant by a view.
        (names.is_view, names.ctes) = (true, Vec::new());
        let mut shown = Vec::new();
        if view.columns.len() != select.target_list.len() {
            return Err(Refusal::not_understood("its columns are not known"));
        }
        for (column, target) in view.columns.iter().zip(&select.target_list) {
            let Some(NodeEnum::ResTarget(target)) = &target.node else { return Err(Refusal::not_understood("its columns are not known")) };
            let mut value = target.val.as_deref().cloned().unwrap_or_default();
            let below = below(&value, &inner.columns);
            match below {
                Err(SYSTEM_COLUMN) if inner.layers.is_empty() => value = system_column(&value, reference),
                _ => names.expr(&mut value)?,
            }
            let mut own = view.writes.defaults.get(&column.name).map(|text| expression(text)).transpose()?;
            own.iter_mut().try_for_each(|d| names.expr(d))?;
            let default = own.or_else(|| below.as_ref().ok().and_then(|c| c.default.clone()));
            shown.push(Shown { name: column.name.clone(), value, column: below.and_then(|c| c.column.clone()), default });
        }
        let mut condition = select.where_clause.as_deref().cloned();
        condition.iter_mut().try_for_each(|c| names.expr(c))?;
        let mut layers = inner.layers;
        layers.push(Layer { condition, barrier: view.writes.barrier, check: view.writes.check });
        Ok(Through { columns: shown, layers, ..inner })
    }

    fn names<'n>(&'n self, table: &'n Relation, reference: &'n str, level: Vec<Named<'n>>) -> Names<'n> {
        let (catalog, temps, ctes) = (self.cx.catalog, &self.cx.private.temps, self.ctes.concat());
        Names { source: self.cx.source, catalog, temps, table, reference, levels: vec![level], ctes, is_view: false }
    }

    fn update_through(&self, x: &mut UpdateStmt, view: &Relation, through: &Through, reference: &str) -> Res<()> {
        let mut names = self.names(&through.table, reference, vec![through.item(reference, x.relation.as_ref(), view)]);
        through.items(&mut names, &mut x.from_clause)?;
        through.assigned(&mut x.target_list, view, Event::Update, &names)?;
        names.all(&mut x.target_list)?;
        x.where_clause = through.filtered(&mut names, x.where_clause.take())?;
        through.returned(&mut names, x.returning_clause.as_mut(), &x.from_clause)?;
        through.becomes(x.relation.as_mut(), reference);
        Ok(())
    }

    fn delete_through(&self, x: &mut DeleteStmt, view: &Relation, through: &Through, reference: &str) -> Res<()> {
        let mut names = self.names(&through.table, reference, vec![through.item(reference, x.relation.as_ref(), view)]);
        through.items(&mut names, &mut x.using_clause)?;
        x.where_clause = through.filtered(&mut names, x.where_clause.take())?;
        through.returned(&mut names, x.returning_clause.as_mut(), &x.using_clause)?;
        through.becomes(x.relation.as_mut(), reference);
        Ok(())
    }

    fn insert_through(&self, x: &mut InsertStmt, view: &Relation, through: &Through, reference: &str) -> Res<()> {
        if x.cols.is_empty()
            && let Some(NodeEnum::SelectStmt(select)) = x.select_stmt.as_ref().and_then(|s| s.node.as_ref())
        {
            let width = width(select).or_else(|| self.known_width(select, x.with_clause.as_ref())).ok_or_else(|| {
                Refusal::not_understood("INSERT without a column list from SELECT * is not supported").hint("Name the columns.")
            })?;
            if width > through.columns.len() {
                return Err(Refusal::syntax("INSERT has more expressions than target columns"));
            }
            let target = |c: &Shown| pg::ResTarget { name: c.name.clone(), location: -1, ..Default::default() };
            x.cols = through.columns[..width].iter().map(|c| nodes::node(NodeEnum::ResTarget(Box::new(target(c))))).collect();
        }
        through.defaults(x)?;
        let mut names = self.names(&through.table, reference, vec![through.item(reference, x.relation.as_ref(), view)]);
        through.assigned(&mut x.cols, view, Event::Insert, &names)?;
        names.all(&mut x.cols)?;
        through.returned(&mut names, x.returning_clause.as_mut(), &[])?;
        if let Some(conflict) = x.on_conflict_clause.as_mut() {
            let excluded = self.shown_by(view, Event::Insert, EXCLUDED, 0)?.columns;
            let mut names = self.names(&through.table, reference, vec![through.item(reference, x.relation.as_ref(), view)]);
            through.conflict(conflict, &mut names, view, &excluded)?;
        }
        through.becomes(x.relation.as_mut(), reference);
        Ok(())
    }
}
