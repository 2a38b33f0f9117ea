//! The texts that stand in a catalog's place.

use super::*;

fn system() -> System {
    let cell = |w: &str| Some(w.to_owned());
    let rows = |lines: &str| -> Rows { lines.lines().map(|l| l.split('|').map(cell).collect()).collect() };
    let answers = HashMap::from([
        (
            "system",
            rows(
                "pg_catalog|pg_class|1259|oid|oid|pg_catalog\npg_catalog|pg_class|1259|relowner|oid|pg_catalog\npg_catalog|pg_class|1259|relacl|_aclitem|pg_catalog\n\
                 pg_catalog|pg_class|1259|relpages|int4|pg_catalog\npg_catalog|pg_type|1247|typinput|regproc|pg_catalog\npg_catalog|pg_shadow|9|x|oid|pg_catalog\n\
                 pg_catalog|pg_tables|8|tablename|name|pg_catalog\npg_catalog|pg_policy|7|polname|name|pg_catalog",
            ),
        ),
        ("definitions", rows("pg_catalog|pg_tables| SELECT c.relname AS tablename FROM pg_class c WHERE (c.relkind = 'r'::\"char\");")),
    ]);
    System::read(&answers, &[20000], &[], &[], |_, _| false, &[], &Home::Rows)
}

fn query(name: &str, form: Form) -> String {
    match system().answer("pg_catalog", name, form) {
        Some(Answer::Query(query)) => query,
        other => format!("{other:?}"),
    }
}

#[test]
fn rows_and_columns_are_chosen() {
    let rel = "(oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid OR oid OPERATOR(pg_catalog.=) ANY ('{20000}'::pg_catalog.oid[]))";
    let plain = query("pg_class", Form::Plain);
    assert_eq!(
        plain,
        format!(
            "SELECT \"oid\", {OWN} AS \"relowner\", NULL::pg_catalog._text AS \"relacl\", 0 AS \"relpages\" FROM pg_catalog.pg_class WHERE {rel}"
        )
    );
    assert!(query("pg_class", Form::WithTableoid).contains(", '1259'::pg_catalog.oid AS tableoid FROM"));
    assert!(query("pg_type", Form::Plain).starts_with("SELECT \"typinput\"::pg_catalog.oid AS \"typinput\" FROM"));
    assert!(query("pg_type", Form::Inner).starts_with("SELECT \"typinput\" FROM"));
    assert_eq!(query("pg_policy", Form::Plain), "SELECT NULL::\"pg_catalog\".\"name\" AS \"polname\" WHERE false");
    assert_eq!(query("pg_shadow", Form::Plain), "Some(Refused)");
}

#[test]
fn a_view_is_read_over_the_tenants_relations() {
    let view = query("pg_tables", Form::Plain);
    assert!(view.starts_with("SELECT \"tablename\" FROM (SELECT c.relname AS tablename FROM (SELECT \"oid\", "), "{view}");
    assert!(view.ends_with("c WHERE (c.relkind = 'r'::\"char\")) AS \"pg_tables\""), "{view}");
}

#[test]
fn every_rule_and_template_can_be_read() {
    let system = system();
    for (name, rule) in RULES.iter() {
        if let How::Rows(filter) | How::Inner(filter) = rule.how {
            assert!(
                pg_query::parse(&format!("SELECT 1 WHERE {}", system.macros(filter)), pg_query::ParserOptions::default()).is_ok(),
                "{name:?}"
            );
        }
    }
    for line in include_str!("functions.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let name = line.split('(').next().unwrap_or_default();
        for template in functions::find(name).unwrap_or_default() {
            assert!(pg_query::parse(&format!("SELECT {}", template.text(&system)), pg_query::ParserOptions::default()).is_ok(), "{line}");
        }
    }
}

#[test]
fn a_name_is_split_as_the_server_does() {
    for (text, wanted) in [
        ("orders", Some(vec!["orders"])),
        (" Public . \"Or\"\"ders\" ", Some(vec!["public", "Or\"ders"])),
        ("a.b.c", Some(vec!["a", "b", "c"])),
        ("\"open", None),
        ("a b", None),
        ("", None),
        ("a.", None),
    ] {
        assert_eq!(regtypes::identifier(text), wanted.map(|w| w.into_iter().map(str::to_owned).collect()), "{text}");
    }
}
