//! Makes a differing case small: fewer steps, then each marked piece replaced by its least form, as long as the difference stays.

use super::bench::Pair;
use super::compare::Verdict;
use super::generate::{Case, Form, unmarked};

/// How often the case may be run.
const RUNS: usize = 400;

/// The smallest case found that differs in the same way, if the case differs as a simple query at all.
pub fn shrink(pair: &mut Pair<'_>, seed: u64, number: u64, kind: &'static str) -> Option<Case> {
    let mut marked = Case::new(seed, number, Form { literal: true, marks: true });
    let mut runs = 0;
    let mut differs = |case: &Case| {
        runs += 1;
        let plain =
            Case { steps: case.steps.iter().map(|s| super::generate::Step { sql: unmarked(&s.sql), ..s.clone() }).collect(), ..*case };
        runs < RUNS && pair.run(&plain).iter().any(|o| matches!(o.verdict, Verdict::Different(k, _) if k == kind))
    };
    if !differs(&marked) {
        return None;
    }
    for index in (0..marked.steps.len()).rev() {
        let mut fewer = marked.clone();
        fewer.steps.remove(index);
        if marked.steps.len() > 1 && differs(&fewer) {
            marked = fewer;
        }
    }
    for index in 0..marked.steps.len() {
        let mut nth = 0;
        while let Some(smaller) = replaced(&marked.steps[index].sql, nth) {
            let mut candidate = marked.clone();
            candidate.steps[index].sql = smaller;
            if differs(&candidate) {
                marked = candidate;
            } else {
                nth += 1;
            }
        }
    }
    for step in &mut marked.steps {
        step.sql = unmarked(&step.sql);
    }
    Some(marked)
}

/// The text with its nth marked piece in its least form.
fn replaced(text: &str, nth: usize) -> Option<String> {
    let start = text.match_indices('\u{1}').nth(nth)?.0;
    let (mut depth, mut end) = (0, start);
    let mut middle = None;
    for (at, c) in text[start..].char_indices() {
        match c {
            '\u{1}' => depth += 1,
            '\u{2}' if depth == 1 && middle.is_none() => middle = Some(start + at),
            '\u{3}' => {
                depth -= 1;
                if depth == 0 {
                    end = start + at;
                    break;
                }
            }
            _ => {}
        }
    }
    Some(format!("{}{}{}", &text[..start], &text[start + 1..middle?], &text[end + 1..]))
}
