//! What a statement may leave on its connection beyond its transaction; connections that are shared are kept clean by it.
//!
//! Told from the text that is sent: a function runs only where its name stands there, or where the database's own code does.

use super::{Catalog, Kind};

/// What may be left; a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces(u8);

impl Traces {
    /// Settings of the session may be others.
    pub const SETTINGS: Self = Self(1);
    /// Settings of the transaction may be others.
    pub const LOCAL: Self = Self(2);
    /// What a cleaning takes away: values of sequences, the seed of random numbers, whatever the database's own code leaves.
    pub const SOIL: Self = Self(4);
    /// What the session may come back to: locks, channels, cursors, statements prepared by SQL.
    pub const PIN: Self = Self(8);
    /// What nothing takes away.
    pub const SPENT: Self = Self(16);

    /// Is some of `other` in it?
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::default() }
    }

    /// Of the statements of this kind in the final text `text`, which names these relations (`schema.name`).
    pub fn of<'k>(text: &str, kinds: impl ExactSizeIterator<Item = &'k Kind>, relations: &[String], catalog: &Catalog) -> Self {
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
        let single = kinds.len() == 1;
        let all = kinds.fold(Self::default(), |all, kind| all.with(of_kind(kind, single.then_some(&text))));
        let code = catalog.functions.iter().any(|(_, name)| text.contains(&name.to_ascii_lowercase()))
            || catalog.operators.iter().any(|name| text.contains(&name.to_ascii_lowercase()))
            || relations.iter().any(|name| runs_code(name, catalog));
        all.with(Self::SOIL.when(code || has(&["nextval", "currval", "setval", "setseed", "random"])))
            .with(Self::SETTINGS.when(has(&["set_config", "characteristics"])))
            .with(Self::PIN.when(has(&["advisory_lock"])))
            // Their numbers come from a generator that no statement seeds.
            .with(Self::SPENT.when(has(&["array_shuffle", "array_sample"])))
    }
}

/// Views and foreign tables run what stands behind them.
fn runs_code(name: &str, catalog: &Catalog) -> bool {
    let found = name.split_once('.').and_then(|(schema, name)| catalog.relations.get(&(schema.to_owned(), name.to_owned())));
    found.is_some_and(|relation| matches!(relation.kind, 'v' | 'f'))
}

/// `text` is that of this statement alone, in lower case, where it is known.
fn of_kind(kind: &Kind, text: Option<&String>) -> Traces {
    let begins = |words: &[&str]| text.is_some_and(|text| words.iter().any(|w| text.starts_with(w)));
    match kind {
        Kind::Empty | Kind::Read | Kind::Shown | Kind::CopyOut | Kind::Fetch(_) | Kind::ClosePortal(_) => Traces::default(),
        Kind::Transaction | Kind::End | Kind::Savepoint(_) | Kind::Release(_) | Kind::RollbackTo(_) => Traces::default(),
        Kind::Declare { hold: false, .. } | Kind::Deallocate(_) => Traces::default(),
        Kind::Declare { hold: true, .. } | Kind::Prepare(_) | Kind::Listen(_) => Traces::PIN,
        Kind::Setting if begins(&["set local "]) => Traces::LOCAL,
        Kind::Setting if begins(&["show ", "lock ", "set constraints ", "notify ", "unlisten "]) => Traces::default(),
        Kind::Setting if begins(&["set ", "reset "]) => Traces::SETTINGS,
        Kind::SearchPath { local: true, .. } => Traces::LOCAL,
        Kind::SearchPath { local: false, .. } => Traces::SETTINGS,
        Kind::Setting | Kind::DiscardAll => Traces::SETTINGS.with(Traces::SOIL),
        Kind::Write { .. } | Kind::Positioned(_) | Kind::Truncate | Kind::Ddl | Kind::Execute(_) | Kind::CopyIn(_) => Traces::SOIL,
        Kind::CreateTemp { .. } | Kind::CreateTempView(_) | Kind::AlterTemp(_) | Kind::RenameTemp(..) => Traces::SOIL,
        Kind::BindTemp { .. } | Kind::DropTemp(_) | Kind::DiscardTemp | Kind::Discard => Traces::SOIL,
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
