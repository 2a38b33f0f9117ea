//! Expressions of upstream's catalogs that tell of other tenants (`telling.rs`): bounds of partitions, conditions of indexes, CHECKs, defaults,
//! conditions of triggers, statistics, views' queries. They are as little there as what is over a hidden column.

use super::hidden::Concealed;
use super::telling::{has_literal, is_keyed_by, tells};
use super::{EXPRESSIONS, FIRST_USER_OID};
use crate::sql::catalog::{Row, Rows, number, text};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Tenant columns, by their tables.
struct Tenants<'a> {
    columns: HashMap<u32, Column<'a>>,
    names: BTreeSet<&'a str>,
    /// Domains that they are of.
    domains: HashSet<u32>,
}

struct Column<'a> {
    name: &'a str,
    at: u32,
}

impl<'a> Tenants<'a> {
    fn read(scoped: &'a [(u32, String)], columns: &[Row], expressions: &[Row]) -> Self {
        let mut all: HashMap<u32, Column<'a>> = scoped.iter().map(|(oid, name)| (*oid, Column { name, at: 0 })).collect();
        let mut domains = HashSet::new();
        for row in columns {
            if let Some(column) = all.get_mut(&number(row, 0)).filter(|c| text(row, 1) == c.name) {
                column.at = number(row, 10);
                domains.extend(Some(number(row, 2)).filter(|oid| *oid >= FIRST_USER_OID));
            }
        }
        let bases: HashMap<u32, u32> = of_kind(expressions, "T").map(|r| (number(r, 1), number(r, 2))).collect();
        let mut next: Vec<u32> = domains.iter().copied().collect();
        while let Some(base) = next.pop().and_then(|oid| bases.get(&oid)) {
            next.extend(domains.insert(*base).then_some(*base));
        }
        Self { columns: all, names: scoped.iter().map(|(_, name)| name.as_str()).collect(), domains }
    }

    /// Whether an expression over this relation tells.
    fn tells(&self, relation: u32, expression: &str) -> bool {
        self.statement_tells(relation, &format!("SELECT {expression}"))
    }

    fn statement_tells(&self, relation: u32, statement: &str) -> bool {
        let says = |name: &str| statement.contains(name) || statement.contains(".*") || name.contains('"');
        self.columns.get(&relation).is_some_and(|column| says(column.name) && tells(statement, &BTreeSet::from([column.name])))
    }
}

impl Concealed {
    /// Reads the answer to [`EXPRESSIONS`]; `scoped` are the listed relations with a tenant column, and its name.
    pub fn read_expressions(&mut self, answers: &HashMap<&'static str, Rows>, scoped: &[(u32, String)]) {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        if scoped.is_empty() {
            return;
        }
        let tenants = Tenants::read(scoped, rows("columns"), rows(EXPRESSIONS));
        for row in rows(EXPRESSIONS) {
            self.expression(row, &tenants);
        }
        for row in of_kind(rows(EXPRESSIONS), "X").filter(|r| self.is_gone('R', number(r, 3))).collect::<Vec<_>>() {
            self.gone.insert(('C', number(row, 1)));
        }
        self.read_bounds(rows(EXPRESSIONS), rows("edges"), &tenants);
        self.read_views(rows("views"), rows("edges"), &tenants);
    }

    fn expression(&mut self, row: &Row, tenants: &Tenants<'_>) {
        let (kind, oid, relation, said) = (text(row, 0), number(row, 1), number(row, 2), text(row, 4));
        let is_tenants = tenants.columns.get(&relation).is_some_and(|c| c.at == number(row, 3));
        let tells = match kind.as_str() {
            "M" if is_tenants => {
                self.missing.entry(number(row, 3)).or_default().insert(relation);
                false
            }
            "T" if tenants.domains.contains(&oid) && has_literal(&said) => {
                self.defaulted.insert(oid);
                false
            }
            "V" => tenants.domains.contains(&relation) && has_literal(&said),
            "D" if is_tenants => has_literal(&said),
            "R" | "C" | "D" => tenants.tells(relation, &said),
            "G" | "S" => tenants.statement_tells(relation, &said),
            // A materialized view's query is one.
            "W" => tells(&said, &tenants.names),
            _ => false,
        };
        let object = match kind.as_str() {
            "V" => 'C',
            _ => kind.chars().next().unwrap_or(' '),
        };
        if !tells || !self.gone.insert((object, oid)) {
            return;
        }
        if kind == "C" {
            *self.checks.entry(relation).or_default() += 1;
        }
        if matches!(kind.as_str(), "R" | "C" | "D" | "S") {
            self.copied.insert(relation);
        }
    }

    /// Partitions by tenant: their bounds, and what follows from them and those of their siblings. Of a hash they say nothing.
    fn read_bounds(&mut self, expressions: &[Row], edges: &[Row], tenants: &Tenants<'_>) {
        let keyed = |row: &&Row| {
            let key = text(row, 4);
            let column = tenants.columns.get(&number(row, 2));
            !key.starts_with("HASH") && column.is_some_and(|c| is_keyed_by(&key, &BTreeSet::from([c.name])))
        };
        let parents: HashMap<u32, u32> = of_kind(expressions, "K").filter(keyed).map(|r| (number(r, 1), number(r, 3))).collect();
        if parents.is_empty() {
            return;
        }
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for row in of_kind(edges, "I") {
            children.entry(number(row, 3)).or_default().push(number(row, 1));
        }
        let of = |parent: u32| children.get(&parent).into_iter().flatten().copied();
        for (parent, default) in &parents {
            self.bounds.extend(of(*parent).filter(|child| child != default));
        }
        let mut next: Vec<u32> = parents.keys().flat_map(|parent| of(*parent)).collect();
        while let Some(child) = next.pop() {
            if self.bounded.insert(child) {
                next.extend(of(child));
            }
        }
    }

    /// Views' queries, as they are loaded to be put in their place.
    fn read_views(&mut self, views: &[Row], edges: &[Row], tenants: &Tenants<'_>) {
        let telling: HashSet<u32> = views.iter().filter(|r| tells(&text(r, 1), &tenants.names)).map(|r| number(r, 0)).collect();
        self.gone.extend(of_kind(edges, "W").filter(|r| telling.contains(&number(r, 3))).map(|r| ('W', number(r, 1))));
    }

    /// Whether LIKE would make a copy of what is not shown of a table.
    pub fn is_copied(&self, relation: u32) -> bool {
        self.copied.contains(&relation)
    }
}

fn of_kind<'r>(rows: &'r [Row], kind: &'static str) -> impl Iterator<Item = &'r Row> {
    rows.iter().filter(move |row| row.first().is_some_and(|k| k.as_deref() == Some(kind)))
}

#[cfg(test)]
#[path = "expressions_tests.rs"]
mod tests;
