//! What of an error reaches the client.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::postgres::wire;

fn passed(tag: u8, fields: &Fields<'_>, position: impl FnOnce(u32) -> Option<u32>) -> Vec<(u8, String)> {
    let mut out = BytesMut::new();
    pass(&mut out, tag, fields, position).unwrap();
    read(tag, &out)
}

fn read(tag: u8, bytes: &[u8]) -> Vec<(u8, String)> {
    assert_eq!(bytes[0], tag);
    let fields = wire::fields(&bytes[wire::HEADER_BYTES..]).unwrap();
    fields.iter().map(|(c, t)| (*c, String::from_utf8(t.to_vec()).unwrap())).collect()
}

#[test]
fn known_fields_pass_and_statements_of_the_server_do_not() {
    let fields: Vec<(u8, &[u8])> = b"SVCMDHPpqWstcdnFLRXz".iter().map(|code| (*code, &b"1"[..])).collect();
    let kept: String = passed(b'E', &fields, |_| Some(4)).iter().map(|(code, _)| char::from(*code)).collect();
    assert_eq!(kept, "SVCMDHPstcdnFLR");
}

#[test]
fn the_number_of_a_temporary_schema_is_not_told() {
    let fields: &Fields<'_> = &[(b'C', b"23505"), (b's', b"pg_temp_17"), (b't', b"t")];
    assert_eq!(passed(b'E', fields, Some), [(b'C', "23505".into()), (b's', "pg_temp".into()), (b't', "t".into())]);
}

#[test]
fn positions_are_mapped_or_left_out() {
    let fields: &Fields<'_> = &[(b'C', b"42601"), (b'P', b"17")];
    assert_eq!(passed(b'E', fields, |p| Some(p - 10)), [(b'C', "42601".into()), (b'P', "7".into())]);
    assert_eq!(passed(b'E', fields, |_| None), [(b'C', "42601".into())]);
    assert_eq!(passed(b'N', &[(b'P', b"x")], Some), []);
    assert_eq!(passed(b'N', &[(b'P', b"99999999999999")], Some), []);
}

#[test]
fn an_upsert_on_another_tenants_row_says_nothing_of_it() {
    let fields: &Fields<'_> =
        &[(b'S', b"ERROR"), (b'C', b"22P02"), (b'M', b"invalid input: \"partywall:upsert\""), (b'D', b"globex"), (b'P', b"3")];
    let seen = passed(b'E', fields, Some);
    assert!(seen.contains(&(b'C', "42501".into())), "{seen:?}");
    assert!(!seen.iter().any(|(_, text)| text.contains("globex") || text.contains("partywall")), "{seen:?}");
}

#[test]
fn a_function_is_named_without_the_walls_schema() {
    let said = |code: &[u8], text: &[u8]| passed(b'E', &[(b'C', code), (b'M', text)], Some).remove(1).1;
    assert_eq!(said(b"42883", b"function pg_catalog.abs(text) does not exist"), "function abs(text) does not exist");
    assert_eq!(said(b"42883", b"operator does not exist: pg_catalog. x"), "operator does not exist: pg_catalog. x");
    assert_eq!(said(b"22P02", b"function pg_catalog.abs"), "function pg_catalog.abs");
}

#[test]
fn a_refusal_is_a_whole_error() {
    let mut out = BytesMut::new();
    refusal(&mut out, &Refusal::not_allowed("no\0pe").detail("why").hint("how").at(Some(9)));
    let texts = ["ERROR", "ERROR", "42501", "nope", "why", "how", "9"].map(str::to_owned);
    assert_eq!(read(b'E', &out), b"SVCMDHP".iter().copied().zip(texts).collect::<Vec<_>>());
    out.clear();
    fatal(&mut out, &Refusal::with_state("57P01", "bye"));
    assert_eq!(read(b'E', &out)[..2], [(b'S', "FATAL".to_owned()), (b'V', "FATAL".to_owned())]);
}

#[test]
fn a_catalog_is_stale_by_these_states_only() {
    let said = |code: &[u8], text: &[u8]| is_stale(&[(b'C', code), (b'M', text)]);
    assert!(said(b"42703", b"") && said(b"42P01", b"") && said(b"0A000", b"cached plan must not change result type"));
    assert!(!said(b"0A000", b"other") && !said(b"42601", b"") && !is_stale(&[]));
}

#[test]
fn what_cannot_be_read_is_named_truthfully() {
    assert_eq!(unreadable(&WireError::NotUtf8("0xff".into())).sqlstate, "22021");
    assert_eq!(unreadable(&WireError::Truncated).sqlstate, "08P01");
}

#[test]
fn a_function_that_is_not_there_has_the_clients_name() {
    let mut out = BytesMut::new();
    let fields: &[(u8, &[u8])] = &[(b'C', b"42883"), (b'M', b"function pg_catalog.abs(unknown, integer) does not exist")];
    pass(&mut out, b'E', fields, |_| None).unwrap();
    assert_eq!(wire::fields(&out[5..]).unwrap()[1], (b'M', &b"function abs(unknown, integer) does not exist"[..]));
}

#[test]
fn an_exclusion_constraint_does_not_quote_the_row_that_was_there() {
    let fields: &[(u8, &[u8])] =
        &[(b'C', b"23P01"), (b'M', b"conflicting key value"), (b'D', b"Key (room)=(7) conflicts with (room)=(SECRET)")];
    assert_eq!(passed(b'E', fields, |_| None), [(b'C', "23P01".to_owned()), (b'M', "conflicting key value".to_owned())]);
    let fields: &[(u8, &[u8])] = &[(b'C', b"23505"), (b'D', b"Key (id)=(1) already exists.")];
    assert_eq!(passed(b'E', fields, |_| None).len(), 2, "a unique key's detail holds only what the session itself sent");
}

#[test]
fn a_deadlock_counts_nobodys_transactions() {
    let detail = b"Process 70 waits for ShareLock on transaction 739; blocked by process 71.\nProcess 71 waits for ShareLock on transaction 738; blocked by process 70.";
    let fields: &[(u8, &[u8])] =
        &[(b'C', b"40P01"), (b'M', b"deadlock detected"), (b'D', detail), (b'H', b"See server log for query details.")];
    let texts: Vec<String> = passed(b'E', fields, |_| None).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["40P01", "deadlock detected", "See server log for query details."]);
}

#[test]
fn a_broken_key_is_told_as_the_server_tells_it() {
    let marked = |names: &str, values: &str| format!("invalid input syntax for type boolean: \"partywall:key:{names}={values}|partywall\"");
    let message = marked(r#"["public","a \"b\"","k","x, y","p"]"#, "7, |partywall=\"");
    let fields: &Fields<'_> = &[(b'S', b"FEHLER"), (b'C', b"22P02"), (b'M', message.as_bytes()), (b'P', b"3")];
    let seen = passed(b'E', fields, Some);
    let wanted = [
        (b'S', "ERROR"),
        (b'V', "ERROR"),
        (b'C', "23503"),
        (b'M', "insert or update on table \"a \"b\"\" violates foreign key constraint \"k\""),
        (b'D', "Key (x, y)=(7, |partywall=\") is not present in table \"p\"."),
        (b's', "public"),
        (b't', "a \"b\""),
        (b'n', "k"),
    ];
    assert_eq!(seen[..8], wanted.map(|(code, text)| (code, text.to_owned())));
    // What only looks like it passes as the server's own.
    for names in ["", "[]", r#"["a"]"#, r#"["public","t","k","x","p"]"#] {
        let message = format!("\"partywall:key:{names}\"");
        let seen = passed(b'E', &[(b'C', b"22P02"), (b'M', message.as_bytes())], Some);
        assert_eq!(seen[0], (b'C', "22P02".into()), "{names}");
    }
}

#[test]
fn a_row_below_nobodys_parent_says_nothing_of_it() {
    for marker in ["partywall:parent", "partywall:early"] {
        let message = format!("invalid input syntax for type boolean: \"{marker}\"");
        let seen = passed(b'E', &[(b'C', b"22P02"), (b'M', message.as_bytes()), (b'D', b"7")], Some);
        assert!(
            seen.contains(&(b'C', "42501".into())) && !seen.iter().any(|(_, t)| t.contains("partywall") || t.contains('7')),
            "{seen:?}"
        );
    }
}

#[test]
fn a_field_of_the_walls_own_is_not_counted() {
    let copy = |gain: Gain| CopyIn { format: crate::sql::CopyFormat::Binary, gain, header: false, column: "org".into(), type_oid: 25 };
    for (message, told) in [
        (
            "column name mismatch in header line field 3: got \"x\", expected \"n\"",
            "column name mismatch in header line field 2: got \"x\", expected \"n\"",
        ),
        ("wrong number of fields in header line: got 4, expected 3", "wrong number of fields in header line: got 3, expected 2"),
        ("row field count is 4, expected 3", "row field count is 3, expected 2"),
    ] {
        let fields: [(u8, &[u8]); 1] = [(b'M', message.as_bytes())];
        assert_eq!(copy_message(&fields, &copy(Gain::First)).as_deref(), Some(told));
        assert_eq!(copy_message(&fields, &copy(Gain::Named)), None);
    }
}

#[test]
fn of_a_copys_context_the_own_part_is_kept() {
    let copy = |gain: Gain| CopyIn { format: crate::sql::CopyFormat::Binary, gain, header: false, column: "org".into(), type_oid: 25 };
    let shown =
        |text: &str, gain: Gain| copy_context(&[(b'W', text.as_bytes())], &copy(gain)).map(|c| String::from_utf8(c.to_vec()).unwrap());
    for (context, gained, named) in [
        ("COPY t, line 3, column n: \"x, line 4\"", Some("COPY t, line 3, column n: \"x, line 4\""), true),
        ("COPY t, line 3: \"acme\tx\"", Some("COPY t, line 3"), true),
        ("COPY t, line 3, column org: \"acme\"", Some("COPY t, line 3"), true),
        ("COPY t, line 12", Some("COPY t, line 12"), true),
        ("SQL function \"f\"", None, false),
    ] {
        assert_eq!(shown(context, Gain::First).as_deref(), gained);
        assert_eq!(shown(context, Gain::Named).as_deref(), named.then_some(context));
    }
}
