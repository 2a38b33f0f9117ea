//! The parts of a write to a view, one by one: what is assigned, what is filtered, what is returned.

use super::Res;
use super::hidden::{is_plain, star_of};
use super::view_names::{EXCLUDED, Has, Named, Names, Shown, unknown};
use crate::sql::catalog::{Relation, SYSTEM_COLUMNS};
use crate::sql::views::{Check, Event};
use crate::sql::{Refusal, nodes, parse};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    self as pg, Alias, InsertStmt, Node, OnConflictClause, RangeVar, ResTarget, ReturningClause, SelectStmt, SetOperation,
};
use std::collections::HashSet;
use std::sync::Arc;

/// Why a view or a column of one is not updatable, in PostgreSQL's words (rewriteHandler.c).
pub(super) const SINGLE: &str = "Views that do not select from a single table or view are not automatically updatable.";
pub(super) const NO_COLUMNS: &str = "Views that have no updatable columns are not automatically updatable.";
const NOT_A_COLUMN: &str = "View columns that are not columns of their base relation are not updatable.";
pub(super) const SYSTEM_COLUMN: &str = "View columns that refer to system columns are not updatable.";
const WHOLE_ROW: &str = "View columns that return whole-row references are not updatable.";

/// A view as its table shows it.
#[derive(Clone, Debug)]
pub(super) struct Through {
    pub(super) table: Arc<Relation>,
    /// UPDATE and DELETE go to what inherits from it, too.
    pub(super) inherits: bool,
    pub(super) columns: Vec<Shown>,
    /// The views, the one next to the table first.
    pub(super) layers: Vec<Layer>,
}

/// What one view adds.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) condition: Option<Node>,
    pub(super) barrier: bool,
    pub(super) check: Check,
}

impl Through {
    /// The table itself by this name.
    pub(super) fn of_table(table: &Arc<Relation>, inherits: bool, reference: &str) -> Self {
        let shown =
            |name: &String| Shown { name: name.clone(), value: nodes::column(reference, name), column: Ok(name.clone()), default: None };
        let columns = table.columns.iter().map(|c| shown(&c.name)).collect();
        Self { table: table.clone(), inherits, columns, layers: Vec::new() }
    }

    /// The view as columns name it.
    pub(super) fn item<'a>(&'a self, reference: &str, var: Option<&RangeVar>, view: &Relation) -> Named<'a> {
        let schema = var.filter(|v| v.alias.is_none()).map(|_| view.schema.clone());
        Named { name: reference.to_owned(), schema, has: Has::View(&self.columns) }
    }

    /// Adds what stands beside the view. It cannot see the view, so nothing in it changes.
    pub(super) fn items(&self, names: &mut Names<'_>, from: &mut [Node]) -> Res<()> {
        let level = std::mem::take(&mut names.levels);
        names.levels.push(Vec::new());
        let mut copy = from.to_vec();
        copy.iter_mut().try_for_each(|item| names.from_item(item))?;
        let beside = std::mem::replace(&mut names.levels, level).pop().unwrap_or_default();
        if let Some(first) = names.levels.first_mut() {
            first.extend(beside);
        }
        Ok(())
    }

    /// Names of assigned columns become the table's.
    pub(super) fn assigned(&self, targets: &mut [Node], view: &Relation, event: Event, names: &Names<'_>) -> Res<()> {
        for target in targets {
            let Some(NodeEnum::ResTarget(t)) = target.node.as_mut() else { return Err(unknown("this assignment")) };
            let Some(shown) = self.columns.iter().find(|c| c.name == t.name) else {
                let message = format!("column \"{}\" of relation \"{}\" does not exist", t.name, view.name);
                return Err(names.pointed(Refusal::with_state("42703", message), t.location));
            };
            match (t.val.as_deref_mut(), &shown.default) {
                (Some(value), Some(default)) if matches!(value.node, Some(NodeEnum::SetToDefault(_))) => *value = default.clone(),
                (Some(Node { node: Some(NodeEnum::MultiAssignRef(_)) }), Some(_)) => return Err(unknown("a default of the view's here")),
                _ => {}
            }
            match (&shown.column, event) {
                (Ok(column), _) => t.name.clone_from(column),
                (Err(why), Event::Insert) => {
                    let message = format!("cannot insert into column \"{}\" of view \"{}\"", t.name, view.name);
                    return Err(Refusal::not_understood(message).detail(*why));
                }
                (Err(why), _) => {
                    let message = format!("cannot update column \"{}\" of view \"{}\"", t.name, view.name);
                    return Err(Refusal::not_understood(message).detail(*why));
                }
            }
        }
        Ok(())
    }

    /// The views' conditions, the innermost first, and the client's behind them.
    pub(super) fn filtered(&self, names: &mut Names<'_>, client: Option<Box<Node>>) -> Res<Option<Box<Node>>> {
        if matches!(client.as_ref().and_then(|c| c.node.as_ref()), Some(NodeEnum::CurrentOfExpr(_))) {
            return Err(Refusal::not_understood("WHERE CURRENT OF on a view is not implemented"));
        }
        let mut parts: Vec<Node> = Vec::new();
        if let Some(mut client) = client.map(|c| *c) {
            names.expr(&mut client)?;
            parts.push(client);
        }
        for layer in self.layers.iter().rev() {
            let Some(condition) = &layer.condition else { continue };
            let own = conjuncts(condition);
            if layer.barrier && !parts.iter().all(is_quiet) {
                parts = vec![nodes::case(nodes::and(own), nodes::and(parts), None)];
            } else {
                parts = own.into_iter().chain(parts).collect();
            }
        }
        Ok(if parts.is_empty() { None } else { nodes::boxed(nodes::and(parts)) })
    }

    /// RETURNING: stars are the view's columns, and each column keeps its name.
    pub(super) fn returned(&self, names: &mut Names<'_>, returning: Option<&mut ReturningClause>, from: &[Node]) -> Res<()> {
        let Some(returning) = returning else { return Ok(()) };
        if !returning.options.is_empty() {
            return Err(unknown("OLD and NEW"));
        }
        let level = names.levels.first().cloned().unwrap_or_default();
        let Some((own, others)) = level.split_first() else { return Ok(()) };
        let mut out = Vec::new();
        for expr in std::mem::take(&mut returning.exprs) {
            match star_of(&expr).as_deref() {
                Some([]) if from.iter().all(is_plain) && others.iter().all(|i| !i.name.is_empty()) => {
                    out.extend(self.columns.iter().map(|c| column(&own.name, &c.name)));
                    out.extend(others.iter().map(|i| star(&i.name)));
                }
                Some([]) => return Err(unknown("a star of RETURNING here")),
                Some([name]) if *name == own.name => out.extend(self.columns.iter().map(|c| column(name, &c.name))),
                Some([schema, name]) if *name == own.name && own.schema.as_deref() == Some(*schema) => {
                    out.extend(self.columns.iter().map(|c| column(name, &c.name)));
                }
                _ => out.push(expr),
            }
        }
        names.targets(&mut out)?;
        returning.exprs = out;
        Ok(())
    }

    /// The table stands in the view's place, under the view's name.
    pub(super) fn becomes(&self, var: Option<&mut RangeVar>, reference: &str) {
        let Some(var) = var else { return };
        var.schemaname.clone_from(&self.table.schema);
        var.relname.clone_from(&self.table.name);
        var.alias = Some(Alias { aliasname: reference.to_owned(), colnames: Vec::new() });
        var.inh = self.inherits;
    }

    pub(super) fn conflict<'n>(&self, x: &mut OnConflictClause, names: &mut Names<'n>, view: &Relation, excluded: &'n [Shown]) -> Res<()> {
        if let Some(infer) = x.infer.as_mut() {
            if !infer.conname.is_empty() {
                let message = format!("constraint \"{}\" for table \"{}\" does not exist", infer.conname, view.name);
                return Err(Refusal::with_state("42704", message));
            }
            for element in &mut infer.index_elems {
                let Some(NodeEnum::IndexElem(e)) = element.node.as_mut() else { return Err(unknown("this ON CONFLICT")) };
                if e.expr.is_some() {
                    names.optional(e.expr.as_mut())?;
                    continue;
                }
                let shown = self.columns.iter().find(|c| c.name == e.name);
                let missing = || Refusal::with_state("42703", format!("column \"{}\" does not exist", e.name));
                let shown = shown.ok_or_else(|| names.pointed(missing(), infer.location))?;
                e.name = shown.column.clone().map_err(|_| unknown("ON CONFLICT on a computed column"))?;
            }
            names.optional(infer.where_clause.as_mut())?;
        }
        self.assigned(&mut x.target_list, view, Event::Update, names)?;
        if let Some(level) = names.levels.first_mut() {
            // It has the same columns, so a name alone is ambiguous.
            level.push(Named { name: EXCLUDED.to_owned(), schema: None, has: Has::View(excluded) });
        }
        names.all(&mut x.target_list)?;
        names.optional(x.where_clause.as_mut())
    }

    /// Writes the views' own defaults out.
    pub(super) fn defaults(&self, x: &mut InsertStmt) -> Res<()> {
        let named =
            |c: &Shown, cols: &[Node]| cols.iter().position(|n| matches!(&n.node, Some(NodeEnum::ResTarget(t)) if t.name == c.name));
        let with: Vec<(&Shown, &Node)> = self.columns.iter().filter_map(|c| Some((c, c.default.as_ref()?))).collect();
        if with.is_empty() {
            return Ok(());
        }
        if x.select_stmt.is_none() {
            let row = pg::List { items: Vec::new() };
            let select = SelectStmt { values_lists: vec![nodes::node(NodeEnum::List(row))], ..nodes::query(Vec::new(), Vec::new()) };
            x.select_stmt = nodes::boxed(nodes::node(NodeEnum::SelectStmt(Box::new(select))));
        }
        let rows = match x.select_stmt.as_mut().and_then(|s| s.node.as_mut()) {
            Some(NodeEnum::SelectStmt(select)) if select.larg.is_none() => &mut select.values_lists,
            _ => return Err(unknown("a default of the view's beside a query")),
        };
        for (shown, default) in with {
            let at = named(shown, &x.cols);
            if rows.is_empty() && at.is_none() {
                return Err(unknown("a default of the view's beside a query"));
            }
            for row in rows.iter_mut() {
                let Some(NodeEnum::List(list)) = row.node.as_mut() else { return Err(unknown("this VALUES")) };
                match at {
                    None => list.items.push(default.clone()),
                    Some(at) => {
                        let asked = list.items.get_mut(at).filter(|n| matches!(n.node, Some(NodeEnum::SetToDefault(_))));
                        asked.into_iter().for_each(|n| *n = default.clone());
                    }
                }
            }
            if at.is_none() {
                let target = ResTarget { name: shown.name.clone(), location: -1, ..Default::default() };
                x.cols.push(nodes::node(NodeEnum::ResTarget(Box::new(target))));
            }
        }
        Ok(())
    }

    /// WITH CHECK OPTION looks at a row when it has been stored, which no statement of the wall's can. An UPDATE of other columns than the
    /// conditions name leaves them as its own WHERE has found them.
    pub(super) fn can_be_checked(&self, view: &Relation, event: Event, assigned: &[Node]) -> Res<()> {
        let mut cascades = false;
        let mut checked = Vec::new();
        for layer in self.layers.iter().rev() {
            checked.extend(layer.condition.as_ref().filter(|_| cascades || layer.check != Check::None));
            cascades |= layer.check == Check::Cascaded;
        }
        let as_found = event == Event::Update && self.table.kind == 'r' && !self.table.inherited && !self.table.triggers_on_update;
        let stays = |name: &str| {
            let target = |t: &Node| matches!(&t.node, Some(NodeEnum::ResTarget(t)) if t.name == name);
            !assigned.iter().any(target) && self.table.column(name).is_some_and(|c| !c.computed)
        };
        if event == Event::Delete || checked.iter().all(|c| as_found && depends_on(c, &stays)) {
            return Ok(());
        }
        Err(Refusal::not_understood(format!("writing through view \"{}\" is not supported", view.name))
            .detail("WITH CHECK OPTION looks at rows when they have been stored, which the wall cannot.")
            .hint_at("It is listed", &view.place))
    }
}

/// Whether nothing but such columns and PostgreSQL's own operators decide what an expression gives.
fn depends_on(value: &Node, such: &dyn Fn(&str) -> bool) -> bool {
    let one = |n: &Option<Box<Node>>| n.as_ref().is_none_or(|n| depends_on(n, such));
    let all = |list: &[Node]| list.iter().all(|n| depends_on(n, such));
    match &value.node {
        Some(NodeEnum::AConst(_)) => true,
        Some(NodeEnum::ColumnRef(c)) => matches!(nodes::names(&c.fields).as_deref(), Some([_, name]) if such(name)),
        Some(NodeEnum::BoolExpr(x)) => all(&x.args),
        Some(NodeEnum::List(x)) => all(&x.items),
        Some(NodeEnum::NullTest(x)) => one(&x.arg),
        Some(NodeEnum::AExpr(x)) => x.name.len() == 1 && one(&x.lexpr) && one(&x.rexpr),
        Some(NodeEnum::TypeCast(x)) => {
            let own = x.type_name.as_ref().and_then(|t| nodes::names(&t.names));
            one(&x.arg) && matches!(own.as_deref(), Some([_] | ["pg_catalog", _]))
        }
        _ => false,
    }
}

/// What keeps a query from being written through (rewriteHandler.c, view_query_is_auto_updatable), but for what its list calls.
pub(super) fn not_updatable(select: &SelectStmt) -> Option<&'static str> {
    let sampled = |n: &Node| matches!(n.node, Some(NodeEnum::RangeTableSample(_)));
    if !select.distinct_clause.is_empty() {
        Some("Views containing DISTINCT are not automatically updatable.")
    } else if !select.group_clause.is_empty() {
        Some("Views containing GROUP BY are not automatically updatable.")
    } else if select.having_clause.is_some() {
        Some("Views containing HAVING are not automatically updatable.")
    } else if select.op != SetOperation::SetopNone as i32 {
        Some("Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.")
    } else if select.with_clause.is_some() {
        Some("Views containing WITH are not automatically updatable.")
    } else if select.limit_count.is_some() || select.limit_offset.is_some() {
        Some("Views containing LIMIT or OFFSET are not automatically updatable.")
    } else if matches!(select.from_clause.as_slice(), [item] if sampled(item)) {
        Some("Views containing TABLESAMPLE are not automatically updatable.")
    } else {
        None
    }
}

/// What the list of such a view calls.
pub(super) fn called(select: &SelectStmt, aggregates: &HashSet<String>) -> &'static str {
    let calls = |such: &dyn Fn(&pg::FuncCall) -> bool| {
        select.target_list.iter().any(|t| match &t.node {
            Some(NodeEnum::ResTarget(t)) => match t.val.as_ref().and_then(|v| v.node.as_ref()) {
                Some(NodeEnum::FuncCall(call)) => such(call),
                _ => false,
            },
            _ => false,
        })
    };
    if calls(&|call| call.over.is_some()) {
        "Views that return window functions are not automatically updatable."
    } else if calls(&|call| nodes::names(&call.funcname).is_some_and(|n| n.last().is_some_and(|n| aggregates.contains(*n)))) {
        "Views that return aggregate functions are not automatically updatable."
    } else {
        "Views that return set-returning functions are not automatically updatable."
    }
}

/// PostgreSQL's own error.
pub(super) fn not_written(view: &Relation, event: Event, why: &str) -> Refusal {
    let (what, doing, code) = match event {
        Event::Insert => ("insert into", "inserting into", "INSERT"),
        Event::Update => ("update", "updating", "UPDATE"),
        Event::Delete => ("delete from", "deleting from", "DELETE"),
    };
    let hint = format!("provide an INSTEAD OF {code} trigger or an unconditional ON {code} DO INSTEAD rule.");
    Refusal::with_state("55000", format!("cannot {what} view \"{}\"", view.name))
        .detail(why)
        .hint(format!("To enable {doing} the view, {hint}"))
}

/// What a column of a view is of what the view reads: a column, or why it is none that could be assigned.
pub(super) fn below(value: &Node, columns: &[Shown]) -> Result<Shown, &'static str> {
    let Some(NodeEnum::ColumnRef(column)) = &value.node else { return Err(NOT_A_COLUMN) };
    let names = nodes::names(&column.fields).unwrap_or_default();
    let found = names.last().and_then(|name| columns.iter().find(|c| c.name == *name));
    match (found, names.last()) {
        (Some(found), _) => Ok(found.clone()),
        (None, Some(name)) if SYSTEM_COLUMNS.contains(name) => Err(SYSTEM_COLUMN),
        _ => Err(WHOLE_ROW),
    }
}

/// `reference.ctid` and its kin.
pub(super) fn system_column(value: &Node, reference: &str) -> Node {
    let Some(NodeEnum::ColumnRef(column)) = &value.node else { return value.clone() };
    let name = nodes::names(&column.fields).and_then(|n| n.last().map(|s| (*s).to_owned())).unwrap_or_default();
    nodes::column(reference, &name)
}

/// A default as the server prints it.
pub(super) fn expression(text: &str) -> Res<Node> {
    let unreadable = || Refusal::not_understood("a default of its columns cannot be read");
    let mut stmts = parse::parse(&format!("SELECT {text}"))?;
    let Some(NodeEnum::SelectStmt(select)) = stmts.pop().and_then(|s| s.stmt).and_then(|n| n.node) else { return Err(unreadable()) };
    match select.target_list.into_iter().next().and_then(|t| t.node) {
        Some(NodeEnum::ResTarget(target)) if stmts.is_empty() => target.val.map(|v| *v).ok_or_else(unreadable),
        _ => Err(unreadable()),
    }
}

/// The parts of an AND.
fn conjuncts(condition: &Node) -> Vec<Node> {
    match &condition.node {
        Some(NodeEnum::BoolExpr(x)) if x.boolop == pg::BoolExprType::AndExpr as i32 => x.args.clone(),
        _ => vec![condition.clone()],
    }
}

/// A comparison that can neither fail nor tell of a row that a barrier keeps out.
fn is_quiet(part: &Node) -> bool {
    let leaf = |side: &Option<Box<Node>>| match side.as_ref().and_then(|s| s.node.as_ref()) {
        Some(NodeEnum::TypeCast(x)) => matches!(x.arg.as_ref().and_then(|a| a.node.as_ref()), Some(NodeEnum::AConst(_))),
        other => matches!(other, Some(NodeEnum::ColumnRef(_) | NodeEnum::AConst(_) | NodeEnum::ParamRef(_))),
    };
    match &part.node {
        Some(NodeEnum::BoolExpr(x)) => x.args.iter().all(is_quiet),
        Some(NodeEnum::AExpr(x)) => {
            let name = nodes::names(&x.name).unwrap_or_default();
            let compares = matches!(name.as_slice(), ["=" | "<>" | "<" | "<=" | ">" | ">="]);
            compares && x.kind == pg::AExprKind::AexprOp as i32 && leaf(&x.lexpr) && leaf(&x.rexpr)
        }
        _ => false,
    }
}

/// `reference.column`, shown by its own name.
fn column(reference: &str, name: &str) -> Node {
    target(nodes::column(reference, name))
}

/// `reference.*`
fn star(reference: &str) -> Node {
    let fields = vec![nodes::string(reference), nodes::node(NodeEnum::AStar(pg::AStar {}))];
    target(nodes::node(NodeEnum::ColumnRef(pg::ColumnRef { fields, location: -1 })))
}

fn target(value: Node) -> Node {
    nodes::node(NodeEnum::ResTarget(Box::new(ResTarget { val: nodes::boxed(value), location: -1, ..Default::default() })))
}
