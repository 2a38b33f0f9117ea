//! The server's words about a tenant's own schema, in those of its application, which knows it as `public`.

use super::encode;
use super::wire::WireError;
use crate::sql::catalogs::own_schema::PATH;
use crate::sql::home::PUBLIC;
use crate::sql::live::names::ident;
use bytes::BytesMut;
use std::borrow::Cow;

/// The value that the client sees of a parameter that the server reports.
pub fn status<'v>(own: Option<&str>, name: &str, value: &'v str) -> &'v str {
    if own.is_some() && name.eq_ignore_ascii_case("search_path") { PATH } else { value }
}

/// Appends a ParameterStatus in the client's view; false where it is to pass as it is.
pub(super) fn write_status(out: &mut BytesMut, own: Option<&str>, body: &[u8]) -> Result<bool, WireError> {
    if own.is_none() || !body.starts_with(b"search_path\0") {
        return Ok(false);
    }
    encode::parameter_status(out, "search_path", PATH).map(|()| true)
}

/// A field of an error or a notice: the schema's name is `public`. `code` is the SQLSTATE: only what speaks of names is changed, never what
/// quotes values.
pub(super) fn field(own: &str, code: &[u8], field: u8, text: &[u8]) -> Option<Vec<u8>> {
    if field == b's' {
        return match text {
            _ if text == own.as_bytes() => Some(PUBLIC.into()),
            // The database's own of that name is not there.
            _ if text == PUBLIC.as_bytes() => Some(Vec::new()),
            _ => None,
        };
    }
    let names = matches!(code.get(..2), Some(b"42" | b"3F" | b"2B" | b"55" | b"00" | b"01"));
    if !names || !matches!(field, b'M' | b'D' | b'H') {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let changed = text
        .replace(&format!("{}.", ident(own)), "public.")
        .replace(&format!("\"{own}."), "\"public.")
        .replace(&format!("\"{own}\""), "\"public\"");
    (changed != text).then(|| changed.into_bytes())
}

/// All fields, as [`field`] has them.
pub(super) fn fields<'a>(own: Option<&str>, all: &[(u8, &'a [u8])]) -> Vec<(u8, Cow<'a, [u8]>)> {
    let code = all.iter().find(|(f, _)| *f == b'C').map_or(&[][..], |(_, text)| text);
    let one = |(f, text): &(u8, &'a [u8])| {
        let changed = own.and_then(|own| field(own, code, *f, text));
        (*f, changed.map_or(Cow::Borrowed(*text), Cow::Owned))
    };
    all.iter().map(one).collect()
}

#[cfg(test)]
#[path = "own_schema_tests.rs"]
mod tests;
