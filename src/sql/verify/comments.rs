//! Comments around a text that was proved: nothing that PostgreSQL's scanner could read as anything else.

/// Whether `sent` is `judged` with at most one comment before it and one behind, a blank between.
pub fn adds_only_comments(sent: &str, judged: &str) -> bool {
    let Some(at) = sent.find(judged) else { return false };
    let (before, rest) = sent.split_at(at);
    let Some(behind) = rest.strip_prefix(judged) else { return false };
    let before = before.is_empty() || before.strip_suffix(' ').is_some_and(is_comment);
    let behind = behind.is_empty() || behind.strip_prefix(' ').is_some_and(is_comment);
    before && behind
}

/// One comment from its first byte to its last, without another in it.
fn is_comment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inside = match bytes {
        [b'/', b'*', inside @ .., b'*', b'/'] => inside,
        _ => return false,
    };
    let marks = |a: u8, b: u8| bytes.windows(2).filter(|pair| *pair == [a, b]).count();
    inside.iter().all(|b| (b' '..=b'~').contains(b)) && marks(b'/', b'*') == 1 && marks(b'*', b'/') == 1
}
