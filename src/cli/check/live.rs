//! `check --live`: each PostgreSQL upstream, and each place of tenants that the policy or the server names, read as `serve` reads it.

use super::Told;
use crate::config::document::Finding;
use crate::config::{Config, Listener, Protocol, Upstream};
use crate::policy::layout::{Layout, NamePattern};
use crate::policy::{Home, Layouts, Policy};
use crate::sql::catalog::{Catalog, CatalogProblem, Rows};
use crate::sql::catalogs::quote_text;
use crate::sql::home::{Question, queries};
use crate::sql::live::code::Code;
use crate::sql::live::inspect::{Sight, inspect};
use crate::sql::live::{BACKSTOP, CODE, Live, Note, QUERIES, Severity};
use crate::upstream::postgres::{ConnectError, Target};
use std::collections::{BTreeSet, HashMap};

/// A question about rows is given up after this many milliseconds.
const PATIENCE: u32 = 5000;
/// So many places of tenants are looked at that the policy does not name one by one.
const PLACES: usize = 100;

/// A place of one tenant, or the shared one.
struct Place {
    home: Home,
    upstream: Upstream,
    /// Whose it is.
    tenant: Option<String>,
}

/// All findings, the gravest first.
pub fn look(config: &Config, rows: bool) -> Vec<Told> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![told("", Note { severity: Severity::Error, message: error.to_string(), fix: "try again".into(), place: None })];
        }
    };
    let mut all: Vec<Told> = Vec::new();
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let listeners: Vec<&Listener> = config.listeners.iter().filter(|l| l.protocol == Protocol::Postgres).collect();
    let several = listeners.iter().any(|l| (&l.upstream.name, &l.policy.name) != (&listeners[0].upstream.name, &listeners[0].policy.name));
    for listener in listeners {
        if !seen.insert((listener.upstream.name.clone(), listener.policy.name.to_string())) {
            continue;
        }
        let (places, notes) = runtime.block_on(places(listener));
        let at = if several { format!("upstream `{}`: ", listener.upstream.name) } else { String::new() };
        all.extend(notes.into_iter().map(|n| told(&at, n)));
        for place in places {
            let notes = runtime.block_on(look_at(&listener.policy, &place, rows));
            let whose = place.tenant.as_ref().map(|id| format!("tenant `{id}`: ")).unwrap_or_default();
            all.extend(notes.into_iter().map(|n| told(&format!("{at}{whose}"), n)));
        }
    }
    all.sort_by(|a, b| (a.severity, &a.finding.file, a.finding.line).cmp(&(b.severity, &b.finding.file, b.finding.line)));
    all.dedup();
    all
}

fn told(at: &str, note: Note) -> Told {
    let (file, line, column) = note.place.map_or((String::new(), 0, 0), |p| (p.file.to_string(), p.line, p.column));
    let finding = Finding { file, line, column, message: format!("{at}{}", note.message), fix: note.fix };
    Told { severity: note.severity, finding }
}

fn error(message: impl Into<String>, fix: impl Into<String>) -> Note {
    Note { severity: Severity::Error, message: message.into(), fix: fix.into(), place: None }
}

fn unreachable(upstream: &Upstream, why: impl std::fmt::Display) -> Note {
    let message = format!("upstream `{}`: database `{}` at {} cannot be read: {why}", upstream.name, upstream.database, upstream.address);
    error(message, "start it, or correct its address, user and password")
}

/// Where the policy's tenants are: as it names them, and as the servers hold schemas and databases that are theirs by name.
async fn places(listener: &Listener) -> (Vec<Place>, Vec<Note>) {
    let none = Layouts::default();
    let layouts = listener.policy.postgres.as_ref().map_or(&none, |p| &p.layouts);
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    if layouts.has_rows() {
        all.push(Place { home: Home::Rows, upstream: listener.upstream.clone(), tenant: None });
    }
    let mut tenants: BTreeSet<String> = layouts.tenants.keys().cloned().collect();
    match found(listener, layouts).await {
        Ok(names) => {
            let of_pattern = names.iter().filter_map(|name| Some(pattern(&layouts.default)?.tenant(name)?.to_owned()));
            let new: Vec<String> = of_pattern.filter(|id| listener.policy.tenants.accept(id).is_some() && !tenants.contains(id)).collect();
            if new.len() > PLACES {
                let message = format!("there are places of {} tenants: {PLACES} of them were looked at", new.len());
                notes.push(Note {
                    severity: Severity::Note,
                    message,
                    fix: "name the others under `layout`, one by one".into(),
                    place: None,
                });
            }
            tenants.extend(new.into_iter().take(PLACES));
        }
        Err(note) => notes.push(note),
    }
    for id in tenants {
        let Some(tenant) = listener.policy.tenants.accept(&id) else { continue };
        match layouts.home(&tenant) {
            Ok(Home::Rows) => {}
            Ok(home) => match listener.upstream_of(&home) {
                Some(upstream) => all.push(Place { home, upstream, tenant: Some(id) }),
                None => notes.push(error(format!("tenant `{id}`: its upstream is not configured"), "add it to `upstreams`")),
            },
            Err(why) => notes.push(error(format!("tenant `{id}`: {why}"), "give it another place under `layout`")),
        }
    }
    (all, notes)
}

fn pattern(layout: &Layout) -> Option<&NamePattern> {
    match layout {
        Layout::Schema(name) => Some(name),
        Layout::Database { name, .. } => name.as_ref(),
        Layout::Rows => None,
    }
}

/// Names of schemas, or of databases, on the server where tenants without an entry of their own are.
async fn found(listener: &Listener, layouts: &Layouts) -> Result<Vec<String>, Note> {
    let Some(NamePattern::Around(before, after)) = pattern(&layouts.default) else { return Ok(Vec::new()) };
    let (relation, column) = match layouts.default {
        Layout::Schema(_) => ("pg_catalog.pg_namespace", "nspname"),
        _ => ("pg_catalog.pg_database", "datname"),
    };
    let mut upstream = listener.upstream.clone();
    if let Layout::Database { upstream: Some(name), .. } = &layouts.default
        && let Some(other) = listener.upstreams.iter().find(|u| u.name == *name)
    {
        upstream = other.clone();
    }
    let (before, after) = (quote_text(before), quote_text(after));
    let sql = format!(
        "SELECT {column} FROM {relation} WHERE pg_catalog.left({column}::text, pg_catalog.length({before})) = {before} \
         AND pg_catalog.right({column}::text, pg_catalog.length({after})) = {after} ORDER BY 1 LIMIT 10000"
    );
    let answers = async { Target::new(&upstream)?.ask(&[sql], PATIENCE).await.map_err(anyhow::Error::from) };
    let rows = answers.await.map_err(|why| unreachable(&upstream, format!("{why:#}")))?;
    let rows = rows.into_iter().next().unwrap_or(Ok(Rows::new())).map_err(|why| unreachable(&upstream, why))?;
    Ok(rows.into_iter().filter_map(|r| r.into_iter().next().flatten()).collect())
}

/// What stops the start there, and, of shared tables, everything else.
async fn look_at(policy: &Policy, place: &Place, rows: bool) -> Vec<Note> {
    let target = match Target::new(&place.upstream) {
        Ok(target) => target,
        Err(why) => return vec![unreachable(&place.upstream, format!("{why:#}"))],
    };
    let answers = match target.answers(all_queries(policy, &place.home)).await {
        Ok(answers) => answers,
        Err(why) => return vec![unreachable(&place.upstream, why)],
    };
    let mut notes: Vec<Note> = match Catalog::build_for(policy, &place.home, &answers) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(of_problem).collect(),
    };
    if place.home == Home::Rows {
        notes.extend(of_shared(policy, &answers, &target, rows).await);
    }
    notes
}

fn of_problem(problem: CatalogProblem) -> Note {
    Note { severity: Severity::Error, message: problem.message, fix: problem.fix, place: problem.place }
}

fn all_queries(policy: &Policy, home: &Home) -> Vec<Question> {
    let mut all = queries(policy, home);
    if *home == Home::Rows {
        for query in BACKSTOP.iter().chain(QUERIES).chain(CODE) {
            if !all.iter().any(|q| q.name == query.name) {
                all.push(query.into());
            }
        }
    }
    all
}

async fn of_shared(policy: &Policy, answers: &HashMap<&'static str, Rows>, target: &Target, rows: bool) -> Vec<Note> {
    let (live, code) = (Live::read(policy, answers), Code::read(answers));
    let sight = Sight { policy, live: &live, code: &code };
    let mut notes = inspect(&sight);
    let questions = if rows { sight.questions() } else { Vec::new() };
    let texts: Vec<String> = questions.iter().map(|q| q.sql.clone()).collect();
    match target.ask(&texts, PATIENCE).await {
        Ok(answers) => {
            for (question, answer) in questions.iter().zip(answers) {
                match answer {
                    Ok(rows) => notes.extend(sight.answer(question, &rows)),
                    Err(why) => notes.push(sight.unanswered(question, &why)),
                }
            }
        }
        Err(why @ ConnectError::Server(..)) => notes.push(error(format!("rows cannot be looked at: {why}"), "use --schema-only")),
        Err(why) => notes.push(error(format!("the connection ended while rows were looked at: {why}"), "try again, or use --schema-only")),
    }
    notes
}
