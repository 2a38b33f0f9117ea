//! Which connection upstream a session's next bytes are for: one that many clients share, or one of its own. The session says it; what carries
//! the bytes sees to it.

use super::encode::Resp;
use std::sync::atomic::{AtomicU8, Ordering};

/// A way upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Shared with other clients: it speaks this, and keeps no state.
    Shared(Resp),
    /// The same, for reads that may be a little behind: to a replica, where one is in sync.
    Read(Resp),
    /// The client's own; it speaks this when it begins.
    Own(Resp),
}

const THREE: u8 = 1;
const OWN: u8 = 2;
const LARGE: u8 = 4;
const READ: u8 = 8;
/// How often it became the client's own, modulo 16.
const TURN: u8 = 16;
const TURNS: u8 = 0xf0;

/// A reply of more bytes than this is large: its client goes a way of its own from then on.
pub const LARGE_BYTES: usize = 256 << 10;

/// One session's way; the session is the only one that changes it.
#[derive(Debug, Default)]
pub struct Line(AtomicU8);

impl Line {
    /// The way of the next byte.
    pub fn way(&self) -> Way {
        let bits = self.0.load(Ordering::Acquire);
        let resp = if bits & THREE == 0 { Resp::Two } else { Resp::Three };
        match (bits & OWN, bits & READ) {
            (0, 0) => Way::Shared(resp),
            (0, _) => Way::Read(resp),
            _ => Way::Own(resp),
        }
    }

    /// Whether it is the client's own.
    pub fn is_own(&self) -> bool {
        self.0.load(Ordering::Acquire) & OWN != 0
    }

    /// Goes another way. Only between two replies: nothing may be under way.
    pub fn go(&self, way: Way) {
        let (kind, resp) = match way {
            Way::Shared(resp) => (0, resp),
            Way::Read(resp) => (READ, resp),
            Way::Own(resp) => (OWN, resp),
        };
        let three = if resp == Resp::Three { THREE } else { 0 };
        let bits = self.0.load(Ordering::Acquire);
        let begins = kind == OWN && bits & OWN == 0;
        let turns = if begins { bits.wrapping_add(TURN) } else { bits } & TURNS;
        self.0.store(kind | three | bits & LARGE | turns, Ordering::Release);
    }

    /// Changes each time that the way becomes the client's own: what it was before is another connection, though nobody may have looked in between.
    pub fn turn(&self) -> u8 {
        self.0.load(Ordering::Acquire) & TURNS
    }

    /// A large reply came.
    pub fn set_large(&self) {
        self.0.fetch_or(LARGE, Ordering::AcqRel);
    }

    /// Whether one ever came.
    pub fn is_large(&self) -> bool {
        self.0.load(Ordering::Acquire) & LARGE != 0
    }
}
