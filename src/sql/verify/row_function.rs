//! A function in FROM that returns rows of a table with a hidden column: its call is in a subquery of exactly the other columns.

use super::from::push;
use super::scopes::{Level, Seen};
use super::{Res, Walk, disagree, fields, is_zero, list, names, text};
use crate::sql::tree::Value;

impl Walk<'_> {
    pub(super) fn row_function(&mut self, f: &Value, c: &Value, level: &mut Level) -> Res<()> {
        let Some(select) = fields(&f["subquery"], "SelectStmt") else { return disagree("a function became a subquery") };
        let [inside] = list(select, "from_clause") else { return disagree("a function has company") };
        let Some(inside) = fields(inside, "RangeFunction") else { return disagree("a function became something else") };
        let Some(call) = only_call(inside) else { return disagree("a function became another") };
        let name = text(&inside["alias"], "aliasname");
        let called = names(list(call, "funcname"));
        let ([schema, function], own) = (called.as_slice(), list(&inside["alias"], "colnames").is_empty()) else {
            return disagree("a function's name is not qualified");
        };
        let Some(table) = self.catalog.row_functions.get(&((*schema).to_owned(), (*function).to_owned())).cloned() else {
            return disagree("a function returns something else");
        };
        let alias = if c["alias"].is_null() {
            name == *function && text(&f["alias"], "aliasname") == name && list(&f["alias"], "colnames").is_empty()
        } else {
            f["alias"] == c["alias"] && text(&f["alias"], "aliasname") == name
        };
        if !alias || !own || f["lateral"] != Value::Bool(true) || inside["lateral"] == Value::Bool(true) {
            return disagree("a function has another name");
        }
        let ordinality = c["ordinality"] == Value::Bool(true);
        let wanted = table.columns.iter().map(|c| c.name.as_str()).chain(ordinality.then_some("ordinality"));
        let shown = list(select, "target_list").iter().map(|target| column_of(target, name));
        let clear = !ordinality || !table.has_column("ordinality");
        if !clear || !shown.eq(wanted.map(Some)) || !is_bare(select) {
            return disagree("a function's rows show other columns");
        }
        let (mut plain, mut client) = (inside.clone(), c.clone());
        for side in [&mut plain, &mut client] {
            side["alias"] = Value::Null;
            side["lateral"] = Value::Bool(false);
        }
        self.beside(level, |walk| {
            walk.not_before_parents(&c["functions"])?;
            walk.reveals = true;
            let result = walk.rest(&plain, &client, &[]);
            walk.reveals = false;
            result
        })?;
        push(level, Seen { name: name.to_owned(), ..Seen::default() })
    }
}

/// The call of an item that is one function without a list of columns.
fn only_call(item: &Value) -> Option<&Value> {
    let [entry] = list(item, "functions") else { return None };
    let (first, rest) = list(fields(entry, "List")?, "items").split_first()?;
    let plain = list(item, "coldeflist").is_empty() && rest.iter().all(|n| n["node"].is_null());
    fields(first, "FuncCall").filter(|_| plain)
}

fn column_of<'v>(target: &'v Value, table: &str) -> Option<&'v str> {
    let target = fields(target, "ResTarget").filter(|t| text(t, "name").is_empty() && list(t, "indirection").is_empty())?;
    let parts = list(fields(&target["val"], "ColumnRef")?, "fields");
    match names(parts).as_slice() {
        [reference, column] if parts.len() == 2 && *reference == table => Some(column),
        _ => None,
    }
}

/// Nothing but a target list and FROM; it may be a barrier.
fn is_bare(select: &Value) -> bool {
    let empty = ["distinct_clause", "group_clause", "window_clause", "values_lists", "sort_clause", "locking_clause"];
    let none = ["where_clause", "having_clause", "limit_count", "with_clause", "into_clause", "larg", "rarg"];
    let offset = &select["limit_offset"];
    empty.iter().all(|k| list(select, k).is_empty()) && none.iter().all(|k| select[*k].is_null()) && (offset.is_null() || is_zero(offset))
}
