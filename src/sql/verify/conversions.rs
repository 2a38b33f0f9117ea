//! Conversions that nobody wrote and that can fail (see `sql::conversions`): proved by rules of its own to be fenced on rows of `through` tables.

use super::scopes::Level;
use super::{Res, Walk, disagree, fields, kind, list, names, text};
use crate::sql::catalog::SYSTEM_COLUMNS;
use crate::sql::conversions as facts;
use crate::sql::tree::Value;
use pg_query::protobuf::SubLinkType;

impl Walk<'_> {
    /// Before a statement of the client's is walked: whether something in it may make PostgreSQL convert a column of a `through` table.
    pub(super) fn look_for_conversions(&mut self, client: &Value) {
        let prepared = fields(client, "PrepareStmt").map(|p| list(p, "argtypes")).unwrap_or_default();
        let firm = |t: &Value| fields(t, "TypeName").and_then(|t| names(list(t, "names")).last().copied()).is_some_and(facts::is_firm_type);
        self.conditions.loose = self.private.loose_parameters || !prepared.iter().all(firm);
        self.look_for_collations(client);
        self.look_for_shapes(client);
        (self.conditions.mixes, self.conditions.converts) = (false, false);
        if !self.catalog.converts {
            return;
        }
        let mut found = self.conditions.loose;
        let (mut star, mut loose) = (false, false);
        client.has(&mut |name, part| {
            star |= name == "AStar";
            let named = || self.catalog.find(text(part, "schemaname"), text(part, "relname"));
            loose |= name == "RangeVar" && named().is_some_and(|r| r.columns.iter().any(|c| facts::is_loose(c.type_oid)));
            found |= self.makes_convert(name, part);
            found
        });
        found |= star && loose;
        let through = client.has(&mut |name, part| {
            let named = || self.catalog.find(text(part, "schemaname"), text(part, "relname"));
            matches!(name, "RangeVar" | "relation") && named().is_some_and(|r| r.through().is_some() || r.is_expanded())
        });
        self.conditions.mixes = through;
        self.conditions.converts = self.conditions.mixes && found;
    }

    fn makes_convert(&self, name: &str, part: &Value) -> bool {
        match name {
            "ColumnRef" => {
                let parts = list(part, "fields");
                let named = names(parts);
                named.last().is_some_and(|column| self.catalog.loose_columns.contains(*column) || SYSTEM_COLUMNS.contains(column))
            }
            "FuncCall" => !names(list(part, "funcname")).last().is_some_and(|n| facts::is_firm_call(n)),
            "AExpr" => !names(list(part, "name")).last().is_some_and(|n| firm_operator(n)),
            "type_name" | "TypeName" if !part.is_null() => !names(list(part, "names")).last().is_some_and(|n| facts::is_firm_type(n)),
            "RangeVar" => {
                let (schema, relation) = (text(part, "schemaname"), text(part, "relname"));
                relation.starts_with("pg_")
                    || ["pg_catalog", "information_schema"].contains(&schema)
                    || self.catalog.find(schema, relation).is_some_and(|r| r.is_expanded())
            }
            "colnames" | "aliascolnames" => part.as_array().is_some_and(|n| !n.is_empty()) && !self.catalog.loose_columns.is_empty(),
            _ => false,
        }
    }

    /// Whether a node of the client's converts one of its parts, and can fail so.
    pub(super) fn conversion_fails(&self, kind: &str, node: &Value) -> bool {
        if !self.conditions.mixes {
            return false;
        }
        let converts = self.conditions.converts;
        match kind {
            "CoalesceExpr" | "MinMaxExpr" => !self.of_one_type(list(node, "args").iter()),
            "CaseExpr" => {
                let arms = || list(node, "args").iter().filter_map(|a| fields(a, "CaseWhen"));
                let given = arms().map(|a| &a["result"]).chain([&node["defresult"]]);
                let compared = arms().map(|a| &a["expr"]).chain([&node["arg"]]);
                !self.of_one_type(given) || (!node["arg"].is_null() && !self.of_one_type(compared))
            }
            "AExpr" => converts && !(self.firm(&node["lexpr"]) && self.firm(&node["rexpr"])),
            "FuncCall" => converts && !names(list(node, "funcname")).last().is_some_and(|n| facts::is_firm_call(n)),
            "SubLink" => {
                use SubLinkType as T;
                let quiet = [T::ExistsSublink, T::ExprSublink, T::ArraySublink].map(|t| i64::from(t as i32));
                converts && !node["sub_link_type"].as_i64().is_some_and(|t| quiet.contains(&t))
            }
            _ => false,
        }
    }

    /// What USING and NATURAL compare is in no fence.
    pub(super) fn using_is_firm(&self, join: &Value, level: &Level, first: usize) -> Res<()> {
        let merges = join["is_natural"] == Value::Bool(true) || !list(join, "using_clause").is_empty();
        let by_parent = level.items.iter().skip(first).any(|i| i.guard.as_ref().is_some_and(|g| !g.exists.is_null()));
        if merges && by_parent && self.conditions.converts {
            return disagree("a join may convert columns before a guard by way of a parent");
        }
        Ok(())
    }

    fn of_one_type<'v>(&self, values: impl Iterator<Item = &'v Value>) -> bool {
        let mut one = None;
        let mut same = true;
        for value in values {
            same &= match kind(value) {
                None | Some(("AConst", _)) => true,
                Some(("ParamRef", _)) => !self.conditions.loose,
                Some(("ColumnRef", column)) => {
                    self.types_of(column).is_some_and(|types| types.into_iter().all(|t| !facts::is_loose(t) && *one.get_or_insert(t) == t))
                }
                _ => false,
            };
        }
        same
    }

    /// No type that makes others convert comes out of it.
    pub(super) fn firm(&self, value: &Value) -> bool {
        let all = |v: &Value, name: &str| list(v, name).iter().all(|part| self.firm(part));
        let Some((name, node)) = kind(value) else { return true };
        match name {
            "AConst" | "SqlvalueFunction" | "BoolExpr" | "NullTest" | "BooleanTest" => true,
            "ParamRef" => !self.conditions.loose,
            "ColumnRef" => self.types_of(node).is_some_and(|types| !types.into_iter().any(facts::is_loose)),
            "TypeCast" => names(list(&node["type_name"], "names")).last().is_some_and(|n| facts::is_firm_type(n)),
            "FuncCall" => names(list(node, "funcname")).last().is_some_and(|n| facts::is_firm_call(n)),
            "AExpr" => {
                let operator = names(list(node, "name")).last().is_some_and(|n| firm_operator(n));
                operator && self.firm(&node["lexpr"]) && self.firm(&node["rexpr"])
            }
            "CoalesceExpr" | "MinMaxExpr" | "RowExpr" => all(node, "args"),
            "List" => all(node, "items"),
            "AArrayExpr" => all(node, "elements"),
            "CaseWhen" => self.firm(&node["result"]),
            "CaseExpr" => node["arg"].is_null() && all(node, "args") && self.firm(&node["defresult"]),
            "CollateClause" => self.firm(&node["arg"]),
            _ => false,
        }
    }

    /// The types that a column may have; None where something of unknown columns may be meant.
    pub(super) fn types_of(&self, column: &Value) -> Option<Vec<u32>> {
        let parts = list(column, "fields");
        let named = names(parts);
        let (of, column) = match (named.len() == parts.len(), named.as_slice()) {
            (true, [column]) => (None, *column),
            (true, [of, column] | [_, of, column]) => (Some(*of), *column),
            _ => return None,
        };
        for level in self.levels.iter().rev() {
            let candidates = || level.items.iter().filter(|i| of.is_none_or(|of| i.name == of));
            let types: Vec<u32> =
                candidates().filter_map(|i| i.relation.as_ref()?.columns.iter().find(|c| c.name == column)).map(|c| c.type_oid).collect();
            if !types.is_empty() {
                return Some(types);
            }
            if candidates().any(|i| i.relation.is_none() || of.is_some()) {
                return None;
            }
        }
        None
    }
}

fn firm_operator(name: &str) -> bool {
    facts::is_firm_operator(name) || name.contains("BETWEEN")
}
