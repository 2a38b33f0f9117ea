//! What an error of a foreign key says of a table that is not there for tenants, taken out of it (ri_triggers.c, ri_ReportViolation: the
//! message names the table that refers and, where a row stays, both; DETAIL names the other one).
//! And what an error of DDL in a tenant's own place says of objects that hang on the tenant's and are not there for it: the lines of DETAIL
//! ([`dependents`]), and the fields of errors that the tables of others raise.

use super::dependents;
use super::errors::{Fields, field};
use crate::sql::Catalog;
use std::borrow::Cow;

/// The fields without the name of such a table.
pub fn without<'f>(fields: &Fields<'f>, catalog: &Catalog) -> Vec<(u8, Cow<'f, [u8]>)> {
    let all = fields.iter().map(|(code, text)| (*code, Cow::Borrowed(*text)));
    let text = |code: u8| field(fields, code).and_then(|t| std::str::from_utf8(t).ok());
    if catalog.is_own_place() {
        if matches!(text(b'C'), Some("2BP01" | "0A000")) {
            return of_dependents(fields, catalog);
        }
        if text(b's').is_some_and(|schema| !schema.starts_with("pg_") && !catalog.is_seen(schema)) {
            return all.filter(|(code, _)| !matches!(code, b's' | b't' | b'c' | b'd' | b'n' | b'D' | b'M')).chain([elsewhere()]).collect();
        }
    }
    let (Some("23503"), Some(schema), Some(table)) = (text(b'C'), text(b's'), text(b't')) else { return all.collect() };
    // What is temporary is all the session's own.
    if schema.starts_with("pg_temp") {
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

/// What stands in the place of a message that speaks of a table elsewhere.
fn elsewhere() -> (u8, Cow<'static, [u8]>) {
    (b'M', Cow::Borrowed(b"a table that depends on this one does not allow it"))
}

fn of_dependents<'f>(fields: &Fields<'f>, catalog: &Catalog) -> Vec<(u8, Cow<'f, [u8]>)> {
    let strict = field(fields, b'C') == Some(b"2BP01");
    let text = |text: &'f [u8]| std::str::from_utf8(text).ok();
    let short = field(fields, b'M').and_then(text).filter(|_| strict).and_then(|message| dependents::without_owner(message, catalog));
    let detail = field(fields, b'D').map(|detail| text(detail).map(|d| dependents::known(d, strict, catalog)).unwrap_or_default());
    // The hint of TRUNCATE names the table, too.
    let all = detail.as_ref().map(String::as_bytes) == field(fields, b'D');
    let kept = |code: u8, bytes: &'f [u8]| match (code, &short) {
        (b'D', _) => detail.clone().filter(|d| !d.is_empty()).map(|d| (code, Cow::Owned(d.into_bytes()))),
        (b'M', Some(short)) => Some((code, Cow::Owned(short.clone().into_bytes()))),
        (b'H', Some(_)) => None,
        (b'H', _) if !strict && !all => None,
        _ => Some((code, Cow::Borrowed(bytes))),
    };
    fields.iter().filter_map(|(code, text)| kept(*code, text)).collect()
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
