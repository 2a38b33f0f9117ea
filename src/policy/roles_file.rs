//! Reads `roles:` of a policy file.

use super::model::Place;
use super::roles::{Columns, CommandRule, Extent, Grant, RedisRights, RoleRules, Roles, Verb};
use crate::config::document::{Node, Reader, Value, entries, items};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The key beside the roles that says what a principal without one is.
const DEFAULT: &str = "default";

/// Reads the whole section; what is wrong is told at its place.
pub(super) fn roles(reader: &mut Reader<'_>, node: &Node) -> Roles {
    let mut roles = Roles::default();
    if !matches!(node.value, Value::Map(_)) {
        reader.say(node, "a mapping of roles is expected here", "write `clerk: { postgres: { public.orders: [select] } }`");
    }
    for (name, node) in entries(node).iter().filter(|(name, _)| name != DEFAULT) {
        if !is_name(name) {
            reader.say_at(node.key, format!("`{name}` is no name of a role"), "use letters, digits, `-` and `_`");
        }
        let rules = Arc::new(role(reader, name, node));
        if roles.all.insert(rules.name.clone(), rules).is_some() {
            reader.say_at(node.key, format!("`{name}` stands twice"), "keep one of them");
        }
    }
    if roles.all.is_empty() {
        reader.say(node, "no role is listed", "list one, or take `roles` out");
    }
    let Some((_, default)) = entries(node).iter().find(|(name, _)| name == DEFAULT) else { return roles };
    match reader.text(default).as_deref() {
        None | Some("refuse") => {}
        Some(name) if roles.all.contains_key(name) => roles.default = Some(name.into()),
        Some(name) => reader.say(default, format!("there is no role `{name}`"), "name one of the roles, or write `refuse`"),
    }
    roles
}

/// Whether a role may have this name: plain, so that it can stand in a certificate, a token or a log.
pub(super) fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn role(reader: &mut Reader<'_>, name: &str, node: &Node) -> RoleRules {
    let fields = reader.fields(node, &["postgres", "redis"], &[]);
    let place = Place { file: reader.file.clone(), line: node.line, column: node.column };
    let postgres = fields.get("postgres").map_or(Extent::Listed(Vec::new()), |n| match &n.value {
        Value::Text(word) if word == "all" => Extent::All,
        _ => Extent::Listed(grants(reader, n)),
    });
    let redis = fields.get("redis").map_or(Extent::Listed(RedisRights::default()), |n| match &n.value {
        Value::Text(word) if word == "all" => Extent::All,
        _ => Extent::Listed(redis(reader, n)),
    });
    RoleRules { name: name.into(), postgres, redis, place }
}

fn grants(reader: &mut Reader<'_>, node: &Node) -> Vec<Grant> {
    if !matches!(node.value, Value::Map(_)) {
        reader.say(node, "`all` or a mapping of tables is expected here", "write `public.orders: [select, insert]`");
    }
    let mut all = Vec::new();
    for (key, value) in entries(node) {
        let Some((schema, name)) = key.split_once('.').filter(|(s, n)| !s.is_empty() && !n.is_empty()) else {
            reader.say(value, format!("`{key}` names no schema"), format!("write `public.{key}`"));
            continue;
        };
        let place = Place { file: reader.file.clone(), line: value.line, column: value.column };
        all.push(Grant { schema: schema.into(), name: name.into(), verbs: verbs(reader, value), place });
    }
    all
}

/// `[select, insert]`, `all`, or `{ select: [id, name], delete: all }`.
fn verbs(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<Verb, Columns> {
    const KNOWN: [&str; 5] = ["select", "insert", "update", "delete", "truncate"];
    let mut verbs = BTreeMap::new();
    if let Value::Map(_) = node.value {
        let fields = reader.fields(node, &KNOWN, &[]);
        for verb in Verb::ALL {
            let Some(value) = fields.get(verb.word()) else { continue };
            verbs.extend(columns(reader, verb, value).map(|columns| (verb, columns)));
        }
        return verbs;
    }
    for item in items(node) {
        let word = reader.text(item);
        match Verb::ALL.iter().find(|v| word.as_deref() == Some(v.word())) {
            Some(verb) => drop(verbs.insert(*verb, Columns::All)),
            None if word.as_deref() == Some("all") => verbs.extend(Verb::ALL.map(|v| (v, Columns::All))),
            None => reader.say(item, format!("this is none of: {}, all", KNOWN.join(", ")), "write e.g. `[select, insert]`"),
        }
    }
    verbs
}

fn columns(reader: &mut Reader<'_>, verb: Verb, node: &Node) -> Option<Columns> {
    if matches!(&node.value, Value::Text(word) if word == "all") {
        return Some(Columns::All);
    }
    if !verb.has_columns() {
        reader.say(node, format!("`{}` is of whole rows", verb.word()), format!("write `{}: all`", verb.word()));
        return None;
    }
    let Value::List(all) = &node.value else {
        reader.say(node, "`all` or a list of columns is expected here", format!("write `{}: [id, name]`", verb.word()));
        return None;
    };
    Some(Columns::Listed(all.iter().filter_map(|n| reader.text(n)).collect()))
}

fn redis(reader: &mut Reader<'_>, node: &Node) -> RedisRights {
    let fields = reader.fields(node, &["commands", "keys"], &[]);
    let mut rights = RedisRights::default();
    for item in fields.get("commands").map(items).unwrap_or_default() {
        let Some(text) = reader.text(item) else { continue };
        let (given, what) = match text.strip_prefix('-') {
            Some(what) => (false, what),
            None => (true, text.strip_prefix('+').unwrap_or(&text)),
        };
        let rule = CommandRule { given, what: what.to_ascii_lowercase() };
        if !rule.is_known() {
            reader.say(item, format!("there is no command or category `{what}`"), "write e.g. `@read`, `get`, `-keys` or `client|id`");
        }
        rights.commands.push(rule);
    }
    rights.keys = fields
        .get("keys")
        .filter(|n| !matches!(&n.value, Value::Text(word) if word == "all"))
        .map(|n| items(n).iter().filter_map(|item| reader.text(item)).collect());
    rights
}
