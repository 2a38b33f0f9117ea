//! Writes through views, as the cases say.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops where it fails")]

use super::Writes;
use crate::policy::TableRule;
use crate::sql::catalog::{Column, Relation};
use crate::sql::tests::{check_with, hidden_judge};
use crate::sql::{Judge, verify};
use std::sync::Arc;

/// Name, tenant column, columns, the query as the server prints it, and what else the catalog says of it.
const VIEWS: &[(&str, &str, &str, &str, &[&str])] = &[
    ("titles", "org_id", "id name", "SELECT notes.id, notes.title AS name FROM public.notes WHERE notes.stars > 0", &[]),
    ("swapped", "org_id", "title id more", "SELECT n.id AS title, n.title AS id, n.stars + 1 AS more FROM public.notes n", &[]),
    ("best", "org_id", "number name", "SELECT titles.id AS number, titles.name FROM public.titles WHERE titles.id < 100", &[]),
    ("poison", "org_id", "id", "SELECT notes.id FROM public.notes WHERE (10 / notes.stars) > 1", &[]),
    (
        "tagged",
        "org_id",
        "id title",
        "SELECT notes.id, notes.title FROM public.notes WHERE EXISTS (SELECT 1 FROM public.tags t WHERE t.note_id = notes.id)",
        &[],
    ),
    ("safe", "org_id", "id title", "SELECT notes.id, notes.title FROM public.notes WHERE notes.stars > 0", &["", "t"]),
    ("held", "org_id", "id stars", "SELECT notes.id, notes.stars FROM public.notes WHERE notes.stars > 0", &["local"]),
    ("over", "org_id", "id stars", "SELECT held.id, held.stars FROM public.held WHERE held.id < 9", &["cascaded"]),
    ("beside", "org_id", "id stars", "SELECT held.id, held.stars FROM public.held WHERE held.id < 9", &[]),
    ("called", "org_id", "id", "SELECT notes.id FROM public.notes WHERE lower(notes.title) = 'x'", &["cascaded"]),
    ("coded", "org_id", "id title", "SELECT notes.id, notes.title FROM public.notes", &["", "f", "69"]),
    ("ruled", "org_id", "id title", "SELECT notes.id, notes.title FROM public.notes", &["", "f", "", "2"]),
    ("placed", "org_id", "place id row", "SELECT notes.ctid AS place, notes.id, (notes.*)::text AS row FROM public.notes", &[]),
    ("sighted", "org_id", "id", "SELECT notes.id FROM public.notes WHERE EXISTS (SELECT 1 FROM pg_class)", &[]),
    ("counted", "org_id", "many", "SELECT count(*) AS many FROM public.notes", &["", "f", "", "", "", "0"]),
    ("grouped", "org_id", "title", "SELECT notes.title FROM public.notes GROUP BY notes.title", &[]),
    ("filled", "org_id", "id title stars", "SELECT id, title, stars FROM public.notes", &["", "f", "", "", "{\"title\": \"'new'::text\"}"]),
    ("plain", "org_id", "id org_id note", "SELECT id, org_id, note FROM public.orders", &[]),
    ("marked", "org_id", "note mark", "SELECT marks.note_id AS note, marks.mark FROM public.marks", &[]),
    ("lands", "org_id", "code", "SELECT countries.code FROM public.countries", &[]),
];

/// The judge of views.txt: that of hidden.txt, with views.
pub fn views_judge() -> Judge {
    let judge = hidden_judge();
    let mut catalog = (**judge.catalog()).clone();
    let table = catalog.find("public", "notes").unwrap().clone();
    for (name, tenant, columns, query, rest) in VIEWS {
        let columns = columns.split(' ').map(|c| Column { name: c.into(), type_oid: 25, ..Column::default() }).collect();
        let value = |at: usize| rest.get(at).filter(|v| !v.is_empty()).map(|v| (*v).to_owned());
        let all = [None, None, value(0), value(1), value(2), value(3), value(4), value(5).or_else(|| Some("28".into()))];
        let hidden = *name != "plain";
        let view = Relation {
            name: (*name).into(),
            kind: 'v',
            columns,
            hidden: None,
            keys: Vec::new(),
            definition: Some((*query).into()),
            writes: Writes::read(&all),
            rule: TableRule::Scoped { column: (*tenant).into(), hidden },
            ..(*table).clone()
        };
        catalog.relations.insert(("public".into(), view.name.clone()), Arc::new(view));
    }
    Judge::new(judge.policy().clone(), Arc::new(catalog))
}

#[test]
fn writes_through_views_come_out_as_the_cases_say() {
    check_with(&views_judge(), "views.txt", include_str!("../../tests/sql/views.txt"));
}

#[test]
fn attacks_through_views_are_held() {
    check_with(&views_judge(), "attacks/views.txt", include_str!("../../tests/sql/attacks/views.txt"));
}

/// What is no write of the table that the view is of, or not all of the view's condition, is not proved.
#[test]
fn the_verifier_has_its_own_idea_of_a_view() {
    let catalog = views_judge().catalog().clone();
    let guard = "titles.org_id OPERATOR(pg_catalog.=) $1";
    let proves = |client: &str, text: &str| verify::verify(client, &text.replace("GUARD", guard), &catalog, 1).is_ok();
    let client = "UPDATE titles SET name = 'x' WHERE id = 1";
    assert!(proves(client, "UPDATE public.notes titles SET title = 'x' WHERE GUARD AND (titles.stars > 0 AND titles.id = 1)"));
    for wrong in [
        "UPDATE public.notes titles SET title = 'x' WHERE titles.stars > 0 AND titles.id = 1",
        "UPDATE public.notes titles SET title = 'x' WHERE GUARD AND titles.id = 1",
        "UPDATE public.notes titles SET title = 'x' WHERE GUARD AND titles.stars > 0",
        "UPDATE public.notes titles SET title = 'x' WHERE GUARD AND (titles.stars > 1 AND titles.id = 1)",
        "UPDATE public.notes titles SET id = 'x' WHERE GUARD AND (titles.stars > 0 AND titles.id = 1)",
        "UPDATE public.tags titles SET title = 'x' WHERE GUARD AND (titles.stars > 0 AND titles.id = 1)",
        "UPDATE public.titles SET name = 'x' WHERE GUARD AND id = 1",
        "UPDATE public.notes SET title = 'x' WHERE notes.org_id OPERATOR(pg_catalog.=) $1 AND (notes.stars > 0 AND notes.id = 1)",
        "UPDATE ONLY public.notes titles SET title = 'x' WHERE GUARD AND (titles.stars > 0 AND titles.id = 1)",
        "UPDATE public.notes titles SET title = 'x' WHERE GUARD AND (titles.stars > 0 AND titles.id = 1) RETURNING titles.id",
    ] {
        assert!(!proves(client, wrong), "{wrong}");
    }
}

/// What stands behind `CREATE TEMP VIEW v AS SELECT id, title FROM notes` in one text.
fn behind(view: &str, sql: &str) -> String {
    let judge = views_judge();
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    match judge.simple(&format!("{view}; {sql}"), &tenant) {
        Ok(script) => script.outgoing.as_str().split_once("; ").unwrap().1.to_owned(),
        Err(refusal) => format!("! {} {}", refusal.sqlstate, refusal.message),
    }
}

#[test]
fn temporary_views_with_guards_in_them_are_read_and_nothing_else() {
    let view = "CREATE TEMP VIEW v AS SELECT id, title FROM notes";
    let cannot = "! 0A000 temporary view \"v\" can only be read";
    for (sql, wanted) in [
        ("SELECT * FROM v WHERE 1 / id > 0", "SELECT * FROM pg_temp.v WHERE 1 / id > 0"),
        (
            "SELECT pg_temp.v.id FROM pg_temp.v, public.orders v2 WHERE v.id = 1",
            "SELECT pg_temp.v.id FROM pg_temp.v, public.orders v2 WHERE v2.org_id OPERATOR(pg_catalog.=) 'acme' AND v.id = 1",
        ),
        ("CREATE TEMP VIEW w AS SELECT id FROM v", "CREATE TEMPORARY VIEW pg_temp.w AS SELECT id FROM pg_temp.v OFFSET 0"),
        ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", "CREATE OR REPLACE TEMPORARY VIEW pg_temp.v AS SELECT 1"),
        ("DROP VIEW v; SELECT * FROM v", "! 42P01 relation \"v\" does not exist"),
        ("DROP VIEW v", "DROP VIEW pg_temp.v"),
        ("INSERT INTO v VALUES (1)", cannot),
        ("UPDATE v SET id = 1", cannot),
        ("DELETE FROM v", cannot),
        ("MERGE INTO v USING orders o ON o.id = v.id WHEN MATCHED THEN DELETE", cannot),
        ("COPY v FROM STDIN", cannot),
        ("ALTER TABLE v ADD COLUMN n int", cannot),
        ("CREATE INDEX i ON v (id)", cannot),
        ("SELECT * FROM v FOR UPDATE", "! 42501"),
        ("SELECT * FROM orders JOIN v ON true FOR SHARE", "! 42501"),
        ("SELECT * FROM (SELECT * FROM v) s FOR UPDATE", "! 42501"),
        ("EXPLAIN SELECT * FROM v", "! 0A000"),
        ("CREATE TEMP TABLE t (LIKE v)", "! 0A000"),
    ] {
        let got = behind(view, sql);
        assert!(got == wanted || wanted.starts_with('!') && got.starts_with(wanted), "{sql}: {got}");
    }
    let own = "CREATE TEMP TABLE t (a int); CREATE TEMP VIEW v AS SELECT a FROM t";
    assert!(
        behind(own, "INSERT INTO v VALUES (1)")
            .ends_with("CREATE TEMPORARY VIEW pg_temp.v AS SELECT a FROM pg_temp.t; INSERT INTO pg_temp.v VALUES (1)")
    );
    // Its columns are worked out once, wherever a statement names them.
    assert!(behind(own, "CREATE TEMP VIEW w AS SELECT (SELECT a FROM t) AS x").ends_with(" AS x OFFSET 0"));
    assert!(behind(own, "CREATE OR REPLACE TEMP VIEW v AS SELECT id FROM notes").starts_with("! 0A000 replacing"));
    assert!(behind(own, "CREATE TEMP VIEW w AS WITH o AS (SELECT a FROM v) SELECT o.a FROM o").ends_with("SELECT o.a FROM o"));
}

#[test]
fn a_temporary_view_ends_with_the_catalog_that_it_was_judged_on() {
    let judge = views_judge();
    let tenant = judge.policy().tenants.accept("acme").unwrap();
    let made = judge.simple("CREATE TEMP VIEW v AS SELECT id FROM notes", &tenant).unwrap();
    let mut temps = crate::sql::private::Temps::default();
    temps.completed(&made.kinds[0]);
    assert!(judge.simple_for("SELECT * FROM v", &tenant, &temps).is_ok());
    let catalog = crate::sql::Catalog { version: judge.catalog().version + 1, ..(**judge.catalog()).clone() };
    let later = Judge::new(judge.policy().clone(), Arc::new(catalog));
    let refusal = later.simple_for("SELECT * FROM v", &tenant, &temps).unwrap_err();
    assert_eq!((refusal.sqlstate, refusal.message.as_str()), ("0A000", "temporary view \"v\" is outdated"));
}

#[test]
fn a_temporary_view_without_its_barrier_is_not_proved() {
    let catalog = views_judge().catalog().clone();
    let select = "SELECT orders.id FROM public.orders WHERE orders.org_id OPERATOR(pg_catalog.=) $1";
    let proves = |client: &str, text: &str| verify::verify(client, text, &catalog, 1).is_ok();
    let client = "CREATE TEMP VIEW v AS SELECT orders.id FROM orders";
    assert!(proves(client, &format!("CREATE TEMP VIEW pg_temp.v AS {select} OFFSET 0")));
    for wrong in [
        format!("CREATE TEMP VIEW pg_temp.v AS {select}"),
        format!("CREATE TEMP VIEW pg_temp.w AS {select} OFFSET 0"),
        format!("CREATE VIEW pg_temp.v AS {select} OFFSET 0"),
        format!("CREATE VIEW public.v AS {select} OFFSET 0"),
        format!("CREATE OR REPLACE TEMP VIEW pg_temp.v AS {select} OFFSET 0"),
        format!("CREATE TEMP VIEW pg_temp.v AS {select} OFFSET 0 WITH CHECK OPTION"),
        "CREATE TEMP VIEW pg_temp.v AS SELECT orders.id FROM public.orders OFFSET 0".into(),
    ] {
        assert!(!proves(client, &wrong), "{wrong}");
    }
    assert!(proves("CREATE TEMP VIEW v AS SELECT (SELECT 1) AS x", "CREATE TEMP VIEW pg_temp.v AS SELECT (SELECT 1) AS x OFFSET 0"));
    assert!(!proves("CREATE TEMP VIEW v AS SELECT (SELECT 1) AS x", "CREATE TEMP VIEW pg_temp.v AS SELECT (SELECT 1) AS x"));
    // What the wall believes of a session's views, the verifier looks up by itself.
    let mut private = crate::sql::private::Private::default();
    private.temps.completed(&crate::sql::Kind::CreateTempView(crate::sql::private::temporary_view("v", Some(catalog.version))));
    let same = |sql: &str, text: &str| verify::verify_for(sql, text, &catalog, 1, &private).is_ok();
    assert!(same("SELECT v.id FROM v", "SELECT v.id FROM pg_temp.v"));
    assert!(!same("SELECT v.id FROM v FOR UPDATE", "SELECT v.id FROM pg_temp.v FOR UPDATE"));
    assert!(!same("DELETE FROM v", "DELETE FROM pg_temp.v"));
    assert!(!same("COPY v FROM STDIN", "COPY pg_temp.v FROM STDIN"));
    assert!(!same("EXPLAIN SELECT v.id FROM v", "EXPLAIN (COSTS OFF) SELECT v.id FROM pg_temp.v"));
    assert!(!same("CREATE TEMP VIEW w AS SELECT v.id FROM v", "CREATE TEMP VIEW pg_temp.w AS SELECT v.id FROM pg_temp.v"));
}
