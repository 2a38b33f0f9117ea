//! Values of search_path.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[test]
fn values_are_read_as_postgresql_reads_them() {
    let read = |value: &str| names(value).map(|n| n.join("|"));
    assert_eq!(read(""), Some(String::new()));
    assert_eq!(read("Public, \"My App\""), Some("public|My App".to_owned()));
    assert_eq!(read("\"$user\", public"), Some("$user|public".to_owned()));
    for odd in ["a,,b", "a b", "\"a\"\"b\"", "a.b", "a;b"] {
        assert_eq!(read(odd), None, "{odd}");
    }
}

#[test]
fn only_schemas_that_are_known() {
    let catalog = Catalog { search_path: vec!["app".into(), "public".into()], ..Catalog::default() };
    let path = |value: &str| path(&catalog, &names(value).unwrap()).map(|p| p.join("|"));
    assert_eq!(path(""), Some(String::new()));
    assert_eq!(path("\"$user\", app, public"), Some("app|public".to_owned()));
    assert_eq!(path("pg_catalog, public"), Some("public".to_owned()));
    assert_eq!(path("pg_catalog"), Some(String::new()));
    for unknown in ["other", "public, pg_catalog", "pg_temp", "information_schema", "\"$user\", public", "pg_toast"] {
        assert_eq!(path(unknown), None, "{unknown}");
    }
}
