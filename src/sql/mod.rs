//! SQL: read, judged, rewritten and proved. Pure: text in, text out.
//!
//! A byte's way: [`Judge`] looks the text up in [`cache`]; on a miss `parse` → `scope`/`rewrite` → `deparse` → `verify`.

/// Whether a mutant leaves this protection out: never, save in a build for the mutation check.
#[cfg(not(feature = "mutants"))]
macro_rules! left_out {
    ($context:expr, $which:ident) => {
        // Not the bare literal, so that the linter does not see through it.
        std::convert::identity(false)
    };
}
#[cfg(feature = "mutants")]
macro_rules! left_out {
    ($context:expr, $which:ident) => {
        $context.mutant == Some(crate::sql::mutants::Mutant::$which)
    };
}

pub mod answers;
pub mod bounds;
mod cache;
pub mod catalog;
pub mod catalogs;
mod columns;
pub mod comments;
pub mod conversions;
mod explain;
pub mod fingerprint;
mod first;
pub mod functions;
pub mod hazards;
mod hidden;
pub mod home;
mod ids;
mod kind;
pub mod links;
mod literals;
pub mod live;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod neutral;
mod newer;
mod nodes;
pub mod offline;
mod outgoing;
mod parse;
pub mod paths;
mod plans;
pub mod private;
mod queries;
pub mod refusal;
mod rewrite;
pub mod rights;
pub mod rows;
mod scope;
pub mod second_opinion;
mod sequences;
pub mod settings;
mod syntax;
mod traces;
mod tree;
pub mod verify;
pub mod views;

pub use catalog::Catalog;
pub use explain::{Explanation, Reason};
pub use kind::{CopyFormat, CopyIn, Gain, Kind, Preparation};
pub use outgoing::Outgoing;
pub use refusal::Refusal;
pub use traces::Traces;

use crate::policy::{Policy, Role, SecondOpinion, TenantId, VerifyRows};
use private::{Declared, Private, Temps};
use rows::{Checked, RowCheck, RowType};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A simple-query text, ready for one tenant.
#[derive(Clone, Debug)]
pub struct Script {
    /// What to send.
    pub outgoing: Outgoing,
    /// One entry a statement.
    pub kinds: Arc<[Kind]>,
    /// What else is known of it.
    pub assurance: Arc<Assurance>,
}

/// How far a text was looked at beside its proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assurance {
    /// The second parser could not read it: its relations stand on one parser's word.
    pub alone: bool,
    /// What is checked in its rows, one entry a statement; empty where nothing is.
    pub rows: Vec<RowCheck>,
    /// What it may leave on its connection.
    pub traces: Traces,
}

impl Assurance {
    /// The columns that the wall added to what the statement of this index returns.
    pub fn columns(&self, index: usize) -> &[Checked] {
        self.rows.get(index).map(|r| r.columns.as_slice()).unwrap_or_default()
    }

    /// Which columns of the statement of this index are rows of a table, and their types.
    pub fn row_types(&self, index: usize) -> &[RowType] {
        self.rows.get(index).map(|r| r.row_types.as_slice()).unwrap_or_default()
    }
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
    /// 1-based client parameters that name a channel: at Bind each becomes the tenant's own channel of that name.
    pub channels: Vec<u16>,
    /// What it is.
    pub kind: Kind,
    /// What else is known of it.
    pub assurance: Arc<Assurance>,
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
    cache: Arc<cache::Cache>,
    /// The same for texts whose rows are checked.
    checked: Arc<cache::Cache>,
    plans: Arc<plans::Plans>,
    /// For sessions with another search_path: judges with the same policy and names looked up there.
    paths: Arc<Mutex<BTreeMap<Arc<[String]>, Judge>>>,
    /// Judges for roles; this one's own.
    roles: Arc<Mutex<HashMap<Role, Judge>>>,
    role: Role,
    /// Counts texts, to take samples.
    texts: Arc<AtomicU32>,
    #[cfg(feature = "mutants")]
    mutation: Option<mutants::Mutation>,
}

/// A judged text with the tenant still open; what the cache holds.
#[derive(Debug)]
pub struct Judged {
    template: Arc<outgoing::Template>,
    /// Number of the first parameter that carries the tenant.
    first: u16,
    /// Holds what is one session's own.
    private: bool,
    assurance: Arc<Assurance>,
    statements: Vec<Statement>,
    /// A simple query's, where nothing of the tenant stands in the text.
    script: Option<Arc<Script>>,
    /// An extended one's, where the tenant is a parameter.
    prepared: Option<Arc<Prepared>>,
}

#[derive(Debug)]
struct Statement {
    kind: Kind,
    own_literals: Vec<String>,
    unlike_literals: Vec<String>,
    /// What other constants say was asked.
    asked: bool,
}

impl Judge {
    /// A judge for this policy as it stands on this catalog.
    pub fn new(policy: Arc<Policy>, catalog: Arc<Catalog>) -> Self {
        Self {
            policy,
            catalog,
            cache: Arc::default(),
            checked: Arc::default(),
            plans: Arc::default(),
            paths: Arc::default(),
            roles: Arc::default(),
            role: Role::default(),
            texts: Arc::default(),
            #[cfg(feature = "mutants")]
            mutation: None,
        }
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
        self.simple_for(sql, tenant, &Temps::default())
    }

    /// The same in a session that has temporary tables.
    pub fn simple_for(&self, sql: &str, tenant: &TenantId, temps: &Temps) -> Result<Arc<Script>, Refusal> {
        let Some(kept) = self.comments(sql) else { return self.simple_bare(sql, tenant, temps) };
        let script = self.simple_bare(&kept.text, tenant, temps)?;
        Ok(Arc::new(Script { outgoing: kept.around(&script.outgoing), ..(*script).clone() }))
    }

    fn simple_bare(&self, sql: &str, tenant: &TenantId, temps: &Temps) -> Result<Arc<Script>, Refusal> {
        if let Some(judge) = self.elsewhere(temps) {
            return judge.simple_bare(sql, tenant, temps);
        }
        self.catalog.takes_tenant(tenant)?;
        let private = Private { tenant: Some(tenant.clone()), temps: temps.clone(), loose_parameters: false };
        let rows = self.wants_rows();
        let shape = if rows || temps.may_be_named(sql) { None } else { literals::shape(sql) };
        let known = shape.as_ref().and_then(|shape| self.plans.get(shape));
        if let (Some(shape), Some(plans::Known::Plan(plan))) = (&shape, &known) {
            return plan.script(sql, shape, tenant);
        }
        let judged = self.judged(sql, None, &private, rows)?;
        judged.statements.iter().try_for_each(|s| s.fits(tenant))?;
        match (shape, known) {
            (None, _) | (_, Some(plans::Known::Single | plans::Known::Plan(_))) => {}
            (Some(shape), None) => self.plans.put(shape, plans::Known::Seen),
            // Worth a second judgement only when a second text came.
            (Some(shape), Some(plans::Known::Seen)) => {
                let plan = self.plan(sql, &shape, &judged, &private);
                self.plans.put(shape, plan.map_or(plans::Known::Single, plans::Known::Plan));
            }
        }
        Ok(match &judged.script {
            Some(script) if judged.template.is_closed() => script.clone(),
            script => {
                let kinds = script.as_ref().map_or_else(|| Arc::from([]), |s| s.kinds.clone());
                let assurance = judged.assurance.clone();
                Arc::new(Script { outgoing: judged.template.filled(tenant.as_str()), kinds, assurance })
            }
        })
    }

    /// One statement of the extended protocol. `declared` is the number of parameter types in the client's Parse.
    pub fn extended(&self, sql: &str, declared: u16, tenant: &TenantId) -> Result<Arc<Prepared>, Refusal> {
        self.extended_for(sql, Declared { count: declared, ..Declared::default() }, tenant, &Temps::default())
    }

    /// The same in a session that has temporary tables.
    pub fn extended_for(&self, sql: &str, declared: Declared, tenant: &TenantId, temps: &Temps) -> Result<Arc<Prepared>, Refusal> {
        let Some(kept) = self.comments(sql) else { return self.extended_bare(sql, declared, tenant, temps) };
        let prepared = self.extended_bare(&kept.text, declared, tenant, temps)?;
        Ok(Arc::new(Prepared { outgoing: kept.around(&prepared.outgoing), ..(*prepared).clone() }))
    }

    fn extended_bare(&self, sql: &str, declared: Declared, tenant: &TenantId, temps: &Temps) -> Result<Arc<Prepared>, Refusal> {
        if let Some(judge) = self.elsewhere(temps) {
            return judge.extended_bare(sql, declared, tenant, temps);
        }
        self.catalog.takes_tenant(tenant)?;
        let loose_parameters = (declared.loose && self.catalog.converts) || declared.loose_array;
        let private = Private { tenant: Some(tenant.clone()), temps: temps.clone(), loose_parameters };
        let judged = self.judged(sql, Some(declared.count), &private, self.wants_rows())?;
        judged.statements.iter().try_for_each(|s| s.fits(tenant))?;
        if let Some(prepared) = &judged.prepared {
            return Ok(prepared.clone());
        }
        let kind = judged.statements.first().map_or(Kind::Empty, |s| s.kind.clone());
        let outgoing = judged.template.filled(tenant.as_str());
        let (tenant_types, own, channels, assurance) = (Vec::new(), Vec::new(), Vec::new(), judged.assurance.clone());
        Ok(Arc::new(Prepared { outgoing, client_params: declared.count, tenant_types, own, channels, kind, assurance }))
    }

    fn judged(&self, sql: &str, declared: Option<u16>, private: &Private, rows: bool) -> Result<Arc<Judged>, Refusal> {
        let cache = if rows { &self.checked } else { &self.cache };
        // What is said of parameters is no part of the key.
        if !private.temps.may_be_named(sql)
            && !private.loose_parameters
            && let Some(hit) = cache.get(sql, declared)
        {
            return Ok(hit);
        }
        let judged = Arc::new(self.judge(sql, declared, private, rows)?);
        if !judged.private && !private.loose_parameters {
            cache.put(sql, declared, judged.clone());
        }
        Ok(judged)
    }

    /// Whether the rows of the next text are checked.
    fn wants_rows(&self) -> bool {
        match self.policy.postgres.as_ref().map(|p| p.verify_rows) {
            None | Some(VerifyRows::Off) => false,
            Some(VerifyRows::Sample) => self.texts.fetch_add(1, Ordering::Relaxed).is_multiple_of(VerifyRows::EVERY),
            Some(VerifyRows::All) => true,
        }
    }

    fn judge(&self, sql: &str, declared: Option<u16>, private: &Private, rows: bool) -> Result<Judged, Refusal> {
        let stmts = parse::parse(sql)?;
        if (1..160_000).contains(&self.catalog.server_version) {
            parse::numbers_as_before_16(sql)?;
        }
        if declared.is_some() && stmts.len() > 1 {
            return Err(Refusal::syntax("cannot insert multiple commands into a prepared statement"));
        }
        let trees = tree::statements(&stmts).map_err(|e| unproved(e.to_string()))?;
        let (mut done, first) = self.rewritten(sql, (&stmts, &trees), declared, private, rows)?;
        let text = parse::deparse(done.iter_mut().map(|d| std::mem::take(&mut d.stmt)).collect())?;
        let client = verify::Client { text: sql, stmts: &trees };
        let (proof, assurance) = self.prove(client, &text, first, private, &done)?;

        let assurance = Arc::new(assurance);
        let private = done.iter().any(|d| d.private);
        let template = Arc::new(match proof {
            Some(proof) => outgoing::Template::proved(text, first, proof.places, &proof.parameters)?,
            None => outgoing::Template::new(text, first, Vec::new())?,
        });
        let mut prepared = None;
        let mut statements = Vec::with_capacity(done.len());
        let mut kinds = Vec::with_capacity(done.len());
        for d in done {
            if declared.is_some() && !d.literal {
                let (outgoing, kind) = (template.outgoing(), d.kind.clone());
                let (tenant_types, own, channels, assurance) = (d.tenant_types, d.own, d.channels, assurance.clone());
                prepared = Some(Arc::new(Prepared { outgoing, client_params: first - 1, tenant_types, own, channels, kind, assurance }));
            }
            kinds.push(d.kind.clone());
            statements.push(Statement { kind: d.kind, own_literals: d.own_literals, unlike_literals: d.unlike_literals, asked: d.asked });
        }
        let script = Script { outgoing: template.outgoing(), kinds: kinds.into(), assurance: assurance.clone() };
        let script = declared.is_none().then(|| Arc::new(script));
        Ok(Judged { template, first, private, assurance, statements, script, prepared })
    }

    /// The statements with their guards, and the number of the first parameter that carries the tenant.
    fn rewritten(
        &self,
        sql: &str,
        (stmts, trees): (&[pg_query::protobuf::RawStmt], &[tree::Value]),
        declared: Option<u16>,
        private: &Private,
        rows: bool,
    ) -> Result<(Vec<rewrite::Rewritten>, u16), Refusal> {
        // The tenant's parameters follow the client's: how many those are is known after a first walk, and mostly guessed before it.
        let least = declared.unwrap_or(0).saturating_add(1);
        let mut first = declared.map_or(least, |_| least.max(parse::parameters(sql).saturating_add(1)));
        loop {
            let mut now = private.clone();
            now.temps.begin_text();
            let mut done = Vec::with_capacity(stmts.len());
            for ((stmt, tree), own) in stmts.iter().zip(trees).zip(rewrite::Part::parts(sql, stmts)) {
                let elsewhere = self.elsewhere(&now.temps);
                let context = rewrite::Context {
                    policy: &self.policy,
                    catalog: elsewhere.as_ref().map_or(&self.catalog, |j| &j.catalog),
                    private: &now,
                    source: sql,
                    own,
                    tree: &tree["stmt"]["node"],
                    parameters: declared.is_some(),
                    first,
                    rows,
                    #[cfg(feature = "mutants")]
                    mutant: self.mutation.map(|m| m.mutant),
                };
                let rewritten = rewrite::rewrite(context, stmt)?;
                if now.temps.leaves_open(&rewritten.kind) {
                    return Err(open_path());
                }
                now.temps.completed(&rewritten.kind);
                done.push(rewritten);
            }
            let highest = done.iter().map(|d| d.client_params).max().unwrap_or(0);
            let next = highest.checked_add(1).ok_or_else(|| Refusal::with_state("54000", "too many parameters"))?.max(least);
            if next == first {
                return Ok((done, first));
            }
            first = next;
        }
    }

    /// Nothing enters the cache unproved, but in a build for the mutation check.
    fn prove(
        &self,
        client: verify::Client<'_>,
        text: &str,
        first: u16,
        private: &Private,
        done: &[rewrite::Rewritten],
    ) -> Result<(Option<verify::Proof>, Assurance), Refusal> {
        let rows: Vec<RowCheck> = done.iter().map(|d| d.rows.clone()).collect();
        #[cfg(feature = "mutants")]
        if self.mutation.is_some_and(|m| m.unproved) {
            let traces = Traces::of(text, done.iter().map(|d| &d.kind), &[], &self.catalog);
            return Ok((None, Assurance { alone: false, rows, traces }));
        }
        let proof = verify::verify_read(client, text, &self.catalog, first, private).map_err(|d| unproved(d.to_string()))?;
        if !every_own_is_checked(done, &proof) {
            return Err(unproved("A value of the tenant column would not be checked.".into()));
        }
        let required = self.policy.postgres.as_ref().is_some_and(|p| p.second_opinion == SecondOpinion::Required);
        let seen = second_opinion::relations(text);
        let counts = rows.iter().map(|r| r.columns.len());
        let columns = rows.iter().flat_map(|r| &r.columns);
        if !(counts.eq(proof.row_counts.iter().copied()) && columns.eq(&proof.rows)) {
            return Err(unproved("The columns to be checked are others.".into()));
        }
        let asked = rows.iter().any(|r| *r != RowCheck::default());
        let traces = Traces::of(text, done.iter().map(|d| &d.kind), &proof.relations, &self.catalog);
        let assurance = Assurance { alone: seen.is_none(), rows: if asked { rows } else { Vec::new() }, traces };
        match seen {
            Some(seen) if seen != proof.relations => Err(unproved("Two parsers see different relations.".into())),
            None if required => {
                let refusal = unproved("The second parser cannot read it.".into());
                Err(refusal.hint(format!("{} says `second_opinion: required`.", self.policy.file)))
            }
            _ => Ok((Some(proof), assurance)),
        }
    }
}

/// What the verifier saw written into tenant columns is what will be compared with the tenant's id.
fn every_own_is_checked(done: &[rewrite::Rewritten], proof: &verify::Proof) -> bool {
    let literals: BTreeSet<&String> = done.iter().flat_map(|d| &d.own_literals).collect();
    let parameters: BTreeSet<u16> = done.iter().flat_map(|d| &d.own).map(|o| o.number).collect();
    literals == proof.own_literals.iter().collect() && parameters == proof.own_parameters.iter().copied().collect()
}

impl Statement {
    /// Its literals are what they must be for this tenant.
    fn fits(&self, tenant: &TenantId) -> Result<(), Refusal> {
        if self.own_literals.iter().any(|literal| literal != tenant.as_str()) {
            return Err(foreign_tenant());
        }
        if self.unlike_literals.iter().any(|literal| literal == tenant.as_str()) {
            return Err(Refusal::not_understood("COPY with this NULL or DEFAULT is not supported").detail("It is the tenant's own id."));
        }
        Ok(())
    }
}

fn open_path() -> Refusal {
    Refusal::not_understood("a statement after the end of a transaction that has set search_path is not supported in the same query")
        .hint("Send it by itself.")
}

fn unproved(why: String) -> Refusal {
    Refusal::not_understood("statement could not be proved to stay within the tenant").detail(why)
}

fn foreign_tenant() -> Refusal {
    Refusal::not_allowed("a row can only be written for this tenant").detail("The statement writes another value into the tenant column.")
}

#[cfg(test)]
#[path = "judge_tests.rs"]
pub(crate) mod tests;
