//! Requests as they come in: a resumable scanner for RESP arrays of bulk strings and for inline commands, with caps on all that the wire can
//! say. It reads what the server reads and refuses what the server refuses; each byte is looked at once, however it is chunked.

use super::inline;
use bytes::{Bytes, BytesMut};

/// A line without its end, and an inline command (the server's own bound).
pub const LINE_MAX_BYTES: usize = 64 << 10;

/// A command with more arguments than this is not forwarded as it comes.
const BEGUN_ARGS_MAX: usize = 64;

/// What a client may say.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Arguments of one command.
    pub args_max: usize,
    /// Bytes of one argument.
    pub bulk_max_bytes: usize,
    /// Bytes of one whole command that is kept in memory.
    pub request_max_bytes: usize,
}

impl Limits {
    /// Before the client has said who it is.
    pub const STRANGER: Self = Self { args_max: 10, bulk_max_bytes: 16 << 10, request_max_bytes: 256 << 10 };
    /// The server's own bounds, and what the wall keeps of one command.
    pub const TENANT: Self = Self { args_max: 1 << 20, bulk_max_bytes: 512 << 20, request_max_bytes: 64 << 20 };
}

/// Why the connection ends, in the server's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// `*` and a count that is none.
    #[error("invalid multibulk length")]
    Count,
    /// A stranger's count.
    #[error("unauthenticated multibulk length")]
    StrangerCount,
    /// `$` and a length that is none.
    #[error("invalid bulk length")]
    Length,
    /// A stranger's length.
    #[error("unauthenticated bulk length")]
    StrangerLength,
    /// Something else where `$` must be.
    #[error("expected '$', got '{}'", char::from(*.0).escape_default())]
    Dollar(u8),
    /// No line end in sight.
    #[error("too big {0}")]
    Line(&'static str),
    /// An inline command that does not end its quotes.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// More than is kept of one command.
    #[error("too big request")]
    Request,
}

/// One whole command. `Debug` shows its size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Bytes,
    args: Vec<(usize, usize)>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({} arguments, {} bytes)", self.args.len(), self.bytes.len())
    }
}

impl Request {
    /// From arguments, for `explain` and tests.
    pub fn new<A: AsRef<[u8]>>(args: &[A]) -> Self {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for arg in args {
            let start = bytes.len();
            bytes.extend_from_slice(arg.as_ref());
            ranges.push((start, bytes.len()));
        }
        Self { bytes: bytes.into(), args: ranges }
    }

    /// How many arguments, the name among them.
    pub fn len(&self) -> usize {
        self.args.len()
    }

    /// Never true for what the scanner gives.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// An argument; empty past the end.
    pub fn arg(&self, at: usize) -> &[u8] {
        self.args.get(at).and_then(|(start, end)| self.bytes.get(*start..*end)).unwrap_or_default()
    }

    /// The same, shared.
    pub fn bytes(&self, at: usize) -> Bytes {
        self.args.get(at).map(|(start, end)| self.bytes.slice(*start..*end)).unwrap_or_default()
    }

    /// How many bytes it came in.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// As it comes over the wire.
    pub fn encoded(&self) -> BytesMut {
        let mut out = BytesMut::new();
        super::encode::header(&mut out, b'*', self.len());
        for arg in self.iter() {
            super::encode::bulk(&mut out, arg);
        }
        out
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|at| self.arg(at))
    }
}

/// What the scanner stands in.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Start,
    /// This many arguments are still to come.
    Header(usize),
    /// The same, and the current one's length.
    Body(usize, usize),
}

/// A command whose rest is still to come, to be forwarded as it comes.
#[derive(Debug)]
pub struct Begun {
    /// What is there.
    pub args: Request,
    /// All arguments that the command will have.
    pub count: usize,
    /// What comes next.
    pub rest: Rest,
}

/// The scanner's place in the first command of a buffer that is only ever appended to.
#[derive(Debug, Default)]
pub struct Scanner {
    state: State,
    pos: usize,
    /// No line end before here.
    searched: usize,
    args: Vec<(usize, usize)>,
    /// How many arguments there were when `begun` last asked.
    asked: usize,
}

impl Scanner {
    /// The next whole command, taken off `input`. None: more bytes are needed. Errors end the connection.
    pub fn scan(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Option<Request>, WireError> {
        loop {
            match self.state {
                State::Start => match input.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(count) = self.number(input, "mbulk count string", WireError::Count)? else { return Ok(None) };
                        self.begin(input, count, limits)?;
                    }
                    Some(_) => {
                        let Some(line) = self.inline(input)? else { return Ok(None) };
                        let args = inline::split(&line).ok_or(WireError::Quotes)?;
                        if !args.is_empty() {
                            return Ok(Some(Request::new(&args)));
                        }
                    }
                },
                State::Header(left) => {
                    match input.get(self.pos) {
                        None => return Ok(None),
                        Some(b'$') => {}
                        Some(other) => return Err(WireError::Dollar(*other)),
                    }
                    let Some(length) = self.number(input, "bulk count string", WireError::Length)? else { return Ok(None) };
                    self.state = State::Body(left, self::length(length, limits)?);
                }
                State::Body(left, length) => {
                    // Two bytes follow; the server does not look at them either.
                    let end = self.pos + length;
                    if input.len() < end + 2 {
                        return Ok(None);
                    }
                    self.args.push((self.pos, end));
                    (self.pos, self.searched) = (end + 2, end + 2);
                    if left == 1 {
                        let bytes = input.split_to(self.pos).freeze();
                        let args = std::mem::take(self).args;
                        return Ok(Some(Request { bytes, args }));
                    }
                    self.state = State::Header(left - 1);
                }
            }
        }
    }

    /// True between two commands.
    pub fn at_rest(&self) -> bool {
        matches!(self.state, State::Start)
    }

    /// True where the command that is being read is more than is kept of one.
    pub fn over(&self, limits: &Limits) -> bool {
        let body = if let State::Body(_, length) = self.state { length } else { 0 };
        self.pos.saturating_add(body) > limits.request_max_bytes
    }

    /// True where the command that is being read has this many bytes, or waits for an argument that has.
    pub fn is_long(&self, bytes: usize) -> bool {
        matches!(self.state, State::Body(_, length) if length.max(self.pos) >= bytes)
    }

    /// Takes what is there of a command that waits for a long argument or has many bytes already, so that its rest can be forwarded
    /// as it comes. None where it is short, or where `decide` says no of the arguments so far and the count of all; it is asked once an argument.
    pub fn begun(&mut self, input: &mut BytesMut, worth_bytes: usize, decide: impl FnOnce(&[&[u8]], usize) -> bool) -> Option<Begun> {
        let State::Body(left, length) = self.state else { return None };
        if length.max(self.pos) < worth_bytes || self.asked == self.args.len() || self.args.len() > BEGUN_ARGS_MAX {
            return None;
        }
        self.asked = self.args.len();
        let known: Vec<&[u8]> = self.args.iter().filter_map(|(start, end)| input.get(*start..*end)).collect();
        let count = self.args.len() + left;
        if !decide(&known, count) {
            return None;
        }
        let bytes = input.split_to(self.pos).freeze();
        let args = Request { bytes, args: std::mem::take(self).args };
        Some(Begun { args, count, rest: Rest { left: left - 1, body: Some(length), skip: 0, searched: 0 } })
    }

    fn begin(&mut self, input: &mut BytesMut, count: i64, limits: &Limits) -> Result<(), WireError> {
        let Ok(count) = usize::try_from(count) else {
            // The server takes a negative count for no command at all.
            let _ = input.split_to(self.pos);
            *self = Self::default();
            return Ok(());
        };
        if count > limits.args_max {
            return Err(if limits.args_max < 1 << 10 { WireError::StrangerCount } else { WireError::Count });
        }
        if count == 0 {
            let _ = input.split_to(self.pos);
            *self = Self::default();
        } else {
            self.args.reserve(count.min(64));
            self.state = State::Header(count);
        }
        Ok(())
    }

    /// The number behind the byte at `pos`, up to a carriage return; one byte more is skipped, as the server does.
    fn number(&mut self, input: &BytesMut, what: &'static str, error: WireError) -> Result<Option<i64>, WireError> {
        let Some(end) = self.find(input, b'\r', what)? else { return Ok(None) };
        if input.len() < end + 2 {
            return Ok(None);
        }
        let number = integer(input.get(self.pos + 1..end).unwrap_or_default()).ok_or(error)?;
        (self.pos, self.searched) = (end + 2, end + 2);
        Ok(Some(number))
    }

    fn inline(&mut self, input: &mut BytesMut) -> Result<Option<Vec<u8>>, WireError> {
        let Some(end) = self.find(input, b'\n', "inline request")? else { return Ok(None) };
        let line = input.split_to(end + 1);
        *self = Self::default();
        let line = line.strip_suffix(b"\n").unwrap_or_default();
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
    }

    fn find(&mut self, input: &BytesMut, byte: u8, what: &'static str) -> Result<Option<usize>, WireError> {
        let from = self.searched.max(self.pos);
        let found = input.get(from..).unwrap_or_default().iter().position(|b| *b == byte).map(|at| from + at);
        if found.unwrap_or(input.len()) - self.pos > LINE_MAX_BYTES {
            return Err(WireError::Line(what));
        }
        self.searched = found.unwrap_or(input.len());
        Ok(found)
    }
}

/// The rest of a command that is forwarded as it comes.
#[derive(Debug)]
pub struct Rest {
    left: usize,
    body: Option<usize>,
    skip: usize,
    searched: usize,
}

impl Rest {
    /// Moves what is there from `input` to `out`, written anew. True when the command is whole.
    pub fn forward(&mut self, input: &mut BytesMut, out: &mut BytesMut, limits: &Limits) -> Result<bool, WireError> {
        loop {
            match self.body {
                Some(body) if body > 0 => {
                    if input.is_empty() {
                        return Ok(false);
                    }
                    let part = input.split_to(body.min(input.len()));
                    out.extend_from_slice(&part);
                    self.body = Some(body - part.len());
                    continue;
                }
                Some(_) => {
                    while self.skip < 2 {
                        if input.is_empty() {
                            return Ok(false);
                        }
                        let _ = input.split_to(1);
                        self.skip += 1;
                    }
                    out.extend_from_slice(b"\r\n");
                    (self.body, self.skip) = (None, 0);
                }
                None if self.left == 0 => return Ok(true),
                None => {
                    match input.first() {
                        None => return Ok(false),
                        Some(b'$') => {}
                        Some(other) => return Err(WireError::Dollar(*other)),
                    }
                    let mut scanner = Scanner { searched: self.searched, ..Scanner::default() };
                    let Some(number) = scanner.number(input, "bulk count string", WireError::Length)? else {
                        self.searched = scanner.searched;
                        return Ok(false);
                    };
                    let body = length(number, limits)?;
                    let _ = input.split_to(scanner.pos);
                    super::encode::header(out, b'$', body);
                    (self.left, self.body, self.searched) = (self.left - 1, Some(body), 0);
                }
            }
        }
    }

    /// The length of the argument that is being forwarded when this begins.
    pub fn due(&self) -> usize {
        self.body.unwrap_or_default()
    }
}

fn length(number: i64, limits: &Limits) -> Result<usize, WireError> {
    let length = usize::try_from(number).map_err(|_| WireError::Length)?;
    if length > limits.bulk_max_bytes {
        return Err(if limits.bulk_max_bytes < 1 << 20 { WireError::StrangerLength } else { WireError::Length });
    }
    Ok(length)
}

/// An integer as the server reads it: no sign but `-`, no leading zeros, no blanks, nothing behind.
pub fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
