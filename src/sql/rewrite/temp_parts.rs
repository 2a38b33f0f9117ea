//! CREATE TEMP TABLE and what it is made of. Whatever it refers to (parents, foreign keys) is the session's own as well.

use super::ddl_parts::is_sequence_option;
use super::{Res, Rewriter};
use crate::sql::catalog::{Column, Relation};
use crate::sql::private::{self, Kin, NAME_BYTES, TEMP};
use crate::sql::scope::Thing;
use crate::sql::{Kind, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    ColumnDef, ConstrType, Constraint, CreateStmt, Node, OnCommitAction, PartitionBoundSpec, PartitionSpec, RangeVar, TableLikeClause,
};
use std::sync::Arc;

/// Pseudo-types that make a sequence of the table's own.
const SERIAL: &[&str] = &["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"];
/// Storage parameters of tables and indexes that concern nothing but their own pages.
const STORAGE: &[&str] =
    &["fillfactor", "toast_tuple_target", "vacuum_truncate", "vacuum_index_cleanup", "parallel_workers", "deduplicate_items"];

/// INCLUDING COMMENTS, COMPRESSION, IDENTITY, STORAGE (parsenodes.h, TableLikeOption): no expression is copied.
const LIKE_PLAIN: u32 = 1 | 1 << 1 | 1 << 5 | 1 << 8;

/// A storage parameter that concerns the table alone, with a plain value or none.
pub(super) fn is_storage(option: &Node) -> bool {
    let Some(NodeEnum::DefElem(o)) = &option.node else { return false };
    let plain = matches!(
        o.arg.as_ref().map(|a| &a.node),
        None | Some(Some(NodeEnum::Integer(_) | NodeEnum::Float(_) | NodeEnum::Boolean(_) | NodeEnum::String(_)))
    );
    let name = o.defname.to_ascii_lowercase();
    let known = STORAGE.contains(&name.as_str()) || name.starts_with("autovacuum_") || name == "log_autovacuum_min_duration";
    plain && known && matches!(o.defnamespace.as_str(), "" | "toast")
}

impl Rewriter<'_> {
    pub(super) fn create_temp(&mut self, x: &mut CreateStmt) -> Res<Kind> {
        let name = self.new_temp(x.relation.as_mut())?;
        let unsupported = || Refusal::not_understood("this form of CREATE TEMP TABLE is not supported");
        let plain = x.tablespacename.is_empty() && x.access_method.is_empty() && x.of_typename.is_none() && x.constraints.is_empty();
        if !plain || !x.options.iter().all(is_storage) {
            return Err(unsupported());
        }
        // What is stored with the table takes no parameter.
        self.literal = true;
        self.cx.parameters = false;
        let mut columns = self.parents(&mut x.inh_relations)?;
        let mut kin = Kin { parents: x.inh_relations.iter().filter_map(relname).collect(), ..Kin::default() };
        self.with_columns_of(&name, Thing::Opaque, |r| {
            for element in &mut x.table_elts {
                r.element_of_temp(element, &name, &mut columns, &mut kin)?;
            }
            x.partspec.as_mut().map_or(Ok(()), |spec| r.partition_spec(spec))?;
            x.partbound.as_mut().map_or(Ok(()), |bound| r.partition_bound(bound))
        })?;
        let table = private::temporary(&name, columns.unwrap_or_default());
        let kind = if x.partspec.is_some() { 'p' } else { 'r' };
        let table = Arc::new(Relation { kin, kind, ..(*table).clone() });
        self.made(table, x.oncommit == OnCommitAction::OncommitDrop as i32, x.if_not_exists)
    }

    /// What a table inherits from, or is a part of; its columns where they are known.
    fn parents(&mut self, parents: &mut [Node]) -> Res<Option<Vec<String>>> {
        let mut columns = Some(Vec::new());
        for parent in parents {
            let Some(NodeEnum::RangeVar(var)) = parent.node.as_mut() else {
                return Err(Refusal::not_understood("this parent of a table is not supported"));
            };
            let parent = self.temp_parent(var, "inherit from")?;
            columns = columns.filter(|_| !parent.columns.is_empty());
            for column in &parent.columns {
                add_column(&mut columns, &column.name);
            }
        }
        Ok(columns)
    }

    /// A table of the session's own that another one of them refers to: anything else lasts, and has rows of others.
    pub(super) fn temp_parent(&mut self, var: &mut RangeVar, does: &str) -> Res<Arc<Relation>> {
        let place = self.at(var.location);
        if let Some(table) = self.temp(var) {
            return Ok(table);
        }
        if self.cx.catalog.find(&var.schemaname, &var.relname).is_none() {
            return Err(Refusal::no_relation(&var.relname).at(place));
        }
        Err(Refusal::not_understood(format!("a temporary table cannot {does} one that is not temporary"))
            .detail("That table is not this session's own.")
            .at(place))
    }

    fn element_of_temp(&mut self, element: &mut Node, table: &str, columns: &mut Option<Vec<String>>, kin: &mut Kin) -> Res<()> {
        match element.node.as_mut() {
            Some(NodeEnum::ColumnDef(column)) => {
                add_column(columns, &column.colname);
                self.column_of_temp(column, table)?;
                let sequence = format!("{table}_{}_seq", column.colname);
                // What is too long is cut, what is taken gets a number: such a name is not known.
                if has_sequence(column) && sequence.len() <= NAME_BYTES && self.cx.private.temps.get(&sequence).is_none() {
                    kin.sequences.push(sequence);
                }
                Ok(())
            }
            Some(NodeEnum::Constraint(constraint)) => self.constraint_of_temp(constraint, table),
            Some(NodeEnum::TableLikeClause(like)) => {
                let like = self.like(like)?;
                match columns {
                    Some(all) if !like.is_empty() => all.extend(like),
                    _ => *columns = None,
                }
                Ok(())
            }
            _ => Err(Refusal::not_understood("this part of CREATE TEMP TABLE is not supported")),
        }
    }

    /// `LIKE t`: the columns of a listed or temporary table.
    fn like(&mut self, like: &mut TableLikeClause) -> Res<Vec<String>> {
        let var = like.relation.as_mut().ok_or_else(|| Refusal::not_understood("a table without a name"))?;
        let place = self.at(var.location);
        let relation = self.relation(var)?;
        if !matches!(relation.kind, 'r' | 'p') || relation.hidden.is_some() {
            return Err(Refusal::not_understood("LIKE of anything but a table without hidden columns is not supported").at(place));
        }
        if like.options & !LIKE_PLAIN != 0 && self.cx.catalog.system.hidden.is_copied(relation.oid) {
            let what = "LIKE of a table whose defaults, constraints, indexes or statistics are not all shown takes its columns only";
            return Err(Refusal::not_understood(what).hint("Leave out INCLUDING.").at(place));
        }
        Ok(relation.columns.iter().map(|c: &Column| c.name.clone()).collect())
    }

    /// A column; `table` is the one that it is of.
    pub(super) fn column_of_temp(&mut self, column: &mut ColumnDef, table: &str) -> Res<()> {
        if !column.fdwoptions.is_empty() || column.raw_default.is_some() {
            return Err(Refusal::not_understood("this column of CREATE TEMP TABLE is not supported"));
        }
        // A part's column has the type of the whole's.
        if let Some(type_name) = column.type_name.as_mut()
            && !matches!(nodes::names(&type_name.names).as_deref(), Some([one]) if SERIAL.contains(one))
        {
            self.type_name(type_name)?;
        }
        if column.coll_clause.as_ref().is_some_and(|c| c.collname.len() != 1) {
            return Err(Refusal::not_understood("this collation is not supported"));
        }
        for constraint in &mut column.constraints {
            match constraint.node.as_mut() {
                Some(NodeEnum::Constraint(constraint)) => self.constraint_of_temp(constraint, table)?,
                _ => return Err(Refusal::not_understood("this constraint is not supported")),
            }
        }
        Ok(())
    }

    /// A constraint of a column or the whole; a foreign key may refer to the table itself.
    pub(super) fn constraint_of_temp(&mut self, x: &mut Constraint, table: &str) -> Res<()> {
        use ConstrType as T;
        let kind = ConstrType::try_from(x.contype).unwrap_or(T::Undefined);
        let bare = x.indexspace.is_empty() && x.access_method.is_empty() && x.exclusions.is_empty() && x.where_clause.is_none();
        match kind {
            T::ConstrNull | T::ConstrNotnull if bare && x.options.is_empty() => Ok(()),
            T::ConstrPrimary | T::ConstrUnique if bare && x.options.iter().all(is_storage) => Ok(()),
            T::ConstrIdentity if x.options.iter().all(is_sequence_option) => Ok(()),
            T::ConstrAttrDeferrable | T::ConstrAttrNotDeferrable | T::ConstrAttrDeferred | T::ConstrAttrImmediate => Ok(()),
            T::ConstrDefault | T::ConstrCheck | T::ConstrGenerated => self.optional(x.raw_expr.as_mut()).map(|_| ()),
            T::ConstrForeign => match x.pktable.as_mut() {
                Some(var) if var.relname == table && var.catalogname.is_empty() && matches!(var.schemaname.as_str(), "" | TEMP) => {
                    TEMP.clone_into(&mut var.schemaname);
                    Ok(())
                }
                Some(var) => self.temp_parent(var, "refer to").map(|_| ()),
                None => Err(Refusal::not_understood("a foreign key to nothing")),
            },
            T::ConstrExclusion => self.exclusion(x),
            _ => Err(Refusal::not_understood("this constraint of a temporary table is not supported").at(self.at(x.location))),
        }
    }

    fn exclusion(&mut self, x: &mut Constraint) -> Res<()> {
        let unsupported = Refusal::not_understood("this exclusion constraint is not supported").at(self.at(x.location));
        let method = matches!(x.access_method.as_str(), "" | "btree" | "hash" | "gist" | "spgist");
        if !method || !x.options.iter().all(is_storage) || !x.indexspace.is_empty() {
            return Err(unsupported);
        }
        for pair in &mut x.exclusions {
            let Some(NodeEnum::List(pair)) = pair.node.as_mut() else { return Err(unsupported) };
            let [element, operator] = pair.items.as_mut_slice() else { return Err(unsupported) };
            self.index_element(element)?;
            let Some(NodeEnum::List(name)) = operator.node.as_ref() else { return Err(unsupported) };
            self.operator_name(&name.items, x.location)?;
        }
        self.optional(x.where_clause.as_mut()).map(|_| ())
    }

    fn partition_spec(&mut self, x: &mut PartitionSpec) -> Res<()> {
        for part in &mut x.part_params {
            match part.node.as_mut() {
                Some(NodeEnum::PartitionElem(e)) if e.opclass.is_empty() && e.collation.len() < 2 => self.optional(e.expr.as_mut())?,
                _ => return Err(Refusal::not_understood("this partition key is not supported")),
            };
        }
        Ok(())
    }

    /// FOR VALUES …; MINVALUE and MAXVALUE are names there.
    pub(super) fn partition_bound(&mut self, x: &mut PartitionBoundSpec) -> Res<()> {
        self.exprs(&mut x.listdatums)?;
        self.exprs(&mut x.lowerdatums)?;
        self.exprs(&mut x.upperdatums).map(|_| ())
    }
}

fn relname(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::RangeVar(var)) => Some(var.relname.clone()),
        _ => None,
    }
}

/// Inherited columns and own ones of the same name are one.
fn add_column(columns: &mut Option<Vec<String>>, name: &str) {
    if let Some(all) = columns.as_mut().filter(|all| !all.iter().any(|c| c == name)) {
        all.push(name.to_owned());
    }
}

/// A sequence of the table's own comes with it: of a serial column, or an identity.
fn has_sequence(column: &ColumnDef) -> bool {
    let serial = column.type_name.as_ref().and_then(|t| nodes::names(&t.names)).is_some_and(|n| n.len() == 1 && SERIAL.contains(&n[0]));
    let identity = |n: &Node| matches!(&n.node, Some(NodeEnum::Constraint(c)) if c.contype == ConstrType::ConstrIdentity as i32);
    serial || column.constraints.iter().any(identity)
}
