//! What statements may leave.

use super::*;
use crate::sql::catalog::Relation;
use std::sync::Arc;

fn of(text: &str, kind: Kind, catalog: &Catalog) -> Traces {
    Traces::of(text, [&kind].into_iter(), &["public.v".to_owned()], catalog)
}

#[test]
fn each_kind_of_trace_is_told() {
    let mut catalog = Catalog::default();
    let (none, read) = (Traces::default(), || Kind::Read);
    for (text, kind, traces) in [
        ("SELECT 1", read(), none),
        ("SELECT pg_catalog.nextval('s')", read(), Traces::SOIL),
        ("SELECT pg_catalog.Random()", read(), Traces::SOIL),
        ("SELECT pg_catalog.pg_advisory_xact_lock(1)", read(), none),
        ("SELECT pg_catalog.pg_try_advisory_lock_shared(1)", read(), Traces::PIN),
        ("SELECT pg_catalog.set_config('TimeZone', 'UTC', false)", read(), Traces::SETTINGS),
        ("SELECT pg_catalog.array_shuffle(x)", read(), Traces::SPENT),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Kind::Transaction, Traces::SETTINGS),
        ("SET LOCAL jit TO off", Kind::Setting, Traces::LOCAL),
        ("SET jit TO off", Kind::Setting, Traces::SETTINGS),
        ("SHOW jit", Kind::Setting, none),
        ("INSERT", Kind::Write { upsert: false }, Traces::SOIL),
        ("LISTEN x", Kind::Listen("x".into()), Traces::PIN),
        ("DECLARE", Kind::Declare { name: "c".into(), hold: true }, Traces::PIN),
    ] {
        assert_eq!(of(text, kind, &catalog), traces, "{text}");
    }
    catalog.functions.insert(("public".into(), "slugify".into()));
    assert_eq!(of("SELECT public.slugify('a')", read(), &catalog), Traces::SOIL);
    assert_eq!(of("SELECT 1", read(), &catalog), none);
    let view = Relation { kind: 'v', ..(*crate::sql::private::temporary("v", Vec::new())).clone() };
    catalog.relations.insert(("public".into(), "v".into()), Arc::new(view));
    assert_eq!(of("SELECT 1 FROM public.v", read(), &catalog), Traces::SOIL);
}

#[test]
fn of_several_statements_nothing_is_left_out() {
    let kinds = [Kind::Setting, Kind::Setting];
    let traces = Traces::of("SET LOCAL jit TO off; SET jit TO on", kinds.iter(), &[], &Catalog::default());
    assert!(traces.has(Traces::SETTINGS));
}
