//! A shared connection before a server that misbehaves: each client has replies to its own commands, or is told that they are lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::config::Upstream;
use crate::redis::encode;
use crate::redis::frames;
use std::future::Future;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Runs a server that answers as `serve` says, for each connection, and clients before it.
fn play<S, F>(serve: fn(TcpStream, Vec<Vec<u8>>) -> S, clients: impl FnOnce(Arc<Shared>) -> F)
where
    S: Future<Output = ()> + Send + 'static,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream {
            pool: None,
            name: "r".into(),
            address: listener.local_addr().unwrap().to_string(),
            database: String::new(),
            user: String::new(),
            typed_user: None,
            credentials: Default::default(),
            ca: None,
            sentinel: None,
            cluster: None,
            multiplex: Some(1),
        };
        let shared = Shared::new(Target::new(&upstream).unwrap(), Resp::Two, Arc::new(|_| {}), None);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let first = said(&mut stream, 2).await;
                assert_eq!(first, [b"CLIENT".as_slice(), b"server"]);
                stream.write_all(b":7\r\n$-1\r\n").await.unwrap();
                let words = said(&mut stream, 6).await;
                tokio::spawn(serve(stream, words));
            }
        });
        tokio::time::timeout(Duration::from_secs(10), clients(shared)).await.unwrap();
    });
}

/// The last words of so many commands.
async fn said(stream: &mut TcpStream, count: usize) -> Vec<Vec<u8>> {
    let (mut input, mut all) = (BytesMut::new(), Vec::new());
    while all.len() < count {
        let mut words = Vec::new();
        if let Some(end) = frames::command(&input, &mut words) {
            all.push(words[words.len() - 1].to_vec());
            if words[0] == b"CLIENT" {
                all[0] = b"CLIENT".to_vec();
            }
            input.advance(end);
        } else if stream.read_buf(&mut input).await.unwrap() == 0 {
            std::future::pending::<()>().await;
        }
    }
    all
}

fn inbox() -> Arc<Inbox> {
    Arc::new(Inbox::new(Arc::default(), Arc::default(), None, Arc::new(AtomicUsize::new(0))))
}

async fn send(shared: &Arc<Shared>, owner: &Arc<Inbox>, texts: &[&str]) -> std::io::Result<()> {
    let mut out = BytesMut::new();
    texts.iter().for_each(|text| encode::command(&mut out, &["ECHO", text]));
    poll_fn(|cx| shared.poll_send(cx, &out, owner, &mut None)).await
}

/// What an owner has, once it is so many bytes.
async fn taken(owner: &Arc<Inbox>, count: usize) -> std::io::Result<String> {
    let mut all = Vec::new();
    while all.len() < count {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| owner.poll_take(cx, &mut buffer)).await?;
        all.extend_from_slice(buffer.filled());
    }
    Ok(String::from_utf8(all).unwrap())
}

/// Six commands of three clients in one connection: `a` 1 and 4, `b` 2 and 3, `c` 5 and 6.
async fn six(shared: &Arc<Shared>) -> [Arc<Inbox>; 3] {
    let [a, b, c] = [inbox(), inbox(), inbox()];
    send(shared, &a, &["1"]).await.unwrap();
    send(shared, &b, &["2", "3"]).await.unwrap();
    send(shared, &a, &["4"]).await.unwrap();
    send(shared, &c, &["5", "6"]).await.unwrap();
    [a, b, c]
}

const LOST_TEXT: &str = "-ERR the connection to the server was lost; the command may have been carried out\r\n";

#[test]
fn each_has_its_own_replies_byte_by_byte() {
    async fn serve(mut stream: TcpStream, words: Vec<Vec<u8>>) {
        stream.set_nodelay(true).unwrap();
        let mut out = BytesMut::new();
        words.iter().for_each(|word| encode::bulk(&mut out, word));
        for byte in out {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    }
    play(serve, |shared| async move {
        let [a, b, c] = six(&shared).await;
        assert_eq!(taken(&a, 14).await.unwrap(), "$1\r\n1\r\n$1\r\n4\r\n");
        assert_eq!(taken(&b, 14).await.unwrap(), "$1\r\n2\r\n$1\r\n3\r\n");
        assert_eq!(taken(&c, 14).await.unwrap(), "$1\r\n5\r\n$1\r\n6\r\n");
        assert!(a.is_empty() && b.is_empty() && c.is_empty());
    });
}

#[test]
fn a_client_that_has_gone_leaves_the_others_theirs() {
    async fn serve(mut stream: TcpStream, words: Vec<Vec<u8>>) {
        let mut out = BytesMut::new();
        words.iter().for_each(|word| encode::bulk(&mut out, word));
        stream.write_all(&out).await.unwrap();
        std::future::pending::<()>().await;
    }
    play(serve, |shared| async move {
        let [a, b, c] = six(&shared).await;
        b.close();
        assert_eq!(taken(&a, 14).await.unwrap(), "$1\r\n1\r\n$1\r\n4\r\n");
        assert_eq!(taken(&c, 14).await.unwrap(), "$1\r\n5\r\n$1\r\n6\r\n");
        assert!(b.is_empty());
    });
}

#[test]
fn a_break_within_a_reply_ends_its_client_and_tells_the_others() {
    async fn serve(mut stream: TcpStream, _: Vec<Vec<u8>>) {
        stream.write_all(b"$1\r\n1\r\n$5\r\n2").await.unwrap();
    }
    play(serve, |shared| async move {
        let [a, b, c] = six(&shared).await;
        assert_eq!(taken(&a, 7 + LOST_TEXT.len()).await.unwrap(), format!("$1\r\n1\r\n{LOST_TEXT}"));
        assert!(taken(&b, 1000).await.is_err(), "it has a part of a reply");
        // Should it be what it asked for, it ends nobody else's any more.
        assert!(b.line.is_large() && !a.line.is_large() && !b.tenant.is_large());
        assert_eq!(taken(&c, 2 * LOST_TEXT.len()).await.unwrap(), LOST_TEXT.repeat(2));
        // The next command opens another connection.
        let [_, _, c] = six(&shared).await;
        assert_eq!(taken(&c, 2 * LOST_TEXT.len()).await.unwrap(), LOST_TEXT.repeat(2));
    });
}

#[test]
fn what_is_no_reply_is_nobodys() {
    async fn push(mut stream: TcpStream, _: Vec<Vec<u8>>) {
        stream.write_all(b"$1\r\n1\r\n>2\r\n+secret\r\n+x\r\n$1\r\n2\r\n").await.unwrap();
        std::future::pending::<()>().await;
    }
    async fn surplus(mut stream: TcpStream, words: Vec<Vec<u8>>) {
        let mut out = BytesMut::new();
        words.iter().for_each(|word| encode::bulk(&mut out, word));
        out.extend_from_slice(b"$6\r\nsecret\r\n");
        stream.write_all(&out).await.unwrap();
        std::future::pending::<()>().await;
    }
    play(push, |shared| async move {
        let [a, b, c] = six(&shared).await;
        assert_eq!(taken(&a, 7 + LOST_TEXT.len()).await.unwrap(), format!("$1\r\n1\r\n{LOST_TEXT}"));
        assert_eq!(taken(&b, 2 * LOST_TEXT.len()).await.unwrap(), LOST_TEXT.repeat(2));
        assert_eq!(taken(&c, 2 * LOST_TEXT.len()).await.unwrap(), LOST_TEXT.repeat(2));
    });
    play(surplus, |shared| async move {
        let [a, b, c] = six(&shared).await;
        for owner in [&a, &b, &c] {
            taken(owner, 14).await.unwrap();
        }
        // Given to nobody, and the connection is over: the next client has an answer from another.
        let [d, ..] = six(&shared).await;
        let first = taken(&d, 14).await.unwrap();
        assert!(!first.contains("secret") && a.is_empty() && b.is_empty() && c.is_empty(), "{first}");
    });
}

/// A reply that a script ends early: what is left over is nobody's, and nothing behind it is another's.
#[test]
fn what_a_script_leaves_over_is_nobodys() {
    async fn serve(mut stream: TcpStream, words: Vec<Vec<u8>>) {
        let mut out = BytesMut::from(&b"$1\r\n1\r\n-ERR x\r\n$6\r\nFORGED\r\n"[..]);
        words.iter().skip(2).for_each(|word| encode::bulk(&mut out, word));
        out.extend_from_slice(b"+y\r\n");
        stream.write_all(&out).await.unwrap();
        std::future::pending::<()>().await;
    }
    async fn sound(mut stream: TcpStream, words: Vec<Vec<u8>>) {
        let mut out = BytesMut::new();
        words.iter().for_each(|word| encode::bulk(&mut out, word));
        stream.write_all(&out).await.unwrap();
        std::future::pending::<()>().await;
    }
    // With the mark it is the six commands that the server waits for.
    async fn all(shared: &Arc<Shared>) -> [Arc<Inbox>; 3] {
        let [a, b, c] = [inbox(), inbox(), inbox()];
        send(shared, &a, &["1"]).await.unwrap();
        let mut out = BytesMut::new();
        encode::command(&mut out, &["EVAL", "2"]);
        encode::command(&mut out, &["ECHO", "3"]);
        poll_fn(|cx| shared.poll_send(cx, &out, &b, &mut None)).await.unwrap();
        send(shared, &c, &["4", "5"]).await.unwrap();
        [a, b, c]
    }
    play(serve, |shared| async move {
        let [a, b, c] = all(&shared).await;
        assert_eq!(taken(&a, 7).await.unwrap(), "$1\r\n1\r\n");
        assert_eq!(taken(&b, 8 + LOST_TEXT.len()).await.unwrap(), format!("-ERR x\r\n{LOST_TEXT}"));
        assert_eq!(taken(&c, 2 * LOST_TEXT.len()).await.unwrap(), LOST_TEXT.repeat(2));
        assert!(a.is_empty() && b.is_empty() && c.is_empty());
    });
    play(sound, |shared| async move {
        let [a, b, c] = all(&shared).await;
        for (owner, said) in [(&a, "$1\r\n1\r\n"), (&b, "$1\r\n2\r\n$1\r\n3\r\n"), (&c, "$1\r\n4\r\n$1\r\n5\r\n")] {
            assert_eq!(taken(owner, said.len()).await.unwrap(), said);
        }
        assert!(a.is_empty() && b.is_empty() && c.is_empty());
    });
}

#[test]
fn only_whole_commands_without_state_are_taken() {
    async fn serve(_: TcpStream, _: Vec<Vec<u8>>) {}
    play(serve, |shared| async move {
        let owner = inbox();
        let bad: &[&[u8]] = &[
            b"*1\r\n$5\r\nMULTI\r\n",
            b"*1\r\n$4\r\nPING\r\n*2\r\n$5\r\nWATCH\r\n$1\r\nk\r\n",
            b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n",
            b"*2\r\n$4\r\nECHO\r\n$1\r\n",
            b"PING\r\n",
            b"",
        ];
        for bad in bad {
            assert!(poll_fn(|cx| shared.poll_send(cx, bad, &owner, &mut None)).await.is_err(), "{}", bad.escape_ascii());
        }
        assert!(shared.current().state().tickets.is_empty() && shared.current().state().out.is_empty());
    });
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_for_long() {
    async fn serve(mut stream: TcpStream, _: Vec<Vec<u8>>) {
        let large = vec![b'x'; 40 << 20];
        let mut out = BytesMut::new();
        encode::bulk(&mut out, &large);
        out.extend_from_slice(b"$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n");
        stream.write_all(&out).await.unwrap();
        std::future::pending::<()>().await;
    }
    play(serve, |shared| async move {
        let [a, b, c] = six(&shared).await;
        assert_eq!(taken(&b, 14).await.unwrap(), "$1\r\n2\r\n$1\r\n3\r\n");
        assert_eq!(taken(&c, 14).await.unwrap(), "$1\r\n5\r\n$1\r\n6\r\n");
        assert!(taken(&a, 1).await.is_err(), "it is ended");
        assert!(a.is_empty() && a.line.is_large() && a.tenant.is_large());
        assert!(!b.tenant.is_large());
    });
}
