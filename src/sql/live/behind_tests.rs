//! What stands behind which relation; whole schemas are looked at on a real server by `tests/it/backstop.rs`.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::Policy;
use crate::sql::catalog::Rows;
use std::collections::HashMap;

const POLICY: &str = "version: 1
name: p
tenants: { id: '[a-z]+' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  backstop: rls
  tables:
    public.orders: { scoped: tenant_id }
    public.seen: { scoped: tenant_id }
    public.countries: { shared: read }
";

fn policy() -> Policy {
    let mut findings = crate::config::document::Findings::new();
    let mut reader = crate::config::document::Reader { file: "p.yaml".into(), findings: &mut findings };
    crate::policy::file::read(&mut reader, POLICY).unwrap()
}

const SETTING: &str = "(tenant_id = ( SELECT current_setting('partywall.tenant'::text, true) AS current_setting))";

/// Two lines a relation: oid, schema, name, kind, rls, forced, owned, invoker, owner's oid and name, above, open. Reads: view, relation, kind.
fn live(relations: &[&str], reads: &[(u32, u32)], role: &str) -> Live {
    let row = |text: &str| text.split(' ').map(|v| Some(v.to_owned())).collect::<Vec<_>>();
    let mut answers: HashMap<&'static str, Rows> = HashMap::new();
    answers.insert("live_role", vec![row(role)]);
    answers.insert("live_tables", relations.iter().map(|r| row(r)).collect());
    let number = |n: u32| Some(n.to_string());
    let column = |oid: u32| vec![number(oid), Some("tenant_id".into()), Some("text".into()), number(25), Some("t".into())];
    answers.insert("live_columns", (1..9).map(column).collect());
    let policy_of = |oid: u32| {
        let text = |t: &str| Some(t.to_owned());
        vec![number(oid), text("partywall"), text("t"), text("*"), text("t"), text(SETTING), text(SETTING), text("10 20")]
    };
    answers.insert("live_policies", vec![policy_of(1), policy_of(3)]);
    let kind = |oid: u32| relations.iter().find(|r| r.starts_with(&format!("{oid} "))).and_then(|r| r.split(' ').nth(3)).unwrap_or("r");
    let read =
        |(a, b): &(u32, u32)| vec![number(*a), number(*b), Some(kind(*b).into()), Some("pg_catalog".into()), Some("pg_class".into())];
    answers.insert("live_reads", reads.iter().map(read).collect());
    Live::read(&policy(), &answers)
}

#[test]
fn a_view_is_held_by_what_it_reads_and_as_whom() {
    let orders = "1 public orders r t t f f 10 postgres t t";
    let countries = "4 public countries r f f f f 10 postgres t t";
    let held = "3 public kept r t t f f 20 plain f f";
    let bare = "5 public bare r f f f f 20 plain f f";
    let owned = "2 public seen v f f f f 10 postgres t t";
    let invoker = "2 public seen v f f f t 10 postgres t t";
    let plain = "2 public seen v f f f f 20 plain f t";
    let stranger = "2 public seen v f f f f 30 other f t";
    let role = "app f f 150010";
    for (seen, reads, told) in [
        (owned, &[(2, 1)][..], "as its owner \"postgres\""),
        (invoker, &[(2, 1)], ""),
        (plain, &[(2, 1)], ""),
        (plain, &[(2, 1), (2, 3), (2, 4)], ""),
        // No policy is for that role.
        (stranger, &[(2, 1)], "no policy for ALL"),
        (invoker, &[(2, 3)], ""),
        (invoker, &[(2, 5)], "row-level security is not enabled on public.bare"),
        (plain, &[(2, 5)], "row-level security is not enabled on public.bare"),
        (invoker, &[(2, 99)], "names pg_catalog.pg_class"),
        // By way of another view.
        (invoker, &[(2, 6), (6, 1)], "public.inner names public.orders as its owner"),
        (invoker, &[(2, 7), (7, 1)], "public.inner_too is a materialized view"),
        ("2 public seen m f f f f 20 plain f t", &[(2, 1)], "public.seen is a materialized view"),
        ("2 public seen f f f f f 20 plain f t", &[], "public.seen is a foreign table"),
        // A rule of the table's.
        (invoker, &[(1, 3), (1, 5)], ""),
        (invoker, &[(1, 8)], "public.orders names public.parts as its owner"),
        // Nobody lists these; the role may read the first.
        (invoker, &[(9, 1)], "public.loose names public.orders as its owner"),
        (invoker, &[(9, 5)], ""),
        (invoker, &[(6, 1)], ""),
    ] {
        let others = [
            "6 public inner v f f f f 10 postgres t f",
            "7 public inner_too m f f f f 10 postgres t f",
            "8 public parts r f f f f 10 postgres t f",
            "9 public loose v f f f f 10 postgres t t",
        ];
        let mut live = live(&[&[orders, countries, held, bare, seen], &others[..]].concat(), reads, role);
        live.parents.insert(8, vec![1]);
        let all: Vec<String> = gaps(&live).into_iter().map(|g| g.message).collect();
        let good = if told.is_empty() { all.is_empty() } else { all.len() == 1 && all[0].contains(told) };
        assert!(good, "{seen}\n{reads:?}: {all:?}");
    }
}

#[test]
fn a_part_that_the_role_may_name_is_held_as_the_whole() {
    use crate::sql::live::Severity;
    use crate::sql::live::backstop::inspect;
    for (part, role, told) in [
        ("8 public parts r f f f f 10 postgres t t", "app f f 150010", "row-level security is not enabled on public.parts"),
        ("8 public parts r f f f f 10 postgres t f", "app f f 150010", ""),
        ("8 public parts f f f f f 10 postgres t t", "app f f 150010", "public.parts is a foreign table"),
        ("8 public parts r f f f f 10 postgres t f", "app f f 150010 pg_read_server_files", "is a member of \"pg_read_server_files\""),
    ] {
        let mut live = live(&["1 public orders r t t f f 10 postgres t t", part], &[], role);
        live.parents.insert(8, vec![1]);
        let notes = inspect(&policy(), &live);
        let all: Vec<&str> = notes.iter().filter(|n| n.severity == Severity::Error).map(|n| n.message.as_str()).collect();
        assert!(all.iter().any(|m| m.contains(told)) || told.is_empty(), "{part}: {all:?}");
        assert_eq!(all.is_empty(), told.is_empty(), "{part}: {all:?}");
    }
}
