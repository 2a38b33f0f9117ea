//! Queries: FROM with its joins, WITH, and what is looked up where.

use super::names::{Item, Level, What};
use super::{Relation, Res, Walk};
use crate::policy::Verb;
use crate::sql::nodes;
use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, JoinExpr, Node, RangeFunction, RangeTableFunc, RangeVar, SelectStmt, SetOperation, WithClause};
use std::sync::Arc;

/// What a query shows: names of its columns, whether there may be more, and the tables that row locks on it reach.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) columns: Vec<String>,
    pub(super) open: bool,
    pub(super) tables: Vec<Arc<Relation>>,
}

impl Walk<'_> {
    /// Any statement that may stand in WITH.
    pub(super) fn query(&mut self, node: &NodeEnum) -> Res<Shown> {
        let ctes = self.ctes.len();
        let shown = match node {
            NodeEnum::SelectStmt(x) => self.select(x),
            NodeEnum::InsertStmt(x) => self.insert(x),
            NodeEnum::UpdateStmt(x) => self.update(x),
            NodeEnum::DeleteStmt(x) => self.delete(x),
            NodeEnum::MergeStmt(x) => self.merge(x),
            _ => Err(Self::unknown()),
        };
        self.ctes.truncate(ctes);
        shown
    }

    /// WITH queries: each sees those before it, and with RECURSIVE itself and all others.
    pub(super) fn with(&mut self, with: Option<&WithClause>) -> Res<()> {
        let Some(with) = with else { return Ok(()) };
        let first = self.ctes.len();
        for cte in &with.ctes {
            let Some(NodeEnum::CommonTableExpr(cte)) = &cte.node else { return Err(Self::unknown()) };
            if with.recursive {
                self.ctes.push(Item::rows(&cte.ctename, Vec::new(), true, Vec::new()));
            }
        }
        for (index, cte) in with.ctes.iter().enumerate() {
            let Some(NodeEnum::CommonTableExpr(cte)) = &cte.node else { return Err(Self::unknown()) };
            let query = cte.ctequery.as_ref().and_then(|q| q.node.as_ref()).ok_or_else(Self::unknown)?;
            let shown = self.query(query)?;
            let more = cte.search_clause.is_some() || cte.cycle_clause.is_some();
            let item = Item::rows(&cte.ctename, renamed(shown.columns, &cte.aliascolnames), shown.open || more, Vec::new());
            match self.ctes.get_mut(first + index).filter(|_| with.recursive) {
                Some(known) => *known = item,
                None => self.ctes.push(item),
            }
        }
        Ok(())
    }

    pub(super) fn select(&mut self, x: &SelectStmt) -> Res<Shown> {
        let ctes = self.ctes.len();
        self.with(x.with_clause.as_ref())?;
        let shown = if x.op == SetOperation::SetopNone as i32 || x.larg.is_none() { self.plain(x) } else { self.arms(x) };
        self.ctes.truncate(ctes);
        shown
    }

    fn arms(&mut self, x: &SelectStmt) -> Res<Shown> {
        let (Some(left), Some(right)) = (&x.larg, &x.rarg) else { return Err(Self::unknown()) };
        let shown = self.select(left)?;
        self.select(right)?;
        let item = Item::rows("", shown.columns.clone(), shown.open, Vec::new());
        self.levels.push(Level { items: vec![item] });
        let rest = self.exprs(&x.sort_clause).and_then(|()| self.limits(x));
        self.levels.pop();
        rest.map(|()| Shown { tables: Vec::new(), ..shown })
    }

    fn limits(&mut self, x: &SelectStmt) -> Res<()> {
        self.optional(x.limit_count.as_deref())?;
        self.optional(x.limit_offset.as_deref())
    }

    fn plain(&mut self, x: &SelectStmt) -> Res<Shown> {
        if !x.values_lists.is_empty() {
            self.exprs(&x.values_lists)?;
            self.exprs(&x.sort_clause)?;
            self.limits(x)?;
            let width = x.values_lists.first().map_or(0, |row| if let Some(NodeEnum::List(row)) = &row.node { row.items.len() } else { 0 });
            return Ok(Shown { columns: (1..=width).map(|n| format!("column{n}")).collect(), ..Shown::default() });
        }
        let mut level = Level::default();
        x.from_clause.iter().try_for_each(|item| self.from_item(item, &mut level))?;
        let tables = level.items.iter().flat_map(Item::tables).collect();
        self.levels.push(level);
        let shown = self.clauses(x);
        self.levels.pop();
        let (columns, open) = shown?;
        Ok(Shown { columns, open, tables })
    }

    /// Everything but FROM, in its level; what the query shows.
    fn clauses(&mut self, x: &SelectStmt) -> Res<(Vec<String>, bool)> {
        self.optional(x.where_clause.as_deref())?;
        self.exprs(&x.target_list)?;
        let (columns, open) = self.labels(&x.target_list);
        let output: Vec<String> = x.target_list.iter().filter_map(given_label).collect();
        for item in x.sort_clause.iter().chain(&x.distinct_clause) {
            // A bare name is one of the output first.
            if bare_name(item).is_none_or(|name| !output.iter().any(|o| o == name)) {
                self.expr(item)?;
            }
        }
        for item in &x.group_clause {
            self.grouped(item, &output)?;
        }
        self.optional(x.having_clause.as_deref())?;
        self.exprs(&x.window_clause)?;
        self.limits(x)?;
        x.locking_clause.iter().try_for_each(|clause| self.locking(clause))?;
        Ok((columns, open))
    }

    /// In GROUP BY a bare name is a column of FROM first, and then one of the output.
    fn grouped(&mut self, item: &Node, output: &[String]) -> Res<()> {
        if let Some(NodeEnum::GroupingSet(set)) = &item.node {
            return set.content.iter().try_for_each(|item| self.grouped(item, output));
        }
        match bare_name(item) {
            Some(name) if !self.is_column_here(name) && output.iter().any(|o| o == name) => match self.levels.last() {
                Some(level) => self.is_known(&level.items, name),
                None => Ok(()),
            },
            _ => self.expr(item),
        }
    }

    /// "SELECT", "The Locking Clause": UPDATE on some column of each table.
    fn locking(&self, clause: &Node) -> Res<()> {
        let Some(NodeEnum::LockingClause(clause)) = &clause.node else { return Err(Self::unknown()) };
        let named: Vec<&str> = clause
            .locked_rels
            .iter()
            .filter_map(|n| if let Some(NodeEnum::RangeVar(v)) = &n.node { Some(v.relname.as_str()) } else { None })
            .collect();
        let items = self.levels.last().map(|l| l.items.as_slice()).unwrap_or_default();
        let locked = items.iter().filter(|i| named.is_empty() || named.contains(&i.name.as_str()));
        locked.flat_map(Item::tables).try_for_each(|relation| self.any(&relation, Verb::Update))
    }

    pub(super) fn from_item(&mut self, node: &Node, level: &mut Level) -> Res<()> {
        match node.node.as_ref() {
            Some(NodeEnum::RangeVar(var)) => {
                let item = self.named(var)?;
                level.items.push(item);
                Ok(())
            }
            Some(NodeEnum::RangeSubselect(x)) => {
                let query = x.subquery.as_ref().and_then(|q| q.node.as_ref()).ok_or_else(Self::unknown)?;
                let shown = if x.lateral { self.beside(level, |walk| walk.query(query))? } else { self.query(query)? };
                let (name, columns) = aliased(x.alias.as_ref(), "", shown.columns);
                level.items.push(Item::rows(&name, columns, shown.open, shown.tables));
                Ok(())
            }
            Some(NodeEnum::RangeTableSample(x)) => {
                let relation = x.relation.as_deref().ok_or_else(Self::unknown)?;
                self.beside(level, |walk| {
                    walk.exprs(&x.args)?;
                    walk.optional(x.repeatable.as_deref())
                })?;
                self.from_item(relation, level)
            }
            Some(NodeEnum::RangeFunction(x)) => self.function(x, level),
            Some(NodeEnum::RangeTableFunc(x)) => self.xml_table(x, level),
            Some(NodeEnum::JsonTable(x)) => self.json_table(x, level),
            Some(NodeEnum::JoinExpr(x)) => self.join(x, level),
            _ => Err(Self::unknown()),
        }
    }

    /// Walks what can see the items that stand before it.
    pub(super) fn beside<T>(&mut self, level: &Level, walk: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        self.levels.push(level.clone());
        let result = walk(self);
        self.levels.pop();
        result
    }

    /// A name in FROM: a WITH query, or a relation of which some column must be open to be read.
    fn named(&self, var: &RangeVar) -> Res<Item> {
        let alias = var.alias.as_ref();
        let name = alias.map_or(&var.relname, |a| &a.aliasname);
        let cte =
            self.ctes.iter().rev().find(|c| c.name == var.relname).filter(|_| var.schemaname.is_empty() && var.catalogname.is_empty());
        if let Some(cte) = cte {
            let (columns, open) = cte.shows();
            let (name, columns) = aliased(alias, &var.relname, columns);
            return Ok(Item::rows(&name, columns, open, Vec::new()));
        }
        let Some(relation) = self.relation(var)? else {
            let renamed = aliased(alias, name, Vec::new()).1;
            return Ok(Item::rows(name, renamed, true, Vec::new()));
        };
        self.any(&relation, Verb::Select)?;
        let renamed = alias.and_then(|a| nodes::names(&a.colnames)).unwrap_or_default();
        // New names go by place, and a column that is gone moves those behind it.
        if !renamed.is_empty() {
            self.all(&relation, Verb::Select)?;
        }
        Ok(Item::table(name, relation, &renamed))
    }

    fn function(&mut self, x: &RangeFunction, level: &mut Level) -> Res<()> {
        let (mut name, mut columns) = (String::new(), Vec::new());
        for entry in &x.functions {
            let Some(NodeEnum::List(list)) = &entry.node else { return Err(Self::unknown()) };
            let Some(call) = list.items.first() else { return Err(Self::unknown()) };
            self.beside(level, |walk| walk.expr(call))?;
            if let (Some(NodeEnum::FuncCall(call)), true) = (&call.node, name.is_empty()) {
                name = nodes::names(&call.funcname).and_then(|n| n.last().map(|s| (*s).to_owned())).unwrap_or_default();
            }
        }
        // A function that returns one value has a column of the item's name.
        let (name, given) = aliased(x.alias.as_ref(), &name, Vec::new());
        columns.extend(if given.is_empty() { vec![name.clone()] } else { given });
        level.items.push(Item::rows(&name, columns, true, Vec::new()));
        Ok(())
    }

    fn xml_table(&mut self, x: &RangeTableFunc, level: &mut Level) -> Res<()> {
        self.beside(level, |walk| {
            walk.optional(x.docexpr.as_deref())?;
            walk.optional(x.rowexpr.as_deref())?;
            walk.exprs(&x.namespaces)?;
            x.columns.iter().try_for_each(|column| match &column.node {
                Some(NodeEnum::RangeTableFuncCol(column)) => {
                    walk.optional(column.colexpr.as_deref())?;
                    walk.optional(column.coldefexpr.as_deref())
                }
                _ => Err(Self::unknown()),
            })
        })?;
        let own = x
            .columns
            .iter()
            .filter_map(|c| if let Some(NodeEnum::RangeTableFuncCol(c)) = &c.node { Some(c.colname.clone()) } else { None });
        let (name, columns) = aliased(x.alias.as_ref(), "xmltable", own.collect());
        level.items.push(Item::rows(&name, columns, false, Vec::new()));
        Ok(())
    }

    fn join(&mut self, x: &JoinExpr, level: &mut Level) -> Res<()> {
        let (Some(left), Some(right)) = (&x.larg, &x.rarg) else { return Err(Self::unknown()) };
        let first = level.items.len();
        self.from_item(left, level)?;
        let middle = level.items.len();
        self.from_item(right, level)?;
        let sides = [level.items.get(first..middle).unwrap_or_default(), level.items.get(middle..).unwrap_or_default()];
        let joined = x.is_natural.then(|| sides.concat());
        if let Some(relation) = joined.iter().flatten().flat_map(|i| self.limited(i)).next() {
            return Err(self.refused(&relation).detail("NATURAL JOIN could read columns that the session's role may not."));
        }
        x.using_clause.iter().try_for_each(|column| self.using(sides, column))?;
        if let Some(condition) = &x.quals {
            self.levels.push(Level { items: sides.concat() });
            let walked = self.expr(condition);
            self.levels.pop();
            walked?;
        }
        if let Some(alias) = &x.join_using_alias {
            let names = nodes::names(&x.using_clause).unwrap_or_default();
            let mut merged = Item::rows(&alias.aliasname, names.into_iter().map(str::to_owned).collect(), false, Vec::new());
            merged.bare = false;
            level.items.push(merged);
        }
        if let Some(alias) = &x.alias {
            let items = level.items.split_off(first);
            level.items.push(Item { name: alias.aliasname.clone(), what: What::Join(items, !alias.colnames.is_empty()), bare: true });
        }
        Ok(())
    }

    /// The names under which a list's columns show; whether there may be more.
    pub(super) fn labels(&self, targets: &[Node]) -> (Vec<String>, bool) {
        let (mut columns, mut open) = (Vec::new(), false);
        for target in targets {
            if let Some(name) = given_label(target) {
                columns.push(name);
                continue;
            }
            let Some(NodeEnum::ResTarget(target)) = &target.node else { return (columns, true) };
            match target.val.as_ref().and_then(|v| v.node.as_ref()) {
                Some(NodeEnum::ColumnRef(star)) => {
                    let names =
                        nodes::names(star.fields.get(..star.fields.len().saturating_sub(1)).unwrap_or_default()).unwrap_or_default();
                    let level = self.levels.last().map(|l| l.items.as_slice()).unwrap_or_default();
                    for item in level.iter().filter(|i| names.last().map_or(i.bare, |n| i.name == *n)) {
                        let (shown, more) = item.shows();
                        columns.extend(shown);
                        open |= more;
                    }
                }
                Some(NodeEnum::AConst(_) | NodeEnum::AExpr(_) | NodeEnum::ParamRef(_)) => columns.push("?column?".into()),
                Some(NodeEnum::FuncCall(call)) => {
                    columns.extend(nodes::names(&call.funcname).and_then(|n| n.last().map(|s| (*s).to_owned())));
                }
                _ => open = true,
            }
        }
        (columns, open)
    }
}

/// The name that a target has by AS, or by the column that it is.
fn given_label(target: &Node) -> Option<String> {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    if !target.name.is_empty() {
        return Some(target.name.clone());
    }
    match target.val.as_ref().and_then(|v| v.node.as_ref()) {
        Some(NodeEnum::ColumnRef(c)) => match c.fields.last().and_then(|f| f.node.as_ref()) {
            Some(NodeEnum::String(name)) => Some(name.sval.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// A bare name, as ORDER BY, GROUP BY or DISTINCT ON may hold one.
fn bare_name(item: &Node) -> Option<&str> {
    let inner = match item.node.as_ref()? {
        NodeEnum::SortBy(x) => x.node.as_ref()?.node.as_ref()?,
        other => other,
    };
    match inner {
        NodeEnum::ColumnRef(c) => match nodes::names(&c.fields)?.as_slice() {
            [name] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn renamed(mut columns: Vec<String>, names: &[Node]) -> Vec<String> {
    for (index, name) in nodes::names(names).unwrap_or_default().into_iter().enumerate() {
        match columns.get_mut(index) {
            Some(column) => name.clone_into(column),
            None => columns.push(name.to_owned()),
        }
    }
    columns
}

pub(super) fn aliased(alias: Option<&Alias>, name: &str, columns: Vec<String>) -> (String, Vec<String>) {
    match alias {
        Some(alias) => (alias.aliasname.clone(), renamed(columns, &alias.colnames)),
        None => (name.to_owned(), columns),
    }
}
