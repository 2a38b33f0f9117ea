//! Which texts are nobody's: whole ones, by the grammar.

use super::*;

#[test]
fn one_statement_and_nothing_else() {
    let choose = |value: Option<&str>, local| Some(Neutral::Choose { value: value.map(str::to_owned), local });
    for (sql, wanted) in [
        ("BEGIN", Some(Neutral::Begin("BEGIN"))),
        (" start transaction isolation level serializable;", Some(Neutral::Begin("START TRANSACTION"))),
        ("/* x */ /*y*/ commit", Some(Neutral::Commit { chain: false })),
        ("rollback and chain", Some(Neutral::Rollback { chain: true })),
        ("ROLLBACK TO SAVEPOINT a", Some(Neutral::RollbackTo("a".into()))),
        ("SAVEPOINT \"A b\"", Some(Neutral::Savepoint("A b".into()))),
        ("set partywall.tenant = 'acme'", choose(Some("acme"), false)),
        ("set local \"partywall\".\"TENANT\" to acme", choose(Some("acme"), true)),
        ("RESET partywall.tenant", choose(None, false)),
        ("SET partywall.tenant TO DEFAULT", choose(None, false)),
        ("DISCARD ALL", Some(Neutral::Clear(true))),
        ("RESET ALL", Some(Neutral::Clear(false))),
        ("DEALLOCATE s1", Some(Neutral::Deallocate("s1".into()))),
        ("", Some(Neutral::Empty)),
        (" ; ;", Some(Neutral::Empty)),
        ("/* BEGIN */", Some(Neutral::Empty)),
        ("BEGIN; SELECT 1", None),
        ("SET partywall.tenant = 'a'; SELECT 1", None),
        ("SET partywall.tenant = 'a', 'b'", None),
        ("SET partywall.tenants = 'a'", None),
        ("SET timezone = 'UTC'", None),
        ("SELECT set_config('partywall.tenant', 'a', false)", None),
        ("PREPARE TRANSACTION 'x'", None),
        ("DISCARD TEMP", None),
        ("begin x", None),
        ("SELECT 1", None),
    ] {
        assert_eq!(read(sql), wanted, "{sql}");
    }
}

#[test]
fn a_text_that_leaves_its_transaction_is_told() {
    assert!(spans_transactions("SELECT 1; COMMIT; SELECT 2"));
    for one in ["COMMIT", "COMMIT;", "SELECT 1; SELECT 'COMMIT;'", "SELECT 1;;", "x;y"] {
        assert!(!spans_transactions(one), "{one}");
    }
}
