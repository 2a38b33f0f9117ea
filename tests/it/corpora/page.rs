//! The counts, and the page made of them.

use super::reasons;
use super::statements::{self, Statement};
use super::verdict::Verdict;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What became of one corpus.
pub struct Tally {
    /// Its name.
    pub name: &'static str,
    /// Text, session, verdict.
    outcomes: Vec<(String, String, Verdict)>,
}

/// The numbers of a corpus, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    statements: usize,
    dml: usize,
    invalid: usize,
    /// Sent, and proved.
    pub accepted: usize,
    alone: usize,
    design: usize,
    /// Refused though nothing says that it should be.
    pub refused: usize,
    broken: usize,
}

impl Numbers {
    fn judged(&self) -> usize {
        self.dml - self.invalid
    }

    /// Accepted, of all that PostgreSQL accepts.
    pub fn share(&self) -> f64 {
        100.0 * self.accepted as f64 / self.judged().max(1) as f64
    }

    fn share_without_design(&self) -> f64 {
        100.0 * self.accepted as f64 / (self.judged() - self.design).max(1) as f64
    }

    fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {:.2} % | {:.2} % | {} |\n",
            self.statements,
            self.dml,
            self.invalid,
            self.judged(),
            self.accepted,
            self.design,
            self.refused,
            self.broken,
            self.share(),
            self.share_without_design(),
            self.alone
        )
    }

    fn add(&mut self, other: Self) {
        self.statements += other.statements;
        self.dml += other.dml;
        self.invalid += other.invalid;
        self.accepted += other.accepted;
        self.alone += other.alone;
        self.design += other.design;
        self.refused += other.refused;
        self.broken += other.broken;
    }
}

impl Tally {
    /// None yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, outcomes: Vec::new() }
    }

    /// From the lines of an earlier run.
    pub fn read(name: &'static str, lines: &str) -> Self {
        let outcome = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            let verdict = match record["what"].as_str().unwrap_or_default() {
                "invalid" => Verdict::Invalid(text("why")),
                "accepted" => Verdict::Accepted { alone: record["why"] == "alone" },
                "broken" => Verdict::Broken(text("why")),
                _ => Verdict::Refused(text("why")),
            };
            (text("sql"), text("session"), verdict)
        };
        Self { name, outcomes: lines.lines().map(outcome).collect() }
    }

    /// Its row of the page.
    pub fn row(&self) -> String {
        self.numbers().row(self.name)
    }

    /// Counts one.
    pub fn add(&mut self, statement: &Statement, verdict: Verdict) {
        self.outcomes.push((statement.sql.clone(), statement.session.clone(), verdict));
    }

    /// Its numbers.
    pub fn numbers(&self) -> Numbers {
        let count = |which: &dyn Fn(&Verdict) -> bool| self.outcomes.iter().filter(|(_, _, v)| which(v)).count();
        let design = |v: &Verdict| matches!(v, Verdict::Refused(why) if reasons::design(why).is_some());
        Numbers {
            statements: statements::count(self.name),
            dml: self.outcomes.len(),
            invalid: count(&|v| matches!(v, Verdict::Invalid(_))),
            accepted: count(&|v| matches!(v, Verdict::Accepted { .. })),
            alone: count(&|v| matches!(v, Verdict::Accepted { alone: true })),
            design: count(&design),
            refused: count(&|v| matches!(v, Verdict::Refused(_)) && !design(v)),
            broken: count(&|v| matches!(v, Verdict::Broken(_))),
        }
    }

    /// What would have been sent and is wrong.
    pub fn broken(&self) -> Vec<String> {
        let broken = |(s, _, v): &(String, String, Verdict)| match v {
            Verdict::Broken(why) => Some(format!("{s}\n{why}")),
            _ => None,
        };
        self.outcomes.iter().filter_map(broken).collect()
    }

    /// What is refused and should not be.
    pub fn refused(&self) -> Vec<String> {
        let refused = |(s, _, v): &(String, String, Verdict)| match v {
            Verdict::Refused(why) if reasons::design(why).is_none() => Some(format!("{s}\n{why}")),
            _ => None,
        };
        self.outcomes.iter().filter_map(refused).collect()
    }

    /// How many were counted.
    pub fn count(&self) -> usize {
        self.outcomes.len()
    }

    /// A JSON record a statement, from this one on.
    pub fn lines(&self, from: usize) -> Vec<String> {
        let line = |(sql, session, v): &(String, String, Verdict)| {
            let (what, why) = match v {
                Verdict::Invalid(why) => ("invalid", why.clone()),
                Verdict::Accepted { alone } => ("accepted", if *alone { "alone".into() } else { String::new() }),
                Verdict::Refused(why) => (if reasons::design(why).is_some() { "design" } else { "refused" }, why.clone()),
                Verdict::Broken(why) => ("broken", why.clone()),
            };
            let record = serde_json::json!({"corpus": self.name, "session": session, "what": what, "why": why, "sql": sql});
            format!("{record}\n")
        };
        self.outcomes[from..].iter().map(line).collect()
    }
}

/// The page.
pub fn page(tallies: &[Tally]) -> String {
    let mut page = include_str!("head.md").to_owned();
    page.push_str(
        "\n| corpus | statements | SELECT, INSERT, UPDATE, DELETE, MERGE | invalid there | judged | accepted | refused by design | refused | wrong | accepted of judged | without what is refused by design | no second opinion |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let (mut applications, mut all) = (Numbers::default(), Numbers::default());
    for tally in tallies {
        page.push_str(&tally.numbers().row(tally.name));
        all.add(tally.numbers());
        if tally.name != super::REGRESS {
            applications.add(tally.numbers());
        }
    }
    page.push_str(&applications.row("**all but the regression tests**"));
    page.push_str(&all.row("**all**"));
    let groups = [("ORMs, tools, applications", false), ("PostgreSQL's regression tests", true)];
    for (title, regress) in groups {
        let outcomes = || tallies.iter().filter(|t| (t.name == super::REGRESS) == regress).flat_map(|t| &t.outcomes);
        writeln!(page, "\n## {title}").unwrap();
        let design = outcomes().filter_map(|(s, _, v)| match v {
            Verdict::Refused(why) => reasons::design(why).map(|class| (class.to_owned(), s)),
            _ => None,
        });
        table(&mut page, "Refused by design", design);
        let refused = outcomes().filter_map(|(s, _, v)| match v {
            Verdict::Refused(why) if reasons::design(why).is_none() => Some((reasons::general(why), s)),
            _ => None,
        });
        table(&mut page, "Refused", refused);
        let broken = outcomes().filter_map(|(s, _, v)| match v {
            Verdict::Broken(why) => Some((reasons::general(why.split(" in ").next().unwrap_or_default()), s)),
            _ => None,
        });
        table(&mut page, "Wrong: accepted, and PostgreSQL says no to what would be sent, or gives other columns", broken);
        let invalid = outcomes().filter_map(|(s, _, v)| match v {
            Verdict::Invalid(why) => Some((reasons::general(&reasons::kind(why)), s)),
            _ => None,
        });
        table(&mut page, "Invalid there", invalid);
    }
    page
}

fn table<'a>(page: &mut String, title: &str, cases: impl Iterator<Item = (String, &'a String)>) {
    let mut counted: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for (reason, statement) in cases {
        let entry = counted.entry(reason).or_insert((0, statement));
        entry.0 += 1;
        // The shortest shows it best.
        if statement.len() < entry.1.len() {
            entry.1 = statement;
        }
    }
    let mut sorted: Vec<_> = counted.into_iter().collect();
    sorted.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.0.cmp(&b.0)));
    let total: usize = sorted.iter().map(|(_, (count, _))| count).sum();
    if total == 0 {
        return;
    }
    writeln!(page, "\n### {title}: {total}\n\n| count | reason | for example |\n|---:|---|---|").unwrap();
    for (reason, (count, example)) in sorted {
        let example: String = example.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('`', "'");
        let short: String = example.chars().take(110).collect();
        let dots = if short == example { "" } else { " …" };
        writeln!(page, "| {count} | {} | `{short}{dots}` |", reason.replace('|', "\\|")).unwrap();
    }
}
