//! Keeps policies and catalogs as they are to be: a reading for each place that needs one, none of which waits for another's.

use super::Service;
use super::ground::{Ground, Renewal};
use crate::policy::Home;
use crate::relay::{self, Drain};
use crate::sql::catalog::CatalogProblem;
use crate::upstream::postgres::ConnectError;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};

/// A stale catalog is read again at most this often: a client can cause it.
const REFRESH: Duration = Duration::from_secs(2);
/// So many places' catalogs are read at once.
const READINGS: usize = 8;

/// A reading that runs.
struct Running {
    /// The policy that it is for.
    version: u64,
    task: AbortHandle,
}

/// Renews what is stale or has another policy, for as long as the wall serves; `told` wakes sessions that only listen.
pub async fn keep(service: Arc<Service>, told: Arc<watch::Sender<u8>>, mut drain: Drain) {
    let turns = Arc::new(Semaphore::new(READINGS));
    let (mut tasks, mut running) = (JoinSet::new(), HashMap::new());
    let mut tick = tokio::time::interval(REFRESH);
    loop {
        let ticked = tokio::select! {
            _ = tick.tick() => true,
            () = service.reloads.notified() => false,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => false,
            () = relay::stopping(&mut drain) => return,
        };
        running.retain(|_, r: &mut Running| !r.task.is_finished());
        let policy = service.shared.judge.load().policy().clone();
        let mut grounds = service.homes.grounds();
        grounds.iter().for_each(|g| g.want(policy.clone()));
        grounds.push(service.shared.clone());
        for ground in grounds {
            // Its task holds it: no other ground is there as long as that runs.
            let place = Arc::as_ptr(&ground).addr();
            let version = ground.wanted().version;
            match running.get(&place) {
                Some(reading) if reading.version == version => continue,
                // The last one wins.
                Some(reading) => reading.task.abort(),
                None => {}
            }
            if (ticked || ground.is_behind()) && ground.stale.swap(false, Ordering::AcqRel) {
                let task = tasks.spawn(renew(service.clone(), ground, told.clone(), turns.clone()));
                running.insert(place, Running { version, task });
            }
        }
    }
}

async fn renew(service: Arc<Service>, ground: Arc<Ground>, told: Arc<watch::Sender<u8>>, turns: Arc<Semaphore>) {
    // Who lives in the shared tables does not wait for those in places of their own.
    let turns = (ground.home != Home::Rows).then_some(&*turns);
    let tell = |renewal| {
        tell(&service, &ground, &renewal);
        if matches!(renewal, Renewal::Renewed | Renewal::OnKnown) {
            if ground.home == Home::Rows {
                // The policy may name other files.
                service.door.refresh(ground.judge.load().policy());
                // Those in places of their own follow.
                service.reloads.notify_one();
            }
            told.send_modify(|_| {});
        }
    };
    ground.renew(turns, tell).await;
}

fn tell(service: &Service, ground: &Ground, renewal: &Renewal) {
    let (listener, place) = (&service.door.config.name, ground.home.name());
    let outcome = match renewal {
        Renewal::Same => return,
        Renewal::Renewed => {
            tracing::info!(listener, place, "policy and catalog renewed");
            "renewed"
        }
        Renewal::OnKnown => {
            tracing::warn!(listener, place, "the catalog is not read yet: the new policy holds on the old one");
            "on_old_catalog"
        }
        Renewal::Refused(error) => {
            tracing::error!(listener, place, error = said(error), "the old policy and catalog stay");
            "refused"
        }
        Renewal::Unread(error) => {
            tracing::error!(listener, place, error = said(error), "the old policy and catalog stay until the catalog can be read");
            "unread"
        }
        Renewal::StillUnread(error) => {
            tracing::error!(listener, place, error = said(error), "the old catalog stays until it can be read");
            "unread"
        }
    };
    service.metrics.reload(listener, outcome);
}

fn said(error: &ConnectError) -> String {
    match error {
        ConnectError::Catalog(problems) => lines(problems),
        error => error.to_string(),
    }
}

/// Problems of a catalog, a line each.
pub fn lines(problems: &[CatalogProblem]) -> String {
    let line = |p: &CatalogProblem| {
        let place = p.place.as_ref().map(|at| format!("{}:{}: ", at.file, at.line)).unwrap_or_default();
        format!("{place}{}; {}", p.message, p.fix)
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}
