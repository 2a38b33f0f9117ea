//! The generic form is the one that serde_json gives, for statements of every kind.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use serde::Serialize;

/// As serde_json has it.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(yes) => (*yes).into(),
        Value::Number(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(all) => all.iter().map(json).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            assert!(fields.0.is_sorted_by_key(|(name, _)| *name), "{fields:?}");
            serde_json::Value::Object(fields.iter().map(|(name, value)| (name.to_owned(), json(value))).collect())
        }
    }
}

/// Where the words of sqlparser's tree stand.
fn leave_out(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(all) => all.iter_mut().for_each(leave_out),
        serde_json::Value::Object(fields) => {
            let has = |names: [&str; 2]| fields.len() == 2 && names.iter().all(|n| fields.contains_key(*n));
            if has(["start", "end"]) || has(["token", "span"]) {
                *value = serde_json::Value::Null;
            } else {
                fields.values_mut().for_each(leave_out);
            }
        }
        _ => {}
    }
}

/// Equal but for expressions that are left out: names and constants.
fn assert_same(made: &serde_json::Value, wanted: &serde_json::Value, sql: &str) {
    use serde_json::Value::{Array, Null, Object};
    match (made, wanted) {
        (Null, Object(leaf)) => assert!(leaf.len() == 1 && LEAVES.iter().any(|l| leaf.contains_key(*l)), "{sql}: {leaf:?}"),
        (Array(made), Array(wanted)) if made.len() == wanted.len() => made.iter().zip(wanted).for_each(|(m, w)| assert_same(m, w, sql)),
        (Object(made), Object(wanted)) => {
            assert!(made.keys().eq(wanted.keys()), "{sql}");
            made.values().zip(wanted.values()).for_each(|(m, w)| assert_same(m, w, sql));
        }
        (made, wanted) => assert_eq!(made, wanted, "{sql}"),
    }
}

#[test]
fn a_tree_is_what_serde_json_makes() {
    let mut seen = 0;
    for file in ["rewrite.txt", "utility.txt", "refuse.txt", "copy.txt"] {
        let text = std::fs::read_to_string(format!("{}/tests/sql/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for sql in text.lines().filter(|line| !line.is_empty()) {
            let dialect = sqlparser::dialect::PostgreSqlDialect {};
            if let Ok(tree) = sqlparser::parser::Parser::parse_sql(&dialect, sql) {
                let mut wanted = serde_json::to_value(&tree).unwrap();
                leave_out(&mut wanted);
                assert_same(&json(&of(&tree).unwrap()), &wanted, sql);
            }
            let Ok(parsed) = pg_query::parse(sql, pg_query::ParserOptions::default()) else { continue };
            assert_eq!(json(&of(&parsed.protobuf.stmts).unwrap()), serde_json::to_value(&parsed.protobuf.stmts).unwrap(), "{sql}");
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen} statements");
}

#[test]
fn what_is_in_no_tree_is_refused() {
    #[derive(Serialize)]
    struct Of<T>(T);
    assert!(of(&Of(1.5)).is_err());
    assert!(of(&Of(u64::MAX)).is_err());
    assert!(of(&std::collections::BTreeMap::from([("a", 1)])).is_err());
    assert_eq!(of(&Of((1u8, 'c', Some(-1i64), None::<bool>))).unwrap()[2], Value::Number(-1));
}

#[test]
fn parts_are_found_and_changed() {
    let mut tree =
        Value::node("List", Value::Array(vec![Value::Null, Value::object(vec![("b", Value::Number(-1)), ("a", Value::Bool(true))])]));
    assert_eq!(tree.pointer_mut("/node/List/1/a"), Some(&mut Value::Bool(true)));
    assert_eq!(tree.pointer_mut("/node/List/2/a"), None);
    assert_eq!((&tree["none"]["at all"], tree["node"]["List"][1]["b"].as_u64()), (&Value::Null, None));
    tree["node"]["List"] = Value::from("gone");
    tree["added"] = Value::from(7);
    assert_eq!((tree["node"]["List"].as_str(), tree["added"].as_u64()), (Some("gone"), Some(7)));
}
