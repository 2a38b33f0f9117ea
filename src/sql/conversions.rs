//! Conversions that PostgreSQL makes by itself and that can fail on a stored value: numeric to double precision quotes the value that is out of
//! range (manual, "Type Conversion"; pg_cast, castcontext `i`).
//!
//! A plain guard is the first condition of a scan, for it costs less than any conversion with what uses it. A guard by way of a parent is a join,
//! which comes behind: on `through` tables a conversion has to be fenced like anything else that can fail.

use super::catalog::Relation;
use std::collections::HashSet;

/// int8, numeric, date, timestamp, macaddr8, and arrays of them: some implicit cast of these fails on some value.
const FALLIBLE: &[u32] = &[20, 1700, 1082, 1114, 774, 1016, 1231, 1182, 1115, 775];

/// What they fail to become: float4, float8, macaddr, oid and what is stored like one; lseg and path, whose lengths are such.
const LOOSE: &[u32] = &[700, 701, 829, 601, 602, 26, 24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191];

/// Arrays of them, but for lseg and path.
const LOOSE_ARRAYS: &[u32] = &[1021, 1022, 1040, 1028, 1008, 2207, 2208, 2209, 2210, 2211, 3735, 3770, 4090, 4097, 4192];

/// point, lseg, path, box, polygon, line, circle: comparing two can fail, for areas and lengths go out of range.
pub const SHAPES_BY_NAME: &[(&str, u32)] =
    &[("point", 600), ("lseg", 601), ("path", 602), ("box", 603), ("polygon", 604), ("line", 628), ("circle", 718)];

/// Types by name that are none of those, nor made of them.
const FIRM: &[&str] = &[
    "bit",
    "bool",
    "bpchar",
    "bytea",
    "char",
    "cidr",
    "date",
    "inet",
    "int2",
    "int4",
    "int8",
    "interval",
    "json",
    "jsonb",
    "name",
    "numeric",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varbit",
    "varchar",
    "xml",
];

/// Functions and aggregates of pg_catalog of which no overload takes or gives one of those, or a timestamp
/// for which a date could stand.
const FIRM_CALLS: &[&str] = &[
    "ascii",
    "bit_length",
    "bool_and",
    "bool_or",
    "btrim",
    "char_length",
    "character_length",
    "chr",
    "clock_timestamp",
    "concat",
    "concat_ws",
    "count",
    "every",
    "gen_random_uuid",
    "initcap",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "md5",
    "now",
    "octet_length",
    "position",
    "quote_ident",
    "quote_literal",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "row_number",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "statement_timestamp",
    "string_agg",
    "strpos",
    "substr",
    "substring",
    "to_hex",
    "transaction_timestamp",
    "translate",
    "upper",
];

/// Operators that give none of those where they are given none.
const FIRM_OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "||", "=", "<>", "!=", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*"];

/// Whether an implicit cast of this type can fail.
pub fn can_fail(type_oid: u32) -> bool {
    FALLIBLE.contains(&type_oid)
}

/// Notes whether a `through` table's columns can fail so, and the names of columns beside which others are converted.
pub fn note(relation: &Relation, converts: &mut bool, loose: &mut HashSet<String>) {
    *converts |= relation.through().is_some() && relation.columns.iter().any(|c| can_fail(c.type_oid));
    loose.extend(relation.columns.iter().filter(|c| is_loose(c.type_oid)).map(|c| c.name.clone()));
}

/// Whether a value of this type makes PostgreSQL convert what stands beside it; an unknown type may.
pub fn is_loose(type_oid: u32) -> bool {
    type_oid == 0 || LOOSE.contains(&type_oid) || LOOSE_ARRAYS.contains(&type_oid)
}

/// Whether it is an array of such a type, or one whose values may not compare.
pub fn is_loose_array(type_oid: u32) -> bool {
    LOOSE_ARRAYS.contains(&type_oid) || !super::hazards::is_plain_parameter(type_oid)
}

/// Whether a type of this name is certainly none of those.
pub fn is_firm_type(name: &str) -> bool {
    FIRM.contains(&name)
}

/// Whether a call of this name converts nothing that can fail, and gives nothing that makes others convert.
pub fn is_firm_call(name: &str) -> bool {
    FIRM_CALLS.contains(&name)
}

/// The same of an operator, where its operands are firm.
pub fn is_firm_operator(name: &str) -> bool {
    FIRM_OPERATORS.contains(&name)
}
