//! Two tenants, one database: each sees its own rows and nothing of the other.

use crate::support::{Client, Database, Postgres, Wall, get};
use std::process::Command;

/// `orders` is scoped, `countries` shared, `secrets` hidden.
pub const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders:    { scoped: tenant_id }
    public.countries: { shared: read }
    public.secrets:   { hidden: true }
";

pub const SCHEMA: &str = "
CREATE TABLE orders (tenant_id text NOT NULL, id int NOT NULL, item text NOT NULL, price numeric, PRIMARY KEY (tenant_id, id));
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE secrets (x text);
INSERT INTO orders VALUES ('acme', 1, 'anvil', 10.50), ('acme', 2, 'rocket', 99), ('globex', 1, 'laser', 1000), ('globex', 3, 'whale', 5);
INSERT INTO countries VALUES ('at', 'Austria'), ('be', 'Belgium');
INSERT INTO secrets VALUES ('hush');";

/// A database with [`SCHEMA`].
pub fn shop() -> Database {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    database
}

#[test]
fn each_tenant_sees_its_own_rows_by_the_raw_client() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    assert_eq!(acme.query("SELECT id, item FROM orders ORDER BY id").unwrap().text(), "1|anvil\n2|rocket");
    assert_eq!(globex.extended("SELECT item FROM orders WHERE id < $1 ORDER BY id", &[Some("9")]).unwrap().text(), "laser\nwhale");
    assert_eq!(acme.query("UPDATE orders SET item = 'mine'").unwrap().tag, "UPDATE 2");
    assert_eq!(globex.query("INSERT INTO orders (id, item) VALUES (2, 'new')").unwrap().tag, "INSERT 0 1");
    assert_eq!(globex.extended("DELETE FROM orders WHERE id = $1", &[Some("1")]).unwrap().tag, "DELETE 1");
    let rows = database.psql("SELECT tenant_id, id, item FROM orders ORDER BY 1, 2");
    assert_eq!(rows, "acme|1|mine\nacme|2|mine\nglobex|2|new\nglobex|3|whale");
    assert_eq!(acme.query("SELECT * FROM nowhere").unwrap_err().code, "42P01");
    assert_eq!(acme.query("SELECT * FROM secrets").unwrap_err().code, "42P01");
    assert_eq!(acme.query("SELECT name FROM countries WHERE code = 'be'").unwrap().text(), "Belgium");
}

#[test]
fn no_identity_no_service() {
    let wall = Wall::for_database(&shop(), POLICY);
    for parameters in
        [&[("user", "app")][..], &[("user", "app"), ("partywall.tenant", "")], &[("user", "app"), ("partywall.tenant", "A'b")]]
    {
        let refused = Client::connect(wall.port("pg"), parameters).err().map(|e| (e.severity, e.code));
        assert_eq!(refused, Some(("FATAL".into(), "28000".into())), "{parameters:?}");
    }
    assert_eq!(get(wall.port("admin"), "/livez"), (200, "ok\n".into()));
}

#[test]
fn psql_works() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    for (tenant, rows) in [("acme", "anvil\nrocket\n"), ("globex", "laser\nwhale\n"), ("nobody", "")] {
        let output = Command::new("psql")
            .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", "SELECT item FROM orders ORDER BY id"])
            .env("PGPORT", wall.port("pg").to_string())
            .env("PGOPTIONS", format!("-c partywall.tenant={tenant}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), rows);
    }
}
