//! What can be seen of the wall: metrics in Prometheus' text form, and logs by `tracing`. Never statement text, keys or values.

mod pool;

pub use pool::PoolMeter;

use crate::session::Fact;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Tenants with a label of their own; further ones are counted as `other`.
const TENANT_LABELS_MAX: usize = 200;
/// Statements of one connection whose start is remembered; further ones in flight are not timed.
const STARTS_MAX: usize = 64;

/// The labels of connections.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConnectionLabels {
    listener: String,
    outcome: String,
}

/// The labels of statements.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatementLabels {
    listener: String,
    tenant: String,
    verdict: String,
}

/// The labels of statements by how their rows are checked.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RowLabels {
    listener: String,
    tenant: String,
    checked: String,
}

/// The labels of what is told by listener and tenant alone.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TenantLabels {
    listener: String,
    tenant: String,
}

/// The labels of connections upstream.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabels {
    listener: String,
    kind: &'static str,
}

/// What happens to connections upstream where clients share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// One of this kind opened, or a client took it: `shared`, `own`.
    Opened(&'static str),
    /// It closed, or the client left it.
    Closed(&'static str),
    /// Clients lost something: `lost`, a shared connection with their commands; `cut_off`, one that did not read.
    Failed(&'static str),
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Family<ConnectionLabels, Counter>,
    open: Family<ConnectionLabels, Gauge>,
    statements: Family<StatementLabels, Counter>,
    latency: Family<TenantLabels, Histogram, fn() -> Histogram>,
    alone: Family<TenantLabels, Counter>,
    rows: Family<RowLabels, Counter>,
    mismatches: Family<TenantLabels, Counter>,
    withheld: Family<TenantLabels, Counter>,
    reloads: Family<ConnectionLabels, Counter>,
    upstream_open: Family<UpstreamLabels, Gauge>,
    upstream_failed: Family<UpstreamLabels, Counter>,
    pools: pool::Pools,
    tenants: Mutex<BTreeMap<String, u32>>,
    labels: Mutex<BTreeSet<String>>,
    next: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("partywall");
        let (connections, open, statements) = (Family::default(), Family::default(), Family::default());
        let latency = Family::new_with_constructor((|| Histogram::new(exponential_buckets(0.000_05, 2.0, 18))) as fn() -> Histogram);
        registry.register("connections", "Connections by how they began", connections.clone());
        registry.register("open_connections", "Connections open now", Family::clone(&open));
        registry.register("statements", "Statements and commands by verdict", statements.clone());
        registry.register("latency_seconds", "From a statement's judgement to its whole answer", latency.clone());
        let alone = Family::default();
        let text = "Texts sent to PostgreSQL that the second parser could not read";
        registry.register("second_opinion_absent", text, Family::clone(&alone));
        let (rows, mismatches) = (Family::default(), Family::default());
        registry.register("verify_rows", "Statements to be checked row by row, by how much could be", Family::clone(&rows));
        registry.register("row_mismatch", "Sessions ended because a row was another tenant's", Family::clone(&mismatches));
        let withheld = Family::default();
        registry.register("withheld_notices", "Notices of PostgreSQL's that did not reach the client", Family::clone(&withheld));
        let reloads = Family::default();
        registry.register("reloads", "Policies and catalogs read again, by what came of it", Family::clone(&reloads));
        let pools = pool::Pools::new(&mut registry);
        let (upstream_open, upstream_failed) = (Family::default(), Family::default());
        registry.register("multiplex_connections", "Redis connections that clients share, and that one has", Family::clone(&upstream_open));
        registry.register("multiplex_failures", "Shared Redis connections lost, clients cut off", Family::clone(&upstream_failed));
        let (tenants, labels, next) = (Mutex::default(), Mutex::default(), AtomicU64::new(1));
        Self {
            registry,
            connections,
            open,
            statements,
            latency,
            alone,
            rows,
            mismatches,
            withheld,
            reloads,
            upstream_open,
            upstream_failed,
            pools,
            tenants,
            labels,
            next,
        }
    }
}

impl Metrics {
    /// Prometheus' text form.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }

    /// Counts how a connection began: `served`, or the reason why not.
    pub fn connection(&self, listener: &str, outcome: &str) {
        self.connections.get_or_create(&ConnectionLabels { listener: listener.to_owned(), outcome: outcome.to_owned() }).inc();
    }

    /// Counts what came of a policy or catalog that was read again.
    pub fn reload(&self, listener: &str, outcome: &str) {
        self.reloads.get_or_create(&ConnectionLabels { listener: listener.to_owned(), outcome: outcome.to_owned() }).inc();
    }

    /// Counts what happens to connections upstream.
    pub fn upstream(&self, listener: &str, event: Upstream) {
        let labels = |kind| UpstreamLabels { listener: listener.to_owned(), kind };
        match event {
            Upstream::Opened(kind) => drop(self.upstream_open.get_or_create(&labels(kind)).inc()),
            Upstream::Closed(kind) => drop(self.upstream_open.get_or_create(&labels(kind)).dec()),
            Upstream::Failed(kind) => drop(self.upstream_failed.get_or_create(&labels(kind)).inc()),
        }
    }

    /// Counts a pool of this name.
    pub fn pool(&self, upstream: &str) -> PoolMeter {
        self.pools.meter(upstream)
    }

    /// Open connections by tenant.
    pub fn tenants(&self) -> BTreeMap<String, u32> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number for a connection, by which its log lines are found.
    pub fn connection_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The tenant's label; once as many tenants as may be have one of their own, `other` for the rest.
    fn label(&self, tenant: &str) -> String {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        if !labels.contains(tenant) {
            if labels.len() >= TENANT_LABELS_MAX {
                return "other".to_owned();
            }
            labels.insert(tenant.to_owned());
        }
        tenant.to_owned()
    }
}

/// Who a connection is, for its meter.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// The tenant.
    pub tenant: &'a str,
    /// Of [`Metrics::connection_id`].
    pub connection: u64,
}

/// Who is audited, and why it acts.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The URI name of its certificate.
    pub principal: String,
    /// In its own words.
    pub reason: String,
}

/// Counts one connection; it counts as open while this lives.
#[derive(Debug)]
pub struct Meter {
    metrics: Arc<Metrics>,
    listener: String,
    tenant: String,
    connection: u64,
    permitted: Counter,
    latency: Histogram,
    label: String,
    starts: Mutex<VecDeque<Instant>>,
    audit: Option<Audit>,
    /// Set when upstream's catalog is another than the judge's.
    pub stale: Arc<AtomicBool>,
}

impl Meter {
    /// None where the tenant has `limit` connections already.
    pub fn open(metrics: &Arc<Metrics>, who: Who<'_>, limit: Option<u32>, stale: Arc<AtomicBool>) -> Option<Self> {
        let Who { listener, tenant, connection } = who;
        {
            let mut tenants = metrics.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            let open = tenants.get(tenant).copied().unwrap_or(0);
            if limit.is_some_and(|limit| open >= limit) {
                return None;
            }
            tenants.insert(tenant.to_owned(), open + 1);
        }
        let label = metrics.label(tenant);
        let permitted = StatementLabels { listener: listener.to_owned(), tenant: label.clone(), verdict: "permitted".into() };
        let permitted = metrics.statements.get_or_create(&permitted).clone();
        let latency = TenantLabels { listener: listener.to_owned(), tenant: label.clone() };
        let latency = metrics.latency.get_or_create(&latency).clone();
        metrics.open.get_or_create(&ConnectionLabels { listener: listener.to_owned(), outcome: "open".into() }).inc();
        metrics.connection(listener, "served");
        let (metrics, listener, tenant) = (metrics.clone(), listener.to_owned(), tenant.to_owned());
        Some(Self { metrics, listener, tenant, connection, permitted, latency, label, starts: Mutex::default(), audit: None, stale })
    }

    /// From now on each statement is told.
    pub fn audit(&mut self, audit: Audit) {
        self.audit = Some(audit);
    }

    /// Logs that the connection serves its tenant.
    pub fn begun(&self, source: &dyn std::fmt::Debug) {
        tracing::info!(listener = self.listener, tenant = self.tenant, connection = self.connection, ?source, "connected");
    }

    /// Logs how the connection ended.
    pub fn ended(&self, end: &dyn std::fmt::Debug) {
        tracing::info!(listener = self.listener, tenant = self.tenant, connection = self.connection, ?end, "connection ended");
    }

    /// Counts and takes what a session said.
    pub fn count(&self, facts: &mut Vec<Fact>) {
        for fact in facts.drain(..) {
            let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            match fact {
                Fact::Permitted => {
                    self.permitted.inc();
                    if starts.len() < STARTS_MAX {
                        starts.push_back(Instant::now());
                    }
                }
                Fact::Refused(state) => {
                    tracing::info!(listener = self.listener, tenant = self.tenant, connection = self.connection, state, "refused");
                    let labels = StatementLabels {
                        listener: self.listener.clone(),
                        tenant: self.label.clone(),
                        verdict: format!("refused_{state}"),
                    };
                    self.metrics.statements.get_or_create(&labels).inc();
                }
                Fact::Audited(statement) => self.tell(&statement),
                Fact::Alone => {
                    let (listener, tenant) = (self.listener.clone(), self.label.clone());
                    tracing::debug!(listener, tenant, connection = self.connection, "no second opinion");
                    self.metrics.alone.get_or_create(&TenantLabels { listener, tenant }).inc();
                }
                Fact::Rows(checked) => {
                    let (listener, tenant) = (self.listener.clone(), self.label.clone());
                    let checked = checked.to_owned();
                    self.metrics.rows.get_or_create(&RowLabels { listener, tenant, checked }).inc();
                }
                Fact::RowMismatch => {
                    let (listener, tenant) = (self.listener.clone(), self.label.clone());
                    tracing::error!(listener, tenant, connection = self.connection, "a row of another tenant came back; session ended");
                    self.metrics.mismatches.get_or_create(&TenantLabels { listener, tenant }).inc();
                }
                Fact::Withheld(place) => {
                    let (listener, tenant) = (self.listener.clone(), self.label.clone());
                    tracing::debug!(listener, tenant, connection = self.connection, %place, "notice withheld");
                    self.metrics.withheld.get_or_create(&TenantLabels { listener, tenant }).inc();
                }
                Fact::Answered => {
                    if let Some(start) = starts.pop_front() {
                        self.latency.observe(start.elapsed().as_secs_f64());
                    }
                }
                Fact::CatalogStale => self.stale.store(true, Ordering::Relaxed),
            }
        }
    }
}

impl Meter {
    /// A line of the audit log.
    fn tell(&self, statement: &str) {
        let (principal, reason) = self.audit.as_ref().map_or(("", ""), |a| (a.principal.as_str(), a.reason.as_str()));
        let (listener, tenant, connection) = (&self.listener, &self.tenant, self.connection);
        tracing::info!(target: "audit", listener, tenant, connection, principal, reason, statement, "statement");
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.metrics.open.get_or_create(&ConnectionLabels { listener: self.listener.clone(), outcome: "open".into() }).dec();
        let mut tenants = self.metrics.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = tenants.get_mut(&self.tenant) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
