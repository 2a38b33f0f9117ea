//! A later AUTH of a Redis client whose token ends: a fresh token of the same tenant and role lets the session go on, and nothing else comes of it.

use super::door;
use super::redis::Service;
use crate::config::{Conflict, Source};
use crate::identity::{Principal, Shown, hears_tokens};
use crate::redis::stranger::{Credentials, Renews};
use crate::relay::Drain;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// A session's tokens are looked at no more often than this: it is done on the thread that serves others, too.
const PACE: Duration = Duration::from_secs(1);

/// What a fresh token must agree with, and what it moves.
struct Again {
    service: Arc<Service>,
    shown: Shown,
    principal: Principal,
    ends: watch::Sender<Option<SystemTime>>,
    looked: Mutex<Option<Instant>>,
}

/// The drain of a session that ends with its identity; and what takes a fresh token, where the port hears tokens.
pub(super) fn offered(service: &Arc<Service>, principal: &Principal, shown: &Shown, drain: Drain) -> (Drain, Option<Renews>) {
    if !hears_tokens(&service.policy.load(), &service.door.config.identity) {
        return (door::until(drain, principal.until), None);
    }
    let (ends, told) = watch::channel(principal.until);
    let (service, shown, principal) = (service.clone(), shown.clone(), principal.clone());
    let again = Again { service, shown, principal, ends, looked: Mutex::default() };
    (door::until_told(drain, told), Some(Renews(Arc::new(move |said| again.proves(said)))))
}

impl Again {
    fn proves(&self, said: &Credentials) -> bool {
        let door = &self.service.door;
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_some_and(|at| at.elapsed() < PACE) {
            return false;
        }
        *looked = Some(Instant::now());
        let found = self.service.identify(&self.shown, Some(said));
        let same = |found: &Principal| found.tenant == self.principal.tenant && found.role == self.principal.role;
        // With `first` another source may be the one that counts, whatever the token says.
        let counts = |found: &Principal| door.config.conflict == Conflict::Refuse || found.source == Source::Jwt;
        match found {
            Ok(found) if same(&found) && counts(&found) => {
                self.ends.send_replace(found.until);
                return true;
            }
            Ok(_) => tracing::info!(listener = door.config.name, reason = "another tenant or role", "AUTH refused"),
            Err(error) => tracing::info!(listener = door.config.name, reason = error.to_string(), "AUTH refused"),
        }
        door.attempts.failed(self.shown.peer);
        false
    }
}
