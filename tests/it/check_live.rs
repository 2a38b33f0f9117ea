//! `check --live` on a real server that holds each kind of trouble, and on one that holds none.

use crate::backstop::typed;
use crate::support::{Database, Postgres};
use serde_json::Value;

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders:    { scoped: tenant_id }
    public.items:     { scoped: tenant_id }
    public.lines:     { through: { table: public.items, on: { item: id } } }
    public.parts:     { scoped: tenant_id }
    public.countries: { shared: read }
    public.totals:    { shared: read }
    public.secrets:   { hidden: true }
  functions: [ public.plain(text), 'public.spy(int,text)', public.outer(), public.builder(), public.above() ]
";

/// What is wrong here is named by the test below.
const SCHEMA: &str = "
CREATE TABLE orders (id int PRIMARY KEY, tenant_id text, code text UNIQUE, spot int, EXCLUDE USING btree (spot WITH =));
CREATE TABLE items (id serial PRIMARY KEY, tenant_id text NOT NULL, order_id int CONSTRAINT of_order REFERENCES orders);
CREATE INDEX ON items (tenant_id);
CREATE TABLE lines (item int, n int, note text UNIQUE, UNIQUE (item, n), order_id int CONSTRAINT of_lines REFERENCES orders);
CREATE TABLE parts (tenant_id text NOT NULL, n int) PARTITION BY LIST (n);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE UNIQUE INDEX parts_one ON parts_1 (n);
CREATE INDEX ON parts (tenant_id);
CREATE TABLE countries (code text PRIMARY KEY);
CREATE TABLE secrets (id int, order_id int CONSTRAINT of_secret REFERENCES orders);
CREATE TABLE elsewhere (id int);
CREATE VIEW totals AS SELECT count(*) AS n FROM orders;
CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE FUNCTION spy(int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM orders, public.elsewhere';
CREATE FUNCTION spy(int, int) RETURNS bigint LANGUAGE sql SET search_path = public, pg_temp AS 'SELECT count(*) FROM countries';
CREATE FUNCTION inner_one() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO secrets VALUES (1); PERFORM pg_notify('a', 'b'); END $$;
CREATE FUNCTION outer() RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT inner_one(); END;
CREATE FUNCTION builder() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1'; END $$;
CREATE FUNCTION above() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.items';
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.elsewhere VALUES (NEW.id); RETURN NEW; END $$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.code := upper(NEW.code); RETURN NEW; END $$;
CREATE FUNCTION fine(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM public.elsewhere WHERE id = $1) >= 0; END $$;
CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM public.orders';
CREATE DOMAIN checked AS int CHECK (fine(VALUE));
CREATE TRIGGER logs AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE TRIGGER touches BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE orders ADD few checked, ADD CONSTRAINT is_fine CHECK (fine(id)), ADD made int DEFAULT made();
CREATE RULE also AS ON DELETE TO lines DO ALSO DELETE FROM elsewhere;
INSERT INTO orders (id, tenant_id) VALUES (1, 'acme'), (2, 'globex'), (3, NULL), (4, 'No Tenant');
INSERT INTO items (id, tenant_id, order_id) VALUES (1, 'acme', 2), (2, 'globex', 2), (3, 'globex', 1);
INSERT INTO lines VALUES (1, 1, 'a', 2), (9, 1, 'b', NULL), (2, 2, 'c', 2);
";

/// Severity, line of the policy, and a part of the message.
const FOUND: &[(&str, u64, &str)] = &[
    ("warning", 0, "role \"postgres\" is a superuser"),
    ("warning", 9, "primary key \"orders_pkey\" of public.orders lacks \"tenant_id\""),
    (
        "warning",
        9,
        "unique constraint \"orders_code_key\" of public.orders lacks \"tenant_id\": a tenant that writes a value which another tenant has is refused (23505)",
    ),
    ("warning", 9, "exclusion constraint \"orders_spot_excl\" of public.orders lacks \"tenant_id\""),
    ("warning", 9, "public.orders has no index that begins with \"tenant_id\""),
    ("warning", 9, "public.orders holds 1 row without a \"tenant_id\", and so of nobody"),
    ("warning", 9, "public.orders.tenant_id holds what is no tenant by the policy's pattern: \"No Tenant\""),
    (
        "warning",
        9,
        "trigger \"logs\" of public.orders runs public.log_it() (plpgsql) for tenants: writes public.elsewhere (not in the policy)",
    ),
    ("note", 9, "trigger \"touches\" of public.orders runs public.touch() (plpgsql) for tenants: touches no relation"),
    (
        "warning",
        9,
        "domain \"checked\" of public.orders runs code for tenants: reads public.elsewhere (not in the policy); calls public.fine(integer)",
    ),
    ("warning", 9, "CHECK \"is_fine\" of public.orders runs code for tenants: reads public.elsewhere"),
    ("warning", 9, "default \"made\" of public.orders runs code for tenants: reads public.orders (all tenants' rows); calls public.made()"),
    ("warning", 10, "primary key \"items_pkey\" of public.items lacks \"tenant_id\""),
    ("note", 10, "\"id\" of public.items is numbered for all tenants together"),
    ("warning", 10, "foreign key \"of_order\" from public.items to public.orders lacks the tenant"),
    ("warning", 10, "public.items holds 2 rows that \"of_order\" leads to another tenant's row of public.orders, such as order_id = "),
    ("warning", 11, "unique constraint \"lines_note_key\" of public.lines lacks \"item\", by which a row finds its tenant"),
    ("warning", 11, "foreign key \"of_lines\" from public.lines to public.orders lacks the tenant"),
    (
        "warning",
        11,
        "public.lines holds 1 row that \"of_lines\" leads to another tenant's row of public.orders, such as order_id = 2: from \"acme\" to \"globex\"",
    ),
    ("warning", 11, "public.lines holds 1 row without a row of public.items, and so of nobody"),
    ("warning", 11, "rule \"also\" rewrites statements on public.lines behind the wall"),
    ("warning", 12, "unique index \"parts_one\" of public.parts_1 lacks \"tenant_id\""),
    ("warning", 14, "public.totals is `shared: read` and shows all tenants the rows of public.orders"),
    ("warning", 15, "foreign key \"of_secret\" leads from public.secrets, whose rows no tenant sees as its own, to public.orders"),
    ("note", 16, "public.plain(text) (sql) touches no relation"),
    ("warning", 16, "a name lists all functions of that name: public.spy(integer), public.spy(integer, integer)"),
    ("warning", 16, "public.spy(integer) (sql) reads public.elsewhere (not in the policy), public.orders (all tenants' rows)"),
    ("warning", 16, "public.spy(integer) does not fix its search_path"),
    ("note", 16, "public.spy(integer, integer) (sql) reads public.countries"),
    (
        "warning",
        16,
        "public.outer() (sql) writes public.secrets (hidden by the policy); calls public.inner_one(); calls what a tenant may not call: pg_notify",
    ),
    ("warning", 16, "public.inner_one() does not fix its search_path"),
    ("warning", 16, "public.builder() (plpgsql) makes up SQL at run time, of which nothing can be told"),
    ("warning", 16, "public.above() (sql) reads public.items (all tenants' rows)"),
    ("warning", 16, "public.above(), as \"postgres\", is SECURITY DEFINER"),
    ("warning", 16, "public.above() does not fix its search_path"),
    ("note", 0, "the policy does not list these of schema \"public\", so they do not exist for tenants: elsewhere"),
];

fn check(database: &Database, policy: &str, more: &[&str]) -> (i32, Vec<Value>) {
    checked_as(database, "postgres", policy, more)
}

fn checked_as(database: &Database, user: &str, policy: &str, more: &[&str]) -> (i32, Vec<Value>) {
    let (code, text) = typed(database, user, policy, &[&["check", "--live", "--json"], more].concat());
    (code, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

#[test]
fn each_kind_of_trouble_is_found_once() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let (code, found) = check(&database, POLICY, &[]);
    assert_eq!(code, 0, "warnings are no failure");
    let is = |f: &Value, (severity, line, message): &(&str, u64, &str)| {
        f["severity"] == *severity && f["line"] == *line && f["message"].as_str().unwrap().contains(message)
    };
    let missing: Vec<_> = FOUND.iter().filter(|w| found.iter().filter(|f| is(f, w)).count() != 1).collect();
    let more: Vec<_> = found.iter().filter(|f| !FOUND.iter().any(|w| is(f, w))).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing, or more than once: {missing:#?}\nmore: {more:#?}");
    assert!(found.iter().all(|f| !f["fix"].as_str().unwrap().is_empty()));
    assert_eq!(check(&database, POLICY, &["--strict"]).0, 1);
    let (_, schema_only) = check(&database, POLICY, &["--schema-only"]);
    assert_eq!(found.len() - schema_only.len(), 5, "{schema_only:#?}");
    assert_eq!(database.psql("SELECT count(*) FROM lines"), "3");
}

#[test]
fn findings_point_into_the_policy() {
    let database = Postgres::shared().database();
    database.psql(
        "CREATE TABLE orders (id int, tenant_id text NOT NULL); CREATE UNIQUE INDEX ON orders (id); CREATE INDEX ON orders (tenant_id)",
    );
    let policy = format!("{}    public.orders: {{ scoped: tenant_id }}\n", POLICY.split_inclusive('\n').take(8).collect::<String>());
    let (code, text) = typed(&database, "postgres", &policy, &["check", "--live"]);
    assert_eq!(code, 0, "{text}");
    let wanted = "warning: unique index \"orders_id_idx\" of public.orders lacks \"tenant_id\": a tenant that writes a value which another tenant has is \
                  refused (23505), and so learns of it\n  --> policies/test.yaml:9:20\n 9 |     public.orders: { scoped: tenant_id }\n   |                    ^\n  \
                  fix: put the tenant column into the key; `partywall plan` prints how\n";
    assert!(text.contains(wanted), "{text}");
    assert!(text.ends_with("2 findings: 2 warnings\n"), "{text}");
}

#[test]
fn what_stops_the_start_is_an_error() {
    let database = Postgres::shared().database();
    database.psql("CREATE TABLE orders (id int, tenant_id text NOT NULL); CREATE TABLE items (id int)");
    let (code, found) = check(&database, POLICY, &[]);
    assert_eq!(code, 1);
    let errors: Vec<&str> = found.iter().filter(|f| f["severity"] == "error").map(|f| f["message"].as_str().unwrap()).collect();
    for wanted in ["public.items has no column \"tenant_id\"", "public.lines matches no table", "public.plain matches no function upstream"]
    {
        assert!(errors.iter().any(|e| e.contains(wanted)), "{wanted}: {errors:#?}");
    }
    assert!(found[0]["severity"] == "error" && found[0]["line"] == 10, "{found:#?}");
    let (code, found) = checked_as(&database, "nobody_of_that_name", POLICY, &[]);
    assert_eq!(code, 1);
    assert!(found[0]["message"].as_str().unwrap().starts_with("upstream `db`: database"), "{found:#?}");
}

const CLEAN: &str = "
CREATE TABLE orders (tenant_id text NOT NULL, id int NOT NULL, code text, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, code));
CREATE TABLE items (tenant_id text NOT NULL, id uuid NOT NULL, order_id int, PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, order_id) REFERENCES orders);
CREATE TABLE countries (code text PRIMARY KEY);
INSERT INTO orders VALUES ('acme', 1, 'a'), ('globex', 1, 'a');
INSERT INTO items VALUES ('acme', gen_random_uuid(), 1);
";

#[test]
fn a_clean_schema_has_no_finding() {
    let database = Postgres::shared().database();
    database.psql(CLEAN);
    let role = format!("checker_of_{}", database.name);
    database.psql(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    let gone = |line: &&str| ["lines", "parts", "totals", "secrets", "functions"].iter().any(|word| line.contains(word));
    let policy: String = POLICY.lines().filter(|l| !gone(l)).map(|l| format!("{l}\n")).collect();
    assert_eq!(checked_as(&database, &role, &policy, &["--strict"]), (0, Vec::new()));
    let (code, text) = typed(&database, &role, &policy, &["check", "--live"]);
    assert_eq!((code, text.as_str()), (0, "partywall.yaml: good, 1 listener\n"));
    // Rows that the role may not read are told to have been passed over, not taken for good.
    database.psql(&format!("REVOKE SELECT ON items FROM {role}"));
    let (code, found) = checked_as(&database, &role, &policy, &[]);
    assert_eq!((code, found.len()), (0, 1), "{found:#?}");
    let told = found[0]["message"].as_str().unwrap();
    assert_eq!(told, "rows of public.items were not looked at: permission denied for table items");
    database.psql(&format!("ALTER TABLE orders ENABLE ROW LEVEL SECURITY; GRANT SELECT ON items TO {role}"));
    let (_, found) = checked_as(&database, &role, &policy, &[]);
    assert!(found.iter().any(|f| f["message"].as_str().unwrap().contains("affected by row-level security")), "{found:#?}");
    database.psql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn keys_that_set_defaults_are_told() {
    let database = Postgres::shared().database();
    database.psql(&format!(
        "{CLEAN} ALTER TABLE items DROP CONSTRAINT items_tenant_id_order_id_fkey, ALTER order_id SET DEFAULT 1,
         ADD CONSTRAINT back FOREIGN KEY (tenant_id, order_id) REFERENCES orders ON DELETE SET DEFAULT (order_id)"
    ));
    let policy = POLICY.split_inclusive('\n').take(8).collect::<String>()
        + "    public.orders: { scoped: tenant_id }\n    public.items: { scoped: tenant_id }\n    public.countries: { shared: read }\n";
    let (_, found) = check(&database, &policy, &[]);
    let told =
        found.iter().filter(|f| f["message"].as_str().unwrap().starts_with("foreign key \"back\" from public.items to public.orders sets"));
    assert_eq!(told.map(|f| f["line"].as_u64()).collect::<Vec<_>>(), [Some(10)], "{found:#?}");
}

#[test]
fn tenants_own_places_are_looked_at_too() {
    let database = Postgres::shared().database();
    database.psql("CREATE SCHEMA own_acme; CREATE SCHEMA own_globex; CREATE TABLE countries (code text)");
    let head: String = POLICY.split_inclusive('\n').take(6).collect();
    let policy = format!("{head}  layout: {{ default: {{ schema: 'own_{{tenant}}' }}, tenants: {{ initech: {{ schema: gone }} }} }}\n");
    let (code, found) = check(&database, &policy, &[]);
    let messages: Vec<&str> = found.iter().map(|f| f["message"].as_str().unwrap()).collect();
    assert_eq!((code, messages), (1, vec!["tenant `initech`: schema \"gone\" does not exist"]));
    database.psql("CREATE SCHEMA gone");
    assert_eq!(check(&database, &policy, &["--strict"]), (0, Vec::new()));
}
