//! Hidden tenant columns: a tenant sees, writes and copies what it would in a database that has no such column.

use crate::support::{Answer, Client, Database, PgError, Postgres, Wall, terminated};
use std::process::Command;

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  explain: plan
  tables:
    public.notes:  { scoped: { column: org_id, hidden: true } }
    public.tags:   { scoped: { column: org_id, hidden: true } }
    public.boxes:  { scoped: { column: org_id, hidden: true } }
    public.marks:  { through: { table: public.boxes, on: { box: id } } }
    public.parts*: { scoped: { column: org_id, hidden: true } }
    public.orders: { scoped: org_id }
    public.plain:  { scoped: id }
    public.shown:  { scoped: { column: org_id, hidden: true } }
    public.sums:   { scoped: { column: org_id, hidden: true } }
    public.reveal: { scoped: org_id }
  functions: [ public.some_note(), public.some_title(), public.made(int), public.listed(), public.domained(), public.given(), public.taker(notes), public.either(int) ]
";

/// What both databases have.
const BOTH: &str = "
CREATE TABLE orders (id int PRIMARY KEY, org_id text NOT NULL, note text);
INSERT INTO orders VALUES (1, 'acme', 'x'), (2, 'globex', 'y');
CREATE VIEW plain AS SELECT id, title FROM notes WHERE stars > 0;
CREATE VIEW sums AS SELECT count(*) AS notes, sum(stars) AS stars, (SELECT count(*) FROM tags) AS tags FROM notes;
CREATE FUNCTION some_note() RETURNS notes LANGUAGE sql AS 'SELECT * FROM notes LIMIT 1';
CREATE FUNCTION some_title() RETURNS TABLE (title text) LANGUAGE sql AS 'SELECT ''t''';
CREATE FUNCTION listed() RETURNS notes[] LANGUAGE sql AS 'SELECT array_agg(notes) FROM notes';
CREATE DOMAIN note AS notes;
CREATE FUNCTION domained() RETURNS note LANGUAGE sql AS 'SELECT notes::note FROM notes LIMIT 1';
CREATE FUNCTION given(OUT n notes, OUT m int) LANGUAGE sql AS 'SELECT notes, 1 FROM notes LIMIT 1';
CREATE FUNCTION taker(notes) RETURNS int LANGUAGE sql AS 'SELECT $1.stars';
CREATE FUNCTION either(notes) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION either(int) RETURNS int LANGUAGE sql AS 'SELECT 2';
COMMENT ON TABLE notes IS 'what was noted';
COMMENT ON COLUMN notes.id IS 'its number';
";

/// The shared database: the column, another tenant's rows, and what names the column.
const SHARED: &str = "
CREATE TABLE notes (id int NOT NULL, org_id text NOT NULL, title text, stars int DEFAULT 1 CONSTRAINT few CHECK (stars < 100),
    CONSTRAINT notes_pkey PRIMARY KEY (org_id, id));
CREATE UNIQUE INDEX notes_id ON notes (id, org_id);
CREATE INDEX notes_stars ON notes (org_id, stars, title);
CREATE INDEX notes_org ON notes (org_id);
CREATE INDEX notes_own ON notes (title) WHERE org_id = 'acme';
CREATE TABLE tags (org_id text NOT NULL, note_id int NOT NULL, name text NOT NULL, PRIMARY KEY (org_id, note_id, name),
    CONSTRAINT tags_of FOREIGN KEY (org_id, note_id) REFERENCES notes (org_id, id), CONSTRAINT told CHECK (org_id <> ''));
INSERT INTO notes VALUES (1, 'acme', '10', 1), (2, 'acme', '20', 2), (3, 'acme', '30', 3), (1, 'initech', 'CANARY', 0), (7, 'initech', 'CANARY', 0),
    (1, 'globex', '5', 9), (2, 'globex', NULL, 3), (4, 'globex', '40', 1), (7, 'globex', '70', 2);
INSERT INTO tags VALUES ('acme', 1, 'a'), ('acme', 1, 'b'), ('acme', 2, 'a'), ('initech', 1, 'CANARY'), ('initech', 7, 'a'),
    ('globex', 2, 'b'), ('globex', 7, 'a'), ('globex', 7, 'c');
COMMENT ON COLUMN notes.org_id IS 'whose org_id it is';
CREATE STATISTICS notes_stats ON org_id, stars FROM notes;
CREATE TABLE boxes (id int PRIMARY KEY, org_id text NOT NULL);
CREATE TABLE marks (box int NOT NULL REFERENCES boxes, mark text);
INSERT INTO boxes VALUES (1, 'acme'), (2, 'initech'), (3, 'globex'), (4, 'globex');
INSERT INTO marks VALUES (1, 'm'), (2, 'CANARY'), (3, 'g'), (3, 'h');
CREATE TABLE parts (org_id text NOT NULL, id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (5);
CREATE TABLE parts_2 (id int, v text, org_id text NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (5) TO (9);
CREATE FUNCTION made(int) RETURNS SETOF notes LANGUAGE sql AS 'SELECT g, ''initech'', ''t'' || g, g + $1 FROM generate_series(1, $1) g';
CREATE VIEW shown AS SELECT * FROM notes WHERE stars > 1;
CREATE VIEW reveal AS SELECT id, org_id FROM notes;
";

/// A private one, without its rows.
const PRIVATE: &str = "
CREATE TABLE notes (id int NOT NULL, title text, stars int DEFAULT 1 CONSTRAINT few CHECK (stars < 100), CONSTRAINT notes_pkey PRIMARY KEY (id));
CREATE UNIQUE INDEX notes_id ON notes (id);
CREATE INDEX notes_stars ON notes (stars, title);
CREATE TABLE tags (note_id int NOT NULL, name text NOT NULL, PRIMARY KEY (note_id, name),
    CONSTRAINT tags_of FOREIGN KEY (note_id) REFERENCES notes (id));
CREATE TABLE boxes (id int PRIMARY KEY);
CREATE TABLE marks (box int NOT NULL REFERENCES boxes, mark text);
CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (5);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (5) TO (9);
CREATE FUNCTION made(int) RETURNS SETOF notes LANGUAGE sql AS 'SELECT g, ''t'' || g, g + $1 FROM generate_series(1, $1) g';
CREATE VIEW shown AS SELECT * FROM notes WHERE stars > 1;
";

/// What acme has in its own.
const ACME: &str = "
INSERT INTO notes VALUES (1, '10', 1), (2, '20', 2), (3, '30', 3);
INSERT INTO tags VALUES (1, 'a'), (1, 'b'), (2, 'a');
INSERT INTO boxes VALUES (1);
INSERT INTO marks VALUES (1, 'm');
DELETE FROM orders WHERE org_id <> 'acme';
";

/// What globex has.
const GLOBEX: &str = "
INSERT INTO notes VALUES (1, '5', 9), (2, NULL, 3), (4, '40', 1), (7, '70', 2);
INSERT INTO tags VALUES (2, 'b'), (7, 'a'), (7, 'c');
INSERT INTO boxes VALUES (3), (4);
INSERT INTO marks VALUES (3, 'g'), (3, 'h');
DELETE FROM orders WHERE org_id <> 'globex';
";

struct Pair {
    shared: Database,
    private: Database,
    wall: Wall,
}

fn pair() -> Pair {
    pair_by(POLICY)
}

fn pair_by(policy: &str) -> Pair {
    let (shared, private) = (Postgres::shared().database(), Postgres::shared().database());
    shared.psql(&format!("{SHARED}{BOTH}"));
    private.psql(&format!("{PRIVATE}{BOTH}{ACME}"));
    let wall = Wall::for_database(&shared, policy);
    Pair { shared, private, wall }
}

/// An answer as a client sees it, and what of it a program may look at.
fn shown(answer: &Answer) -> String {
    match answer {
        Ok(rows) => format!("{} {:?}\n{}", rows.tag, rows.columns, rows.text()),
        Err(PgError { code, message, detail, hint, position, .. }) => {
            format!("! {code} {message} | {detail:?} | {hint:?} | {position:?}")
        }
    }
}

fn message(answer: &Answer) -> String {
    answer.as_ref().map_or_else(|e| format!("{} {}", e.code, e.message), |rows| rows.text())
}

fn others(database: &Database) -> String {
    let rows = |table: &str| database.psql(&format!("SELECT ctid, xmin, xmax, t FROM {table} t WHERE t::text LIKE '%initech%' ORDER BY 1"));
    ["notes", "tags", "boxes"].map(rows).join("\n")
}

/// Two tenants at once, each beside a database of its own; rows of a third one would show, and break what can fail.
#[test]
fn a_tenant_cannot_tell_that_there_is_a_column() {
    play(POLICY);
}

/// The wall's own columns beside the client's change nothing.
#[test]
fn nor_that_rows_are_checked() {
    play(&POLICY.replace("  layout: rows\n", "  layout: rows\n  verify_rows: all\n"));
}

fn play(policy: &str) {
    let pair = pair_by(policy);
    let second = Postgres::shared().database();
    second.psql(&format!("{PRIVATE}{BOTH}{GLOBEX}"));
    let port = pair.wall.port("pg");
    let mut players = [("acme", &pair.private), ("globex", &second)].map(|(id, own)| (id, Client::tenant(port, id), private_client(own)));
    let before = others(&pair.shared);
    let mut wrong = String::new();
    let mut unlike = 0;
    let text = include_str!("../sql/hidden-alike.sql");
    // `plain` says that its column `id` is the tenant, which it is not: checked rows tell so.
    let untrue = |l: &&str| policy.contains("verify_rows") && l.contains(" plain");
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with("--") && !untrue(l)) {
        let (refused, loosely) = (line.starts_with('~'), line.starts_with('?'));
        let sql = line.trim_start_matches(['~', '?']);
        let show = if loosely { message } else { shown };
        let mut answers = Vec::new();
        for (id, walled, alone) in &mut players {
            let got = show(&walled.query(sql));
            let wanted = if refused { got.clone() } else { show(&alone.query(sql)) };
            if got.contains("CANARY") || got.contains("initech") || got != wanted || refused && !got.starts_with("! 0A000") {
                wrong.push_str(&format!("{sql}\n{id} through the wall: {got}\nprivate: {wanted}\n\n"));
            }
            answers.push(got);
        }
        unlike += usize::from(answers[0] != answers[1]);
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(unlike > 40, "only {unlike} statements had another answer for the other tenant");
    assert_eq!(others(&pair.shared), before);
}

fn private_client(database: &Database) -> Client {
    Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap()
}

#[test]
fn parameters_and_columns_are_described_without_it() {
    let pair = pair();
    for client in [&mut Client::tenant(pair.wall.port("pg"), "acme"), &mut private_client(&pair.private)] {
        let rows = client.extended("SELECT * FROM notes WHERE id = $1 AND title = $2", &[Some("1"), Some("10")]).unwrap();
        assert_eq!((rows.columns.join(","), rows.text()), ("id,title,stars".into(), "1|10|1".into()));
        let rows = client.extended("INSERT INTO notes VALUES ($1, $2) RETURNING *", &[Some("50"), None]).unwrap();
        assert_eq!((rows.columns.join(","), rows.text()), ("id,title,stars".into(), "50||1".into()));
        let error = client.extended("SELECT org_id FROM notes WHERE id = $1", &[Some("1")]).unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str(), error.position), ("42703", "column \"org_id\" does not exist", Some(8)));
        let error = client.extended("UPDATE notes SET title = $1 WHERE org_id = $2", &[Some("1"), Some("x")]).unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str(), error.position), ("42703", "column \"org_id\" does not exist", Some(35)));
    }
}

#[test]
fn rows_are_copied_in_without_it() {
    let pair = pair();
    let before = others(&pair.shared);
    for (options, data) in [
        ("", "60\tt\t1\n61\t\\N\t2\n"),
        ("WITH (FORMAT csv, HEADER)", "id,title,stars\n62,\"a,b\",1\n"),
        ("WITH (FORMAT csv, HEADER match)", "id,title,stars\n63,,1\n"),
    ] {
        let mut answers = Vec::new();
        for client in [&mut Client::tenant(pair.wall.port("pg"), "acme"), &mut private_client(&pair.private)] {
            client.message(b'Q', &terminated(&format!("COPY notes FROM STDIN {options}")));
            client.message(b'd', data.as_bytes());
            client.message(b'c', &[]);
            answers.push(client.answers().iter().map(shown).collect::<Vec<_>>());
        }
        assert_eq!(answers[0], answers[1], "{options}");
        assert!(answers[0][0].starts_with("COPY"), "{answers:?}");
    }
    for (options, data) in [
        ("WITH (FORMAT csv, HEADER match)", &b"id,title,x\n64,,1\n"[..]),
        ("WITH (FORMAT csv, HEADER match)", b"id,title\n64,,1\n"),
        ("WITH (FORMAT csv, HEADER match)", b"x,title,stars\n64,,1\n"),
        ("WITH (FORMAT binary)", b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01a\0\0\0\x01b\xff\xff"),
        ("WITH (FORMAT csv, FORCE_NULL (org_id))", b"64,,1\n"),
        ("WITH (FORMAT csv, FORCE_NOT_NULL (title, org_id))", b"64,,1\n"),
        ("WITH (FORMAT csv, FORCE_NULL (nosuch))", b"64,,1\n"),
    ] {
        let mut answers = Vec::new();
        for client in [&mut Client::tenant(pair.wall.port("pg"), "acme"), &mut private_client(&pair.private)] {
            client.message(b'Q', &terminated(&format!("COPY notes FROM STDIN {options}")));
            client.message(b'd', data);
            client.message(b'c', &[]);
            answers.push(client.answers().iter().map(message).collect::<Vec<_>>());
        }
        assert_eq!(answers[0], answers[1], "{options}");
        assert!(answers[0].iter().any(|a| a.contains("column") || a.contains("field")), "{options} {answers:?}");
    }
    let own = "SELECT id, title, stars FROM notes WHERE id >= 60 ORDER BY id";
    assert_eq!(pair.shared.psql(&own.replace("WHERE", "WHERE org_id = 'acme' AND")), pair.private.psql(own));
    assert_eq!(others(&pair.shared), before);
}

#[test]
fn psql_describes_such_tables_as_it_would_describe_private_ones() {
    let pair = pair();
    let psql = |port: u16, database: &str, user: &str, options: &str, command: &str| {
        let output = Command::new("psql")
            .args(["-X", "-h", "127.0.0.1", "-U", user, "-d", database, "-c", command])
            .env("PGPORT", port.to_string())
            .env("PGOPTIONS", options)
            .output()
            .unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).replace(database, "DATABASE")
    };
    for command in
        ["\\d", "\\d notes", "\\d tags", "\\d marks", "\\d boxes", "\\di", "\\d notes_pkey", "\\d notes_stars", "\\d shown", "\\dd"]
    {
        let walled = psql(pair.wall.port("pg"), "tenant_db", "tenant_user", "-c partywall.tenant=acme", command);
        let walled = walled.replace("tenant_user", "postgres").replace("tenant_db", "DATABASE");
        let wanted = psql(pair.private.port, &pair.private.name, "postgres", "", command);
        // What the wall refuses in a statement is in the catalogs all the same.
        let walled: Vec<&str> = walled.lines().filter(|l| !l.contains("reveal")).collect();
        let wanted: Vec<&str> = wanted.lines().collect();
        let rows = |l: &&&str| !l.ends_with("rows)");
        let (walled, wanted): (Vec<_>, Vec<_>) = (walled.iter().filter(rows).collect(), wanted.iter().filter(rows).collect());
        assert_eq!(walled, wanted, "{command}");
        assert!(!walled.iter().any(|l| l.contains("org_id")) || command == "\\d orders", "{walled:?}");
    }
}

/// The types of the columns that a statement has, as RowDescription tells them: by Parse and Describe, and by Query.
fn types(client: &mut Client, sql: &str) -> [Vec<u32>; 2] {
    let mut described = |send: &dyn Fn(&mut Client)| {
        send(client);
        let mut types = Vec::new();
        loop {
            match client.receive().unwrap() {
                (b'T', body) => {
                    let mut rest = &body[2..];
                    while let Some(end) = rest.iter().position(|b| *b == 0) {
                        types.push(u32::from_be_bytes(rest[end + 7..end + 11].try_into().unwrap()));
                        rest = &rest[end + 19..];
                    }
                }
                (b'E', body) => panic!("{sql}: {:?}", crate::support::error(&body)),
                (b'Z', _) => return types,
                _ => {}
            }
        }
    };
    let extended = described(&|client| {
        client.parse("", sql, &[]);
        client.describe_statement("");
        client.sync();
    });
    [extended, described(&|client| client.message(b'Q', &terminated(sql)))]
}

#[test]
fn whole_rows_are_told_as_rows_of_the_table() {
    let pair = pair();
    for client in [&mut Client::tenant(pair.wall.port("pg"), "acme"), &mut private_client(&pair.private)] {
        let number = |client: &mut Client, name: &str| -> u32 {
            client.query(&format!("SELECT oid FROM pg_type WHERE typname = '{name}'")).unwrap().text().parse().unwrap()
        };
        let (notes, tags) = (number(client, "notes"), number(client, "tags"));
        for (sql, wanted) in [
            ("SELECT notes FROM notes", vec![notes]),
            ("SELECT 1, n, *, t FROM notes n LEFT JOIN tags t ON t.note_id = n.id", vec![23, notes, 23, 25, 23, 23, 25, tags]),
            ("SELECT n.*, n FROM notes n FULL JOIN orders o ON o.id = n.id", vec![23, 25, 23, notes]),
            ("SELECT n.id, (SELECT n) AS n, ROW(n.*), row_to_json(n) FROM notes n", vec![23, 2249, 2249, 114]),
            ("UPDATE notes SET stars = stars RETURNING *, notes", vec![23, 25, 23, notes]),
            ("UPDATE notes n SET stars = n.stars FROM notes m WHERE m.id = n.id RETURNING m, n.id, n", vec![notes, 23, notes]),
            ("INSERT INTO tags VALUES (1, 'typed') RETURNING tags", vec![tags]),
            ("DELETE FROM tags WHERE name = 'typed' RETURNING tags, note_id", vec![tags, 23]),
        ] {
            // A row that comes out of a subquery is a record here, and the table's in a private database.
            let record = |oid: u32| if oid == notes && sql.contains("(SELECT n)") { 2249 } else { oid };
            let got = types(client, sql).map(|all| all.into_iter().map(record).collect::<Vec<_>>());
            assert_eq!(got, [wanted.clone(), wanted], "{sql}");
        }
        let fields = "SELECT a.attname FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid WHERE t.typname = 'notes' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY attnum";
        assert_eq!(client.query(fields).unwrap().text(), "id\ntitle\nstars");
    }
}
