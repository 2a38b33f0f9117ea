//! Writes through views: a tenant's are those of a private database, and another tenant's rows stay as they are.

use crate::support::{Answer, Client, Database, PgError, Postgres, Wall};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.notes:  { scoped: { column: org_id, hidden: true } }
    public.tags:   { scoped: { column: org_id, hidden: true } }
    public.orders: { scoped: { column: org_id, hidden: true } }
    public.marks:  { through: { table: public.orders, on: { box: id } } }
    public.v_*:    { scoped: org_id }
    public.titles: { scoped: { column: org_id, hidden: true } }
    VIEWS
";

/// The views of both databases.
const VIEWS: &str = "
CREATE VIEW titles AS SELECT id, title AS name FROM notes WHERE stars > 0;
CREATE VIEW swapped AS SELECT n.id AS title, n.title AS id, n.stars + 1 AS more FROM notes n;
CREATE VIEW best AS SELECT id AS number, name FROM titles WHERE id < 100;
CREATE VIEW poison AS SELECT id FROM notes WHERE 10 / stars > 1;
CREATE VIEW tagged AS SELECT id, title FROM notes WHERE EXISTS (SELECT 1 FROM tags t WHERE t.note_id = notes.id);
CREATE VIEW safe WITH (security_barrier) AS SELECT id, title FROM notes WHERE stars > 1;
CREATE VIEW held AS SELECT id, stars FROM notes WHERE stars > 0 WITH CHECK OPTION;
CREATE VIEW coded AS SELECT id, title FROM notes;
CREATE FUNCTION code() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER coded INSTEAD OF UPDATE ON coded FOR EACH ROW EXECUTE FUNCTION code();
CREATE VIEW ruled AS SELECT id, title FROM notes;
CREATE RULE ruled AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE VIEW placed AS SELECT ctid AS place, id, title, (notes.*)::text AS row FROM notes;
CREATE VIEW counted AS SELECT count(*) AS many FROM notes;
CREATE VIEW grouped AS SELECT title FROM notes GROUP BY title;
CREATE VIEW united AS SELECT id FROM notes UNION SELECT note_id FROM tags;
CREATE VIEW windowed AS SELECT id, row_number() OVER () AS n FROM notes;
CREATE VIEW series AS SELECT id, generate_series(1, 2) AS n FROM notes;
CREATE VIEW joined AS SELECT n.id FROM notes n JOIN tags t ON t.note_id = n.id;
CREATE VIEW constants AS SELECT 1 AS one FROM notes;
CREATE VIEW filled AS SELECT id, title, stars FROM notes;
ALTER VIEW filled ALTER COLUMN title SET DEFAULT 'filled';
CREATE VIEW marked AS SELECT box AS note, mark FROM marks;
";

/// The shared database. Rows of initech would fail in the views' conditions.
const SHARED: &str = "
CREATE TABLE notes (id int NOT NULL, org_id text NOT NULL, title text, stars int DEFAULT 1, CONSTRAINT notes_pkey PRIMARY KEY (org_id, id));
CREATE TABLE tags (org_id text NOT NULL, note_id int NOT NULL, name text NOT NULL, PRIMARY KEY (org_id, note_id, name));
CREATE TABLE orders (id int NOT NULL PRIMARY KEY, org_id text NOT NULL, note text);
CREATE TABLE marks (box int NOT NULL CONSTRAINT marks_box_fkey REFERENCES orders, mark text);
INSERT INTO notes VALUES (1, 'acme', '10', 1), (2, 'acme', '20', 2), (3, 'acme', '30', 3),
    (1, 'initech', 'CANARY', 0), (5, 'initech', 'CANARY', 0), (20, 'initech', 'CANARY', 5), (70, 'initech', 'CANARY', 5);
INSERT INTO tags VALUES ('acme', 1, 'a'), ('acme', 1, 'b'), ('acme', 2, 'a'), ('initech', 1, 'CANARY'), ('initech', 5, 'a');
INSERT INTO orders VALUES (1, 'acme', 'x'), (2, 'initech', 'CANARY'), (77, 'initech', 'CANARY');
INSERT INTO marks VALUES (1, 'm'), (2, 'CANARY');
";

/// The same of acme alone.
const PRIVATE: &str = "
CREATE TABLE notes (id int NOT NULL, title text, stars int DEFAULT 1, CONSTRAINT notes_pkey PRIMARY KEY (id));
CREATE TABLE tags (note_id int NOT NULL, name text NOT NULL, PRIMARY KEY (note_id, name));
CREATE TABLE orders (id int NOT NULL PRIMARY KEY, note text);
CREATE TABLE marks (box int NOT NULL CONSTRAINT marks_box_fkey REFERENCES orders, mark text);
INSERT INTO notes VALUES (1, '10', 1), (2, '20', 2), (3, '30', 3);
INSERT INTO tags VALUES (1, 'a'), (1, 'b'), (2, 'a');
INSERT INTO orders VALUES (1, 'x');
INSERT INTO marks VALUES (1, 'm');
";

fn policy() -> String {
    let names = VIEWS.lines().filter_map(|l| l.strip_prefix("CREATE VIEW ")).filter_map(|l| l.split(' ').next());
    let listed = names.filter(|n| *n != "titles").map(|n| format!("public.{n}: {{ scoped: {{ column: org_id, hidden: true }} }}\n    "));
    POLICY.replace("    public.v_*:    { scoped: org_id }\n", "").replace("VIEWS", listed.collect::<String>().trim_end())
}

fn shown(answer: &Answer) -> String {
    match answer {
        Ok(rows) => {
            let text = rows.text();
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            format!("{} {:?}\n{}", rows.tag, rows.columns, lines.join("\n"))
        }
        Err(PgError { code, message, detail, hint, position, .. }) => format!("! {code} {message} | {detail:?} | {hint:?} | {position:?}"),
    }
}

fn message(answer: &Answer) -> String {
    answer.as_ref().map_or_else(|e| format!("! {} {}", e.code, e.message), |rows| rows.text())
}

fn others(database: &Database) -> String {
    let rows = |table: &str| database.psql(&format!("SELECT ctid, xmin, xmax, t FROM {table} t WHERE t::text LIKE '%initech%' ORDER BY 1"));
    ["notes", "tags", "orders"].map(rows).join("\n")
}

#[test]
fn a_tenant_writes_through_views_as_in_a_private_database() {
    play(&policy());
}

#[test]
fn and_so_it_does_where_rows_are_checked() {
    play(&policy().replace("  layout: rows\n", "  layout: rows\n  verify_rows: all\n"));
}

fn play(policy: &str) {
    let (shared, private) = (Postgres::shared().database(), Postgres::shared().database());
    shared.psql(&format!("{SHARED}{VIEWS}"));
    private.psql(&format!("{PRIVATE}{VIEWS}"));
    let wall = Wall::for_database(&shared, policy);
    let mut walled = Client::tenant(wall.port("pg"), "acme");
    let mut alone = Client::connect(private.port, &[("user", "postgres"), ("database", &private.name)]).unwrap();
    let before = others(&shared);
    let mut wrong = String::new();
    for line in include_str!("../sql/views-alike.sql").lines().filter(|l| !l.is_empty() && !l.starts_with("--")) {
        let (refused, loosely) = (line.starts_with('~'), line.starts_with('?'));
        let sql = line.trim_start_matches(['~', '?']);
        let show = if loosely { message } else { shown };
        let got = show(&walled.query(sql));
        let wanted = if refused { got.clone() } else { show(&alone.query(sql)) };
        if got.contains("CANARY") || got.contains("initech") || got != wanted || refused && !got.starts_with("! 0A000") {
            wrong.push_str(&format!("{sql}\nthrough the wall: {got}\nprivate: {wanted}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(others(&shared), before);
}

#[test]
fn parameters_keep_their_places() {
    let (shared, private) = (Postgres::shared().database(), Postgres::shared().database());
    shared.psql(&format!("{SHARED}{VIEWS}"));
    private.psql(&format!("{PRIVATE}{VIEWS}"));
    let wall = Wall::for_database(&shared, &policy());
    let alone = Client::connect(private.port, &[("user", "postgres"), ("database", &private.name)]).unwrap();
    for mut client in [Client::tenant(wall.port("pg"), "acme"), alone] {
        let rows = client.extended("UPDATE titles SET name = $2 WHERE id = $1 RETURNING *", &[Some("1"), Some("p")]).unwrap();
        assert_eq!((rows.columns.join(","), rows.text()), ("id,name".into(), "1|p".into()));
        let rows = client.extended("INSERT INTO best VALUES ($1, $2) RETURNING number", &[Some("50"), None]).unwrap();
        assert_eq!((rows.columns.join(","), rows.text()), ("number".into(), "50".into()));
        let error = client.extended("UPDATE titles SET name = $1 WHERE org_id = $2", &[Some("1"), Some("x")]).unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str(), error.position), ("42703", "column \"org_id\" does not exist", Some(35)));
    }
}
