//! Hidden tenant columns in the catalog: they stand in no relation's columns, and what the wall itself adds finds them all the same.

use super::catalog::{Catalog, Column, Relation, number, text};
use crate::policy::TableRule;
use std::collections::{BTreeSet, HashMap, HashSet};

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

    /// The relations with a tenant column, hidden or not, and its name.
    pub(super) fn scoped(&self) -> Vec<(u32, String)> {
        let column = |r: &Relation| match &r.rule {
            TableRule::Scoped { column, .. } => Some((r.oid, column.clone())),
            _ => None,
        };
        self.relations.values().filter_map(|r| column(r)).collect()
    }

    /// Which functions return rows of such relations, be it within something else: by the answer of the query `functions`.
    pub(super) fn read_revealing(&mut self, functions: &[Vec<Option<String>>], hiding: &HashSet<u32>) {
        let among = |row: &[Option<String>], at: usize| {
            text(row, at).split(' ').filter_map(|oid| oid.parse().ok()).any(|oid: u32| hiding.contains(&oid))
        };
        let others: HashSet<String> = functions.iter().filter(|row| !among(row, 4)).map(|row| text(row, 0)).collect();
        self.row_takers = functions.iter().map(|row| text(row, 0)).filter(|name| !others.contains(name)).collect();
        let reveals = |row: &&Vec<Option<String>>| hiding.contains(&number(row, 2)) || among(row, 3);
        self.revealing = functions.iter().filter(reveals).map(|row| text(row, 0)).collect();
        let named = |row: &[Option<String>]| (text(row, 1), text(row, 0));
        let mut returned: HashMap<(String, String), BTreeSet<u32>> = HashMap::new();
        for row in functions.iter().filter(|row| text(row, 1) != "pg_catalog" && self.revealing.contains(&text(row, 0))) {
            returned.entry(named(row)).or_default().insert(number(row, 2));
        }
        let table = |oids: &BTreeSet<u32>| {
            let oid = oids.first().filter(|_| oids.len() == 1)?;
            self.relations.values().find(|r| r.oid == *oid && r.hidden.is_some()).cloned()
        };
        self.row_functions = returned.into_iter().filter_map(|(name, oids)| Some((name, table(&oids)?))).collect();
    }
}
