//! The session's own: temporary tables, which always stand as `pg_temp.name` and need no guard, and channels, which become the tenant's.

use super::from::barriers;
use super::{Res, Rewriter, temp_parts};
use crate::sql::catalog::Relation;
use crate::sql::private::{self, TEMP, Temps, channel, channel_value};
use crate::sql::scope::{Item, Scope, Thing};
use crate::sql::{Kind, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{CreateTableAsStmt, FuncCall, InsertStmt, IntoClause, ObjectType, OnCommitAction, RangeVar, SelectStmt, a_const};
use std::sync::Arc;

impl Rewriter<'_> {
    /// The temporary table that a name means; it is qualified in place.
    pub(super) fn temp(&mut self, var: &mut RangeVar) -> Option<Arc<Relation>> {
        let table = self.temp_of(var)?;
        TEMP.clone_into(&mut var.schemaname);
        self.private = true;
        Some(table)
    }

    pub(super) fn temp_of(&self, var: &RangeVar) -> Option<Arc<Relation>> {
        let own = var.catalogname.is_empty() && matches!(var.schemaname.as_str(), "" | TEMP);
        self.cx.private.temps.get(&var.relname).filter(|_| own).cloned()
    }

    pub(super) fn create_temp_as(&mut self, x: &mut CreateTableAsStmt) -> Res<Kind> {
        let Some(into) = x.into.as_mut().filter(|_| x.objtype == ObjectType::ObjectTable as i32) else {
            return Err(Refusal::not_allowed("this kind of CREATE is not allowed"));
        };
        let name = self.into(into)?;
        let vanishes = into.on_commit == OnCommitAction::OncommitDrop as i32;
        match x.query.as_mut().and_then(|q| q.node.as_mut()) {
            Some(NodeEnum::SelectStmt(select)) if select.into_clause.is_none() => self.select(select)?,
            _ => return Err(Refusal::not_understood("CREATE TEMP TABLE AS this is not supported")),
        };
        self.made(private::temporary(&name, Vec::new()), vanishes, x.if_not_exists)
    }

    /// What a CREATE leaves: with IF NOT EXISTS, what is there already.
    pub(super) fn made(&self, table: Arc<Relation>, vanishes: bool, if_missing: bool) -> Res<Kind> {
        Ok(match self.cx.private.temps.get(&table.name).filter(|_| if_missing) {
            Some(there) => Kind::CreateTemp { table: there.clone(), vanishes: false },
            None => Kind::CreateTemp { table, vanishes },
        })
    }

    /// `SELECT … INTO TEMP t` is `CREATE TEMP TABLE t AS SELECT …`.
    pub(super) fn select_into(&mut self, select: &mut SelectStmt) -> Res<(NodeEnum, Kind)> {
        let into = select.into_clause.take();
        let query = nodes::boxed(nodes::node(NodeEnum::SelectStmt(Box::new(select.clone()))));
        let objtype = ObjectType::ObjectTable as i32;
        let mut create = CreateTableAsStmt { query, into, objtype, is_select_into: false, if_not_exists: false };
        let kind = self.create_temp_as(&mut create)?;
        Ok((NodeEnum::CreateTableAsStmt(Box::new(create)), kind))
    }

    fn into(&mut self, into: &mut IntoClause) -> Res<String> {
        let plain = into.access_method.is_empty() && into.table_space_name.is_empty() && into.view_query.is_none();
        if !plain || !into.options.iter().all(temp_parts::is_storage) {
            return Err(Refusal::not_understood("this form of CREATE TEMP TABLE is not supported"));
        }
        self.new_temp(into.rel.as_mut())
    }

    /// The name of a temporary table to be made; anything else that CREATE TABLE makes is refused.
    pub(super) fn new_temp(&mut self, var: Option<&mut RangeVar>) -> Res<String> {
        let var = var.ok_or_else(|| Refusal::not_understood("a table without a name"))?;
        let place = self.at(var.location);
        if var.relpersistence != "t" || !var.catalogname.is_empty() || !matches!(var.schemaname.as_str(), "" | TEMP) {
            return Err(Refusal::not_allowed("permission denied to create tables")
                .hint("CREATE TEMP TABLE is allowed; other tables are the operator's to make.")
                .at(place));
        }
        self.free_name(&var.relname).map_err(|r| r.at(place))?;
        if self.cx.private.temps.len() >= Temps::MAX && self.temp_of(var).is_none() {
            return Err(Refusal::with_state("53400", "too many temporary tables"));
        }
        self.private = true;
        TEMP.clone_into(&mut var.schemaname);
        Ok(var.relname.clone())
    }

    /// A name that a temporary relation may take.
    pub(super) fn free_name(&self, name: &str) -> Res<()> {
        if private::hides_a_system_name(self.cx.catalog, name) {
            return Err(Refusal::not_understood("a temporary table with the name of a catalog or a type is not supported"));
        }
        Ok(())
    }

    /// A write whose target is a temporary table or the tenant's own; false where it is another. WITH has been rewritten already.
    pub(super) fn write_temp(&mut self, node: &mut NodeEnum) -> Res<bool> {
        let var = match node {
            NodeEnum::InsertStmt(x) => x.relation.as_mut(),
            NodeEnum::UpdateStmt(x) => x.relation.as_mut(),
            NodeEnum::DeleteStmt(x) => x.relation.as_mut(),
            NodeEnum::MergeStmt(x) => x.relation.as_mut(),
            _ => None,
        };
        let Some(var) = var else { return Ok(false) };
        let Some(table) = self.unguarded(var) else { return Ok(false) };
        let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname).clone();
        let scope = Scope { items: vec![Item::new(name, Thing::Shared(table.clone()))], ..Scope::default() };
        match node {
            NodeEnum::InsertStmt(x) => self.insert_temp(x, scope, &table)?,
            NodeEnum::UpdateStmt(x) => {
                let fences = self.fences;
                let (scope, guards) = self.from_list(&mut x.from_clause, scope)?;
                self.levels.push(scope);
                self.assignments(&mut x.target_list)?;
                self.filter(&mut x.where_clause, guards, x.returning_clause.as_mut())?;
                self.levels.pop();
                if self.fences != fences {
                    barriers(&mut x.from_clause);
                }
            }
            NodeEnum::DeleteStmt(x) => {
                let fences = self.fences;
                let (scope, guards) = self.from_list(&mut x.using_clause, scope)?;
                self.levels.push(scope);
                self.filter(&mut x.where_clause, guards, x.returning_clause.as_mut())?;
                self.levels.pop();
                if self.fences != fences {
                    barriers(&mut x.using_clause);
                }
            }
            NodeEnum::MergeStmt(x) => self.merge_unguarded(x, scope)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn insert_temp(&mut self, x: &mut InsertStmt, mut scope: Scope, table: &Arc<Relation>) -> Res<()> {
        for column in &mut x.cols {
            if let Some(NodeEnum::ResTarget(t)) = column.node.as_mut() {
                self.target_indirection(t)?;
            }
        }
        match x.select_stmt.as_mut().and_then(|s| s.node.as_mut()) {
            None => {}
            Some(NodeEnum::SelectStmt(select)) if !select.values_lists.is_empty() && select.larg.is_none() => {
                if !select.sort_clause.is_empty() || select.limit_count.is_some() || select.with_clause.is_some() {
                    return Err(Refusal::not_understood("VALUES with further clauses is not supported in INSERT"));
                }
                for row in &mut select.values_lists {
                    let Some(NodeEnum::List(list)) = row.node.as_mut() else {
                        return Err(Refusal::not_understood("this VALUES is not supported"));
                    };
                    for item in list.items.iter_mut().filter(|i| !matches!(i.node, Some(NodeEnum::SetToDefault(_)))) {
                        self.expr(item)?;
                    }
                }
            }
            Some(NodeEnum::SelectStmt(select)) => {
                self.select(select)?;
            }
            Some(_) => return Err(Refusal::not_understood("this INSERT is not supported")),
        }
        self.levels.push(scope.clone());
        if let Some(conflict) = x.on_conflict_clause.as_mut() {
            self.infer_unguarded(conflict.infer.as_mut())?;
            scope.items.push(Self::excluded(table));
            self.levels.push(scope);
            self.assignments(&mut conflict.target_list)?;
            self.optional(conflict.where_clause.as_mut())?;
            self.levels.pop();
        }
        self.returning(x.returning_clause.as_mut())?;
        self.levels.pop();
        Ok(())
    }

    /// The tenant's own channel of a name that stands in LISTEN, NOTIFY or UNLISTEN.
    pub(super) fn channel(&mut self, name: &mut String) -> Res<()> {
        let tenant = self.cx.private.tenant.as_ref().ok_or_else(|| Refusal::not_understood("channels need a session"))?;
        *name = channel(tenant, name);
        self.private = true;
        Ok(())
    }

    /// `pg_notify('name', …)` or `pg_notify($1, …)`, whose parameter is mapped at Bind and so must stand nowhere else.
    pub(super) fn notify_call(&mut self, call: &mut FuncCall) -> Res<()> {
        let tenant = self.cx.private.tenant.as_ref();
        match (call.args.first_mut().and_then(|a| a.node.as_mut()), tenant) {
            (Some(NodeEnum::ParamRef(p)), _) => {
                let number = u16::try_from(p.number).map_err(|_| Refusal::with_state("42P02", "there is no such parameter"))?;
                self.channels.push(number);
            }
            (Some(NodeEnum::AConst(c)), Some(tenant)) => {
                let Some(a_const::Val::Sval(name)) = c.val.as_mut() else { return Err(no_channel()) };
                name.sval = channel_value(tenant, &name.sval);
                self.private = true;
            }
            _ => return Err(no_channel()),
        }
        call.funcname = vec![nodes::string("pg_catalog"), nodes::string("pg_notify")];
        Ok(())
    }

    /// Each channel's parameter is used for nothing else.
    pub(super) fn channels_stand_alone(&self) -> Res<()> {
        let shared = |n: &u16| self.seen.iter().filter(|s| *s == n).count() != 1;
        if self.channels.iter().any(shared) {
            return Err(Refusal::not_understood("a channel's parameter cannot be used for anything else"));
        }
        Ok(())
    }
}

fn no_channel() -> Refusal {
    Refusal::not_understood("pg_notify takes its channel as a literal or a parameter")
}
