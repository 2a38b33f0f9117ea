//! The statement header: the sqlcommenter comment at the very start of a statement that says whose it is. Source: the specification of
//! sqlcommenter (opentelemetry.io, "sqlcommenter"), section "Format".
//!
//! Strict: a comment there that speaks of a tenant and is not of the form is refused, never overheard; and so is one of the form anywhere else.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::ops::Range;

/// Longest header, in bytes.
const BYTES_MAX: usize = 4096;
/// The shortest key, in bytes.
const KEY_BYTES: usize = 32;
/// So often a key may have been percent-encoded and is still known.
const ENCODED_MAX: usize = 4;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The tenant, decoded.
    pub tenant: String,
    /// Seconds since 1970 when the signature ends, as written.
    pub expires: Option<String>,
    /// Hexadecimal.
    pub signature: Option<String>,
    /// The comment.
    at: Range<usize>,
    /// The pairs that say nothing of the tenant, as they stand.
    others: String,
}

/// Why a header or a signature counts for nothing; for the client and the log.
pub type Bad = &'static str;

/// Reads the header of a statement; None where it has none. Errors: a comment looks like one and is none.
pub fn read(sql: &str) -> Result<Option<Said>, Bad> {
    let start = sql.len() - sql.trim_ascii_start().len();
    let behind = |at: usize| sql.get(at..).unwrap_or_default();
    let Some(rest) = behind(start).strip_prefix("/*") else { return elsewhere(sql).map(|()| None) };
    let Some(inside) = nested(rest.as_bytes()).and_then(|length| rest.get(..length)) else {
        return if speaks_of_a_tenant(rest) { Err("the comment that names the tenant does not end") } else { Ok(None) };
    };
    let at = start..start + inside.len() + 4;
    elsewhere(behind(at.end))?;
    let Some(pairs) = pairs(inside) else {
        return if speaks_of_a_tenant(inside) { Err("the comment that names the tenant cannot be read") } else { Ok(None) };
    };
    let mut said = Said { at, ..Said::default() };
    let mut tenant = None;
    let mut others = Vec::new();
    for (key, value, raw) in pairs {
        let place = match key.as_str() {
            "tenant" => &mut tenant,
            "tenant_exp" => &mut said.expires,
            "tenant_sig" => &mut said.signature,
            _ if names_a_tenant(&key) => return Err("the comment names a tenant by another word than `tenant`"),
            _ => {
                others.push(raw);
                continue;
            }
        };
        if place.replace(value).is_some() {
            return Err("the comment that names the tenant says something twice");
        }
    }
    said.others = others.join(",");
    match tenant {
        Some(tenant) if inside.len() <= BYTES_MAX => Ok(Some(Said { tenant, ..said })),
        Some(_) => Err("the comment that names the tenant is too long"),
        None if said.expires.is_some() || said.signature.is_some() => Err("the signature names no tenant"),
        None => Ok(None),
    }
}

/// Errors: a comment that does not count has the form of a header.
fn elsewhere(sql: &str) -> Result<(), Bad> {
    if !sql.contains("/*") && !sql.contains("--") {
        return Ok(());
    }
    let is_header = |comment: &str| pairs(comment).is_some_and(|pairs| pairs.iter().any(|(key, ..)| names_a_tenant(key)));
    if comments_in(sql).into_iter().any(is_header) { Err("a comment that names a tenant stands where none counts") } else { Ok(()) }
}

impl Said {
    /// The text with blanks in the place of what was said of the tenant, so that a signature reaches no log of the server's and places stay.
    pub fn blanked(&self, sql: &str, keep: bool) -> String {
        let comment = if keep && !self.others.is_empty() { format!("/*{}*/", self.others) } else { String::new() };
        let blanks = " ".repeat(self.at.len().saturating_sub(comment.len()));
        let mut text = sql.to_owned();
        text.replace_range(self.at.clone(), &(comment + &blanks));
        text
    }
}

/// Is this a word for the tenant, spelled somehow? Errs on the side of yes: what holds `tenant` is none of a tracer's own keys.
fn names_a_tenant(key: &str) -> bool {
    plain(key).contains("tenant")
}

/// In small letters, decoded as often as it was encoded, without what cannot be seen.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..ENCODED_MAX {
        match unescaped(&text) {
            Some(once) => text = once,
            None => break,
        }
    }
    text.chars().filter(|c| c.is_alphanumeric() || c.is_ascii_punctuation()).flat_map(char::to_lowercase).collect()
}

/// The text with each `%XX` that is one decoded; None where there is none.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    let mut any = false;
    for part in parts {
        let decoded = part.as_bytes().split_first_chunk::<2>().and_then(|(digits, rest)| Some((hex(digits)?, rest)));
        match decoded {
            Some((byte, rest)) => {
                any = true;
                bytes.push(byte);
                bytes.extend_from_slice(rest);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    any.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Of a first comment that is not of the form. Errs on the side of yes.
fn speaks_of_a_tenant(comment: &str) -> bool {
    let text = plain(comment);
    let begins = text.trim_start_matches(|c: char| c.is_ascii_punctuation()).starts_with("tenant");
    begins
        || text.match_indices("tenant").any(|(at, word)| {
            let behind = text.get(at + word.len()..).unwrap_or_default();
            let behind = behind.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
            behind.trim_start_matches(['"', '\'', '`', ')', ']', '\\']).starts_with(['=', ':', '%', '>'])
        })
}

/// The comments of a text, by PostgreSQL's lexical rules (manual, "Lexical Structure"), with `standard_conforming_strings` on.
fn comments_in(sql: &str) -> Vec<&str> {
    let (mut found, mut at) = (Vec::new(), 0);
    let bytes = sql.as_bytes();
    let rest = |at: usize| sql.get(at..).unwrap_or_default();
    let word = |at: usize| at > 0 && bytes.get(at - 1).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$' || *b >= 0x80);
    while let Some(byte) = bytes.get(at) {
        let next = bytes.get(at + 1);
        at = match (byte, next) {
            (b'-', Some(b'-')) => {
                let inside = rest(at + 2).split(['\n', '\r']).next().unwrap_or_default();
                found.push(inside);
                at + 2 + inside.len()
            }
            (b'/', Some(b'*')) => {
                let inside = rest(at + 2);
                let inside = nested(inside.as_bytes()).and_then(|length| inside.get(..length)).unwrap_or(inside);
                found.push(inside);
                at + inside.len() + 4
            }
            (b'\'', _) => {
                let escapes = at > 0 && matches!(bytes.get(at - 1), Some(b'e' | b'E')) && !word(at - 1);
                at + 1 + quoted(rest(at + 1).as_bytes(), b'\'', escapes)
            }
            (b'"', _) => at + 1 + quoted(rest(at + 1).as_bytes(), b'"', false),
            (b'$', _) if !word(at) => match dollar(rest(at)) {
                Some(tag) => {
                    let body = rest(at + tag.len());
                    at + tag.len() + body.find(tag).map_or(body.len(), |end| end + tag.len())
                }
                None => at + 1,
            },
            _ => at + 1,
        };
    }
    found
}

/// Bytes of a block comment up to the end that is its own; None where that is missing.
fn nested(inside: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (1, 0);
    while let Some(pair) = inside.get(at..at + 2) {
        match pair {
            b"*/" if depth == 1 => return Some(at),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            b"/*" => (depth, at) = (depth + 1, at + 2),
            _ => at += 1,
        }
    }
    None
}

/// Bytes of what is quoted, with the quote that ends it. One that is doubled ends it and begins it again.
fn quoted(inside: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 0;
    while let Some(byte) = inside.get(at) {
        at += if *byte == b'\\' && escapes { 2 } else { 1 };
        if *byte == quote {
            // Of `''` in a text with escapes the second belongs to it, too.
            if escapes && inside.get(at) == Some(&quote) {
                at += 1;
            } else {
                return at;
            }
        }
    }
    inside.len()
}

/// `$tag$` where the text begins with one.
fn dollar(text: &str) -> Option<&str> {
    let tag = text.get(1..)?.split('$').next()?;
    let name =
        tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()) && !tag.starts_with(|c: char| c.is_ascii_digit());
    text.get(..tag.len() + 2).filter(|_| name)
}

/// `key='value',…`: each key and value decoded, and the pair as it stands; None for another form.
fn pairs(comment: &str) -> Option<Vec<(String, String, &str)>> {
    let mut all = Vec::new();
    let mut rest = comment.trim_ascii();
    loop {
        let whole = rest;
        let (key, behind) = rest.split_once('=')?;
        let inside = behind.strip_prefix('\'')?;
        let mut escaped = false;
        let end = inside.find(|c| {
            let ends = c == '\'' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let (value, behind) = inside.split_at_checked(end)?;
        let behind = behind.get(1..)?;
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | ',' | '=' | '\\' | '"');
        if key.is_empty() || !key.chars().all(plain) || value.chars().any(|c| c.is_control()) || value.contains("/*") || key.contains("/*")
        {
            return None;
        }
        let raw = whole.get(..whole.len() - behind.len())?;
        all.push((decoded(key)?, decoded(&value.replace("\\'", "'"))?, raw));
        match behind.trim_ascii_start() {
            "" => return Some(all),
            next => rest = next.strip_prefix(',')?.trim_ascii_start(),
        }
    }
}

/// Percent-decoded once; None for what is none, or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>()?;
        rest = behind;
        bytes.push(hex(digits)?);
    }
    String::from_utf8(bytes).ok()
}

fn hex(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|d| char::from(d).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

/// `acme:1700000000:…`, the one-word form of SET: tenant, end, signature. Without colons enough it is a tenant alone.
pub fn word(text: &str) -> Said {
    let mut parts = text.rsplitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(signature), Some(expires), Some(tenant)) => {
            Said { tenant: tenant.into(), expires: Some(expires.into()), signature: Some(signature.into()), ..Said::default() }
        }
        _ => Said { tenant: text.into(), ..Said::default() },
    }
}

/// Keys that sign headers: any of them counts, so that one can be replaced while both are in use.
#[derive(Clone, Default)]
pub struct Keys(Vec<Vec<u8>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// One key a line. Errors: none, or one that is too short to be no guess.
    pub fn parse(text: &str) -> Result<Self, Bad> {
        let keys: Vec<Vec<u8>> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| l.as_bytes().to_vec()).collect();
        if keys.is_empty() {
            return Err("there is no key in it");
        }
        if keys.iter().any(|key| key.len() < KEY_BYTES) { Err("a key has fewer than 32 characters") } else { Ok(Self(keys)) }
    }

    /// Until when what was said holds, `now` in seconds since 1970. Errors: why it does not.
    pub fn verify(&self, said: &Said, now: u64) -> Result<u64, Bad> {
        let (Some(expires), Some(signature)) = (&said.expires, &said.signature) else { return Err("the tenant is not signed") };
        let digits = expires.len() <= 12 && expires.bytes().all(|b| b.is_ascii_digit());
        let ends: u64 = expires.parse().ok().filter(|_| digits).ok_or("the end of the tenant's signature cannot be read")?;
        let pairs = signature.as_bytes().chunks_exact(2);
        let given: Option<Vec<u8>> = pairs.map(|pair| pair.try_into().ok().and_then(hex)).collect();
        let given = given.filter(|_| signature.len() == 64).ok_or("the tenant's signature cannot be read")?;
        let signed = |key: &Vec<u8>| {
            let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return false };
            mac.update(message(&said.tenant, expires).as_bytes());
            // In a time that does not tell where they differ.
            mac.verify_slice(&given).is_ok()
        };
        // All keys are tried, whichever fits.
        if !self.0.iter().fold(false, |any, key| signed(key) | any) {
            return Err("the tenant's signature is not valid");
        }
        if now < ends { Ok(ends) } else { Err("the tenant's signature has ended") }
    }
}

/// What is signed.
pub fn message(tenant: &str, expires: &str) -> String {
    format!("{tenant}\n{expires}")
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
