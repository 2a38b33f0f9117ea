//! The text of a library: as a client gives it, what it registers, and as upstream has it.

use crate::redis::inline;
use crate::redis::names::Names;
use crate::redis::script::{FLAGS, core, seed};
use crate::redis::shape::Broken;
use crate::redis::understand::{Refusal, c_string, is_word};
use crate::redis::value::Value;
use crate::redis::wire::Request;
use crate::redis::{encode, lossy, sha1};
use bytes::{Bytes, BytesMut};
use std::sync::OnceLock;

/// The longest library text; it goes upstream as a string with escapes, and comes back so in FUNCTION LIST.
pub(super) const CODE_MAX_BYTES: usize = 1 << 20;
/// The longest library as upstream has it.
pub(super) const WRAPPED_MAX_BYTES: usize = 8 << 20;
/// Functions of one library.
const FUNCTIONS_MAX: usize = 10_000;
/// What stands before the client's text in a library, behind the first line.
const CODE: &[u8] = b"local CODE='";

/// A library that is to be loaded.
#[derive(Debug)]
pub(super) struct Load {
    replaces: bool,
    pub(super) name: String,
    code: Bytes,
    /// Where its first line ends.
    head: usize,
    /// What it registers, once that is known.
    pub(super) functions: Option<Vec<Function>>,
}

/// A function as a library registers it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) description: Option<Bytes>,
    pub(super) flags: Vec<&'static str>,
}

/// What the probe says that a library registers. It ran the client's code and may say anything: names and flags are looked over.
pub(super) fn functions(answer: &Value) -> Option<Vec<Function>> {
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
    pub(super) fn read(request: &Request) -> Result<Self, Refusal> {
        let last = request.len() - 1;
        for word in (2..last).map(|at| request.arg(at)) {
            if !is_word(word, "replace") {
                return Err(Refusal::late(format!("Unknown option given: {}", lossy(c_string(word)))));
            }
        }
        Self::of(&request.bytes(last), last > 2)
    }

    /// The same of a text alone.
    pub(super) fn of(code: &Bytes, replaces: bool) -> Result<Self, Refusal> {
        if code.len() > CODE_MAX_BYTES {
            return Err(Refusal::late("library code is too long for this proxy"));
        }
        if !code.starts_with(b"#!") {
            return Err(Refusal::late("Missing library metadata"));
        }
        let invalid = || Refusal::late("Invalid library metadata");
        let head = c_string(code).iter().position(|b| *b == b'\n').ok_or_else(invalid)?;
        let words = code.get(..head).and_then(inline::split).filter(|words| !words.is_empty()).ok_or_else(invalid)?;
        let mut name = None;
        for word in words.iter().skip(1) {
            match word.split_at_checked("name=".len()) {
                Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                    if name.replace(value).is_some() {
                        return Err(Refusal::late("Invalid metadata value, name argument was given multiple times"));
                    }
                }
                _ => return Err(Refusal::late(format!("Invalid metadata value given: {}", lossy(c_string(word))))),
            }
        }
        let name = name.ok_or_else(|| Refusal::late("Library name was not given"))?;
        if !is_name(name) {
            let words = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
            return Err(Refusal::late(words));
        }
        let engine = words.first().and_then(|word| word.strip_prefix(b"#!")).unwrap_or_default();
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(Refusal::late(format!("Engine '{}' not found", lossy(engine))));
        }
        // A copy: it must not hold on to the bytes it came in while it is kept.
        let (name, code) = (lossy(name), Bytes::copy_from_slice(code));
        Ok(Self { replaces, name, code, head, functions: None })
    }

    /// Writes the next question: what it registers, then that it be loaded. True where what answers is client's code.
    pub(super) fn ask(&self, names: &Names, out: &mut BytesMut) -> bool {
        let Some(functions) = &self.functions else {
            let text = self.code.get(self.head..).unwrap_or_default();
            encode::command(out, &[b"EVAL".as_slice(), &probe(), b"0", names.prefix(), names.escaped(), text, seed().as_bytes()]);
            return true;
        };
        let text = wrapped(names, &self.name, &self.code, functions);
        let words: &[&[u8]] = if self.replaces { &[b"FUNCTION", b"LOAD", b"REPLACE"] } else { &[b"FUNCTION", b"LOAD"] };
        encode::command(out, &[words, &[&text]].concat());
        false
    }
}

/// The script that finds out what a library registers.
fn probe() -> Vec<u8> {
    let parts = [
        "#!lua flags=no-writes\n",
        include_str!("../script/probe_head.lua"),
        core(),
        include_str!("../script/register.lua"),
        include_str!("../script/probe.lua"),
    ];
    parts.concat().into_bytes()
}

/// What tells the wrapper of this wall from that of any other, which may lack what has been mended since.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let function = Function { name: "f".into(), description: Some(Bytes::from_static(b"d")), flags: FLAGS.to_vec() };
        let text = enclosed([b""; 3], ("l", b""), &[function], "0");
        sha1::hex(&text).chars().take(16).collect()
    })
}

/// The library as upstream has it.
pub(super) fn wrapped(names: &Names, name: &str, code: &[u8], functions: &[Function]) -> Vec<u8> {
    enclosed([names.library(), names.prefix(), names.escaped()], (name, code), functions, &seed())
}

fn enclosed([own, prefix, escaped]: [&[u8]; 3], (name, code): (&str, &[u8]), functions: &[Function], seed: &str) -> Vec<u8> {
    let mut out = [b"#!lua name=", own, name.as_bytes(), b"\n", CODE].concat();
    let string = |out: &mut Vec<u8>, text: &[u8]| {
        literal(out, text);
        out.push(b'\'');
    };
    string(&mut out, code);
    out.extend_from_slice(b"\nlocal prefix,escaped='");
    string(&mut out, prefix);
    out.extend_from_slice(b",'");
    string(&mut out, escaped);
    out.extend_from_slice(format!("\nlocal SEED={seed}\nlocal function boot()\n").as_bytes());
    let parts =
        [include_str!("../script/library_head.lua"), core(), include_str!("../script/register.lua"), include_str!("../script/library.lua")];
    out.extend_from_slice(parts.concat().as_bytes());
    out.extend_from_slice(
        b"end\nlocal ready\nlocal function invoke(name, keys, args)\nif not ready then ready = boot() end\n\
        if type(ready) == 'table' then return ready end\nreturn ready(name, keys, args)\nend\n",
    );
    for function in functions {
        out.extend_from_slice(b"redis.register_function{function_name='");
        string(&mut out, &[own, function.name.as_bytes()].concat());
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
pub fn code(input: &mut BytesMut, length: u64) -> Result<Option<Vec<u8>>, Broken> {
    let length = usize::try_from(length).ok().filter(|length| *length <= WRAPPED_MAX_BYTES).ok_or(Broken("a library too long"))?;
    if input.len() < length + 2 {
        return Ok(None);
    }
    let library = input.split_to(length + 2);
    unwrapped(&library).map(Some).ok_or(Broken("a library of somebody else"))
}

/// The client's text of a library that upstream has. None: it is not the wall's.
pub(super) fn unwrapped(library: &[u8]) -> Option<Vec<u8>> {
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
