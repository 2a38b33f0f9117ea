//! Where a value that names an object by number may be shown by its name, told from the client's statement alone.

use super::catalogs::{is_dump_guard, is_scalar, reg_type, telling_star};
use super::{Walk, fields, kind, list, names};
use crate::sql::catalogs::regtypes;
use crate::sql::settings;
use crate::sql::tree::Value;

impl Walk<'_> {
    /// Before a statement: where a value may be shown by name, and whether `tableoid` may be added.
    pub(super) fn look_for_catalogs(&mut self, c: &Value) {
        self.allowed.clear();
        self.beside.clear();
        (self.rows_call, self.only_call) = (None, None);
        self.dump_guard = is_dump_guard(c) && !settings::may_show("restrict_nonsystem_relation_kind");
        self.tableoid = false;
        if let Some(("PrepareStmt" | "DeclareCursorStmt" | "ExplainStmt" | "CopyStmt", inner)) = kind(c) {
            return self.look_for_catalogs(&inner["query"]);
        }
        self.copied_within = self.copies_columns(c, true);
        // What is so outside of WITH queries is so somewhere.
        self.copied = self.copied_within && self.copies_columns(c, false);
        for target in kind(c).map(|(_, write)| list(&write["returning_clause"], "exprs")).unwrap_or_default() {
            self.allow(fields(target, "ResTarget").map_or(&Value::Null, |t| &t["val"]));
        }
        let Some(select) = fields(c, "SelectStmt") else { return };
        self.only_call = super::rows_calls::only_call(select);
        self.tableoid = select.has(&mut |name, value| name == "sval" && value.as_str() == Some("tableoid"))
            && !telling_star(c)
            && !select.has(&mut |name, value| name == "is_natural" && value.as_bool() == Some(true));
        if select["larg"].is_null() {
            for target in ["target_list", "sort_clause", "group_clause"].iter().flat_map(|k| list(select, k)) {
                let value = match kind(target) {
                    Some(("ResTarget", t)) => &t["val"],
                    Some(("SortBy", s)) => &s["node"],
                    _ => target,
                };
                self.allow(value);
            }
        } else {
            self.allow_arms(select);
        }
    }

    /// Of a set operation: what every arm gives as a value that names an object, so that no arm's literal is looked up.
    fn allow_arms(&mut self, select: &Value) {
        let mut arms: Vec<&[Value]> = Vec::new();
        let mut left = vec![select];
        while let Some(arm) = left.pop() {
            if arm["larg"].is_null() {
                arms.push(list(arm, "target_list"));
            } else {
                left.extend([&arm["larg"], &arm["rarg"]]);
            }
        }
        let shortest = arms.iter().map(|a| a.len()).min().unwrap_or_default();
        for column in 0..shortest {
            let values: Vec<&Value> = arms.iter().filter_map(|a| Some(&fields(a.get(column)?, "ResTarget")?["val"])).collect();
            if values.len() == arms.len() && values.iter().all(|v| names_by_itself(v)) {
                values.into_iter().for_each(|v| self.allow(v));
            }
        }
    }

    /// What stands here in the client's text may be shown by name: itself, or what a CASE or a subquery of nothing else gives.
    pub(super) fn allow(&mut self, value: &Value) {
        if let Some(case) = fields(value, "CaseExpr") {
            let results = list(case, "args").iter().filter_map(|w| fields(w, "CaseWhen")).map(|w| &w["result"]);
            let branches: Vec<&Value> = results.chain((!case["defresult"].is_null()).then_some(&case["defresult"])).collect();
            let plain = |b: &&&Value| match kind(b) {
                Some(("AConst", c)) => c["isnull"] == Value::Bool(true),
                Some(("SubLink", _)) => true,
                _ => names_by_itself(b),
            };
            if branches.iter().filter(plain).count() == branches.len() {
                branches.into_iter().for_each(|b| self.allow(b));
            }
            return;
        }
        if let Some(link) = fields(value, "SubLink") {
            if let Some(select) = fields(&link["subselect"], "SelectStmt").filter(|s| link["testexpr"].is_null() && s["larg"].is_null())
                && let [target] = list(select, "target_list")
                && let Some(target) = fields(target, "ResTarget")
                && is_scalar(link)
            {
                self.allow(&target["val"]);
            }
            return;
        }
        if let Some(place) = kind(value).and_then(|(_, v)| v["location"].as_i64()) {
            self.allowed.insert(place);
        }
    }
}

/// A cast or a call whose value names an object; beside it nothing is looked up.
fn names_by_itself(value: &Value) -> bool {
    match kind(value) {
        Some(("TypeCast", cast)) => reg_type(&cast["type_name"]).is_some(),
        Some(("FuncCall", call)) => names(list(call, "funcname")).last().is_some_and(|n| regtypes::names_an_object(n)),
        _ => false,
    }
}
