//! CREATE TEMP VIEW: the view of the final text shows what the client's query would, guarded, and lets nothing be looked at before its guards.

use super::{Res, Walk, disagree, fields, list, text};
use crate::sql::Kind;
use crate::sql::catalog::Relation;
use crate::sql::private::{TEMP, temporary_view};
use crate::sql::tree::Value;

impl Walk<'_> {
    pub(super) fn create_temp_view(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (Some(query), Some(client)) = (fields(&f["query"], "SelectStmt"), fields(&c["query"], "SelectStmt")) else {
            return disagree("a view of something else");
        };
        // PostgreSQL's NO_CHECK_OPTION as the tree has it.
        if !list(f, "options").is_empty() || f["with_check_option"].as_i64() != Some(1) || !query["into_clause"].is_null() {
            return disagree("a temporary view has options");
        }
        self.select(query, client)?;
        let own = !query.has(&mut |_, part| self.is_not_own(part));
        let kept_apart = !query["limit_offset"].is_null() || !query["limit_count"].is_null();
        if (!own || super::steady::gives_subquery(client)) && !kept_apart {
            return disagree("what stands beside a view could be looked at before its guards");
        }
        // What reads a view that was the session's own would read this one, unguarded.
        if !own && self.private.temps.get(text(&f["view"], "relname")).is_some_and(|t| !t.is_temporary_view()) {
            return disagree("a view of the session's own becomes another");
        }
        let (view, theirs) = (&f["view"], &c["view"]);
        let temporary = text(view, "relpersistence") == "t" && text(view, "schemaname") == TEMP && text(view, "catalogname").is_empty();
        if !temporary || text(view, "relname") != text(theirs, "relname") || !matches!(text(theirs, "schemaname"), "" | TEMP) {
            return disagree("CREATE of a view that is not temporary");
        }
        self.rest(view, theirs, &["schemaname"])?;
        let made = temporary_view(text(view, "relname"), (!own).then_some(self.catalog.version));
        self.private.temps.completed(&Kind::CreateTempView(made));
        self.rest(f, c, &["query", "view"])
    }

    /// A relation that is more than a temporary table or a WITH query; the final text names no other without its schema.
    fn is_not_own(&self, part: &Value) -> bool {
        let (Some(schema), Some(name)) = (part["schemaname"].as_str(), part["relname"].as_str()) else { return false };
        let plain = self.private.temps.get(name).is_some_and(|t| !t.is_temporary_view());
        !(schema.is_empty() || (schema == TEMP && plain))
    }

    /// A temporary view with guards in it was judged on the catalog as it is.
    pub(super) fn is_of_this_catalog(&self, relation: &Relation) -> Res<()> {
        let stale = relation.is_temporary_view() && relation.writes.judged != self.catalog.version;
        if stale { disagree("a temporary view is of another catalog") } else { Ok(()) }
    }

    /// The client's name of a temporary view with guards in it.
    pub(super) fn is_temp_view(&self, c: &Value) -> bool {
        self.temp_of(c).is_some_and(|t| t.is_temporary_view())
    }
}
