//! What those may cost who have not said yet who they are. A secret is checked on a thread beside the serving ones, one at a time for a source and one at
//! a time in all; and a source that fails often waits before each further try.

use crate::identity::IdentityError;
use crate::policy::Peer;
use crate::relay;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// In this time failures are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// What a source that has failed too often waits for, each time; for one user it tries no more often than that, by however many connections.
const WAIT: Duration = Duration::from_secs(1);
/// What is between any two tries of such a source, whomever they are for: others may come from the same address.
const APART: Duration = Duration::from_millis(50);
/// Who would wait longer is sent away.
const LONGEST: Duration = Duration::from_secs(10);
/// Users whose tries are kept apart; those that come then are one.
const USERS_MAX: usize = 100;
/// So much of a name tells them apart.
const USER_CHARACTERS: usize = 63;
/// What a connection waits for its first failure; for the second twice as long, and so on.
const STEP: Duration = Duration::from_millis(50);
/// So often a connection may fail; then it ends.
pub const FAILURES_MAX: u32 = 10;
/// Sources that are known at once; those that come then are one.
const SOURCES_MAX: usize = 10_000;

/// Tries of strangers, by where they come from.
pub struct Attempts {
    /// Failures in the window that cost nothing.
    free: u32,
    sources: Mutex<HashMap<Peer, Arc<Source>>>,
    others: Arc<Source>,
    /// One check at a time.
    at_once: Semaphore,
}

struct Source {
    window: Duration,
    /// One of its checks at a time: many connections are in the queue of all once.
    turn: Semaphore,
    failed: Mutex<Failed>,
}

struct Failed {
    since: Instant,
    times: u32,
    /// When the next try may be, and the next one for each user.
    next: Instant,
    users: HashMap<String, Instant>,
}

/// Too many tries wait already.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

impl From<Busy> for IdentityError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl Failed {
    fn new() -> Self {
        let now = Instant::now();
        Self { since: now, times: 0, next: now, users: HashMap::new() }
    }

    /// How long the next try waits. Its place in the queue is kept, so that others stand behind it.
    fn pause(&mut self, user: Option<&str>) -> Result<Duration, Busy> {
        let now = Instant::now();
        let free = self.next.max(now + WAIT);
        let user = user.map(|user| user.chars().take(USER_CHARACTERS).collect::<String>());
        let user = user.map(|user| if self.users.len() < USERS_MAX || self.users.contains_key(&user) { user } else { String::new() });
        let at = user.as_ref().and_then(|user| self.users.get(user)).map_or(free, |next| free.max(*next));
        let pause = at - now;
        if pause > LONGEST {
            return Err(Busy);
        }
        self.next = free + APART;
        if let Some(user) = user {
            self.users.insert(user, at + WAIT);
        }
        Ok(pause)
    }
}

impl Source {
    fn new(window: Duration) -> Arc<Self> {
        Arc::new(Self { window, turn: Semaphore::new(1), failed: Mutex::new(Failed::new()) })
    }

    fn failed(&self) -> MutexGuard<'_, Failed> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.since.elapsed() > self.window {
            *failed = Failed::new();
        }
        failed
    }
}

impl Attempts {
    /// A source may fail `free` times a minute before it waits.
    pub fn new(free: u32) -> Self {
        Self::within(WINDOW, free)
    }

    fn within(window: Duration, free: u32) -> Self {
        Self { free, sources: Mutex::default(), others: Source::new(window), at_once: Semaphore::new(1) }
    }

    /// Checks what shall prove that it is this user, in this source's turn. Errors: as `check` says, or [`Busy`].
    pub async fn check<T: Send + 'static, E: From<Busy> + Send + 'static>(
        &self,
        (peer, user): (Peer, Option<&str>),
        check: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.wait(peer, user).await?;
        let source = self.source(peer);
        // Neither is ever closed.
        let _turn = source.turn.acquire().await;
        let _permit = self.at_once.acquire().await;
        let result = relay::beside(check).await;
        if result.is_err() {
            source.failed().times += 1;
        }
        result
    }

    /// Lets a source that has failed too often wait before it tries to be this user. Errors: too many of its tries wait.
    pub async fn wait(&self, peer: Peer, user: Option<&str>) -> Result<(), Busy> {
        let known = self.sources().get(&whole(peer)).cloned();
        let pause = known.map_or(Ok(Duration::ZERO), |source| {
            let mut failed = source.failed();
            if failed.times > self.free { failed.pause(user) } else { Ok(Duration::ZERO) }
        })?;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// It failed.
    pub fn failed(&self, peer: Peer) {
        self.source(peer).failed().times += 1;
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<Peer, Arc<Source>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self, peer: Peer) -> Arc<Source> {
        let (peer, mut sources) = (whole(peer), self.sources());
        if let Some(known) = sources.get(&peer) {
            return known.clone();
        }
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, source| Arc::strong_count(source) > 1 || source.failed().times > 0);
        }
        if sources.len() >= SOURCES_MAX {
            return self.others.clone();
        }
        let source = Source::new(self.others.window);
        sources.insert(peer, source.clone());
        source
    }
}

/// What a connection that has failed `times` waits for before it hears of it.
pub fn pause(times: u32) -> Duration {
    STEP * times
}

/// Whoever has one address of a network of IPv6 has them all (RFC 4291, 2.5.4).
fn whole(peer: Peer) -> Peer {
    match peer {
        Peer::Ip(ip) => match ip.to_canonical() {
            IpAddr::V6(ip) => Peer::Ip(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64))),
            ip => Peer::Ip(ip),
        },
        other => other,
    }
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
