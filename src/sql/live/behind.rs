//! `backstop: rls` behind views and rules: PostgreSQL reads what these name as their owner, who may be above row-level security, and materialized
//! views and foreign tables hold rows on which there is none ("CREATE VIEW", Notes; "Rules and Privileges").

use super::backstop::{FIX, Who, is_held, is_reached, unheld};
use super::code::Standing;
use super::{Live, Table};
use crate::policy::{TableEntry, TableRule};
use std::collections::HashSet;

/// Before it a view cannot read as the one who asks.
const INVOKERS: u32 = 150_000;
const HAND: &str = "take it out of the policy, or make it a view; take the rights on it away";
const OWNER: &str = "give it to an owner for whom row-level security holds, and force it there; rules are better written as triggers";
const UNLISTED: &str = "list it, as `shared: read` where all tenants may read it, or give it such a policy by hand";

/// A way around row-level security.
pub struct Gap<'a> {
    /// What lets rows through.
    pub table: &'a Table,
    /// How.
    pub message: String,
    /// What mends it.
    pub fix: &'static str,
    by_owner: bool,
}

impl Gap<'_> {
    /// Whether it is gone once the view reads as the one who asks.
    pub fn wants_invoker(&self, live: &Live) -> bool {
        self.by_owner && self.table.kind == 'v' && live.server_version >= INVOKERS
    }
}

/// All of them, each once.
pub fn gaps(live: &Live) -> Vec<Gap<'_>> {
    let mut look = Look { live, seen: HashSet::new(), gaps: Vec::new() };
    for table in &live.tables {
        let listed = table.tenant().is_some() || table.through().is_some();
        let shared = live.standing(table) == Standing::Shared;
        if table.is_table() {
            if is_held(live, table) {
                look.names(table, false);
            }
        } else if listed || (is_reached(live, table) && !shared && holds_tenants(live, table)) {
            look.relation(table, listed);
        }
    }
    look.gaps
}

/// What the role must be allowed to read for a view that reads as the one who asks, and that nothing lists.
pub fn unlisted_below<'a>(live: &'a Live, view: &'a Table) -> Vec<&'a Table> {
    let (mut found, mut next): (Vec<&Table>, Vec<&Table>) = (Vec::new(), vec![view]);
    while let Some(table) = next.pop().filter(|_| found.len() < live.tables.len()) {
        for below in table.reads.iter().filter(|_| table.invoker).filter_map(|r| live.table(r.oid)) {
            if !found.iter().any(|t| t.oid == below.oid) && below.oid != view.oid {
                found.push(below);
                next.push(below);
            }
        }
    }
    found.retain(|t| t.entry.as_ref().is_none_or(|e| e.rule == TableRule::Hidden));
    found
}

/// Whether tenants' rows are in it.
fn holds_tenants(live: &Live, table: &Table) -> bool {
    let (mut seen, mut next) = (HashSet::from([table.oid]), vec![table]);
    while let Some(table) = next.pop() {
        if live.standing(table) == Standing::Tenants {
            return true;
        }
        next.extend(table.reads.iter().filter_map(|r| live.table(r.oid)).filter(|t| seen.insert(t.oid)));
    }
    false
}

struct Look<'a> {
    live: &'a Live,
    seen: HashSet<(u32, bool)>,
    gaps: Vec<Gap<'a>>,
}

impl<'a> Look<'a> {
    /// Anything but a table; `all`: whatever it shows is taken for tenants' rows.
    fn relation(&mut self, table: &'a Table, all: bool) {
        let kind = match table.kind {
            'v' => return self.names(table, all),
            'm' => "a materialized view",
            _ => "a foreign table",
        };
        if self.seen.insert((table.oid, all)) {
            self.add((table, false), format!("{} is {kind}: there is no row-level security on it", table.full_name()), HAND);
        }
    }

    /// What a view, or the rules of a table, name.
    fn names(&mut self, table: &'a Table, all: bool) {
        if !self.seen.insert((table.oid, all)) {
            return;
        }
        for read in table.reads.iter().filter(|r| r.kind != 'S') {
            match self.live.table(read.oid) {
                Some(below) if !all && !holds_tenants(self.live, below) => {}
                None if !all => {}
                None => {
                    let message = format!("{} names {}, where there is no row-level security", table.full_name(), read.name);
                    self.add((table, false), message, HAND);
                }
                Some(below) if self.live.standing(below) == Standing::Shared => {}
                Some(below) if below.is_table() => self.table_below(table, below),
                Some(below) => self.relation(below, all),
            }
        }
    }

    fn table_below(&mut self, above: &'a Table, below: &'a Table) {
        let (name, owner) = (above.full_name(), &above.owner);
        let asks = above.kind == 'v' && above.invoker;
        if !asks && owner.above {
            let message =
                format!("{name} names {} as its owner \"{}\", for whom row-level security does not hold", below.full_name(), owner.name);
            return self.add((above, true), message, self.fix(above));
        }
        // It is judged by itself.
        if asks && is_held(self.live, below) {
            return;
        }
        let who = if asks { Who::Role } else { Who::Owner(above) };
        if let Some(why) = why_unheld(self.live, below, who) {
            let whose = if asks { String::new() } else { format!(" as its owner \"{}\"", owner.name) };
            let fix = match (asks, self.live.standing(below)) {
                (_, Standing::Unlisted | Standing::Hidden) => UNLISTED,
                (true, _) => FIX,
                (false, _) => self.fix(above),
            };
            self.add((above, !asks), format!("{name} names {}{whose}, and {why}", below.full_name()), fix);
        }
    }

    fn fix(&self, above: &Table) -> &'static str {
        if above.kind == 'v' && self.live.server_version >= INVOKERS { FIX } else { OWNER }
    }

    fn add(&mut self, (table, by_owner): (&'a Table, bool), message: String, fix: &'static str) {
        if !self.gaps.iter().any(|g| g.message == message) {
            self.gaps.push(Gap { table, message, fix, by_owner });
        }
    }
}

/// Why a table below a view does not show its tenant's rows alone. Where the policy does not say which column tells the tenant, it is the one
/// that row-level security asks for.
fn why_unheld(live: &Live, table: &Table, who: Who<'_>) -> Option<String> {
    if live.standing(table) == Standing::Tenants {
        return unheld(table, live, who).into_iter().next();
    }
    let mut all = table.columns.iter().map(|column| {
        let place = live.entry(table).map(|e| e.place.clone());
        let place = place.unwrap_or_else(|| crate::policy::Place { file: "".into(), line: 0, column: 0 });
        let rule = TableRule::Scoped { column: column.name.clone(), hidden: false };
        let entry = TableEntry { schema: table.schema.clone(), name: table.name.clone(), rule, place };
        unheld(&Table { entry: Some(entry), ..table.clone() }, live, who)
    });
    match all.any(|told| told.is_empty()) {
        true => None,
        false if !table.rls => Some(format!("row-level security is not enabled on {}", table.full_name())),
        false => Some(format!("no policy there holds each row of {} to its tenant", table.full_name())),
    }
}

#[cfg(test)]
#[path = "behind_tests.rs"]
mod tests;
