//! SQLsmith, the random query generator of Debian, as a tenant through the wall: on tables that it shares with three others, whose rows hold
//! words and numbers that nobody else has. A relay before the wall reads every message: nothing of another tenant's may come, each query has
//! one ReadyForQuery, and the other tenants' rows stay what they were to the last bit.
//!
//! `make sqlsmith SECONDS=3600` runs it; `SEED=n` begins elsewhere.

use crate::oracle::{CANARY, POLICY, SCHEMA, TENANTS, rows};
use crate::support::{Leash, Postgres, Wall, get};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Numbers and days that only the other tenants have.
const MARKS: &[&str] = &["7777777", "1777-07"];
const MARK: &str = "
UPDATE orders SET total = 7777777.07, placed_at = '1777-07-07' WHERE tenant_id <> 'acme';
UPDATE products SET price = 7777777.07, stock = 77777777 WHERE tenant_id <> 'acme';
UPDATE customers SET joined = '1777-07-07' WHERE tenant_id <> 'acme';
UPDATE ledger SET amount = 7777777.07 WHERE org <> 'acme';
UPDATE threads SET opened = '1777-07-07' WHERE org_id <> 'acme';
UPDATE posts SET score = 7777777.07 WHERE org_id <> 'acme';
UPDATE steps SET spent = 7777777.07 WHERE task_id > 10000;
VACUUM ANALYZE";

/// What came through the relay.
#[derive(Default)]
struct Seen {
    queries: u64,
    completed: u64,
    rows: u64,
    /// SQLSTATE and message, and how often, with the first statement.
    errors: BTreeMap<String, (u64, String)>,
    /// What must not be.
    alarms: Vec<String>,
    connections: u64,
}

/// One connection's state.
#[derive(Default)]
struct Talk {
    query: String,
    sent: u64,
    ready: u64,
}

fn seconds() -> u64 {
    std::env::var("SQLSMITH_SECONDS").ok().and_then(|v| v.parse().ok()).unwrap_or(60)
}

#[test]
#[ignore = "as long as it is told: make sqlsmith"]
fn sqlsmith_sees_one_tenant() {
    let server = Postgres::start_with("autovacuum = off\n", "local all all trust\nhost all all 127.0.0.1/32 trust\n", &[]);
    let database = server.database();
    database.psql(SCHEMA);
    database.psql(&format!("SET client_min_messages = error; {}", rows()));
    MARK.split(';').for_each(|statement| drop(database.psql(statement)));
    let others = database.psql("SELECT oracle_others()");
    let policy = POLICY.replace("\npostgres:\n", "\npostgres:\n  verify_rows: sample\n");
    let wall = Wall::start(&Wall::config(&database, "identity: [startup]", "user: postgres"), &[("test.yaml", &policy)]);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let relay = relay(wall.port("pg"), seen.clone());
    let (start, end) = (Instant::now(), Duration::from_secs(seconds()));
    let mut seed = std::env::var("SEED").ok().and_then(|v| v.parse::<u64>().ok()).unwrap_or(1);
    let mut said = start;
    while start.elapsed() < end {
        // Every third run asks the catalogs, too.
        let smith = smith(relay, seed, !seed.is_multiple_of(3));
        let began = Instant::now();
        // It takes minutes to read what functions there are.
        let run = Duration::from_secs(900).min(end.saturating_sub(start.elapsed()));
        while began.elapsed() < run && !smith.has_ended() {
            std::thread::sleep(Duration::from_millis(200));
            assert!(!wall.has_ended(), "the wall ended:\n{}", wall.log());
            if said.elapsed() > Duration::from_secs(60) {
                let now = seen.lock().unwrap();
                let (at, alarms) = (start.elapsed().as_secs(), now.alarms.len());
                println!("{at:>6} s: {} queries, {} completed, {alarms} alarms", now.queries, now.completed);
                said = Instant::now();
            }
        }
        drop(smith);
        assert_eq!(database.psql("SELECT oracle_others()"), others, "another tenant's rows have changed (seed {seed})");
        seed += 1;
    }
    report(&seen.lock().unwrap(), &wall, start.elapsed());
}

/// Prints what was seen, and holds what must be.
fn report(seen: &Seen, wall: &Wall, took: Duration) {
    let failed: u64 = seen.errors.values().map(|(n, _)| n).sum();
    println!(
        "{} queries on {} connections in {:.0} s: {} results with {} rows, {failed} errors",
        seen.queries,
        seen.connections,
        took.as_secs_f64(),
        seen.completed,
        seen.rows
    );
    let mut errors: Vec<_> = seen.errors.iter().collect();
    errors.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
    for (what, (count, statement)) in errors.iter().take(60) {
        println!("{count:>8}  {what}");
        if std::env::var("SQLSMITH_VERBOSE").is_ok() {
            println!("          {}", statement.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    let class = |class: &str| seen.errors.iter().filter(|(k, _)| k.starts_with(class)).map(|(_, (n, _))| n).sum::<u64>();
    println!("class 08: {}, class XX: {}, not proved: {}", class("08"), class("XX"), class("0A000 statement could not be proved"));
    let metrics = get(wall.port("admin"), "/metrics").1;
    for line in metrics.lines().filter(|l| !l.starts_with('#') && !l.contains("latency")) {
        println!("  {line}");
    }
    assert!(!wall.log().contains("panicked"), "{}", wall.log());
    assert!(!metrics.lines().any(|l| l.starts_with("partywall_row_mismatch_total{") && !l.ends_with(" 0")), "rows of another tenant");
    assert!(seen.alarms.is_empty(), "{:#?}", seen.alarms);
    assert_eq!(class("08"), 0, "a connection failed");
    assert!(seen.completed > 10 && seen.rows > 10, "too little was accepted to show anything");
}

fn smith(port: u16, seed: u64, own_tables: bool) -> Leash {
    let target = format!(
        "--target=host=127.0.0.1 port={port} user=app dbname=app sslmode=disable gssencmode=disable options='-c partywall.tenant=acme'"
    );
    let seed = format!("--seed={seed}");
    let mut program = vec!["sqlsmith", &target, &seed];
    program.extend(own_tables.then_some("--exclude-catalog"));
    let mut smith = Leash::start("KILL", None, &program, Path::new("/"), &[]);
    // What it says is nobody's business, but it must not wait for a reader.
    let (stdout, stderr) = (smith.stdout.take(), smith.stderr.take());
    std::thread::spawn(move || stdout.map(|mut s| std::io::copy(&mut s, &mut std::io::sink())));
    std::thread::spawn(move || stderr.map(|mut s| std::io::copy(&mut s, &mut std::io::sink())));
    smith
}

/// Listens, and passes every connection on to the wall, reading along.
fn relay(wall: u16, seen: Arc<Mutex<Seen>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", wall)) else { continue };
            seen.lock().unwrap().connections += 1;
            let talk = Arc::new(Mutex::new(Talk::default()));
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (there, back) = ((seen.clone(), talk.clone()), (seen.clone(), talk));
            std::thread::spawn(move || pass(from, to, true, |tag, body| asked(&there.0, &there.1, tag, body)));
            std::thread::spawn(move || pass(server, client, false, |tag, body| answered(&back.0, &back.1, tag, body)));
        }
    });
    port
}

/// Passes messages on, whole.
fn pass(mut from: TcpStream, mut to: TcpStream, startup: bool, mut look: impl FnMut(u8, &[u8])) {
    let mut first = startup;
    loop {
        let mut head = vec![0; if first { 4 } else { 5 }];
        if from.read_exact(&mut head).is_err() {
            break;
        }
        let length: [u8; 4] = head[head.len() - 4..].try_into().unwrap();
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap().saturating_sub(4)];
        if from.read_exact(&mut body).is_err() {
            break;
        }
        let whole = [head.as_slice(), body.as_slice()].concat();
        // Looked at before it goes on: an answer never comes before its question was noted.
        look(if first { 0 } else { head[0] }, &body);
        first = false;
        if to.write_all(&whole).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn asked(seen: &Mutex<Seen>, talk: &Mutex<Talk>, tag: u8, body: &[u8]) {
    if tag == b'Q' {
        let mut talk = talk.lock().unwrap();
        talk.query = String::from_utf8_lossy(body).trim_end_matches('\0').to_owned();
        talk.sent += 1;
        seen.lock().unwrap().queries += 1;
    }
}

fn answered(seen: &Mutex<Seen>, talk: &Mutex<Talk>, tag: u8, body: &[u8]) {
    let (mut seen, mut talk) = (seen.lock().unwrap(), talk.lock().unwrap());
    let text = String::from_utf8_lossy(body);
    let told = |word: &&str| text.contains(*word) && !talk.query.contains(*word);
    if let Some(word) = [CANARY].iter().chain(&TENANTS[1..]).chain(MARKS).find(|w| told(w)) {
        let alarm = format!("{word} came in {}: {text}\n{}", char::from(tag), talk.query);
        seen.alarms.push(alarm);
    }
    match tag {
        b'D' => seen.rows += 1,
        b'C' | b'I' => seen.completed += 1,
        b'E' => {
            let field =
                |tag: u8| body.split(|b| *b == 0).find(|p| p.first() == Some(&tag)).map(|p| String::from_utf8_lossy(&p[1..]).into_owned());
            let what = format!("{} {}", field(b'C').unwrap_or_default(), plain(&field(b'M').unwrap_or_default()));
            seen.errors.entry(what).or_insert_with(|| (0, talk.query.clone())).0 += 1;
        }
        b'Z' => {
            talk.ready += 1;
            // The first is the startup's.
            if talk.ready != talk.sent + 1 {
                let alarm = format!("{} answers to {} queries, the last\n{}", talk.ready - 1, talk.sent, talk.query);
                seen.alarms.push(alarm);
            }
        }
        b'R' | b'S' | b'K' | b'T' | b'N' | b'A' | b'n' | b'v' => {}
        other => seen.alarms.push(format!("a message {}", other.escape_ascii())),
    }
}

/// A message without names and values, so that those of one kind are counted together.
fn plain(message: &str) -> String {
    let mut out = String::new();
    for (index, part) in message.split('"').enumerate() {
        out.push_str(if index % 2 == 1 { "\"…\"" } else { part });
    }
    let digits = out.split(|c: char| c.is_ascii_digit()).filter(|p| !p.is_empty()).collect::<Vec<_>>().join("#");
    digits.chars().take(110).collect()
}
