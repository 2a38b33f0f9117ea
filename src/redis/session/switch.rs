//! A command that the tenant's own user of the server may not run for what it looks like, though it is understood here: it runs as another, who may do
//! nothing but that, and the next is the tenant's own user's again.

use super::{Awaited, Session};
use crate::redis::acl::Switch;
use crate::redis::rewrite;
use crate::redis::shape::Shape;
use crate::redis::understand::{Plan, Refusal};
use crate::redis::wire::Request;
use crate::session::Turn;
use bytes::{Bytes, BytesMut};

impl Session {
    pub(super) fn send_as(&mut self, switch: &Switch, request: &Request, plan: Plan, turn: &mut Turn) -> Result<(), Refusal> {
        // The server asks whether it may be queued before it knows who will run it.
        if self.transaction.is_some() && !request.arg(0).to_ascii_lowercase().starts_with(b"sort") {
            let name = crate::redis::lossy(request.arg(0)).to_ascii_uppercase();
            return Err(Refusal::early("ERR", format!("{name} is not supported in this form inside MULTI by this proxy")));
        }
        let mut out = BytesMut::new();
        rewrite::command(&mut out, request, &plan, &self.setup.names)?;
        self.log_in(&switch.patterns, turn);
        turn.to_upstream.extend_from_slice(&out);
        self.sent(plan.reply, turn)?;
        self.log_in(&switch.own, turn);
        Ok(())
    }

    fn log_in(&mut self, login: &Bytes, turn: &mut Turn) {
        turn.to_upstream.extend_from_slice(login);
        match &mut self.transaction {
            None => self.awaited.push_back(Awaited::Login),
            Some(transaction) => {
                transaction.replies.push(Shape::Silence.into());
                self.awaited.push_back(Awaited::Reply(Shape::Silence.into()));
            }
        }
    }
}
