//! Libraries that another version of the wall wrapped: upstream runs that version's text until somebody loads the library anew, so what was mended in
//! between would not reach it. Nothing calls them, for their functions have other names; here their text is taken out and wrapped by this version.
//!
//! Between reading a library and loading it somebody may load or delete it. It is loaded under a name that only this version uses, and never
//! replaces what is there already, so whatever a client loaded meanwhile stays.

use super::text::{Load, functions, unwrapped};
use super::{is_current, list_all};
use crate::redis::encode;
use crate::redis::keyspace::Progress;
use crate::redis::lossy;
use crate::redis::names::Names;
use crate::redis::session::Setup;
use crate::redis::value::Value;
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of one tenant's libraries.
#[derive(Debug, Default)]
pub struct Libraries(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Those that other versions wrapped were looked for.
    looked: bool,
    /// Functions whose libraries could not be wrapped anew, by the client's names: the library, and why.
    left: HashMap<Bytes, (Bytes, Bytes)>,
}

impl Libraries {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether they are to be looked for before a command that calls this function, if it calls one.
    pub fn are_due(&self, function: Option<&[u8]>) -> bool {
        let known = self.known();
        !known.looked || function.is_some_and(|function| known.left.contains_key(function))
    }

    /// A function was not found: there may be some again, loaded through another version, or from a copy of the data.
    pub fn look_again(&self) {
        self.known().looked = false;
    }

    /// There are none.
    #[cfg(test)]
    pub fn are_none(&self) {
        self.known().looked = true;
    }

    /// Why this function cannot be called, where its library is there.
    pub fn why_not(&self, function: &[u8]) -> Option<String> {
        let known = self.known();
        let (library, why) = known.left.get(function).map(|(library, why)| (lossy(library), lossy(why)))?;
        Some(format!(
            "Library '{library}' was loaded through another version of this proxy, which has to prepare it anew and cannot ({why}): \
             load it with FUNCTION LOAD REPLACE"
        ))
    }
}

/// One library of another version.
#[derive(Debug)]
struct Old {
    full: Bytes,
    name: Bytes,
    functions: Vec<Bytes>,
}

/// What is asked next.
#[derive(Debug, Default)]
enum Step {
    /// Which there are.
    #[default]
    List,
    /// The text of the first one.
    Text,
    /// That it be loaded under the new name.
    Load(Box<Load>),
    /// That the old one go.
    Delete,
}

/// Wraps them one after another.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    step: Step,
    olds: Vec<Old>,
    left: HashMap<Bytes, (Bytes, Bytes)>,
}

impl Renewal {
    /// Writes the next question. True where what answers is client's code.
    pub(super) fn ask(&self, names: &Names, out: &mut BytesMut) -> bool {
        let full = self.olds.last().map(|old| old.full.as_ref()).unwrap_or_default();
        match &self.step {
            Step::List => list_all(names, out),
            Step::Text => encode::command(out, &[b"FUNCTION".as_slice(), b"LIST", b"LIBRARYNAME", full, b"WITHCODE"]),
            Step::Load(load) => return load.ask(names, out),
            Step::Delete => encode::command(out, &[b"FUNCTION".as_slice(), b"DELETE", full]),
        }
        false
    }

    /// Takes the answer; no value where it was too long.
    pub(super) fn step(&mut self, answer: &Bytes, value: Option<Value>, setup: &Setup) -> Progress {
        let failed = answer.strip_prefix(b"-").map(|words| words.strip_suffix(b"\r\n").unwrap_or(words));
        match (std::mem::take(&mut self.step), failed) {
            // Whoever may not ask is not asked again and again.
            (Step::List, Some(_)) => {}
            (Step::List, None) => self.olds = value.as_ref().map(|list| olds(list, &setup.names)).unwrap_or_default(),
            (Step::Text, None) => match value.as_ref().map(text) {
                // Somebody was faster.
                Some(None) => drop(self.olds.pop()),
                None => self.leave(b"it is too long"),
                Some(Some(library)) => match unwrapped(&library).map(|code| Load::of(&code.into(), false)) {
                    Some(Ok(load)) => self.step = Step::Load(Box::new(load)),
                    Some(Err(refusal)) => self.leave(&refusal.text),
                    None => self.leave(b"its text is not understood"),
                },
            },
            (Step::Load(mut load), None) if load.functions.is_none() => match value.as_ref().and_then(functions) {
                Some(found) => {
                    load.functions = Some(found);
                    self.step = Step::Load(load);
                }
                None => self.leave(b"what it registers is not understood"),
            },
            (Step::Load(_), None) => self.step = Step::Delete,
            // Loaded by a client, or by a session that does the same, since it was looked for.
            (Step::Load(load), Some(words)) if load.functions.is_some() && is_there(words) => self.step = Step::Delete,
            (Step::Delete, _) => drop(self.olds.pop()),
            (Step::Text | Step::Load(_), Some(words)) => self.leave(words),
        }
        if let Step::List = self.step {
            if self.olds.is_empty() {
                let mut known = setup.peers.libraries.known();
                (known.looked, known.left) = (true, std::mem::take(&mut self.left));
                return Progress::Done(Bytes::new());
            }
            self.step = Step::Text;
        }
        Progress::More
    }

    /// The first one stays as it is, and nobody calls it.
    fn leave(&mut self, why: &[u8]) {
        let Some(old) = self.olds.pop() else { return };
        let (library, why) = (old.name, Bytes::copy_from_slice(why));
        self.left.extend(old.functions.into_iter().map(|function| (function, (library.clone(), why.clone()))));
    }
}

/// `libraryLink` and `functionsCreateWithLibraryCtx` of the server's functions.c, of a library.
fn is_there(words: &[u8]) -> bool {
    words.starts_with(b"ERR Library '") && words.ends_with(b"' already exists")
}

/// The libraries of other versions, and their functions by the client's names.
fn olds(list: &Value, names: &Names) -> Vec<Old> {
    let of = |library: &Value| {
        let full = library.field("library_name").and_then(Value::text)?;
        if is_current(full, names) {
            return None;
        }
        let own = |name: &Bytes| names.own_library(name).map(Bytes::copy_from_slice);
        let functions = library.field("functions").map(Value::items).unwrap_or_default();
        let functions = functions.iter().filter_map(|function| function.field("name").and_then(Value::text).and_then(own)).collect();
        Some(Old { full: full.clone(), name: own(full)?, functions })
    };
    list.items().iter().filter_map(of).collect()
}

/// The text of the only library of a list.
fn text(list: &Value) -> Option<Bytes> {
    list.items().first().and_then(|library| library.field("library_code")).and_then(Value::text).cloned()
}
