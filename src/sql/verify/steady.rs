//! The wall's texts name some of the client's expressions twice, to ask whether an object is known and to show it: they must be certain to give
//! the same both times.

use super::{MATERIALIZED, Walk, fields, list, names, text};
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
    /// own views. `everywhere`: also those within WITH queries that are never merged, which nothing outside of them sees.
    pub(super) fn copies_columns(&self, statement: &Value, everywhere: bool) -> bool {
        let below = |part: &Value| self.copies_columns(part, everywhere);
        let by_name = |(name, part): (&str, &Value)| match name {
            "RangeSubselect" => gives_subquery(&part["subquery"]) || below(part),
            "RangeVar" => {
                let found = self.catalog.find(text(part, "schemaname"), text(part, "relname"));
                found.is_some_and(|r| r.kind == 'v' && r.rule == TableRule::Own)
            }
            "with_clause" => {
                let recursive = part["recursive"] == Value::Bool(true);
                list(part, "ctes").iter().filter_map(|q| fields(q, "CommonTableExpr")).any(|q| {
                    let kept = q["ctematerialized"].as_i64() == Some(MATERIALIZED) || (recursive && is_recursive(q));
                    match kept {
                        true => everywhere && below(&q["ctequery"]),
                        false => gives_subquery(&q["ctequery"]) || below(&q["ctequery"]),
                    }
                })
            }
            _ => below(part),
        };
        match statement {
            Value::Array(all) => all.iter().any(below),
            Value::Object(all) => all.iter().any(by_name),
            _ => false,
        }
    }
}

/// A WITH query that certainly names itself, and no query of its own by its name: it is never merged into where it is named.
fn is_recursive(query: &Value) -> bool {
    let name = text(query, "ctename");
    let Some(set) = fields(&query["ctequery"], "SelectStmt").filter(|s| !s["rarg"].is_null()) else { return false };
    let shadowed = set.has(&mut |kind, part| kind == "CommonTableExpr" && text(part, "ctename") == name);
    !shadowed
        && set["rarg"].has(&mut |kind, part| kind == "RangeVar" && text(part, "relname") == name && text(part, "schemaname").is_empty())
}

/// Whether a query, an arm of it, or one anywhere in it has a subquery among its columns.
pub(super) fn gives_subquery(query: &Value) -> bool {
    let subquery = |part: &Value| part.has(&mut |name, _| name == "SubLink");
    query.has(&mut |name, part| (name == "target_list" || name == "values_lists") && subquery(part))
}
