//! Which replicas may be read: those that the master itself calls online, that have acknowledged within seconds, and are not far behind (INFO replication).
//! Asked for only while somebody reads there.

use super::{ConnectError, Connection, Target};
use crate::redis::encode::{self, Resp};
use bytes::BytesMut;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// One answer.
const ANSWER: Duration = Duration::from_secs(2);
/// A replica that has not acknowledged for longer is not in sync.
const LAG_SECONDS: i64 = 2;
/// And one that lacks more than this.
const BEHIND_BYTES: u64 = 1 << 20;

/// The replicas of one master, by its last word.
pub struct Replicas {
    target: Target,
    known: watch::Sender<Vec<String>>,
    next: AtomicUsize,
    looks: AtomicBool,
}

impl Replicas {
    /// Those of the master of `target`.
    pub fn new(target: Target) -> Arc<Self> {
        Arc::new(Self { target, known: watch::Sender::new(Vec::new()), next: AtomicUsize::new(0), looks: AtomicBool::new(false) })
    }

    /// A connection to one that is in sync, else to the master; with it comes what ends when it should be left.
    pub async fn open(self: &Arc<Self>, resp: Resp) -> Result<(Connection, Pin<Box<dyn Future<Output = ()> + Send>>), ConnectError> {
        if !self.looks.swap(true, Ordering::AcqRel) {
            tokio::spawn(Self::look(self.clone()));
        }
        let mut known = self.known.subscribe();
        let all = known.borrow_and_update().clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for address in (0..all.len()).filter_map(|at| all.get((first + at) % all.len())) {
            match tokio::time::timeout(ANSWER, self.replica(address, resp)).await {
                Ok(Ok(connection)) => {
                    let address = address.clone();
                    return Ok((connection, Box::pin(async move { until(known, |now| !now.contains(&address)).await })));
                }
                Ok(Err(error)) => tracing::info!(address, %error, "a replica cannot be read"),
                Err(_) => tracing::info!(address, "a replica does not answer"),
            }
        }
        let connection = self.target.open_for(resp).await?;
        let leave = async move {
            if all.is_empty() {
                until(known, |now| !now.is_empty()).await;
            } else {
                // Those that there are cannot be read now.
                tokio::time::sleep(LOOK * 5).await;
            }
        };
        Ok((connection, Box::pin(leave)))
    }

    /// A connection to a replica that follows its master.
    async fn replica(&self, address: &str, resp: Resp) -> Result<Connection, ConnectError> {
        let mut connection = self.target.node(address).open_for(resp).await?;
        let mut out = BytesMut::new();
        encode::command(&mut out, &["ROLE"]);
        connection.stream.write_all(&out).await?;
        let role = connection.reply().await?;
        let follows = role.starts_with(b"*5\r\n$5\r\nslave\r\n") && role.windows(13).any(|window| window == b"\r\nconnected\r\n");
        if follows { Ok(connection) } else { Err(ConnectError::Server("it does not follow its master".to_owned())) }
    }

    /// Asks the master, for ever.
    async fn look(self: Arc<Self>) {
        let mut connection = None;
        loop {
            let asked = tokio::time::timeout(ANSWER, async {
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => self.target.connect().await?,
                };
                let mut out = BytesMut::new();
                encode::command(&mut out, &["INFO", "replication"]);
                open.stream.write_all(&out).await?;
                let info = open.bulk().await?;
                connection = Some(open);
                Ok::<_, ConnectError>(in_sync(&info))
            });
            // Of a master that says nothing no replica can be known to be in sync.
            let now = asked.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())).unwrap_or_default();
            self.known.send_if_modified(|known| {
                let new = *known != now;
                *known = now;
                new
            });
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn until(mut known: watch::Receiver<Vec<String>>, over: impl Fn(&[String]) -> bool) {
    if known.wait_for(|now| over(now)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The replicas in sync, as a master says. Of what is no master, none.
fn in_sync(info: &str) -> Vec<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let Some(offset) = field("master_repl_offset").and_then(|text| text.parse::<u64>().ok()) else { return Vec::new() };
    if field("role") != Some("master") {
        return Vec::new();
    }
    let replicas = info.lines().filter_map(|line| line.strip_prefix("slave")?.split_once(':'));
    replicas.filter(|(at, _)| at.bytes().all(|b| b.is_ascii_digit())).filter_map(|(_, text)| replica(text.trim(), offset)).collect()
}

/// `ip=…,port=…,state=…,offset=…,lag=…` of one that is in sync.
fn replica(text: &str, master: u64) -> Option<String> {
    let field = |name: &str| text.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let (lag, offset) = (field("lag")?.parse::<i64>().ok()?, field("offset")?.parse::<u64>().ok()?);
    let fits = field("state")? == "online" && (0..=LAG_SECONDS).contains(&lag) && master.saturating_sub(offset) <= BEHIND_BYTES;
    let (ip, port) = (field("ip")?, field("port")?.parse::<u16>().ok()?);
    fits.then(|| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
