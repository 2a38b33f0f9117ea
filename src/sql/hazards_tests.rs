//! What fails in some databases only stands behind the guards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use crate::sql::Judge;
use crate::sql::tests::{check_with, judge};
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
