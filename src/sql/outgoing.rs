//! The text that goes upstream, and where in the client's text each of its parts came from.

use super::literals::{self, Shape};
use super::{Refusal, comments, parse, syntax};
use pg_query::protobuf::Token;
use std::sync::Arc;

/// A verified text with the tenant still open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: Arc<str>,
    /// Where the parameters stand that are not the client's, in order.
    holes: Vec<Hole>,
    /// Byte offsets of the same token here and in the client's text, in order.
    places: Vec<(usize, usize)>,
}

/// A parameter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hole {
    /// Where it begins and ends, in bytes.
    start: usize,
    end: usize,
    /// The client's constant of this number (from 0); None for the tenant.
    constant: Option<usize>,
}

/// What stands in the holes of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Filling {
    /// The parameters.
    #[default]
    Parameters,
    /// The tenant as a literal of this length.
    Tenant(usize),
    /// The same, and the client's own constants.
    Constants(usize),
}

/// Text that was judged, rewritten and verified. The only thing that may be sent to PostgreSQL as a statement; made only here.
/// The default is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    text: Arc<str>,
    template: Arc<Template>,
    filling: Filling,
    /// How many bytes stand before the judged text; None where there are no comments around it.
    before: Option<usize>,
}

impl Template {
    /// Finds the tenant's parameters, those from `first` on, in a text the wall printed; `places` are the verifier's.
    pub fn new(text: String, first: u16, places: Vec<(usize, usize)>) -> Result<Self, Refusal> {
        Self::with_holes(text, |number| (number >= first).then_some(None), places)
    }

    /// The same where the verifier has seen the parameters: the places and numbers of those from `first` on.
    pub fn proved(text: String, first: u16, places: Vec<(usize, usize)>, parameters: &[(usize, i64)]) -> Result<Self, Refusal> {
        let first = i64::from(first);
        let mut holes = Vec::with_capacity(parameters.len());
        for (start, number) in parameters {
            let written = text.get(*start..).and_then(|t| leading_number(t.strip_prefix('$')?)).filter(|(n, _)| n == number);
            let Some((_, digits)) = written else { return Err(Refusal::not_understood("token out of place")) };
            holes.push(Hole { start: *start, end: start + 1 + digits, constant: None });
        }
        holes.sort_unstable_by_key(|hole| hole.start);
        // In a literal it may look like one, too, or the tree have lost one: the scanner tells.
        let looks = text.split('$').skip(1).filter_map(leading_number).filter(|(n, _)| *n >= first).count();
        if looks != holes.len() || holes.windows(2).any(|two| matches!(two, [one, next] if one.end > next.start)) {
            return Self::new(text, u16::try_from(first).unwrap_or_default(), places);
        }
        Ok(Self::of(text, holes, places))
    }

    /// The same where the parameters before `first` stand for constants of the client's.
    pub fn with_constants(&self, first: u16) -> Result<Self, Refusal> {
        let constant = |number: u16| usize::from(number).checked_sub(1).filter(|_| number < first);
        Self::with_holes(self.text.to_string(), |number| Some(constant(number)), self.places.clone())
    }

    fn with_holes(text: String, hole: impl Fn(u16) -> Option<Option<usize>>, places: Vec<(usize, usize)>) -> Result<Self, Refusal> {
        let mut holes = Vec::new();
        for token in parse::scan(&text)?.tokens.iter().filter(|t| t.token == Token::Param as i32) {
            let (start, end) = (token.start as usize, token.end as usize);
            let number = text.get(start..end).and_then(|t| t.strip_prefix('$')?.parse::<u16>().ok());
            if let Some(constant) = hole(number.ok_or_else(|| Refusal::not_understood("token out of place"))?) {
                holes.push(Hole { start, end, constant });
            }
        }
        Ok(Self::of(text, holes, places))
    }

    fn of(text: String, holes: Vec<Hole>, mut places: Vec<(usize, usize)>) -> Self {
        places.sort_unstable();
        places.dedup_by_key(|(here, _)| *here);
        Self { text: text.into(), holes, places }
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
        Outgoing { text: self.text.clone(), template: self.clone(), filling: Filling::Parameters, before: None }
    }

    /// The text with a literal in each hole.
    pub fn filled(self: &Arc<Self>, value: &str) -> Outgoing {
        let quoted = quote(value);
        let text = self.fill(quoted.len() * self.holes.len(), |_, out| out.push_str(&quoted));
        Outgoing { text: text.into(), template: self.clone(), filling: Filling::Tenant(quoted.len()), before: None }
    }

    /// The text with the tenant and the constants of the client's text, which is of this shape.
    pub fn with(self: &Arc<Self>, tenant: &str, sql: &str, shape: &Shape) -> Outgoing {
        let quoted = quote(tenant);
        let text = self.fill(sql.len() + quoted.len() * self.holes.len(), |hole, out| match hole.constant {
            None => out.push_str(&quoted),
            Some(number) => {
                if let Some(literal) = shape.literals.get(number) {
                    out.push_str(&literal.printed(sql));
                }
            }
        });
        Outgoing { text: text.into(), template: self.clone(), filling: Filling::Constants(quoted.len()), before: None }
    }

    fn fill(&self, more: usize, write: impl Fn(&Hole, &mut String)) -> String {
        let mut out = String::with_capacity(self.text.len() + more);
        let mut done = 0;
        for hole in &self.holes {
            // The scanner's own offsets: always inside, always in order.
            out.push_str(self.text.get(done..hole.start).unwrap_or_default());
            write(hole, &mut out);
            done = hole.end;
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out
    }
}

impl Outgoing {
    /// The statement text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, to be kept.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The same between two comments, of which either may be empty. Only `Kept::around` sends it, once it is proved to be that.
    pub(super) fn between(&self, before: &str, behind: &str) -> Self {
        let blank = |comment: &str| if comment.is_empty() { "" } else { " " };
        let text = format!("{before}{}{}{}{behind}", blank(before), self.text, blank(behind));
        let before = Some(before.len() + blank(before).len());
        Self { text: text.into(), template: self.template.clone(), filling: self.filling, before }
    }

    /// The client's own position (1-based, characters) for a position the server gave in this text; None where the place
    /// is one the wall added.
    pub fn client_position(&self, client_sql: &str, server_position: u32) -> Option<u32> {
        let index = usize::try_from(server_position).ok()?.checked_sub(1)?;
        let byte = self.text.char_indices().nth(index)?.0.checked_sub(self.before.unwrap_or(0))?;
        // The comments are no part of what was judged; all else stands where it stood.
        let bare = self.before.and_then(|_| comments::split(client_sql));
        let client_sql = bare.as_ref().map_or(client_sql, |kept| kept.text.as_str());
        let shape = matches!(self.filling, Filling::Constants(_)).then(|| literals::shape(client_sql)).flatten();
        let here = self.in_template(byte, client_sql, shape.as_ref())?;
        let places = &self.template.places;
        let (_, client) = places.get(places.binary_search_by_key(&here, |(here, _)| *here).ok()?)?;
        let client = shape.as_ref().map_or(Some(*client), |shape| shape.place(*client))?;
        syntax::position(client_sql, client)
    }

    fn in_template(&self, byte: usize, client_sql: &str, shape: Option<&Shape>) -> Option<usize> {
        let (Filling::Tenant(tenant) | Filling::Constants(tenant)) = self.filling else { return Some(byte) };
        let (mut grown, mut shrunk) = (0, 0);
        for hole in &self.template.holes {
            let here = hole.start + grown - shrunk;
            if byte < here {
                break;
            }
            let length = match hole.constant {
                None => tenant,
                Some(_) if byte == here => return Some(hole.start),
                Some(number) => shape?.literals.get(number)?.printed(client_sql).len(),
            };
            if byte < here + length {
                return None;
            }
            grown += length;
            shrunk += hole.end - hole.start;
        }
        (byte + shrunk).checked_sub(grown)
    }

    /// A text that was not judged, for tests of what carries it.
    #[cfg(any(test, feature = "mutants"))]
    pub fn for_tests(text: &str) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// The number that a text begins with, and how many digits it has; None too where it is beyond all numbers.
fn leading_number(text: &str) -> Option<(i64, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text.get(..digits)?.parse().ok()?, digits))
}

/// A string literal that reads the same whatever `standard_conforming_strings` is.
pub fn quote(value: &str) -> String {
    let body = value.replace('\'', "''");
    if body.contains('\\') { format!(" E'{}'", body.replace('\\', "\\\\")) } else { format!("'{body}'") }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
