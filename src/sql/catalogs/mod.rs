//! PostgreSQL's own catalogs as a tenant sees them: which relations, which rows, which columns (`relations.txt`), and which functions
//! that read them (`functions.txt`). Data and text only: the rewriter puts the texts in, the verifier compares with them.

mod expand;
mod expressions;
pub mod functions;
mod hidden;
mod known;
pub mod own_schema;
pub mod parameters;
mod queries;
pub mod regtypes;
pub mod search;
mod telling;

pub use hidden::Concealed;
pub use known::{FIRST_USER_OID, Known};
pub use queries::{EXPRESSIONS, LONG, PARTS, QUERIES};

use super::catalog::{Rows, text};
use super::home;
use crate::policy::Home;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// The system's relations as upstream has them, and what a tenant may know.
#[derive(Clone, Debug, Default)]
pub struct System {
    relations: HashMap<(String, String), SystemRelation>,
    /// Known objects.
    pub known: Known,
    /// Known schemas with their numbers.
    pub namespaces: BTreeMap<String, u32>,
    /// Names of the functions of pg_catalog.
    pub functions: std::collections::BTreeSet<String>,
    /// Known indexes and sequences by schema and name.
    pub others: HashMap<(String, String), u32>,
    /// Columns that tenants must not see and what names them, and what tells of other tenants.
    pub hidden: Concealed,
    /// The tenant's own schema, which is shown as `public`.
    pub own_schema: Option<String>,
}

#[derive(Clone, Debug)]
struct SystemRelation {
    oid: u32,
    columns: Vec<SystemColumn>,
    definition: Option<String>,
}

#[derive(Clone, Debug)]
struct SystemColumn {
    name: String,
    type_name: String,
    type_schema: String,
}

/// What a tenant gets for a system relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody but operators reads it.
    Refused,
    /// As it is.
    Open,
    /// This query in its place.
    Query(String),
}

/// Where the query of a relation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the tenant's statement.
    Plain,
    /// The same, with `tableoid` as one more column at the end.
    WithTableoid,
    /// Inside a system view's definition, whose functions need the columns' own types.
    Inner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Open,
    Empty,
    Rows(&'static str),
    View(&'static str),
    Inner(&'static str),
}

struct Rule {
    how: How,
    columns: Vec<(&'static str, &'static str)>,
}

static RULES: LazyLock<HashMap<(&'static str, &'static str), Rule>> = LazyLock::new(|| {
    let mut rules: HashMap<(&'static str, &'static str), Rule> = HashMap::new();
    let mut last = ("", "");
    for line in include_str!("relations.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some((column, value)) = line.strip_prefix(' ').and_then(|l| l.split_once(" = ")) {
            if let Some(rule) = rules.get_mut(&last) {
                rule.columns.push((column, value));
            }
            continue;
        }
        let mut parts = line.splitn(3, ' ');
        let name = parts.next().unwrap_or_default();
        last = name.split_once('.').unwrap_or(("pg_catalog", name));
        let how = match (parts.next(), parts.next()) {
            (Some("open"), None) => How::Open,
            (Some("empty"), None) => How::Empty,
            (Some("rows"), Some(filter)) => How::Rows(filter),
            (Some("view"), filter) => How::View(filter.unwrap_or_default()),
            (Some("inner"), Some(filter)) => How::Inner(filter),
            _ => continue,
        };
        rules.insert(last, Rule { how, columns: Vec::new() });
    }
    rules
});

impl System {
    /// Reads the answers to [`QUERIES`]. `relations` are the listed ones, `hiding` those with a hidden column,
    /// `scoped` those with a tenant column, hidden or not, `listed` says of a function's
    /// schema and name whether it is, `path` is the search path.
    pub fn read(
        answers: &HashMap<&'static str, Rows>,
        listed_relations: &[u32],
        hiding: &[(u32, String)],
        scoped: &[(u32, String)],
        listed: impl Fn(&str, &str) -> bool,
        path: &[String],
        home: &Home,
    ) -> Self {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut system = Self::relations(answers);
        let number = |row: &[Option<String>]| text(row, 0).parse::<u32>().unwrap_or_default();
        let functions: Vec<u32> = rows("procs").iter().filter(|r| listed(&text(r, 1), &text(r, 2))).map(|r| number(r)).collect();
        let in_path = |r: &&Vec<Option<String>>| home.seen(&text(r, 1)).is_some_and(|seen| path.iter().any(|p| p == seen));
        let schemas: Vec<u32> = rows("namespaces").iter().filter(in_path).map(|r| number(r)).collect();
        system.own_schema = home.schema().map(str::to_owned);
        system.hidden = Concealed::read(answers, hiding);
        system.hidden.read_expressions(answers, scoped);
        let there = |row: &&Vec<Option<String>>| {
            let kind = text(row, 0).chars().next().unwrap_or(' ');
            !system.hidden.is_gone(kind, text(row, 1).parse().unwrap_or_default())
        };
        let edges: Vec<_> = rows("edges").iter().filter(there).cloned().collect();
        system.known = Known::build(listed_relations, &functions, &schemas, &edges);
        let known_schema = |r: &&Vec<Option<String>>| system.known.has("nsp", number(r));
        let seen = |row: &[Option<String>]| home.seen(&text(row, 1)).map(str::to_owned);
        system.namespaces = rows("namespaces").iter().filter(known_schema).filter_map(|r| Some((seen(r)?, number(r)))).collect();
        let known_other = |r: &&Vec<Option<String>>| system.known.has("rel", number(r));
        system.others = rows("others").iter().filter(known_other).filter_map(|r| Some(((seen(r)?, text(r, 2)), number(r)))).collect();
        system
    }

    fn relations(answers: &HashMap<&'static str, Rows>) -> Self {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut relations: HashMap<(String, String), SystemRelation> = HashMap::new();
        for row in rows("system") {
            let fresh = || SystemRelation { oid: text(row, 2).parse().unwrap_or_default(), columns: Vec::new(), definition: None };
            let relation = relations.entry((text(row, 0), text(row, 1))).or_insert_with(fresh);
            relation.columns.push(SystemColumn { name: text(row, 3), type_name: text(row, 4), type_schema: text(row, 5) });
        }
        for row in rows("definitions") {
            if let Some(relation) = relations.get_mut(&(text(row, 0), text(row, 1))) {
                relation.definition = Some(text(row, 2));
            }
        }
        let functions = rows("functions").iter().filter(|r| text(r, 1) == "pg_catalog").map(|r| text(r, 0)).collect();
        Self { relations, functions, ..Self::default() }
    }

    /// Whether upstream's catalogs are known.
    pub fn is_read(&self) -> bool {
        !self.relations.is_empty()
    }

    /// The schema of a system relation that this name means: an unqualified one is pg_catalog's before anybody's.
    pub fn schema_of(&self, schema: &str, name: &str) -> Option<&'static str> {
        let at = |schema: &'static str| self.relations.contains_key(&(schema.to_owned(), name.to_owned())).then_some(schema);
        match schema {
            "" | "pg_catalog" => at("pg_catalog"),
            "information_schema" => at("information_schema"),
            _ => None,
        }
    }

    /// The number of a system relation.
    pub fn oid_of(&self, schema: &str, name: &str) -> Option<u32> {
        self.relations.get(&(self.schema_of(schema, name)?.to_owned(), name.to_owned())).map(|r| r.oid)
    }

    /// Whether a system relation has a column of this name that names objects by number (regproc, regtype).
    pub fn names_by_number(&self, schema: &str, relation: &str, column: &str) -> bool {
        if let Some(columns) = functions::columns_of(relation) {
            return columns.iter().any(|c| *c == column && c.ends_with("relid"));
        }
        let found = self.relations.get(&(schema.to_owned(), relation.to_owned()));
        found.is_some_and(|r| r.columns.iter().any(|c| c.name == column && c.type_name.starts_with("reg")))
    }

    /// The columns of a system relation.
    pub fn columns<'s>(&'s self, schema: &str, relation: &str) -> impl Iterator<Item = &'s str> {
        let found = self.relations.get(&(schema.to_owned(), relation.to_owned()));
        let given = functions::columns_of(relation).into_iter().flatten().copied();
        given.chain(found.into_iter().flat_map(|r| r.columns.iter().map(|c| c.name.as_str())))
    }

    /// What a tenant gets for the relation `schema.name`; None where there is no such system relation.
    pub fn answer(&self, schema: &str, name: &str, form: Form) -> Option<Answer> {
        let relation = self.relations.get(&(schema.to_owned(), name.to_owned()))?;
        let Some((key, rule)) = RULES.get_key_value(&(schema, name)) else { return Some(Answer::Refused) };
        if rule.how == How::Open {
            return Some(Answer::Open);
        }
        if matches!(rule.how, How::Inner(_)) && form != Form::Inner {
            return Some(Answer::Refused);
        }
        let mapped = |c: &SystemColumn| own_schema::column(self, schema, name, &c.name).filter(|_| rule.how != How::Empty);
        let columns: Vec<String> = relation.columns.iter().map(|c| mapped(c).unwrap_or_else(|| self.column(c, rule, form))).collect();
        let mut columns = columns.join(", ");
        if form == Form::WithTableoid && !matches!(rule.how, How::View(_)) {
            columns.push_str(&format!(", '{}'::pg_catalog.oid AS tableoid", relation.oid));
        }
        let query = match rule.how {
            How::Empty => format!("SELECT {columns} WHERE false"),
            How::Rows(filter) => format!("SELECT {columns} FROM pg_catalog.{name} WHERE {}", self.macros(filter)),
            How::Inner(filter) => format!("SELECT {columns} FROM pg_catalog.pg_roles WHERE {}", self.macros(filter)),
            How::View(_) => match expand::expand(self, key, relation.definition.as_deref()?) {
                Some(definition) => format!("SELECT {columns} FROM ({definition}) AS {}", quote_name(name)),
                None => return Some(Answer::Refused),
            },
            How::Open => return Some(Answer::Open),
        };
        Some(Answer::Query(query))
    }

    fn column(&self, column: &SystemColumn, rule: &Rule, form: Form) -> String {
        let name = quote_name(&column.name);
        if let Some((_, value)) = rule.columns.iter().find(|(n, _)| *n == column.name) {
            let value = self.macros(value);
            // Nothing to be taken out of it.
            return if value == column.name { name } else { format!("{value} AS {name}") };
        }
        if rule.how == How::Empty {
            return format!("NULL::{}.{} AS {name}", quote_name(&column.type_schema), quote_name(empty_type(&column.type_name, form)));
        }
        let owner = column.type_name == "oid" && (column.name.ends_with("owner") || column.name == "datdba");
        match column.type_name.as_str() {
            _ if owner => format!("{OWN} AS {name}"),
            // Its text would be read as the names of roles.
            "_aclitem" => format!("NULL::pg_catalog.{} AS {name}", if form == Form::Inner { "_aclitem" } else { "_text" }),
            // A literal beside it would be looked up by name.
            t if t.starts_with("reg") && form != Form::Inner => format!("{name}::pg_catalog.oid AS {name}"),
            _ => name,
        }
    }

    /// Puts conditions in the place of `@rel(x)` and its kin.
    pub fn macros(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let name: &str = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())];
            rest = &rest[name.len()..];
            let (argument, after) = argument(rest);
            rest = after;
            out.push_str(&self.expansion(name, &self.macros(argument)));
        }
        out.push_str(rest);
        out
    }

    fn expansion(&self, name: &str, argument: &str) -> String {
        let mut system = format!("{argument} OPERATOR(pg_catalog.<) '{FIRST_USER_OID}'::pg_catalog.oid");
        // Where the own schema is `public` to the client, the database's own of that name is not there.
        if name == "nsp" && self.own_schema.as_deref().is_some_and(|own| own != home::PUBLIC) {
            system = format!("({system} AND {argument} OPERATOR(pg_catalog.<>) '{PUBLIC_OID}'::pg_catalog.oid)");
        }
        match name {
            "own" => OWN.to_owned(),
            "role" => format!("{argument} OPERATOR(pg_catalog.=) {OWN}"),
            // The own role, by name and by number; any other is one that is not there.
            "me" => format!(
                "CASE WHEN {argument}::pg_catalog.name OPERATOR(pg_catalog.=) CURRENT_USER THEN CURRENT_USER::pg_catalog.name \
                 WHEN {argument} IS NOT NULL THEN 'none'::pg_catalog.name END"
            ),
            "mine" => or_nothing(&self.expansion("role", argument), argument),
            "sys" => system,
            "setting" => {
                let names: Vec<&str> = super::settings::readable().collect();
                format!("pg_catalog.lower({argument}) OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.text[])", names.join(","))
            }
            "object" => self.object(argument),
            "there" => or_nothing(&self.expansion("rel", argument), argument),
            // Of those with a hidden column in the key it would tell how many columns the key has.
            "keyed" => {
                let known = format!("{} AND {}", self.expansion("rel", argument), self.expansion("unparted", argument));
                or_nothing(&known, argument)
            }
            "absent" => absent(argument, "regclass"),
            set => match self.known.array(set) {
                None => self.hidden.expansion(name, argument).unwrap_or_else(|| "false".to_owned()),
                Some(members) if members == "{}" => system,
                Some(members) => format!("({system} OR {argument} OPERATOR(pg_catalog.=) ANY ('{members}'::pg_catalog.oid[]))"),
            },
        }
    }

    /// `@object(classid, objid)`
    fn object(&self, arguments: &str) -> String {
        let Some((class, object)) = arguments.split_once(", ") else { return "false".to_owned() };
        let mut out = self.expansion("sys", object);
        for (class_oid, set) in CLASSES {
            if self.known.array(set).is_some_and(|a| a != "{}") {
                let known = self.expansion(set, object);
                out.push_str(&format!(" OR {class} OPERATOR(pg_catalog.=) '{class_oid}'::pg_catalog.oid AND {known}"));
            }
        }
        format!("({out})")
    }
}

/// The role that the session is.
const OWN: &str = "pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole::pg_catalog.oid";

/// pg_namespace.oid of `public` (pg_namespace.dat).
const PUBLIC_OID: u32 = 2200;

/// pg_class.oid of the catalogs whose objects can be known; the same in every version.
const CLASSES: &[(u32, &str)] = &[
    (1259, "rel"),
    (1247, "typ"),
    (1255, "proc"),
    (2606, "con"),
    (2615, "nsp"),
    (2604, "def"),
    (2620, "trg"),
    (2618, "rule"),
    (3381, "stx"),
    (3079, "ext"),
];

fn empty_type(name: &str, form: Form) -> &str {
    match name {
        "_aclitem" if form != Form::Inner => "_text",
        n if n.starts_with("reg") && form != Form::Inner => "oid",
        n => n,
    }
}

/// What stands in the parentheses at the start, and what follows; nothing where there are none.
fn argument(text: &str) -> (&str, &str) {
    if !text.starts_with('(') {
        return ("", text);
    }
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return (&text[1..at], &text[at + 1..]),
            ')' => depth -= 1,
            _ => {}
        }
    }
    ("", text)
}

/// A number, or that of nothing where the condition does not hold.
fn or_nothing(condition: &str, number: &str) -> String {
    format!("CASE WHEN {condition} THEN {number} WHEN {number} IS NOT NULL THEN '0'::pg_catalog.oid END")
}

/// Fails like a name that is looked up and not there.
fn absent(argument: &str, type_name: &str) -> String {
    format!("('pg_catalog.'::pg_catalog.text OPERATOR(pg_catalog.||) pg_catalog.quote_ident({argument}))::pg_catalog.{type_name}")
}

/// A name in double quotes.
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A literal that reads the same whatever `standard_conforming_strings` is.
pub fn quote_text(text: &str) -> String {
    let body = text.replace('\'', "''");
    if body.contains('\\') { format!("E'{}'", body.replace('\\', "\\\\")) } else { format!("'{body}'") }
}

#[cfg(test)]
#[path = "catalogs_tests.rs"]
mod tests;
