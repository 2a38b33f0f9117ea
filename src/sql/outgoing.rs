//! The text that goes upstream, and where in the client's text each of its parts came from.

use super::{Refusal, parse, syntax};
use pg_query::protobuf::Token;
use std::sync::Arc;

/// A verified text with the tenant still open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: Arc<str>,
    /// Where the tenant's parameters stand: start and end in bytes, in order.
    holes: Vec<(usize, usize)>,
    /// Byte offsets of the same token here and in the client's text, in order.
    places: Vec<(usize, usize)>,
}

/// Text that was judged, rewritten and verified. The only thing that may be sent to PostgreSQL as a statement; made only here.
/// The default is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    text: Arc<str>,
    template: Arc<Template>,
    /// The length of the literal in each hole; None where the parameters stand.
    literal: Option<usize>,
}

impl Template {
    /// Finds the tenant's parameters, those from `first` on, in a text the wall printed; `places` are the verifier's.
    pub fn new(text: String, first: u16, mut places: Vec<(usize, usize)>) -> Result<Self, Refusal> {
        let mut holes = Vec::new();
        for token in parse::scan(&text)?.tokens.iter().filter(|t| t.token == Token::Param as i32) {
            let (start, end) = (token.start as usize, token.end as usize);
            let number = text.get(start..end).and_then(|t| t.strip_prefix('$')?.parse::<u16>().ok());
            if number.ok_or_else(|| Refusal::not_understood("token out of place"))? >= first {
                holes.push((start, end));
            }
        }
        places.sort_unstable();
        places.dedup_by_key(|(here, _)| *here);
        Ok(Self { text: text.into(), holes, places })
    }

    /// The text with its parameters.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Is there nothing to fill in?
    pub fn is_closed(&self) -> bool {
        self.holes.is_empty()
    }

    /// The text as it is.
    pub fn outgoing(self: &Arc<Self>) -> Outgoing {
        Outgoing { text: self.text.clone(), template: self.clone(), literal: None }
    }

    /// The text with a literal in each hole.
    pub fn filled(self: &Arc<Self>, value: &str) -> Outgoing {
        let quoted = quote(value);
        let mut out = String::with_capacity(self.text.len() + self.holes.len() * quoted.len());
        let mut done = 0;
        for (start, end) in &self.holes {
            // The scanner's own offsets: always inside, always in order.
            out.push_str(self.text.get(done..*start).unwrap_or_default());
            out.push_str(&quoted);
            done = *end;
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        Outgoing { text: out.into(), template: self.clone(), literal: Some(quoted.len()) }
    }
}

impl Outgoing {
    /// The statement text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The client's own position (1-based, characters) for a position the server gave in this text; None where the place
    /// is one the wall added.
    pub fn client_position(&self, client_sql: &str, server_position: u32) -> Option<u32> {
        let index = usize::try_from(server_position).ok()?.checked_sub(1)?;
        let byte = self.text.char_indices().nth(index)?.0;
        let here = self.in_template(byte)?;
        let places = &self.template.places;
        let (_, client) = places.get(places.binary_search_by_key(&here, |(here, _)| *here).ok()?)?;
        syntax::position(client_sql, *client)
    }

    fn in_template(&self, byte: usize) -> Option<usize> {
        let Some(literal) = self.literal else { return Some(byte) };
        let (mut grown, mut shrunk) = (0, 0);
        for (start, end) in &self.template.holes {
            let here = start + grown - shrunk;
            if byte < here {
                break;
            }
            if byte < here + literal {
                return None;
            }
            grown += literal;
            shrunk += end - start;
        }
        (byte + shrunk).checked_sub(grown)
    }

    /// A text that was not judged, for tests of what carries it.
    #[cfg(any(test, feature = "mutants"))]
    pub fn for_tests(text: &str) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A string literal that reads the same whatever `standard_conforming_strings` is.
fn quote(value: &str) -> String {
    let body = value.replace('\'', "''");
    if body.contains('\\') { format!(" E'{}'", body.replace('\\', "\\\\")) } else { format!("'{body}'") }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
