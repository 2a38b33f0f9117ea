//! The one pump: bytes between a client and its upstream, through a `Session` that judges them.
