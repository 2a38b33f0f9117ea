//! What each forwarded message makes upstream say, in order.

use super::names::Statement;
use crate::sql::{CopyIn, Kind, Refusal, Script};
use std::collections::VecDeque;
use std::sync::Arc;

/// The reply that a forwarded message waits for.
#[derive(Debug)]
pub enum Expect {
    /// Query: rows and completions, perhaps an error, then ReadyForQuery.
    Script {
        /// The client's text, for positions.
        sql: Arc<str>,
        /// What was sent.
        script: Arc<Script>,
        /// How many statements are complete.
        done: usize,
        /// Which of the session's judges it was.
        generation: u64,
        /// Why the statement behind these is refused: the wall's failing one was sent in its place.
        refusal: Option<Refusal>,
    },
    /// The wall's failing Query in place of a refused one: an error, then ReadyForQuery.
    RefusedScript {
        /// Taken when the error has come.
        refusal: Option<Refusal>,
    },
    /// Parse: ParseComplete.
    Parse {
        /// The statement's name.
        name: Arc<str>,
        /// What it will mean.
        statement: Arc<Statement>,
    },
    /// Parse of the wall's own, so that a lent connection has the statement: ParseComplete, which is not the client's.
    Given {
        /// Of the connection's statements.
        key: u64,
        /// Upstream's name.
        name: Arc<str>,
        /// What it means.
        statement: Arc<Statement>,
    },
    /// Close of the wall's own: CloseComplete, which is not the client's.
    Shut(Arc<str>),
    /// Parse, or Close where there is no statement, that is answered here when all before it has been.
    Here {
        /// The client's name.
        name: Arc<str>,
        /// What it will mean.
        statement: Option<Arc<Statement>>,
    },
    /// Bind: BindComplete.
    Bind {
        /// The portal's name.
        portal: Arc<str>,
        /// The statement bound to it.
        statement: Arc<Statement>,
        /// Of the columns that the wall added.
        format: u16,
    },
    /// Describe of a statement: ParameterDescription, then what [`Expect::Columns`] waits for.
    Parameters(Arc<Statement>),
    /// Describe: RowDescription or NoData. The statement, where the wall may have added columns.
    Columns(Option<Arc<Statement>>),
    /// Execute: rows, then CommandComplete, PortalSuspended or EmptyQueryResponse.
    Execute {
        /// What was bound to the portal; None for a cursor.
        statement: Option<Arc<Statement>>,
        /// Of the columns that the wall added.
        format: u16,
    },
    /// Close of a statement: CloseComplete.
    CloseStatement(Arc<str>),
    /// Close of a portal: CloseComplete.
    ClosePortal(Arc<str>),
    /// The wall's failing Bind in place of a refused message: an error.
    Refused(Refusal),
    /// Sync: ReadyForQuery.
    Sync,
    /// The wall's own question for the catalog: rows, then ReadyForQuery, none of which is the client's.
    Catalog(super::reread::Asked),
}

impl Expect {
    /// The COPY … FROM STDIN that upstream is at, if it is one.
    pub fn copy_in(&self) -> Option<CopyIn> {
        let kind = match self {
            Self::Script { script, done, .. } => script.kinds.get(*done)?,
            Self::Execute { statement: Some(s), .. } => &s.prepared.kind,
            _ => return None,
        };
        if let Kind::CopyIn(copy) = kind { Some(copy.clone()) } else { None }
    }

    /// Whether upstream, when it has answered this, sends all it has to say. What stands behind the last of these it keeps to itself, and a client that
    /// will say no more waits for it in vain.
    pub fn is_sent_off(&self) -> bool {
        matches!(self, Self::Script { .. } | Self::RefusedScript { .. } | Self::Sync | Self::Catalog(_))
    }

    /// Bytes of text kept for it.
    fn text_bytes(&self) -> usize {
        match self {
            Self::Script { sql, script, .. } => sql.len() + script.outgoing.as_str().len(),
            Self::Parse { statement, .. } | Self::Given { statement, .. } => statement.text_bytes(),
            _ => 0,
        }
    }

    /// Does it run a COPY … FROM STDIN?
    fn copies_in(&self) -> bool {
        match self {
            Self::Script { script, .. } => script.kinds.iter().any(|k| matches!(k, Kind::CopyIn(_))),
            Self::Execute { statement: Some(s), .. } => matches!(s.prepared.kind, Kind::CopyIn(_)),
            _ => false,
        }
    }
}

/// Replies still owed by upstream, the next one first; counts what it holds.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Expect>,
    text_bytes: usize,
    /// How many may read rows from the client.
    copies: usize,
}

impl Queue {
    /// Adds at the end.
    pub fn push(&mut self, expect: Expect) {
        self.text_bytes += expect.text_bytes();
        self.copies += usize::from(expect.copies_in());
        self.waiting.push_back(expect);
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<Expect> {
        let next = self.waiting.pop_front();
        self.text_bytes -= next.as_ref().map_or(0, Expect::text_bytes);
        self.copies -= usize::from(next.as_ref().is_some_and(Expect::copies_in));
        next
    }

    /// The next one; its texts must not be changed.
    pub fn next(&mut self) -> Option<&mut Expect> {
        self.waiting.front_mut()
    }

    /// The next one.
    pub fn peek(&self) -> Option<&Expect> {
        self.waiting.front()
    }

    /// From the next one on.
    pub fn forwards(&self) -> impl Iterator<Item = &Expect> {
        self.waiting.iter()
    }

    /// May some of them be a COPY?
    pub fn may_copy(&self) -> bool {
        self.copies > 0
    }

    /// From the last one back.
    pub fn backwards(&self) -> impl Iterator<Item = &Expect> {
        self.waiting.iter().rev()
    }

    /// Is nothing owed?
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Would one more be too many?
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= PENDING || self.text_bytes >= PENDING_TEXT_BYTES
    }
}

/// The most replies that may be owed before the client has to wait.
pub const PENDING: usize = 4096;
/// The most text that is kept for them, in bytes (one message more may come on top).
pub const PENDING_TEXT_BYTES: usize = 64 << 20;
