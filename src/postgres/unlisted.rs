//! What an error of a foreign key says of a table that is not there for tenants, taken out of it (ri_triggers.c, ri_ReportViolation: the
//! message names the table that refers and, where a row stays, both; DETAIL names the other one).

use super::errors::{Fields, field};
use crate::policy::Home;
use crate::sql::Catalog;
use std::borrow::Cow;

/// The fields without the name of such a table.
pub fn without<'f>(fields: &Fields<'f>, catalog: &Catalog) -> Vec<(u8, Cow<'f, [u8]>)> {
    let all = fields.iter().map(|(code, text)| (*code, Cow::Borrowed(*text)));
    let text = |code: u8| field(fields, code).and_then(|t| std::str::from_utf8(t).ok());
    let (Some("23503"), Some(schema), Some(table)) = (text(b'C'), text(b's'), text(b't')) else { return all.collect() };
    // What lies in a tenant's own place, or is temporary, is all its own.
    if catalog.home != Home::Rows || schema.starts_with("pg_temp") {
        return all.collect();
    }
    let listed = catalog.relations.contains_key(&(schema.to_owned(), table.to_owned()));
    let other = text(b'D').and_then(named_last);
    let other_listed = other.is_some_and(|name| catalog.relations.keys().any(|(_, listed)| listed == name));
    let kept = all.filter_map(|(code, text)| match code {
        b'D' if !listed || !other_listed => None,
        b's' | b't' if !listed => None,
        b'M' if !listed => Some((code, Cow::Owned(without_last(&text).into_bytes()))),
        _ => Some((code, text)),
    });
    kept.collect()
}

/// `… in table "name".`
fn named_last(detail: &str) -> Option<&str> {
    let (_, name) = detail.strip_suffix("\".")?.rsplit_once(" table \"")?;
    Some(name)
}

/// `… on table "parent" violates foreign key constraint "key"`, without ` on table "name"`.
fn without_last(message: &[u8]) -> String {
    let message = std::str::from_utf8(message).unwrap_or_default();
    match message.rsplit_once("\" on table \"") {
        Some((kept, _)) => format!("{kept}\""),
        None => "a foreign key is violated".to_owned(),
    }
}

#[cfg(test)]
#[path = "unlisted_tests.rs"]
mod tests;
