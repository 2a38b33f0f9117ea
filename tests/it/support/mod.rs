//! What tests against real servers stand on: throwaway servers, the wall, and a raw PostgreSQL client.
#![allow(dead_code, unused_imports, reason = "each module uses a part")]

mod certificates;
mod client;
mod leash;
mod postgres;
mod redis;
mod wall;

pub use certificates::{Authority, Signed, Tls, ask_for_tls, tls, tls_as, tls_config, tls_with};
pub use client::{Answer, Client, PgError, Rows, Stream, error, message, socket, startup, terminated};
pub use leash::Leash;
pub use postgres::{Database, Postgres};
pub use redis::Redis;
pub use wall::Wall;

use std::time::{Duration, Instant};

/// A free port on loopback; somebody else may take it before it is used, so a start on it is tried again.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `probe` holds, up to ten seconds; false where it never does.
pub fn eventually(mut probe: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if probe() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// An HTTP GET on loopback: status and body.
pub fn get(port: u16, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: wall\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
