//! House rules that a compiler does not hold: the order of the layers, the size of files and functions, the first line of each file.
//!
//! Each rule is a pure function over a file's text, and is itself tested on a text that breaks it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

/// A module may use those of earlier rows, and in the first row each other.
const LAYERS: &[&[&str]] = &[
    &["config", "policy", "session"],
    &["sql"],
    &["postgres", "redis"],
    &["identity", "upstream", "observe"],
    &["pool"],
    &["relay"],
    &["listen", "admin", "inject", "plan"],
    &["app"],
    &["cli"],
    &["main", "lib"],
];
/// The core: no sockets, tasks, clock, environment or log.
const CORE: &[&str] = &["config", "policy", "session", "sql", "postgres", "redis"];
const SHELL_ONLY: &[&str] = &["tokio::", "std::env::", "std::net::", "std::thread", "std::fs::", "Instant::now", "SystemTime", "tracing::"];
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

#[test]
fn modules_use_only_what_lies_below_them() {
    check(&sources("src"), foreign_uses);
}

#[test]
fn the_core_is_pure() {
    check(&sources("src"), impure);
}

#[test]
fn files_and_functions_are_small_and_say_what_they_are() {
    let all: Vec<_> = ["src", "tests", "benches", "fuzz"].iter().flat_map(|d| sources(d)).collect();
    check(&all, |_, text| [too_long(text), undescribed(text)].concat());
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    check(&files(Path::new("."), &|_| true), |_, text| personal(text));
}

#[test]
fn each_rule_can_fail() {
    let at = Path::new;
    assert_eq!(foreign_uses(at("src/sql/x.rs"), "use crate::postgres::wire;\n").len(), 1);
    assert_eq!(foreign_uses(at("src/relay.rs"), "use crate::{\n  observe::{Meter, Metrics},\n  listen,\n};\nfn a() { b, c }\n").len(), 1);
    assert_eq!(foreign_uses(at("src/postgres/mod.rs"), "    crate::redis::f(crate::sql::g());\n").len(), 1);
    assert_eq!(foreign_uses(at("src/postgres/mod.rs"), "use super::relay;\n").len(), 1);
    assert_eq!(foreign_uses(at("src/listen/tls.rs"), "use super::super::app;\n").len(), 1);
    assert_eq!(foreign_uses(at("src/sql/x.rs"), "use crate::elsewhere;\n").len(), 1);
    assert_eq!(foreign_uses(at("src/nowhere/x.rs"), "use crate::sql;\n").len(), 1);
    assert_eq!(foreign_uses(at("src/listen/tls.rs"), "use super::Service; // not crate::app\nuse crate::config::Tls;\n"), [""; 0]);
    assert_eq!(impure(at("src/sql/x.rs"), "let t = std::time::Instant::now();\n").len(), 1);
    assert_eq!(impure(at("src/listen/x.rs"), "let t = std::time::Instant::now();\n"), [""; 0]);
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    assert_eq!((too_long(&function(70)).len(), too_long(&function(71)).len()), (0, 1));
    assert_eq!(too_long(&"\n".repeat(501)).len(), 1);
    assert_eq!((undescribed("//! A.\n").len(), undescribed("use a;\n//! A.\n").len()), (0, 1));
    assert_eq!(personal(concat!("see /ho", "me/me/x\n")).len(), 1);
}

fn foreign_uses(path: &Path, text: &str) -> Vec<String> {
    let own = module(path);
    let Some(row) = row(&own) else { return vec![format!("module `{own}` stands in no row of the order")] };
    let mut found = Vec::new();
    let whole: String = code(text).map(|(_, code)| code + "\n").collect();
    for (at, name) in crate_paths(&whole) {
        let fine = own == "lib" || name == own || self::row(&name).is_some_and(|r| r < row || (r == 0 && row == 0));
        if !fine {
            found.push(format!("{}: `{own}` may not use `{name}`", whole[..at].lines().count()));
        }
    }
    for (line, code) in code(text) {
        if code.matches("super::super::").count() > 0 && depth(path) <= 2 || code.contains("super::") && depth(path) <= 1 {
            found.push(format!("{line}: `super` leads out of the module; write `crate::`"));
        }
    }
    found
}

fn impure(path: &Path, text: &str) -> Vec<String> {
    if !CORE.contains(&module(path).as_str()) || is_test(path) {
        return Vec::new();
    }
    let bad = |(line, code): (usize, String)| Some(format!("{line}: the core uses {}", SHELL_ONLY.iter().find(|p| code.contains(**p))?));
    code(text).filter_map(bad).collect()
}

fn too_long(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    if lines.len() > FILE_LINES {
        found.push(format!("{} lines", lines.len()));
    }
    for (start, line) in lines.iter().enumerate().filter(|(_, l)| is_function(l)) {
        // rustfmt puts the closing brace where the line of `fn` begins.
        let close = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let signature = lines[start..].iter().position(|l| l.ends_with('{') || l.ends_with(';') || l.ends_with('}'));
        let opens = signature.is_some_and(|n| lines[start + n].ends_with('{'));
        let length = lines[start..].iter().position(|l| *l == close).map_or(0, |n| n + 1);
        if opens && length > FUNCTION_LINES {
            found.push(format!("{}: a function of {length} lines", start + 1));
        }
    }
    found
}

fn undescribed(text: &str) -> Vec<String> {
    if text.starts_with("//! ") { Vec::new() } else { vec!["1: the first line is no `//!`".into()] }
}

fn personal(text: &str) -> Vec<String> {
    let places = [concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let lines = text.lines().enumerate().filter(|(_, l)| places.iter().any(|p| l.contains(p)));
    lines.map(|(n, _)| format!("{}: names a place on one machine", n + 1)).collect()
}

fn is_function(line: &str) -> bool {
    let words = ["pub ", "pub(super) ", "pub(crate) ", "async ", "const "];
    let mut rest = line.trim_start();
    while let Some(shorter) = words.iter().find_map(|w| rest.strip_prefix(w)) {
        rest = shorter;
    }
    rest.starts_with("fn ")
}

/// The module directly below the crate that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    let name = first.strip_suffix(".rs").unwrap_or(first);
    name.strip_suffix("_tests").unwrap_or(name).to_owned()
}

/// How many `super` lead from a file's module to the crate.
fn depth(path: &Path) -> usize {
    let inner = path.components().count() - 1;
    inner - usize::from(path.ends_with("mod.rs")) + usize::from(is_test(path) && !path.ends_with("tests.rs"))
}

fn is_test(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().ends_with("tests.rs")
}

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// Lines without their comments, numbered.
fn code(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(n, l)| (n + 1, l.split("//").next().unwrap_or_default().to_owned()))
}

/// First segments of the paths that begin with `crate::`, groups in braces too.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let word = |s: &str| s.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, mark) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + mark.len()..];
        match rest.strip_prefix('{') {
            None => found.push((at, word(rest))),
            Some(group) => {
                let mut level = 0i32;
                let inside = |c: &char| {
                    level += i32::from(*c == '{') - i32::from(*c == '}');
                    level >= 0
                };
                let group: String = group.chars().take_while(inside).collect();
                let mut level = 0i32;
                let outer = group.split(|c| {
                    level += i32::from(c == '{') - i32::from(c == '}');
                    c == ',' && level == 0
                });
                found.extend(outer.map(word).filter(|w| !w.is_empty()).map(|w| (at, w)));
            }
        }
    }
    found
}

fn check(files: &[PathBuf], rule: impl Fn(&Path, &str) -> Vec<String>) {
    assert!(files.len() > 3, "the files are not found");
    let findings = files.iter().flat_map(|path| {
        let text = std::fs::read(path).unwrap();
        let found = rule(path, &String::from_utf8_lossy(&text));
        found.into_iter().map(move |f| format!("{}:{f}", path.display()))
    });
    let findings: Vec<String> = findings.collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

fn sources(directory: &str) -> Vec<PathBuf> {
    files(Path::new(directory), &|p| p.extension().is_some_and(|e| e == "rs"))
}

/// Files below a directory of the project, without what is built or fetched.
fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        let path = path.strip_prefix(".").unwrap_or(&path).to_owned();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["target", ".git", "node_modules", "corpus", "artifacts"].contains(&name) {
                all.extend(files(&path, wanted));
            }
        } else if name != ".git" && wanted(&path) {
            all.push(path);
        }
    }
    all.sort();
    all
}
