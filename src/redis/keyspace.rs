//! Commands over the whole keyspace, cut to the tenant's: KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHDB, FLUSHALL. Outside a transaction the wall walks
//! with SCAN, page by page, so that no other tenant waits for long; the session takes no further command meanwhile. Within a transaction,
//! which must happen at once, they are KEYS or a fixed script of the wall's own.

use super::commands::Entry;
use super::encode::{self, Resp};
use super::session::Setup;
use super::shape::{Broken, Reply, Shape};
use super::understand::{Refusal, is_word, syntax};
use super::wire::{Request, integer};
use super::{cursor, info, slots};
use bytes::{Bytes, BytesMut};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Keys that upstream looks at in one step.
const PAGE: u64 = 1000;
/// Pages of one SCAN of the client's. Behind a million of other tenants' keys it answers all the same, and tells thereby that there are so many.
const SCAN_PAGES_MAX: usize = 1000;
/// What KEYS keeps before it answers.
const KEYS_MAX_BYTES: usize = 256 << 20;

/// `return` of all keys at once, for transactions. `KEYS` in a script sees what the transaction did before. Events tell the order in which keys go, and the
/// server's would tell how many all tenants have.
const FLUSH_ONE: &str =
    "local n=redis.call('KEYS',ARGV[1]) table.sort(n) for _,k in ipairs(n) do redis.call('UNLINK',k) end return redis.status_reply('OK')";
const FLUSH_ALL: &str = "local d=0 while true do local r=redis.pcall('SELECT',d) if r.err then break end \
    local n=redis.call('KEYS',ARGV[1]) table.sort(n) for _,k in ipairs(n) do redis.call('UNLINK',k) end d=d+1 end return redis.status_reply('OK')";
/// SCAN in one page: the number of pages would be that of all tenants' keys. It holds every key, whatever the cursor.
const SCAN_ALL: &str = "local k,t=redis.call('KEYS',ARGV[1]),ARGV[2] if t then local f={} for _,n in ipairs(k) do \
    if redis.call('TYPE',n).ok==string.lower(t) then f[#f+1]=n end end k=f end return {'0',k}";
const RANDOM: &str = "local k=redis.call('KEYS',ARGV[1]) if #k==0 then return false end return k[tonumber(ARGV[2])%#k+1]";

/// How far a walk is.
#[derive(Debug)]
pub enum Progress {
    /// Another step is to be asked for.
    More,
    /// This is the answer.
    Done(Bytes),
}

/// What a walk is for.
#[derive(Debug)]
enum Job {
    Keys { found: HashSet<Bytes>, bytes: usize },
    Scan { found: Vec<Bytes>, count: u64, pages: usize },
    Size(HashSet<u64>),
    Random { again: bool },
    Flush,
    Info { sections: Vec<&'static str>, seen: HashSet<u64>, counts: Vec<(u64, usize)> },
}

/// What the next step asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Page,
    Unlink,
    /// Which database the connection is on.
    Which,
    /// Go to this one.
    Select(u64),
    /// Go back.
    Back,
}

/// A walk over the tenant's keys.
#[derive(Debug)]
pub struct Walk {
    job: Job,
    pattern: Vec<u8>,
    kind: Option<Bytes>,
    page: u64,
    cursor: u64,
    stage: Stage,
    /// The database that is walked, where all are.
    database: Option<u64>,
    home: u64,
    names: Vec<Bytes>,
    seed: u64,
    scratch: BytesMut,
}

impl Walk {
    /// For a command of the table. Errors: its arguments.
    pub fn new(entry: &Entry, request: &Request, setup: &Setup, seed: u64) -> Result<Self, Refusal> {
        let walk = |job| Self {
            job,
            pattern: setup.names.all(),
            kind: None,
            page: PAGE,
            cursor: 0,
            stage: Stage::Page,
            database: None,
            home: 0,
            names: Vec::new(),
            seed,
            scratch: BytesMut::new(),
        };
        Ok(match entry.name {
            "keys" => {
                let pattern = [setup.names.escaped(), request.arg(1)].concat();
                Self { pattern, ..walk(Job::Keys { found: HashSet::new(), bytes: 0 }) }
            }
            "scan" => {
                let scan = Scan::read(request, setup)?;
                let job = Job::Scan { found: Vec::new(), count: scan.count, pages: 0 };
                Self { pattern: scan.pattern, kind: scan.kind, cursor: scan.cursor, page: scan.count.min(PAGE), ..walk(job) }
            }
            "dbsize" => walk(Job::Size(HashSet::new())),
            // Anywhere in the table; what lies before is walked afterwards.
            "randomkey" => {
                let bits = if setup.cluster { slots::CURSOR_BITS } else { 48 };
                Self { cursor: seed >> (64 - bits), ..walk(Job::Random { again: false }) }
            }
            "flushdb" => {
                flush_mode(request)?;
                walk(Job::Flush)
            }
            "flushall" => {
                flush_mode(request)?;
                Self { stage: Stage::Which, ..walk(Job::Flush) }
            }
            "info" => {
                let sections = info::wanted(request);
                Self { stage: Stage::Which, ..walk(Job::Info { sections, seen: HashSet::new(), counts: Vec::new() }) }
            }
            _ => return Err(Refusal::noperm(entry)),
        })
    }

    /// Writes what the next step asks.
    pub fn ask(&mut self, setup: &Setup, out: &mut BytesMut) {
        match self.stage {
            Stage::Page => {
                let (cursor, page) = (self.cursor.to_string(), self.page.to_string());
                let mut args: Vec<&[u8]> = vec![b"SCAN", cursor.as_bytes(), b"MATCH", &self.pattern, b"COUNT", page.as_bytes()];
                if let Some(kind) = &self.kind {
                    args.extend([b"TYPE".as_slice(), kind]);
                }
                encode::command(out, &args);
            }
            Stage::Unlink => {
                encode::header(out, b'*', self.names.len() + 1);
                encode::bulk(out, b"UNLINK");
                for name in self.names.drain(..) {
                    encode::joined(out, setup.names.prefix(), &name);
                }
            }
            Stage::Which => encode::command(out, &["CLIENT", "INFO"]),
            Stage::Select(database) => encode::command(out, &["SELECT", &database.to_string()]),
            Stage::Back => encode::command(out, &["SELECT", &self.home.to_string()]),
        }
    }

    /// What the answer to the step looks like.
    pub fn awaits(&self) -> Shape {
        if self.stage == Stage::Page { Shape::Scan { hide: None } } else { Shape::Plain }
    }

    /// Where that answer is put.
    pub fn scratch(&mut self) -> &mut BytesMut {
        &mut self.scratch
    }

    /// Takes the answer. Errors: it is not what was asked for.
    pub fn step(&mut self, setup: &Setup, resp: Resp) -> Result<Progress, Broken> {
        let answer = self.scratch.split().freeze();
        if answer.starts_with(b"-") {
            return Ok(match self.stage {
                // There are no more databases.
                Stage::Select(_) => {
                    self.stage = Stage::Back;
                    Progress::More
                }
                _ => Progress::Done(answer),
            });
        }
        match self.stage {
            Stage::Page => return self.page(&answer, setup, resp),
            Stage::Unlink => return Ok(self.after_page()),
            Stage::Which => {
                self.home = database(&answer).ok_or(Broken("no database in CLIENT INFO"))?;
                self.stage = Stage::Select(0);
            }
            Stage::Select(database) => (self.database, self.stage, self.cursor) = (Some(database), Stage::Page, 0),
            Stage::Back => return Ok(Progress::Done(self.last_words(setup, resp))),
        }
        Ok(Progress::More)
    }

    fn page(&mut self, answer: &Bytes, setup: &Setup, resp: Resp) -> Result<Progress, Broken> {
        let (cursor, names) = scan_page(answer).ok_or(Broken("no page of SCAN"))?;
        self.cursor = cursor;
        let done = cursor == 0;
        let mut out = BytesMut::new();
        match &mut self.job {
            Job::Keys { found, bytes } => {
                for name in names {
                    *bytes += name.len() + 64;
                    found.insert(Bytes::copy_from_slice(&name));
                }
                if *bytes > KEYS_MAX_BYTES {
                    encode::error(&mut out, b"ERR too many keys for KEYS by this proxy, use SCAN");
                    return Ok(Progress::Done(out.freeze()));
                }
                if done {
                    let found: Vec<&Bytes> = found.iter().collect();
                    encode::bulks(&mut out, b'*', &found);
                }
            }
            Job::Scan { found, count, pages } => {
                found.extend(names);
                *pages += 1;
                if !done && (found.len() as u64) < *count && *pages < SCAN_PAGES_MAX {
                    // Most keys are other tenants': larger steps, so that their number costs few round trips.
                    self.page = PAGE;
                    return Ok(Progress::More);
                }
                found.sort_unstable();
                encode::header(&mut out, b'*', 2);
                encode::bulk(&mut out, cursor::hide(cursor, setup.secret).ok_or(Broken("a cursor too large"))?.to_string().as_bytes());
                encode::bulks(&mut out, b'*', found);
                return Ok(Progress::Done(out.freeze()));
            }
            Job::Size(seen) => {
                seen.extend(names.iter().map(hash));
                if done {
                    encode::integer(&mut out, i64::try_from(seen.len()).unwrap_or(i64::MAX));
                }
            }
            Job::Random { again } => {
                let at = usize::try_from(self.seed).unwrap_or(0) % names.len().max(1);
                if let Some(name) = names.get(at) {
                    encode::bulk(&mut out, name);
                    return Ok(Progress::Done(out.freeze()));
                }
                if done && *again {
                    encode::null(&mut out, resp);
                } else if done {
                    *again = true;
                    return Ok(Progress::More);
                }
            }
            Job::Info { seen, counts, .. } => {
                seen.extend(names.iter().map(hash));
                if let (true, Some(database)) = (done, self.database) {
                    counts.push((database, seen.len()));
                    seen.clear();
                }
                return Ok(self.after_page());
            }
            Job::Flush if names.is_empty() => return Ok(self.after_page()),
            Job::Flush => {
                (self.names, self.stage) = (names, Stage::Unlink);
                return Ok(Progress::More);
            }
        }
        Ok(if done { Progress::Done(out.freeze()) } else { Progress::More })
    }

    /// The answer of a walk through all databases.
    fn last_words(&self, setup: &Setup, resp: Resp) -> Bytes {
        let mut out = BytesMut::new();
        match &self.job {
            Job::Info { sections, counts, .. } => encode::verbatim(&mut out, resp, info::text(sections, setup, counts).as_bytes()),
            _ => encode::simple(&mut out, "OK"),
        }
        out.freeze()
    }

    /// A page of a walk that goes on after it is dealt with.
    fn after_page(&mut self) -> Progress {
        self.stage = match (self.cursor, self.database) {
            (0, None) => return Progress::Done(Bytes::from_static(b"+OK\r\n")),
            (0, Some(database)) => Stage::Select(database + 1),
            _ => Stage::Page,
        };
        Progress::More
    }
}

/// Writes such a command for within a transaction. Errors: its arguments.
pub fn within_transaction(entry: &Entry, request: &Request, setup: &Setup, seed: u64, out: &mut BytesMut) -> Result<Reply, Refusal> {
    let all = setup.names.all();
    let shape = match entry.name {
        "keys" => {
            encode::command(out, &[b"KEYS".as_slice(), &[setup.names.escaped(), request.arg(1)].concat()]);
            Shape::Each
        }
        "dbsize" => {
            encode::command(out, &[b"KEYS".as_slice(), &all]);
            Shape::Count
        }
        "randomkey" => {
            let seed = (seed >> 33).to_string();
            encode::command(out, &[b"EVAL".as_slice(), RANDOM.as_bytes(), b"0", &all, seed.as_bytes()]);
            Shape::Name
        }
        "flushdb" | "flushall" => {
            flush_mode(request)?;
            let script = if entry.name == "flushdb" { FLUSH_ONE } else { FLUSH_ALL };
            encode::command(out, &[b"EVAL".as_slice(), script.as_bytes(), b"0", &all]);
            Shape::Plain
        }
        "scan" => {
            let scan = Scan::read(request, setup)?;
            let mut args: Vec<&[u8]> = vec![b"EVAL", SCAN_ALL.as_bytes(), b"0", &scan.pattern];
            args.extend(scan.kind.as_deref());
            encode::command(out, &args);
            Shape::Scan { hide: Some(setup.secret) }
        }
        // It counts by a walk.
        _ => return Err(Refusal::early("ERR", format!("{} is not supported inside MULTI by this proxy", entry.name.to_ascii_uppercase()))),
    };
    Ok(shape.into())
}

fn flush_mode(request: &Request) -> Result<(), Refusal> {
    let known = |arg| is_word(arg, "sync") || is_word(arg, "async");
    if request.len() == 1 || (request.len() == 2 && known(request.arg(1))) { Ok(()) } else { Err(syntax()) }
}

/// The arguments of the client's SCAN.
struct Scan {
    cursor: u64,
    pattern: Vec<u8>,
    kind: Option<Bytes>,
    count: u64,
}

impl Scan {
    fn read(request: &Request, setup: &Setup) -> Result<Self, Refusal> {
        let cursor = cursor::read(request.arg(1)).ok_or_else(|| Refusal::late("invalid cursor"))?;
        let mut scan = Self { cursor: cursor::reveal(cursor, setup.secret), pattern: setup.names.all(), kind: None, count: 10 };
        let mut at = 2;
        while at < request.len() {
            let (word, value) = (request.arg(at), request.arg(at + 1));
            if at + 1 >= request.len() {
                return Err(syntax());
            } else if is_word(word, "count") {
                let count = integer(value).ok_or_else(|| Refusal::late("value is not an integer or out of range"))?;
                scan.count = u64::try_from(count).ok().filter(|count| *count > 0).ok_or_else(syntax)?;
            } else if is_word(word, "match") {
                scan.pattern = [setup.names.escaped(), value].concat();
            } else if is_word(word, "type") {
                scan.kind = Some(Bytes::copy_from_slice(value));
            } else {
                return Err(syntax());
            }
            at += 2;
        }
        scan.count = scan.count.min(PAGE * 10);
        Ok(scan)
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// `db=` of CLIENT INFO.
fn database(answer: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(answer).ok()?;
    text.split_ascii_whitespace().find_map(|field| field.strip_prefix("db="))?.parse().ok()
}

/// The cursor and the names of a whole answer to SCAN, not as in the server's table, where their order depends on how many keys all tenants have.
fn scan_page(answer: &Bytes) -> Option<(u64, Vec<Bytes>)> {
    let mut at = 0;
    let number = |kind: u8, at: &mut usize| {
        let rest = answer.get(*at..)?;
        let end = rest.iter().position(|b| *b == b'\r')?;
        let number = integer(rest.get(1..end)?).filter(|_| rest.first() == Some(&kind))?;
        *at += end + 2;
        usize::try_from(number).ok()
    };
    number(b'*', &mut at).filter(|n| *n == 2)?;
    let length = number(b'$', &mut at)?;
    let cursor = std::str::from_utf8(answer.get(at..at + length)?).ok()?.parse().ok()?;
    at += length + 2;
    let count = number(b'*', &mut at)?;
    let mut names = Vec::with_capacity(count.min(4096));
    for _ in 0..count {
        let length = number(b'$', &mut at)?;
        answer.get(at..at + length)?;
        names.push(answer.slice(at..at + length));
        at += length + 2;
    }
    names.sort_unstable();
    Some((cursor, names))
}

#[cfg(test)]
#[path = "keyspace_tests.rs"]
mod tests;
