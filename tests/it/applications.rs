//! What applications send without a thought: frameworks' writes, and questions that must get the server's own answers.

use crate::smoke::{POLICY, shop};
use crate::support::{Client, Wall};

#[test]
fn a_framework_writes_every_column_and_the_tenants_too() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    // As Django's save() does it.
    let save = "UPDATE orders SET tenant_id = $1, item = $2, price = $3 WHERE orders.id = $4";
    assert_eq!(acme.extended(save, &[Some("acme"), Some("saved"), Some("1"), Some("2")]).unwrap().tag, "UPDATE 1");
    assert_eq!(acme.extended(save, &[Some("globex"), Some("stolen"), Some("1"), Some("2")]).unwrap_err().code, "42501");
    assert_eq!(acme.extended(save, &[None, Some("stolen"), Some("1"), Some("2")]).unwrap_err().code, "42501");
    assert_eq!(acme.query("UPDATE orders SET tenant_id = 'acme'::varchar, item = 'twice' WHERE id = 1").unwrap().tag, "UPDATE 1");
    assert_eq!(acme.query("UPDATE orders SET tenant_id = 'globex', item = 'stolen' WHERE id = 1").unwrap_err().code, "42501");
    let upsert = "INSERT INTO orders (tenant_id, id, item) VALUES ($1, $2, $3) \
                  ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = excluded.tenant_id, item = excluded.item";
    assert_eq!(acme.extended(upsert, &[Some("acme"), Some("1"), Some("upserted")]).unwrap().tag, "INSERT 0 1");
    assert_eq!(acme.extended(upsert, &[Some("globex"), Some("1"), Some("stolen")]).unwrap_err().code, "42501");
    // Fewer values than columns, and no list of them.
    assert_eq!(acme.query("INSERT INTO orders VALUES ('acme', 7, 'short')").unwrap().tag, "INSERT 0 1");
    assert_eq!(acme.query("INSERT INTO orders (id, item) VALUES (8)").unwrap_err().code, "42601");
    let rows = database.psql("SELECT tenant_id, id, item FROM orders ORDER BY 1, 2");
    assert_eq!(rows, "acme|1|upserted\nacme|2|saved\nacme|7|short\nglobex|1|laser\nglobex|3|whale");
}

#[test]
fn what_is_not_there_is_said_as_the_server_says_it() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for (sql, name) in [
        ("SHOW nosuch", "nosuch"),
        ("SHOW app.tenant", "app.tenant"),
        ("SET nosuch = 1", "nosuch"),
        ("RESET nosuch", "nosuch"),
        ("SELECT current_setting('nosuch')", "nosuch"),
    ] {
        let error = acme.query(sql).unwrap_err();
        assert_eq!((error.code.as_str(), error.message), ("42704", format!("unrecognized configuration parameter \"{name}\"")), "{sql}");
    }
    for sql in ["SHOW data_directory", "SHOW work_mem", "SET role = 'postgres'", "SHOW ALL", "SELECT current_setting('hba_file')"] {
        assert_eq!(acme.query(sql).unwrap_err().code, "42501", "{sql}");
    }
    // A hidden table and one that is nowhere differ in nothing but the name.
    let hidden = acme.query("SELECT * FROM secrets").unwrap_err();
    let absent = acme.query("SELECT * FROM nowhere").unwrap_err();
    assert_eq!(format!("{hidden:?}").replace("secrets", "nowhere"), format!("{absent:?}"));
    assert!(!format!("{hidden:?}").contains("list it"), "{hidden:?}");
}
