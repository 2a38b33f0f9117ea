//! What upstream has answered, kept small: a reload takes effect on it where the catalog cannot be read.

use super::catalog::{Catalog, Rows, text};
use super::home::{Question, queries};
use crate::policy::{Deciding, Home, Policy, TableRule};
use std::collections::{HashMap, HashSet};

/// How often what does not fit is taken out: a table that goes may be another's parent.
const ROUNDS: usize = 8;

/// Answers to the questions of one policy.
#[derive(Clone, Debug, Default)]
pub struct Answers(Vec<(Question, Box<[u8]>)>);

impl Answers {
    /// Of these questions.
    pub fn new(questions: Vec<Question>, answers: &HashMap<&'static str, Rows>) -> Self {
        let kept = |q: Question| answers.get(q.name).map(|rows| (q, pack(rows)));
        Self(questions.into_iter().filter_map(kept).collect())
    }

    /// `policy` as far as it fits what was answered, and the catalog of that: an entry that matches nothing is left out, a table that does not fit is hidden,
    /// a function that is not there is not listed. None where it asks for more than was asked, or does not fit otherwise.
    pub fn hold(&self, policy: &Policy, home: &Home) -> Option<(Policy, Catalog)> {
        let mut answers = HashMap::new();
        for question in queries(policy, home) {
            let (_, packed) = self.0.iter().find(|(asked, _)| *asked == question)?;
            answers.insert(question.name, unpack(packed)?);
        }
        let mut policy = policy.clone();
        if *home == Home::Rows {
            leave_out_unmatched(&mut policy, &answers);
        }
        for _ in 0..ROUNDS {
            let problems = match Catalog::build_for(&policy, home, &answers) {
                Ok(catalog) => return Some((policy, catalog)),
                Err(problems) => problems,
            };
            let rules = policy.postgres.as_mut()?;
            for problem in problems {
                let place = problem.place?;
                let listed = rules.functions.len();
                rules.functions.retain(|f| f.place != place);
                let mut found = rules.functions.len() < listed;
                for entry in rules.tables.iter_mut().filter(|e| e.place == place && e.rule != TableRule::Hidden) {
                    (entry.rule, found) = (TableRule::Hidden, true);
                }
                if !found {
                    return None;
                }
            }
        }
        None
    }
}

/// An entry that decides on no relation: without it none is decided otherwise.
fn leave_out_unmatched(policy: &mut Policy, answers: &HashMap<&'static str, Rows>) {
    let Some(rules) = policy.postgres.as_mut() else { return };
    let deciding = Deciding::of(&rules.tables);
    let named = ["relations", "all_sequences"].into_iter().filter_map(|name| answers.get(name)).flatten();
    let used: HashSet<usize> = named.filter_map(|row| deciding.find(&text(row, 1), &text(row, 2))).collect();
    let mut index = 0..;
    rules.tables.retain(|_| index.next().is_some_and(|i| used.contains(&i)));
}

/// Rows as lengths (of a value one more than its bytes, 0 for NULL) and bytes.
fn pack(rows: &Rows) -> Box<[u8]> {
    let mut out = Vec::new();
    let length = |out: &mut Vec<u8>, n: usize| out.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    for row in rows {
        length(&mut out, row.len());
        for value in row {
            length(&mut out, value.as_ref().map_or(0, |v| v.len() + 1));
            out.extend(value.iter().flat_map(|v| v.as_bytes()));
        }
    }
    out.into_boxed_slice()
}

/// What [`pack`] has packed; None for anything else.
fn unpack(mut packed: &[u8]) -> Option<Rows> {
    fn length(packed: &mut &[u8]) -> Option<usize> {
        let (bytes, rest) = packed.split_first_chunk::<4>()?;
        *packed = rest;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }
    let mut rows = Rows::new();
    while !packed.is_empty() {
        let count = length(&mut packed)?;
        let mut row = Vec::new();
        for _ in 0..count {
            let Some(bytes) = length(&mut packed)?.checked_sub(1) else {
                row.push(None);
                continue;
            };
            let (value, rest) = packed.split_at_checked(bytes)?;
            row.push(Some(String::from_utf8(value.to_vec()).ok()?));
            packed = rest;
        }
        rows.push(row);
    }
    Some(rows)
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
