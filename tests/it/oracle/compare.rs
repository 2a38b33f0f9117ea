//! Same or not.

use super::answer::{Answer, Field, Part};
use super::generate::Step;
use super::seed::TENANTS;
use super::tables::{CANARY, THROUGH};

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both gave the same.
    Same,
    /// Both failed in the same way.
    SameError(String),
    /// The wall refused it: SQLSTATE and message.
    Refused(String),
    /// The same rows, and a whole row that is told as a mere record.
    RowType,
    /// The same rows, and a computed column whose type modifier only the private server's planner told.
    Modifier,
    /// Both fail: a row breaks two keys at once, and the wall tells that of the parent first (docs/STATEMENTS.md).
    OtherKey,
    /// Only the private server fails, on its own rows: in which order conditions are looked at is the planner's (PostgreSQL manual, 4.2.14), and behind a fence
    /// another is chosen. The other way round it is a difference.
    Sooner,
    /// One of them took too long, or the private server failed itself.
    Slow,
    /// Not the same: which kind of difference, and what.
    Different(&'static str, String),
}

/// Compares the wall's answer with the private database's. `refused` says whether the wall itself refuses the statement.
pub fn compare(step: &Step, wall: &Answer, private: &Answer, refused: impl FnOnce() -> bool) -> Verdict {
    if let Some(leak) = leak(step, wall) {
        return Verdict::Different("leak", leak);
    }
    if wall.closed || private.closed {
        return Verdict::Different("closed", format!("wall closed: {}, private closed: {}", wall.closed, private.closed));
    }
    let code = |a: &Answer| a.error.as_ref().map(|e| e.code.clone());
    match (code(wall), code(private)) {
        (Some(w), Some(p)) if w == p => Verdict::SameError(p),
        (Some(w), Some(p)) if w == "23503" && BEHIND_THE_PARENT.contains(&p.as_str()) && breaks_the_parents_key(wall) => Verdict::OtherKey,
        (Some(w), _) | (_, Some(w)) if w == "57014" => Verdict::Slow,
        // "failed to build any 4-way joins": a fault of the planner's own, which no answer can be compared with.
        (None, Some(p)) if p == "XX000" => Verdict::Slow,
        // The server reads min(), max() and their kin from an index as a subquery with LIMIT 1, and leaves WITH TIES on it.
        (None, Some(code)) | (Some(code), None) if code == "21000" && step.sql.contains("WITH TIES") => Verdict::Slow,
        (Some(w), p) => {
            let message = wall.error.as_ref().map(|e| e.message.clone()).unwrap_or_default();
            if refused() {
                let detail = wall.error.as_ref().and_then(|e| e.detail.clone()).map(|d| format!(" ({d})")).unwrap_or_default();
                return Verdict::Refused(format!("{w} {message}{detail}"));
            }
            Verdict::Different("sqlstate", format!("wall refused {w} {message}, private {p:?} {}", brief(private)))
        }
        (None, Some(p)) if p.starts_with("22") => Verdict::Sooner,
        (None, Some(p)) => Verdict::Different("sqlstate", format!("wall {}, private {p} {}", brief(wall), brief(private))),
        (None, None) => parts(step, &wall.parts, &private.parts),
    }
}

/// What PostgreSQL looks at before a foreign key and the wall behind it: NULL, unique, CHECK and exclusion.
const BEHIND_THE_PARENT: &[&str] = &["23502", "23505", "23514", "23P01"];

/// The error of a key that leads from a `through` table to its parent.
fn breaks_the_parents_key(wall: &Answer) -> bool {
    wall.error
        .as_ref()
        .is_some_and(|e| THROUGH.iter().any(|table| e.message.contains(&format!("on table \"{table}\" violates foreign key"))))
}

/// Another tenant's value or name in anything that came.
fn leak(step: &Step, wall: &Answer) -> Option<String> {
    let error = wall.error.iter().flat_map(|e| [Some(e.message.clone()), e.detail.clone(), e.hint.clone()]).flatten();
    let rows = wall.parts.iter().flat_map(|p| &p.rows).flatten().flatten().cloned();
    let tells = |text: &String| text.contains(CANARY) || TENANTS[1..].iter().any(|t| text.contains(t) && !step.sql.contains(t));
    error.chain(rows).find(tells)
}

fn parts(step: &Step, wall: &[Part], private: &[Part]) -> Verdict {
    if wall.len() != private.len() {
        return Verdict::Different("parts", format!("{} results, private {}", wall.len(), private.len()));
    }
    for (w, p) in wall.iter().zip(private) {
        if w.fields != p.fields && !only_row_types(&w.fields, &p.fields) && !only_modifiers(&w.fields, &p.fields) {
            return Verdict::Different("columns", format!("{:?}\nprivate {:?}", w.fields, p.fields));
        }
        if w.types != p.types {
            return Verdict::Different("parameters", format!("{:?}\nprivate {:?}", w.types, p.types));
        }
        let (mut one, mut other) = (w.rows.clone(), p.rows.clone());
        if !step.ordered {
            one.sort();
            other.sort();
        }
        if one != other {
            return Verdict::Different("rows", rows(&one, &other));
        }
        if w.tag != p.tag {
            return Verdict::Different("tag", format!("{}, private {}", w.tag, p.tag));
        }
    }
    let differ =
        |like: fn(&[Field], &[Field]) -> bool| wall.iter().zip(private).any(|(w, p)| w.fields != p.fields && like(&w.fields, &p.fields));
    if differ(only_row_types) {
        Verdict::RowType
    } else if differ(only_modifiers) {
        Verdict::Modifier
    } else {
        Verdict::Same
    }
}

/// A table that had to be wrapped gives its whole row as `record`: the values are the same, the type's name is not.
fn only_row_types(wall: &[Field], private: &[Field]) -> bool {
    const RECORD: u32 = 2249;
    wall.len() == private.len() && wall.iter().zip(private).all(|(w, p)| w == p || (w.3 == RECORD && p.3 >= 16384 && w.0 == p.0))
}

/// A planner that folds a CASE or a NULLIF tells the modifier of the arm that is left; a fence or another plan keeps the whole.
fn only_modifiers(wall: &[Field], private: &[Field]) -> bool {
    let computed = |w: &Field, p: &Field| w.1 == 0 && (w.5 == -1 || p.5 == -1) && (&w.0, w.1, w.2, w.3, w.4) == (&p.0, p.1, p.2, p.3, p.4);
    wall.len() == private.len() && wall.iter().zip(private).all(|(w, p)| w == p || computed(w, p))
}

fn rows(one: &[Vec<Option<String>>], other: &[Vec<Option<String>>]) -> String {
    let only = |a: &[Vec<Option<String>>], b: &[Vec<Option<String>>]| {
        a.iter().filter(|r| !b.contains(r)).take(4).map(|r| format!("\n    {r:?}")).collect::<String>()
    };
    format!("{} rows, private {}; only wall:{}\n  only private:{}", one.len(), other.len(), only(one, other), only(other, one))
}

/// An answer in a line.
pub fn brief(answer: &Answer) -> String {
    match &answer.error {
        Some(e) => format!("{} {} {}", e.code, e.message, e.detail.clone().unwrap_or_default()),
        None => answer.parts.iter().map(|p| format!("[{} {} rows]", p.tag.trim_end_matches('\0'), p.rows.len())).collect(),
    }
}
