//! Channels on which the server itself speaks: notifications of the keyspace, where the prefix stands in the middle of the name or before what is said,
//! and invalidations that are redirected. `__keyspace@0__:k` has the key in its name; `__keyevent@0__:del` is one for all tenants, and what is said on
//! it about other tenants' keys is dropped. What a tenant publishes never goes to such a channel.

use super::wire::integer;

/// Where invalidations go that are redirected to a client of the old protocol; `TrackingChannelName` in the server's tracking.c.
pub const INVALIDATE: &[u8] = b"__redis__:invalidate";
const KEYSPACE: &[u8] = b"__keyspace@";
const KEYEVENT: &[u8] = b"__keyevent@";
const END: &[u8] = b"__:";
/// A pattern that can match such a channel is not longer.
const PATTERN_MAX_BYTES: usize = 1024;
/// What must be seen of a channel to know what it is: the longest beginning, with a number of twenty digits.
const HEAD_MAX_BYTES: usize = 40;

/// How a channel or a pattern of the client's goes upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// The prefix stands behind so many of its bytes.
    Behind(usize),
    /// As it is.
    Bare,
}

/// Where a prefix stands that begins so, such channels cannot be told from the tenant's own.
pub fn are_told_apart(prefix: &[u8]) -> bool {
    !prefix.starts_with(b"__")
}

/// `__word@digits__:` at the beginning; its length.
fn head(name: &[u8], word: &[u8]) -> Option<usize> {
    let digits = name.strip_prefix(word)?.iter().take_while(|b| b.is_ascii_digit()).count();
    let end = word.len() + digits;
    (digits > 0 && digits <= 20 && name.get(end..)?.starts_with(END)).then_some(end + END.len())
}

/// Where the prefix stands in a channel.
pub fn channel(name: &[u8]) -> Stands {
    match head(name, KEYSPACE) {
        Some(length) => Stands::Behind(length),
        None if name == INVALIDATE || head(name, KEYEVENT).is_some() => Stands::Bare,
        None => Stands::Behind(0),
    }
}

/// Where the prefix stands in a pattern. None: it might match such channels in a way that is not understood.
pub fn pattern(text: &[u8]) -> Option<Stands> {
    if !text.starts_with(b"__key") {
        return Some(Stands::Behind(0));
    }
    if text.len() > PATTERN_MAX_BYTES {
        return None;
    }
    if text.starts_with(KEYEVENT) {
        // What it hears has no key in its name, and is told by what is said.
        return Some(Stands::Bare);
    }
    let end = text.windows(END.len()).position(|w| w == END)?;
    let (before, behind) = text.split_at(end + END.len());
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'*' | b'?' | b'_' | b':');
    if let Some(number) = before.strip_prefix(KEYSPACE) {
        let number = number.strip_suffix(END).unwrap_or_default();
        return number.iter().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'?')).then_some(Stands::Behind(before.len()));
    }
    // All events, or all there is: nothing in it is about a key.
    let whole = before.iter().all(plain) && !behind.is_empty() && behind.iter().all(|b| *b == b'*');
    whole.then_some(Stands::Bare)
}

/// What stands before the client's own in a name that upstream says: so many bytes stay, then the prefix. None: there is not enough of it yet.
pub fn heard(name: &[u8], length: usize, prefix: &[u8]) -> Option<Result<Stands, ()>> {
    if name.len() < length.min(HEAD_MAX_BYTES + prefix.len()) {
        return None;
    }
    if name.starts_with(prefix) && prefix.len() <= length {
        return Some(Ok(Stands::Behind(0)));
    }
    let name = name.get(..length).unwrap_or(name);
    Some(match channel(name) {
        Stands::Behind(0) => Err(()),
        Stands::Behind(kept) => name.get(kept..).filter(|rest| rest.starts_with(prefix)).map(|_| Stands::Behind(kept)).ok_or(()),
        Stands::Bare => Ok(Stands::Bare),
    })
}

/// The same of a pattern, of which the escaped prefix stands in it.
pub fn heard_pattern(text: &[u8], length: usize, escaped: &[u8]) -> Option<Result<Stands, ()>> {
    if text.len() < length.min(PATTERN_MAX_BYTES + escaped.len()) {
        return None;
    }
    if text.starts_with(escaped) && escaped.len() <= length {
        return Some(Ok(Stands::Behind(0)));
    }
    let text = text.get(..length).unwrap_or(text);
    // The prefix changes nothing of what stands before it.
    let kept = text.strip_prefix(KEYSPACE).and_then(|_| text.windows(END.len()).position(|w| w == END)).map(|end| end + END.len());
    Some(match kept {
        Some(kept) => text.get(kept..).filter(|rest| rest.starts_with(escaped)).map(|_| Stands::Behind(kept)).ok_or(()),
        None if text.starts_with(b"__key") => Ok(Stands::Bare),
        None => Err(()),
    })
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Too little is there to say.
    Unclear,
    /// Something that was published.
    None,
    /// A key, by the channel's name.
    Keyspace {
        /// The tenant's.
        own: bool,
    },
    /// A key, by what is said.
    Keyevent {
        /// The tenant's.
        own: bool,
    },
    /// Keys that were invalidated.
    Invalidation,
}

/// What a message is about whose channel is the element `at`.
pub fn notice(input: &[u8], at: usize, prefix: &[u8]) -> Notice {
    look(input, at, prefix).unwrap_or(Notice::Unclear)
}

fn look(input: &[u8], at: usize, prefix: &[u8]) -> Option<Notice> {
    let mut rest = line(input)?.1;
    for _ in 0..at {
        let (length, behind) = bulk(rest)?;
        match length {
            Some(length) if length <= PATTERN_MAX_BYTES + prefix.len() * 2 => rest = behind.get(length + 2..)?,
            // No pattern of such channels.
            _ => return Some(Notice::None),
        }
    }
    let (length, channel) = bulk(rest)?;
    let Some(length) = length else { return Some(Notice::None) };
    let seen = length.min(HEAD_MAX_BYTES + prefix.len());
    let name = channel.get(..seen)?;
    if let Some(kept) = head(name, KEYSPACE) {
        return Some(Notice::Keyspace { own: name.get(kept..).is_some_and(|rest| rest.starts_with(prefix)) });
    }
    if name == INVALIDATE {
        return Some(Notice::Invalidation);
    }
    if head(name, KEYEVENT).is_none() {
        return Some(Notice::None);
    }
    let (said, payload) = bulk(channel.get(length + 2..)?)?;
    let Some(said) = said else { return Some(Notice::Keyevent { own: false }) };
    let payload = payload.get(..said.min(prefix.len()))?;
    Some(Notice::Keyevent { own: payload == prefix })
}

/// The length of a string, and what stands behind its head. A length of None: it is none.
fn bulk(input: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let (head, rest) = line(input)?;
    let length = head.strip_prefix(b"$").and_then(integer).and_then(|n| usize::try_from(n).ok());
    Some((length, rest))
}

fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.windows(2).take(64).position(|pair| pair == b"\r\n")?;
    Some((input.get(..end)?, input.get(end + 2..)?))
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
