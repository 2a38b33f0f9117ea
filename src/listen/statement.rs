//! A client that says before each statement whose it is: one session a tenant, each with a connection of its own upstream, and one of them in
//! charge. Whose a message is, and when another session may take its place, says `postgres::routing`.

use super::postgres::{self, Begun, Client, Refused};
use super::{HANDSHAKE, Service, door};
use crate::config::Source;
use crate::identity::{Principal, Shown, chooses};
use crate::policy::{Comments, Role, TenantId, TenantPattern};
use crate::postgres::errors;
use crate::postgres::routing::{Next, Router, Rules};
use crate::relay::{self, Drain};
use crate::session::Close;
use crate::sql::Refusal;
use crate::upstream::Stream;
use crate::upstream::login::For;
use bytes::BytesMut;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes between the router and a session that neither has taken.
const PIPE_BYTES: usize = 64 << 10;
/// While this much waits for one side, nothing more is read that could add to it.
const WAITING_BYTES: usize = 256 << 10;
/// For sessions to say goodbye upstream.
const GOODBYE: Duration = Duration::from_secs(5);
const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];

/// A tenant's session.
struct Branch {
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    /// What a cancel key stands for while it is in charge.
    key: super::cancel::Means,
    /// What it said and nobody has read.
    input: BytesMut,
    /// Grows with each time it is put in charge.
    used: u64,
    /// It has what its client would miss: settings, temporary tables, locks.
    leaves: Arc<AtomicBool>,
}

impl Branch {
    fn would_be_missed(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }
}

/// All of one client's.
struct Hub<'s> {
    service: &'s Arc<Service>,
    shown: Shown,
    params: Vec<(String, String)>,
    own: Option<Principal>,
    connection: u64,
    drain: Drain,
    router: Router,
    /// Those that are not in charge.
    idle: HashMap<TenantId, Branch>,
    current: Option<(TenantId, Branch)>,
    tasks: JoinSet<()>,
    /// Tells the sessions that the policy may be another.
    nudge: watch::Sender<u8>,
    /// The policy that the router has its rules from.
    version: u64,
    /// The client's cancel key.
    key: super::cancel::Key,
    turns: u64,
    most: usize,
}

/// Serves such a client to its end.
pub(super) async fn serve(service: &Arc<Service>, client: Client, own: Option<Principal>, connection: u64, drain: Drain) {
    let told = match greeting(service, &client.params, connection).await {
        Ok(told) => told,
        Err((refusal, outcome)) => return postgres::refuse(service, client, connection, &refusal, outcome).await,
    };
    let Some((rules, most)) = rules(service, &client.shown, own.as_ref()) else {
        let refusal = Refusal::with_state("28000", "no tenant identity was given");
        return postgres::refuse(service, client, connection, &refusal, "no_identity").await;
    };
    let Client { mut stream, input, params, minor, shown } = client;
    let Ok(key) = service.keys.issue() else { return };
    let mut out = BytesMut::new();
    if postgres::welcome(&mut out, (&params, minor), &told, &key).is_err() || stream.write_all(&out).await.is_err() {
        return service.keys.remove(&key);
    }
    service.metrics.connection(&service.door.config.name, "chooses");
    tracing::info!(listener = service.door.config.name, connection, "connected; each statement says whose it is");
    let drain = door::until(drain, own.as_ref().and_then(|own| own.until));
    let router = Router::new(rules, &told);
    let (idle, current, tasks) = (HashMap::new(), None, JoinSet::new());
    // At first it may be another already.
    let (nudge, version) = (watch::Sender::new(0), 0);
    let mut hub = Hub { service, shown, params, own, connection, drain, router, idle, current, tasks, nudge, version, key, turns: 0, most };
    let end = hub.run(stream, input).await;
    tracing::info!(listener = service.door.config.name, connection, ?end, "connection ended");
    service.keys.remove(&hub.key);
    hub.clear().await;
    let _ = tokio::time::timeout(GOODBYE, async { while hub.tasks.join_next().await.is_some() {} }).await;
}

/// What the server says of itself to a session that has no tenant yet.
async fn greeting(service: &Service, params: &[(String, String)], connection: u64) -> Result<Vec<(String, String)>, Refused> {
    let settings = postgres::settings(service, params)?.settings;
    let mut upstream = postgres::connect(service, &service.shared, &settings, (For::Wall, connection)).await?;
    let _ = upstream.stream.write_all(TERMINATE).await;
    Ok(upstream.parameters)
}

/// By the policy as it is now. None where it has no such source any more, or does not trust this client.
fn rules(service: &Service, shown: &Shown, own: Option<&Principal>) -> Option<(Rules, usize)> {
    let judge = service.shared.judge.load();
    let policy = judge.policy();
    if !chooses(policy, &service.door.config.identity, shown) {
        return None;
    }
    let source = policy.identity.statement.as_ref()?;
    let keep = policy.postgres.as_ref().is_some_and(|p| p.comments == Comments::Keep);
    let tenant = own.map(|own| own.tenant.clone());
    let (otherwise, only) = if source.own { (tenant, None) } else { (None, tenant) };
    let (tenants, keys, signed) = (policy.tenants.clone(), service.door.signers(policy), source.signed);
    Some((Rules { tenants, otherwise, only, keys, signed, keep }, source.sessions))
}

/// What has happened.
enum Event {
    Client(std::io::Result<usize>),
    ToClient(std::io::Result<usize>),
    Session(std::io::Result<usize>),
    ToSession(std::io::Result<usize>),
    Drain,
}

impl Hub<'_> {
    /// Moves bytes until it is over; says why.
    async fn run(&mut self, stream: Stream, mut input: BytesMut) -> &'static str {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (mut unflushed, mut ended) = (false, false);
        let mut watched = true;
        loop {
            let (stop, again) = {
                let now = self.drain.borrow_and_update();
                (*now, now.has_changed())
            };
            // What has come is judged by the policy as it is now.
            if !self.renewed(again) {
                self.router.farewell(&errors::sent_away());
                break self.finish(&mut writer, "revoked").await;
            }
            let next = match self.turn(&mut input).await {
                Ok(next) => next,
                Err(end) => break self.finish(&mut writer, end).await,
            };
            if ended && next == Next::Read {
                if !self.router.owes() {
                    break self.finish(&mut writer, "client gone").await;
                }
                self.hang_up().await;
            }
            if stop == relay::NOW || (stop >= relay::DRAINS && self.router.at_rest() && self.router.to_client.is_empty()) {
                self.router.farewell(&errors::sent_away());
                break self.finish(&mut writer, "drained").await;
            }
            let (to_client, to_session) = (self.router.to_client.len(), self.router.to_session.len());
            let room = to_client < WAITING_BYTES && to_session < WAITING_BYTES;
            let (mut branch_reader, mut branch_writer, mut none) = (None, None, BytesMut::new());
            let mut branch_input = &mut none;
            if let Some((_, branch)) = &mut self.current {
                (branch_reader, branch_writer, branch_input) = (Some(&mut branch.reader), Some(&mut branch.writer), &mut branch.input);
            }
            let event = tokio::select! {
                read = reader.read_buf(&mut input), if room && !ended && !matches!(next, Next::Wait) => Event::Client(read),
                wrote = written(&mut writer, &mut self.router.to_client), if to_client > 0 || unflushed => Event::ToClient(wrote),
                read = heard(branch_reader, branch_input), if to_client < WAITING_BYTES => Event::Session(read),
                wrote = told(branch_writer, &mut self.router.to_session), if to_session > 0 => Event::ToSession(wrote),
                changed = self.drain.changed(), if watched => {
                    watched = changed.is_ok();
                    Event::Drain
                }
            };
            match event {
                Event::Client(Ok(1..)) | Event::Session(Ok(1..)) | Event::ToSession(Ok(_)) => {}
                Event::Drain => drop(self.renewed(true)),
                Event::Client(Ok(0)) => ended = true,
                Event::ToClient(Ok(wrote)) => unflushed = wrote > 0,
                Event::Client(_) | Event::ToClient(Err(_)) => break "client gone",
                Event::Session(_) | Event::ToSession(Err(_)) if !self.router.is_busy() => self.lost(),
                Event::Session(_) | Event::ToSession(Err(_)) => break self.finish(&mut writer, "session ended").await,
            }
        }
    }

    /// Takes the rules of the policy as it is now, and where it was `told` of one has the sessions look, too. False: it has no such source any more.
    fn renewed(&mut self, told: bool) -> bool {
        if told {
            self.nudge.send_modify(|_| {});
        }
        let now = self.service.shared.judge.load().policy().version;
        if now == self.version {
            return true;
        }
        let Some((rules, most)) = rules(self.service, &self.shown, self.own.as_ref()) else { return false };
        self.leave_out(&rules.tenants);
        self.router.set_rules(rules);
        (self.most, self.version) = (most, now);
        true
    }

    /// Lets the sessions of those go who are no tenants any more. One in the midst of something ends by itself, and the connection with it.
    fn leave_out(&mut self, tenants: &TenantPattern) {
        let is_out = |tenant: &TenantId| tenants.accept(tenant.as_str()).is_none();
        let out: Vec<TenantId> = self.idle.keys().filter(|tenant| is_out(tenant)).cloned().collect();
        for tenant in out {
            self.idle.remove(&tenant);
            self.router.gone(&tenant);
        }
        if !self.router.is_busy()
            && let Some((tenant, _)) = self.current.take_if(|(tenant, _)| is_out(tenant))
        {
            self.router.gone(&tenant);
        }
    }

    /// The session in charge hears that no more comes, once it has all that did: what its server waits for in vain is then over.
    async fn hang_up(&mut self) {
        if let Some((_, branch)) = self.current.as_mut().filter(|_| self.router.to_session.is_empty()) {
            let _ = branch.writer.shutdown().await;
        }
    }

    /// Takes in what has come from both sides. Errors: it is over, and why.
    async fn turn(&mut self, input: &mut BytesMut) -> Result<Next, &'static str> {
        if let Some((_, branch)) = &mut self.current {
            self.router.from_session(&mut branch.input).map_err(|_| "session broke")?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signers = self.service.door.signers(self.service.shared.judge.load().policy());
        self.router.renew(signers, now);
        loop {
            let next = self.router.from_client(input);
            self.log();
            match next {
                Err(Close::Bye) => return Err("bye"),
                Err(_) => return Err("client broke"),
                Ok(Next::Open(tenant)) => match self.open(&tenant).await {
                    Ok(()) => {}
                    Err((refusal, outcome)) => {
                        tracing::info!(listener = self.service.door.config.name, connection = self.connection, outcome, "no session");
                        self.router.failed(input, refusal);
                    }
                },
                Ok(Next::Clear) => self.clear().await,
                Ok(next @ (Next::Read | Next::Wait)) => return Ok(next),
            }
        }
    }

    fn log(&mut self) {
        for refusal in self.router.refused.drain(..) {
            let (listener, state) = (&self.service.door.config.name, refusal.sqlstate);
            tracing::info!(listener, connection = self.connection, state, reason = refusal.message, "statement refused");
        }
    }

    /// Puts this tenant's session in charge. Errors: it cannot be had.
    async fn open(&mut self, tenant: &TenantId) -> Result<(), Refused> {
        self.idle.extend(self.current.take());
        self.turns += 1;
        let (mut branch, fresh) = match self.idle.remove(tenant) {
            Some(branch) => (branch, None),
            None => {
                self.make_room().await;
                let (branch, told) = Box::pin(self.begin(tenant)).await?;
                (branch, Some(told))
            }
        };
        branch.used = self.turns;
        self.service.keys.point(&self.key, branch.key.clone());
        self.router.opened(tenant.clone(), fresh.as_deref());
        self.current = Some((tenant.clone(), branch));
        Ok(())
    }

    async fn begin(&mut self, tenant: &TenantId) -> Result<(Branch, Vec<(String, String)>), Refused> {
        let until = self.own.as_ref().and_then(|own| own.until);
        let role = self.own.as_ref().map_or(Role::Unsaid, |own| own.role.clone());
        let principal = Principal { tenant: tenant.clone(), role, source: Source::Statement, until };
        let mut begun: Box<Begun> = postgres::admit(self.service, &self.params, principal, self.connection).await?;
        let leaves = Arc::new(AtomicBool::new(false));
        begun.route(leaves.clone());
        let (key, told) = (begun.key(), begun.told());
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        // It ends with the client, or when it is told so: the drain is the client's.
        self.tasks.spawn(postgres::converse(Box::new(far), BytesMut::new(), begun, self.nudge.subscribe()));
        let (reader, writer) = tokio::io::split(near);
        Ok((Branch { reader, writer, key, input: BytesMut::new(), used: 0, leaves }, told))
    }

    /// Ends the session that was in charge longest ago, where there are as many as may be; those that nobody would miss first.
    async fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        while self.idle.len() >= self.most {
            let oldest = self.idle.iter().min_by_key(|(_, b)| (b.would_be_missed(), b.used)).map(|(t, _)| t.clone());
            let Some((tenant, branch)) = oldest.and_then(|t| self.idle.remove_entry(&t)) else { return };
            self.router.ended(&tenant, branch.would_be_missed());
            goodbye(branch).await;
        }
    }

    /// The session in charge has ended while it had nothing to do.
    fn lost(&mut self) {
        if let Some((tenant, branch)) = self.current.take() {
            self.router.ended(&tenant, branch.would_be_missed());
        }
    }

    /// Ends all sessions.
    async fn clear(&mut self) {
        self.idle.extend(self.current.take());
        for (tenant, branch) in std::mem::take(&mut self.idle) {
            self.router.gone(&tenant);
            goodbye(branch).await;
        }
        self.router.cleared();
    }

    /// Last words: bounded, for a client that does not read must not hold the connection.
    async fn finish(&mut self, writer: &mut WriteHalf<Stream>, end: &'static str) -> &'static str {
        if let ("session ended", Some((_, branch))) = (end, &mut self.current) {
            let _ = self.router.from_session(&mut branch.input);
        }
        let last = async {
            let _ = writer.write_all_buf(&mut self.router.to_client).await;
            let _ = writer.shutdown().await;
        };
        let _ = tokio::time::timeout(HANDSHAKE, last).await;
        end
    }
}

/// A session that is told to end: it says so upstream.
async fn goodbye(mut branch: Branch) {
    // It has nothing to do, so there is room for five bytes.
    let _ = tokio::time::timeout(GOODBYE, branch.writer.write_all(TERMINATE)).await;
}

/// Writes what there is, or sends on what was written; how much was.
async fn written(writer: &mut WriteHalf<Stream>, out: &mut BytesMut) -> std::io::Result<usize> {
    if out.is_empty() { writer.flush().await.map(|()| 0) } else { writer.write_buf(out).await }
}

async fn heard(reader: Option<&mut ReadHalf<DuplexStream>>, input: &mut BytesMut) -> std::io::Result<usize> {
    match reader {
        Some(reader) => reader.read_buf(input).await,
        None => std::future::pending().await,
    }
}

async fn told(writer: Option<&mut WriteHalf<DuplexStream>>, out: &mut BytesMut) -> std::io::Result<usize> {
    match writer {
        Some(writer) => writer.write_buf(out).await,
        None => std::future::pending().await,
    }
}
