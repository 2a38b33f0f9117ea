//! Redis: the next room to be filled. Nothing listens for it yet; a listener with `protocol: redis` stops the start.
