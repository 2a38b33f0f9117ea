//! The one pump: bytes between a client and its upstream, through a `Session` that judges them.
//!
//! What a session said is written before more is read, so neither buffer grows past one read and what it became; a side that does not read
//! stops its partner and nothing else. What takes a session long is done on another thread, so that others of this one do not wait. Both directions go on at once, so two full sides cannot wait for each other. A connection at rest
//! holds no buffer: what comes is read into one that all connections of a thread share.

mod pooled;

pub use pooled::{Lender, pooled, refusal};

use crate::observe::Meter;
use crate::session::{Close, Session, Turn};
use bytes::{Buf, BytesMut};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;

/// One read takes at most this much.
const READ_BYTES: usize = 16 << 10;
/// While this much waits to be written to one side, nothing more is read that could add to it.
const WAITING_BYTES: usize = 256 << 10;
/// An empty buffer that is larger than this is given back.
const KEPT_BYTES: usize = 512;

thread_local! {
    /// What the connections of this thread read into, one after the other.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Why a relay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The session said so.
    Session(Close),
    /// The client's socket closed or failed.
    ClientGone,
    /// Upstream's did.
    UpstreamGone,
    /// Sent away while draining.
    Drained,
}

/// It goes on.
pub const SERVES: u8 = 0;
/// The wall goes: a session ends when it is at rest.
pub const DRAINS: u8 = 1;
/// Who the client is, counts no more: so does a session end that takes nothing new then and only waits.
pub const ENDED: u8 = 2;
/// It ends now, whatever is under way.
pub const NOW: u8 = 3;

/// When to stop: [`SERVES`] and what follows. It is told again, the same, when the policy is another: sessions that hear nothing from their
/// clients look, too.
pub type Drain = watch::Receiver<u8>;

/// Until it is time to stop, and not when the policy is another.
pub async fn stopping(drain: &mut Drain) {
    // Nobody is left who could say so.
    if drain.wait_for(|stop| *stop > SERVES).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Pumps until one side ends. `refresh` is called before each client read and when the drain is told again, so that a reload reaches a live session.
///
/// The future has all that a connection at rest needs once, and nothing else: what it rarely does has a future of its own.
pub fn pump<S: Session>(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    session: S,
    (from_client, from_upstream): (BytesMut, BytesMut),
    mut drain: Drain,
    refresh: impl FnMut(&mut S),
    meter: &Meter,
) -> impl Future<Output = End> {
    let (client, upstream) = (Side::new(client, from_client), Side::new(upstream, from_upstream));
    let mut pump = Pump { client, upstream, session, turn: Turn::default(), refresh, meter };
    let mut end = if pump.client.input.is_empty() { None } else { pump.heard_client() };
    let mut watched = true;
    async move {
        while end.is_none() {
            let stop = *drain.borrow_and_update();
            end = pump.renewed(stop);
            if end.is_some() {
                break;
            }
            let mut changed = pin!(drain.changed());
            let next = poll_fn(|cx| match pump.poll(stop, cx) {
                Poll::Ready(next) => Poll::Ready(next),
                Poll::Pending if watched => changed.as_mut().poll(cx).map(|kept| {
                    watched = kept.is_ok();
                    Next::Again
                }),
                Poll::Pending => Poll::Pending,
            })
            .await;
            match next {
                Next::Again => {}
                Next::Labour => (pump, end) = Box::pin(pump.labour()).await,
                Next::End(over) => end = Some(over),
            }
        }
        Box::pin(pump.finish(end.unwrap_or(End::ClientGone))).await
    }
}

/// What the pump is left for.
enum Next {
    /// The drain has moved on, or the policy.
    Again,
    /// The session has something to do that takes long.
    Labour,
    /// It is over.
    End(End),
}

/// A socket, what came from it and was not taken yet, and how it stands.
struct Side<T> {
    stream: T,
    input: BytesMut,
    /// It said that no more will come.
    ended: bool,
    /// Something was written that may not have left yet.
    unflushed: bool,
    /// The last read filled all there was room for: the next one goes where it stays.
    bulk: bool,
}

struct Pump<'m, C, U, S, R> {
    client: Side<C>,
    upstream: Side<U>,
    session: S,
    turn: Turn,
    refresh: R,
    meter: &'m Meter,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Side<T> {
    fn new(stream: T, input: BytesMut) -> Self {
        Self { stream, input, ended: false, unflushed: false, bulk: false }
    }

    /// Reads once. Ready(Ok(0)) is the end. Errors: the socket failed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ()>> {
        let count = if self.bulk {
            self.input.reserve(READ_BYTES);
            ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))
        } else {
            ready!(SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let done = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                self.input.extend_from_slice(buffer.filled());
                Poll::Ready(done.map(|()| buffer.filled().len()))
            }))
        };
        self.bulk = count.as_ref().is_ok_and(|count| *count >= READ_BYTES);
        Poll::Ready(count.map_err(|_| ()))
    }

    /// Writes what it can of `output`. Errors: the socket failed.
    fn write(&mut self, cx: &mut Context<'_>, output: &mut BytesMut) -> Result<(), ()> {
        while !output.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, output) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(count @ 1..)) => {
                    output.advance(count);
                    self.unflushed = true;
                }
                Poll::Ready(_) => return Err(()),
            }
        }
        give_back(output);
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => return Err(()),
            }
        }
        Ok(())
    }
}

/// The client's side.
impl<C: AsyncRead + AsyncWrite + Unpin> Side<C> {
    /// Why it is over, if nothing more is to be waited for; `stop` as of [`Drain`].
    fn over(&self, stop: u8, session: &mut impl Session, turn: &mut Turn) -> Option<End> {
        let written = turn.to_upstream.is_empty() && turn.to_client.is_empty();
        if stop == NOW || (stop >= DRAINS && written && session.at_rest()) {
            session.farewell(turn);
            return Some(End::Drained);
        }
        (self.ended && written && !session.owes()).then_some(End::ClientGone)
    }

    fn may_be_read(&self, session: &impl Session, turn: &Turn) -> bool {
        let room = turn.to_upstream.len() < WAITING_BYTES && turn.to_client.len() < WAITING_BYTES;
        room && !self.ended && session.wants_client()
    }

    /// Gives the session what holds now; why it is over, if that takes away what it has.
    fn renewed(stop: u8, session: &mut impl Session, turn: &mut Turn) -> Option<End> {
        if stop == ENDED {
            session.ended();
        }
        session.renewed(turn).err().map(End::Session)
    }

    fn heard(&mut self, session: &mut impl Session, turn: &mut Turn) -> Option<End> {
        let end = session.from_client(&mut self.input, turn).err().map(End::Session);
        give_back(&mut self.input);
        end
    }

    /// Upstream has said something, which may let go of bytes that the session kept back.
    fn answered(&mut self, upstream: &mut BytesMut, session: &mut impl Session, turn: &mut Turn) -> Option<End> {
        let end = session.from_upstream(upstream, turn).err().map(End::Session);
        give_back(upstream);
        if end.is_none() && session.wants_client() && !self.input.is_empty() {
            return self.heard(session, turn);
        }
        end
    }

    async fn last_words(&mut self, end: &End, turn: &mut Turn) {
        if *end != End::ClientGone || self.ended {
            let _ = self.stream.write_all_buf(&mut turn.to_client).await;
            let _ = self.stream.shutdown().await;
        }
    }
}

impl<C, U, S, R> Pump<'_, C, U, S, R>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
    S: Session,
    R: FnMut(&mut S),
{
    /// Moves what can be moved; Ready when there is something else to do, or it is over.
    fn poll(&mut self, stop: u8, cx: &mut Context<'_>) -> Poll<Next> {
        self.poll_bytes(stop, cx).map(|end| end.map_or(Next::Labour, Next::End))
    }

    /// The same; Ready(None) is labour.
    fn poll_bytes(&mut self, stop: u8, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            if self.upstream.write(cx, &mut self.turn.to_upstream).is_err() {
                return Poll::Ready(Some(End::UpstreamGone));
            }
            if self.client.write(cx, &mut self.turn.to_client).is_err() {
                return Poll::Ready(Some(End::ClientGone));
            }
            self.meter.count(&mut self.turn.facts);
            if std::mem::take(&mut self.turn.laborious) {
                return Poll::Ready(None);
            }
            if let Some(end) = self.client.over(stop, &mut self.session, &mut self.turn) {
                return Poll::Ready(Some(end));
            }
            let mut heard = false;
            if self.client.may_be_read(&self.session, &self.turn)
                && let Poll::Ready(read) = self.client.poll_read(cx)
            {
                let Ok(count) = read else { return Poll::Ready(Some(End::ClientGone)) };
                heard = true;
                self.client.ended = count == 0;
                if count > 0 {
                    if let Some(end) = self.renewed(stop).or_else(|| self.heard_client()) {
                        return Poll::Ready(Some(end));
                    }
                    // What it sent is on its way before anything else is done.
                    continue;
                }
            }
            if self.turn.to_client.len() < WAITING_BYTES
                && let Poll::Ready(read) = self.upstream.poll_read(cx)
            {
                heard = true;
                let end = if read.is_ok_and(|count| count > 0) { self.heard_upstream() } else { Some(End::UpstreamGone) };
                if let Some(end) = end {
                    return Poll::Ready(Some(end));
                }
            }
            if !heard {
                return Poll::Pending;
            }
        }
    }

    fn renewed(&mut self, stop: u8) -> Option<End> {
        (self.refresh)(&mut self.session);
        Side::<C>::renewed(stop, &mut self.session, &mut self.turn)
    }

    fn heard_client(&mut self) -> Option<End> {
        self.client.heard(&mut self.session, &mut self.turn)
    }

    fn heard_upstream(&mut self) -> Option<End> {
        self.client.answered(&mut self.upstream.input, &mut self.session, &mut self.turn)
    }

    /// Has the session do what takes long, on a thread for that.
    async fn labour(self) -> (Self, Option<End>) {
        let Self { client, upstream, mut session, mut turn, refresh, meter } = self;
        let (session, turn, result) = beside(move || {
            let result = session.labour(&mut turn);
            (session, turn, result)
        })
        .await;
        (Self { client, upstream, session, turn, refresh, meter }, result.err().map(End::Session))
    }

    /// Last words: bounded, for a client that does not read must not hold the connection.
    async fn finish(mut self, end: End) -> End {
        self.meter.count(&mut self.turn.facts);
        if end == End::UpstreamGone {
            self.session.abandoned(&mut self.turn);
        }
        let last = async {
            self.client.last_words(&end, &mut self.turn).await;
            if end != End::UpstreamGone {
                let _ = self.upstream.stream.write_all_buf(&mut self.turn.to_upstream).await;
                let _ = self.upstream.stream.shutdown().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), last).await;
        end
    }
}

/// Done on a thread for what takes long.
pub async fn beside<T: Send + 'static>(labour: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(labour).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// An idle connection holds no memory for what it once said.
fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES {
        *buffer = BytesMut::new();
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
