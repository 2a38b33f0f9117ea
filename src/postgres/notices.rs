//! Which of the server's notices reach a client.
//!
//! A notice that comes while rows are looked at tells that one was, perhaps another tenant's: a collation's first use warns of its version, a text
//! search of a word that is too long. So those pass that the statement's own text and the catalog decide, and what the operator's functions
//! raise, which run behind the guards. All others stay here, and are counted. Told apart by the place in the server's source that wrote them
//! (fields F and R, elog.c `errfinish`): texts are translated, and the state is 01000 or 00000 of most.

use super::errors::{Fields, field};
use std::sync::Arc;

/// What becomes of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The client reads it.
    Told,
    /// It is a line of the server's log.
    Logged,
    /// It stays here: the place that wrote it.
    Withheld(Arc<str>),
}

/// By source file: what in it may speak, by function or SQLSTATE; nothing is all of it.
const PASSING: &[(&str, &[&str])] = &[
    // BEGIN, COMMIT and SET LOCAL where they have no effect; the last words of a server that goes down.
    ("xact.c", &["25001", "25P01"]),
    ("postgres.c", &["57P01", "57P02"]),
    // IF EXISTS, IF NOT EXISTS, OR REPLACE, CASCADE and what else DDL has to say: temporary tables, and what is a tenant's own.
    ("createas.c", &[]),
    ("dependency.c", &[]),
    ("dropcmds.c", &[]),
    ("heap.c", &["MergeWithExistingConstraint"]),
    ("index.c", &["index_create"]),
    ("indexcmds.c", &["DefineIndex"]),
    ("parse_utilcmd.c", &[]),
    ("pg_enum.c", &[]),
    ("schemacmds.c", &[]),
    ("sequence.c", &["DefineSequence", "AlterSequence"]),
    ("tablecmds.c", &[]),
    ("typecmds.c", &[]),
    ("utility.c", &["ProcessUtilitySlow"]),
    ("view.c", &[]),
    // TIME(9)
    ("date.c", &["anytime_typmod_check"]),
    ("timestamp.c", &["anytimestamp_typmod_check", "intervaltypmodin"]),
    // Advisory locks.
    ("lock.c", &["LockRelease"]),
    // RAISE, and its kin in other languages.
    ("pl_exec.c", &[]),
    ("plperl.c", &["plperl_util_elog", "do_util_elog"]),
    ("plpy_plpymodule.c", &["PLy_output"]),
    ("pltcl.c", &["pltcl_elog"]),
];

/// What becomes of a notice of these fields.
pub fn fate(fields: &Fields<'_>) -> Fate {
    // S is in the server's language (elog.c, err_gettext); V is not.
    if !matches!(field(fields, b'V').or_else(|| field(fields, b'S')), Some(b"NOTICE" | b"WARNING" | b"INFO")) {
        return Fate::Logged;
    }
    let text = |code: u8| field(fields, code).and_then(|t| std::str::from_utf8(t).ok()).unwrap_or_default();
    let (file, routine, state) = (text(b'F'), text(b'R'), text(b'C'));
    let passes =
        |(known, which): &(&str, &[&str])| *known == file && (which.is_empty() || which.contains(&routine) || which.contains(&state));
    match PASSING.iter().any(passes) {
        true => Fate::Told,
        false => Fate::Withheld(format!("{file}: {routine}").into()),
    }
}

#[cfg(test)]
#[path = "notices_tests.rs"]
mod tests;
