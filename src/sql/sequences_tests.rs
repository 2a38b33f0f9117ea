//! Names of sequences.

use super::*;

#[test]
fn names_are_read_as_the_server_reads_them() {
    let words = |text: &str| parts(text).map(|p| p.join("|"));
    assert_eq!(words("orders_ID_seq").as_deref(), Some("orders_id_seq"));
    assert_eq!(words("Public.\"Orders.Id\"").as_deref(), Some("public|Orders.Id"));
    assert_eq!(words("\"a\"\"b\"").as_deref(), Some("a\"b"));
    for bad in ["", "a.", ".a", "a b", "\"a", "\"\"", "a;b", "a\"b\""] {
        assert_eq!(words(bad), None, "{bad}");
    }
    let mut catalog = Catalog { search_path: vec!["app".into(), "public".into()], ..Catalog::default() };
    catalog.sequences.insert(("public".into(), "s".into()), crate::sql::private::temporary("s", Vec::new()));
    assert_eq!(resolve(&catalog, "S").as_deref(), Some("\"public\".\"s\""));
    assert_eq!(resolve(&catalog, "app.s"), None);
    assert_eq!(resolve(&catalog, "12345"), None);
}
