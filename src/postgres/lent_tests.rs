//! What goes with a connection, and what a session keeps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::sql::{Assurance, Kind, Outgoing, Prepared};

fn statement(text: &str, types: &[u32], digest: u64) -> Statement {
    let prepared = Prepared {
        outgoing: Outgoing::for_tests(text),
        client_params: 0,
        tenant_types: Vec::new(),
        own: Vec::new(),
        channels: Vec::new(),
        kind: Kind::Read,
        assurance: Arc::new(Assurance::default()),
    };
    Statement { sql: text.into(), prepared: Arc::new(prepared), types: types.to_vec(), generation: 0, digest, in_sql: false, path: None }
}

fn tenant(id: &str) -> TenantId {
    crate::policy::TenantPattern::new("[a-z]+[0-9]*").unwrap().accept(id).unwrap()
}

fn there(place: &Place) -> Option<&str> {
    if let Place::There(name) = place { Some(name) } else { None }
}

fn settings(all: &[(&str, &str)]) -> Settings {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_statement_is_found_under_what_it_was_read_by() {
    let (mut all, acme) = (Statements::default(), tenant("acme"));
    let one = statement("SELECT 1", &[23], 7);
    let (key, name) = all.put(&acme, &one, 5);
    assert!(matches!(all.find(&acme, &one, 5), Place::Sent(_)), "nothing was said to it");
    all.confirm(&acme, key, &name);
    assert_eq!(there(&all.find(&acme, &one, 5)), Some(&*name));
    assert!(matches!(all.find(&acme, &one, 6), Place::Nowhere), "other settings");
    assert_eq!(there(&all.find(&acme, &statement("SELECT 1", &[23], 7), 5)), Some(&*name), "another client's of the same text");
    let globex = tenant("globex");
    assert!(matches!(all.find(&globex, &one, 5), Place::Nowhere), "another tenant's");
    all.forget(&globex, key, &name);
    all.confirm(&globex, key, &name);
    let (_, other) = all.put(&globex, &one, 5);
    assert!(other != name && matches!(all.find(&globex, &one, 5), Place::Sent(_)) && all.len() == 2);
    all.forget(&globex, key, &other);
    assert_eq!((there(&all.find(&acme, &one, 5)), all.len()), (Some(&*name), 1));
    // Another text or type under the same key takes the name away instead of being taken for it.
    assert!(matches!(all.find(&acme, &statement("SELECT 1", &[25], 7), 5), Place::Nowhere));
    assert_eq!((all.len(), all.surplus()), (0, vec![name]));
}

#[test]
fn what_upstream_refused_is_forgotten_and_the_least_used_makes_room() {
    let (mut all, acme) = (Statements::default(), tenant("acme"));
    let (key, name) = all.put(&acme, &statement("SELECT 0", &[], 0), 0);
    all.forget(&acme, key, "another");
    assert_eq!(all.len(), 1);
    all.forget(&acme, key, &name);
    assert!(all.is_empty() && all.surplus().is_empty(), "upstream never had it");
    let each: Vec<Statement> = (0..STATEMENTS as u64).map(|n| statement(&format!("SELECT {n}"), &[], n)).collect();
    let names: Vec<Arc<str>> = each
        .iter()
        .map(|one| {
            let (key, name) = all.put(&acme, one, 0);
            all.confirm(&acme, key, &name);
            name
        })
        .collect();
    for one in each.iter().filter(|s| s.digest != 3) {
        assert!(there(&all.find(&acme, one, 0)).is_some());
    }
    assert_eq!(all.surplus(), vec![names[3].clone()]);
    all.doom(&each[9]);
    assert_eq!(all.surplus(), vec![names[9].clone()]);
    all.clear();
    assert!(all.is_empty());
}

#[test]
fn who_has_the_most_makes_room() {
    let (mut all, acme, globex) = (Statements::default(), tenant("acme"), tenant("globex"));
    let put = |all: &mut Statements, who: &TenantId, n: u64| {
        let gone = all.surplus();
        let one = statement(&format!("SELECT {n}"), &[], n);
        let _ = all.find(who, &one, 0);
        let (key, name) = all.put(who, &one, 0);
        all.confirm(who, key, &name);
        (name, gone)
    };
    let own: Vec<_> = (0..3).map(|n| put(&mut all, &acme, n).0).collect();
    let mut gone = Vec::new();
    for n in 0..STATEMENTS as u64 * 2 {
        gone.extend(put(&mut all, &globex, n).1);
        assert!(all.len() <= STATEMENTS);
    }
    assert!(!gone.is_empty() && !gone.iter().any(|name| own.contains(name)), "another's many statements take none of the few");
    // Of those that have as many, the one that was used least lately; of many tenants none keeps what it does not use.
    let mut one_each = Statements::default();
    let names: Vec<_> = (0..STATEMENTS as u64).map(|n| put(&mut one_each, &tenant(&format!("t{n}")), n).0).collect();
    let _ = one_each.find(&tenant("t0"), &statement("SELECT 0", &[], 0), 0);
    assert_eq!(put(&mut one_each, &acme, 9).1, vec![names[1].clone()]);
    assert!(matches!(one_each.find(&tenant("t1"), &statement("SELECT 1", &[], 1), 0), Place::Nowhere));
    one_each.doom(&statement("SELECT 9", &[], 9));
    assert_eq!(one_each.surplus().len(), 2, "everybody's of that text");
}

#[test]
fn what_one_lending_has_added_too_much_goes_bit_by_bit() {
    let (mut all, acme) = (Statements::default(), tenant("acme"));
    let sent: Vec<_> = (0..STATEMENTS as u64 + 20).map(|n| all.put(&acme, &statement(&format!("SELECT {n}"), &[], n), 0)).collect();
    assert!(all.surplus().is_empty(), "nothing was said to them");
    sent.iter().for_each(|(key, name)| all.confirm(&acme, *key, name));
    assert_eq!([all.surplus().len(), all.surplus().len(), all.surplus().len(), all.surplus().len()], [8, 8, 5, 0]);
    assert_eq!(all.len(), STATEMENTS - 1);
}

#[test]
fn texts_sent_after_a_setting_changed_are_shared_with_nobody() {
    let hasher = RandomState::new();
    let startup = settings(&[("DateStyle", "ISO")]);
    let mut one = Pooled::new(1, hasher.clone(), startup.clone(), false);
    let mut two = Pooled::new(2, hasher, startup, false);
    assert_eq!(one.print(), two.print());
    let before = one.print();
    one.lent = Some(Box::default());
    one.leaves(Traces::SETTINGS);
    two.leaves(Traces::SETTINGS);
    assert!(one.is_unsettled() && one.print() != before && one.print() != two.print());
    one.settle(settings(&[("TimeZone", "UTC")]));
    assert!(!one.is_unsettled());
    assert_eq!(one.settings(), &settings(&[("DateStyle", "ISO"), ("TimeZone", "UTC")]), "what it began with comes back");
    assert_eq!(one.lent.as_ref().unwrap().settings, settings(&[("TimeZone", "UTC")]), "the connection's are what was read");
    two.keep();
    assert!(two.pinned && !two.is_unsettled() && two.print() != one.print());
}

#[test]
fn settings_of_a_transaction_end_with_it() {
    let mut session = Pooled::new(1, RandomState::new(), Settings::default(), false);
    let before = session.print();
    session.leaves(Traces::LOCAL);
    assert!(session.print() != before && !session.is_unsettled());
    session.ended(false);
    assert_ne!(session.print(), before, "more was sent, which may hold another");
    session.ended(true);
    assert_eq!(session.print(), before);
}

#[test]
fn what_a_statement_leaves_is_noted_at_its_connection() {
    let mut session = Pooled::new(1, RandomState::new(), Settings::default(), false);
    session.lent = Some(Box::default());
    session.leaves(Traces::SOIL);
    let lent = |s: &Pooled| s.lent.as_ref().map(|l| (l.soiled, l.spent));
    assert_eq!((lent(&session), session.pinned), (Some((true, false)), false));
    session.leaves(Traces::SPENT);
    session.leaves(Traces::PIN);
    assert_eq!((lent(&session), session.pinned), (Some((true, true)), true));
    session.discarded = true;
    session.ended(true);
    assert!(!session.pinned, "DISCARD ALL lets it go");
}
