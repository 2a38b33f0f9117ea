//! Connections that clients share. What one session has left is taken away before another gets its connection: what is nothing costs nothing,
//! what is little is cleaned, and what cannot be told closes the connection.
//!
//! A connection's way: [`Pool::lend`] finds or opens one ([`queue`] says whose turn it is) → [`clean`] makes it what the session must find →
//! the relay uses it → [`Loan::give_back`]; a loan that is dropped instead closes its connection.

mod cancel;
mod clean;
mod queue;

pub use cancel::{Backend, Holder};

use crate::config;
use crate::observe::PoolMeter;
use crate::policy::TenantId;
use crate::postgres::lent::{Lent, Settings};
use crate::upstream::Wire;
use crate::upstream::login::For;
use crate::upstream::postgres::{ConnectError, Connection, Target};
use bytes::BytesMut;
use queue::Queue;
use std::collections::HashMap;
use std::hash::RandomState;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// To connect, or to make a connection ready.
const PATIENCE: Duration = Duration::from_secs(10);
/// Startup settings whose effect is remembered.
const GREETINGS: usize = 1000;

const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];

/// Why a session gets no connection.
#[derive(Debug, thiserror::Error)]
pub enum NoLoan {
    /// All were in use for too long.
    #[error("all connections are in use")]
    Full,
    /// The server cannot be reached, or does not let in.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// It does not answer.
    #[error("it does not answer")]
    Silent,
}

/// What the server said of itself, and what a client's startup settings came to.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// ParameterStatus.
    pub parameters: Vec<(String, String)>,
    /// The settings that are not the server's own, as the server writes them.
    pub settings: Settings,
}

/// Who asks for a connection.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Its tenant.
    pub tenant: TenantId,
    /// Of the session.
    pub number: u64,
    /// What the connection's settings must be.
    pub settings: Settings,
}

/// Settings that a client begins with.
type Startup = Vec<(String, String)>;

/// Whose login a connection has; None for that which tenants without one of their own share.
type Login = Option<TenantId>;

/// The connections to one place. Where a tenant has a login of its own, no other gets its connections.
pub struct Pool {
    target: Target,
    /// Startup parameters of each connection.
    base: Vec<(String, String)>,
    /// As configured.
    pub config: config::Pool,
    /// By which settings and statements are told apart; its keys are random.
    pub hasher: RandomState,
    state: Mutex<State>,
    /// By what clients begin with.
    greetings: Mutex<HashMap<(Startup, Login), Arc<Greeting>>>,
    meter: PoolMeter,
    next: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The one that was used last is at the end.
    idle: Vec<Conn>,
    /// Idle, lent, and about to be opened.
    open: usize,
    held: HashMap<TenantId, usize>,
    waiting: Queue<TenantId, oneshot::Sender<Loan>>,
}

/// A connection with what belongs to it.
#[derive(Debug)]
struct Conn {
    connection: Connection,
    lent: Box<Lent>,
    /// What the server said when it began.
    parameters: Vec<(String, String)>,
    backend: Arc<Backend>,
    login: Login,
    /// Whose runtime watches it.
    thread: ThreadId,
    since: Instant,
}

/// A connection that a session has, or the right to open one.
pub struct Loan {
    /// None where it is not counted any more.
    pool: Option<Arc<Pool>>,
    tenant: TenantId,
    conn: Option<Conn>,
}

impl Pool {
    /// An empty one.
    pub fn new(target: Target, base: Vec<(String, String)>, config: config::Pool, meter: PoolMeter) -> Self {
        let (hasher, state, greetings, next) = (RandomState::new(), Mutex::default(), Mutex::default(), AtomicU64::new(1));
        Self { target, base, config, hasher, state, greetings, meter, next }
    }

    /// Does each connection begin with this setting? A client's own does not count.
    pub fn sets(&self, name: &str) -> bool {
        self.base.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// A number for a session.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a client is told that begins with these settings. Errors: also the server's, where it takes one of them for wrong.
    pub async fn greet(self: &Arc<Self>, tenant: &TenantId, startup: Vec<(String, String)>) -> Result<Arc<Greeting>, NoLoan> {
        let key = (startup, self.login(tenant));
        if let Some(known) = self.greetings.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let asker = Asker { tenant: tenant.clone(), number: self.number(), settings: Settings::default() };
        let mut loan = self.lend(&asker).await?;
        let asked = tokio::time::timeout(PATIENCE, loan.begin(&key.0)).await;
        let greeting = Arc::new(asked.map_err(|_| NoLoan::Silent)??);
        loan.give_back();
        let mut known = self.greetings.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= GREETINGS {
            known.clear();
        }
        known.insert(key, greeting.clone());
        Ok(greeting)
    }

    fn login(&self, tenant: &TenantId) -> Login {
        self.target.has_login(tenant.as_str()).then(|| tenant.clone())
    }

    /// A server that says something else of itself than it did greets anew.
    fn hears(&self, login: &Login, parameters: &[(String, String)]) {
        let mut known = self.greetings.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&(Vec::new(), login.clone())).is_some_and(|greeting| greeting.parameters != parameters) {
            known.clear();
        }
    }

    /// A connection that is what this session must find. Cancel-safe: dropped, it leaves the queue.
    pub async fn lend(self: &Arc<Self>, asker: &Asker) -> Result<Loan, NoLoan> {
        let began = Instant::now();
        let mut loan = match self.take(asker) {
            Ok(loan) => loan,
            Err(turn) => match tokio::time::timeout(self.config.wait, turn).await {
                Ok(Ok(loan)) => loan,
                _ => {
                    self.state().waiting.leave(&asker.tenant, oneshot::Sender::is_closed);
                    self.meter.timed_out();
                    self.gauge(&self.state());
                    return Err(NoLoan::Full);
                }
            },
        };
        // One that is of no use any more makes room for a new one.
        if loan.conn.is_some() && !(loan.is_sound() && loan.make_ready(asker).await) {
            loan.close();
        }
        if loan.conn.is_none() {
            loan.open().await?;
            if !loan.make_ready(asker).await {
                return Err(NoLoan::Silent);
            }
        }
        self.meter.lent(began.elapsed());
        Ok(loan)
    }

    /// A connection that is there and needs nothing to be done before this session gets it.
    pub fn try_lend(self: &Arc<Self>, asker: &Asker) -> Option<Loan> {
        let mut loan = {
            let mut state = self.state();
            if state.idle.is_empty() || !self.may(&state, &asker.tenant) {
                return None;
            }
            let at =
                state.best(asker, &self.login(&asker.tenant)).filter(|at| state.idle.get(*at).is_some_and(|conn| !conn.is_dirty(asker)))?;
            let conn = state.idle.remove(at);
            let loan = self.loan(&mut state, asker.tenant.clone(), Some(conn));
            self.gauge(&state);
            loan
        };
        if !loan.is_sound() {
            return None;
        }
        self.meter.lent(Duration::ZERO);
        Some(loan)
    }

    /// May this tenant have one more, if there is one?
    fn may(&self, state: &State, tenant: &TenantId) -> bool {
        state.held.get(tenant).copied().unwrap_or(0) < self.config.per_tenant && !state.waiting.has(tenant)
    }

    /// A connection, or the right to open one, or a place in the queue.
    fn take(self: &Arc<Self>, asker: &Asker) -> Result<Loan, oneshot::Receiver<Loan>> {
        let mut state = self.state();
        let tenant = &asker.tenant;
        if self.may(&state, tenant) && (!state.idle.is_empty() || state.open < self.config.size) {
            let login = self.login(tenant);
            let conn = state.best(asker, &login).map(|at| state.idle.remove(at));
            self.make_room(&mut state, &conn);
            let loan = self.loan(&mut state, tenant.clone(), conn);
            self.gauge(&state);
            return Ok(loan);
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push(tenant.clone(), sender);
        self.gauge(&state);
        Err(receiver)
    }

    /// Where there is no connection for whoever comes next, and none may be opened beside those that are there, the one that was used least lately goes: it
    /// has another's login.
    fn make_room(&self, state: &mut State, found: &Option<Conn>) {
        if found.is_none() && state.open >= self.config.size && !state.idle.is_empty() {
            let conn = state.idle.remove(0);
            state.open -= 1;
            conn.connection.stream.say(TERMINATE);
            self.meter.closed();
        }
    }

    fn loan(self: &Arc<Self>, state: &mut State, tenant: TenantId, conn: Option<Conn>) -> Loan {
        *state.held.entry(tenant.clone()).or_default() += 1;
        state.open += usize::from(conn.is_none());
        Loan { pool: Some(self.clone()), tenant, conn }
    }

    /// What is free goes to those who wait.
    fn hand_out(self: &Arc<Self>, state: &mut State) {
        while !state.idle.is_empty() || state.open < self.config.size {
            let (held, most) = (&state.held, self.config.per_tenant);
            let next = state.waiting.next(|tenant| held.get(tenant).copied().unwrap_or(0) < most);
            let Some((tenant, waiter)) = next else { break };
            if waiter.is_closed() {
                continue;
            }
            let login = self.login(&tenant);
            let conn = state.idle.iter().rposition(|conn| conn.login == login).map(|at| state.idle.remove(at));
            self.make_room(state, &conn);
            let loan = self.loan(state, tenant, conn);
            if let Err(mut loan) = waiter.send(loan) {
                // Taken apart here: its drop would want the lock that is held.
                loan.pool = None;
                let conn = loan.conn.take();
                state.returned(&loan.tenant, conn);
            }
        }
        self.gauge(state);
    }

    fn gauge(&self, state: &State) {
        self.meter.set(state.open - state.idle.len(), state.idle.len(), state.waiting.count());
    }

    /// Closes what nobody has used for long.
    pub fn prune(&self) {
        let mut state = self.state();
        let (kept, old): (Vec<_>, Vec<_>) = state.idle.drain(..).partition(|conn| conn.since.elapsed() < self.config.idle);
        state.idle = kept;
        state.open -= old.len();
        for conn in old {
            conn.connection.stream.say(TERMINATE);
            self.meter.closed();
        }
        self.gauge(&state);
    }
}

impl State {
    /// Of those with this login that are idle, the one that needs least; None where there is none.
    fn best(&self, asker: &Asker, login: &Login) -> Option<usize> {
        let thread = std::thread::current().id();
        let cost = |conn: &Conn| (conn.lent.last != asker.number, conn.is_dirty(asker), conn.thread != thread);
        let fit = self.idle.iter().enumerate().rev().filter(|(_, conn)| conn.login == *login);
        fit.min_by_key(|(_, conn)| cost(conn)).map(|(at, _)| at)
    }

    /// A loan is over; without its connection, that is closed.
    fn returned(&mut self, tenant: &TenantId, conn: Option<Conn>) {
        if let Some(held) = self.held.get_mut(tenant) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(tenant);
            }
        }
        match conn {
            Some(conn) => self.idle.push(conn),
            None => self.open -= 1,
        }
    }
}

impl Conn {
    /// Is there anything to be done before this session gets it?
    fn is_dirty(&self, asker: &Asker) -> bool {
        (self.lent.soiled && self.lent.last != asker.number) || self.lent.settings != asker.settings
    }
}

impl Loan {
    async fn open(&mut self) -> Result<(), NoLoan> {
        let Some(pool) = self.pool.clone() else { return Err(NoLoan::Silent) };
        let login = pool.login(&self.tenant);
        let connected = tokio::time::timeout(PATIENCE, pool.target.connect_as(For::Tenant(self.tenant.as_str()), &pool.base)).await;
        let connection = connected.map_err(|_| NoLoan::Silent)??;
        pool.meter.opened();
        let backend = Arc::new(Backend::new(connection.key.clone()));
        let (thread, parameters) = (std::thread::current().id(), connection.parameters.clone());
        pool.hears(&login, &parameters);
        self.conn = Some(Conn { connection, lent: Box::default(), parameters, backend, login, thread, since: Instant::now() });
        Ok(())
    }

    /// Closes the connection, and keeps the right to one.
    fn close(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        conn.connection.stream.say(TERMINATE);
        if let Some(pool) = &self.pool {
            pool.meter.closed();
        }
    }

    /// Is the connection alive? It is watched by this thread's runtime from now on.
    fn is_sound(&mut self) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        if !conn.connection.input.is_empty() || !conn.connection.stream.is_quiet() {
            return false;
        }
        let here = std::thread::current().id();
        if conn.thread == here {
            return true;
        }
        let Some(mut conn) = self.conn.take() else { return false };
        let Ok(stream) = conn.connection.stream.settle() else { return false };
        conn.connection = Connection { stream, ..conn.connection };
        conn.thread = here;
        self.conn = Some(conn);
        true
    }

    /// What goes with the connection, for the session.
    pub fn take_lent(&mut self) -> Option<Box<Lent>> {
        self.conn.as_mut().map(|conn| std::mem::take(&mut conn.lent))
    }

    /// The session is through with it.
    pub fn put_lent(&mut self, lent: Box<Lent>) {
        if let Some(conn) = &mut self.conn {
            conn.lent = lent;
        }
    }

    /// Who would be cancelled.
    pub fn backend(&self) -> Option<&Arc<Backend>> {
        self.conn.as_ref().map(|conn| &conn.backend)
    }

    /// Bytes that came behind what was read so far.
    pub fn take_input(&mut self) -> BytesMut {
        self.conn.as_mut().map(|conn| std::mem::take(&mut conn.connection.input)).unwrap_or_default()
    }

    /// For the next one. One that no other may have is closed.
    pub fn give_back(mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        if conn.lent.spent || !conn.connection.input.is_empty() {
            self.conn = Some(conn);
            return;
        }
        conn.since = Instant::now();
        let Some(pool) = self.pool.take() else { return };
        let mut state = pool.state();
        state.returned(&self.tenant, Some(conn));
        pool.hand_out(&mut state);
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.close();
        if let Some(pool) = self.pool.take() {
            let mut state = pool.state();
            state.returned(&self.tenant, None);
            pool.hand_out(&mut state);
        }
    }
}

impl Loan {
    fn stream(&mut self) -> std::io::Result<Pin<&mut Wire>> {
        match &mut self.conn {
            Some(conn) => Ok(Pin::new(&mut conn.connection.stream)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Loan {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Loan {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.get_mut().stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }
}
