//! What a role may do with each relation: the policy's grants on the catalog. Who judges by them: `rewrite/rights.rs`, and, sharing nothing with it,
//! `verify/rights.rs`.

use super::Refusal;
use super::catalog::{Catalog, CatalogProblem, Relation};
use super::private::TEMP;
use crate::policy::{Columns, Extent, Granted, Place, Policy, RoleRules, Verb};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A role's rights on the relations of one catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// By schema and name as upstream has them.
    relations: HashMap<(String, String), BTreeMap<Verb, Columns>>,
    /// Where the policy speaks of the role.
    place: Option<Place>,
}

impl Rights {
    /// What is granted, on these relations; None where all is.
    pub fn of(granted: &Granted, catalog: &Catalog) -> Option<Arc<Self>> {
        let rules = match granted {
            Granted::Whole => return None,
            Granted::Nothing => None,
            Granted::Role(rules) if rules.postgres == Extent::All => return None,
            Granted::Role(rules) => Some(rules),
        };
        let mut relations: HashMap<(String, String), BTreeMap<Verb, Columns>> = HashMap::new();
        for ((seen, name), relation) in catalog.relations.iter().chain(&catalog.sequences) {
            let verbs = relations.entry((relation.schema.clone(), relation.name.clone())).or_default();
            for grant in rules.iter().flat_map(|r| grants(r)).filter(|g| g.names(seen, name)) {
                grant.verbs.iter().for_each(|(verb, columns)| add(verbs, *verb, columns));
            }
        }
        Some(Arc::new(Self { relations, place: rules.map(|r| r.place.clone()) }))
    }

    fn columns(&self, relation: &Relation, verb: Verb) -> Option<&Columns> {
        self.relations.get(&(relation.schema.clone(), relation.name.clone()))?.get(&verb)
    }

    /// Some column of it.
    pub fn may_any(&self, relation: &Relation, verb: Verb) -> bool {
        relation.schema == TEMP || self.columns(relation, verb).is_some_and(|c| !matches!(c, Columns::Listed(all) if all.is_empty()))
    }

    /// All of its columns, those that are not known yet too.
    pub fn may_all(&self, relation: &Relation, verb: Verb) -> bool {
        relation.schema == TEMP || self.columns(relation, verb) == Some(&Columns::All)
    }

    /// This column of it; system columns are listed as any other.
    pub fn may(&self, relation: &Relation, verb: Verb, column: &str) -> bool {
        self.may_all(relation, verb) || matches!(self.columns(relation, verb), Some(Columns::Listed(all)) if all.contains(column))
    }

    /// Are all columns of all relations open to be read?
    pub fn reads_all(&self) -> bool {
        self.relations.values().all(|verbs| verbs.get(&Verb::Select) == Some(&Columns::All))
    }

    /// PostgreSQL's words (`aclcheck_error`, ACLCHECK_NO_PRIV).
    pub fn refused(&self, relation: &Relation) -> Refusal {
        let what = match relation.kind {
            'v' => "view",
            'm' => "materialized view",
            'S' => "sequence",
            'f' => "foreign table",
            _ => "table",
        };
        self.hinted(Refusal::not_allowed(format!("permission denied for {what} {}", relation.name)))
    }

    /// With the policy's line.
    pub fn hinted(&self, refusal: Refusal) -> Refusal {
        match &self.place {
            Some(place) => refusal.hint_at("The session's role is what the policy gives it", place),
            None => refusal.detail("The session has no role that the policy knows."),
        }
    }

    /// Differs wherever the rights do.
    pub fn digest(&self) -> u64 {
        let sorted: BTreeMap<_, _> = self.relations.iter().map(|(name, verbs)| (name, format!("{verbs:?}"))).collect();
        let mut hasher = DefaultHasher::new();
        sorted.hash(&mut hasher);
        hasher.finish()
    }
}

fn grants(rules: &RoleRules) -> &[crate::policy::Grant] {
    match &rules.postgres {
        Extent::Listed(grants) => grants,
        Extent::All => &[],
    }
}

fn add(verbs: &mut BTreeMap<Verb, Columns>, verb: Verb, more: &Columns) {
    match (verbs.get_mut(&verb), more) {
        (Some(Columns::All), _) => {}
        (Some(Columns::Listed(all)), Columns::Listed(more)) => all.extend(more.iter().cloned()),
        (_, more) => drop(verbs.insert(verb, more.clone())),
    }
}

/// Entries of roles that name nothing, or columns that are not there.
pub(super) fn problems(policy: &Policy, catalog: &Catalog) -> Vec<CatalogProblem> {
    let mut problems = Vec::new();
    for rules in policy.roles.iter().flat_map(|r| r.all.values()) {
        for grant in grants(rules) {
            let all = catalog.relations.iter().chain(&catalog.sequences);
            let named: Vec<&Arc<Relation>> = all.filter(|((s, n), _)| grant.names(s, n)).map(|(_, r)| r).collect();
            let problem = |message: String, fix: &str| CatalogProblem { message, fix: fix.into(), place: Some(grant.place.clone()) };
            if named.is_empty() {
                let message = format!("role {}: {}.{} is no relation that tenants have", rules.name, grant.schema, grant.name);
                problems.push(problem(message, "correct the name, list it under `postgres.tables`, or take the entry out"));
                continue;
            }
            let listed: BTreeSet<&String> =
                grant.verbs.values().filter_map(|c| if let Columns::Listed(c) = c { Some(c) } else { None }).flatten().collect();
            for column in listed.into_iter().filter(|c| !named.iter().any(|r| r.has_column(c))) {
                let message = format!("role {}: {}.{} has no column \"{column}\"", rules.name, grant.schema, grant.name);
                problems.push(problem(message, "correct the column's name, or take it out"));
            }
        }
    }
    problems
}

impl super::Judge {
    /// The judge for sessions of this role: the same policy on the same catalog, with its rights, and texts that were judged for it alone.
    pub fn for_role(&self, role: &crate::policy::Role) -> Self {
        let Some(rights) = Rights::of(&self.policy.granted(role), &self.catalog) else {
            return Self { role: role.clone(), ..self.clone() };
        };
        let mut roles = self.roles.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = roles.get(role) {
            return known.clone();
        }
        let mut hasher = DefaultHasher::new();
        (self.catalog.version, rights.digest()).hash(&mut hasher);
        let catalog = Catalog { version: hasher.finish(), rights: Some(rights), ..(*self.catalog).clone() };
        let judge = Self { role: role.clone(), ..Self::new(self.policy.clone(), Arc::new(catalog)) };
        if roles.len() == ROLES {
            roles.clear();
        }
        roles.insert(role.clone(), judge.clone());
        judge
    }

    /// Whose sessions it judges for.
    pub fn role(&self) -> &crate::policy::Role {
        &self.role
    }
}

/// How many roles' judges are kept at a time.
const ROLES: usize = 64;

#[cfg(test)]
#[path = "rights_tests.rs"]
pub(super) mod tests;
