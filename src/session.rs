//! What a conversation is to the pump: a [`Session`] takes bytes and says what goes where. Pure; the pump is `relay`.

use bytes::BytesMut;

/// What a session has to say after it was given bytes. Buffers are appended to and drained by the pump.
#[derive(Debug, Default)]
pub struct Turn {
    /// For the client.
    pub to_client: BytesMut,
    /// For upstream.
    pub to_upstream: BytesMut,
    /// What happened, for the shell to count and log; the core never logs.
    pub facts: Vec<Fact>,
    /// What comes next takes long, and the session has left it: the pump calls [`Session::labour`] before it gives it more bytes.
    pub laborious: bool,
}

/// Something that happened. A closed list: metric labels are made from it. Never holds SQL text, keys or values, but for what is audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A statement or command was judged good and sent.
    Permitted,
    /// One was refused, with its SQLSTATE or the first word of the Redis error.
    Refused(&'static str),
    /// A text goes upstream that only one of the two parsers could read.
    Alone,
    /// One whose rows should be checked went upstream, and how much of them can be; see `verify_rows`.
    Rows(&'static str),
    /// A row of another tenant's came back, and did not go on.
    RowMismatch,
    /// One of an operator's is run: its text.
    Audited(std::sync::Arc<str>),
    /// A notice of upstream's did not go on: the place in its source that wrote it.
    Withheld(std::sync::Arc<str>),
    /// The answer to one came back whole (latency stops here).
    Answered,
    /// Upstream's catalog is another than the judge's: read it again (not more often than every few seconds; a client can cause it).
    CatalogStale,
}

/// Why a session is over. `to_client` of the turn already holds the last words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client said goodbye.
    Bye,
    /// The client broke the protocol.
    ClientBroke(&'static str),
    /// A row that was checked is another tenant's.
    RowMismatch,
    /// Upstream broke the protocol or said something that the session did not expect.
    UpstreamBroke(&'static str),
}

/// The state of one client's conversation; pure.
pub trait Session: Send + 'static {
    /// Takes whole messages off `input`, leaves a partial one; must bound what it leaves.
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close>;
    /// The same for upstream's bytes.
    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close>;
    /// Does what [`Turn::laborious`] told of. Called where it holds up nobody else; the pump waits for it.
    fn labour(&mut self, _turn: &mut Turn) -> Result<(), Close> {
        Ok(())
    }
    /// The policy may be another than a moment ago, and the client may have said nothing since. Errors: what the session holds is not its any more.
    fn renewed(&mut self, _turn: &mut Turn) -> Result<(), Close> {
        Ok(())
    }
    /// Who the client is, counts no more: what comes from now on may be refused, and [`Self::renewed`] end what only waits. Told more than once.
    fn ended(&mut self) {}
    /// False while the session keeps the client's bytes back until upstream has answered: the pump then stops reading the client.
    fn wants_client(&self) -> bool {
        true
    }
    /// Replies are still to come to what the client has sent; a client that will send no more is waited for until they have.
    fn owes(&self) -> bool {
        !self.at_rest()
    }
    /// True where a drain may end the session: nothing pending, no transaction open.
    fn at_rest(&self) -> bool;
    /// Last words for a client that is sent away while draining (57P01, or a Redis error).
    fn farewell(&mut self, turn: &mut Turn);
    /// Last words for a client whose upstream has gone without any.
    fn abandoned(&mut self, _turn: &mut Turn) {}
}
