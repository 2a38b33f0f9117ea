//! Which statement a name means when upstream will read it, although earlier messages may not have been answered yet.

use super::expect::{Expect, Queue};
use crate::sql::{Kind, Outgoing, Preparation, Prepared, Refusal};
use std::collections::HashMap;
use std::sync::Arc;

/// What all names of the wall's own begin with; no client may give one.
pub const WALLS: &str = "partywall ";
/// The statement that nobody makes: a Bind of it, and EXECUTE, always fail.
pub const RESERVED: &str = "partywall refused";
/// What the server says of it, but in an aborted transaction.
pub const RESERVED_FAILS: &[u8] = b"26000";
/// The server cuts longer names off (NAMEDATALEN - 1), so that two of them would be one.
pub const NAME_BYTES: usize = 63;
/// The most statements that one connection may keep.
pub const STATEMENTS: usize = 10_000;
/// The most portals that one transaction may keep.
pub const PORTALS: usize = 1000;

/// A statement as it was judged at Parse.
#[derive(Debug)]
pub struct Statement {
    /// The client's text.
    pub sql: Arc<str>,
    /// The judgement.
    pub prepared: Arc<Prepared>,
    /// The types sent in Parse.
    pub types: Vec<u32>,
    /// Which of the session's judges it was; another one's judgement does not count any more.
    pub generation: u64,
    /// Equal where text and types are, and the judge; of a session whose connections are lent.
    pub digest: u64,
    /// Prepared by SQL: upstream knows it by the client's name.
    pub in_sql: bool,
    /// The session's search_path by which its names were understood; None for the default.
    pub path: Option<Arc<[String]>>,
}

impl Statement {
    /// Bytes of text it holds.
    pub fn text_bytes(&self) -> usize {
        self.sql.len() + self.prepared.outgoing.as_str().len()
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_text = self.generation == other.generation && self.sql == other.sql && self.types == other.types;
        let same_rows = self.prepared.assurance.rows == other.prepared.assurance.rows;
        same_text && same_rows && self.prepared.client_params == other.prepared.client_params && self.prepared.kind == other.prepared.kind
    }

    /// The statement that a PREPARE in the text `sql` makes: no parameter of it is the wall's.
    pub fn by_sql(sql: &Arc<str>, preparation: &Preparation, generation: u64) -> Self {
        let prepared = Prepared {
            outgoing: Outgoing::default(),
            client_params: preparation.params,
            tenant_types: Vec::new(),
            own: Vec::new(),
            channels: Vec::new(),
            kind: (*preparation.kind).clone(),
            assurance: Arc::default(),
        };
        Self { sql: sql.clone(), prepared: Arc::new(prepared), types: Vec::new(), generation, digest: 0, in_sql: true, path: None }
    }
}

/// A portal of the protocol or a cursor of SQL: they share one space of names.
#[derive(Debug)]
pub struct Portal {
    /// What was bound; None for a cursor.
    pub statement: Option<Arc<Statement>>,
    /// Of the columns that the wall added.
    pub format: u16,
    /// Which of the session's judges let it through.
    pub generation: u64,
    /// It outlives its transaction.
    pub hold: bool,
}

/// By name: what upstream has confirmed.
pub type Portals = HashMap<Arc<str>, Portal>;

/// By name: what upstream has confirmed.
pub type Known = HashMap<Arc<str>, Arc<Statement>>;

/// What a name means.
#[derive(Debug)]
pub enum Found {
    /// This statement, or nothing: then the server itself will say so.
    Statement(Arc<Statement>),
    /// Surely nothing.
    Nothing,
    /// Different statements, depending on replies that have not come.
    Uncertain,
}

/// What `name` will mean to a message sent now. Within the messages since the last Sync an earlier one has worked if this one is
/// read at all (an error skips to Sync); before that it may have failed, so both outcomes count.
pub fn find(name: &str, queue: &Queue, known: &Known) -> Found {
    let mut found: Option<Arc<Statement>> = None;
    let mut same_part = true;
    let mut settled = false;
    for expect in queue.backwards() {
        let candidate = match expect {
            Expect::Sync => {
                same_part = false;
                continue;
            }
            Expect::Parse { name: n, statement } if **n == *name => {
                settled = same_part;
                Some(statement.clone())
            }
            Expect::Script { sql, script, generation, .. } if script.kinds.iter().any(|k| prepares(k, name)) => {
                let last = script.kinds.iter().rev().find_map(|k| by_kind(k, name, sql, *generation));
                last.map(Arc::new)
            }
            Expect::Execute { statement: Some(s), .. } if prepares(&s.prepared.kind, name) => {
                by_kind(&s.prepared.kind, name, &s.sql, s.generation).map(Arc::new)
            }
            Expect::CloseStatement(n) if **n == *name => {
                settled = same_part;
                None
            }
            Expect::Script { .. } | Expect::RefusedScript { .. } if name.is_empty() => {
                settled = same_part;
                None
            }
            _ => continue,
        };
        match (&found, candidate) {
            (Some(one), Some(other)) if !one.is_same(&other) => return Found::Uncertain,
            (None, Some(one)) => found = Some(one),
            _ => {}
        }
        if settled {
            break;
        }
    }
    let last = if settled { None } else { known.get(name) };
    match (found, last) {
        (Some(one), Some(other)) if !one.is_same(other) => Found::Uncertain,
        (Some(one), _) => Found::Statement(one),
        (None, Some(one)) => Found::Statement(one.clone()),
        (None, None) => Found::Nothing,
    }
}

/// What `name` means where nothing but the part that is not answered yet is left open: an earlier part that has to do with it makes it uncertain.
pub fn find_settled(name: &str, queue: &Queue, known: &Known) -> Found {
    let (mut same_part, mut found) = (true, None);
    for expect in queue.backwards() {
        let here = match expect {
            Expect::Sync | Expect::Catalog(_) => {
                same_part = false;
                continue;
            }
            Expect::Script { script, .. } => {
                same_part = false;
                if name.is_empty() || script.kinds.iter().any(|k| prepares(k, name)) {
                    return found.map_or(Found::Uncertain, Found::Statement);
                }
                continue;
            }
            Expect::RefusedScript { .. } => {
                same_part = false;
                if name.is_empty() {
                    return found.map_or(Found::Uncertain, Found::Statement);
                }
                continue;
            }
            Expect::Parse { name: n, statement } | Expect::Here { name: n, statement: Some(statement) } if **n == *name => Some(statement),
            Expect::CloseStatement(n) | Expect::Here { name: n, statement: None } if **n == *name => None,
            Expect::Execute { statement: Some(s), .. } if prepares(&s.prepared.kind, name) => return Found::Uncertain,
            _ => continue,
        };
        if !same_part {
            return found.map_or(Found::Uncertain, Found::Statement);
        }
        match here {
            Some(statement) => {
                found = Some(statement.clone());
                break;
            }
            None => return Found::Nothing,
        }
    }
    match found.or_else(|| known.get(name).cloned()) {
        Some(statement) => Found::Statement(statement),
        None => Found::Nothing,
    }
}

/// Is a part of the pipeline, or a simple query, sent and not answered?
pub fn is_parted(queue: &Queue) -> bool {
    queue.forwards().any(is_end_of_part)
}

/// Was upstream given a statement of this name since the last part?
pub fn is_sent_in_this_part(name: &str, queue: &Queue) -> bool {
    queue.backwards().take_while(|e| !is_end_of_part(e)).any(|e| matches!(e, Expect::Given { name: n, .. } if **n == *name))
}

fn is_end_of_part(expect: &Expect) -> bool {
    matches!(expect, Expect::Sync | Expect::Script { .. } | Expect::RefusedScript { .. } | Expect::Catalog(_))
}

fn prepares(kind: &Kind, name: &str) -> bool {
    matches!(kind, Kind::Prepare(p) if p.name == name)
}

fn by_kind(kind: &Kind, name: &str, sql: &Arc<str>, generation: u64) -> Option<Statement> {
    match kind {
        Kind::Prepare(p) if p.name == name => Some(Statement::by_sql(sql, p, generation)),
        _ => None,
    }
}

/// May a client use this name? Errors: 42622 too long, 42602 the wall's own.
pub fn admit(name: &str) -> Result<(), Refusal> {
    if name.len() > NAME_BYTES {
        return Err(Refusal::with_state("42622", "name is too long")
            .detail(format!("Names of prepared statements and portals have at most {NAME_BYTES} bytes.")));
    }
    if name.starts_with(WALLS) {
        return Err(Refusal::with_state("42602", format!("name \"{name}\" is reserved")));
    }
    Ok(())
}

/// 26000 as the server says it.
pub fn no_statement(name: &str) -> Refusal {
    let message = match name {
        "" => "unnamed prepared statement does not exist".to_owned(),
        name => format!("prepared statement \"{name}\" does not exist"),
    };
    Refusal::with_state("26000", message)
}
