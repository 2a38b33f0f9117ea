//! What a query gives: where its output can fail, no condition from outside is moved into it. Judged while the query's level stands, so that the
//! types of its columns are known.

use super::raises::{is_barrier, is_row, used};
use super::{MATERIALIZED, Res, Walk, disagree, fields, list, names};
use crate::sql::tree::Value;
use pg_query::protobuf::SubLinkType;

impl Walk<'_> {
    /// Walks a query and tells whether its output can fail.
    pub(super) fn output(&mut self, walk: impl FnOnce(&mut Self) -> Res<()>) -> Res<bool> {
        (self.conditions.asked, self.conditions.gives) = (true, None);
        walk(self)?;
        self.conditions.asked = false;
        Ok(self.conditions.gives.take().unwrap_or(true))
    }

    /// Whether that is asked of the query that is entered here.
    pub(super) fn is_asked(&mut self) -> bool {
        std::mem::take(&mut self.conditions.asked)
    }

    /// An arm of a set operation; whether its output can fail, if that is asked.
    pub(super) fn arm(&mut self, f: &Value, c: &Value, asked: bool) -> Res<bool> {
        self.conditions.arm = true;
        if asked { self.output(|walk| walk.select(f, c)) } else { self.select(f, c).map(|()| false) }
    }

    /// Answers for a query whose level stands; `arms`: an arm's output can fail.
    pub(super) fn answers(&mut self, select: &Value, arms: bool) {
        // The arms' columns are made alike as soon as a row is read.
        let set = !select["larg"].is_null();
        self.conditions.gives = Some(if set { arms || self.conditions.mixes } else { self.output_fails(select) });
    }

    /// Whether the output of a query, no set operation, can fail.
    fn output_fails(&self, select: &Value) -> bool {
        let row = |target: &Value| {
            let mut uses = Vec::new();
            let value = fields(target, "ResTarget").map(|t| &t["val"]).filter(|v| is_row(v));
            value.is_some_and(|v| {
                used(self.catalog, v, &mut uses);
                !uses.is_empty()
            })
        };
        ["target_list", "values_lists"].iter().any(|k| self.any_fails(&select[*k])) || list(select, "target_list").iter().any(row)
    }

    /// Walks a subquery in FROM, `f` in the final text: if its output can fail, it keeps conditions out.
    pub(super) fn keeps_out(&mut self, f: &Value, walk: impl FnOnce(&mut Self) -> Res<()>) -> Res<()> {
        if self.output(walk)? && !is_barrier(f) {
            return disagree("what can fail may run before the guard in a subquery");
        }
        Ok(())
    }

    /// `x = ANY (query)` becomes a join with the query, and what it gives a condition at its scans: where that can fail, or the comparison, the
    /// query keeps it out.
    pub(super) fn stays_apart(&mut self, f: &Value, c: &Value) -> Res<()> {
        let output = self.output(|walk| walk.same(&f["subselect"], &c["subselect"]))?;
        let any = c["sub_link_type"].as_i64() == Some(i64::from(SubLinkType::AnySublink as i32));
        let Some(query) = fields(&f["subselect"], "SelectStmt") else { return Ok(()) };
        let operator = names(list(c, "oper_name")).last().copied().unwrap_or("=");
        let fails = || {
            self.operator_fails(operator)
                || self.conversion_fails("SubLink", c)
                || self.orders_shapes("SubLink", c)
                || self.meets_collations("SubLink", c)
                || output
        };
        if any && !is_barrier(query) && fails() {
            return disagree("what can fail may be compared before the guard in a subquery");
        }
        Ok(())
    }

    /// A WITH query whose output can fail keeps conditions out; any other is remembered.
    pub(super) fn with_query(&mut self, cte: &Value, client: &Value) -> Res<()> {
        // It sees no column of its own level, and those of the levels around that.
        let around = std::mem::replace(&mut self.copied, self.copied_within);
        let output = self.output(|walk| walk.apart(|walk| walk.same(&cte["ctequery"], &client["ctequery"])))?;
        self.copied = around;
        self.conditions.with_fails |= self.fails_anywhere(&client["ctequery"]);
        let Some(f) = fields(&cte["ctequery"], "SelectStmt") else { return Ok(()) };
        let open = cte["ctematerialized"].as_i64() != Some(MATERIALIZED) && !is_barrier(f);
        if open && output {
            return disagree("what can fail may run before the guard in a WITH query");
        }
        self.conditions.open |= open;
        Ok(())
    }
}
