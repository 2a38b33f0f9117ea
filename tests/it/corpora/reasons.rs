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
        FUNCTION,
    ),
    ("settings that are not the tenant's", "^42501 permission denied to (set|examine)|^42501 .*parameter"),
    ("SELECT INTO makes a lasting table: DDL is the operator's", "^42501 permission denied to create tables"),
    ("materialised views without the tenant column hold all tenants' rows", r"\[a materialised view\]"),
    (
        "writes through views with INSTEAD OF triggers or rules: the database's own code, which knows no tenant",
        r"^0A000 writing through view .*It has an INSTEAD OF trigger or a rule",
    ),
    ("texts that are nested too deeply, or too long", "^5400[01]"),
];

/// Told by the list of functions besides.
const FUNCTION: &str = "^42501 permission denied for function ([^ ]+)";
/// The functions that are refused on purpose: a name, or the start of some, in each line.
const FUNCTIONS: &str = include_str!("refused-functions.txt");

static PATTERNS: LazyLock<Vec<(&str, Regex)>> =
    LazyLock::new(|| DESIGN.iter().map(|(class, pattern)| (*class, Regex::new(pattern).unwrap())).collect());

/// The reason of the design for a refusal.
pub fn design(why: &str) -> Option<&'static str> {
    let fits = |pattern: &Regex| match pattern.captures(why) {
        Some(found) if pattern.as_str() == FUNCTION => is_refused(&found[1]),
        found => found.is_some(),
    };
    PATTERNS.iter().find(|(_, pattern)| fits(pattern)).map(|(class, _)| *class)
}

/// Whether a function is one of those that are refused on purpose.
fn is_refused(function: &str) -> bool {
    FUNCTIONS.lines().filter(|l| !l.starts_with(';')).filter_map(|l| l.split(' ').next()).any(|name| match name.strip_suffix('*') {
        Some(start) => function.starts_with(start),
        None => function == name,
    })
}

#[test]
fn a_function_is_refused_by_design_where_the_list_says_so() {
    for (why, by_design) in [
        ("42501 permission denied for function lo_open", true),
        ("42501 permission denied for function query_to_xml_and_xmlschema", true),
        ("42501 permission denied for function nextval (Only a literal name of a sequence is allowed.)", true),
        ("42501 permission denied for function return_int_input", false),
        ("42501 permission denied for function ts_lexize", false),
        ("42501 permission denied for table pg_locks (It would tell of more than this tenant.)", true),
    ] {
        assert_eq!(design(why).is_some(), by_design, "{why}");
    }
    // Each of them is PostgreSQL's own, and none may be called.
    let classes = include_str!("../../../src/sql/functions.txt");
    let called = |l: &&str| l.ends_with(" quiet") || l.ends_with(" raises");
    let allowed: Vec<&str> = classes.lines().filter(called).filter_map(|l| l.split([' ', '/']).next()).filter(|n| is_refused(n)).collect();
    assert_eq!(allowed, ["ts_rewrite"]);
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
