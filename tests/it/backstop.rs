//! `plan` and `backstop: rls` on a real server: a schema made for one tenant becomes one for many, and each of the two layers holds alone.

use crate::support::{Client, Database, Postgres, Wall};
use serde_json::Value;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  backstop: rls
  tables:
    public.orders:    { scoped: tenant_id }
    public.items:     { scoped: tenant_id }
    public.Notes:     { scoped: tenant_id }
    public.counted:   { scoped: org }
    public.countries: { shared: read }
    public.baskets:   { scoped: tenant_id }
    public.lines:     { through: { table: public.baskets, on: { basket: id } } }
";

/// What one customer's application had.
const LEGACY: &str = "
CREATE TABLE orders (id int PRIMARY KEY, code text UNIQUE, note text);
CREATE TABLE items (id serial PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, spare int REFERENCES orders ON DELETE SET NULL, sku text);
CREATE TABLE \"Notes\" (\"order\" int, body text);
CREATE TABLE counted (org int NOT NULL, id int);
CREATE TABLE countries (code text PRIMARY KEY);
CREATE TABLE baskets (id int PRIMARY KEY);
CREATE TABLE lines (basket int NOT NULL REFERENCES baskets, n int);
INSERT INTO baskets VALUES (1), (2);
INSERT INTO orders VALUES (1, 'a', 'one'), (2, 'b', 'two');
INSERT INTO items (order_id, spare, sku) VALUES (1, 2, 'x'), (2, 1, 'y');
INSERT INTO \"Notes\" VALUES (1, 'n');
INSERT INTO counted VALUES (7, 1), (8, 2);
INSERT INTO lines VALUES (1, 1), (2, 2);
INSERT INTO countries VALUES ('de');
";

/// Roles are the cluster's: one test at a time makes them.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn policy_for(database: &Database) -> String {
    POLICY.replace("name: test\n", &format!("name: test # {}\n", database.name))
}

/// Exit code and what is printed.
pub fn typed(database: &Database, user: &str, policy: &str, arguments: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("policies")).unwrap();
    std::fs::write(directory.path().join("policies/test.yaml"), policy).unwrap();
    let config = Wall::config(database, "identity: [startup]", &format!("user: {user}"));
    std::fs::write(directory.path().join("partywall.yaml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_partywall"));
    let output = command.args(arguments).current_dir(directory.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

fn steps(database: &Database, user: &str) -> Vec<Value> {
    let (code, text) = typed(database, user, &policy_for(database), &["plan", "--json", "--tenant", "acme"]);
    assert_eq!(code, 0, "{text}");
    let all: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!((&all[0]["upstream"], &all[0]["policy"]), (&"db".into(), &"test".into()));
    all[0]["steps"].as_array().unwrap().clone()
}

/// A schema that the plan has been run on.
fn migrated() -> (Database, Vec<Value>) {
    let database = Postgres::shared().database();
    database.psql(LEGACY);
    database.psql("DROP ROLE IF EXISTS partywall_app");
    let steps = steps(&database, "postgres");
    // One round trip, and so one transaction: the other test runs the statements as they are.
    let all: Vec<String> = steps.iter().map(|s| s["sql"].as_str().unwrap().replace(" CONCURRENTLY", "")).collect();
    database.psql(&all.join(";"));
    (database, steps)
}

/// Roles cannot go while databases hold rights of theirs.
fn forget(database: &Database) {
    database.psql("DROP OWNED BY partywall_app; DROP ROLE partywall_app");
}

fn wall(database: &Database) -> Wall {
    let config = Wall::config(database, "identity: [startup]", "user: partywall_app");
    Wall::start(&config, &[("test.yaml", &policy_for(database))])
}

#[test]
fn a_plan_makes_one_tenants_schema_many_tenants() {
    let _alone = alone();
    let (database, steps) = migrated();
    let phases: Vec<&str> = steps.iter().map(|s| s["phase"].as_str().unwrap()).collect();
    let mut known = phases.clone();
    known.dedup();
    assert_eq!(known, ["expand", "backfill", "index", "constrain", "backstop"]);
    assert!(steps.iter().any(|s| s["policy"] == "policies/test.yaml:10"), "{steps:?}");
    assert!(steps.iter().any(|s| s["sql"].as_str().unwrap().contains(" CONCURRENTLY")));
    let again = self::steps(&database, "partywall_app");
    assert!(again.is_empty(), "{again:?}");
    let wall = wall(&database);
    let (mut acme, mut globex) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "globex"));
    assert_eq!(acme.query("SELECT id, sku FROM items ORDER BY id").unwrap().text(), "1|x\n2|y");
    assert_eq!(globex.query("SELECT count(*) FROM items").unwrap().text(), "0");
    // The same keys again, and a reference that would be another tenant's.
    globex.query("INSERT INTO orders (id, code) VALUES (1, 'a')").unwrap();
    assert_eq!(globex.query("INSERT INTO items (order_id) VALUES (2)").unwrap_err().code, "23503");
    assert_eq!(globex.query("INSERT INTO orders (id, code) VALUES (1, 'c')").unwrap_err().code, "23505");
    acme.query("DELETE FROM orders WHERE id = 1").unwrap();
    assert_eq!(acme.query("SELECT tenant_id, order_id, spare FROM items").unwrap().text(), "acme|2|");
    assert_eq!(globex.query("SELECT id, code FROM orders").unwrap().text(), "1|a");
    assert_eq!(acme.query("SELECT n FROM lines ORDER BY n").unwrap().text(), "1\n2");
    assert_eq!(globex.query("SELECT count(*) FROM lines").unwrap().text(), "0");
    let mut seven = Client::tenant(wall.port("pg"), "7");
    assert_eq!(seven.query("SELECT id FROM counted").unwrap().text(), "1");
    drop((wall, acme, globex, seven));
    forget(&database);
}

#[test]
fn the_text_form_is_a_script_for_psql() {
    let database = Postgres::shared().database();
    database.psql(LEGACY);
    let (code, text) = typed(&database, "postgres", &POLICY.replace("  backstop: rls\n", ""), &["plan"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("-- expand") && text.contains("SET DEFAULT :'tenant';") && !text.contains("-- backstop"), "{text}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", &database.name, "-v", "ON_ERROR_STOP=1", "-v", "tenant=acme", "-f"]);
    let output = psql.arg(file.path()).env("PGPORT", database.port.to_string()).output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(database.psql("SELECT DISTINCT tenant_id FROM items"), "acme");
    let (_, text) = typed(&database, "postgres", &POLICY.replace("  backstop: rls\n", ""), &["plan"]);
    assert!(text.contains("-- nothing is to be done"), "{text}");
    let (code, text) = typed(&database, "postgres", POLICY, &["plan", "--tenant", "NO"]);
    assert_eq!((code, text.contains("`NO` is no tenant")), (2, true), "{text}");
}

#[test]
fn each_layer_holds_without_the_other() {
    let _alone = alone();
    let (database, _) = migrated();
    database.psql("INSERT INTO orders (tenant_id, id, code) VALUES ('globex', 9, 'secret')");
    let wall = wall(&database);
    // No rewriter: the server alone, told the tenant as the wall tells it.
    let direct = |tenant: &str| {
        let parameters = [("user", "partywall_app"), ("database", database.name.as_str()), ("partywall.tenant", tenant)];
        Client::connect(database.port, &parameters[..if tenant.is_empty() { 2 } else { 3 }]).unwrap()
    };
    for (tenant, seen) in [("acme", "1\n2"), ("globex", "9"), ("initech", ""), ("", "")] {
        assert_eq!(direct(tenant).query("SELECT id FROM orders ORDER BY id").unwrap().text(), seen, "{tenant}");
        assert_eq!(direct(tenant).query("UPDATE orders SET tenant_id = 'other'").is_err(), !seen.is_empty(), "{tenant}");
    }
    assert_eq!(direct("acme").query("SELECT n FROM lines ORDER BY n").unwrap().text(), "1\n2");
    assert_eq!(direct("globex").query("SELECT count(*) FROM lines").unwrap().text(), "0");
    assert_eq!(direct("globex").query("INSERT INTO lines VALUES (1, 5)").unwrap_err().code, "42501");
    assert_eq!(direct("acme").query("INSERT INTO orders (tenant_id, id) VALUES ('globex', 5)").unwrap_err().code, "42501");
    assert_eq!(direct("7").query("SELECT id FROM counted").unwrap().text(), "1");
    // No row-level security: the wall alone.
    for table in ["orders", "items", "counted", "\"Notes\""] {
        database.psql(&format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"));
    }
    assert_eq!(direct("acme").query("SELECT id FROM orders ORDER BY id").unwrap().text(), "1\n2\n9");
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(acme.query("SELECT id FROM orders ORDER BY id").unwrap().text(), "1\n2");
    drop((wall, acme));
    forget(&database);
}

#[test]
fn no_tenant_reaches_the_setting() {
    let _alone = alone();
    let (database, _) = migrated();
    let wall = wall(&database);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for sql in [
        "SET partywall.tenant = 'globex'",
        "SET \"partywall.tenant\" = 'globex'",
        "SET LOCAL partywall.tenant TO 'globex'",
        "RESET partywall.tenant",
        "SET partywall.tenant TO DEFAULT",
        "SHOW partywall.tenant",
        "SELECT set_config('partywall.tenant', 'globex', false)",
        "SELECT set_config('Partywall.Tenant', 'globex', true)",
        "SELECT current_setting('partywall.tenant')",
        "UPDATE pg_settings SET setting = 'globex' WHERE name = 'partywall.tenant'",
        "DO $$ BEGIN SET partywall.tenant = 'globex'; END $$",
        "ALTER ROLE partywall_app SET partywall.tenant = 'globex'",
        "SET ROLE postgres",
        "RESET SESSION AUTHORIZATION",
    ] {
        assert!(acme.query(sql).is_err(), "{sql}");
        assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "2", "after {sql}");
    }
    // `$1` as the name, and what a text search for the name would miss.
    assert!(acme.extended("SELECT set_config($1, 'globex', false)", &[Some("partywall.tenant")]).is_err());
    assert_eq!(acme.query("SELECT count(*) FROM pg_settings WHERE name LIKE 'partywall%'").map(|r| r.text()).unwrap_or("0".into()), "0");
    // What takes settings back leaves this one, and a rolled back transaction too.
    for sql in ["RESET ALL", "DISCARD ALL", "BEGIN", "SET LOCAL statement_timeout = 1000", "ROLLBACK", "RESET ALL"] {
        acme.query(sql).unwrap();
        assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "2", "after {sql}");
        acme.query("INSERT INTO \"Notes\" (body) VALUES ('x')").unwrap();
    }
    // A client that names the setting itself: the identity's own parameter is not handed on, only what the identity came to.
    let parameters = [("user", "app"), ("database", "app"), ("options", "-c partywall.tenant=globex"), ("partywall.tenant", "acme")];
    if let Ok(mut client) = Client::connect(wall.port("pg"), &parameters) {
        assert_eq!(client.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    }
    drop((wall, acme));
    forget(&database);
}

/// What is undone, and what the wall then says.
const BROKEN: &[(&str, &str)] = &[
    ("ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "row-level security is not enabled on public.orders"),
    ("DROP POLICY partywall ON orders", "public.orders has no policy for ALL"),
    ("CREATE POLICY wide ON orders USING (true)", "policy \"wide\" on public.orders lets rows through"),
    (
        "DROP POLICY partywall ON orders; CREATE POLICY p ON orders FOR SELECT USING (tenant_id = current_setting('partywall.tenant'))",
        "public.orders has no policy for ALL",
    ),
    ("ALTER POLICY partywall ON counted WITH CHECK (org IS NOT NULL)", "policy \"partywall\" on public.counted lets rows through"),
    ("ALTER TABLE orders OWNER TO partywall_app; ALTER TABLE orders NO FORCE ROW LEVEL SECURITY", "owns public.orders"),
    ("ALTER ROLE partywall_app BYPASSRLS", "has BYPASSRLS"),
    ("ALTER ROLE partywall_app SUPERUSER", "is a superuser"),
];

#[test]
fn the_wall_does_not_start_without_its_backstop() {
    let _alone = alone();
    for (sql, told) in BROKEN {
        let (database, _) = migrated();
        database.psql(sql);
        let config = Wall::config(&database, "identity: [startup]", "user: partywall_app");
        let said = Wall::attempt(&config, &[("test.yaml", &policy_for(&database))]).err();
        assert!(said.as_ref().is_some_and(|s| s.contains(told)), "{sql}: {said:?}");
        database.psql("ALTER TABLE orders OWNER TO postgres");
        forget(&database);
    }
}

/// Views that are listed, as `CREATE VIEW` makes them: read as their owner.
const VIEWS: &str = "
CREATE VIEW v_orders AS SELECT * FROM orders;
CREATE VIEW v_deep AS SELECT v.id, v.tenant_id, i.sku FROM v_orders v LEFT JOIN items i ON i.order_id = v.id AND i.tenant_id = v.tenant_id;
CREATE VIEW v_loose AS SELECT id FROM orders;
INSERT INTO orders (tenant_id, id, code) VALUES ('globex', 9, 'secret');
";

#[test]
fn views_are_held_by_the_server_too() {
    let _alone = alone();
    let database = Postgres::shared().database();
    database.psql(LEGACY);
    database.psql("DROP ROLE IF EXISTS partywall_app");
    let run = |policy: &str, user: &str| {
        let (code, text) = typed(&database, user, policy, &["plan", "--json", "--tenant", "acme"]);
        assert_eq!(code, 0, "{text}");
        let all: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let steps = all[0]["steps"].as_array().unwrap().iter().map(|s| s["sql"].as_str().unwrap().replace(" CONCURRENTLY", ""));
        steps.collect::<Vec<String>>()
    };
    database.psql(&run(&policy_for(&database), "postgres").join(";"));
    database.psql(VIEWS);
    let policy = policy_for(&database) + "    public.v_deep: { scoped: tenant_id }\n    public.v_orders: { scoped: tenant_id }\n";
    let start = |policy: &str| {
        let config = Wall::config(&database, "identity: [startup]", "user: partywall_app");
        Wall::attempt(&config, &[("test.yaml", policy)])
    };
    let refused = |policy: &str| start(policy).err().unwrap_or_default();
    assert!(refused(&policy).contains("public.v_orders names public.orders as its owner \"postgres\""));
    let steps = run(&policy, "postgres");
    assert!(steps.iter().any(|s| s == "ALTER VIEW public.v_deep SET (security_invoker = true)"), "{steps:?}");
    let fresh = steps.into_iter().filter(|s| !s.starts_with("CREATE ROLE"));
    database.psql(&fresh.collect::<Vec<_>>().join(";"));
    assert!(run(&policy, "partywall_app").is_empty());
    let wall = start(&policy).unwrap();
    let direct = |tenant: &str| {
        let parameters = [("user", "partywall_app"), ("database", database.name.as_str()), ("partywall.tenant", tenant)];
        Client::connect(database.port, &parameters).unwrap()
    };
    for (tenant, seen) in [("acme", "1\n2"), ("globex", "9")] {
        assert_eq!(direct(tenant).query("SELECT id FROM v_deep ORDER BY id").unwrap().text(), seen);
        assert_eq!(Client::tenant(wall.port("pg"), tenant).query("SELECT id FROM v_deep ORDER BY id").unwrap().text(), seen);
    }
    drop(wall);
    // Nothing lists it, and the role may read it all the same.
    database.psql("GRANT SELECT ON v_loose TO partywall_app");
    assert!(refused(&policy).contains("public.v_loose names public.orders as its owner"), "{}", refused(&policy));
    assert_eq!(run(&policy, "partywall_app"), ["ALTER VIEW public.v_loose SET (security_invoker = true)"]);
    database.psql("DROP VIEW v_loose; CREATE MATERIALIZED VIEW m_orders AS SELECT * FROM orders");
    assert!(start(&policy).is_ok());
    let listed = policy.clone() + "    public.m_orders: { scoped: tenant_id }\n";
    assert!(refused(&listed).contains("public.m_orders is a materialized view"));
    assert!(!run(&listed, "postgres").iter().any(|s| s.starts_with("GRANT") && s.contains("m_orders")));
    // A part of a table that the role may name by itself, and a role that can become another.
    database.psql("CREATE TABLE more () INHERITS (orders); GRANT SELECT ON more TO partywall_app");
    assert!(refused(&policy).contains("row-level security is not enabled on public.more"));
    let steps = run(&policy, "partywall_app");
    database.psql(&steps.iter().filter(|s| s.contains("public.more") && !s.contains("INDEX")).cloned().collect::<Vec<_>>().join(";"));
    assert!(start(&policy).is_ok(), "{steps:?}");
    database.psql("GRANT pg_read_server_files TO partywall_app");
    assert!(refused(&policy).contains("is a member of \"pg_read_server_files\""));
    forget(&database);
}

/// The rewriter leaves its guard out and nobody proves it: the server alone holds.
#[cfg(feature = "mutants")]
#[test]
fn a_guard_that_is_left_out_is_held_by_the_server() {
    use partywall::config::{Files, load_policy};
    use partywall::sql::mutants::{Mutant, Mutation};
    use partywall::sql::{Catalog, Judge, catalog, catalogs, live};
    use std::path::{Path, PathBuf};
    struct Memory(String);
    impl Files for Memory {
        fn text(&self, _: &Path) -> Result<String, String> {
            Ok(self.0.clone())
        }
        fn policies(&self, _: &Path) -> Result<Vec<PathBuf>, String> {
            Ok(Vec::new())
        }
    }
    let _alone = alone();
    let (database, _) = migrated();
    database.psql("INSERT INTO orders (tenant_id, id, code) VALUES ('globex', 9, 'secret')");
    let parameters = [("user", "partywall_app"), ("database", database.name.as_str()), ("partywall.tenant", "acme")];
    let mut server = Client::connect(database.port, &parameters).unwrap();
    let mut above = Client::connect(database.port, &[("user", "postgres"), parameters[1]]).unwrap();
    let policy = load_policy(Path::new("p.yaml"), &Memory(POLICY.into())).unwrap();
    let queries = catalog::QUERIES.iter().chain(catalogs::QUERIES).chain(live::BACKSTOP);
    let answers = queries.map(|q| (q.name, server.query(q.sql).unwrap().rows)).collect();
    let judge = Judge::new(policy.clone().into(), Catalog::build(&policy, &answers).unwrap().into());
    let tenant = policy.tenants.accept("acme").unwrap();
    for (mutant, sql) in [
        (Mutant::Where, "SELECT id FROM orders WHERE id = 9"),
        (Mutant::LeftOn, "SELECT b.id FROM orders a JOIN orders c ON true LEFT JOIN orders b ON true WHERE b.id = 9"),
        (Mutant::Wrap, "SELECT b.id FROM orders a FULL JOIN orders b ON a.id = b.id WHERE b.id = 9"),
        (Mutant::UpdateTarget, "UPDATE orders SET note = 'x' WHERE id = 9 RETURNING id"),
        (Mutant::DeleteTarget, "DELETE FROM orders WHERE id = 9 RETURNING id"),
    ] {
        let script = judge.mutated(Mutation { mutant, unproved: true }).simple(sql, &tenant).unwrap();
        let outgoing = script.outgoing.as_str();
        assert_eq!(server.query(outgoing).unwrap().rows.len(), 0, "{mutant:?}: {outgoing}");
        above.query("BEGIN").unwrap();
        assert_ne!(above.query(outgoing).unwrap().rows.len(), 0, "{mutant:?} leaves nothing out: {outgoing}");
        above.query("ROLLBACK").unwrap();
    }
    let script =
        judge.mutated(Mutation { mutant: Mutant::InsertValue, unproved: true }).simple("INSERT INTO orders (id) VALUES (5)", &tenant);
    assert_eq!(server.query(script.unwrap().outgoing.as_str()).unwrap_err().code, "42501");
    drop((server, above));
    forget(&database);
}
