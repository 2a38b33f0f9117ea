//! What a shared connection has for one client: only replies to its own commands are ever put here.

use super::backstop::Users;
use crate::redis::line::Line;
use crate::redis::tenant::{End, Tenant};
use bytes::{Buf, BytesMut};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;

/// What one client may leave unread before its shared connection waits for it.
const FULL_BYTES: usize = 16 << 20;
/// The same while all clients of a thread leave much.
const TIGHT_BYTES: usize = 256 << 10;
/// What all clients of a thread may leave unread before each may leave less.
const ALL_BYTES: usize = 128 << 20;
/// An empty buffer that is larger than this is given back.
const KEPT_BYTES: usize = 512;

/// One client's replies that have come and were not taken yet.
pub struct Inbox {
    state: Mutex<State>,
    /// Told when a large reply comes.
    pub line: Arc<Line>,
    /// The same, of all its clients.
    pub tenant: Arc<Tenant>,
    /// Whose user of the server it is, where each tenant has one.
    pub users: Option<Arc<Users>>,
    /// What all inboxes of the thread hold.
    all: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    bytes: BytesMut,
    reader: Option<Waker>,
    /// A connection that waits until there is room.
    writer: Option<Waker>,
    /// Nobody reads any more: what comes is thrown away.
    closed: bool,
    /// The reader is to end.
    ended: bool,
    /// Replies that are still to come.
    due: usize,
}

impl Inbox {
    /// An empty one.
    pub fn new(line: Arc<Line>, tenant: Arc<Tenant>, users: Option<Arc<Users>>, all: Arc<AtomicUsize>) -> Self {
        Self { state: Mutex::default(), line, tenant, users, all }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many commands of this client's are under way.
    pub fn expect(&self, count: usize) {
        self.state().due += count;
    }

    /// Ready when none is; wakes `cx` then.
    pub fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.due == 0 {
            return Poll::Ready(());
        }
        Self::wait(&mut state, cx);
        Poll::Pending
    }

    /// Puts what came of replies to this client's own commands, and with it so many whole ones.
    pub fn put(&self, bytes: &[u8], whole: usize) {
        let mut state = self.state();
        state.due = state.due.saturating_sub(whole);
        if state.closed {
            return;
        }
        state.bytes.extend_from_slice(bytes);
        self.all.fetch_add(bytes.len(), Ordering::Relaxed);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether the client must read before more comes; wakes `cx` when it has.
    pub fn is_full(&self, cx: &Context<'_>) -> bool {
        let most = if self.all.load(Ordering::Relaxed) > ALL_BYTES { TIGHT_BYTES } else { FULL_BYTES };
        let mut state = self.state();
        let full = state.bytes.len() > most && !state.closed;
        if full {
            state.writer = Some(cx.waker().clone());
        }
        full
    }

    /// Takes what is there. Errors: the connection is to end.
    pub fn poll_take(&self, cx: &Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.ended {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if state.bytes.is_empty() {
            Self::wait(&mut state, cx);
            return Poll::Pending;
        }
        let count = state.bytes.len().min(out.remaining());
        out.put_slice(state.bytes.get(..count).unwrap_or_default());
        state.bytes.advance(count);
        self.all.fetch_sub(count, Ordering::Relaxed);
        if state.bytes.is_empty() && state.bytes.capacity() > KEPT_BYTES {
            state.bytes = BytesMut::new();
        }
        if let Some(writer) = state.writer.take_if(|_| count > 0) {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Has `cx` woken when the connection is to end. Errors: it is.
    pub fn poll_end(&self, cx: &Context<'_>) -> io::Result<()> {
        let mut state = self.state();
        if state.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Self::wait(&mut state, cx);
        Ok(())
    }

    fn wait(state: &mut State, cx: &Context<'_>) {
        match &state.reader {
            Some(reader) if reader.will_wake(cx.waker()) => {}
            _ => state.reader = Some(cx.waker().clone()),
        }
    }

    /// Whether all has been taken.
    pub fn is_empty(&self) -> bool {
        self.state().bytes.is_empty()
    }

    /// Nobody reads here any more.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.empty(&mut state);
    }

    fn empty(&self, state: &mut State) {
        self.all.fetch_sub(state.bytes.len(), Ordering::Relaxed);
        state.bytes = BytesMut::new();
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

impl End for Inbox {
    fn end(&self) {
        let mut state = self.state();
        (state.closed, state.ended) = (true, true);
        self.empty(&mut state);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
