//! A Redis client from its first byte to the relay.

use super::attempts;
use super::door::Door;
use super::redis_again;
use super::redis_operator::{self, Acting, Caller};
use super::{HANDSHAKE, Rest, Serve};
use crate::config::Source;
use crate::identity::{Evidence, IdentityError, Principal, Shown, hears_tokens};
use crate::observe::{Meter, Metrics, Who};
use crate::policy::{Granted, Peer, Policy, Role, TenantId};
use crate::redis::commands::Lacks;
use crate::redis::line::Line;
use crate::redis::stranger::{Credentials, Renews, Said, Stranger, WRONGPASS};
use crate::redis::tenant::{End, Number, Tenant};
use crate::redis::wire::Request;
use crate::redis::{Names, Session, Setup, encode};
use crate::relay::{self, Drain};
use crate::upstream::Stream;
use crate::upstream::redis::{Backstop, ConnectError, Connection, Keeper, Lease, Multiplex, Routed, Target, Whose};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a Redis listener needs to serve.
pub struct Service {
    /// What its connections come through, and its configuration.
    pub door: Door,
    /// Replaced by a reload.
    pub policy: ArcSwap<Policy>,
    /// Grows with each reload, so that a session sees cheaply that there is another policy.
    pub generation: AtomicU64,
    /// Where it leads.
    pub target: Target,
    /// Where clients share connections.
    pub multiplex: Option<Arc<Multiplex>>,
    /// Of the process.
    pub metrics: Arc<Metrics>,
    /// Of the process: hides cursors.
    pub secret: u64,
    /// The server's, as it was at the start.
    pub version: String,
    /// Commands that it does not have.
    pub lacks: Arc<Lacks>,
    /// It looks over what RESTORE gives it.
    pub sanitizes: bool,
    /// The users that tenants are there, where the policy wants them.
    pub backstop: Arc<Backstop>,
    /// By tenant.
    pub tenants: Mutex<HashMap<TenantId, Arc<Tenant>>>,
}

/// A client's way upstream.
struct Way {
    stream: Stream,
    /// What came past its opening.
    input: BytesMut,
    /// The server's number of it.
    upstream: Number,
    /// What the session chooses its connection by, where they are shared.
    line: Option<Arc<Line>>,
    /// How CLIENT KILL ends it then.
    end: Option<Arc<dyn End>>,
    /// Whom it is there, where each tenant has a user.
    lease: Option<Lease>,
}

/// A client's connection upstream, what came past its opening, and whom it is there.
pub(super) type Upstream = (Stream, BytesMut, Option<Lease>);

/// A refusal in the server's words, and its name in the metrics.
pub(super) type Refused = (String, &'static str);

impl Serve for Service {
    fn door(&self) -> &Door {
        &self.door
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    async fn serve(self: Arc<Self>, stream: Stream, mut shown: Shown, drain: Drain) -> Option<Rest> {
        let address = match (shown.peer, shown.port) {
            (Peer::Ip(ip), port) => SocketAddr::new(ip, port).to_string(),
            _ => String::new(),
        };
        let heard = Box::pin(tokio::time::timeout(HANDSHAKE, self.greet(stream, &mut shown))).await;
        let (mut stream, mut input, greeted) = match heard.unwrap_or_else(|_| Err(std::io::Error::other("it takes too long"))) {
            Ok(Some(greeted)) => greeted,
            other => {
                self.metrics.connection(&self.door.config.name, "handshake");
                if let Err(error) = other {
                    tracing::info!(listener = self.door.config.name, %error, "connection refused");
                }
                return None;
            }
        };
        let connection = self.metrics.connection_id();
        let (principal, hello) = match greeted {
            Ok((Entrant::Tenant(principal), hello)) => (principal, hello),
            Ok((Entrant::Operator(acting), hello)) => {
                let caller = Caller { stream, input, hello, shown: &shown, address, connection };
                Box::pin(redis_operator::serve(&self, caller, acting, drain)).await;
                return None;
            }
            Err((words, outcome)) => {
                refuse(&self, &mut stream, connection, &words, outcome).await;
                return None;
            }
        };
        input = prepend(hello.map(|hello| hello.encoded()), input);
        let (drain, again) = redis_again::offered(&self, &principal, &shown, drain);
        let drain = self.door.watch(drain, &shown, &self.policy.load());
        match Box::pin(self.begin(&principal, connection, (address, again))).await {
            Ok((meter, upstream, session)) => {
                Some(Box::pin(self.converse((stream, input), upstream, (session, principal.role), drain, meter)))
            }
            Err((words, outcome)) => {
                refuse(&self, &mut stream, connection, &words, outcome).await;
                None
            }
        }
    }
}

/// Last words to a client that is not let in.
pub(super) async fn refuse(service: &Service, stream: &mut Stream, connection: u64, words: &str, outcome: &'static str) {
    service.metrics.connection(&service.door.config.name, outcome);
    tracing::info!(listener = service.door.config.name, connection, outcome, reason = words, "connection refused");
    let mut out = BytesMut::new();
    encode::error(&mut out, words.as_bytes());
    let _ = Box::pin(tokio::time::timeout(HANDSHAKE, async {
        let _ = stream.write_all(&out).await;
        let _ = stream.shutdown().await;
    }))
    .await;
}

/// Who is let in.
enum Entrant {
    Tenant(Principal),
    Operator(Acting),
}

/// Who it is, and what HELLO it said it with; or why it is nobody.
type Greeted = Result<(Entrant, Option<Request>), Refused>;

impl Service {
    /// TLS and identity. None where the client went away.
    async fn greet(self: &Arc<Self>, mut stream: Stream, shown: &mut Shown) -> std::io::Result<Option<(Stream, BytesMut, Greeted)>> {
        // Within a tunnel TLS is the tunnel's.
        if self.door.speaks_tls() && !self.door.config.tunnel {
            stream = Box::new(self.door.secure(stream, shown).await?);
        }
        let mut input = BytesMut::with_capacity(1024);
        let operator = redis_operator::principal(self, shown);
        if operator.is_none() {
            match self.identify(shown, None) {
                Ok(principal) => return Ok(Some((stream, input, Ok((Entrant::Tenant(principal), None))))),
                Err(IdentityError::Absent) if self.asks() => {}
                Err(error) => {
                    let refused = (format!("NOAUTH {error}"), "no_identity");
                    return Ok(Some((stream, input, Err(refused))));
                }
            }
        }
        let (mut stranger, mut out, mut failures) = (Stranger::default(), BytesMut::new(), 0);
        loop {
            out.clear();
            let said = stranger.hear(&mut input, &mut out);
            match said {
                Ok(Said::Named(credentials, hello)) => match self.named(operator.as_deref(), shown, credentials).await {
                    Ok(entrant) => {
                        if hello.is_none() {
                            encode::simple(&mut out, "OK");
                            stream.write_all(&out).await?;
                        }
                        return Ok(Some((stream, input, Ok((entrant, hello)))));
                    }
                    Err((reason, words)) => {
                        tracing::info!(listener = self.door.config.name, reason, "AUTH refused");
                        encode::error(&mut out, words.as_bytes());
                        failures += 1;
                        tokio::time::sleep(attempts::pause(failures)).await;
                    }
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
                    return said.map(|_| None).map_err(|error| std::io::Error::other(error.to_string()));
                }
            }
            stream.write_all(&out).await?;
            if failures == attempts::FAILURES_MAX {
                let _ = stream.shutdown().await;
                return Err(std::io::Error::other("too many failed attempts"));
            }
        }
    }

    /// Who says so by AUTH. Errors: why it is nobody, for the log and for the client.
    async fn named(self: &Arc<Self>, operator: Option<&str>, shown: &Shown, said: Credentials) -> Result<Entrant, (String, String)> {
        if let Some(principal) = operator {
            let acting = redis_operator::acting(self, principal, shown, &said);
            return acting.map(Entrant::Operator).map_err(|why| (why.to_owned(), format!("NOAUTH {why}")));
        }
        // What takes a hash or a signature is not for the thread that serves others.
        let is_secret = self.door.users().is_some() || hears_tokens(&self.policy.load(), &self.door.config.identity);
        let identified = if is_secret {
            let (service, own) = (self.clone(), shown.clone());
            let user = said.user.clone();
            self.door.attempts.check((shown.peer, user.as_deref()), move || service.identify(&own, Some(&said))).await
        } else {
            self.identify(shown, Some(&said))
        };
        identified.map(Entrant::Tenant).map_err(|error| (error.to_string(), WRONGPASS.to_owned()))
    }

    /// May a client say by AUTH who it is?
    fn asks(&self) -> bool {
        let sources = &self.door.config.identity;
        sources.contains(&Source::Startup) || self.door.users().is_some() || hears_tokens(&self.policy.load(), sources)
    }

    pub(super) fn identify(&self, shown: &Shown, credentials: Option<&Credentials>) -> Result<Principal, IdentityError> {
        let policy = self.policy.load();
        let name = credentials.and_then(|c| c.user.clone());
        let startup: Vec<(String, String)> = match (&policy.identity.startup, name) {
            (Some(source), Some(name)) if source.user.is_some() => vec![("user".to_owned(), name)],
            (Some(source), Some(name)) => vec![(source.parameter.clone(), name)],
            _ => Vec::new(),
        };
        let Some(said) = credentials.filter(|_| shown.secret) else {
            return self.door.identify(&policy, &Evidence { shown, startup: &startup, token: None, user: None });
        };
        // A token is told by its form: elsewhere a password may go with the name.
        let sources = &self.door.config.identity;
        let others = sources.contains(&Source::Startup) || sources.contains(&Source::Password);
        let is_token = hears_tokens(&policy, sources) && (!others || said.has_token());
        let user = match self.door.users().filter(|_| !is_token) {
            Some(users) => {
                Some(users.check(said.user.as_deref().unwrap_or("default"), &said.password).map_err(|_| IdentityError::Password)?)
            }
            None => None,
        };
        let token = Some(said.password.as_str()).filter(|_| is_token);
        self.door.identify(&policy, &Evidence { shown, startup: &startup, token, user: user.as_ref() })
    }

    /// Limits, names, upstream. Errors: the refusal.
    pub(super) async fn begin(
        &self,
        principal: &Principal,
        connection: u64,
        (address, again): (String, Option<Renews>),
    ) -> Result<(Meter, Upstream, Box<Session>), Refused> {
        let policy = self.policy.load_full();
        let tenant = &principal.tenant;
        let names =
            names(&policy, tenant, &principal.role).ok_or_else(|| ("NOAUTH the tenant identity is not valid".to_owned(), "no_identity"))?;
        let limit = policy.limits.of(tenant).connections;
        let who = Who { listener: &self.door.config.name, tenant: tenant.as_str(), connection };
        let meter = Meter::open(&self.metrics, who, limit, Arc::new(AtomicBool::new(false)))
            .ok_or_else(|| ("ERR max number of clients reached".to_owned(), "limit"))?;
        let peers = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant.clone()).or_default().clone();
        let id = peers.number();
        let way = self.way(id, tenant.as_str(), &peers, &names).await?;
        let setup = Setup {
            names,
            tenant: tenant.as_str().to_owned(),
            id,
            version: self.version.clone(),
            lacks: self.lacks.clone(),
            secret: self.secret,
            peers: peers.clone(),
            address,
            upstream: way.upstream,
            cluster: self.target.cluster().is_some(),
            sanitizes: self.sanitizes,
            test_passthrough: self.door.config.unsafe_test_passthrough,
            line: way.line,
            clock: || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64),
            switch: way.lease.as_ref().map(|lease| lease.users().switch()),
            again,
        };
        let session = Box::new(Session::new(setup));
        peers.update(id, |me| me.end = way.end);
        Ok((meter, (way.stream, way.input, way.lease), session))
    }

    /// A way upstream: a connection, or a lane over shared ones. Errors: the refusal.
    async fn way(&self, id: u64, name: &str, tenant: &Arc<Tenant>, names: &Names) -> Result<Way, Refused> {
        if let Some(cluster) = self.target.cluster() {
            // The configuration is checked for it.
            let slot = names.slot().ok_or_else(|| ("NOAUTH the tenant has no slot".to_owned(), "no_identity"))?;
            let whose = Whose { id, tenant: tenant.clone(), prefix: names.prefix().clone(), slot };
            let line = self.multiplex.as_ref().map(|_| Arc::<Line>::default());
            let lanes = self.multiplex.clone().zip(line.clone());
            let open = Routed::open(self.target.clone(), cluster.clone(), whose, lanes);
            let (routed, end) = self.opened(tokio::time::timeout(HANDSHAKE, open).await)?;
            return Ok(Way {
                stream: Box::new(routed),
                input: BytesMut::new(),
                upstream: Number::default(),
                line,
                end: Some(end),
                lease: None,
            });
        }
        let lease = names.has_backstop().then(|| self.backstop.lease(name, names));
        let users = lease.as_ref().map(|lease| lease.users().clone());
        if let Some(multiplex) = &self.multiplex {
            let lane = multiplex.lane(id, tenant, users);
            let (line, end) = (Some(lane.line()), Some(lane.end()));
            return Ok(Way { stream: Box::new(lane), input: BytesMut::new(), upstream: Number::default(), line, end, lease });
        }
        let own = self.opened(tokio::time::timeout(HANDSHAKE, self.target.open_own(encode::Resp::Two, users.as_deref())).await)?;
        Ok(Way { stream: own.stream, input: own.input, upstream: own.number, line: None, end: None, lease })
    }

    /// What was opened. Errors: the refusal.
    fn opened<T>(&self, opened: Result<Result<T, ConnectError>, tokio::time::error::Elapsed>) -> Result<T, Refused> {
        match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => {
                tracing::warn!(listener = self.door.config.name, %error, "upstream refused");
                Err(("ERR the server is not available".to_owned(), "upstream"))
            }
            Err(_) => Err(("ERR the server does not answer".to_owned(), "upstream")),
        }
    }

    pub(super) async fn converse(
        self: Arc<Self>,
        (stream, input): (Stream, BytesMut),
        // The lease ends with the session.
        (upstream, from_upstream, _lease): Upstream,
        (session, role): (Box<Session>, Role),
        drain: Drain,
        meter: Meter,
    ) {
        let refresh = self.renewal(role);
        let end = relay::pump(stream, upstream, super::unboxed(session), (input, from_upstream), drain, refresh, &meter).await;
        tracing::debug!(listener = self.door.config.name, ?end, "connection ended");
    }

    /// Gives a session the names of the policy as it is now, where that is another.
    pub(super) fn renewal(&self, role: Role) -> impl FnMut(&mut Session) {
        // At first it may be another already: a reload does not wait for those who are coming in.
        let mut generation = u64::MAX;
        move |session| {
            let now = self.generation.load(Ordering::Acquire);
            if generation != now {
                generation = now;
                let policy = self.policy.load();
                let tenant = policy.tenants.accept(session.tenant());
                session.renew(tenant.and_then(|tenant| names(&policy, &tenant, &role)));
            }
        }
    }
}

/// How often the server is asked whether a script keeps it busy.
const WATCH: Duration = Duration::from_secs(1);

/// Ends scripts that the server calls busy (`busy-reply-threshold`): all tenants wait for them, and the one who runs it may not end it itself. One that
/// has written cannot be ended.
pub async fn watch(service: Arc<Service>, mut drain: Drain) {
    let mut open = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            // Whoever waits for the end does not wait for this.
            () = relay::stopping(&mut drain) => return,
        }
        let servers = tokio::time::timeout(HANDSHAKE, service.target.servers()).await;
        let Ok(Ok(servers)) = servers else { continue };
        let mut kept = HashMap::new();
        for server in servers {
            let connection = open.remove(server.address());
            if let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE, relieve(&service, &server, connection)).await {
                kept.insert(server.address().to_owned(), connection);
            }
        }
        open = kept;
    }
}

/// Ends what keeps one server busy.
async fn relieve(service: &Service, server: &Target, connection: Option<Connection>) -> Result<Connection, ConnectError> {
    let mut open = match connection {
        Some(open) => open,
        None => server.connect().await?,
    };
    if open.is_busy().await? {
        // Which of the two it is the server knows.
        let ended = open.ask(&["SCRIPT", "KILL"]).await.is_ok() || open.ask(&["FUNCTION", "KILL"]).await.is_ok();
        tracing::warn!(listener = service.door.config.name, ended, "a script kept the server busy");
    }
    Ok(open)
}

/// What keeps the users of the server gets until the end of the last session, and then this long to remove them.
const REMOVAL: Duration = Duration::from_secs(3);

/// Removes users of the server whose tenants are away, and at the end all.
pub async fn keep(service: Arc<Service>, mut keeper: Keeper, mut drain: Drain) {
    let wanted = || service.policy.load().redis.as_ref().is_some_and(|policy| policy.backstop);
    loop {
        tokio::select! {
            () = tokio::time::sleep(service.backstop.pace()) => {}
            () = relay::stopping(&mut drain) => break,
        }
        if !wanted() && service.backstop.leases() == 0 {
            continue;
        }
        let leave = |gone: &[_]| {
            if let Some(multiplex) = &service.multiplex {
                multiplex.leave(gone);
            }
        };
        match tokio::time::timeout(HANDSHAKE, keeper.tick(leave)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(listener = service.door.config.name, %error, "users of the server are not looked after"),
            Err(_) => tracing::warn!(listener = service.door.config.name, "users of the server are not looked after: it does not answer"),
        }
    }
    while service.backstop.leases() > 0 && *drain.borrow() < relay::NOW {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if keeper.has_begun() {
        let _ = tokio::time::timeout(REMOVAL, keeper.end()).await;
    }
}

/// None where the policy does not have the tenant so that it can be served, or the role has nothing.
fn names(policy: &Policy, tenant: &TenantId, role: &Role) -> Option<Names> {
    let granted = policy.granted(role);
    let names = Names::new(policy.redis.as_ref()?, tenant)?;
    (!matches!(granted, Granted::Nothing)).then(|| names.with_role(&granted))
}

pub(super) fn prepend(first: Option<BytesMut>, rest: BytesMut) -> BytesMut {
    match first {
        None => rest,
        Some(mut all) => {
            all.extend_from_slice(&rest);
            all
        }
    }
}
