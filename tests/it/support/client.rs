//! A small PostgreSQL client that shows what is on the wire: simple and extended protocol, rows as text, SQLSTATE of errors.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A socket, or TLS over one.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection after its first ReadyForQuery.
pub struct Client {
    stream: Box<dyn Stream>,
    /// ParameterStatus as reported, kept up to date.
    pub parameters: BTreeMap<String, String>,
    /// BackendKeyData.
    pub key: (u32, u32),
    /// Of the last ReadyForQuery: `I`, `T`, `E`.
    pub status: u8,
    /// NoticeResponses that came.
    pub notices: Vec<PgError>,
}

/// An ErrorResponse or NoticeResponse by field; an empty `code` where the connection closed without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PgError {
    /// `ERROR`, `FATAL`, …
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    /// Message.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
    /// 1-based, characters.
    pub position: Option<u32>,
    /// Every field as it came.
    pub fields: BTreeMap<char, String>,
}

/// What a statement gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// Values as text, None for NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Of CommandComplete; `PortalSuspended` or `` for an empty query.
    pub tag: String,
}

/// One statement's outcome in a simple query.
pub type Answer = Result<Rows, PgError>;

impl Rows {
    /// Rows as psql -At shows them: `|` between columns, a line each, NULL empty.
    pub fn text(&self) -> String {
        let line = |row: &Vec<Option<String>>| row.iter().map(|v| v.clone().unwrap_or_default()).collect::<Vec<_>>().join("|");
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Client {
    /// Connects with these startup parameters; an error is the server's, or an empty one.
    pub fn connect(port: u16, parameters: &[(&str, &str)]) -> Result<Self, PgError> {
        Self::start(Box::new(socket(port)), parameters)
    }

    /// Connects as a tenant by startup parameter.
    pub fn tenant(port: u16, tenant: &str) -> Self {
        Self::connect(port, &[("user", "app"), ("database", "app"), ("partywall.tenant", tenant)]).unwrap()
    }

    /// Does the startup on a stream (a TLS one, say).
    pub fn start(stream: Box<dyn Stream>, parameters: &[(&str, &str)]) -> Result<Self, PgError> {
        let mut client = Self { stream, parameters: BTreeMap::new(), key: (0, 0), status: 0, notices: Vec::new() };
        client.send(&startup(parameters));
        client.begin()
    }

    /// The rest of the startup, where the client has said all it has to.
    pub fn begun(stream: Box<dyn Stream>) -> Result<Self, PgError> {
        Self { stream, parameters: BTreeMap::new(), key: (0, 0), status: 0, notices: Vec::new() }.begin()
    }

    fn begin(mut self) -> Result<Self, PgError> {
        let client = &mut self;
        loop {
            match client.receive() {
                Some((b'R', body)) => assert_eq!(body, [0; 4], "the wall asks for no password"),
                Some((b'K', body)) => client.key = (word(&body, 0), word(&body, 4)),
                Some((b'Z', _)) => return Ok(self),
                Some((b'E', body)) => return Err(error(&body)),
                Some((b'S' | b'N' | b'v', _)) => {}
                None => return Err(PgError::default()),
                Some((tag, _)) => panic!("unexpected {}", char::from(tag)),
            }
        }
    }

    /// A simple query: the last statement's rows, or the first error. Reads to ReadyForQuery.
    pub fn query(&mut self, sql: &str) -> Answer {
        let mut last = Rows::default();
        for answer in self.simple(sql) {
            last = answer?;
        }
        Ok(last)
    }

    /// A simple query: every statement's outcome. Reads to ReadyForQuery.
    pub fn simple(&mut self, sql: &str) -> Vec<Answer> {
        self.message(b'Q', &terminated(sql));
        self.answers()
    }

    /// Parse, Bind, Describe, Execute, Sync with text parameters and results.
    pub fn extended(&mut self, sql: &str, parameters: &[Option<&str>]) -> Answer {
        self.parse("", sql, &[]);
        self.bind("", "", parameters);
        self.describe_portal("");
        self.execute("", 0);
        self.sync();
        self.answers().pop().expect("an answer")
    }

    /// Sends Parse.
    pub fn parse(&mut self, name: &str, sql: &str, types: &[u32]) {
        let mut body = [terminated(name), terminated(sql)].concat();
        body.extend(u16::try_from(types.len()).unwrap().to_be_bytes());
        types.iter().for_each(|t| body.extend(t.to_be_bytes()));
        self.message(b'P', &body);
    }

    /// Sends Bind with text parameters and results.
    pub fn bind(&mut self, portal: &str, statement: &str, parameters: &[Option<&str>]) {
        let mut body = [terminated(portal), terminated(statement), vec![0, 0]].concat();
        body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
        for value in parameters {
            match value {
                None => body.extend((-1i32).to_be_bytes()),
                Some(text) => {
                    body.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
                    body.extend(text.as_bytes());
                }
            }
        }
        body.extend([0, 0]);
        self.message(b'B', &body);
    }

    /// Sends Describe of a portal.
    pub fn describe_portal(&mut self, name: &str) {
        self.message(b'D', &[b"P", terminated(name).as_slice()].concat());
    }

    /// Sends Describe of a statement.
    pub fn describe_statement(&mut self, name: &str) {
        self.message(b'D', &[b"S", terminated(name).as_slice()].concat());
    }

    /// Sends Execute; `limit` 0 is no limit.
    pub fn execute(&mut self, portal: &str, limit: u32) {
        self.message(b'E', &[terminated(portal), limit.to_be_bytes().to_vec()].concat());
    }

    /// Sends Sync.
    pub fn sync(&mut self) {
        self.message(b'S', &[]);
    }

    /// Outcomes up to ReadyForQuery: one for each completed or failed statement. A close ends them with an empty error.
    pub fn answers(&mut self) -> Vec<Answer> {
        let (mut answers, mut rows) = (Vec::new(), Rows::default());
        loop {
            match self.receive() {
                Some((b'T', body)) => rows.columns = columns(&body),
                Some((b'D', body)) => rows.rows.push(values(&body)),
                Some((b'C', body)) => answers.push(Ok(Rows { tag: text(&body), ..std::mem::take(&mut rows) })),
                Some((b's', _)) => answers.push(Ok(Rows { tag: "PortalSuspended".into(), ..std::mem::take(&mut rows) })),
                Some((b'I', _)) => answers.push(Ok(Rows::default())),
                Some((b'E', body)) => answers.push(Err(error(&body))),
                Some((b'Z', _)) => return answers,
                Some(_) => {}
                None => {
                    answers.push(Err(PgError::default()));
                    return answers;
                }
            }
        }
    }

    /// Sends a message.
    pub fn message(&mut self, tag: u8, body: &[u8]) {
        self.send(&message(tag, body));
    }

    /// Sends bytes; a connection that is closed shows at the next read.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next message, tag and body; None where the connection is closed. Panics where nothing comes for 30 seconds.
    pub fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 5];
        self.fill(&mut header)?;
        let mut body = vec![0; usize::try_from(word(&header, 1)).unwrap() - 4];
        self.fill(&mut body)?;
        match header[0] {
            b'S' => {
                let (name, value) = body.split_at(body.iter().position(|b| *b == 0).unwrap());
                self.parameters.insert(text(name), text(&value[1..]));
            }
            b'N' => self.notices.push(error(&body)),
            b'Z' => self.status = body[0],
            _ => {}
        }
        Some((header[0], body))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came for 30 seconds"),
            Err(_) => None,
        }
    }
}

/// A socket to loopback whose reads do not wait for ever.
pub fn socket(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// StartupMessage 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = (3u32 << 16).to_be_bytes().to_vec();
    parameters.iter().for_each(|(name, value)| body.extend([terminated(name), terminated(value)].concat()));
    body.push(0);
    [(u32::try_from(body.len()).unwrap() + 4).to_be_bytes().to_vec(), body].concat()
}

/// A message with its length.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], length.as_slice(), body].concat()
}

/// A string and its NUL.
pub fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes).to_vec()).unwrap()
}

fn columns(body: &[u8]) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), &body[2..]);
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == 0).unwrap();
        names.push(text(&rest[..end]));
        rest = &rest[end + 19..];
    }
    names
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

/// The body of an ErrorResponse.
pub fn error(body: &[u8]) -> PgError {
    let mut fields = BTreeMap::new();
    for part in body.split(|b| *b == 0).filter(|p| !p.is_empty()) {
        fields.insert(char::from(part[0]), String::from_utf8_lossy(&part[1..]).into_owned());
    }
    let get = |code: char| fields.get(&code).cloned();
    let must = |code: char| get(code).unwrap_or_default();
    let (severity, code, message) = (must('S'), must('C'), must('M'));
    let position = get('P').and_then(|p| p.parse().ok());
    PgError { severity, code, message, detail: get('D'), hint: get('H'), position, fields }
}
