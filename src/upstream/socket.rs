//! What the system does for a socket: an end that has gone without a word is missed.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// A socket that is quiet for so long is probed, as the servers probe theirs.
const QUIET: Duration = Duration::from_secs(60);
/// Between two probes.
const PROBE: Duration = Duration::from_secs(10);
/// Probes without an answer, after which the connection has ended.
const PROBES: u32 = 6;
/// What was sent is not taken by the far end for so long: the same as with probes.
const UNTAKEN: Duration = Duration::from_secs(120);

/// Sets a socket up, to a client or to a server: what is written leaves at once, and an end that goes without a word is noticed in two minutes. Errors:
/// the system's.
pub fn set_up(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET).with_interval(PROBE).with_retries(PROBES))
}

/// Does not go on sending to an end that takes nothing (there are no probes then, and the system would try for a quarter of an hour), be it gone or not:
/// for servers that never leave words lying that long. Errors: the system's.
pub fn give_up(socket: &TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(socket).set_tcp_user_timeout(Some(UNTAKEN))?;
    let _ = (socket, UNTAKEN);
    Ok(())
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
