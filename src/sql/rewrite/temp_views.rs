//! CREATE TEMP VIEW: made upstream, with its query as it would be sent, the tenant a literal in it.
//!
//! A view whose query reads more than the session's own is a barrier, so that no condition beside it is looked at before its guards; its rows
//! are not locked and not written, and no plan of it is shown. Another policy or another catalog ends it.

use super::from::barrier;
use super::steady::selects_subquery;
use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::private::{self, TEMP};
use crate::sql::tree::{self, Value};
use crate::sql::{Kind, Refusal};
use pg_query::NodeEnum;
use pg_query::protobuf::ViewStmt;

impl Rewriter<'_> {
    pub(super) fn create_temp_view(&mut self, x: &mut ViewStmt) -> Res<Kind> {
        if !x.options.is_empty() || x.with_check_option > 1 {
            return Err(Refusal::not_understood("this form of CREATE TEMP VIEW is not supported"));
        }
        if x.view.as_ref().is_some_and(|v| v.relpersistence != "t" && v.schemaname != TEMP) {
            return Err(Refusal::not_allowed("permission denied to create views")
                .hint("CREATE TEMP VIEW is allowed; other views are the operator's to make."));
        }
        // The query does not see the view that it makes.
        let mut var = x.view.clone();
        let name = self.new_temp(var.as_mut())?;
        // What is stored takes no parameter.
        self.literal = true;
        self.cx.parameters = false;
        let Some(NodeEnum::SelectStmt(select)) = x.query.as_mut().and_then(|q| q.node.as_mut()) else {
            return Err(Refusal::not_understood("CREATE TEMP VIEW AS this is not supported"));
        };
        self.select(select)?;
        if self.catalogs.any() {
            return Err(Refusal::not_understood("a view over the catalogs is not supported"));
        }
        if self.has_write {
            return Err(Refusal::not_understood("views must not contain data-modifying statements in WITH"));
        }
        let tree = tree::of(select.as_ref()).map_err(|_| Refusal::not_understood("its query has no generic form"))?;
        let guarded = !self.is_all_own(&tree);
        if guarded && self.cx.private.temps.get(&name).is_some_and(|t| !t.is_temporary_view()) {
            return Err(
                Refusal::not_understood(format!("replacing \"{name}\" by a view of other tables is not supported")).hint("Drop it first.")
            );
        }
        // Its columns would be worked out wherever a statement names them.
        if (guarded && !left_out!(self.cx, TempViewBarrier)) || selects_subquery(&tree) {
            barrier(select);
        }
        x.view = var;
        Ok(Kind::CreateTempView(private::temporary_view(&name, guarded.then_some(self.cx.catalog.version))))
    }

    /// Whether each relation of a rewritten query is a temporary table or, having no schema, a WITH query.
    fn is_all_own(&self, tree: &Value) -> bool {
        let other = |schema: &str, name: &str| match schema {
            "" => false,
            TEMP => self.cx.private.temps.get(name).is_none_or(|t| t.is_temporary_view()),
            _ => true,
        };
        !tree.has(&mut |_, part| {
            let text = |key: &str| part.get(key).and_then(Value::as_str);
            matches!((text("schemaname"), text("relname")), (Some(schema), Some(name)) if other(schema, name))
        })
    }

    /// A temporary view that was judged on another catalog is none any more.
    pub(super) fn is_fresh(&mut self, table: &Relation) -> Res<()> {
        if !table.is_temporary_view() {
            return Ok(());
        }
        self.hidden.named = true;
        if table.writes.judged != self.cx.catalog.version {
            return Err(Refusal::not_understood(format!("temporary view \"{}\" is outdated", table.name))
                .detail("The policy or the tables have changed since it was made.")
                .hint("Create it again."));
        }
        Ok(())
    }

    /// What is done to temporary tables alone.
    pub(super) fn no_temporary_view(table: &Relation) -> Res<()> {
        if table.is_temporary_view() {
            return Err(Refusal::not_understood(format!("temporary view \"{}\" can only be read", table.name))
                .detail("Its query reads tables that are not the session's own."));
        }
        Ok(())
    }
}
