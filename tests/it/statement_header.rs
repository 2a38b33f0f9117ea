//! One connection, many tenants: each statement says whose it is, and what one tenant leaves behind no other meets.

use crate::smoke::{POLICY, SCHEMA, shop};
use crate::support::{Client, Postgres, Wall, eventually};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const KEY: &str = "a key of thirty-two characters.....";

fn policy(statement: &str) -> String {
    let identity = format!("  startup: {{ trust: [loopback] }}\n  statement: {statement}\n");
    POLICY.replace("  startup: { trust: [loopback] }\n", &identity)
}

fn wall(statement: &str, sources: &str) -> Wall {
    let config = Wall::config(&shop(), &format!("identity: [{sources}]"), "user: postgres");
    Wall::start(&config, &[("test.yaml", &policy(statement)), ("statement.key", KEY)])
}

fn client(wall: &Wall) -> Client {
    Client::connect(wall.port("pg"), &[("user", "app"), ("database", "shop")]).unwrap()
}

const ITEMS: &str = "SELECT item FROM orders ORDER BY id";

fn of(tenant: &str, sql: &str) -> String {
    format!("/*traceparent='00-1-2-01',tenant='{tenant}'*/ {sql}")
}

fn text(client: &mut Client, sql: &str) -> String {
    client.query(sql).map_or_else(|e| format!("{} {}", e.code, e.message), |rows| rows.text())
}

fn code(answer: crate::support::Answer) -> String {
    answer.map_or_else(|e| e.code, |rows| rows.tag)
}

#[test]
fn each_statement_is_of_its_headers_tenant() {
    let wall = wall("{ trust: [loopback] }", "statement");
    let mut c = client(&wall);
    assert!(c.parameters.contains_key("server_version"));
    for _ in 0..2 {
        assert_eq!(text(&mut c, &of("acme", ITEMS)), "anvil\nrocket");
        assert_eq!(text(&mut c, &of("globex", ITEMS)), "laser\nwhale");
        assert_eq!(c.extended(&of("acme", "SELECT item FROM orders WHERE id = $1"), &[Some("1")]).unwrap().text(), "anvil");
        assert_eq!(c.extended(&of("globex", "SELECT item FROM orders WHERE id = $1"), &[Some("1")]).unwrap().text(), "laser");
    }
    // In one text the header is the whole text's.
    assert_eq!(text(&mut c, &of("acme", "SELECT 1; SELECT min(item) FROM orders")), "anvil");
    for (sql, state) in [
        (ITEMS.to_owned(), "28000"),
        (format!("{ITEMS} /*tenant='acme'*/"), "28000"),
        (of("Acme", ITEMS), "28000"),
        (of("acme", "SELECT 1; /*tenant='globex'*/ SELECT min(item) FROM orders"), "28000"),
        (of("acme%27--", ITEMS), "28000"),
        ("/*tenant=acme*/ SELECT 1".to_owned(), "28000"),
        ("SET partywall.tenant = 'acme'; SELECT 1".to_owned(), "28000"),
        (of("acme", "SET partywall.tenant = 'globex'"), "42501"),
        (of("acme", "SELECT set_config('partywall.tenant', 'globex', false)"), "42501"),
    ] {
        assert_eq!(code(c.query(&sql)), state, "{sql}");
        assert_eq!(c.status, b'I');
    }
    assert!(eventually(|| wall.log().contains("no tenant identity was given")), "{}", wall.log());
    // A place in the client's text stays what it is.
    let sql = of("acme", "SELECT nothing FROM orders");
    assert_eq!(c.query(&sql).unwrap_err().position, Some(1 + sql.find("nothing").unwrap() as u32));
}

#[test]
fn no_other_tenant_runs_what_looks_like_a_header() {
    let wall = wall("{ trust: [loopback] }", "statement");
    let mut c = client(&wall);
    c.query("SET partywall.tenant = 'globex'").unwrap();
    for header in
        ["TENANT='acme'", "Tenant='acme',tenant='globex'", "tenant_id='acme'", "!tenant='acme'", "+tenant='acme'", "%54enant='acme'"]
    {
        for sql in [format!("/*{header}*/ {ITEMS}"), format!("{ITEMS} /*{header}*/"), format!("/*x='1'*/ /*{header}*/ {ITEMS}")] {
            assert_eq!(code(c.query(&sql)), "28000", "{sql}");
            assert_eq!(code(c.extended(&sql, &[])), "28000", "{sql}");
        }
    }
    assert_eq!(text(&mut c, &format!("/*x='1'*/ {ITEMS}")), "laser\nwhale");
}

#[test]
fn a_transaction_has_one_tenant_and_begins_without_one() {
    let wall = wall("{ trust: [loopback] }", "statement");
    let mut c = client(&wall);
    assert_eq!(code(c.query("BEGIN")), "BEGIN");
    assert_eq!(c.status, b'T');
    assert_eq!(code(c.query(&of("acme", "UPDATE orders SET item = 'x'"))), "UPDATE 2");
    assert_eq!(code(c.query(&of("globex", ITEMS))), "28000");
    assert_eq!(c.status, b'E');
    assert_eq!(code(c.query(&of("acme", ITEMS))), "25P02");
    assert_eq!(code(c.query("ROLLBACK")), "ROLLBACK");
    assert_eq!(text(&mut c, &of("acme", ITEMS)), "anvil\nrocket");
    // The setting: LOCAL to the end of its transaction, without LOCAL until it is reset.
    for sql in ["BEGIN", "SET LOCAL partywall.tenant = 'globex'"] {
        c.query(sql).unwrap();
    }
    assert_eq!(text(&mut c, ITEMS), "laser\nwhale");
    assert_eq!(c.extended(ITEMS, &[]).unwrap().text(), "laser\nwhale");
    assert_eq!(code(c.query("COMMIT")), "COMMIT");
    assert_eq!(code(c.query(ITEMS)), "28000");
    c.query("SET partywall.tenant = 'acme'").unwrap();
    assert_eq!(text(&mut c, ITEMS), "anvil\nrocket");
    assert_eq!(text(&mut c, &of("globex", ITEMS)), "laser\nwhale", "a header is for its statement");
    assert_eq!(text(&mut c, ITEMS), "anvil\nrocket");
    assert_eq!(code(c.query("DISCARD ALL")), "DISCARD ALL");
    assert_eq!(code(c.query(ITEMS)), "28000");
    // A tenant that is refused in a transaction fails it, as any error does.
    c.query("BEGIN").unwrap();
    assert_eq!(code(c.query(ITEMS)), "28000");
    assert_eq!((c.status, code(c.query(&of("acme", ITEMS)))), (b'E', "25P02".to_owned()));
    c.query("ROLLBACK").unwrap();
}

#[test]
fn what_a_tenant_leaves_behind_no_other_meets() {
    let wall = wall("{ trust: [loopback] }", "statement");
    let mut c = client(&wall);
    for sql in [
        "CREATE TEMP TABLE kept (x text)",
        "INSERT INTO kept VALUES ('of acme')",
        "CREATE TEMP SEQUENCE counted",
        "SELECT nextval('counted')",
        "PREPARE mine AS SELECT item FROM orders WHERE id = 1",
        "LISTEN news",
        "SELECT pg_advisory_lock(7)",
        "SET application_name = 'acme was here'",
        "BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT item FROM orders; COMMIT",
        "SET search_path = ''",
    ] {
        assert_eq!(c.query(&of("acme", sql)).err(), None, "{sql}");
    }
    for (sql, state) in [
        ("SELECT * FROM kept", "42P01"),
        ("SELECT * FROM pg_temp.kept", "42P01"),
        ("SELECT currval('counted')", "42P01"),
        ("EXECUTE mine", "26000"),
        ("FETCH held", "34000"),
        ("CLOSE held", "34000"),
    ] {
        assert_eq!(code(c.query(&of("globex", sql))), state, "{sql}");
    }
    assert_eq!(text(&mut c, &of("globex", ITEMS)), "laser\nwhale", "the path is its own");
    assert_ne!(text(&mut c, &of("globex", "SHOW application_name")), "acme was here");
    assert_eq!(text(&mut c, &of("globex", "SELECT pg_try_advisory_lock(7)")), "t");
    // And it is all there when its tenant comes again.
    assert_eq!(text(&mut c, &of("acme", "SELECT x FROM kept")), "of acme");
    assert_eq!(code(c.query(&of("acme", "EXECUTE mine"))), "0A000", "by its path there is no such table");
    c.query(&of("acme", "RESET search_path")).unwrap();
    assert_eq!(text(&mut c, &of("acme", "EXECUTE mine")), "anvil");
    assert_eq!(text(&mut c, &of("acme", "FETCH held")), "anvil");
    assert_eq!(text(&mut c, &of("acme", "SHOW application_name")), "acme was here");
    // After DISCARD ALL for nobody.
    c.query("DISCARD ALL").unwrap();
    assert_eq!(code(c.query(&of("acme", "SELECT x FROM kept"))), "42P01");
}

#[test]
fn prepared_statements_follow_their_header_or_the_setting() {
    let wall = wall("{ trust: [loopback], sessions: 1 }", "statement");
    let mut c = client(&wall);
    let run = |c: &mut Client, name: &str| {
        c.bind("", name, &[]);
        c.execute("", 0);
        c.sync();
        c.answers().pop().unwrap().map_or_else(|e| e.code, |rows| rows.text())
    };
    c.parse("a", &of("acme", ITEMS), &[]);
    c.sync();
    c.answers();
    c.query("SET partywall.tenant = 'globex'").unwrap();
    c.parse("g", ITEMS, &[]);
    c.sync();
    c.answers();
    // With one session kept besides the one in charge, each comes back as a fresh one now and then.
    for _ in 0..3 {
        assert_eq!(run(&mut c, "a"), "anvil\nrocket");
        assert_eq!(run(&mut c, "g"), "laser\nwhale");
        assert_eq!(text(&mut c, &of("third", ITEMS)), "");
        assert_eq!(text(&mut c, &of("fourth", ITEMS)), "");
    }
    c.query("SET partywall.tenant = 'acme'").unwrap();
    assert_eq!(run(&mut c, "g"), "anvil\nrocket");
    c.query("RESET partywall.tenant").unwrap();
    assert_eq!(run(&mut c, "g"), "28000");
    // A cursor of the protocol is its session's: in another's statements it is not there.
    c.query("BEGIN").unwrap();
    c.parse("", &of("acme", ITEMS), &[]);
    c.bind("rows", "", &[]);
    c.execute("rows", 1);
    c.sync();
    assert_eq!(c.answers().pop().unwrap().unwrap().text(), "anvil");
    c.execute("rows", 1);
    c.sync();
    assert_eq!(c.answers().pop().unwrap().unwrap().text(), "rocket");
    c.query("COMMIT").unwrap();
    c.query(&of("globex", ITEMS)).unwrap();
    c.execute("rows", 1);
    c.sync();
    assert_eq!(code(c.answers().pop().unwrap()), "34000");
}

fn sign(tenant: &str, seconds: i64) -> (String, String) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let expires = (now + seconds).to_string();
    let script = "import hmac,hashlib,sys; print(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), hashlib.sha256).hexdigest())";
    let out = Command::new("python3").args(["-c", script, KEY, &format!("{tenant}\n{expires}")]).output().unwrap();
    (expires, String::from_utf8(out.stdout).unwrap().trim().to_owned())
}

#[test]
fn a_signature_is_required_where_there_is_a_key() {
    let wall = wall("{ trust: [loopback], key: statement.key }", "statement");
    let mut c = client(&wall);
    let signed = |tenant: &str, (expires, signature): &(String, String)| {
        format!("/*tenant='{tenant}',tenant_exp='{expires}',tenant_sig='{signature}'*/ {ITEMS}")
    };
    let good = sign("acme", 60);
    assert_eq!(text(&mut c, &signed("acme", &good)), "anvil\nrocket");
    for forged in [of("acme", ITEMS), signed("globex", &good), signed("acme", &sign("acme", -1)), "SET partywall.tenant = 'acme'".into()] {
        assert_eq!(code(c.query(&forged)), "28000", "{forged}");
    }
    c.query(&format!("SET partywall.tenant = 'acme:{}:{}'", good.0, good.1)).unwrap();
    assert_eq!(text(&mut c, ITEMS), "anvil\nrocket");
    assert!(eventually(|| wall.log().contains("the tenant's signature is not valid")), "{}", wall.log());
    // Another key: what the old one signed counts no more.
    wall.rewrite("statement.key", &"z".repeat(40));
    assert!(eventually(|| c.query(&signed("acme", &good)).is_err()));
}

#[test]
fn who_is_not_trusted_has_one_tenant() {
    let wall = wall("{ trust: ['spiffe://corp.example/gateway'] }", "startup, statement");
    let mut c = Client::tenant(wall.port("pg"), "acme");
    assert_eq!(text(&mut c, &of("globex", ITEMS)), "anvil\nrocket", "a comment is a comment");
    assert_eq!(code(c.query("SET partywall.tenant = 'globex'")), "42501");
    assert_eq!(Client::connect(wall.port("pg"), &[("user", "app")]).err().map(|e| e.code), Some("28000".into()));
}

#[test]
fn who_is_trusted_no_more_chooses_no_more() {
    for waits in ["", "BEGIN"] {
        let wall = wall("{ trust: [loopback], otherwise: own }", "startup, statement");
        let mut c = Client::tenant(wall.port("pg"), "acme");
        assert_eq!(text(&mut c, &of("globex", ITEMS)), "laser\nwhale");
        c.query(waits).unwrap();
        wall.rewrite("test.yaml", &policy("{ trust: ['spiffe://corp.example/gateway'], otherwise: own }"));
        wall.signal("HUP");
        let last = c.receive().map(|(_, body)| crate::support::error(&body).code);
        assert_eq!((last.as_deref(), c.receive()), (Some("57P01"), None), "{waits}");
        let mut c = Client::tenant(wall.port("pg"), "acme");
        assert_eq!(text(&mut c, &of("globex", ITEMS)), "anvil\nrocket", "a comment is a comment");
    }
}

#[test]
fn another_source_gives_the_connections_own_tenant() {
    let own = wall("{ trust: [loopback], otherwise: own }", "startup, statement");
    let mut c = Client::tenant(own.port("pg"), "acme");
    assert_eq!(text(&mut c, ITEMS), "anvil\nrocket");
    assert_eq!(text(&mut c, &of("globex", ITEMS)), "laser\nwhale");
    let strict = wall("{ trust: [loopback] }", "startup, statement");
    let mut c = Client::tenant(strict.port("pg"), "acme");
    assert_eq!(code(c.query(ITEMS)), "28000");
    assert_eq!(text(&mut c, &of("acme", ITEMS)), "anvil\nrocket");
    assert_eq!(code(c.query(&of("globex", ITEMS))), "28000", "sources that disagree refuse");
}

#[test]
fn tenants_with_schemas_of_their_own_share_a_connection_too() {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    for tenant in ["acme", "globex"] {
        database.psql(&format!(
            "CREATE SCHEMA tenant_{tenant}; CREATE TABLE tenant_{tenant}.notes (x text); INSERT INTO tenant_{tenant}.notes VALUES ('of {tenant}')"
        ));
    }
    let policy = "version: 1\nname: test\ntenants: { id: '[a-z]+' }\nidentity:\n  statement: { trust: [loopback] }\npostgres:\n  layout: { default: schema }\n";
    let wall = Wall::start(&Wall::config(&database, "identity: [statement]", "user: postgres"), &[("test.yaml", policy)]);
    let mut c = client(&wall);
    for _ in 0..2 {
        assert_eq!(text(&mut c, &of("acme", "SELECT x FROM notes")), "of acme");
        assert_eq!(text(&mut c, &of("globex", "SELECT x FROM notes")), "of globex");
        assert_eq!(code(c.query(&of("nobody", "SELECT 1"))), "08006");
    }
}

/// A tenant whose session made room for others is told so, once, when it comes again, if there was something in it.
#[test]
fn a_session_that_made_room_is_told_of() {
    for upstream in ["user: postgres", "user: postgres, pool: { mode: transaction, size: 4 }"] {
        let config = Wall::config(&shop(), "identity: [statement]", upstream);
        let wall = Wall::start(&config, &[("test.yaml", &policy("{ trust: [loopback], sessions: 2 }")), ("statement.key", KEY)]);
        let mut c = client(&wall);
        let warned = |c: &mut Client, tenant: &str, sql: &str| {
            c.notices.clear();
            let said = text(c, &of(tenant, sql));
            (said, c.notices.iter().map(|n| (n.severity.clone(), n.code.clone(), n.message.clone())).collect::<Vec<_>>())
        };
        assert_eq!(warned(&mut c, "acme", "SET TimeZone = 'Asia/Tokyo'").1, []);
        assert_eq!(warned(&mut c, "globex", "SHOW TimeZone").1, [], "there is room for two");
        assert_eq!(warned(&mut c, "acme", "SHOW TimeZone"), ("Asia/Tokyo".into(), vec![]));
        for tenant in ["third", "fourth"] {
            assert_eq!(warned(&mut c, tenant, "SET TimeZone = 'Europe/Paris'").1, [], "{upstream}");
        }
        let (zone, told) = warned(&mut c, "acme", "SHOW TimeZone");
        assert_ne!(zone, "Asia/Tokyo", "{upstream}");
        assert_eq!(told, [("WARNING".into(), "01000".into(), "the earlier session of this tenant has ended".into())], "{upstream}");
        assert_eq!(warned(&mut c, "acme", "SHOW TimeZone").1, [], "once");
        assert_eq!(warned(&mut c, "globex", "SELECT 1").1, [], "it had nothing that it could miss");
        // Who ends its sessions knows.
        c.query("DISCARD ALL").unwrap();
        assert_eq!(warned(&mut c, "acme", "SELECT 1").1, []);
        assert_eq!(warned(&mut c, "third", "SELECT 1").1, []);
    }
}
