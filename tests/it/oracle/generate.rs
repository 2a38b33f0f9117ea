//! The generator: typed expressions over scopes, so that most statements are valid, and none depends on the physical order of rows.

use super::features::{Feature, Set};
use super::random::Random;
use super::tables::{Tag, Ty};

/// A column that an expression may name.
#[derive(Clone, Debug)]
pub struct Col {
    /// Its name; the whole text where the item has no alias.
    pub name: String,
    /// Its type.
    pub ty: Ty,
    /// What fails on it.
    pub tag: Tag,
    /// An aggregate: not to be named in inner queries.
    pub local: bool,
}

/// One item of FROM.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name that qualifies its columns; empty for ready-made texts.
    pub alias: String,
    /// Its columns.
    pub columns: Vec<Col>,
    /// Names of columns that tell its rows apart, if they are known.
    pub key: Option<Vec<String>>,
    /// A base table.
    pub table: Option<&'static super::tables::Table>,
}

/// A query with its output columns.
#[derive(Clone, Debug)]
pub struct Query {
    /// The text.
    pub sql: String,
    /// What it gives.
    pub columns: Vec<Col>,
    /// The order of its rows is fixed.
    pub ordered: bool,
}

/// One statement and how to send it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The text, with `$n`.
    pub sql: String,
    /// Values of `$n` as text; None where it goes as a simple query.
    pub parameters: Option<Vec<String>>,
    /// Rows come in a fixed order.
    pub ordered: bool,
    /// A named statement, executed so many times more.
    pub again: usize,
    /// Rows asked of the portal; 0 is all.
    pub fetch: u32,
}

/// What is run as one: steps in a transaction that is rolled back, or a single statement.
#[derive(Clone, Debug)]
pub struct Case {
    /// In order.
    pub steps: Vec<Step>,
    /// Runs in a transaction, with the state compared at its end.
    pub transaction: bool,
    /// The wall must refuse it, whatever a private database says.
    pub forbidden: bool,
    /// What it shows.
    pub features: Set,
}

/// How the text is to come out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// Constants as literals, simple protocol.
    pub literal: bool,
    /// With marks for the shrinker.
    pub marks: bool,
}

/// The state of one generation.
pub struct Generator {
    pub(super) random: Random,
    pub(super) form: Form,
    pub(super) scopes: Vec<Vec<Item>>,
    pub(super) ctes: Vec<Item>,
    pub(super) features: Set,
    /// How much more may be nested.
    pub(super) budget: i32,
    /// What is written may refer to another tenant's row, or to none.
    pub(super) stray: bool,
    /// Keys that are written are certainly new.
    pub(super) fresh: bool,
    next: u32,
    parameters: Option<Vec<String>>,
}

impl Generator {
    /// The generator of one case.
    pub fn new(seed: u64, case: u64, form: Form) -> Self {
        let (random, features) = (Random::new(seed, case), 0);
        Self {
            random,
            form,
            scopes: Vec::new(),
            ctes: Vec::new(),
            features,
            budget: 0,
            stray: false,
            fresh: false,
            next: 0,
            parameters: None,
        }
    }

    /// Notes a feature.
    pub(super) fn note(&mut self, feature: Feature) {
        self.features |= feature.bit();
    }

    /// A new name.
    pub(super) fn name(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    /// A key that no row has.
    pub(super) fn new_key(&mut self) -> String {
        self.next += 1;
        (1000 + self.next).to_string()
    }

    /// A piece that the shrinker may replace.
    pub(super) fn piece(&self, text: String, instead: &str) -> String {
        if self.form.marks && text != instead { format!("\u{1}{instead}\u{2}{text}\u{3}") } else { text }
    }

    /// Starts a statement: its budget, and whether it has parameters.
    pub(super) fn start(&mut self) {
        self.budget = self.random.pick(&[2, 4, 6, 9, 13]);
        self.parameters = self.random.percent(45).then(Vec::new);
        self.scopes.clear();
        self.ctes.clear();
    }

    /// A statement of the started text.
    pub(super) fn step(&mut self, sql: String, ordered: bool) -> Step {
        let parameters = self.parameters.take();
        let again = if self.random.percent(10) { 2 } else { 0 };
        let fetch = if ordered && self.random.percent(10) { 2 } else { 0 };
        let (sql, parameters) = match parameters.filter(|_| !self.form.literal) {
            Some(values) => {
                let (sql, values) = renumbered(&sql, &values);
                (sql, Some(values))
            }
            None => (sql, None),
        };
        if let Some(values) = &parameters {
            self.note(Feature::Extended);
            if !values.is_empty() {
                self.note(Feature::Parameters);
            }
            if again > 0 {
                self.note(Feature::NamedStatement);
            }
            if fetch > 0 {
                self.note(Feature::PartialFetch);
            }
        } else {
            self.note(Feature::Simple);
        }
        let extended = parameters.is_some();
        Step { sql, parameters, ordered, again: if extended { again } else { 0 }, fetch: if extended { fetch } else { 0 } }
    }

    /// A simple query of fixed text.
    pub(super) fn plain(&mut self, sql: impl Into<String>) -> Step {
        self.parameters = None;
        self.step(sql.into(), false)
    }

    /// No parameters from here on.
    pub(super) fn literals(&mut self) {
        self.parameters = None;
    }

    /// A constant of a type, as it stands in text, with its cast.
    pub(super) fn constant(&mut self, ty: Ty) -> String {
        let value = self.value(ty);
        let parameter = self.parameters.is_some() && self.random.percent(35);
        if parameter && !self.form.literal {
            let values = self.parameters.get_or_insert_default();
            values.push(value);
            return format!("${}::{}", values.len(), ty.name());
        }
        match ty {
            Ty::Int if !value.starts_with('-') => value,
            Ty::Bool => value,
            _ => format!("{}::{}", quoted(&value), ty.name()),
        }
    }

    /// A value of a type, as text.
    pub(super) fn value(&mut self, ty: Ty) -> String {
        let r = &mut self.random;
        match ty {
            Ty::Int => r.between(-2, 20).to_string(),
            Ty::Text => r.pick(WORDS).to_owned(),
            Ty::Bool => r.pick(&["true", "false"]).to_owned(),
            Ty::Num => format!("{}.{:02}", r.between(0, 60), r.between(0, 3) * 25),
            Ty::Date => format!("{}-{:02}-{:02}", r.between(2022, 2025), r.between(1, 12), r.pick(&[1, 15, 28])),
            Ty::Ts => format!("{}-{:02}-15 {:02}:00:00+00", r.between(2023, 2025), r.between(1, 12), r.pick(&[0, 8, 23])),
            Ty::Json => format!("{{\"n\": {}, \"list\": [{}], \"s\": \"{}\"}}", r.between(0, 5), r.between(0, 3), r.pick(&["a", "b"])),
            Ty::Ints => format!("{{{},{}}}", r.between(0, 4), r.between(0, 4)),
            Ty::Texts => format!("{{{},{}}}", r.pick(&["a", "b", "vip"]), r.pick(&["a", "new"])),
            Ty::Mood => r.pick(&["low", "mid", "high"]).to_owned(),
            Ty::Uuid => format!("00000000-0000-0000-0000-{:012}", r.between(1, 6)),
        }
    }

    /// A column in sight, as `(text, column)`; mostly of the innermost query.
    pub(super) fn column(&mut self, wanted: impl Fn(&Col) -> bool) -> Option<(String, Col)> {
        let outer = self.random.percent(25);
        let depth = self.scopes.len();
        let mut found = Vec::new();
        for (up, scope) in self.scopes.iter().rev().enumerate() {
            for item in scope {
                let hidden = |c: &Col| up > 0 && c.local;
                found.extend(item.columns.iter().filter(|c| !hidden(c) && wanted(c)).map(|c| (up, item.alias.clone(), c.clone())));
            }
            let further = outer && up + 1 < depth;
            if !found.is_empty() && !further {
                break;
            }
        }
        if found.is_empty() {
            return None;
        }
        let (up, alias, column) = self.random.pick(&found);
        if up > 0 {
            self.note(Feature::Correlated);
        }
        let bare = !alias.is_empty() && !column.local && self.random.percent(3) && self.is_alone(&column.name);
        if bare {
            self.note(Feature::BareName);
        }
        let text = if alias.is_empty() || bare { column.name.clone() } else { format!("{alias}.{}", column.name) };
        Some((text, column))
    }

    /// Only one item in sight has the column.
    fn is_alone(&self, name: &str) -> bool {
        self.scopes.iter().flatten().filter(|i| i.columns.iter().any(|c| c.name == name)).count() == 1
    }
}

/// The text with its parameters numbered without gaps, and the values of those that are in it.
fn renumbered(sql: &str, values: &[String]) -> (String, Vec<String>) {
    let (mut out, mut used) = (String::new(), Vec::<usize>::new());
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        let digits: String = rest[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1 + digits.len()..];
        if let Ok(number) = digits.parse::<usize>() {
            let place = used.iter().position(|u| *u == number).unwrap_or_else(|| {
                used.push(number);
                used.len() - 1
            });
            out.push_str(&(place + 1).to_string());
        }
    }
    out.push_str(rest);
    (out, used.iter().map(|n| values[n - 1].clone()).collect())
}

/// What plain text is made of.
pub const WORDS: &[&str] = &["alpha", "beta", "gamma", "it's", "50%", "a_b", "Ärger", "x y", "UPPER", "7", "", "a-b-c"];

/// A literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text without marks.
pub fn unmarked(text: &str) -> String {
    let mut out = String::new();
    let mut skipping = 0;
    for c in text.chars() {
        match c {
            '\u{1}' => skipping += 1,
            '\u{2}' => skipping -= 1,
            '\u{3}' => {}
            _ if skipping == 0 => out.push(c),
            _ => {}
        }
    }
    out
}
