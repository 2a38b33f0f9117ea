//! One client's way upstream where connections are shared: what the session writes goes over a shared connection or its own, as the session's
//! [`Line`] says, and what comes back is that client's alone. To the pump it is a socket.

use super::backstop::Users;
use super::inbox::Inbox;
use super::replicas::Replicas;
use super::shared::{Event, Queue, Shared, Tell};
use super::{ConnectError, Connection, Target};
use crate::redis::encode::Resp;
use crate::redis::line::{Line, Way};
use crate::redis::tenant::{Number, Tenant};
use bytes::Buf;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// From the first byte to a connection that serves, and for making one new.
const CONNECT: Duration = Duration::from_secs(5);
/// Connections of a thread that wait for another client of their tenant.
const IDLE_MAX: usize = 64;
/// For how long one waits.
const IDLE: Duration = Duration::from_secs(60);

/// The shared connections of an upstream, by thread: a client and what it shares live on the same one.
pub struct Multiplex {
    target: Target,
    /// Of each thread and protocol.
    connections: usize,
    sets: Mutex<HashMap<Place, Arc<Set>>>,
    tell: Tell,
}

/// A thread, and a node where there are several.
type Place = (ThreadId, Option<String>);

/// What the clients of one place share.
struct Set {
    target: Target,
    two: Vec<Arc<Shared>>,
    three: Vec<Arc<Shared>>,
    /// For reads that may be a little behind, in either protocol.
    reads: [Vec<Arc<Shared>>; 2],
    next: AtomicUsize,
    /// What all inboxes hold.
    unread: Arc<AtomicUsize>,
    /// Connections that are as new, each for clients of one tenant only: who ends or unblocks a client by its connection's number can meet no
    /// other tenant's.
    idle: Mutex<VecDeque<(Instant, Arc<Tenant>, Connection)>>,
    tell: Tell,
}

impl Multiplex {
    /// So many shared connections a thread and protocol, opened when they are needed.
    pub fn new(target: Target, connections: usize, tell: Tell) -> Self {
        Self { target, connections: connections.max(1), sets: Mutex::default(), tell }
    }

    /// A client's way. Called on the thread that will serve it.
    pub fn lane(&self, id: u64, tenant: &Arc<Tenant>, users: Option<Arc<Users>>) -> Lane {
        self.lane_in(None, Arc::default(), (id, tenant), users)
    }

    /// The same to one node of a cluster, of a client whose way `line` says.
    pub fn lane_to(&self, node: &str, line: Arc<Line>, id: u64, tenant: &Arc<Tenant>) -> Lane {
        self.lane_in(Some(node), line, (id, tenant), None)
    }

    fn lane_in(&self, node: Option<&str>, line: Arc<Line>, (id, tenant): (u64, &Arc<Tenant>), users: Option<Arc<Users>>) -> Lane {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let here = (std::thread::current().id(), node.map(str::to_owned));
        let set = sets.entry(here).or_insert_with(|| Arc::new(self.set(node))).clone();
        drop(sets);
        let inbox = Arc::new(Inbox::new(line.clone(), tenant.clone(), users, set.unread.clone()));
        let seat = set.next.fetch_add(1, Ordering::Relaxed) % self.connections;
        let numbered = node.is_none();
        Lane {
            line,
            inbox,
            set,
            seat,
            queue: None,
            goes: Way::Shared(Resp::Two),
            id,
            tenant: tenant.clone(),
            own: Own::None,
            turn: 0,
            numbered,
        }
    }

    /// Users of the server are about to be removed: no shared connection is one of them any more.
    pub fn leave(&self, gone: &[Arc<Users>]) {
        let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let all = sets.values().flat_map(|set| set.two.iter().chain(&set.three));
        all.for_each(|shared| shared.leave(gone));
    }

    fn set(&self, node: Option<&str>) -> Set {
        let target = node.map_or_else(|| self.target.clone(), |node| self.target.node(node));
        let all = |resp| (0..self.connections).map(|_| Shared::new(target.clone(), resp, self.tell.clone(), None)).collect();
        let replicas = Replicas::new(target.clone());
        let read = |resp| Shared::new(target.clone(), resp, self.tell.clone(), Some(replicas.clone()));
        let reads = [Resp::Two, Resp::Three].map(|resp| (0..self.connections).map(|_| read(resp)).collect());
        Set {
            two: all(Resp::Two),
            three: all(Resp::Three),
            reads,
            target,
            next: AtomicUsize::new(0),
            unread: Arc::default(),
            idle: Mutex::default(),
            tell: self.tell.clone(),
        }
    }
}

impl Set {
    /// A connection for one client, as new.
    async fn open(self: Arc<Self>, tenant: Arc<Tenant>, resp: Resp, users: Option<Arc<Users>>) -> Result<Connection, ConnectError> {
        let open = async {
            while let Some(mut idle) = self.take(&tenant) {
                // It may have ended meanwhile. And WAIT waits for what was written before the last command of its connection.
                if idle.ask(&["PING"]).await.is_ok_and(|said| said == "+PONG") && idle.input.is_empty() {
                    idle.become_own(resp, users.as_deref()).await?;
                    return Ok(idle);
                }
            }
            self.target.open_own(resp, users.as_deref()).await
        };
        tokio::time::timeout(CONNECT, open).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    fn take(&self, tenant: &Arc<Tenant>) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().rposition(|(_, whose, _)| Arc::ptr_eq(whose, tenant))?;
        idle.remove(at).map(|(_, _, connection)| connection)
    }

    /// A client has left its connection: made new, it waits for another of the same tenant.
    async fn leave(self: Arc<Self>, tenant: Arc<Tenant>, mut connection: Connection) {
        let renewed = tokio::time::timeout(CONNECT, self.target.renew(&mut connection)).await;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Ok(())) = renewed {
            idle.push_back((Instant::now(), tenant, connection));
        }
        while idle.len() > IDLE_MAX || idle.front().is_some_and(|(since, ..)| since.elapsed() > IDLE) {
            idle.pop_front();
        }
    }
}

/// The client's own connection.
enum Own {
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send>>),
    Open(Connection),
}

/// One client's way upstream.
pub struct Lane {
    line: Arc<Line>,
    inbox: Arc<Inbox>,
    set: Arc<Set>,
    /// Which of the shared connections is this client's, always the same.
    seat: usize,
    /// Where its last commands went, and by which way.
    queue: Option<Arc<Queue>>,
    goes: Way,
    id: u64,
    tenant: Arc<Tenant>,
    own: Own,
    /// Which turn of the line's it is of.
    turn: u8,
    /// Upstream's number of its own connection is worth knowing: there is one server only.
    numbered: bool,
}

impl Lane {
    /// What the session says its way by.
    pub fn line(&self) -> Arc<Line> {
        self.line.clone()
    }

    /// How CLIENT KILL ends the client.
    pub fn end(&self) -> Arc<dyn crate::redis::tenant::End> {
        self.inbox.clone()
    }

    /// The own connection, opened if need be.
    fn poll_own(&mut self, cx: &mut Context<'_>, resp: Resp) -> Poll<io::Result<&mut Connection>> {
        if let Own::None = self.own {
            self.turn = self.line.turn();
            if !self.inbox.is_empty() {
                return Poll::Ready(Err(io::Error::other("another way while replies are under way")));
            }
            self.own = Own::Opening(Box::pin(self.set.clone().open(self.tenant.clone(), resp, self.inbox.users.clone())));
        }
        if let Own::Opening(opening) = &mut self.own {
            let connection = ready!(opening.as_mut().poll(cx)).map_err(|error| {
                tracing::warn!(%error, "upstream refused a connection for one client");
                io::Error::other(error.to_string())
            })?;
            if self.numbered {
                self.tenant.update(self.id, |me| me.upstream = connection.number);
            }
            (self.set.tell)(Event::OwnTaken);
            self.own = Own::Open(connection);
        }
        match &mut self.own {
            Own::Open(connection) => Poll::Ready(Ok(connection)),
            _ => Poll::Pending,
        }
    }

    /// The same of one that the session has left and not come back to: it may speak another protocol than the next one must.
    fn leave_old(&mut self) {
        if self.turn != self.line.turn() {
            self.leave();
        }
    }

    /// Lets go of the own connection: the session says that it holds nothing of it any more.
    fn leave(&mut self) {
        if let Own::Open(connection) = std::mem::replace(&mut self.own, Own::None) {
            // Before it is anybody else's, nobody finds it under this client any more.
            self.tenant.update(self.id, |me| me.upstream = Number::default());
            (self.set.tell)(Event::OwnLeft);
            tokio::spawn(self.set.clone().leave(self.tenant.clone(), connection));
        }
    }
}

impl AsyncWrite for Lane {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = &mut *self;
        match me.line.way() {
            way @ (Way::Shared(resp) | Way::Read(resp)) => {
                let [two, three] = &me.set.reads;
                let all = match (way, resp) {
                    (Way::Read(_), Resp::Two) => two,
                    (Way::Read(_), Resp::Three) => three,
                    (_, Resp::Two) => &me.set.two,
                    (_, Resp::Three) => &me.set.three,
                };
                if std::mem::replace(&mut me.goes, way) != way {
                    me.queue = None;
                }
                let shared = all.get(me.seat).ok_or(io::ErrorKind::NotFound)?;
                ready!(shared.poll_send(cx, bytes, &me.inbox, &mut me.queue))?;
                Poll::Ready(Ok(bytes.len()))
            }
            Way::Own(resp) => {
                me.leave_old();
                let connection = ready!(me.poll_own(cx, resp))?;
                Pin::new(&mut connection.stream).poll_write(cx, bytes)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.own {
            Own::Open(connection) => Pin::new(&mut connection.stream).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.own {
            Own::Open(connection) => Pin::new(&mut connection.stream).poll_shutdown(cx),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Lane {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        match me.line.way() {
            Way::Shared(_) | Way::Read(_) => {
                me.leave();
                me.inbox.poll_take(cx, out)
            }
            Way::Own(resp) => {
                me.inbox.poll_end(cx)?;
                me.leave_old();
                // It is opened when there is something to say.
                if let Own::None = me.own {
                    return Poll::Pending;
                }
                let connection = ready!(me.poll_own(cx, resp))?;
                if !connection.input.is_empty() {
                    let count = connection.input.len().min(out.remaining());
                    out.put_slice(connection.input.get(..count).unwrap_or_default());
                    connection.input.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Pin::new(&mut connection.stream).poll_read(cx, out)
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.inbox.close();
        if let Own::Open(_) = self.own {
            (self.set.tell)(Event::OwnLeft);
        }
    }
}
