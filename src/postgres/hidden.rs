//! What the server says of a hidden tenant column in its errors, taken out of them.
//!
//! DETAIL quotes keys and rows: `Key (org_id, id)=(acme, 1) already exists.` loses the column and its value, which is the tenant's own id.
//! Where the value cannot be told from others, and in forms that are not known, there is no DETAIL.

use super::errors::{self, Fields, field};
use super::wire::WireError;
use super::{Judging, unlisted};
use crate::policy::{TenantId, Verb};
use crate::sql::Catalog;
use crate::sql::rows::NAME;
use bytes::BytesMut;
use std::borrow::Cow;

const KEY: &str = "Key (";
const ROW: &str = "Failing row contains (";
/// How a DETAIL that quotes a key goes on behind the values.
const ENDS: &[&str] = &[") already exists.", ") is not present in table ", ") is still referenced from table ", ") is duplicated."];

/// [`errors::pass`] for what `judge` and `tenant` are for.
pub fn pass(
    out: &mut BytesMut,
    tag: u8,
    fields: &Fields<'_>,
    (judge, tenant): (&impl Judging, &TenantId),
    position: impl FnOnce(u32) -> Option<u32>,
) -> Result<(), WireError> {
    pass_with(out, tag, fields, (judge, tenant), position, None)
}

/// [`errors::pass_with`] in the same way.
pub fn pass_with(
    out: &mut BytesMut,
    tag: u8,
    fields: &Fields<'_>,
    (judge, tenant): (&impl Judging, &TenantId),
    position: impl FnOnce(u32) -> Option<u32>,
    context: Option<&[u8]>,
) -> Result<(), WireError> {
    let Some(catalog) = judge.catalog() else { return errors::pass_with(out, tag, fields, position, context) };
    let known = unlisted::without(fields, catalog);
    let known: Vec<(u8, &[u8])> = known.iter().map(|(code, text)| (*code, text.as_ref())).collect();
    let mut kept = without(&known, catalog, tenant);
    if quotes_rows(fields, catalog) {
        kept.retain(|(code, _)| !matches!(code, b'D' | b'W'));
    }
    let kept: Vec<(u8, &[u8])> = kept.iter().map(|(code, text)| (*code, text.as_ref())).collect();
    errors::pass_with(out, tag, &kept, position, context)
}

/// May DETAIL quote values that the session's role may not read? Of a table that it may read whole it may see them; an error of a foreign key is its
/// own table's, and quotes the parent.
fn quotes_rows(fields: &Fields<'_>, catalog: &Catalog) -> bool {
    let Some(rights) = catalog.rights.as_deref().filter(|r| !r.reads_all()) else { return false };
    let text = |code: u8| field(fields, code).and_then(|t| std::str::from_utf8(t).ok());
    let Some(code) = text(b'C').filter(|c| c.starts_with("23") || c.starts_with("44")) else { return false };
    let named = text(b's').zip(text(b't')).map(|(schema, name)| (schema.to_owned(), name.to_owned()));
    let readable = named.and_then(|name| catalog.relations.get(&name)).is_some_and(|r| rights.may_all(r, Verb::Select));
    code == "23503" || !readable
}

/// The fields without what names the column.
pub fn without<'f>(fields: &Fields<'f>, catalog: &Catalog, tenant: &TenantId) -> Vec<(u8, Cow<'f, [u8]>)> {
    let hidden: Vec<&str> = catalog.relations.values().filter_map(|r| r.hides()).collect();
    // A misspelt name may come near the wall's own for the column.
    let hinted: Vec<&str> = hidden.iter().copied().chain([NAME]).collect();
    let all = fields.iter().map(|(code, text)| (*code, Cow::Borrowed(*text)));
    if hidden.is_empty() || stands_apart(fields, catalog) {
        return all.filter(|(code, text)| *code != b'H' || !says(text, &hinted)).collect();
    }
    let mut out = Vec::with_capacity(fields.len());
    for (code, text) in all {
        let kept = match code {
            b'H' | b'c' => (!says(&text, &hinted)).then_some(text),
            b'D' => detail(&text, fields, catalog, &hidden, tenant).map(|t| Cow::Owned(t.into_bytes())),
            _ => Some(text),
        };
        out.extend(kept.map(|text| (code, text)));
    }
    out
}

/// Whether the error is of tables that hide nothing.
fn stands_apart(fields: &Fields<'_>, catalog: &Catalog) -> bool {
    let text = |code: u8| field(fields, code).and_then(|t| std::str::from_utf8(t).ok());
    let (Some(schema), Some(table)) = (text(b's'), text(b't')) else { return false };
    let plain = |schema: &str, name: &str| catalog.relations.get(&(schema.to_owned(), name.to_owned())).is_some_and(|r| r.hidden.is_none());
    // An error of a foreign key is its own table's, and may quote the parent.
    text(b'C') != Some("23503") && plain(schema, table)
}

fn detail(text: &[u8], fields: &Fields<'_>, catalog: &Catalog, hidden: &[&str], tenant: &TenantId) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix(KEY) {
        return key(rest, hidden, tenant.as_str());
    }
    let code = field(fields, b'C').unwrap_or_default();
    if code.starts_with(b"23") {
        let name = |code: u8| field(fields, code).and_then(|t| String::from_utf8(t.to_vec()).ok()).unwrap_or_default();
        let relation = catalog.relations.get(&(name(b's'), name(b't')))?;
        let (at, _) = relation.hidden.as_ref()?;
        return row(text.strip_prefix(ROW)?, *at, relation.columns.len() + 1, tenant.as_str());
    }
    (!says(text.as_bytes(), hidden)).then(|| text.to_owned())
}

/// `columns)=(values) already exists.` without the hidden one.
fn key(rest: &str, hidden: &[&str], id: &str) -> Option<String> {
    let (columns, rest) = rest.split_once(")=(")?;
    let columns: Vec<&str> = columns.split(", ").collect();
    let mut places = (0..columns.len()).filter(|i| columns.get(*i).is_some_and(|c| hidden.contains(&c.trim_matches('"'))));
    let Some(place) = places.next() else { return Some(format!("{KEY}{})=({rest}", columns.join(", "))) };
    let end = ENDS.iter().find_map(|e| rest.rfind(e)).filter(|_| places.next().is_none() && columns.len() > 1)?;
    let values = without_value(rest.get(..end)?, place, columns.len(), id)?;
    let kept: Vec<&str> = columns.iter().enumerate().filter(|(i, _)| *i != place).map(|(_, c)| *c).collect();
    Some(format!("{KEY}{})=({values}{}", kept.join(", "), rest.get(end..)?))
}

/// `values).` of a whole row, without the one at this place.
fn row(rest: &str, place: usize, count: usize, id: &str) -> Option<String> {
    let values = rest.strip_suffix(").").filter(|v| !v.contains(") = ("))?;
    Some(format!("{ROW}{}).", without_value(values, place, count, id)?))
}

/// Values are not quoted, so that the own id is taken out where it stands first or last, or where nothing else could be it.
fn without_value(values: &str, place: usize, count: usize, id: &str) -> Option<String> {
    if place == 0 {
        return values.strip_prefix(id)?.strip_prefix(", ").map(str::to_owned);
    }
    if place + 1 == count {
        return values.strip_suffix(id)?.strip_suffix(", ").map(str::to_owned);
    }
    let parts: Vec<&str> = values.split(", ").collect();
    let mut own = (0..parts.len()).filter(|i| parts.get(*i) == Some(&id));
    let (Some(at), None) = (own.next(), own.next()) else { return None };
    Some(parts.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, p)| *p).collect::<Vec<_>>().join(", "))
}

/// Whether a text says one of these names as a word.
fn says(text: &[u8], names: &[&str]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return true };
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let one = |name: &&str| {
        let found = |(at, _): (usize, &str)| {
            let (before, after) = (text.get(..at), text.get(at + name.len()..));
            !word(before.and_then(|t| t.chars().next_back())) && !word(after.and_then(|t| t.chars().next()))
        };
        text.match_indices(*name).any(found)
    };
    names.iter().any(one)
}

#[cfg(test)]
#[path = "hidden_tests.rs"]
mod tests;
