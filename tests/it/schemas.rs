//! The JSON Schemas and the readers say the same: shipped files are valid, and each object has exactly the keys that the reader knows.

use partywall::config::{self, Files, document::Finding};
use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A key that no reader knows, and that is like none.
const STRANGER: &str = "qqqqqqqqqqqqqqqqqqqq";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&read(&format!("policies/{name}.schema.json"))).unwrap()
}

fn plain(yaml: &YamlOwned) -> Value {
    match yaml {
        YamlOwned::Value(ScalarOwned::Boolean(b)) => json!(b),
        YamlOwned::Value(ScalarOwned::Integer(i)) => json!(i),
        YamlOwned::Value(ScalarOwned::String(s)) => json!(s),
        YamlOwned::Sequence(all) => all.iter().map(plain).collect(),
        YamlOwned::Mapping(all) => all.iter().map(|(k, v)| (k.as_str().unwrap().to_owned(), plain(v))).collect(),
        _ => Value::Null,
    }
}

fn yaml(text: &str) -> Value {
    plain(&YamlOwned::load_from_str(text).unwrap()[0])
}

/// What is wrong with a value, by the words of JSON Schema that the two files use; any other word is a failure of the test.
fn wrong(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("type {other}"),
    };
    for (word, rule) in schema.as_object().unwrap() {
        let object = value.as_object();
        let size = object.map_or(0, |o| o.len()) as u64;
        let good = match word.as_str() {
            "description" | "title" | "$schema" | "$defs" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                all.extend(wrong(root, root.pointer(pointer).unwrap(), value, at));
                true
            }
            "type" => rule.as_str().map_or_else(|| rule.as_array().unwrap().iter().any(|t| is(t.as_str().unwrap())), is),
            "enum" => rule.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_some_and(|s| regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(s)),
            "minimum" => value.as_i64() >= rule.as_i64(),
            "minItems" => value.as_array().is_some_and(|a| a.len() as u64 >= rule.as_u64().unwrap()),
            "minProperties" => size >= rule.as_u64().unwrap(),
            "maxProperties" => size <= rule.as_u64().unwrap(),
            "oneOf" => rule.as_array().unwrap().iter().filter(|s| wrong(root, s, value, at).is_empty()).count() == 1,
            "required" => rule.as_array().unwrap().iter().all(|k| object.is_some_and(|o| o.contains_key(k.as_str().unwrap()))),
            "propertyNames" => object.is_none_or(|o| o.keys().all(|k| wrong(root, rule, &json!(k), at).is_empty())),
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                all.extend(items.flat_map(|(i, v)| wrong(root, rule, v, &format!("{at}/{i}"))));
                true
            }
            "properties" => {
                let known = object.into_iter().flatten().filter_map(|(k, v)| Some((k, rule.get(k)?, v)));
                all.extend(known.flat_map(|(k, s, v)| wrong(root, s, v, &format!("{at}/{k}"))));
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                let others = object.into_iter().flatten().filter(|(k, _)| known.is_none_or(|p| p.get(k).is_none()));
                match rule {
                    Value::Bool(false) => others.count() == 0,
                    rule => {
                        all.extend(others.flat_map(|(k, v)| wrong(root, rule, v, &format!("{at}/{k}"))));
                        true
                    }
                }
            }
            other => panic!("the schemas use `{other}`, which this test does not know"),
        };
        if !good {
            all.push(format!("{at}: {word}"));
        }
    }
    all
}

#[test]
fn what_is_shipped_is_valid() {
    for (name, path) in [
        ("policy", "policies/shop.yaml"),
        ("policy", "policies/pgbench.yaml"),
        ("policy", "policies/helpdesk.yaml"),
        ("partywall", "deploy/partywall.yaml"),
    ] {
        let schema = schema(name);
        assert_eq!(wrong(&schema, &schema, &yaml(&read(path)), path), Vec::<String>::new());
    }
}

#[test]
fn what_the_reader_refuses_is_not_valid() {
    let head = "version: 1\nname: x\ntenants: { id: '[a-z]+' }\n";
    let schema = schema("policy");
    assert_eq!(wrong(&schema, &schema, &yaml(head), ""), Vec::<String>::new());
    for bad in [
        "operators: {}",
        "identity: { jwt: {} }",
        "identity: { jwt: { from: cookie, keys: k } }",
        "identity: { mtls: {} }",
        "identity: { mtls: { dns: 'apps.example' } }",
        "identity: { mtls: { cn: acme } }",
        "identity: { mtls: { cn: '{tenant}', expiry: never } }",
        "identity: { header: { name: x-tenant-id } }",
        "identity: { header: { name: 'a b', trust: [loopback] } }",
        "identity: { proxy: {} }",
        "identity: { proxy: { tlv: { type: 0xE0 } } }",
        "identity: { password: {} }",
        "identity: { peer: { users: { app: acme } } }",
        "identity: { startup: { user: app, trust: [loopback] } }",
        "identity: { startup: { trust: [10.0.0.0] } }",
        "identity: { startup: {} }",
        "identity: { startup: { trust: [everybody] } }",
        "identity: { mtls: { uri: 'spiffe://x/y' } }",
        "identity: { static: { tenant: a, env: B } }",
        "postgres: { layout: columns }",
        "postgres: { layout: { default: columns } }",
        "postgres: { layout: { everybody: rows } }",
        "postgres: { layout: { default: { database: '{tenant}{tenant}' } } }",
        "postgres: { layout: { tenants: { a: {} } } }",
        "postgres: { second_opinion: never }",
        "postgres: { backstop: views }",
        "postgres: { verify_rows: some }",
        "postgres: { comments: some }",
        "postgres: { tables: { orders: { scoped: t } } }",
        "postgres: { tables: { a.b: { shared: write } } }",
        "postgres: { tables: { a.p: { scoped: t }, a.b: { through: { table: p, on: { x: id } } } } }",
        "postgres: { tables: { a.p: { scoped: t }, a.b: { through: { table: 'a.*', on: { x: id } } } } }",
        "postgres: { tables: { a.p: { scoped: t }, a.b: { through: { table: a.p, on: {} } } } }",
        "postgres: { tables: { a.p: { scoped: t }, a.b: { through: { table: a.p } } } }",
        "postgres: { tables: { a.b: { scoped: t, hidden: true } } }",
        "postgres: { tables: { a.b: { scoped: { column: t, hidden: yes } } } }",
        "postgres: { functions: [ slugify ] }",
        "redis: { prefix: '{tenant}' }",
        "redis: { prefix: '*{tenant}:' }",
        "redis: { prefix: '{tenant}:', shared: { read: [ '*' ] } }",
        "redis: { prefix: '{tenant}:', shared: { write: [ 'a' ] } }",
        "redis: { prefix: '{tenant}:', scripts: sometimes }",
        "redis: { prefix: '{tenant}:', restore: streams }",
        "redis: { prefix: '{tenant}:', growth_max_bytes: 0 }",
        "redis: { prefix: '{tenant}:', slowlog_micros: -1 }",
        "redis: { prefix: '{tenant}:', slowlog_micros: never }",
        "limits: { default: { connections: 0 } }",
        "limits: { advisory_locks: 0 }",
    ] {
        let text = format!("{head}{bad}\n");
        assert!(!wrong(&schema, &schema, &yaml(&text), "").is_empty(), "{bad}");
        assert!(config::load_policy(Path::new("p.yaml"), &Memory(text)).is_err(), "{bad}");
    }
}

/// One text, whatever is asked for; no policies beside it.
struct Memory(String);

impl Files for Memory {
    fn text(&self, _: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
    fn policies(&self, _: &Path) -> Result<Vec<PathBuf>, String> {
        Ok(Vec::new())
    }
}

/// Every object of a schema that has keys of its own: the way to it (with names for what may have any), and its keys.
fn objects(root: &Value, schema: &Value, way: &[String], out: &mut Vec<(Vec<String>, BTreeSet<String>)>) {
    if let Some(pointer) = schema["$ref"].as_str() {
        objects(root, root.pointer(&pointer[1..]).unwrap(), way, out);
    }
    for option in schema["oneOf"].as_array().into_iter().flatten() {
        objects(root, option, way, out);
    }
    let step = |name: &str| [way, &[name.to_owned()]].concat();
    if let Some(properties) = schema["properties"].as_object() {
        out.push((way.to_vec(), properties.keys().cloned().collect()));
        properties.iter().for_each(|(name, inner)| objects(root, inner, &step(name), out));
    }
    if schema["additionalProperties"].is_object() {
        objects(root, &schema["additionalProperties"], &step("public.x"), out);
    }
    if schema["items"].is_object() {
        objects(root, &schema["items"], &step("[]"), out);
    }
}

/// A document that has nothing but a stranger at the end of the way.
fn with_stranger(way: &[String]) -> String {
    let inner = |text: String, step: &String| if step == "[]" { format!("[ {text} ]") } else { format!("{{ {step}: {text} }}") };
    way.iter().rev().fold(format!("{{ {STRANGER}: 1 }}"), inner)
}

fn same_keys(name: &str, findings: impl Fn(String) -> Vec<Finding>) {
    let schema = schema(name);
    let mut all = Vec::new();
    objects(&schema, &schema, &[], &mut all);
    assert!(all.len() > 5, "{all:?}");
    for (way, keys) in all {
        let document = with_stranger(&way);
        let findings = findings(document.clone());
        let told = findings.iter().find(|f| f.message.contains(STRANGER));
        let known = told.and_then(|f| f.fix.strip_prefix("known here: ")).unwrap_or_else(|| panic!("{document}: {findings:?}"));
        assert_eq!(known.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), keys, "{document}");
    }
}

#[test]
fn the_policy_reader_knows_the_same_keys() {
    same_keys("policy", |text| config::load_policy(Path::new("p.yaml"), &Memory(text)).unwrap_err());
}

#[test]
fn the_configuration_reader_knows_the_same_keys() {
    same_keys("partywall", |text| config::load(Path::new("c.yaml"), &Memory(text)).unwrap_err());
}
