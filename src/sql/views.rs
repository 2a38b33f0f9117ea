//! What the catalog says of writing through a view: its options, its defaults, and whether code of the database's takes its writes.

use super::catalog::{number, text};
use std::collections::BTreeMap;

/// How a view's WITH CHECK OPTION holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Check {
    /// There is none.
    #[default]
    None,
    /// For the view's own condition.
    Local,
    /// For those of the views below it, too.
    Cascaded,
}

/// A write that a trigger or a rule may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

/// Of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writes {
    /// WITH CHECK OPTION.
    pub check: Check,
    /// `security_barrier`: its condition is looked at before the client's.
    pub barrier: bool,
    /// pg_trigger.tgtype of its INSTEAD OF triggers, all in one.
    triggers: u32,
    /// pg_rewrite.ev_type of its rules, but for that of SELECT.
    rules: String,
    /// Defaults of its own columns, as the server prints them.
    pub defaults: BTreeMap<String, String>,
    /// What pg_relation_is_updatable says of it.
    events: u32,
    /// Of a temporary view with guards in it: the version of the catalog that it was judged on.
    pub judged: u64,
}

impl Writes {
    /// From a row of the query `views`.
    pub(super) fn read(row: &[Option<String>]) -> Self {
        Self {
            check: match text(row, 2).as_str() {
                "local" => Check::Local,
                "cascaded" => Check::Cascaded,
                _ => Check::None,
            },
            barrier: text(row, 3) == "t",
            triggers: number(row, 4),
            rules: text(row, 5),
            defaults: serde_json::from_str(&text(row, 6)).unwrap_or_default(),
            events: number(row, 7),
            judged: 0,
        }
    }

    /// Whether the server itself would carry such a write on to the table.
    pub fn is_automatic(&self, event: Event) -> bool {
        let command = match event {
            Event::Update => 2,
            Event::Insert => 3,
            Event::Delete => 4,
        };
        self.events & (1 << command) != 0
    }

    /// Whether a trigger or a rule takes such writes, so that the database's own code does what is done.
    pub fn is_code(&self, event: Event) -> bool {
        // pg_trigger.h, TRIGGER_TYPE_INSERT and its kin; nodes.h, CmdType.
        let (trigger, rule) = match event {
            Event::Insert => (4, '3'),
            Event::Update => (16, '2'),
            Event::Delete => (8, '4'),
        };
        self.triggers & trigger != 0 || self.rules.contains(rule)
    }
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
