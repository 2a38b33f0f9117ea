//! What a statement's text takes from its session: the tenant's channels, temporary tables. Such texts are judged for one session and
//! never cached.

use super::catalog::{Catalog, Column, Relation};
use super::conversions;
use super::kind::Kind;
use crate::policy::{Place, TableRule, TenantId};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is the session's own.
#[derive(Clone, Debug, Default)]
pub struct Private {
    /// Whose session it is; None while no text may hang on it.
    pub tenant: Option<TenantId>,
    /// Temporary tables as far as they are known.
    pub temps: Temps,
    /// A parameter is declared as of a type that makes PostgreSQL convert what stands beside it.
    pub loose_parameters: bool,
}

/// The parameter types in a client's Parse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// How many.
    pub count: u16,
    /// One of them makes PostgreSQL convert what stands beside it.
    pub loose: bool,
    /// The same of an array.
    pub loose_array: bool,
}

impl Declared {
    /// Of these OIDs, 0 where the client leaves one out; None if they are too many.
    pub fn of(types: &[u32]) -> Option<Self> {
        let loose = types.iter().any(|t| *t != 0 && conversions::is_loose(*t));
        let loose_array = types.iter().any(|t| conversions::is_loose_array(*t));
        Some(Self { count: u16::try_from(types.len()).ok()?, loose, loose_array })
    }
}

/// The schema by which PostgreSQL finds the session's own temporary tables, and nothing else.
pub const TEMP: &str = "pg_temp";

/// What goes and comes with something temporary, by names of the session's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kin {
    /// What it inherits from or is a part of, and what a sequence or an index belongs to: it goes with any of them.
    pub parents: Vec<String>,
    /// Sequences of its serial columns.
    pub sequences: Vec<String>,
}

/// Could a temporary relation of this name not be told from one of PostgreSQL's own? Its row type would stand before a type that
/// casts are known by, and it before a catalog.
pub fn hides_a_system_name(catalog: &Catalog, name: &str) -> bool {
    catalog.system.schema_of("", name).is_some() || super::functions::is_type(name.strip_prefix('_').unwrap_or(name))
}

/// Temporary tables by name, and the search_path. Tables are always sent as `pg_temp.name`, so one that is wrongly believed to be there is the server's error,
/// never another table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Temps {
    tables: Arc<BTreeMap<String, Arc<Relation>>>,
    /// The search_path that counts, and the one behind this transaction; None is the default.
    path: Option<Arc<[String]>>,
    lasting: Option<Arc<[String]>>,
    /// What the session began with, and RESET sets again.
    first: Option<Arc<[String]>>,
    /// How often the path was set by what may still be undone.
    changes: u32,
    /// Which path counts hangs on what a transaction's end comes to.
    unsettled: bool,
}

impl Temps {
    /// The most that a session may have.
    pub const MAX: usize = 1000;

    /// Those of a session that begins with this search_path.
    pub fn with_path(path: Option<Arc<[String]>>) -> Self {
        Self { path: path.clone(), lasting: path.clone(), first: path, ..Self::default() }
    }

    /// The table of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Relation>> {
        self.tables.get(name)
    }

    /// The table or view of this name, whose rows have a type of that name.
    pub fn row_type(&self, name: &str) -> Option<&Arc<Relation>> {
        self.get(name).filter(|r| matches!(r.kind, 'r' | 'p' | 'v'))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Could this text name one? Errs on the side of yes.
    pub fn may_be_named(&self, sql: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let text = sql.to_ascii_lowercase();
        // An identifier with escapes can spell any name.
        text.contains("u&\"") || self.tables.keys().any(|name| name.contains('"') || text.contains(&name.to_ascii_lowercase()))
    }

    /// The search_path where it is another than the default: names in it are schemas of the policy's.
    pub fn path(&self) -> Option<&Arc<[String]>> {
        self.path.as_ref()
    }

    /// A text of several statements is judged before any has run: what was set before it, in the same transaction, may be undone by it.
    pub fn begin_text(&mut self) {
        self.changes = if self.changes > 0 { 2 } else { 0 };
    }

    /// May a statement of this kind not be judged, for names may mean one thing or another?
    pub fn leaves_open(&self, kind: &Kind) -> bool {
        self.unsettled && !kind.is_transaction() && !matches!(kind, Kind::SearchPath { .. })
    }

    /// What a statement of this kind changes, once it has run.
    pub fn completed(&mut self, kind: &Kind) {
        match kind {
            // Perhaps in the place of another.
            Kind::CreateTempView(table) => {
                Arc::make_mut(&mut self.tables).insert(table.name.clone(), table.clone());
            }
            // IF NOT EXISTS: the view is still there.
            Kind::CreateTemp { table, .. } if self.get(&table.name).is_some_and(|t| t.is_temporary_view()) => {}
            Kind::CreateTemp { table, .. } => {
                let tables = Arc::make_mut(&mut self.tables);
                for name in &table.kin.sequences {
                    tables.entry(name.clone()).or_insert_with(|| of_kind('S', name, vec![table.name.clone()]));
                }
                tables.insert(table.name.clone(), table.clone());
            }
            // Its columns, and those of what inherits from it, are not known any more.
            Kind::AlterTemp(name) => {
                let below = self.with_children(std::slice::from_ref(name));
                for (_, table) in Arc::make_mut(&mut self.tables).iter_mut().filter(|(name, _)| below.contains(*name)) {
                    *table = Arc::new(Relation { columns: Vec::new(), ..(**table).clone() });
                }
            }
            Kind::RenameTemp(from, to) => self.rename(from, to),
            Kind::BindTemp { child, parent, bound } => {
                if let Some(table) = Arc::make_mut(&mut self.tables).get_mut(child) {
                    let mut kin = table.kin.clone();
                    kin.parents.retain(|p| p != parent);
                    kin.parents.extend(bound.then(|| parent.clone()));
                    *table = Arc::new(Relation { kin, ..(**table).clone() });
                }
            }
            Kind::DropTemp(names) => {
                let gone = self.with_children(names);
                Arc::make_mut(&mut self.tables).retain(|name, _| !gone.contains(name));
            }
            Kind::DiscardAll => *self = Self::with_path(self.first.clone()),
            Kind::DiscardTemp => self.tables = Arc::default(),
            Kind::SearchPath { path, local } => {
                self.path = path.clone().or_else(|| self.first.clone());
                if !local {
                    self.lasting.clone_from(&self.path);
                }
                (self.changes, self.unsettled) = (self.changes.saturating_add(1), false);
            }
            // With one change the path is the one of before or the new one, and names must mean the same by both: the verifier knows only the former.
            Kind::End | Kind::RollbackTo(_) if self.changes > 1 => self.unsettled = true,
            _ => {}
        }
    }

    /// These and what goes with them, over any number of steps.
    fn with_children(&self, names: &[String]) -> BTreeSet<String> {
        let mut all: BTreeSet<String> = names.iter().cloned().collect();
        loop {
            let below = self.tables.values().filter(|t| !all.contains(&t.name) && t.kin.parents.iter().any(|p| all.contains(p)));
            let below: Vec<String> = below.map(|t| t.name.clone()).collect();
            if below.is_empty() {
                return all;
            }
            all.extend(below);
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        let named = |name: &String| if name == from { to.to_owned() } else { name.clone() };
        let renamed = |table: &Arc<Relation>| {
            let kin = Kin { parents: table.kin.parents.iter().map(named).collect(), ..table.kin.clone() };
            Arc::new(Relation { name: named(&table.name), kin, ..(**table).clone() })
        };
        let all: Vec<Arc<Relation>> = self.tables.values().map(renamed).collect();
        self.tables = Arc::new(all.into_iter().map(|t| (t.name.clone(), t)).collect());
    }

    /// The transaction was committed: what was set for it alone is gone.
    pub fn committed(&mut self) {
        self.path.clone_from(&self.lasting);
        self.changes = 0;
    }
}

impl Relation {
    /// One without columns and links, that upstream's catalog does not list as a table.
    pub(super) fn alone(schema: &str, name: &str, rule: TableRule, place: Place) -> Self {
        Self {
            oid: 0,
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind: 'r',
            columns: Vec::new(),
            hidden: None,
            keys: Vec::new(),
            foreign: Vec::new(),
            inherited: false,
            referenced_by: Vec::new(),
            resets: Default::default(),
            triggers_on_delete: false,
            triggers_on_insert: false,
            triggers_on_update: false,
            may_truncate: false,
            row_type: 0,
            definition: None,
            kin: Kin::default(),
            writes: Default::default(),
            rule,
            place,
        }
    }
}

/// A temporary table with these columns; none where they are not known.
pub fn temporary(name: &str, columns: Vec<String>) -> Arc<Relation> {
    let column = |name: String| Column { name, ..Column::default() };
    let columns = columns.into_iter().map(column).collect();
    let alone = Relation::alone(TEMP, name, TableRule::SharedRead, Place { file: "".into(), line: 0, column: 0 });
    Arc::new(Relation { columns, may_truncate: true, ..alone })
}

/// A temporary sequence (`S`) or index (`i`), which goes with its table.
pub fn of_kind(kind: char, name: &str, parents: Vec<String>) -> Arc<Relation> {
    let (kin, table) = (Kin { parents, ..Kin::default() }, temporary(name, Vec::new()));
    let columns = if kind == 'S' { super::home::of_sequence() } else { Vec::new() };
    Arc::new(Relation { kind, kin, columns, ..(*table).clone() })
}

/// A temporary view. Where its query reads more than what is the session's own, the guards stand in it: it is read behind a barrier, and as long as
/// the catalog is the one that it was judged on. Where not, it is as good as a table.
pub fn temporary_view(name: &str, guarded: Option<u64>) -> Arc<Relation> {
    let mut view = temporary(name, Vec::new());
    if let (Some(version), relation) = (guarded, Arc::make_mut(&mut view)) {
        relation.kind = 'v';
        relation.writes.judged = version;
    }
    view
}

impl Relation {
    /// A temporary view with guards in it.
    pub fn is_temporary_view(&self) -> bool {
        self.kind == 'v' && self.schema == TEMP
    }
}

/// The server's longest name, in bytes.
pub const NAME_BYTES: usize = 63;

/// The channel of LISTEN and NOTIFY that `name` is for this tenant. No two tenants' names meet: the id's length stands before it,
/// and what is too long for a name is told apart by 240 bits of SHA-256.
pub fn channel(tenant: &TenantId, name: &str) -> String {
    let id = tenant.as_str();
    let plain = format!("pw{}:{id}:{name}", id.len());
    if plain.len() <= NAME_BYTES {
        return plain;
    }
    let hash = Sha256::digest(plain.as_bytes());
    let digits: String = hash.iter().take(30).map(|b| format!("{b:02x}")).collect();
    format!("pw#{digits}")
}

/// The same for a value of `pg_notify`: one that the server refuses stays what it is.
pub fn channel_value(tenant: &TenantId, name: &str) -> String {
    if (1..=NAME_BYTES).contains(&name.len()) { channel(tenant, name) } else { name.to_owned() }
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
