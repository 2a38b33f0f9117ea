//! What fails in some databases only stands behind the guards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use crate::sql::Judge;
use crate::sql::tests::{check_with, judge, through_judge};
use std::sync::Arc;

/// The judge of the cases, of a database with a domain, a column that is computed as it is read, one of bigint, and one with a
/// collation of its own.
pub(crate) fn hazards_judge() -> Judge {
    let plain = judge();
    let mut catalog = plain.catalog().as_ref().clone();
    catalog.types.insert("posint".into(), "public".into());
    let hazards = &mut catalog.hazards;
    hazards.domains.insert("posint".into());
    hazards.own_types.insert("posint".into());
    hazards.computed.insert("total".into());
    hazards.collated.insert("name".into(), [12547].into());
    let orders = catalog.relations.values_mut().find(|r| r.name == "orders").unwrap();
    Arc::make_mut(orders).columns.iter_mut().filter(|c| c.name == "customer").for_each(|c| c.type_oid = 20);
    Judge::new(plain.policy().clone(), Arc::new(catalog))
}

/// The same of one where values of a column have no comparison.
fn shapes_judge() -> Judge {
    let plain = judge();
    let mut catalog = plain.catalog().as_ref().clone();
    catalog.hazards.shapes.insert("sku".into());
    Judge::new(plain.policy().clone(), Arc::new(catalog))
}

/// The same of one where a collation is not deterministic.
fn odd_judge() -> Judge {
    let plain = judge();
    let mut catalog = plain.catalog().as_ref().clone();
    catalog.hazards.collations = true;
    Judge::new(plain.policy().clone(), Arc::new(catalog))
}

#[test]
fn what_fails_in_some_databases_is_behind_the_guards() {
    check_with(&hazards_judge(), "attacks/hazards.txt", include_str!("../../tests/sql/attacks/hazards.txt"));
}

#[test]
fn what_has_no_comparison_is_compared_behind_the_guards() {
    check_with(&shapes_judge(), "attacks/shapes.txt", include_str!("../../tests/sql/attacks/shapes.txt"));
}

#[test]
fn no_pattern_runs_before_a_guard_where_collations_do_not_take_it() {
    check_with(&odd_judge(), "attacks/collations.txt", include_str!("../../tests/sql/attacks/collations.txt"));
}

/// Whether a join runs that can fail must not depend on rows of a table whose guard is a join itself.
#[test]
fn a_join_that_can_fail_stands_beside_no_guard_by_way_of_a_parent() {
    let plain = through_judge();
    let mut catalog = plain.catalog().as_ref().clone();
    catalog.hazards.shapes.insert("note".into());
    let judge = Judge::new(plain.policy().clone(), Arc::new(catalog));
    check_with(
        &judge,
        "USING",
        "SELECT line FROM items, (orders o JOIN things t USING (note))
=>
SELECT line FROM (SELECT * FROM public.items WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1) OFFSET 0) items, (SELECT * FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) o JOIN (SELECT * FROM public.things WHERE things.tenant_id OPERATOR(pg_catalog.=) $1 OFFSET 0) t USING (note)

SELECT line FROM items, orders o JOIN things t USING (id)
=>
SELECT line FROM public.items, public.orders o JOIN public.things t USING (id) WHERE EXISTS (SELECT 1 FROM public.orders partywall_1 WHERE partywall_1.id OPERATOR(pg_catalog.=) items.order_id AND partywall_1.tenant_id OPERATOR(pg_catalog.=) $1) AND o.tenant_id OPERATOR(pg_catalog.=) $1 AND t.tenant_id OPERATOR(pg_catalog.=) $1

UPDATE items SET qty = 2 FROM orders o JOIN things t USING (note)
=>
! 0A000",
    );
}

/// What a join merges is known by the names that its columns have there.
#[test]
fn a_rewriter_that_forgets_new_names_of_columns_is_seen() {
    let judge = hazards_judge();
    let proved = |countries: &str| {
        let client = format!("SELECT 1 FROM orders NATURAL JOIN countries {countries}");
        let guard = "WHERE orders.tenant_id OPERATOR(pg_catalog.=) $1";
        let outgoing = format!("SELECT 1 FROM public.orders NATURAL JOIN public.countries {countries} {guard}");
        crate::sql::verify::verify(&client, &outgoing, judge.catalog(), 1).is_ok()
    };
    assert!(proved("c"));
    assert!(!proved("c (total)"));
}
