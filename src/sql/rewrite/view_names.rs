//! What a view's columns are called in an expression becomes what they are of the table below: name by name, level by level, as PostgreSQL looks
//! them up (parse_relation.c, colNameToVar). Nothing is judged here; where it cannot be told what a name means, it is refused.

use super::write::width;
use super::{Res, labels};
use crate::sql::catalog::Relation;
use crate::sql::private::Temps;
use crate::sql::{Catalog, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, ColumnRef, Node, RangeVar, SelectStmt, SubLink};

/// A column of a view as the table below shows it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Its name.
    pub(super) name: String,
    /// What it is, in columns of the table.
    pub(super) value: Node,
    /// The table's column that it is; else why it cannot be assigned.
    pub(super) column: Result<String, &'static str>,
    /// The default that the view has for it.
    pub(super) default: Option<Node>,
}

/// What a name in FROM has for columns.
#[derive(Clone, Debug)]
pub(super) enum Has<'a> {
    /// A view's, which become others.
    View(&'a [Shown]),
    /// These.
    Known(Vec<String>),
    /// It cannot be told.
    Unknown,
}

/// An item of FROM.
#[derive(Clone, Debug)]
pub(super) struct Named<'a> {
    pub(super) name: String,
    /// Of the schema by which columns may name it.
    pub(super) schema: Option<String>,
    pub(super) has: Has<'a>,
}

/// A walk of expressions.
pub(super) struct Names<'a> {
    /// The client's text, to point into.
    pub(super) source: &'a str,
    pub(super) catalog: &'a Catalog,
    pub(super) temps: &'a Temps,
    /// The table, which stands by `reference` in the first level instead of the view.
    pub(super) table: &'a Relation,
    pub(super) reference: &'a str,
    /// Innermost last; the view stands in the first.
    pub(super) levels: Vec<Vec<Named<'a>>>,
    /// Names of WITH in the expressions themselves.
    pub(super) ctes: Vec<String>,
    /// The expressions are a view's: their places are not in the client's text, and each relation has its schema.
    pub(super) is_view: bool,
}

/// What a name came to.
enum Meaning {
    /// It stays.
    Other,
    /// The view's column of this level and item.
    Column(Box<Node>),
    /// The view's row.
    Row(usize),
}

impl<'a> Names<'a> {
    pub(super) fn all(&mut self, list: &mut [Node]) -> Res<()> {
        list.iter_mut().try_for_each(|n| self.expr(n))
    }

    pub(super) fn optional(&mut self, node: Option<&mut Box<Node>>) -> Res<()> {
        node.map_or(Ok(()), |n| self.expr(n))
    }

    /// A list of output columns: those without a name keep the one that they have by themselves.
    pub(super) fn targets(&mut self, list: &mut [Node]) -> Res<()> {
        let before = labels::of(list);
        self.all(list)?;
        labels::keep(list, before);
        Ok(())
    }

    pub(super) fn expr(&mut self, node: &mut Node) -> Res<()> {
        let Some(inner) = node.node.as_mut() else { return Ok(()) };
        match inner {
            NodeEnum::ColumnRef(column) => {
                self.strip(&mut column.location);
                let found = self.column(column).map_err(|r| self.pointed(r, column.location))?;
                if let Some(found) = found {
                    *node = found;
                }
                Ok(())
            }
            NodeEnum::AIndirection(x) => {
                if let Some(field) = self.field_of_row(x)? {
                    *node = field;
                    return Ok(());
                }
                self.optional(x.arg.as_mut())?;
                self.all(&mut x.indirection)
            }
            NodeEnum::BoolExpr(x) => {
                self.strip(&mut x.location);
                self.all(&mut x.args)?;
                flatten(x);
                Ok(())
            }
            NodeEnum::SubLink(x) => {
                self.strip(&mut x.location);
                self.sublink(x)
            }
            NodeEnum::FuncCall(x) => {
                self.strip(&mut x.location);
                self.all(&mut x.args)?;
                self.all(&mut x.agg_order)?;
                self.optional(x.agg_filter.as_mut())?;
                x.over.as_mut().map_or(Ok(()), |w| self.window(w))
            }
            NodeEnum::WindowDef(x) => self.window(x),
            other => self.plain(other),
        }
    }

    /// What has no scope of its own.
    fn plain(&mut self, node: &mut NodeEnum) -> Res<()> {
        match node {
            NodeEnum::AConst(x) => self.strip(&mut x.location),
            NodeEnum::SqlvalueFunction(x) => self.strip(&mut x.location),
            NodeEnum::ParamRef(_) | NodeEnum::AStar(_) | NodeEnum::String(_) | NodeEnum::Integer(_) | NodeEnum::SetToDefault(_) => {}
            NodeEnum::AExpr(x) => {
                self.strip(&mut x.location);
                self.optional(x.lexpr.as_mut())?;
                self.optional(x.rexpr.as_mut())?;
            }
            NodeEnum::TypeCast(x) => {
                self.strip(&mut x.location);
                self.optional(x.arg.as_mut())?;
            }
            NodeEnum::CaseExpr(x) => {
                self.optional(x.arg.as_mut())?;
                self.all(&mut x.args)?;
                self.optional(x.defresult.as_mut())?;
            }
            NodeEnum::CaseWhen(x) => {
                self.optional(x.expr.as_mut())?;
                self.optional(x.result.as_mut())?;
            }
            NodeEnum::NullTest(x) => self.optional(x.arg.as_mut())?,
            NodeEnum::BooleanTest(x) => self.optional(x.arg.as_mut())?,
            NodeEnum::AIndices(x) => {
                self.optional(x.lidx.as_mut())?;
                self.optional(x.uidx.as_mut())?;
            }
            NodeEnum::AArrayExpr(x) => self.all(&mut x.elements)?,
            NodeEnum::RowExpr(x) => self.no_stars(&x.args).and_then(|()| self.all(&mut x.args))?,
            NodeEnum::CoalesceExpr(x) => self.all(&mut x.args)?,
            NodeEnum::MinMaxExpr(x) => self.all(&mut x.args)?,
            NodeEnum::List(x) => self.no_stars(&x.items).and_then(|()| self.all(&mut x.items))?,
            NodeEnum::SortBy(x) => self.optional(x.node.as_mut())?,
            NodeEnum::NamedArgExpr(x) => self.optional(x.arg.as_mut())?,
            NodeEnum::CollateClause(x) => self.optional(x.arg.as_mut())?,
            NodeEnum::MultiAssignRef(x) => self.optional(x.source.as_mut())?,
            NodeEnum::ResTarget(x) => {
                self.no_stars(x.val.as_deref().map(std::slice::from_ref).unwrap_or_default())?;
                self.all(&mut x.indirection)?;
                self.optional(x.val.as_mut())?;
            }
            _ => return Err(unknown("this expression")),
        }
        Ok(())
    }

    /// A star of the view's among these would be its columns.
    fn no_stars(&self, list: &[Node]) -> Res<()> {
        for node in list {
            let Some(NodeEnum::ColumnRef(column)) = &node.node else { continue };
            let Some((last, names)) = column.fields.split_last() else { continue };
            let names = nodes::names(names).unwrap_or_default();
            if matches!(last.node, Some(NodeEnum::AStar(_))) && self.qualified(&names)?.is_some() {
                return Err(unknown("a star of a view here"));
            }
        }
        Ok(())
    }

    fn window(&mut self, x: &mut pg::WindowDef) -> Res<()> {
        self.all(&mut x.partition_clause)?;
        self.all(&mut x.order_clause)?;
        self.optional(x.start_offset.as_mut())?;
        self.optional(x.end_offset.as_mut())
    }

    /// The refusal with its place.
    pub(super) fn pointed(&self, refusal: Refusal, location: i32) -> Refusal {
        let before = usize::try_from(location).ok().filter(|_| !self.is_view).and_then(|l| self.source.get(..l));
        refusal.at(before.and_then(|b| u32::try_from(b.chars().count() + 1).ok()))
    }

    fn strip(&self, location: &mut i32) {
        if self.is_view {
            *location = -1;
        }
    }

    fn sublink(&mut self, link: &mut SubLink) -> Res<()> {
        self.optional(link.testexpr.as_mut())?;
        match link.subselect.as_mut().and_then(|s| s.node.as_mut()) {
            Some(NodeEnum::SelectStmt(select)) => self.select(select),
            _ => Err(unknown("this kind of subquery")),
        }
    }

    pub(super) fn select(&mut self, select: &mut SelectStmt) -> Res<()> {
        let known = self.ctes.len();
        if let Some(with) = select.with_clause.as_mut() {
            for cte in &mut with.ctes {
                let Some(NodeEnum::CommonTableExpr(cte)) = cte.node.as_mut() else { return Err(unknown("this WITH")) };
                self.ctes.push(cte.ctename.clone());
                match cte.ctequery.as_mut().and_then(|q| q.node.as_mut()) {
                    Some(NodeEnum::SelectStmt(query)) => self.select(query)?,
                    _ => return Err(unknown("this WITH")),
                }
            }
        }
        for side in [select.larg.as_mut(), select.rarg.as_mut()].into_iter().flatten() {
            self.select(side)?;
        }
        self.levels.push(Vec::new());
        select.from_clause.iter_mut().try_for_each(|item| self.from_item(item))?;
        self.optional(select.where_clause.as_mut())?;
        let labels: Vec<String> = labels::names(&select.target_list);
        self.targets(&mut select.target_list)?;
        self.all(&mut select.values_lists)?;
        for list in [&mut select.distinct_clause, &mut select.group_clause, &mut select.sort_clause] {
            list.iter_mut().filter(|n| !names_output(n, &labels)).try_for_each(|n| self.expr(n))?;
        }
        self.optional(select.having_clause.as_mut())?;
        self.all(&mut select.window_clause)?;
        self.optional(select.limit_count.as_mut())?;
        self.optional(select.limit_offset.as_mut())?;
        self.levels.pop();
        self.ctes.truncate(known);
        Ok(())
    }

    /// An item of FROM within an expression: it is added to the innermost level.
    pub(super) fn from_item(&mut self, item: &mut Node) -> Res<()> {
        match item.node.as_mut() {
            Some(NodeEnum::RangeVar(var)) => {
                self.strip(&mut var.location);
                if self.is_view && var.schemaname.is_empty() && !self.ctes.contains(&var.relname) {
                    return Err(unknown("a catalog in a view's condition"));
                }
                let named = self.named(var);
                self.push(named)
            }
            Some(NodeEnum::RangeSubselect(sub)) => {
                let level = if sub.lateral { None } else { self.levels.pop() };
                let result = match sub.subquery.as_mut().and_then(|q| q.node.as_mut()) {
                    Some(NodeEnum::SelectStmt(select)) => self.select(select),
                    _ => Err(unknown("this kind of subquery")),
                };
                self.levels.extend(level);
                result?;
                self.push(of_subselect(sub))
            }
            Some(NodeEnum::RangeFunction(function)) => {
                for entry in &mut function.functions {
                    let Some(NodeEnum::List(list)) = entry.node.as_mut() else { return Err(unknown("this function in FROM")) };
                    list.items.iter_mut().filter(|n| !matches!(n.node, Some(NodeEnum::List(_)))).try_for_each(|n| self.expr(n))?;
                }
                let name = function.alias.as_ref().map(|a| a.aliasname.clone()).unwrap_or_default();
                self.push(Named::other(name, Has::Unknown))
            }
            Some(NodeEnum::JoinExpr(join)) if join.alias.is_none() && join.join_using_alias.is_none() => {
                let first = self.levels.last().map_or(0, Vec::len);
                for side in [join.larg.as_mut(), join.rarg.as_mut()].into_iter().flatten() {
                    self.from_item(side)?;
                }
                self.optional(join.quals.as_mut())?;
                if join.is_natural || !join.using_clause.is_empty() {
                    let items = self.levels.last_mut().into_iter().flatten().skip(first);
                    items.for_each(|i| i.has = Has::Unknown);
                }
                Ok(())
            }
            _ => Err(unknown("this kind of FROM item")),
        }
    }

    fn push(&mut self, named: Named<'a>) -> Res<()> {
        if let Some(level) = self.levels.last_mut() {
            level.push(named);
        }
        Ok(())
    }

    /// What is known of a relation.
    pub(super) fn named(&self, var: &RangeVar) -> Named<'a> {
        let bare = var.schemaname.is_empty();
        let cte = bare && (self.ctes.contains(&var.relname) || self.temps.get(&var.relname).is_some());
        let relation = self.catalog.find(&var.schemaname, &var.relname).filter(|_| !cte);
        let columns = relation.map(|r| r.columns.iter().map(|c| c.name.clone()).collect());
        let plain = var.alias.as_ref().is_none_or(|a| a.colnames.is_empty());
        let has = columns.filter(|_| plain).map_or(Has::Unknown, Has::Known);
        Named::other(var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname).clone(), has)
    }

    /// What a reference becomes; None where it stays.
    fn column(&self, column: &ColumnRef) -> Res<Option<Node>> {
        let star = matches!(column.fields.last().and_then(|n| n.node.as_ref()), Some(NodeEnum::AStar(_)));
        let Some(names) = nodes::names(&column.fields[..column.fields.len() - usize::from(star)]) else {
            return Err(unknown("this column reference"));
        };
        let meaning = match (names.as_slice(), star) {
            ([], true) => Meaning::Other,
            // Where a star is not a list of columns it is the row.
            (all, true) => self.qualified(all)?.map_or(Meaning::Other, |(depth, _)| Meaning::Row(depth)),
            ([name], false) => self.bare(name)?,
            ([qualifier @ .., name], false) => match self.qualified(qualifier)? {
                Some((depth, item)) => self.value(depth, item, name)?,
                None if matches!(qualifier, ["old" | "new"]) && self.catalog.server_version >= 180_000 => {
                    return Err(unknown("OLD and NEW"));
                }
                None => Meaning::Other,
            },
            ([], false) => Meaning::Other,
        };
        match meaning {
            Meaning::Other => Ok(None),
            Meaning::Column(value) => Ok(Some(*value)),
            Meaning::Row(depth) => self.row(depth, names.last().copied().unwrap_or_default()).map(Some),
        }
    }

    /// The view that these names mean.
    fn qualified(&self, names: &[&str]) -> Res<Option<(usize, &Named<'a>)>> {
        let Some((name, schema)) = names.split_last() else { return Ok(None) };
        let fits = |i: &&Named<'a>| i.name == *name && schema.last().is_none_or(|s| i.schema.as_deref() == Some(*s));
        let mut levels = self.levels.iter().enumerate().rev();
        let found = levels.find_map(|(depth, level)| Some((depth, level.iter().find(fits)?)));
        Ok(found.filter(|(_, item)| matches!(item.has, Has::View(_))))
    }

    fn bare(&self, name: &str) -> Res<Meaning> {
        for (depth, level) in self.levels.iter().enumerate().rev() {
            let has = |i: &&Named<'a>| match &i.has {
                Has::View(columns) => columns.iter().any(|c| c.name == name),
                Has::Known(columns) => columns.iter().any(|c| c == name),
                Has::Unknown => false,
            };
            let found: Vec<&Named<'a>> = level.iter().filter(has).collect();
            let open = level.iter().any(|i| matches!(i.has, Has::Unknown));
            match found.as_slice() {
                [] if open && self.is_of_first(name) => return Err(unknown(&format!("the name \"{name}\" without its table"))),
                [] => {}
                [item] if matches!(item.has, Has::View(_)) => return self.value(depth, item, name),
                // The table may have such a column where the view has none.
                [item] if depth == 0 => return Ok(Meaning::Column(Box::new(nodes::column(&item.name, name)))),
                all if depth == 0 || all.iter().any(|i| matches!(i.has, Has::View(_))) => {
                    return Err(Refusal::with_state("42702", format!("column reference \"{name}\" is ambiguous")));
                }
                _ => return Ok(Meaning::Other),
            }
        }
        match self.qualified(&[name])? {
            Some((depth, _)) => Ok(Meaning::Row(depth)),
            None if self.is_stored(name) => Err(Refusal::with_state("42703", format!("column \"{name}\" does not exist"))),
            None => Ok(Meaning::Other),
        }
    }

    /// A column of the view, its row, or a column of the table below it.
    fn is_of_first(&self, name: &str) -> bool {
        let such = |i: &Named<'_>| match &i.has {
            Has::View(columns) => i.name == name || columns.iter().any(|c| c.name == name),
            _ => false,
        };
        self.is_stored(name) || self.levels.first().is_some_and(|l| l.iter().any(such))
    }

    fn is_stored(&self, name: &str) -> bool {
        self.table.has_column(name) || self.table.hides() == Some(name)
    }

    fn value(&self, depth: usize, item: &Named<'a>, name: &str) -> Res<Meaning> {
        let Has::View(columns) = &item.has else { return Ok(Meaning::Other) };
        let Some(shown) = columns.iter().find(|c| c.name == name) else {
            return Err(Refusal::with_state("42703", format!("column {}.{name} does not exist", item.name)));
        };
        self.uncaught(depth)?;
        Ok(Meaning::Column(Box::new(shown.value.clone())))
    }

    /// A name between the view and the place that looks would catch the table's.
    fn uncaught(&self, depth: usize) -> Res<()> {
        if self.levels.iter().skip(depth + 1).flatten().any(|i| i.name == self.reference || i.name == EXCLUDED) {
            return Err(unknown(&format!("the name \"{}\" in a subquery beside the view's", self.reference)));
        }
        Ok(())
    }

    /// `(SELECT v FROM (SELECT t.a AS x, …) v)`: the view's row, with its names.
    fn row(&self, depth: usize, name: &str) -> Res<Node> {
        let item = self.levels.get(depth).and_then(|l| l.iter().find(|i| i.name == name));
        let Some(Named { has: Has::View(columns), .. }) = item else { return Err(unknown("a whole row here")) };
        self.uncaught(depth)?;
        let targets = columns.iter().map(|c| named_target(&c.name, c.value.clone())).collect();
        let inside = SelectStmt { target_list: targets, ..nodes::query(Vec::new(), Vec::new()) };
        let field = nodes::node(NodeEnum::ColumnRef(ColumnRef { fields: vec![nodes::string(ROW)], location: -1 }));
        Ok(nodes::scalar(nodes::query(vec![field], vec![nodes::subquery(inside, ROW, Vec::new())])))
    }

    /// `(v).x` is `v.x`.
    fn field_of_row(&mut self, x: &pg::AIndirection) -> Res<Option<Node>> {
        let Some(NodeEnum::ColumnRef(column)) = x.arg.as_ref().and_then(|a| a.node.as_ref()) else { return Ok(None) };
        let names = nodes::names(&column.fields).unwrap_or_default();
        let ([name], [first, rest @ ..]) = (names.as_slice(), x.indirection.as_slice()) else { return Ok(None) };
        let Meaning::Row(depth) = self.bare(name)? else { return Ok(None) };
        let Some(item) = self.levels.get(depth).and_then(|l| l.iter().find(|i| i.name == *name)) else { return Ok(None) };
        let Some(NodeEnum::String(field)) = &first.node else { return Err(unknown("a star of a view here")) };
        let Meaning::Column(value) = self.value(depth, item, &field.sval)? else { return Ok(None) };
        if rest.is_empty() {
            return Ok(Some(*value));
        }
        let mut indirection = rest.to_vec();
        self.all(&mut indirection)?;
        Ok(Some(nodes::node(NodeEnum::AIndirection(Box::new(pg::AIndirection { arg: Some(value), indirection })))))
    }
}

impl Named<'_> {
    /// One that is no view to be written through.
    pub(super) fn other<'a>(name: String, has: Has<'a>) -> Named<'a> {
        Named { name, schema: None, has }
    }
}

/// The name of the subquery that has a view's row.
const ROW: &str = "partywall_row";

/// ON CONFLICT's name of the row that was to be inserted.
pub(super) const EXCLUDED: &str = "excluded";

/// Names of the columns of a subquery in FROM, where no star hides them.
pub(super) fn of_subselect<'a>(sub: &pg::RangeSubselect) -> Named<'a> {
    let (name, renamed) = sub.alias.as_ref().map_or_else(Default::default, |a| (a.aliasname.clone(), a.colnames.clone()));
    let mut columns = match sub.subquery.as_ref().and_then(|q| q.node.as_ref()) {
        Some(NodeEnum::SelectStmt(select)) => outputs(select),
        _ => None,
    };
    for (column, new) in columns.iter_mut().flatten().zip(nodes::names(&renamed).unwrap_or_default()) {
        *column = new.to_owned();
    }
    Named::other(name, columns.map_or(Has::Unknown, Has::Known))
}

fn outputs(select: &SelectStmt) -> Option<Vec<String>> {
    if let Some(left) = &select.larg {
        return outputs(left);
    }
    if let Some(NodeEnum::List(row)) = select.values_lists.first().and_then(|r| r.node.as_ref()) {
        return Some((1..=row.items.len()).map(|n| format!("column{n}")).collect());
    }
    let names = labels::names(&select.target_list);
    (names.len() == select.target_list.len() && width(select).is_some()).then_some(names)
}

/// A bare name in ORDER BY, GROUP BY or DISTINCT ON that is the name of an output column.
fn names_output(item: &Node, labels: &[String]) -> bool {
    let value = match &item.node {
        Some(NodeEnum::SortBy(x)) => x.node.as_deref(),
        _ => Some(item),
    };
    match value.and_then(|v| v.node.as_ref()) {
        Some(NodeEnum::ColumnRef(c)) => matches!(nodes::names(&c.fields).as_deref(), Some([one]) if labels.iter().any(|l| l == one)),
        _ => false,
    }
}

pub(super) fn unknown(what: &str) -> Refusal {
    Refusal::not_understood(format!("{what} is not supported in a write to a view"))
}

pub(super) fn named_target(name: &str, value: Node) -> Node {
    let target = pg::ResTarget { name: name.to_owned(), val: nodes::boxed(value), location: -1, ..Default::default() };
    nodes::node(NodeEnum::ResTarget(Box::new(target)))
}

/// PostgreSQL's own parser makes `(a AND b) AND c` one AND.
fn flatten(x: &mut pg::BoolExpr) {
    let Some(NodeEnum::BoolExpr(first)) = x.args.first().and_then(|n| n.node.as_ref()) else { return };
    if first.boolop == x.boolop && x.boolop != pg::BoolExprType::NotExpr as i32 {
        let mut args = first.args.clone();
        args.extend(x.args.drain(1..));
        x.args = args;
    }
}
