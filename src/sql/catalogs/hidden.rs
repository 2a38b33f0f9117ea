//! What upstream's catalogs say of hidden columns and of other tenants (`expressions.rs`), and how they are read without it.
//!
//! An index, a key or a constraint over a hidden column and others is shown over the others; one that is over nothing else, or whose text
//! would still hold the column's name, is as little there as the column. So is whatever else names it: rules, triggers, defaults, statistics.

use super::{quote_name, quote_text};
use crate::sql::catalog::{Rows, number, text};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// By a name, a column's number or a position in a key: the objects it concerns.
pub(super) type Of<K> = BTreeMap<K, BTreeSet<u32>>;

/// What is taken out of the catalogs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Concealed {
    /// Names of columns, with the tables and views that have them: they look like dropped ones.
    names: Of<String>,
    /// The same of indexes, where a column that is gone leaves no gap.
    parts: Of<String>,
    /// Numbers of columns, with their tables.
    numbers: Of<u32>,
    /// Positions in a key, with the indexes.
    positions: Of<u32>,
    /// Numbers in pg_constraint.conkey and confkey, with the constraints.
    own: Of<u32>,
    theirs: Of<u32>,
    /// Names in the texts of indexes and of constraints.
    indexes: Of<String>,
    constraints: Of<String>,
    /// Partitioned tables whose key is over such a column.
    parted: BTreeSet<u32>,
    /// Objects that are not there, by the kinds of `Known`.
    pub(super) gone: BTreeSet<(char, u32)>,
    /// Tables, and how many of their CHECKs are not there.
    pub(super) checks: BTreeMap<u32, u32>,
    /// Tables of which something is not there that LIKE copies.
    pub(super) copied: BTreeSet<u32>,
    /// Partitions whose bound is not shown, and those whose constraint is not.
    pub(super) bounds: BTreeSet<u32>,
    pub(super) bounded: BTreeSet<u32>,
    /// Numbers of columns whose value for older rows is not shown, with their tables.
    pub(super) missing: Of<u32>,
    /// Domains whose default is not shown.
    pub(super) defaulted: BTreeSet<u32>,
}

/// A row of the query [`super::PARTS`].
struct Part {
    kind: char,
    oid: u32,
    relation: u32,
    keys: Vec<u32>,
    other: u32,
    other_keys: Vec<u32>,
    text: String,
}

impl Part {
    fn read(row: &[Option<String>]) -> Self {
        let keys = |at: usize| text(row, at).split(' ').filter_map(|n| n.parse().ok()).collect();
        let kind = text(row, 0).chars().next().unwrap_or(' ');
        let (oid, relation, other) = (number(row, 1), number(row, 2), number(row, 4));
        Self { kind, oid, relation, keys: keys(3), other, other_keys: keys(5), text: text(row, 6) }
    }
}

impl Concealed {
    /// Reads the answers to the loader's queries for the tables that hide a column.
    pub fn read(answers: &HashMap<&'static str, Rows>, hiding: &[(u32, String)]) -> Self {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut all = Self::default();
        let mut columns: HashMap<u32, (u32, String)> = HashMap::new();
        for (oid, name) in hiding {
            all.names.entry(name.clone()).or_default().insert(*oid);
            let row = rows("columns").iter().find(|r| number(r, 0) == *oid && text(r, 1) == *name);
            let at = row.map(|r| number(r, 10)).unwrap_or_default();
            all.numbers.entry(at).or_default().insert(*oid);
            columns.insert(*oid, (at, name.clone()));
        }
        if hiding.is_empty() {
            return all;
        }
        let uses = users(rows("edges"), &columns);
        for part in rows(super::PARTS).iter().map(|r| Part::read(r)) {
            match part.kind {
                'W' => all.rule(&part, &uses, &columns),
                'C' => all.constraint(&part, &columns),
                _ => all.part(&part, &columns),
            }
        }
        all
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether an object of a kind of `Known` is not there.
    pub fn is_gone(&self, kind: char, oid: u32) -> bool {
        self.gone.contains(&(kind, oid))
    }

    /// Whether some table hides a column of this name; `relation` says which, 0 any.
    pub fn hides(&self, relation: u32, name: &str) -> bool {
        self.names.get(name).is_some_and(|all| relation == 0 || all.contains(&relation))
    }

    /// A rule is a view's query, too.
    fn rule(&mut self, part: &Part, uses: &HashMap<u32, Vec<u32>>, columns: &HashMap<u32, (u32, String)>) {
        let used = uses.get(&part.oid).into_iter().flatten().chain([&part.relation]);
        for (_, name) in used.filter_map(|oid| columns.get(oid)) {
            if mentions(&part.text, name) {
                self.gone.insert(('W', part.oid));
                self.names.entry(name.clone()).or_default().insert(part.relation);
            }
        }
    }

    fn part(&mut self, part: &Part, columns: &HashMap<u32, (u32, String)>) {
        let Some((at, name)) = columns.get(&part.relation) else { return };
        let places: Vec<usize> = (0..part.keys.len()).filter(|i| part.keys.get(*i) == Some(at)).collect();
        match (part.kind, places.as_slice()) {
            ('R', [place]) if cut(&part.text, name).is_some() && !part.text.contains(") INCLUDE (") => {
                let place = u32::try_from(place + 1).unwrap_or(u32::MAX);
                self.positions.entry(place).or_default().insert(part.oid);
                self.indexes.entry(name.clone()).or_default().insert(part.oid);
                self.parts.entry(name.clone()).or_default().insert(part.oid);
            }
            ('K', places) if !places.is_empty() || mentions(&part.text, name) => {
                self.parted.insert(part.oid);
            }
            (kind, places) if !places.is_empty() || mentions(&part.text, name) => {
                self.gone.insert((kind, part.oid));
            }
            _ => {}
        }
    }

    fn constraint(&mut self, part: &Part, columns: &HashMap<u32, (u32, String)>) {
        let place = |keys: &[u32], oid: u32| columns.get(&oid).map(|(at, _)| keys.iter().position(|k| k == at));
        let (own, theirs) = (place(&part.keys, part.relation), place(&part.other_keys, part.other));
        if own.is_none() && theirs.is_none() {
            return;
        }
        let names: BTreeSet<&String> = [part.relation, part.other].iter().filter_map(|o| columns.get(o)).map(|(_, n)| n).collect();
        let said = names.iter().any(|n| mentions(&part.text, n));
        let (own, theirs) = (own.flatten(), theirs.flatten());
        let both = part.other == 0 || own == theirs;
        let clean = names.iter().try_fold(part.text.clone(), |text, n| if mentions(&text, n) { cut(&text, n) } else { Some(text) });
        match (own.is_some() || theirs.is_some(), clean) {
            (false, _) if !said => {}
            (true, Some(_)) if both && part.keys.len() > 1 => {
                for (kept, oid, at) in [(&mut self.own, part.relation, own), (&mut self.theirs, part.other, theirs)] {
                    if let (Some(_), Some((number, name))) = (at, columns.get(&oid)) {
                        kept.entry(*number).or_default().insert(part.oid);
                        self.constraints.entry(name.clone()).or_default().insert(part.oid);
                    }
                }
            }
            _ => {
                if self.gone.insert(('C', part.oid)) && part.text.starts_with("CHECK ") {
                    *self.checks.entry(part.relation).or_default() += 1;
                }
            }
        }
    }

    /// What stands in the place of the macro `@name(arguments)`; None where it is no macro of this file.
    pub fn expansion(&self, name: &str, arguments: &str) -> Option<String> {
        let parts = split(arguments);
        let (first, second) = (*parts.first()?, parts.get(1).copied().unwrap_or_default());
        let numbered = |name: &u32| format!("'{name}'::pg_catalog.int2");
        let named = |name: &String| format!("{}::pg_catalog.name", quote_text(name));
        Some(match name {
            "col" => none_of(&self.parts, first, second, named),
            "dropped" => {
                let hidden = none_of(&self.names, first, "attname", named);
                let value = parts.get(2)?;
                if self.names.is_empty() { second.to_owned() } else { format!("CASE WHEN {hidden} THEN {second} ELSE {value} END") }
            }
            "present" if self.names.is_empty() && self.missing.is_empty() => second.to_owned(),
            "present" => {
                let (hidden, missing) =
                    (none_of(&self.names, first, "attname", named), none_of(&self.missing, first, "attnum", u32::to_string));
                format!("(SELECT {second} WHERE {hidden} AND {missing})")
            }
            // A name that no column has stands for that of a hidden one.
            "nameable" if self.names.is_empty() => second.to_owned(),
            "nameable" => {
                let hidden = none_of(&self.names, first, second, named);
                format!("CASE WHEN {hidden} THEN {second} ELSE ''::pg_catalog.text END")
            }
            "sub" => {
                // Of an index the columns have numbers of their own.
                let mut all = self.numbers.clone();
                self.positions.iter().for_each(|(place, of)| all.entry(*place).or_default().extend(of));
                none_of(&all, first, second, |n| n.to_string())
            }
            "attnum" => by(&self.positions, first, second, |p| {
                format!(
                    "CASE WHEN {second} OPERATOR(pg_catalog.>) {p} THEN ({second} OPERATOR(pg_catalog.-) 1)::pg_catalog.int2 ELSE {second} END"
                )
            }),
            "back" => by(&self.positions, first, &format!("{second}::pg_catalog.int4"), |p| {
                let one = format!("{second}::pg_catalog.int4");
                format!("CASE WHEN {one} OPERATOR(pg_catalog.>=) {p} THEN {one} OPERATOR(pg_catalog.+) 1 ELSE {one} END")
            }),
            "fewer" => by(&self.positions, first, second, |_| format!("({second} OPERATOR(pg_catalog.-) 1)::pg_catalog.int2")),
            "vector" => {
                let (element, vector) = (parts.get(2)?, parts.get(3)?);
                by(&self.positions, first, second, |p| without(second, element, vector, *p))
            }
            "ownkey" => by(&self.own, first, second, |n| format!("pg_catalog.array_remove({second}, {})", numbered(n))),
            "theirkey" => by(&self.theirs, first, second, |n| format!("pg_catalog.array_remove({second}, {})", numbered(n))),
            "indexdef" => self.indexes.iter().fold(second.to_owned(), |text, (name, of)| shown(first, &text, name, of)),
            "condef" => self.constraints.iter().fold(second.to_owned(), |text, (name, of)| shown(first, &text, name, of)),
            "whole" => {
                let tables: BTreeSet<u32> = self.numbers.values().flatten().copied().collect();
                if tables.is_empty() { "true".to_owned() } else { format!("NOT {}", is_of(first, &tables)) }
            }
            "unparted" if self.parted.is_empty() => "true".to_owned(),
            "unparted" => format!("NOT {}", is_of(first, &self.parted)),
            "unbounded" if self.bounded.is_empty() => "true".to_owned(),
            "unbounded" => format!("NOT {}", is_of(first, &self.bounded)),
            "bound" => unless(&self.bounds, first, second, parts.get(2)?),
            "default" => unless(&self.defaulted, first, second, parts.get(2)?),
            "checks" => {
                let mut counts: Of<u32> = Of::new();
                for (relation, count) in &self.checks {
                    counts.entry(*count).or_default().insert(*relation);
                }
                by(&counts, first, second, |count| format!("({second} OPERATOR(pg_catalog.-) {count})::pg_catalog.int2"))
            }
            "said" => self.unsaid(first, second, parts.get(2)?),
            _ => return None,
        })
    }

    /// `@said(oid, text, otherwise)`: the text of a user's object, unless it names a hidden column.
    fn unsaid(&self, oid: &str, value: &str, otherwise: &str) -> String {
        if self.is_empty() {
            return value.to_owned();
        }
        let names = self.names.keys();
        let says = names.map(|n| format!("pg_catalog.strpos({value}::pg_catalog.text, {}) OPERATOR(pg_catalog.>) 0", quote_text(n)));
        let says = says.collect::<Vec<_>>().join(" OR ");
        format!(
            "CASE WHEN {oid} OPERATOR(pg_catalog.>=) '{}'::pg_catalog.oid AND ({says}) THEN {otherwise} ELSE {value} END",
            super::FIRST_USER_OID
        )
    }
}

/// Rules by the relations that they use.
fn users(edges: &[Vec<Option<String>>], columns: &HashMap<u32, (u32, String)>) -> HashMap<u32, Vec<u32>> {
    let mut uses: HashMap<u32, Vec<u32>> = HashMap::new();
    for row in edges.iter().filter(|r| text(r, 0) == "U" && columns.contains_key(&number(r, 3))) {
        uses.entry(number(row, 1)).or_default().push(number(row, 3));
    }
    uses
}

/// A name as the server prints it in a list.
fn printed(name: &str) -> [String; 2] {
    [name.to_owned(), quote_name(name)]
}

/// Takes a name out of the lists of a definition; None where it stands alone in one, or is still said elsewhere.
fn cut(definition: &str, name: &str) -> Option<String> {
    let mut out = definition.to_owned();
    for (from, to) in cuts(name) {
        out = out.replace(&from, to);
    }
    (!mentions(&out, name)).then_some(out)
}

fn cuts(name: &str) -> Vec<(String, &'static str)> {
    let one = |n: String| [(format!("({n}, "), "("), (format!(", {n})"), ")"), (format!(", {n}, "), ", ")];
    printed(name).into_iter().flat_map(one).collect()
}

/// Whether a text says a name as a word.
fn mentions(text: &str, name: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
        !word(before) && !word(after)
    })
}

/// The arguments of a macro, by its outer commas.
fn split(arguments: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (at, c) in arguments.char_indices() {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    parts
}

fn is_of(oid: &str, of: &BTreeSet<u32>) -> String {
    let members: Vec<String> = of.iter().map(u32::to_string).collect();
    format!("{oid} OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[])", members.join(","))
}

/// True where `key` is none of those hidden for the object.
fn none_of<K>(all: &Of<K>, oid: &str, key: &str, print: impl Fn(&K) -> String) -> String {
    let one = |(k, of): (&K, &BTreeSet<u32>)| format!("{key} OPERATOR(pg_catalog.=) {} AND {}", print(k), is_of(oid, of));
    let parts: Vec<String> = all.iter().map(one).collect();
    if parts.is_empty() { "true".to_owned() } else { format!("NOT ({})", parts.join(" OR ")) }
}

/// `otherwise`, save for the objects that lose something.
fn by<K>(all: &Of<K>, oid: &str, otherwise: &str, print: impl Fn(&K) -> String) -> String {
    let parts: Vec<String> = all.iter().map(|(k, of)| format!("WHEN {} THEN {}", is_of(oid, of), print(k))).collect();
    if parts.is_empty() { otherwise.to_owned() } else { format!("CASE {} ELSE {otherwise} END", parts.join(" ")) }
}

/// The value, and for some objects another.
fn unless(of: &BTreeSet<u32>, oid: &str, value: &str, otherwise: &str) -> String {
    if of.is_empty() { value.to_owned() } else { format!("CASE WHEN {} THEN {otherwise} ELSE {value} END", is_of(oid, of)) }
}

/// A vector without the element at this position.
fn without(value: &str, element: &str, vector: &str, position: u32) -> String {
    format!(
        "(SELECT pg_catalog.string_agg(u.v::pg_catalog.text, ' ' ORDER BY u.n) FROM pg_catalog.unnest({value}::pg_catalog.{element}[]) WITH ORDINALITY AS u(v, n) \
         WHERE u.n OPERATOR(pg_catalog.<>) {position})::pg_catalog.{vector}"
    )
}

/// The text of one of these objects without the name in its lists.
fn shown(oid: &str, definition: &str, name: &str, of: &BTreeSet<u32>) -> String {
    let replace =
        |text: String, (from, to): (String, &str)| format!("pg_catalog.replace({text}, {}, {})", quote_text(&from), quote_text(to));
    let cut = cuts(name).into_iter().fold(definition.to_owned(), replace);
    format!("CASE WHEN {} THEN {cut} ELSE {definition} END", is_of(oid, of))
}

#[cfg(test)]
#[path = "hidden_tests.rs"]
mod tests;
