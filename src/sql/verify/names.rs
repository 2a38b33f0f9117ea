//! Names of objects as text: each literal became what the wall knows it to be, and what is computed is looked up only where it may be known.

use super::catalogs::{is_bare, reg_type, string_of};
use super::{Res, Walk, disagree, fields, kind, list, names};
use crate::sql::catalogs::{quote_text, regtypes};
use crate::sql::tree::Value;
use crate::sql::{functions, settings};

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

    /// An operation of the client's: literals beside a relation or a schema by its name are names as well.
    pub(super) fn note_names(&mut self, operation: &Value) {
        let type_of = |side: &Value| {
            let name = match kind(side)? {
                ("TypeCast", cast) => reg_type(&cast["type_name"])?,
                ("FuncCall", call) => regtypes::looked_up_by(names(list(call, "funcname")).last()?)?,
                _ => return None,
            };
            ["regclass", "regnamespace"].into_iter().find(|t| *t == name)
        };
        let sides = [&operation["lexpr"], &operation["rexpr"]];
        let Some(type_name) = sides.into_iter().find_map(type_of) else { return };
        if !matches!(names(list(operation, "name")).last(), Some(&("=" | "<>"))) {
            return;
        }
        for side in sides {
            let all = fields(side, "List").map_or(std::slice::from_ref(side), |l| list(l, "items"));
            let literals = all.iter().filter(|v| string_of(v).is_some()).filter_map(|v| kind(v)?.1["location"].as_i64());
            self.beside.extend(literals.map(|place| (place, type_name)));
        }
    }

    /// One of those literals: it has to have become the number of what it names.
    pub(super) fn name_beside(&mut self, f: &Value, c: &Value) -> Option<Res<()>> {
        let type_name = self.beside.get(&c["location"].as_i64()?)?;
        let text = c["val"]["Sval"]["sval"].as_str().filter(|t| !regtypes::is_number(t) && *t != "-")?;
        let found = self.catalog.resolve_named(text, type_name);
        let same = found.is_some() && string_of(f) == found.as_deref();
        Some(if same { Ok(()) } else { disagree("a name beside a value that names an object was looked up otherwise") })
    }

    /// `current_setting('x', true)` of a setting that the server does not have: it is NULL.
    pub(super) fn missing_setting(&mut self, f: &Value, c: &Value, name: &str) -> Option<Res<()>> {
        let [setting, missing] = list(c, "args") else { return None };
        let setting = string_of(setting).filter(|_| name == "current_setting" && kind(f).is_some_and(|(k, _)| k == "TypeCast"))?;
        let yes = fields(missing, "AConst").is_some_and(|c| c["val"]["Boolval"]["boolval"] == Value::Bool(true));
        let known = settings::may_show(setting) || settings::refused(setting, &self.catalog.settings.names, "examine").sqlstate != "42704";
        Some(if yes && !known && is_bare(c) {
            self.is_form(f, &["NULL::pg_catalog.text".to_owned()], None)
        } else {
            disagree("a setting became something else")
        })
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
