//! A slice of the fuzz targets in every run of the tests: mutations of the committed seeds, the same for the same FUZZ_SEED.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/src/lib.rs"]
mod entry;

use entry::random::Random;

/// Runs a target on its seeds and on what becomes of them, for a third of FUZZ_SLICE seconds (60 if it is not set).
fn slice(name: &str, run: impl Fn(&[u8]), mutate: impl Fn(&[u8], &mut Random) -> Vec<u8>, more: &[Vec<u8>]) {
    let number = |name: &str, otherwise: u64| std::env::var(name).ok().map_or(otherwise, |v| v.parse().unwrap());
    let (seed, seconds) = (number("FUZZ_SEED", 1), number("FUZZ_SLICE", 60));
    let directory = Path::new("fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut seeds: Vec<Vec<u8>> = paths.iter().map(|p| std::fs::read(p).unwrap()).collect();
    seeds.extend_from_slice(more);
    assert!(seeds.len() > 10, "{name} has no seeds");
    let mut last = Vec::new();
    let mut one = |data: &[u8]| {
        last = data.to_vec();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&last)));
        assert!(found.is_ok(), "{name}: a finding in\n{}\n(FUZZ_SEED={seed})", last.escape_ascii());
    };
    seeds.iter().for_each(|s| one(s));
    let (mut random, start, mut runs) = (Random::new(seed), Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) / 3 {
        let mut data = random.pick(&seeds).clone();
        for _ in 0..=random.below(3) {
            data = mutate(&data, &mut random);
        }
        one(&data);
        runs += 1;
    }
    println!("{name}: {} seeds and {runs} mutations, FUZZ_SEED={seed}", seeds.len());
    assert!(runs > 50, "only {runs} runs");
}

#[test]
fn statements() {
    // The case files are seeds too.
    let texts = [
        "rewrite",
        "refuse",
        "utility",
        "own",
        "copy",
        "hidden",
        "through",
        "attacks/hidden",
        "attacks/through",
        "attacks/names",
        "attacks/functions",
        "attacks/writes",
        "attacks/errors",
        "attacks/statements",
    ];
    let mut more = Vec::new();
    for name in texts {
        let text = std::fs::read_to_string(format!("tests/sql/{name}.txt")).unwrap();
        more.extend(text.split("\n\n").filter_map(|case| Some(case.trim().split_once("\n=>\n")?.0.as_bytes().to_vec())));
    }
    assert!(more.len() > 100);
    slice("sql", entry::sql::run, entry::sql::mutate, &more);
}

#[test]
fn the_postgres_wire() {
    slice("postgres_wire", entry::postgres_wire::run, entry::postgres_wire::mutate, &[]);
}

#[test]
fn the_redis_wire() {
    slice("redis_wire", entry::redis_wire::run, entry::redis_wire::mutate, &[]);
}

/// Texts that grow in one way, on a stack as small as a server's thread has.
#[test]
fn long_and_deep_texts() {
    let shapes: &[(&str, &str, &str, &str)] = &[
        ("SELECT 1", "+1", "", ""),
        ("SELECT ", "- ", "1", ""),
        ("SELECT ", "NOT ", "true", ""),
        ("SELECT 1", "::int", "", ""),
        ("SELECT ", "(", "1", ")"),
        ("SELECT ", "[", "1", "]"),
        ("SELECT ", "CASE WHEN true THEN ", "1", " END"),
        ("SELECT ", "CASE\u{a0}", "1", " END"),
        ("SELECT 1", " UNION SELECT 1", "", ""),
        ("SELECT * FROM orders o", " JOIN items ON true", "", ""),
        ("SELECT * FROM orders o", ", items", "", ""),
        ("SELECT id FROM orders WHERE id = 1", " AND id = 1", "", ""),
        ("SELECT id FROM orders WHERE id = 1", " OR id IN (SELECT line FROM items)", "", ""),
        ("SELECT note", " COLLATE \"C\"", " FROM orders", ""),
        ("SELECT tags", "[1]", " FROM loose", ""),
        ("SELECT note", " IS NULL", " FROM orders", ""),
        ("SELECT note", " || note", " FROM orders", ""),
        ("SELECT a", ".a", "", ""),
        ("SELECT 1", ";SELECT 1", "", ""),
        ("INSERT INTO orders (id) VALUES (1)", ",(1)", "", ""),
        ("SELECT ", "/*", "1", "*/"),
        ("SELECT '", "''", "'", ""),
        ("SELECT ", "lower(", "'a'", ")"),
        ("SELECT ", "EXISTS(SELECT ", "1", ")"),
        ("WITH a AS (SELECT 1)", ",a AS (SELECT 1)", " SELECT 1", ""),
        ("SELECT 1 -", "- ", "1", ""),
        ("SELECT $1", "+$1", "", ""),
        ("SELECT x'", "0", "'", ""),
    ];
    let run = move || {
        for (start, more, middle, close) in shapes {
            for size in [300, 5_000, 1 << 20] {
                let times = size / (more.len() + close.len());
                let text = format!("{start}{}{middle}{}", more.repeat(times), close.repeat(times));
                entry::sql::run(text.as_bytes());
            }
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}
