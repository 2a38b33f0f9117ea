//! What the session in charge says, on its way to the client; and what a session does that is told to refuse.

use super::{Mark, Router};
use crate::postgres::session::Session;
use crate::postgres::wire::{self, Frame, Reader, UPSTREAM_BYTES};
use crate::postgres::{Judging, encode};
use crate::session::{Close, Turn};
use crate::sql::Refusal;
use bytes::BytesMut;

/// SQLSTATEs that the wall refuses with here.
const STATES: &[&str] = &["28000", "0A000", "08P01", "22021", "25P02", "26000", "34000", "42602", "42622", "42P05", "53400", "54000"];

const BROKEN: Close = Close::UpstreamBroke("reply");

impl Router {
    /// Takes what has come whole; rows pass by their headers alone. Errors: the session says something that nothing here waits for.
    pub fn from_session(&mut self, input: &mut BytesMut) -> Result<(), Close> {
        loop {
            if self.passing > 0 {
                let here = self.passing.min(input.len());
                self.passing -= here;
                self.to_client.unsplit(input.split_to(here));
            }
            let Some((tag, length)) = wire::header(input).map_err(|_| BROKEN)? else { return Ok(()) };
            if matches!(tag, b'D' | b'd') {
                self.passing = length;
                continue;
            }
            let Some(frame) = wire::take(input, |_| UPSTREAM_BYTES).map_err(|_| BROKEN)? else { return Ok(()) };
            if self.reply(&frame)? {
                self.to_client.extend_from_slice(&frame.bytes);
            }
        }
    }

    /// Is it for the client?
    fn reply(&mut self, frame: &Frame) -> Result<bool, Close> {
        let own = self.marks.iter().find_map(|m| if let Mark::Ready(own) = m { Some(*own) } else { None }).unwrap_or(false);
        match frame.tag {
            b'Z' => self.ready(frame),
            b'1' => match self.marks.pop_front() {
                Some(Mark::Parse(_, _, again)) => Ok(!again),
                _ => Err(BROKEN),
            },
            b'3' => match self.marks.pop_front() {
                Some(Mark::Close(own)) => Ok(!own),
                _ => Err(BROKEN),
            },
            b'S' => {
                let mut reader = Reader::new(frame.body());
                let (name, value) = (reader.raw_string().map_err(|_| BROKEN)?, reader.raw_string().map_err(|_| BROKEN)?);
                self.there.parameters.insert(name.to_vec(), value.to_vec());
                self.told.insert(name.to_vec(), value.to_vec());
                Ok(true)
            }
            b'C' => {
                match frame.body() {
                    b"COMMIT\0" => self.committed = true,
                    b"ROLLBACK\0" => self.committed = false,
                    _ => {}
                }
                Ok(!own)
            }
            b'E' => {
                self.unbegun |= own;
                Ok(!own)
            }
            b'G' => {
                self.reads_rows = true;
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// A message waits that is none of a COPY's: the rows that upstream reads cannot come any more. Where all have come this is ignored.
    pub(super) fn no_more_rows(&mut self) {
        if std::mem::take(&mut self.reads_rows) {
            // Has no NUL, so it is written.
            let _ = encode::message(&mut self.to_session, b'f', |b| encode::string(b, b"another message came instead of rows"));
        }
    }

    fn ready(&mut self, frame: &Frame) -> Result<bool, Close> {
        let [status @ (b'I' | b'T' | b'E')] = *frame.body() else { return Err(BROKEN) };
        (self.status, self.reads_rows) = (status, false);
        let own = loop {
            match self.marks.pop_front() {
                Some(Mark::Ready(own)) => break own,
                // It was skipped, or has failed.
                Some(Mark::Parse(name, id, again)) => {
                    if self.there.parsed.get(&name) == Some(&id) {
                        self.there.parsed.remove(&name);
                    }
                    if !again && self.names.get(&name).is_some_and(|n| n.id == id) {
                        self.names.remove(&name);
                    }
                }
                Some(Mark::Close(_)) => {}
                None => return Err(BROKEN),
            }
        };
        if own && (self.unbegun || status != b'T') {
            // The client believes to be in a transaction: nothing it says may run outside of one.
            return Err(Close::UpstreamBroke("begin"));
        }
        if status == b'I' {
            let committed = std::mem::take(&mut self.committed);
            self.transaction_ended(committed);
        }
        Ok(!own)
    }
}

impl<J: Judging> Session<J> {
    /// A message that only the wall itself sends: what the client has sent is refused. Errors: it is none.
    pub(in crate::postgres) fn told_to_refuse(&mut self, frame: &Frame, turn: &mut Turn) -> Result<(), Close> {
        const BROKEN: Close = Close::ClientBroke("refusal");
        let mut reader = Reader::new(frame.body());
        let whole = reader.byte().map_err(|_| BROKEN)? == 1;
        let (state, message) = (reader.string().map_err(|_| BROKEN)?, reader.string().map_err(|_| BROKEN)?);
        let state = STATES.iter().find(|s| **s == state).copied().unwrap_or("0A000");
        let refusal = Refusal::with_state(state, message);
        if whole {
            self.refuse_script(refusal, turn)
        } else {
            self.refuse_step(refusal, turn)
        }
        Ok(())
    }
}
