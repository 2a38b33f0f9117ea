//! What a reply looks like: where its names are, and what is said in its place.

use bytes::Bytes;

/// What VINFO tells that is known to be about the key alone.
pub const FACTS: &str = "quant-type hnsw-m vector-dim projection-input-dim size max-level attributes-count hnsw-max-node-uid";

/// Whether what stands behind this name is one of [`FACTS`].
pub fn is_fact(name: &[u8]) -> bool {
    FACTS.split(' ').any(|known| known.as_bytes() == name)
}

/// Where the names are in a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Nowhere.
    #[default]
    Plain,
    /// It is one.
    Name,
    /// Every element.
    Each,
    /// The first element.
    First,
    /// `[cursor, [name, …]]`, the cursor hidden under a secret.
    Scan {
        /// None where the wall itself reads it.
        hide: Option<u64>,
    },
    /// Every second element, from the first on.
    Even,
    /// `[[name, entries], …]`, or a map by name.
    Streams,
    /// `[name, value, …]`, or a map, of which only what is known to be about the key alone is said.
    Facts,
    /// It is a library's.
    Library,
    /// FUNCTION LIST: names of libraries and functions, and the client's text of a library.
    Libraries,
    /// CLIENT TRACKINGINFO: `prefixes` are the sixth element, and the fourth is the number of a connection, which this is said for.
    Tracking(u64),
    /// CLIENT GETREDIR: that number alone.
    Redirect(u64),
    /// A message of this kind.
    Message(Message),
    /// What EXEC answers: a reply for each command.
    Exec(Vec<Reply>),
    /// Only how many elements there are.
    Count,
    /// Something else is said in its place, unless it is an error.
    Instead(Bytes),
    /// The same, and an error too.
    InsteadOfAll(Bytes),
    /// Nothing is said.
    Silence,
}

/// What upstream says unasked, or as the confirmation of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// `message` and `smessage`, and confirmations about shard channels.
    Channel,
    /// Confirmations about channels.
    Heard,
    /// Confirmations about patterns.
    Pattern,
    /// `pmessage`
    ByPattern,
    /// `invalidate`
    Invalidate,
    /// A key was changed, and its name stands in the channel's; heard by a pattern or by the channel.
    Keyspace(bool),
    /// The same, and its name is what is said.
    Keyevent(bool),
    /// Keys that were invalidated, on the channel for it.
    Redirected,
    /// The connection to which invalidations were sent is gone.
    Gone,
    /// One that is about somebody else.
    Other,
}

/// One reply that is awaited.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Where its names are.
    pub shape: Shape,
    /// Keys that an error may quote.
    pub quotes: Vec<Bytes>,
}

impl Reply {
    /// How many replies the client hears of EXEC.
    pub fn heard(&self) -> Option<usize> {
        match &self.shape {
            Shape::Exec(replies) => Some(replies.iter().filter(|reply| reply.shape != Shape::Silence).count()),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reply({} quotes)", self.quotes.len())
    }
}

impl From<Shape> for Reply {
    fn from(shape: Shape) -> Self {
        Self { shape, quotes: Vec::new() }
    }
}

/// Upstream said what the session cannot understand: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub &'static str);
