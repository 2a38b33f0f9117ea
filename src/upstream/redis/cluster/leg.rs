//! A client's connection to one node.

use crate::redis::encode::Resp;
use crate::redis::frames::Measure;
use crate::redis::shape::Broken;
use crate::redis::slots;
use crate::upstream::Stream;
use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A reply to what was said again.
const REPLY_BYTES: usize = 64 << 20;

/// A connection to one node.
pub struct Leg {
    /// The socket, or a lane over shared ones.
    pub stream: Stream,
    /// What came and was not taken yet.
    pub input: BytesMut,
    /// The node, as the cluster names it.
    pub address: String,
    /// Its mark, in cursors.
    pub mark: u8,
}

impl Leg {
    /// An open one.
    pub fn new(stream: Stream, input: BytesMut, address: String) -> Self {
        let mark = slots::mark(&address);
        Self { stream, input, address, mark }
    }

    /// Says commands, and reads so many replies. Nothing else is under way. Errors: the connection is over.
    pub async fn say(&mut self, words: &[u8], count: usize) -> io::Result<Vec<BytesMut>> {
        self.stream.write_all(words).await?;
        self.stream.flush().await?;
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            let (mut measure, mut reply) = (Measure::default(), BytesMut::new());
            loop {
                let (bytes, whole) = measure.feed(&self.input, Resp::Three).map_err(broken)?;
                reply.extend_from_slice(&self.input.split_to(bytes));
                if whole {
                    break;
                }
                if reply.len() > REPLY_BYTES || self.stream.read_buf(&mut self.input).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            replies.push(reply);
        }
        Ok(replies)
    }
}

/// What a node said makes no sense.
pub fn broken(Broken(what): Broken) -> io::Error {
    tracing::error!(what, "a node broke the protocol");
    io::Error::other(what)
}
