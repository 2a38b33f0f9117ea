//! What the client writes into the tenant column: nothing but what is, or will be, compared with the tenant's own id.

use super::write::{Target, holds_star, is_marker, one_case};
use super::{Res, Walk, disagree, fields, kind, list, names, text};
use crate::sql::tree::Value;

impl Walk<'_> {
    /// Where the tenant's parameters stand.
    pub(super) fn note_parameters(&mut self, f: &Value) {
        let (first, parameters) = (self.first, &mut self.proof.parameters);
        f.has(&mut |name, part| {
            if name == "ParamRef"
                && let Some(number) = part["number"].as_i64().filter(|n| *n >= first)
            {
                parameters.push((part["location"].as_u64().unwrap_or(u64::MAX) as usize, number));
            }
            false
        });
    }

    /// Where the client names the tenant column: each arm's value at that place is sound; a checked column is put back as it was.
    pub(super) fn own_arms(&mut self, f: &mut Value, c: &Value, position: usize, target: &Target) -> Res<()> {
        if !c["larg"].is_null() {
            self.own_arms(&mut f["larg"], &c["larg"], position, target)?;
            return self.own_arms(&mut f["rarg"], &c["rarg"], position, target);
        }
        let rows = list(c, "values_lists");
        for row in rows {
            let value = fields(row, "List").and_then(|r| list(r, "items").get(position));
            self.own_value(value.unwrap_or(&Value::Null), target)?;
        }
        if !rows.is_empty() {
            return Ok(());
        }
        if list(c, "target_list").iter().take(position).any(holds_star) {
            return disagree("the tenant column may stand elsewhere");
        }
        let Some(value) = f["target_list"]
            .as_array_mut()
            .and_then(|all| all.get_mut(position))
            .and_then(|t| t["node"].get_mut("ResTarget")?.get_mut("val"))
        else {
            return disagree("the tenant column takes nothing");
        };
        self.own_expression(value, target)
    }

    /// A literal, a parameter, or a column that is checked at run time, which is put back as the client wrote it.
    pub(super) fn own_expression(&mut self, value: &mut Value, target: &Target) -> Res<()> {
        if let Some((when, case)) = one_case(value) {
            let Some((check, inner)) = one_case(&when["expr"]) else { return disagree("the tenant column takes an unchecked value") };
            let own = fields(&check["expr"], "AExpr");
            let own = own.filter(|x| x["kind"].as_i64() == Some(1) && names(list(x, "name")) == ["pg_catalog", "="]);
            let truth = fields(&check["result"], "AConst").is_some_and(|t| t["val"]["Boolval"]["boolval"] == Value::Bool(true));
            let Some(own) = own.filter(|_| truth && case["defresult"].is_null() && is_marker(&inner["defresult"], "partywall:tenant"))
            else {
                return disagree("the tenant column takes an unchecked value");
            };
            self.tenant_value(&own["rexpr"])?;
            self.tenant_value(&when["result"])?;
            if fields(&own["lexpr"], "ColumnRef").is_none() {
                return disagree("the tenant column takes an unchecked value");
            }
            *value = own["lexpr"].clone();
            return Ok(());
        }
        self.own_value(value, target)
    }

    /// Literals and parameters of the client, perhaps cast to the column's own type: their values are checked when they are known, so
    /// they are noted.
    fn own_value(&mut self, value: &Value, target: &Target) -> Res<()> {
        let inner = match fields(value, "TypeCast") {
            Some(cast) if !target.has_type(&cast["type_name"]) => return disagree("the tenant column takes a value of another type"),
            Some(cast) => &cast["arg"],
            None => value,
        };
        match kind(inner) {
            Some(("ParamRef", p)) => match p["number"].as_i64().filter(|n| *n < self.first).and_then(|n| u16::try_from(n).ok()) {
                Some(number) => self.proof.own_parameters.push(number),
                None => return disagree("the tenant column takes something that cannot be checked"),
            },
            Some(("AConst", v)) if v["isnull"] == Value::Bool(false) => match written(&v["val"]) {
                Some(literal) => self.proof.own_literals.push(literal),
                None => return disagree("the tenant column takes something that cannot be checked"),
            },
            _ => return disagree("the tenant column takes something that cannot be checked"),
        }
        Ok(())
    }

    /// SET gives the tenant column nothing but the own id, or in an upsert what the INSERT gave it.
    pub(super) fn sets_own(&mut self, targets: &[Value], target: &Target, excluded: bool) -> Res<()> {
        target.hides_from(targets)?;
        self.keeps_its_rows(&target.relation, Some(targets))?;
        for set in targets.iter().filter_map(|t| fields(t, "ResTarget")).filter(|t| text(t, "name") == target.column) {
            if !list(set, "indirection").is_empty() {
                return disagree("the tenant column is assigned");
            }
            let column = fields(&set["val"], "ColumnRef").map(|c| names(list(c, "fields")));
            if excluded && column.is_some_and(|c| c == ["excluded", target.column.as_str()]) {
                continue;
            }
            self.own_value(&set["val"], target)?;
        }
        Ok(())
    }
}

/// A string or a number as the client wrote it.
fn written(value: &Value) -> Option<String> {
    let (kind, inner) = value.as_object()?.iter().next()?;
    match kind {
        "Sval" => Some(inner["sval"].as_str()?.to_owned()),
        "Fval" => Some(inner["fval"].as_str()?.to_owned()),
        "Ival" => Some(inner["ival"].as_i64().unwrap_or_default().to_string()),
        _ => None,
    }
}
