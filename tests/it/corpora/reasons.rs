//! Why statements are refused: which reasons are the design's own, and how reasons are counted together.

use regex::Regex;
use std::sync::LazyLock;

/// Reasons of the design, each with the pattern of the refusals that it gives.
const DESIGN: &[(&str, &str)] = &[
    (
        "catalogs and statistics that would tell of other tenants, or of the cluster (pg_authid, pg_locks, pg_statistic, foreign servers …)",
        r"^42501 .*It would tell of more than this tenant",
    ),
    ("writes to PostgreSQL's catalogs", "^42501 permission denied for (table|view|relation) (pg_|information_schema)"),
    (
        "functions that read around, run SQL, keep files or objects, or change the server (lo_*, pg_read_file, query_to_xml, brin_summarize_range …)",
        "^42501 permission denied for function",
    ),
    ("settings that are not the tenant's", "^42501 permission denied to (set|examine)|^42501 .*parameter"),
    ("SELECT INTO makes a lasting table: DDL is the operator's", "^42501 permission denied to create tables"),
    ("materialised views without the tenant column hold all tenants' rows", r"\[a materialised view\]"),
    ("texts that are nested too deeply, or too long", "^5400[01]"),
];

static PATTERNS: LazyLock<Vec<(&str, Regex)>> =
    LazyLock::new(|| DESIGN.iter().map(|(class, pattern)| (*class, Regex::new(pattern).unwrap())).collect());

/// The reason of the design for a refusal.
pub fn design(why: &str) -> Option<&'static str> {
    PATTERNS.iter().find(|(_, pattern)| pattern.is_match(why)).map(|(class, _)| *class)
}

/// A reason without the names in it.
pub fn general(why: &str) -> String {
    static NAMES: LazyLock<Regex> = LazyLock::new(|| Regex::new("\"[^\"]*\"").unwrap());
    static CALLS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"function [^ ]*\([^)]*\)").unwrap());
    let without = NAMES.replace_all(why, "\"…\"");
    CALLS.replace_all(&without, "function …(…)").into_owned()
}

/// What PostgreSQL's own refusals are counted by.
pub fn kind(why: &str) -> String {
    let code = why.split(' ').next().unwrap_or_default();
    match code {
        "42P01" => "42P01: a relation is not there",
        "42883" => "42883: a function or operator is not there",
        "42703" => "42703: a column is not there",
        "42704" => "42704: a type, role or other object is not there",
        "22P02" | "22007" | "22008" | "22003" | "22023" => "22…: a literal is none of its type",
        _ => code,
    }
    .to_owned()
}
