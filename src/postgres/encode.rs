//! Messages that the wall itself writes. A string with a NUL is refused: it would end early for the one who reads it.

use super::wire::{HEADER_BYTES, WireError};
use bytes::{BufMut, BytesMut};

/// Appends a message with `tag`; `body` writes what follows the length. On an error nothing is appended.
pub fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut) -> Result<(), WireError>) -> Result<(), WireError> {
    let start = out.len();
    out.put_u8(tag);
    out.put_u32(0);
    let written = body(out).and_then(|()| i32::try_from(out.len() - start - 1).map_err(|_| WireError::TooLong(out.len() - start)));
    match written {
        Ok(length) => {
            if let Some(word) = out.get_mut(start + 1..start + HEADER_BYTES) {
                word.copy_from_slice(&length.to_be_bytes());
            }
            Ok(())
        }
        Err(e) => {
            out.truncate(start);
            Err(e)
        }
    }
}

/// Appends a terminated string.
pub fn string(out: &mut BytesMut, text: &[u8]) -> Result<(), WireError> {
    if text.contains(&0) {
        return Err(WireError::Value);
    }
    out.put_slice(text);
    out.put_u8(0);
    Ok(())
}

/// Appends a 16-bit count.
pub fn count(out: &mut BytesMut, n: usize) -> Result<(), WireError> {
    out.put_u16(u16::try_from(n).map_err(|_| WireError::Value)?);
    Ok(())
}

/// Query.
pub fn query(out: &mut BytesMut, sql: &str) -> Result<(), WireError> {
    message(out, b'Q', |b| string(b, sql.as_bytes()))
}

/// Parse.
pub fn parse(out: &mut BytesMut, name: &str, sql: &str, types: &[u32]) -> Result<(), WireError> {
    message(out, b'P', |b| {
        string(b, name.as_bytes())?;
        string(b, sql.as_bytes())?;
        count(b, types.len())?;
        types.iter().for_each(|oid| b.put_u32(*oid));
        Ok(())
    })
}

/// Close of a prepared statement.
pub fn close_statement(out: &mut BytesMut, name: &str) -> Result<(), WireError> {
    of_statement(out, b'C', name)
}

/// Describe of a prepared statement.
pub fn describe_statement(out: &mut BytesMut, name: &str) -> Result<(), WireError> {
    of_statement(out, b'D', name)
}

fn of_statement(out: &mut BytesMut, tag: u8, name: &str) -> Result<(), WireError> {
    message(out, tag, |b| {
        b.put_u8(b'S');
        string(b, name.as_bytes())
    })
}

/// ErrorResponse or NoticeResponse (`tag` is `E` or `N`) with these fields.
pub fn fields(out: &mut BytesMut, tag: u8, fields: &[(u8, &[u8])]) -> Result<(), WireError> {
    message(out, tag, |b| {
        for (code, text) in fields {
            b.put_u8(*code);
            string(b, text)?;
        }
        b.put_u8(0);
        Ok(())
    })
}

/// ReadyForQuery with a transaction status (`I`, `T`, `E`).
pub fn ready(out: &mut BytesMut, status: u8) {
    out.put_slice(&[b'Z', 0, 0, 0, 5, status]);
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) -> Result<(), WireError> {
    message(out, b'S', |b| {
        string(b, name.as_bytes())?;
        string(b, value.as_bytes())
    })
}

/// BackendKeyData.
pub fn backend_key(out: &mut BytesMut, process: u32, secret: u32) {
    out.put_slice(&[b'K', 0, 0, 0, 12]);
    out.put_u32(process);
    out.put_u32(secret);
}

/// AuthenticationCleartextPassword.
pub fn authentication_cleartext(out: &mut BytesMut) {
    out.put_slice(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]);
}

/// AuthenticationSASL: the mechanisms to choose from. Errors: never for names without a NUL.
pub fn authentication_sasl(out: &mut BytesMut, mechanisms: &[&str]) -> Result<(), WireError> {
    message(out, b'R', |b| {
        b.put_u32(10);
        mechanisms.iter().try_for_each(|name| string(b, name.as_bytes()))?;
        b.put_u8(0);
        Ok(())
    })
}

/// AuthenticationSASLContinue (11) or AuthenticationSASLFinal (12). Errors: longer than a message can be.
pub fn authentication(out: &mut BytesMut, kind: u32, data: &[u8]) -> Result<(), WireError> {
    message(out, b'R', |b| {
        b.put_u32(kind);
        b.put_slice(data);
        Ok(())
    })
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    out.put_slice(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]);
}
