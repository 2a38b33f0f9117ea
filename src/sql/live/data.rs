//! `check --live`: what is to be asked of the rows themselves, and what the answers mean. Each question ends at a bound.

use super::code::Standing;
use super::inspect::{Sight, note};
use super::names::ident;
use super::{Note, Severity, Table};
use crate::policy::{TableEntry, TableRule, Through};
use crate::sql::catalog::{Rows, number, text};

/// More rows of a kind are not counted.
const ROWS: usize = 1000;
/// More tenants of a table are not looked at.
const TENANTS: usize = 10_000;
/// Parents over which a row finds its tenant, as the policy bounds them.
const STEPS: usize = 8;

/// One question.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The text.
    pub sql: String,
    /// What it is about, in words.
    pub about: String,
    entry: &'a TableEntry,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Nobody { rows: String },
    Tenants { column: String },
    Links { name: String, from: String, to: String, columns: Vec<String> },
}

impl<'a> Sight<'a> {
    /// What is to be asked.
    pub fn questions(&self) -> Vec<Question<'a>> {
        let mut all = Vec::new();
        for table in self.live.tables.iter().filter(|t| matches!(t.kind, 'r' | 'p' | 'm')) {
            // A partition's rows are its root's.
            let Some(entry) = &table.entry else { continue };
            match &entry.rule {
                TableRule::Scoped { column, .. } if table.column(column).is_some() => all.extend(of_scoped(table, entry, column)),
                TableRule::Through(through) => all.extend(self.orphans(table, entry, through)),
                _ => {}
            }
        }
        for (child, foreign, parent) in self.foreign_keys() {
            let Some(entry) = self.live.entry(child) else { continue };
            if self.live.standing(child) == Standing::Tenants {
                all.extend(self.links(child, entry, &foreign.name, &foreign.columns, parent));
            }
        }
        all
    }

    /// Rows that no parent tells the tenant of.
    fn orphans(&self, table: &'a Table, entry: &'a TableEntry, through: &Through) -> Option<Question<'a>> {
        let parent = self.live.named(&through.schema, &through.table)?;
        let same: Vec<String> = through.on.iter().map(|(own, theirs)| format!("p.{} = c.{}", ident(theirs), ident(own))).collect();
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM (SELECT FROM {} c WHERE NOT EXISTS (SELECT FROM {} p WHERE {}) LIMIT {ROWS}) x",
            full(table),
            full(parent),
            same.join(" AND ")
        );
        let rows = format!("a row of {}", parent.full_name());
        Some(Question { sql, about: table.full_name(), entry, kind: Kind::Nobody { rows } })
    }

    /// Rows of two tenants that refer to each other.
    fn links(
        &self,
        child: &'a Table,
        entry: &'a TableEntry,
        name: &str,
        columns: &[(String, String)],
        parent: &'a Table,
    ) -> Option<Question<'a>> {
        let (own_joins, own) = self.owner(child, "c", 0)?;
        let (their_joins, theirs) = self.owner(parent, "p", 0)?;
        let same: Vec<String> = columns.iter().map(|(a, b)| format!("p.{} = c.{}", ident(b), ident(a))).collect();
        let shown: Vec<String> = columns.iter().enumerate().map(|(n, (a, _))| format!("c.{}::text AS k{n}", ident(a))).collect();
        let sql = format!(
            "SELECT pg_catalog.count(*) OVER (), x.* FROM (SELECT {own}::text AS own, {theirs}::text AS theirs, {} FROM {} c JOIN {} p ON {}{own_joins}{their_joins} \
             WHERE {own}::text IS DISTINCT FROM {theirs}::text LIMIT {ROWS}) x LIMIT 1",
            shown.join(", "),
            full(child),
            full(parent),
            same.join(" AND ")
        );
        let columns = columns.iter().map(|(a, _)| a.clone()).collect();
        let kind = Kind::Links { name: name.to_owned(), from: child.full_name(), to: parent.full_name(), columns };
        Some(Question { sql, about: child.full_name(), entry, kind })
    }

    /// The joins and the expression that tell whose a row called `alias` is.
    fn owner(&self, table: &'a Table, alias: &str, depth: usize) -> Option<(String, String)> {
        match &self.live.entry(table)?.rule {
            TableRule::Scoped { column, .. } => table.column(column).map(|_| (String::new(), format!("{alias}.{}", ident(column)))),
            TableRule::Through(through) if depth < STEPS => {
                let parent = self.live.named(&through.schema, &through.table)?;
                let up = format!("{alias}u");
                let same: Vec<String> =
                    through.on.iter().map(|(own, theirs)| format!("{up}.{} = {alias}.{}", ident(theirs), ident(own))).collect();
                let (joins, owner) = self.owner(parent, &up, depth + 1)?;
                Some((format!(" LEFT JOIN {} {up} ON {}{joins}", full(parent), same.join(" AND ")), owner))
            }
            _ => None,
        }
    }

    /// What an answer means; nothing where all is well.
    pub fn answer(&self, question: &Question<'a>, rows: &Rows) -> Option<Note> {
        let about = &question.about;
        let say = |message: String, fix: &str| Some(note(Some(question.entry), Severity::Warning, message, fix));
        match &question.kind {
            Kind::Nobody { rows: what } => {
                let count = rows.first().map(|r| number(r, 0)).unwrap_or_default();
                if count == 0 {
                    return None;
                }
                say(format!("{about} holds {} without {what}, and so of nobody", counted(count)), "give them their tenant, or delete them")
            }
            Kind::Tenants { column } => {
                let odd: Vec<String> = rows.iter().map(|r| text(r, 0)).filter(|id| self.policy.tenants.accept(id).is_none()).collect();
                if odd.is_empty() {
                    return None;
                }
                let shown: Vec<String> = odd.iter().take(3).map(|id| format!("{id:?}")).collect();
                let more = if odd.len() > 3 { format!(", and {} more", odd.len() - 3) } else { String::new() };
                let message = format!("{about}.{column} holds what is no tenant by the policy's pattern: {}{more}", shown.join(", "));
                say(message, "correct the rows, or `tenants: { id: … }`")
            }
            Kind::Links { name, from, to, columns } => {
                let row = rows.first()?;
                let keys: Vec<String> = columns.iter().enumerate().map(|(n, c)| format!("{c} = {}", text(row, n + 3))).collect();
                let whose = |index: usize| row.get(index).cloned().flatten().map_or_else(|| "nobody".to_owned(), |id| format!("{id:?}"));
                let message = format!(
                    "{from} holds {} that \"{name}\" leads to another tenant's row of {to}, such as {}: from {} to {}",
                    counted(number(row, 0)),
                    keys.join(", "),
                    whose(1),
                    whose(2)
                );
                say(message, "correct these rows: the other tenant cannot delete its own, or deletes them along")
            }
        }
    }

    /// What could not be looked at.
    pub fn unanswered(&self, question: &Question<'a>, why: &str) -> Note {
        let message = format!("rows of {} were not looked at: {why}", question.about);
        note(Some(question.entry), Severity::Note, message, "check as a role that reads all rows, when the server has time")
    }
}

fn of_scoped<'a>(table: &'a Table, entry: &'a TableEntry, column: &str) -> Vec<Question<'a>> {
    let (name, quoted) = (full(table), ident(column));
    let mut all = Vec::new();
    if !table.column(column).is_some_and(|c| c.not_null) {
        let sql = format!("SELECT pg_catalog.count(*) FROM (SELECT FROM {name} WHERE {quoted} IS NULL LIMIT {ROWS}) x");
        let rows = format!("a \"{column}\"");
        all.push(Question { sql, about: table.full_name(), entry, kind: Kind::Nobody { rows } });
    }
    let leads = table.keys.iter().any(|k| !k.partial && k.columns.first().is_some_and(|c| c == column));
    let sql = if leads {
        // From one tenant to the next by the index, without a look at all rows.
        let next = |after: &str| format!("(SELECT {quoted} FROM {name} WHERE {quoted} {after} ORDER BY {quoted} LIMIT 1)");
        format!(
            "WITH RECURSIVE t(id) AS ({} UNION ALL SELECT {} FROM t WHERE t.id IS NOT NULL) SELECT id::text FROM t WHERE id IS NOT NULL LIMIT {TENANTS}",
            next("IS NOT NULL"),
            next("> t.id")
        )
    } else {
        format!("SELECT DISTINCT {quoted}::text FROM {name} WHERE {quoted} IS NOT NULL LIMIT {TENANTS}")
    };
    all.push(Question { sql, about: table.full_name(), entry, kind: Kind::Tenants { column: column.to_owned() } });
    all
}

fn full(table: &Table) -> String {
    format!("{}.{}", ident(&table.schema), ident(&table.name))
}

fn counted(count: u32) -> String {
    match count as usize {
        1 => "1 row".to_owned(),
        n if n >= ROWS => format!("{n} rows or more"),
        n => format!("{n} rows"),
    }
}
