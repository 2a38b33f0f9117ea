//! Another policy: what a session holds under the old one goes on if it could have it under the new one.

use super::commands::subscription;
use super::{Awaited, Session};
use crate::redis::commands::{Found, find};
use crate::redis::encode;
use crate::redis::names::Names;
use crate::session::{Close, Session as _, Turn};
use bytes::Bytes;

/// Whether a session may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Holds,
    /// Who the client is counts no more: told again and again from then on.
    Over,
    /// The policy does not have this tenant any more, or not with what the session holds.
    Revoked,
}

impl Session {
    /// Who the client is counts no more.
    pub(super) fn ended_outside(&mut self) {
        if self.stands == Standing::Holds {
            self.stands = Standing::Over;
        }
    }

    /// Takes the names of a new policy. A session that is in the midst of something under other names ends, and so does one whose tenant is no tenant
    /// any more, or that holds what its role may not any more; see `Session::renewed` of the trait.
    pub fn renew(&mut self, names: Option<Names>) {
        let idle = self.awaited.is_empty() && self.rest.is_none() && self.subscriptions.len() == 0;
        let idle = idle && self.transaction.is_none() && !self.stains.hears_of_keys;
        match names {
            Some(names) if names.differs_in_role_only(&self.setup.names) => {
                let lost = self.stands == Standing::Revoked || !names.grants_all_of(&self.setup.names);
                if lost {
                    self.stands = if self.holds_more_than(&names) { Standing::Revoked } else { Standing::Holds };
                }
                self.setup.names = names;
            }
            // Who its connection is on the server is settled.
            Some(names) if names.has_backstop() || self.setup.names.has_backstop() => self.stands = Standing::Revoked,
            // On a cluster its way leads to the node of one slot.
            Some(names) if idle && self.message.is_none() && (!self.setup.cluster || names.slot() == self.setup.names.slot()) => {
                self.setup.names = names;
            }
            _ => self.stands = Standing::Revoked,
        }
    }

    /// Has it something that a session with these names could not have? What is queued or waited for was judged when it came, and so counts.
    fn holds_more_than(&self, names: &Names) -> bool {
        let waits = self.awaited.iter().any(|awaited| matches!(awaited, Awaited::Blocked(_)));
        waits || self.stains.hears_of_keys || self.transaction.is_some() || !self.may_hear(names)
    }

    /// Could it subscribe under these names to all that it listens to?
    fn may_hear(&self, names: &Names) -> bool {
        let held = &self.subscriptions;
        [("subscribe", &held.channels), ("psubscribe", &held.patterns), ("ssubscribe", &held.shards)].into_iter().all(|(command, heard)| {
            let Found::Entry(entry) = find(command.as_bytes(), None) else { return heard.is_empty() };
            let places = subscription(entry, 2).places;
            let may = |name: &Bytes| places.iter().all(|(_, place)| names.may_name(*place, name).is_ok());
            heard.is_empty() || (names.may_run(entry).is_ok() && heard.iter().all(may))
        })
    }

    /// It ends once it waits for nothing that will come by itself: listening and blocking may last for ever.
    pub(super) fn still_holds(&mut self, turn: &mut Turn) -> Result<(), Close> {
        let waits = !matches!(self.awaited.front(), None | Some(Awaited::Blocked(_)));
        let passing = self.message.is_some() || !self.stripper.at_rest() || self.rest.is_some();
        // One at rest ends without a word, as it does when its time is over.
        let goes_on = match self.stands {
            Standing::Holds => true,
            Standing::Over => self.at_rest(),
            Standing::Revoked => false,
        };
        if goes_on || waits || passing {
            return Ok(());
        }
        encode::error(&mut turn.to_client, b"NOAUTH Authentication required.");
        Err(Close::ClientBroke("revoked"))
    }
}
