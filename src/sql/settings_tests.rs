//! Which settings pass.

use super::*;

#[test]
fn safe_ones_pass_and_others_do_not() {
    assert!(may_set("TimeZone", Some("Europe/Vienna")).is_ok());
    assert!(may_set("statement_timeout", None).is_ok());
    for name in
        ["role", "search_path", "session_authorization", "log_statement", "partywall.tenant", "debug_print_plan", "random_page_cost"]
    {
        assert_eq!(may_set(name, Some("x")).map_err(|r| r.sqlstate), Err("42501"), "{name}");
    }
}

#[test]
fn pinned_ones_keep_their_value() {
    assert!(may_set("standard_conforming_strings", Some("ON")).is_ok());
    assert!(may_set("standard_conforming_strings", Some("off")).is_err());
    assert!(may_set("client_encoding", Some("SJIS")).is_err());
    for level in ["debug5", "log", "LOG"] {
        assert!(may_set("client_min_messages", Some(level)).is_err(), "{level}");
    }
    assert!(may_set("client_min_messages", Some("WARNING")).is_ok());
    assert!(may_set("default_transaction_deferrable", Some("on")).is_err() && may_set("transaction_deferrable", Some("false")).is_ok());
    assert!(may_set("synchronize_seqscans", Some("on")).is_err() && may_set("synchronize_seqscans", Some("OFF")).is_ok());
    assert!(may_set("default_text_search_config", Some("tenant_globex.x")).is_err());
    assert!(["english", "pg_catalog.english"].iter().all(|name| may_set("default_text_search_config", Some(name)).is_ok()));
}

#[test]
fn a_value_not_known_yet_is_for_settings_that_take_any() {
    assert!(may_set_any("jit") && may_set_any("TimeZone"));
    for name in SAFE {
        // Each that refuses some value of a setting must be among those that matter.
        let picky = may_set(name, Some("no.such value")).is_err();
        assert_eq!(may_set_any(name), !picky, "{name}");
    }
    assert!(!may_set_any("role") && !may_set_any("server_version"));
}
