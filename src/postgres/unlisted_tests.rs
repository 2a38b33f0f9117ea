//! Errors of foreign keys from and to tables that the policy does not list.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::sql::tests::through_judge;

fn shown(fields: &[(u8, &str)]) -> Vec<(u8, String)> {
    let fields: Vec<(u8, &[u8])> = fields.iter().map(|(code, text)| (*code, text.as_bytes())).collect();
    let kept = without(&fields, through_judge().catalog());
    kept.iter().map(|(code, text)| (*code, String::from_utf8_lossy(text).into_owned())).collect()
}

const INSERTED: &str = "insert or update on table \"items\" violates foreign key constraint \"k\"";
const DELETED: &str = "update or delete on table \"orders\" violates foreign key constraint \"k\" on table \"hush\"";

#[test]
fn a_parent_that_is_not_there_is_not_named() {
    let of = |detail| [(b'C', "23503"), (b'M', INSERTED), (b'D', detail), (b's', "public"), (b't', "items"), (b'n', "k")];
    let codes = |detail| shown(&of(detail)).iter().map(|(c, _)| char::from(*c)).collect::<String>();
    assert_eq!(codes("Key (a)=(1) is not present in table \"orders\"."), "CMDstn");
    assert_eq!(codes("Key (a)=(in table \"orders\".) is not present in table \"hush\"."), "CMstn");
    assert_eq!(codes("Schlüssel (a)=(1) ist nicht in Tabelle »hush« vorhanden."), "CMstn");
}

#[test]
fn a_table_that_is_not_there_keeps_a_row_namelessly() {
    let of = |schema, message| {
        let detail = "Key (id)=(1) is still referenced from table \"hush\".";
        shown(&[(b'C', "23503"), (b'M', message), (b'D', detail), (b's', schema), (b't', "hush"), (b'n', "k")])
    };
    let said = "update or delete on table \"orders\" violates foreign key constraint \"k\"";
    let kept = |message: &str| vec![(b'C', "23503".to_owned()), (b'M', message.to_owned()), (b'n', "k".to_owned())];
    assert_eq!(of("public", DELETED), kept(said));
    assert_eq!(of("public", "»orders« verletzt »k« von »hush«"), kept("a foreign key is violated"));
    // Temporary ones are the session's own.
    assert_eq!(of("pg_temp_3", DELETED).len(), 6);
}

#[test]
fn other_errors_stay() {
    let fields = [(b'C', "23505"), (b'M', "x"), (b'D', "on table \"hush\"."), (b's', "public"), (b't', "hush")];
    assert_eq!(shown(&fields).len(), 5);
    assert_eq!(shown(&[(b'C', "23503"), (b'M', "raised by code")]).len(), 2);
}
