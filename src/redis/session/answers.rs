//! What upstream says: replies in their turn, and messages in between.

use super::{Awaited, Session};
use crate::redis::channels::{self, Notice};
use crate::redis::encode::Resp;
use crate::redis::keyspace::Progress;
use crate::redis::shape::{Broken, Message, Reply, Shape};
use crate::redis::wire::integer;
use crate::session::{Close, Fact, Turn};
use bytes::BytesMut;

/// What stands at the beginning of upstream's bytes.
enum Begins {
    /// Too little is there to say.
    Unclear,
    /// A reply.
    Reply,
    /// A message, and whether it confirms a subscription.
    Message(Message, bool),
}

impl From<Broken> for Close {
    fn from(broken: Broken) -> Self {
        Self::UpstreamBroke(broken.0)
    }
}

impl Session {
    pub(super) fn read_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        loop {
            self.settle(turn)?;
            if input.is_empty() {
                return Ok(());
            }
            let interrupted = self.stripper.is_interrupted(input);
            if self.message.is_none() && (self.stripper.at_rest() || interrupted) {
                match self.begins(input)? {
                    Begins::Unclear => return Ok(()),
                    Begins::Reply if interrupted => return Err(Close::UpstreamBroke("a message within a reply")),
                    Begins::Reply => {}
                    Begins::Message(message, confirms) => {
                        self.message = Some((self.shape_of(message, confirms)?.into(), confirms));
                        self.notice = interrupted.then(Box::default);
                    }
                }
            }
            if self.message.is_none() && self.stripper.at_rest() && !matches!(self.awaited.front(), Some(Awaited::Mark(_))) {
                self.failed = input.starts_with(b"-");
            }
            let (here, is_reply) = (input.len(), self.message.is_none());
            if is_reply {
                self.begins_to_come();
            }
            let whole = match self.message.take() {
                Some(passing) => self.pass_message(passing, input, turn)?,
                None => self.pass_reply(input, turn)?,
            };
            if self.stripper.has_missed() {
                self.setup.peers.libraries.look_again();
            }
            if is_reply {
                self.passing = self.passing.saturating_add(here - input.len());
                if whole {
                    self.passed();
                }
            }
            if !(whole || is_reply && self.stripper.is_interrupted(input)) {
                return Ok(());
            }
        }
    }

    fn pass_message(&mut self, (reply, confirms): (Reply, bool), input: &mut BytesMut, turn: &mut Turn) -> Result<bool, Close> {
        // The reply that it interrupts keeps its place.
        let stripper = self.notice.as_deref_mut().unwrap_or(&mut self.stripper);
        if !stripper.feed(&reply, &self.setup.names, input, &mut turn.to_client)? {
            if stripper.is_interrupted(input) {
                return Err(Close::UpstreamBroke("a message within a message"));
            }
            self.message = Some((reply, confirms));
            return Ok(false);
        }
        self.notice = None;
        if confirms {
            self.confirmed(turn);
        }
        Ok(true)
    }

    fn pass_reply(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<bool, Close> {
        let plain = Reply::default();
        let names = &self.setup.names;
        match self.awaited.front() {
            None => return Err(Close::UpstreamBroke("a reply to nothing")),
            // Said before this is reached.
            Some(Awaited::Words(_) | Awaited::End(_)) => return Ok(true),
            Some(Awaited::Reply(reply) | Awaited::Blocked(reply)) => {
                if !self.stripper.feed(reply, names, input, &mut turn.to_client)? {
                    return Ok(false);
                }
            }
            Some(Awaited::Hello(reply, resp)) => {
                if input.starts_with(b"-") {
                    return Err(Close::UpstreamBroke("HELLO was refused"));
                }
                let resp = *resp;
                if !self.stripper.feed(reply, names, input, &mut turn.to_client)? {
                    return Ok(false);
                }
                self.hears = resp;
            }
            Some(Awaited::Confirmations { silent, .. }) => {
                // Only an error comes instead of confirmations, and only one.
                if self.stripper.at_rest() && !input.starts_with(b"-") {
                    return Err(Close::UpstreamBroke("no confirmation"));
                }
                let silence = Reply::from(Shape::Silence);
                if !self.stripper.feed(if *silent { &silence } else { &plain }, names, input, &mut turn.to_client)? {
                    return Ok(false);
                }
            }
            Some(Awaited::Step) => return self.step(input, turn),
            Some(Awaited::Mark(_)) => return self.pass_mark(input),
            Some(Awaited::Login) => {
                // Should it fail, what follows ran as somebody else: nobody hears of it.
                const OK: &[u8] = b"+OK\r\n";
                if !input.starts_with(OK) {
                    return if OK.starts_with(input) { Ok(false) } else { Err(Close::UpstreamBroke("a login was refused")) };
                }
                let _ = input.split_to(OK.len());
                self.pop_awaited();
                return Ok(true);
            }
        }
        match self.pop_awaited() {
            Some(Awaited::Blocked(_)) => self.setup.peers.update(self.setup.id, |me| me.blocked = false),
            Some(Awaited::Confirmations { shape, added, .. }) => self.was_refused(shape, &added),
            _ => {}
        }
        turn.facts.push(Fact::Answered);
        Ok(true)
    }

    /// The answer to a step of a walk.
    fn step(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<bool, Close> {
        let Some(walk) = &mut self.walk else { return Err(Close::UpstreamBroke("a step of no walk")) };
        let reply = walk.awaits();
        if !self.stripper.feed(&reply, &self.setup.names, input, walk.scratch())? {
            return Ok(false);
        }
        let mark = walk.take_mark();
        match walk.step(&self.setup, self.resp)? {
            Progress::More => walk.ask(&self.setup, &mut turn.to_upstream),
            Progress::Done(words) => {
                self.walk = None;
                self.pop_awaited();
                if !std::mem::take(&mut self.walks_in_silence) {
                    turn.to_client.extend_from_slice(&words);
                }
                turn.facts.push(Fact::Answered);
            }
        }
        if let Some(mark) = mark {
            self.await_first(Awaited::Mark(mark));
        }
        Ok(true)
    }

    fn begins(&self, input: &[u8]) -> Result<Begins, Close> {
        let confirming = matches!(self.awaited.front(), Some(Awaited::Confirmations { .. }));
        let may = match input.first() {
            Some(b'>') if self.hears != Resp::Three => return Err(Close::UpstreamBroke("a message in another protocol")),
            Some(b'>') => true,
            Some(b'*') => self.hears == Resp::Two && (self.listening > 0 || confirming),
            _ => false,
        };
        if !may {
            return Ok(Begins::Reply);
        }
        let push = input.first() == Some(&b'>');
        let kind = match first_element(input) {
            First::Unclear => return Ok(Begins::Unclear),
            First::Other if push => return Err(Close::UpstreamBroke("a push of no kind")),
            First::Other => return Ok(Begins::Reply),
            First::Bulk(kind) => kind,
        };
        Ok(match kind {
            b"smessage" => Begins::Message(Message::Channel, false),
            b"message" => self.noticed(input, false),
            b"pmessage" => self.noticed(input, true),
            b"subscribe" | b"unsubscribe" => Begins::Message(Message::Heard, true),
            b"ssubscribe" | b"sunsubscribe" => Begins::Message(Message::Channel, true),
            b"psubscribe" | b"punsubscribe" => Begins::Message(Message::Pattern, true),
            b"tracking-redir-broken" if push => Begins::Message(Message::Gone, false),
            b"invalidate" if push => Begins::Message(Message::Invalidate, false),
            _ if push => return Err(Close::UpstreamBroke("a push of an unknown kind")),
            _ => Begins::Reply,
        })
    }

    /// What a message is that begins here; of those by which the server speaks only the tenant's own pass.
    fn noticed(&self, input: &[u8], by_pattern: bool) -> Begins {
        let plain = if by_pattern { Message::ByPattern } else { Message::Channel };
        let names = &self.setup.names;
        if !channels::are_told_apart(names.prefix()) {
            return Begins::Message(plain, false);
        }
        let message = match channels::notice(input, if by_pattern { 2 } else { 1 }, names.prefix()) {
            Notice::Unclear => return Begins::Unclear,
            Notice::None => plain,
            Notice::Keyspace { own: true } => Message::Keyspace(by_pattern),
            Notice::Keyevent { own: true } => Message::Keyevent(by_pattern),
            Notice::Keyspace { own: false } | Notice::Keyevent { own: false } => Message::Other,
            Notice::Invalidation => Message::Redirected,
        };
        Begins::Message(message, false)
    }

    fn shape_of(&self, message: Message, confirms: bool) -> Result<Shape, Close> {
        match self.awaited.front() {
            _ if !confirms && message == Message::Other => Ok(Shape::Silence),
            _ if !confirms && message == Message::Gone => Ok(Shape::InsteadOfAll(self.redirect_is_gone())),
            _ if !confirms => Ok(Shape::Message(message)),
            Some(Awaited::Confirmations { shape, .. }) if *shape != message => Err(Close::UpstreamBroke("another confirmation")),
            Some(Awaited::Confirmations { silent: true, .. }) => Ok(Shape::Silence),
            Some(Awaited::Confirmations { .. }) => Ok(Shape::Message(message)),
            _ => Err(Close::UpstreamBroke("a confirmation of nothing")),
        }
    }

    fn confirmed(&mut self, turn: &mut Turn) {
        let Some(Awaited::Confirmations { left, then, .. }) = self.awaited.front_mut() else { return };
        *left -= 1;
        if *left > 0 {
            self.listening = self.listening.max(1);
            return;
        }
        self.listening = *then;
        self.pop_awaited();
        turn.facts.push(Fact::Answered);
    }
}

enum First<'a> {
    Unclear,
    Bulk(&'a [u8]),
    Other,
}

/// The first element of an aggregate, if it is a short bulk string.
fn first_element(input: &[u8]) -> First<'_> {
    let Some((count, rest)) = line(input) else { return if input.len() > 64 { First::Other } else { First::Unclear } };
    if integer(count.get(1..).unwrap_or_default()).is_none_or(|count| count < 1) {
        return First::Other;
    }
    match rest.first() {
        None => return First::Unclear,
        Some(b'$') => {}
        Some(_) => return First::Other,
    }
    let Some((length, rest)) = line(rest) else { return if rest.len() > 64 { First::Other } else { First::Unclear } };
    let length = integer(length.get(1..).unwrap_or_default()).and_then(|n| usize::try_from(n).ok());
    match length {
        Some(length) if length <= 32 => rest.get(..length).map_or(First::Unclear, First::Bulk),
        _ => First::Other,
    }
}

fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().take(64).position(|b| *b == b'\r')?;
    Some((input.get(..end)?, input.get(end + 2..)?))
}

impl crate::session::Session for Session {
    fn from_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        self.tick();
        if let Err(error) = self.read_client(input, turn) {
            turn.facts.push(Fact::Refused("ERR"));
            self.say_error(format!("ERR Protocol error: {error}").as_bytes(), turn);
            self.end(Close::ClientBroke("protocol error"));
        }
        self.settle(turn)?;
        self.leave_own();
        Ok(())
    }

    fn from_upstream(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), Close> {
        self.tick();
        self.read_upstream(input, turn)?;
        self.next_held(turn);
        self.settle(turn)?;
        self.leave_own();
        self.renewed(turn)
    }

    fn ended(&mut self) {
        self.ended_outside();
    }

    fn renewed(&mut self, turn: &mut Turn) -> Result<(), Close> {
        self.still_holds(turn)
    }

    fn wants_client(&self) -> bool {
        self.takes()
    }

    /// The server closes a client that is gone while a command blocks, and one that listens. The last reply is to a command whose rest does not come.
    fn owes(&self) -> bool {
        let due = self.awaited.len() > usize::from(self.rest.is_some());
        self.walk.is_some() || (due && self.awaited.front().is_some_and(|a| !matches!(a, Awaited::Blocked(_))))
    }

    fn at_rest(&self) -> bool {
        self.awaited.is_empty() && self.transaction.is_none() && self.rest.is_none() && self.message.is_none() && self.scanner.at_rest()
    }

    /// None: the server says nothing either when it shuts down; the client sees the connection end between two commands.
    fn farewell(&mut self, _turn: &mut Turn) {}
}
