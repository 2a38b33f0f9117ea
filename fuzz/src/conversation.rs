//! A conversation between a session and a server in memory, its bytes cut as one likes.

use bytes::{BufMut, BytesMut};
use partywall::session::{Close, Session, Turn};

/// A server that keeps the rules.
pub trait Upstream {
    /// Takes what it is told.
    fn hear(&mut self, bytes: &mut BytesMut);
    /// What it has said and nobody has read.
    fn out(&mut self) -> &mut BytesMut;
}

/// What a conversation came to.
pub struct Talk {
    /// All that the client hears.
    pub heard: BytesMut,
    /// How it ended, if it did.
    pub ended: Option<Close>,
    /// The client's bytes that the session has been given and left.
    pub client: BytesMut,
    /// The same of upstream's.
    pub upstream: BytesMut,
}

/// What the pump has done elsewhere.
pub fn labour(session: &mut impl Session, turn: &mut Turn) -> Result<(), Close> {
    if std::mem::take(&mut turn.laborious) { session.labour(turn) } else { Ok(()) }
}

/// The client says all of `said`, in chunks; upstream's words come in chunks of the same size.
pub fn talk(session: &mut impl Session, server: &mut impl Upstream, said: &[u8], chunk: usize) -> Talk {
    let (mut left, mut turn) = (said, Turn::default());
    let (mut client, mut upstream, mut heard) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    loop {
        let (mut moved, mut ended) = (false, Ok(()));
        if session.wants_client() && !(left.is_empty() && client.is_empty()) {
            let (now, later) = left.split_at(left.len().min(chunk));
            client.put_slice(now);
            (left, moved) = (later, !now.is_empty());
            ended = session.from_client(&mut client, &mut turn).and_then(|()| labour(session, &mut turn));
        }
        server.hear(&mut turn.to_upstream);
        let out = server.out();
        let now = out.split_to(out.len().min(chunk));
        if !now.is_empty() && ended.is_ok() {
            moved = true;
            upstream.unsplit(now);
            ended = session.from_upstream(&mut upstream, &mut turn).and_then(|()| labour(session, &mut turn));
        }
        moved |= !turn.to_upstream.is_empty();
        heard.unsplit(turn.to_client.split());
        if let Err(close) = ended {
            assert!(!matches!(close, Close::UpstreamBroke(_)), "{close:?} of a server that keeps the rules");
            return Talk { heard, ended: Some(close), client, upstream };
        }
        if !moved && server.out().is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "{} bytes of the client's are never read", left.len());
    Talk { heard, ended: None, client, upstream }
}
