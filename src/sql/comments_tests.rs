//! Which comments are kept.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[test]
fn one_before_and_one_behind_are_kept() {
    let parts = |sql: &str| split(sql).map(|k| (k.before, k.text.trim().to_owned(), k.behind));
    let kept = |before: &str, text: &str, behind: &str| Some((before.to_owned(), text.to_owned(), behind.to_owned()));
    assert_eq!(parts("SELECT 1 /*traceparent='00-1'*/"), kept("", "SELECT 1", "/*traceparent='00-1'*/"));
    assert_eq!(parts("SELECT 1 /* a */ ; "), kept("", "SELECT 1         ;", "/* a */"));
    assert_eq!(parts("/*+ SeqScan(t) */ SELECT 1"), kept("/*+ SeqScan(t) */", "SELECT 1", ""));
    assert_eq!(parts(" /* a */ SELECT /* b */ 1 /* c */"), kept("/* a */", "SELECT /* b */ 1", "/* c */"));
    assert_eq!(parts("/* a */"), kept("/* a */", "", ""));
    let long = format!("SELECT 1 /*{}*/", "x".repeat(3000));
    for none in [
        "SELECT 1",
        "SELECT '/* a */'",
        "SELECT 1 /* a /* b */ */",
        "SELECT 1 /* \u{e9} */",
        "SELECT 1 /* a\nb */",
        "SELECT 1 */",
        "/*/ SELECT 1",
        "/*+ Set(row_security off) */ SELECT 1",
        "/*+ SET (row_security off) */ SELECT 1",
        &long,
    ] {
        assert_eq!(split(none), None, "{none}");
    }
    let sql = "/* a */ SELECT x /* b */";
    assert_eq!(split(sql).unwrap().text.len(), sql.len());
}

#[test]
fn the_verifier_knows_what_is_nothing_but_comments() {
    let adds = crate::sql::verify::adds_only_comments;
    assert!(adds("/* a */ SELECT 1 /* b */", "SELECT 1"));
    assert!(adds("SELECT 1", "SELECT 1"));
    for (sent, judged) in [
        ("/* a */ SELECT 2 /* b */", "SELECT 1"),
        ("/* a /* */ SELECT 1", "SELECT 1"),
        ("SELECT 1 /* b */ ; DELETE FROM t /* c */", "SELECT 1"),
        ("SELECT 1 /* b", "SELECT 1"),
        ("SELECT 1 -- b", "SELECT 1"),
        ("DROP TABLE t; SELECT 1", "SELECT 1"),
        ("/* a */SELECT 1", "SELECT 1"),
        ("SELECT 1 /* b\n */", "SELECT 1"),
    ] {
        assert!(!adds(sent, judged), "{sent}");
    }
}
