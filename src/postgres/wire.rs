//! Frames cut from bytes, and strict decoders of what must be read. Source: PostgreSQL's "Message Formats", protocol 3.0.
//!
//! A decoder reads the whole body or refuses it; no input makes one panic, allocate beyond the body or replace a byte.

use bytes::BytesMut;

/// The longest message taken from a client whose kind may be long (Query, Parse, Bind, CopyData, FunctionCall), in bytes.
pub const CLIENT_LONG_BYTES: usize = 64 << 20;
/// The longest message of any other kind, in bytes; PostgreSQL's own PQ_SMALL_MESSAGE_LIMIT.
pub const CLIENT_SHORT_BYTES: usize = 10_000;
/// The longest upstream message that is held whole, in bytes. DataRow is streamed and may be longer.
pub const UPSTREAM_BYTES: usize = 64 << 20;
/// Tag and length.
pub const HEADER_BYTES: usize = 5;

/// What is wrong with bytes. Every kind is the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length word is below the least that the message can have.
    #[error("invalid message length")]
    Length,
    /// The length word is over the cap.
    #[error("message of {0} bytes is too long")]
    TooLong(usize),
    /// The body ends inside a field.
    #[error("insufficient data left in message")]
    Truncated,
    /// The body goes on after its last field.
    #[error("invalid message format")]
    Trailing,
    /// A string has no terminator.
    #[error("invalid string in message")]
    Unterminated,
    /// A string is not UTF-8; the first bytes that are not.
    #[error("invalid byte sequence for encoding \"UTF8\": {0}")]
    NotUtf8(String),
    /// A count or a code has a value that the protocol does not know.
    #[error("invalid value in message")]
    Value,
    /// The first message speaks another protocol.
    #[error("unsupported frontend protocol {0}.{1}: server supports 3.0 to 3.0")]
    Version(u16, u16),
    /// Bytes came after a TLS request, before its answer.
    #[error("received unencrypted data after SSL request")]
    Early,
}

/// One whole message: a tag, a length and a body.
#[derive(Debug)]
pub struct Frame {
    /// The first byte.
    pub tag: u8,
    /// All of it, header included.
    pub bytes: BytesMut,
}

impl Frame {
    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }
}

/// Tag and whole length (tag included) of the message at the front; None while the header is not there.
pub fn header(input: &[u8]) -> Result<Option<(u8, usize)>, WireError> {
    let Some((head, _)) = input.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [tag, length @ ..] = *head;
    match usize::try_from(i32::from_be_bytes(length)) {
        Ok(length) if length >= 4 => Ok(Some((tag, length + 1))),
        _ => Err(WireError::Length),
    }
}

/// Takes one whole message off the front, or nothing while it is not all there. `cap` gives the longest length, in bytes,
/// for a tag; it is looked at as soon as the header is there.
pub fn take(input: &mut BytesMut, cap: impl Fn(u8) -> usize) -> Result<Option<Frame>, WireError> {
    let Some((tag, length)) = header(input)? else { return Ok(None) };
    if length > cap(tag) {
        return Err(WireError::TooLong(length));
    }
    if input.len() < length {
        return Ok(None);
    }
    Ok(Some(Frame { tag, bytes: input.split_to(length) }))
}

/// The cap for a client's message, in bytes.
pub fn client_cap(tag: u8) -> usize {
    match tag {
        b'Q' | b'P' | b'B' | b'd' | b'F' => CLIENT_LONG_BYTES,
        _ => CLIENT_SHORT_BYTES,
    }
}

/// Reads fields off the front of a body.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Int16, unsigned as the server reads counts.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Int32, signed.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Int32 as an OID.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A terminated string's bytes, without the terminator.
    pub fn raw_string(&mut self) -> Result<&'a [u8], WireError> {
        let end = self.0.iter().position(|b| *b == 0).ok_or(WireError::Unterminated)?;
        let text = self.bytes(end)?;
        self.byte()?;
        Ok(text)
    }

    /// A terminated string that must be UTF-8.
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        utf8(self.raw_string()?)
    }

    /// The body must end here.
    pub fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Is nothing left?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }
}

/// The bytes as text; the error names the first bytes that are not UTF-8, as PostgreSQL does.
pub fn utf8(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|e| {
        let bad = bytes.get(e.valid_up_to()..).unwrap_or_default();
        let shown = e.error_len().unwrap_or(bad.len()).clamp(1, 4);
        let words: Vec<String> = bad.iter().take(shown).map(|b| format!("0x{b:02x}")).collect();
        WireError::NotUtf8(words.join(" "))
    })
}

/// Query: its text.
pub fn query(body: &[u8]) -> Result<&str, WireError> {
    let mut reader = Reader::new(body);
    let sql = reader.raw_string()?;
    reader.end()?;
    utf8(sql)
}

/// Parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name, empty for the unnamed one.
    pub name: &'a str,
    /// Its text.
    pub sql: &'a str,
    /// Declared parameter types, 0 where the server shall infer.
    pub types: Vec<u32>,
}

/// Decodes Parse.
pub fn parse(body: &[u8]) -> Result<Parse<'_>, WireError> {
    let mut reader = Reader::new(body);
    let (name, sql) = (reader.raw_string()?, reader.raw_string()?);
    let count = reader.u16()?;
    let words = reader.bytes(usize::from(count) * 4)?;
    reader.end()?;
    let types = words.chunks_exact(4).map(|w| w.iter().fold(0u32, |oid, b| (oid << 8) | u32::from(*b))).collect();
    Ok(Parse { name: utf8(name)?, sql: utf8(sql)?, types })
}

/// Bind; values stay where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal, empty for the unnamed one.
    pub portal: &'a str,
    /// The prepared statement.
    pub statement: &'a str,
    /// Format codes as sent: none, one for all, or one a parameter.
    pub formats: Vec<u16>,
    /// How many parameters.
    pub count: u16,
    /// The parameters as they stand in the message: each a length and its bytes.
    pub values: &'a [u8],
    /// Count and codes of the result formats, as they stand.
    pub results: &'a [u8],
}

/// Decodes Bind. The numbers are checked against the message, not against each other.
pub fn bind(body: &[u8]) -> Result<Bind<'_>, WireError> {
    let mut reader = Reader::new(body);
    let (portal, statement) = (reader.raw_string()?, reader.raw_string()?);
    let codes = reader.u16()?;
    let formats = reader.bytes(usize::from(codes) * 2)?;
    let formats = formats.chunks_exact(2).map(|w| w.iter().fold(0u16, |code, b| (code << 8) | u16::from(*b))).collect();
    let count = reader.u16()?;
    let start = reader.0;
    for _ in 0..count {
        value(&mut reader)?;
    }
    let values = start.get(..start.len() - reader.0.len()).unwrap_or_default();
    let results = reader.0;
    let codes = reader.u16()?;
    reader.bytes(usize::from(codes) * 2)?;
    reader.end()?;
    Ok(Bind { portal: utf8(portal)?, statement: utf8(statement)?, formats, count, values, results })
}

/// One parameter: None for NULL.
pub fn value<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, WireError> {
    match reader.i32()? {
        -1 => Ok(None),
        length => reader.bytes(usize::try_from(length).map_err(|_| WireError::Value)?).map(Some),
    }
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a str),
    /// A portal.
    Portal(&'a str),
}

/// Decodes Describe and Close, which look the same.
pub fn target(body: &[u8]) -> Result<Target<'_>, WireError> {
    let mut reader = Reader::new(body);
    let kind = reader.byte()?;
    let name = reader.raw_string()?;
    reader.end()?;
    match kind {
        b'S' => Ok(Target::Statement(utf8(name)?)),
        b'P' => Ok(Target::Portal(utf8(name)?)),
        _ => Err(WireError::Value),
    }
}

/// Decodes Execute: the portal; the row limit passes as it is.
pub fn execute(body: &[u8]) -> Result<&str, WireError> {
    let mut reader = Reader::new(body);
    let portal = reader.raw_string()?;
    reader.i32()?;
    reader.end()?;
    utf8(portal)
}

/// Decodes a message without a body (Sync, Flush, Terminate).
pub fn empty(body: &[u8]) -> Result<(), WireError> {
    Reader::new(body).end()
}

/// Decodes the fields of ErrorResponse and NoticeResponse: code and bytes, in the order sent.
pub fn fields(body: &[u8]) -> Result<Vec<(u8, &[u8])>, WireError> {
    let mut reader = Reader::new(body);
    let mut fields = Vec::new();
    loop {
        match reader.byte()? {
            0 => break,
            code => fields.push((code, reader.raw_string()?)),
        }
    }
    reader.end()?;
    Ok(fields)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
