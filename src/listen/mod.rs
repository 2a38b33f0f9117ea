//! Accepts connections: TLS, the first message, identity, limits; then hands over to the relay.

pub mod homes;
mod postgres;
pub mod redis;
mod tls;

pub use tls::server as server_tls;

use crate::config::{Listener, Source};
use crate::identity::Evidence;
use crate::observe::Metrics;
use crate::relay::Drain;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

/// From accept to the end of startup.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections of one listener that are in their handshake or served at once.
const CONNECTIONS_MAX: usize = 10_000;

/// The upstream's key that a key of the wall's own stands for, and where to send it.
type CancelKeys = Mutex<HashMap<(u32, Vec<u8>), (Arc<homes::Ground>, (u32, Vec<u8>))>>;

/// Serves one connection to its end.
pub trait Serve: Send + Sync + 'static {
    /// The listener's name, for logs.
    fn name(&self) -> &str;
    /// From the first byte on. Not cancel-safe: dropped, it drops its session.
    fn serve(&self, stream: crate::upstream::Stream, peer: Option<SocketAddr>, drain: Drain) -> impl Future<Output = ()> + Send;
}

impl Serve for Service {
    fn name(&self) -> &str {
        &self.config.name
    }

    async fn serve(&self, stream: crate::upstream::Stream, peer: Option<SocketAddr>, drain: Drain) {
        postgres::serve(self, stream, peer.map(|peer| peer.ip()), drain).await;
    }
}

/// What a PostgreSQL listener needs to serve.
pub struct Service {
    /// As configured.
    pub config: Listener,
    /// Where it leads: the shared tables, for tenants that live there.
    pub shared: Arc<homes::Ground>,
    /// The places of tenants that have their own.
    pub homes: homes::Homes,
    /// Set up from `config.tls`.
    pub tls: Option<tokio_rustls::TlsAcceptor>,
    /// Cancel keys of live connections.
    pub keys: CancelKeys,
    /// Of the process.
    pub metrics: Arc<Metrics>,
}

/// A bound socket.
pub enum Socket {
    /// `host:port`
    Tcp(TcpListener),
    /// `unix:/path`
    Unix(UnixListener),
}

impl Socket {
    /// Binds. Errors: the system's.
    pub async fn bind(listen: &str) -> std::io::Result<Self> {
        match listen.strip_prefix("unix:") {
            Some(path) => {
                // A socket that a dead process left behind is in the way; one that answers is somebody's.
                if std::os::unix::net::UnixStream::connect(path).is_err() {
                    let _ = std::fs::remove_file(path);
                }
                Ok(Self::Unix(UnixListener::bind(path)?))
            }
            None => Ok(Self::Tcp(TcpListener::bind(listen).await?)),
        }
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

    async fn accept(&self) -> std::io::Result<(crate::upstream::Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(peer)))
            }
            Self::Unix(socket) => Ok((Box::new(socket.accept().await?.0), None)),
        }
    }
}

/// Accepts until the drain begins, then waits for its connections. Not cancel-safe: a dropped future drops its sessions.
pub async fn run<S: Serve>(service: Arc<S>, socket: Socket, mut drain: Drain) {
    let mut sessions = JoinSet::new();
    while *drain.borrow() == 0 {
        tokio::select! {
            accepted = socket.accept(), if sessions.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => {
                    let (service, drain) = (service.clone(), drain.clone());
                    sessions.spawn(async move { service.serve(stream, peer, drain).await });
                }
                Err(error) => {
                    // Out of descriptors, most likely: the socket stays readable, so wait instead of spinning.
                    tracing::error!(listener = service.name(), %error, "accept failed");
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

impl Service {
    fn identify(
        &self,
        peer: Option<IpAddr>,
        startup: &[(String, String)],
        uris: Option<Vec<String>>,
    ) -> Result<crate::identity::Principal, crate::identity::IdentityError> {
        let judge = self.shared.judge.load();
        let evidence = Evidence { peer, startup, uris };
        crate::identity::identify(judge.policy(), &self.config.identity, &|name| std::env::var(name).ok(), &evidence)
    }

    fn startup_parameter(&self) -> Option<String> {
        let judge = self.shared.judge.load();
        let source = judge.policy().identity.startup.as_ref().map(|s| s.parameter.clone());
        source.filter(|_| self.config.identity.contains(&Source::Startup))
    }
}
