//! No catalog, no function that reads them and no dump says that a table has a hidden tenant column.

use crate::support::{Client, Database, Postgres, Wall};
use std::process::Command;

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.notes:   { scoped: { column: conceal, hidden: true } }
    public.tags:    { scoped: { column: conceal, hidden: true } }
    public.parts:   { scoped: { column: conceal, hidden: true } }
    public.parts_0: { scoped: { column: conceal, hidden: true } }
    public.kinds:   { shared: read }
  functions: [ public.tell(text) ]
";

/// The tables of tenants; a private database has them without the column.
const TABLES: &str = "
CREATE TABLE kinds (name text PRIMARY KEY);
CREATE TABLE notes (conceal text NOT NULL, id int NOT NULL, title text, stars int DEFAULT 1 CONSTRAINT few CHECK (stars < 100), kind text REFERENCES kinds,
    CONSTRAINT notes_pkey PRIMARY KEY (conceal, id), CONSTRAINT titles UNIQUE (conceal, title));
CREATE INDEX starred ON notes (conceal, stars DESC, title);
CREATE TABLE tags (conceal text NOT NULL, note int NOT NULL, name text NOT NULL, CONSTRAINT tags_pkey PRIMARY KEY (conceal, note, name),
    CONSTRAINT tags_of FOREIGN KEY (conceal, note) REFERENCES notes (conceal, id) ON DELETE CASCADE);
COMMENT ON TABLE notes IS 'what was noted';
COMMENT ON COLUMN notes.title IS 'how it is called';
INSERT INTO kinds VALUES ('memo');
INSERT INTO notes VALUES ('acme', 1, 'one', 2, 'memo'), ('acme', 2, E'tab\\there', 3, NULL);
INSERT INTO tags VALUES ('acme', 1, 'a');
";

/// Whatever else can name it.
const MORE: &str = "
INSERT INTO notes VALUES ('globex', 1, 'CANARY', 2, 'memo');
CREATE INDEX only_it ON notes (conceal);
CREATE INDEX half ON notes (title) WHERE conceal = 'acme';
CREATE INDEX computed ON notes (lower(conceal), id);
CREATE INDEX included ON notes (id) INCLUDE (conceal);
ALTER TABLE notes ADD CONSTRAINT told CHECK (conceal <> ''), ADD COLUMN sum int GENERATED ALWAYS AS (length(conceal)) STORED;
ALTER TABLE notes ALTER conceal SET DEFAULT 'conceal';
COMMENT ON COLUMN notes.conceal IS 'conceal this';
CREATE STATISTICS both_columns ON conceal, stars FROM notes;
CREATE TABLE parts (conceal text NOT NULL, id int NOT NULL) PARTITION BY HASH (conceal);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE FUNCTION tell(what text) RETURNS text LANGUAGE sql AS 'SELECT max(conceal) FROM notes WHERE title = what';
CREATE FUNCTION moved() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER on_it BEFORE UPDATE OF conceal ON notes FOR EACH ROW EXECUTE FUNCTION moved();
CREATE TRIGGER whose BEFORE INSERT ON notes FOR EACH ROW WHEN (NEW.conceal = 'x') EXECUTE FUNCTION moved();
CREATE RULE kept AS ON DELETE TO tags WHERE OLD.conceal = 'nobody' DO INSTEAD NOTHING;
ANALYZE;
";

const RELATIONS: &str = "SELECT format('%s FROM %s.%s', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), n.nspname, c.relname) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
     WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') GROUP BY n.nspname, c.relname ORDER BY 1";

/// Functions over all that a catalog shows.
const CALLS: &[&str] = &[
    "SELECT pg_get_indexdef(indexrelid) AS a, pg_get_indexdef(indexrelid, 0, true) AS b, pg_get_indexdef(indexrelid, 1, true) AS c, \
     pg_get_indexdef(indexrelid, 2, false) AS d FROM pg_index",
    "SELECT pg_get_constraintdef(oid) AS a, pg_get_constraintdef(oid, true) AS b FROM pg_constraint",
    "SELECT pg_get_triggerdef(oid) AS a, pg_get_triggerdef(oid, true) AS b FROM pg_trigger",
    "SELECT pg_get_ruledef(oid) AS a FROM pg_rewrite WHERE oid >= 16384",
    "SELECT pg_get_functiondef(oid) AS a, pg_get_function_arguments(oid) AS b, pg_get_function_sqlbody(oid) AS c FROM pg_proc WHERE oid >= 16384",
    "SELECT pg_get_expr(adbin, adrelid) AS a FROM pg_attrdef",
    "SELECT pg_get_partkeydef(oid) AS a, pg_get_partition_constraintdef(oid) AS b FROM pg_class WHERE oid >= 16384",
    "SELECT col_description(c.oid, n) AS a FROM pg_class c, generate_series(1, 8) n WHERE c.oid >= 16384",
    "SELECT i.identity AS a, i.name AS b FROM pg_class c, generate_series(0, 8) n, pg_identify_object('1259'::oid, c.oid, n) i WHERE c.oid >= 16384",
    "SELECT pg_describe_object('1259'::oid, c.oid, n) AS a FROM pg_class c, generate_series(0, 8) n WHERE c.oid >= 16384",
];

fn database(sql: &str) -> Database {
    let database = Postgres::shared().database();
    database.psql(sql);
    database
}

#[test]
fn no_catalog_says_its_name() {
    let shared = database(&format!("{TABLES}{MORE}"));
    let wall = Wall::for_database(&shared, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let (mut read, mut named) = (0, 0);
    for relation in shared.psql(RELATIONS).lines() {
        match acme.query(&format!("SELECT {relation}")) {
            Ok(rows) => {
                read += 1;
                assert!(!rows.text().contains("conceal"), "{relation}\n{}", rows.text());
            }
            Err(refused) => assert!(matches!(refused.code.as_str(), "42501" | "0A000"), "{relation}: {}", refused.message),
        }
        named += usize::from(shared.psql(&format!("SELECT {relation}")).contains("conceal"));
    }
    assert!(read > 110 && named > 12, "{read} can be read, {named} name it in the shared database");
    for call in CALLS {
        let text = acme.query(call).unwrap_or_else(|e| panic!("{call}: {e:?}")).text();
        assert!(!text.contains("conceal"), "{call}\n{text}");
        assert!(shared.psql(call).contains("conceal"), "{call} would not tell anyway");
    }
    for relation in ["only_it", "half", "computed", "included"] {
        let sql = format!("SELECT '{relation}'::regclass::text AS a");
        assert_eq!(acme.query(&sql).unwrap_err().code, "42P01", "{relation}");
    }
}

fn dump(port: u16, user: &str, name: &str) -> String {
    let output = Command::new("pg_dump")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", user, "-d", name, "--no-owner"])
        .env("PGOPTIONS", if user == "app" { "-c partywall.tenant=acme" } else { "" })
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A token of its own in each dump; comments say whether the schema is the role's.
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|l| !l.is_empty() && !l.starts_with("--") && !l.contains("restrict ")).map(|l| format!("{l}\n")).collect()
}

#[test]
fn a_dump_is_that_of_a_private_database() {
    let (shared, private) = (database(TABLES), database(TABLES));
    shared.psql("INSERT INTO notes VALUES ('globex', 1, 'CANARY', 2, 'memo'); CREATE INDEX only_it ON notes (conceal); ALTER TABLE notes ADD CONSTRAINT told CHECK (conceal <> '')");
    private.psql(
        "ALTER TABLE notes DROP COLUMN conceal CASCADE; ALTER TABLE tags DROP COLUMN conceal; \
         ALTER TABLE notes ADD CONSTRAINT notes_pkey PRIMARY KEY (id), ADD CONSTRAINT titles UNIQUE (title); CREATE INDEX starred ON notes (stars DESC, title); \
         ALTER TABLE tags ADD CONSTRAINT tags_pkey PRIMARY KEY (note, name), ADD CONSTRAINT tags_of FOREIGN KEY (note) REFERENCES notes (id) ON DELETE CASCADE",
    );
    let policy: String = POLICY.lines().filter(|l| !l.contains("parts") && !l.contains("functions")).map(|l| format!("{l}\n")).collect();
    let wall = Wall::for_database(&shared, &policy);
    let walled = dump(wall.port("pg"), "app", "app");
    assert_eq!(walled, dump(private.port, "postgres", &private.name));
}
