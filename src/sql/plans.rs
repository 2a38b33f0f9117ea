//! Simple queries that differ only in their constants share what was proved: a plan a shape.
//!
//! Why a plan holds for every text of its shape: the shape with parameters for the constants was judged and proved as any statement of the
//! extended protocol, so nothing in it rests on a value; and its text, filled with the constants of one client's text, was byte by byte what
//! judging that text itself gave. PostgreSQL's grammar sees kinds of tokens and not values, so every other filling is read as that one was.

use super::cache::{ENTRIES, ENTRY_BYTES};
use super::literals::{Literal, Shape};
use super::outgoing::Template;
use super::private::Private;
use super::{Assurance, Judge, Judged, Kind, Refusal, Script, parse};
use crate::policy::TenantId;
use quick_cache::{Weighter, sync};
use std::sync::Arc;

/// Upper bound of what is kept, in bytes; see [`super::cache`].
const BYTES_MAX: u64 = 4 << 20;

/// What is known of a shape.
#[derive(Clone, Debug)]
pub enum Known {
    /// One text of it came by.
    Seen,
    /// Its texts must be judged one by one.
    Single,
    /// They share this.
    Plan(Arc<Plan>),
}

/// A proved text with the tenant and the constants open.
#[derive(Debug)]
pub struct Plan {
    template: Arc<Template>,
    kinds: Arc<[Kind]>,
    assurance: Arc<Assurance>,
    /// Constants that are written into a tenant column, by number from 0.
    own: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Box<str>, Known> for Bytes {
    fn weight(&self, key: &Box<str>, known: &Known) -> u64 {
        let plan = if let Known::Plan(plan) = known { plan.template.as_str().len() } else { 0 };
        (key.len() + plan + ENTRY_BYTES) as u64
    }
}

/// Shared by all sessions of a judge.
#[derive(Debug)]
pub struct Plans(sync::Cache<Box<str>, Known, Bytes>);

impl Default for Plans {
    fn default() -> Self {
        Self(sync::Cache::with_weighter(ENTRIES, BYTES_MAX, Bytes))
    }
}

impl Plans {
    /// What is known of a shape, if anything is.
    pub fn get(&self, shape: &Shape) -> Option<Known> {
        self.0.get(shape.key.as_str())
    }

    /// Keeps it.
    pub fn put(&self, shape: Shape, known: Known) {
        self.0.insert(shape.key.into(), known);
    }
}

impl Plan {
    /// The text for one tenant. Errors: 42501 where a constant is written into a tenant column and is not this tenant.
    pub fn script(&self, sql: &str, shape: &Shape, tenant: &TenantId) -> Result<Arc<Script>, Refusal> {
        let foreign = |literal: &Literal| literal.value(sql) != tenant.as_str();
        if self.own.iter().any(|number| shape.literals.get(*number).is_none_or(foreign)) {
            return Err(super::foreign_tenant());
        }
        let outgoing = self.template.with(tenant.as_str(), sql, shape);
        Ok(Arc::new(Script { outgoing, kinds: self.kinds.clone(), assurance: self.assurance.clone() }))
    }
}

impl Judge {
    /// The plan of a text's shape; None where there can be none. `judged` is what judging the text itself gave.
    pub(super) fn plan(&self, sql: &str, shape: &Shape, judged: &Judged, private: &Private) -> Option<Arc<Plan>> {
        let [statement] = judged.statements.as_slice() else { return None };
        if !matches!(statement.kind, Kind::Read | Kind::Write { .. }) || !statement.unlike_literals.is_empty() || statement.asked {
            return None;
        }
        constants_stand_there(sql, shape)?;
        let declared = u16::try_from(shape.literals.len()).ok()?;
        let open = self.judge(shape.text(), Some(declared), private, false).ok()?;
        let prepared = open.prepared.as_ref()?;
        let fits = prepared.kind == statement.kind && prepared.client_params == declared && prepared.channels.is_empty();
        if open.private || !fits {
            return None;
        }
        let template = Arc::new(open.template.with_constants(open.first).ok()?);
        let tenant = private.tenant.as_ref()?.as_str();
        if template.with(tenant, sql, shape).as_str() != judged.template.filled(tenant).as_str() {
            return None;
        }
        let own = prepared.own.iter().map(|own| usize::from(own.number).checked_sub(1)).collect::<Option<Vec<_>>>()?;
        if own.len() != statement.own_literals.len() {
            return None;
        }
        let (kinds, assurance) = (Arc::from([statement.kind.clone()]), prepared.assurance.clone());
        Some(Arc::new(Plan { template, kinds, assurance, own }))
    }
}

/// PostgreSQL's scanner sees a constant at each place, and nothing else there.
fn constants_stand_there(sql: &str, shape: &Shape) -> Option<()> {
    use pg_query::protobuf::Token;
    let tokens = parse::scan(sql).ok()?.tokens;
    let constant = [Token::Iconst, Token::Fconst, Token::Sconst].map(|t| t as i32);
    for literal in &shape.literals {
        let (end, start) = (i32::try_from(literal.end).ok()?, i32::try_from(literal.digits(sql)).ok()?);
        tokens.iter().find(|t| t.start == start && t.end == end && constant.contains(&t.token))?;
    }
    Some(())
}

#[cfg(test)]
#[path = "plans_tests.rs"]
mod tests;
