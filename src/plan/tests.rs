//! Names and literals; whole plans are run on a real server by `tests/it/backstop.rs`.

use super::*;

#[test]
fn names_are_quoted_where_they_must_be() {
    for (name, wanted) in
        [("orders", "orders"), ("order", "\"order\""), ("Orders", "\"Orders\""), ("a\"b", "\"a\"\"b\""), ("1st", "\"1st\"")]
    {
        assert_eq!(ident(name), wanted);
    }
}

#[test]
fn a_tenant_is_a_literal_or_psqls_variable() {
    assert_eq!(tenant_literal(None), ":'tenant'");
    assert_eq!(tenant_literal(Some("o'neill")), "'o''neill'");
    assert_eq!(tenant_literal(Some("a\\b")), "E'a\\\\b'");
}
