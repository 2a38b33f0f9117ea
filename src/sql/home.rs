//! A tenant's own place, its database or schema, in a catalog: what is whole its own needs no guard, and what lies elsewhere is not there.

use super::catalog::{Catalog, CatalogProblem, CatalogQuery, Column, QUERIES, Relation, Row, Rows, number, text};
use super::catalogs;
use super::live::BACKSTOP;
use super::queries::SPOKEN_OF;
use crate::policy::layout::Layout;
use crate::policy::{Backstop, Deciding, FunctionEntry, Home, Place, Policy, PostgresPolicy, TableEntry, TableRule};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The schema that an application takes its tables to be in.
pub const PUBLIC: &str = "public";

/// What a relation is to the tenants of a place.
pub(super) struct Decided {
    /// The rule.
    pub rule: TableRule,
    /// Where it stands.
    pub place: Place,
    /// The entry, by number, that says so.
    pub entry: Option<usize>,
}

/// What `schema.name`, as upstream has it, is to those at `home`; None where it does not exist for them.
pub(super) fn decide(postgres: &PostgresPolicy, deciding: &Deciding<'_>, home: &Home, seen: (&str, &str, char)) -> Option<Decided> {
    let (schema, name, kind) = seen;
    let entries = postgres.tables.as_slice();
    let own = |as_seen: &str| {
        let entry = deciding.find(as_seen, name).filter(|i| entries[*i].rule == TableRule::Hidden);
        let place = entry.map(|i| entries[i].place.clone()).or_else(|| postgres.layouts_at.clone());
        let rule = if entry.is_some() { TableRule::Hidden } else { TableRule::Own };
        // A foreign table leads out of the place.
        let here = matches!(kind, 'r' | 'p' | 'v' | 'm' | 'S');
        here.then_some(Decided { rule, place: place.unwrap_or_else(nowhere), entry: None })
    };
    let listed = || {
        let index = deciding.find(schema, name)?;
        let TableEntry { rule, place, .. } = &entries[index];
        Some(Decided { rule: rule.clone(), place: place.clone(), entry: Some(index) })
    };
    match home {
        Home::Rows => listed(),
        Home::Database { .. } => own(schema),
        Home::Schema(theirs) if theirs == schema => own(PUBLIC),
        Home::Schema(_) => listed().filter(|d| d.rule == TableRule::SharedRead && schema != PUBLIC),
    }
}

/// A query as it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of the query.
    pub name: &'static str,
    /// The text.
    pub sql: Cow<'static, str>,
}

impl From<&'static CatalogQuery> for Question {
    fn from(query: &'static CatalogQuery) -> Self {
        Self { name: query.name, sql: query.sql.into() }
    }
}

/// What is to be asked of upstream for those who live at `home`: nothing that only another policy would need.
pub fn queries(policy: &Policy, home: &Home) -> Vec<Question> {
    let rules = policy.postgres.as_ref();
    let hides =
        *home == Home::Rows && rules.is_some_and(|p| p.tables.iter().any(|t| matches!(t.rule, TableRule::Scoped { hidden: true, .. })));
    let backstop = *home == Home::Rows && rules.is_some_and(|p| p.backstop != Backstop::None);
    let asked = |q: &&CatalogQuery| match q.name {
        catalogs::PARTS => hides,
        catalogs::EXPRESSIONS => *home == Home::Rows,
        _ => true,
    };
    let all = QUERIES.iter().chain(catalogs::QUERIES).filter(asked);
    let schemas = spoken_of(policy, home);
    let text = |q: &'static CatalogQuery| Question {
        sql: if q.sql.contains(SPOKEN_OF) { q.sql.replace(SPOKEN_OF, &schemas).into() } else { q.sql.into() },
        ..q.into()
    };
    all.chain(BACKSTOP.iter().filter(|_| backstop)).map(text).collect()
}

/// Of the schema `n`, the schemas that the policy speaks of. What prints a view's query or an expression waits for whoever has locked what it reads:
/// a tenant's own place is no matter of others.
fn spoken_of(policy: &Policy, home: &Home) -> String {
    let entries = policy.postgres.iter().flat_map(|p| &p.tables);
    let patterns = |entry: &TableEntry| {
        let escaped = entry.schema.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        escaped.replace('*', "%").replace('?', "_")
    };
    let named = |all: BTreeSet<String>| match all.len() {
        0 => "false".to_owned(),
        _ => format!(
            "n.nspname::pg_catalog.text LIKE ANY (ARRAY[{}])",
            all.iter().map(|p| catalogs::quote_text(p)).collect::<Vec<_>>().join(", ")
        ),
    };
    match home {
        Home::Rows => named(entries.map(patterns).collect()),
        Home::Schema(own) => {
            let shared = entries.filter(|e| e.rule == TableRule::SharedRead).map(patterns).collect();
            format!("(n.nspname = {} OR {})", catalogs::quote_text(own), named(shared))
        }
        Home::Database { .. } => SPOKEN_OF.to_owned(),
    }
}

fn nowhere() -> Place {
    Place { file: "".into(), line: 0, column: 0 }
}

/// A schema that is not there.
pub(super) fn missing(home: &Home, namespaces: &[Vec<Option<String>>]) -> Option<CatalogProblem> {
    let own = home.schema()?;
    let there = namespaces.iter().any(|row| super::catalog::text(row, 1) == own);
    (!there && !namespaces.is_empty()).then(|| CatalogProblem {
        message: format!("schema \"{own}\" does not exist"),
        fix: "create it, and what the application needs in it".into(),
        place: None,
    })
}

/// Functions that the policy lists and the shared database does not have.
pub(super) fn missing_functions(policy: &Policy, home: &Home, functions: &[Vec<Option<String>>]) -> Vec<CatalogProblem> {
    // Where tenants have schemas of their own, a function may be there alone.
    let shared = policy.postgres.as_ref().is_some_and(|p| p.layouts.all().all(|(_, layout)| *layout == Layout::Rows));
    let known = shared && *home == Home::Rows && !functions.is_empty();
    let listed = || policy.postgres.iter().filter(|_| known).flat_map(|p| &p.functions);
    if listed().next().is_none() {
        return Vec::new();
    }
    let there: HashSet<(String, String)> = functions.iter().map(|row| (text(row, 1), text(row, 0))).collect();
    let missing = listed().filter(|f| !there.contains(&(f.schema.clone(), f.name.clone())));
    let problem = |f: &FunctionEntry| CatalogProblem {
        message: format!("{}.{} matches no function upstream", f.schema, f.name),
        fix: "correct the name, or take the entry out".into(),
        place: Some(f.place.clone()),
    };
    missing.map(problem).collect()
}

/// The columns that a sequence has as a relation.
pub(super) fn of_sequence() -> Vec<Column> {
    let column = |name: &str, type_oid| Column { name: name.into(), type_oid, not_null: true, deterministic: true, ..Column::default() };
    vec![column("last_value", 20), column("log_cnt", 20), column("is_called", 16)]
}

impl Relation {
    /// Whether all tenants see the same rows of it.
    pub fn is_shared(&self) -> bool {
        self.rule == TableRule::SharedRead && self.schema != super::private::TEMP
    }

    /// Whether it is one tenant's own, whole.
    pub fn is_own(&self) -> bool {
        self.rule == TableRule::Own
    }
}

impl Home {
    /// The tenant's own schema, where it has one.
    pub fn schema(&self) -> Option<&str> {
        match self {
            Self::Schema(name) => Some(name),
            _ => None,
        }
    }

    /// The schema that a client means by this name: its application takes its tables to be in `public`. None for one that is not there.
    pub fn meant<'a>(&'a self, seen: &'a str) -> Option<&'a str> {
        match self {
            Self::Schema(own) if seen == PUBLIC => Some(own),
            Self::Schema(own) if seen == own => None,
            _ => Some(seen),
        }
    }

    /// The name under which a client sees a schema; None where it does not exist for it.
    pub fn seen<'a>(&self, schema: &'a str) -> Option<&'a str> {
        match self {
            Self::Schema(own) if schema == own => Some(PUBLIC),
            Self::Schema(_) if schema == PUBLIC => None,
            _ => Some(schema),
        }
    }
}

impl Catalog {
    /// The own relation that a name means.
    pub fn own(&self, schema: &str, name: &str) -> Option<&std::sync::Arc<Relation>> {
        self.find(schema, name).filter(|r| r.is_own() && self.system.schema_of(schema, name).is_none())
    }

    /// Takes hidden tables' sequences and indexes out of a tenant's own place: what belongs to them is hidden with them.
    pub(super) fn withhold(&mut self, policy: &Policy, answers: &HashMap<&'static str, Rows>) {
        let Some(postgres) = policy.postgres.as_ref().filter(|_| self.is_own_place()) else { return };
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let (deciding, home) = (Deciding::of(&postgres.tables), self.home.clone());
        let is_hidden = |row: &&Row| {
            let (schema, name, kind) = (text(row, 1), text(row, 2), text(row, 3).chars().next().unwrap_or('?'));
            decide(postgres, &deciding, &home, (&schema, &name, kind)).is_some_and(|d| d.rule == TableRule::Hidden)
        };
        let hidden: Vec<&Row> = rows("relations").iter().filter(is_hidden).collect();
        let tables: HashSet<u32> = hidden.iter().map(|row| number(row, 0)).collect();
        let belongs = |row: &&Row| text(row, 0) == "R" && text(row, 2) == "R" && tables.contains(&number(row, 3));
        let parts: HashSet<u32> = rows("edges").iter().filter(belongs).map(|row| number(row, 1)).collect();
        let others = rows("others").iter().chain(rows("all_sequences")).filter(|row| parts.contains(&number(row, 0)));
        let named = |row: &Row| Some((home.seen(&text(row, 1))?.to_owned(), text(row, 2)));
        self.withheld = hidden.into_iter().chain(others).filter_map(named).collect();
        self.relations.retain(|name, _| !self.withheld.contains(name));
        self.sequences.retain(|name, _| !self.withheld.contains(name));
    }

    /// Whether emptying these relations, with all that refers to them, stays among the tenant's own.
    pub fn cascades_inside(&self, oids: &[u32]) -> bool {
        let own = |oid: u32| self.relations.values().find(|r| r.oid == oid && r.is_own());
        let (mut all, mut next) = (oids.to_vec(), 0);
        while let Some(oid) = all.get(next).copied() {
            let Some(relation) = own(oid) else { return false };
            let new: Vec<u32> = relation.referenced_by.iter().copied().filter(|r| !all.contains(r)).collect();
            all.extend(new);
            next += 1;
        }
        true
    }

    /// Whether tenants see a relation of this name, of any kind: in this schema, or in some.
    pub fn has_named(&self, schema: Option<&str>, name: &str) -> bool {
        let is = |(s, n): &(String, String)| n == name && schema.is_none_or(|wanted| wanted == s);
        self.relations.keys().any(is) || self.system.others.keys().any(is)
    }

    /// Whether those who live here see a schema, by the name that they know it by.
    pub fn is_seen(&self, schema: &str) -> bool {
        match self.home {
            Home::Schema(_) => schema == PUBLIC || self.relations.keys().any(|(s, _)| s == schema),
            _ => true,
        }
    }

    /// Whether this catalog is of one tenant's own place.
    pub fn is_own_place(&self) -> bool {
        self.home != Home::Rows
    }
}

/// Types that no unlisted table uses, be it inside another type: they tell of none. `relations` are the listed ones.
pub(super) fn free_types(types: &[Vec<Option<String>>], mut relations: HashSet<u32>) -> HashSet<u32> {
    let mut free = HashSet::new();
    loop {
        let before = free.len();
        for row in types.iter().filter(|r| r.len() > 6) {
            if text(row, 5).split(' ').all(|r| r.is_empty() || r.parse().is_ok_and(|r| relations.contains(&r))) {
                free.insert(number(row, 3));
                relations.insert(number(row, 6));
            }
        }
        if free.len() == before {
            return free;
        }
    }
}
