//! How long a statement that was never seen takes: parse, rewrite, print, prove, second opinion; one of the simple protocol of which another with
//! other constants is known; and one that is known. `judge [ROUNDS]`; microseconds a statement, and of the parser alone for comparison.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark stops where it fails")]

use partywall::config::document::{Findings, Reader};
use partywall::policy::Home;
use partywall::sql::{Judge, offline};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// As object-relational mappers write them; `{n}` differs from round to round.
const STATEMENTS: &[(&str, &str)] = &[
    ("by key", r#"SELECT "orders"."id", "orders"."customer_id", "orders"."status" FROM "orders" WHERE "orders"."id" = $1 LIMIT {n}"#),
    (
        "join",
        r#"SELECT "orders"."id", "orders"."status", "customers"."id", "customers"."name", "customers"."country" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") WHERE ("customers"."country" = $1 AND "orders"."status" IN ($2, $3)) ORDER BY "orders"."id" DESC LIMIT {n}"#,
    ),
    (
        "left joins, grouped",
        r#"SELECT c.id, c.name, count(o.id) AS orders, coalesce(sum(i.quantity * p.price), 0) AS total FROM customers c LEFT JOIN orders o ON o.customer_id = c.id LEFT JOIN order_items i ON i.order_id = o.id LEFT JOIN products p ON p.id = i.product_id WHERE c.name LIKE $1 GROUP BY c.id, c.name HAVING count(o.id) > $2 ORDER BY total DESC LIMIT {n}"#,
    ),
    (
        "subquery",
        r#"SELECT p.id, p.name FROM products p WHERE EXISTS (SELECT 1 FROM order_items i JOIN orders o ON o.id = i.order_id WHERE i.product_id = p.id AND o.status = 'paid') AND p.price > (SELECT avg(price) FROM products) LIMIT {n}"#,
    ),
    ("insert", r#"INSERT INTO "orders" ("id", "customer_id", "status") VALUES ({n}, $1, $2) RETURNING "orders"."id""#),
    (
        "insert of 20 rows",
        "INSERT INTO products (id, name, price) VALUES ({n}, 'a', 1.5), (2, 'b', 1.5), (3, 'c', 1.5), (4, 'd', 1.5), (5, 'e', 1.5), (6, 'f', 1.5), (7, 'g', 1.5), (8, 'h', 1.5), (9, 'i', 1.5), (10, 'j', 1.5), (11, 'k', 1.5), (12, 'l', 1.5), (13, 'm', 1.5), (14, 'n', 1.5), (15, 'o', 1.5), (16, 'p', 1.5), (17, 'q', 1.5), (18, 'r', 1.5), (19, 's', 1.5), (20, 't', 1.5)",
    ),
    ("update", r#"UPDATE "orders" SET "status" = $1, "customer_id" = $2 WHERE "orders"."id" = {n}"#),
    ("delete", r#"DELETE FROM "order_items" WHERE "order_items"."order_id" IN ($1, $2, $3, {n})"#),
];

#[allow(dead_code, reason = "it is part of another bench, too")]
fn main() {
    run(|| 0);
}

/// Prints the table; `asked` says how often memory was asked for so far.
pub fn run(asked: impl Fn() -> usize) {
    let rounds: usize = std::env::args().nth(1).map_or(300, |n| n.parse().unwrap());
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut findings = Findings::new();
    let (yaml, sql) = (std::fs::read_to_string(root.join("shop.yaml")).unwrap(), std::fs::read_to_string(root.join("shop.sql")).unwrap());
    let policy = partywall::policy::file::read(&mut Reader { file: "shop.yaml".into(), findings: &mut findings }, &yaml).unwrap();
    let catalog = offline::from_dump_for(&policy, &Home::Rows, &sql).unwrap_or_else(|p| panic!("{p:?}"));
    let tenant = policy.tenants.accept("acme").unwrap();
    let judge = Judge::new(Arc::new(policy), Arc::new(catalog));
    println!("| statement | new | other constants | known | parsed |\n|---|---:|---:|---:|---:|");
    for (name, text) in STATEMENTS {
        let [mut new, mut alike, mut known, mut parsed] = [const { Measured::new() }; 4];
        let simple = ["$1", "$2", "$3"].iter().fold((*text).to_owned(), |text, parameter| text.replace(parameter, "'7'"));
        for n in 1..=rounds {
            let said = |text: &str| text.replace("{n}", &n.to_string());
            let (text, simple) = (said(text), said(&simple));
            new.take(&asked, || judge.extended(&text, 0, &tenant).unwrap_or_else(|r| panic!("{name}: {r:?}")));
            known.take(&asked, || judge.extended(&text, 0, &tenant).unwrap());
            alike.take(&asked, || judge.simple(&simple, &tenant).unwrap_or_else(|r| panic!("{name}: {r:?}")));
            parsed.take(&asked, || pg_query::parse(&text, pg_query::ParserOptions::default()).unwrap());
        }
        let cells = [new, alike, known, parsed].map(|mut measured| measured.shown(asked() > 0));
        println!("| {name} | {} |", cells.join(" | "));
    }
}

/// Nanoseconds and allocations of each time.
struct Measured(Vec<(u128, usize)>);

impl Measured {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn take<T>(&mut self, asked: impl Fn() -> usize, work: impl FnOnce() -> T) {
        let (before, begin) = (asked(), Instant::now());
        let done = black_box(work());
        self.0.push((begin.elapsed().as_nanos(), asked() - before));
        drop(done);
    }

    /// The median.
    fn shown(&mut self, counting: bool) -> String {
        self.0.sort_unstable();
        let (spent, asked) = self.0[self.0.len() / 2];
        if counting { asked.to_string() } else { format!("{:.1} µs", spent as f64 / 1000.0) }
    }
}
