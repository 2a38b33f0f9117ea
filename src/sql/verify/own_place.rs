//! What lies in a tenant's own place needs no guard: names and what is computed are proved, and that nothing else is touched.

use super::ddl::cascades;
use super::scopes::{Level, Seen, called_as};
use super::{Res, Walk, disagree, fields, list, text};
use crate::sql::catalog::Relation;
use crate::sql::tree::Value;
use std::sync::Arc;

impl Walk<'_> {
    /// Does the client's reference mean a table that is written without a guard: a temporary one, or the tenant's own?
    pub(super) fn is_unguarded(&self, c: &Value) -> bool {
        (self.is_temp(c) && !self.is_temp_view(c)) || self.own_of(c).is_some()
    }

    /// The tenant's own relation that the client's reference means.
    pub(super) fn own_of(&self, c: &Value) -> Option<&Arc<Relation>> {
        let (schema, name) = (text(c, "schemaname"), text(c, "relname"));
        let system = self.catalog.system.schema_of(schema, name).is_some();
        if system || !text(c, "catalogname").is_empty() || self.is_temp(c) {
            return None;
        }
        let key = self.target_name(c);
        self.catalog.relations.get(&key).filter(|r| r.is_own())
    }

    /// MERGE into such a table.
    pub(super) fn merge_unguarded(&mut self, f: &Value, c: &Value) -> Res<()> {
        let depth = self.ctes.len();
        self.with(&f["with_clause"], &c["with_clause"])?;
        let (ft, ct) = (&f["relation"], &c["relation"]);
        let relation = Some(self.table_of(ft, ct)?.relation);
        self.rest(ft, ct, &["schemaname"])?;
        let name = called_as(ft, text(ft, "relname")).to_owned();
        let mut level = Level { items: vec![Seen { name, relation, ..Seen::default() }], passed: false };
        self.from_item(&f["source_relation"], &c["source_relation"], &[], &mut level)?;
        self.levels.push(level);
        let (fs, cs) = (list(f, "merge_when_clauses"), list(c, "merge_when_clauses"));
        if fs.len() != cs.len() {
            return disagree("MERGE has other parts");
        }
        for (f, c) in fs.iter().zip(cs) {
            let (Some(f), Some(c)) = (fields(f, "MergeWhenClause"), fields(c, "MergeWhenClause")) else { return disagree("MERGE differs") };
            self.rest(f, c, &[])?;
        }
        self.rest(f, c, &["with_clause", "relation", "source_relation", "merge_when_clauses"])?;
        self.levels.pop();
        self.ctes.truncate(depth);
        Ok(())
    }

    /// TRUNCATE of the tenant's own tables, or of temporary ones.
    pub(super) fn truncate_own(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, cs) = (list(f, "relations"), list(c, "relations"));
        if fs.len() != cs.len() {
            return disagree("TRUNCATE of other tables");
        }
        let temporary = cs.iter().all(|c| fields(c, "RangeVar").is_some_and(|c| self.is_temp(c)));
        if temporary {
            for (f, c) in fs.iter().zip(cs) {
                let (Some(f), Some(c)) = (fields(f, "RangeVar"), fields(c, "RangeVar")) else { return disagree("TRUNCATE of nothing") };
                self.table_of(f, c)?;
                self.rest(f, c, &["schemaname"])?;
            }
            return self.rest(f, c, &["relations"]);
        }
        let mut oids = Vec::new();
        for (f, c) in fs.iter().zip(cs) {
            let (Some(f), Some(c)) = (fields(f, "RangeVar"), fields(c, "RangeVar")) else { return disagree("TRUNCATE of something else") };
            let Some(own) = self.own_of(c) else { return disagree("TRUNCATE of a table that is not the tenant's own") };
            oids.push(own.oid);
            self.table_of(f, c)?;
            self.rest(f, c, &["schemaname"])?;
        }
        if cascades(f) && !self.catalog.cascades_inside(&oids) {
            return disagree("TRUNCATE of tables that lie elsewhere");
        }
        self.rest(f, c, &["relations"])
    }
}
