//! Rows of text and CSV, told apart as the server does it (copyfromparse.c, `CopyReadLineText`).

use crate::policy::TenantId;
use crate::sql::{CopyFormat, CopyIn, Gain};
use bytes::{BufMut, BytesMut};

/// The most of a first line that is kept to count its fields, in bytes.
const FIRST_LINE_BYTES: usize = 1 << 20;

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a row.
    Start,
    /// Behind a backslash that begins a row and has not been sent.
    StartBackslash,
    /// CSV: behind `\.` that begins a row and has not been sent.
    StartMarker,
    /// In a row, outside quotes.
    Row,
    /// Text: behind a backslash that has not been sent.
    Backslash,
    /// CSV: inside quotes; true behind an escape character.
    Quoted(bool),
    /// Behind a carriage return that ended a row.
    Return,
    /// Behind the end marker: this many bytes of its line end may follow.
    Ended(u8),
}

/// The state of one stream.
#[derive(Debug)]
pub struct Lines {
    delimiter: u8,
    /// Quote and escape; None for text.
    quotes: Option<(u8, u8)>,
    /// What is added: the tenant as a field.
    value: Vec<u8>,
    /// What is added to a header line: the column's name.
    name: Option<Vec<u8>>,
    /// Before which field it is added, counted from 0; None adds nothing.
    at: Option<usize>,
    /// Fields of a row that lacks the tenant's, while it is not known whether rows do; and the bytes of the first one.
    counting: Option<(usize, usize, Vec<u8>)>,
    state: State,
    /// Fields of the row that are complete.
    fields: usize,
}

impl Lines {
    pub(super) fn new(copy: &CopyIn, tenant: &TenantId) -> Self {
        let (delimiter, quotes) = match copy.format {
            CopyFormat::Csv { delimiter, quote, escape } => (delimiter, Some((quote, escape))),
            CopyFormat::Text { delimiter } => (delimiter, None),
            CopyFormat::Binary => (b'\t', None),
        };
        let field = |text: &str| match quotes {
            Some((quote, escape)) => quoted(text, quote, escape),
            None => escaped(text, delimiter),
        };
        let (at, counting) = match copy.gain {
            Gain::Named => (None, None),
            Gain::First => (Some(0), None),
            Gain::Missing { at, fields } => (None, Some((fields.saturating_sub(1), at, Vec::new()))),
        };
        let name = copy.header.then(|| field(&copy.column));
        Self { delimiter, quotes, value: field(tenant.as_str()), name, at, counting, state: State::Start, fields: 0 }
    }

    pub(super) fn feed(&mut self, chunk: &[u8], out: &mut BytesMut) {
        let Some((short, at, mut kept)) = self.counting.take() else { return self.pass(chunk, out) };
        kept.extend_from_slice(chunk);
        match self.count(&kept) {
            Some(fields) => self.decided((fields == short).then_some(at), &kept, out),
            None if kept.len() > FIRST_LINE_BYTES => self.decided(None, &kept, out),
            None => self.counting = Some((short, at, kept)),
        }
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        if let Some((short, at, kept)) = self.counting.take() {
            let mut all = kept.clone();
            all.push(b'\n');
            let fields = self.count(&all);
            self.decided((fields == Some(short)).then_some(at), &kept, out);
        }
        match self.state {
            State::StartBackslash => {
                self.start(out);
                out.put_u8(b'\\');
                self.end(out);
            }
            State::StartMarker => out.put_slice(b"\\."),
            State::Backslash => {
                out.put_u8(b'\\');
                self.end(out);
            }
            State::Row | State::Quoted(_) => self.end(out),
            State::Start | State::Return | State::Ended(_) => {}
        }
        self.state = State::Ended(0);
    }

    fn decided(&mut self, at: Option<usize>, kept: &[u8], out: &mut BytesMut) {
        self.at = at;
        self.pass(kept, out);
    }

    /// Fields of the first line, once it is whole.
    fn count(&self, text: &[u8]) -> Option<usize> {
        let (mut state, mut fields) = (State::Start, 1);
        for byte in text {
            state = match (state, self.quotes) {
                (State::Quoted(escape), Some(quotes)) => in_quotes(*byte, escape, quotes),
                (State::Backslash, _) => State::Row,
                (_, Some((quote, _))) if *byte == quote => State::Quoted(false),
                (_, None) if *byte == b'\\' => State::Backslash,
                (_, _) if matches!(byte, b'\n' | b'\r') => return Some(fields),
                _ => {
                    fields += usize::from(*byte == self.delimiter);
                    State::Row
                }
            };
        }
        None
    }

    fn pass(&mut self, chunk: &[u8], out: &mut BytesMut) {
        out.reserve(chunk.len() + 2 * self.value.len());
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.split_first() {
            // Most bytes stand inside a field and mean nothing.
            if self.state == State::Row {
                let plain = rest.iter().position(|b| self.means_something(*b)).unwrap_or(rest.len());
                if plain > 0 {
                    out.put_slice(&rest[..plain]);
                    rest = &rest[plain..];
                    continue;
                }
            }
            self.byte(*byte, out);
            rest = behind;
        }
    }

    fn means_something(&self, byte: u8) -> bool {
        matches!(byte, b'\n' | b'\r') || byte == self.delimiter || self.quotes.map_or(byte == b'\\', |(quote, _)| byte == quote)
    }

    fn byte(&mut self, byte: u8, out: &mut BytesMut) {
        match self.state {
            State::Start if byte == b'\\' => self.state = State::StartBackslash,
            State::Start => {
                self.start(out);
                self.in_row(byte, out);
            }
            State::StartBackslash if byte == b'.' && self.quotes.is_some() => self.state = State::StartMarker,
            State::StartBackslash if byte == b'.' => {
                out.put_slice(b"\\.");
                self.state = State::Ended(2);
            }
            State::StartBackslash => {
                self.start(out);
                out.put_u8(b'\\');
                self.state = State::Row;
                if self.quotes.is_some() { self.in_row(byte, out) } else { out.put_u8(byte) }
            }
            State::StartMarker if matches!(byte, b'\n' | b'\r') => {
                out.put_slice(b"\\.");
                self.state = State::Ended(2);
                self.byte(byte, out);
            }
            State::StartMarker => {
                self.start(out);
                out.put_slice(b"\\.");
                self.in_row(byte, out);
            }
            State::Row => self.in_row(byte, out),
            // A marker behind a row's data ends that row, too.
            State::Backslash if byte == b'.' => {
                self.end(out);
                out.put_slice(b"\\.");
                self.state = State::Ended(2);
            }
            State::Backslash => {
                out.put_slice(&[b'\\', byte]);
                self.state = State::Row;
            }
            State::Quoted(escape) => {
                out.put_u8(byte);
                self.state = self.quotes.map_or(State::Row, |quotes| in_quotes(byte, escape, quotes));
            }
            State::Return => {
                self.state = State::Start;
                if byte == b'\n' { out.put_u8(byte) } else { self.byte(byte, out) }
            }
            // The server reads no further; what follows the marker's own line end must not look like rows.
            State::Ended(0) => {}
            State::Ended(left) => {
                out.put_u8(byte);
                self.state = State::Ended(if byte == b'\r' { left - 1 } else { 0 });
            }
        }
    }

    fn in_row(&mut self, byte: u8, out: &mut BytesMut) {
        self.state = State::Row;
        match byte {
            b'\n' | b'\r' => {
                self.end(out);
                out.put_u8(byte);
                self.state = if byte == b'\r' { State::Return } else { State::Start };
            }
            b'\\' if self.quotes.is_none() => self.state = State::Backslash,
            _ if byte == self.delimiter => {
                out.put_u8(byte);
                self.fields += 1;
                if self.at == Some(self.fields) {
                    self.add(out);
                    out.put_u8(self.delimiter);
                }
            }
            _ => {
                out.put_u8(byte);
                if self.quotes.is_some_and(|(quote, _)| quote == byte) {
                    self.state = State::Quoted(false);
                }
            }
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        self.fields = 0;
        if self.at == Some(0) {
            self.add(out);
            out.put_u8(self.delimiter);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if self.at == Some(self.fields + 1) {
            out.put_u8(self.delimiter);
            self.add(out);
        }
        // Only the first line is a header.
        self.name = None;
    }

    fn add(&self, out: &mut BytesMut) {
        out.put_slice(self.name.as_ref().unwrap_or(&self.value));
    }
}

/// The server's own rule: an escape counts only inside quotes, and where it is the quote itself the quote just toggles.
fn in_quotes(byte: u8, escape: bool, (quote, escaper): (u8, u8)) -> State {
    if quote != escaper && byte == escaper {
        return State::Quoted(!escape);
    }
    if byte == quote && !escape { State::Row } else { State::Quoted(false) }
}

/// Text format: a backslash before itself and before the delimiter; an id has no control characters.
fn escaped(text: &str, delimiter: u8) -> Vec<u8> {
    let mut field = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if byte == b'\\' || byte == delimiter {
            field.push(b'\\');
        }
        field.push(byte);
    }
    field
}

/// CSV: always in quotes, so that it is never taken for NULL.
fn quoted(text: &str, quote: u8, escape: u8) -> Vec<u8> {
    let mut field = vec![quote];
    for byte in text.bytes() {
        if byte == quote || byte == escape {
            field.push(escape);
        }
        field.push(byte);
    }
    field.push(quote);
    field
}
