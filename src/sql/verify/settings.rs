//! SET and RESET: what they name may be set, and to what.

use super::{Res, Walk, disagree, fields, list, text};
use crate::sql::tree::Value;
use pg_query::protobuf::VariableSetKind as Kind;

impl Walk<'_> {
    /// SET, RESET, and SET TRANSACTION.
    pub(super) fn set(&mut self, f: &Value, c: &Value) -> Res<()> {
        if let Some(proved) = self.set_path(f, c) {
            return proved;
        }
        let is = |x: &Value, kind: Kind| x["kind"].as_i64() == Some(i64::from(kind as i32));
        let name = text(f, "name");
        let path = name.eq_ignore_ascii_case("search_path");
        let proved = match () {
            // The modes are proved one by one.
            () if is(f, Kind::VarSetMulti) => matches!(name, "TRANSACTION" | "SESSION CHARACTERISTICS"),
            () if is(f, Kind::VarResetAll) => true,
            () if is(f, Kind::VarSetDefault) || is(f, Kind::VarReset) => path || self.catalog.settings.admit(name, None).is_ok(),
            () if is(f, Kind::VarSetValue) => {
                let values: Option<Vec<String>> = list(f, "args").iter().map(constant).collect();
                match values {
                    Some(values) if path => values.iter().all(|schema| self.path_is_known(schema)),
                    Some(values) => self.catalog.settings.admit(name, Some(&values.join(", "))).is_ok(),
                    None => self.catalog.settings.admit_any(name),
                }
            }
            () => false,
        };
        if !proved {
            return disagree("a setting may not be set so");
        }
        // A longer time than the operator's is the operator's.
        if is(f, Kind::VarSetDefault) && is(c, Kind::VarSetValue) && self.catalog.settings.time(name).is_some() {
            return if list(f, "args").is_empty() { self.rest(f, c, &["kind", "args"]) } else { disagree("DEFAULT has a value") };
        }
        self.rest(f, c, &[])
    }
}

fn constant(value: &Value) -> Option<String> {
    let value = &fields(value, "AConst")?["val"];
    let string = |kind: &str, field: &str| value[kind][field].as_str().map(str::to_owned);
    let number = || value["Ival"]["ival"].as_i64().map(|n| n.to_string());
    let truth = || value["Boolval"]["boolval"].as_bool().map(|b| b.to_string());
    string("Sval", "sval").or_else(number).or_else(|| string("Fval", "fval")).or_else(truth)
}
