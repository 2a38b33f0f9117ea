//! Names of text search configurations, dictionaries and parsers. The server looks them up and says whether the schema in a name is there: where
//! each tenant has a schema, that tells which tenants there are.

use super::super::Catalog;
use super::regtypes;
use crate::policy::Home;

/// Whether this is a type whose input looks such a name up, or an array of one; its last name is what counts.
pub fn is_search_type(names: &[&str]) -> bool {
    names.last().is_some_and(|name| matches!(name.strip_prefix('_').unwrap_or(name), "regconfig" | "regdictionary"))
}

/// Whether a call with this many arguments may take such a name as its first (textsearch-functions in the manual).
pub fn takes_name(function: &str, arguments: usize) -> bool {
    match function {
        "to_tsvector" | "to_tsquery" | "plainto_tsquery" | "phraseto_tsquery" | "websearch_to_tsquery" | "ts_debug" => arguments == 2,
        "json_to_tsvector" | "jsonb_to_tsvector" => arguments == 3,
        "ts_headline" => arguments >= 3,
        "ts_lexize" | "ts_parse" | "ts_token_type" => true,
        _ => false,
    }
}

impl Catalog {
    /// Whether only literals may stand where such a name may: other schemas are other tenants'.
    pub fn only_names_search_by_literals(&self) -> bool {
        matches!(self.home, Home::Schema(_))
    }

    /// Whether a literal may stand where the server reads such a name, or a text: it names no schema but those that are known.
    pub fn may_name_search(&self, text: &str) -> bool {
        if is_no_name(text) || !text.contains('.') {
            return !text.trim().bytes().all(|b| b.is_ascii_digit());
        }
        match regtypes::identifier(text).as_deref() {
            Some([schema, _]) => {
                schema == "pg_catalog" || (!self.only_names_search_by_literals() && self.system.namespaces.contains_key(schema))
            }
            _ => false,
        }
    }
}

/// Two words with nothing between them but space: no name reads so (varlena.c, SplitIdentifierString).
fn is_no_name(text: &str) -> bool {
    let words: Vec<&str> = text.split(|c: char| c.is_ascii_whitespace()).filter(|w| !w.is_empty()).collect();
    !text.contains('"') && words.windows(2).any(|pair| !pair[0].ends_with('.') && !pair[1].starts_with('.'))
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
