//! What bounds a session, by the policy.

use super::catalog::{Row, text};
use super::{Refusal, settings};
use crate::policy::{Limits, Policy};
use std::collections::{BTreeMap, BTreeSet};

/// Settings that end what takes too long, in milliseconds, 0 for never (PostgreSQL manual, 20.11.1): where the operator gives one, it bounds what tenants set.
pub const TIMES: [&str; 5] =
    ["idle_in_transaction_session_timeout", "idle_session_timeout", "lock_timeout", "statement_timeout", "transaction_timeout"];

/// The server's settings, and the policy's limits of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Names of the server's settings, in lower case; none where they are not known.
    pub names: BTreeSet<String>,
    /// The most advisory locks that a session holds.
    pub advisory_locks: u32,
    /// Of [`TIMES`], those that the operator gives, in milliseconds.
    pub times: BTreeMap<String, u64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { names: BTreeSet::new(), advisory_locks: Limits::ADVISORY_LOCKS, times: BTreeMap::new() }
    }
}

impl Bounds {
    /// Reads the answer of the query `settings`.
    pub fn read(policy: &Policy, rows: &[Row]) -> Self {
        let names = rows.iter().map(|r| text(r, 0)).collect();
        Self { names, advisory_locks: policy.limits.advisory_locks.unwrap_or(Limits::ADVISORY_LOCKS), times: times(rows) }
    }

    /// May it be set to this value? None for DEFAULT and RESET. Errors: those of [`settings::may_set`]; 42501 for a longer time than the operator's.
    pub fn admit(&self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        settings::may_set(name, value)?;
        let (Some(most), Some(value)) = (self.time(name), value) else { return Ok(()) };
        if milliseconds(value).is_some_and(|time| time > 0.0 && time <= most as f64) {
            return Ok(());
        }
        let refusal = Refusal::not_allowed(format!("parameter \"{}\" cannot be set to this value", name.to_ascii_lowercase()));
        Err(refusal.detail(format!("It is to be a time, and none longer than {most} ms.")))
    }

    /// May it be set to a value that is known only when the statement runs?
    pub fn admit_any(&self, name: &str) -> bool {
        settings::may_set_any(name) && self.time(name).is_none()
    }

    /// Whether this value would be longer than the operator's time: what pg_dump and migrations ask for. DEFAULT is as long as there is.
    pub fn lifts(&self, name: &str, value: &str) -> bool {
        match (self.time(name), milliseconds(value)) {
            (Some(most), Some(time)) => time == 0.0 || time > most as f64,
            _ => false,
        }
    }

    /// Takes out of a client's startup parameters what [`Self::lifts`]. Errors: as [`Self::admit`], for a time that is none.
    pub fn hold(&self, parameters: &mut Vec<(String, String)>) -> Result<(), Refusal> {
        parameters.retain(|(name, value)| !self.lifts(name, value));
        let mut times = parameters.iter().filter(|(name, _)| self.time(name).is_some());
        times.try_for_each(|(name, value)| self.admit(name, Some(value)))
    }

    /// The operator's, in milliseconds, where it gives one.
    pub fn time(&self, name: &str) -> Option<u64> {
        self.times.get(&name.to_ascii_lowercase()).copied()
    }
}

fn times(rows: &[Row]) -> BTreeMap<String, u64> {
    let time = |r: &Row| Some((text(r, 0), text(r, 1).parse().ok().filter(|time| *time > 0)?));
    rows.iter().filter_map(time).filter(|(name, _)| TIMES.contains(&name.as_str())).collect()
}

/// A time as the server reads one: a number, plain or with a unit (guc.c, `parse_int`); None for what is none, and for forms that few write: hexadecimal and
/// octal numbers, exponents, signs.
fn milliseconds(value: &str) -> Option<f64> {
    let value = value.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let octal = number.len() > 1 && number.starts_with('0') && !number.starts_with("0.");
    if octal || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let scale = match unit.trim_start() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    // Rounded to whole ones: what becomes 0 is no bound.
    Some((number.parse::<f64>().ok()? * scale).round_ties_even())
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
