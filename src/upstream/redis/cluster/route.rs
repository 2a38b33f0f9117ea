//! One client's way to the node that has its tenant's slot. To the session it is one connection to one server: what a node did not carry out is said again
//! where the slot is now, in the order it was said, and nobody hears where that is. Where to go is asked of the nodes, never taken from an error, for a
//! script can make one up. What a connection holds (WATCH, MULTI, subscriptions, tracking) does not move: such a client hears TRYAGAIN, or is ended.

use super::Cluster;
use super::dues::{Again, Dues};
use super::leg::{Leg, broken};
use crate::redis::encode::{self, Resp};
use crate::redis::line::{Line, Way};
use crate::redis::shape::Broken;
use crate::redis::slots::{MOVING, Redirect, redirect};
use crate::redis::tenant::{End, Tenant};
use crate::upstream::redis::{ConnectError, Multiplex, Target};
use bytes::{Buf, Bytes, BytesMut};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// What waits in each direction.
const WAITING_BYTES: usize = 64 << 10;
/// From a command to a node that serves it.
const PATIENCE: Duration = Duration::from_secs(5);
/// One connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// For so long after a key was found to be moving, commands are said one by one, so that their order holds.
const CAREFUL: Duration = Duration::from_secs(1);
/// A client that holds something on a node that has the slot no more is ended after so long.
const GRACE: Duration = Duration::from_secs(3);

const UNAVAILABLE: &[u8] = b"-ERR the server is not available\r\n";

/// Whose way it is.
pub struct Whose {
    /// The client's number.
    pub id: u64,
    /// Its tenant.
    pub tenant: Arc<Tenant>,
    /// Before all its keys.
    pub prefix: Bytes,
    /// Where they are.
    pub slot: u16,
}

/// A client's way, as a connection.
pub struct Routed {
    pipe: DuplexStream,
    route: Pin<Box<dyn Future<Output = io::Result<()>> + Send>>,
    over: bool,
}

impl Routed {
    /// One that is open. `lanes`: over shared connections, and how their way is said. With it comes how CLIENT KILL ends it. Errors: no node serves.
    pub async fn open(
        target: Target,
        cluster: Arc<Cluster>,
        whose: Whose,
        lanes: Option<(Arc<Multiplex>, Arc<Line>)>,
    ) -> Result<(Self, Arc<dyn End>), ConnectError> {
        let (pipe, far) = tokio::io::duplex(WAITING_BYTES);
        let ender = Arc::new(Ender(Notify::new()));
        let mut route = Route::new(far, target, cluster, whose, lanes);
        route.leg = Some(route.find().await?);
        let ended = ender.clone();
        let route = Box::pin(async move {
            tokio::select! {
                end = route.run() => end,
                () = ended.0.notified() => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        });
        Ok((Self { pipe, route, over: false }, ender))
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.over
            && let Poll::Ready(end) = self.route.as_mut().poll(cx)
        {
            self.over = true;
            if let Err(error) = end {
                tracing::info!(%error, "a client's way into a cluster ended");
                return Err(error);
            }
        }
        Ok(())
    }
}

struct Ender(Notify);

impl End for Ender {
    fn end(&self) {
        self.0.notify_one();
    }
}

impl AsyncRead for Routed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.advance(cx)?;
        Pin::new(&mut self.pipe).poll_read(cx, out)
    }
}

impl AsyncWrite for Routed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.pipe).poll_write(cx, bytes);
        self.advance(cx)?;
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.advance(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.pipe).poll_shutdown(cx);
        self.advance(cx)?;
        done
    }
}

fn wrong(error: ConnectError) -> io::Error {
    io::Error::other(error.to_string())
}

/// What is to be done when nothing can be moved.
enum Next {
    /// There is something to say, and no connection to say it on.
    Open,
    /// Something has to be said again.
    Again,
    /// The client has gone.
    Over,
}

/// What is behind [`Routed`].
struct Route {
    pipe: DuplexStream,
    target: Target,
    cluster: Arc<Cluster>,
    whose: Whose,
    lanes: Option<(Arc<Multiplex>, Arc<Line>)>,
    leg: Option<Leg>,
    dues: Dues,
    /// From the client.
    input: BytesMut,
    /// Over shared connections: which way the last command went.
    way: Option<(Way, u8)>,
    /// The client says no more.
    closed: bool,
    /// For the node.
    out: BytesMut,
    unflushed: bool,
    /// For the client.
    ready: BytesMut,
    /// The slot is elsewhere.
    stale: Option<Instant>,
    careful: Option<Instant>,
}

impl Route {
    fn new(pipe: DuplexStream, target: Target, cluster: Arc<Cluster>, whose: Whose, lanes: Option<(Arc<Multiplex>, Arc<Line>)>) -> Self {
        let hash = |salt: u8| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), (whose.id, salt));
        let dues = Dues::new(whose.prefix.clone(), format!("{:016x}{:016x}", hash(0), hash(1)));
        Self {
            pipe,
            target,
            cluster,
            whose,
            lanes,
            leg: None,
            dues,
            input: BytesMut::new(),
            way: None,
            closed: false,
            out: BytesMut::new(),
            unflushed: false,
            ready: BytesMut::new(),
            stale: None,
            careful: None,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        let mut known = self.cluster.watch();
        loop {
            self.look_round()?;
            let grace = self.stale.map_or_else(|| Instant::now() + PATIENCE * 100, |since| since + GRACE);
            let next = tokio::select! {
                biased;
                next = poll_fn(|cx| self.poll(cx)) => next?,
                changed = known.changed() => {
                    changed.map_err(io::Error::other)?;
                    continue;
                }
                () = sleep_until(grace) => match self.stale {
                    Some(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                    None => continue,
                },
            };
            match next {
                Next::Open => self.leg = Some(self.find().await.map_err(wrong)?),
                Next::Again => self.say_again().await?,
                Next::Over => return Ok(()),
            }
        }
    }

    /// Is the slot still where it was?
    fn look_round(&mut self) -> io::Result<()> {
        let map = self.cluster.map();
        let (Some(leg), Some(master)) = (&self.leg, map.master(self.whose.slot)) else { return Ok(()) };
        if leg.address == master {
            self.stale = None;
        } else if self.dues.hears_unasked() {
            return Err(io::ErrorKind::ConnectionReset.into());
        } else {
            self.stale.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Nothing is under way, and the connection holds nothing.
    fn at_rest(&self) -> bool {
        self.dues.at_rest() && self.out.is_empty()
    }

    /// Moves what can be moved.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Next>> {
        loop {
            if self.stale.is_some() && self.at_rest() {
                (self.leg, self.stale) = (None, None);
            }
            let mut moved = self.hear_client(cx)?;
            if self.leg.is_none() && !self.input.is_empty() {
                return Poll::Ready(Ok(Next::Open));
            }
            moved |= self.take().map_err(broken)?;
            moved |= self.write(cx)?;
            moved |= self.hear_node(cx)?;
            moved |= self.answer_client(cx)?;
            if self.dues.is_to_be_said_again() && self.out.is_empty() {
                return Poll::Ready(Ok(Next::Again));
            }
            if self.closed && self.ready.is_empty() && self.dues.is_empty() && self.out.is_empty() {
                return Poll::Ready(Ok(Next::Over));
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    fn hear_client(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        // A command may be longer than what waits: then it is taken as a whole, up to what passes as it comes.
        if self.closed || self.out.len() > WAITING_BYTES || self.input.len() > 4 * WAITING_BYTES {
            return Ok(false);
        }
        match pin!(self.pipe.read_buf(&mut self.input)).poll(cx) {
            Poll::Ready(Ok(count)) => {
                self.closed = count == 0;
                Ok(count > 0)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(false),
        }
    }

    /// Another connection speaks another protocol, perhaps, and what a client has left on the last one is not on it.
    fn look_at_way(&mut self) -> Result<(), Broken> {
        let Some((_, line)) = &self.lanes else { return Ok(()) };
        let (way @ (Way::Shared(resp) | Way::Read(resp) | Way::Own(resp)), turn) = (line.way(), line.turn());
        if self.way.replace((way, turn)) != Some((way, turn))
            && self.dues.begin_anew(resp)?
            && let Some(leg) = &mut self.leg
        {
            leg.input.clear();
        }
        Ok(())
    }

    fn take(&mut self) -> Result<bool, Broken> {
        self.look_at_way()?;
        let Some(mark) = self.leg.as_ref().map(|leg| leg.mark) else { return Ok(false) };
        let mut any = false;
        while self.out.len() <= WAITING_BYTES {
            let careful = self.careful.is_some_and(|until| Instant::now() < until);
            let waits = careful && !self.dues.is_empty() && !self.dues.is_in_a_command();
            if waits || !self.dues.take(&mut self.input, &mut self.out, mark)? {
                break;
            }
            any = true;
        }
        Ok(any)
    }

    /// Whether there is room again for what was not taken.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(leg) = &mut self.leg else { return Ok(false) };
        let mut any = false;
        while !self.out.is_empty() {
            match Pin::new(&mut leg.stream).poll_write(cx, &self.out) {
                Poll::Pending => return Ok(any),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.out.advance(count);
                    (any, self.unflushed) = (true, true);
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if self.unflushed
            && let Poll::Ready(done) = Pin::new(&mut leg.stream).poll_flush(cx)
        {
            done?;
            self.unflushed = false;
        }
        Ok(any)
    }

    fn hear_node(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(leg) = &mut self.leg else { return Ok(false) };
        if self.ready.len() > WAITING_BYTES {
            return Ok(false);
        }
        match pin!(leg.stream.read_buf(&mut leg.input)).poll(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(1..)) => self.dues.hear(&mut leg.input, &mut self.ready).map_err(broken)?,
            // The next command finds another.
            Poll::Ready(_) if self.dues.at_rest() && self.out.is_empty() => (self.leg, self.stale) = (None, None),
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(true)
    }

    fn answer_client(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut any = false;
        while !self.ready.is_empty() {
            match Pin::new(&mut self.pipe).poll_write(cx, &self.ready) {
                Poll::Pending => break,
                Poll::Ready(count) => self.ready.advance(count?),
            }
            any = true;
        }
        Ok(any)
    }

    /// A connection to the node that has the slot. Errors: there is none in time.
    async fn find(&mut self) -> Result<Leg, ConnectError> {
        let until = Instant::now() + PATIENCE;
        let mut again = false;
        loop {
            let found = match self.cluster.master(&self.target, self.whose.slot, again).await {
                Ok(address) => self.open(&address).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(leg) => return Ok(leg),
                Err(error) if Instant::now() > until => return Err(error),
                // A failover, perhaps: somebody knows.
                Err(_) => again = true,
            }
            sleep(PAUSE * 4).await;
        }
    }

    async fn open(&mut self, address: &str) -> Result<Leg, ConnectError> {
        let Some((multiplex, line)) = &self.lanes else {
            return self.open_own(address, self.dues.greeted().unwrap_or(Resp::Two)).await;
        };
        if line.is_own() && self.dues.greeted().is_some() {
            // Which protocol the client's own connection spoke, the lane would not know.
            return Err(ConnectError::Protocol);
        }
        let lane = multiplex.lane_to(address, line.clone(), self.whose.id, &self.whose.tenant);
        Ok(Leg::new(Box::new(lane), BytesMut::new(), address.to_owned()))
    }

    async fn open_own(&mut self, address: &str, resp: Resp) -> Result<Leg, ConnectError> {
        let opened = tokio::time::timeout(CONNECT, self.target.node(address).open_own(resp, None)).await;
        let connection = opened.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
        Ok(Leg::new(connection.stream, connection.input, address.to_owned()))
    }

    /// Says again, one after the other, what was not carried out.
    async fn say_again(&mut self) -> io::Result<()> {
        while let Some(again) = self.dues.again() {
            let replies = self.carry(&again).await?;
            let mark = self.leg.as_ref().map_or(0, |leg| leg.mark);
            self.dues.answer(replies, mark, &mut self.ready).map_err(broken)?;
        }
        self.dues.go_on();
        Ok(())
    }

    /// Says it until it is carried out, or for as long as anybody waits.
    async fn carry(&mut self, again: &Again) -> io::Result<Vec<BytesMut>> {
        let until = Instant::now() + PATIENCE;
        let (mut why, mut denials) = (again.why, 0);
        loop {
            let given_up = |words: &[u8]| Ok(vec![BytesMut::from(words); again.count]);
            let replies = match why {
                Redirect::Moved => {
                    if !self.follow().await? {
                        denials += 1;
                        // It says that it has the slot: a script's words, most likely.
                        if denials > 3 || again.is_script {
                            return given_up(MOVING);
                        }
                        sleep(PAUSE).await;
                    }
                    self.say(again).await?
                }
                _ if again.is_script || again.count > 1 => return given_up(MOVING),
                Redirect::Ask => {
                    self.careful = Some(Instant::now() + CAREFUL);
                    self.ask(again).await?
                }
                Redirect::TryAgain | Redirect::Down => {
                    self.careful = Some(Instant::now() + CAREFUL);
                    sleep(PAUSE).await;
                    if why == Redirect::Down {
                        self.follow().await?;
                    }
                    self.say(again).await?
                }
            };
            match replies.iter().find_map(|reply| redirect(reply)) {
                None => return Ok(replies),
                Some(_) if Instant::now() > until => return given_up(if why == Redirect::Down { UNAVAILABLE } else { MOVING }),
                Some(next) => why = next,
            }
        }
    }

    /// Goes where the slot is now, as the node itself says. False: it has not moved.
    async fn follow(&mut self) -> io::Result<bool> {
        let from = self.leg.as_ref().map(|leg| leg.address.clone()).unwrap_or_default();
        match self.cluster.successor(&self.target, self.whose.slot, &from).await {
            Ok(address) if address != from => {
                self.leg = Some(self.open(&address).await.map_err(wrong)?);
                self.stale = None;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn say(&mut self, again: &Again) -> io::Result<Vec<BytesMut>> {
        let leg = self.leg.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        leg.say(&again.words, again.count).await
    }

    /// Says it to the node that the slot is moving to, if it is.
    async fn ask(&mut self, again: &Again) -> io::Result<Vec<BytesMut>> {
        let from = self.leg.as_ref().map(|leg| leg.address.clone()).unwrap_or_default();
        let Ok(Some(taker)) = self.cluster.taker(&self.target, self.whose.slot, &from).await else {
            sleep(PAUSE).await;
            return self.say(again).await;
        };
        let resp = match (self.dues.greeted(), &self.lanes) {
            (Some(resp), _) => resp,
            (None, None) => Resp::Two,
            (None, Some((_, line))) => match line.way() {
                Way::Shared(resp) | Way::Read(resp) | Way::Own(resp) => resp,
            },
        };
        let mut leg = self.open_own(&taker, resp).await.map_err(wrong)?;
        let mut words = BytesMut::new();
        encode::command(&mut words, &["ASKING"]);
        words.extend_from_slice(&again.words);
        let mut replies = leg.say(&words, again.count + 1).await?;
        replies.remove(0);
        Ok(replies)
    }
}
