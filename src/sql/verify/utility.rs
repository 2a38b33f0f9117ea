//! Utility statements: a query inside is proved as any query; relations outside a query stand only where no row is read by them.

use super::{Res, Walk, disagree, fields, kind, list, text};
use crate::sql::tree::Value;
use crate::sql::views::Event;

/// The strongest lock that stops no other session's reads or writes.
const ROW_EXCLUSIVE: i64 = 3;

/// Statements that hold no relation and no query, or whose queries are found by the walk: the client's up to what the walk sanctions.
const PLAIN: &[&str] = &[
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "TransactionStmt",
    "VariableShowStmt",
    "DeallocateStmt",
    "DiscardStmt",
    "DeclareCursorStmt",
    "FetchStmt",
    "ClosePortalStmt",
    "PrepareStmt",
    "ExecuteStmt",
];

impl Walk<'_> {
    /// A whole statement.
    pub(super) fn statement(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (Some((fk, fv)), Some((ck, cv))) = (kind(f), kind(c)) else { return disagree("a statement is gone") };
        if let Some(proved) = self.ddl(fk, fv, ck, cv) {
            return proved;
        }
        match (fk, ck) {
            ("DeleteStmt", "TruncateStmt") => self.truncate(fv, cv),
            ("VariableShowStmt", _) if self.catalog.home.schema().is_some() && text(fv, "name").eq_ignore_ascii_case("search_path") => {
                disagree("the path is shown")
            }
            ("SelectStmt", "VariableShowStmt") => self.show_path(fv, cv),
            ("VariableSetStmt", "VariableSetStmt") => self.set(fv, cv),
            ("TruncateStmt", "TruncateStmt") => self.truncate_own(fv, cv),
            ("ExplainStmt", "ExplainStmt") => self.explain(fv, cv),
            ("CopyStmt", "CopyStmt") => self.copy(fv, cv),
            ("CreateStmt", "CreateStmt") => self.create_temp(fv, cv),
            ("CreateTableAsStmt", "CreateTableAsStmt") => self.create_temp_as(fv, cv),
            ("CreateTableAsStmt", "SelectStmt") => self.select_into(fv, cv),
            ("ViewStmt", "ViewStmt") => self.create_temp_view(fv, cv),
            ("DropStmt", "DropStmt") => self.drop_temp(fv, cv),
            ("IndexStmt", "IndexStmt") => self.index_of_temp(fv, cv),
            ("AlterTableStmt", "AlterTableStmt") => self.alter_temp(fv, cv),
            ("RenameStmt", "RenameStmt") => self.rename_temp(fv, cv),
            ("CreateSeqStmt", "CreateSeqStmt") => self.create_temp_sequence(fv, cv),
            ("AlterSeqStmt", "AlterSeqStmt") => self.alter_temp_sequence(fv, cv),
            ("ListenStmt", "ListenStmt") | ("NotifyStmt", "NotifyStmt") | ("UnlistenStmt", "UnlistenStmt") => self.channel(fv, cv),
            ("LockStmt", "LockStmt") => self.lock(fv, cv),
            ("ConstraintsSetStmt", "ConstraintsSetStmt") => self.constraints(fv, cv),
            _ if fk == ck && PLAIN.contains(&fk) => self.same(f, c),
            _ => disagree("this kind of statement is not proved"),
        }
    }

    /// The plan alone: no option but the client's own VERBOSE and FORMAT, and costs off.
    fn explain(&mut self, f: &Value, c: &Value) -> Res<()> {
        let Some((off, kept)) = list(f, "options").split_last() else { return disagree("EXPLAIN shows costs") };
        let is_off = |o: &Value| text(o, "defname") == "costs" && o["arg"]["node"]["String"]["sval"] == "off";
        if !fields(off, "DefElem").is_some_and(is_off) {
            return disagree("EXPLAIN shows costs");
        }
        for option in kept {
            let (name, arg) = fields(option, "DefElem").map(|o| (text(o, "defname"), &o["arg"])).unwrap_or(("", &Value::Null));
            let theirs =
                list(c, "options").iter().filter_map(|o| fields(o, "DefElem")).any(|o| text(o, "defname") == name && o["arg"] == *arg);
            if !matches!(name, "verbose" | "format") || !theirs {
                return disagree("EXPLAIN has other options");
            }
        }
        let before = self.proof.relations.len();
        self.same(&f["query"], &c["query"])?;
        self.plan_may_be_shown(before)?;
        let view =
            |name: &String| name.strip_prefix("pg_temp.").and_then(|n| self.private.temps.get(n)).is_some_and(|t| t.is_temporary_view());
        if self.proof.relations[before..].iter().any(view) {
            return disagree("a plan shows a view's guards");
        }
        self.rest(f, c, &["options", "query"])
    }

    fn lock(&mut self, f: &Value, c: &Value) -> Res<()> {
        let mode = f["mode"].as_i64().unwrap_or(i64::MAX);
        let (fs, cs) = (list(f, "relations"), list(c, "relations"));
        let own = |r: &Value| fields(r, "RangeVar").is_some_and(|v| self.own_of(v).is_some());
        if mode > ROW_EXCLUSIVE && !cs.iter().all(own) {
            return disagree("a lock would stop others");
        }
        if fs.len() != cs.len() {
            return disagree("LOCK has other relations");
        }
        for (f, c) in fs.iter().zip(cs) {
            let (Some(f), Some(c)) = (fields(f, "RangeVar"), fields(c, "RangeVar")) else { return disagree("LOCK of something else") };
            match self.table_of(f, c)?.column {
                Some(_) => {}
                None if mode == 1 || self.own_of(c).is_some() => {}
                _ => return disagree("LOCK of a relation that may not be locked"),
            }
            self.rest(f, c, &["schemaname"])?;
        }
        self.rest(f, c, &["relations"])
    }

    /// `DELETE FROM t WHERE guard` for each table of a TRUNCATE, all but the last in WITH.
    fn truncate(&mut self, f: &Value, c: &Value) -> Res<()> {
        let plain = c["restart_seqs"] == Value::Bool(false) && c["behavior"].as_i64() != Some(2);
        let mut deletes = Vec::new();
        for cte in list(&f["with_clause"], "ctes") {
            let cte = fields(cte, "CommonTableExpr").and_then(|c| fields(&c["ctequery"], "DeleteStmt"));
            deletes.push(cte.filter(|d| d["with_clause"].is_null()));
        }
        deletes.push(Some(f));
        let mut wanted: Vec<&Value> = Vec::new();
        for var in list(c, "relations").iter().filter_map(|r| fields(r, "RangeVar")) {
            if !wanted.iter().any(|w| self.target_name(w) == self.target_name(var)) {
                wanted.push(var);
            }
        }
        if !plain || deletes.len() != wanted.len() {
            return disagree("TRUNCATE became something else");
        }
        for (delete, var) in deletes.into_iter().zip(wanted) {
            let Some(delete) = delete else { return disagree("TRUNCATE became something else") };
            let (mut delete, mut client) = (delete.clone(), delete.clone());
            delete["with_clause"] = Value::Null;
            client["with_clause"] = Value::Null;
            client["where_clause"] = Value::Null;
            client["relation"] = var.clone();
            if !list(&delete, "using_clause").is_empty() || !delete["returning_clause"].is_null() {
                return disagree("TRUNCATE became something else");
            }
            if self.through_view(&delete, &client, Event::Delete)?.is_some() {
                return disagree("a view is truncated");
            }
            self.delete(&delete, &client)?;
        }
        Ok(())
    }

    /// Constraints are named as the client named them; they concern this transaction's own checks.
    fn constraints(&self, f: &Value, c: &Value) -> Res<()> {
        let shown = |v: &Value| -> Vec<(String, String)> {
            let vars = list(v, "constraints").iter().filter_map(|r| fields(r, "RangeVar"));
            vars.map(|r| (text(r, "schemaname").to_owned(), text(r, "relname").to_owned())).collect()
        };
        let meant: Option<Vec<(String, String)>> =
            shown(c).into_iter().map(|(schema, name)| Some((self.meant(&schema)?.to_owned(), name))).collect();
        let same =
            f["deferred"] == c["deferred"] && meant == Some(shown(f)) && list(f, "constraints").len() == list(c, "constraints").len();
        if same { Ok(()) } else { disagree("SET CONSTRAINTS differs") }
    }

    /// Schema and name of the listed relation that a name means.
    pub(super) fn target_name(&self, c: &Value) -> (String, String) {
        let (schema, name) = (text(c, "schemaname"), text(c, "relname"));
        let listed = |s: &&String| self.catalog.relations.contains_key(&((*s).clone(), name.to_owned()));
        let found = if schema.is_empty() { self.catalog.search_path.iter().find(listed).map_or("", String::as_str) } else { schema };
        (found.to_owned(), name.to_owned())
    }
}

/// Is this WHERE CURRENT OF, as the client wrote it?
pub(super) fn is_current_of(f: &Value, c: &Value) -> bool {
    let cursor = |v: &Value| fields(v, "CurrentOfExpr").map(|x| (text(x, "cursor_name").to_owned(), x["cursor_param"].as_i64()));
    cursor(f).is_some_and(|f| Some(f) == cursor(c))
}

#[cfg(test)]
#[path = "utility_tests.rs"]
mod tests;
