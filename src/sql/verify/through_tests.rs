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

#[test]
fn a_guard_names_the_parents_too() {
    let proof = verify("SELECT name FROM parts", &full("SELECT name FROM public.parts WHERE CHAIN"), &catalog(), 1).unwrap();
    assert_eq!(proof.relations, ["public.items", "public.orders", "public.parts"]);
}
