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
use std::path::{Path, PathBuf};
use verdict::verdict;

/// Corpora in the page's order. Of the last each file is a session of its own.
const CORPORA: &[&str] = &["django", "sqlalchemy", "typeorm", "knex", "rails", "psql", "pgdump", "pgjdbc", "redmine", "directus", REGRESS];
const REGRESS: &str = "postgres15-regress";
/// What the regression tests' schedule runs before all others.
const SETUP: &str = "test_setup.sql";

#[test]
#[ignore = "an hour; `make coverage` runs it"]
fn the_corpora_are_measured_and_the_page_written() {
    let only = std::env::var("COVERAGE_ONLY").unwrap_or_default();
    let sessions = std::env::var("COVERAGE_SESSIONS").unwrap_or_default();
    let wanted = |session: &str| sessions.is_empty() || sessions.split(',').any(|s| s == session);
    let server = Postgres::start();
    std::fs::create_dir_all(results("")).unwrap();
    for name in CORPORA.iter().filter(|c| only.is_empty() || only.split(',').any(|o| o == **c)) {
        let tally = measure(&server, name, &wanted);
        println!("{}", tally.row());
        std::fs::write(results(name), tally.lines(0).concat()).unwrap();
    }
}

/// The page is made of what the last run of each corpus left.
#[test]
#[ignore = "`make coverage` runs it behind the measurement"]
fn the_page_is_made_of_the_measurements() {
    let tallies: Vec<Tally> = CORPORA.iter().map(|name| Tally::read(name, &std::fs::read_to_string(results(name)).unwrap())).collect();
    std::fs::write("docs/SQL-COVERAGE.md", page::page(&tallies)).unwrap();
}

fn results(name: &str) -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let folder = Path::new(&target).join("coverage");
    if name.is_empty() { folder } else { folder.join(format!("{name}.jsonl")) }
}

fn measure(server: &Postgres, name: &'static str, wanted: &dyn Fn(&str) -> bool) -> Tally {
    let corpus = Corpus::read(name, name == REGRESS);
    let mut tally = Tally::new(name);
    let sessions = corpus.sessions();
    let template = sessions.iter().find(|(session, _)| session == SETUP).map(|(_, list)| template(server, &corpus, list));
    for (session, list) in sessions.iter().filter(|(session, _)| wanted(session)) {
        let template = template.as_ref().filter(|_| session != SETUP);
        let mut ground = Ground::new(server, template, name != REGRESS);
        let before = tally.count();
        list.iter().for_each(|index| one(&mut ground, &corpus, *index, &mut tally));
        if let Ok(path) = std::env::var("COVERAGE_TRACE") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(tally.lines(before).concat().as_bytes()).unwrap();
        }
        let (plain, shared) = ground.databases.clone();
        drop(ground);
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
    match statement.class {
        Class::Schema | Class::Drop => ground.apply(corpus, index),
        Class::Other | Class::Unreadable => {}
        Class::Dml => tally.add(statement, verdict(ground, corpus, index)),
        Class::Into => {
            tally.add(statement, verdict(ground, corpus, index));
            ground.apply(corpus, index);
        }
    }
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
