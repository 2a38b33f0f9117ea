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
        "regrole" => "role",
        _ => return None,
    })
}

/// The type that a call of `to_regclass` and its kin returns.
pub fn looked_up_by(function: &str) -> Option<&'static str> {
    Some(match function {
        "to_regclass" => "regclass",
        "to_regtype" => "regtype",
        "to_regproc" => "regproc",
        "to_regprocedure" => "regprocedure",
        "to_regnamespace" => "regnamespace",
        "to_regoper" => "regoper",
        "to_regoperator" => "regoperator",
        "to_regcollation" => "regcollation",
        "to_regrole" => "regrole",
        _ => return None,
    })
}

/// Whether a function gives a value that names an object.
pub fn names_an_object(function: &str) -> bool {
    looked_up_by(function).is_some()
        || set_of(function).is_some()
        || matches!(function, "pg_typeof" | "pg_partition_root" | "pg_partition_ancestors")
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
    let number = if as_number { "::pg_catalog.oid" } else { "" };
    let text = super::own_schema::looked_up(system, "$1::pg_catalog.text");
    let (set, text) = match type_name {
        "regclass" => ("rel", text),
        // `name(1)` fails where there is such a type.
        "regtype" => ("typ", format!("CASE WHEN pg_catalog.strpos({text}, pg_catalog.chr(40)) OPERATOR(pg_catalog.=) 0 THEN {text} END")),
        "regproc" => ("proc", text),
        "regoper" | "regcollation" => ("sys", text),
        "regrole" => return Some(role(&text, number, is_call)),
        // The others' texts name types, which fail where these are not there.
        _ => return None,
    };
    if type_name != "regclass" && type_name != "regtype" && !is_call {
        return None;
    }
    let found = format!("pg_catalog.to_{type_name}({text})");
    let otherwise = if is_call { String::new() } else { format!(" ELSE {}{number}", super::absent("$1::pg_catalog.text", type_name)) };
    Some(system.macros(&format!("CASE WHEN @{set}({found}::pg_catalog.oid) THEN {found}{number}{otherwise} END")))
}

/// The own role by a text that names it; no other is there. A cast of another name fails: nobody's role has this one (rolenames.c, reserved).
fn role(text: &str, number: &str, is_call: bool) -> String {
    let own = "pg_catalog.quote_ident(CURRENT_USER)";
    let otherwise = if is_call { String::new() } else { format!(" ELSE pg_catalog.quote_ident('none')::pg_catalog.regrole{number}") };
    format!("CASE WHEN {text} OPERATOR(pg_catalog.=) {own} THEN {own}::pg_catalog.regrole{number}{otherwise} END")
}

/// A call of one of `to_regclass` and its kin with a literal that the wall has resolved; NULL where it names nothing.
pub fn named(type_name: &str, resolved: Option<&str>, as_number: bool) -> String {
    let number = if as_number { "::pg_catalog.oid" } else { "" };
    match resolved {
        None if as_number => "NULL::pg_catalog.oid".to_owned(),
        None => format!("NULL::pg_catalog.{type_name}"),
        Some(oid) if type_name == "regnamespace" && as_number => format!("'{oid}'::pg_catalog.oid"),
        Some(oid) if type_name == "regnamespace" => format!("'{oid}'::pg_catalog.regnamespace"),
        Some(name) => format!("pg_catalog.to_{type_name}({}){number}", super::quote_text(name)),
    }
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
        let builtin = |n: &str| crate::sql::functions::is_type(n) || set_of(n).is_some() || PSEUDO.contains(&n);
        let dimensions = "[]".repeat(type_name["array_bounds"].as_array().map_or(0, Vec::len));
        match names.as_slice() {
            _ if !alone || type_name["setof"] == true || type_name["pct_type"] == true => None,
            [name] | ["pg_catalog", name] if builtin(name) && !self.types.contains_key(*name) => Some(text.trim().to_owned()),
            [name] if self.types.contains_key(*name) => {
                Some(format!("{}.{}{dimensions}", quote_name(&self.types[*name]), quote_name(name)))
            }
            [schema, name] if self.home.meant(schema).is_some_and(|s| self.types.get(*name).is_some_and(|own| own == s)) => {
                Some(format!("{}.{}{dimensions}", quote_name(&self.types[*name]), quote_name(name)))
            }
            [.., name] => {
                // The type of a listed table's rows.
                let relation = self.find(if names.len() == 2 { names[0] } else { "" }, name)?;
                let schema = self.home.meant(&relation.schema)?;
                (relation.kind != 'S').then(|| format!("{}.{}{dimensions}", quote_name(schema), quote_name(name)))
            }
            [] => None,
        }
    }

    /// A literal for `regproc` or `regprocedure`, qualified; None unless pg_catalog has a function of that name, or it is a listed one's.
    pub fn resolve_function(&self, text: &str, with_arguments: bool) -> Option<String> {
        let (name, arguments) = signature(text, with_arguments)?;
        let names = identifier(name)?;
        let listed = |schema: &str, name: &str| {
            let schema = self.home.meant(schema)?;
            self.functions.contains(&(schema.to_owned(), name.to_owned())).then(|| schema.to_owned())
        };
        let (schema, name) = match names.as_slice() {
            [name] if self.system.functions.contains(name) => ("pg_catalog".to_owned(), name),
            [name] => (self.search_path.iter().find_map(|schema| listed(schema, name))?, name),
            [schema, name] if schema == "pg_catalog" => (self.system.functions.get(name).map(|_| schema.clone())?, name),
            [schema, name] => (listed(schema, name)?, name),
            _ => return None,
        };
        let schema = if schema == "pg_catalog" { schema } else { quote_name(&schema) };
        let qualified = format!("{schema}.{}", quote_name(name));
        let Some(arguments) = arguments else { return Some(qualified) };
        Some(format!("{qualified}({})", self.resolve_types(arguments)?))
    }

    /// A literal for `regoper` or `regoperator`, qualified; None unless it is one of PostgreSQL's own.
    fn resolve_operator(&self, text: &str, with_arguments: bool) -> Option<String> {
        let (name, arguments) = signature(text, with_arguments)?;
        let name = name.trim();
        let bare = name.strip_prefix("pg_catalog.").unwrap_or(name);
        crate::sql::functions::find_operator(bare)?;
        let qualified = format!("pg_catalog.{bare}");
        let Some(arguments) = arguments else { return Some(qualified) };
        Some(format!("{qualified}({})", self.resolve_types(arguments)?))
    }

    fn resolve_types(&self, list: &str) -> Option<String> {
        let one = |text: &str| if text.eq_ignore_ascii_case("none") { Some("none".to_owned()) } else { self.resolve_type(text) };
        let types: Option<Vec<String>> = list.split(',').map(str::trim).filter(|t| !t.is_empty()).map(one).collect();
        types.map(|types| types.join(","))
    }

    /// A literal for a type that looks names up, as the server is to read it: a number, or a name with its schema. None where it names
    /// nothing that the tenant may know.
    pub fn resolve_named(&self, text: &str, type_name: &str) -> Option<String> {
        match type_name {
            "regclass" => self.resolve_relation(text).map(|(oid, _, _)| oid.to_string()),
            "regnamespace" => self.resolve_namespace(text).map(|oid| oid.to_string()),
            "regtype" => self.resolve_type(text),
            "regproc" => self.resolve_function(text, false),
            "regprocedure" => self.resolve_function(text, true),
            "regoper" => self.resolve_operator(text, false),
            "regoperator" => self.resolve_operator(text, true),
            "regcollation" => match identifier(text)?.as_slice() {
                [name] => Some(format!("pg_catalog.{}", quote_name(name))),
                [schema, name] if schema == "pg_catalog" => Some(format!("pg_catalog.{}", quote_name(name))),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A name, and the list behind it if there has to be one.
fn signature(text: &str, with_arguments: bool) -> Option<(&str, Option<&str>)> {
    match text.split_once('(') {
        Some((name, arguments)) if with_arguments => Some((name, Some(arguments.trim_end().strip_suffix(')')?))),
        None if !with_arguments => Some((text, None)),
        _ => None,
    }
}

/// Types that signatures and columns of catalogs have, and whose values nobody writes (pg_type.dat).
const PSEUDO: &[&str] = &[
    "aclitem",
    "any",
    "anyarray",
    "anycompatible",
    "anycompatiblearray",
    "anycompatiblemultirange",
    "anycompatiblenonarray",
    "anycompatiblerange",
    "anyelement",
    "anyenum",
    "anymultirange",
    "anynonarray",
    "anyrange",
    "cstring",
    "event_trigger",
    "fdw_handler",
    "gtsvector",
    "index_am_handler",
    "internal",
    "language_handler",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "record",
    "table_am_handler",
    "trigger",
    "tsm_handler",
];
