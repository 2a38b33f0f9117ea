//! What the server itself changes when a row is written: generated columns, and rows of other tables by ON DELETE and ON UPDATE. No value of
//! these is seen here, so none can be checked.

use super::links::{guarded, is_way, tells_tenant};
use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::catalog::Relation;
use pg_query::NodeEnum;
use pg_query::protobuf::Node;

impl Rewriter<'_> {
    /// Rows that take their defaults could be another tenant's then, or refer to another's.
    pub(super) fn resets_nothing(&self, relation: &Relation, changed: Option<&[Node]>) -> Res<()> {
        let named = |column: &str| {
            let is = |t: &Node| matches!(&t.node, Some(NodeEnum::ResTarget(t)) if t.name == column);
            changed.unwrap_or_default().iter().any(is)
        };
        let (what, reset) = match changed {
            None => ("a row", relation.resets.deleted.as_ref()),
            Some(_) => ("the key of a row", relation.resets.updated.iter().find(|(c, _)| named(c)).map(|(_, table)| table)),
        };
        match reset.filter(|_| guarded(relation)) {
            None => Ok(()),
            Some(table) => Err(Refusal::not_allowed(format!("{what} of \"{}\" that others refer to cannot go", relation.name))
                .detail(format!("A foreign key would set rows of \"{table}\" to their defaults, which may lead to another tenant's."))
                .hint_at("Give the foreign key ON DELETE or ON UPDATE SET NULL, CASCADE or NO ACTION; it is listed", &relation.place)),
        }
    }

    /// A generated column that refers to rows of others changes with those that it is computed from.
    pub(super) fn moves_no_computed_key(&self, relation: &Relation, names: &[String]) -> Res<()> {
        for key in &relation.foreign {
            let Some(parent) = self.cx.catalog.relations.get(&key.parent) else { continue };
            if !guarded(parent) || tells_tenant(relation, key, parent) || is_way(relation, key) {
                continue;
            }
            if let Some(name) = names.iter().find(|n| key.bases.0.may_change(n)) {
                return Err(Refusal::not_understood(format!("column \"{name}\" of \"{}\" cannot be assigned", relation.name))
                    .detail(format!("A generated column follows it, which may refer to another tenant's row of \"{}\".", parent.name))
                    .hint_at("Put the tenant column into the foreign key; it is listed", &relation.place));
            }
        }
        Ok(())
    }
}
