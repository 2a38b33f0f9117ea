//! No expression in the catalogs says which other tenants there are: bounds of partitions, conditions of indexes, CHECKs, defaults.

use crate::support::{Client, Database, Postgres, Wall};
use std::process::{Command, Stdio};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.ev:       { scoped: tenant_id }
    public.ev_small: { scoped: tenant_id }
    public.ev_big:   { scoped: tenant_id }
    public.ev_rest:  { scoped: tenant_id }
    public.deep:     { scoped: tenant_id }
    public.deep_0:   { scoped: tenant_id }
    public.deep_0_a: { scoped: tenant_id }
    public.spread:   { scoped: tenant_id }
    public.spread_0: { scoped: tenant_id }
    public.hv:       { scoped: { column: org, hidden: true } }
    public.hv_big:   { scoped: { column: org, hidden: true } }
    public.hv_rest:  { scoped: { column: org, hidden: true } }
    public.orders:   { scoped: tenant_id }
    public.later:    { scoped: tenant_id }
    public.named:    { scoped: tenant_id }
";

/// Partitions by tenant, at the top and further down, shown and hidden; others by a hash.
const PARTITIONS: &str = "
CREATE TABLE ev (tenant_id text NOT NULL, id int NOT NULL, note text) PARTITION BY LIST (tenant_id);
CREATE TABLE ev_small PARTITION OF ev FOR VALUES IN ('acme', 'initech');
CREATE TABLE ev_big PARTITION OF ev FOR VALUES IN ('globex');
CREATE TABLE ev_rest PARTITION OF ev DEFAULT;
CREATE TABLE deep (tenant_id text NOT NULL, id int NOT NULL) PARTITION BY HASH (id);
CREATE TABLE deep_0 PARTITION OF deep FOR VALUES WITH (MODULUS 1, REMAINDER 0) PARTITION BY RANGE (tenant_id, id);
CREATE TABLE deep_0_a PARTITION OF deep_0 FOR VALUES FROM ('acme', 0) TO ('globex', 5);
CREATE TABLE spread (tenant_id text NOT NULL, id int NOT NULL) PARTITION BY HASH (tenant_id);
CREATE TABLE spread_0 PARTITION OF spread FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE hv (org text NOT NULL, id int NOT NULL) PARTITION BY LIST (org);
CREATE TABLE hv_big PARTITION OF hv FOR VALUES IN ('globex');
CREATE TABLE hv_rest PARTITION OF hv DEFAULT;
INSERT INTO ev VALUES ('acme', 1, 'mine'), ('acme', 2, 'too'), ('globex', 1, 'theirs');
";

const TABLES: &str = "
CREATE DOMAIN customer AS text DEFAULT 'globex' CONSTRAINT customers CHECK (VALUE IN ('acme', 'globex'));
CREATE TABLE orders (tenant_id text NOT NULL DEFAULT 'globex', id int NOT NULL, status text DEFAULT 'open', price int,
    special bool GENERATED ALWAYS AS (tenant_id = 'globex') STORED, PRIMARY KEY (tenant_id, id), CONSTRAINT whose CHECK (tenant_id IN ('acme', 'globex')),
    CONSTRAINT cheap CHECK (price < 100), CONSTRAINT said CHECK (tenant_id <> ''),
    CONSTRAINT apart EXCLUDE USING btree (price WITH =) WHERE (tenant_id = 'globex'));
CREATE INDEX theirs ON orders (id) WHERE tenant_id = 'globex';
CREATE INDEX also_theirs ON orders ((tenant_id = 'globex'), id);
CREATE INDEX opened ON orders (tenant_id, id) WHERE status = 'open';
CREATE STATISTICS guesses ON (tenant_id = 'globex'), status FROM orders;
CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER only_them BEFORE UPDATE ON orders FOR EACH ROW WHEN (NEW.tenant_id = 'globex') EXECUTE FUNCTION kept();
CREATE TABLE later (id int PRIMARY KEY);
INSERT INTO later VALUES (1);
ALTER TABLE later ADD COLUMN tenant_id text NOT NULL DEFAULT 'globex';
CREATE TABLE named (tenant_id customer NOT NULL, id int);
INSERT INTO orders VALUES ('acme', 1, 'open', 5), ('globex', 1, 'done', 6);
ANALYZE;
";

/// Whose query and rule tell.
const VIEWS: &str = "
CREATE VIEW priced AS SELECT tenant_id, id, CASE WHEN tenant_id = 'globex' THEN price / 2 ELSE price END AS price FROM orders;
CREATE VIEW shown AS SELECT tenant_id, id, status || '/' || tenant_id AS path FROM orders WHERE status = 'open';
CREATE RULE held AS ON DELETE TO named WHERE OLD.tenant_id = 'globex' DO INSTEAD NOTHING;
";

/// As a text, and byte by byte as a constant in a node tree.
const TOLD: [&str; 2] = ["globex", "103 108 111 98 101 120"];

const RELATIONS: &str = "SELECT format('%s FROM %s.%s', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), n.nspname, c.relname) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
     WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') GROUP BY n.nspname, c.relname ORDER BY 1";

/// Functions over all that a catalog shows.
const CALLS: &[&str] = &[
    "SELECT pg_get_expr(relpartbound, oid) AS a, pg_get_partition_constraintdef(oid) AS b FROM pg_class WHERE relispartition",
    "SELECT pg_get_indexdef(indexrelid) AS a, pg_get_expr(indpred, indrelid) AS b, pg_get_expr(indexprs, indrelid) AS c FROM pg_index",
    "SELECT pg_get_constraintdef(oid) AS a, pg_get_expr(conbin, conrelid) AS b FROM pg_constraint",
    "SELECT pg_get_expr(adbin, adrelid) AS a FROM pg_attrdef",
    "SELECT pg_get_triggerdef(oid) AS a FROM pg_trigger",
    "SELECT pg_get_statisticsobjdef(oid) AS a FROM pg_statistic_ext",
    "SELECT pg_get_ruledef(oid) AS a FROM pg_rewrite WHERE oid >= 16384",
    "SELECT pg_get_viewdef(oid) AS a FROM pg_class WHERE relkind = 'v' AND oid >= 16384",
];

/// What says nothing of others is shown as it is.
const KEPT: &[(&str, &str)] = &[
    (
        "SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition AND relkind IN ('r', 'p') AND relpartbound IS NOT NULL ORDER BY 1",
        "deep_0|FOR VALUES WITH (modulus 1, remainder 0)\nev_rest|DEFAULT\nhv_rest|DEFAULT\nspread_0|FOR VALUES WITH (modulus 1, remainder 0)",
    ),
    (
        "SELECT relname FROM pg_class WHERE relispartition AND pg_get_partition_constraintdef(oid) IS NOT NULL ORDER BY 1",
        "deep_0\nspread_0",
    ),
    ("SELECT pg_get_partkeydef('ev'::regclass), pg_partition_root('ev_big')", "LIST (tenant_id)|ev"),
    ("SELECT conname FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype <> 'n' ORDER BY 1", "cheap\norders_pkey\nsaid"),
    ("SELECT relchecks FROM pg_class WHERE relname = 'orders'", "2"),
    ("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'orders'::regclass ORDER BY 1", "opened\norders_pkey"),
    (
        "SELECT column_name, column_default FROM information_schema.columns WHERE table_name = 'orders' AND column_default IS NOT NULL",
        "status|'open'::text",
    ),
    ("SELECT typdefault FROM pg_type WHERE typname = 'customer'", ""),
    ("SELECT viewname FROM pg_views WHERE definition IS NOT NULL AND schemaname = 'public'", "shown"),
];

fn database(sql: &str) -> (Database, Wall, Client) {
    let database = Postgres::shared().database();
    database.psql(sql);
    let views = if sql.contains("CREATE VIEW") {
        "    public.priced:   { scoped: tenant_id }\n    public.shown:    { scoped: tenant_id }\n"
    } else {
        ""
    };
    let wall = Wall::for_database(&database, &format!("{POLICY}{views}"));
    let acme = Client::tenant(wall.port("pg"), "acme");
    (database, wall, acme)
}

#[test]
fn no_catalog_says_who_else_there_is() {
    let (shared, _wall, mut acme) = database(&format!("{PARTITIONS}{TABLES}{VIEWS}"));
    let told = |text: &str| TOLD.iter().any(|t| text.contains(t));
    let (mut read, mut telling) = (0, 0);
    for relation in shared.psql(RELATIONS).lines() {
        match acme.query(&format!("SELECT {relation}")) {
            Ok(rows) => {
                read += 1;
                assert!(!told(&rows.text()), "{relation}\n{}", rows.text());
            }
            Err(refused) => assert!(matches!(refused.code.as_str(), "42501" | "0A000"), "{relation}: {}", refused.message),
        }
        telling += usize::from(told(&shared.psql(&format!("SELECT {relation}"))));
    }
    assert!(read > 110 && telling > 12, "{read} can be read, {telling} tell in the shared database");
    for call in CALLS {
        let text = acme.query(call).unwrap_or_else(|e| panic!("{call}: {e:?}")).text();
        assert!(!told(&text), "{call}\n{text}");
        assert!(told(&shared.psql(call)), "{call} would not tell anyway");
    }
    for (sql, wanted) in KEPT {
        assert_eq!(acme.query(sql).map_or_else(|e| e.message, |r| r.text()), *wanted, "{sql}");
    }
    assert_eq!(acme.query("SELECT 'theirs'::regclass::text AS a").unwrap_err().code, "42P01");
    // They are in force all the same.
    assert_eq!(acme.query("SELECT id, price FROM priced").unwrap().text(), "1|5");
    acme.query("INSERT INTO orders (id, price) VALUES (2, 7)").unwrap();
    assert_eq!(acme.query("SELECT count(*), count(tenant_id) FROM orders").unwrap().text(), "2|2");
    assert_eq!(acme.query("INSERT INTO ev VALUES ('acme', 3, 'x') RETURNING tableoid::regclass").unwrap().text(), "ev_small");
}

#[test]
fn a_copy_of_a_tables_form_has_none_of_it() {
    let (_shared, _wall, mut acme) = database(&format!("{PARTITIONS}{TABLES}"));
    for what in ["DEFAULTS", "CONSTRAINTS", "GENERATED", "INDEXES", "STATISTICS", "ALL"] {
        let sql = format!("CREATE TEMP TABLE copy_of (LIKE orders INCLUDING {what})");
        assert_eq!(acme.query(&sql).unwrap_err().code, "0A000", "{sql}");
    }
    acme.query("CREATE TEMP TABLE copy_of (LIKE orders INCLUDING COMMENTS INCLUDING COMPRESSION INCLUDING IDENTITY INCLUDING STORAGE)")
        .unwrap();
    acme.query("CREATE TEMP TABLE another (LIKE ev INCLUDING ALL)").unwrap();
}

#[test]
fn psql_describes_such_tables() {
    let (shared, wall, _acme) = database(&format!("{PARTITIONS}{TABLES}{VIEWS}"));
    for (command, wanted) in [
        ("\\d+ ev", "ev_small"),
        ("\\d+ ev_big", "Partition of: ev"),
        ("\\d+ hv", "hv_rest DEFAULT"),
        ("\\d+ deep_0_a", "deep_0"),
        ("\\d+ orders", "\"cheap\" CHECK (price < 100)"),
        ("\\d+ priced", "View definition"),
        ("\\dD+", "customer"),
    ] {
        let output = Command::new("psql")
            .args(["-X", "-h", "127.0.0.1", "-p", &wall.port("pg").to_string(), "-U", "app", "-d", "app", "-c", command])
            .env("PGOPTIONS", "-c partywall.tenant=acme")
            .output()
            .unwrap();
        let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(shown.contains(wanted) && !shown.contains("ERROR") && !shown.contains("globex"), "{command}\n{shown}");
    }
    assert!(shared.psql("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'ev_big'").contains("globex"));
}

/// A dump cannot say which partition takes what: all of the tenant's rows are in one, which takes them as the default.
#[test]
fn a_dump_of_partitions_by_tenant_has_the_tenants_rows() {
    let (_shared, wall, _acme) = database(&format!("{PARTITIONS}{TABLES}"));
    let output = Command::new("pg_dump")
        .args(["-h", "127.0.0.1", "-p", &wall.port("pg").to_string(), "-U", "app", "-d", "app", "--no-owner"])
        .env("PGOPTIONS", "-c partywall.tenant=acme")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dump = String::from_utf8(output.stdout).unwrap();
    assert!(!dump.contains("globex") && dump.contains("CONSTRAINT cheap CHECK"), "{dump}");
    let private = Postgres::shared().database();
    let mut child = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-p", &private.port.to_string(), "-U", "postgres", "-d", &private.name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), dump.as_bytes()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    let errors: Vec<&str> = said.lines().filter(|l| l.contains("ERROR")).collect();
    // What is hidden is no key either.
    assert!(
        !errors.is_empty() && errors.iter().all(|l| l.contains("syntax error") || l.contains("\"public.hv\" does not exist")),
        "{said}"
    );
    assert_eq!(private.psql("SELECT count(*) FROM ev"), "0");
    private.psql("DROP TABLE ev_big, ev_rest; ALTER TABLE ev ATTACH PARTITION ev_small DEFAULT");
    assert_eq!(private.psql("SELECT * FROM ev ORDER BY id"), "acme|1|mine\nacme|2|too");
    assert_eq!(private.psql("SELECT id, status, price FROM orders"), "1|open|5");
}
