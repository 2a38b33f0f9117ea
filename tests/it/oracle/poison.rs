//! Expressions that never fail on a tenant's own rows and do on other tenants': the condition that lets no such row through must have run.

use super::features::Feature;
use super::generate::Generator;
use super::tables::{Tag, Ty};

/// Every way to fail, with the column as `{}`.
const WAYS: &[(Tag, Ty, &str)] = &[
    (Tag::Digits, Ty::Int, "{}::int"),
    (Tag::Digits, Ty::Num, "round({}::numeric, 2)"),
    (Tag::Digits, Ty::Bool, "({}::int > 3)"),
    (Tag::Digits, Ty::Bool, "({}::bigint = 2)"),
    (Tag::Not77, Ty::Int, "(1000 / ({} - 77))"),
    (Tag::Not77, Ty::Int, "mod(10, {} - 77)"),
    (Tag::Not77, Ty::Bool, "(1 / ({} - 77) = 0)"),
    (Tag::NonZero, Ty::Int, "(100 / {})"),
    (Tag::NonZero, Ty::Int, "(100 % {})"),
    (Tag::NonZero, Ty::Int, "(SELECT count(*)::int FROM generate_series(1, 3, {}))"),
    (Tag::NonZero, Ty::Text, "split_part('a-b-c', '-', {})"),
    (Tag::NonZero, Ty::Text, "chr({})"),
    (Tag::NonZero, Ty::Date, "make_date(2024, {}, 1)"),
    (Tag::NonZero, Ty::Num, "round(1.0 / {}, 2)"),
    (Tag::NonZero, Ty::Bool, "(10 / {} >= 2)"),
    (Tag::JsonText, Ty::Json, "{}::jsonb"),
    (Tag::JsonText, Ty::Int, "({}::jsonb ->> 'n')::int"),
    (Tag::JsonText, Ty::Text, "({}::json ->> 'n')"),
    (Tag::JsonText, Ty::Bool, "({}::jsonb @> '{\"n\": 1}')"),
    (Tag::Regex, Ty::Bool, "('alpha' ~ {})"),
    (Tag::Regex, Ty::Bool, "('BETA' ~* {})"),
    (Tag::Regex, Ty::Text, "regexp_replace('alpha', {}, 'z')"),
    (Tag::Regex, Ty::Text, "substring('gamma' from {})"),
    (Tag::DateText, Ty::Date, "{}::date"),
    (Tag::DateText, Ty::Ts, "{}::timestamptz"),
    (Tag::DateText, Ty::Int, "extract(year from {}::date)::int"),
    (Tag::DateText, Ty::Text, "to_char({}::date, 'Mon')"),
    (Tag::DateText, Ty::Bool, "({}::date > '2020-06-01')"),
    (Tag::UuidText, Ty::Uuid, "{}::uuid"),
    (Tag::UuidText, Ty::Bool, "({}::uuid = '00000000-0000-0000-0000-000000000002')"),
    (Tag::MoodText, Ty::Mood, "{}::mood"),
    (Tag::MoodText, Ty::Bool, "({}::mood > 'low')"),
    (Tag::CsvText, Ty::Ints, "{}::int[]"),
    (Tag::CsvText, Ty::Int, "({}::int[])[1]"),
    (Tag::CsvText, Ty::Bool, "(2 = ANY ({}::int[]))"),
    (Tag::HexText, Ty::Text, "convert_from(decode({}, 'hex'), 'UTF8')"),
    (Tag::HexText, Ty::Int, "length(decode({}, 'hex'))"),
    (Tag::HexText, Ty::Bool, "(get_byte(decode({}, 'hex'), 0) > 50)"),
    (Tag::FmtText, Ty::Text, "format({}, 'v')"),
    (Tag::Positive, Ty::Num, "round(sqrt({}), 2)"),
    (Tag::Positive, Ty::Num, "round(ln({} + 1), 2)"),
    (Tag::Positive, Ty::Bool, "(sqrt({}) < 5)"),
    (Tag::Strict, Ty::Int, "({} ->> 'n')::int"),
    (Tag::Strict, Ty::Int, "jsonb_array_length({} -> 'list')"),
    (Tag::Strict, Ty::Num, "round(({} -> 'n')::numeric, 2)"),
    (Tag::Strict, Ty::Bool, "(({} -> 'n')::int = 1)"),
    (Tag::Digits, Ty::Int, "({}).int4"),
    (Tag::Digits, Ty::Bool, "(({}).int8 > 3)"),
    (Tag::JsonText, Ty::Json, "({}).jsonb"),
    (Tag::DateText, Ty::Date, "({}).date"),
    (Tag::UuidText, Ty::Uuid, "({}).uuid"),
    (Tag::Low, Ty::Bool, "(1 <@ int4range({}, {} + 9 - {}))"),
];

impl Generator {
    /// Such an expression of this type, if a column in sight has one.
    pub(super) fn poison(&mut self, ty: Ty) -> Option<String> {
        let ways: Vec<_> = WAYS.iter().filter(|w| w.1 == ty).collect();
        let (text, column) = self.column(|c| ways.iter().any(|w| w.0 == c.tag))?;
        let fitting: Vec<_> = ways.iter().filter(|w| w.0 == column.tag).collect();
        let way = self.random.pick(&fitting).2;
        self.note(Feature::Raising);
        if way.contains("({}).") {
            self.note(Feature::FieldCall);
        }
        Some(way.replace("{}", &text))
    }
}
