//! No text search object is looked up by a name with a schema that is not known, nor, where schemas are tenants', by a name that is computed.

use super::catalogs::string_of;
use super::{Res, Walk, disagree, fields, kind, list, names};
use crate::sql::catalogs::search;
use crate::sql::tree::Value;

impl Walk<'_> {
    /// Of a node of the client's, before it is compared with what became of it.
    pub(super) fn search_names(&mut self, c: &Value) -> Res<()> {
        let holds = match kind(c) {
            Some(("TypeCast", cast)) => {
                let to = &cast["type_name"];
                let searches = search::is_search_type(&names(list(to, "names"))) && !self.is_own_type(to);
                self.conditions.literal_search = searches;
                !searches
                    || (list(to, "array_bounds").is_empty() && to["setof"] != Value::Bool(true) && self.is_known_name(&cast["arg"], true))
            }
            Some(("FuncCall", call)) => {
                let args = list(call, "args");
                match names(list(call, "funcname")).as_slice() {
                    [name] | ["pg_catalog", name] if search::takes_name(name, args.len()) => {
                        let computed = matches!(*name, "ts_parse" | "ts_token_type");
                        let by_name = args.iter().any(|a| fields(a, "NamedArgExpr").is_some());
                        let looked_at = args.iter().take(if by_name { args.len() } else { 1 });
                        looked_at
                            .map(|a| fields(a, "NamedArgExpr").map_or(a, |named| &named["arg"]))
                            .all(|a| self.is_known_name(a, computed))
                    }
                    [name] if list(call, "args").len() == 1 && search::is_search_type(&[*name]) => self.is_known_name(&args[0], true),
                    _ => true,
                }
            }
            _ => true,
        };
        if holds { Ok(()) } else { disagree("a text search object may be looked up in a schema of others") }
    }

    /// Where the type of a value stands outside of such a cast.
    pub(super) fn is_searched_elsewhere(&mut self, type_names: &[&str]) -> bool {
        let literal = std::mem::take(&mut self.conditions.literal_search);
        search::is_search_type(type_names) && !literal && self.catalog.only_names_search_by_literals()
    }

    fn is_own_type(&self, type_name: &Value) -> bool {
        let own = |n: &&str| self.catalog.types.contains_key(*n) || self.private.temps.row_type(n).is_some();
        names(list(type_name, "names")).last().is_some_and(own)
    }

    fn is_known_name(&self, value: &Value, computed: bool) -> bool {
        match kind(value) {
            Some(("AConst", c)) => match string_of(value) {
                Some(text) => self.catalog.may_name_search(text),
                None => c["isnull"] == Value::Bool(true),
            },
            Some(("ParamRef", _)) => !self.catalog.only_names_search_by_literals(),
            _ => is_typed(value) && (!computed || !self.catalog.only_names_search_by_literals()),
        }
    }
}

/// No literal that PostgreSQL would still read as a name: of type `unknown`, or with a collation.
fn is_typed(value: &Value) -> bool {
    let last = |of: &Value, field: &str| names(list(of, field)).last().is_some_and(|name| *name != "unknown");
    match kind(value) {
        Some(("AExpr" | "CaseExpr" | "CoalesceExpr" | "SubLink", _)) => true,
        Some(("ColumnRef", column)) => last(column, "fields"),
        Some(("FuncCall", call)) => last(call, "funcname"),
        Some(("TypeCast", cast)) => last(&cast["type_name"], "names"),
        _ => false,
    }
}
