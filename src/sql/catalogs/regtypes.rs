//! Names of objects as text (`'orders'::regclass`), resolved by the wall: the server is never asked about a name of the tenant's.

use super::super::Catalog;
use super::{System, quote_name};

/// What a cast to a type that looks names up becomes, with `$1` for the operand. `set` says which numbers may be shown by name.
pub fn set_of(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "regclass" => "rel",
        "regtype" => "typ",
        "regproc" | "regprocedure" => "proc",
        "regnamespace" => "nsp",
        "regoper" | "regoperator" | "regcollation" => "sys",
        _ => return None,
    })
}

/// The type that a call of `to_regclass` and its kin returns.
pub fn looked_up_by(function: &str) -> Option<&'static str> {
    Some(match function {
        "to_regclass" => "regclass",
        "to_regtype" => "regtype",
        _ => return None,
    })
}

/// Whether this type's input looks a name up (regclass and its kin, aclitem, and arrays of them): a parameter of such a type would ask
/// the server about a name the wall has not seen.
pub fn looks_names_up(type_oid: u32) -> bool {
    matches!(type_oid, 24 | 1008 | 1033 | 1034 | 2202..=2211 | 4089 | 4090 | 4096 | 4097 | 4191 | 4192)
}

/// Whether a function takes any value as it is, with no other beside it to be looked up.
pub fn takes_anything(function: &str) -> bool {
    matches!(
        function,
        "format" | "concat" | "concat_ws" | "json_build_array" | "json_build_object" | "jsonb_build_array" | "jsonb_build_object"
    )
}

/// `$1`, a number, shown by name if it may be known.
pub fn shown(system: &System, type_name: &str) -> Option<String> {
    // Its text would be the schema's own name.
    let set = set_of(type_name).filter(|_| type_name != "regnamespace" || system.own_schema.is_none())?;
    let number = "$1::pg_catalog.oid";
    Some(system.macros(&format!("CASE WHEN @{set}({number}) THEN {number}::pg_catalog.{type_name} END")))
}

/// `$1`, a text, looked up: as it is shown, or as a number. A cast of what is not there fails; a call gives NULL.
pub fn looked_up(system: &System, type_name: &str, as_number: bool, is_call: bool) -> Option<String> {
    let set = match type_name {
        "regclass" => "rel",
        "regtype" => "typ",
        _ => return None,
    };
    let found = format!("pg_catalog.to_{type_name}({})", super::own_schema::looked_up(system, "$1::pg_catalog.text"));
    let number = if as_number { "::pg_catalog.oid" } else { "" };
    let otherwise = if is_call { String::new() } else { format!(" ELSE {}{number}", super::absent("$1::pg_catalog.text", type_name)) };
    Some(system.macros(&format!("CASE WHEN @{set}({found}::pg_catalog.oid) THEN {found}{number}{otherwise} END")))
}

/// The names of a possibly qualified, possibly quoted identifier; None where it is malformed.
pub fn identifier(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                let (at, c) = chars.next()?;
                match c {
                    '"' if quoted[at + 1..].starts_with('"') => {
                        name.push('"');
                        chars.next();
                    }
                    '"' => break at + 1,
                    c => name.push(c),
                }
            };
            rest = quoted[end..].trim_start();
            names.push(name);
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
            names.push(rest[..end].to_lowercase());
            rest = rest[end..].trim_start();
        }
        if names.last().is_none_or(String::is_empty) {
            return None;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None => return rest.is_empty().then_some(names),
        }
    }
}

/// Whether a literal is a number, which every one of these types reads as an object's number.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit())
}

impl Catalog {
    /// The relation that a literal names: number, schema, name. A system relation, or a listed one.
    pub fn resolve_relation(&self, text: &str) -> Option<(u32, String, String)> {
        let names = identifier(text)?;
        let (schema, name) = match names.as_slice() {
            [name] => ("", name.as_str()),
            [schema, name] => (schema.as_str(), name.as_str()),
            _ => return None,
        };
        if let Some(found) = self.system.schema_of(schema, name) {
            return Some((self.system.oid_of(schema, name)?, found.to_owned(), name.to_owned()));
        }
        let schemas: Vec<&str> = if schema.is_empty() { self.search_path.iter().map(String::as_str).collect() } else { vec![schema] };
        schemas.into_iter().find_map(|schema| {
            let key = (schema.to_owned(), name.to_owned());
            let oid = self.relations.get(&key).map(|r| r.oid).or_else(|| self.system.others.get(&key).copied())?;
            Some((oid, self.home.meant(&key.0)?.to_owned(), key.1))
        })
    }

    /// The number of a known schema that a literal names.
    pub fn resolve_namespace(&self, text: &str) -> Option<u32> {
        match identifier(text)?.as_slice() {
            [name] => self.system.namespaces.get(name).copied(),
            _ => None,
        }
    }

    /// A literal for `regtype`, a user's type with its schema; None unless the type is built in or known.
    pub fn resolve_type(&self, text: &str) -> Option<String> {
        let parsed = pg_query::parse(&format!("SELECT NULL::{text}"), pg_query::ParserOptions::default()).ok()?;
        let tree = serde_json::to_value(&parsed.protobuf.stmts).ok()?;
        let select = &tree.as_array().filter(|all| all.len() == 1)?[0]["stmt"]["node"]["SelectStmt"];
        let target = &select["target_list"].as_array().filter(|all| all.len() == 1)?[0]["node"]["ResTarget"]["val"]["node"]["TypeCast"];
        let alone = target["arg"]["node"]["AConst"]["isnull"] == true && select["from_clause"].as_array().is_some_and(Vec::is_empty);
        let type_name = &target["type_name"];
        let names: Vec<&str> = type_name["names"].as_array()?.iter().filter_map(|n| n["node"]["String"]["sval"].as_str()).collect();
        let builtin = |n: &str| crate::sql::functions::is_type(n) || set_of(n).is_some() || matches!(n, "cstring" | "record" | "trigger");
        let dimensions = "[]".repeat(type_name["array_bounds"].as_array().map_or(0, Vec::len));
        match names.as_slice() {
            _ if !alone || type_name["setof"] == true || type_name["pct_type"] == true => None,
            [name] | ["pg_catalog", name] if builtin(name) && !self.types.contains_key(*name) => Some(text.trim().to_owned()),
            [name] => self.types.get(*name).map(|schema| format!("{}.{}{dimensions}", quote_name(schema), quote_name(name))),
            [schema, name] => {
                let schema = self.home.meant(schema).filter(|schema| self.types.get(*name).is_some_and(|s| s == schema))?;
                Some(format!("{}.{}{dimensions}", quote_name(schema), quote_name(name)))
            }
            _ => None,
        }
    }

    /// A literal for `regproc` or `regprocedure`, qualified; None unless pg_catalog has a function of that name.
    pub fn resolve_function(&self, text: &str, with_arguments: bool) -> Option<String> {
        let (name, arguments) = match text.split_once('(') {
            Some((name, arguments)) if with_arguments => (name, Some(arguments.trim_end().strip_suffix(')')?)),
            None if !with_arguments => (text, None),
            _ => return None,
        };
        let names = identifier(name)?;
        let name = match names.as_slice() {
            [name] => name,
            [schema, name] if schema == "pg_catalog" => name,
            _ => return None,
        };
        if !self.system.functions.contains(name) {
            return None;
        }
        let qualified = format!("pg_catalog.{}", quote_name(name));
        let Some(arguments) = arguments else { return Some(qualified) };
        let builtin = |t: &str| matches!(t, "cstring" | "internal" | "integer" | "bigint" | "boolean") || crate::sql::functions::is_type(t);
        let types: Vec<&str> = arguments.split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
        types.iter().all(|t| builtin(t)).then(|| format!("{qualified}({})", types.join(",")))
    }
}
