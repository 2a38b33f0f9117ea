//! Many cases on several pairs of connections, and the report.

use super::bench::{Bench, Pair};
use super::compare::Verdict;
use super::features::Feature;
use super::generate::{Case, Form};
use super::shrink::shrink;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How many statements of each reason for a refusal are kept.
const EXAMPLES: usize = 6;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// About how many statements.
    pub statements: u64,
    /// The seed.
    pub seed: u64,
    /// Pairs of connections.
    pub pairs: usize,
    /// This case only.
    pub only: Option<u64>,
    /// Stop after so many differences.
    pub enough: usize,
}

/// What came of it.
#[derive(Default)]
pub struct Report {
    /// Statements run.
    pub statements: u64,
    /// Of them: same answer.
    pub same: u64,
    /// The same error.
    pub same_error: u64,
    /// Refused as it must be.
    pub denied: u64,
    /// Refused by the wall.
    pub refused: u64,
    /// The same rows, a whole row told as a mere record.
    pub row_types: u64,
    /// The same rows, a type modifier not told.
    pub modifiers: u64,
    /// Both fail, by another of the keys that a row breaks.
    pub other_keys: u64,
    /// Only the private server fails, on its own rows.
    pub sooner: u64,
    /// Too slow on either side.
    pub slow: u64,
    /// How often a feature was in a statement's case, and in a refused one's.
    pub features: BTreeMap<&'static str, (u64, u64)>,
    /// Why refused.
    pub reasons: BTreeMap<String, (u64, Vec<String>)>,
    /// SQLSTATEs that both gave.
    pub errors: BTreeMap<String, (u64, String)>,
    /// Differences, in words.
    pub differences: Vec<String>,
}

/// Runs the plan.
pub fn run(bench: &Bench, plan: Plan) -> Report {
    let (next, report) = (AtomicU64::new(0), Mutex::new(Report::default()));
    let before: Vec<String> = (0..plan.pairs).map(|n| bench.others(n)).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..plan.pairs {
            let (next, report) = (&next, &report);
            scope.spawn(move || {
                let mut pair = bench.pair(n, None);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let number = plan.only.unwrap_or(number);
                    one(bench, &mut pair, plan.seed, number, report);
                    let done = report.lock().unwrap();
                    if done.statements >= plan.statements || plan.only.is_some() || done.differences.len() >= plan.enough {
                        break;
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap();
    for (n, before) in before.iter().enumerate() {
        if bench.others(n) != *before {
            report.differences.push(format!("other tenants' rows of pair {n} have changed"));
        }
    }
    println!("{} statements in {:.1} s", report.statements, start.elapsed().as_secs_f64());
    report
}

fn one(bench: &Bench, pair: &mut Pair<'_>, seed: u64, number: u64, report: &Mutex<Report>) {
    let case = Case::new(seed, number, Form::default());
    let outcomes = pair.run(&case);
    let mut different = None;
    {
        let mut report = report.lock().unwrap();
        for outcome in &outcomes {
            let sql = case.steps.get(outcome.index).map_or("(state)", |s| s.sql.as_str());
            report.note(&case, sql, &outcome.verdict);
            if let Verdict::Different(kind, what) = &outcome.verdict {
                different = Some((outcome.index, *kind, what.clone()));
            }
        }
    }
    if let Some((index, kind, what)) = different {
        let text = describe(bench, pair, &case, (seed, number), (index, kind, &what));
        println!("{text}");
        report.lock().unwrap().differences.push(text);
    }
}

fn describe(
    bench: &Bench,
    pair: &mut Pair<'_>,
    case: &Case,
    (seed, number): (u64, u64),
    (index, kind, what): (usize, &'static str, &str),
) -> String {
    let mut text = format!("\n=== difference in {kind}: seed {seed}, case {number}, step {index}\n  {what}\n");
    let tenant = bench.judge().policy().tenants.accept("acme").unwrap();
    let show = |case: &Case| {
        let mut out = String::new();
        for step in &case.steps {
            out.push_str(&format!("  client   {}\n", step.sql));
            if let Some(values) = &step.parameters {
                out.push_str(&format!("  with     {values:?} again {} fetch {}\n", step.again, step.fetch));
            }
            match bench.judge().simple(&step.sql, &tenant) {
                Ok(script) => out.push_str(&format!("  outgoing {}\n", script.outgoing.as_str())),
                Err(_) => match bench.judge().extended(&step.sql, 0, &tenant) {
                    Ok(prepared) => out.push_str(&format!("  outgoing {}\n", prepared.outgoing.as_str())),
                    Err(refusal) => out.push_str(&format!("  refused  {}\n", refusal.message)),
                },
            }
        }
        out
    };
    text.push_str(&show(case));
    match shrink(pair, seed, number, kind) {
        Some(small) => text.push_str(&format!("  shrunk to\n{}", show(&small))),
        None => text.push_str("  (does not differ as simple queries)\n"),
    }
    text
}

impl Report {
    fn note(&mut self, case: &Case, sql: &str, verdict: &Verdict) {
        self.statements += 1;
        let refused = matches!(verdict, Verdict::Refused(_)) && !case.forbidden;
        for feature in Feature::ALL.iter().filter(|f| case.features & f.bit() != 0) {
            let counts = self.features.entry(feature.name()).or_default();
            counts.0 += 1;
            counts.1 += u64::from(refused);
        }
        match verdict {
            Verdict::Same => self.same += 1,
            Verdict::RowType => self.row_types += 1,
            Verdict::Modifier => self.modifiers += 1,
            Verdict::OtherKey => self.other_keys += 1,
            Verdict::SameError(code) => {
                self.same_error += 1;
                let first = self.errors.entry(code.clone()).or_insert_with(|| (0, sql.to_owned()));
                first.0 += 1;
            }
            Verdict::Sooner => {
                self.sooner += 1;
                println!("only the private server fails: {sql}");
            }
            Verdict::Slow => self.slow += 1,
            Verdict::Refused(_) if case.forbidden => self.denied += 1,
            Verdict::Refused(why) => {
                self.refused += 1;
                let reason = self.reasons.entry(why.clone()).or_default();
                reason.0 += 1;
                if reason.1.len() < EXAMPLES {
                    reason.1.push(sql.to_owned());
                }
            }
            Verdict::Different(..) => {}
        }
    }

    /// Prints it.
    pub fn print(&self, verbose: bool) {
        println!("{:<45} {:>9} {:>9}", "feature", "seen", "refused");
        for feature in Feature::ALL {
            let (seen, refused) = self.features.get(feature.name()).copied().unwrap_or_default();
            println!("{:<45} {seen:>9} {refused:>9}", feature.name());
        }
        let share = |n: u64| 100.0 * n as f64 / self.statements.max(1) as f64;
        println!(
            "statements {}: same answer {} ({:.1} %), same error {} ({:.1} %), refused {} ({:.2} %), only a row type differs {}, only a type modifier {}, another of two broken keys {}, only the private server fails {}, slow {}, denied as it must be {}, differences {}",
            self.statements,
            self.same,
            share(self.same),
            self.same_error,
            share(self.same_error),
            self.refused,
            share(self.refused),
            self.row_types,
            self.modifiers,
            self.other_keys,
            self.sooner,
            self.slow,
            self.denied,
            self.differences.len()
        );
        for (code, (count, example)) in self.errors.iter().filter(|_| verbose) {
            println!("  both {count:>6}  {code}\n                  {example}");
        }
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (why, (count, examples)) in reasons.iter().take(if verbose { 60 } else { 12 }) {
            println!("  refused {count:>6}  {why}");
            for example in examples.iter().filter(|_| verbose) {
                println!("                  {example}");
            }
        }
    }
}
