//! One command that is under way on a node.

use crate::redis::encode::Resp;
use crate::redis::slots::{MOVING, Redirect};
use bytes::{Bytes, BytesMut};

const ABORTED: &[u8] = b"-EXECABORT Transaction discarded because of previous errors.\r\n";

/// What a command is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing that matters here.
    Plain,
    /// It may say itself what looks like a redirection, after it has done something.
    Script,
    /// EXEC.
    Exec,
    /// It asks for this protocol.
    Hello(Resp),
    /// Asks whether the node has all of the slot.
    Probe,
    /// Between two of those; from the beginning, and by the node with this mark.
    Scan {
        /// From the beginning.
        begins: bool,
        /// By the node with this mark.
        mark: u8,
    },
    /// A PING of the wall's behind a subscription: when it is answered, all before it is.
    Fence,
}

/// How it stands.
#[derive(Debug)]
pub enum State {
    /// On its way.
    Sent,
    /// Its reply has come.
    Answered,
    /// It was not carried out.
    Again(Redirect),
}

/// One command.
#[derive(Debug)]
pub struct Due {
    /// What it is.
    pub role: Role,
    /// To be said again, if need be.
    pub kept: Option<Bytes>,
    /// The connection holds something that elsewhere there is not: it cannot be said there.
    pub held: bool,
    /// How it stands.
    pub state: State,
    /// Its reply, as far as it waits for earlier ones.
    pub reply: BytesMut,
}

impl Due {
    /// What becomes of a command that was not carried out.
    pub fn redirected(&mut self, why: Redirect) -> State {
        let words = match self.role {
            Role::Exec => ABORTED,
            Role::Probe | Role::Scan { .. } => return State::Again(why),
            Role::Script if why != Redirect::Moved => MOVING,
            _ if self.held || self.kept.is_none() => MOVING,
            _ => return State::Again(why),
        };
        self.reply = words.into();
        State::Answered
    }
}
