//! Which foreign keys stay within a tenant; whole schemas are looked at on a real server by `tests/it/check_live.rs`.

use super::*;
use crate::policy::Place;

fn entry(name: &str, rule: TableRule) -> TableEntry {
    let place = Place { file: "p.yaml".into(), line: 1, column: 1 };
    TableEntry { schema: "public".into(), name: name.into(), rule, place }
}

fn scoped(column: &str) -> TableRule {
    TableRule::Scoped { column: column.into(), hidden: false }
}

fn through(table: &str, on: &[(&str, &str)]) -> TableRule {
    let on = on.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    TableRule::Through(Through { schema: "public".into(), table: table.into(), on })
}

#[test]
fn a_foreign_key_is_within_a_tenant_by_its_columns() {
    let orders = || scoped("tenant_id");
    for (child, parent, columns, within) in [
        (orders(), orders(), &[("order_id", "id")][..], false),
        (orders(), orders(), &[("tenant_id", "tenant_id"), ("order_id", "id")], true),
        (scoped("org"), orders(), &[("org", "tenant_id"), ("order_id", "id")], true),
        (scoped("org"), orders(), &[("tenant_id", "tenant_id"), ("order_id", "id")], false),
        (through("p", &[("order_id", "id")]), orders(), &[("order_id", "id")], true),
        (through("p", &[("order_id", "id")]), orders(), &[("other_id", "id")], false),
        (through("elsewhere", &[("order_id", "id")]), orders(), &[("order_id", "id")], false),
        (through("o", &[("a", "id")]), through("o", &[("b", "id")]), &[("a", "b"), ("n", "n")], true),
        (through("o", &[("a", "id")]), through("o", &[("b", "id")]), &[("n", "n")], false),
        (through("o", &[("a", "id")]), through("q", &[("b", "id")]), &[("a", "b")], false),
        (orders(), through("o", &[("b", "id")]), &[("x", "b")], false),
        (TableRule::SharedRead, orders(), &[("tenant_id", "tenant_id")], false),
    ] {
        let columns = columns.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let foreign = Foreign { columns, ..Foreign::default() };
        let table = Table { schema: "public".into(), name: "p".into(), ..Table::default() };
        let (child, parent) = (entry("c", child), entry("p", parent));
        assert_eq!(is_within(&child, &parent, &table, &foreign), within, "{child:?} {parent:?} {foreign:?}");
    }
}

#[test]
fn long_lists_are_cut() {
    let names: Vec<String> = (0..22).map(|n| n.to_string()).collect();
    assert!(some(&names).ends_with("18, 19 and 2 more"));
    assert_eq!(some(&names[..2]), "0, 1");
}
