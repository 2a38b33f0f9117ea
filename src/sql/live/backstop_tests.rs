//! Which expressions of row-level security hold a tenant to its own.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{Place, TableEntry, TableRule, Through};
use crate::sql::live::Column;

fn table(name: &str, type_oid: u32, rule: TableRule) -> Table {
    let place = Place { file: "p.yaml".into(), line: 1, column: 1 };
    let entry = TableEntry { schema: "public".into(), name: name.into(), rule, place };
    let column = |name: &str| Column { name: name.into(), type_oid, ..Column::default() };
    let columns = vec![column("tenant_id"), column("Org"), column("id")];
    Table { schema: "public".into(), name: name.into(), columns, entry: Some(entry), ..Table::default() }
}

fn scoped(column: &str) -> TableRule {
    TableRule::Scoped { column: column.into(), hidden: false }
}

const SETTING_READ: &str = "( SELECT current_setting('partywall.tenant'::text, true) AS current_setting)";
const NUMBER_READ: &str = "( SELECT (NULLIF(current_setting('partywall.tenant'::text, true), ''::text))::integer AS \"nullif\")";

#[test]
fn what_the_server_prints_of_a_sound_policy_is_known() {
    let read = SETTING_READ;
    for (expression, column, type_oid, sound) in [
        (format!("(tenant_id = {read})"), "tenant_id", 25, true),
        (format!("((tenant_id)::text = {read})"), "tenant_id", 1043, true),
        (format!("(tenant_id = {NUMBER_READ})"), "tenant_id", 23, true),
        ("(tenant_id = current_setting('partywall.tenant'::text))".into(), "tenant_id", 25, true),
        (format!("(\"Org\" = {read})"), "Org", 25, true),
        (format!("(org = {read})"), "Org", 25, false),
        ("true".into(), "tenant_id", 25, false),
        ("(tenant_id = 'acme'::text)".into(), "tenant_id", 25, false),
        (format!("(id = {read})"), "tenant_id", 25, false),
        ("(tenant_id = ( SELECT current_setting('app.tenant'::text, true) AS current_setting))".into(), "tenant_id", 25, false),
        (format!("((tenant_id = {read}) OR (note = 'x'::text))"), "tenant_id", 25, false),
        (format!("(tenant_id <> {read})"), "tenant_id", 25, false),
        (format!("(NOT (tenant_id = {read}))"), "tenant_id", 25, false),
    ] {
        let table = table("orders", type_oid, scoped(column));
        let live = Live { tables: vec![table.clone()], ..Live::default() };
        let wanted = condition(&live, &table, "orders", &|_| 0).unwrap();
        assert_eq!(says(&expression, &wanted, &table, &live), sound, "{expression}\n{wanted}");
    }
}

#[test]
fn by_way_of_a_parent() {
    let on = vec![("order_id".to_owned(), "id".to_owned())];
    let items = table("items", 25, TableRule::Through(Through { schema: "public".into(), table: "orders".into(), on }));
    let live = Live { tables: vec![items.clone(), table("orders", 25, scoped("tenant_id"))], ..Live::default() };
    let wanted = condition(&live, &items, "items", &|_| 0).unwrap();
    let printed = |link: &str| format!("(EXISTS ( SELECT\n   FROM orders up1\n  WHERE (({link}) AND (up1.tenant_id = {SETTING_READ}))))");
    assert!(says(&printed("up1.id = items.order_id"), &wanted, &items, &live));
    assert!(!says(&printed("up1.id = up1.id"), &wanted, &items, &live));
    assert!(!says("true", &wanted, &items, &live));
}
