//! Cursors of SCAN. As the server gives them they tell how many keys all tenants have together, so they go out permuted under a secret of the process.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Cursors are numbers of so many bits: some clients keep them in a double.
const CURSOR_BITS: u32 = 48;

/// A cursor as the server reads it: a decimal number, a sign before it allowed.
pub fn read(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
    Some(if text.starts_with('-') { number.wrapping_neg() } else { number })
}

/// A cursor under the secret; zero stays zero. None: it is too large.
pub fn hide(cursor: u64, secret: u64) -> Option<u64> {
    if cursor >> CURSOR_BITS != 0 {
        return None;
    }
    if cursor == 0 {
        return Some(0);
    }
    // Where the permutation leads to zero, which is taken, it is applied once more.
    let once = rounds(cursor, secret, [0, 1, 2, 3]);
    Some(if once == 0 { rounds(once, secret, [0, 1, 2, 3]) } else { once })
}

/// The cursor behind a hidden one; every number has one.
pub fn reveal(hidden: u64, secret: u64) -> u64 {
    let hidden = hidden & ((1 << CURSOR_BITS) - 1);
    if hidden == 0 {
        return 0;
    }
    let back = |number| swap(rounds(swap(number), secret, [3, 2, 1, 0]));
    let once = back(hidden);
    if once == 0 { back(once) } else { once }
}

const HALF: u64 = (1 << (CURSOR_BITS / 2)) - 1;

fn swap(number: u64) -> u64 {
    (number & HALF) << (CURSOR_BITS / 2) | number >> (CURSOR_BITS / 2)
}

/// A Feistel network: read from the other end it undoes itself.
fn rounds(number: u64, secret: u64, order: [u64; 4]) -> u64 {
    let (mut left, mut right) = (number >> (CURSOR_BITS / 2), number & HALF);
    for round in order {
        (left, right) = (right, left ^ (hash(&(secret, round, right)) & HALF));
    }
    left << (CURSOR_BITS / 2) | right
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
