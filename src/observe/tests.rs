//! What is counted, and that labels are bounded.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn open(metrics: &Arc<Metrics>, tenant: &str, limit: Option<u32>) -> Option<Meter> {
    Meter::open(metrics, Who { listener: "l", tenant, connection: metrics.connection_id() }, limit, Arc::default())
}

#[test]
fn statements_and_latencies_are_counted_by_tenant() {
    let metrics = Arc::new(Metrics::default());
    let meter = open(&metrics, "acme", None).unwrap();
    meter.count(&mut vec![
        Fact::Permitted,
        Fact::Alone,
        Fact::Rows("part"),
        Fact::RowMismatch,
        Fact::Withheld("a.c: f".into()),
        Fact::Answered,
        Fact::Refused("42501"),
    ]);
    let text = metrics.text();
    for line in [
        "partywall_statements_total{listener=\"l\",tenant=\"acme\",verdict=\"permitted\"} 1",
        "partywall_statements_total{listener=\"l\",tenant=\"acme\",verdict=\"refused_42501\"} 1",
        "partywall_second_opinion_absent_total{listener=\"l\",tenant=\"acme\"} 1",
        "partywall_verify_rows_total{listener=\"l\",tenant=\"acme\",checked=\"part\"} 1",
        "partywall_row_mismatch_total{listener=\"l\",tenant=\"acme\"} 1",
        "partywall_withheld_notices_total{listener=\"l\",tenant=\"acme\"} 1",
        "partywall_latency_seconds_count{listener=\"l\",tenant=\"acme\"} 1",
        "partywall_open_connections{listener=\"l\",outcome=\"open\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    drop(meter);
    assert!(metrics.text().contains("partywall_open_connections{listener=\"l\",outcome=\"open\"} 0"));
    assert!(metrics.tenants().is_empty());
}

#[test]
fn a_limit_counts_open_connections_of_the_tenant() {
    let metrics = Arc::new(Metrics::default());
    let first = open(&metrics, "acme", Some(1)).unwrap();
    assert!(open(&metrics, "acme", Some(1)).is_none());
    assert!(open(&metrics, "globex", Some(1)).is_some());
    drop(first);
    assert!(open(&metrics, "acme", Some(1)).is_some());
}

#[test]
fn distinct_tenants_are_capped() {
    let metrics = Arc::new(Metrics::default());
    for n in 0..TENANT_LABELS_MAX + 50 {
        open(&metrics, &format!("tenant-{n}"), None).unwrap().count(&mut vec![Fact::Permitted]);
    }
    let text = metrics.text();
    assert_eq!(text.matches("verdict=\"permitted\"").count(), TENANT_LABELS_MAX + 1);
    assert!(text.contains("tenant=\"other\",verdict=\"permitted\"} 50"), "{text}");
}
