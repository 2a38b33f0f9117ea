//! What a few bytes may make the server do: replies of as many elements as a number says, strings that grow to where an offset points, values that
//! are read from a payload.

use super::commands::{Entry, Rule};
use super::understand::{Refusal, is_word, syntax};
use super::wire::{Request, integer};
use std::ops::RangeInclusive;

/// Elements that a negative count of SRANDMEMBER and its like may ask for, the same one again and again.
const REPEATED_MAX: i64 = 1 << 20;

/// The server reads it in the square of its length (VSIM of 8.2.3).
const FILTER_MAX_BYTES: usize = 1024;
/// The server reads them by recursion (attributes of vector sets in 8.2.3), to the end of its stack.
const ATTRIBUTE_BRACKETS_MAX: usize = 4096;
/// Values as DUMP writes them (`RDB_TYPE_*` in the server's rdb.h) whose every form the server looks over: strings, lists, sets, sorted sets and hashes.
/// Of streams it overlooks some, and a module's it does not look at.
const RESTORED: [RangeInclusive<u8>; 5] = [0..=5, 9..=14, 16..=18, 20..=20, 22..=25];

/// Errors: the command asks for more than one tenant may make the server do at once; the words are the server's own for what is too much for it. Of a
/// long command only the first arguments may be there: the rest is not empty.
pub fn check(entry: &Entry, request: &Request, growth_max_bytes: u64) -> Result<(), Refusal> {
    match entry.name {
        "srandmember" | "hrandfield" | "zrandmember" => repeated(request),
        "setbit" => match integer(request.arg(2)).map(u64::try_from) {
            Some(Ok(bit)) if bit / 8 >= growth_max_bytes => Err(Refusal::late("bit offset is not an integer or out of range")),
            // The server's to refuse.
            _ => Ok(()),
        },
        "setrange" => match integer(request.arg(2)).map(u64::try_from) {
            Some(Ok(offset)) if (request.len() == 3 || !request.arg(3).is_empty()) && offset > growth_max_bytes => {
                Err(Refusal::late("string exceeds maximum allowed size (proto-max-bulk-len)"))
            }
            _ => Ok(()),
        },
        _ if entry.rule == Rule::KeysModule => vectors(entry, request, growth_max_bytes),
        "restore" => payload(request.arg(3)),
        "bitfield" => bitfield(request, growth_max_bytes),
        _ => Ok(()),
    }
}

/// What the server reads of the arguments of commands on vector sets.
fn vectors(entry: &Entry, request: &Request, growth_max_bytes: u64) -> Result<(), Refusal> {
    // A table of as many numbers as the vector has times as many as it is to have.
    let reduced = integer(request.arg(3)).and_then(|n| u64::try_from(n).ok()).filter(|_| is_word(request.arg(2), "reduce"));
    let vector = (request.len() + request.arg(5).len() / 4) as u64;
    if reduced.is_some_and(|reduced| reduced.saturating_mul(vector).saturating_mul(4) > growth_max_bytes) {
        return Err(Refusal::late("REDUCE makes more of this than this proxy lets it"));
    }
    // An option, wherever it may stand; an element that is called so does no harm.
    let behind = |word: &'static str| (2..request.len()).filter(move |at| is_word(request.arg(*at), word)).map(|at| request.arg(at + 1));
    let nests = |text: &[u8]| text.iter().filter(|b| matches!(b, b'[' | b'{')).count() > ATTRIBUTE_BRACKETS_MAX;
    if behind("filter").any(|text| text.len() > FILTER_MAX_BYTES) {
        return Err(Refusal::late(format!("a FILTER of more than {FILTER_MAX_BYTES} bytes is too much for this proxy")));
    }
    if behind("setattr").any(nests) || entry.name == "vsetattr" && nests(request.arg(3)) {
        return Err(Refusal::late(format!("more than {ATTRIBUTE_BRACKETS_MAX} brackets are too much for this proxy")));
    }
    Ok(())
}

fn payload(payload: &[u8]) -> Result<(), Refusal> {
    let Some((kind, rest)) = payload.split_first() else { return Ok(()) };
    if !RESTORED.iter().any(|kinds| kinds.contains(kind)) {
        return Err(Refusal::late("this proxy restores strings, lists, sets, sorted sets and hashes only"));
    }
    // The server makes a table for as many elements as a payload says that it has before it reads one: each is a byte here at least.
    let claimed = match kind {
        2..=5 | 22 => claimed(rest),
        24 => claimed(rest.get(8..).unwrap_or_default()),
        _ => Some(0),
    };
    match claimed {
        Some(elements) if elements > payload.len() as u64 => Err(Refusal::late("Bad data format")),
        // Of what is not whole the server says so.
        _ => Ok(()),
    }
}

/// A number of elements (`rdbLoadLenByRef` in the server's rdb.c). None: it is none, or not whole.
fn claimed(bytes: &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    match (first >> 6, first) {
        (0, _) => Some(u64::from(*first)),
        (1, _) => Some(u64::from(first & 0x3f) << 8 | u64::from(*rest.first()?)),
        (2, 0x80) => rest.first_chunk().map(|bytes| u64::from(u32::from_be_bytes(*bytes))),
        (2, 0x81) => rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)),
        _ => None,
    }
}

fn repeated(request: &Request) -> Result<(), Refusal> {
    match integer(request.arg(2)) {
        Some(count) if count < -REPEATED_MAX => {
            Err(Refusal::late(format!("value is out of range, value must between -{REPEATED_MAX} and {}", i64::MAX)))
        }
        _ => Ok(()),
    }
}

/// Each SET and INCRBY of BITFIELD: a type, an offset in bits or in whole fields behind a `#`, a value.
fn bitfield(request: &Request, growth_max_bytes: u64) -> Result<(), Refusal> {
    let mut at = 2;
    while at < request.len() {
        let (word, left) = (request.arg(at), request.len() - at - 1);
        if is_word(word, "get") && left >= 2 {
            at += 3;
        } else if (is_word(word, "set") || is_word(word, "incrby")) && left >= 3 {
            let (kind, offset) = (request.arg(at + 1), request.arg(at + 2));
            let width = kind.get(1..).and_then(integer).and_then(|w| u64::try_from(w).ok()).unwrap_or(0);
            let (number, times) = offset.strip_prefix(b"#").map_or((offset, 1), |number| (number, width));
            let bit = integer(number).and_then(|n| u64::try_from(n).ok()).map(|n| n.saturating_mul(times));
            if bit.is_some_and(|bit| bit / 8 >= growth_max_bytes) {
                return Err(Refusal::late("bit offset is not an integer or out of range"));
            }
            at += 4;
        } else if is_word(word, "overflow") && left >= 1 {
            at += 2;
        } else {
            return Err(syntax());
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
