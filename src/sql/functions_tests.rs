//! The table itself.

use super::*;

#[test]
fn nothing_that_reads_around_is_listed() {
    for name in [
        "query_to_xml",
        "table_to_xml",
        "ts_stat",
        "pg_read_file",
        "lo_get",
        "lo_import",
        "dblink",
        "set_config",
        "current_setting",
        "pg_stat_get_activity",
        "pg_ls_dir",
        "nextval",
        "txid_current",
        "pg_terminate_backend",
        "pg_notify",
        "has_table_privilege",
        "col_description",
    ] {
        assert_eq!(find(name), None, "{name}");
    }
}

#[test]
fn everyday_ones_are_listed() {
    for (name, raises) in [("lower", false), ("count", false), ("now", false), ("to_char", true), ("sum", true), ("substring", true)] {
        assert_eq!(find(name), Some(Listed { raises }), "{name}");
    }
    assert_eq!((find_call("length", 1), find_call("length", 2)), (Some(Listed { raises: false }), Some(Listed { raises: true })));
    assert!(is_type("timestamptz") && !is_type("regclass"));
}

#[test]
fn an_operator_is_known_by_its_name() {
    assert_eq!(find_operator("#"), Some(Operator::Raises));
    assert_eq!(find_operator("<="), Some(Operator::Quiet));
    assert_eq!(find_operator("->>"), Some(Operator::Json));
    assert_eq!(find_operator("@#"), None);
}

#[test]
fn a_short_span_moves_no_day_out_of_range() {
    for span in ["7 days", "9999 days", "1 year 2 mons -3 days", "999 years", "9999 months", "30"] {
        assert!(is_short_span(span), "{span}");
    }
    for span in ["9999 years", "6800y", "12345 days", "1 century", "infinity", "P1Y", "", "1e5 days"] {
        assert!(!is_short_span(span), "{span}");
    }
}
