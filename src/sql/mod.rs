//! SQL: read, judged, rewritten and proved. Pure: text in, text out.
//!
//! A byte's way: [`Judge`] looks the text up in [`cache`]; on a miss `parse` → `scope`/`rewrite` → `deparse` → `verify`.

pub mod catalog;
pub mod refusal;
pub mod verify;

pub use catalog::Catalog;
pub use refusal::Refusal;

use crate::policy::{Policy, TenantId};
use std::sync::Arc;

/// Text that was judged, rewritten and verified. The only thing that may be sent to PostgreSQL as a statement; made only here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing(String);

impl Outgoing {
    /// The statement text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the session has to know of a statement once it has run; the text itself does not matter any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing but white space and comments.
    Empty,
    /// SELECT, VALUES, TABLE: returns rows, changes nothing.
    Read,
    /// INSERT, UPDATE, DELETE (also inside WITH). `upsert`: may raise the wall's own marker error.
    Write {
        /// Has ON CONFLICT DO UPDATE.
        upsert: bool,
    },
    /// BEGIN … ROLLBACK, SAVEPOINT, RELEASE, SET TRANSACTION.
    Transaction,
    /// SET, RESET, SHOW of a safe setting.
    Setting,
    /// DEALLOCATE name or ALL (None) of statements prepared in the protocol.
    Deallocate(Option<String>),
    /// DISCARD ALL.
    DiscardAll,
}

/// A simple-query text, ready for one tenant.
#[derive(Clone, Debug)]
pub struct Script {
    /// What to send.
    pub outgoing: Outgoing,
    /// One entry a statement.
    pub kinds: Vec<Kind>,
}

/// A statement for the extended protocol; shared by all tenants.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What to send in Parse. The tenant stands in it as `$client_params+1` and following.
    pub outgoing: Outgoing,
    /// How many parameters the client's statement has (at least the number of types declared in its Parse).
    pub client_params: u16,
    /// Type OIDs of the tenant parameters appended after the client's; Bind gains one text-format value (the tenant id) for each.
    pub tenant_types: Vec<u32>,
    /// 1-based client parameters that were written into a tenant column: at Bind each must equal the tenant's own id.
    pub own: Vec<OwnParameter>,
    /// What it is.
    pub kind: Kind,
}

/// A client parameter that must be the tenant's own id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnParameter {
    /// 1-based.
    pub number: u16,
    /// Type of the tenant column, to compare a binary value.
    pub type_oid: u32,
}

/// Judges statements under one policy and one catalog. Cheap to clone; shared by all sessions of a listener.
#[derive(Clone, Debug)]
pub struct Judge {
    policy: Arc<Policy>,
    catalog: Arc<Catalog>,
}

impl Judge {
    /// A judge for this policy as it stands on this catalog.
    pub fn new(policy: Arc<Policy>, catalog: Arc<Catalog>) -> Self {
        Self { policy, catalog }
    }

    /// The policy it judges by.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The catalog it judges on.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// A simple query: all its statements, the tenant as a literal. Errors: the first statement's refusal (whole text refused).
    pub fn simple(&self, sql: &str, tenant: &TenantId) -> Result<Arc<Script>, Refusal> {
        let _ = (sql, tenant);
        Err(Refusal::not_understood("not written yet"))
    }

    /// One statement of the extended protocol. `declared` is the number of parameter types in the client's Parse.
    pub fn extended(&self, sql: &str, declared: u16) -> Result<Arc<Prepared>, Refusal> {
        let _ = (sql, declared);
        Err(Refusal::not_understood("not written yet"))
    }

    /// The client's own position (1-based, characters) for a position the server gave in the outgoing text; None where the place
    /// is one the wall added.
    pub fn position(&self, client_sql: &str, outgoing: &Outgoing, server_position: u32) -> Option<u32> {
        let _ = (client_sql, outgoing, server_position);
        None
    }
}
