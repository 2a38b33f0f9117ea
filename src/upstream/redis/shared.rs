//! One connection upstream for many clients. Isolation rests on this alone: a command and the ticket of its owner are queued in one step, commands are
//! written in that order by one task, and each whole reply that comes goes to the owner of the oldest ticket. Whatever else comes (a message, a
//! reply to nothing, what is no reply) ends the connection; every owner of a ticket is then told that its command is lost, and no byte that comes
//! later is given to anybody.

use super::backstop::{Users, logged_in};
pub use super::event::{Event, Tell};
use super::inbox::Inbox;
use super::replicas::Replicas;
use super::{ConnectError, Connection, Target};
use crate::redis::encode::Resp;
use crate::redis::frames::{Measure, Pieces, pieces};
use crate::redis::line::LARGE_BYTES;
use crate::redis::mark::Mark;
use crate::redis::shape::Broken;
use crate::redis::stateless::{may_read, may_share};
use crate::redis::tenant::{End, LARGE_MAX};
use bytes::{Buf, BytesMut};
use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Sleep;

/// While so much waits to be written, clients wait.
const WAITING_BYTES: usize = 1 << 20;
/// Commands under way at once.
const TICKETS_MAX: usize = 64 << 10;
/// What one read takes.
const READ_BYTES: usize = 64 << 10;
/// For how long all clients of a connection wait, at most and for one reply, for one that does not read; then that one is ended.
const PATIENCE: Duration = Duration::from_millis(100);
/// After a reply of more bytes than this no client of the tenant shares connections any more.
const TENANT_LARGE_BYTES: usize = 4 << 20;
/// Replies that a server owes that is not read any more are waited for as long as this.
const LEAVE: Duration = Duration::from_secs(2);
/// From the first byte to a connection that serves.
const CONNECT: Duration = Duration::from_secs(5);

const UNAVAILABLE: &[u8] = b"-ERR the server is not available\r\n";
const LOST: &[u8] = b"-ERR the connection to the server was lost; the command may have been carried out\r\n";

/// A shared connection: one after the other, each opened when it is needed.
pub struct Shared {
    resp: Resp,
    target: Target,
    tell: Tell,
    /// Only reads go over it, and it leads to one of these where one is in sync.
    replicas: Option<Arc<Replicas>>,
    current: Mutex<Arc<Queue>>,
}

/// The commands under way on one connection, from its first to its end. There is never another connection for them.
#[derive(Default)]
pub struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    /// Commands that were not written yet, in the order of their tickets.
    out: BytesMut,
    /// Whose replies are due, oldest first.
    tickets: VecDeque<Ticket>,
    /// Commands under way: the sum of the tickets.
    under_way: usize,
    /// Clients that wait for room.
    waiting: Vec<Waker>,
    /// The task that reads and writes.
    task: Option<Waker>,
    /// There is one.
    runs: bool,
    /// It takes no more commands: it has ended, or a large reply passes.
    retired: bool,
    /// Whose user of the server the next command is.
    user: Option<Arc<Users>>,
    /// Users that were made over it, by name.
    made: HashSet<String>,
}

/// So many replies go to this client; without one it is a mark's echo, or they are to logins of the wall's.
struct Ticket {
    owner: Option<Arc<Inbox>>,
    mark: Option<Mark>,
    count: usize,
}

impl State {
    /// The next commands are this tenant's own user's; each is logged in before a command of another. Should it fail, the connection ends, and
    /// nobody hears what came after.
    fn log_in(&mut self, users: &Arc<Users>) {
        if self.user.as_ref().is_some_and(|now| Arc::ptr_eq(now, users)) {
            return;
        }
        let mut count = 1;
        if !self.made.contains(users.own.name()) {
            self.made.insert(users.own.name().to_owned());
            self.out.extend_from_slice(users.maker.auth());
            self.out.extend_from_slice(users.own.make());
            count = 3;
        }
        self.out.extend_from_slice(users.own.auth());
        self.expect(None, count);
        self.user = Some(users.clone());
    }

    fn expect(&mut self, owner: Option<&Arc<Inbox>>, count: usize) {
        self.under_way += count;
        match self.tickets.back_mut() {
            _ if count == 0 => {}
            Some(last) if last.mark.is_none() && last.owner.as_ref().map(Arc::as_ptr) == owner.map(Arc::as_ptr) => last.count += count,
            _ => self.tickets.push_back(Ticket { owner: owner.cloned(), mark: None, count }),
        }
    }

    /// Takes commands of one client; behind each whose reply its own code says, the connection's place is made sure of.
    fn take(&mut self, commands: &[u8], Pieces { count, marked }: &Pieces, owner: &Arc<Inbox>) {
        let (mut from, mut taken) = (0, 0);
        for (number, end) in marked {
            self.out.extend_from_slice(commands.get(from..*end).unwrap_or_default());
            self.expect(Some(owner), number - taken);
            (from, taken) = (*end, *number);
            let mark = Mark::by_chance();
            mark.ask(&mut self.out);
            self.under_way += 1;
            self.tickets.push_back(Ticket { owner: None, mark: Some(mark), count: 1 });
        }
        self.out.extend_from_slice(commands.get(from..).unwrap_or_default());
        self.expect(Some(owner), count - taken);
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// One that will speak `resp`; with `replicas`, for reads alone.
    pub fn new(target: Target, resp: Resp, tell: Tell, replicas: Option<Arc<Replicas>>) -> Arc<Self> {
        Arc::new(Self { resp, target, tell, replicas, current: Mutex::default() })
    }

    fn current(&self) -> MutexGuard<'_, Arc<Queue>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes whole commands of one client; their count comes from the commands themselves. `seat` is where its last ones went: as long as replies to
    /// them are due, the next go the same way. Errors: one of them may not be shared, or is none; none is taken then.
    pub fn poll_send(
        self: &Arc<Self>,
        cx: &Context<'_>,
        commands: &[u8],
        owner: &Arc<Inbox>,
        seat: &mut Option<Arc<Queue>>,
    ) -> Poll<io::Result<()>> {
        let Some(pieces) = pieces(commands, if self.replicas.is_some() { may_read } else { may_share }) else {
            tracing::error!("a command that keeps state was meant for a shared connection; its client is ended");
            return Poll::Ready(Err(io::Error::other("a command that keeps state for a shared connection")));
        };
        let mut queue = seat.clone().unwrap_or_else(|| self.current().clone());
        let mut state = queue.state();
        if state.runs && state.user.is_some() != owner.users.is_some() {
            // The policy has become another: the connection is the users' of the one or of the other.
            self.retire(&queue, &mut state);
        }
        if state.retired {
            drop(state);
            ready!(owner.poll_settled(cx));
            queue = self.current().clone();
            state = queue.state();
            if state.retired {
                // Between the two: its successor is there when this is asked again.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if state.out.len() > WAITING_BYTES || state.under_way > TICKETS_MAX {
            state.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        owner.expect(pieces.count);
        if let Some(users) = &owner.users {
            state.log_in(users);
        }
        state.take(commands, &pieces, owner);
        let task = state.task.take();
        let begins = !std::mem::replace(&mut state.runs, true);
        drop(state);
        if begins {
            tokio::spawn(run(self.clone(), queue.clone(), owner.users.clone()));
        } else if let Some(task) = task {
            task.wake();
        }
        *seat = Some(queue);
        Poll::Ready(Ok(()))
    }

    /// Before users of the server are removed: a connection that is one of them would end, with what others have under way on it.
    pub fn leave(&self, gone: &[Arc<Users>]) {
        let queue = self.current().clone();
        let mut state = queue.state();
        for users in gone {
            state.made.remove(users.own.name());
        }
        let Some(users) = state.user.clone().filter(|now| gone.iter().any(|gone| Arc::ptr_eq(gone, now))) else { return };
        if state.retired || !state.runs {
            return;
        }
        state.out.extend_from_slice(users.maker.auth());
        state.expect(None, 1);
        // Whoever is next logs in again.
        state.user = Some(users.nobody());
        if let Some(task) = state.task.take() {
            task.wake();
        }
    }

    /// The next commands go over another connection; those under way stay.
    fn retire(&self, queue: &Arc<Queue>, state: &mut State) {
        if !std::mem::replace(&mut state.retired, true) {
            let mut current = self.current();
            if Arc::ptr_eq(&current, queue) {
                *current = Arc::default();
            }
        }
        state.waiting.drain(..).for_each(Waker::wake);
        // It may be over already.
        if let Some(task) = state.task.take() {
            task.wake();
        }
    }

    /// The connection is over: whoever waits for a reply hears so.
    fn fail(&self, queue: &Arc<Queue>, words: &[u8], part: bool) {
        let mut state = queue.state();
        self.retire(queue, &mut state);
        let tickets = std::mem::take(&mut state.tickets);
        drop(state);
        if !tickets.is_empty() {
            (self.tell)(Event::Lost);
        }
        for (at, ticket) in tickets.into_iter().enumerate() {
            let Some(owner) = ticket.owner else { continue };
            if at == 0 && words == LOST {
                // Its reply may be what the server ended the connection for (`client-output-buffer-limit`): it goes its own way from now on.
                owner.line.set_large();
                owner.tenant.add_large(1);
            }
            if at == 0 && part {
                // It has a part of a reply, which cannot be taken back.
                owner.end();
            } else {
                owner.put(&words.repeat(ticket.count), ticket.count);
            }
        }
    }
}

/// From the first command to the end of the connection.
async fn run(shared: Arc<Shared>, queue: Arc<Queue>, users: Option<Arc<Users>>) {
    let opened = tokio::time::timeout(CONNECT, async {
        let (mut connection, leave) = match &shared.replicas {
            None => (shared.target.open_for(shared.resp).await?, None),
            Some(replicas) => replicas.open(shared.resp).await.map(|(connection, leave)| (connection, Some(leave)))?,
        };
        if let Some(users) = &users {
            connection.become_maker(users).await?;
        }
        Ok::<_, ConnectError>((connection, leave))
    });
    let (connection, leave) = match opened.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::warn!(%error, "upstream refused a shared connection");
            return shared.fail(&queue, UNAVAILABLE, false);
        }
    };
    (shared.tell)(Event::SharedOpened);
    let mut flow = Flow::new(shared.clone(), queue.clone(), connection, leave);
    if let Err(error) = poll_fn(|cx| flow.poll(cx)).await {
        tracing::info!(%error, "a shared connection ended");
    }
    let part = flow.part;
    drop(flow);
    (shared.tell)(Event::SharedClosed);
    shared.fail(&queue, LOST, part);
}

/// An open shared connection.
struct Flow {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    connection: Connection,
    /// What is being written.
    writing: BytesMut,
    unflushed: bool,
    measure: Measure,
    /// Bytes of the reply that is passing.
    passing: usize,
    /// The owner of the oldest ticket has a part of its reply.
    part: bool,
    /// Runs from when a client had to read first, to the end of its reply.
    patience: Option<Pin<Box<Sleep>>>,
    /// Ends when the server is not to be read any more, or another is.
    leave: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Runs from then on: whoever still waits for a reply waits no longer.
    last: Option<Pin<Box<Sleep>>>,
}

impl Flow {
    fn new(
        shared: Arc<Shared>,
        queue: Arc<Queue>,
        connection: Connection,
        leave: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ) -> Self {
        let (writing, measure) = (BytesMut::new(), Measure::default());
        Self { shared, queue, connection, writing, unflushed: false, measure, passing: 0, part: false, patience: None, leave, last: None }
    }

    /// Ready when it is over. Errors: what ended it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.look_round(cx)?;
        loop {
            self.write(cx)?;
            if self.waits(cx) {
                return Poll::Pending;
            }
            if self.is_done() {
                return Poll::Ready(Ok(()));
            }
            self.connection.input.reserve(READ_BYTES);
            if ready!(pin!(self.connection.stream.read_buf(&mut self.connection.input)).poll(cx))? == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
            if let Err(Broken(what)) = self.deliver() {
                tracing::error!(what, "a shared connection broke the protocol");
                return Poll::Ready(Err(ConnectError::Protocol));
            }
        }
    }

    /// Whether the server is still one to read from. Errors: those who wait for it have waited long enough.
    fn look_round(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(leave) = &mut self.leave
            && leave.as_mut().poll(cx).is_ready()
        {
            (self.leave, self.last) = (None, Some(Box::pin(tokio::time::sleep(LEAVE))));
            let (shared, queue) = (self.shared.clone(), self.queue.clone());
            shared.retire(&queue, &mut queue.state());
        }
        if let Some(last) = &mut self.last
            && last.as_mut().poll(cx).is_ready()
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// No more commands come, and every reply has.
    fn is_done(&self) -> bool {
        let state = self.queue.state();
        state.retired && state.tickets.is_empty()
    }

    /// Writes what it can. The task is woken when there is more.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.writing.is_empty() {
                let mut state = self.queue.state();
                std::mem::swap(&mut state.out, &mut self.writing);
                if self.writing.is_empty() {
                    match &state.task {
                        Some(task) if task.will_wake(cx.waker()) => {}
                        _ => state.task = Some(cx.waker().clone()),
                    }
                }
                let waiting = std::mem::take(&mut state.waiting);
                drop(state);
                waiting.into_iter().for_each(Waker::wake);
            }
            if self.writing.is_empty() {
                break;
            }
            match Pin::new(&mut self.connection.stream).poll_write(cx, &self.writing) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.writing.advance(count);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if self.unflushed
            && let Poll::Ready(done) = Pin::new(&mut self.connection.stream).poll_flush(cx)
        {
            done?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// Whether the client whose reply passes must read before more comes. One that does not is ended.
    fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        let front = self.queue.state().tickets.front().and_then(|ticket| ticket.owner.clone());
        let Some(owner) = front.filter(|owner| owner.is_full(cx)) else { return false };
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        if patience.as_mut().poll(cx).is_pending() {
            return true;
        }
        self.patience = None;
        owner.tenant.add_large(LARGE_MAX);
        owner.end();
        (self.shared.tell)(Event::CutOff);
        false
    }

    /// Gives what came to its owners. Errors: it cannot be told whose it is.
    fn deliver(&mut self) -> Result<(), Broken> {
        let (shared, queue) = (self.shared.clone(), self.queue.clone());
        let mut state = queue.state();
        while !self.connection.input.is_empty() {
            let Some(ticket) = state.tickets.front() else { return Err(Broken("a reply to nothing")) };
            let (owner, count) = (ticket.owner.clone(), ticket.count);
            let (bytes, whole) = match (&owner, &ticket.mark) {
                (Some(owner), _) => self.measure(owner, count)?,
                (None, Some(mark)) => (mark.echoed(&self.connection.input)?, 1),
                (None, None) => logged_in(&self.connection.input)?,
            };
            if bytes == 0 {
                break;
            }
            if let Some(owner) = owner {
                owner.put(self.connection.input.get(..bytes).unwrap_or_default(), whole);
            }
            self.connection.input.advance(bytes);
            state.under_way -= whole;
            match state.tickets.front_mut() {
                Some(ticket) if ticket.count > whole => ticket.count -= whole,
                _ => drop(state.tickets.pop_front()),
            }
        }
        if self.passing > LARGE_BYTES {
            // Whoever comes later need not wait for the rest of it.
            shared.retire(&queue, &mut state);
        }
        let input = &mut self.connection.input;
        if input.is_empty() && input.capacity() > READ_BYTES * 2 {
            *input = BytesMut::new();
        }
        Ok(())
    }

    /// How many bytes of what came are replies to this owner's next `count` commands, and how many whole ones.
    fn measure(&mut self, owner: &Inbox, count: usize) -> Result<(usize, usize), Broken> {
        let (mut end, mut whole) = (0, 0);
        while whole < count {
            let (bytes, ended) = self.measure.feed(self.connection.input.get(end..).unwrap_or_default(), self.shared.resp)?;
            end += bytes;
            let before = self.passing;
            self.passing += bytes;
            if before <= LARGE_BYTES && self.passing > LARGE_BYTES {
                owner.line.set_large();
                owner.tenant.add_large(1);
            }
            if before <= TENANT_LARGE_BYTES && self.passing > TENANT_LARGE_BYTES {
                owner.tenant.add_large(LARGE_MAX);
            }
            self.part = self.passing > 0 && !ended;
            if !ended {
                break;
            }
            (whole, self.passing, self.patience) = (whole + 1, 0, None);
        }
        Ok((end, whole))
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
