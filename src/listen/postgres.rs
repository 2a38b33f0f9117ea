//! A PostgreSQL client from its first byte to the relay. Source: the manual's "Message Flow", section "Start-up".

use super::ground::Ground;
use super::prefixed::Prefixed;
use super::ways::{self, Way};
use super::{HANDSHAKE, Rest, Service, authenticate, cancel, door, operator, statement, tls};
use crate::identity::{IdentityError, Principal, Shown, chooses};
use crate::observe::{Audit, Meter, Who};
use crate::policy::{Backstop, Granted, Home, Policy, Role, TenantId};
use crate::postgres::audit::Audited;
use crate::postgres::parameters::{self, Startup};
use crate::postgres::startup::{First, negotiate, read_first, wants_negotiation};
use crate::postgres::{Session, encode, errors, own_schema};
use crate::relay::{self, Drain};
use crate::sql::catalogs::quote_name;
use crate::sql::live::backstop::SETTING;
use crate::sql::{Refusal, paths};
use crate::upstream::Stream;
use crate::upstream::login::For;
use crate::upstream::postgres::Connection;
use bytes::BytesMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A client that has said who it is.
pub(super) struct Client {
    pub(super) stream: Stream,
    pub(super) input: BytesMut,
    pub(super) params: Vec<(String, String)>,
    pub(super) minor: u16,
    pub(super) shown: Shown,
}

/// Serves one connection up to its conversation, or to its end.
pub async fn serve(service: &Arc<Service>, stream: Stream, shown: Shown, drain: Drain) -> Option<Rest> {
    let heard = Box::pin(tokio::time::timeout(HANDSHAKE, first(service, stream, shown))).await;
    let mut client = match heard.unwrap_or_else(|_| Err(std::io::Error::other("it takes too long"))) {
        Ok(Some(client)) => Box::new(client),
        other => {
            service.metrics.connection(&service.door.config.name, "handshake");
            if let Err(error) = other {
                tracing::info!(listener = service.door.config.name, %error, "connection refused");
            }
            return None;
        }
    };
    let drain = service.door.watch(drain, &client.shown, service.shared.judge.load().policy());
    let connection = service.metrics.connection_id();
    match Box::pin(begin(service, &mut client, connection)).await {
        Err((refusal, outcome)) => Box::pin(refuse(service, *client, connection, &refusal, outcome)).await,
        Ok(Begins::Operator(acting)) => Box::pin(operator::serve(service, *client, *acting, connection, drain)).await,
        Ok(Begins::Chooses(own)) => Box::pin(statement::serve(service, *client, own.map(|own| *own), connection, drain)).await,
        Ok(Begins::Session(begun)) => {
            let Client { mut stream, input, params, minor, .. } = *client;
            let Ok(key) = service.keys.issue() else { return None };
            service.keys.point(&key, begun.key());
            let told = begun.told();
            let mut out = BytesMut::new();
            let welcomed = welcome(&mut out, (&params, minor), &told, &key).is_ok() && stream.write_all(&out).await.is_ok();
            let service = service.clone();
            return Some(Box::pin(async move {
                if welcomed {
                    converse(stream, input, begun, drain).await;
                }
                service.keys.remove(&key);
            }));
        }
    }
    None
}

/// Last words to a client that is not let in.
pub(super) async fn refuse(service: &Service, mut client: Client, connection: u64, refusal: &Refusal, outcome: &'static str) {
    service.metrics.connection(&service.door.config.name, outcome);
    tracing::info!(listener = service.door.config.name, connection, outcome, reason = refusal.message, "connection refused");
    let mut out = BytesMut::new();
    errors::fatal(&mut out, refusal);
    let _ = tokio::time::timeout(HANDSHAKE, async {
        let _ = client.stream.write_all(&out).await;
        let _ = client.stream.shutdown().await;
    })
    .await;
}

/// Reads up to the startup message; None where the client wanted something else and got it.
async fn first(service: &Service, mut stream: Stream, mut shown: Shown) -> std::io::Result<Option<Client>> {
    let mut input = BytesMut::with_capacity(1024);
    // Within a tunnel TLS is the tunnel's.
    let door = &service.door;
    let offered = door.speaks_tls() && !door.config.tunnel;
    let mut secure = false;
    if offered {
        stream.read_buf(&mut input).await?;
        if input.first() == Some(&HANDSHAKE_RECORD) {
            let accepted = door.secure(Box::new(Prefixed { first: std::mem::take(&mut input), stream }), &mut shown).await?;
            if accepted.get_ref().1.alpn_protocol() != Some(tls::POSTGRESQL) {
                tracing::info!(listener = door.config.name, "direct TLS without ALPN refused");
                return Ok(None);
            }
            (stream, secure) = (Box::new(accepted), true);
        }
    }
    loop {
        let message = match read_first(&mut input) {
            Ok(message) => message,
            Err(error) => {
                let mut out = BytesMut::new();
                errors::fatal(&mut out, &errors::unreadable(&error));
                stream.write_all(&out).await?;
                return Err(std::io::Error::other(error.to_string()));
            }
        };
        match message {
            None => {
                if stream.read_buf(&mut input).await? == 0 {
                    return Ok(None);
                }
            }
            Some(First::Ssl) if offered && !secure => {
                // Nothing may be buffered here: `read_first` refuses bytes behind the request.
                stream.write_all(b"S").await?;
                (stream, secure) = (Box::new(door.secure(stream, &mut shown).await?), true);
            }
            Some(First::Gss | First::Ssl) => stream.write_all(b"N").await?,
            Some(First::Cancel { pid, key }) => {
                cancel::cancel(service, shown.peer, &(pid, key)).await;
                return Ok(None);
            }
            Some(First::Startup { params, minor }) => {
                if offered && !secure && door.config.tls.as_ref().is_some_and(|t| t.require) {
                    let mut out = BytesMut::new();
                    errors::fatal(&mut out, &Refusal::with_state("28000", "this port takes TLS connections only"));
                    stream.write_all(&out).await?;
                    return Err(std::io::Error::other("without TLS"));
                }
                return Ok(Some(Client { stream, input, params, minor, shown }));
            }
        }
    }
}

/// The first byte of a TLS connection (RFC 8446, 5.1), which is none of a startup message that is short enough.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What begins when a client is let in.
enum Begins {
    Session(Box<Begun>),
    /// Each statement says whose it is; perhaps another source has named a tenant.
    Chooses(Option<Box<Principal>>),
    /// An operator's.
    Operator(Box<operator::Acting>),
}

/// A client that is let in.
pub(super) struct Begun {
    meter: Meter,
    upstream: Way,
    session: Session<crate::sql::Judge>,
    ground: Arc<Ground>,
    /// Whose rights it has.
    role: Role,
    /// When the identity ends.
    until: Option<std::time::SystemTime>,
}

impl Begun {
    /// What a cancel key stands for.
    pub(super) fn key(&self) -> cancel::Means {
        (self.ground.clone(), self.upstream.whom())
    }

    /// A router stands before it, which learns whether its client would miss it.
    pub(super) fn route(&mut self, leaves: Arc<AtomicBool>) {
        self.session.route(leaves);
    }

    /// Has it no connection of its own?
    pub(super) fn is_lent(&self) -> bool {
        matches!(self.upstream, Way::Lent(..))
    }

    /// The parameters that the client is told.
    pub(super) fn told(&self) -> Vec<(String, String)> {
        let own = self.ground.home.schema();
        self.upstream.parameters().iter().map(|(n, v)| (n.clone(), own_schema::status(own, n, v).to_owned())).collect()
    }
}

/// Who it is, and what begins. Errors: as [`admit`].
async fn begin(service: &Arc<Service>, client: &mut Client, connection: u64) -> Result<Begins, Refused> {
    if let Some(acting) = operator::acting(service, client)? {
        return Ok(Begins::Operator(Box::new(acting)));
    }
    let principal = authenticate::identify(service, client).await.map_err(|refusal| (refusal, "no_identity"))?;
    match principal {
        Some(principal) if !chooses(service.shared.judge.load().policy(), &service.door.config.identity, &client.shown) => {
            admit(service, &client.params, principal, connection).await.map(Begins::Session)
        }
        own => Ok(Begins::Chooses(own.map(Box::new))),
    }
}

/// The refusal and its name in the metrics.
pub(super) type Refused = (Refusal, &'static str);

/// What goes upstream for these startup parameters. Errors: one that may not.
pub(super) fn settings(service: &Service, params: &[(String, String)]) -> Result<Startup, Refused> {
    let identity = service.startup_parameters();
    parameters::upstream_parameters(params, &identity).map_err(|r| (r, "parameters"))
}

/// Limits, upstream. Errors: the refusal and its name in the metrics.
pub(super) async fn admit(
    service: &Service,
    params: &[(String, String)],
    principal: Principal,
    connection: u64,
) -> Result<Box<Begun>, Refused> {
    let Startup { mut settings, search_path } = settings(service, params)?;
    let judge = service.shared.judge.load_full();
    if judge.policy().postgres.as_ref().is_some_and(|p| p.backstop == Backstop::Rls) {
        settings.retain(|(name, _)| !name.eq_ignore_ascii_case(SETTING));
        settings.push((SETTING.to_owned(), principal.tenant.as_str().to_owned()));
    }
    if !is_served(judge.policy(), &principal.tenant, &principal.role) {
        let known = judge.policy().tenants.accept(principal.tenant.as_str()).is_some();
        let error = if known { IdentityError::Role } else { IdentityError::Invalid };
        return Err((Refusal::with_state("28000", error.to_string()), "no_identity"));
    }
    let limit = judge.policy().limits.of(&principal.tenant).connections;
    let tenant = principal.tenant.as_str();
    let who = Who { listener: &service.door.config.name, tenant, connection };
    let ground = ground(service, &principal.tenant, connection).await?;
    let meter = Meter::open(&service.metrics, who, limit, ground.stale.clone())
        .ok_or_else(|| (Refusal::with_state("53300", "too many connections for this tenant"), "limit"))?;
    if ground.home != Home::Rows {
        settings.retain(|(name, _)| !name.eq_ignore_ascii_case(SETTING));
    }
    let own = ground.judge.load_full().for_role(&principal.role);
    own.catalog().settings.hold(&mut settings).map_err(|r| (r, "parameters"))?;
    let path =
        search_path.as_ref().map(|value| paths::meant(own.catalog(), paths::names(value))).transpose().map_err(|r| (r, "parameters"))?;
    settings.extend(ground.home.schema().map(quote_name).or(search_path).map(|path| ("search_path".to_owned(), path)));
    let upstream = ways::find(service, &ground, settings, (&principal.tenant, connection)).await?;
    meter.begun(&principal.source);
    let session = upstream.with(Session::new(own, principal.tenant).at(path));
    Ok(Box::new(Begun { meter, upstream, session, ground, role: principal.role, until: principal.until }))
}

/// A connection upstream. Errors: what of its error the client may know.
pub(super) async fn connect(
    service: &Service,
    ground: &Ground,
    settings: &[(String, String)],
    (whose, connection): (For<'_>, u64),
) -> Result<Connection, Refused> {
    match tokio::time::timeout(HANDSHAKE, ground.target.connect_as(whose, settings)).await {
        Ok(Ok(upstream)) => Ok(upstream),
        Ok(Err(error)) => {
            tracing::warn!(listener = service.door.config.name, ?whose, connection, %error, "upstream refused");
            Err((ways::known(&error), "upstream"))
        }
        Err(_) => Err((errors::silent_upstream(), "upstream")),
    }
}

/// Where the tenant's tables are. Errors: as [`admit`].
async fn ground(service: &Service, tenant: &TenantId, connection: u64) -> Result<Arc<Ground>, (Refusal, &'static str)> {
    let found =
        tokio::time::timeout(HANDSHAKE, service.homes.ground(&service.door.config, &service.shared, tenant, &service.metrics)).await;
    let error = match found {
        Ok(Ok(ground)) => return Ok(ground),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    // What is wrong there is the operator's to know, by name; the tenant learns that there is something.
    tracing::warn!(listener = service.door.config.name, tenant = tenant.as_str(), connection, error, "the tenant's place is not available");
    Err((Refusal::with_state("08006", "the database of this tenant is not available"), "upstream"))
}

pub(super) fn welcome(
    out: &mut BytesMut,
    (params, minor): (&[(String, String)], u16),
    told: &[(String, String)],
    key: &(u32, Vec<u8>),
) -> Result<(), crate::postgres::wire::WireError> {
    if wants_negotiation(params, minor) {
        negotiate(out, params)?;
    }
    encode::authentication_ok(out);
    for (name, value) in told {
        encode::parameter_status(out, name, value)?;
    }
    let secret = key.1.first_chunk::<4>().map_or(0, |s| u32::from_be_bytes(*s));
    encode::backend_key(out, key.0, secret);
    encode::ready(out, b'I');
    Ok(())
}

/// Gives a session the ground's judge when that is another than it had. At first it may be: a reload does not wait for those who are coming in.
fn renewal(ground: Arc<Ground>, role: Role) -> impl FnMut(&mut Session<crate::sql::Judge>) {
    let mut generation = u64::MAX;
    move |session| {
        let now = ground.generation.load(Ordering::Acquire);
        if generation != now {
            generation = now;
            let judge = ground.judge.load_full();
            if !is_served(judge.policy(), session.tenant(), &role) {
                session.revoke();
            }
            session.set_judge(judge.for_role(&role));
        }
    }
}

/// Does the policy have this tenant, and the role anything?
fn is_served(policy: &Policy, tenant: &TenantId, role: &Role) -> bool {
    policy.tenants.accept(tenant.as_str()).is_some() && !matches!(policy.granted(role), Granted::Nothing)
}

/// As [`converse`]; what is run is told.
pub(super) async fn converse_audited(stream: Stream, input: BytesMut, begun: Box<Begun>, audit: Audit, drain: Drain) {
    let Begun { mut meter, upstream, session, ground, role, .. } = super::unboxed(begun);
    meter.audit(audit);
    let mut renew = renewal(ground, role);
    let refresh = |session: &mut Audited<Session<crate::sql::Judge>>| renew(&mut session.inner);
    // Checked before it was let in.
    let Way::Own(upstream) = upstream else { return };
    let session = Audited::new(session);
    let end = Box::pin(relay::pump(stream, upstream.stream, session, (input, upstream.input), drain, refresh, &meter)).await;
    meter.ended(&end);
}

/// Serves a client that was let in to the end.
pub(super) async fn converse(stream: Stream, input: BytesMut, begun: Box<Begun>, drain: Drain) {
    let Begun { meter, upstream, session, ground, role, until } = super::unboxed(begun);
    let drain = door::until(drain, until);
    let refresh = renewal(ground, role);
    let end = match upstream {
        Way::Own(upstream) => {
            Box::pin(relay::pump(stream, upstream.stream, session, (input, upstream.input), drain, refresh, &meter)).await
        }
        Way::Lent(_, lender) => Box::pin(relay::pooled(stream, input, session, drain, refresh, &meter, lender)).await,
    };
    meter.ended(&end);
}
