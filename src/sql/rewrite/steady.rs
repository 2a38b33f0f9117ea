//! What stands more than once in a text of the catalogs gives the same each time: `CASE WHEN known(x) THEN shown(x) END` would else ask about
//! one object and show another.

use super::{Res, Rewriter};
use crate::policy::TableRule;
use crate::sql::Refusal;
use crate::sql::catalogs::functions;
use crate::sql::tree::{self, Value};
use pg_query::protobuf::Node;

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
    /// of its columns, subqueries too (prepjointree.c, pull_up_simple_subquery), and so it does with views.
    pub(super) fn works_out_columns(&self, tree: &Value) -> bool {
        let is_view = |part: &Value| {
            let text = |key: &str| part[key].as_str().unwrap_or_default();
            let found = self.cx.catalog.find(text("schemaname"), text("relname"));
            found.is_some_and(|r| r.kind == 'v' && r.rule == TableRule::Own)
        };
        tree.has(&mut |kind, part| match kind {
            "RangeSubselect" | "CommonTableExpr" => selects_subquery(part),
            "RangeVar" => is_view(part),
            _ => false,
        })
    }
}

/// Whether a subquery gives a column of a query, or of one within it.
pub(super) fn selects_subquery(tree: &Value) -> bool {
    tree.has(&mut |kind, part| matches!(kind, "target_list" | "values_lists") && part.has(&mut |inner, _| inner == "SubLink"))
}

fn word(part: &Value) -> Option<&str> {
    part.pointer("/node/String/sval")?.as_str()
}
