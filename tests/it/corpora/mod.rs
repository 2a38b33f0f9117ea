//! The corpora of statements that frameworks, tools and applications sent, and PostgreSQL's own regression tests: how many of them the
//! wall accepts. `make coverage` measures all of them and writes docs/SQL-COVERAGE.md; a slice is a test.

mod derive;
mod ground;
mod misprints;
mod page;
mod reasons;
mod statements;
mod verdict;
mod widen;

use crate::support::{Database, Postgres};
use ground::Ground;
use page::Tally;
use statements::{Class, Corpus};
use std::io::Write;
use verdict::verdict;

/// Corpora in the page's order. Of the last each file is a session of its own.
const CORPORA: &[&str] = &["django", "sqlalchemy", "typeorm", "knex", "rails", "psql", "pgdump", "pgjdbc", "redmine", "directus", REGRESS];
const REGRESS: &str = "postgres15-regress";
/// What the regression tests' schedule runs before all others.
const SETUP: &str = "test_setup.sql";

#[test]
#[ignore = "minutes; `make coverage` runs it"]
fn the_corpora_are_measured_and_the_page_written() {
    let only = std::env::var("COVERAGE_ONLY").unwrap_or_default();
    let server = Postgres::start();
    let chosen = CORPORA.iter().filter(|c| only.is_empty() || only.split(',').any(|o| o == **c));
    let sessions = std::env::var("COVERAGE_SESSIONS").unwrap_or_default();
    let wanted = |session: &str| sessions.is_empty() || sessions.split(',').any(|s| s == session);
    let tallies: Vec<Tally> = chosen.map(|name| measure(&server, name, &wanted)).collect();
    let page = page::page(&tallies);
    println!("{page}");
    if only.is_empty() {
        std::fs::write("docs/SQL-COVERAGE.md", page).unwrap();
    }
}

fn measure(server: &Postgres, name: &'static str, wanted: &dyn Fn(&str) -> bool) -> Tally {
    let corpus = Corpus::read(name, name == REGRESS);
    let mut tally = Tally::new(name);
    let sessions = corpus.sessions();
    let template = sessions.iter().find(|(session, _)| session == SETUP).map(|(_, list)| template(server, &corpus, list));
    for (session, list) in sessions.iter().filter(|(session, _)| wanted(session)) {
        let template = template.as_ref().filter(|_| session != SETUP);
        let start = std::time::Instant::now();
        let mut ground = Ground::new(server, template, name != REGRESS);
        let before = tally.count();
        for &index in list {
            one(&mut ground, &corpus, index, &mut tally);
        }
        if let Ok(dump) = std::env::var("COVERAGE_DUMP") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(dump).unwrap();
            file.write_all(tally.lines(before).concat().as_bytes()).unwrap();
        }
        let (plain, shared) = ground.databases.clone();
        let loads = ground.loads;
        drop(ground);
        if std::env::var_os("COVERAGE_TRACE").is_some() {
            eprintln!("{session} {} statements {loads:?} {:?}", list.len(), start.elapsed());
        }
        for database in [plain, shared] {
            server.psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", database.name));
        }
    }
    tally
}

fn template(server: &Postgres, corpus: &Corpus, list: &[usize]) -> (Database, Database) {
    let mut ground = Ground::new(server, None, false);
    for &index in list.iter().filter(|i| corpus.statements[**i].class == Class::Schema) {
        ground.apply(corpus, index);
    }
    ground.databases.clone()
}

fn one(ground: &mut Ground, corpus: &Corpus, index: usize, tally: &mut Tally) {
    let statement = &corpus.statements[index];
    if std::env::var("COVERAGE_TRACE").is_ok_and(|t| t == "all") {
        eprintln!("{index} {:.3000}", statement.sql);
    }
    match statement.class {
        Class::Schema | Class::Drop => ground.apply(corpus, index),
        Class::Other | Class::Unreadable => {}
        Class::Dml => tally.add(statement, verdict(ground, corpus, index)),
        Class::Into => {
            tally.add(statement, verdict(ground, corpus, index));
            ground.apply(corpus, index);
        }
    }
    tally.statements += 1;
}

/// Whole small corpora, and a few of the regression tests' files.
#[test]
fn a_slice_of_the_corpora_is_accepted() {
    if !statements::folder().is_dir() {
        eprintln!("skipped: no corpora");
        return;
    }
    let server = Postgres::shared();
    let slice = |session: &str| matches!(session, "" | "window.sql");
    for (name, least) in SLICE {
        let tally = measure(server, name, &slice);
        let (share, refused) = (tally.numbers().share(), tally.refused());
        assert_eq!(tally.broken(), [""; 0], "{name}");
        assert!(share >= *least, "{name}: {share:.2} % of what PostgreSQL accepts, not {least}; refused: {refused:#?}");
    }
}

/// Corpora, and the percentage that must be accepted.
const SLICE: &[(&str, f64)] = &[("knex", 100.0), ("pgjdbc", 100.0), ("pgdump", 95.0), (REGRESS, 98.0)];
