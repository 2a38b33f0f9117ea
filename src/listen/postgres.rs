//! A PostgreSQL client from its first byte to the relay. Source: the manual's "Message Flow", section "Start-up".

use super::homes::Ground;
use super::{HANDSHAKE, Service};
use crate::identity::uri_names;
use crate::observe::{Meter, Who};
use crate::policy::{Backstop, Home, TenantId};
use crate::postgres::startup::{First, negotiate, read_first, wants_negotiation};
use crate::postgres::{Session, encode, errors, own_schema, parameters};
use crate::relay::{self, Drain};
use crate::sql::Refusal;
use crate::sql::catalogs::quote_name;
use crate::sql::live::backstop::SETTING;
use crate::upstream::Stream;
use crate::upstream::postgres::{ConnectError, Connection};
use bytes::BytesMut;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A client that has said who it is.
struct Client {
    stream: Stream,
    input: BytesMut,
    params: Vec<(String, String)>,
    minor: u16,
    uris: Option<Vec<String>>,
}

/// Serves one connection to its end.
pub async fn serve(service: &Service, stream: Stream, peer: Option<IpAddr>, drain: Drain) {
    let Ok(Ok(Some(client))) = tokio::time::timeout(HANDSHAKE, first(service, stream)).await else {
        service.metrics.connection(&service.config.name, "handshake");
        return;
    };
    let Client { mut stream, input, params, minor, uris } = client;
    let connection = service.metrics.connection_id();
    match begin(service, peer, &params, uris, connection).await {
        Err((refusal, outcome)) => {
            service.metrics.connection(&service.config.name, outcome);
            tracing::info!(listener = service.config.name, connection, outcome, reason = refusal.message, "connection refused");
            let mut out = BytesMut::new();
            errors::fatal(&mut out, &refusal);
            let _ = tokio::time::timeout(HANDSHAKE, async {
                let _ = stream.write_all(&out).await;
                let _ = stream.shutdown().await;
            })
            .await;
        }
        Ok(begun) => {
            let key = own_key(service, &begun);
            let mut out = BytesMut::new();
            if welcome(&mut out, &params, minor, &begun, &key).is_ok() && stream.write_all(&out).await.is_ok() {
                converse(stream, input, begun, drain).await;
            }
            service.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

/// Reads up to the startup message; None where the client wanted something else and got it.
async fn first(service: &Service, mut stream: Stream) -> std::io::Result<Option<Client>> {
    let mut input = BytesMut::with_capacity(1024);
    let (mut secure, mut uris) = (false, None);
    loop {
        let message = match read_first(&mut input) {
            Ok(message) => message,
            Err(error) => {
                let mut out = BytesMut::new();
                errors::fatal(&mut out, &errors::unreadable(&error));
                stream.write_all(&out).await?;
                return Ok(None);
            }
        };
        match message {
            None => {
                if stream.read_buf(&mut input).await? == 0 {
                    return Ok(None);
                }
            }
            Some(First::Gss) => stream.write_all(b"N").await?,
            Some(First::Ssl) => match (&service.tls, secure) {
                (Some(tls), false) => {
                    // Nothing may be buffered here: `read_first` refuses bytes behind the request.
                    stream.write_all(b"S").await?;
                    let accepted = tls.accept(stream).await?;
                    uris = accepted.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| uri_names(c).unwrap_or_default());
                    stream = Box::new(accepted);
                    secure = true;
                }
                _ => stream.write_all(b"N").await?,
            },
            Some(First::Cancel { pid, key }) => {
                cancel(service, &(pid, key)).await;
                return Ok(None);
            }
            Some(First::Startup { params, minor }) => {
                if !secure && service.config.tls.as_ref().is_some_and(|t| t.require) {
                    let mut out = BytesMut::new();
                    errors::fatal(&mut out, &Refusal::with_state("28000", "this port takes TLS connections only"));
                    stream.write_all(&out).await?;
                    return Ok(None);
                }
                return Ok(Some(Client { stream, input, params, minor, uris }));
            }
        }
    }
}

/// A client that is let in.
struct Begun {
    meter: Meter,
    upstream: Connection,
    session: Session<crate::sql::Judge>,
    ground: Arc<Ground>,
    /// Of the ground when the session took its judge.
    generation: u64,
}

/// Identity, limits, upstream. Errors: the refusal and its name in the metrics.
async fn begin(
    service: &Service,
    peer: Option<IpAddr>,
    params: &[(String, String)],
    uris: Option<Vec<String>>,
    connection: u64,
) -> Result<Begun, (Refusal, &'static str)> {
    let principal = service.identify(peer, params, uris).map_err(|e| (Refusal::with_state("28000", e.to_string()), "no_identity"))?;
    let identity = service.startup_parameter();
    let mut settings = parameters::upstream_parameters(params, identity.as_deref()).map_err(|r| (r, "parameters"))?;
    let judge = service.shared.judge.load_full();
    if judge.policy().postgres.as_ref().is_some_and(|p| p.backstop == Backstop::Rls) {
        settings.retain(|(name, _)| !name.eq_ignore_ascii_case(SETTING));
        settings.push((SETTING.to_owned(), principal.tenant.as_str().to_owned()));
    }
    let limit = judge.policy().limits.of(&principal.tenant).connections;
    let tenant = principal.tenant.as_str();
    let who = Who { listener: &service.config.name, tenant, connection };
    let ground = ground(service, &principal.tenant, connection).await?;
    let meter = Meter::open(&service.metrics, who, limit, ground.stale.clone())
        .ok_or_else(|| (Refusal::with_state("53300", "too many connections for this tenant"), "limit"))?;
    if ground.home != Home::Rows {
        settings.retain(|(name, _)| !name.eq_ignore_ascii_case(SETTING));
    }
    if let Some(own) = ground.home.schema() {
        settings.retain(|(name, _)| !name.eq_ignore_ascii_case("search_path"));
        settings.push(("search_path".to_owned(), quote_name(own)));
    }
    let connected = tokio::time::timeout(HANDSHAKE, ground.target.connect(&settings)).await;
    let upstream = match connected {
        Ok(Ok(upstream)) => upstream,
        Ok(Err(error)) => {
            tracing::warn!(listener = service.config.name, tenant, connection, %error, "upstream refused");
            // A wrong setting is the client's business; all else is the operator's.
            let refusal = match error {
                ConnectError::Server(state, message) if state == "22023" => Refusal::with_state("22023", message),
                ConnectError::Server(state, _) if state == "53300" => Refusal::with_state("53300", "sorry, too many clients already"),
                _ => Refusal::with_state("08006", "the database is not available"),
            };
            return Err((refusal, "upstream"));
        }
        Err(_) => return Err((Refusal::with_state("08006", "the database does not answer"), "upstream")),
    };
    meter.begun(&principal.source);
    let generation = ground.generation.load(Ordering::Acquire);
    let session = Session::new((*ground.judge.load_full()).clone(), principal.tenant);
    Ok(Begun { meter, upstream, session, ground, generation })
}

/// Where the tenant's tables are. Errors: as [`begin`].
async fn ground(service: &Service, tenant: &TenantId, connection: u64) -> Result<Arc<Ground>, (Refusal, &'static str)> {
    let found = tokio::time::timeout(HANDSHAKE, service.homes.ground(&service.config, &service.shared, tenant)).await;
    let error = match found {
        Ok(Ok(ground)) => return Ok(ground),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    // What is wrong there is the operator's to know, by name; the tenant learns that there is something.
    tracing::warn!(listener = service.config.name, tenant = tenant.as_str(), connection, error, "the tenant's place is not available");
    Err((Refusal::with_state("08006", "the database of this tenant is not available"), "upstream"))
}

/// A cancel key of the wall's own: the upstream's never reaches a client.
fn own_key(service: &Service, begun: &Begun) -> (u32, Vec<u8>) {
    let upstream = &begun.upstream;
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let process = NEXT.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff;
    // RandomState is keyed by the system's randomness and hashes by SipHash: who does not know the key cannot guess the value.
    let secret = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), (process, &upstream.key.1)) as u32;
    let key = (process, secret.to_be_bytes().to_vec());
    service.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), (begun.ground.clone(), upstream.key.clone()));
    key
}

async fn cancel(service: &Service, key: &(u32, Vec<u8>)) {
    let upstream = service.keys.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
    if let Some((ground, upstream)) = upstream
        && let Err(error) = ground.target.cancel(&upstream).await
    {
        tracing::warn!(listener = service.config.name, %error, "cancel failed");
    }
}

fn welcome(
    out: &mut BytesMut,
    params: &[(String, String)],
    minor: u16,
    begun: &Begun,
    key: &(u32, Vec<u8>),
) -> Result<(), crate::postgres::wire::WireError> {
    if wants_negotiation(params, minor) {
        negotiate(out, params)?;
    }
    encode::authentication_ok(out);
    for (name, value) in &begun.upstream.parameters {
        encode::parameter_status(out, name, own_schema::status(begun.ground.home.schema(), name, value))?;
    }
    let secret = key.1.first_chunk::<4>().map_or(0, |s| u32::from_be_bytes(*s));
    encode::backend_key(out, key.0, secret);
    encode::ready(out, b'I');
    Ok(())
}

async fn converse(stream: Stream, input: BytesMut, begun: Begun, drain: Drain) {
    let Begun { meter, upstream, session, ground, mut generation } = begun;
    let refresh = |session: &mut Session<crate::sql::Judge>| {
        let now = ground.generation.load(Ordering::Acquire);
        if now != generation {
            generation = now;
            session.set_judge((*ground.judge.load_full()).clone());
        }
    };
    let end = relay::pump(stream, upstream.stream, session, (input, upstream.input), drain, refresh, &meter).await;
    meter.ended(&end);
}
