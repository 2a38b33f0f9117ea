//! Scripts: the client's text runs inside `script.lua`, which gives it a redis.call of its tenant's own. The wrapper is one text for all tenants, so
//! that upstream keeps one script; the client's text travels as an argument. Which scripts there are is the tenant's own business: a registry.

use super::commands::{Entry, Rule, Spec, all};
use super::encode;
use super::session::Setup;
use super::sha1;
use super::understand::Refusal;
use super::wire::{Request, integer};
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, OnceLock, PoisonError};

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
            let text = request.bytes(1);
            let sha = setup.peers.scripts.keep(&text);
            let first = (if entry.name == "eval" { b"EVAL".as_slice() } else { b"EVAL_RO" }, wrapper().0.as_bytes());
            run(out, first, (&text, &sha), keys, request, setup)?;
            return Ok(Scripted::Sent);
        }
        "evalsha" | "evalsha_ro" => {
            let keys = count(request)?;
            let noscript = || Refusal { late: true, ..Refusal::early("NOSCRIPT", "No matching script. Please use EVAL.") };
            let text = setup.peers.scripts.text(request.arg(1)).ok_or_else(noscript)?;
            // Should upstream not know the wrapper, the client hears NOSCRIPT and sends or loads the text: then the wrapper goes along.
            let first = (if entry.name == "evalsha" { b"EVALSHA".as_slice() } else { b"EVALSHA_RO" }, wrapper().1.as_bytes());
            run(out, first, (&text, &super::lossy(request.arg(1)).to_ascii_lowercase()), keys, request, setup)?;
            return Ok(Scripted::Sent);
        }
        "script load" => {
            let text = request.arg(2);
            refuse_flags(text)?;
            let sha = setup.peers.scripts.keep(text);
            // Tried within the wrapper, which upstream thereby knows when EVALSHA comes: drivers do not send the text again.
            let (names, try_sha) = (&setup.names, sha1::hex(TRY.as_bytes()));
            let own = [names.prefix().as_ref(), names.escaped(), TRY.as_bytes(), try_sha.as_bytes(), b"2", text, sha.as_bytes()];
            encode::command(out, &[&[b"EVAL".as_slice(), wrapper().0.as_bytes(), b"0"], own.as_slice()].concat());
            return Ok(Scripted::Sent);
        }
        "script exists" => {
            encode::header(&mut answer, b'*', request.len() - 2);
            for sha in request.iter().skip(2) {
                encode::integer(&mut answer, i64::from(setup.peers.scripts.text(sha).is_some()));
            }
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
fn supported(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 7)
}

fn refuse_flags(text: &[u8]) -> Result<(), Refusal> {
    if text.starts_with(b"#!") { Err(Refusal::late("script flags are not supported by this proxy")) } else { Ok(()) }
}

fn count(request: &Request) -> Result<usize, Refusal> {
    let number = integer(request.arg(2)).ok_or_else(|| Refusal::late("value is not an integer or out of range"))?;
    match usize::try_from(number) {
        Err(_) => Err(Refusal::late("Number of keys can't be negative")),
        Ok(keys) if keys > request.len() - 3 => Err(Refusal::late("Number of keys can't be greater than number of args")),
        Ok(keys) => Ok(keys),
    }
}

fn run(
    out: &mut BytesMut,
    (command, script): (&[u8], &[u8]),
    (text, sha): (&[u8], &str),
    keys: usize,
    request: &Request,
    setup: &Setup,
) -> Result<(), Refusal> {
    refuse_flags(text)?;
    let names = &setup.names;
    let arguments = request.len() - 3 - keys;
    encode::header(out, b'*', 3 + keys + 5 + arguments);
    encode::bulk(out, command);
    encode::bulk(out, script);
    encode::bulk(out, keys.to_string().as_bytes());
    for at in 3..3 + keys {
        encode::joined(out, names.prefix(), request.arg(at));
    }
    for own in [names.prefix(), names.escaped(), text, sha.as_bytes(), arguments.to_string().as_bytes()] {
        encode::bulk(out, own);
    }
    for at in 3 + keys..request.len() {
        encode::bulk(out, request.arg(at));
    }
    Ok(())
}

/// The wrapper with the commands that a script may call, and its name.
fn wrapper() -> &'static (String, String) {
    static WRAPPER: OnceLock<(String, String)> = OnceLock::new();
    WRAPPER.get_or_init(|| {
        let containers = ["object", "memory", "xgroup", "xinfo"];
        let entries = all().filter(|entry| !containers.contains(&entry.name));
        let mut commands: Vec<String> =
            entries.map(|entry| format!(" {}={},{} ", entry.full_name(), entry.arity, callable(entry).unwrap_or("!".into()))).collect();
        commands.extend(containers.map(|container| format!(" {container}=container ")));
        commands.sort_unstable();
        let text = include_str!("script.lua").replace("@COMMANDS@", &commands.concat());
        let sha = sha1::hex(text.as_bytes());
        (text, sha)
    })
}

/// What `script.lua` does with a command: `places>shape`. None: it may not be called.
fn callable(entry: &'static Entry) -> Option<String> {
    if entry.flags.contains(&"noscript") || entry.flags.contains(&"no_multi") {
        return None;
    }
    let specs: Vec<String> = entry
        .specs
        .iter()
        .map(|spec| match spec {
            Spec::Range { first, last, step, .. } => Some(format!("{first}:{last}:{step}")),
            Spec::Count { at, .. } => Some(format!("#{at}")),
            Spec::Other => None,
        })
        .collect::<Option<_>>()
        .unwrap_or_default();
    let specs = specs.join(";");
    Some(match entry.rule {
        Rule::Keys | Rule::KeysQuoting | Rule::NumKeys if !specs.is_empty() && entry.name != "watch" => specs,
        Rule::KeysFirst | Rule::NumKeysFirst if !specs.is_empty() => format!("{specs}>first"),
        Rule::GeoRadius | Rule::Sort => "own".to_owned(),
        Rule::XRead | Rule::XReadGroup => "own>streams".to_owned(),
        Rule::Publish => "1:0:1".to_owned(),
        Rule::Keyspace if !["flushall", "info"].contains(&entry.name) => "whole".to_owned(),
        Rule::Pass if ["ping", "echo", "time", "lolwut"].contains(&entry.name) => "none".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
