//! What takes the wall several steps, for which the client's further commands wait.

use super::renewal::Standing;
use super::{Awaited, Found, Session};
use crate::redis::commands::{Entry, Rule};
use crate::redis::encode::Resp;
use crate::redis::keyspace::{Progress, Walk};
use crate::redis::library::{self, Functional};
use crate::redis::mark::Mark;
use crate::redis::session::Setup;
use crate::redis::shape::{Broken, Reply};
use crate::redis::understand::Refusal;
use crate::redis::wire::Request;
use crate::session::{Fact, Turn};
use bytes::BytesMut;

/// One at a time.
#[derive(Debug)]
pub(super) enum Errand {
    /// Over the tenant's keys.
    Keys(Box<Walk>),
    /// About its libraries.
    Libraries(library::Errand),
}

impl Errand {
    pub(super) fn ask(&mut self, setup: &Setup, out: &mut BytesMut) {
        match self {
            Self::Keys(walk) => walk.ask(setup, out),
            Self::Libraries(errand) => errand.ask(setup, out),
        }
    }

    pub(super) fn awaits(&self) -> Reply {
        match self {
            Self::Keys(walk) => walk.awaits().into(),
            Self::Libraries(errand) => errand.awaits(),
        }
    }

    /// What stands behind the answer that is awaited.
    pub(super) fn take_mark(&mut self) -> Option<Mark> {
        match self {
            Self::Keys(_) => None,
            Self::Libraries(errand) => errand.take_mark(),
        }
    }

    pub(super) fn scratch(&mut self) -> &mut BytesMut {
        match self {
            Self::Keys(walk) => walk.scratch(),
            Self::Libraries(errand) => errand.scratch(),
        }
    }

    pub(super) fn step(&mut self, setup: &Setup, resp: Resp) -> Result<Progress, Broken> {
        match self {
            Self::Keys(walk) => walk.step(setup, resp),
            Self::Libraries(errand) => Ok(errand.step(setup, resp)),
        }
    }
}

impl Session {
    /// Before a command about functions: libraries that another version of the wall wrapped are wrapped anew, once, or when there may be some again.
    /// True: the command waits. Within a transaction none are looked for, but before one.
    pub(super) fn renews_libraries(&mut self, found: &Found, request: &Request, turn: &mut Turn) -> bool {
        let Ok(entry) = found else { return false };
        let about = entry.name == "multi" || entry.rule == Rule::Function && !["function stats", "function kill"].contains(&entry.name);
        if !about || std::mem::take(&mut self.looked) || self.stands != Standing::Holds || self.transaction.is_some() || self.setup.cluster
        {
            return false;
        }
        let function = Some(request.arg(1)).filter(|_| entry.name.starts_with("fcall"));
        let may = self.setup.names.may_run(entry).is_ok() && library::are_there(&self.setup);
        if !may || !self.setup.peers.libraries.are_due(function) {
            return false;
        }
        let mut errand = library::Errand::renew();
        errand.ask(&self.setup, &mut turn.to_upstream);
        self.awaited.push_back(Awaited::Step);
        self.walk = Some(Errand::Libraries(errand));
        self.looked = true;
        true
    }

    pub(super) fn function(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        match library::command(entry, request, &self.setup, &mut turn.to_upstream)? {
            Functional::Sent(reply) if entry.name.starts_with("fcall") => self.sent_script(reply, turn),
            Functional::Sent(reply) => self.sent(reply, turn),
            Functional::Errand(_) if self.transaction.is_some() => {
                let name = entry.name.to_ascii_uppercase();
                Err(Refusal::early("ERR", format!("{name} is not supported inside MULTI by this proxy")))
            }
            Functional::Errand(mut errand) => {
                turn.facts.push(Fact::Permitted);
                errand.ask(&self.setup, &mut turn.to_upstream);
                self.awaited.push_back(Awaited::Step);
                self.walk = Some(Errand::Libraries(errand));
                Ok(())
            }
        }
    }
}
