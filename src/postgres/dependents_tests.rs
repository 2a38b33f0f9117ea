//! Which lines of DETAIL a tenant reads of what hangs on its objects.

use super::*;
use crate::policy::Home;
use crate::sql::tests::through_judge;

#[test]
fn only_what_is_the_tenants_is_named() {
    let mut catalog = (**through_judge().catalog()).clone();
    catalog.home = Home::Schema("tenant_acme".into());
    catalog.types.insert("mood".into(), "public".into());
    catalog.system.others.insert(("public".into(), "orders_id_seq".into()), 5);
    for (line, told) in [
        ("view items depends on table orders", true),
        ("view public.items depends on table public.orders", true),
        ("constraint Odd \" key on table items depends on index orders_id_seq", true),
        ("default value for column id of table items depends on sequence orders_id_seq", true),
        ("column m of table items depends on type mood", true),
        ("rule _RETURN on view items depends on column \"note\"", true),
        ("view reports.allorders depends on table orders", false),
        ("view \"Reports\".items depends on table orders", false),
        ("view allorders depends on table orders", false),
        ("view items depends on view reports.middle", false),
        ("constraint k on table reports.keeper depends on table orders", false),
        ("constraint k on table items on table keeper depends on table orders", false),
        ("column m of table items of table \"x of table items\" depends on table orders", false),
        ("constraint k on table items x depends on table orders", false),
        ("default value for column id of table tenant_globex.child depends on sequence orders_id_seq", false),
        ("function reports.body() depends on type mood", false),
        ("column m of table secrets depends on type mood", false),
        ("column m of table items depends on type reports.mood", false),
        ("publication of table orders in publication pub depends on table orders", false),
        ("policy pol on table secrets depends on column note of table orders", false),
        ("Table \"items\" references \"orders\".", true),
        ("Table \"keeper\" references \"orders\".", false),
        ("and 3 other objects (see server log for list)", false),
        ("Sicht items hängt von Tabelle orders ab", false),
    ] {
        assert_eq!(known(line, true, &catalog), if told { line } else { "" }, "{line}");
    }
    let two = "view reports.x depends on table orders\nview items depends on table orders";
    assert_eq!(known(two, true, &catalog), "view items depends on table orders");
    assert_eq!(known("This operation is not supported for views.", false, &catalog), "This operation is not supported for views.");
    assert_eq!(known("Table \"keeper\" references \"orders\".", false, &catalog), "");
    assert_eq!(known("Tabelle »keeper« verweist auf »orders«.", false, &catalog), "");
    let message = |table: &str| format!("cannot drop index i because constraint c on table {table} requires it");
    assert_eq!(without_owner(&message("orders"), &catalog), None);
    assert_eq!(without_owner(&message("secrets"), &catalog).as_deref(), Some("cannot drop index i because other objects depend on it"));
}
