//! The session's own: temporary tables, which always stand as `pg_temp.name` and need no guard, and channels, which become the tenant's.

use super::from::barriers;
use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::private::{self, TEMP, Temps, channel, channel_value};
use crate::sql::scope::{Item, Scope, Thing, Traits, Use};
use crate::sql::{Kind, Refusal, nodes, sequences};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    ColumnDef, ConstrType, Constraint, CreateStmt, CreateTableAsStmt, DropStmt, FuncCall, InsertStmt, IntoClause, Node, ObjectType,
    OnCommitAction, RangeVar, SelectStmt, TableLikeClause, TypeName, a_const,
};
use std::sync::Arc;

/// Pseudo-types that make a sequence of the table's own.
const SERIAL: &[&str] = &["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"];

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

    pub(super) fn create_temp(&mut self, x: &mut CreateStmt) -> Res<Kind> {
        let name = self.new_temp(x.relation.as_mut())?;
        let bare = x.inh_relations.is_empty() && x.options.is_empty() && x.tablespacename.is_empty() && x.access_method.is_empty();
        if !bare || x.partbound.is_some() || x.partspec.is_some() || x.of_typename.is_some() || !x.constraints.is_empty() {
            return Err(Refusal::not_understood("this form of CREATE TEMP TABLE is not supported"));
        }
        self.levels.push(Scope { items: vec![Item::new(&name, Thing::Opaque)], ..Scope::default() });
        // What is stored with the table takes no parameter.
        self.literal = true;
        let mut columns = Vec::new();
        for element in &mut x.table_elts {
            match element.node.as_mut() {
                Some(NodeEnum::ColumnDef(column)) => {
                    columns.push(column.colname.clone());
                    self.column_of_temp(column)?;
                }
                Some(NodeEnum::Constraint(constraint)) => self.constraint_of_temp(constraint)?,
                Some(NodeEnum::TableLikeClause(like)) => columns.extend(self.like(like)?),
                _ => return Err(Refusal::not_understood("this part of CREATE TEMP TABLE is not supported")),
            }
        }
        self.levels.pop();
        Ok(Kind::CreateTemp { table: private::temporary(&name, columns), vanishes: x.oncommit == OnCommitAction::OncommitDrop as i32 })
    }

    /// `LIKE t`: the columns of a listed or temporary table.
    fn like(&mut self, like: &mut TableLikeClause) -> Res<Vec<String>> {
        let var = like.relation.as_mut().ok_or_else(|| Refusal::not_understood("a table without a name"))?;
        let place = self.at(var.location);
        let relation = self.relation(var)?;
        if !matches!(relation.kind, 'r' | 'p') || relation.hidden.is_some() {
            return Err(Refusal::not_understood("LIKE of anything but a table without hidden columns is not supported").at(place));
        }
        Ok(relation.columns.iter().map(|c| c.name.clone()).collect())
    }

    pub(super) fn column_of_temp(&mut self, column: &mut ColumnDef) -> Res<()> {
        let plain = column.compression.is_empty() && column.storage_name.is_empty() && column.fdwoptions.is_empty();
        let (true, Some(type_name), None) = (plain, column.type_name.as_mut(), column.raw_default.as_ref()) else {
            return Err(Refusal::not_understood("this column of CREATE TEMP TABLE is not supported"));
        };
        let serial = matches!(nodes::names(&type_name.names).as_deref(), Some([one]) if SERIAL.contains(one));
        if !serial {
            self.type_name(type_name)?;
        }
        if column.coll_clause.as_ref().is_some_and(|c| c.collname.len() != 1) {
            return Err(Refusal::not_understood("this collation is not supported"));
        }
        for constraint in &mut column.constraints {
            match constraint.node.as_mut() {
                Some(NodeEnum::Constraint(constraint)) => self.constraint_of_temp(constraint)?,
                _ => return Err(Refusal::not_understood("this constraint is not supported")),
            }
        }
        Ok(())
    }

    pub(super) fn constraint_of_temp(&mut self, x: &mut Constraint) -> Res<()> {
        use ConstrType as T;
        let plain = x.options.is_empty() && x.indexname.is_empty() && x.indexspace.is_empty() && x.access_method.is_empty();
        match ConstrType::try_from(x.contype).unwrap_or(T::Undefined) {
            T::ConstrNull | T::ConstrNotnull | T::ConstrPrimary | T::ConstrUnique | T::ConstrIdentity if plain => Ok(()),
            T::ConstrAttrDeferrable | T::ConstrAttrNotDeferrable | T::ConstrAttrDeferred | T::ConstrAttrImmediate => Ok(()),
            T::ConstrDefault | T::ConstrCheck | T::ConstrGenerated => self.optional(x.raw_expr.as_mut()).map(|_| ()),
            _ => Err(Refusal::not_understood("this constraint of a temporary table is not supported").at(self.at(x.location))),
        }
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
        Ok(Kind::CreateTemp { table: private::temporary(&name, Vec::new()), vanishes })
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
        let plain =
            into.options.is_empty() && into.access_method.is_empty() && into.table_space_name.is_empty() && into.view_query.is_none();
        if !plain {
            return Err(Refusal::not_understood("this form of CREATE TEMP TABLE is not supported"));
        }
        self.new_temp(into.rel.as_mut())
    }

    /// The name of a temporary table to be made; anything else that CREATE TABLE makes is refused.
    fn new_temp(&mut self, var: Option<&mut RangeVar>) -> Res<String> {
        let var = var.ok_or_else(|| Refusal::not_understood("a table without a name"))?;
        let place = self.at(var.location);
        if var.relpersistence != "t" || !var.catalogname.is_empty() || !matches!(var.schemaname.as_str(), "" | TEMP) {
            return Err(Refusal::not_allowed("permission denied to create tables")
                .hint("CREATE TEMP TABLE is allowed; other tables are the operator's to make.")
                .at(place));
        }
        // It would hide the catalog from unqualified names.
        if self.cx.catalog.system.schema_of("", &var.relname).is_some() {
            return Err(Refusal::not_understood("a temporary table with the name of a catalog is not supported").at(place));
        }
        if self.cx.private.temps.len() >= Temps::MAX && self.temp_of(var).is_none() {
            return Err(Refusal::with_state("53400", "too many temporary tables"));
        }
        self.private = true;
        TEMP.clone_into(&mut var.schemaname);
        Ok(var.relname.clone())
    }

    /// DROP TABLE of temporary tables; IF EXISTS also of what is nothing.
    pub(super) fn drop_temp(&mut self, x: &mut DropStmt) -> Res<Kind> {
        if x.remove_type != ObjectType::ObjectTable as i32 {
            return Err(Refusal::not_allowed("DROP is not allowed").hint("DROP TABLE of temporary tables is."));
        }
        let mut dropped = Vec::new();
        for object in &mut x.objects {
            let Some(NodeEnum::List(list)) = object.node.as_mut() else {
                return Err(Refusal::not_understood("this DROP is not supported"));
            };
            let names: Vec<String> = nodes::names(&list.items).unwrap_or_default().into_iter().map(str::to_owned).collect();
            let (schema, name) = match names.as_slice() {
                [name] => ("", name),
                [schema, name] => (schema.as_str(), name),
                _ => return Err(Refusal::not_understood("this DROP is not supported")),
            };
            let own = matches!(schema, "" | TEMP) && self.cx.private.temps.get(name).is_some();
            let may_be_missing = x.missing_ok && matches!(schema, "" | TEMP);
            if !own && self.cx.catalog.find(schema, name).is_some() {
                return Err(Refusal::with_state("42501", format!("must be owner of table {name}")));
            }
            if !own && !may_be_missing {
                return Err(Refusal::with_state("42P01", format!("table \"{name}\" does not exist")));
            }
            dropped.push(name.clone());
            list.items = vec![nodes::string(TEMP), nodes::string(name)];
        }
        self.private = true;
        Ok(Kind::DropTemp(dropped))
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

    /// `nextval('name')` and `currval` of a sequence that a listed table owns, also written `'name'::regclass`.
    pub(super) fn sequence_call(&mut self, call: &mut FuncCall, name: &str) -> Res<Traits> {
        let literal = |n: &Node| match n.node.as_ref() {
            Some(NodeEnum::AConst(c)) => match &c.val {
                Some(a_const::Val::Sval(s)) => Some(s.sval.clone()),
                _ => None,
            },
            _ => None,
        };
        let text = match call.args.as_slice() {
            [one] => match one.node.as_ref() {
                Some(NodeEnum::TypeCast(x)) if x.type_name.as_ref().is_some_and(is_regclass) => x.arg.as_deref().and_then(literal),
                _ => literal(one),
            },
            _ => None,
        };
        let Some(text) = text.filter(|_| call.over.is_none() && call.agg_filter.is_none() && call.agg_order.is_empty()) else {
            return Err(Refusal::not_allowed(format!("permission denied for function {name}"))
                .detail("Only a literal name of a sequence is allowed."));
        };
        let sent = sequences::resolve(self.cx.catalog, &text).ok_or_else(|| Refusal::no_relation(&text))?;
        call.args = vec![nodes::text(if left_out!(self.cx, OwnSequence) { &text } else { &sent })];
        call.funcname = vec![nodes::string("pg_catalog"), nodes::string(name)];
        // Its effect must not tell of rows that the guard removes, so it is fenced like what can fail on any of them.
        Ok(Traits { uses: vec![Use::Any], ..Traits::default() }.raising())
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

fn is_regclass(name: &TypeName) -> bool {
    let plain = name.array_bounds.is_empty() && name.typmods.is_empty();
    plain && matches!(nodes::names(&name.names).as_deref(), Some(["regclass"] | ["pg_catalog", "regclass"]))
}

fn no_channel() -> Refusal {
    Refusal::not_understood("pg_notify takes its channel as a literal or a parameter")
}
