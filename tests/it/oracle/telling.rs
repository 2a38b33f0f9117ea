//! Conditions that no own row meets and other tenants' rows do, and behind them what tells that it ran though it reads no column: a failure, or
//! an effect that later random numbers show. Nothing in front of the guard may run it.

use super::features::Feature;
use super::generate::Generator;
use super::tables::{Tag, Ty};

/// They hold for the poison of others' rows, at the cost of one operator each, and are never NULL. None is an equality, which a planner looks at last.
const MET_BY_OTHERS: &[(Tag, &str)] = &[
    (Tag::Plain, "{} IS NOT NULL AND {} >= 'CANARY' AND {} < 'CANARZ'"),
    (Tag::Plain, "{} IS NOT NULL AND {} LIKE 'CANARY%'"),
    (Tag::Plain, "{} IS NOT NULL AND {} ~ '^CANARY'"),
    (Tag::Digits, "{} IS NOT NULL AND {} > 'CANARY' AND {} < 'CANARZ'"),
    (Tag::NonZero, "{} IS NOT NULL AND {} <= 0"),
    (Tag::Not77, "{} IS NOT NULL AND {} BETWEEN 77 AND 77"),
    (Tag::Low, "{} IS NOT NULL AND {} > 98"),
    (Tag::Positive, "{} IS NOT NULL AND {} < 0"),
];

/// They fail whenever they run, not before: what changes within a statement is not worked out to estimate how many rows there are, and a subquery of
/// nothing around it that takes a random number is in no worker's plan, whose Gather would work it out beforehand.
const FAILURES: &[&str] = &[
    "(to_char(clock_timestamp(), 'Mon'))::int > 0",
    "(clock_timestamp()::date::text)::int > 0",
    "1 / (extract(year from clock_timestamp())::int * 0) = 1",
    "(SELECT ('x' || random()::text)::int) > 0",
    "EXISTS (SELECT 1 WHERE ('x' || random()::text)::int > 0)",
    "3 IN (SELECT (now()::text)::int FROM generate_series(1, 2))",
    "(clock_timestamp()::text)::int > 0",
    "(('x' || random()::text)::int > 0)",
];

/// They choose the random numbers that follow.
const EFFECTS: &[&str] = &["setseed(0.5) IS NOT NULL", "(SELECT setseed(0.25)) IS NOT NULL", "random() >= 0", "random() + 1 > 0"];

impl Generator {
    /// Such a condition, if a column in sight has one.
    pub(super) fn telling(&mut self) -> Option<String> {
        let fits = |tag: Tag, ty: Ty| MET_BY_OTHERS.iter().any(|m| m.0 == tag) && (tag != Tag::Plain || ty == Ty::Text);
        let (text, column) = self.column(|c| fits(c.tag, c.ty) && !matches!(c.name.as_str(), "tenant_id" | "org"))?;
        let ways: Vec<_> = MET_BY_OTHERS.iter().filter(|m| m.0 == column.tag).collect();
        let others = self.random.pick(&ways).1.replace("{}", &text);
        let effect = self.random.percent(50);
        let what = if effect {
            self.note(Feature::Effect);
            self.random.pick(EFFECTS)
        } else {
            let what = self.random.pick(FAILURES);
            self.note(if what.contains("SELECT") { Feature::LazySubquery } else { Feature::Columnless });
            what
        };
        // As a condition of its own it may run where the rows of two tables meet, of which the one of a query around may be, or before all rows where it has
        // no effect.
        let own = |alias: &str| text.strip_prefix(alias).map_or(!text.contains('.'), |rest| rest.starts_with('.'));
        let alone = self.scopes.last().is_some_and(|s| s.len() == 1 && s[0].table.is_some() && own(&s[0].alias));
        Some(match self.random.below(if effect && alone && !what.contains("SELECT") { 5 } else { 4 }) {
            0 => format!("CASE WHEN {others} THEN {what} ELSE false END"),
            1 => format!("(({others} AND {what}) IS TRUE)"),
            2 => format!("COALESCE(NULLIF({others}, true), {what})"),
            3 => format!("(CASE WHEN ({others}) AND {what} THEN 1 ELSE 2 END = 1)"),
            _ => format!("({others} AND {what})"),
        })
    }
}
