//! Columns and constraints of tables in a tenant's own place, and ALTER TABLE, which is made of them.

use super::ddl::unsupported;
use super::{Res, Rewriter};
use crate::sql::scope::Thing;
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ConstrType, Constraint, Node, ObjectType, RangeVar};

/// Pseudo-types that make a sequence of the table's own.
const SERIAL: &[&str] = &["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"];
/// Options of an identity's sequence that say nothing of any other object.
const SEQUENCE: &[&str] = &["start", "increment", "minvalue", "maxvalue", "cache", "cycle"];

impl Rewriter<'_> {
    /// A column; `own` is its table, by schema and name.
    pub(super) fn own_column(&mut self, column: &mut ColumnDef, own: &(String, String)) -> Res<()> {
        let plain = column.compression.is_empty() && column.storage_name.is_empty() && column.fdwoptions.is_empty();
        let (true, Some(type_name)) = (plain, column.type_name.as_mut()) else { return Err(unsupported("column")) };
        let serial = matches!(nodes::names(&type_name.names).as_deref(), Some([one]) if SERIAL.contains(one));
        if !serial {
            self.type_name(type_name)?;
        }
        if column.coll_clause.as_ref().is_some_and(|c| c.collname.len() != 1) {
            return Err(unsupported("collation"));
        }
        self.optional(column.raw_default.as_mut())?;
        column.constraints.iter_mut().try_for_each(|constraint| match constraint.node.as_mut() {
            Some(NodeEnum::Constraint(constraint)) => self.own_constraint(constraint, own),
            _ => Err(unsupported("constraint")),
        })
    }

    /// A constraint of the own table, of a column or the whole.
    pub(super) fn own_constraint(&mut self, x: &mut Constraint, own: &(String, String)) -> Res<()> {
        use ConstrType as T;
        let plain = x.indexspace.is_empty() && x.access_method.is_empty() && x.exclusions.is_empty() && x.where_clause.is_none();
        let kind = T::try_from(x.contype).unwrap_or(T::Undefined);
        match kind {
            _ if !plain => Err(unsupported("constraint").at(self.at(x.location))),
            T::ConstrNull | T::ConstrNotnull | T::ConstrPrimary | T::ConstrUnique if x.options.is_empty() => Ok(()),
            T::ConstrIdentity if x.options.iter().all(is_sequence_option) => Ok(()),
            T::ConstrAttrDeferrable | T::ConstrAttrNotDeferrable | T::ConstrAttrDeferred | T::ConstrAttrImmediate => Ok(()),
            T::ConstrDefault | T::ConstrCheck | T::ConstrGenerated => self.optional(x.raw_expr.as_mut()).map(|_| ()),
            T::ConstrForeign => match x.pktable.as_mut() {
                Some(parent) => self.own_reference(parent, own),
                None => Err(unsupported("foreign key")),
            },
            _ => Err(unsupported("constraint").at(self.at(x.location))),
        }
    }

    /// What a foreign key refers to: an own table, perhaps the one that is made.
    fn own_reference(&mut self, parent: &mut RangeVar, own: &(String, String)) -> Res<()> {
        let mut named = parent.clone();
        self.own_name(&mut named)?;
        if (&named.schemaname, &named.relname) == (&own.0, &own.1) {
            *parent = named;
            return Ok(());
        }
        self.own_table(parent).map(|_| ())
    }

    pub(super) fn alter_table(&mut self, x: &mut AlterTableStmt) -> Res<()> {
        let Some(var) = x.relation.as_mut().filter(|_| x.objtype == ObjectType::ObjectTable as i32) else {
            return Err(unsupported("ALTER"));
        };
        // IF EXISTS of what is not there is for the server to pass over.
        if !x.missing_ok {
            self.own_table(&mut var.clone())?;
        }
        self.own_name(var)?;
        let (own, commands) = ((var.schemaname.clone(), var.relname.clone()), &mut x.cmds);
        self.with_columns_of(&own.1.clone(), Thing::Opaque, |r| {
            commands.iter_mut().try_for_each(|command| match command.node.as_mut() {
                Some(NodeEnum::AlterTableCmd(command)) => r.alter_command(command, &own),
                _ => Err(unsupported("ALTER TABLE")),
            })
        })
    }

    fn alter_command(&mut self, x: &mut AlterTableCmd, own: &(String, String)) -> Res<()> {
        use AlterTableType as T;
        self.may_cascade(x.behavior)?;
        if x.newowner.is_some() {
            return Err(unsupported("ALTER TABLE"));
        }
        let kind = T::try_from(x.subtype).unwrap_or(T::Undefined);
        match (kind, x.def.as_mut().map(|d| d.as_mut())) {
            (T::AtDropNotNull | T::AtSetNotNull | T::AtDropColumn | T::AtDropConstraint | T::AtValidateConstraint, None) => Ok(()),
            (T::AtDropIdentity | T::AtDropExpression | T::AtColumnDefault, None) => Ok(()),
            (T::AtColumnDefault, Some(default)) => self.expr(default).map(|_| ()),
            (T::AtAddColumn | T::AtAlterColumnType, Some(Node { node: Some(NodeEnum::ColumnDef(column)) })) => self.own_column(column, own),
            (T::AtAddConstraint | T::AtAddIdentity, Some(Node { node: Some(NodeEnum::Constraint(constraint)) })) => {
                self.own_constraint(constraint, own)
            }
            _ => Err(Refusal::not_allowed("this form of ALTER TABLE is not allowed")
                .detail("Columns, defaults and constraints may be changed.")
                .hint("Owners, schemas, triggers, row security and storage are the operator's.")),
        }
    }
}

pub(super) fn is_sequence_option(option: &Node) -> bool {
    let number = |n: Option<&Node>| {
        matches!(n.map(|n| &n.node), None | Some(Some(NodeEnum::Integer(_) | NodeEnum::Float(_) | NodeEnum::Boolean(_))))
    };
    matches!(&option.node, Some(NodeEnum::DefElem(o)) if SEQUENCE.contains(&o.defname.as_str()) && number(o.arg.as_deref()))
}
