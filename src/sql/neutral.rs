//! Statements that are nobody's: they begin and end transactions, say whose the next statements are, or take all state back.

use super::parse::parse;
use pg_query::NodeEnum;
use pg_query::protobuf::{DiscardMode, TransactionStmt, TransactionStmtKind, VariableSetKind, VariableSetStmt, a_const};

/// The setting by which a trusted client says whose the next statements are.
pub const TENANT: &str = "partywall.tenant";

/// The longest text that is looked at; the statements meant here are short.
const BYTES_MAX: usize = 1024;

/// Words that such a statement begins with.
const WORDS: &[&str] =
    &["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "set", "reset", "discard", "deallocate"];

/// A text that is one statement of this kind and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Neutral {
    /// No statement at all.
    Empty,
    /// BEGIN, START TRANSACTION; the command tag.
    Begin(&'static str),
    /// COMMIT, END.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE of a savepoint.
    Release(String),
    /// ROLLBACK TO a savepoint.
    RollbackTo(String),
    /// SET partywall.tenant.
    Choose {
        /// What it is set to; None for RESET and DEFAULT.
        value: Option<String>,
        /// SET LOCAL.
        local: bool,
    },
    /// DISCARD ALL (true) or RESET ALL.
    Clear(bool),
    /// DEALLOCATE of this name.
    Deallocate(String),
}

impl Neutral {
    /// Its command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Begin(tag) => tag,
            Self::Commit { .. } => "COMMIT",
            Self::Rollback { .. } | Self::RollbackTo(_) => "ROLLBACK",
            Self::Savepoint(_) => "SAVEPOINT",
            Self::Release(_) => "RELEASE",
            Self::Choose { value: Some(_), .. } => "SET",
            Self::Choose { value: None, .. } | Self::Clear(false) => "RESET",
            Self::Clear(true) => "DISCARD ALL",
            Self::Deallocate(_) => "DEALLOCATE",
        }
    }
}

/// What kind of such a statement the text is; None for all else, be it unreadable.
pub fn read(sql: &str) -> Option<Neutral> {
    if sql.len() > BYTES_MAX || !may_be(sql) {
        return None;
    }
    let stmts = parse(sql).ok()?;
    match stmts.as_slice() {
        [] => Some(Neutral::Empty),
        [one] => match one.stmt.as_ref()?.node.as_ref()? {
            NodeEnum::TransactionStmt(x) => transaction(x),
            NodeEnum::VariableSetStmt(x) => setting(x),
            NodeEnum::DiscardStmt(x) if x.target == DiscardMode::DiscardAll as i32 => Some(Neutral::Clear(true)),
            NodeEnum::DeallocateStmt(x) if !x.isall => Some(Neutral::Deallocate(x.name.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// Does a text of several statements begin or end a transaction?
pub fn spans_transactions(sql: &str) -> bool {
    sql.contains(';')
        && parse(sql).is_ok_and(|stmts| {
            let of = |s: &pg_query::protobuf::RawStmt| {
                matches!(s.stmt.as_ref().and_then(|s| s.node.as_ref()), Some(NodeEnum::TransactionStmt(_)))
            };
            stmts.len() > 1 && stmts.iter().any(of)
        })
}

/// Cheap, and errs on the side of yes: the parser has the last word.
fn may_be(sql: &str) -> bool {
    let mut rest = sql.trim_ascii_start();
    while let Some((_, behind)) = rest.strip_prefix("/*").and_then(|r| r.split_once("*/")) {
        rest = behind.trim_ascii_start();
    }
    let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase();
    WORDS.contains(&word.as_str()) || rest.trim_matches([';', ' ', '\t', '\r', '\n']).is_empty()
}

fn transaction(x: &TransactionStmt) -> Option<Neutral> {
    use TransactionStmtKind as K;
    let (name, chain) = (x.savepoint_name.clone(), x.chain);
    Some(match K::try_from(x.kind).ok()? {
        K::TransStmtBegin => Neutral::Begin("BEGIN"),
        K::TransStmtStart => Neutral::Begin("START TRANSACTION"),
        K::TransStmtCommit => Neutral::Commit { chain },
        K::TransStmtRollback => Neutral::Rollback { chain },
        K::TransStmtSavepoint => Neutral::Savepoint(name),
        K::TransStmtRelease => Neutral::Release(name),
        K::TransStmtRollbackTo => Neutral::RollbackTo(name),
        _ => return None,
    })
}

fn setting(x: &VariableSetStmt) -> Option<Neutral> {
    use VariableSetKind as K;
    let (kind, local) = (K::try_from(x.kind).ok()?, x.is_local);
    if kind == K::VarResetAll {
        return Some(Neutral::Clear(false));
    }
    if !x.name.eq_ignore_ascii_case(TENANT) {
        return None;
    }
    match (kind, x.args.as_slice()) {
        (K::VarSetDefault | K::VarReset, _) => Some(Neutral::Choose { value: None, local }),
        (K::VarSetValue, [one]) => match one.node.as_ref()? {
            NodeEnum::AConst(pg_query::protobuf::AConst { val: Some(a_const::Val::Sval(s)), .. }) => {
                Some(Neutral::Choose { value: Some(s.sval.clone()), local })
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
#[path = "neutral_tests.rs"]
mod tests;
