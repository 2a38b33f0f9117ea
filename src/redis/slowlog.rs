//! SLOWLOG (Valkey: COMMANDLOG, too): one tenant's own, kept here, for the server's holds all tenants' commands. Entries are as the server makes them (`slowlog.c`).

use super::encode;
use super::understand::{Refusal, is_word};
use super::wire::{Request, integer};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are kept, as by a server's default (`slowlog-max-len`).
pub const LENGTH: usize = 128;
/// What the words of one tenant's entries may take; then the oldest go, though there is room for more.
const BYTES_MAX: usize = 256 << 10;
/// Words of an entry; the last one then says how many more there were.
const WORDS_MAX: usize = 32;
/// Bytes of a word that are kept.
const WORD_MAX_BYTES: usize = 128;
/// How many `SLOWLOG GET` gives where it is not told.
const GIVEN: usize = 10;

/// A command that was slow.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it was answered, in seconds of Unix time.
    pub at: u64,
    /// How long it took.
    pub micros: u64,
    /// Its words as [`words`] writes them.
    pub words: Bytes,
    /// `host:port` of the client.
    pub address: String,
    /// `CLIENT SETNAME`
    pub name: Bytes,
}

/// A tenant's log, on one listener.
#[derive(Debug, Default)]
pub struct Slowlog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// Oldest first.
    all: VecDeque<Entry>,
    /// How many there ever were: the newest one's number is one less.
    ever: u64,
    bytes: usize,
    /// What tests of the wall only have set: from how many microseconds on, and how many.
    set: Set,
}

#[derive(Clone, Copy, Debug, Default)]
struct Set {
    slow: Option<i64>,
    length: Option<usize>,
}

impl Slowlog {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one; the oldest go for it.
    pub fn push(&self, entry: Entry) {
        let mut entries = self.entries();
        entries.bytes += entry.words.len();
        entries.all.push_back(entry);
        entries.ever += 1;
        entries.shorten();
    }

    /// For tests of the wall only: what CONFIG SET says.
    pub fn set(&self, name: &[u8], value: &[u8]) {
        let mut entries = self.entries();
        let Some(value) = integer(value) else { return };
        if name.eq_ignore_ascii_case(b"slowlog-log-slower-than") {
            entries.set.slow = Some(value);
        } else if name.eq_ignore_ascii_case(b"slowlog-max-len") {
            entries.set.length = usize::try_from(value).ok();
            entries.shorten();
        }
    }

    /// From how many microseconds on a command is slow, where tests of the wall have said so; Some(None): none is.
    pub fn slow(&self) -> Option<Option<u64>> {
        self.entries().set.slow.map(|slow| u64::try_from(slow).ok())
    }

    /// The answer to SLOWLOG GET, LEN and RESET, and to those of COMMANDLOG, which name a kind: of another than slow commands there are none. Errors: the
    /// server's own.
    pub fn answer(&self, name: &str, request: &Request) -> Result<Bytes, Refusal> {
        let (log, what) = name.split_once(' ').unwrap_or_default();
        let count = if what == "get" { given(request)? } else { 0 };
        let kept = log != "commandlog" || is_slow(request.arg(request.len().saturating_sub(1)))?;
        let (mut out, mut entries) = (BytesMut::new(), self.entries());
        match what {
            "get" if kept => entries.give(count, &mut out),
            "get" => encode::header(&mut out, b'*', 0),
            "len" => {
                let length = if kept { entries.all.len() } else { 0 };
                encode::integer(&mut out, i64::try_from(length).unwrap_or(i64::MAX));
            }
            _ => {
                if kept {
                    entries.all.clear();
                    entries.bytes = 0;
                }
                encode::simple(&mut out, "OK");
            }
        }
        Ok(out.freeze())
    }
}

/// How many GET asks for.
fn given(request: &Request) -> Result<usize, Refusal> {
    let is_slowlog = is_word(request.arg(0), "slowlog");
    match request.len() {
        2 => Ok(GIVEN),
        4.. if is_slowlog => {
            let given = super::lossy(request.arg(1));
            Err(Refusal::late(format!("unknown subcommand or wrong number of arguments for '{given}'. Try SLOWLOG HELP.")))
        }
        _ => match integer(request.arg(2)) {
            Some(-1) => Ok(usize::MAX),
            count => count
                .and_then(|count| usize::try_from(count).ok())
                .ok_or_else(|| Refusal::late("count should be greater than or equal to -1")),
        },
    }
}

/// Whether a kind of COMMANDLOG's is that of slow commands. Errors: there is no such kind.
fn is_slow(kind: &[u8]) -> Result<bool, Refusal> {
    let known = ["slow", "large-request", "large-reply"].iter().find(|known| is_word(kind, known));
    let unknown = || Refusal::late("type should be one of the following: slow, large-request, large-reply");
    known.map(|known| *known == "slow").ok_or_else(unknown)
}

impl Entries {
    fn shorten(&mut self) {
        let most = self.set.length.unwrap_or(LENGTH);
        while self.all.len() > most || self.bytes > BYTES_MAX {
            let Some(oldest) = self.all.pop_front() else { return };
            self.bytes -= oldest.words.len();
        }
    }

    /// The newest ones, newest first.
    fn give(&self, count: usize, out: &mut BytesMut) {
        encode::header(out, b'*', count.min(self.all.len()));
        for (number, entry) in (0..self.ever).rev().zip(self.all.iter().rev()).take(count) {
            encode::header(out, b'*', 6);
            for number in [number, entry.at, entry.micros] {
                encode::integer(out, i64::try_from(number).unwrap_or(i64::MAX));
            }
            out.extend_from_slice(&entry.words);
            encode::bulk(out, entry.address.as_bytes());
            encode::bulk(out, &entry.name);
        }
    }
}

/// The words of a command as they are kept: cut, and as they will be told.
pub fn words(out: &mut BytesMut, request: &Request) {
    let kept = request.len().min(WORDS_MAX);
    let whole = if kept < request.len() { kept - 1 } else { kept };
    encode::header(out, b'*', kept);
    for word in request.iter().take(whole) {
        match word.get(..WORD_MAX_BYTES) {
            Some(beginning) if word.len() > WORD_MAX_BYTES => {
                encode::joined(out, beginning, format!("... ({} more bytes)", word.len() - WORD_MAX_BYTES).as_bytes());
            }
            _ => encode::bulk(out, word),
        }
    }
    if whole < kept {
        encode::bulk(out, format!("... ({} more arguments)", request.len() - whole).as_bytes());
    }
}

#[cfg(test)]
#[path = "slowlog_tests.rs"]
mod tests;
