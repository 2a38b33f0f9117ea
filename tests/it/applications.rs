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

#[test]
fn what_extensions_and_the_application_itself_define_is_used() {
    let database = shop();
    database.psql(
        "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm; CREATE SEQUENCE tickets;
         ALTER TABLE orders ADD COLUMN tags hstore, ADD COLUMN name citext;
         UPDATE orders SET tags = 'a=>1', name = upper(item);
         CREATE FUNCTION alike(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN lower($1) = lower($2); END $$;
         CREATE OPERATOR === (FUNCTION = alike, LEFTARG = text, RIGHTARG = text);
         CREATE FUNCTION unlisted(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR <<< (FUNCTION = unlisted, LEFTARG = text, RIGHTARG = text);
         CREATE TYPE pair AS (a int, b text); CREATE TYPE pairs AS (one pair, two pair[]); CREATE TYPE span AS RANGE (subtype = int4); ALTER TABLE orders ADD COLUMN sizes int[]; CREATE TYPE hush AS ENUM ('a'); ALTER TABLE secrets ADD COLUMN hush hush;",
    );
    let policy = format!(
        "{}    public.tickets: {{ shared: read }}\n  functions: [ 'public.alike(text, text)', public.max(citext) ]\n",
        crate::smoke::POLICY
    );
    let wall = Wall::for_database(&database, &policy);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut text = |sql: &str| acme.query(sql).map(|r| r.text());
    assert_eq!(text("SELECT max(id), max(item), max(name) FROM orders").unwrap(), "2|rocket|ROCKET");
    assert_eq!(text("SELECT max(name) FROM orders WHERE name = 'rocket'").unwrap(), "ROCKET");
    assert_eq!(text("SELECT tags -> 'a', 'x=>2'::hstore FROM orders WHERE id = 1").unwrap(), "1|\"x\"=>\"2\"");
    assert_eq!(text("SELECT item, 'rock' <<-> item < 0.5 FROM orders WHERE item %> 'rocket'").unwrap(), "rocket|t");
    assert_eq!(text("SELECT nextval('tickets'), currval('tickets')").unwrap(), "1|1");
    assert_eq!(text("SELECT item FROM orders WHERE item === 'ROCKET'").unwrap(), "rocket");
    assert_eq!(text("SELECT ('(1,x)'::pair).b, (ARRAY[ROW(2, 'y')]::pair[])[1]").unwrap(), "x|(2,y)");
    assert_eq!(text("SELECT '[1,3)'::span, isempty('{[1,2)}'::span_multirange)").unwrap(), "[1,3)|f");
    assert_eq!(text("INSERT INTO orders (id, item, sizes[1], sizes[3]) VALUES (9, 'x', 1, 3) RETURNING sizes").unwrap(), "{1,NULL,3}");
    assert_eq!(text("SELECT (ROW('(1,x)', '{}')::pairs).one.b").unwrap(), "x");
    assert_eq!(text("SELECT 'a'::hush").unwrap_err().code, "42704");
    assert_eq!(text("SELECT item FROM orders WHERE item <<< 'x'").unwrap_err().code, "42883");
    let seen: Vec<String> = acme.notices.iter().map(|n| n.message.clone()).collect();
    assert_eq!(seen, ["saw anvil", "saw rocket"], "the function sees the tenant's rows alone");
}
