//! What is done to temporary tables once they are there: indexes, ALTER TABLE, RENAME, DROP. Only of the session's own, only by expressions that
//! are judged.

use super::ddl::METHODS;
use super::temp_parts::is_storage;
use super::{Res, Rewriter};
use crate::sql::private::{self, TEMP};
use crate::sql::scope::Thing;
use crate::sql::{Kind, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType, DropStmt, IndexElem, IndexStmt, Node, ObjectType, PartitionCmd, RangeVar, RenameStmt,
};

fn unsupported(what: &str) -> Refusal {
    Refusal::not_understood(format!("this {what} is not supported"))
}

impl Rewriter<'_> {
    pub(super) fn index_of_temp(&mut self, x: &mut IndexStmt) -> Res<Kind> {
        let name = self.own_temp(x.relation.as_mut(), "table")?;
        let bare = x.table_space.is_empty() && x.exclude_op_names.is_empty() && !x.concurrent && x.options.iter().all(is_storage);
        if !bare || !METHODS.contains(&x.access_method.as_str()) || self.cx.catalog.system.schema_of("", &x.idxname).is_some() {
            return Err(Refusal::not_understood("this form of CREATE INDEX is not supported"));
        }
        self.with_columns_of(&name, Thing::Opaque, |rewriter| {
            x.index_params.iter_mut().chain(&mut x.index_including_params).try_for_each(|e| rewriter.index_element(e))?;
            rewriter.optional(x.where_clause.as_mut()).map(|_| ())
        })?;
        // One without a name gets it from the server.
        if x.idxname.is_empty() {
            return Ok(Kind::Setting);
        }
        self.made(private::of_kind('i', &x.idxname, vec![name]), false, x.if_not_exists)
    }

    pub(super) fn index_element(&mut self, element: &mut Node) -> Res<()> {
        let Some(NodeEnum::IndexElem(element)) = element.node.as_mut() else {
            return Err(Refusal::not_understood("this part of an index is not supported"));
        };
        let IndexElem { expr, collation, opclass, opclassopts, .. } = element.as_mut();
        let own = nodes::names(collation).is_some_and(|c| matches!(c.as_slice(), [] | [_] | ["pg_catalog", _]));
        if !own || !opclass.is_empty() || !opclassopts.is_empty() {
            return Err(Refusal::not_understood("an operator class of an index is not supported"));
        }
        self.optional(expr.as_mut()).map(|_| ())
    }

    pub(super) fn alter_temp(&mut self, x: &mut AlterTableStmt) -> Res<Kind> {
        if x.objtype != ObjectType::ObjectTable as i32 {
            return Err(Refusal::not_allowed("this kind of ALTER is not allowed"));
        }
        let name = self.own_temp(x.relation.as_mut(), "table")?;
        if let [command] = x.cmds.as_mut_slice()
            && let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_mut()
            && let Some(kind) = self.binding(command, &name)?
        {
            return Ok(kind);
        }
        self.with_columns_of(&name.clone(), Thing::Opaque, |rewriter| {
            x.cmds.iter_mut().try_for_each(|command| match command.node.as_mut() {
                Some(NodeEnum::AlterTableCmd(command)) => rewriter.alteration(command, &name),
                _ => Err(unsupported("ALTER TABLE")),
            })
        })?;
        Ok(Kind::AlterTemp(name))
    }

    /// INHERIT, ATTACH PARTITION and their reverse; None where it is another command.
    fn binding(&mut self, x: &mut AlterTableCmd, table: &str) -> Res<Option<Kind>> {
        use AlterTableType as T;
        let kind = AlterTableType::try_from(x.subtype).unwrap_or(T::Undefined);
        let (child, parent) = match (kind, x.def.as_mut().and_then(|d| d.node.as_mut())) {
            (T::AtAddInherit | T::AtDropInherit, Some(NodeEnum::RangeVar(parent))) => {
                self.temp_parent(parent, "inherit from")?;
                (table.to_owned(), parent.relname.clone())
            }
            (T::AtAttachPartition | T::AtDetachPartition, Some(NodeEnum::PartitionCmd(part))) => (self.part(part)?, table.to_owned()),
            _ => return Ok(None),
        };
        Ok(Some(Kind::BindTemp { child, parent, bound: matches!(kind, T::AtAddInherit | T::AtAttachPartition) }))
    }

    fn part(&mut self, x: &mut PartitionCmd) -> Res<String> {
        let Some(var) = x.name.as_mut().filter(|_| !x.concurrent) else { return Err(unsupported("ALTER TABLE")) };
        self.temp_parent(var, "be a part beside")?;
        x.bound.as_mut().map_or(Ok(()), |bound| self.partition_bound(bound))?;
        Ok(var.relname.clone())
    }

    fn alteration(&mut self, x: &mut AlterTableCmd, table: &str) -> Res<()> {
        use AlterTableType as T;
        let definition = x.def.as_mut().and_then(|d| d.node.as_mut());
        match (AlterTableType::try_from(x.subtype).unwrap_or(T::Undefined), definition) {
            (T::AtDropColumn | T::AtSetNotNull | T::AtDropNotNull | T::AtDropConstraint, None) => Ok(()),
            (T::AtValidateConstraint | T::AtDropIdentity | T::AtDropExpression | T::AtClusterOn | T::AtDropCluster, None) => Ok(()),
            (T::AtColumnDefault, _) => self.optional(x.def.as_mut()).map(|_| ()),
            (T::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => self.column_of_temp(column, table),
            (T::AtAddConstraint | T::AtAddIdentity, Some(NodeEnum::Constraint(constraint))) => self.constraint_of_temp(constraint, table),
            // It says when an own key is checked.
            (T::AtAlterConstraint, Some(NodeEnum::AtalterConstraint(_))) => Ok(()),
            (T::AtSetRelOptions | T::AtResetRelOptions, Some(NodeEnum::List(options))) if options.items.iter().all(is_storage) => Ok(()),
            (T::AtSetStatistics, Some(NodeEnum::Integer(_))) | (T::AtSetStorage, Some(NodeEnum::String(_))) => Ok(()),
            (T::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
                let using = column.raw_default.take();
                self.column_of_temp(column, table)?;
                column.raw_default = using;
                self.optional(column.raw_default.as_mut()).map(|_| ())
            }
            _ => Err(unsupported("ALTER TABLE")),
        }
    }

    /// RENAME of a temporary relation, or of a part of one.
    pub(super) fn rename_temp(&mut self, x: &mut RenameStmt) -> Res<Kind> {
        use ObjectType as T;
        let kind = T::try_from(x.rename_type).unwrap_or(T::Undefined);
        let whole = matches!(kind, T::ObjectTable | T::ObjectSequence | T::ObjectIndex);
        let part = matches!(kind, T::ObjectColumn | T::ObjectTabconstraint)
            && matches!(T::try_from(x.relation_type), Ok(T::ObjectTable | T::Undefined));
        if !(whole || part) || x.object.is_some() {
            return Err(Refusal::not_allowed("this kind of RENAME is not allowed").hint("That of temporary tables is."));
        }
        let name = self.own_temp(x.relation.as_mut(), "relation")?;
        if part {
            return Ok(Kind::AlterTemp(name));
        }
        self.free_name(&x.newname)?;
        Ok(Kind::RenameTemp(name, x.newname.clone()))
    }

    /// DROP of temporary relations; IF EXISTS also of what is nothing.
    pub(super) fn drop_temp(&mut self, x: &mut DropStmt) -> Res<Kind> {
        use ObjectType as T;
        let what = match T::try_from(x.remove_type) {
            Ok(T::ObjectTable) => "table",
            Ok(T::ObjectSequence) => "sequence",
            Ok(T::ObjectIndex) if !x.concurrent => "index",
            _ => return Err(Refusal::not_allowed("DROP is not allowed").hint("DROP TABLE of temporary tables is.")),
        };
        let mut dropped = Vec::new();
        for object in &mut x.objects {
            let Some(NodeEnum::List(list)) = object.node.as_mut() else { return Err(unsupported("DROP")) };
            let names: Vec<String> = nodes::names(&list.items).unwrap_or_default().into_iter().map(str::to_owned).collect();
            let (schema, name) = match names.as_slice() {
                [name] => ("", name),
                [schema, name] => (schema.as_str(), name),
                _ => return Err(unsupported("DROP")),
            };
            let own = matches!(schema, "" | TEMP) && self.cx.private.temps.get(name).is_some();
            // An index of a temporary table may have a name of the server's.
            let named_by_server = what == "index" && !self.cx.private.temps.is_empty();
            let may_be_missing = matches!(schema, "" | TEMP) && (x.missing_ok || named_by_server);
            if !own && self.cx.catalog.find(schema, name).is_some() {
                return Err(Refusal::with_state("42501", format!("must be owner of {what} {name}")));
            }
            if !own && !may_be_missing {
                let state = if what == "index" { "42704" } else { "42P01" };
                return Err(Refusal::with_state(state, format!("{what} \"{name}\" does not exist")));
            }
            dropped.push(name.clone());
            list.items = vec![nodes::string(TEMP), nodes::string(name)];
        }
        self.private = true;
        Ok(Kind::DropTemp(dropped))
    }

    /// The temporary relation that a statement is for; another one is somebody else's.
    pub(super) fn own_temp(&mut self, var: Option<&mut RangeVar>, what: &str) -> Res<String> {
        let var = var.ok_or_else(|| Refusal::not_understood("a table without a name"))?;
        self.literal = true;
        self.cx.parameters = false;
        if self.temp(var).is_some() {
            return Ok(var.relname.clone());
        }
        let place = self.at(var.location);
        Err(if self.cx.catalog.find(&var.schemaname, &var.relname).is_some() {
            Refusal::with_state("42501", format!("must be owner of {what} {}", var.relname)).at(place)
        } else {
            Refusal::no_relation(&var.relname).at(place)
        })
    }
}
