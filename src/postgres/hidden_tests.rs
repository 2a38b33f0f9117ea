//! DETAIL and HINT without the hidden column.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::sql::tests::hidden_judge;

fn shown(fields: &[(u8, &str)]) -> Vec<(u8, String)> {
    let judge = hidden_judge();
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    let fields: Vec<(u8, &[u8])> = fields.iter().map(|(code, text)| (*code, text.as_bytes())).collect();
    let kept = without(&fields, judge.catalog(), &tenant);
    kept.iter().map(|(code, text)| (*code, String::from_utf8_lossy(text).into_owned())).collect()
}

/// The DETAIL of an error of this code on a table.
fn detail(code: &str, table: &str, text: &str) -> Option<String> {
    let kept = shown(&[(b'C', code), (b's', "public"), (b't', table), (b'D', text)]);
    kept.into_iter().find(|(c, _)| *c == b'D').map(|(_, t)| t)
}

#[test]
fn a_key_loses_the_hidden_column() {
    for (text, wanted) in [
        ("Key (org_id, id)=(acme, 5) already exists.", Some("Key (id)=(5) already exists.")),
        ("Key (id, org_id)=(5, acme) already exists.", Some("Key (id)=(5) already exists.")),
        ("Key (id, org_id, title)=(5, acme, x) already exists.", Some("Key (id, title)=(5, x) already exists.")),
        ("Key (id, org_id, title)=(5, acme, a, acme) already exists.", None),
        ("Key (org_id)=(acme) already exists.", None),
        ("Key (org_id, id)=(globex, 5) already exists.", None),
        ("Key (id)=(5) already exists.", Some("Key (id)=(5) already exists.")),
        ("Schlüssel (org_id, id)=(acme, 5) existiert bereits.", None),
    ] {
        assert_eq!(detail("23505", "notes", text).as_deref(), wanted, "{text}");
    }
    let text = "Key (org_id, note_id)=(acme, 9) is not present in table \"notes\".";
    assert_eq!(detail("23503", "tags", text).as_deref(), Some("Key (note_id)=(9) is not present in table \"notes\"."));
    // A table that shows its tenant column shows it in its errors.
    let text = "Key (org_id, id)=(acme, 5) already exists.";
    assert_eq!(detail("23505", "orders", text).as_deref(), Some(text));
}

#[test]
fn a_row_loses_the_hidden_value() {
    for (table, text, wanted) in [
        ("notes", "Failing row contains (1, acme, x, null).", Some("Failing row contains (1, x, null).")),
        ("notes", "Failing row contains (1, acme, acme, null).", None),
        ("notes", "Failing row contains (id, title) = (1, x).", None),
        ("tags", "Failing row contains (acme, 1, a, acme).", Some("Failing row contains (1, a, acme).")),
        ("tags", "Failing row contains (globex, 1, a).", None),
        ("part_of_notes", "Failing row contains (1, acme, x, null).", None),
        ("notes", "Partition key of the failing row contains (org_id) = (acme).", None),
        ("orders", "Failing row contains (1, acme, x).", Some("Failing row contains (1, acme, x).")),
    ] {
        assert_eq!(detail("23514", table, text).as_deref(), wanted, "{text}");
    }
}

#[test]
fn no_hint_or_field_says_its_name() {
    let hint = "Perhaps you meant to reference the column \"notes.org_id\".";
    assert_eq!(shown(&[(b'C', "42703"), (b'H', hint)]), [(b'C', "42703".into())]);
    assert_eq!(shown(&[(b'C', "42703"), (b'H', "Perhaps you meant to reference the column \"notes.id\".")]).len(), 2);
    assert_eq!(shown(&[(b's', "public"), (b't', "notes"), (b'c', "org_id")]).len(), 2);
    assert_eq!(shown(&[(b'C', "22P02"), (b'D', "my_org_id is a word of its own")]).len(), 2);
}
