//! Names of objects as text: each literal became what the wall knows it to be, and what is computed is looked up only where it may be known.

use super::catalogs::{is_bare, string_of};
use super::{Res, Walk, disagree, kind, list, names};
use crate::sql::catalogs::{quote_text, regtypes};
use crate::sql::functions;
use crate::sql::tree::Value;

impl Walk<'_> {
    /// A cast of the client's to a type that looks names up.
    pub(super) fn reg_cast(&mut self, f: &Value, c: &Value, type_name: &str) -> Res<()> {
        self.named_value(f, &c["arg"], type_name, self.may_show(c))
    }

    fn named_value(&mut self, f: &Value, argument: &Value, type_name: &str, by_name: bool) -> Res<()> {
        let system = &self.catalog.system;
        let mut forms = Vec::new();
        if type_name == "regnamespace" && by_name && system.own_schema.is_some() {
            return disagree("a schema is shown by its own name");
        }
        if let Some(literal) = string_of(argument).filter(|l| type_name != "regrole" || regtypes::is_number(l) || *l == "-") {
            let Some((resolved, still_a_name)) = self.literal(literal, type_name, by_name) else { return disagree("a name is not known") };
            let quoted = quote_text(&resolved);
            if by_name {
                forms.push(format!("{quoted}::pg_catalog.{type_name}"));
            }
            forms.push(if still_a_name {
                format!("{quoted}::pg_catalog.{type_name}::pg_catalog.oid")
            } else {
                format!("{quoted}::pg_catalog.oid")
            });
            return self.is_form(f, &forms, None);
        }
        if by_name {
            forms.extend(regtypes::shown(system, type_name));
            forms.extend(regtypes::looked_up(system, type_name, false, false));
        }
        forms.push("$1::pg_catalog.oid".to_owned());
        forms.extend(regtypes::looked_up(system, type_name, true, false));
        self.allow(argument);
        self.is_form(f, &forms, Some(argument))
    }

    /// What a literal has to become, and whether the server still reads it as a name.
    fn literal(&self, literal: &str, type_name: &str, by_name: bool) -> Option<(String, bool)> {
        let number = if literal == "-" { Some(0) } else { literal.parse::<u32>().ok().filter(|_| regtypes::is_number(literal)) };
        if let Some(number) = number {
            let set = regtypes::set_of(type_name)?;
            return (!by_name || (set != "role" && self.catalog.system.known.has(set, number))).then(|| (number.to_string(), false));
        }
        let found = self.catalog.resolve_named(literal, type_name)?;
        Some((found, !matches!(type_name, "regclass" | "regnamespace")))
    }

    /// `to_regclass(x)` and its kin.
    pub(super) fn look_up_call(&mut self, f: &Value, c: &Value, type_name: &str) -> Res<()> {
        let [argument] = list(c, "args") else { return disagree("a look-up of more than one name") };
        let (system, shown) = (&self.catalog.system, self.may_show(c));
        if type_name == "regnamespace" && system.own_schema.is_some() {
            return disagree("a schema is shown by its own name");
        }
        let modes: &[bool] = if shown { &[true, false] } else { &[true] };
        let mut forms: Vec<String> = Vec::new();
        for number in modes {
            match string_of(argument).filter(|_| !matches!(type_name, "regclass" | "regrole")) {
                Some(text) => forms.push(regtypes::named(type_name, self.catalog.resolve_named(text, type_name).as_deref(), *number)),
                None => forms.extend(regtypes::looked_up(system, type_name, *number, true)),
            }
        }
        self.is_form(f, &forms, Some(argument))
    }

    /// A type's name in a call's place, where it can be no function's: a cast. None where the call is one.
    pub(super) fn typed_call(&mut self, f: &Value, c: &Value, name: &str) -> Option<Res<()>> {
        let (fk, fv) = kind(f)?;
        let [argument] = list(c, "args") else { return None };
        let own_name = self.catalog.user_functions.contains(name) || self.catalog.types.contains_key(name);
        let bare = is_bare(c) && c["func_variadic"] == Value::Bool(false);
        if own_name || !bare || functions::find(name).is_some() || fk == "FuncCall" {
            return None;
        }
        let literal = string_of(argument).is_some();
        if regtypes::set_of(name).is_some() {
            return literal.then(|| self.named_value(f, argument, name, self.may_show(c)));
        }
        let system = &self.catalog.system;
        let certain = literal || (system.is_read() && !system.functions.contains(name));
        if !functions::is_type(name) || !certain || fk != "TypeCast" {
            return None;
        }
        let type_name = &fv["type_name"];
        let plain = names(list(type_name, "names")) == ["pg_catalog", name]
            && ["typmods", "array_bounds"].iter().all(|k| list(type_name, k).is_empty())
            && ["setof", "pct_type"].iter().all(|k| type_name[*k] == Value::Bool(false));
        Some(if plain { self.same(&fv["arg"], argument) } else { disagree("a type's name in a call's place became something else") })
    }
}
