//! Syntax of PostgreSQL 16 to 18: a tenant's statements give what they give in a database of its own, on servers that know it and on those
//! that do not, and another tenant's rows stay as they are.

use crate::support::{Answer, Client, Postgres, Wall};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.orders: { scoped: tenant_id }
    public.items:  { scoped: tenant_id }
    public.notes:  { scoped: { column: org_id, hidden: true } }
    public.marks:  { through: { table: public.notes, on: { note_id: id } } }
";

const TABLES: &str = "
CREATE TABLE orders (id int NOT NULL, tenant_id text NOT NULL, total int, note text, doc jsonb, PRIMARY KEY (tenant_id, id));
CREATE TABLE items (tenant_id text NOT NULL, order_id int NOT NULL, sku text NOT NULL, qty int, raw text, PRIMARY KEY (tenant_id, order_id, sku));
CREATE TABLE notes (id int NOT NULL PRIMARY KEY, ORG title text, stars int);
CREATE TABLE marks (note_id int NOT NULL REFERENCES notes, mark text);
";

/// Each of acme's, and rows of globex that fail in whatever looks at them.
const OWN: &str = "
INSERT INTO orders VALUES (1, 'acme', 10, '1', '{\"a\": [1, 2], \"b\": \"x\"}'), (2, 'acme', 20, '2', '{\"a\": [3]}'), (3, 'acme', 30, '3', 'null');
INSERT INTO items VALUES ('acme', 1, 'p', 1, '{\"k\": 1}'), ('acme', 1, 'q', 2, '[1, 2]'), ('acme', 7, 'r', 5, '7');
INSERT INTO notes VALUES (1, 'one', 1), (2, 'two', 2);
INSERT INTO marks VALUES (1, 'm'), (2, 'n');
";
const OTHERS: &str = "
INSERT INTO orders VALUES (1, 'globex', 0, 'CANARY', '\"CANARY\"'), (9, 'globex', 0, 'CANARY', '{\"a\": \"CANARY\"}');
INSERT INTO items VALUES ('globex', 1, 'CANARY', 0, 'CANARY'), ('globex', 9, 'CANARY', 0, 'CANARY {');
INSERT INTO notes (id, org_id, title, stars) VALUES (11, 'globex', 'CANARY', 0);
INSERT INTO marks VALUES (11, 'CANARY');
";
const NAMES: [&str; 4] = ["orders", "items", "notes", "marks"];

fn seed(shared: bool) -> String {
    let clear = "TRUNCATE orders, items, notes, marks;";
    if !shared {
        return format!("{clear}{OWN}");
    }
    let own = OWN.replace("INTO notes VALUES (1, ", "INTO notes VALUES (1, 'acme', ").replace("(2, 'two'", "(2, 'acme', 'two'");
    format!("{clear}{own}{OTHERS}")
}

fn shown(answer: &Answer) -> String {
    match answer {
        Ok(rows) => format!("{}\n{}\n{}", rows.columns.join("|"), rows.text(), rows.tag),
        Err(e) => e.code.clone(),
    }
}

/// What a statement gives, and what the tables are after it.
fn run(client: &mut Client, statement: &str) -> String {
    let mut out: String = client.simple(statement).iter().map(shown).collect();
    for name in NAMES {
        let order = if name == "orders" { "id" } else { "1, 2" };
        let rows = client.query(&format!("SELECT * FROM {name} ORDER BY {order}"));
        out.push_str(&rows.map_or_else(|e| e.message, |rows| rows.text()));
    }
    out
}

/// PARTYWALL_SERVERS: program directories, `:` between them.
#[test]
#[ignore = "needs PostgreSQL 13 to 18; run by `make newer`"]
fn what_newer_servers_have_is_as_in_a_private_database() {
    let bins = std::env::var("PARTYWALL_SERVERS").expect("PARTYWALL_SERVERS");
    for bin in bins.split(':') {
        let server = Postgres::start_from(bin);
        let (shared, private) = (server.database(), server.database());
        shared.psql(&TABLES.replace("ORG", "org_id text NOT NULL,"));
        private.psql(&TABLES.replace("ORG", "").replace("tenant_id text NOT NULL", "tenant_id text NOT NULL DEFAULT 'acme'"));
        shared.psql(&seed(true));
        let wall = Wall::for_database(&shared, POLICY);
        let mut acme = Client::tenant(wall.port("pg"), "acme");
        let direct = [("user", "postgres"), ("database", private.name.as_str())];
        let mut alone = Client::connect(private.port, &direct).unwrap();
        let theirs = |name: &str| {
            let column = if name == "notes" { "org_id = 'globex'" } else { "tenant_id = 'globex'" };
            let which = if name == "marks" { "note_id = 11" } else { column };
            shared.psql(&format!("SELECT t.*, xmin, xmax FROM {name} t WHERE {which} ORDER BY 1, 2"))
        };
        let mut wrong = String::new();
        for statement in include_str!("../sql/newer-alike.sql").lines().filter(|l| !l.is_empty() && !l.starts_with("--")) {
            shared.psql(&seed(true));
            private.psql(&seed(false));
            let before = NAMES.map(theirs);
            let (ours, wanted) = (run(&mut acme, statement), run(&mut alone, statement));
            if ours != wanted || ours.contains("CANARY") {
                wrong.push_str(&format!("{statement}\nthrough the wall:\n{ours}\nalone:\n{wanted}\n\n"));
            }
            if NAMES.map(theirs) != before {
                wrong.push_str(&format!("{statement}\nchanged rows of another tenant\n\n"));
            }
        }
        assert!(wrong.is_empty(), "{bin}:\n{wrong}");
    }
}
