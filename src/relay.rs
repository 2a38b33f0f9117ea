//! The one pump: bytes between a client and its upstream, through a `Session` that judges them.
//!
//! Each side's writes are awaited before more is read from the other, so neither buffer grows past one read and what it became; a side that
//! does not read stops its partner and nothing else. Both directions run at once, so two full sides cannot wait for each other.

use crate::observe::Meter;
use crate::session::{Close, Session, Turn};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

/// One read asks for this much.
const READ_BYTES: usize = 16 << 10;
/// While this much waits to be written to one side, nothing more is read that could add to it.
const WAITING_BYTES: usize = 256 << 10;

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

/// When to stop: 0 serving, 1 draining (at rest), 2 now.
pub type Drain = watch::Receiver<u8>;

/// Pumps until one side ends. `refresh` is called before each client read, so that a reload reaches a live session.
pub async fn pump<S: Session>(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    mut session: S,
    (mut from_client, mut from_upstream): (BytesMut, BytesMut),
    mut drain: Drain,
    mut refresh: impl FnMut(&mut S),
    meter: &Meter,
) -> End {
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut upstream_read, mut upstream_write) = tokio::io::split(upstream);
    let mut turn = Turn::default();
    let mut end = if from_client.is_empty() { None } else { session.from_client(&mut from_client, &mut turn).err().map(End::Session) };
    while end.is_none() {
        meter.count(&mut turn.facts);
        let stop = *drain.borrow();
        if stop == 2 || (stop == 1 && session.at_rest() && turn.to_upstream.is_empty() && turn.to_client.is_empty()) {
            session.farewell(&mut turn);
            end = Some(End::Drained);
            break;
        }
        let read_client = session.wants_client() && turn.to_upstream.len() < WAITING_BYTES && turn.to_client.len() < WAITING_BYTES;
        let read_upstream = turn.to_client.len() < WAITING_BYTES;
        from_client.reserve(READ_BYTES);
        from_upstream.reserve(READ_BYTES);
        tokio::select! {
            read = client_read.read_buf(&mut from_client), if read_client => match read {
                Ok(1..) => { refresh(&mut session); end = session.from_client(&mut from_client, &mut turn).err().map(End::Session); }
                _ => end = Some(End::ClientGone),
            },
            read = upstream_read.read_buf(&mut from_upstream), if read_upstream => match read {
                Ok(1..) => {
                    end = session.from_upstream(&mut from_upstream, &mut turn).err().map(End::Session);
                    // Upstream's answer may let go of bytes that the session kept back.
                    if end.is_none() && session.wants_client() && !from_client.is_empty() {
                        end = session.from_client(&mut from_client, &mut turn).err().map(End::Session);
                    }
                }
                _ => end = Some(End::UpstreamGone),
            },
            written = client_write.write_buf(&mut turn.to_client), if !turn.to_client.is_empty() => {
                if !matches!(written, Ok(1..)) { end = Some(End::ClientGone); }
            },
            written = upstream_write.write_buf(&mut turn.to_upstream), if !turn.to_upstream.is_empty() => {
                if !matches!(written, Ok(1..)) { end = Some(End::UpstreamGone); }
            },
            _ = drain.changed() => {}
        }
    }
    meter.count(&mut turn.facts);
    let end = end.unwrap_or(End::ClientGone);
    if end == End::UpstreamGone {
        session.abandoned(&mut turn);
    }
    // Last words: bounded, for a client that does not read must not hold the connection.
    let last = async {
        if end != End::ClientGone {
            let _ = client_write.write_all_buf(&mut turn.to_client).await;
            let _ = client_write.shutdown().await;
        }
        if end != End::UpstreamGone {
            let _ = upstream_write.write_all_buf(&mut turn.to_upstream).await;
            let _ = upstream_write.shutdown().await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), last).await;
    end
}
