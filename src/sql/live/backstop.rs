//! `backstop: rls`: the policy once more, as row-level security. The wall tells the server whose a connection is by a setting that no tenant
//! can reach; the server then shows that tenant's rows alone, whatever statement arrives.

use super::behind;
use super::code::Standing;
use super::names::ident;
use super::{Live, Note, Role, RowPolicy, Severity, Table};
use crate::policy::{Backstop, Policy};
use crate::sql::catalog::{CatalogProblem, Rows};
use crate::sql::parse;
use std::collections::HashMap;

/// The setting that holds the tenant of a connection.
pub const SETTING: &str = "partywall.tenant";
/// The name of the policies that `plan` writes.
pub const POLICY: &str = "partywall";

/// What mends most of it.
pub const FIX: &str = "run what `partywall plan` prints";

/// What a tenant column is compared with: read once a statement, not once a row. NULL, and so no row, where nothing is set.
pub fn tenant_value(type_oid: u32) -> String {
    let setting = format!("pg_catalog.current_setting('{SETTING}', true)");
    match cast(type_oid) {
        Some(cast) => format!("(SELECT NULLIF({setting}, '')::{cast})"),
        None => format!("(SELECT {setting})"),
    }
}

/// The type that the setting's text is read as; None where it is compared as text.
fn cast(type_oid: u32) -> Option<&'static str> {
    match type_oid {
        20 => Some("bigint"),
        21 => Some("smallint"),
        23 => Some("integer"),
        2950 => Some("uuid"),
        _ => None,
    }
}

/// What of the backstop is not there: the wall does not start so.
pub fn problems(policy: &Policy, answers: &HashMap<&'static str, Rows>) -> Vec<CatalogProblem> {
    let to_problem = |n: Note| CatalogProblem { message: n.message, fix: n.fix, place: n.place };
    let notes = inspect(policy, &Live::read(policy, answers));
    notes.into_iter().filter(|n| n.severity == Severity::Error).map(to_problem).collect()
}

/// What of the backstop is not there; nothing where the policy asks for none.
pub fn inspect(policy: &Policy, live: &Live) -> Vec<Note> {
    if policy.postgres.as_ref().is_none_or(|p| p.backstop == Backstop::None) {
        return Vec::new();
    }
    let mut notes: Vec<Note> = role(&live.role).into_iter().collect();
    for table in live.tables.iter().filter(|t| t.is_table() && is_held(live, t)) {
        let told = unheld(table, live, Who::Role);
        notes.extend(told.into_iter().map(|m| table.note(Severity::Error, format!("`backstop: rls`: {m}"), FIX)));
    }
    for gap in behind::gaps(live) {
        notes.push(gap.table.note(Severity::Error, format!("`backstop: rls`: {}", gap.message), gap.fix));
    }
    notes
}

/// Whether row-level security has to hold on a relation: where the policy lists it as tenants' rows, and where it is part of such a table and
/// upstream's role may name it by itself.
pub fn is_held(live: &Live, table: &Table) -> bool {
    let listed = table.tenant().is_some() || table.through().is_some();
    listed || (is_reached(live, table) && live.standing(table) == Standing::Tenants)
}

/// Whether upstream's role may name it, though nothing lists it. Above row-level security it may name all.
pub fn is_reached(live: &Live, table: &Table) -> bool {
    table.open && !live.role.superuser && !live.role.bypasses
}

fn role(role: &Role) -> Option<Note> {
    let why = match (role.superuser, role.bypasses, &role.above) {
        (true, ..) => "is a superuser".to_owned(),
        (false, true, _) => "has BYPASSRLS".to_owned(),
        (_, _, Some(above)) => format!("is a member of \"{above}\""),
        _ => return None,
    };
    let message = format!("`backstop: rls`: upstream's role \"{}\" {why}, so row-level security does not hold for it", role.name);
    let fix = "connect as a role with NOSUPERUSER and NOBYPASSRLS that owns no table; `partywall plan` shows one".into();
    Some(Note { severity: Severity::Error, message, fix, place: None })
}

/// As whom a relation is read.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// The role that the wall connects as.
    Role,
    /// The owner of this view, or of the table with this rule.
    Owner(&'a Table),
}

/// Why row-level security does not hold a relation's rows to their tenant for those who read it so.
pub fn unheld(table: &Table, live: &Live, who: Who<'_>) -> Vec<String> {
    let (name, role) = (table.full_name(), &live.role);
    let mut told = Vec::new();
    if !table.rls {
        told.push(format!("row-level security is not enabled on {name}"));
    } else {
        match who {
            Who::Role if table.owned && !table.forced && !role.superuser => {
                told.push(format!("\"{}\" owns {name}, and row-level security is not forced on its owner", role.name));
            }
            Who::Owner(_) if !table.forced => told.push(format!("row-level security is not forced on {name}")),
            _ => {}
        }
    }
    let table = &Table { entry: live.entry(table).cloned(), ..table.clone() };
    let Some(wanted) = condition(live, table, &ident(&table.name), &|_| 0) else { return told };
    let applies = |p: &RowPolicy| match who {
        Who::Role => p.applies,
        Who::Owner(view) => p.owners.contains(&view.owner.oid),
    };
    let applying = || table.policies.iter().filter(|p| applies(p) && p.permissive);
    let is_sound = |p: &RowPolicy| [&p.using, &p.check].iter().all(|e| e.is_empty() || says(e, &wanted, table, live));
    for policy in applying().filter(|p| !is_sound(p)) {
        told.push(format!("policy \"{}\" on {name} lets rows through that are not the tenant's, or cannot be read", policy.name));
    }
    if !applying().any(|p| p.command == '*' && !p.using.is_empty() && is_sound(p)) {
        told.push(format!("{name} has no policy for ALL that asks for the tenant of {SETTING}"));
    }
    told
}

/// What row-level security asks of a row of `table`, which the expression calls by `name`. None where the policy says nothing of whose it is.
/// `type_of` is the type of a tenant column that is still to come.
pub fn condition(live: &Live, table: &Table, name: &str, type_of: &dyn Fn(&str) -> u32) -> Option<String> {
    if let Some(column) = table.tenant() {
        let type_oid = table.column(column).map_or_else(|| type_of(column), |c| c.type_oid);
        return Some(format!("{name}.{} = {}", ident(column), tenant_value(type_oid)));
    }
    let through = table.through()?;
    let parent = live.named(&through.schema, &through.table)?;
    let depth = name.strip_prefix("up").and_then(|n| n.parse().ok()).unwrap_or(0u32) + 1;
    let alias = format!("up{depth}");
    let links: Vec<String> = through.on.iter().map(|(own, theirs)| format!("{alias}.{} = {name}.{}", ident(theirs), ident(own))).collect();
    let above = condition(live, parent, &alias, type_of)?;
    Some(format!(
        "EXISTS (SELECT FROM {}.{} {alias} WHERE {} AND {above})",
        ident(&parent.schema),
        ident(&parent.name),
        links.join(" AND ")
    ))
}

/// Whether an expression that the server printed is the wanted one, up to brackets, casts, and how the setting is read.
fn says(printed: &str, wanted: &str, table: &Table, live: &Live) -> bool {
    let schemas: Vec<&str> = live.tables.iter().map(|t| t.schema.as_str()).chain(["pg_catalog"]).collect();
    match (words(printed, &schemas, &table.name), words(wanted, &schemas, &table.name)) {
        (Some(printed), Some(wanted)) => printed == wanted,
        _ => false,
    }
}

/// The words of an expression without those that the server adds or leaves out as it likes.
fn words(expression: &str, schemas: &[&str], table: &str) -> Option<Vec<String>> {
    let tokens = parse::scan(expression).ok()?.tokens;
    let all: Vec<&str> = tokens.iter().map(|t| expression.get(t.start as usize..t.end as usize).unwrap_or_default()).collect();
    let bare =
        |word: &str| word.strip_prefix('"').and_then(|w| w.strip_suffix('"')).map_or_else(|| word.to_owned(), |w| w.replace("\"\"", "\""));
    let is = |at: usize, word: &str| all.get(at).is_some_and(|w| w.eq_ignore_ascii_case(word));
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(word) = all.get(at) {
        let dotted = is(at + 1, ".") && (schemas.contains(&bare(word).as_str()) || bare(word) == table);
        at += match *word {
            "(" | ")" => 1,
            "::" if is(at + 1, "character") || is(at + 1, "double") => 3,
            "::" => 2,
            "," if is(at + 1, "true") || is(at + 1, "''") => 2,
            w if w.eq_ignore_ascii_case("as") => 2,
            w if w.eq_ignore_ascii_case("select") || w.eq_ignore_ascii_case("nullif") => 1,
            _ if dotted => 2,
            w => {
                out.push(bare(w));
                1
            }
        };
    }
    Some(out)
}

#[cfg(test)]
#[path = "backstop_tests.rs"]
mod tests;
