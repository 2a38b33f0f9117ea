//! What a session is made with.

use crate::redis::acl::Switch;
use crate::redis::commands::Lacks;
use crate::redis::line::Line;
use crate::redis::names::Names;
use crate::redis::stranger::Renews;
use crate::redis::tenant::{Number, Tenant};
use std::sync::Arc;

/// What a session is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The tenant's names.
    pub names: Names,
    /// The tenant, as it may see itself.
    pub tenant: String,
    /// This connection's number, among the tenant's.
    pub id: u64,
    /// Upstream's own version.
    pub version: String,
    /// Commands of the table that upstream does not have.
    pub lacks: Arc<Lacks>,
    /// Secret of the process: cursors go out under it.
    pub secret: u64,
    /// What its connections know of each other.
    pub peers: Arc<Tenant>,
    /// The client's `host:port`.
    pub address: String,
    /// Upstream's number of its connection.
    pub upstream: Number,
    /// Upstream looks over what RESTORE gives it.
    pub sanitizes: bool,
    /// Upstream is a node of a cluster: its number of a connection says nothing where the client goes on to another.
    pub cluster: bool,
    /// For tests of the wall only: what sets the server up passes.
    pub test_passthrough: bool,
    /// Where connections upstream are shared: which one the next bytes are for.
    pub line: Option<Arc<Line>>,
    /// Unix time in microseconds.
    pub clock: fn() -> u64,
    /// Where the tenant has users of its own on the server: how its connection changes between them.
    pub switch: Option<Arc<Switch>>,
    /// Where tokens end: what takes a fresh one.
    pub again: Option<Renews>,
}
