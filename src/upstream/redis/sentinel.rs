//! Where the master is, as Redis Sentinel says: asked for before a connection, followed by `+switch-master`
//! (redis.io, "Guidelines for Redis clients with support for Redis Sentinel"). A connection to a server that is master no more ends.

use super::{ConnectError, Connection};
use crate::config::Sentinel;
use crate::redis::encode;
use crate::upstream::Stream;
use bytes::BytesMut;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;

/// One sentinel's answer, its connection among it.
const ANSWER: Duration = Duration::from_secs(2);
/// A sentinel that is silent for so long is asked anew.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two rounds in which none answered.
const PAUSE: Duration = Duration::from_millis(500);

/// The sentinels of a master, and where it is by the last word of theirs.
pub struct Sentinels {
    master: String,
    addresses: Vec<String>,
    tls: Option<Arc<rustls::ClientConfig>>,
    known: watch::Sender<Option<String>>,
}

impl Sentinels {
    /// `first` and the others of the file.
    pub fn new(first: &str, sentinel: &Sentinel, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        let addresses = std::iter::once(first.to_owned()).chain(sentinel.others.iter().cloned()).collect();
        Self { master: sentinel.master.clone(), addresses, tls, known: watch::Sender::new(None) }
    }

    /// Where the master is, and whoever hears when it is not there any more. `again`: it was not, just now. Errors: no sentinel knows.
    pub async fn find(&self, again: bool) -> Result<(String, watch::Receiver<Option<String>>), ConnectError> {
        let known = self.known.subscribe();
        let now = known.borrow().clone();
        if let (Some(address), false) = (now, again) {
            return Ok((address, known));
        }
        let mut last = ConnectError::Protocol;
        for sentinel in &self.addresses {
            let asked = tokio::time::timeout(ANSWER, async {
                let mut connection = self.open(sentinel).await?;
                self.ask(&mut connection).await
            });
            match asked.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
                Ok(address) => {
                    self.learn(&address);
                    return Ok((address, known));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Hears of failovers, for ever.
    pub async fn follow(self: Arc<Self>) {
        loop {
            for sentinel in &self.addresses {
                if let Err(error) = self.hear(sentinel).await {
                    tracing::debug!(sentinel, %error, "a sentinel is silent");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Listens to one sentinel until it is silent.
    async fn hear(&self, sentinel: &str) -> Result<(), ConnectError> {
        let late = |_| ConnectError::from(io::Error::from(io::ErrorKind::TimedOut));
        let mut connection = tokio::time::timeout(ANSWER, self.open(sentinel)).await.map_err(late)??;
        let mut out = BytesMut::new();
        encode::command(&mut out, &["SUBSCRIBE", "+switch-master"]);
        connection.stream.write_all(&out).await?;
        tokio::time::timeout(ANSWER, connection.reply()).await.map_err(late)??;
        // What happened before it listened.
        let address = tokio::time::timeout(ANSWER, async { self.ask(&mut self.open(sentinel).await?).await }).await.map_err(late)??;
        self.learn(&address);
        loop {
            let said = tokio::time::timeout(SILENCE, connection.reply()).await.map_err(late)??;
            if let Some(address) = switched(&said, &self.master) {
                self.learn(&address);
            }
        }
    }

    fn learn(&self, address: &str) {
        let learnt = self.known.send_if_modified(|known| {
            let new = known.as_deref() != Some(address);
            *known = Some(address.to_owned());
            new
        });
        if learnt {
            tracing::info!(master = self.master, address, "sentinel says where the master is");
        }
    }

    async fn open(&self, sentinel: &str) -> Result<Connection, ConnectError> {
        Ok(Connection { stream: super::dial(sentinel, self.tls.as_ref()).await?, input: BytesMut::new(), number: Default::default() })
    }

    async fn ask(&self, connection: &mut Connection) -> Result<String, ConnectError> {
        let mut out = BytesMut::new();
        encode::command(&mut out, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.master]);
        connection.stream.write_all(&out).await?;
        let said = connection.reply().await?;
        match bulks(&said).as_deref() {
            Some([host, port]) => Ok(address(host, port)),
            _ => Err(ConnectError::Server(format!("the sentinel knows no master `{}`", self.master))),
        }
    }
}

/// The new address in a message of `+switch-master`: `name old-host old-port host port`.
fn switched(said: &[u8], master: &str) -> Option<String> {
    let words = bulks(said)?;
    let [kind, channel, text] = words.as_slice() else { return None };
    let fields: Vec<&str> = text.split(' ').collect();
    match fields.as_slice() {
        [name, _, _, host, port] if *kind == "message" && *channel == "+switch-master" && *name == master => Some(address(host, port)),
        _ => None,
    }
}

fn address(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The elements of a reply that is a list of texts.
fn bulks(reply: &[u8]) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    crate::redis::frames::command(reply, &mut words)?;
    words.into_iter().map(|word| std::str::from_utf8(word).ok()).collect()
}

/// A connection that ends when the master is elsewhere.
pub struct Followed {
    stream: Stream,
    moved: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Followed {
    /// One to `address`.
    pub fn new(stream: Stream, address: String, mut known: watch::Receiver<Option<String>>) -> Self {
        let moved = async move {
            if known.wait_for(|now| now.as_ref().is_some_and(|now| *now != address)).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self { stream, moved: Box::pin(moved) }
    }
}

impl AsyncRead for Followed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.moved.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Followed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "sentinel_tests.rs"]
mod tests;
