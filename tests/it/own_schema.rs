//! Layout `schema`: each tenant's tables stand in a schema of its own, which its application knows as `public`.

use crate::own_database::{EQUAL, SCHEMA};
use crate::support::{Answer, Client, Database, Postgres, Wall, eventually};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: { default: schema, tenants: { initech: rows } }
  functions: [ public.twice(int) ]
  tables:
    public.shared_orders: { scoped: tenant_id }
    public.secrets:       { hidden: true }
    lists.countries:      { shared: read }
    lists.hush:           { hidden: true }
";

/// One database with a schema for each of two tenants, another for lists, and tables of the old kind.
fn database() -> Database {
    let database = Postgres::shared().database();
    database.psql("CREATE TABLE shared_orders (tenant_id text NOT NULL, id int); INSERT INTO shared_orders VALUES ('initech', 1), ('acme', 2); CREATE TABLE secrets (x text)");
    database.psql("CREATE SCHEMA lists; CREATE TABLE lists.countries (code text); INSERT INTO lists.countries VALUES ('at'); CREATE TABLE lists.hush (x text)");
    for who in ["acme", "globex-2"] {
        let path = format!("SET search_path = \"tenant_{who}\"; ");
        database.psql(&format!("CREATE SCHEMA \"tenant_{who}\"; {path}{SCHEMA}"));
        database.psql(&format!("{path}CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'"));
        database.psql(&format!(
            "{path}INSERT INTO customers (name) VALUES ('{who}-1'), ('{who}-2'); \
             INSERT INTO orders (customer, item, price) VALUES (1, '{who} anvil', 1), (2, '{who} rocket', 2); INSERT INTO secrets VALUES ('hush')"
        ));
    }
    database
}

#[test]
fn each_tenant_has_its_own() {
    let database = database();
    let wall = Wall::for_database(&database, POLICY);
    let port = wall.port("pg");
    for who in ["acme", "globex-2"] {
        let mut client = Client::tenant(port, who);
        assert_eq!(client.query("SELECT id, item FROM orders ORDER BY id").unwrap().text(), format!("1|{who} anvil\n2|{who} rocket"));
        assert_eq!(client.query("SELECT public.orders.item FROM public.orders WHERE id = 1").unwrap().text(), format!("{who} anvil"));
        assert_eq!(client.extended("SELECT name FROM open_orders WHERE id = $1", &[Some("2")]).unwrap().text(), format!("{who}-2"));
        assert_eq!(
            client.query("INSERT INTO customers (name, mood) VALUES ('x', 'bad'::public.mood) RETURNING id, mood").unwrap().text(),
            "3|bad"
        );
        assert_eq!(client.query("SELECT twice(4), public.twice(5)").unwrap().text(), "8|10");
        assert_eq!(client.query("SELECT code FROM lists.countries").unwrap().text(), "at");
        for missing in ["secrets", "shared_orders", "public.shared_orders", "lists.hush", "countries"] {
            assert_eq!(client.query(&format!("SELECT * FROM {missing}")).unwrap_err().code, "42P01", "{missing}");
        }
        assert_eq!(client.query("UPDATE lists.countries SET code = 'x'").unwrap_err().code, "42501");
    }
    let mut initech = Client::tenant(port, "initech");
    assert_eq!(initech.query("SELECT id FROM shared_orders").unwrap().text(), "1");
    assert_eq!(initech.query("SELECT * FROM orders").unwrap_err().code, "42P01");
    assert_eq!(initech.query("SELECT * FROM tenant_acme.orders").unwrap_err().code, "42P01");
}

#[test]
fn a_missing_schema_is_told_to_the_operator() {
    let database = database();
    let wall = Wall::for_database(&database, POLICY);
    let parameters = [("user", "app"), ("database", "app"), ("partywall.tenant", "later")];
    let refused = Client::connect(wall.port("pg"), &parameters).err().unwrap();
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("08006", "the database of this tenant is not available"));
    assert!(
        eventually(|| wall.log().contains("schema \\\"tenant_later\\\" does not exist")
            || wall.log().contains("schema \"tenant_later\" does not exist")),
        "{}",
        wall.log()
    );
    database.psql("CREATE SCHEMA tenant_later");
    assert_eq!(Client::connect(wall.port("pg"), &parameters).map(|_| ()), Ok(()));
}

#[test]
fn statements_do_what_they_do_in_a_database_of_its_own() {
    let database = database();
    let wall = Wall::for_database(&database, POLICY);
    let mut through = Client::tenant(wall.port("pg"), "acme");
    let plain = Postgres::shared().database();
    plain.psql(SCHEMA);
    plain.psql("INSERT INTO customers (name) VALUES ('acme-1'), ('acme-2'); INSERT INTO orders (customer, item, price) VALUES (1, 'acme anvil', 1), (2, 'acme rocket', 2)");
    let mut direct = Client::connect(plain.port, &[("user", "postgres"), ("database", &plain.name)]).unwrap();
    let mut wrong = Vec::new();
    // Its argument there is a name that the client cannot have.
    for sql in EQUAL.iter().chain(MORE).filter(|sql| !sql.contains("pg_get_serial_sequence(")) {
        let told =
            |answer: Answer| answer.map_err(|e| (e.code.clone(), e.message.clone(), e.detail, e.position, e.fields.get(&'s').cloned()));
        let (a, b) = (told(through.query(sql)), told(direct.query(sql)));
        wrong.extend((a != b).then(|| format!("{sql}\n  {a:?}\n  {b:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const MORE: &[&str] = &[
    "SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 'pg_catalog') ORDER BY 1",
    "SHOW search_path",
    "SELECT current_schema() AS a, current_schemas(true) AS b, current_setting('search_path') AS c",
    "SELECT setting FROM pg_settings WHERE name = 'search_path'",
    "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'secrets' ORDER BY 2",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT LIKE 'pg%' AND n.nspname <> 'information_schema' AND c.relname IN ('orders', 'mood') ORDER BY 2",
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'lists') AND table_name <> 'secrets' ORDER BY 2",
    "SELECT pg_get_constraintdef(c.oid) AS def FROM pg_constraint c WHERE conrelid = 'public.orders'::regclass ORDER BY 1",
    "SELECT pg_get_viewdef('open_orders'::regclass) AS def",
    "SELECT pg_get_expr(adbin, adrelid) AS def FROM pg_attrdef ORDER BY 1",
    "SELECT 'public.orders'::regclass AS a, to_regclass('public.orders')::text AS b, 'public.mood'::regtype AS c",
    "SELECT format_type(atttypid, atttypmod) AS t FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attnum > 0 ORDER BY attnum",
    "INSERT INTO orders (customer) VALUES (77)",
    "INSERT INTO customers (id, name) VALUES (900, 'twin'), (901, 'twin')",
    "INSERT INTO customers (name) VALUES (NULL)",
    "SELECT * FROM public.nowhere",
    "SELECT 'sad'::mood",
    "SELECT 'sad'::public.mood",
    "SET search_path TO public",
    "SELECT count(*) FROM orders",
    "SET LOCAL search_path = '$user', public",
    "DISCARD ALL",
    "SHOW search_path",
    "SELECT count(*) FROM customers",
];

/// Ways out of the own schema.
const OUT: &[&str] = &[
    "SELECT * FROM \"tenant_globex-2\".orders",
    "SELECT * FROM tenant_acme.orders",
    "TABLE \"tenant_globex-2\".orders",
    "SELECT \"tenant_globex-2\".orders.id FROM orders",
    "SELECT tenant_acme.orders.id FROM orders",
    "INSERT INTO \"tenant_globex-2\".orders (id) VALUES (9)",
    "DELETE FROM \"tenant_globex-2\".orders",
    "TRUNCATE \"tenant_globex-2\".orders",
    "LOCK TABLE \"tenant_globex-2\".orders",
    "COPY \"tenant_globex-2\".orders TO STDOUT",
    "COPY orders TO PROGRAM 'cat'",
    "SELECT 'good'::\"tenant_globex-2\".mood",
    "SELECT \"tenant_globex-2\".twice(1)",
    "SELECT 1 OPERATOR(\"tenant_globex-2\".+) 1",
    "SELECT 'x' COLLATE \"tenant_globex-2\".c",
    "SET search_path TO \"tenant_globex-2\"",
    "SET search_path TO public, \"tenant_globex-2\"",
    "SET SCHEMA 'tenant_globex-2'",
    "SELECT set_config('search_path', 'tenant_globex-2', false)",
    "SELECT set_config('search_path', 'public', false)",
    "SELECT '\"tenant_globex-2\".orders'::regclass",
    "SELECT '\"tenant_globex-2\".orders'::text::regclass",
    "SELECT 'tenant_globex-2'::regnamespace",
    "SELECT 'public'::regnamespace",
    "SELECT nextval('\"tenant_globex-2\".customers_id_seq')",
    "SELECT nextval('tenant_acme.customers_id_seq')",
    "SELECT setval('\"tenant_globex-2\".customers_id_seq', 5)",
    "SELECT setval(pg_get_serial_sequence('customers', 'id'), 5)",
    "SELECT pg_get_serial_sequence('\"tenant_globex-2\".customers', 'id')",
    "SELECT currtid2('\"tenant_globex-2\".orders', '(0,1)')",
    "SELECT currtid('orders'::regclass, '(0,1)')",
    "SELECT lo_create(0)",
    "SELECT lo_get(1)",
    "SELECT table_to_xml('\"tenant_globex-2\".orders', true, true, '')",
    "SELECT schema_to_xml('tenant_globex-2', true, true, '')",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT * FROM pg_stats",
    "CREATE SCHEMA mine",
    "DROP SCHEMA \"tenant_globex-2\" CASCADE",
    "CREATE TABLE tenant_acme.t (id int)",
    "CREATE VIEW v AS SELECT * FROM \"tenant_globex-2\".orders",
    "ALTER TABLE orders SET SCHEMA \"tenant_globex-2\"",
    "ALTER TABLE orders OWNER TO postgres",
    "COMMENT ON TABLE \"tenant_globex-2\".orders IS 'x'",
    "GRANT ALL ON orders TO PUBLIC",
    "CREATE TEMP TABLE t (LIKE \"tenant_globex-2\".orders)",
    "CREATE TEMP TABLE t (x \"tenant_globex-2\".mood)",
    "CREATE TEMP TABLE t AS SELECT * FROM \"tenant_globex-2\".orders",
    "CREATE TEMP TABLE t (x int REFERENCES \"tenant_globex-2\".orders)",
    "PREPARE p AS SELECT * FROM \"tenant_globex-2\".orders",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM \"tenant_globex-2\".orders",
    "MERGE INTO orders USING \"tenant_globex-2\".orders o ON o.id = orders.id WHEN MATCHED THEN DELETE",
];

#[test]
fn nothing_leads_out_of_it() {
    let database = database();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for sql in OUT {
        let answer = acme.query(sql);
        assert!(answer.as_ref().is_err_and(|e| !e.code.is_empty() && !e.message.contains("could not be proved")), "{sql}: {answer:?}");
    }
    let others = "SELECT count(*) FROM ";
    for (what, count) in [
        ("pg_namespace WHERE nspname LIKE 'tenant%'", "0"),
        ("pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'orders'", "1"),
        ("information_schema.tables WHERE table_schema LIKE 'tenant%' OR table_name = 'shared_orders'", "0"),
        ("information_schema.columns WHERE table_schema LIKE 'tenant%'", "0"),
        ("information_schema.schemata WHERE schema_name LIKE 'tenant%'", "0"),
        ("pg_type WHERE typname = 'mood'", "1"),
        ("pg_enum", "2"),
        ("pg_proc WHERE proname = 'twice'", "1"),
        ("pg_indexes WHERE indexdef LIKE '%tenant%'", "0"),
        ("pg_tables WHERE schemaname LIKE 'tenant%'", "0"),
        ("pg_sequences WHERE schemaname LIKE 'tenant%'", "0"),
    ] {
        assert_eq!(acme.query(&format!("{others}{what}")).map(|r| r.text()), Ok(count.to_owned()), "{what}");
    }
    assert_eq!(database.psql("SELECT count(*) FROM \"tenant_globex-2\".orders"), "2");
}

/// A value of a type that is there tells of its columns or labels, and what it names is looked up: of types that are not the tenant's, a client
/// hears what it hears of one that is not there.
#[test]
fn parameters_are_of_no_types_of_others() {
    let database = database();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let oid = |name: &str| database.psql(&format!("SELECT '{name}'::regtype::oid")).trim().parse::<u32>().unwrap();
    let mut ask = |oid: u32, sql: &str, value: &str| {
        acme.parse("", sql, &[oid]);
        acme.bind("", "", &[Some(value)]);
        acme.describe_portal("");
        acme.execute("", 0);
        acme.sync();
        match acme.answers().pop().expect("an answer") {
            Ok(rows) => rows.text(),
            Err(error) => format!("{} {}", error.code, error.message),
        }
    };
    assert_eq!(ask(oid("tenant_acme.mood"), "SELECT $1", "bad"), "bad");
    assert_eq!(ask(oid("tenant_acme.mood[]"), "SELECT $1", "{bad}"), "{bad}");
    assert_eq!(ask(oid("int4"), "SELECT $1", "7"), "7");
    let nothing = ask(4_000_000_000, "SELECT $1", "(1)");
    assert!(nothing.starts_with("0A000"), "{nothing}");
    for name in [
        "\"tenant_globex-2\".mood",
        "\"tenant_globex-2\".orders",
        "lists.hush",
        "pg_sequences",
        "pg_class",
        "regclass",
        "regproc[]",
        "regconfig",
    ] {
        assert_eq!(ask(oid(name), "SELECT $1", "(secrets)"), nothing, "{name}");
    }
}

/// The server says of a name with a schema whether the schema is there.
#[test]
fn names_of_text_search_objects_tell_of_no_tenant() {
    let database = database();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(acme.query("SELECT to_tsvector('english', 'cats'), 'pg_catalog.simple'::regconfig").unwrap().text(), "'cat':1|simple");
    for form in [
        "SELECT '{}'::regconfig",
        "SELECT to_tsvector('{}', 'a')",
        "SELECT to_tsvector('{}'::unknown, 'a')",
        "SELECT to_tsvector('{}' COLLATE \"C\", 'a')",
        "SELECT ts_lexize('{}', 'a')",
        "SELECT * FROM ts_parse('{}', 'a')",
        "SELECT ('' || '{}')::regdictionary",
        "SET default_text_search_config = '{}'",
        "SELECT set_config('default_text_search_config', '{}', false)",
    ] {
        let mut ask = |schema: &str| {
            let error = acme.query(&form.replace("{}", &format!("tenant_{schema}.x"))).expect_err(form);
            (error.code, error.message.replace(schema, "?"))
        };
        assert_eq!(ask("globex-2"), ask("nobody"), "{form}");
    }
    for (sql, value) in [("SELECT to_tsvector($1, 'a')", "tenant_nobody.x"), ("SELECT $1::regconfig", "tenant_nobody.x")] {
        assert_eq!(acme.extended(sql, &[Some(value)]).unwrap_err().code, "0A000", "{sql}");
    }
}

/// What the operator has put elsewhere, over a tenant's objects.
const ELSEWHERE: &str = "
CREATE SCHEMA reports;
CREATE VIEW reports.allorders AS SELECT id, item FROM tenant_acme.orders;
CREATE TABLE reports.keeper (o int CONSTRAINT keeper_o_fkey REFERENCES tenant_acme.orders, n int DEFAULT nextval('tenant_acme.orders_id_seq'));
CREATE TABLE public.holder (o int REFERENCES tenant_acme.orders);
CREATE TABLE \"tenant_globex-2\".child (CONSTRAINT odd_rule CHECK (item <> 'odd')) INHERITS (tenant_acme.orders);
CREATE VIEW tenant_acme.mine AS SELECT item FROM tenant_acme.orders;
INSERT INTO reports.keeper VALUES (1);
INSERT INTO public.holder VALUES (2);
";

#[test]
fn errors_name_nothing_that_stands_elsewhere() {
    let database = database();
    database.psql(ELSEWHERE);
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for (sql, code, detail) in [
        ("DROP TABLE orders", "2BP01", Some("view mine depends on table orders")),
        ("DROP SEQUENCE orders_id_seq", "2BP01", None),
        ("ALTER TABLE orders ALTER COLUMN item TYPE varchar", "0A000", None),
        ("ALTER TABLE orders DROP COLUMN item", "2BP01", Some("view mine depends on column item of table orders")),
        ("DELETE FROM orders WHERE id = 1", "23503", None),
        ("DELETE FROM orders WHERE id = 2", "23503", None),
        ("TRUNCATE orders", "0A000", None),
    ] {
        let error = acme.query(sql).unwrap_err();
        assert_eq!(error.code, code, "{sql}: {error:?}");
        for word in ["reports", "keeper\"", "holder", "child", "globex", "tenant_"] {
            let all: Vec<&String> = error.fields.iter().filter(|(f, _)| **f != 'n').map(|(_, text)| text).collect();
            assert!(!all.iter().any(|text| text.contains(word)), "{sql}: {error:?}");
        }
        if let Some(detail) = detail {
            assert!(error.detail.as_deref().is_some_and(|d| d.contains(detail)), "{sql}: {error:?}");
        }
    }
}

/// What the wall asks after DDL runs under settings of its own.
#[test]
fn a_clients_timeout_ends_no_session_after_ddl() {
    let database = database();
    let columns: Vec<String> = (0..40).map(|n| format!("c{n} int DEFAULT {n}")).collect();
    database.psql(&format!(
        "DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE 'CREATE TABLE tenant_acme.many_' || i || ' ({})'; END LOOP; END $$",
        columns.join(", ")
    ));
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    acme.query("SET datestyle = 'SQL, DMY'").unwrap();
    let mut made = 0;
    for n in 0..40 {
        acme.query("SET statement_timeout = 20").unwrap();
        made += usize::from(acme.query(&format!("CREATE TYPE made_{n} AS ENUM ('a')")).is_ok());
        acme.query("SET statement_timeout = 0").unwrap();
        assert_eq!(acme.query("SELECT date '2020-01-02'").unwrap().text(), "02/01/2020");
        if made > 2 {
            return;
        }
    }
    panic!("the server is too slow for this test");
}
