//! Schemas from files, and what is guessed where there is none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::config::document::{Findings, Reader};
use crate::sql::Judge;
use std::sync::Arc;

fn policy(tables: &str) -> Policy {
    let mut findings = Findings::new();
    let text = format!("version: 1\nname: x\ntenants: {{ id: '[a-z]+' }}\npostgres:\n  layout: rows\n  tables:\n{tables}");
    let read = crate::policy::file::read(&mut Reader { file: "p.yaml".into(), findings: &mut findings }, &text);
    read.unwrap_or_else(|| panic!("{findings:?}"))
}

const ORDERS: &str = "    public.orders: { scoped: tenant_id }\n";

#[test]
fn a_dump_gives_columns_types_and_keys() {
    let dump = "\\restrict abc\nSET search_path = '';\nCREATE TABLE public.orders (\n  id integer NOT NULL,\n  tenant_id uuid\n);\n\
                COPY public.orders (id) FROM stdin;\n1\n'; garbage\n\\.\n\
                ALTER TABLE ONLY public.orders ALTER COLUMN tenant_id SET NOT NULL;\n\
                ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (tenant_id, id);\n\
                CREATE UNIQUE INDEX one ON public.orders (id) WHERE id > 3;\nCREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';";
    let catalog = from_dump(&policy(ORDERS), dump).unwrap_or_else(|p| panic!("{p:?}"));
    let orders = catalog.find("", "orders").unwrap();
    let columns: Vec<_> = orders.columns.iter().map(|c| (c.name.as_str(), c.type_oid, c.not_null)).collect();
    assert_eq!(columns, [("id", 23, true), ("tenant_id", 2950, true)]);
    let keys: Vec<_> = orders.keys.iter().map(|k| (k.name.as_str(), k.partial, k.columns.join(","))).collect();
    assert_eq!(keys, [("orders_pkey", false, "tenant_id,id".to_owned()), ("one", true, "id".to_owned())]);
    assert!(catalog.user_functions.contains("f"));
}

#[test]
fn inline_constraints_domains_partitions_and_identity() {
    let dump = "CREATE DOMAIN code AS varchar(20); CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id code UNIQUE) \
                PARTITION BY LIST (tenant_id); CREATE TABLE orders_a PARTITION OF orders FOR VALUES IN ('a');";
    let catalog = from_dump(&policy("    public.orders*: { scoped: tenant_id }\n"), dump).unwrap_or_else(|p| panic!("{p:?}"));
    let (orders, part) = (catalog.find("", "orders").unwrap(), catalog.find("", "orders_a").unwrap());
    assert_eq!((orders.kind, part.kind, orders.columns == part.columns), ('p', 'r', true));
    assert_eq!((orders.columns[0].generated, orders.columns[0].not_null, orders.columns[1].type_oid), (true, true, 1043));
    assert_eq!(orders.keys.len(), 2);
}

#[test]
fn what_does_not_fit_or_is_not_read_is_a_problem() {
    let problems = |dump: &str| from_dump(&policy(ORDERS), dump).unwrap_err()[0].message.clone();
    assert!(problems("CREATE TABLE orders (id int)").contains("has no column"));
    assert!(problems("CREATE TABLE order (id int)").contains("cannot be read"));
    assert!(problems("CREATE TABLE other (id int)").contains("matches no table"));
    assert!(problems("CREATE TABLE orders (id int); ALTER TABLE orders RENAME id TO tenant_id").contains("RENAME"));
    let loose = "CREATE COLLATION loose (provider = icu, deterministic = false); CREATE TABLE orders (tenant_id text COLLATE loose)";
    assert!(problems(loose).contains("collation"));
}

#[test]
fn a_guess_fences_too_often_rather_than_too_seldom() {
    let policy = Arc::new(policy("    public.orders: { scoped: tenant_id }\n    public.log_*: { scoped: org }\n"));
    let sql = "SELECT 1 / total FROM orders, log_2024 WHERE note::int > 5";
    let catalog = guessed(&policy, sql).unwrap().unwrap_or_else(|p| panic!("{p:?}"));
    let tenant = policy.tenants.accept("a").unwrap();
    let done = Judge::new(policy.clone(), Arc::new(catalog)).explain(sql, &tenant).unwrap();
    assert!(done.rewritten.contains("log_2024.org OPERATOR(pg_catalog.=) 'a'"), "{}", done.rewritten);
    assert!(done.reasons.iter().any(|r| r.kind == "fence"), "{}", done.rewritten);
}

#[test]
fn an_insert_without_a_column_list_needs_a_schema() {
    let policy = policy(ORDERS);
    assert!(guessed(&policy, "WITH x AS (INSERT INTO orders VALUES (1) RETURNING 1) SELECT * FROM x").is_none());
    assert!(guessed(&policy, "INSERT INTO orders (id) VALUES (1)").is_some());
}
