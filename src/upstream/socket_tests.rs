//! What the system was told of a socket.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[tokio::test]
async fn an_end_that_has_gone_is_missed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    set_up(&socket).unwrap();
    let told = SockRef::from(&socket);
    assert!(told.keepalive().unwrap() && socket.nodelay().unwrap());
    assert_eq!((told.tcp_keepalive_time().unwrap(), told.tcp_keepalive_interval().unwrap()), (QUIET, PROBE));
    assert_eq!((told.tcp_keepalive_retries().unwrap(), told.tcp_user_timeout().unwrap()), (PROBES, None));
    give_up(&socket).unwrap();
    assert_eq!(told.tcp_user_timeout().unwrap(), Some(UNTAKEN));
}
