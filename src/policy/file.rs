//! `policies/*.yaml`: from the file as typed to the policy as it holds. The only maker of [`Policy`] outside tests.

use super::TenantPattern;
use super::layout_file;
use super::model::*;
use crate::config::document::{Fields, Node, Reader, Value, entries, items};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Longest chain of `through` tables.
const THROUGH_MAX: usize = 8;

/// Reads one policy file. None where a finding leaves nothing to build; every finding is in the reader.
pub fn read(reader: &mut Reader<'_>, text: &str) -> Option<Policy> {
    let before = reader.findings.len();
    let root = reader.parse(text)?;
    let fields =
        reader.fields(&root, &["version", "name", "tenants", "identity", "operators", "roles", "postgres", "redis", "limits"], &[]);
    if let Some(version) = reader.need(&fields, "version")
        && !matches!(version.value, Value::Int(1))
    {
        reader.say(version, "only version 1 is read", "write `version: 1`");
    }
    let name = reader.need(&fields, "name").and_then(|n| reader.text(n));
    let tenants = tenants(reader, &fields);
    let roles = fields.get("roles").map(|n| super::roles_file::roles(reader, n));
    let identity = fields.get("identity").map(|n| super::sources::identity(reader, n, roles.as_ref())).unwrap_or_default();
    let operators = fields.get("operators").map(|n| super::sources::operators(reader, n));
    let postgres = fields.get("postgres").map(|n| postgres(reader, n, tenants.as_ref()));
    let redis = fields.get("redis").and_then(|n| redis(reader, n, tenants.as_ref()));
    let limits = fields.get("limits").map(|n| limits(reader, n)).unwrap_or_default();
    if reader.findings.len() > before {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let (file, version) = (reader.file.clone(), hasher.finish());
    Some(Policy { name: name?.into(), file, version, tenants: tenants?, identity, operators, roles, postgres, redis, limits })
}

fn tenants(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<TenantPattern> {
    let node = reader.need(fields, "tenants")?;
    let fields = reader.fields(node, &["id"], &[]);
    let id = reader.need(&fields, "id")?;
    let pattern = reader.text(id)?;
    TenantPattern::new(&pattern).map_err(|e| reader.say(id, format!("not a regular expression: {e}"), "mend the pattern")).ok()
}

fn postgres(reader: &mut Reader<'_>, node: &Node, tenants: Option<&TenantPattern>) -> PostgresPolicy {
    let fields =
        reader.fields(node, &["layout", "tables", "functions", "explain", "second_opinion", "verify_rows", "backstop", "comments"], &[]);
    let explain = fields.get("explain").map(|n| explain(reader, n)).unwrap_or_default();
    let tables = fields.get("tables").map(|n| tables(reader, n)).unwrap_or_default();
    parents(reader, &tables);
    let layouts = fields.get("layout").map(|n| layout_file::read(reader, n, &tables, tenants)).unwrap_or_default();
    let layouts_at = fields.get("layout").map(|n| Place { file: reader.file.clone(), line: n.line, column: n.column });
    let functions = fields.get("functions").map(items).unwrap_or_default().iter().filter_map(|n| function(reader, n)).collect();
    let second_opinion = fields.get("second_opinion").map(|n| second_opinion(reader, n)).unwrap_or_default();
    let verify_rows = fields.get("verify_rows").map(|n| verify_rows(reader, n)).unwrap_or_default();
    let backstop = fields.get("backstop").map(|n| backstop(reader, n)).unwrap_or_default();
    let comments = fields.get("comments").map(|n| comments(reader, n)).unwrap_or_default();
    PostgresPolicy { layouts, layouts_at, tables, functions, explain, second_opinion, verify_rows, backstop, comments }
}

/// One of a few words; the default and a finding where it is none.
fn choice<T: Copy + Default>(reader: &mut Reader<'_>, node: &Node, words: &[(&str, T)], (message, fix): (&str, &str)) -> T {
    let text = reader.text(node);
    match words.iter().find(|(word, _)| text.as_deref() == Some(*word)) {
        Some((_, chosen)) => *chosen,
        None => {
            reader.say(node, message, fix);
            T::default()
        }
    }
}

fn backstop(reader: &mut Reader<'_>, node: &Node) -> Backstop {
    let words = [("none", Backstop::None), ("rls", Backstop::Rls)];
    choice(reader, node, &words, ("`backstop` is `none` or `rls`", "write `backstop: rls`"))
}

fn comments(reader: &mut Reader<'_>, node: &Node) -> Comments {
    let words = [("drop", Comments::Drop), ("keep", Comments::Keep)];
    choice(reader, node, &words, ("`comments` is `drop` or `keep`", "write `comments: keep`"))
}

fn verify_rows(reader: &mut Reader<'_>, node: &Node) -> VerifyRows {
    let words = [("off", VerifyRows::Off), ("sample", VerifyRows::Sample), ("all", VerifyRows::All)];
    choice(reader, node, &words, ("`verify_rows` is `off`, `sample` or `all`", "write `verify_rows: sample`"))
}

fn second_opinion(reader: &mut Reader<'_>, node: &Node) -> SecondOpinion {
    let words = [("when_readable", SecondOpinion::WhenReadable), ("required", SecondOpinion::Required)];
    let said = ("`second_opinion` is either `when_readable` or `required`", "write `second_opinion: when_readable`");
    choice(reader, node, &words, said)
}

fn explain(reader: &mut Reader<'_>, node: &Node) -> Explain {
    let words = [("deny", Explain::Deny), ("plan", Explain::Plan)];
    choice(reader, node, &words, ("`explain` is either `deny` or `plan`", "write `explain: deny`"))
}

fn tables(reader: &mut Reader<'_>, node: &Node) -> Vec<TableEntry> {
    if !matches!(node.value, Value::Map(_)) {
        reader.say(node, "a mapping of tables is expected here", "write `schema.table: { scoped: tenant_id }`");
    }
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for (key, value) in entries(node) {
        let Some((schema, name)) = key.split_once('.').filter(|(s, n)| !s.is_empty() && !n.is_empty()) else {
            reader.say(value, format!("`{key}` names no schema"), format!("write `public.{key}`"));
            continue;
        };
        if seen.contains(&(schema, name)) {
            reader.say(value, format!("`{key}` stands twice"), "keep one of them");
        }
        if let Some(rule) = rule(reader, value) {
            let place = Place { file: reader.file.clone(), line: value.line, column: value.column };
            all.push(TableEntry { schema: schema.into(), name: name.into(), rule, place });
            seen.insert((schema, name));
        }
    }
    all
}

fn rule(reader: &mut Reader<'_>, node: &Node) -> Option<TableRule> {
    let fields = reader.fields(node, &["scoped", "through", "shared", "hidden"], &[]);
    if let (Some(through), 1) = (fields.get("through"), entries(node).len()) {
        return through_rule(reader, through).map(TableRule::Through);
    }
    let only = |key: &str| fields.get(key).filter(|_| fields.get("through").is_none());
    match (only("scoped"), only("shared"), only("hidden")) {
        (Some(scoped), None, None) => scoped_rule(reader, scoped),
        (None, Some(shared), None) if reader.text(shared).as_deref() == Some("read") => Some(TableRule::SharedRead),
        (None, Some(shared), None) => {
            reader.say(shared, "a shared table can only be read", "write `shared: read`");
            None
        }
        (None, None, Some(Node { value: Value::Bool(true), .. })) => Some(TableRule::Hidden),
        _ => {
            reader.say(node, "a table is exactly one of `scoped`, `through`, `shared`, `hidden`", "write e.g. `{ scoped: tenant_id }`");
            None
        }
    }
}

fn scoped_rule(reader: &mut Reader<'_>, node: &Node) -> Option<TableRule> {
    if !matches!(node.value, Value::Map(_)) {
        return reader.text(node).map(|column| TableRule::Scoped { column, hidden: false });
    }
    let fields = reader.fields(node, &["column", "hidden"], &[]);
    let hidden = match fields.get("hidden") {
        None => false,
        Some(Node { value: Value::Bool(hidden), .. }) => *hidden,
        Some(other) => {
            reader.say(other, "`hidden` is true or false", "write `hidden: true`, or take it out: tenants then see the column");
            false
        }
    };
    let column = reader.need(&fields, "column")?;
    reader.text(column).map(|column| TableRule::Scoped { column, hidden })
}

/// `{ table: schema.parent, on: { column: parent's column } }`
fn through_rule(reader: &mut Reader<'_>, node: &Node) -> Option<Through> {
    let fields = reader.fields(node, &["table", "on"], &[]);
    let table = reader.need(&fields, "table")?;
    let text = reader.text(table)?;
    let parent = text.split_once('.').filter(|(s, n)| !s.is_empty() && !n.is_empty() && !text.contains(['*', '?']));
    let Some((schema, name)) = parent else {
        reader.say(table, format!("`{text}` names no table"), "write `schema.table`, without globs");
        return None;
    };
    let place = reader.need(&fields, "on")?;
    let mut on = Vec::new();
    for (column, value) in entries(place) {
        on.push((column.clone(), reader.text(value)?));
    }
    if on.is_empty() {
        reader.say(place, "`on` names no columns", "write `on: { order_id: id }`: the table's column and the parent's");
        return None;
    }
    Some(Through { schema: schema.into(), table: name.into(), on })
}

/// The parent of a `through` table is listed and leads, perhaps through others, to one with a tenant column.
fn parents(reader: &mut Reader<'_>, tables: &[TableEntry]) {
    let deciding = Deciding::of(tables);
    for entry in tables {
        let (mut at, mut steps) = (entry, 0);
        while let TableRule::Through(through) = &at.rule {
            let name = format!("{}.{}", through.schema, through.table);
            let found = deciding.find(&through.schema, &through.table).map(|index| &tables[index]);
            steps += 1;
            let (message, fix) = match found.map(|e| &e.rule) {
                Some(TableRule::Scoped { .. } | TableRule::Through(_)) if steps <= THROUGH_MAX => {
                    at = found.unwrap_or(entry);
                    continue;
                }
                Some(TableRule::Through(_)) => (
                    format!("`{}.{}` never comes to a table with a tenant column", entry.schema, entry.name),
                    format!("end the chain with a `scoped` table after at most {THROUGH_MAX} steps"),
                ),
                Some(_) => (format!("`{name}` has no tenant"), "name a table that is `scoped` or `through`".to_owned()),
                None => (format!("`{name}` is not listed"), format!("list `{name}` under `tables`, too")),
            };
            // A fault further up is told there.
            if steps == 1 || steps > THROUGH_MAX {
                reader.say_at((entry.place.line, entry.place.column), message, fix);
            }
            break;
        }
    }
}

fn function(reader: &mut Reader<'_>, node: &Node) -> Option<FunctionEntry> {
    let text = reader.text(node)?;
    let parts = text.split_once('(').and_then(|(path, rest)| Some((path.trim().split_once('.')?, rest.trim().strip_suffix(')')?)));
    let Some(((schema, name), arguments)) = parts else {
        reader.say(node, format!("`{text}` is no function signature"), "write `schema.name(type, type)`");
        return None;
    };
    let arguments = arguments.split(',').map(|a| a.trim().to_owned()).filter(|a| !a.is_empty()).collect();
    let place = Place { file: reader.file.clone(), line: node.line, column: node.column };
    Some(FunctionEntry { schema: schema.into(), name: name.into(), arguments, place })
}

fn redis(reader: &mut Reader<'_>, node: &Node, tenants: Option<&TenantPattern>) -> Option<RedisPolicy> {
    let fields =
        reader.fields(node, &["prefix", "shared", "scripts", "restore", "reads", "backstop", "growth_max_bytes", "slowlog_micros"], &[]);
    let shared = fields.get("shared").map(|n| redis_shared(reader, n)).unwrap_or_default();
    let growth = fields.get("growth_max_bytes").and_then(|n| reader.count(n));
    let slow_micros = fields.get("slowlog_micros").map_or(Some(RedisPolicy::SLOW_MICROS), |n| redis_slow(reader, n));
    let words = [("none", false), ("acl", true)];
    let backstop = fields.get("backstop").map(|n| choice(reader, n, &words, ("`backstop` is `none` or `acl`", "write `backstop: acl`")));
    let backstop = backstop.unwrap_or_default();
    let scripts = fields.get("scripts").is_none_or(|n| redis_scripts(reader, n, backstop));
    let words = [("on", true), ("off", false)];
    let restore = fields.get("restore").is_some_and(|n| choice(reader, n, &words, ("`restore` is `on` or `off`", "write `restore: off`")));
    let reads_replicas = fields.get("reads").is_some_and(|n| redis_reads(reader, n));
    let place = reader.need(&fields, "prefix")?;
    let text = reader.text(place)?;
    let Some((before, after)) = text.split_once("{tenant}").filter(|(_, after)| !after.contains("{tenant}")) else {
        reader.say(place, "the prefix needs `{tenant}` exactly once", "write `'{tenant}:'`");
        return None;
    };
    let prefix = RedisPrefix { before: before.into(), after: after.into() };
    if tenants.is_some_and(|tenants| !prefix.is_sound_for(tenants)) {
        reader.say(
            place,
            "a tenant's id could hold what ends the prefix, so that one tenant's keys would be another's",
            "end the prefix with a character that stands nowhere in `tenants: { id }`, e.g. `'{tenant}:'`",
        );
        return None;
    }
    // SORT's patterns put an element in the place of their first star.
    if text.contains('*') {
        reader.say(place, "the prefix holds a `*`, which SORT would take for an element", "write e.g. `'{tenant}:'`");
        return None;
    }
    if let (true, true, Some(node)) = (backstop, reads_replicas, fields.get("reads")) {
        reader.say(node, "`reads: replica` and `backstop: acl` do not go together yet", "take one of them out");
    }
    if backstop && [text.as_str()].into_iter().chain(shared.iter().map(String::as_str)).any(|text| text.contains(char::is_whitespace)) {
        reader.say(place, "`backstop: acl` cannot tell the server of names with blanks", "write prefix and shared keys without");
        return None;
    }
    let growth_max_bytes = growth.unwrap_or(RedisPolicy::GROWTH_MAX_BYTES);
    Some(RedisPolicy { prefix, shared, scripts, restore, reads_replicas, backstop, growth_max_bytes, slow_micros })
}

fn redis_slow(reader: &mut Reader<'_>, node: &Node) -> Option<u64> {
    match &node.value {
        Value::Int(micros) if *micros >= 0 => u64::try_from(*micros).ok(),
        Value::Text(text) if text == "off" => None,
        _ => {
            reader.say(node, "`slowlog_micros` is a number of microseconds, or `off`", "write `slowlog_micros: 10000`");
            None
        }
    }
}

fn redis_reads(reader: &mut Reader<'_>, node: &Node) -> bool {
    match reader.text(node).as_deref() {
        Some("replica") => true,
        Some("primary") | None => false,
        Some(_) => {
            reader.say(node, "`primary` or `replica` is expected here", "write `replica` where a read may be a little behind");
            false
        }
    }
}

/// `with_backstop` is `on` that nobody can leave without one.
fn redis_scripts(reader: &mut Reader<'_>, node: &Node, backstop: bool) -> bool {
    match reader.text(node).as_deref() {
        Some("on") => true,
        Some("with_backstop") if !backstop => {
            reader.say(node, "there is no backstop that scripts could run with", "write `backstop: acl` beside it, or `scripts: off`");
            false
        }
        Some("with_backstop") => true,
        Some("off") | None => false,
        Some(_) => {
            let fix = "write `off` where no script may keep the server busy";
            reader.say(node, "`on`, `with_backstop` or `off` is expected here", fix);
            false
        }
    }
}

fn redis_shared(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let fields = reader.fields(node, &["read"], &[]);
    let patterns = fields.get("read").map(items).unwrap_or_default();
    let mut shared = Vec::new();
    for pattern in patterns {
        let Some(text) = reader.text(pattern) else { continue };
        if text.is_empty() || text.starts_with('*') {
            reader.say(
                pattern,
                "the pattern would match keys of tenants",
                "begin it with what the shared keys begin with, e.g. `config:*`",
            );
            continue;
        }
        shared.push(text);
    }
    shared
}

fn limits(reader: &mut Reader<'_>, node: &Node) -> Limits {
    let fields = reader.fields(node, &["advisory_locks", "default", "tenants"], &[]);
    let advisory_locks = fields.get("advisory_locks").and_then(|n| reader.count(n));
    let default = fields.get("default").map(|n| limit(reader, n)).unwrap_or_default();
    let tenants = fields.get("tenants").map(entries).unwrap_or_default().iter().map(|(id, n)| (id.clone(), limit(reader, n))).collect();
    Limits { advisory_locks, default, tenants }
}

fn limit(reader: &mut Reader<'_>, node: &Node) -> Limit {
    let fields = reader.fields(node, &["connections"], &["statements_per_second", "statement_timeout"]);
    Limit { connections: fields.get("connections").and_then(|n| reader.count(n)) }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
