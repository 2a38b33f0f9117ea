//! ErrorResponse and NoticeResponse: the wall's own, and the server's without what the wall added.

use super::encode;
use super::wire::WireError;
use crate::sql::{CopyIn, Gain, Refusal};
use bytes::BytesMut;

/// A message's fields: code and bytes.
pub type Fields<'a> = [(u8, &'a [u8])];

/// In the message of the error that the wall's own checks raise, and what the client reads instead.
const MARKERS: &[(&[u8], &str, &str)] = &[
    (b"partywall:upsert", "42501", "new row conflicts with a row that this session may not see"),
    (b"partywall:tenant", "42501", "a row can only be written for this tenant"),
    (b"partywall:parent", "42501", "a row can only refer to a row of this tenant"),
    (b"partywall:early", "42501", "a row can only refer to a row that was there before the statement"),
    (b"partywall:locks", "53200", "out of advisory locks"),
];

const FUNCTION: &[u8] = b"function ";
const QUALIFIED: &[u8] = b"function pg_catalog.";

/// Appends a refusal as ErrorResponse.
pub fn refusal(out: &mut BytesMut, refusal: &Refusal) {
    write(out, b'E', "ERROR", refusal);
}

/// Appends last words: a FATAL ErrorResponse.
pub fn fatal(out: &mut BytesMut, refusal: &Refusal) {
    write(out, b'E', "FATAL", refusal);
}

/// Appends a WARNING: a NoticeResponse.
pub fn warning(out: &mut BytesMut, refusal: &Refusal) {
    write(out, b'N', "WARNING", refusal);
}

/// 25P02: the transaction has failed.
pub fn aborted() -> Refusal {
    Refusal::with_state("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

/// 57P01: the wall is going.
pub fn sent_away() -> Refusal {
    Refusal::with_state("57P01", "terminating connection due to administrator command")
}

/// What a tenant is told whose session is another than it was.
pub fn session_ended() -> Refusal {
    Refusal::with_state("01000", "the earlier session of this tenant has ended")
        .detail("Its settings, temporary tables, cursors, locks and LISTEN are gone.")
        .hint("The policy's `sessions` says how many tenants of one connection keep theirs.")
}

/// 08006: the connection upstream ended, or what came over it could not be read.
pub fn upstream_failed() -> Refusal {
    Refusal::with_state("08006", "the database connection failed")
}

/// 08006: there is no connection upstream, for a reason that the client does not learn.
pub fn no_upstream() -> Refusal {
    Refusal::with_state("08006", "the database is not available")
}

/// 08006: it does not answer in time.
pub fn silent_upstream() -> Refusal {
    Refusal::with_state("08006", "the database does not answer")
}

/// What a message that cannot be read is answered with: 22021 or 08P01, in PostgreSQL's words.
pub fn unreadable(error: &WireError) -> Refusal {
    let state = if matches!(error, WireError::NotUtf8(_)) { "22021" } else { "08P01" };
    Refusal::with_state(state, error.to_string())
}

/// Appends the server's error or notice (`tag` is `E` or `N`) without what the wall added. `position` maps a place in the
/// outgoing text to the client's. Errors: never for fields that [`super::wire::fields`] gave.
pub fn pass(out: &mut BytesMut, tag: u8, fields: &Fields<'_>, position: impl FnOnce(u32) -> Option<u32>) -> Result<(), WireError> {
    pass_with(out, tag, fields, position, None)
}

/// The same with a CONTEXT that may be shown.
pub fn pass_with(
    out: &mut BytesMut,
    tag: u8,
    fields: &Fields<'_>,
    position: impl FnOnce(u32) -> Option<u32>,
    context: Option<&[u8]>,
) -> Result<(), WireError> {
    let marked = |marker: &[u8]| field(fields, b'M').is_some_and(|m| m.windows(marker.len()).any(|w| w == marker));
    if let Some((_, state, message)) = MARKERS.iter().find(|(marker, ..)| marked(marker)) {
        refusal(out, &Refusal::with_state(state, *message));
        return Ok(());
    }
    if let Some(broken) = field(fields, b'M').and_then(BrokenKey::read) {
        return broken.write(out, tag);
    }
    let place = field(fields, b'P').and_then(|p| std::str::from_utf8(p).ok()?.parse().ok()).and_then(position);
    let place = place.map(|p| p.to_string());
    // An exclusion constraint quotes the row that was there before: another tenant's, where the constraint lacks the tenant column. A deadlock names
    // processes and transactions by numbers that count everybody's.
    let of_others = matches!(field(fields, b'C'), Some(b"23P01" | b"40P01"));
    let unknown_function = field(fields, b'C') == Some(b"42883");
    let bare = field(fields, b'M').and_then(|m| m.strip_prefix(QUALIFIED)).filter(|_| unknown_function);
    let bare = bare.map(|rest| [FUNCTION, rest].concat()).unwrap_or_default();
    let mut kept: Vec<(u8, &[u8])> = Vec::with_capacity(fields.len());
    for (code, text) in fields {
        match code {
            b'D' if of_others => {}
            // The wall has qualified the name.
            b'M' if !bare.is_empty() => kept.push((b'M', &bare)),
            b'W' => kept.extend(context.map(|c| (b'W', c))),
            // Its number tells how many sessions there are.
            b's' if text.starts_with(b"pg_temp_") => kept.push((b's', b"pg_temp")),
            b'P' => kept.extend(place.iter().map(|p| (b'P', p.as_bytes()))),
            // p, q and W show statements as the server has them: rewritten. Unknown ones may.
            b'S' | b'V' | b'C' | b'M' | b'D' | b'H' | b's' | b't' | b'c' | b'd' | b'n' | b'F' | b'L' | b'R' => {
                kept.push((*code, *text));
            }
            _ => {}
        }
    }
    encode::fields(out, tag, &kept)
}

/// The CONTEXT of an error in COPY … FROM (copyfrom.c, CopyFromErrorCallback): the line's number and the client's own value. A whole line is
/// shown only as the client sent it, and nothing of a column that the wall has written.
pub fn copy_context<'a>(fields: &Fields<'a>, copy: &CopyIn) -> Option<&'a [u8]> {
    let context = std::str::from_utf8(field(fields, b'W')?).ok()?;
    let (_, after) = context.strip_prefix("COPY ")?.split_once(", line ")?;
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    let head = context.get(..context.len() - rest.len())?;
    let own = copy.gain == Gain::Named;
    let shown = match rest.strip_prefix(", column ") {
        Some(column) => own || !column.starts_with(copy.column.as_str()),
        None => own,
    };
    Some(if shown { context } else { head }.as_bytes())
}

/// The message of an error in COPY … FROM that counts fields (copyfromparse.c), where the wall has put one before those of the client.
pub fn copy_message(fields: &Fields<'_>, copy: &CopyIn) -> Option<String> {
    let message = std::str::from_utf8(field(fields, b'M')?).ok().filter(|_| copy.gain == Gain::First)?;
    let fewer = |text: &str| text.parse::<u32>().ok().map(|n| n.saturating_sub(1));
    if let Some(rest) = message.strip_prefix("column name mismatch in header line field ") {
        let (number, after) = rest.split_once(':')?;
        return Some(format!("column name mismatch in header line field {}:{after}", fewer(number)?));
    }
    for head in ["wrong number of fields in header line: got ", "row field count is "] {
        if let Some((got, expected)) = message.strip_prefix(head).and_then(|rest| rest.split_once(", expected ")) {
            return Some(format!("{head}{}, expected {}", fewer(got)?, fewer(expected)?));
        }
    }
    None
}

/// A foreign key that a row breaks, as the wall's own check says it.
struct BrokenKey {
    /// Schema, table, constraint, columns, and the table that is referred to.
    names: [String; 5],
    values: String,
}

impl BrokenKey {
    /// Reads `…partywall:key:["schema","table","constraint","columns","parent"]=values|partywall…`
    fn read(message: &[u8]) -> Option<Self> {
        let (_, rest) = std::str::from_utf8(message).ok()?.split_once("partywall:key:")?;
        let mut parsed = serde_json::Deserializer::from_str(rest).into_iter::<[String; 5]>();
        let names = parsed.next()?.ok()?;
        let (values, _) = rest.get(parsed.byte_offset()..)?.strip_prefix('=')?.rsplit_once("|partywall")?;
        Some(Self { names, values: values.to_owned() })
    }

    /// As the server says it.
    fn write(&self, out: &mut BytesMut, tag: u8) -> Result<(), WireError> {
        let [schema, table, constraint, columns, parent] = &self.names;
        let message = format!("insert or update on table \"{table}\" violates foreign key constraint \"{constraint}\"");
        let detail = format!("Key ({columns})=({}) is not present in table \"{parent}\".", self.values);
        let texts = [
            (b'S', "ERROR"),
            (b'V', "ERROR"),
            (b'C', "23503"),
            (b'M', message.as_str()),
            (b'D', detail.as_str()),
            (b's', schema.as_str()),
            (b't', table.as_str()),
            (b'n', constraint.as_str()),
            (b'F', "ri_triggers.c"),
            (b'R', "ri_ReportViolation"),
        ];
        let fields: Vec<(u8, &[u8])> = texts.iter().map(|(code, text)| (*code, text.as_bytes())).collect();
        encode::fields(out, tag, &fields)
    }
}

/// The first field with this code.
pub fn field<'a>(fields: &Fields<'a>, code: u8) -> Option<&'a [u8]> {
    fields.iter().find(|(c, _)| *c == code).map(|(_, text)| *text)
}

/// Does the error say that the catalog is another than the judge's?
pub fn is_stale(fields: &Fields<'_>) -> bool {
    match field(fields, b'C') {
        Some(b"42703" | b"42P01") => true,
        Some(b"0A000") => field(fields, b'M') == Some(b"cached plan must not change result type"),
        _ => false,
    }
}

/// Will the server close the connection after it?
pub fn is_last(fields: &Fields<'_>) -> bool {
    matches!(field(fields, b'V'), Some(b"FATAL" | b"PANIC"))
}

fn write(out: &mut BytesMut, tag: u8, severity: &str, refusal: &Refusal) {
    let position = refusal.position.map(|p| p.to_string());
    let texts = [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(refusal.sqlstate)),
        (b'M', Some(refusal.message.as_str())),
        (b'D', refusal.detail.as_deref()),
        (b'H', refusal.hint.as_deref()),
        (b'P', position.as_deref()),
    ];
    let texts: Vec<(u8, String)> = texts.into_iter().filter_map(|(code, text)| Some((code, text?.replace('\0', "")))).collect();
    let fields: Vec<(u8, &[u8])> = texts.iter().map(|(code, text)| (*code, text.as_bytes())).collect();
    let _ = encode::fields(out, tag, &fields); // no NUL is left, so it is written
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
