//! Garbage, truncated, oversized and slow input: an error or a close, never a panic, and memory stays bounded.

use crate::smoke::{POLICY, shop};
use crate::support::{Client, Wall, eventually, message, socket, startup, terminated};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

const ACME: &[(&str, &str)] = &[("user", "app"), ("partywall.tenant", "acme")];

/// Numbers that look random and are the same in each run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// It still serves, and nothing in it has panicked.
fn sound(wall: &Wall) {
    let mut client = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(client.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    assert!(!wall.has_ended() && !wall.log().contains("panicked"), "{}", wall.log());
}

/// Sends bytes, says that no more come, reads to the end. What was said.
fn say(wall: &Wall, bytes: &[u8]) -> Vec<u8> {
    let mut socket = socket(wall.port("pg"));
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open after {bytes:?}"),
        _ => said,
    }
}

#[test]
fn garbage_for_a_beginning() {
    let wall = Wall::for_database(&shop(), POLICY);
    let good = startup(ACME);
    let mut all: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        vec![0; 8],
        vec![0xff; 64],
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        [&10_001u32.to_be_bytes()[..], &good[4..]].concat(),
        [&u32::MAX.to_be_bytes()[..], &good[4..]].concat(),
        startup(&[("user", "a"), ("partywall.tenant", &"x".repeat(200))]),
        [&14u32.to_be_bytes()[..], &(3u32 << 16).to_be_bytes(), b"\xff\xfe\0\0\0\0"].concat(),
    ];
    all.extend((0..200).map(|seed| noise(seed, 1 + (seed as usize * 7) % 90)));
    // A length that fits, then noise.
    all.extend((0..100).map(|seed| [&40u32.to_be_bytes()[..], &(3u32 << 16).to_be_bytes(), &noise(seed, 32)].concat()));
    all.extend((0..good.len()).map(|end| good[..end].to_vec()));
    for bytes in &all {
        let said = say(&wall, bytes);
        assert!(matches!(said.first(), None | Some(b'E' | b'N')), "{bytes:?} gave {said:?}");
    }
    sound(&wall);
}

#[test]
fn garbage_after_the_startup() {
    let wall = Wall::for_database(&shop(), POLICY);
    let begin = startup(ACME);
    for seed in 0..300u64 {
        let tag = *b"QPBDECSHXdcfFp1234Zx\0\xff".get(seed as usize % 22).unwrap();
        let body = noise(seed, (seed as usize * 3) % 60);
        let whole = message(tag, &body);
        for bytes in [&whole, &whole[..whole.len() * 2 / 3].to_vec(), &noise(seed, 40)] {
            say(&wall, &[&begin, bytes.as_slice()].concat());
        }
    }
    sound(&wall);
}

#[test]
fn oversized_messages_end_the_connection_by_their_header() {
    let wall = Wall::for_database(&shop(), POLICY);
    for (tag, length) in [(b'Q', 1u32 << 30), (b'P', u32::MAX), (b'B', 64 << 20), (b'S', 20_000), (b'E', 20_000), (b'Q', 0), (b'Q', 3)] {
        let mut client = Client::tenant(wall.port("pg"), "acme");
        client.send(&[&[tag], &length.to_be_bytes()[..]].concat());
        let (kind, body) = client.receive().unwrap();
        assert!(kind == b'E' && String::from_utf8_lossy(&body).contains("08P01"), "{} {length}", char::from(tag));
        assert_eq!(client.receive(), None);
    }
    sound(&wall);
}

#[test]
fn slow_clients_are_served_and_silent_ones_are_let_go() {
    let wall = Wall::for_database(&shop(), POLICY);
    let silent: Vec<_> = [&b""[..], &startup(ACME)[..20], &[0, 0, 0]]
        .map(|part| {
            let mut socket = socket(wall.port("pg"));
            socket.write_all(part).unwrap();
            socket
        })
        .into();
    let mut slow = socket(wall.port("pg"));
    for byte in [startup(ACME), message(b'Q', b"SELECT count(*) FROM orders\0"), message(b'X', &[])].concat() {
        slow.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut said = Vec::new();
    slow.read_to_end(&mut said).unwrap();
    assert!(said.windows(11).any(|w| w == [b'D', 0, 0, 0, 11, 0, 1, 0, 0, 0, 1]), "{said:?}");
    let start = Instant::now();
    for mut socket in silent {
        let _ = socket.read_to_end(&mut Vec::new());
    }
    assert!(start.elapsed() < Duration::from_secs(20), "an unfinished handshake is not kept");
    sound(&wall);
}

#[test]
fn long_values_pass_in_both_directions() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    let long = "x".repeat(20 << 20);
    assert_eq!(client.extended("UPDATE orders SET item = $1 WHERE id = 1", &[Some(&long)]).unwrap().tag, "UPDATE 1");
    let before = wall.resident_kib();
    assert_eq!(client.query("SELECT item FROM orders WHERE id = 1").unwrap().rows[0][0].as_ref().unwrap().len(), 20 << 20);
    assert_eq!(client.query(&format!("SELECT length('{}')", &long[..1_000_000])).unwrap().text(), "1000000");
    assert_eq!(database.psql("SELECT max(length(item)) FROM orders"), (20 << 20).to_string());
    assert!(wall.resident_kib() < before + 300_000);
    sound(&wall);
}

#[test]
fn memory_is_bounded_whatever_a_client_does() {
    let database = shop();
    database.psql("INSERT INTO orders SELECT 'acme', n, repeat('y', 1000) FROM generate_series(10, 1000) n");
    let wall = Wall::for_database(&database, POLICY);
    let clients = || (0..8).map(|_| Client::tenant(wall.port("pg"), "acme")).collect::<Vec<_>>();
    drop(clients());
    let before = wall.resident_kib();
    // Rows that nobody reads: a gigabyte is asked for.
    let mut unread = clients();
    for client in &mut unread {
        client.message(b'Q', &terminated("SELECT a.item FROM orders a, orders b"));
    }
    // Statements whose answers nobody reads; the socket takes what it takes.
    let mut flood = socket(wall.port("pg"));
    flood.write_all(&startup(ACME)).unwrap();
    flood.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let many = message(b'Q', b"SELECT item FROM orders\0").repeat(1000);
    let mut sent = 0;
    while sent < 64 << 20 {
        match flood.write(&many) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    // A long message that is announced and does not come.
    let mut partial = clients();
    for client in &mut partial {
        client.send(&[b"Q".as_slice(), &(60u32 << 20).to_be_bytes()[..], &[b' '; 100_000]].concat());
    }
    std::thread::sleep(Duration::from_secs(2));
    let grown = wall.resident_kib().saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB more than before");
    drop((unread, flood, partial));
    assert!(eventually(|| database.psql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()"
    ) == "0"));
    let mut client = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(client.query("SELECT 1").unwrap().text(), "1");
    assert!(!wall.log().contains("panicked"));
}

#[test]
fn many_statements_and_portals_are_bounded() {
    let wall = Wall::for_database(&shop(), POLICY);
    let mut client = Client::tenant(wall.port("pg"), "acme");
    let mut refused = Vec::new();
    for block in 0..21 {
        for n in 0..500 {
            client.parse(&format!("s{block}_{n}"), "SELECT 1", &[]);
        }
        client.sync();
        refused.extend(client.answers().into_iter().filter_map(|a| a.err().map(|e| e.code)));
    }
    assert_eq!(refused, ["53400"], "10,000 and no more");
    let mut client = Client::tenant(wall.port("pg"), "acme");
    client.query("BEGIN").unwrap();
    client.parse("", "SELECT 1", &[]);
    for n in 0..12_000 {
        client.bind(&format!("p{n}"), "", &[]);
    }
    client.sync();
    let errors: Vec<String> = client.answers().into_iter().filter_map(|a| a.err().map(|e| e.code)).collect();
    assert_eq!(errors, ["53400"], "portals in one transaction");
    sound(&wall);
}
