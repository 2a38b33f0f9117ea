//! Names of text search objects.
use super::*;

fn catalog(home: Home) -> Catalog {
    let mut catalog = Catalog { home, ..Catalog::default() };
    catalog.system.namespaces = [("app".to_owned(), 20_000)].into();
    catalog
}

#[test]
fn a_schema_in_a_name_is_a_known_one() {
    let shared = catalog(Home::Rows);
    for text in ["english", "pg_catalog.english", "app.mine", "\"english\"", "a text of words. And more", ""] {
        assert_eq!(shared.may_name_search(text), !text.is_empty(), "{text}");
    }
    for text in ["other.mine", "db.app.mine", "13277", " 13277 ", "tenant-globex.x", "a .b", "a. b", "\"a b\".c d"] {
        assert!(!shared.may_name_search(text), "{text}");
    }
}

#[test]
fn where_schemas_are_tenants_none_is_named() {
    let own = catalog(Home::Schema("tenant_acme".into()));
    assert!(own.only_names_search_by_literals());
    assert!(own.may_name_search("english") && own.may_name_search("pg_catalog.english"));
    assert!(!own.may_name_search("app.mine") && !own.may_name_search("tenant_acme.mine"));
}
