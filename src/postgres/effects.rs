//! What statements of SQL do to the names that the protocol knows: PREPARE and DEALLOCATE, DECLARE and CLOSE, EXECUTE and FETCH.

use super::Judging;
use super::errors;
use super::expect::Expect;
use super::names::{self, Found, Portal, Statement};
use super::session::Session;
use crate::policy::TenantId;
use crate::session::{Close, Turn};
use crate::sql::private::Declared;
use crate::sql::{Kind, Prepared, Refusal};
use std::sync::Arc;

/// What PostgreSQL says when a plan cannot be used any more; drivers prepare again.
pub(super) fn outdated() -> Refusal {
    Refusal::not_understood("cached plan must not change result type")
        .detail("The policy has changed since the statement was prepared.")
        .hint("Prepare the statement again.")
}

fn another_path() -> Refusal {
    Refusal::not_understood("cached plan must not change result type")
        .detail("The search_path has changed since the statement was prepared, and its names mean other tables.")
        .hint("Prepare the statement again.")
}

impl<J: Judging> Session<J> {
    /// Whose it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The policy does not have its tenant any more: it ends.
    pub fn revoke(&mut self) {
        self.revoked = true;
    }

    /// Errors: it has to end, for its tenant is gone, or the rows that upstream reads would not be let in by the judge that holds now.
    pub(super) fn still_holds(&mut self, turn: &mut Turn) -> Result<(), Close> {
        let copies = !self.reads_rows() || std::mem::replace(&mut self.copies_by, self.generation) == self.generation || self.may_copy_on();
        if self.revoked || !copies {
            self.last_words(&errors::sent_away(), turn);
            return Err(Close::ClientBroke("revoked"));
        }
        Ok(())
    }

    /// May these statements run one after another on what the session has? False where that hangs on replies. Errors: a name means
    /// something that was judged by another policy, or that takes the wall's own parameters.
    pub(super) fn may_run(&self, kinds: &[Kind]) -> Result<bool, Refusal> {
        let mut saved = 0;
        for (index, kind) in kinds.iter().enumerate() {
            let before = kinds.get(..index).unwrap_or_default();
            match kind {
                Kind::Prepare(p) => {
                    names::admit(&p.name)?;
                    self.has_room(&p.name)?;
                    self.may_prepare(&p.name)?;
                }
                Kind::Execute(name) => {
                    let here = before.iter().any(|k| matches!(k, Kind::Prepare(p) if p.name == *name));
                    if !here && !self.may_execute(name)? {
                        return Ok(false);
                    }
                }
                Kind::Declare { name, .. } if self.portals.len() >= names::PORTALS && !self.portals.contains_key(name.as_str()) => {
                    return Err(too_many_portals());
                }
                Kind::Listen(_) => self.may_listen()?,
                Kind::Savepoint(_) => {
                    self.may_save(saved)?;
                    saved += 1;
                }
                // It takes one back, or more.
                Kind::Release(_) => saved = saved.saturating_sub(1),
                Kind::Fetch(name) => {
                    self.fresh_portal(name)?;
                    self.plain_portal(name)?;
                }
                Kind::Positioned(name) => {
                    let here = before.iter().any(|k| matches!(k, Kind::Declare { name: n, .. } if n == name));
                    if !here && !self.has_cursor(name) {
                        return Err(Refusal::with_state("34000", format!("cursor \"{name}\" does not exist")));
                    }
                    self.fresh_portal(name)?;
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// EXECUTE gives a statement the client's arguments only: one that waits for the tenant as well must not be reached by it.
    fn may_execute(&self, name: &str) -> Result<bool, Refusal> {
        match names::find(name, &self.queue, &self.known) {
            Found::Statement(s) if s.generation != self.generation => Err(outdated()),
            // What its names mean is not known any more.
            Found::Statement(_) if self.known.get(name).is_some_and(|s| s.in_sql && s.path.as_ref() != self.own.temps.path()) => {
                Err(another_path())
            }
            Found::Statement(s) if is_the_protocols(&s) || (self.pooled.is_some() && !s.in_sql) => {
                Err(Refusal::not_understood("EXECUTE of a statement that was prepared by the protocol is not supported")
                    .hint("Prepare it by PREPARE, or execute it by the protocol."))
            }
            Found::Statement(_) => Ok(true),
            Found::Nothing => Err(names::no_statement(name)),
            Found::Uncertain => Ok(false),
        }
    }

    /// Errors: 53400 where the connection keeps too many statements.
    pub(super) fn has_room(&self, name: &str) -> Result<(), Refusal> {
        if self.known.len() < names::STATEMENTS || self.known.contains_key(name) {
            return Ok(());
        }
        Err(Refusal::with_state("53400", "too many prepared statements")
            .hint(format!("A connection may keep {} of them.", names::STATEMENTS)))
    }

    /// A statement that another judge let through, if this one makes the same of it. Errors: it does not.
    pub(super) fn judged_again(&self, s: &Statement) -> Result<Arc<Statement>, Refusal> {
        // The wall's own parameters stand behind the client's in what was sent.
        let clients = s.types.len().min(usize::from(s.prepared.client_params));
        let declared = Declared::of(&s.types[..clients]).ok_or_else(outdated)?;
        let again = self.judge.extended_for(&s.sql, declared, &self.tenant, &self.own.temps).map_err(|_| outdated())?;
        let (a, b) = (&*again, &*s.prepared);
        let same = a.outgoing.as_str() == b.outgoing.as_str()
            && (&a.own, &a.channels, &a.tenant_types, &a.kind, a.client_params)
                == (&b.own, &b.channels, &b.tenant_types, &b.kind, b.client_params)
            && a.assurance.rows == b.assurance.rows
            && !b.outgoing.as_str().is_empty();
        if !same {
            return Err(outdated());
        }
        let (sql, types, generation, path) = (s.sql.clone(), s.types.clone(), self.generation, self.own.temps.path().cloned());
        Ok(Arc::new(Statement { sql, prepared: again, types, generation, digest: s.digest, in_sql: s.in_sql, path }))
    }

    /// What a Parse makes.
    pub(super) fn parsed(&self, sql: &str, prepared: Arc<Prepared>, types: Vec<u32>) -> Statement {
        let (generation, path) = (self.generation, self.own.temps.path().cloned());
        Statement { sql: sql.into(), prepared, types, generation, digest: 0, in_sql: false, path }
    }

    /// The statement, if its names mean by the session's path of now what they meant as it was prepared: PostgreSQL would look them up anew
    /// (plancache.c, RevalidateCachedQuery). Errors: they do not.
    pub(super) fn by_this_path(&self, s: Arc<Statement>) -> Result<Arc<Statement>, Refusal> {
        if s.path.as_ref() == self.own.temps.path() {
            return Ok(s);
        }
        self.judged_again(&s).map_err(|_| another_path())
    }

    /// Generations of all that the portal may be: what was sent since, or else what is there.
    fn generations(&self, portal: &str) -> Vec<u64> {
        let sent = self.queue.backwards().filter_map(|e| match e {
            Expect::Bind { portal: p, statement, .. } if **p == *portal => Some(statement.generation),
            Expect::Script { script, generation, .. } if script.kinds.iter().any(|k| declares(k, portal)) => Some(*generation),
            Expect::Execute { statement: Some(s), .. } if declares(&s.prepared.kind, portal) => Some(s.generation),
            _ => None,
        });
        let sent: Vec<u64> = sent.collect();
        if sent.is_empty() { self.portals.get(portal).map(|p| p.generation).into_iter().collect() } else { sent }
    }

    fn has_cursor(&self, name: &str) -> bool {
        !self.generations(name).is_empty()
    }

    /// A portal bound, or a cursor declared, under another policy must not run on.
    pub(super) fn fresh_portal(&self, portal: &str) -> Result<(), Refusal> {
        if self.generation > 0 && self.generations(portal).iter().any(|g| *g != self.generation) {
            return Err(outdated());
        }
        Ok(())
    }

    /// The statement that a portal runs when upstream reads an Execute sent now.
    pub(super) fn bound(&self, portal: &str) -> (Option<Arc<Statement>>, u16) {
        let sent = self.queue.backwards().find_map(|e| match e {
            Expect::Bind { portal: p, statement, format } if **p == *portal => Some((Some(statement.clone()), *format)),
            Expect::ClosePortal(p) if **p == *portal => Some((None, 0)),
            Expect::Script { script, .. } if script.kinds.iter().any(|k| declares(k, portal)) => Some((None, 0)),
            Expect::Execute { statement: Some(s), .. } if declares(&s.prepared.kind, portal) => Some((None, 0)),
            _ => None,
        });
        let there = || self.portals.get(portal).map(|p| (p.statement.clone(), p.format));
        sent.or_else(there).unwrap_or_default()
    }

    /// Takes in what a completed statement has done.
    pub(super) fn completed(&mut self, kind: &Kind, tag: &[u8], sql: &Arc<str>, generation: u64) {
        self.own_completed(kind, tag);
        self.catalog_completed(kind, tag);
        match kind {
            Kind::Prepare(p) => {
                let path = self.own.temps.path().cloned();
                self.known.insert(p.name.as_str().into(), Arc::new(Statement { path, ..Statement::by_sql(sql, p, generation) }));
            }
            Kind::Deallocate(Some(name)) => {
                self.known.remove(name.as_str());
            }
            Kind::Deallocate(None) => {
                self.known.clear();
                self.dropped_all(false);
            }
            Kind::Declare { name, hold } => {
                self.portals.insert(name.as_str().into(), Portal { statement: None, format: 0, generation, hold: *hold });
            }
            Kind::ClosePortal(Some(name)) => {
                self.portals.remove(name.as_str());
            }
            Kind::ClosePortal(None) => self.portals.clear(),
            Kind::DiscardAll => {
                self.dropped_all(true);
                self.known.clear();
                self.portals.clear();
            }
            Kind::Empty | Kind::Read | Kind::Shown | Kind::Ddl | Kind::Write { .. } | Kind::Positioned(_) | Kind::Truncate => {}
            Kind::CopyOut | Kind::CopyIn(_) => {}
            Kind::Listen(_)
            | Kind::CreateTemp { .. }
            | Kind::CreateTempView(_)
            | Kind::AlterTemp(_)
            | Kind::DropTemp(_)
            | Kind::DiscardTemp => {}
            Kind::RenameTemp(..) | Kind::BindTemp { .. } => {}
            Kind::Transaction | Kind::End | Kind::Savepoint(_) | Kind::Release(_) | Kind::RollbackTo(_) => {}
            Kind::Setting | Kind::SearchPath { .. } | Kind::Discard | Kind::Execute(_) | Kind::Fetch(_) => {}
        }
    }
}

/// It waits for more than a client's EXECUTE gives it, or returns more than the client may see.
fn is_the_protocols(s: &Statement) -> bool {
    let p = &s.prepared;
    !p.tenant_types.is_empty() || !p.own.is_empty() || !p.channels.is_empty() || !p.assurance.columns(0).is_empty()
}

/// 53400 with the cap.
pub(super) fn too_many_portals() -> Refusal {
    Refusal::with_state("53400", "too many portals").hint(format!("A transaction may keep {} of them.", names::PORTALS))
}

fn declares(kind: &Kind, cursor: &str) -> bool {
    matches!(kind, Kind::Declare { name, .. } if name == cursor)
}
