//! Accepts connections: TLS, the first message, identity, limits; then hands over to the relay.

mod agent;
pub mod attempts;
mod authenticate;
mod bundles;
pub mod cancel;
mod door;
mod files;
pub mod ground;
pub mod homes;
mod operator;
mod postgres;
mod prefixed;
mod proxy;
pub mod redis;
mod redis_again;
mod redis_operator;
pub mod renewal;
mod statement;
mod tls;
mod tunnel;
pub mod watch;
mod ways;
mod workers;

pub use door::Door;
pub use renewal::keep;
pub use workers::Workers;

use crate::config::Source;
use crate::identity::Shown;
use crate::observe::Metrics;
use crate::policy::Peer;
use crate::relay::Drain;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio::task::JoinSet;

/// From accept to the end of startup.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections of one listener that are in their handshake or served at once.
const CONNECTIONS_MAX: usize = 10_000;
/// Connections to a Unix socket that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Who is cancelled.
#[derive(Clone)]
pub enum Whom {
    /// The backend of this key.
    Backend((u32, Vec<u8>)),
    /// The one that is lent at the moment.
    Holder(Arc<crate::pool::Holder>),
}

/// What is left of a connection once its client was let in: a future of its own, so that what leads there is given back.
pub type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one connection.
pub trait Serve: Send + Sync + 'static {
    /// What its connections come through.
    fn door(&self) -> &Door;
    /// Of the process.
    fn metrics(&self) -> &Metrics;
    /// From the first byte of the protocol on; None where nothing is left to be done. Not cancel-safe: dropped, it drops its session.
    fn serve(self: Arc<Self>, stream: crate::upstream::Stream, shown: Shown, drain: Drain) -> impl Future<Output = Option<Rest>> + Send;
}

impl Serve for Service {
    fn door(&self) -> &Door {
        &self.door
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    async fn serve(self: Arc<Self>, stream: crate::upstream::Stream, shown: Shown, drain: Drain) -> Option<Rest> {
        postgres::serve(&self, stream, shown, drain).await
    }
}

/// What a PostgreSQL listener needs to serve.
pub struct Service {
    /// What its connections come through, and its configuration.
    pub door: Door,
    /// Where it leads: the shared tables, for tenants that live there.
    pub shared: Arc<ground::Ground>,
    /// The places of tenants that have their own.
    pub homes: homes::Homes,
    /// Cancel keys of live connections.
    pub keys: cancel::CancelKeys,
    /// Requests to cancel, by where they come from.
    pub cancels: attempts::Attempts,
    /// Of the process.
    pub metrics: Arc<Metrics>,
    /// There is another policy.
    pub reloads: tokio::sync::Notify,
}

/// A bound socket.
pub enum Socket {
    /// `host:port`
    Tcp(TcpListener),
    /// `unix:/path`
    Unix(UnixListener),
}

impl Socket {
    /// Binds; `mode` is a Unix socket's, else the umask's. Errors: the system's.
    pub async fn bind(listen: &str, mode: Option<u32>) -> std::io::Result<Self> {
        let Some(path) = listen.strip_prefix("unix:") else { return Ok(Self::Tcp(TcpListener::bind(listen).await?)) };
        // A socket that a dead process left behind is in the way. One that may answer is somebody's, and so is whatever is no socket.
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
        let is_dead = || async { UnixStream::connect(path).await.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused) };
        if is_socket && is_dead().await {
            std::fs::remove_file(path)?;
        }
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        // Before anybody can be heard.
        if let Some(mode) = mode {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(Self::Unix(socket.listen(BACKLOG)?))
    }

    /// The address, for people.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(|a| a.to_string()).unwrap_or_default(),
            Self::Unix(socket) => {
                socket.local_addr().ok().and_then(|a| a.as_pathname().map(|p| p.display().to_string())).unwrap_or_default()
            }
        }
    }

    async fn accept(&self) -> std::io::Result<(Accepted, Shown)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                crate::upstream::set_up(&stream)?;
                Ok((Accepted::Tcp(stream.into_std()?), Shown { port: peer.port(), ..door::shown(Peer::Ip(peer.ip())) }))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                let account = stream.peer_cred().ok().map(|c| c.uid());
                Ok((Accepted::Unix(stream.into_std()?), door::shown(Peer::Unix(account))))
            }
        }
    }
}

/// A connection that no runtime watches yet.
enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Watched from now on by the runtime that calls this.
    fn settle(self) -> std::io::Result<crate::upstream::Stream> {
        Ok(match self {
            Self::Tcp(stream) => Box::new(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Box::new(UnixStream::from_std(stream)?),
        })
    }
}

/// Accepts until the drain begins, then waits for its connections. Not cancel-safe: a dropped future drops its sessions.
pub async fn run<S: Serve>(service: Arc<S>, socket: Socket, workers: Arc<Workers>, mut drain: Drain) {
    let mut sessions = JoinSet::new();
    while *drain.borrow() == 0 {
        tokio::select! {
            accepted = socket.accept(), if sessions.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, shown)) => {
                    workers.spawn(&mut sessions, to_the_end(Box::pin(arrive(service.clone(), stream, shown, drain.clone()))));
                }
                Err(error) => {
                    // Out of descriptors, most likely: the socket stays readable, so wait instead of spinning.
                    tracing::error!(listener = service.door().config.name, %error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            _ = drain.changed() => {}
        }
    }
    drop(socket);
    while sessions.join_next().await.is_some() {}
}

/// A connection's task: what has led to the conversation takes no room in it any more.
async fn to_the_end(arrival: Pin<Box<dyn Future<Output = Option<Rest>> + Send>>) {
    let rest = arrival.await;
    if let Some(rest) = rest {
        rest.await;
    }
}

/// What is in a box. Moved out within an async function it would leave its room there until that ends.
#[allow(clippy::boxed_local, reason = "it is called for that")]
fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}

/// From accept to the protocol: the PROXY header, and the tunnel.
async fn arrive<S: Serve>(service: Arc<S>, stream: Accepted, mut shown: Shown, drain: Drain) -> Option<Rest> {
    let (door, tunnel) = (service.door(), service.door().config.tunnel);
    let entered = Box::pin(tokio::time::timeout(HANDSHAKE, async {
        let stream = door.announce(stream.settle()?, &mut shown).await?;
        let secure = tunnel && door.speaks_tls();
        Ok(if secure { Box::new(door.secure(stream, &mut shown).await?) as crate::upstream::Stream } else { stream })
    }));
    let entered = entered.await.unwrap_or_else(|_| Err(std::io::Error::other("it takes too long")));
    match entered {
        Err(error) => {
            service.metrics().connection(&door.config.name, "handshake");
            tracing::info!(listener = door.config.name, %error, "connection refused");
            None
        }
        Ok(stream) if tunnel => Some(Box::pin(tunnel::serve(service, stream, shown, drain))),
        Ok(stream) => Box::pin(service.serve(stream, shown, drain)).await,
    }
}

impl Service {
    /// From now on this policy is to hold, as soon as may be.
    pub fn reload(&self, policy: Arc<crate::policy::Policy>) {
        self.shared.want(policy);
        self.reloads.notify_one();
    }

    /// The startup parameters that say who the client is.
    fn startup_parameters(&self) -> Vec<String> {
        let judge = self.shared.judge.load();
        let source = judge.policy().identity.startup.as_ref().filter(|_| self.door.config.identity.contains(&Source::Startup));
        source.into_iter().flat_map(|s| [Some(s.parameter.clone()), s.role.clone()]).flatten().collect()
    }
}

#[cfg(test)]
#[path = "size_tests.rs"]
mod tests;
