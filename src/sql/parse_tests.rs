//! Reading and printing.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[test]
fn deep_and_long_texts_are_refused_before_they_are_parsed() {
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(parse(&deep).map(|_| ()).map_err(|r| r.sqlstate), Err("54001"));
    assert_eq!(parse(&"x".repeat(TEXT_BYTES_MAX + 1)).map(|_| ()).map_err(|r| r.sqlstate), Err("54000"));
    let chain = format!("SELECT {}1", "1+".repeat(20_000));
    assert!(parse(&chain).is_err(), "a chain of 20,000 operators is a deep tree");
}

#[test]
fn a_syntax_error_is_postgres_own() {
    assert_eq!(parse("SELEC 1").map(|_| ()).map_err(|r| r.sqlstate), Err("42601"));
}

#[test]
fn numbers_of_a_newer_grammar_are_seen() {
    for text in ["SELECT 0x10", "SELECT 1_000", "SELECT 0b1, 2", "SELECT 0o7"] {
        assert_eq!(numbers_as_before_16(text).map_err(|r| r.sqlstate), Err("42601"), "{text}");
    }
    assert!(numbers_as_before_16("SELECT 1, 1.5e-10, .5, 'x_0x1', a0x1, $1, 12345678901234567890").is_ok());
}

#[test]
fn texts_that_the_scanner_reads_again_and_again_are_refused() {
    for text in ["/*".repeat(100_000), format!("SELECT 1 {}", "+".repeat(100_000)), format!("SELECT 1 {}", "=-+".repeat(10_000))] {
        assert_eq!(parse(&text).map(|_| ()).map_err(|r| r.sqlstate), Err("54001"));
    }
    let ruled = "SELECT 1 -- x\n/*".to_owned() + &"*".repeat(50_000) + "*/ --" + &"-".repeat(50_000) + "\n/* a /* b */ c */";
    assert!(parse(&ruled).is_ok(), "rulers in comments");
    assert!(parse(&format!("SELECT '{}'", "=".repeat(100_000))).is_ok(), "a ruler in a string");
    assert!(parse(&"/* a /* b */ c */".repeat(5000)).is_ok(), "many comments");
}

#[test]
fn a_text_is_bounded_by_its_tokens_before_it_is_read() {
    assert_eq!(tokens("SELECT a.b, 'x y z', \"q r\" FROM t WHERE x >= 1.5"), 13);
    assert_eq!(tokens("SELECT 'it''s' || E'a'"), 7);
    // Not sure what is quoted: all words count.
    for odd in ["SELECT E'\\' x y z'", "SELECT 1 -- don't x y z", "SELECT 1 /* don't x y z */", "SELECT $$ it's x y z $$"] {
        assert!(tokens(odd) >= 7, "{odd}");
    }
    let long = format!("SELECT '{}'", "word ".repeat(1 << 20));
    assert!(parse(&long).is_ok(), "one long string");
    for text in [format!("SELECT {}1", "1,".repeat(TOKENS_MAX)), format!("SELECT E'\\'' || {}1", "'a',".repeat(TOKENS_MAX / 2))] {
        assert_eq!(parse(&text).map(|_| ()).map_err(|r| r.sqlstate), Err("54001"));
    }
}

/// libpg_query can be built so that it puts a pipe in the place of stderr while it parses (without `DEBUG` in pg_query_internal.h).
#[test]
#[cfg(target_os = "linux")]
fn reading_leaves_stderr_alone() {
    let stderr = || std::fs::read_link("/proc/self/fd/2").unwrap();
    let before = stderr();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..300 {
                    let tree = parse("SELECT 1").unwrap();
                    scan(&deparse(tree).unwrap()).unwrap();
                }
            })
        })
        .collect();
    while readers.iter().any(|r| !r.is_finished()) {
        assert_eq!(stderr(), before);
    }
    readers.into_iter().for_each(|r| r.join().unwrap());
    assert_eq!(stderr(), before);
}

#[test]
fn the_highest_parameter_is_guessed() {
    for (text, highest) in
        [("SELECT 1", 0), ("SELECT $1, $12 + $3", 12), ("SELECT '$7', $2", 7), ("SELECT $$x$$, a$b, $", 0), ("SELECT '$99999', $4", 4)]
    {
        assert_eq!(parameters(text), highest, "{text}");
    }
}
