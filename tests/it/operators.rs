//! Operators: nobody guards them, every statement is told with who and why; acting for a tenant they are guarded, and told all the same.

use crate::smoke::{POLICY, shop};
use crate::support::{Authority, Client, PgError, Signed, Wall, ask_for_tls, eventually, socket, tls};

const MIGRATOR: &str = "spiffe://corp.example/migrator";

fn policy(operators: &str) -> String {
    let identity = "  mtls: { uri: 'spiffe://corp.example/tenant/{tenant}/*' }\n  startup: { trust: [10.0.0.0/8] }\n";
    POLICY.replace("  startup: { trust: [loopback] }\n", &format!("{identity}operators: {operators}\n"))
}

fn wall(ours: &Authority, operators: &str, sources: &str) -> Wall {
    let server = ours.server("localhost");
    let listener = format!("identity: [{sources}], tls: {{ cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], require: true }}");
    let files =
        [("test.yaml", &*policy(operators)), ("tls/tls.crt", &server.certificate), ("tls/tls.key", &server.key), ("tls/ca.crt", &ours.pem)];
    Wall::start(&Wall::config(&shop(), &listener, "user: postgres"), &files)
}

fn connect(wall: &Wall, ours: &Authority, client: Option<&Signed>, more: &[(&str, &str)]) -> Result<Client, PgError> {
    let mut socket = socket(wall.port("pg"));
    assert_eq!(ask_for_tls(&mut socket), b'S');
    let stream = tls(socket, "localhost", ours, client).unwrap();
    Client::start(Box::new(stream), &[&[("user", "ops"), ("database", "shop")], more].concat())
}

fn code(result: Result<Client, PgError>) -> String {
    result.map_or_else(|e| e.code, |_| "served".into())
}

/// The lines of the audit log that hold this.
fn told(wall: &Wall, text: &str) -> Vec<String> {
    let line = |l: &&str| l.contains("\"target\":\"audit\"") && l.contains(text);
    assert!(eventually(|| wall.log().lines().any(|l| line(&l))), "no `{text}` in {}", wall.log());
    wall.log().lines().filter(line).map(str::to_owned).collect()
}

#[test]
fn an_operator_is_unguarded_and_each_of_its_statements_is_told() {
    let ours = Authority::new();
    let wall = wall(&ours, &format!("{{ mtls: ['{MIGRATOR}'] }}"), "mtls, startup");
    let migrator = ours.client(MIGRATOR, false);
    let mut client = connect(&wall, &ours, Some(&migrator), &[("options", "-c partywall.reason=ticket-7")]).unwrap();
    assert_eq!(client.query("SELECT string_agg(item, ',' ORDER BY item) FROM orders").unwrap().text(), "anvil,laser,rocket,whale");
    client.query("CREATE TABLE made (x int); DROP TABLE made").unwrap();
    assert_eq!(client.extended("SELECT count(*) FROM secrets WHERE x = $1", &[Some("hush")]).unwrap().text(), "1");
    assert_eq!(client.query("SELECT nothing").unwrap_err().code, "42703");
    for text in ["string_agg(item", "CREATE TABLE made (x int); DROP TABLE made", "FROM secrets WHERE x = $1", "SELECT nothing"] {
        let lines = told(&wall, text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(MIGRATOR) && lines[0].contains("ticket-7"), "{lines:?}");
    }
    // The same statement run twice is told twice.
    client.parse("s", "SELECT 4711", &[]);
    for _ in 0..2 {
        client.bind("", "s", &[]);
        client.execute("", 0);
    }
    client.sync();
    client.answers();
    assert!(eventually(|| told(&wall, "SELECT 4711").len() == 2));
}

#[test]
fn who_is_not_listed_is_none() {
    let ours = Authority::new();
    let operators = format!("{{ mtls: ['{MIGRATOR}', 'spiffe://corp.example/tenant/acme/*'], reason: required }}");
    let strict = wall(&ours, &operators, "mtls, startup");
    let reason = [("partywall.reason", "because")];
    for (uri, more, wanted) in [
        ("spiffe://corp.example/migrator2", &reason[..], "28000"),
        ("spiffe://corp.example/migrator/x", &reason, "28000"),
        ("spiffe://evil.example/migrator", &reason, "28000"),
        ("", &reason, "28000"),
        (MIGRATOR, &[], "28000"),
        (MIGRATOR, &[("partywall.reason", " ")], "28000"),
        (MIGRATOR, &reason, "served"),
        // A tenant's certificate that a pattern takes in by mistake is neither.
        ("spiffe://corp.example/tenant/acme/app", &reason, "28000"),
        ("spiffe://corp.example/tenant/globex/app", &reason, "served"),
    ] {
        let client = ours.client(uri, false);
        assert_eq!(code(connect(&strict, &ours, Some(&client), more)), wanted, "{uri} {more:?}");
    }
    assert_eq!(code(connect(&strict, &ours, None, &reason)), "28000");
    // The tenant's is guarded.
    let mut tenant = connect(&strict, &ours, Some(&ours.client("spiffe://corp.example/tenant/globex/app", false)), &reason).unwrap();
    assert_eq!(tenant.query("SELECT item FROM orders ORDER BY id").unwrap().text(), "laser\nwhale");
    // A port where certificates do not count has no operators.
    let elsewhere = wall(&ours, &operators, "startup");
    assert_eq!(code(connect(&elsewhere, &ours, Some(&ours.client(MIGRATOR, false)), &reason)), "28000");
}

#[test]
fn who_is_listed_no_more_is_an_operator_no_more() {
    let ours = Authority::new();
    let listed = format!("{{ mtls: ['{MIGRATOR}'] }}");
    let wall = wall(&ours, &listed, "mtls, startup");
    let migrator = ours.client(MIGRATOR, false);
    let mut client = connect(&wall, &ours, Some(&migrator), &[]).unwrap();
    assert_eq!(client.query("SELECT count(*) FROM orders").unwrap().text(), "4");
    wall.rewrite("test.yaml", &policy("{ mtls: ['spiffe://corp.example/another'] }"));
    wall.signal("HUP");
    let (tag, body) = client.receive().unwrap();
    assert_eq!((tag, String::from_utf8_lossy(&body).contains("57P01")), (b'E', true));
    assert_eq!(client.receive(), None);
}

#[test]
fn acting_for_a_tenant_needs_a_reason_and_is_guarded() {
    let ours = Authority::new();
    let wall = wall(&ours, &format!("{{ mtls: ['{MIGRATOR}'] }}"), "mtls, startup");
    let migrator = ours.client(MIGRATOR, false);
    let for_acme = ("partywall.tenant", "acme");
    assert_eq!(code(connect(&wall, &ours, Some(&migrator), &[for_acme])), "28000");
    assert_eq!(code(connect(&wall, &ours, Some(&migrator), &[("partywall.tenant", "A'b"), ("partywall.reason", "x")])), "28000");
    let mut client = connect(&wall, &ours, Some(&migrator), &[for_acme, ("partywall.reason", "a call of the customer")]).unwrap();
    assert_eq!(client.query("SELECT item FROM orders ORDER BY id").unwrap().text(), "anvil\nrocket");
    assert_eq!(client.extended("SELECT item FROM orders WHERE id = $1", &[Some("2")]).unwrap().text(), "rocket");
    assert_eq!(client.query("SELECT * FROM secrets").unwrap_err().code, "42P01");
    assert_eq!(client.query("SET partywall.tenant = 'globex'").unwrap_err().code, "42501");
    for text in ["FROM orders ORDER BY id", "WHERE id = $1", "FROM secrets"] {
        let lines = told(&wall, text);
        assert!(lines.len() == 1 && lines[0].contains("\"tenant\":\"acme\"") && lines[0].contains("a call of the customer"), "{lines:?}");
    }
}
