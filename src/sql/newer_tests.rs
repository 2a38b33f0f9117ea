//! Syntax that an older server reads as a call.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use crate::policy::TenantPattern;
use crate::sql::tests::judge_of;

/// What the server calls where it is older than the syntax: a function of that name makes a refusal of it.
#[test]
fn syntax_that_an_older_server_reads_as_a_call_is_refused_where_there_is_such_a_function() {
    let statements = [
        ("json_object", "SELECT JSON_OBJECT()"),
        ("json_array", "SELECT JSON_ARRAY(1, 2)"),
        ("json_arrayagg", "SELECT JSON_ARRAYAGG(id) FROM orders"),
        ("json", "SELECT JSON('{}')"),
        ("json_scalar", "SELECT JSON_SCALAR(1)"),
        ("json_serialize", "SELECT JSON_SERIALIZE('{}')"),
        ("json_exists", "SELECT JSON_EXISTS('{}', '$')"),
        ("json_query", "SELECT id FROM orders WHERE JSON_QUERY('{}', '$') IS NULL"),
        ("json_value", "SELECT JSON_VALUE('{}', '$')"),
        ("merge_action", "SELECT merge_action()"),
    ];
    let (policy, schema) = (include_str!("../../tests/sql/through.yaml"), include_str!("../../tests/sql/through.sql"));
    let acme = TenantPattern::new("[a-z]{1,63}").unwrap().accept("acme").unwrap();
    let plain = judge_of(policy, schema);
    for (name, statement) in statements {
        assert!(plain.extended(statement, 0, &acme).is_ok(), "{statement}");
        let made = format!("{schema}\nCREATE FUNCTION public.{name}() RETURNS int LANGUAGE sql AS 'SELECT 1';\n");
        let refused = judge_of(policy, &made).extended(statement, 0, &acme).unwrap_err();
        assert_eq!((refused.sqlstate, refused.message.starts_with(name)), ("0A000", true), "{statement}: {refused:?}");
    }
}
