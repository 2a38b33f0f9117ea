//! Sequences that a tenant may draw from and read: those that a column of a listed table owns.

use super::Catalog;
use super::catalog::{Column, Relation};
use super::catalogs::quote_name;
use super::private::{TEMP, Temps};
use std::sync::Arc;

/// What a sequence's row is read as: its counter is everybody's, so it stands where the tenant's own rows have brought it. `row` is that of
/// the catalog's query: the table's number, schema, name, the owning column.
pub fn read_as(table: &Relation, row: &[Option<String>]) -> Arc<Relation> {
    let text = |index: usize| row.get(index).cloned().flatten().unwrap_or_default();
    let highest = format!("pg_catalog.max({})", quote_name(&text(3)));
    let definition = format!(
        "SELECT COALESCE({highest}::bigint, 1::bigint) AS last_value, 0::bigint AS log_cnt, {highest} IS NOT NULL AS is_called FROM {}.{}",
        quote_name(&table.schema),
        quote_name(&table.name)
    );
    let column = |name: &str| Column { name: name.to_owned(), ..Column::default() };
    let columns = ["last_value", "log_cnt", "is_called"].map(column).into();
    let alone = Relation::alone(&text(1), &text(2), table.rule.clone(), table.place.clone());
    Arc::new(Relation { kind: 'S', columns, definition: Some(definition), ..alone })
}

/// The sequence of a listed table that `text` means, as `nextval` reads names.
pub fn meant<'c>(catalog: &'c Catalog, text: &str) -> Option<&'c Arc<Relation>> {
    match parts(text)?.as_slice() {
        [name] => catalog.sequence("", name),
        [schema, name] => catalog.sequence(schema, name),
        _ => None,
    }
}

/// The literal to send for the sequence that `text` means, as `nextval` reads names; None where it is no sequence of a listed table.
pub fn resolve(catalog: &Catalog, text: &str) -> Option<String> {
    let known = |schema: &str, name: &str| catalog.sequences.contains_key(&(schema.to_owned(), name.to_owned()));
    let (schema, name) = match parts(text)?.as_slice() {
        [name] => (catalog.search_path.iter().find(|schema| known(schema, name))?.clone(), name.clone()),
        [schema, name] if known(schema, name) => (schema.clone(), name.clone()),
        _ => return None,
    };
    let schema = catalog.home.meant(&schema)?.to_owned();
    Some(format!("{}.{}", quote_name(&schema), quote_name(&name)))
}

/// The same for a sequence of the session's own, which stands before all others of its name.
pub fn temporary(temps: &Temps, text: &str) -> Option<String> {
    let name = match parts(text)?.as_slice() {
        [name] => name.clone(),
        [schema, name] if schema == TEMP => name.clone(),
        _ => return None,
    };
    temps.get(&name).filter(|r| r.kind == 'S').map(|_| format!("{}.{}", quote_name(TEMP), quote_name(&name)))
}

/// Identifiers between dots: quoted ones as they are, others in lower case.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    loop {
        let mut word = String::new();
        if let Some(mut inside) = rest.strip_prefix('"') {
            loop {
                let (before, after) = inside.split_once('"')?;
                word.push_str(before);
                match after.strip_prefix('"') {
                    Some(more) => {
                        word.push('"');
                        inside = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        } else {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(rest.len());
            word.push_str(&rest[..end].to_ascii_lowercase());
            rest = &rest[end..];
        }
        if word.is_empty() {
            return None;
        }
        all.push(word);
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Some(all),
            None => return None,
        }
    }
}

#[cfg(test)]
#[path = "sequences_tests.rs"]
mod tests;
