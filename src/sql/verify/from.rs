//! Relations in FROM: each scoped one takes its guard out of a filter that filters exactly its rows.

use super::{Found, Hold, Res, Walk, disagree, fields, hold, is_zero, kind, list, names, text};
use serde_json::Value;

/// PostgreSQL's JoinType as the tree has it (nodes.h, one more for "undefined").
const INNER: i64 = 1;
const LEFT: i64 = 2;
const FULL: i64 = 3;
const RIGHT: i64 = 4;

impl Walk<'_> {
    /// A FROM list whose relations may be guarded in filter `sink`.
    pub(super) fn from_list(&mut self, f: &[Value], c: &[Value], sink: usize) -> Res<()> {
        if f.len() != c.len() {
            return disagree("FROM has other items");
        }
        f.iter().zip(c).try_for_each(|(f, c)| self.from_item(f, c, &[sink]))
    }

    fn from_item(&mut self, f: &Value, c: &Value, sinks: &[usize]) -> Res<()> {
        let (Some((fk, fv)), Some((ck, cv))) = (kind(f), kind(c)) else { return disagree("FROM differs") };
        match (fk, ck) {
            ("RangeVar", "RangeVar") => self.table(fv, cv, sinks),
            ("RangeSubselect", "RangeVar") => self.wrapped(fv, cv),
            ("JoinExpr", "JoinExpr") => self.join(fv, cv, sinks),
            ("RangeSubselect", "RangeSubselect") | ("RangeFunction", "RangeFunction") => self.rest(fv, cv, &[]),
            _ => disagree(format!("{ck} became {fk} in FROM")),
        }
    }

    /// A relation that stands as itself takes its guard from one of the filters.
    pub(super) fn table(&mut self, f: &Value, c: &Value, sinks: &[usize]) -> Res<()> {
        let relation = self.relation(f, c)?;
        self.rest(f, c, &["schemaname"])?;
        let Some(Some(column)) = relation else { return Ok(()) };
        if !list(&f["alias"], "colnames").is_empty() {
            return disagree("a guarded relation has renamed columns");
        }
        let reference = if f["alias"].is_null() { text(f, "relname") } else { text(&f["alias"], "aliasname") };
        let wanted = Found { reference: reference.to_owned(), column };
        for sink in sinks {
            if let Some(index) = self.filters[*sink].iter().position(|g| *g == wanted) {
                self.filters[*sink].remove(index);
                hold(&mut self.proof, Hold::Filter, f, c, reference);
                return Ok(());
            }
        }
        disagree("a relation has no guard where one is needed")
    }

    /// `(SELECT * FROM schema.t WHERE guard OFFSET 0) AS alias` for `t AS alias`.
    fn wrapped(&mut self, f: &Value, c: &Value) -> Res<()> {
        let Some(select) = fields(&f["subquery"], "SelectStmt") else { return disagree("a relation became a subquery") };
        let [table] = list(select, "from_clause") else { return disagree("a wrapped relation has other company") };
        let Some(table) = fields(table, "RangeVar") else { return disagree("a wrapped relation is none") };
        let Some(Some(column)) = self.relation(table, c)? else { return disagree("a relation is wrapped for nothing") };
        let guard = self.guard(&select["where_clause"]);
        let wanted = Found { reference: text(table, "relname").to_owned(), column };
        let star = matches!(list(select, "target_list"), [t] if is_star(t));
        let empty = ["distinct_clause", "group_clause", "window_clause", "values_lists", "sort_clause", "locking_clause"];
        let bare = empty.iter().all(|k| list(select, k).is_empty())
            && ["having_clause", "limit_count", "with_clause", "into_clause", "larg", "rarg"].iter().all(|k| select[*k].is_null());
        let same_table = table["alias"].is_null() && table["inh"] == c["inh"] && table["relpersistence"] == c["relpersistence"];
        let alias = if c["alias"].is_null() {
            text(&f["alias"], "aliasname") == text(c, "relname") && list(&f["alias"], "colnames").is_empty()
        } else {
            f["alias"] == c["alias"]
        };
        let sound = guard == Some(wanted) && star && bare && same_table && alias;
        if sound && is_zero(&select["limit_offset"]) && f["lateral"] == Value::Bool(false) {
            hold(&mut self.proof, Hold::Wrapped, table, c, text(&f["alias"], "aliasname"));
            Ok(())
        } else {
            disagree("a wrapped relation is not sound")
        }
    }

    fn join(&mut self, f: &Value, c: &Value, above: &[usize]) -> Res<()> {
        let guards = self.filter(&f["quals"], &c["quals"])?;
        self.filters.push(guards);
        let on = [self.filters.len() - 1];
        let above: &[usize] = if f["alias"].is_null() { above } else { &[] };
        let both: Vec<usize> = above.iter().chain(&on).copied().collect();
        let none: &[usize] = &[];
        // A guard in ON removes rows of the nullable side only; the other side's rows would come back with NULLs.
        let (left, right) = match f["jointype"].as_i64() {
            Some(INNER) => (both.as_slice(), both.as_slice()),
            Some(LEFT) => (above, on.as_slice()),
            Some(RIGHT) => (on.as_slice(), above),
            Some(FULL) => (none, none),
            _ => return disagree("a join of an unknown kind"),
        };
        self.from_item(&f["larg"], &c["larg"], left)?;
        self.from_item(&f["rarg"], &c["rarg"], right)?;
        self.used_up()?;
        self.rest(f, c, &["quals", "larg", "rarg"])
    }
}

fn is_star(target: &Value) -> bool {
    let Some(target) = fields(target, "ResTarget") else { return false };
    let column = fields(&target["val"], "ColumnRef");
    let star = column.is_some_and(|c| matches!(list(c, "fields"), [one] if kind(one).is_some_and(|(k, _)| k == "AStar")));
    star && text(target, "name").is_empty() && names(list(target, "indirection")).is_empty()
}
