//! `postgres.layout` as typed.

use super::TenantPattern;
use super::layout::{DEFAULT_NAME, Home, Layout, Layouts, NAME_BYTES, NamePattern};
use super::model::TableEntry;
use crate::config::document::{Node, Reader, Value, entries};
use std::collections::BTreeMap;

/// Reads `layout:`, a word or `{ default: PLACE, tenants: { ID: PLACE } }`; `tables` are the policy's own, whose schemas no tenant can have.
pub fn read(reader: &mut Reader<'_>, node: &Node, tables: &[TableEntry], tenants: Option<&TenantPattern>) -> Layouts {
    let mut layouts = Layouts { taken: tables.iter().map(|t| t.schema.clone()).collect(), ..Layouts::default() };
    if let Value::Map(_) = node.value {
        let fields = reader.fields(node, &["default", "tenants"], &[]);
        if let Some(default) = fields.get("default") {
            layouts.default = layout(reader, default).unwrap_or_default();
            shared_name(reader, default, &layouts.default);
        }
        let mut seen: BTreeMap<Home, String> = BTreeMap::new();
        for (id, place) in fields.get("tenants").map(entries).unwrap_or_default() {
            let Some(own) = layout(reader, place) else { continue };
            if tenants.is_some_and(|t| t.accept(id).is_none()) {
                reader.say_at(place.key, format!("`{id}` is no tenant"), "name one that `tenants: { id: … }` lets be one");
            }
            let home = own.home(id);
            if let Err(why) = layouts.sound(&home) {
                reader.say(place, why.to_string(), "give the tenant a name of its own");
            }
            if let Some(other) = seen.insert(home.clone(), id.clone()).filter(|_| home != Home::Rows) {
                reader.say(place, format!("`{id}` and `{other}` would share one place"), "give each its own");
            }
            layouts.tenants.insert(id.clone(), own);
        }
        meetings(reader, node, &layouts, tenants);
    } else {
        layouts.default = layout(reader, node).unwrap_or_default();
        shared_name(reader, node, &layouts.default);
    }
    globs(reader, node, tables, &layouts);
    layouts
}

/// One of `rows`, `schema`, `database`, `{ schema: NAME }`, `{ database: NAME, upstream: NAME }`.
fn layout(reader: &mut Reader<'_>, node: &Node) -> Option<Layout> {
    let pattern = || NamePattern::read(DEFAULT_NAME);
    if let Value::Map(_) = node.value {
        let fields = reader.fields(node, &["schema", "database", "upstream"], &[]);
        return match (fields.get("schema"), fields.get("database"), fields.get("upstream")) {
            (Some(schema), None, None) => name(reader, schema).map(Layout::Schema),
            (None, database, upstream) if database.is_some() || upstream.is_some() => {
                let name = match database {
                    Some(database) => Some(name(reader, database)?),
                    None => None,
                };
                let upstream = upstream.and_then(|u| reader.text(u));
                Some(Layout::Database { name, upstream })
            }
            _ => {
                reader.say(
                    node,
                    "a place is either a `schema` or a `database`",
                    "write `{ schema: NAME }` or `{ database: NAME, upstream: NAME }`",
                );
                None
            }
        };
    }
    match reader.text(node).as_deref() {
        Some("rows") => Some(Layout::Rows),
        Some("schema") => pattern().map(Layout::Schema),
        Some("database") => Some(Layout::Database { name: pattern(), upstream: None }),
        Some(_) => {
            reader.say(node, "a layout is `rows`, `schema` or `database`", "write `layout: rows`");
            None
        }
        None => None,
    }
}

fn name(reader: &mut Reader<'_>, node: &Node) -> Option<NamePattern> {
    let text = reader.text(node)?;
    let pattern = NamePattern::read(&text);
    if pattern.is_none() {
        reader.say(
            node,
            format!("`{text}` is no name of a schema or database"),
            format!("write a name, with `{{tenant}}` at most once: `{DEFAULT_NAME}`"),
        );
    }
    let literal = pattern.as_ref().map_or(0, |p| p.of("").len());
    if literal > NAME_BYTES {
        reader.say(node, format!("the name is longer than {NAME_BYTES} bytes"), "shorten it: the server would cut it");
        return None;
    }
    pattern
}

/// The default is many tenants': its name must tell them apart.
fn shared_name(reader: &mut Reader<'_>, node: &Node, layout: &Layout) {
    let apart = |name: Option<&NamePattern>| matches!(name, Some(NamePattern::Around(..)));
    let told = match layout {
        Layout::Rows => true,
        Layout::Schema(name) => apart(Some(name)),
        Layout::Database { name, .. } => apart(name.as_ref()),
    };
    if !told {
        reader.say(node, "all tenants would share one place", format!("put `{{tenant}}` into the name, e.g. `{DEFAULT_NAME}`"));
    }
}

/// A name of one tenant's own that the default gives to another.
fn meetings(reader: &mut Reader<'_>, node: &Node, layouts: &Layouts, tenants: Option<&TenantPattern>) {
    for (id, own) in &layouts.tenants {
        let (theirs, default) = match (own.home(id), &layouts.default) {
            (Home::Schema(theirs), Layout::Schema(default)) => (theirs, default),
            (Home::Database { name: Some(theirs), upstream }, Layout::Database { name: Some(default), upstream: at })
                if upstream == *at =>
            {
                (theirs, default)
            }
            _ => continue,
        };
        let other = default.tenant(&theirs).filter(|other| other != id && !layouts.tenants.contains_key(*other));
        if let Some(other) = other.filter(|o| tenants.is_none_or(|t| t.accept(o).is_some())) {
            reader.say(node, format!("`{id}` and `{other}` would share the place `{theirs}`"), "give each its own");
        }
    }
}

/// A table entry for any schema would reach into the tenants' own.
fn globs(reader: &mut Reader<'_>, node: &Node, tables: &[TableEntry], layouts: &Layouts) {
    let schemas = layouts.all().any(|(_, l)| matches!(l, Layout::Schema(_)));
    if let Some(entry) = tables.iter().find(|t| schemas && t.schema.contains(['*', '?'])) {
        reader.say(
            node,
            format!("`{}.{}` would match tables in tenants' own schemas", entry.schema, entry.name),
            "name its schema without `*` and `?`",
        );
    }
}
