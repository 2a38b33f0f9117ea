//! Replies as they pass: names are cut back to the client's own by their position, all else goes through byte by byte. Nothing is kept but a header or
//! the length of the prefix, so a large value streams; nesting is a list, not recursion, with a bound.

use super::encode;
use super::names::Names;
use super::shape::{Broken, Reply, Shape, is_fact};
use super::slots::{MOVING, may_name_a_node, redirect};
use bytes::{Bytes, BytesMut};
use cut::{Cut, cursor, in_message, line_part};
use order::Order;

mod cut;
mod order;

/// Aggregates within aggregates.
const DEPTH_MAX: usize = 16 << 10;
/// A header: a type and a number.
const HEADER_MAX_BYTES: usize = 64;
/// A key that all tenants share.
const NAME_MAX_BYTES: usize = 64 << 10;
/// An error that may quote a key.
const ERROR_MAX_BYTES: usize = 16 << 20;

/// An open aggregate.
#[derive(Clone, Copy, Debug)]
struct Level {
    kind: u8,
    /// Elements still to come; None while it streams.
    left: Option<u64>,
    /// Elements seen.
    index: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// An element begins.
    #[default]
    Header,
    /// Up to the line's end.
    Line,
    /// This many bytes more, the line end among them.
    Body(u64),
    /// A bulk string of this length, whose first bytes are the prefix.
    Strip(u64, Cut),
}

/// The place within one reply.
#[derive(Debug, Default)]
pub struct Stripper {
    levels: Vec<Level>,
    state: State,
    /// Nothing is written while the stack is at least this deep, or at this element.
    mute: Option<usize>,
    /// No line end before here.
    searched: u32,
    /// The first element is past; a reply is on its way.
    begun: bool,
    /// A function was not found.
    missed: bool,
    /// Elements that are put into an order of their own.
    order: Option<Box<Order>>,
    /// What is told next is not known to be about the key alone.
    hides: bool,
}

impl Stripper {
    /// True between two replies.
    pub fn at_rest(&self) -> bool {
        !self.begun && self.levels.is_empty() && self.state == State::Header
    }

    /// Whether a call found no function since this was asked.
    pub fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// Whether a message stands where the reply's next element begins. Redis 7.0 writes what a command of a transaction brings about for the client
    /// itself (`PUBLISH`, an event, an invalidation) before that command's own reply, within the array of EXEC; and what one that pops brings about
    /// within its own.
    pub fn is_interrupted(&self, input: &[u8]) -> bool {
        self.state == State::Header && !self.levels.is_empty() && input.first() == Some(&b'>')
    }

    /// Passes what is there of one reply, up to a message within it. True when it is whole. Errors: it is not what was awaited.
    pub fn feed(&mut self, reply: &Reply, names: &Names, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Broken> {
        loop {
            let step = match self.order.take() {
                Some(mut order) => {
                    let step = self.step(reply, names, input, order.passing());
                    self.order = Some(order);
                    step
                }
                None => self.step(reply, names, input, out),
            };
            let Some(whole) = step? else { return Ok(false) };
            if !whole {
                continue;
            }
            self.state = State::Header;
            let ended = self.close();
            if let Some(order) = &mut self.order
                && order.closed(self.levels.len(), out)?
            {
                self.order = None;
            }
            if ended {
                *self = Self { missed: self.missed, ..Self::default() };
                return Ok(true);
            }
        }
    }

    /// Passes a part of an element. None: more must be there; else whether the element is whole.
    fn step(&mut self, reply: &Reply, names: &Names, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<bool>, Broken> {
        Ok(Some(match self.state {
            State::Header if self.is_interrupted(input) => return Ok(None),
            State::Header => return self.header(reply, names, input, out),
            State::Line => {
                let (part, ended) = line_part(input);
                if part.is_empty() {
                    return Ok(None);
                }
                self.write(out, &part);
                ended
            }
            State::Body(left) => {
                if input.is_empty() {
                    return Ok(None);
                }
                let part = input.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(input.len()));
                self.write(out, &part);
                let left = left - part.len() as u64;
                self.state = State::Body(left);
                left == 0
            }
            State::Strip(length, Cut::Cursor(secret)) => {
                let Some(cursor) = cursor(input, length, secret)? else { return Ok(None) };
                encode::bulk(out, cursor.as_bytes());
                true
            }
            State::Strip(length, Cut::Code) => {
                let Some(code) = super::library::code(input, length)? else { return Ok(None) };
                if self.mute.is_none() {
                    encode::bulk(out, &code);
                }
                true
            }
            State::Strip(length, cut) => {
                let Some((head, kept)) = self.strip(names, input, length, cut)? else { return Ok(None) };
                if self.mute.is_none() {
                    encode::header(out, b'$', usize::try_from(kept).map_err(|_| Broken("length"))?);
                    out.extend_from_slice(&head);
                }
                self.state = State::Body(kept - head.len() as u64 + 2);
                false
            }
        }))
    }

    /// Reads the head of an element. None: it is not there yet. True where the element ends with it.
    fn header(&mut self, reply: &Reply, names: &Names, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<bool>, Broken> {
        let Some(kind) = input.first().copied() else { return Ok(None) };
        if self.tells(reply, 0) && kind != b'|' {
            self.hides = true;
        } else if self.hides && self.tells(reply, 1) && kind != b'|' {
            encode::integer(out, 0);
            (self.hides, self.mute) = (false, Some(self.levels.len()));
        }
        match kind {
            b':' if let Some(own) = self.redirect(reply) => {
                let Some(line) = self.line(input, HEADER_MAX_BYTES)? else { return Ok(None) };
                self.begun = true;
                match super::wire::integer(line.get(1..line.len() - 2).unwrap_or_default()) {
                    Some(1..) => encode::integer(out, i64::try_from(own).unwrap_or(i64::MAX)),
                    _ => self.write(out, &line),
                }
                Ok(Some(true))
            }
            b'+' if self.tells(reply, 0) => {
                let Some(line) = self.line(input, HEADER_MAX_BYTES)? else { return Ok(None) };
                self.hides = !is_fact(line.get(1..line.len() - 2).unwrap_or_default());
                self.write(out, &line);
                Ok(Some(true))
            }
            b'+' | b':' | b'#' | b',' | b'(' => {
                self.instead(reply, out, false);
                if self.is_name(reply).is_some() {
                    return Err(Broken("a name of another type"));
                }
                (self.state, self.begun) = (State::Line, true);
                Ok(Some(false))
            }
            b'-' => self.error(reply, names, input, out),
            b'_' | b'$' | b'=' | b'!' | b';' | b'*' | b'~' | b'>' | b'%' | b'|' | b'.' => {
                let Some(line) = self.line(input, HEADER_MAX_BYTES)? else { return Ok(None) };
                self.begun = true;
                self.typed(reply, kind, &line, out).map(Some)
            }
            _ => Err(Broken("an unknown type")),
        }
    }

    fn typed(&mut self, reply: &Reply, kind: u8, line: &[u8], out: &mut BytesMut) -> Result<bool, Broken> {
        let number = line.get(1..line.len() - 2).unwrap_or_default();
        let streamed = number == b"?";
        let length = match kind {
            b'_' | b'.' => -1,
            _ if streamed => 0,
            _ => super::wire::integer(number).filter(|n| *n >= -1).ok_or(Broken("a length that is none"))?,
        };
        match kind {
            b'.' => return self.end_of_stream(line, out),
            b';' => return self.chunk(line, length, out),
            b'|' => {
                // Nothing known of the server sends attributes; what they would say is not understood.
                self.mute.get_or_insert(self.levels.len());
            }
            _ => self.instead(reply, out, kind == b'!'),
        }
        let name = self.is_name(reply);
        match kind {
            b'$' | b'=' | b'!' if streamed => {
                if name.is_some() {
                    return Err(Broken("a name in pieces"));
                }
                self.write(out, line);
                self.open(Level { kind: b'$', left: None, index: 0 })?;
                Ok(false)
            }
            _ if length < 0 => {
                if self.counts(reply) {
                    return Err(Broken("a count of nothing"));
                }
                self.write(out, line);
                Ok(true)
            }
            b'$' | b'=' | b'!' => {
                let length = length.unsigned_abs();
                match name {
                    Some(cut) if kind == b'$' => self.state = State::Strip(length, cut),
                    Some(_) => return Err(Broken("a name of another type")),
                    None => {
                        self.write(out, line);
                        self.state = State::Body(length.checked_add(2).ok_or(Broken("a length that is none"))?);
                    }
                }
                Ok(false)
            }
            _ if name.is_some() => Err(Broken("a name of another type")),
            _ => self.aggregate(reply, (kind, length.unsigned_abs(), streamed), line, out),
        }
    }

    /// An aggregate of `length` elements, or of a stream of them.
    fn aggregate(
        &mut self,
        reply: &Reply,
        (kind, length, streamed): (u8, u64, bool),
        line: &[u8],
        out: &mut BytesMut,
    ) -> Result<bool, Broken> {
        if let (Shape::Exec(replies), true) = (&reply.shape, self.levels.is_empty() && kind != b'|')
            && (streamed || length != replies.len() as u64)
        {
            return Err(Broken("another count of replies than of commands"));
        }
        if self.counts(reply) {
            encode::integer(out, i64::try_from(length).unwrap_or(i64::MAX));
            self.mute = Some(self.levels.len());
        }
        match reply.heard().filter(|_| self.levels.is_empty() && kind == b'*') {
            Some(heard) => encode::header(out, b'*', heard),
            None => self.write(out, line),
        }
        let elements = if matches!(kind, b'%' | b'|') { length.checked_mul(2).ok_or(Broken("too many"))? } else { length };
        if elements == 0 && !streamed {
            return Ok(self.empty(kind));
        }
        let orders =
            self.order.is_none() && self.here(reply).is_some_and(|(reply, base)| order::is_due(&reply.shape, self.levels.get(base..)));
        self.open(Level { kind, left: (!streamed).then_some(elements), index: 0 })?;
        if orders && kind != b'|' && !streamed {
            self.order = Some(Box::new(Order::of(self.levels.len())));
        }
        Ok(false)
    }

    /// An aggregate without elements: true where it is an element itself, which an attribute is not.
    fn empty(&mut self, kind: u8) -> bool {
        if kind == b'|' && self.mute == Some(self.levels.len()) {
            self.mute = None;
        }
        kind != b'|'
    }

    fn open(&mut self, level: Level) -> Result<(), Broken> {
        if self.levels.len() >= DEPTH_MAX {
            return Err(Broken("nested too deep"));
        }
        self.levels.push(level);
        Ok(())
    }

    fn end_of_stream(&mut self, line: &[u8], out: &mut BytesMut) -> Result<bool, Broken> {
        match self.levels.pop() {
            Some(Level { left: None, kind, .. }) if kind != b'$' => {
                self.write(out, line);
                Ok(true)
            }
            _ => Err(Broken("an end of nothing")),
        }
    }

    fn chunk(&mut self, line: &[u8], length: i64, out: &mut BytesMut) -> Result<bool, Broken> {
        if self.levels.last().is_none_or(|l| l.kind != b'$' || l.left.is_some()) || length < 0 {
            return Err(Broken("a piece of nothing"));
        }
        self.write(out, line);
        if length == 0 {
            self.levels.pop();
            return Ok(true);
        }
        self.state = State::Body(length.unsigned_abs() + 2);
        Ok(false)
    }

    /// An element is over: closes what ends with it. True when the whole reply is.
    fn close(&mut self) -> bool {
        loop {
            if self.mute == Some(self.levels.len()) {
                self.mute = None;
            }
            let Some(level) = self.levels.last_mut() else { return true };
            level.index += 1;
            match &mut level.left {
                None => return false,
                Some(left) => {
                    *left -= 1;
                    if *left > 0 {
                        return false;
                    }
                }
            }
            let kind = level.kind;
            self.levels.pop();
            if kind == b'|' {
                if self.mute == Some(self.levels.len()) {
                    self.mute = None;
                }
                return false;
            }
        }
    }

    /// The reply that the current element belongs to, and its depth there.
    fn here<'r>(&self, reply: &'r Reply) -> Option<(&'r Reply, usize)> {
        match (&reply.shape, self.levels.first()) {
            (Shape::Exec(_), None) => None,
            (Shape::Exec(replies), Some(level)) => replies.get(usize::try_from(level.index).ok()?).map(|reply| (reply, 1)),
            _ => Some((reply, 0)),
        }
    }

    /// Whether only the count of the current element's elements is wanted.
    fn counts(&self, reply: &Reply) -> bool {
        self.mute.is_none() && self.here(reply).is_some_and(|(r, base)| r.shape == Shape::Count && base == self.levels.len())
    }

    /// What is cut off the current element, if it is a name.
    fn is_name(&self, reply: &Reply) -> Option<Cut> {
        if self.mute.is_some() {
            return None;
        }
        let (reply, base) = self.here(reply)?;
        let levels = self.levels.get(base..)?;
        let top = levels.last();
        let index = top.map_or(0, |l| l.index);
        let outer = levels.first().filter(|_| levels.len() == 2);
        let yes = match (&reply.shape, levels.len()) {
            (Shape::Name, 0) | (Shape::Each, 1) => true,
            (Shape::Library, 0) => return Some(Cut::Library),
            (Shape::Libraries, 2) => match index {
                1 => return Some(Cut::Library),
                7 => return Some(Cut::Code),
                _ => false,
            },
            (Shape::Libraries, 4) if index == 1 && levels.get(1).is_some_and(|library| library.index == 5) => return Some(Cut::Library),
            (Shape::First, 1) => index == 0,
            (Shape::Scan { hide: Some(secret) }, 1) if index == 0 => return Some(Cut::Cursor(*secret)),
            (Shape::Scan { .. }, 2) => outer.is_some_and(|o| o.index == 1),
            (Shape::Tracking(_), 2) => outer.is_some_and(|o| o.index == 5),
            (Shape::Even, 1) => index.is_multiple_of(2),
            (Shape::Streams, 1) => top.is_some_and(|l| l.kind == b'%') && index.is_multiple_of(2),
            (Shape::Streams, 2) => outer.is_some_and(|o| o.kind == b'*') && index == 0,
            (Shape::Message(message), depth) => return in_message(*message, depth, index, outer.map(|o| o.index)),
            _ => false,
        };
        yes.then_some(Cut::Prefix)
    }

    /// Whether a name (0) or a value (1) of what is told of a key begins.
    fn tells(&self, reply: &Reply, place: u64) -> bool {
        let Some((reply, base)) = self.here(reply).filter(|_| self.mute.is_none()) else { return false };
        reply.shape == Shape::Facts && matches!(self.levels.get(base..), Some([level]) if level.index % 2 == place)
    }

    /// The client's own number of a connection, where the element that begins is upstream's.
    fn redirect(&self, reply: &Reply) -> Option<u64> {
        let (reply, base) = self.here(reply).filter(|_| self.mute.is_none())?;
        match (&reply.shape, self.levels.get(base..)?) {
            (Shape::Redirect(own), []) => Some(*own),
            (Shape::Tracking(own), [level]) if level.index == 3 => Some(*own),
            _ => None,
        }
    }

    /// Where something else is said in the place of the element that begins.
    fn instead(&mut self, reply: &Reply, out: &mut BytesMut, is_error: bool) {
        if self.mute.is_some() {
            return;
        }
        let Some((reply, base)) = self.here(reply) else { return };
        if self.levels.len() != base {
            return;
        }
        match &reply.shape {
            Shape::Instead(_) if is_error => {}
            Shape::Instead(words) | Shape::InsteadOfAll(words) => {
                out.extend_from_slice(words);
                self.mute = Some(base);
            }
            Shape::Silence => self.mute = Some(base),
            _ => {}
        }
    }

    fn error(&mut self, reply: &Reply, names: &Names, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<bool>, Broken> {
        self.instead(reply, out, true);
        let quotes = self.here(reply).map(|(reply, _)| reply.quotes.as_slice()).unwrap_or_default();
        let may_name_a_node = names.slot().is_some() && may_name_a_node(input);
        if quotes.is_empty() && !may_name_a_node && !Names::may_be_quoted(input) {
            (self.state, self.begun) = (State::Line, true);
            return Ok(Some(false));
        }
        let Some(line) = self.line(input, ERROR_MAX_BYTES)? else { return Ok(None) };
        self.begun = true;
        self.missed |= line.starts_with(b"-ERR Function not found");
        // Where a node is is nobody's business behind the wall.
        let line = if may_name_a_node && redirect(&line).is_some() { MOVING.to_vec() } else { names.unquote(&line, quotes) };
        self.write(out, &line);
        Ok(Some(true))
    }

    /// A whole line with its end.
    fn line(&mut self, input: &mut BytesMut, max: usize) -> Result<Option<Bytes>, Broken> {
        let searched = self.searched as usize;
        let found = input.get(searched..).unwrap_or_default().iter().position(|b| *b == b'\n').map(|at| at + searched);
        match found {
            Some(end) if end >= 2 && input.get(end - 1) == Some(&b'\r') => {
                self.searched = 0;
                Ok(Some(input.split_to(end + 1).freeze()))
            }
            Some(_) => Err(Broken("a line without its end")),
            None if input.len() > max => Err(Broken("a line too long")),
            None => {
                self.searched = u32::try_from(input.len()).unwrap_or(0);
                Ok(None)
            }
        }
    }

    fn write(&self, out: &mut BytesMut, bytes: &[u8]) {
        if self.mute.is_none() {
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
#[path = "replies_tests.rs"]
mod tests;
