//! Roles within a tenant: a role may through the wall what a role with the same GRANTs may on a server, and nothing else.

use crate::redis;
use crate::support::{Answer, Client, Database, PgError, Postgres, Redis, Wall};
use std::io::{Read, Write};

/// The policy of the case files, and one sequence.
fn policy() -> String {
    let text = include_str!("../sql/roles.yaml").replace("name: roles\n", "name: test\n");
    let text = text.replace(
        "    public.countries: { shared: read }
",
        "    public.countries: { shared: read }
    public.counter: { shared: read }
    public.other: { shared: read }
",
    );
    text.replace(
        "      public.countries: [select]
",
        "      public.countries: [select]
      public.counter: [select, update]
",
    )
}

const TABLES: &str = "
CREATE TABLE orders (id integer NOT NULL, tenant_id text NOT NULL DEFAULT 'acme', note text, price integer,
    PRIMARY KEY (tenant_id, id), CONSTRAINT orders_price_key UNIQUE (tenant_id, price), CONSTRAINT small CHECK (price < 1000));
CREATE TABLE notes (id integer NOT NULL, tenant_id text NOT NULL DEFAULT 'acme', body text, PRIMARY KEY (tenant_id, id));
CREATE TABLE log (id integer, tenant_id text NOT NULL DEFAULT 'acme', what text);
CREATE TABLE vault (id integer NOT NULL, tenant_id text NOT NULL DEFAULT 'acme', code text);
CREATE TABLE countries (code text NOT NULL, name text);
CREATE VIEW v_orders AS SELECT id, tenant_id, note, price FROM orders;
CREATE VIEW v_vault AS SELECT id, tenant_id, code FROM vault;
CREATE SEQUENCE counter;
CREATE SEQUENCE other;
INSERT INTO orders VALUES (1, 'acme', 'x', 10), (2, 'acme', 'y', 20);
INSERT INTO notes VALUES (1, 'acme', 'n');
INSERT INTO vault VALUES (1, 'acme', 'CANARY');
";

const SHARED: &str = "
CREATE TABLE items (org_id text NOT NULL, order_id integer NOT NULL, line integer NOT NULL, name text, cost integer, PRIMARY KEY (org_id, order_id, line));
INSERT INTO items VALUES ('acme', 1, 1, 'i', 5);
";

/// What the policy gives the clerk, as GRANTs.
const PRIVATE: &str = "
CREATE TABLE items (order_id integer NOT NULL, line integer NOT NULL, name text, cost integer, PRIMARY KEY (order_id, line));
INSERT INTO items VALUES (1, 1, 'i', 5);
DO $$ BEGIN CREATE ROLE clerk; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT (id, tenant_id, note), INSERT (id, note, price), UPDATE (note) ON orders TO clerk;
GRANT SELECT (order_id, line, name), INSERT (order_id, line, name), DELETE ON items TO clerk;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON notes TO clerk;
GRANT INSERT ON log TO clerk;
GRANT SELECT (id, note) ON v_orders TO clerk;
GRANT SELECT ON v_vault, countries TO clerk;
GRANT SELECT, UPDATE ON SEQUENCE counter TO clerk;
SET ROLE clerk;
";

struct Pair {
    _databases: [Database; 2],
    wall: Wall,
    private: Client,
}

fn pair() -> Pair {
    let (shared, private) = (Postgres::shared().database(), Postgres::shared().database());
    shared.psql(&format!("{TABLES}{SHARED}"));
    private.psql(TABLES);
    let wall = Wall::for_database(&shared, &policy());
    let mut client = Client::connect(private.port, &[("user", "postgres"), ("database", &private.name)]).unwrap();
    for answer in client.simple(PRIVATE) {
        assert!(answer.is_ok(), "{answer:?}");
    }
    Pair { _databases: [shared, private], wall, private: client }
}

fn as_role(wall: &Wall, role: Option<&str>) -> Result<Client, PgError> {
    let mut parameters = vec![("user", "app"), ("partywall.tenant", "acme")];
    parameters.extend(role.map(|role| ("partywall.role", role)));
    Client::connect(wall.port("pg"), &parameters)
}

/// The SQLSTATE and words of what comes of a statement in a transaction that is taken back.
fn outcome(client: &mut Client, sql: &str) -> Option<(String, String)> {
    client.query("BEGIN").unwrap();
    let answer = client.query(sql);
    client.query("ROLLBACK").unwrap();
    answer.err().map(|e| (e.code, e.message))
}

fn is_refused(outcome: &Option<(String, String)>) -> bool {
    outcome.as_ref().is_some_and(|(code, _)| code == "42501")
}

/// What statements are made of: `{t}` is each of these tables, `{c}` each of its columns.
const NAMES: &[&str] = &["orders", "items", "notes", "log", "vault", "v_orders", "v_vault", "countries"];
const OF_TABLES: &[&str] = &[
    "SELECT 1 FROM {t}",
    "SELECT count(*) FROM {t}",
    "SELECT * FROM {t}",
    "SELECT x.* FROM {t} x",
    "SELECT x FROM {t} x",
    "SELECT {t} FROM {t}",
    "TABLE {t}",
    "SELECT n.id FROM notes n WHERE EXISTS (SELECT FROM {t})",
    "SELECT n.id FROM notes n JOIN {t} x ON true",
    "SELECT n.id FROM notes n CROSS JOIN LATERAL (SELECT n.id FROM {t} x) y",
    "WITH w AS (SELECT 1 AS one FROM {t}) SELECT one FROM w",
    "WITH w AS (SELECT * FROM {t}) SELECT count(*) FROM w",
    "SELECT id FROM notes UNION ALL SELECT 1 FROM {t}",
    "DELETE FROM {t}",
    "DELETE FROM notes USING {t} x",
    "UPDATE notes SET body = 'b' FROM {t} x",
    "INSERT INTO notes (id) SELECT 5 FROM {t}",
    "SELECT 1 FROM {t} FOR UPDATE",
    "SELECT 1 FROM (SELECT 1 FROM {t}) x FOR SHARE",
    "SELECT n.id FROM notes n, {t} x FOR UPDATE OF n",
    "LOCK TABLE {t} IN ACCESS SHARE MODE",
    "LOCK TABLE {t} IN ROW EXCLUSIVE MODE",
    "COPY {t} TO STDOUT",
    "COPY (SELECT 1 FROM {t}) TO STDOUT",
    "MERGE INTO notes n USING {t} x ON true WHEN MATCHED THEN DO NOTHING",
    "MERGE INTO {t} x USING notes n ON true WHEN MATCHED THEN DO NOTHING",
    "MERGE INTO {t} x USING notes n ON n.id = 1 WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN DO NOTHING",
    "EXPLAIN (COSTS off) SELECT 1 FROM {t}",
    "CREATE TEMP TABLE made AS SELECT 1 AS one FROM {t}",
];
const OF_COLUMNS: &[&str] = &[
    "SELECT {c} FROM {t}",
    "SELECT x.{c} FROM {t} x",
    "SELECT {t}.{c} FROM {t}",
    "SELECT public.{t}.{c} FROM public.{t}",
    "SELECT {c} AS shown FROM {t} ORDER BY shown",
    "SELECT 1 AS {c} FROM {t} ORDER BY {c}",
    "SELECT 1 FROM {t} ORDER BY {c}",
    "SELECT 1 FROM {t} GROUP BY {c}",
    "SELECT 1 AS {c} FROM {t} GROUP BY {c}",
    "SELECT DISTINCT ON ({c}) 1 FROM {t}",
    "SELECT max({c}) FROM {t}",
    "SELECT 1 FROM {t} HAVING max({c}) IS NULL",
    "SELECT count(*) FILTER (WHERE {c} IS NULL) FROM {t}",
    "SELECT row_number() OVER (PARTITION BY {c}) FROM {t}",
    "SELECT row_number() OVER w FROM {t} WINDOW w AS (ORDER BY {c})",
    "SELECT 1 FROM {t} WHERE {c} IS NOT NULL",
    "SELECT 1 FROM {t} x WHERE EXISTS (SELECT 1 FROM notes n WHERE x.{c} IS NOT NULL)",
    "SELECT (SELECT x.{c}) FROM {t} x",
    "SELECT y.{c} FROM (SELECT {c} FROM {t}) y",
    "SELECT y.z FROM (SELECT {c} AS z FROM {t}) y",
    "SELECT y.{c} FROM (SELECT 1 AS {c} FROM {t}) y",
    "WITH w AS (SELECT {c} FROM {t}) SELECT * FROM w",
    "WITH w (z) AS (SELECT {c} FROM {t}) SELECT z FROM w",
    "SELECT 1 FROM {t} x JOIN {t} y USING ({c})",
    "SELECT 1 FROM {t} x LEFT JOIN {t} y ON x.{c} = y.{c}",
    "SELECT j.{c} FROM ({t} x JOIN countries y ON true) AS j",
    "SELECT y.v FROM {t} x CROSS JOIN LATERAL (SELECT x.{c} AS v) y",
    "SELECT CASE WHEN {c} IS NULL THEN 1 ELSE 2 END FROM {t}",
    "SELECT coalesce({c}::text, '') || 'x' FROM {t}",
    "SELECT ARRAY[{c}] FROM {t}",
    "SELECT ROW({c}) FROM {t}",
    "SELECT (VALUES (x.{c})) FROM {t} x",
    "SELECT n.id FROM notes n WHERE n.body IN (SELECT {c}::text FROM {t})",
    "SELECT n.id FROM notes n ORDER BY (SELECT max({c}) FROM {t})",
    "INSERT INTO notes (id, body) SELECT 7, {c}::text FROM {t}",
    "INSERT INTO {t} ({c}) VALUES (DEFAULT)",
    "INSERT INTO {t} ({c}) VALUES (NULL) RETURNING 1",
    "UPDATE {t} SET {c} = DEFAULT",
    "UPDATE {t} SET {c} = {c}",
    "UPDATE notes SET body = x.{c}::text FROM {t} x",
    "UPDATE notes SET body = (SELECT max({c}::text) FROM {t})",
    "DELETE FROM {t} WHERE {c} IS NULL",
    "DELETE FROM {t} RETURNING {c}",
    "DELETE FROM notes USING {t} x WHERE x.{c} IS NULL",
    "COPY {t} ({c}) TO STDOUT",
    "COPY (SELECT {c} FROM {t}) TO STDOUT",
    "MERGE INTO notes n USING {t} x ON x.{c} IS NULL WHEN MATCHED THEN DELETE",
    "MERGE INTO notes n USING {t} x ON true WHEN MATCHED AND x.{c} IS NULL THEN UPDATE SET body = 'b'",
    "MERGE INTO notes n USING {t} x ON false WHEN NOT MATCHED THEN INSERT (id, body) VALUES (9, x.{c}::text)",
    "MERGE INTO {t} x USING notes n ON true WHEN MATCHED THEN UPDATE SET {c} = NULL",
    "MERGE INTO {t} x USING notes n ON x.{c} IS NULL WHEN MATCHED THEN DO NOTHING",
];
const OF_ORDERS: &[&str] = &[
    "INSERT INTO orders (id, note) VALUES (5, 'x') RETURNING {c}",
    "INSERT INTO orders (id, note) VALUES (5, 'x') RETURNING orders.{c}",
    "INSERT INTO orders (id) VALUES (5) ON CONFLICT (tenant_id, id) DO UPDATE SET note = excluded.{c}::text",
    "INSERT INTO orders (id) VALUES (5) ON CONFLICT (tenant_id, id) DO UPDATE SET note = orders.{c}::text",
    "INSERT INTO orders (id) VALUES (5) ON CONFLICT (tenant_id, id) DO UPDATE SET note = 'x' WHERE orders.{c} IS NULL",
    "INSERT INTO orders AS o (id) VALUES (5) ON CONFLICT (tenant_id, id) DO UPDATE SET {c} = NULL",
    "UPDATE orders SET note = {c}::text",
    "UPDATE orders SET note = 'x' WHERE {c} IS NULL",
    "UPDATE orders SET note = 'x' RETURNING {c}",
    "UPDATE orders SET (note, {c}) = ('x', NULL)",
    "UPDATE orders o SET note = n.body FROM notes n WHERE o.{c} IS NULL",
    "WITH u AS (UPDATE orders SET note = 'x' RETURNING {c}) SELECT 1",
    "MERGE INTO orders o USING notes n ON o.{c} IS NULL WHEN MATCHED THEN UPDATE SET note = 'x'",
    "MERGE INTO orders o USING notes n ON false WHEN NOT MATCHED THEN INSERT (id, {c}) VALUES (7, NULL)",
    "SELECT id FROM orders WHERE {c} IS NULL FOR UPDATE",
];

/// Statements made of columns and tables, each with every one.
fn made() -> Vec<String> {
    let columns = |table: &str| -> &[&str] {
        match table {
            "orders" | "v_orders" => &["id", "tenant_id", "note", "price"],
            "items" => &["order_id", "line", "name", "cost"],
            "notes" => &["id", "body"],
            "log" => &["id", "what"],
            "countries" => &["code"],
            _ => &["id", "code"],
        }
    };
    let mut all = Vec::new();
    for table in NAMES {
        all.extend(OF_TABLES.iter().map(|text| text.replace("{t}", table)));
        for column in columns(table) {
            all.extend(OF_COLUMNS.iter().map(|text| text.replace("{t}", table).replace("{c}", column)));
        }
    }
    for column in columns("orders") {
        all.extend(OF_ORDERS.iter().map(|text| text.replace("{c}", column)));
    }
    all.extend(
        ["nextval('counter')", "currval('other')", "nextval('other')", "setval('other', 5)", "nextval('public.counter'::regclass)"]
            .map(|call| format!("SELECT {call}")),
    );
    all
}

#[test]
fn a_role_may_what_a_role_with_these_grants_may() {
    let Pair { wall, mut private, _databases } = pair();
    let mut clerk = as_role(&wall, Some("clerk")).unwrap();
    let mut admin = as_role(&wall, Some("admin")).unwrap();
    let cases = include_str!("../sql/roles.txt").lines().filter(|l| l.starts_with(['+', '-']));
    let cases = cases.filter_map(|l| l.split_once(' ')).map(|(_, rest)| rest.split_once(" => ").map_or(rest, |(sql, _)| sql).to_owned());
    let (mut wrong, mut unknown, mut count) = (String::new(), 0, 0);
    for sql in cases.chain(made()).filter(|sql| !(sql.starts_with("COPY") && sql.contains("FROM STDIN"))) {
        let theirs = outcome(&mut private, &sql);
        let ours = outcome(&mut clerk, &sql);
        count += 1;
        // What nobody may through the wall, or what it does not understand, is no matter of roles.
        if ours.is_some() && outcome(&mut admin, &sql).is_some_and(|(code, _)| ["0A000", "42501", "42P01"].contains(&code.as_str())) {
            unknown += 1;
            continue;
        }
        let alike = if is_refused(&ours) { theirs.is_some() } else { ours.is_some() || !is_refused(&theirs) };
        if !alike {
            wrong.push_str(&format!("{sql}\n  wall: {ours:?}\n  server: {theirs:?}\n"));
        } else if is_refused(&ours) && is_refused(&theirs) && ours != theirs {
            wrong.push_str(&format!("{sql}\n  other words: {ours:?}\n  server: {theirs:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "these are not alike:\n{wrong}");
    println!("{count} statements, of which {unknown} nobody may send");
    assert!(count > 900 && unknown * 8 < count, "{unknown} of {count} were not compared");
}

/// What a role may not read is in no message either.
#[test]
fn errors_quote_nothing_that_the_role_may_not_read() {
    let Pair { wall, .. } = pair();
    let told = |role: &str| {
        let mut client = as_role(&wall, Some(role)).unwrap();
        let all = [
            "INSERT INTO orders (id, note, price) VALUES (1, 'x', 30)",
            "UPDATE orders SET note = NULL, id = NULL WHERE id = 1",
            "INSERT INTO orders (id, note, price) VALUES (9, 'x', 5000)",
        ];
        all.map(|sql| client.query(sql).err().map(|e| (e.code, e.detail))).to_vec()
    };
    let [admin, clerk] = ["admin", "clerk"].map(told);
    assert!(admin.iter().flatten().filter(|(_, detail)| detail.is_some()).count() == 3, "{admin:?}");
    assert_eq!(clerk[0], Some(("23505".into(), None)));
    assert_eq!(clerk[1].as_ref().map(|(code, _)| code.as_str()), Some("42501"));
    assert_eq!(clerk[2], Some(("23514".into(), None)));
}

#[test]
fn who_has_no_role_of_the_policy_is_refused() {
    let Pair { wall, .. } = pair();
    for role in [None, Some("stranger"), Some("CLERK"), Some("")] {
        let error = as_role(&wall, role).err().unwrap_or_else(|| panic!("{role:?} was let in"));
        assert_eq!((error.code.as_str(), error.message.as_str()), ("28000", "the role is not valid"), "{role:?}");
    }
    let with_default = policy().replace("roles:\n", "roles:\n  default: clerk\n");
    wall.rewrite("test.yaml", &with_default);
    wall.signal("HUP");
    assert!(crate::support::eventually(|| as_role(&wall, None).is_ok()));
    let mut client = as_role(&wall, None).unwrap();
    assert_eq!(client.query("SELECT price FROM orders").unwrap_err().message, "permission denied for table orders");
    assert!(as_role(&wall, Some("stranger")).is_err());
}

/// Live sessions are held to what the policy says now.
#[test]
fn a_reload_takes_rights_away() {
    let Pair { wall, .. } = pair();
    let mut clerk = as_role(&wall, Some("clerk")).unwrap();
    clerk.parse("kept", "SELECT note FROM orders WHERE id = 1", &[]);
    clerk.sync();
    clerk.answers();
    assert!(clerk.query("SELECT note FROM orders").is_ok());
    wall.rewrite("test.yaml", &policy().replace("select: [id, tenant_id, note]", "select: [id, tenant_id]"));
    wall.signal("HUP");
    assert!(crate::support::eventually(|| clerk.query("SELECT note FROM orders").is_err_and(|e| e.code == "42501")));
    clerk.bind("", "kept", &[]);
    clerk.execute("", 0);
    clerk.sync();
    let answers: Vec<Answer> = clerk.answers();
    assert!(answers.iter().any(|a| a.is_err()), "{answers:?}");
}

/// Prepared statements, cursors and the rest of the extended protocol are judged as texts are; an operator's delegation is nobody's role.
#[test]
fn no_way_around_by_the_extended_protocol() {
    let Pair { wall, .. } = pair();
    let mut clerk = as_role(&wall, Some("clerk")).unwrap();
    for sql in
        ["SELECT price FROM orders WHERE id = $1", "UPDATE orders SET note = 'x' WHERE price = $1", "DELETE FROM orders WHERE id = $1"]
    {
        let answer = clerk.extended(sql, &[Some("1")]);
        assert_eq!(answer.unwrap_err().code, "42501", "{sql}");
    }
    assert!(clerk.extended("SELECT note FROM orders WHERE id = $1", &[Some("1")]).is_ok());
    for sql in [
        "SET ROLE admin",
        "SET partywall.role = 'admin'",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT set_config('partywall.role', 'admin', false)",
    ] {
        let _ = clerk.query(sql);
        assert_eq!(clerk.query("SELECT price FROM orders").unwrap_err().code, "42501", "after {sql}");
    }
}

const REDIS: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity: { startup: { user: '{role}@{tenant}', trust: [loopback] } }
redis: { prefix: '{tenant}:', scripts: on }
roles:
  admin: { redis: all }
  reader: { redis: { commands: ['@read', multi, exec, watch, '-@dangerous'] } }
  cart: { redis: { commands: ['@all', '-@dangerous'], keys: ['cart:*'] } }
";

/// A server, the wall before it, and three keys.
fn redis_wall() -> (Redis, Wall, redis::Client) {
    let server = Redis::start();
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/\n",
        server.port
    );
    let wall = Wall::start(&config, &[("test.yaml", REDIS)]);
    let mut admin = redis_role(&wall, "admin");
    for said in ["SET cart:1 a", "SET other b", "EVAL \"return redis.call('set', KEYS[1], 'c')\" 1 third"] {
        assert_eq!(admin.ask(said), "OK", "{said}");
    }
    (server, wall, admin)
}

fn redis_role(wall: &Wall, role: &str) -> redis::Client {
    let mut client = redis::Client::connect(wall.port("redis"));
    assert_eq!(client.ask(&format!("AUTH {role}@acme x")), "OK", "{role}");
    client
}

fn no_command(name: &str) -> String {
    format!("!NOPERM this user has no permissions to run the '{name}' command")
}

#[test]
fn a_role_of_redis_runs_its_commands() {
    let (_server, wall, _admin) = redis_wall();
    let mut reader = redis_role(&wall, "reader");
    for (said, wanted) in [
        ("GET other", "\"b\"".to_owned()),
        ("SET other x", no_command("set")),
        ("KEYS *", no_command("keys")),
        ("EVAL \"return 1\" 0", no_command("eval")),
        ("EVAL_RO \"return 1\" 0", no_command("eval_ro")),
        ("SORT other", no_command("sort")),
        ("MULTI", "OK".into()),
        ("DEL other", no_command("del")),
        ("EXEC", "!EXECABORT Transaction discarded because of previous errors.".into()),
        ("GET other", "\"b\"".to_owned()),
        ("AUTH admin@acme x", String::new()),
        ("SET other x", no_command("set")),
    ] {
        let got = reader.ask(said);
        assert!(wanted.is_empty() || got == wanted, "{said}: {got}");
    }
    // What is live is held to what the policy says now.
    wall.rewrite("test.yaml", &REDIS.replace("['@read', multi", "[get, multi"));
    wall.signal("HUP");
    assert!(crate::support::eventually(|| reader.ask("STRLEN other") == no_command("strlen")));
    assert_eq!(reader.ask("GET other"), "\"b\"");
    for name in ["stranger@acme", "acme"] {
        let mut client = redis::Client::connect(wall.port("redis"));
        assert!(client.ask(&format!("AUTH {name} x")).starts_with("!WRONGPASS"), "{name}");
    }
}

#[test]
fn a_role_of_redis_names_its_keys() {
    let (_server, wall, mut admin) = redis_wall();
    let keys = "!NOPERM this user has no permissions to access one of the keys used as arguments";
    let channels = "!NOPERM this user has no permissions to access one of the channels used as arguments";
    let mut cart = redis_role(&wall, "cart");
    for (said, wanted) in [
        ("GET cart:1", "\"a\"".to_owned()),
        ("GET other", keys.into()),
        ("MGET cart:1 other", keys.into()),
        ("RENAME cart:1 other", keys.into()),
        ("COPY other cart:2", keys.into()),
        ("SET acme:cart:1 x", keys.into()),
        ("BLPOP other 1", keys.into()),
        ("XREAD STREAMS other 0", keys.into()),
        ("SCAN 0", no_command("scan")),
        ("DBSIZE", no_command("dbsize")),
        ("RANDOMKEY", no_command("randomkey")),
        ("FLUSHDB", no_command("flushdb")),
        ("FCALL f 0", no_command("fcall")),
        ("SUBSCRIBE other", channels.into()),
        ("PSUBSCRIBE *", channels.into()),
        ("PSUBSCRIBE cart:1*", channels.into()),
        ("PUBLISH other x", channels.into()),
        ("PUBLISH cart:1 x", "0".into()),
        ("SORT cart:1 BY other:* GET other:*", no_command("sort")),
        ("OBJECT ENCODING other", keys.into()),
    ] {
        assert_eq!(cart.ask(said), wanted, "{said}");
    }
    // A long command whose keys are known before it is all there.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", wall.port("redis"))).unwrap();
    let long = "x".repeat(3 << 20);
    let _ = stream.write_all(format!("AUTH cart@acme x\r\n*3\r\n$3\r\nSET\r\n$5\r\nother\r\n${}\r\n{long}\r\n", long.len()).as_bytes());
    let mut told = String::new();
    let _ = stream.read_to_string(&mut told);
    assert_eq!(admin.ask("GET other"), "\"b\"");
}

/// What a role listens to, has queued or waits for ends with the right to it, though its client says nothing; so does a tenant's with the tenant.
#[test]
fn a_reload_reaches_those_who_say_nothing() {
    use crate::support::eventually;
    let (_server, wall, mut admin) = redis_wall();
    let mut hears = redis_role(&wall, "cart");
    hears.ask("SUBSCRIBE cart:x");
    let mut queues = redis_role(&wall, "cart");
    assert_eq!((queues.ask("MULTI").as_str(), queues.ask("SET cart:1 late").as_str()), ("OK", "QUEUED"));
    let mut waits = redis_role(&wall, "cart");
    waits.say("BLPOP cart:q 0");
    let mut reads = redis_role(&wall, "reader");
    assert_eq!(reads.ask("GET other"), "\"b\"");
    wall.rewrite("test.yaml", &REDIS.replace("['cart:*']", "['basket:*']"));
    wall.signal("HUP");
    assert!(eventually(|| wall.log().contains("policy renewed")), "{}", wall.log());
    for client in [&mut hears, &mut waits] {
        assert_eq!(client.reply(), "!NOAUTH Authentication required.");
    }
    assert_eq!(queues.reply(), "!NOAUTH Authentication required.");
    assert_eq!(admin.ask("PUBLISH cart:x late"), "0");
    assert_eq!(admin.ask("RPUSH cart:q v"), "1", "nobody waits for it");
    assert_eq!(admin.ask("GET cart:1"), "\"a\"");
    assert_eq!(reads.ask("GET other"), "\"b\"", "whose rights are as they were goes on");
    // And the tenant itself.
    let mut hears = redis_role(&wall, "admin");
    hears.ask("SUBSCRIBE ch");
    wall.rewrite("test.yaml", &REDIS.replace("'[a-z]+'", "'g[a-z]+'"));
    wall.signal("HUP");
    assert_eq!(hears.reply(), "!NOAUTH Authentication required.");
    assert_eq!(reads.reply(), "!NOAUTH Authentication required.");
}
