//! Startup parameters: what goes upstream, what names the tenant, what is refused.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn owned(client: &[(&str, &str)]) -> Vec<(String, String)> {
    client.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

/// Without the two pinned ones, which must stand first.
fn upstream(client: &[(&str, &str)]) -> Result<Vec<(String, String)>, &'static str> {
    let Startup { settings: all, search_path } =
        upstream_parameters(&owned(client), &["partywall.tenant".to_owned(), "partywall.role".to_owned()]).map_err(|r| r.sqlstate)?;
    assert_eq!(all[..2], owned(PINNED), "{client:?}");
    assert_eq!(search_path, None);
    let pinned = |n: &str| PINNED.iter().any(|(p, _)| p.eq_ignore_ascii_case(n));
    assert!(!all[2..].iter().any(|(n, _)| pinned(n) || n.eq_ignore_ascii_case("partywall.tenant")), "{all:?}");
    Ok(all[2..].to_vec())
}

#[test]
fn safe_settings_go_upstream() {
    let client = [("user", "u"), ("database", "d"), ("application_name", "app"), ("DateStyle", "ISO, MDY"), ("partywall.tenant", "acme")];
    assert_eq!(upstream(&client), Ok(owned(&[("application_name", "app"), ("DateStyle", "ISO, MDY")])));
    assert_eq!(upstream(&[("options", "-c statement_timeout=5s --jit=off -cextra_float_digits=3")]).map(|s| s.len()), Ok(3));
    assert_eq!(upstream(&[("options", "-c  TimeZone=a\\ b")]), Ok(owned(&[("TimeZone", "a b")])));
    assert_eq!(upstream(&[("options", "--lock-timeout=1")]), Ok(owned(&[("lock_timeout", "1")])));
}

#[test]
fn a_parameter_overrides_options_and_the_last_one_counts() {
    let client = [("application_name", "b"), ("options", "-c application_name=a"), ("APPLICATION_NAME", "c")];
    assert_eq!(upstream(&client), Ok(owned(&[("APPLICATION_NAME", "c")])));
}

#[test]
fn search_path_is_for_the_catalog_to_judge() {
    let startup = |client: &[(&str, &str)]| upstream_parameters(&owned(client), &[]).unwrap();
    let both = startup(&[("search_path", "a, b"), ("options", "-c SEARCH_PATH=c")]);
    assert_eq!((both.search_path.as_deref(), both.settings), (Some("a, b"), owned(PINNED)));
    assert_eq!(startup(&[("options", "-csearch-path=c")]).search_path.as_deref(), Some("c"));
}

#[test]
fn what_could_change_the_session_is_refused() {
    for (name, value, state) in [
        ("role", "postgres", "42501"),
        ("session_authorization", "postgres", "42501"),
        ("session_preload_libraries", "x", "42501"),
        ("local_preload_libraries", "x", "42501"),
        ("standard_conforming_strings", "off", "42501"),
        ("backslash", "x", "42501"),
        ("replication", "database", "0A000"),
        ("replication", "true", "0A000"),
        ("client_encoding", "LATIN1", "0A000"),
        ("client_encoding", "SJIS", "0A000"),
        ("client_encoding", "BIG5", "0A000"),
        ("options", "-c standard_conforming_strings=off", "42501"),
        ("options", "--standard-conforming-strings=off", "42501"),
        ("options", "-c client_encoding=GBK", "0A000"),
        ("options", "-c client_min_messages=log", "42501"),
        ("client_min_messages", "LOG", "42501"),
        ("options", "-B 1", "42601"),
        ("options", "-c", "42601"),
        ("options", "-cx", "42601"),
        ("options", "word", "42601"),
        ("options", "-", "42601"),
        ("options", "--", "42601"),
        ("application_name", "a\0b", "42601"),
    ] {
        assert_eq!(upstream(&[(name, value)]), Err(state), "{name}={value}");
    }
    assert_eq!(upstream(&[("replication", "off"), ("_pq_.x", "1")]), Ok(vec![]));
}

#[test]
fn pinned_settings_take_their_own_value_in_any_spelling() {
    for value in ["UTF8", "utf-8", "'utf-8'", "Unicode", "SQL_ASCII"] {
        assert_eq!(upstream(&[("client_encoding", value)]), Ok(vec![]), "{value}");
    }
    assert_eq!(upstream(&[("Client_Encoding", "utf8"), ("STANDARD_CONFORMING_STRINGS", "on")]), Ok(vec![]));
}

#[test]
fn the_tenant_is_found_where_it_is_named() {
    let found = |client: &[(&str, &str)]| values(&owned(client), "partywall.tenant").map(|all| all.join("|")).map_err(|r| r.sqlstate);
    let said = |text: &str| Ok(text.to_owned());
    assert_eq!(found(&[]), said(""));
    assert_eq!(found(&[("partywall.tenant", "a")]), said("a"));
    assert_eq!(found(&[("options", "-c partywall.tenant=a")]), said("a"));
    assert_eq!(found(&[("options", "-cpartywall.tenant=a --Partywall.Tenant=b")]), said("a|b"));
    assert_eq!(found(&[("partywall.tenant", "c"), ("options", "--partywall.tenant=b"), ("PARTYWALL.tenant", "d")]), said("c|b|d"));
    assert_eq!(found(&[("options", "-c partywall.tenant=a"), ("options", "-c partywall.tenant=b")]), said("a|b"));
    assert_eq!(found(&[("options", "-c partywall.tenant=a\\ b")]), said("a b"));
    assert_eq!(found(&[("options", "-c application_name=-c\\ partywall.tenant=b")]), said(""), "inside another's value");
    assert_eq!(found(&[("application_name", "-c partywall.tenant=b")]), said(""));
    let dashed = |client: &[(&str, &str)]| values(&owned(client), "partywall.my-tenant").map(|all| all.join("|")).map_err(|r| r.sqlstate);
    assert_eq!(
        dashed(&[("partywall.my-tenant", "a"), ("options", "-c partywall.my-tenant=b"), ("partywall.my_tenant", "c")]),
        said("a|b|c")
    );
    assert_eq!(found(&[("options", "partywall.tenant=a")]), Err("42601"));
}
