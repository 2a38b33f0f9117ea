//! MERGE: the target's guard is in ON, and before each condition for rows that match nothing; sources filter themselves, each inserted row is the
//! tenant's.

use super::links::Row;
use super::scopes::Level;
use super::write::Target;
use super::{Hold, Res, Walk, disagree, fields, hold, list, text};
use crate::sql::tree::Value;

/// PostgreSQL's MergeMatchKind and CmdType as the tree has them.
const NOT_MATCHED_BY_SOURCE: i64 = 2;
const INSERT: i64 = 4;
const DELETE: i64 = 5;

impl Walk<'_> {
    pub(super) fn merge(&mut self, f: &Value, c: &Value) -> Res<()> {
        if self.is_unguarded(&c["relation"]) {
            return self.merge_unguarded(f, c);
        }
        let depth = self.ctes.len();
        self.with(&f["with_clause"], &c["with_clause"])?;
        let target = self.target(f, c)?;
        let (mut guards, condition) = self.split(&f["join_condition"], &c["join_condition"])?;
        target.take_guard(&mut guards)?;
        self.saw_parents(&target.relation);
        hold(&mut self.proof, Hold::Filter, &f["relation"], &c["relation"], &target.reference);
        self.filters.push(guards);
        let mut level = Level { items: vec![target.seen()], passed: false };
        self.from_item(&f["source_relation"], &c["source_relation"], &[], &mut level)?;
        self.used_up()?;
        self.levels.push(level);
        self.filter(condition)?;
        self.passed();
        let (fs, cs) = (list(f, "merge_when_clauses"), list(c, "merge_when_clauses"));
        if fs.len() != cs.len() {
            return disagree("MERGE has other parts");
        }
        fs.iter().zip(cs).try_for_each(|(f, c)| self.merge_when(f, c, &target))?;
        self.rest(f, c, &["with_clause", "relation", "source_relation", "join_condition", "merge_when_clauses"])?;
        self.levels.pop();
        self.ctes.truncate(depth);
        Ok(())
    }

    fn merge_when(&mut self, f: &Value, c: &Value, target: &Target) -> Res<()> {
        let (Some(f), Some(c)) = (fields(f, "MergeWhenClause"), fields(c, "MergeWhenClause")) else { return disagree("MERGE differs") };
        if f["match_kind"].as_i64() == Some(NOT_MATCHED_BY_SOURCE) {
            return self.merge_unmatched(f, c, target);
        }
        self.merge_action(f, c, target, &[])
    }

    /// Rows that match nothing are everybody's, and see nothing of the source: the guard is the first condition for them.
    fn merge_unmatched(&mut self, f: &Value, c: &Value, target: &Target) -> Res<()> {
        let (mut guards, condition) = self.split(&f["condition"], &c["condition"])?;
        target.take_guard(&mut guards)?;
        self.saw_parents(&target.relation);
        if !guards.is_empty() {
            return disagree("a guard is for no relation of its place");
        }
        let around = self.levels.pop();
        self.levels.push(Level { items: vec![target.seen()], passed: false });
        self.filter(condition)?;
        self.passed();
        self.merge_action(f, c, target, &["condition"])?;
        self.levels.pop();
        self.levels.extend(around);
        Ok(())
    }

    /// `done`: fields of WHEN that are proved already.
    fn merge_action(&mut self, f: &Value, c: &Value, target: &Target, done: &[&str]) -> Res<()> {
        target.hides_from(list(c, "target_list"))?;
        if f["command_type"].as_i64() != Some(INSERT) {
            self.sets_own(list(f, "target_list"), target, false)?;
            if f["command_type"].as_i64() == Some(DELETE) {
                self.keeps_its_rows(&target.relation, None)?;
            }
            let mut plain = f.clone();
            plain["target_list"] = self.checked_assignments(&f["target_list"], target)?.into_owned();
            return self.rest(&plain, c, done);
        }
        if !done.is_empty() {
            return disagree("a row that is there is inserted");
        }
        let mut plain = f.clone();
        let (names, values) = (list(f, "target_list").iter().map(name).collect(), list(f, "values").iter().collect());
        plain["values"] = self.checked_row(target, &Row { names, values, kept: String::new(), several: true, new: false })?.into();
        if target.column.is_empty() {
            return self.merge_columns(&plain, c, target);
        }
        let place = |v: &Value| list(v, "target_list").iter().position(|t| name(t) == target.column);
        let Some(index) = place(f) else { return disagree("the tenant column is not written") };
        let count = list(f, "target_list").iter().filter(|t| name(t) == target.column).count();
        if count != 1 || list(f, "target_list").len() != list(f, "values").len() {
            return disagree("the tenant column is not written exactly once");
        }
        if list(c, "values").len() == list(f, "values").len() {
            if target.relation.hidden.is_some() {
                return disagree("a hidden column is not written by the wall");
            }
            self.own_expression(&mut plain["values"][index], target)?;
        } else {
            let value = plain["values"].as_array_mut().and_then(Vec::pop).unwrap_or_default();
            let last = plain["target_list"].as_array_mut().and_then(Vec::pop).unwrap_or_default();
            self.tenant_value(&value)?;
            if name(&last) != target.column {
                return disagree("the tenant column is not the added one");
            }
        }
        self.merge_columns(&plain, c, target)
    }

    /// The columns that an INSERT of MERGE writes are the client's.
    fn merge_columns(&mut self, plain: &Value, c: &Value, target: &Target) -> Res<()> {
        if !list(c, "target_list").is_empty() {
            return self.rest(plain, c, &[]);
        }
        // The client named no columns: they are the table's first ones.
        let expected = target.first_columns(list(plain, "target_list").len());
        let bare = |t: &Value| fields(t, "ResTarget").is_some_and(|t| list(t, "indirection").is_empty() && t["val"].is_null());
        let in_order = list(plain, "target_list").iter().map(name).eq(expected) && list(plain, "target_list").iter().all(bare);
        if !in_order {
            return disagree("the added column list is not the table's");
        }
        self.rest(plain, c, &["target_list"])
    }
}

fn name(target: &Value) -> String {
    fields(target, "ResTarget").map(|t| text(t, "name").to_owned()).unwrap_or_default()
}
