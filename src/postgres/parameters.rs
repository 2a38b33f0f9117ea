//! What of a client's startup parameters goes upstream: safe settings only, `options` read as PostgreSQL reads it.

use crate::sql::{Refusal, settings};

/// Set upstream for every session, whatever the client says.
pub const PINNED: &[(&str, &str)] = &[("client_encoding", "UTF8"), ("standard_conforming_strings", "on")];

/// What an operator says of why it comes; the wall's own.
const REASON: &str = "partywall.reason";

/// What a client's startup parameters ask for.
#[derive(Debug, Default)]
pub struct Startup {
    /// For upstream's startup message, [`PINNED`] first; user, database and search_path are not among them.
    pub settings: Vec<(String, String)>,
    /// The value of search_path, which hangs on the tenant's catalog and is not checked here.
    pub search_path: Option<String>,
}

/// Reads a client's startup parameters. `identity` are those that name the tenant and the role, which never go upstream. Errors: 0A000 for replication
/// and other encodings, 42501 for a setting that is not safe, 42601 for `options` that cannot be read.
pub fn upstream_parameters(client: &[(String, String)], identity: &[String]) -> Result<Startup, Refusal> {
    let mut settings: Vec<(String, String)> = Vec::new();
    // `options` comes first whatever its place in the message: a parameter of its own overrides it, as in the server.
    for (_, options) in client.iter().filter(|(name, _)| name == "options") {
        settings.extend(read_options(options)?);
    }
    for (name, value) in client {
        match name.as_str() {
            "user" | "database" | "options" => {}
            "replication" if is_off(value) => {}
            "replication" => return Err(Refusal::not_understood("replication connections are not supported")),
            name if name.starts_with("_pq_.") => {}
            _ => settings.push((name.clone(), value.clone())),
        }
    }
    let mut out: Vec<(String, String)> = PINNED.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let mut search_path = None;
    for (name, value) in settings {
        if identity.iter().any(|own| is_named(&name, own)) || is_named(&name, REASON) {
            continue;
        }
        if name.eq_ignore_ascii_case("search_path") {
            search_path = Some(value);
            continue;
        }
        let Some(value) = admit(&name, value)? else { continue };
        out.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        out.push((name, value));
    }
    Ok(Startup { settings: out, search_path })
}

/// All settings of a client that nobody guards; the wall's own are not among them. Errors: as in [`upstream_parameters`].
pub fn unguarded(client: &[(String, String)]) -> Result<Vec<(String, String)>, Refusal> {
    let mut settings = Vec::new();
    for (name, value) in client {
        match name.as_str() {
            "user" | "database" => {}
            "options" => settings.extend(read_options(value)?),
            "replication" if !is_off(value) => return Err(Refusal::not_understood("replication connections are not supported")),
            name if name.starts_with("_pq_.") || name == "replication" => {}
            _ => settings.push((name.clone(), value.clone())),
        }
    }
    settings.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("partywall."));
    Ok(settings)
}

/// Every value that `parameter` has in a startup message, in any case and as often as it is said, also inside `options=-c name=value`. Who says two
/// things is not the judge of which one counts. Errors: `options` that cannot be read.
pub fn values(client: &[(String, String)], parameter: &str) -> Result<Vec<String>, Refusal> {
    let mut found = Vec::new();
    for (name, value) in client {
        if name == "options" {
            found.extend(read_options(value)?.into_iter().filter(|(name, _)| is_named(name, parameter)).map(|(_, value)| value));
        } else if is_named(name, parameter) {
            found.push(value.clone());
        }
    }
    Ok(found)
}

/// Names are compared in any case, and `options` turns their dashes into underscores.
fn is_named(name: &str, parameter: &str) -> bool {
    let plain = |name: &str| name.replace('-', "_");
    name.eq_ignore_ascii_case(parameter) || plain(name).eq_ignore_ascii_case(&plain(parameter))
}

/// The value to send, None for one that is pinned already; pinned settings take only values that mean the pinned one.
fn admit(name: &str, value: String) -> Result<Option<String>, Refusal> {
    if name.eq_ignore_ascii_case("client_encoding") {
        let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        // SQL_ASCII means "no conversion"; what psql says under LANG=C. It gets UTF8 and is told so by ParameterStatus.
        return match plain.as_str() {
            "utf8" | "unicode" | "sqlascii" => Ok(None),
            _ => {
                Err(Refusal::not_understood(format!("client_encoding \"{value}\" is not supported"))
                    .hint("Connect with client_encoding=UTF8."))
            }
        };
    }
    if value.contains('\0') {
        return Err(Refusal::syntax("invalid value in startup packet"));
    }
    settings::may_set(name, Some(&value))?;
    Ok((!name.eq_ignore_ascii_case("standard_conforming_strings")).then_some(value))
}

fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "off" | "false" | "no" | "0" | "f" | "n")
}

/// The settings in `options`: `-c name=value`, `-cname=value`, `--name=value`. Anything else is refused.
fn read_options(options: &str) -> Result<Vec<(String, String)>, Refusal> {
    let bad = |word: &str| Refusal::syntax(format!("invalid command-line argument for server process: {word}"));
    let mut words = split_options(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(long), _) => long.to_owned(),
            (None, Some("")) => words.next().ok_or_else(|| bad(&word))?,
            (None, Some(short)) => short.to_owned(),
            (None, None) => return Err(bad(&word)),
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| bad(&word))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Words apart at white space; a backslash keeps the next character (PostgreSQL's `pg_split_opts`).
fn split_options(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
