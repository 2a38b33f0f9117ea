//! Two databases with the same schema: a private one, as the corpus makes it, and a shared one whose tables have a tenant column.

use super::derive;
use super::statements::{self, Class, Corpus, Object};
use super::widen::widened;
use crate::support::{Client, Database, PgError, Postgres};
use partywall::sql::private::Temps;
use partywall::sql::{Judge, Kind};
use std::collections::HashSet;
use std::sync::Arc;

/// How deep a missing object may hang on other missing ones.
const DEPTH_MAX: usize = 6;

/// A connection as superuser.
pub fn superuser(database: &Database) -> Client {
    let mut client = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap();
    client.query("SET statement_timeout = '10s'; SET lock_timeout = '2s'; SET client_min_messages = 'error'").unwrap();
    client
}

/// What a server says of a statement that it only reads.
pub enum Said {
    /// Its columns: names and types.
    Fine(Vec<(String, u32)>),
    /// Why not.
    Not(PgError),
}

/// The two databases, and the wall's view of the second.
pub struct Ground {
    private: Client,
    shared: Client,
    /// The private and the shared one.
    pub databases: (Database, Database),
    judge: Option<Arc<Judge>>,
    /// The session's own tables as the wall knows them.
    pub temps: Temps,
    path: Option<String>,
    /// What was looked for in vain.
    missing: HashSet<Object>,
    /// What a new object of the same name becomes.
    replaces: bool,
}

impl Ground {
    /// An empty one, or a copy; `replaces`: an object that is made again takes the place of the old one.
    pub fn new(server: &Postgres, template: Option<&(Database, Database)>, replaces: bool) -> Self {
        let make = |from: Option<&Database>| match from {
            None => server.database(),
            Some(from) => copy(server, from),
        };
        let databases = (make(template.map(|t| &t.0)), make(template.map(|t| &t.1)));
        let (private, mut shared) = (superuser(&databases.0), superuser(&databases.1));
        shared.query("SET check_function_bodies = off").unwrap();
        Self { private, shared, databases, judge: None, temps: Temps::default(), path: None, missing: HashSet::new(), replaces }
    }

    /// The judge of the schema as it is now.
    pub fn judge(&mut self) -> Arc<Judge> {
        if self.judge.is_none() {
            self.judge = Some(Arc::new(derive::judge(&mut self.shared, &self.databases.1)));
        }
        self.judge.clone().unwrap()
    }

    /// Runs a statement of the schema or the session in both.
    pub fn apply(&mut self, corpus: &Corpus, index: usize) {
        let statement = &corpus.statements[index];
        if statement.class == Class::Drop && self.replaces {
            return;
        }
        if statement.makes.is_some() {
            self.leave_the_system();
        }
        let sent = self.know(&statement.sql);
        if self.replaces {
            self.make_room(statement.makes.as_ref());
        }
        let mut done = self.run(&statement.sql, sent.as_deref());
        for _ in 0..DEPTH_MAX {
            let Err(error) = &done else { break };
            if !self.supply(corpus, index, error, 0) {
                break;
            }
            done = self.run(&statement.sql, sent.as_deref());
        }
    }

    /// A path whose schemas had no tables when it was set.
    pub fn path_again(&mut self) {
        if let Some(sql) = self.path.take() {
            self.know(&sql);
        }
    }

    /// A corpus has each text once, so the RESET behind a session's `SET search_path = 'pg_catalog'` may stand in another one.
    fn leave_the_system(&mut self) {
        let path = self.private.query("SHOW search_path").unwrap().rows;
        if path[0][0].as_deref() == Some("pg_catalog") {
            const RESET: &str = "RESET search_path";
            self.know(RESET);
            self.private.query(RESET).unwrap();
            self.shared.query(RESET).unwrap();
        }
    }

    /// The wall learns of temporary tables and the path as it would in a session; gives what it sends for the former.
    fn know(&mut self, sql: &str) -> Option<String> {
        let lower = sql.to_ascii_lowercase();
        if !(lower.contains("temp") || lower.contains("search_path") || self.temps.may_be_named(sql)) {
            return None;
        }
        let judge = self.judge();
        match judge.simple_for(sql, &derive::tenant(&judge), &self.temps) {
            Ok(script) => {
                script.kinds.iter().for_each(|kind| self.temps.completed(kind));
                let own = |kind: &Kind| {
                    matches!(
                        kind,
                        Kind::CreateTemp { .. } | Kind::AlterTemp(_) | Kind::RenameTemp(..) | Kind::BindTemp { .. } | Kind::DropTemp(_)
                    )
                };
                return script.kinds.iter().all(own).then(|| script.outgoing.as_str().to_owned());
            }
            // A schema without tables is none; it is one when they are made.
            Err(_) if lower.contains("search_path") => self.path = Some(sql.to_owned()),
            Err(_) => {}
        }
        None
    }

    fn make_room(&mut self, object: Option<&Object>) {
        let Some(("relation", name)) = object else { return };
        let name = name.replace('"', "\"\"");
        for what in ["TABLE", "VIEW"] {
            let sql = format!("DROP {what} IF EXISTS \"{name}\" CASCADE");
            let _ = (self.private.query(&sql), self.shared.query(&sql));
        }
    }

    fn run(&mut self, sql: &str, sent: Option<&str>) -> Result<(), PgError> {
        let done = self.private.query(sql);
        let shared = sent.map(str::to_owned).or_else(|| widened(sql)).or_else(|| self.same_view(sql)).map(|sql| self.shared.query(&sql));
        for client in [&mut self.private, &mut self.shared] {
            if client.status != b'I' {
                client.query("ROLLBACK").unwrap();
            }
        }
        if shared.as_ref().is_none_or(|s| s.is_err()) {
            let _ = self.shared.query(sql);
            if self.shared.status != b'I' {
                self.shared.query("ROLLBACK").unwrap();
            }
        }
        if done.is_ok() && !statements::changes_nothing(sql) {
            self.judge = None;
            derive::scope(&mut self.shared);
        }
        done.map(|_| ())
    }

    /// A view whose stars mean the columns that the private one shows.
    fn same_view(&mut self, sql: &str) -> Option<String> {
        let (name, replace) = statements::view(sql)?;
        let quoted = name.replace('\'', "''");
        let columns = format!(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum), pg_get_viewdef('{quoted}'::regclass) FROM pg_attribute WHERE attrelid = '{quoted}'::regclass"
        );
        let row = self.private.query(&columns).ok()?.rows.pop()?;
        let [Some(columns), Some(definition)] = row.as_slice() else { return None };
        Some(format!("CREATE {replace} VIEW {name} ({columns}) AS {definition}"))
    }

    /// Makes what an error misses, if the corpus makes it anywhere: before the statement if it can, else behind it.
    fn supply(&mut self, corpus: &Corpus, index: usize, error: &PgError, depth: usize) -> bool {
        let Some(object) = named(error) else { return false };
        if depth == DEPTH_MAX || self.missing.contains(&object) {
            return false;
        }
        let makers = corpus.makers.get(&object).map(Vec::as_slice).unwrap_or_default();
        let before = makers.iter().rev().filter(|m| **m < index);
        let candidates: Vec<usize> = before.chain(makers.iter().filter(|m| **m > index)).copied().collect();
        for maker in candidates.into_iter().take(4) {
            let sql = &corpus.statements[maker].sql;
            let sent = self.know(sql);
            match self.run(sql, sent.as_deref()) {
                Ok(()) => return true,
                Err(e)
                    if named(&e).is_some_and(|n| n != object)
                        && self.supply(corpus, maker, &e, depth + 1)
                        && self.run(sql, sent.as_deref()).is_ok() =>
                {
                    return true;
                }
                Err(_) => {}
            }
        }
        self.missing.insert(object);
        false
    }

    /// What PostgreSQL says of a statement in the private database; what it misses is made first.
    pub fn in_private(&mut self, corpus: &Corpus, index: usize) -> Said {
        let sql = &corpus.statements[index].sql;
        for _ in 0..DEPTH_MAX {
            match read(&mut self.private, sql, &[]) {
                Said::Not(error) if self.supply(corpus, index, &error, 0) => {}
                said => return said,
            }
        }
        read(&mut self.private, sql, &[])
    }

    /// What a relation that a refusal names is, where that tells why it is not listed.
    pub fn kind_of(&mut self, message: &str) -> String {
        let Some(name) = message.strip_prefix("relation \"").and_then(|m| m.split('"').next()) else { return String::new() };
        let name = name.rsplit('.').next().unwrap_or_default().replace('\'', "''");
        let sql = format!(
            "SELECT relkind, relpersistence, reloftype <> 0 FROM pg_class WHERE relname = '{name}' ORDER BY relpersistence = 't' DESC"
        );
        let row = self.private.query(&sql).ok().and_then(|r| r.rows.into_iter().next()).unwrap_or_default();
        let values: Vec<&str> = row.iter().map(|v| v.as_deref().unwrap_or_default()).collect();
        match values.as_slice() {
            ["m", ..] => " [a materialised view]",
            ["v", "t", ..] => " [a temporary view]",
            [_, "t", ..] => " [a temporary table whose CREATE is not supported]",
            ["v", ..] => " [a view]",
            ["f", ..] => " [a foreign table]",
            [_, _, "t"] => " [a table of a type]",
            ["i" | "I", ..] => " [an index]",
            ["S", ..] => " [a sequence]",
            _ => "",
        }
        .to_owned()
    }

    /// What PostgreSQL says of a statement in the shared one.
    pub fn in_shared(&mut self, sql: &str, types: &[u32]) -> Said {
        read(&mut self.shared, sql, types)
    }
}

fn copy(server: &Postgres, from: &Database) -> Database {
    let made = server.database();
    server.psql("postgres", &format!("DROP DATABASE {}", made.name));
    server.psql("postgres", &format!("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", made.name, from.name));
    made
}

/// The object that an error says is not there.
fn named(error: &PgError) -> Option<Object> {
    let kind = match error.code.as_str() {
        "42P01" => "relation",
        "42883" => "function",
        "42704" => "type",
        "3F000" => "schema",
        _ => return None,
    };
    let rest = error.message.strip_prefix(kind)?.trim_start();
    let name = match rest.strip_prefix('"') {
        Some(quoted) => quoted.rsplit_once('"')?.0,
        None => rest.split(['(', ' ']).next()?,
    };
    Some((kind, name.rsplit('.').next()?.trim_matches('"').to_owned()))
}

/// Parse and Describe.
fn read(client: &mut Client, sql: &str, types: &[u32]) -> Said {
    client.parse("", sql, types);
    client.describe_statement("");
    client.sync();
    let (mut columns, mut error) = (Vec::new(), None);
    loop {
        match client.receive() {
            Some((b'T', body)) => columns = described(&body),
            Some((b'E', body)) => error = Some(crate::support::error(&body)),
            Some((b'Z', _)) => break,
            Some(_) => {}
            None => panic!("the server went away: {sql}"),
        }
    }
    error.map_or(Said::Fine(columns), Said::Not)
}

fn described(body: &[u8]) -> Vec<(String, u32)> {
    let (mut all, mut rest) = (Vec::new(), &body[2..]);
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == 0).unwrap();
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let oid = u32::from_be_bytes(rest[end + 7..end + 11].try_into().unwrap());
        // Types of the two databases have numbers of their own.
        all.push((name, if oid < 16384 { oid } else { 0 }));
        rest = &rest[end + 19..];
    }
    all
}
