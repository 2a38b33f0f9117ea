//! Garbage, truncated, oversized, nested and slow input on the Redis port: an error or a close, never a panic, and memory stays bounded.

use super::redis::start;
use super::support::{Redis, Wall, socket};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const AUTH: &[u8] = b"AUTH acme x\r\n";

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

fn tenant(wall: &Wall) -> TcpStream {
    let mut socket = socket(wall.port("redis"));
    expect(&mut socket, AUTH, b"+OK\r\n");
    socket
}

fn expect(socket: &mut TcpStream, bytes: &[u8], answer: &[u8]) {
    socket.write_all(bytes).unwrap();
    let mut said = vec![0; answer.len()];
    socket.read_exact(&mut said).unwrap();
    assert_eq!(said, answer, "{}", said.escape_ascii());
}

/// Sends bytes, says that no more come, reads to the end. What was said; a reset is a close.
fn say(wall: &Wall, bytes: &[u8]) -> Vec<u8> {
    let mut socket = socket(wall.port("redis"));
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open after {}", bytes.escape_ascii()),
        _ => said,
    }
}

/// It still serves, nothing has panicked, and upstream holds nothing but the tenants' own.
fn sound(redis: &Redis, wall: &Wall) {
    let mut client = tenant(wall);
    expect(&mut client, b"SET alive 1\r\nGET alive\r\n", b"+OK\r\n$1\r\n1\r\n");
    assert!(!wall.has_ended() && !wall.log().contains("panicked"), "{}", wall.log());
    let keys = super::redis_clients::keys(redis);
    assert!(keys.iter().all(|key| key.starts_with("acme:")) && keys.iter().any(|key| key == "acme:alive"), "{keys:?}");
}

#[test]
fn garbage_and_halves_of_commands() {
    let (redis, wall) = start();
    let good = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
    let mut all: Vec<Vec<u8>> = vec![b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), vec![0; 64], vec![0xff; 64], b"\"open\r\n".to_vec()];
    all.extend((0..150).map(|seed| noise(seed, 1 + (seed as usize * 7) % 90)));
    all.extend((0..100).map(|seed| [b"*3\r\n$3\r\nSET\r\n$4\r\n".as_slice(), &noise(seed, 40)].concat()));
    for bytes in &all {
        // A stranger gets errors only.
        let said = say(&wall, bytes);
        assert!(matches!(said.first(), None | Some(b'-')), "{} gave {}", bytes.escape_ascii(), said.escape_ascii());
        say(&wall, &[AUTH, bytes].concat());
    }
    for end in 0..good.len() {
        assert_eq!(say(&wall, &[AUTH, &good[..end]].concat()), b"+OK\r\n", "half a command is none");
    }
    expect(&mut tenant(&wall), b"EXISTS k\r\n", b":0\r\n");
    sound(&redis, &wall);
}

#[test]
fn what_is_too_large_or_nested_ends_the_connection() {
    let (redis, wall) = start();
    let refused: Vec<Vec<u8>> = vec![
        b"*1073741825\r\n".to_vec(),
        b"*9223372036854775808\r\n".to_vec(),
        b"*+1\r\n$4\r\nPING\r\n".to_vec(),
        b"*1\r\n$536870913\r\n".to_vec(),
        b"*1\r\n$-1\r\n".to_vec(),
        b"*1\r\n$99999999999999999999\r\n".to_vec(),
        b"*1\r\n*1\r\n$4\r\nPING\r\n".to_vec(),
        b"*1\r\n".repeat(100_000),
        b"*1\r\n:1\r\n".to_vec(),
        [b"*", b"1".repeat(70_000).as_slice()].concat(),
        b"A".repeat(70_000),
    ];
    for bytes in &refused {
        for begin in [AUTH, b""] {
            let said = say(&wall, &[begin, bytes].concat());
            let said = said.strip_prefix(if begin.is_empty() { b"".as_slice() } else { b"+OK\r\n" }).unwrap_or(&said);
            let lines = said.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
            let shown = bytes[..bytes.len().min(40)].escape_ascii().to_string();
            assert!(lines <= 1 && (said.is_empty() || said.starts_with(b"-ERR")), "{shown} gave {}", said.escape_ascii());
        }
    }
    // More than a stranger may say.
    assert!(say(&wall, b"*11\r\n$4\r\nPING\r\n").starts_with(b"-ERR Protocol error: unauthenticated multibulk"));
    assert!(say(&wall, b"*2\r\n$4\r\nAUTH\r\n$16385\r\n").starts_with(b"-ERR Protocol error: unauthenticated bulk"));
    // A reply that is nested, from upstream.
    let mut client = tenant(&wall);
    let deep = b"EVAL \"local t = {} for i = 1, 5000 do t = {t} end return t\" 0\r\n";
    client.write_all(deep).unwrap();
    client.write_all(b"QUIT\r\n").unwrap();
    let mut said = Vec::new();
    let _ = client.read_to_end(&mut said);
    assert!(said.starts_with(b"*1\r\n") || said.starts_with(b"-"), "{}", said[..said.len().min(80)].escape_ascii());
    sound(&redis, &wall);
}

/// Redis 7.0 says it between the elements of EXEC's array, and between those of what pops; the replies behind are those of what was asked.
#[test]
fn messages_to_oneself_are_no_replies() {
    let (redis, wall) = start();
    super::redis_clients::cli(redis.port, &["CONFIG", "SET", "notify-keyspace-events", "KEA"]);
    let all = b"HELLO 3\r\nSET k v\r\nZADD z 1 m\r\nSUBSCRIBE ch __keyspace@0__:z\r\nMULTI\r\nPUBLISH ch m\r\nGET nosuch\r\nPUBLISH ch n\r\nZPOPMIN z\r\n\
        SSCAN nosuch 0\r\nEXEC\r\nSCAN 0 MATCH k\r\nFUNCTION STATS\r\nGET k\r\nECHO end\r\nQUIT\r\n";
    for _ in 0..5 {
        let said = String::from_utf8_lossy(&say(&wall, &[AUTH, all].concat())).into_owned();
        let ends = "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n%2\r\n$14\r\nrunning_script\r\n_\r\n$7\r\nengines\r\n%1\r\n$3\r\nLUA\r\n%2\r\n$15\r\nlibraries_count\r\n:0\r\n\
            $15\r\nfunctions_count\r\n:0\r\n$1\r\nv\r\n$3\r\nend\r\n+OK\r\n";
        assert!(said.ends_with(ends) && !said.contains("acme:"), "{}", said.escape_debug());
        assert_eq!(said.matches(">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n").count(), 2, "{}", said.escape_debug());
    }
    sound(&redis, &wall);
}

#[test]
fn a_slow_client_is_served_and_a_silent_stranger_is_let_go() {
    let (redis, wall) = start();
    let silent: Vec<TcpStream> = [b"".as_slice(), b"AUTH ac", b"*3\r\n$4\r\nAU"]
        .map(|part| {
            let mut socket = socket(wall.port("redis"));
            socket.write_all(part).unwrap();
            socket
        })
        .into();
    let mut slow = socket(wall.port("redis"));
    for byte in [AUTH, b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nQUIT\r\n"].concat() {
        slow.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut said = Vec::new();
    slow.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"+OK\r\n$2\r\nhi\r\n+OK\r\n");
    let start = Instant::now();
    for mut socket in silent {
        match socket.read_to_end(&mut Vec::new()) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("a silent stranger is kept"),
            _ => {}
        }
    }
    assert!(start.elapsed() < Duration::from_secs(25));
    sound(&redis, &wall);
}

#[test]
fn memory_stays_bounded() {
    let (redis, wall) = start();
    let mut client = tenant(&wall);
    expect(&mut client, b"SETRANGE alive 1000 x\r\n", b":1001\r\n");
    let before = wall.resident_kib();
    // Replies that nobody reads, as many as the socket lets be asked for.
    let mut unread: Vec<TcpStream> = (0..4).map(|_| tenant(&wall)).collect();
    for socket in &mut unread {
        socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let many = b"GET alive\r\n".repeat(1000);
        let mut sent = 0;
        while sent < 2 << 20 {
            match socket.write(&many) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
    }
    // Long values that are announced, and do not come; strangers who announce what they may.
    let mut partial = Vec::new();
    for n in 0..16 {
        let mut socket = tenant(&wall);
        let head = [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n", [b'v'; 100_000].as_slice()].concat();
        socket.write_all(if n % 2 == 0 { &head } else { b"*1000000\r\n$4\r\nMGET\r\n$1\r\nk\r\n" }).unwrap();
        partial.push(socket);
    }
    std::thread::sleep(Duration::from_secs(1));
    let grown = wall.resident_kib().saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB more than before");
    expect(&mut client, b"STRLEN alive\r\n", b":1001\r\n");
    drop((unread, partial));
    sound(&redis, &wall);
}
