//! What is cut off names in replies and messages.

use super::{NAME_MAX_BYTES, Stripper};
use crate::redis::channels::{self, Stands};
use crate::redis::names::Names;
use crate::redis::shape::{Broken, Message};
use bytes::BytesMut;

/// What is cut off a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The prefix.
    Prefix,
    /// A channel's prefix, wherever it stands.
    Heard,
    /// The same of a pattern.
    HeardPattern,
    /// What stands before names of libraries and functions.
    Library,
    /// All but the client's text of a library.
    Code,
    /// Nothing: it is a cursor, to be hidden.
    Cursor(u64),
}

/// What is cut off an element of a message.
pub(super) fn in_message(message: Message, depth: usize, index: u64, outer: Option<u64>) -> Option<Cut> {
    match (message, depth, index) {
        (Message::Channel, 1, 1) | (Message::ByPattern, 1, 2) | (Message::Keyevent(false), 1, 2) | (Message::Keyevent(true), 1, 3) => {
            Some(Cut::Prefix)
        }
        (Message::Heard | Message::Keyspace(false), 1, 1) | (Message::Keyspace(true), 1, 2) => Some(Cut::Heard),
        (Message::Pattern | Message::ByPattern | Message::Keyspace(true) | Message::Keyevent(true), 1, 1) => Some(Cut::HeardPattern),
        (Message::Invalidate, 2, _) if outer == Some(1) => Some(Cut::Prefix),
        (Message::Redirected, 2, _) if outer == Some(2) => Some(Cut::Prefix),
        _ => None,
    }
}

/// What is there of a line, and whether its end is.
pub(super) fn line_part(input: &mut BytesMut) -> (BytesMut, bool) {
    match input.iter().position(|b| *b == b'\n') {
        Some(end) => (input.split_to(end + 1), true),
        None => (input.split(), false),
    }
}

/// The cursor that is due, hidden. None: it is not there yet.
pub(super) fn cursor(input: &mut BytesMut, length: u64, secret: u64) -> Result<Option<String>, Broken> {
    let length = usize::try_from(length).ok().filter(|length| *length <= 20).ok_or(Broken("a cursor that is none"))?;
    if input.len() < length + 2 {
        return Ok(None);
    }
    let text = input.split_to(length + 2);
    let cursor = text.get(..length).and_then(crate::redis::cursor::read).and_then(|cursor| crate::redis::cursor::hide(cursor, secret));
    cursor.map(|cursor| Some(cursor.to_string())).ok_or(Broken("a cursor that is none"))
}

impl Stripper {
    /// Takes the prefix off the input. None: it is not there yet; else what stood before it, and the length that stays.
    pub(super) fn strip(&mut self, names: &Names, input: &mut BytesMut, length: u64, cut: Cut) -> Result<Option<(BytesMut, u64)>, Broken> {
        let length_here = usize::try_from(length).unwrap_or(usize::MAX);
        let heard = match cut {
            Cut::Heard => Some((names.prefix(), channels::heard(input, length_here, names.prefix()))),
            Cut::HeardPattern => Some((names.escaped(), channels::heard_pattern(input, length_here, names.escaped()))),
            _ => None,
        };
        if let Some((prefix, stands)) = heard {
            return Ok(match stands {
                None => None,
                Some(Err(())) => return Err(Broken("a name of somebody else")),
                Some(Ok(Stands::Bare)) => Some((BytesMut::new(), length)),
                Some(Ok(Stands::Behind(kept))) => {
                    let head = input.split_to(kept);
                    let _ = input.split_to(prefix.len());
                    Some((head, length - prefix.len() as u64))
                }
            });
        }
        let prefix = match cut {
            Cut::Prefix => names.prefix(),
            Cut::Library => names.library(),
            Cut::Cursor(_) | Cut::Code | Cut::Heard | Cut::HeardPattern => return Err(Broken("a cursor for a name")),
        };
        let head = usize::try_from(length).unwrap_or(usize::MAX).min(prefix.len());
        if input.len() < head {
            return Ok(None);
        }
        if input.starts_with(prefix) {
            let _ = input.split_to(prefix.len());
            return Ok(Some((BytesMut::new(), length - prefix.len() as u64)));
        }
        // Not the tenant's own: it must be one that all share.
        if cut != Cut::Prefix || !names.shares() || length > NAME_MAX_BYTES as u64 {
            return Err(Broken("a name of somebody else"));
        }
        match input.get(..length_here) {
            None => Ok(None),
            Some(name) if names.is_shared(name) => Ok(Some((BytesMut::new(), length))),
            Some(_) => Err(Broken("a name of somebody else")),
        }
    }
}
