//! What can be seen of connections that clients share.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

/// The labels of a pool.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PoolLabels {
    upstream: String,
}

/// The labels of a pool's connections.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    upstream: String,
    state: &'static str,
}

/// Of all pools.
#[derive(Debug)]
pub(super) struct Pools {
    now: Family<StateLabels, Gauge>,
    events: Family<StateLabels, Counter>,
    waits: Family<PoolLabels, Histogram, fn() -> Histogram>,
}

impl Pools {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let (now, events) = (Family::default(), Family::default());
        let waits = Family::new_with_constructor((|| Histogram::new(exponential_buckets(0.000_05, 4.0, 10))) as fn() -> Histogram);
        registry.register("pool", "Connections of a pool in use and idle, and clients that wait for one", Family::clone(&now));
        registry.register(
            "pool_events",
            "Connections of a pool opened and closed, and clients that waited for too long",
            Family::clone(&events),
        );
        registry.register("pool_wait_seconds", "From a client's need of a connection to the connection", Family::clone(&waits));
        Self { now, events, waits }
    }

    /// Of one of them.
    pub(super) fn meter(&self, upstream: &str) -> PoolMeter {
        let labels = |state| StateLabels { upstream: upstream.to_owned(), state };
        let gauge = |state| self.now.get_or_create(&labels(state)).clone();
        let counter = |state| self.events.get_or_create(&labels(state)).clone();
        PoolMeter {
            now: [gauge("in_use"), gauge("idle"), gauge("waiting")],
            opened: counter("opened"),
            closed: counter("closed"),
            timed_out: counter("timed_out"),
            waits: self.waits.get_or_create(&PoolLabels { upstream: upstream.to_owned() }).clone(),
        }
    }
}

/// Counts one pool.
#[derive(Clone, Debug)]
pub struct PoolMeter {
    now: [Gauge; 3],
    opened: Counter,
    closed: Counter,
    timed_out: Counter,
    waits: Histogram,
}

impl PoolMeter {
    /// How it stands.
    pub fn set(&self, in_use: usize, idle: usize, waiting: usize) {
        for (gauge, count) in self.now.iter().zip([in_use, idle, waiting]) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A connection was made.
    pub fn opened(&self) {
        self.opened.inc();
    }

    /// One was closed.
    pub fn closed(&self) {
        self.closed.inc();
    }

    /// A client waited for too long.
    pub fn timed_out(&self) {
        self.timed_out.inc();
    }

    /// A client has one, after so long.
    pub fn lent(&self, after: Duration) {
        self.waits.observe(after.as_secs_f64());
    }
}
