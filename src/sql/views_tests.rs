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
