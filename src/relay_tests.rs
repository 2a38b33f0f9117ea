//! The pump between two sockets in memory, with a session that passes all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::observe::{Metrics, Who};
use std::sync::Arc;
use tokio::io::{DuplexStream, duplex};

/// Passes what it hears; owes as many bytes as it sent until as many came back.
#[derive(Default)]
struct Echo {
    owed: usize,
}

impl Session for Echo {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        self.owed += input.len();
        turn.to_upstream.unsplit(input.split());
        Ok(())
    }
    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        self.owed = self.owed.saturating_sub(input.len());
        turn.to_client.unsplit(input.split());
        Ok(())
    }
    fn at_rest(&self) -> bool {
        self.owed == 0
    }
    fn farewell(&mut self, turn: &mut Turn) {
        turn.to_client.extend_from_slice(b"bye");
    }
}

/// A pump at work: the client's end, upstream's end, what stops it, how it ended.
fn start(capacity: usize) -> (DuplexStream, DuplexStream, watch::Sender<u8>, tokio::task::JoinHandle<End>) {
    let ((client, inner_client), (upstream, inner_upstream)) = (duplex(capacity), duplex(capacity));
    let (stop, drain) = watch::channel(0);
    let metrics = Arc::<Metrics>::default();
    let who = Who { listener: "l", tenant: "acme", connection: 1 };
    let meter = Meter::open(&metrics, who, None, Arc::default()).unwrap();
    let task = tokio::spawn(async move {
        pump(inner_client, inner_upstream, Echo::default(), Default::default(), drain, |_: &mut Echo| (), &meter).await
    });
    (client, upstream, stop, task)
}

#[tokio::test]
async fn replies_reach_a_client_that_sends_no_more() {
    let (mut client, mut upstream, _stop, task) = start(64);
    client.write_all(b"PING").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = [0; 4];
    upstream.read_exact(&mut heard).await.unwrap();
    upstream.write_all(b"PONG").await.unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    assert_eq!((reply.as_str(), task.await.unwrap()), ("PONG", End::ClientGone));
    assert_eq!(upstream.read(&mut heard).await.unwrap(), 0, "upstream is let go");
}

#[tokio::test]
async fn a_client_at_rest_that_closes_is_gone_at_once() {
    let (client, _upstream, _stop, task) = start(64);
    drop(client);
    assert_eq!(task.await.unwrap(), End::ClientGone);
}

#[tokio::test]
async fn what_is_under_way_ends_when_it_has_to() {
    for (level, goes_on) in [(DRAINS, true), (ENDED, true), (NOW, false)] {
        let (mut client, mut upstream, stop, task) = start(64);
        client.write_all(b"PING").await.unwrap();
        let mut heard = [0; 4];
        upstream.read_exact(&mut heard).await.unwrap();
        stop.send_replace(level);
        if goes_on {
            tokio::task::yield_now().await;
            upstream.write_all(b"PONG").await.unwrap();
        }
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!((said.as_str(), task.await.unwrap()), (if goes_on { "PONGbye" } else { "bye" }, End::Drained), "{level}");
    }
}

#[tokio::test]
async fn full_sides_do_not_wait_for_each_other() {
    const BYTES: usize = 3 << 20;
    let (client, upstream, _stop, task) = start(1000);
    let talk = |stream: DuplexStream| async move {
        let (mut read, mut write) = tokio::io::split(stream);
        let sender = tokio::spawn(async move {
            let sent: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
            write.write_all(&sent).await.unwrap();
            write
        });
        let mut heard = vec![0; BYTES];
        read.read_exact(&mut heard).await.unwrap();
        assert!(heard.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8), "bytes in their order");
        sender.await.unwrap()
    };
    let (one, other) = tokio::join!(talk(client), talk(upstream));
    drop((one, other));
    task.await.unwrap();
}

#[tokio::test]
async fn a_drain_waits_for_rest_and_says_goodbye() {
    let (mut client, mut upstream, stop, task) = start(64);
    client.write_all(b"x").await.unwrap();
    let mut byte = [0];
    upstream.read_exact(&mut byte).await.unwrap();
    stop.send(1).unwrap();
    tokio::task::yield_now().await;
    assert!(!task.is_finished(), "a reply is owed");
    upstream.write_all(b"y").await.unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!((heard.as_str(), task.await.unwrap()), ("ybye", End::Drained));
}

#[test]
fn an_empty_buffer_is_given_back() {
    let mut buffer = BytesMut::with_capacity(100_000);
    buffer.extend_from_slice(b"x");
    give_back(&mut buffer);
    assert_eq!(&buffer[..], b"x");
    buffer.advance(1);
    give_back(&mut buffer);
    assert!(buffer.capacity() <= KEPT_BYTES, "{}", buffer.capacity());
}

/// Leaves all that it hears for another thread, and fails at "no" there.
struct Laborious(Vec<u8>, std::thread::ThreadId);

impl Session for Laborious {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        self.0.extend_from_slice(&input.split());
        turn.laborious = true;
        Ok(())
    }
    fn labour(&mut self, turn: &mut Turn) -> Result<(), Close> {
        assert_ne!(std::thread::current().id(), self.1, "the thread of the connections");
        turn.to_upstream.extend_from_slice(&std::mem::take(&mut self.0));
        if turn.to_upstream.ends_with(b"no") { Err(Close::ClientBroke("no")) } else { Ok(()) }
    }
    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        turn.to_client.unsplit(input.split());
        Ok(())
    }
    fn at_rest(&self) -> bool {
        true
    }
    fn farewell(&mut self, _: &mut Turn) {}
}

#[tokio::test]
async fn what_takes_long_is_done_on_another_thread() {
    let ((mut client, inner_client), (mut upstream, inner_upstream)) = (duplex(64), duplex(64));
    let (_stop, drain) = watch::channel(0);
    let metrics = Arc::<Metrics>::default();
    let who = Who { listener: "l", tenant: "acme", connection: 1 };
    let meter = Meter::open(&metrics, who, None, Arc::default()).unwrap();
    let session = Laborious(Vec::new(), std::thread::current().id());
    let first = BytesMut::from("one");
    let task =
        tokio::spawn(async move { pump(inner_client, inner_upstream, session, (first, BytesMut::new()), drain, |_| (), &meter).await });
    let mut heard = [0; 3];
    for text in [b"one", b"two"] {
        upstream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, text, "in its order, once");
        client.write_all(b"two").await.unwrap();
    }
    upstream.read_exact(&mut heard).await.unwrap();
    client.write_all(b"no").await.unwrap();
    assert_eq!(task.await.unwrap(), End::Session(Close::ClientBroke("no")));
}
