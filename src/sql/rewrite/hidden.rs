//! A tenant column that the policy hides does not exist for the tenant.
//!
//! In FROM the table becomes a subquery of its other columns: stars, whole rows, NATURAL JOIN and names then mean what they would mean if
//! the column were not there. Where the table itself has to stand, as the target of a write, its names are looked up here, stars in
//! RETURNING are written out, and what cannot be told is refused.

use super::from::push;
use super::shape::string_of;
use super::write::width;
use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::scope::{Item, Scope, Thing};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, Node, RangeSubselect, RangeVar, ResTarget, ReturningClause, SelectStmt};
use std::sync::Arc;

/// What the walk notes of such tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hidden {
    /// How many became a subquery.
    pub(super) wrapped: usize,
    /// A guard names a hidden column.
    pub(super) named: bool,
}

/// What a name without a qualifier means, as far as a hidden column goes.
enum Meaning {
    /// Something else.
    Other,
    /// The column.
    Hidden,
    /// It cannot be told.
    Unknown,
}

impl Rewriter<'_> {
    /// `(SELECT t.a, t.b FROM t WHERE guard) AS alias`. It needs no fence: conditions beside it that can fail make it a barrier.
    pub(super) fn without_hidden(&mut self, item: &mut Node, relation: Arc<Relation>, scope: &mut Scope) -> Res<()> {
        let Some(guard) = self.guard(&relation, &relation.name)? else { return Err(Refusal::no_relation(&relation.name)) };
        let Some(NodeEnum::RangeVar(var)) = item.node.as_ref() else { return Err(Refusal::not_understood("not a relation")) };
        let alias = var.alias.clone().unwrap_or_else(|| pg::Alias { aliasname: var.relname.clone(), colnames: Vec::new() });
        let (name, renamed) = (alias.aliasname.clone(), !alias.colnames.is_empty());
        let was_in = var.alias.is_none().then(|| relation.schema.clone());
        let table = RangeVar { alias: None, ..var.clone() };
        let mut targets: Vec<Node> = relation.columns.iter().map(|c| column_of(&relation.name, &c.name)).collect();
        if left_out!(self.cx, HiddenStar) {
            targets.extend(relation.hides().map(|c| column_of(&relation.name, c)));
        }
        let number = self.hidden.wrapped;
        targets.extend(self.carried_targets(number, &relation.name));
        if alias.colnames.len() > relation.columns.len() {
            let counts = format!("{} columns available but {} columns specified", relation.columns.len(), alias.colnames.len());
            return Err(Refusal::with_state("42P10", format!("table \"{name}\" has {counts}")));
        }
        let guard = if left_out!(self.cx, HiddenGuard) { nodes::truth(true) } else { guard.predicate() };
        let mut select =
            SelectStmt { where_clause: nodes::boxed(guard), ..nodes::query(Vec::new(), vec![nodes::node(NodeEnum::RangeVar(table))]) };
        select.target_list = targets;
        let subquery = nodes::boxed(nodes::node(NodeEnum::SelectStmt(Box::new(select))));
        *item = nodes::node(NodeEnum::RangeSubselect(Box::new(RangeSubselect { lateral: false, subquery, alias: Some(alias) })));
        self.hidden.wrapped += 1;
        self.renamed.extend(renamed.then(|| name.clone()));
        let item = push(scope, name, if renamed { Thing::Opaque } else { Thing::Wrapped(relation) })?;
        (item.aliased, item.was_in, item.carries) = (was_in.is_none(), was_in, Some(number));
        Ok(())
    }

    /// `public.orders.id`: what stands in FROM now is a subquery, which has no schema.
    pub(super) fn column_of_subquery(&self, column: &mut pg::ColumnRef) {
        if column.fields.len() != 3 || self.cx.catalog.home.schema().is_some() {
            return;
        }
        let names = nodes::names(&column.fields[..2]);
        let Some([schema, table]) = names.as_deref() else { return };
        let item = self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == *table);
        if item.is_some_and(|i| i.was_in.as_deref() == Some(*schema)) {
            column.fields.remove(0);
        }
    }

    /// A row lock reaches into a subquery, and into a barrier for all its rows, before they are looked at.
    pub(super) fn no_late_locks(&self, reaches_in: bool, fences: usize) -> Res<()> {
        if !reaches_in || self.fences == fences || left_out!(self.cx, HiddenLocks) {
            return Ok(());
        }
        Err(Refusal::not_understood("row locks beside a condition that can fail are not supported here")
            .detail("A table with a hidden tenant column would be locked before the condition is looked at."))
    }

    /// A column or a whole row, as a name or a star says it: is it one that the tenant has?
    pub(super) fn visible(&self, names: &[&str], star: bool, place: Option<u32>) -> Res<()> {
        self.nothing_carried(names, star, place)?;
        if left_out!(self.cx, HiddenNames) {
            return Ok(());
        }
        if self.views > 0 {
            self.visible_in_view(names, star)?;
        }
        match (names, star) {
            ([], true) => match self.levels.last() {
                Some(level) if level.items.iter().any(is_base) => Err(unproved("a star here", place)),
                _ => Ok(()),
            },
            ([.., relation], true) => match self.base(relation) {
                Some(_) => Err(unproved("a star of the written table here", place)),
                None => Ok(()),
            },
            ([name], false) => self.visible_alone(name, place),
            ([.., relation, field], false) => match self.base(relation) {
                Some(hides) if hides == *field => Err(no_column(&format!("{relation}.{field}"), place)),
                _ => Ok(()),
            },
            ([], false) => Ok(()),
        }
    }

    fn visible_alone(&self, name: &str, place: Option<u32>) -> Res<()> {
        match self.meaning(name) {
            Meaning::Hidden => return Err(no_column(&format!("\"{name}\""), place)),
            Meaning::Unknown => return Err(unproved(&format!("the name \"{name}\" without its table"), place)),
            Meaning::Other => {}
        }
        let column = self.levels.iter().flat_map(|l| &l.items).any(|i| i.has_column(name));
        match self.base(name) {
            Some(_) if !column => Err(unproved("a whole row of the written table", place)),
            _ => Ok(()),
        }
    }

    /// Level by level, as PostgreSQL looks: the innermost that has the column has it.
    fn meaning(&self, name: &str) -> Meaning {
        let mut unknown = false;
        for level in self.levels.iter().rev() {
            let hidden = level.items.iter().any(|i| i.hides.as_deref() == Some(name));
            let certain = level.items.iter().any(|i| i.has_column(name));
            unknown |= level.items.iter().any(|i| matches!(i.thing, Thing::Opaque));
            match (hidden, certain) {
                (true, false) if !unknown => return Meaning::Hidden,
                (true, _) => return Meaning::Unknown,
                (false, true) => return Meaning::Other,
                (false, false) => {}
            }
        }
        Meaning::Other
    }

    /// What the written table of this name hides. OLD and NEW are such names in RETURNING.
    fn base(&self, name: &str) -> Option<&str> {
        let found = self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == name);
        match found {
            Some(item) => item.hides.as_deref(),
            None if matches!(name, "old" | "new") => self.levels.iter().flat_map(|l| &l.items).find_map(|i| i.hides.as_deref()),
            None => None,
        }
    }

    /// A view's text is the operator's: what it says of a hidden column must not reach the client as an error.
    fn visible_in_view(&self, names: &[&str], star: bool) -> Res<()> {
        let Some(field) = names.last().filter(|_| !star) else { return Ok(()) };
        let hides = |i: &Item| matches!(&i.thing, Thing::Wrapped(r) if r.hides() == Some(field));
        let mut items = self.levels.iter().rev().flat_map(|l| &l.items);
        let hidden = match names {
            [.., relation, _] => items.find(|i| i.name == *relation).is_some_and(hides),
            _ => items.any(hides),
        };
        if hidden { Err(Refusal::not_understood("it reads a hidden column")) } else { Ok(()) }
    }

    /// USING in a view's text is the operator's, too.
    pub(super) fn visible_using(&self, join: &pg::JoinExpr, items: &[Item]) -> Res<()> {
        let used = nodes::names(&join.using_clause).unwrap_or_default();
        let hides = |i: &Item| matches!(&i.thing, Thing::Wrapped(r) if r.hides().is_some_and(|c| used.contains(&c)));
        if self.views > 0 && items.iter().any(hides) {
            return Err(Refusal::not_understood("it joins by a hidden column"));
        }
        Ok(())
    }

    /// `pg_get_serial_sequence` and `has_column_privilege` fail for a column that is not there; a literal one is told in the server's words.
    pub(super) fn no_hidden_name(&self, function: &str, args: &[Node]) -> Res<()> {
        let hidden = &self.cx.catalog.system.hidden;
        if !matches!(function, "pg_get_serial_sequence" | "has_column_privilege") || left_out!(self.cx, HiddenNames) {
            return Ok(());
        }
        for pair in args.windows(2) {
            let (Some(table), Some(column)) = (string_of(&pair[0]), string_of(&pair[1])) else { continue };
            if let Some((_, _, name)) = self.cx.catalog.resolve_relation(&table).filter(|(oid, ..)| hidden.hides(*oid, &column)) {
                return Err(Refusal::with_state("42703", format!("column \"{column}\" of relation \"{name}\" does not exist")));
            }
        }
        Ok(())
    }

    /// Nobody writes a column that is not there.
    pub(super) fn writable(&self, relation: &Relation, targets: &[Node]) -> Res<()> {
        for target in targets {
            if let Some(NodeEnum::ResTarget(t)) = &target.node
                && relation.hides() == Some(t.name.as_str())
                && !left_out!(self.cx, HiddenWritten)
            {
                return Err(Refusal::with_state(
                    "42703",
                    format!("column \"{}\" of relation \"{}\" does not exist", t.name, relation.name),
                )
                .at(self.at(t.location)));
            }
        }
        Ok(())
    }

    /// Writes the stars of RETURNING out, where the first item of the level is a table with a hidden column.
    pub(super) fn written_out(&self, returning: Option<&mut ReturningClause>, scope: &Scope, from: &[Node]) {
        if let (Some(returning), true) = (returning, scope.items.first().is_some_and(is_base)) {
            self.stars_written_out(&mut returning.exprs, scope, from);
        }
    }

    /// How many columns the query behind `INSERT INTO t` has, where its stars are of what is known; `with` is that of the INSERT.
    pub(super) fn known_width(&self, select: &SelectStmt, with: Option<&pg::WithClause>) -> Option<usize> {
        let with = match (&select.with_clause, with) {
            (Some(_), Some(_)) => return None,
            (own, with) => own.as_ref().or(with),
        };
        if let Some(left) = &select.larg {
            return width(left).or_else(|| self.known_width(left, with));
        }
        let mut items = Vec::new();
        select.from_clause.iter().try_for_each(|item| self.known_items(item, with, &mut items))?;
        let one = |target: &Node| match star_of(target).as_deref() {
            Some([]) => Some(items.iter().map(|(_, n)| n).sum()),
            Some([name]) => items.iter().find(|(n, _)| n == name).map(|(_, n)| *n),
            Some(_) => None,
            None => match &target.node {
                Some(NodeEnum::ResTarget(t)) => match t.val.as_ref().and_then(|v| v.node.as_ref()) {
                    Some(NodeEnum::AIndirection(_)) | None => None,
                    Some(_) => Some(1),
                },
                _ => None,
            },
        };
        if select.values_lists.is_empty() { select.target_list.iter().map(one).sum() } else { None }
    }

    /// Names of items of FROM, and how many columns a star shows of each.
    fn known_items(&self, item: &Node, with: Option<&pg::WithClause>, out: &mut Vec<(String, usize)>) -> Option<()> {
        let plain = |alias: &Option<pg::Alias>| alias.as_ref().is_none_or(|a| a.colnames.is_empty());
        let named = |alias: &Option<pg::Alias>, own: &str| alias.as_ref().map_or(own, |a| &a.aliasname).to_owned();
        match &item.node {
            Some(NodeEnum::RangeVar(var))
                if self.is_cte(var) || (var.schemaname.is_empty() && with.is_some_and(|w| names_query(w, &var.relname))) =>
            {
                let query = with.and_then(|w| query_of(w, &var.relname))?;
                // What it reads itself is not looked into further.
                out.push((named(&var.alias, &var.relname), width(query)?));
            }
            Some(NodeEnum::RangeVar(var)) if self.temp_of(var).is_some() => {
                let table = self.temp_of(var).filter(|t| !t.columns.is_empty())?;
                out.push((named(&var.alias, &var.relname), table.columns.len()));
            }
            Some(NodeEnum::RangeVar(var)) if plain(&var.alias) => {
                let relation = self.cx.catalog.find(&var.schemaname, &var.relname)?;
                out.push((named(&var.alias, &var.relname), relation.columns.len()));
            }
            Some(NodeEnum::RangeFunction(call)) => {
                let (name, columns) = self.function_width(call)?;
                out.push((named(&call.alias, &name), columns));
            }
            Some(NodeEnum::RangeSubselect(sub)) if plain(&sub.alias) => {
                let Some(NodeEnum::SelectStmt(select)) = sub.subquery.as_ref().and_then(|q| q.node.as_ref()) else { return None };
                let columns = width(select).or_else(|| self.known_width(select, None))?;
                out.push((named(&sub.alias, ""), columns));
            }
            Some(NodeEnum::JoinExpr(join)) if is_plain(item) => {
                [&join.larg, &join.rarg].into_iter().try_for_each(|side| self.known_items(side.as_deref()?, with, out))?;
            }
            _ => return None,
        }
        Some(())
    }

    /// A function of PostgreSQL's own that returns a set of single values, by itself in FROM: its name, and its columns.
    fn function_width(&self, range: &pg::RangeFunction) -> Option<(String, usize)> {
        let [call] = range.functions.as_slice() else { return None };
        let Some(NodeEnum::List(call)) = &call.node else { return None };
        let Some(NodeEnum::FuncCall(call)) = &call.items.first()?.node else { return None };
        let names = nodes::names(&call.funcname)?;
        let own = matches!(names.as_slice(), [_] | ["pg_catalog", _]) && range.coldeflist.is_empty() && !range.is_rowsfrom;
        let name = names.last().filter(|n| own && SINGLE.contains(*n) && !self.cx.catalog.user_functions.contains(**n))?;
        Some(((*name).to_owned(), 1 + usize::from(range.ordinality)))
    }
}

/// Functions that return a set of single values whatever they are given.
const SINGLE: &[&str] = &[
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "json_object_keys",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_object_keys",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
];

fn names_query(with: &pg::WithClause, name: &str) -> bool {
    with.ctes.iter().any(|c| matches!(&c.node, Some(NodeEnum::CommonTableExpr(c)) if c.ctename == name))
}

/// The WITH query of this name, where it is one whose columns are counted by its own list.
fn query_of<'w>(with: &'w pg::WithClause, name: &str) -> Option<&'w SelectStmt> {
    let mut ctes = with.ctes.iter().filter_map(|c| match &c.node {
        Some(NodeEnum::CommonTableExpr(c)) => Some(c),
        _ => None,
    });
    let cte = ctes.find(|c| c.ctename == name && c.search_clause.is_none() && c.cycle_clause.is_none())?;
    match cte.ctequery.as_ref().and_then(|q| q.node.as_ref()) {
        Some(NodeEnum::SelectStmt(select)) => Some(select),
        _ => None,
    }
}

/// A view's query without the column that the policy hides of the view.
pub(super) fn without_column(view: &Relation, mut select: Box<SelectStmt>) -> Res<Box<SelectStmt>> {
    let Some(hides) = view.hides() else { return Ok(select) };
    let is_it = |target: &Node| match &target.node {
        Some(NodeEnum::ResTarget(t)) => match t.val.as_ref().and_then(|v| v.node.as_ref()) {
            Some(NodeEnum::ColumnRef(c)) if t.name.is_empty() => nodes::names(&c.fields).is_some_and(|n| n.last() == Some(&hides)),
            _ => t.name == hides,
        },
        _ => false,
    };
    let plain = select.larg.is_none() && select.distinct_clause.is_empty() && select.values_lists.is_empty();
    let found: Vec<usize> = (0..select.target_list.len()).filter(|i| select.target_list.get(*i).is_some_and(is_it)).collect();
    match found.as_slice() {
        [at] if plain => {
            select.target_list.remove(*at);
            Ok(select)
        }
        _ => Err(Refusal::not_understood("its hidden column cannot be taken out of it")),
    }
}

/// The written table itself, or what has its columns.
pub(super) fn is_base(item: &Item) -> bool {
    item.hides.is_some()
}

pub(super) fn no_column(name: &str, place: Option<u32>) -> Refusal {
    Refusal::with_state("42703", format!("column {name} does not exist")).at(place)
}

pub(super) fn unproved(what: &str, place: Option<u32>) -> Refusal {
    Refusal::not_understood(format!("{what} is not supported"))
        .detail("The table has a column that is not the tenant's to see.")
        .hint("Name the columns, each with its table.")
        .at(place)
}

/// `reference.column`, shown by its own name.
pub(super) fn column_of(reference: &str, column: &str) -> Node {
    target(nodes::column(reference, column))
}

/// `reference.*`
pub(super) fn star(reference: &str) -> Node {
    let fields = vec![nodes::string(reference), nodes::node(NodeEnum::AStar(pg::AStar {}))];
    target(nodes::node(NodeEnum::ColumnRef(pg::ColumnRef { fields, location: -1 })))
}

fn target(value: Node) -> Node {
    nodes::node(NodeEnum::ResTarget(Box::new(ResTarget { val: nodes::boxed(value), location: -1, ..Default::default() })))
}

/// The names before a star that is a whole target.
pub(super) fn star_of(target: &Node) -> Option<Vec<&str>> {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    let Some(NodeEnum::ColumnRef(column)) = target.val.as_ref().and_then(|v| v.node.as_ref()) else { return None };
    let (last, names) = column.fields.split_last()?;
    matches!(last.node, Some(NodeEnum::AStar(_))).then(|| nodes::names(names)).flatten()
}

/// Whether a star shows the columns of this item one by one, each under its own name.
pub(super) fn is_plain(item: &Node) -> bool {
    let side = |side: &Option<Box<Node>>| side.as_deref().is_some_and(is_plain);
    match &item.node {
        Some(NodeEnum::JoinExpr(join)) => {
            !join.is_natural && join.using_clause.is_empty() && join.alias.is_none() && side(&join.larg) && side(&join.rarg)
        }
        _ => true,
    }
}
