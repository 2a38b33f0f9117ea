//! Wire messages as lines of text, both ways: `Bind _ s [0] ["a" null 0x0001] []`. `_` is the empty name.
#![allow(dead_code, reason = "each test uses a part")]

/// What a script line may hold: words, quoted texts, brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Shut,
    /// The bytes, and whether they were quoted.
    Word(Vec<u8>, bool),
}

/// The bytes of a message that a client sends.
pub fn client(line: &str) -> Vec<u8> {
    let mut words = Words::new(line);
    match words.text().as_str() {
        "Query" => message(b'Q', &words.string()),
        "Parse" => {
            let texts = [words.string(), words.string()].concat();
            message(b'P', &[texts, words.rest(|w| number(w).to_be_bytes().to_vec())].concat())
        }
        "Bind" => {
            let names = [words.string(), words.string()].concat();
            let (formats, values, results) = (words.list(short), words.list(value), words.list(short));
            message(b'B', &[names, formats, values, results].concat())
        }
        "Describe" => message(b'D', &[words.word(), words.string()].concat()),
        "Close" => message(b'C', &[words.word(), words.string()].concat()),
        "Execute" => message(b'E', &[words.string(), number(&Token::Word(words.word(), false)).to_be_bytes().to_vec()].concat()),
        "Sync" => message(b'S', &[]),
        "Flush" => message(b'H', &[]),
        "Terminate" => message(b'X', &[]),
        "CopyData" => message(b'd', &words.word()),
        "CopyDone" => message(b'c', &[]),
        "CopyFail" => message(b'f', &words.string()),
        "Raw" => words.raw(),
        other => panic!("no client message {other}"),
    }
}

/// The bytes of a message that a server sends.
pub fn server(line: &str) -> Vec<u8> {
    let mut words = Words::new(line);
    let name = words.text();
    if let Some((_, tag)) = BARE.iter().find(|(n, _)| *n == name) {
        return message(*tag, &[]);
    }
    match name.as_str() {
        "Ready" => message(b'Z', &words.word()),
        "Complete" => message(b'C', &words.string()),
        "Types" => message(b't', &words.list(|w| number(w).to_be_bytes().to_vec())),
        "Notification" => message(b'A', &[&7u32.to_be_bytes()[..], &words.string(), &words.string()].concat()),
        "CopyIn" => message(b'G', &[&[0u8][..], &words.list(short)].concat()),
        "CopyOut" => message(b'H', &[&[0u8][..], &words.list(short)].concat()),
        "CopyData" => message(b'd', &words.word()),
        "Row" => message(b'D', &words.list(value)),
        "Status" => message(b'S', &[words.string(), words.string()].concat()),
        "Columns" => message(b'T', &words.list(column)),
        "Error" => message(b'E', &words.fields()),
        "Notice" => message(b'N', &words.fields()),
        "Raw" => words.raw(),
        other => panic!("no server message {other}"),
    }
}

/// Server messages without a body.
const BARE: &[(&str, u8)] = &[
    ("ParseComplete", b'1'),
    ("BindComplete", b'2'),
    ("CloseComplete", b'3'),
    ("NoData", b'n'),
    ("Suspended", b's'),
    ("EmptyQuery", b'I'),
    ("CopyDone", b'c'),
];

/// A client's message as a line, in one spelling.
pub fn show_client(tag: u8, body: &[u8]) -> String {
    let mut b = Body(body);
    let line = match tag {
        b'Q' => format!("Query {}", b.quoted()),
        b'P' => format!("Parse {} {}{}", b.name(), b.quoted(), b.counted(|b| format!(" {}", b.long())).concat()),
        b'B' => {
            let (portal, statement) = (b.name(), b.name());
            let formats = b.counted(|b| b.short().to_string()).join(" ");
            let values = b.counted(Body::value).join(" ");
            format!("Bind {portal} {statement} [{formats}] [{values}] [{}]", b.counted(|b| b.short().to_string()).join(" "))
        }
        b'D' | b'C' => {
            let word = if tag == b'D' { "Describe" } else { "Close" };
            format!("{word} {} {}", char::from(b.take(1)[0]), b.name())
        }
        b'E' => format!("Execute {} {}", b.name(), b.long()),
        b'S' => "Sync".into(),
        b'H' => "Flush".into(),
        b'X' => "Terminate".into(),
        b'd' => format!("CopyData {}", b.all()),
        b'c' => "CopyDone".into(),
        b'f' => format!("CopyFail {}", b.quoted()),
        _ => return format!("Raw {} {body:02x?}", char::from(tag)),
    };
    assert!(b.0.is_empty(), "bytes behind {line}");
    line
}

/// A server's message as a line, in one spelling. Of columns only names and types: other numbers differ from server to server.
pub fn show_server(tag: u8, body: &[u8]) -> String {
    let mut b = Body(body);
    if let Some((name, _)) = BARE.iter().find(|(_, t)| *t == tag) {
        assert!(body.is_empty());
        return (*name).into();
    }
    let line = match tag {
        b'Z' => format!("Ready {}", char::from(b.take(1)[0])),
        b'C' => format!("Complete {}", b.quoted()),
        b'G' | b'H' => {
            let word = if tag == b'G' { "CopyIn" } else { "CopyOut" };
            b.take(1);
            format!("{word} [{}]", b.counted(|b| b.short().to_string()).join(" "))
        }
        b'd' => format!("CopyData {}", b.all()),
        b'A' => {
            b.take(4);
            format!("Notification {} {}", b.name(), b.quoted())
        }
        b't' => format!("Types [{}]", b.counted(|b| b.long().to_string()).join(" ")),
        b'D' => format!("Row [{}]", b.counted(Body::value).join(" ")),
        b'S' => format!("Status {} {}", b.name(), b.quoted()),
        b'T' => format!("Columns [{}]", b.counted(Body::column).join(" ")),
        b'E' | b'N' => {
            let mut line = String::from(if tag == b'E' { "Error" } else { "Notice" });
            loop {
                match b.take(1)[0] {
                    0 => break,
                    code => line += &format!(" {}={}", char::from(code), b.quoted()),
                }
            }
            line
        }
        _ => return format!("Raw {} {body:02x?}", char::from(tag)),
    };
    assert!(b.0.is_empty(), "bytes behind {line}");
    line
}

/// A line in that one spelling.
pub fn show_client_line(line: &str) -> String {
    messages(&client(line)).iter().map(|(tag, body)| show_client(*tag, body)).collect()
}

/// A line in that one spelling.
pub fn show_server_line(line: &str) -> String {
    messages(&server(line)).iter().map(|(tag, body)| show_server(*tag, body)).collect()
}

/// All whole messages in `bytes`, as tag and body; panics on a partial one.
pub fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    while let [tag, a, b, c, d, ..] = *bytes {
        let end = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap() + 1;
        all.push((tag, bytes[5..end].to_vec()));
        bytes = &bytes[end..];
    }
    assert!(bytes.is_empty(), "a partial message");
    all
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], u32::try_from(body.len() + 4).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn number(token: &Token) -> u32 {
    let Token::Word(word, _) = token else { panic!("a number is expected") };
    String::from_utf8_lossy(word).parse().unwrap()
}

fn short(token: &Token) -> Vec<u8> {
    u16::try_from(number(token)).unwrap().to_be_bytes().to_vec()
}

fn value(token: &Token) -> Vec<u8> {
    let bytes = match token {
        Token::Word(word, false) if word == b"null" => return (-1i32).to_be_bytes().to_vec(),
        Token::Word(word, false) if word.starts_with(b"0x") => hex(&word[2..]),
        Token::Word(word, _) => word.clone(),
        _ => panic!("a value is expected"),
    };
    [u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec(), bytes].concat()
}

/// `name:type`
fn column(token: &Token) -> Vec<u8> {
    let Token::Word(word, _) = token else { panic!("a column is expected") };
    let word = String::from_utf8_lossy(word);
    let (name, oid) = word.split_once(':').unwrap();
    let oid: u32 = oid.parse().unwrap();
    [name.as_bytes(), &[0; 7], &oid.to_be_bytes(), &[0; 8]].concat()
}

fn hex(digits: &[u8]) -> Vec<u8> {
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

struct Words(std::vec::IntoIter<Token>);

impl Words {
    fn new(line: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = line.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                ' ' => {}
                '[' => tokens.push(Token::Open),
                ']' => tokens.push(Token::Shut),
                mut c => {
                    let (mut word, mut inside, mut quoted) = (String::new(), false, false);
                    loop {
                        match c {
                            '"' => (inside, quoted) = (!inside, true),
                            '\\' if inside => word.push(match rest.next() {
                                Some('n') => '\n',
                                other => other.unwrap(),
                            }),
                            c => word.push(c),
                        }
                        match rest.peek() {
                            Some(' ' | '[' | ']') if !inside => break,
                            None => break,
                            Some(_) => c = rest.next().unwrap(),
                        }
                    }
                    tokens.push(Token::Word(word.into_bytes(), quoted));
                }
            }
        }
        Self(tokens.into_iter())
    }

    fn word(&mut self) -> Vec<u8> {
        match self.0.next() {
            Some(Token::Word(word, false)) if word == b"_" => Vec::new(),
            Some(Token::Word(word, _)) => word,
            other => panic!("a word is expected, not {other:?}"),
        }
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.word()).unwrap()
    }

    fn string(&mut self) -> Vec<u8> {
        [self.word(), vec![0]].concat()
    }

    /// A count and the items between brackets.
    fn list(&mut self, item: impl Fn(&Token) -> Vec<u8>) -> Vec<u8> {
        assert_eq!(self.0.next(), Some(Token::Open));
        let items: Vec<Token> = self.0.by_ref().take_while(|t| *t != Token::Shut).collect();
        [short(&Token::Word(items.len().to_string().into(), false)), items.iter().flat_map(item).collect()].concat()
    }

    /// A count and what is left.
    fn rest(&mut self, item: impl Fn(&Token) -> Vec<u8>) -> Vec<u8> {
        let items: Vec<Token> = self.0.by_ref().collect();
        [short(&Token::Word(items.len().to_string().into(), false)), items.iter().flat_map(item).collect()].concat()
    }

    fn fields(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        for token in self.0.by_ref() {
            let Token::Word(word, _) = token else { panic!("a field is expected") };
            assert_eq!(word[1], b'=');
            body.extend([&word[..1], &word[2..], &[0]].concat());
        }
        body.push(0);
        body
    }

    /// A tag and hex digits of the body.
    fn raw(&mut self) -> Vec<u8> {
        let tag = self.word()[0];
        let body: Vec<u8> = self.0.by_ref().flat_map(|t| if let Token::Word(w, _) = t { hex(&w) } else { Vec::new() }).collect();
        message(tag, &body)
    }
}

struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        head
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn long(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn string(&mut self) -> String {
        let end = self.0.iter().position(|b| *b == 0).unwrap();
        let text = String::from_utf8(self.take(end).to_vec()).unwrap();
        self.take(1);
        text
    }

    fn name(&mut self) -> String {
        let name = self.string();
        match name.as_str() {
            "" => "_".into(),
            n if n.contains(' ') => quote(n),
            _ => name,
        }
    }

    /// What is left, as a quoted text.
    fn all(&mut self) -> String {
        quote(std::str::from_utf8(std::mem::take(&mut self.0)).unwrap())
    }

    fn quoted(&mut self) -> String {
        quote(&self.string())
    }

    fn counted(&mut self, item: impl Fn(&mut Self) -> String) -> Vec<String> {
        (0..self.short()).map(|_| item(self)).collect()
    }

    fn value(&mut self) -> String {
        let length = self.long();
        if length == u32::MAX {
            return "null".into();
        }
        let bytes = self.take(usize::try_from(length).unwrap());
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(|c| c.is_control() && c != '\n') => quote(text),
            _ => bytes.iter().fold("0x".to_owned(), |all, b| format!("{all}{b:02x}")),
        }
    }

    fn column(&mut self) -> String {
        let name = self.string();
        self.take(6);
        let oid = self.long();
        self.take(8);
        format!("{name}:{oid}")
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
