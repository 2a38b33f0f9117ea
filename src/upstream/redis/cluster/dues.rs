//! What one client has under way on a node: its commands, kept as long as they may have to be said again elsewhere, and their replies in the order of the
//! commands. No sockets here.
//!
//! SCAN is no command of a slot, so a node answers it whether or not it has all of the slot's keys. Before and behind each one the wall asks for
//! a key that is not there: as long as the node has the slot, and is not giving it away, the answer is 0, and only then the page counts.

use super::due::{Due, Role, State};
use crate::redis::encode::{self, Resp};
use crate::redis::frames::{self, Measure};
use crate::redis::shape::Broken;
use crate::redis::slots::{self, MOVING, Redirect, redirect};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

/// A longer command passes as it comes, and is not kept; it is known by its first words.
const LONG_BYTES: usize = 128 << 10;
/// What is kept of commands at once.
const KEPT_BYTES: usize = 4 << 20;
/// The longest error that is looked at.
const LINE_BYTES: usize = 64 << 10;
/// Replies that wait for an earlier one.
const WAITING_BYTES: usize = 64 << 20;

/// Where what is coming goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    /// To the client: a message.
    Message,
    /// To the client: the oldest command's reply.
    Head,
    /// Kept: a reply to a later one.
    Later,
}

/// What is to be said again, and how many replies it has.
#[derive(Debug)]
pub struct Again {
    /// Why.
    pub why: Redirect,
    /// The commands.
    pub words: Vec<u8>,
    /// How many.
    pub count: usize,
    /// It must not be said twice to one node.
    pub is_script: bool,
}

/// The commands under way.
#[derive(Debug)]
pub struct Dues {
    all: VecDeque<Due>,
    /// So many of the oldest are answered, and wait.
    answered: usize,
    kept: usize,
    waiting: usize,
    measure: Measure,
    passing: Option<Passing>,
    /// A long command passes, and whether a fence is due behind it.
    long: Option<(Measure, bool)>,
    multi: bool,
    watching: bool,
    tracking: bool,
    /// It may listen to channels. In RESP2 what comes then is no reply.
    listening: bool,
    resp: Resp,
    /// HELLO went by.
    greeted: bool,
    /// Nothing more is sent before what was redirected is done.
    redirected: bool,
    prefix: Bytes,
    nonce: String,
}

impl Dues {
    /// Of a client whose keys begin with `prefix`; `nonce`: no key of anybody's is called so.
    pub fn new(prefix: Bytes, nonce: String) -> Self {
        Self {
            all: VecDeque::new(),
            answered: 0,
            kept: 0,
            waiting: 0,
            measure: Measure::with_messages(),
            passing: None,
            long: None,
            multi: false,
            watching: false,
            tracking: false,
            listening: false,
            resp: Resp::Two,
            greeted: false,
            redirected: false,
            prefix,
            nonce,
        }
    }

    /// Nothing is under way, and the connection holds nothing.
    pub fn at_rest(&self) -> bool {
        self.is_empty() && self.long.is_none() && !self.multi && !self.watching && !self.tracking && !self.listening
    }

    /// The end of a long command is still to be taken.
    pub fn is_in_a_command(&self) -> bool {
        self.long.is_some()
    }

    /// The session goes on over another connection, which speaks this; on the one before nothing is held any more, and nothing under way but the answer
    /// to a fence, which nobody will hear: then it is true. Errors: there is more.
    pub fn begin_anew(&mut self, resp: Resp) -> Result<bool, Broken> {
        let fenced = self.all.front().is_some_and(|due| due.role == Role::Fence);
        if fenced {
            self.pop();
        }
        if !self.is_empty() || self.long.is_some() || self.passing.is_some() {
            return Err(Broken("another way while replies are under way"));
        }
        (self.resp, self.greeted) = (resp, false);
        (self.multi, self.watching, self.tracking, self.listening) = (false, false, false, false);
        Ok(fenced)
    }

    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What comes unasked would be missed elsewhere.
    pub fn hears_unasked(&self) -> bool {
        self.tracking || self.listening
    }

    /// The protocol that HELLO asked for; None: none went by.
    pub fn greeted(&self) -> Option<Resp> {
        self.greeted.then_some(self.resp)
    }

    /// Something has to be said again, and nothing else is under way.
    pub fn is_to_be_said_again(&self) -> bool {
        self.redirected && self.answered == self.all.len()
    }

    /// Takes one command, or a part of a long one. False: not now. Errors: it is none.
    pub fn take(&mut self, input: &mut BytesMut, out: &mut BytesMut, mark: u8) -> Result<bool, Broken> {
        if self.redirected || self.all.back().is_some_and(|due| due.role == Role::Fence) || input.is_empty() {
            return Ok(false);
        }
        if self.long.is_some() {
            return self.take_more(input, out);
        }
        let mut words = Vec::with_capacity(8);
        let end = frames::command(input, &mut words);
        if end.is_none() && input.len() < LONG_BYTES {
            return Ok(false);
        }
        let name = words.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        let subscribes = name.ends_with(b"subscribe");
        if subscribes && !self.is_empty() {
            return Ok(false);
        }
        if name == b"scan" && !self.multi {
            let end = end.ok_or(Broken("a SCAN that is too long"))?;
            let cursor =
                words.get(1).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).ok_or(Broken("a cursor that is none"))?;
            self.scan(slots::cursor_for(cursor, mark), mark, words.get(2..).unwrap_or_default(), out);
            input.advance(end);
            return Ok(true);
        }
        let role = self.role(&name, &words);
        let command = end.map(|end| input.split_to(end).freeze());
        out.extend_from_slice(command.as_deref().unwrap_or_default());
        if command.is_none() {
            self.long = Some((Measure::default(), subscribes));
        }
        if subscribes {
            self.listening = true;
            if command.is_some() {
                self.fence_off(out);
            }
        } else if !(self.listening && self.resp == Resp::Two) {
            self.push(role, command);
            self.remember(&name);
        }
        Ok(true)
    }

    /// Takes what there is of a long command.
    fn take_more(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Broken> {
        let Some((measure, subscribes)) = &mut self.long else { return Ok(false) };
        let (bytes, whole) = measure.feed(input, Resp::Two)?;
        out.extend_from_slice(&input.split_to(bytes));
        if whole {
            let subscribes = *subscribes;
            self.long = None;
            if subscribes {
                self.fence_off(out);
            }
        }
        Ok(bytes > 0)
    }

    /// Behind a subscription.
    fn fence_off(&mut self, out: &mut BytesMut) {
        encode::command(out, &["PING", &self.nonce]);
        self.push(Role::Fence, None);
    }

    /// What a command is; what it leaves on the connection before it is sent is noted.
    fn role(&mut self, name: &[u8], words: &[&[u8]]) -> Role {
        let second = |word: &str| words.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        match name {
            b"eval" | b"eval_ro" | b"evalsha" | b"evalsha_ro" | b"fcall" | b"fcall_ro" => Role::Script,
            b"exec" => Role::Exec,
            b"hello" => Role::Hello(if second("3") { Resp::Three } else { Resp::Two }),
            b"client" if second("tracking") || second("no-touch") => {
                self.tracking = !words.get(2).is_some_and(|arg| arg.eq_ignore_ascii_case(b"off"));
                Role::Plain
            }
            _ => Role::Plain,
        }
    }

    /// What a command leaves on the connection for those behind it.
    fn remember(&mut self, name: &[u8]) {
        match name {
            b"multi" => self.multi = true,
            b"exec" | b"discard" => (self.multi, self.watching) = (false, false),
            b"watch" => self.watching = true,
            b"unwatch" if !self.multi => self.watching = false,
            _ => {}
        }
    }

    fn scan(&mut self, cursor: u64, mark: u8, options: &[&[u8]], out: &mut BytesMut) {
        let (text, mut scan, mut probe) = (cursor.to_string(), BytesMut::new(), BytesMut::new());
        encode::header(&mut scan, b'*', options.len() + 2);
        encode::bulk(&mut scan, b"SCAN");
        encode::bulk(&mut scan, text.as_bytes());
        options.iter().for_each(|option| encode::bulk(&mut scan, option));
        encode::header(&mut probe, b'*', 2);
        encode::bulk(&mut probe, b"EXISTS");
        encode::joined(&mut probe, &self.prefix, self.nonce.as_bytes());
        let probe = probe.freeze();
        for (role, command) in
            [(Role::Probe, probe.clone()), (Role::Scan { begins: cursor == 0, mark }, scan.freeze()), (Role::Probe, probe)]
        {
            out.extend_from_slice(&command);
            self.push(role, Some(command));
        }
    }

    fn push(&mut self, role: Role, command: Option<Bytes>) {
        let length = command.as_ref().map_or(0, Bytes::len);
        // The three of a SCAN are short, and belong together.
        let kept = command.filter(|_| self.kept + length <= KEPT_BYTES || matches!(role, Role::Probe | Role::Scan { .. }));
        self.kept += kept.as_ref().map_or(0, Bytes::len);
        let held = self.multi || self.watching || self.tracking || self.listening;
        self.all.push_back(Due { role, kept, held, state: State::Sent, reply: BytesMut::new() });
    }

    fn pop(&mut self) -> Option<Due> {
        let due = self.all.pop_front()?;
        self.answered = self.answered.saturating_sub(1);
        self.kept -= due.kept.as_ref().map_or(0, Bytes::len);
        self.waiting -= due.reply.len();
        if let Role::Hello(resp) = due.role {
            (self.resp, self.greeted) = (resp, true);
        }
        Some(due)
    }

    /// Takes what came from the node. Errors: it cannot be told what it is.
    pub fn hear(&mut self, input: &mut BytesMut, ready: &mut BytesMut) -> Result<(), Broken> {
        while !input.is_empty() {
            let passing = match self.passing {
                Some(passing) => passing,
                None => match self.begin(input, ready)? {
                    Begun::Unclear => return Ok(()),
                    Begun::Done => continue,
                    Begun::Passes(passing) => passing,
                },
            };
            self.passing = Some(passing);
            let (bytes, whole) = self.measure.feed(input, Resp::Three)?;
            let part = input.split_to(bytes);
            match passing {
                Passing::Message | Passing::Head => ready.extend_from_slice(&part),
                Passing::Later => self.keep(&part)?,
            }
            if whole {
                self.passing = None;
                self.end(passing, ready)?;
            } else if bytes == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Broken> {
        self.waiting += part.len();
        match self.all.get_mut(self.answered) {
            Some(due) if self.waiting <= WAITING_BYTES => due.reply.extend_from_slice(part),
            _ => return Err(Broken("too much that waits for an earlier reply")),
        }
        Ok(())
    }

    fn end(&mut self, passing: Passing, ready: &mut BytesMut) -> Result<(), Broken> {
        match passing {
            Passing::Message => {}
            Passing::Head => {
                self.pop();
            }
            Passing::Later => self.answered(State::Answered, ready)?,
        }
        Ok(())
    }

    fn answered(&mut self, state: State, ready: &mut BytesMut) -> Result<(), Broken> {
        if let Some(due) = self.all.get_mut(self.answered) {
            due.state = state;
            self.answered += 1;
        }
        self.settle(ready)
    }

    /// What begins here.
    fn begin(&mut self, input: &mut BytesMut, ready: &mut BytesMut) -> Result<Begun, Broken> {
        let fenced = self.all.front().is_some_and(|due| due.role == Role::Fence);
        if fenced {
            match self.fence(input) {
                Some(0) => return Ok(Begun::Unclear),
                Some(bytes) => {
                    // In RESP2 a PING is answered otherwise as long as there are subscriptions.
                    self.listening = self.resp == Resp::Three || input.first() == Some(&b'*');
                    input.advance(bytes);
                    self.pop();
                    return Ok(Begun::Done);
                }
                None => return Ok(Begun::Passes(Passing::Message)),
            }
        }
        if input.first() == Some(&b'>') || (self.listening && self.resp == Resp::Two) {
            return Ok(Begun::Passes(Passing::Message));
        }
        let Some(due) = self.all.get_mut(self.answered) else { return Err(Broken("a reply to nothing")) };
        if input.first() == Some(&b'-') {
            let Some(end) = input.iter().position(|b| *b == b'\n') else {
                return if input.len() > LINE_BYTES { Err(Broken("a line too long")) } else { Ok(Begun::Unclear) };
            };
            if let Some(why) = redirect(input.get(..=end).unwrap_or_default()) {
                input.advance(end + 1);
                let state = due.redirected(why);
                self.redirected |= matches!(state, State::Again(_)) && !matches!(due.role, Role::Probe | Role::Scan { .. });
                self.waiting += due.reply.len();
                self.answered(state, ready)?;
                return Ok(Begun::Done);
            }
        }
        let streams = self.answered == 0 && !matches!(due.role, Role::Probe | Role::Scan { .. });
        Ok(Begun::Passes(if streams { Passing::Head } else { Passing::Later }))
    }

    /// The bytes of the answer to the wall's own PING, in either of its forms, if they begin here; 0: it is too early to say.
    fn fence(&self, input: &[u8]) -> Option<usize> {
        let bulk = format!("${}\r\n{}\r\n", self.nonce.len(), self.nonce);
        let pong = format!("*2\r\n$4\r\npong\r\n{bulk}");
        [bulk, pong].iter().find_map(|form| {
            let form = form.as_bytes();
            if input.starts_with(form) { Some(form.len()) } else { form.starts_with(input).then_some(0) }
        })
    }

    /// Gives the client what is due to it now.
    fn settle(&mut self, ready: &mut BytesMut) -> Result<(), Broken> {
        while self.answered > 0 {
            let Some(first) = self.all.front() else { return Ok(()) };
            if first.role == Role::Probe {
                if self.answered < 3 || !self.page(ready)? {
                    return Ok(());
                }
                continue;
            }
            if let State::Again(_) = first.state {
                return Ok(());
            }
            let due = self.pop();
            ready.extend_from_slice(&due.map(|due| due.reply).unwrap_or_default());
        }
        Ok(())
    }

    /// A page of SCAN with its probes, all answered. False: to be asked again.
    fn page(&mut self, ready: &mut BytesMut) -> Result<bool, Broken> {
        let again = self.all.iter().take(3).find_map(|due| match due.state {
            State::Again(why) => Some(why),
            _ => None,
        });
        let (begins, mark) = match self.all.get(1) {
            Some(Due { role: Role::Scan { begins, mark }, held, .. }) => (*begins && !held, *mark),
            _ => return Err(Broken("no SCAN between two probes")),
        };
        if again == Some(Redirect::Moved) && begins {
            self.redirected = true;
            return Ok(false);
        }
        let (before, scan, behind) = (self.pop(), self.pop(), self.pop());
        let reply = |due: Option<Due>| due.map(|due| due.reply).unwrap_or_default();
        let (before, scan, behind) = (reply(before), reply(scan), reply(behind));
        if again.is_some() {
            ready.extend_from_slice(MOVING);
        } else if scan.starts_with(b"-") {
            ready.extend_from_slice(&scan);
        } else if before == b":0\r\n".as_slice() && behind == before {
            marked(&scan, mark, ready)?;
        } else {
            let error = if before.starts_with(b"-") { &before } else { &behind };
            ready.extend_from_slice(if error.starts_with(b"-") { error } else { MOVING });
        }
        Ok(true)
    }

    /// What has to be said again first; nothing else is under way.
    pub fn again(&self) -> Option<Again> {
        let first = self.all.front()?;
        let (why, count) = match (first.role, &first.state) {
            (Role::Probe, _) => (Redirect::Moved, 3),
            (_, State::Again(why)) => (*why, 1),
            _ => return None,
        };
        let words = self.all.iter().take(count).filter_map(|due| due.kept.as_deref()).collect::<Vec<_>>().concat();
        Some(Again { why, words, count, is_script: first.role == Role::Script })
    }

    /// It was said to the node with this mark, and has these replies. Errors: they make no sense.
    pub fn answer(&mut self, replies: Vec<BytesMut>, by: u8, ready: &mut BytesMut) -> Result<(), Broken> {
        for (due, reply) in self.all.iter_mut().zip(replies) {
            self.waiting = self.waiting - due.reply.len() + reply.len();
            (due.reply, due.state) = (reply, State::Answered);
            if let Role::Scan { mark, .. } = &mut due.role {
                *mark = by;
            }
        }
        self.settle(ready)
    }

    /// All has been said again.
    pub fn go_on(&mut self) {
        self.redirected = false;
    }
}

enum Begun {
    /// More is needed.
    Unclear,
    /// It was dealt with.
    Done,
    Passes(Passing),
}

/// A page of SCAN whose cursor says whose it is.
fn marked(page: &[u8], mark: u8, out: &mut BytesMut) -> Result<(), Broken> {
    let line = |at: usize| page.get(at..)?.iter().position(|b| *b == b'\n').map(|end| at + end + 1);
    let parsed = (|| {
        let first = line(0)?;
        let (begin, end) = (line(first)?, line(line(first)?)?);
        Some((std::str::from_utf8(page.get(begin..end - 2)?).ok()?.parse().ok()?, end))
    })();
    let (cursor, end) = parsed.ok_or(Broken("no page of SCAN"))?;
    let cursor = slots::cursor_of(cursor, mark).ok_or(Broken("a cursor too large"))?;
    out.extend_from_slice(b"*2\r\n");
    encode::bulk(out, cursor.to_string().as_bytes());
    out.extend_from_slice(page.get(end..).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
#[path = "dues_tests.rs"]
mod tests;
