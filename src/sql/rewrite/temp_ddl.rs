//! What is done to temporary tables once they are there: indexes, ALTER TABLE. Only of the session's own, only by expressions that are judged.

use super::ddl::METHODS;
use super::{Res, Rewriter};
use crate::sql::scope::Thing;
use crate::sql::{Kind, Refusal};
use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType, IndexElem, IndexStmt, Node, ObjectType, RangeVar};

impl Rewriter<'_> {
    pub(super) fn index_of_temp(&mut self, x: &mut IndexStmt) -> Res<Kind> {
        let name = self.own_temp(x.relation.as_mut())?;
        let bare = x.table_space.is_empty() && x.options.is_empty() && x.exclude_op_names.is_empty() && !x.concurrent;
        if !bare || !METHODS.contains(&x.access_method.as_str()) || self.cx.catalog.system.schema_of("", &x.idxname).is_some() {
            return Err(Refusal::not_understood("this form of CREATE INDEX is not supported"));
        }
        self.with_columns_of(&name, Thing::Opaque, |rewriter| {
            x.index_params.iter_mut().chain(&mut x.index_including_params).try_for_each(|e| rewriter.index_element(e))?;
            rewriter.optional(x.where_clause.as_mut()).map(|_| ())
        })?;
        Ok(Kind::Setting)
    }

    fn index_element(&mut self, element: &mut Node) -> Res<()> {
        let Some(NodeEnum::IndexElem(element)) = element.node.as_mut() else {
            return Err(Refusal::not_understood("this part of an index is not supported"));
        };
        let IndexElem { expr, collation, opclass, opclassopts, .. } = element.as_mut();
        if !collation.is_empty() || !opclass.is_empty() || !opclassopts.is_empty() {
            return Err(Refusal::not_understood("an operator class or a collation of an index is not supported"));
        }
        self.optional(expr.as_mut()).map(|_| ())
    }

    pub(super) fn alter_temp(&mut self, x: &mut AlterTableStmt) -> Res<Kind> {
        if x.objtype != ObjectType::ObjectTable as i32 {
            return Err(Refusal::not_allowed("this kind of ALTER is not allowed"));
        }
        let name = self.own_temp(x.relation.as_mut())?;
        self.with_columns_of(&name, Thing::Opaque, |rewriter| {
            x.cmds.iter_mut().try_for_each(|command| match command.node.as_mut() {
                Some(NodeEnum::AlterTableCmd(command)) => rewriter.alteration(command),
                _ => Err(Refusal::not_understood("this ALTER TABLE is not supported")),
            })
        })?;
        Ok(Kind::AlterTemp(name))
    }

    fn alteration(&mut self, x: &mut AlterTableCmd) -> Res<()> {
        use AlterTableType as T;
        let definition = x.def.as_mut().and_then(|d| d.node.as_mut());
        match (AlterTableType::try_from(x.subtype).unwrap_or(T::Undefined), definition) {
            (T::AtDropColumn | T::AtSetNotNull | T::AtDropNotNull | T::AtDropConstraint, None) => Ok(()),
            (T::AtColumnDefault, _) => self.optional(x.def.as_mut()).map(|_| ()),
            (T::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => self.column_of_temp(column),
            (T::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => self.constraint_of_temp(constraint),
            (T::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
                let using = column.raw_default.take();
                self.column_of_temp(column)?;
                column.raw_default = using;
                self.optional(column.raw_default.as_mut()).map(|_| ())
            }
            _ => Err(Refusal::not_understood("this ALTER TABLE is not supported")),
        }
    }

    /// The temporary table that a statement is for; another table is somebody else's.
    fn own_temp(&mut self, var: Option<&mut RangeVar>) -> Res<String> {
        let var = var.ok_or_else(|| Refusal::not_understood("a table without a name"))?;
        self.literal = true;
        self.cx.parameters = false;
        if self.temp(var).is_some() {
            return Ok(var.relname.clone());
        }
        let place = self.at(var.location);
        Err(if self.cx.catalog.find(&var.schemaname, &var.relname).is_some() {
            Refusal::with_state("42501", format!("must be owner of table {}", var.relname)).at(place)
        } else {
            Refusal::no_relation(&var.relname).at(place)
        })
    }
}
