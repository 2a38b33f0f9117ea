//! Cancel keys: the wall's own, for the server's never reach a client. Source: the manual's "Message Flow", section "Canceling Requests in Progress".

use super::ground::Ground;
use super::{Service, Whom};
use crate::policy::Peer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a client is told: a process number and a secret.
pub type Key = (u32, Vec<u8>);

/// Where to send what a key asks for, and whom it means.
pub type Means = (Arc<Ground>, Whom);

/// The keys of live connections, by number: each number is drawn, so that it tells nothing of how many there were, and one connection's at a time.
#[derive(Default)]
pub struct CancelKeys(Mutex<HashMap<u32, Held>>);

struct Held {
    secret: [u8; 4],
    means: Option<Means>,
}

impl CancelKeys {
    /// A new key, which means nobody yet. Errors: the system gives no randomness.
    pub fn issue(&self) -> Result<Key, getrandom::Error> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut drawn = [0; 8];
            getrandom::fill(&mut drawn)?;
            let [a, b, c, d, secret @ ..] = drawn;
            // Clients keep it as a number with a sign.
            let number = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
            if number != 0 && !keys.contains_key(&number) {
                keys.insert(number, Held { secret, means: None });
                return Ok((number, secret.to_vec()));
            }
        }
    }

    /// From now on the key means this.
    pub fn point(&self, key: &Key, means: Means) {
        if let Some(held) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&key.0) {
            held.means = Some(means);
        }
    }

    /// Its connection has ended.
    pub fn remove(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.0);
    }

    /// What a key means; None for one that is nobody's. Errors: it is wrong.
    fn find(&self, (number, secret): &Key) -> Result<Option<Means>, ()> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = keys.get(number).ok_or(())?;
        // In a time that does not tell where they differ.
        let same = secret.len() == held.secret.len() && secret.iter().zip(held.secret).fold(0, |all, (a, b)| all | (a ^ b)) == 0;
        if same { Ok(held.means.clone()) } else { Err(()) }
    }
}

/// Does what a CancelRequest asks for. Wrong ones are counted; who sends many waits before the next is looked at.
pub(super) async fn cancel(service: &Service, peer: Peer, key: &Key) {
    if service.cancels.wait(peer, None).await.is_err() {
        return;
    }
    let done = match service.keys.find(key) {
        Ok(Some((ground, Whom::Backend(key)))) => ground.target.cancel(&key).await,
        Ok(Some((ground, Whom::Holder(holder)))) => holder.cancel(&ground.target).await,
        Ok(None) => Ok(()),
        Err(()) => {
            service.metrics.connection(&service.door.config.name, "wrong_cancel");
            service.cancels.failed(peer);
            Ok(())
        }
    };
    if let Err(error) = done {
        tracing::warn!(listener = service.door.config.name, %error, "cancel failed");
    }
}

#[cfg(test)]
#[path = "cancel_tests.rs"]
mod tests;
