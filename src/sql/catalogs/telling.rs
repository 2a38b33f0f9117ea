//! Whether an expression of the catalogs tells of other tenants: it has a tenant column and a literal in one comparison, call or CASE.
//!
//! Names that a query gives to the column or to a literal (`tenant_id AS t`, `(VALUES ('a')) v(t)`) count as what they stand for.

use crate::sql::tree::{self, Value};
use std::collections::BTreeSet;

/// Kinds that put expressions together and compare nothing.
const STRUCTURE: &[&str] = &[
    "Alias",
    "BoolExpr",
    "BooleanTest",
    "CollateClause",
    "CommonTableExpr",
    "CreateStatsStmt",
    "CreateTrigStmt",
    "DeleteStmt",
    "InsertStmt",
    "JoinExpr",
    "List",
    "NullTest",
    "RangeFunction",
    "RangeSubselect",
    "RangeVar",
    "ResTarget",
    "RuleStmt",
    "SelectStmt",
    "SortBy",
    "StatsElem",
    "TypeCast",
    "UpdateStmt",
    "WindowDef",
    "WithClause",
];

/// Functions whose literals name a setting or a sequence.
const NAMING: &[&str] = &["current_setting", "nextval"];

#[derive(Clone, Copy, Debug, Default)]
struct Holds {
    column: bool,
    literal: bool,
}

/// Names that stand for a tenant column, and for a literal.
struct Names {
    columns: BTreeSet<String>,
    literals: BTreeSet<String>,
}

/// Whether a statement tells; `columns` are names of tenant columns. What cannot be read does.
pub fn tells(sql: &str, columns: &BTreeSet<&str>) -> bool {
    let Some(tree) = parse(sql) else { return true };
    let names = Names::of(&tree, columns);
    names.columns.intersection(&names.literals).next().is_some()
        || tree.has(&mut |kind, inner| is_atom(kind, inner) && names.both(kind, inner))
}

/// Whether an expression has a literal at all.
pub fn has_literal(expression: &str) -> bool {
    let none = Names { columns: BTreeSet::new(), literals: BTreeSet::new() };
    parse(&format!("SELECT {expression}")).is_none_or(|tree| none.holds(&tree).literal)
}

/// Whether a partition key, as the server prints it, may be over one of these columns.
pub fn is_keyed_by(key: &str, columns: &BTreeSet<&str>) -> bool {
    let names = Names { columns: columns.iter().map(|c| (*c).to_owned()).collect(), literals: BTreeSet::new() };
    let Some(tree) = parse(&format!("CREATE TABLE t () PARTITION BY {key}")) else { return true };
    tree.has(&mut |kind, inner| {
        kind == "PartitionElem" && (text(inner, "name").is_some_and(|n| columns.contains(n)) || names.holds(inner).column)
    })
}

fn parse(sql: &str) -> Option<Value> {
    tree::of(&pg_query::parse(sql, pg_query::ParserOptions::default()).ok()?.protobuf.stmts).ok()
}

fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value[field].as_str().filter(|text| !text.is_empty())
}

fn last_name(list: &Value) -> Option<&str> {
    list.as_array()?.last()?["node"]["String"]["sval"].as_str()
}

/// Whether a node's parts belong together. A text that is joined on by `||` is no value of the column.
fn is_atom(kind: &str, inner: &Value) -> bool {
    let joins = kind == "AExpr" && last_name(&inner["name"]) == Some("||");
    kind.starts_with(|c: char| c.is_ascii_uppercase()) && !STRUCTURE.contains(&kind) && !joins
}

/// Numbers and texts; not NULL, a truth value or an empty text, which no tenant is called.
fn is_literal(constant: &Value) -> bool {
    let value = &constant["val"];
    !value["Ival"].is_null() || !value["Fval"].is_null() || text(&value["Sval"], "sval").is_some() || !value["Bsval"].is_null()
}

impl Names {
    fn of(tree: &Value, columns: &BTreeSet<&str>) -> Self {
        let mut names = Self { columns: columns.iter().map(|c| (*c).to_owned()).collect(), literals: BTreeSet::new() };
        loop {
            let before = (names.columns.len(), names.literals.len());
            let mut more: Vec<(String, Holds)> = Vec::new();
            tree.has(&mut |kind, inner| {
                more.extend(names.given(kind, inner));
                false
            });
            for (name, holds) in more {
                if holds.column {
                    names.columns.insert(name);
                } else if holds.literal {
                    names.literals.insert(name);
                }
            }
            if (names.columns.len(), names.literals.len()) == before {
                return names;
            }
        }
    }

    /// Names that a node gives, and what they stand for.
    fn given(&self, kind: &str, inner: &Value) -> Vec<(String, Holds)> {
        let list = match kind {
            "ResTarget" => return text(inner, "name").map(|n| (n.to_owned(), self.holds(&inner["val"]))).into_iter().collect(),
            "RangeVar" | "RangeSubselect" | "RangeFunction" | "JoinExpr" => &inner["alias"]["colnames"],
            "CommonTableExpr" => &inner["aliascolnames"],
            _ => return Vec::new(),
        };
        let mut holds = self.holds(inner);
        holds.column |= kind == "RangeVar";
        let mut names: Vec<&str> = list.as_array().into_iter().flatten().filter_map(|n| n["node"]["String"]["sval"].as_str()).collect();
        names.extend(inner["coldeflist"].as_array().into_iter().flatten().filter_map(|c| text(&c["node"]["ColumnDef"], "colname")));
        // One of them is the column's, another may be a literal's.
        let each = [Holds { literal: false, ..holds }, Holds { column: false, ..holds }];
        names.into_iter().flat_map(|name| each.map(|holds| (name.to_owned(), holds))).collect()
    }

    fn both(&self, kind: &str, inner: &Value) -> bool {
        let mut out = Holds::default();
        self.node(kind, inner, &mut out);
        out.column && out.literal
    }

    fn holds(&self, value: &Value) -> Holds {
        let mut out = Holds::default();
        self.within(value, &mut out);
        out
    }

    fn within(&self, value: &Value, out: &mut Holds) {
        match value {
            Value::Array(all) => all.iter().for_each(|v| self.within(v, out)),
            Value::Object(fields) => fields.iter().for_each(|(name, inner)| self.node(name, inner, out)),
            _ => {}
        }
    }

    fn node(&self, kind: &str, inner: &Value, out: &mut Holds) {
        match kind {
            "ColumnRef" => match last_name(&inner["fields"]) {
                Some(name) => {
                    out.column |= self.columns.contains(name);
                    out.literal |= self.literals.contains(name);
                }
                // A whole row.
                None => out.column = true,
            },
            "AConst" => out.literal |= is_literal(inner),
            // `varchar(20)`.
            "TypeName" | "type_name" => {}
            "FuncCall" if last_name(&inner["funcname"]).is_some_and(|f| NAMING.contains(&f)) => {}
            // Its conditions are looked at by themselves.
            "subselect" | "subquery" | "ctequery" => self.selected(&inner["node"]["SelectStmt"], out),
            _ => self.within(inner, out),
        }
    }

    fn selected(&self, select: &Value, out: &mut Holds) {
        for part in ["target_list", "values_lists"] {
            self.within(&select[part], out);
        }
        for side in ["larg", "rarg"].map(|s| &select[s]).into_iter().filter(|s| !s.is_null()) {
            self.selected(side, out);
        }
    }
}

#[cfg(test)]
#[path = "telling_tests.rs"]
mod tests;
