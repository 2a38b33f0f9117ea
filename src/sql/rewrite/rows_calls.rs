//! Functions in FROM whose rows name relations (pg_partition_tree): a subquery in which these are numbers, for a literal beside such a column
//! would be looked up by name. Only where nothing can stand beside it does the function stand itself.

use super::from::push;
use super::shape::{parsed, place_of_named};
use super::{Res, Rewriter};
use crate::sql::catalogs::functions;
use crate::sql::scope::{Scope, Thing};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, FuncCall, Node, RangeFunction, RangeSubselect, SelectStmt};

/// The call in `SELECT * FROM f(…)`, where that is the whole statement.
pub(super) fn only_call(select: &SelectStmt) -> Option<i32> {
    let ([target], [item]) = (select.target_list.as_slice(), select.from_clause.as_slice()) else { return None };
    let star = match target.node.as_ref()? {
        NodeEnum::ResTarget(t) => t.val.as_deref(),
        _ => None,
    };
    let is_star = matches!(star.and_then(|s| s.node.as_ref()), Some(NodeEnum::ColumnRef(c)) if c.fields.len() == 1 && nodes::names(&c.fields).is_none());
    let bare = SelectStmt {
        target_list: select.target_list.clone(),
        from_clause: select.from_clause.clone(),
        limit_option: select.limit_option,
        op: select.op,
        ..Default::default()
    };
    match item.node.as_ref()? {
        NodeEnum::RangeFunction(function) if is_star && bare == *select => call_of(function).map(|call| call.location),
        _ => None,
    }
}

/// The call of such a function, alone in its item.
fn call_of(function: &RangeFunction) -> Option<&FuncCall> {
    let [entry] = function.functions.as_slice() else { return None };
    let Some(NodeEnum::List(list)) = &entry.node else { return None };
    let Some(NodeEnum::FuncCall(call)) = &list.items.first()?.node else { return None };
    let names = nodes::names(&call.funcname)?;
    let own = matches!(names.as_slice(), [n] | ["pg_catalog", n] if functions::columns_of(n).is_some());
    own.then_some(&**call)
}

impl Rewriter<'_> {
    /// Puts the subquery in such a function's place; false where the item is another.
    pub(super) fn rows_call_in_from(&mut self, item: &mut Node, scope: &mut Scope) -> Res<bool> {
        let Some(NodeEnum::RangeFunction(function)) = item.node.as_ref() else { return Ok(false) };
        let Some(call) = call_of(function) else { return Ok(false) };
        let place = call.location;
        self.catalogs.rows.insert(place);
        if self.catalogs.only == Some(place) {
            return Ok(false);
        }
        let name = nodes::names(&call.funcname).and_then(|n| n.last().map(|s| (*s).to_owned())).unwrap_or_default();
        let (plain, ordinality) = (!function.is_rowsfrom && function.coldeflist.is_empty(), function.ordinality);
        let alias = function.alias.clone().unwrap_or_else(|| Alias { aliasname: name.clone(), colnames: Vec::new() });
        let called = nodes::names(&alias.colnames).unwrap_or_default();
        if !plain || !called.iter().enumerate().all(|(at, called)| functions::may_be_called(&name, at, called)) {
            return Err(Refusal::not_understood(format!("this form of {name} in FROM is not supported")).at(self.at(place)));
        }
        let mut inner = nodes::node(NodeEnum::FuncCall(Box::new(call.clone())));
        // A relation's number as an argument is one in any place.
        if let Some(NodeEnum::FuncCall(call)) = &inner.node {
            let places: Vec<i32> = call.args.iter().filter_map(place_of_named).collect();
            places.into_iter().for_each(|p| self.number_at(p));
        }
        self.levels.push(scope.clone());
        let raisings = self.raisings;
        let result = self.expr(&mut inner).and_then(|_| self.not_before_parents(raisings, true));
        self.levels.pop();
        self.catalogs.rows.remove(&place);
        result?;
        let mut subquery = parsed(&functions::rows(&name, ordinality))?;
        let broken = || Refusal::not_understood("a function's rows cannot be read");
        let Some(NodeEnum::SelectStmt(select)) = subquery.node.as_mut() else { return Err(broken()) };
        let Some(NodeEnum::RangeFunction(inside)) = select.from_clause.first_mut().and_then(|f| f.node.as_mut()) else {
            return Err(broken());
        };
        let Some(NodeEnum::List(list)) = inside.functions.first_mut().and_then(|f| f.node.as_mut()) else { return Err(broken()) };
        *list.items.first_mut().ok_or_else(broken)? = inner;
        let reference = alias.aliasname.clone();
        *item = nodes::node(NodeEnum::RangeSubselect(Box::new(RangeSubselect {
            lateral: true,
            subquery: nodes::boxed(subquery),
            alias: Some(alias),
        })));
        self.note_catalog(&reference, &name);
        push(scope, reference, Thing::Opaque)?.locks_shared = true;
        Ok(true)
    }
}
