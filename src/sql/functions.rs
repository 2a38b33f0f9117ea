//! The functions and operators of pg_catalog, each with its class: `functions.txt` and `operators.txt` beside this file, made by the
//! generator of `tests/it/functions.rs`. What is in neither, say of a newer server, is refused.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What is known of a listed function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// It can raise an error on some value of its arguments.
    pub raises: bool,
}

/// When an operator can raise an error on stored values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Never.
    Quiet,
    /// On values of type json only: their escapes are read late, and the error quotes the value. Never on jsonb.
    Json,
    /// On some.
    Raises,
}

static FUNCTIONS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| read(include_str!("functions.txt")));
static OPERATORS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| read(include_str!("operators.txt")));

fn read(text: &'static str) -> HashMap<&'static str, &'static str> {
    text.lines().filter(|line| !line.starts_with(';')).filter_map(|line| line.split_once(' ')).collect()
}

/// The entry of this name, if tenants may call it.
pub fn find(name: &str) -> Option<Listed> {
    match *FUNCTIONS.get(name)? {
        "quiet" => Some(Listed { raises: false }),
        "raises" => Some(Listed { raises: true }),
        _ => None,
    }
}

/// The same for a call with this many arguments, where an overload has a class of its own (`name/n`).
pub fn find_call(name: &str, arguments: usize) -> Option<Listed> {
    find(&format!("{name}/{arguments}")).or_else(|| find(name))
}

/// The operator of pg_catalog with this name.
pub fn find_operator(name: &str) -> Option<Operator> {
    match *OPERATORS.get(name)? {
        "quiet" => Some(Operator::Quiet),
        "json" => Some(Operator::Json),
        "raises" => Some(Operator::Raises),
        _ => None,
    }
}

/// Functions whose call is seen from outside, by an error or an effect, whatever row it is made for (PostgreSQL manual, 9.3, 9.16, 9.27).
const EFFECTS: &[&str] = &[
    "array_sample",
    "array_shuffle",
    "currval",
    "nextval",
    "pg_advisory_unlock_all",
    "pg_notify",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "random_normal",
    "set_config",
    "setseed",
    "setval",
];

/// Whether it tells that it was called.
pub fn has_effect(name: &str) -> bool {
    EFFECTS.contains(&name)
}

/// What `x.name` is where x has no column of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// No function or type of pg_catalog.
    Nothing,
    /// A call, or a cast, that may be made.
    Call {
        /// It can fail on some value.
        raises: bool,
    },
    /// One that may not, or not in this form.
    Refused,
}

/// PostgreSQL reads `x.name` as the call `name(x)`, or as a cast to the type of that name, where it finds no such column (parse_func.c,
/// ParseFuncOrColumn).
pub fn field(name: &str) -> Field {
    if has_effect(name) || matches!(name, "age" | "current_setting" | "regconfig" | "regdictionary") {
        return Field::Refused;
    }
    if FUNCTIONS.contains_key(name) || FUNCTIONS.contains_key(format!("{name}/1").as_str()) {
        return find_call(name, 1)
            .map_or(Field::Refused, |listed| Field::Call { raises: listed.raises || is_type(name) || measures_shapes(name) });
    }
    match name {
        _ if is_type(name) => Field::Call { raises: true },
        "aclitem" | "regclass" | "regcollation" | "regnamespace" | "regoper" | "regoperator" | "regproc" | "regprocedure" | "regrole"
        | "regtype" => Field::Refused,
        _ => Field::Nothing,
    }
}

/// Whether an index may give rows in the order of an operator of this name (pg_amop.amoppurpose `o`): of PostgreSQL's own `<->`, of extensions
/// `<=>`, `<#>`, `<->>`, `~>` and their like.
pub fn may_order_rows(operator: &str) -> bool {
    operator != "<>" && operator.len() > 1 && operator.starts_with(['<', '~']) && operator.ends_with('>')
}

/// A function of texts, among which nothing fails, that also takes shapes, whose size may be out of range.
pub fn measures_shapes(name: &str) -> bool {
    name == "length"
}

/// Whether a span of time moves no day that a clock shows out of range: at most four digits in a row, three beside years, and units up to a year.
pub fn is_short_span(text: &str) -> bool {
    const UNITS: &[&str] = &[
        "d", "day", "days", "h", "hour", "hours", "m", "min", "mins", "minute", "minutes", "mon", "mons", "month", "months", "s", "sec",
        "secs", "second", "seconds", "w", "week", "weeks", "y", "year", "years",
    ];
    let words = |wanted: fn(&char) -> bool| text.split(move |c: char| !wanted(&c)).filter(|w| !w.is_empty()).collect::<Vec<_>>();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '+' | ':'));
    let (numbers, units) = (words(char::is_ascii_digit), words(char::is_ascii_alphabetic));
    plain
        && (1..=4).contains(&numbers.len())
        && numbers.iter().all(|n| n.len() <= if units.iter().any(|unit| unit.starts_with('y')) { 3 } else { 4 })
        && units.iter().all(|w| UNITS.contains(w))
}

/// Built-in types that a tenant may name. None of them looks up a name of a relation, type or function (so no `regclass` and its kin).
const TYPES: &[&str] = &[
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "nummultirange",
    "numeric",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regconfig",
    "regdictionary",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
];

/// May a tenant name this built-in type?
pub fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// The domains of the information schema (information_schema.sql), over built-in types.
pub fn is_information_domain(name: &str) -> bool {
    matches!(name, "cardinal_number" | "character_data" | "sql_identifier" | "time_stamp" | "yes_or_no")
}

/// Functions that give a day or a time, of whatever they are given.
pub fn gives_time(name: &str) -> bool {
    matches!(
        name,
        "clock_timestamp"
            | "date_trunc"
            | "make_date"
            | "make_timestamp"
            | "make_timestamptz"
            | "now"
            | "statement_timestamp"
            | "to_date"
            | "to_timestamp"
            | "transaction_timestamp"
    )
}

/// Whether a type is date, timestamp or timestamptz: its OID.
pub fn is_time(type_oid: u32) -> bool {
    matches!(type_oid, 1082 | 1114 | 1184)
}

/// The same by name.
pub fn is_time_by_name(name: &str) -> bool {
    matches!(name, "date" | "timestamp" | "timestamptz")
}

/// Whether a collation is one that every server can use: of others the locale may be gone, or the library not be built in (pg_locale.c), and then
/// comparing by it fails.
pub fn is_sure_collation(names: &[&str]) -> bool {
    matches!(
        names,
        ["default" | "C" | "POSIX" | "ucs_basic" | "pg_c_utf8"] | ["pg_catalog", "default" | "C" | "POSIX" | "ucs_basic" | "pg_c_utf8"]
    )
}

/// PostgreSQL's functions that are aggregates whatever their arguments are (pg_aggregate, 13 to 18): `rank` and its kin are so with WITHIN GROUP only.
const AGGREGATES: &[&str] = &[
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_agg_strict",
    "json_object_agg",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_object_agg",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "range_intersect_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    "xmlagg",
];

/// Whether it is certainly an aggregate.
pub fn is_aggregate(name: &str) -> bool {
    AGGREGATES.binary_search(&name).is_ok()
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
