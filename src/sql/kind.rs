//! What a session has to know of a statement once it has run; the text itself does not matter any more.

use super::catalog::Relation;
use std::sync::Arc;

/// The kinds of judged statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing but white space and comments.
    Empty,
    /// SELECT, VALUES, TABLE, EXPLAIN: returns rows, changes nothing.
    Read,
    /// INSERT, UPDATE, DELETE (also inside WITH). `upsert`: may raise the wall's own marker error.
    Write {
        /// Has ON CONFLICT DO UPDATE.
        upsert: bool,
    },
    /// UPDATE or DELETE … WHERE CURRENT OF this cursor, which must be one of the session's own.
    Positioned(String),
    /// TRUNCATE, sent as DELETE of the tenant's own rows; its command tag is `TRUNCATE TABLE`.
    Truncate,
    /// CREATE, ALTER or DROP in a tenant's own place: the catalog is another afterwards.
    Ddl,
    /// SHOW, sent as a SELECT; its command tag is `SHOW`.
    Shown,
    /// BEGIN, SET TRANSACTION.
    Transaction,
    /// COMMIT, ROLLBACK; the command tag tells which of the two it came to.
    End,
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE of a savepoint.
    Release(String),
    /// ROLLBACK TO a savepoint.
    RollbackTo(String),
    /// SET, RESET, SHOW of a safe setting, SET CONSTRAINTS, LOCK.
    Setting,
    /// SET or RESET of search_path, and `SELECT set_config('search_path', …)`.
    SearchPath {
        /// Its schemas; None for the default.
        path: Option<Arc<[String]>>,
        /// For this transaction alone.
        local: bool,
    },
    /// PREPARE: from now on EXECUTE, and the protocol, know the name.
    Prepare(Preparation),
    /// EXECUTE of a name, which must mean a statement that takes no parameter of the wall's.
    Execute(String),
    /// DEALLOCATE name or ALL (None) of statements prepared in the protocol.
    Deallocate(Option<String>),
    /// DECLARE … CURSOR.
    Declare {
        /// The cursor's name; cursors and the protocol's portals share one space.
        name: String,
        /// WITH HOLD: it outlives its transaction.
        hold: bool,
    },
    /// FETCH or MOVE of a cursor.
    Fetch(String),
    /// CLOSE name or ALL (None).
    ClosePortal(Option<String>),
    /// COPY … TO STDOUT.
    CopyOut,
    /// COPY … FROM STDIN.
    CopyIn(CopyIn),
    /// LISTEN; the client's own name of the channel.
    Listen(String),
    /// CREATE TEMP TABLE, also AS a query, SELECT INTO TEMP, CREATE TEMP SEQUENCE, an index of a temporary table.
    CreateTemp {
        /// What is made.
        table: Arc<Relation>,
        /// ON COMMIT DROP.
        vanishes: bool,
    },
    /// ALTER TABLE of a temporary table.
    AlterTemp(String),
    /// RENAME of a temporary relation: from, to.
    RenameTemp(String, String),
    /// A temporary table becomes a child or a part of another, or is none any more.
    BindTemp {
        /// The child, or the part.
        child: String,
        /// The parent, or the whole.
        parent: String,
        /// It becomes one.
        bound: bool,
    },
    /// DROP of temporary relations.
    DropTemp(Vec<String>),
    /// DISCARD TEMP.
    DiscardTemp,
    /// DISCARD PLANS or SEQUENCES.
    Discard,
    /// DISCARD ALL.
    DiscardAll,
}

impl Kind {
    /// Does it begin, part or end transactions?
    pub fn is_transaction(&self) -> bool {
        matches!(self, Self::Transaction | Self::End | Self::Savepoint(_) | Self::Release(_) | Self::RollbackTo(_))
    }
}

/// A statement prepared by SQL, the tenant inside it as a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// The name.
    pub name: String,
    /// How many parameters it takes.
    pub params: u16,
    /// What runs when it is executed.
    pub kind: Box<Kind>,
}

/// COPY … FROM STDIN: what the rows look like and how they gain the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyIn {
    /// How rows and fields are told apart.
    pub format: CopyFormat,
    /// Where the tenant's field is missing.
    pub gain: Gain,
    /// The first line of text or CSV holds names.
    pub header: bool,
    /// The tenant column's name.
    pub column: String,
    /// The tenant column's type.
    pub type_oid: u32,
}

/// How rows and fields of a COPY are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// FORMAT text.
    Text {
        /// Between fields.
        delimiter: u8,
    },
    /// FORMAT csv.
    Csv {
        /// Between fields.
        delimiter: u8,
        /// Around fields.
        quote: u8,
        /// Before a quote inside quotes.
        escape: u8,
    },
    /// FORMAT binary.
    Binary,
}

/// Which rows lack the tenant's field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gain {
    /// None: the client names the column and writes its own id.
    Named,
    /// All: the column was added before the client's.
    First,
    /// Those that have one field less than the table has columns; which ones the first row tells.
    Missing {
        /// Columns of the table.
        fields: usize,
        /// Which of them is the tenant's, from 0.
        at: usize,
    },
}
