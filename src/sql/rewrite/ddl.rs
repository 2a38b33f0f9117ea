//! DDL in a tenant's own place: what it makes, changes and drops lies there, and what it computes is judged as any expression. Forms that
//! are not here are refused: functions, rules, triggers, owners, tablespaces, other schemas.

use super::{Res, Rewriter};
use crate::policy::TableRule;
use crate::sql::catalog::Relation;
use crate::sql::home::PUBLIC;
use crate::sql::private::TEMP;
use crate::sql::scope::{Item, Scope, Thing};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterEnumStmt, CreateEnumStmt, CreateStmt, DropBehavior, DropStmt, IndexStmt, Node, ObjectType, OnCommitAction, RangeVar, RenameStmt,
    ViewStmt,
};
use std::sync::Arc;

/// Access methods of the server's own.
pub(super) const METHODS: &[&str] = &["btree", "hash", "gin", "gist", "brin", "spgist"];

pub(super) fn unsupported(what: &str) -> Refusal {
    Refusal::not_understood(format!("this form of {what} is not supported"))
}

impl Rewriter<'_> {
    /// Rewrites DDL of the own place; false where the statement is another.
    pub(super) fn ddl(&mut self, node: &mut NodeEnum) -> Res<bool> {
        let named = match node {
            NodeEnum::IndexStmt(x) => x.relation.as_ref(),
            NodeEnum::AlterTableStmt(x) => x.relation.as_ref(),
            NodeEnum::RenameStmt(x) => x.relation.as_ref(),
            _ => None,
        };
        if named.is_some_and(|v| self.is_temporary_table(v)) {
            return Ok(false);
        }
        match node {
            NodeEnum::CreateStmt(x) if !is_temporary(x.relation.as_ref()) => self.create_table(x)?,
            NodeEnum::IndexStmt(x) => self.create_index(x)?,
            NodeEnum::ViewStmt(x) if !is_temporary(x.view.as_ref()) => self.create_view(x)?,
            NodeEnum::AlterTableStmt(x) => self.alter_table(x)?,
            NodeEnum::DropStmt(x) => return self.drop_own(x),
            NodeEnum::RenameStmt(x) => self.rename(x)?,
            NodeEnum::CreateEnumStmt(CreateEnumStmt { type_name, .. }) | NodeEnum::AlterEnumStmt(AlterEnumStmt { type_name, .. }) => {
                *type_name = self.own_path(type_name)?;
            }
            _ => return Ok(false),
        }
        if self.private {
            return Err(Refusal::not_understood("DDL beside temporary tables is not supported"));
        }
        Ok(true)
    }

    fn is_temporary_table(&self, var: &RangeVar) -> bool {
        var.schemaname == TEMP || (var.schemaname.is_empty() && self.cx.private.temps.get(&var.relname).is_some())
    }

    /// The schema in which a name of the client's means something of the place: the own one for none and for `public`.
    fn own_schema_for(&self, schema: &str, name: &str) -> Res<String> {
        let catalog = self.cx.catalog;
        let seen = if schema.is_empty() { catalog.search_path.first().map_or(PUBLIC, String::as_str) } else { schema };
        let absent = || Refusal::with_state("3F000", format!("schema \"{seen}\" does not exist"));
        if seen.starts_with("pg_") || seen == "information_schema" {
            return Err(Refusal::not_allowed(format!("permission denied for schema {seen}")));
        }
        let meant = catalog.home.meant(seen).ok_or_else(absent)?;
        if catalog.home.schema().is_some_and(|own| own != meant) && !left_out!(self.cx, DdlSchema) {
            return Err(absent());
        }
        let hidden = self.cx.policy.postgres.as_ref().and_then(|p| p.deciding(seen, name)).is_some_and(|e| e.rule == TableRule::Hidden);
        if hidden || catalog.withheld.contains(&(seen.to_owned(), name.to_owned())) {
            return Err(Refusal::no_relation(name));
        }
        Ok(meant.to_owned())
    }

    /// Qualifies the name of something that is made, or may not be there.
    pub(super) fn own_name(&self, var: &mut RangeVar) -> Res<()> {
        if !var.catalogname.is_empty() || var.schemaname == TEMP {
            return Err(unsupported("name"));
        }
        if self.cx.private.temps.get(&var.relname).is_some() && var.schemaname.is_empty() {
            return Err(Refusal::not_understood("DDL on a name that a temporary table has is not supported"));
        }
        var.schemaname = self.own_schema_for(&var.schemaname, &var.relname).map_err(|r| r.at(self.at(var.location)))?;
        Ok(())
    }

    /// The same for a list of names.
    fn own_path(&self, path: &[Node]) -> Res<Vec<Node>> {
        let names: Vec<String> = nodes::names(path).unwrap_or_default().into_iter().map(str::to_owned).collect();
        let (schema, name) = match names.as_slice() {
            [name] => ("", name),
            [schema, name] => (schema.as_str(), name),
            _ => return Err(unsupported("name")),
        };
        Ok(vec![nodes::string(&self.own_schema_for(schema, name)?), nodes::string(name)])
    }

    /// An own table that must be there.
    pub(super) fn own_table(&self, var: &mut RangeVar) -> Res<Arc<Relation>> {
        let found = self.cx.catalog.own(&var.schemaname, &var.relname).filter(|_| var.catalogname.is_empty()).cloned();
        let place = self.at(var.location);
        let own = found.ok_or_else(|| Refusal::no_relation(&var.relname).at(place))?;
        self.own_name(var)?;
        if left_out!(self.cx, DdlSchema) { Ok(own) } else { own_at(own, &var.schemaname) }
    }

    /// Cascades could reach what stands elsewhere, where the database is not the tenant's alone, or what is hidden in it.
    pub(super) fn may_cascade(&self, behavior: i32) -> Res<()> {
        let beyond = self.cx.catalog.home.schema().is_some() || !self.cx.catalog.withheld.is_empty();
        if behavior == DropBehavior::DropCascade as i32 && beyond && !left_out!(self.cx, DdlCascade) {
            return Err(Refusal::not_understood("CASCADE is not supported here").hint("Drop first what depends on it."));
        }
        Ok(())
    }

    /// Runs with the columns of a table in sight.
    pub(super) fn with_columns_of<T>(&mut self, name: &str, thing: Thing, run: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        self.levels.push(Scope { items: vec![Item::new(name, thing)], ..Scope::default() });
        let result = run(self);
        self.levels.pop();
        result
    }

    fn create_table(&mut self, x: &mut CreateStmt) -> Res<()> {
        let bare = x.inh_relations.is_empty() && x.options.is_empty() && x.tablespacename.is_empty() && x.access_method.is_empty();
        let bare = bare && x.partbound.is_none() && x.partspec.is_none() && x.of_typename.is_none() && x.constraints.is_empty();
        if !bare || x.oncommit > OnCommitAction::OncommitNoop as i32 {
            return Err(unsupported("CREATE TABLE"));
        }
        let var = x.relation.as_mut().filter(|v| v.relpersistence == "p").ok_or_else(|| unsupported("CREATE TABLE"))?;
        self.own_name(var)?;
        let own = (var.schemaname.clone(), var.relname.clone());
        let elements = &mut x.table_elts;
        self.with_columns_of(&own.1, Thing::Opaque, |r| {
            elements.iter_mut().try_for_each(|element| match element.node.as_mut() {
                Some(NodeEnum::ColumnDef(column)) => r.own_column(column, &own),
                Some(NodeEnum::Constraint(constraint)) => r.own_constraint(constraint, &own),
                _ => Err(unsupported("CREATE TABLE")),
            })
        })
    }

    fn create_index(&mut self, x: &mut IndexStmt) -> Res<()> {
        let plain = x.options.is_empty() && x.table_space.is_empty() && x.exclude_op_names.is_empty() && x.idxcomment.is_empty();
        let method = x.access_method.is_empty() || METHODS.contains(&x.access_method.as_str());
        let Some(var) = x.relation.as_mut().filter(|_| plain && method) else { return Err(unsupported("CREATE INDEX")) };
        let table = self.own_table(var)?;
        // CONCURRENTLY waits for every snapshot that is older in the database, other tenants' too (indexcmds.c, WaitForOlderSnapshots).
        x.concurrent &= self.cx.catalog.home.schema().is_none();
        let (params, condition) = (&mut x.index_params, &mut x.where_clause);
        self.with_columns_of(&table.name, Thing::Shared(table.clone()), |r| {
            for element in params {
                match element.node.as_mut() {
                    Some(NodeEnum::IndexElem(e)) if e.collation.len() < 2 && e.opclass.len() < 2 && e.opclassopts.is_empty() => {
                        r.optional(e.expr.as_mut())?;
                    }
                    _ => return Err(unsupported("CREATE INDEX")),
                }
            }
            r.optional(condition.as_mut()).map(|_| ())
        })?;
        let names = |n: &Node| matches!(&n.node, Some(NodeEnum::IndexElem(e)) if e.expr.is_none() && e.collation.is_empty() && e.opclass.is_empty());
        if x.index_including_params.iter().all(names) { Ok(()) } else { Err(unsupported("CREATE INDEX")) }
    }

    fn create_view(&mut self, x: &mut ViewStmt) -> Res<()> {
        let var = x
            .view
            .as_mut()
            .filter(|v| v.relpersistence == "p")
            .filter(|_| x.options.is_empty())
            .ok_or_else(|| unsupported("CREATE VIEW"))?;
        self.own_name(var)?;
        match x.query.as_mut().and_then(|q| q.node.as_mut()) {
            Some(NodeEnum::SelectStmt(select)) if select.into_clause.is_none() && !left_out!(self.cx, DdlView) => {
                self.select(select)?;
            }
            Some(NodeEnum::SelectStmt(_)) if left_out!(self.cx, DdlView) => {}
            _ => return Err(unsupported("CREATE VIEW")),
        }
        if self.catalogs.any() {
            // What it may show is written into the text as it is now.
            return Err(Refusal::not_understood("a view over the catalogs is not supported"));
        }
        Ok(())
    }

    fn rename(&mut self, x: &mut RenameStmt) -> Res<()> {
        use ObjectType as T;
        let of_relation = matches!(T::try_from(x.rename_type), Ok(T::ObjectTable | T::ObjectView | T::ObjectIndex | T::ObjectSequence));
        let part = matches!(T::try_from(x.rename_type), Ok(T::ObjectColumn | T::ObjectTabconstraint))
            && matches!(T::try_from(x.relation_type), Ok(T::ObjectTable | T::ObjectView | T::Undefined));
        let plain = x.object.is_none() && x.behavior != DropBehavior::DropCascade as i32;
        match x.relation.as_mut() {
            Some(var) if plain && (of_relation || part) => self.own_name(var),
            _ => Err(unsupported("ALTER … RENAME")),
        }
    }

    /// DROP of what lies in the own place; false where it is of temporary tables.
    fn drop_own(&mut self, x: &mut DropStmt) -> Res<bool> {
        use ObjectType as T;
        let temp = |n: &Node| match &n.node {
            Some(NodeEnum::List(list)) => match nodes::names(&list.items).unwrap_or_default().as_slice() {
                [name] | [TEMP, name] => self.cx.private.temps.get(name).is_some(),
                _ => false,
            },
            _ => false,
        };
        if (x.remove_type == T::ObjectTable as i32 || x.remove_type == T::ObjectView as i32) && x.objects.iter().any(temp) {
            return Ok(false);
        }
        self.may_cascade(x.behavior)?;
        let kind = T::try_from(x.remove_type).unwrap_or(T::Undefined);
        for object in &mut x.objects {
            match (kind, object.node.as_mut()) {
                (T::ObjectTable | T::ObjectView | T::ObjectIndex | T::ObjectSequence, Some(NodeEnum::List(list))) => {
                    list.items = self.own_path(&list.items)?;
                }
                (T::ObjectType, Some(NodeEnum::TypeName(name))) if name.array_bounds.is_empty() && name.typmods.is_empty() => {
                    name.names = self.own_path(&name.names)?;
                }
                _ => return Err(unsupported("DROP")),
            }
        }
        Ok(true)
    }
}

fn own_at(own: Arc<Relation>, schema: &str) -> Res<Arc<Relation>> {
    if own.schema == schema { Ok(own) } else { Err(Refusal::no_relation(&own.name)) }
}

fn is_temporary(var: Option<&RangeVar>) -> bool {
    var.is_none_or(|v| v.relpersistence == "t" || v.schemaname == TEMP)
}
