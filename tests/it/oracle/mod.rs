//! The single-tenant oracle: the same random statement through the wall on shared data and directly on a database that holds one
//! tenant's rows must give the same rows, counts, columns and SQLSTATE, and leave everybody else's rows as they were.
//!
//! `make oracle N=200000 SEED=7` runs more of it; `CASE=n` one case alone.

mod answer;
mod bench;
mod change;
mod compare;
mod condition;
mod express;
mod features;
mod from;
mod generate;
mod grouped;
#[cfg(feature = "mutants")]
mod mutants;
mod poison;
mod query;
mod random;
mod run;
mod script;
mod seed;
mod shrink;
mod tables;
mod telling;

pub(crate) use bench::{POLICY, SCHEMA};
pub(crate) use seed::{TENANTS, rows};
pub(crate) use tables::CANARY;

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn the_wall_answers_as_a_private_database_would() {
    let plan = run::Plan {
        statements: variable("ORACLE_N", 5000),
        seed: variable("ORACLE_SEED", 1),
        pairs: usize::try_from(variable("ORACLE_PAIRS", 3)).unwrap(),
        only: std::env::var("ORACLE_CASE").ok().and_then(|v| v.parse().ok()),
        enough: usize::try_from(variable("ORACLE_ENOUGH", 20)).unwrap(),
    };
    let plan = if plan.only.is_some() { run::Plan { pairs: 1, ..plan } } else { plan };
    let report = run::run(&bench::Bench::start(plan.pairs, true), plan);
    report.print(std::env::var("ORACLE_VERBOSE").is_ok());
    assert_eq!(report.differences.len(), 0, "see above");
    assert!(report.sooner * 50_000 <= report.statements.max(50_000), "the private server fails too often where the wall does not");
    if plan.only.is_none() && report.statements >= 5000 {
        let seen = report.features.values().filter(|(seen, refused)| seen > refused).count();
        assert!(seen >= 80, "only {seen} features were seen and not refused");
        assert!(report.same * 100 >= report.statements * 75, "too few statements are valid to show anything");
    }
}

#[test]
fn it_answers_the_same_while_every_row_is_checked() {
    let (statements, seed) = (variable("ROWS_N", 800), variable("ORACLE_SEED", 2));
    let only = std::env::var("ORACLE_CASE").ok().and_then(|v| v.parse().ok());
    let plan = run::Plan { statements, seed, pairs: if only.is_some() { 1 } else { 2 }, only, enough: 20 };
    let report = run::run(&bench::Bench::start_with(plan.pairs, true, "  verify_rows: all\n"), plan);
    report.print(false);
    assert_eq!(report.differences.len(), 0, "see above");
}
