//! What a client writes into the tenant column: its own id, proved now or checked when it is known.

use super::write::{cast_name, marker_on, too_few, width};
use super::{Res, Rewriter};
use crate::policy::TableRule;
use crate::sql::catalog::Relation;
use crate::sql::scope::Guard;
use crate::sql::{OwnParameter, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, TypeName, a_const};

impl Rewriter<'_> {
    /// SET may give the tenant column what it has: the own id as a literal or a parameter, or in an upsert (`excluded`) what the INSERT
    /// gave it.
    pub(super) fn own_assignments(&mut self, relation: &Relation, targets: &mut [Node], excluded: bool) -> Res<()> {
        self.writable(relation, targets)?;
        self.keeps_its_rows(relation, Some(targets))?;
        self.resets_nothing(relation, Some(targets))?;
        let TableRule::Scoped { column, .. } = &relation.rule else { return Ok(()) };
        for target in targets {
            let Some(NodeEnum::ResTarget(t)) = target.node.as_mut() else { continue };
            if t.name != *column || left_out!(self.cx, TenantAssigned) {
                continue;
            }
            let place = self.at(t.location);
            let own_type = tenant_type(relation, column);
            let own = t.indirection.is_empty() && t.val.as_deref().is_some_and(|v| self.own_checkable(v, own_type));
            let inserted = excluded && t.indirection.is_empty() && t.val.as_deref().is_some_and(|v| is_excluded(v, column));
            match t.val.as_mut().filter(|_| own) {
                Some(value) => self.own_value(value, column, own_type)?,
                None if inserted => {}
                None => {
                    return Err(Refusal::not_allowed(format!("column \"{column}\" of relation \"{}\" cannot be updated", relation.name))
                        .detail("It says whose the row is, and takes only this tenant's own id, as a literal or a parameter.")
                        .hint_at("It is the tenant column", &relation.place)
                        .at(place));
                }
            }
        }
        Ok(())
    }

    /// What the client writes into the tenant column must be its own id: a literal or a parameter, checked when it is known; perhaps
    /// cast to the column's own type.
    pub(super) fn own_value(&mut self, value: &mut Node, column: &str, type_oid: u32) -> Res<()> {
        if !self.own_checkable(value, type_oid) {
            let place = nodes::location(value).and_then(|l| self.at(l));
            return Err(
                Refusal::not_allowed(format!("column \"{column}\" takes only this tenant's own id, as a literal or a parameter")).at(place)
            );
        }
        let inner = match value.node.as_mut() {
            Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref_mut(),
            _ => Some(value),
        };
        let Some(inner) = inner else { return Ok(()) };
        if let Some(NodeEnum::ParamRef(p)) = &inner.node {
            let number = p.number;
            self.expr(inner)?;
            let number = u16::try_from(number).map_err(|_| Refusal::with_state("42P02", "there is no such parameter"))?;
            self.own.push(OwnParameter { number, type_oid });
        }
        if let Some(literal) = literal_of(inner).filter(|_| !left_out!(self.cx, OwnLiteral)) {
            self.own_literals.push(literal);
        }
        Ok(())
    }

    fn own_checkable(&self, value: &Node, type_oid: u32) -> bool {
        match &value.node {
            Some(NodeEnum::ParamRef(_)) => true,
            Some(NodeEnum::TypeCast(cast)) => {
                let open = cast.arg.as_deref().is_some_and(|a| matches!(a.node, Some(NodeEnum::ParamRef(_))) || literal_of(a).is_some());
                open && cast.type_name.as_ref().is_some_and(|t| self.is_own_type(t, type_oid))
            }
            _ => literal_of(value).is_some(),
        }
    }

    /// Is this PostgreSQL's own type of that number, whole?
    fn is_own_type(&self, name: &TypeName, type_oid: u32) -> bool {
        let own = match nodes::names(&name.names).unwrap_or_default().as_slice() {
            [bare] if !self.cx.catalog.types.contains_key(*bare) => *bare,
            ["pg_catalog", bare] => *bare,
            _ => return false,
        };
        let whole = name.array_bounds.is_empty() && name.typmods.is_empty() && !name.setof && !name.pct_type;
        whole && (own == cast_name(type_oid) || (type_oid == 25 && own == "varchar"))
    }

    /// What a query puts into the tenant column must be the tenant's own id: a literal or parameter as in VALUES, a column by a check
    /// at run time.
    pub(super) fn own_in_arms(&mut self, select: &mut SelectStmt, index: usize, guard: &Guard, tenant_type: u32) -> Res<()> {
        if select.larg.is_some() || select.rarg.is_some() {
            return [select.larg.as_mut(), select.rarg.as_mut()]
                .into_iter()
                .flatten()
                .try_for_each(|side| self.own_in_arms(side, index, guard, tenant_type));
        }
        for row in &mut select.values_lists {
            let value = match row.node.as_mut() {
                Some(NodeEnum::List(list)) => list.items.get_mut(index),
                _ => None,
            };
            self.own_value(value.ok_or_else(too_few)?, &guard.column, tenant_type)?;
        }
        if !select.values_lists.is_empty() {
            return Ok(());
        }
        if width(select).is_none() {
            return Err(Refusal::not_understood("INSERT of the tenant column from SELECT * is not supported").hint("Name the columns."));
        }
        let value = match select.target_list.get_mut(index).and_then(|t| t.node.as_mut()) {
            Some(NodeEnum::ResTarget(target)) => target.val.as_mut(),
            _ => None,
        };
        self.own_expression(value.ok_or_else(too_few)?, guard, tenant_type)
    }

    /// A literal, a parameter or a column that must be the tenant's own id.
    pub(super) fn own_expression(&mut self, value: &mut Node, guard: &Guard, tenant_type: u32) -> Res<()> {
        if !matches!(value.node, Some(NodeEnum::ColumnRef(_))) {
            return self.own_value(value, &guard.column, tenant_type);
        }
        self.expr(value)?;
        *value = own_column(std::mem::take(value), guard, tenant_type);
        Ok(())
    }
}

/// The type of the tenant column as the tenant's parameter has it.
pub(super) fn tenant_type(relation: &Relation, column: &str) -> u32 {
    relation.stored_column(column).map_or(25, |c| if c.type_oid == 1043 { 25 } else { c.type_oid })
}

/// A string or a number as it is written.
fn literal_of(value: &Node) -> Option<String> {
    let Some(NodeEnum::AConst(c)) = &value.node else { return None };
    match c.val.as_ref()? {
        a_const::Val::Sval(s) => Some(s.sval.clone()),
        a_const::Val::Ival(i) => Some(i.ival.to_string()),
        a_const::Val::Fval(f) => Some(f.fval.clone()),
        _ => None,
    }
}

/// `excluded.column`
fn is_excluded(value: &Node, column: &str) -> bool {
    matches!(&value.node, Some(NodeEnum::ColumnRef(c)) if nodes::names(&c.fields).is_some_and(|n| n == ["excluded", column]))
}

/// `CASE WHEN CASE WHEN column = $tenant THEN true ELSE <fails> END THEN $tenant::type END`: the tenant's own id, or an error.
fn own_column(column: Node, guard: &Guard, tenant_type: u32) -> Node {
    let tenant = || nodes::parameter(guard.parameter);
    let own = nodes::operator("=", column.clone(), tenant());
    let check = nodes::case(own, nodes::truth(true), Some(marker_on(column, "partywall:tenant")));
    nodes::case(check, nodes::cast(tenant(), cast_name(tenant_type)), None)
}
