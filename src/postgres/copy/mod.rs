//! COPY … FROM STDIN: each row gains the tenant on its way, in constant memory, however the bytes are cut.
//!
//! The rewritten statement itself checks the tenant column of every row, so a mistake here could only ever fail a COPY.

mod binary;
mod lines;

use crate::policy::TenantId;
use crate::sql::{CopyFormat, CopyIn, Gain};
use bytes::BytesMut;

/// Adds the tenant to a stream of rows.
#[derive(Debug)]
pub enum Injector {
    /// The client writes the tenant column itself: nothing is added.
    Plain,
    /// Text and CSV.
    Lines(lines::Lines),
    /// Binary.
    Binary(binary::Binary),
}

impl Injector {
    /// For this COPY and this tenant.
    pub fn new(copy: &CopyIn, tenant: &TenantId) -> Self {
        match (&copy.gain, &copy.format) {
            (Gain::Named, _) => Self::Plain,
            (_, CopyFormat::Binary) => Self::Binary(binary::Binary::new(copy, tenant)),
            _ => Self::Lines(lines::Lines::new(copy, tenant)),
        }
    }

    /// Takes the client's next bytes; appends what goes on.
    pub fn feed(&mut self, chunk: &[u8], out: &mut BytesMut) {
        match self {
            Self::Plain => out.extend_from_slice(chunk),
            Self::Lines(lines) => lines.feed(chunk, out),
            Self::Binary(binary) => binary.feed(chunk, out),
        }
    }

    /// The client has said that it is done; appends what was kept back.
    pub fn finish(&mut self, out: &mut BytesMut) {
        match self {
            Self::Plain => {}
            Self::Lines(lines) => lines.finish(out),
            Self::Binary(binary) => binary.finish(out),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
