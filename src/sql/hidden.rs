//! Hidden tenant columns in the catalog: they stand in no relation's columns, and what the wall itself adds finds them all the same.

use super::catalog::{Catalog, Column, Relation};
use crate::policy::TableRule;

impl Relation {
    /// The column of this name, also where it is hidden: for what the wall itself adds.
    pub fn stored_column(&self, name: &str) -> Option<&Column> {
        self.hidden.iter().map(|(_, c)| c).chain(&self.columns).find(|c| c.name == name)
    }

    /// The name of the hidden column.
    pub fn hides(&self) -> Option<&str> {
        self.hidden.as_ref().map(|(_, c)| c.name.as_str())
    }

    /// Takes the tenant column out of the columns where the policy hides it.
    pub(super) fn hide(&mut self) {
        if let TableRule::Scoped { column, hidden: true } = &self.rule
            && let Some(at) = self.columns.iter().position(|c| c.name == *column)
        {
            self.hidden = Some((at, self.columns.remove(at)));
        }
    }
}

impl Catalog {
    /// The relations that hide a column, and its name.
    pub(super) fn hiding(&self) -> Vec<(u32, String)> {
        self.relations.values().filter_map(|r| Some((r.oid, r.hides()?.to_owned()))).collect()
    }
}
