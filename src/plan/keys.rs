//! Keys within a tenant: each unique key and each foreign key between scoped tables gains the tenant column.

use super::{Phase, Step, name_of, step};
use crate::sql::live::names::ident;
use crate::sql::live::{Foreign, Key, Live, Table};

/// Whether the migration gives the table an index that begins with its tenant column.
pub fn will_lead(live: &Live, table: &Table, column: &str) -> bool {
    table.keys.iter().any(|k| is_wide(k, column) && !k.partial && !k.exclusion && !is_relied_on(live, table, k))
}

/// A unique key that holds over all tenants.
fn is_wide(key: &Key, column: &str) -> bool {
    key.unique && !key.columns.iter().any(|c| c == column)
}

/// Whether rows of a `through` table find their owner by this key.
pub fn is_relied_on(live: &Live, table: &Table, key: &Key) -> bool {
    let children = live.tables.iter().filter_map(Table::through).filter(|t| t.schema == table.schema && t.table == table.name);
    let mut children = children.map(|t| &t.on);
    !key.partial && children.any(|on| key.columns.iter().all(|c| on.iter().any(|(_, theirs)| theirs == c)))
}

/// Keys that hold over all tenants become keys within one: new index, then foreign keys that hang on the old one go, the constraint is
/// exchanged, and they come back with the tenant column.
pub fn constrain(live: &Live, scoped: &[(&Table, &str)], steps: &mut Vec<Step>) {
    let narrow = foreign_keys(live, scoped);
    for (table, foreign, _) in &narrow {
        let sql = format!("ALTER TABLE {} DROP CONSTRAINT {}", name_of(table), ident(&foreign.name));
        steps.push(step(Phase::Constrain, sql, "comes back with the tenant column", table));
    }
    for (table, column) in scoped {
        let wide: Vec<&Key> = table.keys.iter().filter(|k| is_wide(k, column) && !is_relied_on(live, table, k)).collect();
        wide.into_iter().for_each(|key| exchange(table, column, key, steps));
    }
    for (table, foreign, clause) in &narrow {
        let (name, constraint) = (name_of(table), ident(&foreign.name));
        let sql = format!("ALTER TABLE {name} ADD CONSTRAINT {constraint} {clause} NOT VALID");
        steps.push(step(Phase::Constrain, sql, "no row refers to another tenant's", table));
        let sql = format!("ALTER TABLE {name} VALIDATE CONSTRAINT {constraint}");
        steps.push(step(Phase::Constrain, sql, "fails where a row does so already", table));
    }
}

fn exchange(table: &Table, column: &str, key: &Key, steps: &mut Vec<Step>) {
    let (name, quoted) = (name_of(table), ident(column));
    if key.partial || key.exclusion || key.columns.iter().any(String::is_empty) {
        let sql = format!("-- {name}: \"{}\" needs {quoted} as well", key.name);
        let why = "an exclusion constraint, or one with an expression or a condition, is written again by hand";
        return steps.push(step(Phase::Constrain, sql, why, table));
    }
    let columns: Vec<String> = std::iter::once(quoted).chain(key.columns.iter().map(|c| ident(c))).collect();
    let index = ident(&shortened(&format!("{}_{column}", key.name)));
    let sql = format!("CREATE UNIQUE INDEX CONCURRENTLY {index} ON {name} ({})", columns.join(", "));
    steps.push(step(Phase::Index, sql, format!("\"{}\" tells one tenant what another has", key.name), table));
    if key.constraint.is_empty() {
        let sql = format!("DROP INDEX {}.{}", ident(&table.schema), ident(&key.name));
        return steps.push(step(Phase::Constrain, sql, "its place is taken", table));
    }
    let kind = if key.primary { "PRIMARY KEY" } else { "UNIQUE" };
    let constraint = ident(&key.constraint);
    let sql = format!("ALTER TABLE {name} DROP CONSTRAINT {constraint}, ADD CONSTRAINT {constraint} {kind} USING INDEX {index}");
    steps.push(step(Phase::Constrain, sql, "the same key, within a tenant", table));
}

/// Foreign keys between scoped tables that do not hold the tenant column on both sides, with the clause that does.
fn foreign_keys<'a>(live: &'a Live, scoped: &[(&'a Table, &str)]) -> Vec<(&'a Table, &'a Foreign, String)> {
    let tenant_of = |oid: u32| scoped.iter().find(|(t, _)| t.oid == oid).map(|(_, c)| (*c).to_owned());
    let mut all = Vec::new();
    for (table, column) in scoped {
        for foreign in &table.foreign {
            let (Some(target), Some(theirs)) = (live.table(foreign.target), tenant_of(foreign.target)) else { continue };
            if !foreign.columns.iter().any(|(own, other)| own == column && *other == theirs) {
                all.push((*table, foreign, clause(column, foreign, target, &theirs)));
            }
        }
    }
    all
}

fn clause(column: &str, foreign: &Foreign, target: &Table, theirs: &str) -> String {
    let list = |first: &str, rest: Vec<String>| std::iter::once(ident(first)).chain(rest).collect::<Vec<_>>().join(", ");
    let own: Vec<String> = foreign.columns.iter().map(|(own, _)| ident(own)).collect();
    let other: Vec<String> = foreign.columns.iter().map(|(_, other)| ident(other)).collect();
    // Only the client's columns may become NULL; a row without a tenant would be nobody's.
    let action = |letter: char, columns: &str| match letter {
        'r' => " RESTRICT".to_owned(),
        'c' => " CASCADE".into(),
        'n' => format!(" SET NULL{columns}"),
        'd' => format!(" SET DEFAULT{columns}"),
        _ => String::new(),
    };
    let only = format!(" ({})", own.join(", "));
    let on = |event: &str, action: String| if action.is_empty() { String::new() } else { format!(" ON {event}{action}") };
    let mut text = format!("FOREIGN KEY ({}) REFERENCES {} ({})", list(column, own), name_of(target), list(theirs, other));
    text.push_str(&on("DELETE", action(foreign.on_delete, &only)));
    text.push_str(&on("UPDATE", action(foreign.on_update, "")));
    if foreign.deferrable {
        text.push_str(if foreign.deferred { " DEFERRABLE INITIALLY DEFERRED" } else { " DEFERRABLE" });
    }
    text
}

/// PostgreSQL cuts longer names off.
fn shortened(name: &str) -> String {
    let mut end = name.len().min(63);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_owned()
}
