//! What is known of a session's own after parts of a transaction were taken back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::sql::private::{of_kind, temporary};

/// `path a`, `local a`, `temp t`, `brief t` (ON COMMIT DROP), `child u` and `bound u` (of t), `free u`, `rename t` (to v), `drop t`, `save s`, `release s`, `to s`, `commit`, `rollback`, `fail`, `ready`.
fn play(script: &str) -> String {
    let mut own = Own::default();
    for step in script.split("; ") {
        let (word, name) = step.split_once(' ').unwrap_or((step, ""));
        let path = || Kind::SearchPath { path: Some([name.to_owned()].into()), local: word == "local" };
        let table = || Kind::CreateTemp { table: temporary(name, Vec::new()), vanishes: word == "brief" };
        match word {
            "path" | "local" => own.completed(&path(), b"SET"),
            "temp" | "brief" => own.completed(&table(), b"CREATE TABLE"),
            "child" => own.completed(&Kind::CreateTemp { table: of_kind('r', name, vec!["t".into()]), vanishes: false }, b"CREATE TABLE"),
            "bound" | "free" => {
                let kind = Kind::BindTemp { child: name.into(), parent: "t".into(), bound: word == "bound" };
                own.completed(&kind, b"ALTER TABLE");
            }
            "rename" => own.completed(&Kind::RenameTemp(name.into(), "v".into()), b"ALTER TABLE"),
            "drop" => own.completed(&Kind::DropTemp(vec![name.into()]), b"DROP TABLE"),
            "save" => own.completed(&Kind::Savepoint(name.into()), b"SAVEPOINT"),
            "release" => own.completed(&Kind::Release(name.into()), b"RELEASE"),
            "to" => own.completed(&Kind::RollbackTo(name.into()), b"ROLLBACK"),
            "commit" => own.completed(&Kind::End, b"COMMIT"),
            "rollback" => own.completed(&Kind::End, b"ROLLBACK"),
            "fail" => own.failed(),
            "ready" => own.ready(b'I'),
            other => panic!("{other}"),
        }
    }
    let path = own.temps.path().map_or("-".to_owned(), |p| p.join(","));
    let tables: Vec<&str> = ["t", "u", "v"].into_iter().filter(|t| own.temps.get(t).is_some()).collect();
    format!("{path} {}", tables.join(","))
}

#[test]
fn what_is_rolled_back_is_taken_back() {
    for (script, wanted) in [
        ("path a; ready", "a "),
        ("path a; ready; path b; rollback; ready", "a "),
        ("path a; ready; path b; fail; ready", "a "),
        ("path a; ready; path b; commit; fail; ready", "b "),
        ("path a; ready; rollback; path b; ready", "b "),
        ("path a; ready; local b; commit; ready", "a "),
        ("path a; ready; local b; path c; commit; ready", "c "),
        ("path a; save s; path b; to s", "a "),
        ("path a; save s; path b; to s; commit; ready", "a "),
        ("path a; save s; path b; release s; commit; ready", "b "),
        ("path a; save s; path b; save s; path c; to s", "b "),
        ("path a; save s; path b; save s; path c; release s; to s", "a "),
        ("save s; save s; save s; path a; release s; release s; to s", "- "),
        ("save s; save s; path a; to s; to s; path b; release s; to s", "- "),
        ("save s; path a; save r; path b; to s; path c; commit", "c "),
        ("save s; path a; save r; path b; to s; rollback", "- "),
        ("local a; save s; local b; to s", "a "),
        ("local a; save s; path b; to s; commit", "- "),
        ("temp t; save s; temp u; drop t; to s; temp v; commit; ready", "- t,v"),
        ("temp t; save s; temp u; fail; to s; ready", "- "),
        ("save s; brief t; to s; temp t; commit", "- t"),
        ("brief t; save s; drop t; temp t; to s; commit", "- "),
        ("brief t; drop t; temp t; commit", "- t"),
        ("temp t; child u; drop t; ready", "- "),
        ("temp t; child u; ready; drop t; rollback; ready", "- t,u"),
        ("brief t; child u; temp v; commit; ready", "- v"),
        ("temp t; temp u; bound u; drop t; ready", "- "),
        ("temp t; child u; free u; drop t; ready", "- u"),
        ("temp t; child u; save s; free u; to s; drop t; ready", "- "),
        ("brief t; rename t; commit; ready", "- "),
        ("temp t; child u; rename t; drop v; ready", "- "),
        ("temp t; ready; rename t; rollback; ready", "- t"),
    ] {
        assert_eq!(play(script), wanted, "{script}");
    }
}
