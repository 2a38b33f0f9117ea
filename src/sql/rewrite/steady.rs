//! What stands more than once in a text of the catalogs gives the same each time: `CASE WHEN known(x) THEN shown(x) END` would else ask about
//! one object and show another.

use super::{Res, Rewriter};
use crate::policy::TableRule;
use crate::sql::Refusal;
use crate::sql::catalogs::functions;
use crate::sql::tree::{self, Value};
use pg_query::protobuf::{CteMaterialize, Node};

impl Rewriter<'_> {
    /// Refuses operands, rewritten already, that may differ from one of their places in `template` to the next.
    pub(super) fn once(&self, template: &str, operands: &[Node]) -> Res<()> {
        let refused = || Refusal::not_understood("a changing expression is not supported here");
        let many = |index: usize| template.matches(&format!("${}", index + 1)).count() > 1;
        if !(0..operands.len()).any(many) {
            return Ok(());
        }
        for (index, operand) in operands.iter().enumerate() {
            let tree = tree::of(operand).map_err(|_| refused())?;
            // One that stands once must not change what the others give.
            if self.calls_what_changes(&tree) || (many(index) && self.may_change(&tree)) {
                return Err(refused());
            }
        }
        Ok(())
    }

    fn calls_what_changes(&self, tree: &Value) -> bool {
        tree.has(&mut |kind, part| {
            let names: Vec<&str> = part["funcname"].as_array().into_iter().flatten().filter_map(word).collect();
            let steady = match names.as_slice() {
                ["pg_catalog", name] => functions::is_steady(name),
                other => other == ["information_schema", "_pg_expandarray"],
            };
            kind == "FuncCall" && !steady
        })
    }

    fn may_change(&self, tree: &Value) -> bool {
        let called = |name: &str| self.cx.catalog.user_functions.contains(name);
        tree.has(&mut |kind, part| match kind {
            "SubLink" => true,
            // `x.f` may be `f(x)`.
            "ColumnRef" => self.catalogs.worked_out || part["fields"].as_array().into_iter().flatten().skip(1).filter_map(word).any(called),
            "AIndirection" => part["indirection"].as_array().into_iter().flatten().filter_map(word).any(called),
            _ => false,
        })
    }

    /// Whether a column may be worked out anew at each place that names it: the planner puts the expressions of a query in FROM in the place
    /// of its columns, subqueries too (prepjointree.c, pull_up_simple_subquery), and so it does with views. What is so only within WITH queries that
    /// stand apart does not count, but `within` them.
    pub(super) fn works_out_columns(&self, tree: &Value, within: bool) -> bool {
        let is_view = |part: &Value| {
            let text = |key: &str| part[key].as_str().unwrap_or_default();
            let found = self.cx.catalog.find(text("schemaname"), text("relname"));
            found.is_some_and(|r| r.kind == 'v' && r.rule == TableRule::Own)
        };
        match tree {
            Value::Array(all) => all.iter().any(|part| self.works_out_columns(part, within)),
            Value::Object(fields) => fields.iter().any(|(kind, part)| match kind {
                "RangeSubselect" => selects_subquery(part) || self.works_out_columns(part, within),
                "RangeVar" => is_view(part),
                "with_clause" => {
                    let recursive = part["recursive"].as_bool().unwrap_or_default();
                    let queries = part["ctes"].as_array().into_iter().flatten().filter_map(|q| q.pointer("/node/CommonTableExpr"));
                    queries.into_iter().any(|query| {
                        let apart = stays_apart(query, recursive);
                        (!apart && selects_subquery(query)) || ((within || !apart) && self.works_out_columns(&query["ctequery"], within))
                    })
                }
                _ => self.works_out_columns(part, within),
            }),
            _ => false,
        }
    }
}

/// Whether a WITH query is certainly not put in the place where it is named: one that names itself, or is MATERIALIZED (subselect.c,
/// SS_process_ctes).
fn stays_apart(query: &Value, recursive: bool) -> bool {
    let name = query["ctename"].as_str().unwrap_or_default();
    let named = |kind: &str, key: &str, part: &Value, wanted: &str| kind == wanted && part[key].as_str() == Some(name);
    let inner = query["ctequery"].has(&mut |kind, part| named(kind, "ctename", part, "CommonTableExpr"));
    let itself = |part: &Value| {
        part.has(&mut |kind, part| named(kind, "relname", part, "RangeVar") && part["schemaname"].as_str().unwrap_or_default().is_empty())
    };
    let materialized = query["ctematerialized"].as_i64() == Some(i64::from(CteMaterialize::Always as i32));
    materialized || (recursive && !inner && query.pointer("/ctequery/node/SelectStmt/rarg").is_some_and(itself))
}

/// Whether a subquery gives a column of a query, or of one within it.
pub(super) fn selects_subquery(tree: &Value) -> bool {
    tree.has(&mut |kind, part| matches!(kind, "target_list" | "values_lists") && part.has(&mut |inner, _| inner == "SubLink"))
}

fn word(part: &Value) -> Option<&str> {
    part.pointer("/node/String/sval")?.as_str()
}
