//! A system view's definition, as upstream prints it, read over the relations that a tenant may read.

use super::{Answer, Form, System, quote_name};
use crate::sql::tree::{self, Value};
use pg_query::protobuf::Token;

/// The definition with each relation in it replaced by the tenant's; None where one of them is refused.
pub fn expand(system: &System, view: &(&str, &str), definition: &str) -> Option<String> {
    // Recursion runs through `System::answer`; a view that contains itself is none.
    if view.1.len() > 63 || definition.len() > 1 << 20 {
        return None;
    }
    let text = own_functions(system, definition.trim().trim_end_matches(';'))?;
    let tree = tree::of(&pg_query::parse(&text, pg_query::ParserOptions::default()).ok()?.protobuf.stmts).ok()?;
    let mut places = Vec::new();
    relations(&tree, 0, &mut places)?;
    places.sort();
    places.dedup();
    let tokens = pg_query::scan(&text).ok()?.tokens;
    let mut out = String::with_capacity(text.len() * 2);
    let mut done = 0;
    for (start, schema, name, aliased) in places {
        let first = tokens.iter().position(|t| t.start as usize == start)?;
        let dotted = tokens.get(first + 1).is_some_and(|t| t.token == Token::Ascii46 as i32);
        let end = tokens.get(first + if dotted { 2 } else { 0 })?.end as usize;
        let schema = if schema.is_empty() { "pg_catalog" } else { schema.as_str() };
        out.push_str(text.get(done..start)?);
        match system.answer(schema, &name, Form::Inner)? {
            Answer::Refused => return None,
            Answer::Open => out.push_str(&format!("{schema}.{name}")),
            Answer::Query(query) => out.push_str(&format!("({query})")),
        }
        if !aliased {
            out.push_str(&format!(" AS {}", quote_name(&name)));
        }
        done = end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

/// Where each relation stands: offset, schema, name, whether it has an alias. WITH names are none: no view here has them.
fn relations(value: &Value, depth: usize, out: &mut Vec<(usize, String, String, bool)>) -> Option<()> {
    if depth > 400 {
        return None;
    }
    match value {
        Value::Array(all) => all.iter().try_for_each(|v| relations(v, depth + 1, out)),
        Value::Object(map) => map.iter().try_for_each(|(key, inner)| {
            if key == "CommonTableExpr" {
                return None;
            }
            if key == "RangeVar" {
                let text = |k: &str| inner[k].as_str().unwrap_or_default().to_owned();
                let place = usize::try_from(inner["location"].as_i64()?).ok()?;
                out.push((place, text("schemaname"), text("relname"), !inner["alias"].is_null()));
            }
            relations(inner, depth + 1, out)
        }),
        _ => Some(()),
    }
}

/// Functions in a definition that take a whole row of a catalog, or show what a tenant may not know, by what they stand for.
fn own_functions(system: &System, definition: &str) -> Option<String> {
    let replaced = [
        (
            "information_schema._pg_truetypid(a.*, t.*)",
            "CASE WHEN t.typtype = 'd'::\"char\" THEN t.typbasetype ELSE a.atttypid END".to_owned(),
        ),
        (
            "information_schema._pg_truetypmod(a.*, t.*)",
            "CASE WHEN t.typtype = 'd'::\"char\" THEN t.typtypmod ELSE a.atttypmod END".to_owned(),
        ),
        ("pg_get_viewdef(c.oid)", system.macros("CASE WHEN @view(c.oid) THEN pg_get_viewdef(c.oid) END")),
    ];
    let mut text = definition.to_owned();
    for (from, to) in replaced.into_iter().chain(without_hidden(system)) {
        text = text.replace(from, &format!("({to})"));
    }
    let unknown = text.contains("_pg_truetyp") || text.matches("pg_get_viewdef(").count() != text.matches("pg_get_viewdef(c.oid)").count();
    (!unknown).then_some(text)
}

/// What a key without its hidden column changes.
fn without_hidden(system: &System) -> Vec<(&'static str, String)> {
    let position = "information_schema._pg_index_position(ss.conindid, ss.confkey[(ss.x).n])";
    let calls = [
        ("pg_get_indexdef(i.oid)", "@indexdef(i.oid, pg_get_indexdef(i.oid))".to_owned()),
        (position, format!("@attnum(ss.conindid, {position}::pg_catalog.int2)")),
    ];
    let calls = calls.into_iter().filter(|_| !system.hidden.is_empty());
    calls.map(|(from, to)| (from, system.macros(&to))).collect()
}
