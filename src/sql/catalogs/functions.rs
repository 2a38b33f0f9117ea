//! The functions that read the catalogs: `functions.txt` beside this file, call by call.

use super::System;
use crate::sql::functions as listed;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What an argument is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A number.
    Oid,
    /// A relation, by number or by a literal name that the wall resolves.
    Relation,
    /// A schema, by number or by a literal name that the wall resolves.
    Namespace,
    /// A function, by number or by a literal name that the wall resolves.
    Function,
    /// The same for a type.
    Type,
    /// A role by its name: a literal, or the session's own.
    Role,
    /// A relation as a cast to regclass.
    Class,
    /// What stands behind VARIADIC.
    Variadic,
    /// A literal relation name, which is put in qualified.
    Table,
    /// Any literal.
    Literal,
    /// A column or a parameter.
    Column,
    /// Whatever it is.
    Any,
    /// This literal.
    Exactly(&'static str),
}

/// A call that is known, and what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// One entry an argument.
    pub arguments: Vec<Argument>,
    name: &'static str,
    expression: &'static str,
}

static TABLE: LazyLock<HashMap<&'static str, Vec<Template>>> = LazyLock::new(|| {
    let mut table: HashMap<&'static str, Vec<Template>> = HashMap::new();
    for line in include_str!("functions.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let Some((call, expression)) = line.split_once(" = ") else { continue };
        let Some((name, arguments)) = call.split_once('(') else { continue };
        let arguments = arguments.trim_end_matches(')').split(',').map(Argument::read).collect();
        table.entry(name).or_default().push(Template { arguments, name, expression });
    }
    table
});

impl Argument {
    /// An object's number, or what becomes one.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Oid | Self::Class) || self.named_type().is_some()
    }

    /// The type whose literals name what this argument takes by number.
    pub fn named_type(&self) -> Option<&'static str> {
        match self {
            Self::Relation => Some("regclass"),
            Self::Namespace => Some("regnamespace"),
            Self::Function => Some("regprocedure"),
            Self::Type => Some("regtype"),
            _ => None,
        }
    }

    fn read(text: &'static str) -> Self {
        match text {
            "oid" => Self::Oid,
            "rel" => Self::Relation,
            "nsp" => Self::Namespace,
            "func" => Self::Function,
            "type" => Self::Type,
            "role" => Self::Role,
            "variadic" => Self::Variadic,
            "class" => Self::Class,
            "table" => Self::Table,
            "literal" => Self::Literal,
            "column" => Self::Column,
            other => other.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')).map_or(Self::Any, Self::Exactly),
        }
    }
}

/// The known calls of this name, the most particular first; None where the name is not in the table.
pub fn find(name: &str) -> Option<&'static [Template]> {
    TABLE.get(name).map(Vec::as_slice)
}

/// Functions that tenants may call and that need not give the same twice in one statement.
const CHANGING: &[&str] = &[
    "array_sample",
    "array_shuffle",
    "clock_timestamp",
    // As `set_config` beside it leaves it.
    "current_setting",
    "gen_random_uuid",
    "pg_advisory_unlock_all",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "random_normal",
    "setseed",
    "timeofday",
    "ts_rewrite",
    "uuidv4",
    "uuidv7",
];

/// Whether a function of pg_catalog is known to give the same each time in one statement, and to change nothing.
pub fn is_steady(name: &str) -> bool {
    let known = listed::find(name).is_some() || find(name).is_some() || super::regtypes::looked_up_by(name).is_some();
    known && !CHANGING.contains(&name)
}

/// The columns of a function's rows, where some of them name relations: in FROM these are numbers, for a literal beside one would be looked up.
pub fn columns_of(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "pg_partition_tree" => Some(&["relid", "parentrelid", "isleaf", "level"]),
        "pg_partition_ancestors" => Some(&["relid"]),
        _ => None,
    }
}

/// Such a function in FROM, with `$1` for its argument.
pub fn rows(name: &str, ordinality: bool) -> String {
    let (more, with) = if ordinality { (", ordinality", " WITH ORDINALITY") } else { ("", "") };
    let column = |c: &&str| if c.ends_with("relid") { format!("{c}::pg_catalog.oid AS {c}") } else { (*c).to_owned() };
    let columns: Vec<String> = columns_of(name).into_iter().flatten().map(column).collect();
    format!("SELECT {}{more} FROM pg_catalog.{name}($1){with}", columns.join(", "))
}

/// Whether a column of such a function may have this name in its place, counted from 0: what names relations is told by it.
pub fn may_be_called(name: &str, place: usize, called: &str) -> bool {
    let own = columns_of(name).and_then(|columns| columns.get(place)).copied().unwrap_or_default();
    if own.ends_with("relid") { called == own } else { !called.ends_with("relid") }
}

impl Template {
    /// The expression with `$1`, `$2` … for the arguments.
    pub fn text(&self, system: &System) -> String {
        let mut text = self.expression.to_owned();
        for (index, argument) in self.arguments.iter().enumerate() {
            if argument.is_number() {
                let hole = format!("${}", index + 1);
                text = text.replace(&hole, &format!("{hole}::pg_catalog.oid"));
            }
        }
        super::own_schema::expression(system, self.name, system.macros(&text))
    }

    /// Whether the call's last argument stands behind VARIADIC.
    pub fn is_variadic(&self) -> bool {
        self.arguments.last() == Some(&Argument::Variadic)
    }

    /// How many times an argument stands in the expression.
    pub fn uses(&self, index: usize, system: &System) -> usize {
        self.text(system).matches(&format!("${}", index + 1)).count()
    }
}
