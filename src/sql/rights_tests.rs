//! Roles: the cases of tests/sql/roles.txt, and that what was judged for one role is not another's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::config::document::{Findings, Reader};
use crate::policy::Role;
use crate::sql::Judge;
use crate::sql::tests::judge_of;
use crate::sql::views::Writes;

/// The judge of roles.txt for everybody. What is offline knows no columns of views: these are put in.
pub fn roles_judge() -> Judge {
    let text = include_str!("../../tests/sql/roles.yaml");
    let tables: String = text.lines().filter(|l| !l.contains("public.v_")).flat_map(|l| [l, "\n"]).collect();
    let judge = judge_of(&tables, include_str!("../../tests/sql/roles.sql"));
    let mut catalog = (**judge.catalog()).clone();
    for (table, columns) in [("orders", "id tenant_id note price"), ("vault", "id tenant_id code")] {
        let below = catalog.find("public", table).unwrap().clone();
        let listed = columns.split(' ').map(|c| format!("{table}.{c}")).collect::<Vec<_>>().join(", ");
        let events = [None, None, None, None, None, None, None, Some("28".to_owned())];
        let view = Relation {
            oid: below.oid + 1000,
            name: format!("v_{table}"),
            kind: 'v',
            keys: Vec::new(),
            definition: Some(format!(" SELECT {listed}\n   FROM public.{table};")),
            writes: Writes::read(&events),
            ..(*below).clone()
        };
        catalog.relations.insert(("public".into(), view.name.clone()), Arc::new(view));
    }
    let mut findings = Findings::new();
    let policy = crate::policy::file::read(&mut Reader { file: "p.yaml".into(), findings: &mut findings }, text).unwrap();
    Judge::new(Arc::new(policy), Arc::new(catalog))
}

fn role(name: &str) -> Role {
    Role::Named(name.into())
}

/// The statements of the cases, whether each is allowed, and the words where it is not.
pub fn cases() -> Vec<(bool, &'static str, &'static str)> {
    let lines = include_str!("../../tests/sql/roles.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| {
            let (sign, rest) = line.trim_start_matches('~').split_once(' ').unwrap();
            let (sql, words) = rest.split_once(" => ").unwrap_or((rest, "permission denied for "));
            (sign == "+", sql, words)
        })
        .collect()
}

fn judged(judge: &Judge, sql: &str) -> Result<(), Refusal> {
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    let extended = judge.extended(sql, 0, &tenant).map(drop);
    let simple = judge.simple(sql, &tenant).map(drop);
    assert_eq!(extended, simple, "{sql}");
    simple
}

#[test]
fn a_role_may_do_what_the_policy_gives_it() {
    let judge = roles_judge();
    let clerk = judge.for_role(&role("clerk"));
    let mut wrong = String::new();
    for (allowed, sql, words) in cases() {
        if let Err(refusal) = judged(&judge, sql) {
            wrong.push_str(&format!("{sql}\n  without a role: {refusal}\n"));
        }
        match (allowed, judged(&clerk, sql)) {
            (true, Ok(())) => {}
            (false, Err(refusal)) if refusal.message.starts_with(words) => {}
            (_, got) => wrong.push_str(&format!("{sql}\n  {got:?}\n")),
        }
    }
    assert!(wrong.is_empty(), "these came out otherwise:\n{wrong}");
}

#[test]
fn what_was_judged_for_one_role_is_not_anothers() {
    let judge = roles_judge();
    let [clerk, admin, nobody] = ["clerk", "admin", "nobody"].map(|name| judge.for_role(&role(name)));
    for sql in ["SELECT price FROM orders WHERE id = 1", "SELECT price FROM orders WHERE id = 2", "SELECT price FROM orders WHERE id = 3"] {
        assert!(judged(&admin, sql).is_ok());
        assert_eq!(judged(&clerk, sql).unwrap_err().sqlstate, "42501");
        assert_eq!(judged(&nobody, "SELECT 1 FROM countries").unwrap_err().message, "permission denied for table countries");
    }
    assert!(judged(&nobody, "SELECT 1").is_ok());
}

#[test]
fn a_role_that_the_policy_does_not_know_may_nothing() {
    let judge = roles_judge();
    for role in [role("stranger"), Role::Unsaid] {
        let stranger = judge.for_role(&role);
        assert_eq!(judged(&stranger, "SELECT code FROM countries").unwrap_err().message, "permission denied for table countries");
    }
    assert!(judged(&judge.for_role(&Role::Operator), "SELECT price FROM orders").is_ok());
}

#[test]
fn entries_that_name_nothing_are_told() {
    let text = include_str!("../../tests/sql/roles.yaml");
    for (from, to, message) in [
        ("public.log: [insert]", "public.logs: [insert]", "role clerk: public.logs is no relation that tenants have"),
        ("[order_id, line, name], delete", "[order_id, line, cost, nome], delete", "role clerk: public.items has no column \"nome\""),
    ] {
        let text = text.replace(from, to);
        let mut findings = Findings::new();
        let mut reader = Reader { file: "p.yaml".into(), findings: &mut findings };
        let policy = crate::policy::file::read(&mut reader, &text).unwrap();
        let problems = crate::sql::offline::from_dump(&policy, include_str!("../../tests/sql/roles.sql")).unwrap_err();
        assert!(problems.iter().any(|p| p.message == message), "{problems:?}");
    }
}
