//! The mutation check: with any one protection of the rewriter left out, the verifier refuses what comes of it, and the oracle, with the
//! verifier out of the way, sees a difference.

use super::bench::{Bench, Pair};
use super::compare::Verdict;
use super::generate::{Case, Form, Step};
use partywall::policy::TenantId;
use partywall::sql::Judge;
use partywall::sql::mutants::{Mutant, Mutation};
use std::time::Instant;

const LITERAL: Form = Form { literal: true, marks: false };
const UNPROVED: &str = "statement could not be proved";

/// What only the oracle sees: the verifier proves where guards stand, what is written and what may fail, not what an upsert may pass over.
const BEYOND_PROOF: &[Mutant] = &[Mutant::ConflictNothing, Mutant::SharedLock];

/// What only the verifier sees, beside [`Mutant::OWN_SCHEMA`]: `src/sql/mutants_tests.rs` has a statement for each. The oracle copies no rows in, its
/// parents are all held by foreign keys, which all hold the tenant or are the way to it, nobody else writes while it looks,
/// it has no views, no table large enough for a parallel plan, no virtual columns and collations, and makes no generic plans by force.
const BEYOND_ORACLE: &[Mutant] = &[
    Mutant::KeepsRows,
    Mutant::EarlyKeys,
    Mutant::Distances,
    Mutant::Arrays,
    Mutant::Collations,
    Mutant::Computed,
    Mutant::Merged,
    Mutant::ForeignKeys,
    Mutant::ParentLock,
    Mutant::CopyChecks,
    Mutant::ViewCondition,
    Mutant::ViewColumn,
    Mutant::ViewCode,
    Mutant::ViewCheck,
    Mutant::TempViewBarrier,
    Mutant::RoleRights,
];

/// Those that `make test` takes: quickly noticed by both.
const SOME: &[Mutant] = &[
    Mutant::Where,
    Mutant::LeftOn,
    Mutant::RightOn,
    Mutant::LeftAbove,
    Mutant::FullAbove,
    Mutant::Wrap,
    Mutant::UpdateTarget,
    Mutant::DeleteTarget,
];

/// No index finds the tenant's rows first.
const SCANS: [&str; 2] = ["SET LOCAL enable_indexscan = off", "SET LOCAL enable_bitmapscan = off"];

/// For protections that random statements need too seldom: those that a planner is sure to run before the guard that stands instead.
const WRITTEN: &[(Mutant, &[&str])] = &[
    (
        Mutant::Namesake,
        &[
            SCANS[0],
            SCANS[1],
            "SELECT t1.id FROM products t1 WHERE EXISTS (SELECT 1 FROM generate_series(1, 2) t1 WHERE 'alpha' ~ pattern)",
        ],
    ),
    (Mutant::AliasedJoin, &["SELECT 1 FROM ((rates r JOIN tasks t ON true) JOIN LATERAL (SELECT 1) l ON true) AS j WHERE j.code::int > 3"]),
    (
        Mutant::Effects,
        &[
            SCANS[0],
            SCANS[1],
            "SELECT setseed(0.5) IS NULL",
            "SELECT id FROM products WHERE title >= 'CANARY' AND title < 'CANARZ' AND random() IS NOT NULL",
            "SELECT random()",
        ],
    ),
    (
        Mutant::Free,
        &[
            SCANS[0],
            SCANS[1],
            "SELECT id FROM products WHERE title >= 'CANARY' AND title < 'CANARZ' \
             AND CASE WHEN title IS NOT NULL THEN to_date('x', 'YYYY') END IS NULL",
        ],
    ),
    (
        Mutant::LazySublink,
        &[
            SCANS[0],
            SCANS[1],
            "SELECT id FROM products WHERE title >= 'CANARY' AND title < 'CANARZ' \
             AND CASE WHEN title IS NOT NULL THEN (SELECT to_date('x', 'YYYY')) END IS NULL",
        ],
    ),
    (Mutant::FieldCall, &["SELECT id FROM tasks t WHERE (t.code).int4 IS NULL"]),
];

/// Who noticed, and at which case.
struct Killers {
    verifier: Option<String>,
    oracle: Option<String>,
}

#[test]
fn every_protection_that_is_left_out_is_noticed() {
    let cases = super::variable("MUTANTS_N", 6000);
    let all = std::env::var("MUTANTS_ALL").is_ok();
    let bench = Bench::start(1, false);
    let mut survivors = Vec::new();
    println!("{:<50} {:<16} oracle", "left out", "verifier");
    let named = std::env::var("MUTANTS").unwrap_or_default();
    let wanted = |m: &Mutant| {
        if named.is_empty() {
            (all && !BEYOND_ORACLE.contains(m) && !Mutant::OWN_SCHEMA.contains(m)) || SOME.contains(m)
        } else {
            named.split(',').any(|n| n == format!("{m:?}"))
        }
    };
    for mutant in Mutant::ALL.iter().copied().filter(wanted) {
        let start = Instant::now();
        let killers = Killers { verifier: by_verifier(&bench, mutant, cases), oracle: by_oracle(&bench, mutant, cases) };
        let verifier = killers.verifier.as_deref().unwrap_or("-");
        let oracle = killers.oracle.as_deref().unwrap_or("-");
        println!("{:<50} {verifier:<16} {oracle}  ({:.1} s)", mutant.what(), start.elapsed().as_secs_f64());
        let proof_due = !BEYOND_PROOF.contains(&mutant);
        if killers.oracle.is_none() || (proof_due && killers.verifier.is_none()) {
            survivors.push(mutant);
        }
    }
    assert!(survivors.is_empty(), "not noticed as they should be: {survivors:?}");
}

/// The first case of which a statement that the whole judge accepts, or refuses for another reason, cannot be proved any more.
fn by_verifier(bench: &Bench, mutant: Mutant, cases: u64) -> Option<String> {
    let (judge, tenant) = (bench.judge(), tenant(bench));
    let mutated = judge.mutated(Mutation { mutant, unproved: false });
    // Where no proof is due, a short look.
    let cases = if BEYOND_PROOF.contains(&mutant) { cases.min(300) } else { cases };
    let unproved = |j: &Judge, sql: &str| j.simple(sql, &tenant).is_err_and(|r| r.message.starts_with(UNPROVED));
    let shows = |case: &Case| case.steps.iter().any(|s| unproved(&mutated, &s.sql) && !unproved(judge, &s.sql));
    let mut written = WRITTEN.iter().filter(|w| w.0 == mutant).map(|w| written(w.1));
    if written.any(|case| shows(&case)) {
        return Some("written".to_owned());
    }
    in_order(cases).into_iter().find(|n| shows(&Case::new(3, *n, LITERAL))).map(|n| format!("case {n}"))
}

/// The first case that the oracle finds to differ, among those that the mutant makes anything else of.
fn by_oracle(bench: &Bench, mutant: Mutant, cases: u64) -> Option<String> {
    let (judge, tenant) = (bench.judge(), tenant(bench));
    let mutated = judge.mutated(Mutation { mutant, unproved: true });
    let text = |j: &Judge, sql: &str| j.simple(sql, &tenant).map(|s| s.outgoing.as_str().to_owned()).map_err(|r| r.message);
    let mut pair = bench.pair(0, Some(mutated.clone()));
    let written = WRITTEN.iter().filter(|w| w.0 == mutant).map(|w| ("written".to_owned(), written(w.1)));
    let random = in_order(cases).into_iter().map(|n| (format!("case {n}"), Case::new(3, n, LITERAL)));
    for (name, case) in written.chain(random) {
        if case.steps.iter().all(|s| text(judge, &s.sql) == text(&mutated, &s.sql)) {
            continue;
        }
        if let Some(kind) = difference(&mut pair, &case) {
            return Some(format!("{name}: {kind}"));
        }
    }
    None
}

fn written(texts: &[&str]) -> Case {
    let step = |sql: &&str| Step { sql: (*sql).to_owned(), parameters: None, ordered: false, again: 0, fetch: 0 };
    Case { steps: texts.iter().map(step).collect(), transaction: true, forbidden: false, features: 0 }
}

/// What is forbidden first: each such statement is there for one protection.
fn in_order(cases: u64) -> Vec<u64> {
    let (forbidden, others): (Vec<u64>, Vec<u64>) = (0..cases).partition(|n| Case::new(3, *n, LITERAL).forbidden);
    [forbidden, others].concat()
}

fn difference(pair: &mut Pair<'_>, case: &Case) -> Option<String> {
    pair.run(case).into_iter().find_map(|o| match o.verdict {
        Verdict::Different(kind, _) => Some(kind.to_owned()),
        _ => None,
    })
}

fn tenant(bench: &Bench) -> TenantId {
    bench.judge().policy().tenants.accept("acme").unwrap()
}
