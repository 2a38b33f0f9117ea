//! Tenants' own databases: the upstream of each, and that no two places are one.

use super::document::{Node, Reader};
use super::{Listener, Upstream};
use crate::policy::layout::{Layout, NamePattern};
use crate::policy::{Home, Policy};
use std::collections::BTreeMap;

impl Listener {
    /// The server and database of a place; None where the file has no such upstream.
    pub fn upstream_of(&self, home: &Home) -> Option<Upstream> {
        place(&self.upstream, &self.upstreams, home)
    }
}

fn place(own: &Upstream, all: &[Upstream], home: &Home) -> Option<Upstream> {
    let Home::Database { upstream, name } = home else { return Some(own.clone()) };
    let mut found = match upstream {
        Some(wanted) => all.iter().find(|u| u.name == *wanted)?.clone(),
        None => own.clone(),
    };
    if let Some(name) = name {
        found.database.clone_from(name);
    }
    Some(found)
}

/// Each place has its upstream, and is no other's and not the shared one.
pub(super) fn check(reader: &mut Reader<'_>, at: &Node, policy: &Policy, own: &Upstream, all: &[Upstream]) {
    let Some(postgres) = &policy.postgres else { return };
    let mut seen: BTreeMap<(String, String), String> = BTreeMap::new();
    seen.insert((own.address.clone(), own.database.clone()), "the listener's own database".into());
    for (tenant, layout) in postgres.layouts.all() {
        let Layout::Database { name, upstream } = layout else { continue };
        if let Some(missing) = upstream.as_ref().filter(|u| !all.iter().any(|known| known.name == **u)) {
            reader.say(at, format!("the policy places tenants on `{missing}`, and no upstream is named so"), "add it to `upstreams:`");
            continue;
        }
        match tenant {
            Some(id) => {
                let Some(found) = place(own, all, &layout.home(id)) else { continue };
                if let Some(other) = seen.insert((found.address, found.database.clone()), format!("tenant `{id}`")) {
                    reader.say(at, format!("tenant `{id}` and {other} would share the database `{}`", found.database), "give each its own");
                }
            }
            // Another address is another server as far as a file can tell.
            None => {
                let there = place(own, all, &layout.home("x")).is_some_and(|p| p.address == own.address);
                let id = name.as_ref().and_then(|pattern: &NamePattern| pattern.tenant(&own.database)).filter(|_| there);
                if let Some(id) = id.filter(|id| policy.tenants.accept(id).is_some() && !postgres.layouts.tenants.contains_key(*id)) {
                    reader.say(
                        at,
                        format!("tenant `{id}` would live in the listener's own database `{}`", own.database),
                        "give one of them another name",
                    );
                }
            }
        }
    }
}
