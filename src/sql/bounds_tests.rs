//! What bounds a session's times.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::TenantPattern;
use crate::sql::{Catalog, Judge};
use std::sync::Arc;

fn bounded() -> Bounds {
    let row = |name: &str, value: &str| vec![Some(name.to_owned()), Some(value.to_owned())];
    let rows = [row("statement_timeout", "5000"), row("lock_timeout", "0"), row("deadlock_timeout", "1000")];
    Bounds { times: times(&rows), ..Bounds::default() }
}

#[test]
fn a_time_is_read_as_the_server_reads_it() {
    for (written, meant) in [
        ("5000", Some(5000.0)),
        (" 5 s ", Some(5000.0)),
        ("1.5min", Some(90_000.0)),
        ("2h", Some(7_200_000.0)),
        ("1d", Some(86_400_000.0)),
        ("1600us", Some(2.0)),
        ("0", Some(0.0)),
        ("0.4", Some(0.0)),
        ("400us", Some(0.0)),
        // The server knows these; here they are refused.
        ("010", None),
        ("0x10", None),
        ("1e3", None),
        ("+5", None),
        ("-1", None),
        ("5S", None),
        ("5 weeks", None),
        ("1.2.3", None),
        ("", None),
        (".5s", None),
    ] {
        assert_eq!(milliseconds(written), meant, "{written:?}");
    }
}

#[test]
fn no_time_is_longer_than_the_operators() {
    let bounds = bounded();
    assert_eq!(bounds.times.iter().collect::<Vec<_>>(), [(&"statement_timeout".to_owned(), &5000)]);
    let admits = |value| bounds.admit("Statement_Timeout", Some(value)).map_err(|e| e.sqlstate);
    for (value, lifts) in
        [("5s", Some(false)), ("1", Some(false)), ("0", Some(true)), ("5001", Some(true)), ("0.2", Some(true)), ("0x7fffffff", None)]
    {
        assert_eq!(admits(value), if lifts == Some(false) { Ok(()) } else { Err("42501") }, "{value}");
        assert_eq!(bounds.lifts("statement_timeout", value), lifts == Some(true), "{value}");
    }
    assert!(bounds.admit("statement_timeout", None).is_ok() && !bounds.admit_any("STATEMENT_TIMEOUT") && bounds.admit_any("lock_timeout"));
    assert!(bounds.admit("lock_timeout", Some("0")).is_ok() && !bounds.lifts("lock_timeout", "0"));
}

#[test]
fn startup_parameters_are_held_to_it() {
    let held = |value: &str| {
        let mut parameters = vec![("STATEMENT_timeout".to_owned(), value.to_owned()), ("lock_timeout".to_owned(), "0".to_owned())];
        bounded().hold(&mut parameters).map(|()| parameters.len()).map_err(|e| e.sqlstate)
    };
    assert_eq!([held("0"), held("4s"), held("1h"), held("1e9")], [Ok(1), Ok(2), Ok(1), Err("42501")]);
}

#[test]
fn a_longer_time_is_set_to_the_operators() {
    let plain = crate::sql::tests::judge();
    let bounds = Bounds { names: plain.catalog().settings.names.clone(), ..bounded() };
    let catalog = Catalog { settings: bounds, ..plain.catalog().as_ref().clone() };
    let judge = Judge::new(plain.policy().clone(), Arc::new(catalog));
    let acme = TenantPattern::new("[a-z]{1,63}").unwrap().accept("acme").unwrap();
    for (sql, sent) in [
        ("SET statement_timeout = 0", Ok("SET statement_timeout TO DEFAULT")),
        ("SET LOCAL statement_timeout TO '1h'", Ok("SET LOCAL statement_timeout TO DEFAULT")),
        ("SET SESSION Statement_Timeout = 5000", Ok("SET statement_timeout TO 5000")),
        ("SET statement_timeout TO '2 s'", Ok("SET statement_timeout TO \"2 s\"")),
        ("SET lock_timeout = 0", Ok("SET lock_timeout TO 0")),
        ("RESET statement_timeout", Ok("RESET statement_timeout")),
        ("SET TIME ZONE INTERVAL '1:00' HOUR TO MINUTE", Ok("SET TIME ZONE interval '1:00' hour to minute")),
        ("SET statement_timeout = -1", Err("42501")),
        ("SET statement_timeout = '0x0'", Err("42501")),
        ("SELECT set_config('statement_timeout', '0', false)", Err("42501")),
        ("SELECT set_config('statement_timeout', '3s', false)", Ok("SELECT pg_catalog.set_config('statement_timeout', '3s', false)")),
    ] {
        let script = judge.simple(sql, &acme);
        assert_eq!(script.as_ref().map(|s| s.outgoing.as_str()).map_err(|e| e.sqlstate), sent, "{sql}");
    }
    for (sql, sent, holds) in [
        ("SET statement_timeout = 0", "SET statement_timeout TO DEFAULT", true),
        ("SET statement_timeout = 0", "SET statement_timeout = 0", false),
        ("SET statement_timeout = 0", "SET LOCAL statement_timeout TO DEFAULT", false),
        ("SET statement_timeout = 0", "SET lock_timeout TO DEFAULT", false),
        ("SET lock_timeout = 0", "SET lock_timeout TO DEFAULT", false),
        ("SET statement_timeout = 7", "SET statement_timeout = 8", false),
        ("SET role = 'x'", "SET role = 'x'", false),
        ("SET search_path = evil", "SET search_path = evil", false),
        ("SET client_encoding TO $1", "SET client_encoding TO $1", false),
        ("RESET role", "RESET role", false),
        ("SELECT set_config('statement_timeout', $1, false)", "SELECT pg_catalog.set_config('statement_timeout', $1, false)", false),
    ] {
        assert_eq!(crate::sql::verify::verify(sql, sent, judge.catalog(), 2).is_ok(), holds, "{sql} | {sent}");
    }
}
