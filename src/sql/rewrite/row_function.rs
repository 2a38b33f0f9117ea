//! A function in FROM that returns rows of a table with a hidden column stands in a subquery of the other columns.

use super::from::push;
use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::catalog::Relation;
use crate::sql::nodes;
use crate::sql::scope::{Scope, Thing};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, Node, RangeFunction, RangeSubselect};
use std::sync::Arc;

impl Rewriter<'_> {
    pub(super) fn function_item(&mut self, item: &mut Node, scope: &mut Scope) -> Res<()> {
        let unknown = self.unknown("this kind of FROM item", item);
        let Some(NodeEnum::RangeFunction(function)) = item.node.as_mut() else { return Err(unknown) };
        let table = self.table_returned(function);
        self.reveals = table.is_some();
        let name = self.from_function(function, scope)?;
        if let Some(table) = table {
            self.renamed.extend(function.alias.as_ref().filter(|a| !a.colnames.is_empty()).map(|_| name.clone()));
            *item = without_hidden(std::mem::take(function), &name, &table);
        }
        push(scope, name, Thing::Opaque).map(|_| ())
    }

    /// What a function returns may be rows of a table as it is stored.
    pub(super) fn shows_no_hidden(&self, name: &str, place: Option<u32>) -> Res<()> {
        if !self.cx.catalog.revealing.contains(name) {
            return Ok(());
        }
        Err(Refusal::not_understood(format!("function {name} is not supported"))
            .detail("It returns rows of a table that has a column that is not the tenant's to see.")
            .hint("Declare it RETURNS TABLE, without that column.")
            .at(place))
    }

    /// Within the database such a row has a column more, and no cast makes one of a row without it.
    pub(super) fn takes_no_hidden(&self, name: &str, place: Option<u32>) -> Res<()> {
        if !self.cx.catalog.row_takers.contains(name) {
            return Ok(());
        }
        Err(Refusal::not_understood(format!("function {name} is not supported"))
            .detail("It takes rows of a table that has a column that is not the tenant's to see.")
            .at(place))
    }

    /// The table whose rows the one function of this item returns, where it hides a column.
    fn table_returned(&self, function: &RangeFunction) -> Option<Arc<Relation>> {
        let [entry] = function.functions.as_slice() else { return None };
        let Some(NodeEnum::List(list)) = &entry.node else { return None };
        let Some(NodeEnum::FuncCall(call)) = list.items.first().and_then(|n| n.node.as_ref()) else { return None };
        let plain = function.coldeflist.is_empty() && list.items.iter().skip(1).all(|n| n.node.is_none());
        let names = nodes::names(&call.funcname)?;
        let (schema, name) = match names.as_slice() {
            [name] => ("", *name),
            [schema, name] => (*schema, *name),
            _ => return None,
        };
        let shared = schema.is_empty() && self.cx.catalog.overloads.contains(name);
        let listed = self.listed_function(schema, name).filter(|_| plain && !shared && schema != "pg_catalog")?;
        let table = self.cx.catalog.row_functions.get(&(listed, name.to_owned()))?;
        Some(table.clone()).filter(|t| !function.ordinality || !t.has_column(ORDINALITY))
    }
}

/// The name of the column that WITH ORDINALITY adds.
const ORDINALITY: &str = "ordinality";

/// `LATERAL (SELECT f.a, f.b FROM f(…) AS f) AS alias`
fn without_hidden(mut function: RangeFunction, name: &str, table: &Relation) -> Node {
    let ordinality = function.ordinality.then(|| nodes::column(name, ORDINALITY));
    let columns = table.columns.iter().map(|c| nodes::column(name, &c.name)).chain(ordinality).collect();
    let own = pg::Alias { aliasname: name.to_owned(), colnames: Vec::new() };
    let alias = function.alias.replace(own.clone()).or(Some(own));
    function.lateral = false;
    let select = nodes::query(columns, vec![nodes::node(NodeEnum::RangeFunction(function))]);
    let subquery = nodes::boxed(nodes::node(NodeEnum::SelectStmt(Box::new(select))));
    nodes::node(NodeEnum::RangeSubselect(Box::new(RangeSubselect { lateral: true, subquery, alias })))
}
