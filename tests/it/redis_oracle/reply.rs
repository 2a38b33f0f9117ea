//! Replies as values, and what two servers may say differently.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A reply as it stands on the wire: kinds are kept apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Line(char, String),
    Nil(char),
    Bulk(char, Vec<u8>),
    Many(char, Vec<Value>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(kind, text) => write!(f, "{kind}{text}"),
            Self::Nil(kind) => write!(f, "{kind}nil"),
            Self::Bulk('$', text) => write!(f, "\"{}\"", text.escape_ascii()),
            Self::Bulk(kind, text) => write!(f, "{kind}\"{}\"", text.escape_ascii()),
            Self::Many(kind, items) => write!(f, "{kind}{items:?}"),
        }
    }
}

impl Value {
    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Line('-', _) | Self::Bulk('!', _))
    }

    /// The elements of an aggregate.
    pub fn items(&self) -> &[Value] {
        if let Self::Many(_, items) = self { items } else { &[] }
    }

    fn number(&self) -> Option<i64> {
        if let Self::Line(':', text) = self { text.parse().ok() } else { None }
    }
}

/// A connection.
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects, and says who it is where `tenant` is one.
    pub fn connect(port: u16, tenant: Option<&str>) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self(BufReader::with_capacity(1 << 16, stream));
        if let Some(tenant) = tenant {
            assert_eq!(format!("{:?}", client.ask(&words(&["AUTH", tenant, "x"]))), "+OK");
        }
        client
    }

    /// Sends commands without waiting.
    pub fn send<'c>(&mut self, commands: impl Iterator<Item = &'c Vec<Vec<u8>>>) {
        let mut out = Vec::new();
        for command in commands {
            out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
            for word in command {
                out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                out.extend_from_slice(word);
                out.extend_from_slice(b"\r\n");
            }
        }
        self.0.get_mut().write_all(&out).unwrap();
    }

    /// Says what may be no whole command.
    pub fn begin(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// One command and its reply.
    pub fn ask(&mut self, command: &Vec<Vec<u8>>) -> Value {
        self.send(std::iter::once(command));
        self.reply()
    }

    /// The next reply.
    pub fn reply(&mut self) -> Value {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        assert!(!line.is_empty(), "the connection ended");
        let (kind, rest) = (line.chars().next().unwrap(), line[1..].to_owned());
        match kind {
            '+' | '-' | ':' | ',' | '#' | '(' => Value::Line(kind, rest),
            '_' => Value::Nil(kind),
            '$' | '=' | '!' | '*' if rest == "-1" => Value::Nil(kind),
            '$' | '=' | '!' => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Value::Bulk(kind, bytes)
            }
            '*' | '~' | '>' | '%' => {
                let count = rest.parse::<usize>().unwrap() * if kind == '%' { 2 } else { 1 };
                Value::Many(kind, (0..count).map(|_| self.reply()).collect())
            }
            other => panic!("{other}{rest}"),
        }
    }
}

/// Words of text.
pub fn words(text: &[&str]) -> Vec<Vec<u8>> {
    text.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// What may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alike {
    /// Nothing.
    #[default]
    Exact,
    /// The order of elements, also of pairs.
    Unordered,
    /// Numbers by a little: times.
    Near,
    /// All but how many elements there are, or whether it is nil or an error.
    Count,
    /// All but the kind of reply.
    Kind,
    /// `[cursor, elements]`: the order of the elements.
    Page,
}

/// Where several things are wrong with a command, the wall sees those of its form before the server would see those of its values.
fn seen_first(wall: &Value) -> bool {
    matches!(wall, Value::Line('-', text) if text == "ERR syntax error")
}

/// Whether two replies are alike, the private server's and the wall's.
pub fn alike(how: Alike, a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    if a.is_error() || b.is_error() {
        return a.is_error() && seen_first(b);
    }
    match how {
        Alike::Exact => false,
        Alike::Unordered => sorted(a) == sorted(b),
        Alike::Near => near(a, b),
        Alike::Count => std::mem::discriminant(a) == std::mem::discriminant(b) && a.items().len() == b.items().len(),
        Alike::Kind => std::mem::discriminant(a) == std::mem::discriminant(b),
        Alike::Page => a.items().first() == b.items().first() && a.items().get(1).map(sorted) == b.items().get(1).map(sorted),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Many(kind, items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort();
            Value::Many(*kind, items)
        }
        other => other.clone(),
    }
}

/// Numbers of a time, in seconds or milliseconds, may differ by what the test takes.
fn near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Many(k, a), Value::Many(l, b)) => k == l && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b)),
        _ => a == b || matches!((a.number(), b.number()), (Some(a), Some(b)) if (a < 0) == (b < 0) && (a - b).abs() < 5_000),
    }
}
