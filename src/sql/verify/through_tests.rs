//! Guards by way of a parent that must not pass: each is a rewriter's mistake.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use crate::config::document::{Findings, Reader};
use crate::sql::Catalog;
use crate::sql::verify::verify;

pub fn catalog() -> Catalog {
    let mut findings = Findings::new();
    let text = include_str!("../../../tests/sql/through.yaml");
    let policy = crate::policy::file::read(&mut Reader { file: "p.yaml".into(), findings: &mut findings }, text);
    let policy = policy.unwrap_or_else(|| panic!("{findings:?}"));
    crate::sql::offline::from_dump(&policy, include_str!("../../../tests/sql/through.sql")).unwrap_or_else(|p| panic!("{p:?}"))
}

/// `GUARD` stands for the guard of `items` as it should be, `CHAIN` for that of `parts`.
fn full(text: &str) -> String {
    let guard = "EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id \
                 AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)";
    let chain = "EXISTS (SELECT 1 FROM public.items partywall_1, public.orders partywall_2 WHERE partywall_1.order_id OPERATOR(pg_catalog.=) \
                 parts.order_id AND partywall_1.line OPERATOR(pg_catalog.=) parts.line AND partywall_2.id OPERATOR(pg_catalog.=) \
                 partywall_1.order_id AND partywall_2.tenant_id OPERATOR(pg_catalog.=) $1)";
    text.replace("GUARD", guard).replace("CHAIN", chain)
}

/// A statement, a good rewriting and several bad ones.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "SELECT sku FROM items WHERE (SELECT items.sku::int) > 3",
        "SELECT sku FROM (SELECT * FROM public.items WHERE GUARD OFFSET 0) items WHERE (SELECT items.sku::int) > 3",
        &["SELECT sku FROM public.items WHERE GUARD AND (SELECT items.sku::int) > 3"],
    ),
    (
        "SELECT n FROM items i, generate_series(1, i.sku::int) n",
        "SELECT n FROM (SELECT * FROM public.items WHERE GUARD OFFSET 0) i, pg_catalog.generate_series(1, i.sku::int) n",
        &[
            "SELECT n FROM public.items i, pg_catalog.generate_series(1, i.sku::int) n WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) i.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
        ],
    ),
    (
        "SELECT sku FROM items",
        "SELECT sku FROM public.items WHERE GUARD",
        &[
            "SELECT sku FROM public.items",
            "SELECT sku FROM public.items WHERE GUARD OR true",
            "SELECT sku FROM public.items WHERE NOT GUARD",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.line AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.previous OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.boxes partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id OR partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1, public.orders o WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) 'globex')",
            "SELECT sku FROM public.items WHERE EXISTS (SELECT count(*) FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)",
        ],
    ),
    (
        "SELECT name FROM parts",
        "SELECT name FROM public.parts WHERE CHAIN",
        &[
            "SELECT name FROM public.parts WHERE GUARD",
            "SELECT name FROM public.parts WHERE EXISTS (SELECT 1 FROM public.items partywall_1, public.orders partywall_2 WHERE partywall_1.order_id OPERATOR(pg_catalog.=) parts.order_id AND partywall_1.line OPERATOR(pg_catalog.=) parts.line AND partywall_2.tenant_id OPERATOR(pg_catalog.=) $1)",
            "SELECT name FROM public.parts WHERE EXISTS (SELECT 1 FROM public.items partywall_1, public.orders partywall_2 WHERE partywall_1.order_id OPERATOR(pg_catalog.=) parts.order_id AND partywall_2.id OPERATOR(pg_catalog.=) partywall_1.order_id AND partywall_2.tenant_id OPERATOR(pg_catalog.=) $1)",
        ],
    ),
    (
        "SELECT 1 FROM orders o LEFT JOIN items ON items.order_id = o.id",
        "SELECT 1 FROM public.orders o LEFT JOIN public.items ON GUARD AND items.order_id = o.id WHERE o.tenant_id OPERATOR(pg_catalog.=) $1",
        &[
            "SELECT 1 FROM public.orders o LEFT JOIN public.items ON items.order_id = o.id WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 AND GUARD",
        ],
    ),
    (
        "SELECT 1 FROM orders o LEFT JOIN items ON true WHERE items.sku::int > 1",
        "SELECT 1 FROM public.orders o LEFT JOIN public.items ON GUARD AND true WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 \
         AND CASE WHEN items.order_id IS NULL OR GUARD THEN items.sku::int END > 1",
        // A row of another tenant may have a NULL there.
        &["SELECT 1 FROM public.orders o LEFT JOIN public.items ON GUARD AND true WHERE o.tenant_id OPERATOR(pg_catalog.=) $1 \
           AND CASE WHEN items.sku IS NULL OR GUARD THEN items.sku::int END > 1"],
    ),
    (
        "SELECT 1 FROM items partywall_1",
        "",
        &["SELECT 1 FROM public.items partywall_1 WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE \
      partywall_1.id OPERATOR(pg_catalog.=) partywall_1.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1)"],
    ),
    (
        "UPDATE items SET qty = 1",
        "UPDATE public.items SET qty = 1 WHERE GUARD",
        &["UPDATE public.items SET qty = 1", "UPDATE public.items SET order_id = 1 WHERE GUARD"],
    ),
    ("UPDATE items SET order_id = 2", "", &["UPDATE public.items SET order_id = 2 WHERE GUARD"]),
    ("DELETE FROM items", "DELETE FROM public.items WHERE GUARD", &["DELETE FROM public.items"]),
    ("DELETE FROM boxes", "", &["DELETE FROM public.boxes WHERE boxes.tenant_id OPERATOR(pg_catalog.=) $1"]),
    ("UPDATE boxes SET id = 3", "", &["UPDATE public.boxes SET id = 3 WHERE boxes.tenant_id OPERATOR(pg_catalog.=) $1"]),
    (
        "INSERT INTO items VALUES (1, 1)",
        "",
        &["INSERT INTO public.items VALUES (1, 1)", "INSERT INTO public.items (order_id, line) VALUES (1, 1)"],
    ),
];

#[test]
fn only_sound_guards_pass() {
    let catalog = catalog();
    for (client, good, bad) in CASES {
        if !good.is_empty() {
            assert_eq!(verify(client, &full(good), &catalog, 1).err(), None, "{good}");
        }
        for text in *bad {
            assert!(verify(client, &full(text), &catalog, 1).is_err(), "{client}\npassed as\n{text}");
        }
    }
}

/// What may go wrong with the checks of a write: a piece of the sound text and what stands there instead.
const SPOILT: &[(&str, &str)] = &[
    (" FOR KEY SHARE", ""),
    (" FOR KEY SHARE", " FOR KEY SHARE SKIP LOCKED"),
    ("partywall_1.tenant_id OPERATOR(pg_catalog.=) $1 FOR", "true FOR"),
    ("partywall_1.tenant_id OPERATOR(pg_catalog.=) $1 FOR", "partywall_1.tenant_id OPERATOR(pg_catalog.=) 'globex' FOR"),
    ("partywall_1.id OPERATOR(pg_catalog.=) partywall_v", "partywall_1.previous OPERATOR(pg_catalog.=) partywall_v"),
    ("IS NULL OR EXISTS", "IS NOT NULL OR EXISTS"),
    ("EXISTS (SELECT 1 FROM public.orders partywall_1", "NOT EXISTS (SELECT 1 FROM public.orders partywall_1"),
    ("FROM public.orders partywall_1", "FROM public.boxes partywall_1"),
    ("THEN true ELSE ('partywall:key:", "THEN true ELSE true OR ('partywall:key:"),
    ("ELSE ('partywall:key:", "ELSE ('t' OPERATOR(pg_catalog.||) 'partywall:key:"),
    ("|partywall')::boolean", "|partywall')::text IS NULL"),
    ("END THEN partywall_v.c1 END", "END THEN partywall_v.c1 ELSE 2 END"),
    ("END THEN partywall_v.c1 END", "END THEN 2 END"),
    ("OFFSET 0) partywall_v", "OFFSET 1) partywall_v"),
    (" OFFSET 0) partywall_v", ") partywall_v"),
    ("(SELECT CASE WHEN CASE", "(SELECT CASE WHEN true OR CASE"),
];

#[test]
fn only_whole_checks_of_a_write_pass() {
    let catalog = catalog();
    let judged = crate::sql::tests::through_judge();
    let tenant = crate::policy::TenantPattern::new("[a-z]+").unwrap().accept("acme").unwrap();
    let mut spoilt = std::collections::HashSet::new();
    for client in [
        "INSERT INTO items VALUES (7, 1)",
        "INSERT INTO items (line, order_id) VALUES (1, 7), (2, 8)",
        "INSERT INTO items (order_id, line) SELECT id, 1 FROM orders",
        "INSERT INTO boxes (id, order_id) VALUES (1, 7)",
        "INSERT INTO boxes (id, order_id) SELECT line, order_id FROM items",
        "UPDATE items SET order_id = 8",
        "UPDATE boxes SET order_id = id",
        "MERGE INTO items i USING orders o ON o.id = i.order_id WHEN NOT MATCHED THEN INSERT VALUES (o.id, 1)",
        "INSERT INTO items VALUES (7, 1) ON CONFLICT (order_id, line) DO UPDATE SET order_id = 8",
    ] {
        let sound = judged.extended(client, 0, &tenant).unwrap().outgoing.as_str().to_owned();
        assert_eq!(verify(client, &sound, &catalog, 1).err(), None, "{sound}");
        for (index, (piece, instead)) in SPOILT.iter().enumerate() {
            for (at, _) in sound.match_indices(piece) {
                let text = format!("{}{instead}{}", &sound[..at], &sound[at + piece.len()..]);
                assert!(verify(client, &text, &catalog, 1).is_err(), "{client}\npassed as\n{text}");
                spoilt.insert(index);
            }
        }
    }
    assert_eq!(spoilt.len(), SPOILT.len(), "every way was tried: {spoilt:?}");
    // No check at all, or of another value than is written.
    for (client, bad) in [
        ("INSERT INTO items VALUES (7, 1)", "INSERT INTO public.items (order_id, line) VALUES (7, 1)"),
        ("INSERT INTO boxes (order_id) VALUES (7)", "INSERT INTO public.boxes (order_id, tenant_id) VALUES (7, $1)"),
        ("INSERT INTO boxes (order_id) SELECT 7", "INSERT INTO public.boxes (order_id, tenant_id) SELECT 7, $1"),
        ("INSERT INTO remarks (text) VALUES ('x')", "INSERT INTO public.remarks (text) VALUES ('x')"),
        ("INSERT INTO remarks DEFAULT VALUES", "INSERT INTO public.remarks DEFAULT VALUES"),
        ("UPDATE boxes SET order_id = 7", "UPDATE public.boxes SET order_id = 7 WHERE boxes.tenant_id OPERATOR(pg_catalog.=) $1"),
        (
            "COPY boxes (order_id) FROM STDIN",
            "COPY public.boxes (tenant_id, order_id) FROM STDIN WHERE CASE WHEN boxes.tenant_id OPERATOR(pg_catalog.=) $1 THEN true \
          ELSE ('partywall:tenant' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.\"left\"(boxes.tenant_id::pg_catalog.text, 0), ''))::boolean END",
        ),
    ] {
        assert!(verify(client, bad, &catalog, 1).is_err(), "{client}\npassed as\n{bad}");
    }
    let parts = judged.extended("INSERT INTO parts VALUES (7, 1)", 0, &tenant).unwrap().outgoing.as_str().to_owned();
    assert_eq!(verify("INSERT INTO parts VALUES (7, 1)", &parts, &catalog, 1).err(), None, "{parts}");
    let other = parts.replace("1::int AS c2", "2::int AS c2");
    assert!(other != parts && verify("INSERT INTO parts VALUES (7, 1)", &other, &catalog, 1).is_err(), "{other}");
}

#[test]
fn a_guard_names_the_parents_too() {
    let proof = verify("SELECT name FROM parts", &full("SELECT name FROM public.parts WHERE CHAIN"), &catalog(), 1).unwrap();
    assert_eq!(proof.relations, ["public.items", "public.orders", "public.parts"]);
}

#[test]
fn what_the_server_changes_by_itself_is_not_proved() {
    let catalog = catalog();
    let proved = |client: &str, table: &str| {
        let guard = format!("{table}.tenant_id OPERATOR(pg_catalog.=) $1");
        let text = client.replace(&format!(" {table}"), &format!(" public.{table}"));
        verify(client, &format!("{text} WHERE {guard}"), &catalog, 1).is_ok()
    };
    for (good, table) in [
        ("DELETE FROM books", "books"),
        ("UPDATE things SET note = 'x'", "things"),
        ("UPDATE rooms SET note = 'x'", "rooms"),
        ("UPDATE shelves SET id = 2", "shelves"),
    ] {
        assert!(proved(good, table), "{good}");
    }
    for (bad, table) in [
        ("DELETE FROM shelves", "shelves"),
        ("DELETE FROM rooms", "rooms"),
        ("UPDATE rooms SET id = 2", "rooms"),
        ("UPDATE things SET raw = 2", "things"),
        ("UPDATE things SET note = 'x', raw = 2", "things"),
    ] {
        assert!(!proved(bad, table), "{bad}");
    }
}
