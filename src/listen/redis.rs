//! A Redis client from its first byte to the relay.

use super::{HANDSHAKE, Serve};
use crate::config::{Listener, Source};
use crate::identity::{Evidence, IdentityError, Principal, identify, uri_names};
use crate::observe::{Meter, Metrics, Who};
use crate::policy::{Policy, TenantId};
use crate::redis::stranger::{Said, Stranger, WRONGPASS};
use crate::redis::tenant::Tenant;
use crate::redis::{Names, Session, Setup, encode};
use crate::relay::{self, Drain};
use crate::upstream::Stream;
use crate::upstream::redis::{Connection, Target};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a Redis listener needs to serve.
pub struct Service {
    /// As configured.
    pub config: Listener,
    /// Replaced by a reload.
    pub policy: ArcSwap<Policy>,
    /// Grows with each reload, so that a session sees cheaply that there is another policy.
    pub generation: AtomicU64,
    /// Where it leads.
    pub target: Target,
    /// Set up from `config.tls`: then the port speaks nothing else.
    pub tls: Option<tokio_rustls::TlsAcceptor>,
    /// Of the process.
    pub metrics: Arc<Metrics>,
    /// Of the process: hides cursors.
    pub secret: u64,
    /// The server's, as it was at the start.
    pub version: String,
    /// By tenant.
    pub tenants: Mutex<HashMap<TenantId, Arc<Tenant>>>,
}

/// A refusal in the server's words, and its name in the metrics.
type Refused = (String, &'static str);

impl Serve for Service {
    fn name(&self) -> &str {
        &self.config.name
    }

    async fn serve(&self, stream: Stream, peer: Option<SocketAddr>, drain: Drain) {
        let address = peer.map(|peer| peer.to_string()).unwrap_or_default();
        let peer = peer.map(|peer| peer.ip());
        let Ok(begun) = tokio::time::timeout(HANDSHAKE, self.greet(stream, peer)).await else {
            self.metrics.connection(&self.config.name, "handshake");
            return;
        };
        let (mut stream, mut input, greeted) = match begun {
            Ok(Some(greeted)) => greeted,
            Ok(None) | Err(_) => {
                self.metrics.connection(&self.config.name, "handshake");
                return;
            }
        };
        let connection = self.metrics.connection_id();
        let begun = match greeted {
            Ok((tenant, hello)) => {
                input = prepend(hello, input);
                self.begin(&tenant, connection, address).await
            }
            Err(refused) => Err(refused),
        };
        match begun {
            Ok((meter, upstream, session)) => self.converse(stream, input, upstream, session, drain, &meter).await,
            Err((words, outcome)) => {
                self.metrics.connection(&self.config.name, outcome);
                tracing::info!(listener = self.config.name, connection, outcome, "connection refused");
                let mut out = BytesMut::new();
                encode::error(&mut out, words.as_bytes());
                let _ = tokio::time::timeout(HANDSHAKE, async {
                    let _ = stream.write_all(&out).await;
                    let _ = stream.shutdown().await;
                })
                .await;
            }
        }
    }
}

/// Who it is, and what HELLO it said it with; or why it is nobody.
type Greeted = Result<(TenantId, Option<BytesMut>), Refused>;

impl Service {
    /// TLS and identity. None where the client went away.
    async fn greet(&self, stream: Stream, peer: Option<IpAddr>) -> std::io::Result<Option<(Stream, BytesMut, Greeted)>> {
        let (mut stream, uris) = match &self.tls {
            None => (stream, None),
            Some(tls) => {
                let accepted = tls.accept(stream).await?;
                let uris = accepted.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| uri_names(c).unwrap_or_default());
                (Box::new(accepted) as Stream, uris)
            }
        };
        let mut input = BytesMut::with_capacity(1024);
        match self.identify(peer, None, uris.clone()) {
            Ok(principal) => return Ok(Some((stream, input, Ok((principal.tenant, None))))),
            Err(IdentityError::Absent) if self.config.identity.contains(&Source::Startup) => {}
            Err(error) => {
                let refused = (format!("NOAUTH {error}"), "no_identity");
                return Ok(Some((stream, input, Err(refused))));
            }
        }
        let (mut stranger, mut out) = (Stranger::default(), BytesMut::new());
        loop {
            out.clear();
            let said = stranger.hear(&mut input, &mut out);
            match said {
                Ok(Said::Named(name, hello)) => match self.identify(peer, Some(name), uris.clone()) {
                    Ok(principal) => {
                        let hello = hello.map(|hello| hello.encoded());
                        if hello.is_none() {
                            encode::simple(&mut out, "OK");
                            stream.write_all(&out).await?;
                        }
                        return Ok(Some((stream, input, Ok((principal.tenant, hello)))));
                    }
                    Err(_) => encode::error(&mut out, WRONGPASS.as_bytes()),
                },
                Ok(Said::Answered) => {}
                Ok(Said::Nothing) => {
                    if stream.read_buf(&mut input).await? == 0 {
                        return Ok(None);
                    }
                }
                Ok(Said::Bye) | Err(_) => {
                    stream.write_all(&out).await?;
                    let _ = stream.shutdown().await;
                    return Ok(None);
                }
            }
            stream.write_all(&out).await?;
        }
    }

    fn identify(&self, peer: Option<IpAddr>, name: Option<String>, uris: Option<Vec<String>>) -> Result<Principal, IdentityError> {
        let policy = self.policy.load();
        let startup: Vec<(String, String)> = match (&policy.identity.startup, name) {
            (Some(source), Some(name)) => vec![(source.parameter.clone(), name)],
            _ => Vec::new(),
        };
        let evidence = Evidence { peer, startup: &startup, uris };
        identify(&policy, &self.config.identity, &|name| std::env::var(name).ok(), &evidence)
    }

    /// Limits, names, upstream. Errors: the refusal.
    async fn begin(&self, tenant: &TenantId, connection: u64, address: String) -> Result<(Meter, Connection, Session), Refused> {
        let policy = self.policy.load_full();
        let names = names(&policy, tenant).ok_or_else(|| ("NOAUTH the tenant identity is not valid".to_owned(), "no_identity"))?;
        let limit = policy.limits.of(tenant).connections;
        let who = Who { listener: &self.config.name, tenant: tenant.as_str(), connection };
        let meter = Meter::open(&self.metrics, who, limit, Arc::new(AtomicBool::new(false)))
            .ok_or_else(|| ("ERR max number of clients reached".to_owned(), "limit"))?;
        let upstream = match tokio::time::timeout(HANDSHAKE, self.target.connect()).await {
            Ok(Ok(upstream)) => upstream,
            Ok(Err(error)) => {
                tracing::warn!(listener = self.config.name, %error, "upstream refused");
                return Err(("ERR the server is not available".to_owned(), "upstream"));
            }
            Err(_) => return Err(("ERR the server does not answer".to_owned(), "upstream")),
        };
        let peers = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant.clone()).or_default().clone();
        let setup = Setup {
            names,
            tenant: tenant.as_str().to_owned(),
            id: connection,
            version: self.version.clone(),
            secret: self.secret,
            peers,
            address,
            upstream_id: upstream.id,
            config_passes: self.config.unsafe_config_passes,
        };
        Ok((meter, upstream, Session::new(setup)))
    }

    async fn converse(&self, stream: Stream, input: BytesMut, upstream: Connection, session: Session, drain: Drain, meter: &Meter) {
        let mut generation = self.generation.load(Ordering::Acquire);
        let refresh = |session: &mut Session| {
            let now = self.generation.load(Ordering::Acquire);
            if now != generation {
                generation = now;
                let policy = self.policy.load();
                let tenant = policy.tenants.accept(session.tenant());
                session.renew(tenant.and_then(|tenant| names(&policy, &tenant)));
            }
        };
        let end = relay::pump(stream, upstream.stream, session, (input, upstream.input), drain, refresh, meter).await;
        tracing::debug!(listener = self.config.name, ?end, "connection ended");
    }
}

fn names(policy: &Policy, tenant: &TenantId) -> Option<Names> {
    Names::new(policy.redis.as_ref()?, tenant)
}

fn prepend(first: Option<BytesMut>, rest: BytesMut) -> BytesMut {
    match first {
        None => rest,
        Some(mut all) => {
            all.extend_from_slice(&rest);
            all
        }
    }
}
