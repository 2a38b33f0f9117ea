//! ON CONFLICT: which keys can conflict, and whether tenants share them.

use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::catalog::{Key, Relation};
use pg_query::NodeEnum;
use pg_query::protobuf::{InferClause, OnConflictClause};

impl Rewriter<'_> {
    /// The same for a table that has its tenant by a parent: the conflicting row is below the parent that the new one is below.
    pub(super) fn infer_through(&mut self, conflict: &mut OnConflictClause, relation: &Relation) -> Res<bool> {
        let Some(infer) = conflict.infer.as_mut() else { return Ok(relation.keys.iter().all(|k| below_one_parent(relation, k))) };
        if !infer.conname.is_empty() {
            return Ok(relation.keys.iter().any(|k| k.name == infer.conname && below_one_parent(relation, k)));
        }
        let mut wanted = Vec::new();
        for element in &infer.index_elems {
            match element.node.as_ref() {
                Some(NodeEnum::IndexElem(e)) if e.collation.is_empty() && e.opclass.is_empty() && e.expr.is_none() => wanted.push(&e.name),
                _ => return Err(Refusal::not_understood("ON CONFLICT on an expression is not supported here")),
            }
        }
        self.optional(infer.where_clause.as_mut())?;
        Ok(relation.through().is_some_and(|through| through.on.iter().all(|(own, _)| wanted.contains(&own))))
    }

    /// Whether every key that can conflict holds the tenant column. Adds that column to the conflict target where the key needs it.
    pub(super) fn infer(&mut self, conflict: &mut OnConflictClause, relation: &Relation, tenant: &str) -> Res<bool> {
        let private = |key: &Key| key.columns.iter().any(|c| c == tenant);
        let Some(infer) = conflict.infer.as_mut() else { return Ok(relation.keys.iter().all(private)) };
        if !infer.conname.is_empty() {
            return Ok(relation.keys.iter().find(|k| k.name == infer.conname).is_some_and(private));
        }
        let mut wanted = Vec::new();
        let mut expressions = false;
        for element in &mut infer.index_elems {
            match element.node.as_mut() {
                Some(NodeEnum::IndexElem(e)) if e.collation.is_empty() && e.opclass.is_empty() => match e.expr.as_mut() {
                    Some(expr) => {
                        expressions = true;
                        self.expr(expr)?;
                    }
                    None => wanted.push(e.name.clone()),
                },
                _ => return Err(Refusal::not_understood("ON CONFLICT with a collation or operator class is not supported")),
            }
        }
        // A predicate is compared with the index's own and never run, so it is not fenced.
        let filtered = infer.where_clause.is_some();
        self.optional(infer.where_clause.as_mut())?;
        if relation.hides().is_some_and(|c| wanted.iter().any(|w| w == c)) {
            return Err(Refusal::with_state("42703", format!("column \"{tenant}\" does not exist")));
        }
        if wanted.iter().any(|w| w == tenant) {
            return Ok(true);
        }
        if expressions {
            return by_expression(infer, relation, tenant);
        }
        let fits = |key: &&Key, wanted: &[String]| {
            let same = wanted.iter().all(|w| key.columns.contains(w)) && key.columns.iter().all(|c| wanted.contains(c));
            same && (filtered || !key.partial)
        };
        if relation.keys.iter().any(|k| fits(&k, &wanted)) {
            return Ok(false);
        }
        wanted.push(tenant.to_owned());
        let found = relation.keys.iter().any(|k| fits(&k, &wanted));
        if found {
            add(infer, tenant);
        }
        Ok(found)
    }
}

/// Whether all rows with the same values in this key have the same parent.
fn below_one_parent(relation: &Relation, key: &Key) -> bool {
    relation.through().is_some_and(|through| through.on.iter().all(|(own, _)| key.columns.contains(own)))
}

/// The keys with expressions are told apart by nothing but the tenant column: all must have it, or none.
fn by_expression(infer: &mut InferClause, relation: &Relation, tenant: &str) -> Res<bool> {
    let mut all = relation.keys.iter().filter(|k| k.columns.iter().any(String::is_empty)).map(|k| k.columns.iter().any(|c| c == tenant));
    let Some(first) = all.next() else { return Ok(false) };
    if all.any(|other| other != first) {
        return Err(Refusal::not_understood("ON CONFLICT on an expression is not supported here")
            .detail("Some unique indexes on expressions hold the tenant column and others do not."));
    }
    if first {
        add(infer, tenant);
    }
    Ok(first)
}

fn add(infer: &mut InferClause, tenant: &str) {
    let mut element = infer.index_elems.last().cloned().unwrap_or_default();
    if let Some(NodeEnum::IndexElem(e)) = element.node.as_mut() {
        tenant.clone_into(&mut e.name);
        e.expr = None;
    }
    infer.index_elems.push(element);
}
