//! Functions: a library goes upstream under a name of the tenant's own, as a text of the wall's that has the client's as a string. At the first call
//! of one of its functions that string is compiled as a script's is (`script/core.lua`), so that `redis.call` is the tenant's own. What the
//! client's text registers is found out before, by a script, and registered by the wall: none of the client's code runs while upstream loads a library.
//! Which wall's text it is stands in the name (`version`), so that what another version wrapped is never called; `renewal.rs` wraps it anew.

use super::commands::Entry;
use super::encode;
use super::keyspace::Progress;
use super::mark::Mark;
use super::names::Names;
use super::session::Setup;
use super::shape::{Reply, Shape};
use super::understand::{Refusal, c_string, is_word};
use super::value::Value;
use super::wire::{Request, integer};
use bytes::{Bytes, BytesMut};

mod renewal;
mod running;
mod text;

pub use renewal::Libraries;
use renewal::Renewal;
use running::{Running, stats};
use text::{Load, WRAPPED_MAX_BYTES, functions};
pub(super) use text::{code, version};

/// What a command about functions comes to.
#[derive(Debug)]
pub enum Functional {
    /// It was written for upstream.
    Sent(Reply),
    /// It takes more than one step.
    Errand(Errand),
}

/// Whether there are functions at all.
pub fn are_there(setup: &Setup) -> bool {
    setup.names.allows_scripts() && super::script::supported(&setup.version)
}

/// Writes such a command for upstream, or says what is to be done. Errors: the server's own.
pub fn command(entry: &Entry, request: &Request, setup: &Setup, out: &mut BytesMut) -> Result<Functional, Refusal> {
    if !are_there(setup) {
        return Err(Refusal::noperm(entry));
    }
    let names = &setup.names;
    match entry.name {
        "fcall" | "fcall_ro" => {
            if let Some(why) = setup.peers.libraries.why_not(request.arg(1)) {
                return Err(Refusal::late(why));
            }
            call(request, names, out);
            Ok(Functional::Sent(Reply { shape: Shape::Plain, quotes: vec![Bytes::copy_from_slice(request.arg(1))] }))
        }
        "function list" => {
            list(request, names, out)?;
            Ok(Functional::Sent(Shape::Libraries.into()))
        }
        "function delete" => {
            encode::header(out, b'*', 3);
            encode::bulk(out, b"FUNCTION");
            encode::bulk(out, b"DELETE");
            encode::joined(out, names.library(), request.arg(2));
            Ok(Functional::Sent(Reply::default()))
        }
        "function load" => Ok(Functional::Errand(Errand::new(Job::Load(Load::read(request)?)))),
        "function flush" => {
            let mode = request.arg(2);
            match request.len() {
                2 => {}
                3 if is_word(mode, "sync") || is_word(mode, "async") => {}
                3 => return Err(Refusal::late("FUNCTION FLUSH only supports SYNC|ASYNC option")),
                _ => {
                    let words = format!(
                        "unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.",
                        super::lossy(request.arg(1))
                    );
                    return Err(Refusal::late(words));
                }
            }
            Ok(Functional::Errand(Errand::new(Job::Flush(None))))
        }
        "function stats" => Ok(Functional::Errand(Errand::new(Job::Stats(None)))),
        "function kill" => Ok(Functional::Errand(Errand::new(Job::Kill { found: false }))),
        _ => Err(Refusal::noperm(entry)),
    }
}

/// FCALL: the function's own name and keys. Where the count of keys is none, upstream says so in its own order, and sees no keys.
fn call(request: &Request, names: &Names, out: &mut BytesMut) {
    let keys = integer(request.arg(2)).and_then(|keys| usize::try_from(keys).ok()).filter(|keys| *keys <= request.len() - 3);
    let words: &[u8] = match (keys, integer(request.arg(2))) {
        (Some(_), _) => request.arg(2),
        (None, None) => b"x",
        (None, Some(negative)) if negative < 0 => b"-1",
        (None, Some(_)) => b"1",
    };
    encode::header(out, b'*', if keys.is_some() { request.len() } else { 3 });
    // As the client spells it, for FUNCTION STATS says it again.
    encode::bulk(out, request.arg(0));
    encode::joined(out, names.library(), request.arg(1));
    encode::bulk(out, words);
    let Some(keys) = keys else { return };
    for at in 3..request.len() {
        encode::joined(out, if at < 3 + keys { names.prefix() } else { b"" }, request.arg(at));
    }
}

fn list(request: &Request, names: &Names, out: &mut BytesMut) -> Result<(), Refusal> {
    let (mut code, mut pattern, mut at) = (false, None, 2);
    while at < request.len() {
        let word = request.arg(at);
        if !code && is_word(word, "withcode") {
            code = true;
        } else if pattern.is_none() && is_word(word, "libraryname") {
            at += 1;
            if at >= request.len() {
                return Err(Refusal::late("library name argument was not given"));
            }
            pattern = Some(request.arg(at));
        } else {
            return Err(Refusal::late(format!("Unknown argument {}", super::lossy(c_string(word)))));
        }
        at += 1;
    }
    list_own(names, pattern.unwrap_or(b"*"), code, out);
    Ok(())
}

/// FUNCTION LIST of the tenant's own: no letter of what stands before their names is one of a pattern.
fn list_own(names: &Names, pattern: &[u8], code: bool, out: &mut BytesMut) {
    encode::header(out, b'*', if code { 5 } else { 4 });
    for word in [b"FUNCTION".as_slice(), b"LIST", b"LIBRARYNAME"] {
        encode::bulk(out, word);
    }
    encode::joined(out, names.library(), pattern);
    if code {
        encode::bulk(out, b"WITHCODE");
    }
}

/// FUNCTION LIST of all the tenant's, whichever wall wrapped them, under their full names.
fn list_all(names: &Names, out: &mut BytesMut) {
    encode::command(out, &[b"FUNCTION".as_slice(), b"LIST", b"LIBRARYNAME", &names.all_libraries()]);
}

/// What takes several steps, for which the client waits.
#[derive(Debug)]
pub struct Errand {
    job: Job,
    scratch: BytesMut,
    /// Behind the answer that is awaited: client's code says it.
    mark: Option<Mark>,
    /// The answer is longer than what is kept of it.
    over: bool,
}

#[derive(Debug)]
enum Job {
    Load(Load),
    /// What another version wrapped of the tenant's libraries, before anything is done with them.
    Renew(Box<Renewal>),
    /// How many there are after this answer, and copies of the library of this name that another version wrapped, which go.
    Count {
        answer: Bytes,
        name: String,
        olds: Option<Vec<Bytes>>,
    },
    /// The libraries that are still there.
    Flush(Option<Vec<Bytes>>),
    /// What runs of the tenant's own, once that is known.
    Stats(Option<Running>),
    Kill {
        /// What runs is a function of the tenant's own.
        found: bool,
    },
}

impl Errand {
    /// Before a command about functions: what another version wrapped is wrapped anew.
    pub fn renew() -> Self {
        Self::new(Job::Renew(Box::default()))
    }

    fn new(job: Job) -> Self {
        Self { job, scratch: BytesMut::new(), mark: None, over: false }
    }

    /// Writes the next question.
    pub fn ask(&mut self, setup: &Setup, out: &mut BytesMut) {
        let names = &setup.names;
        match &mut self.job {
            Job::Load(load) => {
                if load.ask(names, out) {
                    self.mark.insert(Mark::by_chance()).ask(out);
                }
            }
            Job::Renew(renewal) => {
                if renewal.ask(names, out) {
                    self.mark.insert(Mark::by_chance()).ask(out);
                }
            }
            Job::Flush(Some(left)) | Job::Count { olds: Some(left), .. } => {
                encode::command(out, &[b"FUNCTION".as_slice(), b"DELETE", &left.pop().unwrap_or_default()]);
            }
            Job::Flush(None) | Job::Stats(Some(_)) | Job::Count { olds: None, .. } => list_all(names, out),
            Job::Stats(None) => encode::command(out, &["FUNCTION", "STATS"]),
            Job::Kill { found } => encode::command(out, &["FUNCTION", if *found { "KILL" } else { "STATS" }]),
        }
    }

    /// What stands behind the answer that is awaited.
    pub fn take_mark(&mut self) -> Option<Mark> {
        self.mark.take()
    }

    /// What the answer looks like.
    pub fn awaits(&self) -> Reply {
        match &self.job {
            Job::Load(Load { functions: Some(_), name, .. }) => {
                Reply { shape: Shape::Library, quotes: vec![Bytes::copy_from_slice(name.as_bytes())] }
            }
            // Lists of libraries the wall itself reads, with what stands before their names.
            Job::Load(_) | Job::Renew(_) | Job::Count { .. } | Job::Flush(_) | Job::Stats(_) | Job::Kill { .. } => Reply::default(),
        }
    }

    /// Where that answer is put.
    pub fn scratch(&mut self) -> &mut BytesMut {
        // What another tenant's function was called with may be long; only its name is looked at. What a library says of itself may be anything.
        let max = if matches!(self.job, Job::Kill { .. } | Job::Stats(None)) { KEPT_OF_STATS_BYTES } else { WRAPPED_MAX_BYTES };
        if self.scratch.len() > max {
            self.scratch.truncate(max);
            self.over = true;
        }
        &mut self.scratch
    }

    /// Takes the answer.
    pub fn step(&mut self, setup: &Setup, resp: encode::Resp) -> Progress {
        let answer = self.scratch.split().freeze();
        let value = Value::read(&answer);
        let failed = answer.starts_with(b"-");
        let over = std::mem::take(&mut self.over);
        match &mut self.job {
            Job::Load(load) if load.functions.is_none() && !failed => match value.as_ref().filter(|_| !over).and_then(functions) {
                Some(found) => {
                    load.functions = Some(found);
                    Progress::More
                }
                None => Progress::Done(Bytes::from_static(b"-ERR Error registering functions: not understood by this proxy\r\n")),
            },
            Job::Load(_) if failed => Progress::Done(answer),
            Job::Load(load) => {
                self.job = Job::Count { answer, name: std::mem::take(&mut load.name), olds: None };
                Progress::More
            }
            Job::Renew(renewal) => renewal.step(&answer, value.filter(|_| !over), setup),
            Job::Count { answer, name, olds } => {
                let names = &setup.names;
                let left = olds.get_or_insert_with(|| {
                    setup.peers.keep_functions(count(value.as_ref(), names));
                    let is_old = |full: &Bytes| !is_current(full, names) && names.own_library(full) == Some(name.as_bytes());
                    libraries(value.as_ref()).filter_map(|library| library.0).filter(is_old).collect()
                });
                if left.is_empty() { Progress::Done(answer.clone()) } else { Progress::More }
            }
            Job::Flush(None) | Job::Stats(None) | Job::Kill { found: false } if failed => Progress::Done(answer),
            Job::Flush(left) => {
                let is_own = |full: &Bytes| setup.names.own_library(full).is_some();
                let left = left.get_or_insert_with(|| libraries(value.as_ref()).filter_map(|library| library.0).filter(is_own).collect());
                if left.is_empty() { Progress::Done(Bytes::from_static(b"+OK\r\n")) } else { Progress::More }
            }
            Job::Stats(running @ None) => {
                *running = Some(value.as_ref().map(|stats| Running::read(stats, &setup.names)).unwrap_or_default());
                Progress::More
            }
            // While a function is busy the server lists none: how many there are is what was seen last.
            Job::Stats(Some(running)) => {
                let peers = &setup.peers;
                if !failed {
                    peers.keep_functions(count(value.as_ref(), &setup.names));
                }
                Progress::Done(stats(running, peers.functions(), resp))
            }
            Job::Kill { found: true } => Progress::Done(answer),
            Job::Kill { found } => {
                *found = value.is_some_and(|stats| is_own(&stats, &setup.names));
                if *found { Progress::More } else { Progress::Done(Bytes::from_static(b"-NOTBUSY No scripts in execution right now.\r\n")) }
            }
        }
    }
}

/// What is kept of an answer to FUNCTION STATS: the name of what runs stands at its beginning.
const KEPT_OF_STATS_BYTES: usize = 64 << 10;

/// Whether the function that runs is the tenant's own.
fn is_own(stats: &Value, names: &Names) -> bool {
    let running = stats.field("running_script").and_then(|running| running.field("name"));
    running.and_then(Value::text).is_some_and(|name| names.own_library(name).is_some())
}

/// The names of libraries, and how many functions they have.
fn libraries(list: Option<&Value>) -> impl Iterator<Item = (Option<Bytes>, usize)> {
    list.map(Value::items).unwrap_or_default().iter().map(|library| {
        let functions = library.field("functions").map_or(0, |functions| functions.items().len());
        (library.field("library_name").and_then(Value::text).cloned(), functions)
    })
}

/// Whether this wall's own text is about it.
fn is_current(full: &[u8], names: &Names) -> bool {
    full.starts_with(names.library())
}

/// How many of this wall's libraries and functions there are.
fn count(list: Option<&Value>, names: &Names) -> (usize, usize) {
    let current = libraries(list).filter(|library| library.0.as_ref().is_some_and(|full| is_current(full, names)));
    current.fold((0, 0), |(count, functions), library| (count + 1, functions + library.1))
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
