//! Whether upstream's catalogs have changed without a word: whoever judges by them is to know, whatever statement comes next.

use super::Service;
use super::ground::Ground;
use crate::policy::Home;
use crate::relay::{self, Drain};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How often it is asked for.
const WATCH: Duration = Duration::from_secs(5);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Marks the grounds whose catalog is another, for as long as the wall serves.
pub async fn watch(service: Arc<Service>, mut drain: Drain) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = relay::stopping(&mut drain) => return,
        }
        // A place where nobody is costs nothing.
        let used = service.homes.grounds().into_iter().filter(|g| Arc::strong_count(g) > 2);
        let mut grounds: Vec<Arc<Ground>> = used.collect();
        if super::homes::has_rows(service.shared.judge.load().policy()) {
            grounds.push(service.shared.clone());
        }
        while let Some(first) = grounds.pop() {
            let (mut beside, others): (Vec<_>, Vec<_>) = grounds.into_iter().partition(|g| g.target.is_beside(&first.target));
            grounds = others;
            beside.push(first);
            tokio::select! {
                _ = tokio::time::timeout(PATIENCE, look(&beside)) => {}
                () = relay::stopping(&mut drain) => return,
            }
        }
    }
}

/// Asks for all places of one database. Where it does not answer, what is known stays until it does.
async fn look(grounds: &[Arc<Ground>]) {
    let Some(first) = grounds.first() else { return };
    let homes: Vec<&Home> = grounds.iter().map(|g| &g.home).collect();
    let Ok(answers) = first.target.fingerprints(&homes).await else { return };
    for (ground, answer) in grounds.iter().zip(answers) {
        let mut seen = ground.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // At the first look nobody knows what was there when the catalog was read.
        if seen.as_ref() != Some(&answer) {
            *seen = Some(answer);
            ground.stale.store(true, Ordering::Relaxed);
        }
    }
}
