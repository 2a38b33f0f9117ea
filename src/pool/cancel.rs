//! Cancel requests reach a backend only while the client that asks has it: one that is under way keeps the connection from everybody else.

use super::Loan;
use crate::upstream::postgres::{ConnectError, Target};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// From the request to the server's closing of its connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server process that may be cancelled, and what is under way to it.
#[derive(Debug)]
pub struct Backend {
    key: (u32, Vec<u8>),
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    under_way: usize,
    /// One of them may still arrive, whenever that is.
    lost: bool,
    /// Given back while some were under way.
    parked: Option<Loan>,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

/// What a client's cancel key stands for: the backend that it has at the moment.
#[derive(Debug, Default)]
pub struct Holder(Mutex<Option<Arc<Backend>>>);

impl Backend {
    /// Of this key.
    pub fn new(key: (u32, Vec<u8>)) -> Self {
        Self { key, requests: Mutex::default() }
    }
}

impl Holder {
    /// The client has this one now.
    pub fn holds(&self, backend: Option<Arc<Backend>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = backend;
    }

    /// The client gives its connection back; others get it when no request of this client's can reach it any more.
    pub fn give_back(&self, loan: Loan) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(backend) = held.take() else { return };
        let mut requests = backend.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.under_way > 0 {
            requests.parked = Some(loan);
        } else if !requests.lost {
            drop(requests);
            loan.give_back();
        }
    }

    /// Has the server cancel what the client's backend does, where it has one.
    pub async fn cancel(&self, target: &Target) -> Result<(), ConnectError> {
        let backend = {
            let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(backend) = held.clone() else { return Ok(()) };
            // Counted while the client surely has it.
            backend.requests.lock().unwrap_or_else(PoisonError::into_inner).under_way += 1;
            backend
        };
        let mut request = Request { backend, arrived: false };
        // The server closes once the signal is sent: what its backend reads after that is not hit.
        let done = tokio::time::timeout(PATIENCE, target.cancel(&request.backend.key)).await;
        request.arrived = matches!(done, Ok(Ok(())));
        done.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }
}

/// Counted until it is dropped.
struct Request {
    backend: Arc<Backend>,
    arrived: bool,
}

impl Drop for Request {
    fn drop(&mut self) {
        let parked = {
            let mut requests = self.backend.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.under_way -= 1;
            requests.lost |= !self.arrived;
            if requests.under_way > 0 {
                return;
            }
            let parked = requests.parked.take();
            // Dropped, the connection is closed.
            if requests.lost { parked.map(Err) } else { parked.map(Ok) }
        };
        if let Some(Ok(loan)) = parked {
            loan.give_back();
        }
    }
}
