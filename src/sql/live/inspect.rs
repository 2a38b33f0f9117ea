//! `check --live`: keys, foreign keys, indexes, relations and the role, as far as they concern the policy.

use super::code::{Code, Standing};
use super::{Foreign, Key, Live, Note, Severity, Table};
use crate::policy::{Backstop, Policy, TableEntry, TableRule, Through, VerifyRows};
use std::collections::BTreeMap;

/// So many names are told at once.
const NAMES: usize = 20;

/// The schema beside the policy.
pub struct Sight<'a> {
    /// What holds.
    pub policy: &'a Policy,
    /// The schema.
    pub live: &'a Live,
    /// Its code.
    pub code: &'a Code,
}

/// Everything that the schema tells, without a look at rows.
pub fn inspect(sight: &Sight<'_>) -> Vec<Note> {
    let mut notes: Vec<Note> = sight.role().into_iter().collect();
    for table in &sight.live.tables {
        let Some(entry) = sight.live.entry(table) else { continue };
        if matches!(table.kind, 'r' | 'p' | 'm') && sight.live.standing(table) == Standing::Tenants {
            notes.extend(table.keys.iter().filter(|key| !sight.is_inherited(table, key)).filter_map(|key| sight.key(table, entry, key)));
            if table.entry.is_some() {
                notes.extend(sight.index(table, entry));
                notes.extend(sight.counters(table, entry));
            }
        }
    }
    for (child, foreign, parent) in sight.foreign_keys() {
        notes.push(sight.foreign(child, foreign, parent));
    }
    notes.extend(sight.resets());
    super::running::inspect(sight, &mut notes);
    notes.extend(sight.unchecked_rows());
    notes.extend(sight.unlisted());
    notes
}

/// A note at an entry.
pub fn note(entry: Option<&TableEntry>, severity: Severity, message: impl Into<String>, fix: impl Into<String>) -> Note {
    Note { severity, message: message.into(), fix: fix.into(), place: entry.map(|e| e.place.clone()) }
}

/// The tenant column of an entry.
pub fn tenant(entry: &TableEntry) -> Option<&str> {
    match &entry.rule {
        TableRule::Scoped { column, .. } => Some(column),
        _ => None,
    }
}

fn through(entry: &TableEntry) -> Option<&Through> {
    match &entry.rule {
        TableRule::Through(through) => Some(through),
        _ => None,
    }
}

impl<'a> Sight<'a> {
    /// Whether the server guards rows as well.
    pub fn has_backstop(&self) -> bool {
        self.policy.postgres.as_ref().is_some_and(|p| p.backstop == Backstop::Rls)
    }

    fn entry(&self, table: &'a Table) -> Option<&'a TableEntry> {
        self.live.entry(table)
    }

    /// What stands above the tables' own protection; with `backstop: rls` the loader tells of superusers.
    fn role(&self) -> Option<Note> {
        let role = &self.live.role;
        if role.superuser && !self.has_backstop() {
            let message =
                format!("upstream's role \"{}\" is a superuser: nothing but the wall stands between a tenant and the server", role.name);
            return Some(note(
                None,
                Severity::Warning,
                message,
                "connect as a role with the rights that the application needs and no more",
            ));
        }
        let owned: Vec<String> =
            self.live.tables.iter().filter(|t| t.is_table() && t.owned && self.entry(t).is_some()).map(Table::full_name).collect();
        let owns = self.has_backstop() && !role.superuser && !owned.is_empty();
        owns.then(|| {
            let message = format!("upstream's role \"{}\" owns {}: it can take row-level security away", role.name, some(&owned));
            note(None, Severity::Warning, message, "connect as a role that owns no table; `partywall plan` shows one")
        })
    }

    /// Whether a partition has the key because its root has.
    fn is_inherited(&self, table: &Table, key: &Key) -> bool {
        let mut above = self.live.parents.get(&table.oid).into_iter().flatten().filter_map(|parent| self.live.table(*parent));
        above.any(|parent| parent.kind == 'p' && parent.keys.iter().any(|k| k.unique == key.unique && k.columns == key.columns))
    }

    fn key(&self, table: &Table, entry: &TableEntry, key: &Key) -> Option<Note> {
        let has = |column: &str| key.columns.iter().any(|c| c == column);
        let lacking = match (tenant(entry), through(entry)) {
            (Some(column), _) if !has(column) => format!("\"{column}\""),
            (_, Some(through)) if !through.on.iter().all(|(own, _)| has(own)) => {
                let columns: Vec<String> = through.on.iter().map(|(own, _)| format!("\"{own}\"")).collect();
                format!("{}, by which a row finds its tenant", columns.join(", "))
            }
            _ => return None,
        };
        if !key.unique {
            return None;
        }
        let kind = match (key.exclusion, key.primary, key.constraint.is_empty()) {
            (true, ..) => "exclusion constraint",
            (_, true, _) => "primary key",
            (_, _, false) => "unique constraint",
            _ => "unique index",
        };
        let state = if key.exclusion { "23P01" } else { "23505" };
        let message = format!(
            "{kind} \"{}\" of {} lacks {lacking}: a tenant that writes a value which another tenant has is refused ({state}), and so learns of it",
            key.name,
            table.full_name()
        );
        let fix = if tenant(entry).is_some() && !key.exclusion && !key.partial {
            "put the tenant column into the key; `partywall plan` prints how"
        } else {
            "put these columns into the key"
        };
        Some(note(Some(entry), Severity::Warning, message, fix))
    }

    /// Each statement looks for its tenant's rows first.
    fn index(&self, table: &Table, entry: &TableEntry) -> Option<Note> {
        let column = tenant(entry)?;
        let leads = table.keys.iter().any(|k| !k.partial && k.columns.first().is_some_and(|c| c == column));
        (!leads).then(|| {
            let message =
                format!("{} has no index that begins with \"{column}\": each statement reads all tenants' rows", table.full_name());
            note(Some(entry), Severity::Warning, message, "add one; `partywall plan` prints it")
        })
    }

    fn counters(&self, table: &Table, entry: &TableEntry) -> Option<Note> {
        let columns: Vec<String> =
            self.code.counters.iter().filter(|(oid, _)| *oid == table.oid).map(|(_, column)| format!("\"{column}\"")).collect();
        (!columns.is_empty()).then(|| {
            let message = format!(
                "{} of {} is numbered for all tenants together: gaps tell how much others insert",
                columns.join(", "),
                table.full_name()
            );
            note(Some(entry), Severity::Note, message, "use uuid where that must not be known")
        })
    }

    /// Foreign keys by which a row could refer to another tenant's, or to a tenant's from without: child, key, parent.
    pub fn foreign_keys(&self) -> Vec<(&'a Table, &'a Foreign, &'a Table)> {
        let mut all = Vec::new();
        for child in &self.live.tables {
            for foreign in &child.foreign {
                let Some(parent) = self.live.table(foreign.target) else { continue };
                let of_tenants = self.live.standing(parent) == Standing::Tenants;
                if of_tenants && !self.entry(child).zip(self.entry(parent)).is_some_and(|(c, p)| is_within(c, p, parent, foreign)) {
                    all.push((child, foreign, parent));
                }
            }
        }
        all
    }

    fn foreign(&self, child: &'a Table, foreign: &Foreign, parent: &'a Table) -> Note {
        let (name, from, to) = (&foreign.name, child.full_name(), parent.full_name());
        if self.live.standing(child) != Standing::Tenants {
            let message = format!(
                "foreign key \"{name}\" leads from {from}, whose rows no tenant sees as its own, to {to}: its rows decide whether a tenant can delete"
            );
            let entry = self.entry(child).or_else(|| self.entry(parent));
            return note(entry, Severity::Warning, message, "list the table with its tenant column, or drop the foreign key");
        }
        let message = format!(
            "foreign key \"{name}\" from {from} to {to} lacks the tenant: rows may refer to another tenant's, whose owner then cannot delete them, or deletes them along"
        );
        let plain = |t: &'a Table| self.entry(t).is_some_and(|e| tenant(e).is_some());
        let fix = if plain(child) && plain(parent) {
            "put the tenant column into the foreign key; `partywall plan` prints how"
        } else {
            "the wall looks the row up before each write; what others write must do so as well"
        };
        note(self.entry(child), Severity::Warning, message, fix)
    }

    /// Foreign keys that put defaults in the place of what leads to a tenant's row.
    fn resets(&self) -> Vec<Note> {
        let keys = self.live.tables.iter().flat_map(|child| child.foreign.iter().map(move |key| (child, key)));
        let told = keys.filter(|(_, key)| key.on_delete == 'd' || key.on_update == 'd').filter_map(|(child, key)| {
            let parent = self.live.table(key.target).filter(|p| self.live.standing(p) == Standing::Tenants)?;
            let message = format!(
                "foreign key \"{}\" from {} to {} sets defaults, which may lead to another tenant's rows: tenants cannot delete what it refers to, or not change its key",
                key.name,
                child.full_name(),
                parent.full_name()
            );
            let entry = self.entry(child).or_else(|| self.entry(parent));
            Some(note(entry, Severity::Warning, message, "use ON DELETE and ON UPDATE SET NULL, CASCADE or NO ACTION"))
        });
        told.collect()
    }

    /// Of a table with a hidden tenant column `verify_rows` cannot check what a star shows.
    fn unchecked_rows(&self) -> Vec<Note> {
        let Some(postgres) = self.policy.postgres.as_ref().filter(|p| p.verify_rows != VerifyRows::Off) else { return Vec::new() };
        let hidden = postgres.tables.iter().filter(|t| matches!(t.rule, TableRule::Scoped { hidden: true, .. }));
        let told = hidden.map(|entry| {
            let message = format!(
                "`verify_rows` does not check what `SELECT *`, or a whole row, shows of {}.{}: its tenant column is hidden",
                entry.schema, entry.name
            );
            note(Some(entry), Severity::Note, message, "name the columns where rows are to be checked; writes are checked by RETURNING")
        });
        told.collect()
    }

    /// Relations that do not exist for tenants, a note a schema.
    fn unlisted(&self) -> Vec<Note> {
        let mut schemas: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for table in &self.live.tables {
            if self.entry(table).is_none() && !self.code.of_extensions.contains(&table.oid) {
                schemas.entry(&table.schema).or_default().push(table.name.clone());
            }
        }
        let told = schemas.into_iter().map(|(schema, names)| {
            let message =
                format!("the policy does not list these of schema \"{schema}\", so they do not exist for tenants: {}", some(&names));
            note(None, Severity::Note, message, "list what tenants need")
        });
        told.collect()
    }
}

/// Whether the foreign key can lead to nothing but rows of the same tenant.
fn is_within(child: &TableEntry, parent: &TableEntry, table: &Table, foreign: &Foreign) -> bool {
    let pairs = |own: &str, theirs: &str| foreign.columns.iter().any(|(a, b)| a == own && b == theirs);
    match (&child.rule, &parent.rule) {
        (TableRule::Scoped { column: own, .. }, TableRule::Scoped { column: theirs, .. }) => pairs(own, theirs),
        (TableRule::Through(link), _)
            if link.schema == table.schema && link.table == table.name && link.on.iter().all(|(a, b)| pairs(a, b)) =>
        {
            true
        }
        // Both find their tenant by the same row.
        (TableRule::Through(a), TableRule::Through(b)) => {
            let same = |(own, key): &(String, String)| b.on.iter().any(|(theirs, k)| k == key && pairs(own, theirs));
            (&a.schema, &a.table) == (&b.schema, &b.table) && a.on.iter().all(same)
        }
        _ => false,
    }
}

/// The first of many names.
pub fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMES);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
