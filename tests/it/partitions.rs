//! What functions say of partitions: all of a tree whose parts are listed, nothing of one that reaches beyond.

use crate::support::{Client, Postgres, Wall};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.logs:   { scoped: tenant_id }
    public.logs_0: { scoped: tenant_id }
    public.logs_1: { scoped: tenant_id }
    public.half:   { scoped: tenant_id }
    public.half_0: { scoped: tenant_id }
";

const SCHEMA: &str = "
CREATE TABLE logs (tenant_id text NOT NULL, id int NOT NULL) PARTITION BY HASH (id);
CREATE TABLE logs_0 PARTITION OF logs FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE half (tenant_id text NOT NULL, id int NOT NULL) PARTITION BY HASH (id);
CREATE TABLE half_0 PARTITION OF half FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hush PARTITION OF half FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE hush_root (tenant_id text NOT NULL, id int NOT NULL) PARTITION BY HASH (id);
";

/// What is said is what the server says.
const ALIKE: &[&str] = &[
    "SELECT * FROM pg_partition_tree('logs')",
    "SELECT * FROM pg_partition_ancestors('logs_0')",
    "SELECT relid, parentrelid, isleaf, level FROM pg_partition_tree('logs') ORDER BY relid",
    "SELECT p.relid, c.relname FROM pg_partition_tree('logs_1') p JOIN pg_class c ON (p.relid = c.oid)",
    "SELECT relname FROM pg_class WHERE oid IN (SELECT relid FROM pg_partition_tree('logs')) ORDER BY 1",
    "SELECT c.relname, a.relid FROM pg_class c, LATERAL pg_partition_ancestors(c.oid) a WHERE c.relname LIKE 'logs%' ORDER BY 1, a.relid",
    "SELECT pg_partition_root('logs_0'), pg_partition_root('logs'), pg_partition_root(NULL), pg_partition_ancestors('logs')",
    "SELECT relid, level FROM pg_partition_tree(pg_partition_root('logs_0')) ORDER BY relid",
    "SELECT satisfies_hash_partition('logs'::regclass, 2, 0, 7), satisfies_hash_partition('logs'::regclass, 2, 1, VARIADIC ARRAY[7]), satisfies_hash_partition('logs'::regclass, NULL, 0, 7)",
    "SELECT * FROM pg_partition_tree(NULL)",
    "SELECT * FROM pg_partition_tree(0)",
];

/// And where it would name more than is listed, nothing; whether a name is there is not told.
const ATTEMPTS: &[(&str, &str)] = &[
    ("SELECT * FROM pg_partition_tree('half')", ""),
    ("SELECT relid FROM pg_partition_tree('half')", ""),
    ("SELECT count(*) FROM pg_class c, pg_partition_tree(c.oid) p WHERE c.relname = 'half'", "0"),
    ("SELECT * FROM pg_partition_tree('hush')", "42P01"),
    ("SELECT pg_partition_root('hush')", "42P01"),
    ("SELECT relid FROM pg_partition_tree('logs') WHERE relid = 'hush'", "22P02"),
    ("SELECT relid FROM pg_partition_tree('logs') WHERE relid = 'nowhere'", "22P02"),
    ("SELECT 1 FROM pg_partition_ancestors('logs_0') a WHERE a.relid = 'hush'", "22P02"),
    ("SELECT 1 FROM pg_partition_ancestors('logs_0') a WHERE a.relid = 'nowhere'", "22P02"),
    ("SELECT satisfies_hash_partition('hush_root'::regclass, 2, 0, 7)", "42P01"),
    ("SELECT count(*) FROM pg_class c, pg_partition_tree(c.oid) p WHERE c.relname ~ '^(logs|half)'", "6"),
];

#[test]
fn partitions_are_told_of_where_all_are_listed() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut alone = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap();
    let show = |answer: crate::support::Answer| answer.map_or_else(|e| format!("{} {}", e.code, e.message), |r| r.text());
    for sql in ALIKE {
        let (walled, wanted) = (show(acme.query(sql)), show(alone.query(sql)));
        assert_eq!(walled, wanted, "{sql}");
    }
    for (sql, wanted) in ATTEMPTS {
        assert_eq!(acme.query(sql).map_or_else(|e| e.code, |r| r.text()), *wanted, "{sql}");
    } // By number, as it stands in the shared database.
    let number = show(alone.query("SELECT 'hush'::regclass::oid"));
    for relid in ["relid FROM pg_partition_tree", "relid FROM pg_partition_ancestors"] {
        assert_eq!(show(acme.query(&format!("SELECT {relid}({number}::oid)"))), "", "{relid}");
    }
    assert_eq!(show(acme.query(&format!("SELECT pg_partition_root({number}::oid)"))), "");
}
