//! Rows of the binary format: a header, then for each row a count and as many lengths with their bytes, then -1.

use crate::policy::TenantId;
use crate::sql::{CopyIn, Gain};
use bytes::{BufMut, BytesMut};

/// Signature and flags.
const FIXED_BYTES: usize = 15;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes of signature and flags.
    Fixed(usize),
    /// The length of the header's extension.
    Extension,
    /// This many bytes that pass, then a row.
    Header(usize),
    /// A row's count of fields.
    Count,
    /// A field's length; so many fields are left and so many are done.
    Length { left: usize, done: usize },
    /// A field's bytes.
    Field { bytes: usize, left: usize, done: usize },
    /// Behind the trailer.
    Ended,
}

/// The state of one stream.
#[derive(Debug)]
pub struct Binary {
    /// The tenant as a field: length and bytes.
    value: Vec<u8>,
    gain: Gain,
    /// Where in this row the field is added.
    at: Option<usize>,
    state: State,
    /// Bytes of a number that is not whole yet.
    number: Vec<u8>,
}

impl Binary {
    pub(super) fn new(copy: &CopyIn, tenant: &TenantId) -> Self {
        let bytes = value(copy.type_oid, tenant.as_str());
        let mut field = i32::try_from(bytes.len()).unwrap_or(-1).to_be_bytes().to_vec();
        field.extend(bytes);
        Self { value: field, gain: copy.gain.clone(), at: None, state: State::Fixed(FIXED_BYTES), number: Vec::new() }
    }

    pub(super) fn feed(&mut self, mut chunk: &[u8], out: &mut BytesMut) {
        while !chunk.is_empty() {
            chunk = match self.state {
                State::Fixed(bytes) => self.pass(chunk, bytes, out, State::Fixed, State::Extension),
                State::Header(bytes) => self.pass(chunk, bytes, out, State::Header, State::Count),
                State::Field { bytes, left, done } => {
                    let rest = self.pass(chunk, bytes, out, |bytes| State::Field { bytes, left, done }, self.next(left, done));
                    if !matches!(self.state, State::Field { .. }) {
                        self.add(done, out);
                    }
                    rest
                }
                State::Extension | State::Length { .. } => self.number(chunk, 4, out),
                State::Count => self.number(chunk, 2, out),
                State::Ended => {
                    out.put_slice(chunk);
                    &[]
                }
            };
        }
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        out.put_slice(&std::mem::take(&mut self.number));
    }

    fn pass<'a>(&mut self, chunk: &'a [u8], bytes: usize, out: &mut BytesMut, more: impl Fn(usize) -> State, next: State) -> &'a [u8] {
        let (here, rest) = chunk.split_at(bytes.min(chunk.len()));
        out.put_slice(here);
        self.state = if here.len() < bytes { more(bytes - here.len()) } else { next };
        rest
    }

    /// Collects a number of so many bytes and acts on it.
    fn number<'a>(&mut self, chunk: &'a [u8], bytes: usize, out: &mut BytesMut) -> &'a [u8] {
        let (here, rest) = chunk.split_at((bytes - self.number.len()).min(chunk.len()));
        self.number.extend_from_slice(here);
        if self.number.len() < bytes {
            return rest;
        }
        let number = std::mem::take(&mut self.number);
        let value = number.iter().fold(if number[0] & 0x80 == 0 { 0i64 } else { -1 }, |n, b| (n << 8) | i64::from(*b));
        self.act(value, &number, out);
        rest
    }

    fn act(&mut self, value: i64, raw: &[u8], out: &mut BytesMut) {
        match self.state {
            State::Extension => {
                out.put_slice(raw);
                self.state =
                    usize::try_from(value).map_or(State::Ended, |bytes| if bytes == 0 { State::Count } else { State::Header(bytes) });
            }
            State::Count => {
                let Ok(fields) = usize::try_from(value) else {
                    out.put_slice(raw);
                    self.state = State::Ended;
                    return;
                };
                self.at = match self.gain {
                    Gain::Named => None,
                    Gain::First => Some(0),
                    Gain::Missing { at, fields: all } => (fields + 1 == all).then_some(at),
                };
                let sent = i16::try_from(fields + usize::from(self.at.is_some()));
                out.put_i16(sent.unwrap_or(i16::MAX));
                self.add(0, out);
                self.state = self.next(fields, 0);
            }
            State::Length { left, done } => {
                out.put_slice(raw);
                let (left, done) = (left - 1, done + 1);
                match usize::try_from(value) {
                    Ok(bytes @ 1..) => self.state = State::Field { bytes, left, done },
                    _ => {
                        self.add(done, out);
                        self.state = self.next(left, done);
                    }
                }
            }
            _ => {}
        }
    }

    /// What follows a field.
    fn next(&self, left: usize, done: usize) -> State {
        if left == 0 { State::Count } else { State::Length { left, done } }
    }

    fn add(&self, done: usize, out: &mut BytesMut) {
        if self.at == Some(done) {
            out.put_slice(&self.value);
        }
    }
}

/// The id in the binary form of the tenant column's type; for one that the id does not fit, its text, which the server refuses.
fn value(type_oid: u32, id: &str) -> Vec<u8> {
    let text = || id.as_bytes().to_vec();
    match type_oid {
        20 => id.parse::<i64>().map_or_else(|_| text(), |n| n.to_be_bytes().to_vec()),
        21 => id.parse::<i16>().map_or_else(|_| text(), |n| n.to_be_bytes().to_vec()),
        23 => id.parse::<i32>().map_or_else(|_| text(), |n| n.to_be_bytes().to_vec()),
        2950 => {
            let digits: String = id.chars().filter(|c| *c != '-').collect();
            u128::from_str_radix(&digits, 16).map_or_else(|_| text(), |n| n.to_be_bytes().to_vec())
        }
        _ => text(),
    }
}
