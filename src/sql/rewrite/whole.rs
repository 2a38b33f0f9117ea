//! Whole rows of a written table with a hidden column: `t`, and `t.*` where it is one value, are built of the columns that the tenant has.

use super::hidden::is_base;
use super::{Res, Rewriter};
use crate::sql::scope::{Item, Thing, Traits, Use};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, ColumnRef, FuncCall, Node};

impl Rewriter<'_> {
    /// `(SELECT COALESCE(t.*) FROM (SELECT t.a, t.b) t)` in the place of such a row; what is read then. None where a column is meant, or it cannot be
    /// told. `t` alone would be a column of that name wherever around there is one (parse_expr.c, transformColumnRef).
    pub(super) fn whole_row(&mut self, expr: &mut Node) -> Option<Use> {
        let Some(NodeEnum::ColumnRef(column)) = &expr.node else { return None };
        let item = self.row_of(column)?;
        if item.alone {
            return None;
        }
        let row = row(&item.name, columns(item)?);
        let used = Use::Of(item.name.clone());
        *expr = row;
        Some(used)
    }

    /// The item whose row this is.
    fn row_of(&self, column: &ColumnRef) -> Option<&Item> {
        let name = match starred(column) {
            Some(name) => name,
            None => match nodes::names(&column.fields)?.as_slice() {
                [name] if !self.levels.iter().flat_map(|l| &l.items).any(|i| i.has_column(name)) => (*name).to_owned(),
                _ => return None,
            },
        };
        let found = self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == name)?;
        Some(found).filter(|i| is_base(i) && !left_out!(self.cx, HiddenNames) && !i.has_column(&name))
    }

    /// The parts of ROW.
    pub(super) fn row_parts(&mut self, parts: &mut Vec<Node>) -> Res<Traits> {
        self.row_written_out(parts);
        self.row_value(parts)
    }

    /// In `ROW(t.*, …)` a star stands for its columns.
    pub(super) fn row_written_out(&self, parts: &mut Vec<Node>) {
        for part in std::mem::take(parts) {
            let star = match &part.node {
                Some(NodeEnum::ColumnRef(column)) if starred(column).is_some() => self.row_of(column),
                _ => None,
            };
            match star.and_then(columns) {
                Some(columns) => parts.extend(columns),
                None => parts.push(part),
            }
        }
    }

    /// A whole row, as JSON say, tells the names that the table's columns have: of a wrapped one those that the client gave them.
    pub(super) fn own_names(&self, name: &str, place: Option<u32>) -> Res<()> {
        if self.renamed.iter().any(|r| r == name) {
            return Err(Refusal::not_understood("a whole row of a table with renamed columns is not supported").at(place));
        }
        Ok(())
    }

    /// `f(t.*)` gives f a whole row.
    pub(super) fn own_rows(&self, call: &FuncCall, place: Option<u32>) -> Res<()> {
        for argument in &call.args {
            if let Some(NodeEnum::ColumnRef(row)) = &argument.node
                && let [relation, star] = row.fields.as_slice()
                && matches!(star.node, Some(NodeEnum::AStar(_)))
                && let Some([name]) = nodes::names(std::slice::from_ref(relation)).as_deref()
            {
                self.own_names(name, place)?;
            }
        }
        Ok(())
    }

    /// Where a star stands for its columns, and they are not written out.
    pub(super) fn no_own_star(&self, parts: &[Node]) -> Res<()> {
        for part in parts {
            if let Some(NodeEnum::ColumnRef(column)) = &part.node
                && let Some(name) = starred(column)
            {
                self.visible(&[&name], true, self.at(column.location))?;
            }
        }
        Ok(())
    }
}

/// The name before a star.
fn starred(column: &ColumnRef) -> Option<String> {
    let [name, star] = column.fields.as_slice() else { return None };
    let is_star = matches!(star.node, Some(NodeEnum::AStar(_)));
    nodes::names(std::slice::from_ref(name)).filter(|_| is_star)?.first().map(|name| (*name).to_owned())
}

fn columns(item: &Item) -> Option<Vec<Node>> {
    match &item.thing {
        Thing::Guarded(relation, _) | Thing::Wrapped(relation) => {
            Some(relation.columns.iter().map(|c| nodes::column(&item.name, &c.name)).collect())
        }
        _ => None,
    }
}

fn row(name: &str, columns: Vec<Node>) -> Node {
    let whole = ColumnRef { fields: vec![nodes::string(name), nodes::node(NodeEnum::AStar(pg::AStar {}))], location: -1 };
    let value = pg::CoalesceExpr { args: vec![nodes::node(NodeEnum::ColumnRef(whole))], ..Default::default() };
    let inner = nodes::subquery(nodes::query(columns, Vec::new()), name, Vec::new());
    let select: pg::SelectStmt = nodes::query(vec![nodes::node(NodeEnum::CoalesceExpr(Box::new(value)))], vec![inner]);
    nodes::scalar(select)
}
