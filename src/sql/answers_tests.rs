//! What was answered is kept as it was, and a policy holds on it as far as it fits.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{Place, TableEntry};

#[test]
fn rows_come_back_as_they_were() {
    let rows: Rows = vec![vec![Some("ä".into()), None, Some(String::new())], Vec::new(), vec![Some("x".repeat(300))]];
    assert_eq!(unpack(&pack(&rows)), Some(rows.clone()));
    let packed = pack(&rows);
    for end in 0..packed.len() {
        assert_ne!(unpack(&packed[..end]), Some(rows.clone()));
    }
}

fn policy(tables: &[(&str, TableRule)]) -> Policy {
    let at = |line| Place { file: "p.yaml".into(), line, column: 1 };
    let entry = |(line, (name, rule)): (u32, &(&str, TableRule))| {
        let (schema, name) = name.split_once('.').unwrap();
        TableEntry { schema: schema.into(), name: name.into(), rule: rule.clone(), place: at(line) }
    };
    let mut policy = (**crate::sql::tests::judge().policy()).clone();
    policy.postgres.as_mut().unwrap().tables = (1..).zip(tables).map(entry).collect();
    policy
}

#[test]
fn a_policy_holds_as_far_as_it_fits_and_shows_nothing_that_it_does_not() {
    let scoped = |column: &str| TableRule::Scoped { column: column.into(), hidden: false };
    let words = |lines: &[&str]| -> Rows { lines.iter().map(|l| l.split(' ').map(|w| Some(w.to_owned())).collect()).collect() };
    let relations = words(&["1 public orders r", "2 public notes r", "3 public countries r"]);
    let columns = words(&["1 tenant_id 25 t f 25 t", "2 id 23 t f 23 t", "3 code 25 t f 25 t"]);
    let known = [("relations", relations), ("columns", columns)];
    let before = policy(&[("public.orders", scoped("tenant_id"))]);
    let asked = queries(&before, &Home::Rows);
    let answered: HashMap<&'static str, Rows> =
        asked.iter().map(|q| (q.name, known.iter().find(|(n, _)| *n == q.name).map(|(_, r)| r.clone()).unwrap_or_default())).collect();
    let answers = Answers::new(asked, &answered);
    let new = policy(&[
        ("public.orders", scoped("tenant_id")),
        // It has no such column, and the pattern below is not to decide on it.
        ("public.notes", scoped("tenant_id")),
        ("public.later", scoped("tenant_id")),
        ("public.*", TableRule::SharedRead),
    ]);
    let (held, catalog) = answers.hold(&new, &Home::Rows).unwrap();
    assert_eq!(held.version, new.version);
    let rule = |name: &str| catalog.relations.get(&("public".to_owned(), name.to_owned())).map(|r| r.rule.clone());
    assert_eq!(rule("orders"), Some(scoped("tenant_id")));
    assert_eq!((rule("notes"), rule("later")), (None, None));
    assert_eq!(rule("countries"), Some(TableRule::SharedRead));
    // Of another schema nothing was asked.
    assert!(answers.hold(&policy(&[("other.orders", scoped("tenant_id"))]), &Home::Rows).is_none());
    assert_eq!(answers.hold(&before, &Home::Rows).map(|(p, _)| p.version), Some(before.version));
}
