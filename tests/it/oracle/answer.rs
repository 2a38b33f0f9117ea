//! What a server answers, with all the metadata, and the two ways to ask.

use crate::support::{Client, PgError, terminated};
use partywall::policy::TenantId;
use partywall::sql::{Judge, Refusal};

use super::generate::Step;

/// A column of RowDescription: name, table, attribute, type, length, modifier.
pub type Field = (String, u32, u16, u32, i16, i32);

/// One result, or one error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// RowDescription.
    pub fields: Vec<Field>,
    /// ParameterDescription.
    pub types: Vec<u32>,
    /// Rows; lines of COPY.
    pub rows: Vec<Vec<Option<String>>>,
    /// CommandComplete.
    pub tag: String,
}

/// Everything up to ReadyForQuery.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Results in order.
    pub parts: Vec<Part>,
    /// What ended it.
    pub error: Option<PgError>,
    /// The connection is gone.
    pub closed: bool,
}

/// Where statements go.
pub enum Side {
    /// To whatever listens there.
    Socket(Client),
    /// Rewritten here, then to a server that holds every tenant's rows.
    Judged(Client, Judge, TenantId),
}

impl Side {
    /// The connection.
    pub fn client(&mut self) -> &mut Client {
        match self {
            Side::Socket(client) | Side::Judged(client, ..) => client,
        }
    }

    /// Sends a statement; the refusal if it is judged here and refused.
    pub fn send(&mut self, step: &Step) -> Option<Refusal> {
        match self {
            Side::Socket(client) => {
                ask(client, step);
                None
            }
            Side::Judged(client, judge, tenant) => match judge.simple(&step.sql, tenant) {
                Ok(script) => {
                    client.message(b'Q', &terminated(script.outgoing.as_str()));
                    None
                }
                Err(refusal) => Some(refusal),
            },
        }
    }
}

/// Sends a statement as its step says.
pub fn ask(client: &mut Client, step: &Step) {
    let Some(values) = &step.parameters else {
        client.message(b'Q', &terminated(&step.sql));
        return;
    };
    let values: Vec<Option<&str>> = values.iter().map(|v| Some(v.as_str())).collect();
    let name = if step.again > 0 { "named" } else { "" };
    client.parse(name, &step.sql, &[]);
    if step.again > 0 {
        client.describe_statement(name);
    }
    for _ in 0..=step.again {
        client.bind("", name, &values);
        client.describe_portal("");
        client.execute("", step.fetch);
    }
    if step.again > 0 {
        client.message(b'C', &[b"S", terminated(name).as_slice()].concat());
    }
    client.sync();
}

/// Reads an answer.
pub fn read(client: &mut Client) -> Answer {
    let mut answer = Answer::default();
    let mut part = Part::default();
    loop {
        let Some((tag, body)) = client.receive() else {
            answer.closed = true;
            return answer;
        };
        match tag {
            b'T' => part.fields = fields(&body),
            b't' => part.types = body[2..].chunks(4).map(|c| u32::from_be_bytes(c.try_into().unwrap())).collect(),
            b'D' => part.rows.push(values(&body)),
            b'd' => part.rows.push(vec![Some(String::from_utf8_lossy(&body).into_owned())]),
            b'C' | b's' | b'I' => {
                part.tag = if tag == b'C' { String::from_utf8_lossy(&body).into_owned() } else { char::from(tag).to_string() };
                answer.parts.push(std::mem::take(&mut part));
            }
            b'E' => answer.error = Some(error(&body)),
            b'Z' => return answer,
            _ => {}
        }
    }
}

fn fields(body: &[u8]) -> Vec<Field> {
    let (mut all, mut rest) = (Vec::new(), &body[2..]);
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == 0).unwrap();
        let (name, more) = (String::from_utf8_lossy(&rest[..end]).into_owned(), &rest[end + 1..]);
        let word = |at: usize| u32::from_be_bytes(more[at..at + 4].try_into().unwrap());
        let half = |at: usize| u16::from_be_bytes(more[at..at + 2].try_into().unwrap());
        all.push((name, word(0), half(4), word(6), half(10).cast_signed(), word(12).cast_signed()));
        rest = &more[18..];
    }
    all
}

fn values(body: &[u8]) -> Vec<Option<String>> {
    let (mut values, mut rest) = (Vec::new(), &body[2..]);
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        values.push(usize::try_from(length).ok().map(|length| {
            let (value, after) = rest.split_at(length);
            rest = after;
            String::from_utf8_lossy(value).into_owned()
        }));
    }
    values
}

fn error(body: &[u8]) -> PgError {
    let mut error = PgError::default();
    for part in body.split(|b| *b == 0).filter(|p| !p.is_empty()) {
        let text = String::from_utf8_lossy(&part[1..]).into_owned();
        match part[0] {
            b'S' => error.severity = text,
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'P' => error.position = text.parse().ok(),
            other => {
                error.fields.insert(char::from(other), text);
            }
        }
    }
    error
}
