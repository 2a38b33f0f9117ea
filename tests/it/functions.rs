//! The table of functions and operators against real servers: its generator, and the test that nothing is unclassed.
//!
//! `make functions` reads PostgreSQL 13 to 18 and makes the tables again from the rules below and from `tests/sql/*-reviewed.txt`; it fails
//! where they differ from what is committed (with `UPDATE=1` it writes them). `make test` holds PostgreSQL 15 against the committed tables.

use crate::support::Postgres;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A function: name, arguments, result, volatility, leakproof, internal, number of arguments without a default and of all.
const FUNCTIONS: &str = "SELECT p.proname, pg_get_function_identity_arguments(p.oid), format_type(p.prorettype, NULL), p.provolatile, p.proleakproof, \
     EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze)) \
     OR p.prorettype IN (2281, 2275, 2279, 2280, 3838, 325, 3115, 269, 3310) OR 2281 = ANY (p.proargtypes) OR 2275 = ANY (p.proargtypes) \
     FROM pg_proc p WHERE p.pronamespace = 11";
const OPERATORS: &str = "SELECT o.oprname, bool_and(p.proleakproof) FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode \
     WHERE o.oprnamespace = 11 GROUP BY 1";

/// What the overloads of a name have in common over all versions read.
#[derive(Debug, Default)]
struct Function {
    internal: bool,
    volatile: bool,
    stable: bool,
    by_oid: bool,
    leaks: bool,
}

impl Function {
    fn class(&self) -> &'static str {
        match self {
            Self { internal: true, .. } => "internal",
            Self { volatile: true, .. } => "effect",
            Self { stable: true, .. } | Self { by_oid: true, .. } => "around",
            Self { leaks: true, .. } => "raises",
            _ => "quiet",
        }
    }
}

fn read_functions(server: &Postgres, functions: &mut BTreeMap<String, Function>) {
    for line in server.psql("postgres", FUNCTIONS).lines() {
        let fields: Vec<&str> = line.split('|').collect();
        // An argument's default may hold the separator; the flags are counted from the end.
        let [name, .., result, volatility, leakproof, internal] = fields.as_slice() else { panic!("{line}") };
        let function = functions.entry((*name).to_owned()).or_default();
        let types = format!("{} {result}", fields[1..fields.len() - 4].join("|"));
        function.internal |= *internal == "t";
        function.volatile |= *volatility == "v";
        function.stable |= *volatility == "s";
        function.leaks |= *leakproof == "f";
        let words = types.split(|c: char| !c.is_alphanumeric());
        function.by_oid |= words.into_iter().any(|w| matches!(w, "oid" | "aclitem") || (w.starts_with("reg") && w != "regress"));
    }
}

fn read_operators(server: &Postgres, operators: &mut BTreeMap<String, bool>) {
    for line in server.psql("postgres", OPERATORS).lines() {
        let (name, leakproof) = line.rsplit_once('|').unwrap();
        *operators.entry(name.to_owned()).or_insert(true) &= leakproof == "t";
    }
}

/// Name and class, the reason left out.
fn table(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let entry = |line: &str| {
        let mut words = line.split(' ');
        (words.next().unwrap().to_owned(), words.next().unwrap().to_owned())
    };
    text.lines().filter(|l| !l.starts_with(';')).map(entry).collect()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn classes(functions: &BTreeMap<String, Function>, reviewed: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = functions.iter().map(|(name, f)| (name.clone(), f.class().to_owned())).collect();
    for (name, class) in reviewed {
        let bare = name.split('/').next().unwrap();
        assert!(functions.contains_key(bare), "{name} is reviewed and no version has it");
        all.insert(name.clone(), class.clone());
    }
    all
}

fn operator_classes(operators: &BTreeMap<String, bool>, reviewed: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let class = |(name, leakproof): (&String, &bool)| (name.clone(), if *leakproof { "quiet" } else { "raises" }.to_owned());
    let mut all: BTreeMap<String, String> = operators.iter().map(class).collect();
    all.extend(reviewed.iter().map(|(name, class)| (name.clone(), class.clone())));
    all
}

/// Every name of this server has a class, and none is wider than the rules allow.
#[test]
fn every_function_and_operator_of_the_server_is_classed() {
    let (mut functions, mut operators) = (BTreeMap::new(), BTreeMap::new());
    read_functions(Postgres::shared(), &mut functions);
    read_operators(Postgres::shared(), &mut operators);
    let (known, reviewed) = (table(&path("src/sql/functions.txt")), table(&path("tests/sql/functions-reviewed.txt")));
    assert!(functions.len() > 2000, "{}", functions.len());
    let unclassed: Vec<_> = functions.keys().filter(|name| !known.contains_key(*name)).collect();
    assert!(unclassed.is_empty(), "unclassed: {unclassed:?}");
    let rank = |class: &str| ["quiet", "raises", "around", "effect", "internal"].iter().position(|c| *c == class).unwrap();
    let wider: Vec<_> =
        functions.iter().filter(|(name, f)| !reviewed.contains_key(*name) && rank(&known[*name]) < rank(f.class())).collect();
    assert!(wider.is_empty(), "wider than the rules: {wider:?}");
    let known = table(&path("src/sql/operators.txt"));
    let unclassed: Vec<_> = operators.keys().filter(|name| !known.contains_key(*name)).collect();
    assert!(unclassed.is_empty(), "unclassed operators: {unclassed:?}");
}

const HEAD: &str = "; Generated from PostgreSQL 13 to 18 by `UPDATE=1 make functions` and tests/sql/functions-reviewed.txt; do not edit.\n\
    ; quiet: may be called, no stored value makes it fail. raises: may be called, some value can. Refused are: around (reads catalogs,\n\
    ; settings, files or other sessions), sql (runs its argument), effect (changes something), internal (no SQL text can call it).\n";
const OPERATOR_HEAD: &str = "; Generated from PostgreSQL 13 to 18 by `UPDATE=1 make functions` and tests/sql/operators-reviewed.txt; do not edit.\n\
    ; quiet: no stored value makes it fail. json: only a value of type json does. raises: some value can.\n";

/// Reads every version and makes the tables again. PARTYWALL_SERVERS: program directories, `:` between them.
#[test]
#[ignore = "needs PostgreSQL 13 to 18; run by `make functions`"]
fn the_tables_come_from_all_versions() {
    let bins = std::env::var("PARTYWALL_SERVERS").expect("PARTYWALL_SERVERS");
    let (mut functions, mut operators, mut versions) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for bin in bins.split(':') {
        let server = Postgres::start_from(bin);
        let version = server.psql("postgres", "SELECT current_setting('server_version_num')::int / 10000");
        read_functions(&server, &mut functions);
        read_operators(&server, &mut operators);
        println!("PostgreSQL {version}: {} function names, {} operators so far", functions.len(), operators.len());
        versions.insert(version);
    }
    assert_eq!(versions.len(), 6, "{versions:?}");
    let made = classes(&functions, &table(&path("tests/sql/functions-reviewed.txt")));
    settle("src/sql/functions.txt", HEAD, &made);
    let made = operator_classes(&operators, &table(&path("tests/sql/operators-reviewed.txt")));
    settle("src/sql/operators.txt", OPERATOR_HEAD, &made);
}

fn settle(name: &str, head: &str, made: &BTreeMap<String, String>) {
    let lines: Vec<String> = made.iter().map(|(name, class)| format!("{name} {class}\n")).collect();
    let text = format!("{head}{}", lines.concat());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path(name), text).unwrap();
    } else {
        assert!(std::fs::read_to_string(path(name)).unwrap() == text, "{name} is not what the servers and the reviewed list give");
    }
}
