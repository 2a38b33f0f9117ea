//! The first message of a connection: a TLS or GSS request, a cancel request, or startup. Protocol 3.0.

use super::encode;
use super::wire::{Reader, WireError};
use bytes::{BufMut, BytesMut};

/// The longest first message, in bytes; PostgreSQL's own MAX_STARTUP_PACKET_LENGTH.
pub const STARTUP_BYTES: usize = 10_000;

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;
const VERSION: u32 = 3 << 16;

/// What a client may begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// SSLRequest: answer `S` and switch, or `N`.
    Ssl,
    /// GSSENCRequest: answer `N`.
    Gss,
    /// CancelRequest: no answer.
    Cancel {
        /// Process id of BackendKeyData.
        pid: u32,
        /// The secret; 4 bytes in protocol 3.0, up to 256 later.
        key: Vec<u8>,
    },
    /// StartupMessage.
    Startup {
        /// Names and values, in the order sent.
        params: Vec<(String, String)>,
        /// The minor version asked for; above 0 it is answered with [`negotiate`].
        minor: u16,
    },
}

/// Takes the first message off `input`, or nothing while it is not all there. Errors are last: the connection cannot go on.
/// After SSLRequest and GSSENCRequest nothing may be left in `input`; the shell must see to it again when it switches.
pub fn read_first(input: &mut BytesMut) -> Result<Option<First>, WireError> {
    let Some((word, _)) = input.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*word)).map_err(|_| WireError::Length)?;
    if length < 8 {
        return Err(WireError::Length);
    }
    if length > STARTUP_BYTES {
        return Err(WireError::TooLong(length));
    }
    if input.len() < length {
        return Ok(None);
    }
    let message = input.split_to(length);
    let mut reader = Reader::new(message.get(4..).unwrap_or_default());
    let first = match reader.u32()? {
        SSL => bare(First::Ssl, reader, input)?,
        GSS => bare(First::Gss, reader, input)?,
        CANCEL => cancel(reader)?,
        version => startup(version, reader)?,
    };
    Ok(Some(first))
}

fn bare(first: First, reader: Reader<'_>, left: &BytesMut) -> Result<First, WireError> {
    reader.end()?;
    if left.is_empty() { Ok(first) } else { Err(WireError::Early) }
}

fn cancel(mut reader: Reader<'_>) -> Result<First, WireError> {
    let pid = reader.u32()?;
    let mut key = Vec::new();
    while !reader.is_empty() {
        key.push(reader.byte()?);
    }
    if !(4..=256).contains(&key.len()) {
        return Err(WireError::Length);
    }
    Ok(First::Cancel { pid, key })
}

fn startup(version: u32, mut reader: Reader<'_>) -> Result<First, WireError> {
    let [a, b, c, d] = version.to_be_bytes();
    let (major, minor) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    if major != 3 {
        return Err(WireError::Version(major, minor));
    }
    let mut params = Vec::new();
    loop {
        let name = reader.string()?;
        if name.is_empty() {
            break;
        }
        params.push((name.to_owned(), reader.string()?.to_owned()));
    }
    reader.end()?;
    Ok(First::Startup { params, minor })
}

/// Is NegotiateProtocolVersion owed to this startup? Then before anything else.
pub fn wants_negotiation(params: &[(String, String)], minor: u16) -> bool {
    minor > 0 || params.iter().any(|(name, _)| name.starts_with("_pq_."))
}

/// NegotiateProtocolVersion: 3.0, and none of the `_pq_.` options that were asked for.
pub fn negotiate(out: &mut BytesMut, params: &[(String, String)]) -> Result<(), WireError> {
    let unknown: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).filter(|n| n.starts_with("_pq_.")).collect();
    encode::message(out, b'v', |b| {
        b.put_u32(VERSION);
        b.put_u32(u32::try_from(unknown.len()).map_err(|_| WireError::Value)?);
        unknown.iter().try_for_each(|name| encode::string(b, name.as_bytes()))
    })
}

/// Appends SSLRequest.
pub fn ssl_request(out: &mut BytesMut) {
    out.put_u32(8);
    out.put_u32(SSL);
}

/// Appends CancelRequest.
pub fn cancel_request(out: &mut BytesMut, pid: u32, key: &[u8]) {
    out.put_u32(u32::try_from(key.len().saturating_add(12)).unwrap_or(u32::MAX));
    out.put_u32(CANCEL);
    out.put_u32(pid);
    out.put_slice(key);
}

/// Appends StartupMessage 3.0. Errors: a NUL in a name or value, or longer than [`STARTUP_BYTES`].
pub fn startup_message(out: &mut BytesMut, params: &[(&str, &str)]) -> Result<(), WireError> {
    let mut body = BytesMut::new();
    for (name, value) in params {
        encode::string(&mut body, name.as_bytes())?;
        encode::string(&mut body, value.as_bytes())?;
    }
    let length = body.len() + 9;
    if length > STARTUP_BYTES {
        return Err(WireError::TooLong(length));
    }
    out.put_u32(u32::try_from(length).map_err(|_| WireError::TooLong(length))?);
    out.put_u32(VERSION);
    out.put_slice(&body);
    out.put_u8(0);
    Ok(())
}

#[cfg(test)]
#[path = "startup_tests.rs"]
mod tests;
