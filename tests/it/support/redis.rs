//! A throwaway Redis on loopback, without persistence.

use super::{Leash, eventually, free_port};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// A server.
pub struct Redis {
    /// Its TCP port.
    pub port: u16,
    _leash: Leash,
}

impl Redis {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments (`["--requirepass", "secret"]`).
    pub fn start_with(arguments: &[&str]) -> Self {
        (0..5).find_map(|_| Self::start_on(free_port(), arguments)).expect("Redis does not start")
    }

    /// Starts one on a port. None: it is taken, most likely.
    pub fn start_on(port: u16, arguments: &[&str]) -> Option<Self> {
        let text = port.to_string();
        let mut program = vec!["redis-server", "--port", &text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        // No file that another server left.
        let file = format!("partywall-{port}.rdb");
        program.extend(["--daemonize", "no", "--logfile", "/dev/null", "--dir", "/tmp", "--dbfilename", &file, "--protected-mode", "no"]);
        program.extend(arguments);
        let leash = Leash::start("KILL", None, &program, Path::new("/"), &[]);
        let stands = eventually(|| leash.has_ended() || answers(port)) && !leash.has_ended();
        stands.then_some(Self { port, _leash: leash })
    }
}

/// Does it say anything to a PING (PONG, or that it wants a password)?
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut byte = [0];
    stream.write_all(b"PING\r\n").is_ok() && stream.read(&mut byte).is_ok_and(|n| n == 1)
}
