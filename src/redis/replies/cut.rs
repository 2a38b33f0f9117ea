//! What is cut off names in replies and messages.

use crate::redis::shape::Message;

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
