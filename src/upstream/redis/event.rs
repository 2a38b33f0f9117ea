//! What is counted of connections upstream.

use std::sync::Arc;

/// What happens to connections upstream, for whoever counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A shared one was opened.
    SharedOpened,
    /// It ended.
    SharedClosed,
    /// It ended while commands were under way.
    Lost,
    /// A client took one of its own.
    OwnTaken,
    /// It let go of it.
    OwnLeft,
    /// A client was ended because it did not read.
    CutOff,
}

/// Who is told.
pub type Tell = Arc<dyn Fn(Event) + Send + Sync>;
