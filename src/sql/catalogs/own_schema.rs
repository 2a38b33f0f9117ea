//! A tenant's own schema, shown as `public`: where the server would print its name, the text has the other.

use super::{System, quote_text};
use crate::sql::home::PUBLIC;
use crate::sql::live::names::ident;

/// Functions that print an object's schema whatever the search path is.
const QUALIFIED: &[&str] = &[
    "pg_get_indexdef",
    "pg_get_ruledef",
    "pg_get_triggerdef",
    "pg_get_statisticsobjdef",
    "pg_get_functiondef",
    "pg_get_serial_sequence",
    "pg_describe_object",
];

/// What the client's own path reads as.
pub const PATH: &str = "\"$user\", public";

/// The expression for a column of a system relation that tells the schema's name; None for any other.
pub(super) fn column(system: &System, schema: &str, relation: &str, column: &str) -> Option<String> {
    let own = quote_text(system.own_schema.as_deref()?);
    let name = |column: &str| {
        format!(
            "CASE WHEN {column} OPERATOR(pg_catalog.=) {own}::pg_catalog.name THEN 'public'::pg_catalog.name ELSE {column} END AS {column}"
        )
    };
    match (schema, relation, column) {
        ("pg_catalog", "pg_namespace", "nspname") => Some(name(column)),
        ("pg_catalog", "pg_statio_all_tables", "schemaname") => Some(name(column)),
        ("pg_catalog", "pg_settings", "setting" | "reset_val") => {
            let path = quote_text(PATH);
            Some(format!("CASE WHEN name OPERATOR(pg_catalog.=) 'search_path' THEN {path}::pg_catalog.text ELSE {column} END AS {column}"))
        }
        ("pg_catalog", "pg_indexes", "indexdef") | ("pg_catalog", "pg_rules", "definition") => {
            Some(format!("{} AS {column}", as_public(system, column)?))
        }
        _ => None,
    }
}

/// A text in which the own schema's name, as the server prints it before a dot, is `public`.
fn as_public(system: &System, text: &str) -> Option<String> {
    let own = system.own_schema.as_deref()?;
    let (from, to) = (quote_text(&format!("{}.", ident(own))), quote_text(&format!("{PUBLIC}.")));
    Some(format!("pg_catalog.replace({text}, {from}, {to})"))
}

/// The expression of a catalog function, with the schema's name as the client knows it.
pub(super) fn expression(system: &System, function: &str, expression: String) -> String {
    // It gives a row, in which no text can be put in another's place.
    if function == "pg_identify_object" && system.own_schema.is_some() {
        return "pg_catalog.pg_identify_object(CASE WHEN $1::pg_catalog.oid IS NULL THEN $1::pg_catalog.oid END, $2::pg_catalog.oid, $3)"
            .to_owned();
    }
    if !QUALIFIED.contains(&function) {
        return expression;
    }
    let shown = as_public(system, &format!("({expression})")).unwrap_or(expression);
    match (function, &system.own_schema) {
        // Of a schema it tells the name with no dot behind it.
        ("pg_describe_object", Some(_)) => {
            format!("CASE WHEN $1::pg_catalog.oid OPERATOR(pg_catalog.<>) '2615'::pg_catalog.oid THEN {shown} END")
        }
        _ => shown,
    }
}

/// A text that names an object, as the server is to look it up.
pub(super) fn looked_up(system: &System, text: &str) -> String {
    match system.own_schema.as_deref() {
        Some(own) => {
            // A backslash would be the replacement's own.
            let own = quote_text(&format!("{}.", super::quote_name(own)).replace('\\', "\\\\"));
            let public = "'^[[:space:]]*([pP][uU][bB][lL][iI][cC]|\"public\")[[:space:]]*[.]'::pg_catalog.text";
            format!("pg_catalog.regexp_replace({text}, {public}, {own}::pg_catalog.text)")
        }
        None => text.to_owned(),
    }
}
