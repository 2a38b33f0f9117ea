//! Each protection of the rewriter is missed by the verifier when it is left out: of the cases' statements the first that shows it is printed.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops where it fails")]

use super::{Mutant, Mutation};
use crate::policy::{Role, TenantId};
use crate::sql::Judge;
use crate::sql::hazards::tests::hazards_judge;
use crate::sql::rights::tests::roles_judge;
use crate::sql::tests::{hidden_judge, judge, through_judge};
use crate::sql::views::tests::views_judge;

/// Statements that are in no case file.
const OTHERS: &[&str] = &[
    "SELECT i.line FROM countries c FULL JOIN (items i JOIN loose l ON true) ON true",
    "SELECT id FROM orders ORDER BY (SELECT max(qty) FROM items)",
    "CREATE TEMP VIEW v AS SELECT id FROM orders",
];

fn cases(text: &str) -> Vec<&str> {
    let all = text.split("\n\n").map(str::trim).filter(|c| !c.is_empty() && !c.starts_with('#'));
    all.map(|case| case.split_once("\n=>\n").map_or(case, |(sql, _)| sql)).collect()
}

#[test]
fn each_protection_is_missed_by_the_verifier() {
    let statements = |texts: &[&'static str]| texts.iter().flat_map(|t| cases(t)).collect::<Vec<_>>();
    let mut places = [
        (
            judge(),
            statements(&[
                include_str!("../../tests/sql/rewrite.txt"),
                include_str!("../../tests/sql/refuse.txt"),
                include_str!("../../tests/sql/utility.txt"),
                include_str!("../../tests/sql/copy.txt"),
                include_str!("../../tests/sql/newer.txt"),
                include_str!("../../tests/sql/attacks/errors.txt"),
                include_str!("../../tests/sql/attacks/lazy.txt"),
            ]),
        ),
        (through_judge(), statements(&[include_str!("../../tests/sql/through.txt"), include_str!("../../tests/sql/attacks/through.txt")])),
        (hazards_judge(), statements(&[include_str!("../../tests/sql/attacks/hazards.txt")])),
        (views_judge(), statements(&[include_str!("../../tests/sql/views.txt"), include_str!("../../tests/sql/attacks/views.txt")])),
        (hidden_judge(), statements(&[include_str!("../../tests/sql/hidden.txt"), include_str!("../../tests/sql/attacks/hidden.txt")])),
    ];
    let clerk = roles_judge().for_role(&Role::Named("clerk".into()));
    places[0].1.extend(OTHERS);
    let places = places.into_iter().chain([(clerk, vec!["SELECT price FROM orders"])]).collect::<Vec<_>>();
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL.iter().copied().filter(|m| !Mutant::OWN_SCHEMA.contains(m)) {
        let found = places.iter().find_map(|(judge, statements)| missed(judge, mutant, statements));
        println!("{:<62} {}", mutant.what(), found.unwrap_or("-").replace('\n', " "));
        if found.is_none() {
            survivors.push(mutant);
        }
    }
    assert!(survivors.is_empty(), "no statement shows them: {survivors:?}");
}

/// The first statement that cannot be proved any more, or would not be refused any more.
fn missed<'s>(judge: &Judge, mutant: Mutant, statements: &[&'s str]) -> Option<&'s str> {
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    let mutated = judge.mutated(Mutation { mutant, unproved: false });
    statements.iter().copied().find(|sql| unproved(&mutated, sql, &tenant) && !unproved(judge, sql, &tenant))
}

fn unproved(judge: &Judge, sql: &str, tenant: &TenantId) -> bool {
    let says = |message: &str| message.starts_with("statement could not be proved");
    judge.simple(sql, tenant).is_err_and(|r| says(&r.message)) || judge.extended(sql, 0, tenant).is_err_and(|r| says(&r.message))
}
