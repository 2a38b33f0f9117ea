//! Functions: a library goes upstream under a name of the tenant's own, as a text of the wall's that has the client's as a string. At the first call
//! of one of its functions that string is compiled as a script's is (`script/core.lua`), so that `redis.call` is the tenant's own. What the
//! client's text registers is found out before, by a script, and registered by the wall: none of the client's code runs while upstream loads a library.

use super::commands::Entry;
use super::encode;
use super::inline;
use super::keyspace::Progress;
use super::mark::Mark;
use super::names::Names;
use super::script::{FLAGS, core, seed};
use super::session::Setup;
use super::shape::{Broken, Reply, Shape};
use super::understand::{Refusal, c_string, is_word};
use super::value::Value;
use super::wire::{Request, integer};
use bytes::{Bytes, BytesMut};

mod running;

use running::{Running, stats};

/// The longest library text; it goes upstream as a string with escapes, and comes back so in FUNCTION LIST.
const CODE_MAX_BYTES: usize = 1 << 20;
/// The longest library as upstream has it.
const WRAPPED_MAX_BYTES: usize = 8 << 20;
/// Functions of one library.
const FUNCTIONS_MAX: usize = 10_000;
/// What stands before the client's text in a library, behind the first line.
const CODE: &[u8] = b"local CODE='";

/// What a command about functions comes to.
#[derive(Debug)]
pub enum Functional {
    /// It was written for upstream.
    Sent(Reply),
    /// It takes more than one step.
    Errand(Errand),
}

/// Writes such a command for upstream, or says what is to be done. Errors: the server's own.
pub fn command(entry: &Entry, request: &Request, setup: &Setup, out: &mut BytesMut) -> Result<Functional, Refusal> {
    if !setup.names.allows_scripts() || !super::script::supported(&setup.version) {
        return Err(Refusal::noperm(entry));
    }
    let names = &setup.names;
    match entry.name {
        "fcall" | "fcall_ro" => {
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
    /// How many there are after this answer.
    Count(Bytes),
    /// The libraries that are still there.
    Flush(Option<Vec<Bytes>>),
    /// What runs of the tenant's own, once that is known.
    Stats(Option<Running>),
    Kill {
        /// What runs is a function of the tenant's own.
        found: bool,
    },
}

/// A library that is to be loaded.
#[derive(Debug)]
struct Load {
    replaces: bool,
    name: String,
    code: Bytes,
    /// Where its first line ends.
    head: usize,
    /// What it registers, once that is known.
    functions: Option<Vec<Function>>,
}

/// A function as a library registers it.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    description: Option<Bytes>,
    flags: Vec<&'static str>,
}

impl Errand {
    fn new(job: Job) -> Self {
        Self { job, scratch: BytesMut::new(), mark: None, over: false }
    }

    /// Writes the next question.
    pub fn ask(&mut self, setup: &Setup, out: &mut BytesMut) {
        let names = &setup.names;
        match &mut self.job {
            Job::Load(load) => match &load.functions {
                None => {
                    let text = load.code.get(load.head..).unwrap_or_default();
                    encode::command(out, &[b"EVAL".as_slice(), &probe(), b"0", names.prefix(), names.escaped(), text, seed().as_bytes()]);
                    self.mark.insert(Mark::by_chance()).ask(out);
                }
                Some(functions) => {
                    let text = wrapped(names, &load.name, &load.code, functions);
                    let words: &[&[u8]] = if load.replaces { &[b"FUNCTION", b"LOAD", b"REPLACE"] } else { &[b"FUNCTION", b"LOAD"] };
                    encode::command(out, &[words, &[&text]].concat());
                }
            },
            Job::Flush(Some(left)) => {
                encode::header(out, b'*', 3);
                encode::bulk(out, b"FUNCTION");
                encode::bulk(out, b"DELETE");
                encode::joined(out, names.library(), &left.pop().unwrap_or_default());
            }
            Job::Flush(None) | Job::Stats(Some(_)) | Job::Count(_) => list_own(names, b"*", false, out),
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
            Job::Flush(None) | Job::Stats(Some(_)) | Job::Count(_) => Shape::Libraries.into(),
            Job::Load(_) | Job::Flush(_) | Job::Stats(None) | Job::Kill { .. } => Reply::default(),
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
            Job::Load(_) => {
                self.job = Job::Count(answer);
                Progress::More
            }
            Job::Count(answer) => {
                if !failed {
                    setup.peers.keep_functions(count(value.as_ref()));
                }
                Progress::Done(answer.clone())
            }
            Job::Flush(None) | Job::Stats(None) | Job::Kill { found: false } if failed => Progress::Done(answer),
            Job::Flush(left) => {
                let left = left.get_or_insert_with(|| libraries(value.as_ref()).filter_map(|library| library.0).collect());
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
                    peers.keep_functions(count(value.as_ref()));
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
    running.and_then(Value::text).is_some_and(|name| name.starts_with(names.library()))
}

/// The names of libraries, and how many functions they have.
fn libraries(list: Option<&Value>) -> impl Iterator<Item = (Option<Bytes>, usize)> {
    list.map(Value::items).unwrap_or_default().iter().map(|library| {
        let functions = library.field("functions").map_or(0, |functions| functions.items().len());
        (library.field("library_name").and_then(Value::text).cloned(), functions)
    })
}

/// How many libraries and functions these are.
fn count(list: Option<&Value>) -> (usize, usize) {
    libraries(list).fold((0, 0), |(count, functions), library| (count + 1, functions + library.1))
}

/// What the probe says that a library registers. It ran the client's code and may say anything: names and flags are looked over.
fn functions(answer: &Value) -> Option<Vec<Function>> {
    let items = answer.items();
    if items.is_empty() || items.len() > FUNCTIONS_MAX {
        return None;
    }
    items.iter().map(function).collect()
}

fn function(item: &Value) -> Option<Function> {
    let (name, rest) = item.items().split_first()?;
    let (description, flags) = rest.split_first()?;
    let name = String::from_utf8(name.text()?.to_vec()).ok().filter(|name| is_name(name.as_bytes()))?;
    let known = |flag: &Value| FLAGS.iter().copied().find(|known| flag.text().is_some_and(|flag| flag == known.as_bytes()));
    Some(Function { name, description: description.text().cloned(), flags: flags.iter().map(known).collect::<Option<_>>()? })
}

/// `functionsVerifyName` of the server's functions.c.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

impl Load {
    /// The arguments and the library's first line; `functionLoadCommand` and `functionExtractLibMetaData` in the server's functions.c.
    fn read(request: &Request) -> Result<Self, Refusal> {
        let last = request.len() - 1;
        for word in (2..last).map(|at| request.arg(at)) {
            if !is_word(word, "replace") {
                return Err(Refusal::late(format!("Unknown option given: {}", super::lossy(c_string(word)))));
            }
        }
        let code = request.bytes(last);
        if code.len() > CODE_MAX_BYTES {
            return Err(Refusal::late("library code is too long for this proxy"));
        }
        if !code.starts_with(b"#!") {
            return Err(Refusal::late("Missing library metadata"));
        }
        let invalid = || Refusal::late("Invalid library metadata");
        let head = c_string(&code).iter().position(|b| *b == b'\n').ok_or_else(invalid)?;
        let words = code.get(..head).and_then(inline::split).filter(|words| !words.is_empty()).ok_or_else(invalid)?;
        let mut name = None;
        for word in words.iter().skip(1) {
            match word.split_at_checked("name=".len()) {
                Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                    if name.replace(value).is_some() {
                        return Err(Refusal::late("Invalid metadata value, name argument was given multiple times"));
                    }
                }
                _ => return Err(Refusal::late(format!("Invalid metadata value given: {}", super::lossy(c_string(word))))),
            }
        }
        let name = name.ok_or_else(|| Refusal::late("Library name was not given"))?;
        if !is_name(name) {
            let words = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
            return Err(Refusal::late(words));
        }
        let engine = words.first().and_then(|word| word.strip_prefix(b"#!")).unwrap_or_default();
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(Refusal::late(format!("Engine '{}' not found", super::lossy(engine))));
        }
        // A copy: it must not hold on to the bytes it came in while it is kept.
        let (name, code) = (super::lossy(name), Bytes::copy_from_slice(&code));
        Ok(Self { replaces: last > 2, name, code, head, functions: None })
    }
}

/// The script that finds out what a library registers.
fn probe() -> Vec<u8> {
    let parts = [
        "#!lua flags=no-writes\n",
        include_str!("script/probe_head.lua"),
        core(),
        include_str!("script/register.lua"),
        include_str!("script/probe.lua"),
    ];
    parts.concat().into_bytes()
}

/// The library as upstream has it.
fn wrapped(names: &Names, name: &str, code: &[u8], functions: &[Function]) -> Vec<u8> {
    let own = names.library();
    let mut out = [b"#!lua name=", own.as_ref(), name.as_bytes(), b"\n", CODE].concat();
    let string = |out: &mut Vec<u8>, text: &[u8]| {
        literal(out, text);
        out.push(b'\'');
    };
    string(&mut out, code);
    out.extend_from_slice(b"\nlocal prefix,escaped='");
    string(&mut out, names.prefix());
    out.extend_from_slice(b",'");
    string(&mut out, names.escaped());
    out.extend_from_slice(format!("\nlocal SEED={}\nlocal function boot()\n", seed()).as_bytes());
    let parts = [include_str!("script/library_head.lua"), core(), include_str!("script/register.lua"), include_str!("script/library.lua")];
    out.extend_from_slice(parts.concat().as_bytes());
    out.extend_from_slice(
        b"end\nlocal ready\nlocal function invoke(name, keys, args)\nif not ready then ready = boot() end\n\
        if type(ready) == 'table' then return ready end\nreturn ready(name, keys, args)\nend\n",
    );
    for function in functions {
        out.extend_from_slice(b"redis.register_function{function_name='");
        string(&mut out, &[own.as_ref(), function.name.as_bytes()].concat());
        out.extend_from_slice(b",callback=function(keys, args) return invoke('");
        string(&mut out, function.name.as_bytes());
        out.extend_from_slice(b", keys, args) end,flags={");
        for flag in &function.flags {
            out.push(b'\'');
            string(&mut out, flag.as_bytes());
            out.push(b',');
        }
        out.push(b'}');
        if let Some(description) = &function.description {
            out.extend_from_slice(b",description='");
            string(&mut out, description);
        }
        out.extend_from_slice(b"}\n");
    }
    out
}

/// The inside of a Lua string: letters, digits and some signs as they are, all else as three digits.
fn literal(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        if byte.is_ascii_alphanumeric() || b" _-.,:;()[]{}=+*/<>#!".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("\\{byte:03}").as_bytes());
        }
    }
}

/// The client's text of the library that is due. None: it is not there yet.
pub(super) fn code(input: &mut BytesMut, length: u64) -> Result<Option<Vec<u8>>, Broken> {
    let length = usize::try_from(length).ok().filter(|length| *length <= WRAPPED_MAX_BYTES).ok_or(Broken("a library too long"))?;
    if input.len() < length + 2 {
        return Ok(None);
    }
    let library = input.split_to(length + 2);
    unwrapped(&library).map(Some).ok_or(Broken("a library of somebody else"))
}

/// The client's text of a library that upstream has. None: it is not the wall's.
fn unwrapped(library: &[u8]) -> Option<Vec<u8>> {
    let end = library.iter().position(|b| *b == b'\n')?;
    let mut rest = library.get(end + 1..)?.strip_prefix(CODE)?;
    let mut code = Vec::new();
    loop {
        match rest {
            [b'\'', ..] => return Some(code),
            [b'\\', digits @ ..] => {
                let digits = digits.get(..3)?;
                code.push(std::str::from_utf8(digits).ok()?.parse().ok()?);
                rest = rest.get(4..)?;
            }
            [byte, behind @ ..] => {
                code.push(*byte);
                rest = behind;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
