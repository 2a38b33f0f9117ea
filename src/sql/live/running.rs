//! `check --live`: the operator's code that runs for tenants, and what it touches.

use super::code::{Code, Routine, Standing};
use super::inspect::{Sight, note};
use super::reach::{Follow, Reach};
use super::touched::Touched;
use super::{Note, Severity, Table};
use crate::policy::{FunctionEntry, TableRule};

const UNGUARDED: &str = "code inside a function is not rewritten: let it read only what it is given, or take it out of `functions`";
const LOOK: &str = "look at what it does with rows that are not the tenant's own";

/// Adds the notes.
pub fn inspect(sight: &Sight<'_>, notes: &mut Vec<Note>) {
    for entry in sight.policy.postgres.iter().flat_map(|p| &p.functions) {
        listed(sight, entry, notes);
    }
    for table in &sight.live.tables {
        let standing = sight.live.standing(table);
        if standing == Standing::Tenants {
            triggers(sight, table, notes);
            expressions(sight, table, notes);
        }
        if matches!(standing, Standing::Tenants | Standing::Shared) {
            rules(sight, table, notes);
            views(sight, table, notes);
        }
    }
    for (name, function) in &sight.code.events {
        let reach = Follow::new(sight.live, sight.code).routine(*function);
        let what = format!("event trigger \"{name}\" runs for tenants' temporary tables: {}", named(sight.code, *function));
        notes.push(told(sight, None, &what, &reach, LOOK));
    }
}

/// What the name is, and what it comes to; quiet code is only told of.
fn told(sight: &Sight<'_>, table: Option<&Table>, what: &str, reach: &Reach, fix: &str) -> Note {
    let entry = table.and_then(|t| sight.live.entry(t));
    let (severity, held) = weight(sight, reach);
    let fix = if severity == Severity::Note { "nothing, where that is meant" } else { fix };
    note(entry, severity, format!("{what} {}{held}", reach.describe()), fix)
}

fn weight(sight: &Sight<'_>, reach: &Reach) -> (Severity, &'static str) {
    if reach.is_quiet() && reach.definers.is_empty() {
        return (Severity::Note, "");
    }
    if sight.has_backstop() && reach.is_held_by_rows() && reach.loose.is_empty() {
        return (Severity::Note, "; row-level security holds there");
    }
    (Severity::Warning, "")
}

fn named(code: &Code, function: u32) -> String {
    code.routines
        .get(&function)
        .map_or_else(|| "a function of PostgreSQL's own".to_owned(), |r| format!("{} ({})", r.full_name(), r.language))
}

fn listed(sight: &Sight<'_>, entry: &FunctionEntry, notes: &mut Vec<Note>) {
    let path = std::slice::from_ref(&entry.schema);
    let name = (entry.schema.clone(), entry.name.clone());
    let all: Vec<(u32, &Routine)> = sight.code.named(&name, path).collect();
    let mut say = |severity, message: String, fix: &str| {
        notes.push(Note { severity, message, fix: fix.into(), place: Some(entry.place.clone()) });
    };
    if all.len() > 1 {
        let each: Vec<String> = all.iter().map(|(_, r)| r.full_name()).collect();
        say(Severity::Warning, format!("a name lists all functions of that name: {}", each.join(", ")), "give one of them another name");
    }
    if !all.is_empty() && !all.iter().any(|(_, r)| r.count as usize == entry.arguments.len()) {
        let message = format!("no function {}.{} takes {} arguments", entry.schema, entry.name, entry.arguments.len());
        say(Severity::Warning, message, "write the arguments as the function has them");
    }
    for (oid, routine) in all {
        let reach = Follow::new(sight.live, sight.code).routine(oid);
        let full = routine.full_name();
        let (severity, held) = weight(sight, &reach);
        let fix = if severity == Severity::Note { "nothing, where that is meant" } else { UNGUARDED };
        say(severity, format!("{full} ({}) {}{held}", routine.language, reach.describe()), fix);
        for definer in &reach.definers {
            let message = format!("{definer}, is SECURITY DEFINER: it has its owner's rights, over rows too");
            say(Severity::Warning, message, "make it SECURITY INVOKER, or see that it looks at nothing but its arguments");
        }
        for loose in &reach.loose {
            let message = format!(
                "{loose} does not fix its search_path: the session decides what its names mean, and may have made temporary tables of that name"
            );
            say(Severity::Warning, message, "ALTER FUNCTION … SET search_path = …, pg_temp, or write the names with their schemas");
        }
    }
}

fn triggers(sight: &Sight<'_>, table: &Table, notes: &mut Vec<Note>) {
    for trigger in sight.code.triggers.iter().filter(|t| t.relation == table.oid) {
        let mut reach = Follow::new(sight.live, sight.code).routine(trigger.function);
        let condition = Follow::new(sight.live, sight.code).touched(&trigger.condition);
        reach.calls.extend(condition.calls);
        reach.barred.extend(condition.barred);
        let function = named(sight.code, trigger.function);
        let mut what = format!("trigger \"{}\" of {} runs {function} for tenants:", trigger.name, table.full_name());
        if !reach.definers.is_empty() {
            what.push_str(" SECURITY DEFINER;");
        }
        if !reach.loose.is_empty() {
            what.push_str(" search_path not fixed;");
        }
        notes.push(told(sight, Some(table), &what, &reach, LOOK));
    }
}

fn expressions(sight: &Sight<'_>, table: &Table, notes: &mut Vec<Note>) {
    for expression in sight.code.expressions.iter().filter(|e| e.relation == table.oid) {
        let reach = Follow::new(sight.live, sight.code).touched(&expression.touched);
        // A policy asks for the tenant by a setting; the backstop's own reader judges it.
        let plain = reach.calls.is_empty() && reach.barred.is_empty() && reach.opaque.is_empty();
        if !plain && expression.kind != "policy" || !reach.calls.is_empty() {
            let what = format!("{} \"{}\" of {} runs code for tenants:", expression.kind, expression.name, table.full_name());
            notes.push(told(sight, Some(table), &what, &reach, LOOK));
        }
    }
}

fn rules(sight: &Sight<'_>, table: &Table, notes: &mut Vec<Note>) {
    for (_, name, text) in sight.code.rules.iter().filter(|(oid, ..)| *oid == table.oid) {
        let reach = Follow::new(sight.live, sight.code).touched(&Touched::of_statement(text));
        let entry = sight.live.entry(table);
        let message = format!("rule \"{name}\" rewrites statements on {} behind the wall: it {}", table.full_name(), reach.describe());
        notes.push(note(entry, Severity::Warning, message, "write a trigger instead, or drop the rule"));
    }
}

fn views(sight: &Sight<'_>, table: &Table, notes: &mut Vec<Note>) {
    let Some((definition, owner)) = sight.code.views.get(&table.oid) else { return };
    let Some(entry) = sight.live.entry(table) else { return };
    let reach = Follow::new(sight.live, sight.code).touched(&Touched::of_statement(definition));
    let of =
        |standing: Standing| reach.relations.iter().filter(move |(_, (s, _))| *s == standing).map(|(n, _)| n.clone()).collect::<Vec<_>>();
    let full = table.full_name();
    if entry.rule == TableRule::SharedRead && !of(Standing::Tenants).is_empty() {
        let message = format!("{full} is `shared: read` and shows all tenants the rows of {}", of(Standing::Tenants).join(", "));
        notes.push(note(
            Some(entry),
            Severity::Warning,
            message,
            "list it as `scoped`, with the column that tells the tenant, unless that is meant",
        ));
    }
    let foreign = *owner != sight.live.role.name && !table.invoker && table.kind == 'v';
    if entry.rule == TableRule::SharedRead && foreign && (!of(Standing::Tenants).is_empty() || !of(Standing::Hidden).is_empty()) {
        let message = format!("{full} reads by the rights of its owner \"{owner}\", past row-level security on the caller");
        notes.push(note(Some(entry), Severity::Warning, message, "ALTER VIEW … SET (security_invoker = true)"));
    }
    if !reach.definers.is_empty() {
        let all: Vec<String> = reach.definers.iter().cloned().collect();
        let message = format!("{full} calls what is SECURITY DEFINER: {}", all.join("; "));
        notes.push(note(Some(entry), Severity::Warning, message, LOOK));
    }
    let code = !reach.calls.is_empty() || !reach.barred.is_empty();
    if entry.rule == TableRule::SharedRead && code {
        notes.push(told(sight, Some(table), &format!("{full} runs code for tenants: it"), &reach, LOOK));
    }
}
