//! The PostgreSQL wire: framing, startup, and a client's session behind the wall.
//!
//! A byte's way: [`wire`] cuts frames → [`session`] has what must be judged judged → [`bind`] adds the tenant → upstream;
//! back: [`replies`] pops what each forwarded message expects → [`errors`] takes out what the wall added → client.
//! COPY: [`copying`] keeps the state, `copy` adds the tenant to each row. Absent on purpose: FunctionCall, replication.

pub mod audit;
pub mod bind;
mod copy;
mod copying;
mod dependents;
mod effects;
pub mod encode;
pub mod errors;
mod expect;
pub mod header;
mod hidden;
pub mod lent;
mod names;
mod notices;
mod own;
pub mod own_schema;
pub mod parameters;
mod replies;
mod reread;
pub mod routing;
mod rows;
mod scripts;
pub mod session;
pub mod shared;
pub mod startup;
mod unlisted;
pub mod wire;

pub use session::Session;

use crate::policy::TenantId;
use crate::sql::catalog::Rows;
use crate::sql::home::{Question, queries};
use crate::sql::private::{Declared, Temps};
use crate::sql::{Catalog, Judge, Outgoing, Prepared, Refusal, Script};
use std::collections::HashMap;
use std::sync::Arc;

/// Who judges statements for a session. A seam: sessions are tested without PostgreSQL's grammar.
pub trait Judging: Send {
    /// Differs whenever the policy or the catalog does.
    fn version(&self) -> (u64, u64);
    /// A simple query's whole text. Errors: the first statement's refusal.
    fn simple(&self, sql: &str, tenant: &TenantId) -> Result<Arc<Script>, Refusal>;
    /// The same in a session that has temporary tables.
    fn simple_for(&self, sql: &str, tenant: &TenantId, _temps: &Temps) -> Result<Arc<Script>, Refusal> {
        self.simple(sql, tenant)
    }
    /// Of a text that is refused: its first statements, as many as are let through, and why the next one is not. Errors: the refusal, where that is the first.
    fn simple_before(&self, _sql: &str, _tenant: &TenantId, _temps: &Temps, refusal: Refusal) -> Result<(Arc<Script>, Refusal), Refusal> {
        Err(refusal)
    }
    /// [`Judging::extended`] in a session that has temporary tables.
    fn extended_for(&self, sql: &str, declared: Declared, tenant: &TenantId, _temps: &Temps) -> Result<Arc<Prepared>, Refusal> {
        self.extended(sql, declared.count, tenant)
    }
    /// One statement of the extended protocol; `declared` counts the parameter types in Parse.
    fn extended(&self, sql: &str, declared: u16, tenant: &TenantId) -> Result<Arc<Prepared>, Refusal>;
    /// What upstream has, where it is known.
    fn catalog(&self) -> Option<&Catalog> {
        None
    }
    /// The tenant's own schema, which the client knows as `public`.
    fn own_schema(&self) -> Option<&str> {
        None
    }
    /// Is it of a tenant's own place, where tenants change the catalog themselves?
    fn is_own_place(&self) -> bool {
        false
    }
    /// What to ask for a judge of the catalog as it is now.
    fn catalog_queries(&self) -> Vec<Question> {
        Vec::new()
    }
    /// A judge by the same policy on the catalog that these answers tell; None where they tell none.
    fn reread(&self, _answers: &HashMap<&'static str, Rows>) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
    /// Where in the client's text a place of the outgoing text stands (1-based characters); None for the wall's own.
    fn position(&self, client_sql: &str, outgoing: &Outgoing, server_position: u32) -> Option<u32> {
        outgoing.client_position(client_sql, server_position)
    }
}

impl Judging for Judge {
    fn version(&self) -> (u64, u64) {
        (self.policy().version, Judge::catalog(self).version)
    }

    fn catalog(&self) -> Option<&Catalog> {
        Some(Judge::catalog(self))
    }

    fn is_own_place(&self) -> bool {
        Judge::catalog(self).is_own_place()
    }

    fn catalog_queries(&self) -> Vec<Question> {
        queries(self.policy(), &Judge::catalog(self).home)
    }

    fn reread(&self, answers: &HashMap<&'static str, Rows>) -> Option<Self> {
        let catalog = Catalog::build_for(self.policy(), &Judge::catalog(self).home, answers).ok()?;
        Some(Judge::new(self.policy().clone(), Arc::new(catalog)).for_role(self.role()))
    }

    fn own_schema(&self) -> Option<&str> {
        Judge::catalog(self).home.schema()
    }

    fn simple(&self, sql: &str, tenant: &TenantId) -> Result<Arc<Script>, Refusal> {
        Judge::simple(self, sql, tenant)
    }

    fn extended(&self, sql: &str, declared: u16, tenant: &TenantId) -> Result<Arc<Prepared>, Refusal> {
        Judge::extended(self, sql, declared, tenant)
    }

    fn simple_for(&self, sql: &str, tenant: &TenantId, temps: &Temps) -> Result<Arc<Script>, Refusal> {
        Judge::simple_for(self, sql, tenant, temps)
    }

    fn simple_before(&self, sql: &str, tenant: &TenantId, temps: &Temps, refusal: Refusal) -> Result<(Arc<Script>, Refusal), Refusal> {
        Judge::simple_before(self, sql, tenant, temps, refusal)
    }

    fn extended_for(&self, sql: &str, declared: Declared, tenant: &TenantId, temps: &Temps) -> Result<Arc<Prepared>, Refusal> {
        Judge::extended_for(self, sql, declared, tenant, temps)
    }
}
