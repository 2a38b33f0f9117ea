//! A client's commands through a session to a server that keeps the protocol's rules, in any chunks. Nothing panics, where one side speaks garbage neither; upstream hears whole
//! commands in the canonical form, whose keys are the tenant's by a table of our own; the client hears the same however the bytes are
//! cut, one reply a command. Where connections are shared, nothing that keeps state goes over one, and nothing but reads to a replica.

use super::conversation::{self, Talk, Upstream};
use super::random::{Input, Random};
use super::sql::{judge, tenant};
use bytes::{BufMut, BytesMut};
use partywall::redis::line::{Line, Way};
use partywall::redis::{Names, Session, Setup};
use partywall::session::{Close, Session as _, Turn};
use std::sync::Arc;

/// Name, first key, last key (from the end where negative), step.
const KEYS: &[(&str, usize, isize, usize)] = &[
    ("get", 1, 1, 1),
    ("set", 1, 1, 1),
    ("del", 1, -1, 1),
    ("mget", 1, -1, 1),
    ("mset", 1, -1, 2),
    ("incr", 1, 1, 1),
    ("append", 1, 1, 1),
    ("exists", 1, -1, 1),
    ("expire", 1, 1, 1),
    ("ttl", 1, 1, 1),
    ("rename", 1, 2, 1),
    ("copy", 1, 2, 1),
    ("lpush", 1, 1, 1),
    ("lrange", 1, 1, 1),
    ("blpop", 1, -2, 1),
    ("brpop", 1, -2, 1),
    ("lmove", 1, 2, 1),
    ("hset", 1, 1, 1),
    ("hgetall", 1, 1, 1),
    ("sadd", 1, 1, 1),
    ("sinter", 1, -1, 1),
    ("sinterstore", 1, -1, 1),
    ("smove", 1, 2, 1),
    ("zadd", 1, 1, 1),
    ("zrange", 1, 1, 1),
    ("zrangestore", 1, 2, 1),
    ("bitop", 2, -1, 1),
    ("object", 2, 2, 1),
    ("xadd", 1, 1, 1),
    ("pfcount", 1, -1, 1),
    ("type", 1, 1, 1),
    ("watch", 1, -1, 1),
    ("dump", 1, 1, 1),
    ("restore", 1, 1, 1),
    ("subscribe", 1, -1, 1),
    ("psubscribe", 1, -1, 1),
    ("publish", 1, 1, 1),
    ("geosearchstore", 1, 2, 1),
    ("unlink", 1, -1, 1),
];
const COMMANDS: &[&str] = &[
    "zunionstore",
    "zdiff",
    "sintercard",
    "lmpop",
    "sort",
    "georadius",
    "xread",
    "xreadgroup",
    "eval",
    "evalsha",
    "script",
    "keys",
    "scan",
    "dbsize",
    "randomkey",
    "flushdb",
    "multi",
    "exec",
    "discard",
    "hello",
    "auth",
    "reset",
    "select",
    "client",
    "config",
    "info",
    "ping",
    "echo",
    "unsubscribe",
    "punsubscribe",
    "object",
    "debug",
    "migrate",
    "lcs",
    "bitfield",
    "spublish",
    "pubsub",
    "command",
    "wait",
    "acl",
    "xgroup",
    "xinfo",
    "memory",
    "slowlog",
    "move",
    "swapdb",
    "getex",
    "set",
    "nosuch",
    "quit",
    "scan",
    "script load",
];
const WORDS: &[&str] = &[
    "k1",
    "k2",
    "k3",
    "config:a",
    "config:*",
    "acme:k1",
    "globex:k1",
    "*",
    "k*",
    "[",
    "\\",
    "0",
    "1",
    "2",
    "-1",
    "10",
    "+2",
    "01",
    "STORE",
    "STOREDIST",
    "GET",
    "BY",
    "#",
    "nosort",
    "KEYS",
    "STREAMS",
    "BLOCK",
    "COUNT",
    "MATCH",
    "TYPE",
    "WEIGHTS",
    "AGGREGATE",
    "SUM",
    "LEFT",
    "RIGHT",
    "AND",
    "NOT",
    "EX",
    "NX",
    "XX",
    "LOAD",
    "EXISTS",
    "FLUSH",
    "KILL",
    "LIST",
    "ID",
    "SETNAME",
    "TRACKING",
    "ON",
    "PREFIX",
    "BCAST",
    "GROUP",
    "g",
    "c",
    ">",
    "$",
    "ENCODING",
    "USAGE",
    "CREATE",
    "STREAM",
    "NUMSUB",
    "CHANNELS",
    "return redis.call('get', KEYS[1])",
    "#!lua flags=x",
    "3",
    "AUTH",
    "default",
    "",
];

/// The target.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() {
        kind @ 0..32 => garbage(kind, &mut input),
        chunks => conversation(chunks, &mut input),
    }
}

/// A session with a connection of its own, over shared ones, or over shared ones and replicas; and the server behind it.
fn both(kind: u8) -> (Session, Server) {
    let mut rules = judge().policy().redis.clone().unwrap();
    rules.reads_replicas = kind % 3 == 2;
    let line = (!kind.is_multiple_of(3)).then(Arc::<Line>::default);
    let server = Server { line: line.clone(), ..Server::default() };
    let session = Session::new(Setup {
        names: Names::new(&rules, &tenant("acme")).unwrap(),
        tenant: "acme".into(),
        id: 7,
        version: "7.0.15".into(),
        lacks: Default::default(),
        secret: 1,
        peers: Default::default(),
        address: "127.0.0.1:9".into(),
        upstream: partywall::redis::tenant::Number { id: 77, run: 1 },
        sanitizes: true,
        test_passthrough: false,
        cluster: false,
        line,
        switch: None,
        again: None,
        clock: || 0,
    });
    (session, server)
}

fn garbage(kind: u8, input: &mut Input<'_>) {
    let ((mut session, mut server), mut turn) = (both(kind), Turn::default());
    let (mut client, mut upstream) = (BytesMut::new(), BytesMut::new());
    while !input.is_empty() {
        let what = input.byte();
        let length = input.below(48);
        let bytes = input.bytes(length);
        let ended = if what & 1 == 0 {
            if what & 2 == 0 {
                client.put_slice(bytes)
            } else {
                command(input, &mut client)
            }
            if session.wants_client() { session.from_client(&mut client, &mut turn) } else { Ok(()) }
        } else {
            match what % 8 {
                1 | 3 => upstream.put_slice(bytes),
                5 => upstream.put_slice(b"+OK\r\n"),
                _ => upstream.put_slice(b"*2\r\n$1\r\n0\r\n*1\r\n$7\r\nacme:k1\r\n"),
            }
            session.from_upstream(&mut upstream, &mut turn)
        };
        server.hear(&mut turn.to_upstream);
        server.out.clear();
        turn.to_client.clear();
        if ended.is_err() {
            return;
        }
    }
}

/// One command of the client's, in either form.
fn command(input: &mut Input<'_>, out: &mut BytesMut) {
    let name = if input.below(2) == 0 { input.pick(KEYS).0 } else { input.pick(COMMANDS) };
    let mut words: Vec<&[u8]> = name.split(' ').map(str::as_bytes).collect();
    for _ in 0..input.below(7) {
        words.push(match input.byte() {
            0..240 => input.pick(WORDS).as_bytes(),
            other => input.bytes(usize::from(other - 239)),
        });
    }
    let plain = words.iter().all(|w| !w.is_empty() && w.iter().all(|b| b.is_ascii_alphanumeric() || *b == b':'));
    if plain && input.below(4) == 0 {
        out.put_slice(&words.join(&b' '));
        out.put_slice(b"\r\n");
        return;
    }
    out.put_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.put_slice(format!("${}\r\n", word.len()).as_bytes());
        out.put_slice(word);
        out.put_slice(b"\r\n");
    }
}

fn conversation(chunks: u8, input: &mut Input<'_>) {
    let mut said = BytesMut::new();
    while !input.is_empty() && said.len() < 1 << 16 {
        command(input, &mut said);
    }
    let (together, cut) = (talk(chunks, &said, usize::MAX), talk(chunks, &said, usize::from(chunks) - 31));
    assert_eq!(together.1, cut.1, "another end in other chunks");
    // CLIENT LIST tells whether a connection waits in a blocking command, which is a question of time.
    let shown = |heard: &[u8]| heard.escape_ascii().to_string().replace("flags=b", "flags=N");
    assert_eq!(shown(&together.0), shown(&cut.0), "another answer in other chunks");
}

fn talk(kind: u8, said: &[u8], chunk: usize) -> (BytesMut, Option<Close>) {
    let (mut session, mut server) = both(kind);
    let Talk { heard, ended, upstream, .. } = conversation::talk(&mut session, &mut server, said, chunk);
    if ended.is_some() {
        return (heard, ended);
    }
    assert!(upstream.is_empty(), "upstream's words are left: {}", upstream.escape_ascii());
    (heard, None)
}

/// Answers most commands with an error, which is an answer to each; some as Redis does.
#[derive(Default)]
struct Server {
    out: BytesMut,
    input: BytesMut,
    queued: Option<usize>,
    resp3: bool,
    /// Where what it hears came from.
    line: Option<Arc<Line>>,
}

impl Upstream for Server {
    fn hear(&mut self, bytes: &mut BytesMut) {
        self.input.unsplit(bytes.split());
        while let Some(words) = take(&mut self.input) {
            let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
            held(&name, &words);
            if let Some(line) = &self.line {
                goes(line.way(), &name, &words);
            }
            self.answer(&name, &words);
        }
    }

    fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }
}

impl Server {
    fn answer(&mut self, name: &str, words: &[Vec<u8>]) {
        let mut say = |text: &str| self.out.put_slice(text.as_bytes());
        match (name, self.queued) {
            ("exec", Some(count)) => {
                say(&format!("*{count}\r\n"));
                (0..count).for_each(|_| say("-ERR no\r\n"));
                self.queued = None;
            }
            ("exec" | "discard", None) => say("-ERR without MULTI\r\n"),
            ("discard", Some(_)) => {
                say("+OK\r\n");
                self.queued = None;
            }
            (_, Some(count)) => {
                say("+QUEUED\r\n");
                self.queued = Some(count + 1);
            }
            ("multi", None) => {
                say("+OK\r\n");
                self.queued = Some(0);
            }
            ("hello", _) => {
                self.resp3 = words.get(1).is_some_and(|w| w == b"3");
                say(if self.resp3 { "%1\r\n$5\r\nproto\r\n:3\r\n" } else { "*2\r\n$5\r\nproto\r\n:2\r\n" });
            }
            ("scan", _) => say("*2\r\n$1\r\n0\r\n*1\r\n$7\r\nacme:k1\r\n"),
            ("get" | "hget", _) => say("$1\r\nx\r\n"),
            ("set" | "mset" | "rename", _) => say("+OK\r\n"),
            ("del" | "exists" | "incr" | "unlink", _) => say(":1\r\n"),
            ("ping", _) => say("+PONG\r\n"),
            ("select", _) => say("+OK\r\n"),
            // What the client's words come back as, and where the wall has marked a reply's end.
            ("echo", None) => self.out.put_slice(&[format!("${}\r\n", words[1].len()).as_bytes(), &words[1], b"\r\n"].concat()),
            ("blpop" | "brpop", _) => {
                say(&format!("*2\r\n${}\r\n", words[1].len()));
                self.out.put_slice(&words[1]);
                self.out.put_slice(b"\r\n$1\r\nx\r\n");
            }
            _ => say("-ERR no\r\n"),
        }
    }
}

/// The next command, in the one form in which the wall may send it.
fn take(input: &mut BytesMut) -> Option<Vec<Vec<u8>>> {
    let mut at = 0;
    let line = |mark: u8, at: &mut usize| -> Option<usize> {
        let rest = &input[*at..];
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        assert_eq!(rest[0], mark, "{}", rest.escape_ascii());
        *at += end + 2;
        let digits = std::str::from_utf8(&rest[1..end]).unwrap();
        let number: usize = digits.parse().unwrap();
        assert_eq!(digits, number.to_string());
        Some(number)
    };
    let count = line(b'*', &mut at)?;
    assert!(count > 0, "an empty command goes upstream");
    let mut words = Vec::new();
    for _ in 0..count {
        let length = line(b'$', &mut at)?;
        let word = input.get(at..at + length)?.to_vec();
        assert_eq!(input.get(at + length..at + length + 2)?, b"\r\n");
        at += length + 2;
        words.push(word);
    }
    let _ = input.split_to(at);
    Some(words)
}

/// Every key is the tenant's, or a shared one that is only read.
fn held(name: &str, words: &[Vec<u8>]) {
    let Some((_, first, last, step)) = KEYS.iter().find(|(n, ..)| *n == name) else { return };
    let last = if *last < 0 { words.len() as isize + last } else { *last };
    let reads = [
        "get",
        "mget",
        "exists",
        "ttl",
        "lrange",
        "hgetall",
        "sinter",
        "zrange",
        "object",
        "type",
        "dump",
        "watch",
        "pfcount",
        "sinterstore",
        "bitop",
        "copy",
        "zrangestore",
        "geosearchstore",
        "rename",
        "psubscribe",
        "subscribe",
    ];
    for at in (*first..=last.max(0) as usize).step_by(*step) {
        let Some(key) = words.get(at) else { continue };
        let shared = key.starts_with(b"config:") && reads.contains(&name);
        assert!(
            key.starts_with(b"acme:") || shared,
            "{} goes upstream",
            words.iter().map(|w| w.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
        );
    }
}

/// Leave something on their connection, or wait.
const STATEFUL: &[&str] = &[
    "multi",
    "exec",
    "discard",
    "watch",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "select",
    "hello",
    "auth",
    "reset",
    "quit",
    "blpop",
    "brpop",
    "blmove",
    "bzpopmin",
    "bzpopmax",
    "blmpop",
    "bzmpop",
    "wait",
    "waitaof",
    "monitor",
    "readonly",
    "asking",
];
/// What a replica may be asked, of what stands in KEYS and COMMANDS.
const READS: &[&str] = &[
    "get",
    "mget",
    "exists",
    "ttl",
    "lrange",
    "hgetall",
    "sinter",
    "zrange",
    "object",
    "pfcount",
    "type",
    "dump",
    "zdiff",
    "sintercard",
    "xread",
    "lcs",
    "xinfo",
    "memory",
];

/// What goes over a shared connection keeps no state there, and what goes to a replica only reads.
fn goes(way: Way, name: &str, words: &[Vec<u8>]) {
    let second = words.get(1).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let blocks = name.starts_with("xread") && words.iter().any(|word| word.eq_ignore_ascii_case(b"block"));
    let keeps =
        STATEFUL.contains(&name) || blocks || (name == "client" && !matches!(second.as_slice(), b"getredir" | b"setinfo" | b"help"));
    let shown = || words.iter().map(|w| w.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
    match way {
        Way::Own(_) => {}
        Way::Shared(_) => assert!(!keeps, "{} goes over a shared connection", shown()),
        Way::Read(_) => assert!(READS.contains(&name) && !blocks, "{} goes to a replica", shown()),
    }
}

/// Another conversation.
pub fn mutate(data: &[u8], random: &mut Random) -> Vec<u8> {
    super::postgres_wire::mutate(data, random)
}
