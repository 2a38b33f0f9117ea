//! Guards and checks by way of a parent: what they must be is printed anew from the catalog and compared as a whole.

use super::{Disagreement, Found, Res, Walk, disagree, fields, is_place, list, names, statements, text};
use crate::policy::{TableRule, Through};
use crate::sql::catalog::Relation;
use crate::sql::tree::Value;
use std::sync::Arc;

/// How the names begin that only the wall gives.
const RESERVED: &str = "partywall_";
/// PostgreSQL's SubLinkType as the tree has it.
const EXISTS: i64 = 1;

/// How a row comes to its tenant.
struct Way {
    /// `schema.parent alias`, each.
    parents: Vec<String>,
    conditions: Vec<String>,
    /// The tenant column of the last one.
    owner: String,
    /// Its type.
    type_oid: u32,
}

/// The columns of a row called `reference` that lead to its parent.
fn columns(reference: &str, through: &Through) -> Vec<String> {
    through.on.iter().map(|(own, _)| format!("{reference}.{}", quoted(own))).collect()
}

impl Walk<'_> {
    /// `EXISTS (SELECT 1 FROM parent partywall_1 WHERE partywall_1.key = reference.column AND … $tenant)`, as far as it has that form.
    pub(super) fn exists_guard(&self, value: &Value, link: &Value) -> Option<Found> {
        if link["sub_link_type"].as_i64() != Some(EXISTS) || !self.names_tenant(value) {
            return None;
        }
        let select = fields(&link["subselect"], "SelectStmt")?;
        // Any other is the client's, in which something else is guarded.
        let parent = fields(list(select, "from_clause").first()?, "RangeVar")?;
        if !text(&parent["alias"], "aliasname").starts_with(RESERVED) {
            return None;
        }
        let first = Self::parts(&select["where_clause"], 1)?.first()?;
        let own = fields(&fields(first, "AExpr")?["rexpr"], "ColumnRef")?;
        let [reference, _] = names(list(own, "fields"))[..] else { return None };
        Some(Found { reference: reference.to_owned(), column: String::new(), exists: self.bare(value) })
    }

    /// The guard that a reference to a relation needs.
    pub(super) fn wanted(&self, relation: &Relation, reference: &str, column: &str) -> Res<Found> {
        let found = |exists| Found { reference: reference.to_owned(), column: column.to_owned(), exists };
        let TableRule::Through(through) = &relation.rule else { return Ok(found(Value::Null)) };
        if reference.starts_with(RESERVED) {
            return disagree("a relation has a name that is the wall's own");
        }
        let text = self.exists_text(relation, through, &columns(&quoted(reference), through), "")?;
        Ok(found(self.expected(&text)?))
    }

    /// EXISTS of the tenant's own rows that these values lead to.
    pub(super) fn exists_text(&self, relation: &Relation, through: &Through, values: &[String], lock: &str) -> Res<String> {
        let mut way = self.way_up(relation, through, values.to_vec())?;
        way.conditions.push(format!("{} OPERATOR(pg_catalog.=) $1", way.owner));
        Ok(format!("EXISTS (SELECT 1 FROM {} WHERE {}{lock})", way.parents.join(", "), way.conditions.join(" AND ")))
    }

    /// The query for the tenant of a row's last parent, and the type of what it gives.
    pub(super) fn owner_text(&self, relation: &Relation, reference: &str) -> Res<(String, u32)> {
        let TableRule::Through(link) = &relation.rule else { return disagree("a table has no parent") };
        if reference.is_empty() || reference.starts_with(RESERVED) {
            return disagree("a relation has a name that is the wall's own");
        }
        let way = self.way_up(relation, link, columns(&quoted(reference), link))?;
        let text = format!("(SELECT {} FROM {} WHERE {})", way.owner, way.parents.join(", "), way.conditions.join(" AND "));
        Ok((text, way.type_oid))
    }

    /// From these values over every parent to the one that has the tenant column.
    fn way_up(&self, relation: &Relation, through: &Through, mut values: Vec<String>) -> Res<Way> {
        let (mut parents, mut conditions) = (Vec::new(), Vec::new());
        let mut link = through;
        for step in 1..=16 {
            let parent = self.parent(link).ok_or_else(|| Disagreement(format!("{} has no parent", relation.name)))?;
            let alias = format!("{RESERVED}{step}");
            parents.push(format!("{}.{} {alias}", quoted(&parent.schema), quoted(&parent.name)));
            let equal =
                link.on.iter().zip(&values).map(|((_, theirs), own)| format!("{alias}.{} OPERATOR(pg_catalog.=) {own}", quoted(theirs)));
            conditions.extend(equal);
            match &parent.rule {
                TableRule::Scoped { column, .. } => {
                    let type_oid = parent.stored_column(column).map(|c| c.type_oid).unwrap_or_default();
                    return Ok(Way { parents, conditions, owner: format!("{alias}.{}", quoted(column)), type_oid });
                }
                TableRule::Through(next) => (link, values) = (next, columns(&alias, next)),
                _ => return disagree("a parent has no tenant"),
            }
        }
        disagree("a chain of parents has no end")
    }

    fn parent(&self, link: &Through) -> Option<&Arc<Relation>> {
        self.catalog.relations.get(&(link.schema.clone(), link.table.clone()))
    }

    /// The tree of an expression, the tenant's parameter in it as `$1`.
    pub(super) fn expected(&self, expression: &str) -> Res<Value> {
        let parsed = statements(&format!("SELECT {expression}"))?;
        let target = parsed.first().and_then(|s| list(&s["stmt"]["node"]["SelectStmt"], "target_list").first());
        let value = target.and_then(|t| fields(t, "ResTarget")).map(|t| &t["val"]);
        let mut value = value.cloned().unwrap_or_default();
        bare_from(&mut value, 1);
        Ok(value)
    }

    pub(super) fn bare(&self, value: &Value) -> Value {
        let mut value = value.clone();
        bare_from(&mut value, self.first);
        value
    }

    fn names_tenant(&self, value: &Value) -> bool {
        match value {
            Value::Object(all) => match all.get("ParamRef") {
                Some(parameter) => parameter["number"].as_i64().is_some_and(|n| n >= self.first),
                None => all.values().any(|v| self.names_tenant(v)),
            },
            Value::Array(all) => all.iter().any(|v| self.names_tenant(v)),
            _ => false,
        }
    }

    /// A guard by way of parents names them, too.
    pub(super) fn saw_parents(&mut self, relation: &Relation) {
        let mut link = match &relation.rule {
            TableRule::Through(through) => Some(through.clone()),
            _ => None,
        };
        while let Some(parent) = link.as_ref().and_then(|l| self.parent(l)).cloned() {
            self.proof.relations.push(format!("{}.{}", parent.schema, parent.name));
            link = match &parent.rule {
                TableRule::Through(next) => Some(next.clone()),
                _ => None,
            };
        }
    }

    /// No row of a tenant's takes a default because a row that it refers to goes or changes.
    fn leaves_others(&self, parent: &Relation, sets: Option<&[Value]>) -> Res<()> {
        if !matches!(parent.rule, TableRule::Scoped { .. } | TableRule::Through(_)) {
            return Ok(());
        }
        let Some(sets) = sets else {
            return if parent.resets.deleted.is_none() { Ok(()) } else { disagree("rows of another table take their defaults") };
        };
        let mut assigned = sets.iter().filter_map(|t| fields(t, "ResTarget")).map(|t| text(t, "name"));
        if assigned.any(|name| parent.resets.updated.iter().any(|(column, _)| column == name)) {
            return disagree("rows of another table take their defaults");
        }
        Ok(())
    }

    /// Rows belong to a parent as long as it is there: without a foreign key that holds it, it stays and its key does.
    pub(super) fn keeps_its_rows(&self, parent: &Relation, sets: Option<&[Value]>) -> Res<()> {
        self.leaves_others(parent, sets)?;
        for child in self.catalog.relations.values() {
            let TableRule::Through(through) = &child.rule else { continue };
            if (&through.schema, &through.table) != (&parent.schema, &parent.name) {
                continue;
            }
            let held = child.foreign.iter().filter(|key| key.valid && (&key.parent.0, &key.parent.1) == (&parent.schema, &parent.name));
            let held = held.filter(|key| key.columns.len() == through.on.len() && through.on.iter().all(|c| key.columns.contains(c)));
            let held = held.map(|key| if sets.is_some() { key.holds_updated } else { key.holds_deleted }).next().unwrap_or(false);
            let set =
                |column: &str| sets.is_none_or(|s| s.iter().filter_map(|t| fields(t, "ResTarget")).any(|t| text(t, "name") == column));
            if !held && through.on.iter().any(|(_, theirs)| set(theirs)) {
                return disagree("rows of another table would be nobody's");
            }
        }
        Ok(())
    }
}

/// Without places, and with the tenant's parameters, those from `first` on, as number 0.
pub(super) fn bare_from(value: &mut Value, first: i64) {
    match value {
        Value::Object(all) => {
            all.retain(|key| !is_place(key));
            if let Some(number) = all.get_mut("number").filter(|n| n.as_i64().is_some_and(|n| n >= first)) {
                *number = Value::from(0);
            }
            all.iter_mut().for_each(|(_, v)| bare_from(v, first));
        }
        Value::Array(all) => all.iter_mut().for_each(|v| bare_from(v, first)),
        _ => {}
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
#[path = "through_tests.rs"]
mod tests;
