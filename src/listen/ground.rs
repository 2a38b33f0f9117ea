//! A place of tenants: the way to it, and the judge of its catalog, which a reload and DDL replace.

use super::homes::has_rows;
use crate::observe::Metrics;
use crate::policy::{Home, Policy};
use crate::pool::Pool;
use crate::postgres::parameters::PINNED;
use crate::sql::answers::Answers;
use crate::sql::catalog::Rows;
use crate::sql::catalogs::quote_name;
use crate::sql::home::queries;
use crate::sql::{Catalog, Judge};
use crate::upstream::postgres::{ConnectError, Target};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a policy waits for a new catalog before it takes effect on the one of before.
const GRACE: Duration = Duration::from_secs(2);
/// How long the catalog may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place: what holds there, and the way to it.
pub struct Ground {
    /// Which one.
    pub home: Home,
    /// Where it leads.
    pub target: Target,
    /// Replaced by a reload; live sessions take the new one.
    pub judge: ArcSwap<Judge>,
    /// Grows with each reload, so that a session sees cheaply that there is another judge.
    pub generation: AtomicU64,
    /// The catalog is to be read again: upstream said that it has changed, or there is another policy.
    pub stale: Arc<AtomicBool>,
    /// What told of its catalog when it was looked at last; None where it has to be read again in any case.
    pub seen: Mutex<Option<Rows>>,
    /// Connections there that clients share.
    pub pool: Option<Arc<Pool>>,
    wanted: Mutex<Wanted>,
    /// Counts readings of the catalog.
    readings: AtomicU64,
}

/// What is to hold.
struct Wanted {
    policy: Arc<Policy>,
    /// What the catalog of the judge, or of the one before, was built from.
    answers: Arc<Answers>,
    /// The number of the reading that gave them.
    reading: u64,
}

/// What came of a renewal.
#[derive(Debug)]
pub enum Renewal {
    /// Nothing is another.
    Same,
    /// Policy and catalog are as they are to be.
    Renewed,
    /// The new policy holds on the catalog of before, until that can be read.
    OnKnown,
    /// The policy does not fit the catalog; what held goes on.
    Refused(ConnectError),
    /// Neither can it be read, nor does the policy fit what is known.
    Unread(ConnectError),
    /// It is still not read; the policy holds already.
    StillUnread(ConnectError),
}

impl Ground {
    /// A ground whose catalog is read. Errors: it cannot be, or does not fit the policy.
    pub async fn open(home: Home, target: Target, policy: Arc<Policy>) -> Result<Self, ConnectError> {
        let (catalog, answers) = if is_idle(&home, &policy) {
            (Catalog::default(), Answers::default())
        } else {
            let answers = target.answers(queries(&policy, &home)).await?;
            let catalog = Catalog::build_for(&policy, &home, &answers).map_err(ConnectError::Catalog)?;
            (catalog, Answers::new(queries(&policy, &home), &answers))
        };
        Ok(Self {
            judge: ArcSwap::from_pointee(Judge::new(policy.clone(), Arc::new(catalog))),
            home,
            target,
            generation: AtomicU64::new(0),
            stale: Arc::default(),
            seen: Mutex::default(),
            pool: None,
            wanted: Mutex::new(Wanted { policy, answers: Arc::new(answers), reading: 0 }),
            readings: AtomicU64::new(0),
        })
    }

    /// The same, where the upstream says that its connections are shared.
    #[must_use]
    pub fn with_pool(mut self, upstream: &crate::config::Upstream, metrics: &Metrics) -> Self {
        let mut base: Vec<(String, String)> = PINNED.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        base.extend(self.home.schema().map(|own| ("search_path".to_owned(), quote_name(own))));
        let pool = |config: &crate::config::Pool| Pool::new(self.target.clone(), base, config.clone(), metrics.pool(&upstream.name));
        self.pool = upstream.pool.as_ref().map(pool).map(Arc::new);
        self
    }

    /// From now on this policy is to hold.
    pub fn want(&self, policy: Arc<Policy>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.policy.version != policy.version {
            wanted.policy = policy;
            self.stale.store(true, Ordering::Release);
        }
    }

    /// The policy that is to hold.
    pub fn wanted(&self) -> Arc<Policy> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).policy.clone()
    }

    /// Does another policy hold than is to?
    pub fn is_behind(&self) -> bool {
        self.wanted().version != self.judge.load().policy().version
    }

    /// Reads the catalog again, for the policy that is to hold; where that takes long the policy takes effect on the catalog of before. `turns` bounds how many
    /// do so at once. What comes of it is told, in the end or on the way. Cancel-safe: what was not read is read another time.
    pub async fn renew(&self, turns: Option<&Semaphore>, mut tell: impl FnMut(Renewal)) {
        let reading = async {
            let _turn = match turns {
                Some(turns) => turns.acquire().await.ok(),
                None => None,
            };
            timeout(PATIENCE, self.read()).await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
        };
        let mut reading = std::pin::pin!(reading);
        let soon = if self.is_behind() { timeout(GRACE, &mut reading).await.ok() } else { None };
        if soon.is_none() && self.is_behind() && self.hold() {
            tell(Renewal::OnKnown);
        }
        let result = match soon {
            Some(result) => result,
            None => reading.await,
        };
        match result {
            Ok(false) => tell(Renewal::Same),
            Ok(true) => tell(Renewal::Renewed),
            Err(error @ ConnectError::Catalog(_)) if self.home == Home::Rows => tell(Renewal::Refused(error)),
            Err(error) => {
                if self.is_behind() && self.hold() {
                    tell(Renewal::OnKnown);
                }
                tell(if self.is_behind() { Renewal::Unread(error) } else { Renewal::StillUnread(error) });
            }
        }
    }

    /// For one who waits: the policy that is to hold does. Errors: it can not.
    pub async fn catch_up(&self) -> Result<(), ConnectError> {
        let read = timeout(GRACE, self.read()).await;
        if !self.is_behind() || self.hold() {
            return Ok(());
        }
        match read {
            Ok(Err(error)) => Err(error),
            _ => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    /// True where the policy or the catalog is another than before.
    async fn read(&self) -> Result<bool, ConnectError> {
        let mut unread = Unread { ground: self, over: false };
        let number = self.readings.fetch_add(1, Ordering::AcqRel) + 1;
        let policy = self.wanted();
        let answers = if is_idle(&self.home, &policy) { HashMap::new() } else { self.target.answers(queries(&policy, &self.home)).await? };
        let settled = self.settle(&policy, &answers, number);
        if settled.is_err() && self.home == Home::Rows {
            self.refuse(&policy);
        }
        unread.over = settled.is_ok();
        settled
    }

    fn settle(&self, policy: &Arc<Policy>, answers: &HashMap<&'static str, Rows>, number: u64) -> Result<bool, ConnectError> {
        let idle = is_idle(&self.home, policy);
        let build = || Catalog::build_for(policy, &self.home, answers).map_err(ConnectError::Catalog);
        let catalog = if idle { Catalog::default() } else { build()? };
        let answers = Answers::new(if idle { Vec::new() } else { queries(policy, &self.home) }, answers);
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        // Another policy is on its way, or what was read later has come in before.
        if wanted.policy.version != policy.version || wanted.reading > number {
            return Ok(false);
        }
        (wanted.answers, wanted.reading) = (Arc::new(answers), number);
        let current = self.judge.load_full();
        if catalog.version == current.catalog().version && Arc::ptr_eq(policy, current.policy()) {
            return Ok(false);
        }
        self.put(Judge::new(policy.clone(), Arc::new(catalog)));
        Ok(true)
    }

    /// The policy that is to hold takes effect on what is known of the catalog. False where it does not fit that.
    fn hold(&self) -> bool {
        let (policy, known) = {
            let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            (wanted.policy.clone(), wanted.answers.clone())
        };
        let Some((held, catalog)) = known.hold(&policy, &self.home) else { return false };
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.policy.version == policy.version && self.judge.load().policy().version != policy.version {
            self.put(Judge::new(Arc::new(held), Arc::new(catalog)));
        }
        drop(wanted);
        !self.is_behind()
    }

    /// The catalog was read, and the policy does not fit it: what holds goes on. One that holds already, as far as it fits, is tried again.
    fn refuse(&self, policy: &Policy) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.judge.load();
        if wanted.policy.version == policy.version && current.policy().version != policy.version {
            wanted.policy = current.policy().clone();
        }
    }

    fn put(&self, judge: Judge) {
        self.judge.store(Arc::new(judge));
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// Whether nobody lives in the shared tables: nothing of them is asked for.
fn is_idle(home: &Home, policy: &Policy) -> bool {
    *home == Home::Rows && !has_rows(policy)
}

/// A reading that is not over: what was seen of the catalog has not come in.
struct Unread<'g> {
    ground: &'g Ground,
    over: bool,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if !self.over {
            *self.ground.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
