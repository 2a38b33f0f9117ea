//! A word by chance behind a command whose reply a client's own code has said: what the server echoes of it stands where that reply ends. Should
//! anything ever end a reply early, what is left over is found here, before anybody takes it for the answer to something else.

use super::encode;
use super::shape::Broken;
use bytes::BytesMut;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an error begins with that says nothing of the command, but that the server runs none now.
const BUSY: &[u8] = b"-BUSY ";
/// The longest such error.
const BUSY_MAX_BYTES: usize = 256;

/// One word, for one place.
#[derive(Debug)]
pub struct Mark(String);

impl Mark {
    /// One that nobody can foresee.
    pub fn by_chance() -> Self {
        // Keyed by the system's randomness, and hashes by SipHash: who does not know the key cannot guess the value.
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self(format!("{:016x}", KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed))))
    }

    /// Asks for it.
    pub fn ask(&self, out: &mut BytesMut) {
        encode::command(out, &["ECHO", &self.0]);
    }

    /// How many bytes of the input are its echo; 0 while not all of it is there. Errors: something else stands there.
    pub fn echoed(&self, input: &[u8]) -> Result<usize, Broken> {
        let due = format!("${}\r\n{}\r\n", self.0.len(), self.0);
        match input.starts_with(due.as_bytes()) {
            true => Ok(due.len()),
            false if due.as_bytes().starts_with(input) => Ok(0),
            false => Err(Broken("a reply did not end where it should")),
        }
    }

    /// The same on a connection of one client's own, where the server may have been busy with a script of somebody else's when it was asked, as it
    /// was for the command before: `failed`.
    pub fn echoed_or_busy(&self, input: &[u8], failed: bool) -> Result<usize, Broken> {
        if !failed || !(input.starts_with(BUSY) || BUSY.starts_with(input)) {
            return self.echoed(input);
        }
        match input.windows(2).take(BUSY_MAX_BYTES).position(|pair| pair == b"\r\n") {
            Some(end) => Ok(end + 2),
            None if input.len() < BUSY_MAX_BYTES => Ok(0),
            None => Err(Broken("a reply did not end where it should")),
        }
    }
}

/// Whether this command, as it goes upstream, has client's code say its reply.
pub fn is_due(words: &[&[u8]]) -> bool {
    let names: [&[u8]; 6] = [b"EVAL", b"EVAL_RO", b"EVALSHA", b"EVALSHA_RO", b"FCALL", b"FCALL_RO"];
    words.first().is_some_and(|name| names.iter().any(|known| name.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
#[path = "mark_tests.rs"]
mod tests;
