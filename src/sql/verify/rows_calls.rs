//! Functions in FROM whose rows name relations: the subquery in which these are numbers, or the function itself where nothing stands beside it.

use super::from::push;
use super::scopes::{Level, Seen, called_as};
use super::{Res, Walk, disagree, fields, list, names, text};
use crate::sql::catalogs::functions;
use crate::sql::tree::Value;

/// The name and the call, where an item of FROM is nothing but such a function.
fn call_of(item: &Value) -> Option<(&'static str, &Value)> {
    let [entry] = list(item, "functions") else { return None };
    let call = list(fields(entry, "List")?, "items").first()?;
    let own = match names(list(fields(call, "FuncCall")?, "funcname")).as_slice() {
        ["pg_partition_tree"] | ["pg_catalog", "pg_partition_tree"] => "pg_partition_tree",
        ["pg_partition_ancestors"] | ["pg_catalog", "pg_partition_ancestors"] => "pg_partition_ancestors",
        _ => return None,
    };
    Some((own, call))
}

fn place(call: &Value) -> Option<i64> {
    fields(call, "FuncCall")?["location"].as_i64()
}

/// The call of `SELECT * FROM f(…)`, if a statement is that and no more.
pub(super) fn only_call(select: &Value) -> Option<i64> {
    let ([target], [item]) = (list(select, "target_list"), list(select, "from_clause")) else { return None };
    let star = fields(&fields(target, "ResTarget")?["val"], "ColumnRef")?;
    let [only] = list(star, "fields") else { return None };
    fields(only, "AStar")?;
    const LISTS: &[&str] = &["distinct_clause", "group_clause", "window_clause", "values_lists", "sort_clause", "locking_clause"];
    const NODES: &[&str] = &["where_clause", "having_clause", "limit_count", "limit_offset", "with_clause", "into_clause", "larg", "rarg"];
    let bare = LISTS.iter().all(|k| list(select, k).is_empty()) && NODES.iter().all(|k| select[*k].is_null());
    place(call_of(fields(item, "RangeFunction")?)?.1).filter(|_| bare)
}

impl Walk<'_> {
    /// None where the client's item is no such function.
    pub(super) fn rows_call_in_from(&mut self, fk: &str, f: &Value, c: &Value, level: &mut Level) -> Option<Res<()>> {
        let (name, call) = call_of(c)?;
        let here = place(call);
        if here.is_some() && self.only_call == here {
            self.rows_call = here;
            return None;
        }
        let wanted = super::catalogs::tree(&functions::rows(name, c["ordinality"] == Value::Bool(true)))?;
        Some(match fk {
            "RangeSubselect" => self.rows_in_subquery(&wanted, name, f, c, level),
            _ => disagree("rows that name objects are looked at"),
        })
    }

    fn rows_in_subquery(&mut self, wanted: &Value, name: &str, f: &Value, c: &Value, level: &mut Level) -> Res<()> {
        const CALL: &str = "/node/SelectStmt/from_clause/0/node/RangeFunction/functions/0/node/List/items/0";
        let (mut mine, mut form) = (super::catalogs::without_barrier(&f["subquery"], wanted), wanted.clone());
        let (Some(made), Some(hole)) = (mine.pointer_mut(CALL).map(Value::take), form.pointer_mut(CALL)) else {
            return disagree("a function's rows are read in another way");
        };
        *hole = Value::Null;
        let reference = called_as(c, name);
        let plain = c["is_rowsfrom"] == Value::Bool(false) && list(c, "coldeflist").is_empty();
        let (called, theirs) = (names(list(&f["alias"], "colnames")), names(list(&c["alias"], "colnames")));
        let kept = called == theirs && called.iter().enumerate().all(|(at, called)| functions::may_be_called(name, at, called));
        let named = text(&f["alias"], "aliasname") == reference && kept && f["lateral"] == Value::Bool(true);
        if !super::catalogs::equal(&form, &mine) || !plain || !named {
            return disagree("a function's rows are read in another way");
        }
        let Some((_, call)) = call_of(c) else { return disagree("a function's rows are read in another way") };
        self.rows_call = place(call);
        let arguments = fields(call, "FuncCall").map(|c| list(c, "args")).unwrap_or_default();
        self.levels.push(level.clone());
        let proved = self.not_before_parents(&arguments.to_vec().into()).and_then(|()| self.same(&made, call));
        self.levels.pop();
        self.rows_call = None;
        proved?;
        push(level, Seen { name: reference.to_owned(), shared: true, ..Seen::default() })
    }
}
