//! The lines of DETAIL that name what depends on what (dependency.c, reportDependentObjects; objectaddress.c, getObjectDescription): those are kept
//! in which each object is known to be the tenant's. What cannot be read is not.

use crate::sql::Catalog;

/// The lines that may be told. `strict`: every line is one of these; else only those that look so.
pub fn known(detail: &str, strict: bool, catalog: &Catalog) -> String {
    let told = |line: &&str| match line.split_once(" depends on ") {
        Some((object, on)) => is_known(object, catalog) && is_known(on, catalog),
        None => match line.strip_prefix("Table \"").and_then(|l| l.strip_suffix("\".")).and_then(|l| l.split_once("\" references \"")) {
            Some((table, on)) => catalog.has_named(None, table) && catalog.has_named(None, on),
            // In another language it would be told by its quotes alone.
            None => !strict && !line.contains(['\"', '\u{ab}', '\u{bb}', '\u{201e}', '\u{201c}']),
        },
    };
    detail.lines().filter(told).collect::<Vec<_>>().join("\n")
}

/// `cannot drop index i because constraint c on table t requires it` without what requires it, where that is not known.
pub fn without_owner(message: &str, catalog: &Catalog) -> Option<String> {
    let (kept, rest) = message.rsplit_once(" because ")?;
    let owner = rest.strip_suffix(" requires it")?;
    (!is_known(owner, catalog)).then(|| format!("{kept} because other objects depend on it"))
}

/// A relation of any kind.
const RELATIONS: &[&str] = &["table ", "view ", "materialized view ", "sequence ", "index "];
/// What stands `… name on` a relation.
const ON: &[&str] = &["constraint ", "rule ", "trigger ", "policy "];

/// Whether this is an object of the tenant's.
fn is_known(object: &str, catalog: &Catalog) -> bool {
    let object = object.strip_prefix("default value for ").unwrap_or(object);
    // These names are printed as they are; that of the relation behind them is quoted where it must be.
    if let Some(rest) = object.strip_prefix("column ") {
        // Of the table that the statement names, where it stands alone.
        let alone = name(rest).is_some_and(|(schema, _, rest)| schema.is_none() && rest.is_empty());
        return alone || rest.rsplit_once(" of ").is_some_and(|(_, r)| is_relation(r, catalog));
    }
    if let Some(rest) = ON.iter().find_map(|kind| object.strip_prefix(kind)) {
        return rest.rsplit_once(" on ").is_some_and(|(_, r)| is_relation(r, catalog));
    }
    if let Some(rest) = object.strip_prefix("type ") {
        let (schema, named, rest) = name(rest).unwrap_or_default();
        let here = schema.is_none_or(|s| catalog.is_seen(&s));
        return here && rest.trim_end_matches("[]").is_empty() && (catalog.types.contains_key(&named) || catalog.has_named(None, &named));
    }
    is_relation(object, catalog)
}

fn is_relation(text: &str, catalog: &Catalog) -> bool {
    let named = RELATIONS.iter().find_map(|kind| text.strip_prefix(kind)).and_then(name);
    named.is_some_and(|(schema, named, rest)| rest.is_empty() && catalog.has_named(schema.as_deref(), &named))
}

/// A name, with a schema or without, and what follows it.
fn name(text: &str) -> Option<(Option<String>, String, &str)> {
    let (first, rest) = identifier(text)?;
    match rest.strip_prefix('.') {
        Some(rest) => identifier(rest).map(|(second, rest)| (Some(first), second, rest)),
        None => Some((None, first, rest)),
    }
}

/// As `quote_identifier` prints it.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (!word.is_empty()).then(|| (word.to_owned(), rest));
    };
    let (mut out, mut rest) = (String::new(), quoted);
    loop {
        let (part, after) = rest.split_once('"')?;
        out.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                out.push('"');
                rest = more;
            }
            None => return Some((out, after)),
        }
    }
}

#[cfg(test)]
#[path = "dependents_tests.rs"]
mod tests;
