//! Sessions with another search_path than the default: the same policy, names looked up in other schemas. Names are sent qualified, so what upstream
//! itself would find by its path does not matter.

use super::catalog::Catalog;
use super::private::Temps;
use super::{Judge, Refusal};
use std::sync::{Arc, PoisonError};

/// How many paths are kept at a time.
const PATHS: usize = 8;

impl Judge {
    /// The judge for a session with another path than this one's.
    pub(super) fn elsewhere(&self, temps: &Temps) -> Option<Judge> {
        let path = temps.path().filter(|path| ***path != *self.catalog.search_path)?;
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = paths.get(path) {
            return Some(known.clone());
        }
        let catalog = Arc::new(Catalog { search_path: path.to_vec(), ..(*self.catalog).clone() });
        #[allow(unused_mut, reason = "only in a build for the mutation check")]
        let mut judge = Judge::new(self.policy.clone(), catalog);
        #[cfg(feature = "mutants")]
        {
            judge.mutation = self.mutation;
        }
        if paths.len() == PATHS {
            paths.clear();
        }
        paths.insert(path.clone(), judge.clone());
        Some(judge)
    }
}

/// The schemas that a setting of search_path means; None where the wall does not know what it means. `values` are the names between commas.
pub fn path(catalog: &Catalog, values: &[String]) -> Option<Arc<[String]>> {
    let own = |name: &&String| !name.is_empty() && *name != "$user";
    let named: Vec<String> = values.iter().filter(own).cloned().collect();
    if named == catalog.search_path {
        return Some(named.into());
    }
    let known = |name: &String| {
        let has = |(schema, _): &(String, String)| schema == name;
        let listed = || catalog.relations.keys().any(has) || catalog.functions.iter().any(has) || catalog.search_path.contains(name);
        (catalog.system.namespaces.contains_key(name) || listed()) && !name.starts_with("pg_") && name != "information_schema"
    };
    // pg_catalog comes first where it is not named, and must not come later: what it hides would show.
    let rest = named.strip_prefix(&["pg_catalog".to_owned()]).unwrap_or(&named);
    (rest.iter().all(known) && !values.iter().any(|v| v == "$user")).then(|| rest.into())
}

/// The schemas that these names of search_path mean to a tenant. Errors: 42501 where [`path`] knows none, or, in a schema of the tenant's own, where it is
/// another than `public`; and where there are no names.
pub fn meant(catalog: &Catalog, names: Option<Vec<String>>) -> Result<Arc<[String]>, Refusal> {
    let own = |names: &Vec<String>| !names.is_empty() && names.iter().all(|name| matches!(name.as_str(), "public" | "$user"));
    names.filter(|names| catalog.home.schema().is_none() || own(names)).and_then(|names| path(catalog, &names)).ok_or_else(refused)
}

/// Why a path is refused.
pub fn refused() -> Refusal {
    Refusal::not_allowed("permission denied to set parameter \"search_path\"")
        .detail("It may name schemas that the policy lists tables of, or none.")
}

/// The names in a value of `set_config`, or of a startup message, as PostgreSQL's SplitIdentifierString reads them; None where it is anything but plain.
pub fn names(value: &str) -> Option<Vec<String>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
    let name = |part: &str| match part.trim().strip_prefix('"').and_then(|p| p.strip_suffix('"')) {
        Some(quoted) => (!quoted.contains('"')).then(|| quoted.to_owned()),
        None => part.trim().chars().all(plain).then(|| part.trim().to_ascii_lowercase()),
    };
    let names: Vec<String> = value.split(',').map(name).collect::<Option<_>>()?;
    let empty = names.len() > 1 && names.iter().any(String::is_empty);
    (!empty).then_some(names)
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
