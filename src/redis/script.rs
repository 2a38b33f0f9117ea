//! Scripts: the client's text runs inside `script/core.lua`, which gives it a redis.call of its tenant's own. The wrapper is one text for all tenants
//! (one for each set of flags), so that upstream keeps one script; the client's text travels as an argument. Which scripts there are is the tenant's
//! own business: a registry.

use super::commands::{Entry, Rule, Spec, all};
use super::encode;
use super::inline;
use super::session::Setup;
use super::sha1;
use super::shape::FACTS;
use super::understand::Refusal;
use super::wire::{Request, integer};
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

/// Texts that are kept for a tenant; the oldest go first, and their clients send them again.
const KEPT_MAX_BYTES: usize = 16 << 20;
const KEPT_MAX: usize = 4096;

/// What a loaded script is tried with.
const TRY: &str = "local f,e=loadstring(ARGV[1],'@user_script') if not f or string.byte(ARGV[1])==27 then \
    return redis.error_reply('ERR Error compiling script (new function): '..tostring(e)) end return ARGV[2]";

/// The scripts of one tenant, by their SHA-1.
#[derive(Debug, Default)]
pub struct Scripts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    texts: HashMap<String, Bytes>,
    order: VecDeque<String>,
    bytes: usize,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} scripts)", self.texts.len())
    }
}

impl Scripts {
    /// Keeps a text; its name.
    pub fn keep(&self, text: &[u8]) -> String {
        let sha = sha1::hex(text);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.texts.contains_key(&sha) && text.len() <= KEPT_MAX_BYTES {
            kept.bytes += text.len();
            kept.texts.insert(sha.clone(), Bytes::copy_from_slice(text));
            kept.order.push_back(sha.clone());
            while kept.bytes > KEPT_MAX_BYTES || kept.texts.len() > KEPT_MAX {
                let oldest = kept.order.pop_front().and_then(|oldest| kept.texts.remove(&oldest));
                kept.bytes -= oldest.map_or(0, |text| text.len());
            }
        }
        sha
    }

    /// The text of a name.
    pub fn text(&self, sha: &[u8]) -> Option<Bytes> {
        let sha = std::str::from_utf8(sha).ok()?.to_ascii_lowercase();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).texts.get(&sha).cloned()
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

/// What a script command comes to.
#[derive(Debug)]
pub enum Scripted {
    /// It was written for upstream.
    Sent,
    /// The wall answers.
    Answer(Bytes),
}

/// Writes a script command for upstream, or answers it. Errors: the server's own.
pub fn command(entry: &Entry, request: &Request, setup: &Setup, out: &mut BytesMut) -> Result<Scripted, Refusal> {
    if !setup.names.allows_scripts() || !supported(&setup.version) {
        return Err(Refusal::noperm(entry));
    }
    let mut answer = BytesMut::new();
    match entry.name {
        "eval" | "eval_ro" => {
            let keys = count(request)?;
            let text = request.arg(1);
            let (flags, code) = shebang(text)?;
            let sha = setup.peers.scripts.keep(text);
            let first = (if entry.name == "eval" { b"EVAL".as_slice() } else { b"EVAL_RO" }, wrapper(flags).0.as_bytes());
            run(out, first, (code, &sha), keys, request, setup);
            return Ok(Scripted::Sent);
        }
        "evalsha" | "evalsha_ro" => {
            let noscript = || Refusal { late: true, ..Refusal::early("NOSCRIPT", "No matching script. Please use EVAL.") };
            // The server looks at the length of the name first.
            if request.arg(1).len() != 40 {
                return Err(noscript());
            }
            let keys = count(request)?;
            let text = setup.peers.scripts.text(request.arg(1)).ok_or_else(noscript)?;
            // Should upstream not know the wrapper, the client hears NOSCRIPT and sends or loads the text: then the wrapper goes along.
            let (flags, code) = shebang(&text)?;
            let first = (if entry.name == "evalsha" { b"EVALSHA".as_slice() } else { b"EVALSHA_RO" }, wrapper(flags).1.as_bytes());
            run(out, first, (code, &super::lossy(request.arg(1)).to_ascii_lowercase()), keys, request, setup);
            return Ok(Scripted::Sent);
        }
        "script load" => {
            let text = request.arg(2);
            let (flags, code) = shebang(text)?;
            let sha = setup.peers.scripts.keep(text);
            // Tried within the wrapper, which upstream thereby knows when EVALSHA comes: drivers do not send the text again.
            let (names, try_sha, seed) = (&setup.names, sha1::hex(TRY.as_bytes()), seed());
            let own =
                [names.prefix().as_ref(), names.escaped(), TRY.as_bytes(), try_sha.as_bytes(), seed.as_bytes(), b"2", code, sha.as_bytes()];
            encode::command(out, &[&[b"EVAL".as_slice(), wrapper(flags).0.as_bytes(), b"0"], own.as_slice()].concat());
            return Ok(Scripted::Sent);
        }
        "script exists" => {
            encode::header(&mut answer, b'*', request.len() - 2);
            for sha in request.iter().skip(2) {
                encode::integer(&mut answer, i64::from(setup.peers.scripts.text(sha).is_some()));
            }
        }
        "script show" => {
            let gone = || Refusal { late: true, ..Refusal::early("NOSCRIPT", "No matching script.") };
            encode::bulk(&mut answer, &setup.peers.scripts.text(request.arg(2)).ok_or_else(gone)?);
        }
        "script flush" => {
            let mode = request.arg(2);
            let known = request.len() == 2 || ["sync", "async"].iter().any(|w| super::understand::is_word(mode, w));
            if !known || request.len() > 3 {
                return Err(Refusal::late("SCRIPT FLUSH only support SYNC|ASYNC option"));
            }
            setup.peers.scripts.forget();
            encode::simple(&mut answer, "OK");
        }
        _ => return Err(Refusal::noperm(entry)),
    }
    Ok(Scripted::Answer(answer.freeze()))
}

/// Before 7.0 a script can change what later scripts of other tenants run with.
pub(super) fn supported(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 7)
}

/// The server's flags of scripts and functions (`scripts_flags_def` in its script.c), in the order in which the wall writes them.
pub(super) const FLAGS: [&str; 5] = ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

/// Which flags a script has: None without a first line that gives them, else a bit each of [`FLAGS`]. The server treats no flags and no such line
/// differently.
type Flags = Option<u8>;

/// The flags of a script, and its text behind the line that gives them; `evalExtractShebangFlags` in the server's eval.c.
fn shebang(text: &[u8]) -> Result<(Flags, &[u8]), Refusal> {
    if !text.starts_with(b"#!") {
        return Ok((None, text));
    }
    // A C string, up to its first line end.
    let end = super::understand::c_string(text).iter().position(|b| *b == b'\n');
    let (line, code) = end.map(|end| text.split_at(end)).ok_or_else(|| Refusal::late("Invalid script shebang"))?;
    let words = inline::split(line).filter(|words| !words.is_empty()).ok_or_else(|| Refusal::late("Invalid engine in script shebang"))?;
    let said = |what: &str, word: &[u8]| Refusal::late(format!("{what}: {}", super::lossy(super::understand::c_string(word))));
    let mut flags = 0;
    for (at, word) in words.iter().enumerate() {
        let word = super::understand::c_string(word);
        match word.strip_prefix(b"flags=") {
            _ if at == 0 && word == b"#!lua" => {}
            _ if at == 0 => return Err(said("Unexpected engine in script shebang", word)),
            None => return Err(said("Unknown lua shebang option", word)),
            Some(b"") => {}
            Some(given) => {
                for flag in given.split(|b| *b == b',') {
                    let known = FLAGS.iter().position(|known| known.as_bytes() == flag);
                    flags |= 1 << known.ok_or_else(|| said("Unexpected flag in script shebang", flag))?;
                }
            }
        }
    }
    Ok((Some(flags), code))
}

fn count(request: &Request) -> Result<usize, Refusal> {
    let number = integer(request.arg(2)).ok_or_else(|| Refusal::late("value is not an integer or out of range"))?;
    match usize::try_from(number) {
        Err(_) => Err(Refusal::late("Number of keys can't be negative")),
        Ok(keys) if keys > request.len() - 3 => Err(Refusal::late("Number of keys can't be greater than number of args")),
        Ok(keys) => Ok(keys),
    }
}

fn run(out: &mut BytesMut, (command, script): (&[u8], &[u8]), (text, sha): (&[u8], &str), keys: usize, request: &Request, setup: &Setup) {
    let names = &setup.names;
    let arguments = request.len() - 3 - keys;
    encode::header(out, b'*', 3 + keys + 6 + arguments);
    encode::bulk(out, command);
    encode::bulk(out, script);
    encode::bulk(out, keys.to_string().as_bytes());
    for at in 3..3 + keys {
        encode::joined(out, names.prefix(), request.arg(at));
    }
    for own in [names.prefix(), names.escaped(), text, sha.as_bytes(), seed().as_bytes(), arguments.to_string().as_bytes()] {
        encode::bulk(out, own);
    }
    for at in 3 + keys..request.len() {
        encode::bulk(out, request.arg(at));
    }
}

/// What a run's `math.random` begins with: 48 bits that no tenant knows of another's.
pub(super) fn seed() -> String {
    // Keyed by the system's randomness, and hashes by SipHash: who does not know the key cannot guess the value.
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static RUNS: AtomicU64 = AtomicU64::new(0);
    (KEY.hash_one(RUNS.fetch_add(1, Ordering::Relaxed)) >> 16).to_string()
}

/// The wrapper of scripts with these flags, and its name.
fn wrapper(flags: Flags) -> &'static (String, String) {
    static WRAPPERS: [OnceLock<(String, String)>; 1 << FLAGS.len()] = [const { OnceLock::new() }; 1 << FLAGS.len()];
    static PLAIN: OnceLock<(String, String)> = OnceLock::new();
    let place = flags.and_then(|bits| WRAPPERS.get(usize::from(bits))).unwrap_or(&PLAIN);
    place.get_or_init(|| {
        let named: Vec<&str> =
            (0..).zip(FLAGS).filter(|(bit, _)| flags.is_some_and(|bits| bits & 1 << bit != 0)).map(|(_, flag)| flag).collect();
        let first = match flags {
            None => String::new(),
            Some(0) => "#!lua\n".to_owned(),
            Some(_) => format!("#!lua flags={}\n", named.join(",")),
        };
        let text = [&first, include_str!("script/eval_head.lua"), core(), include_str!("script/eval.lua")].concat();
        let sha = sha1::hex(text.as_bytes());
        (text, sha)
    })
}

/// What runs the client's code, with the commands that it may call.
pub(super) fn core() -> &'static str {
    static CORE: OnceLock<String> = OnceLock::new();
    CORE.get_or_init(|| {
        let containers = ["object", "memory", "xgroup", "xinfo"];
        let entries = all().filter(|entry| !containers.contains(&entry.name));
        let mut commands: Vec<String> =
            entries.map(|entry| format!(" {}={},{} ", entry.full_name(), entry.arity, callable(entry).unwrap_or("!".into()))).collect();
        commands.extend(containers.map(|container| format!(" {container}=container ")));
        commands.sort_unstable();
        include_str!("script/core.lua").replace("@COMMANDS@", &commands.concat()).replace("@FACTS@", FACTS)
    })
}

/// What `core.lua` does with a command: `places>shape`, `7.2?` before it where it may be called from that version on. None: it may not be called.
fn callable(entry: &'static Entry) -> Option<String> {
    // Since 7.2 they may be called, and do not wait.
    let later = entry.may_wait() && entry.flags.contains(&"noscript");
    if (entry.flags.contains(&"noscript") && !later) || entry.flags.contains(&"no_multi") {
        return None;
    }
    let specs: Vec<String> = entry
        .specs
        .iter()
        .map(|spec| match spec {
            Spec::Range { first, last, step, .. } => Some(format!("{first}:{last}:{step}")),
            Spec::Count { at, step: 1, .. } => Some(format!("#{at}")),
            Spec::Count { at, step, .. } => Some(format!("#{at}/{step}")),
            Spec::Other => None,
        })
        .collect::<Option<_>>()
        .unwrap_or_default();
    let specs = specs.join(";");
    let rule = match entry.rule {
        Rule::Keys | Rule::KeysQuoting | Rule::KeysModule | Rule::NumKeys if !specs.is_empty() && entry.name != "watch" => specs,
        Rule::KeysFirst | Rule::NumKeysFirst if !specs.is_empty() => format!("{specs}>first"),
        Rule::KeysFacts if !specs.is_empty() => format!("{specs}>facts"),
        Rule::GeoRadius | Rule::Sort => "own".to_owned(),
        Rule::XRead | Rule::XReadGroup => "own>streams".to_owned(),
        Rule::Publish => "1:0:1".to_owned(),
        Rule::Keyspace if !["flushall", "info"].contains(&entry.name) => "whole".to_owned(),
        Rule::Pass if ["ping", "echo", "time", "lolwut", "wait", "waitaof"].contains(&entry.name) => "none".to_owned(),
        // For the rest of the script.
        Rule::Session if entry.name == "select" => "none".to_owned(),
        _ => return None,
    };
    Some(if later { format!("7.2?{rule}") } else { rule })
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
