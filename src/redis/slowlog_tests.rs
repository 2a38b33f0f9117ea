//! What is kept of a command, how many are kept, and how they are told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::redis::inline;

fn request(line: &str) -> Request {
    Request::new(&inline::split(line.as_bytes()).unwrap())
}

fn kept(line: &str) -> Bytes {
    let mut out = BytesMut::new();
    words(&mut out, &request(line));
    out.freeze()
}

fn entry(line: &str) -> Entry {
    Entry { at: 7, micros: 15_000, words: kept(line), address: "127.0.0.1:9".into(), name: Bytes::from_static(b"me") }
}

fn answer(log: &Slowlog, line: &str) -> String {
    let name = line.split(' ').take(2).collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    match log.answer(&name, &request(line)) {
        Ok(text) => String::from_utf8(text.to_vec()).unwrap().replace("\r\n", " "),
        Err(refusal) => String::from_utf8(refusal.text.to_vec()).unwrap(),
    }
}

#[test]
fn words_are_cut_as_the_server_cuts_them() {
    let long = "a".repeat(129);
    assert_eq!(kept(&format!("set k {long}")), format!("*3\r\n$3\r\nset\r\n$1\r\nk\r\n$146\r\n{}... (1 more bytes)\r\n", "a".repeat(128)));
    assert_eq!(kept(&format!("get {}", "a".repeat(128))), format!("*2\r\n$3\r\nget\r\n$128\r\n{}\r\n", "a".repeat(128)));
    let many = |count: usize| kept(&format!("del {}", "k ".repeat(count - 1)));
    assert!(many(32).ends_with(b"$1\r\nk\r\n") && many(32).starts_with(b"*32\r\n"));
    assert!(many(33).starts_with(b"*32\r\n$3\r\ndel") && many(33).ends_with(b"$1\r\nk\r\n$22\r\n... (2 more arguments)\r\n"));
}

#[test]
fn the_newest_come_first_and_the_oldest_go() {
    let log = Slowlog::default();
    assert_eq!(answer(&log, "SLOWLOG GET"), "*0 ");
    (0..200).for_each(|n| log.push(entry(&format!("get k{n}"))));
    assert_eq!(answer(&log, "SLOWLOG LEN"), ":128 ");
    let newest = "*6 :199 :7 :15000 *2 $3 get $4 k199 $11 127.0.0.1:9 $2 me ";
    assert_eq!(answer(&log, "SLOWLOG GET 1"), format!("*1 {newest}"));
    assert!(answer(&log, "SLOWLOG GET").starts_with(&format!("*10 {newest}")));
    assert!(
        answer(&log, "SLOWLOG GET -1").starts_with("*128 ") && answer(&log, "SLOWLOG GET 9999").ends_with("$3 k72 $11 127.0.0.1:9 $2 me ")
    );
    assert_eq!(answer(&log, "SLOWLOG GET 0"), "*0 ");
    assert_eq!(answer(&log, "SLOWLOG RESET"), "+OK ");
    assert_eq!(answer(&log, "SLOWLOG LEN"), ":0 ");
    log.push(entry("ping"));
    // Numbers go on.
    assert!(answer(&log, "SLOWLOG GET").starts_with("*1 *6 :200 "));
}

#[test]
fn its_size_is_bounded() {
    let log = Slowlog::default();
    let line = format!("del {}", format!("{} ", "k".repeat(200)).repeat(40));
    (0..200).for_each(|_| log.push(entry(&line)));
    let entries = log.entries();
    assert!(entries.bytes <= BYTES_MAX && entries.all.len() > 50, "{} in {} bytes", entries.all.len(), entries.bytes);
    assert_eq!(entries.bytes, entries.all.iter().map(|entry| entry.words.len()).sum::<usize>());
}

#[test]
fn errors_are_the_servers() {
    let log = Slowlog::default();
    let count = "ERR count should be greater than or equal to -1";
    for line in ["SLOWLOG GET -2", "SLOWLOG GET x", "SLOWLOG GET 99999999999999999999"] {
        assert_eq!(answer(&log, line), count, "{line}");
    }
    assert_eq!(answer(&log, "SLOWLOG GET 1 2"), "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.");
}

#[test]
fn commandlog_is_the_same_log_by_kind() {
    let log = Slowlog::default();
    (0..3).for_each(|n| log.push(entry(&format!("get k{n}"))));
    assert_eq!(answer(&log, "COMMANDLOG GET 1 slow"), answer(&log, "SLOWLOG GET 1"));
    assert_eq!(answer(&log, "commandlog get -1 SLOW"), answer(&log, "SLOWLOG GET -1"));
    assert_eq!(answer(&log, "COMMANDLOG LEN slow"), ":3 ");
    for kind in ["large-request", "large-reply"] {
        assert_eq!(answer(&log, &format!("COMMANDLOG GET -1 {kind}")), "*0 ");
        assert_eq!(answer(&log, &format!("COMMANDLOG LEN {kind}")), ":0 ");
        assert_eq!(answer(&log, &format!("COMMANDLOG RESET {kind}")), "+OK ");
    }
    assert_eq!(answer(&log, "SLOWLOG LEN"), ":3 ");
    let kinds = "ERR type should be one of the following: slow, large-request, large-reply";
    for line in ["COMMANDLOG GET 1 quick", "COMMANDLOG LEN 1", "COMMANDLOG RESET slower"] {
        assert_eq!(answer(&log, line), kinds, "{line}");
    }
    assert_eq!(answer(&log, "COMMANDLOG GET x quick"), "ERR count should be greater than or equal to -1");
    assert_eq!(answer(&log, "COMMANDLOG RESET slow"), "+OK ");
    assert_eq!(answer(&log, "SLOWLOG LEN"), ":0 ");
}
