//! The statement header: the sqlcommenter comment at the very start of a statement that says whose it is. Source: the specification of
//! sqlcommenter (opentelemetry.io, "sqlcommenter"), section "Format".
//!
//! Strict: a comment there that speaks of a tenant and is not of the form is refused, never overheard; anywhere else a comment is a comment.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::ops::Range;

/// Longest header, in bytes.
const BYTES_MAX: usize = 4096;
/// The shortest key, in bytes.
const KEY_BYTES: usize = 32;

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

/// Reads the header of a statement; None where it has none.
pub fn read(sql: &str) -> Result<Option<Said>, Bad> {
    let start = sql.len() - sql.trim_ascii_start().len();
    let Some(rest) = sql.get(start..).and_then(|s| s.strip_prefix("/*")) else { return Ok(None) };
    let Some((inside, _)) = rest.split_once("*/") else { return Ok(None) };
    let Some(pairs) = pairs(inside) else {
        return if speaks_of_a_tenant(inside) { Err("the comment that names the tenant cannot be read") } else { Ok(None) };
    };
    let mut said = Said { at: start..start + inside.len() + 4, ..Said::default() };
    let mut tenant = None;
    let mut others = Vec::new();
    for (key, value, raw) in pairs {
        let place = match key.as_str() {
            "tenant" => &mut tenant,
            "tenant_exp" => &mut said.expires,
            "tenant_sig" => &mut said.signature,
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

/// Errs on the side of yes.
fn speaks_of_a_tenant(comment: &str) -> bool {
    let text = comment.to_ascii_lowercase();
    text.match_indices("tenant").any(|(at, _)| {
        let behind = text.get(at + 6..).unwrap_or_default();
        behind.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').trim_start().starts_with(['=', ':', '%'])
    })
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
#[derive(Clone)]
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
