//! The wall's texts name some of the client's expressions twice, to ask whether an object is known and to show it: they must be certain to give
//! the same both times.

use super::{Walk, list, names, text};
use crate::policy::TableRule;
use crate::sql::catalogs::functions;
use crate::sql::tree::Value;

impl Walk<'_> {
    /// Whether the client's expressions `holes` may stand in `wanted` where its parameters are.
    pub(super) fn stand_still(&self, wanted: &Value, holes: &[Option<&Value>]) -> bool {
        let mut uses = vec![0_usize; holes.len()];
        wanted.has(&mut |name, part| {
            if name == "ParamRef" {
                let index = part["number"].as_i64().and_then(|n| usize::try_from(n - 1).ok());
                index.and_then(|i| uses.get_mut(i)).into_iter().for_each(|n| *n += 1);
            }
            false
        });
        let twice = |n: &usize| *n > 1;
        let still = |(hole, uses): (&Option<&Value>, &usize)| {
            hole.is_none_or(|client| self.calls_are_steady(client) && (*uses < 2 || self.is_the_same_again(client)))
        };
        !uses.iter().any(twice) || holes.iter().zip(&uses).all(still)
    }

    fn calls_are_steady(&self, client: &Value) -> bool {
        let own = |name: &str| self.catalog.user_functions.contains(name);
        !client.has(&mut |name, call| {
            name == "FuncCall"
                && match names(list(call, "funcname")).as_slice() {
                    [name] => own(name) || !functions::is_steady(name),
                    ["pg_catalog", name] => !functions::is_steady(name),
                    other => other != ["information_schema", "_pg_expandarray"],
                }
        })
    }

    /// Nothing in it is read anew, and no field is a call.
    fn is_the_same_again(&self, client: &Value) -> bool {
        let calls = |parts: &[Value]| names(parts).iter().any(|n| self.catalog.user_functions.contains(*n));
        !client.has(&mut |name, part| match name {
            "SubLink" => true,
            "ColumnRef" => self.copied || calls(list(part, "fields").get(1..).unwrap_or_default()),
            "AIndirection" => calls(list(part, "indirection")),
            _ => false,
        })
    }

    /// Whether a statement's columns may be copies of expressions that are read anew: those of queries in FROM and in WITH, and of the tenant's
    /// own views.
    pub(super) fn copies_columns(&self, statement: &Value) -> bool {
        statement.has(&mut |name, part| match name {
            "RangeSubselect" => gives_subquery(&part["subquery"]),
            "CommonTableExpr" => gives_subquery(&part["ctequery"]),
            "RangeVar" => {
                let found = self.catalog.find(text(part, "schemaname"), text(part, "relname"));
                found.is_some_and(|r| r.kind == 'v' && r.rule == TableRule::Own)
            }
            _ => false,
        })
    }
}

/// Whether a query, an arm of it, or one anywhere in it has a subquery among its columns.
pub(super) fn gives_subquery(query: &Value) -> bool {
    let subquery = |part: &Value| part.has(&mut |name, _| name == "SubLink");
    query.has(&mut |name, part| (name == "target_list" || name == "values_lists") && subquery(part))
}
