//! Words about the own schema.

use super::*;

#[test]
fn names_are_changed_and_values_are_not() {
    let said = |code: &str, f: u8, text: &str| {
        field("tenant_a", code.as_bytes(), f, text.as_bytes()).map(|b| String::from_utf8_lossy(&b).into_owned())
    };
    assert_eq!(said("42P01", b'M', "relation \"tenant_a.t\" does not exist").as_deref(), Some("relation \"public.t\" does not exist"));
    assert_eq!(
        said("2BP01", b'D', "view tenant_a.v depends on table tenant_a.t").as_deref(),
        Some("view public.v depends on table public.t")
    );
    assert_eq!(said("3F000", b'M', "schema \"tenant_a\" does not exist").as_deref(), Some("schema \"public\" does not exist"));
    assert_eq!(said("23505", b's', "tenant_a").as_deref(), Some("public"));
    assert_eq!(said("23505", b'D', "Key (x)=(tenant_a.t) already exists."), None);
    assert_eq!(said("42P01", b'M', "relation \"t\" does not exist"), None);
    assert_eq!(said("42P01", b'F', "tenant_a.c"), None);
}

#[test]
fn the_path_is_the_clients() {
    assert_eq!(status(Some("tenant_a"), "search_path", "tenant_a"), PATH);
    assert_eq!(status(None, "search_path", "x"), "x");
    assert_eq!(status(Some("tenant_a"), "TimeZone", "UTC"), "UTC");
    let mut out = BytesMut::new();
    assert_eq!(write_status(&mut out, Some("a"), b"search_path\0a\0"), Ok(true));
    assert_eq!(&out[5..], b"search_path\0\"$user\", public\0");
    assert_eq!(write_status(&mut out, Some("a"), b"TimeZone\0UTC\0"), Ok(false));
}
