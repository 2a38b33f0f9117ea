//! Temporary tables of every form, beside a private database: the same rows, tags and errors.

use crate::smoke::{POLICY, shop};
use crate::support::{Answer, Client, Wall};

/// Played in order in one session each.
const SAME: &[&str] = &[
    // Foreign keys among them.
    "CREATE TEMP TABLE person (id int PRIMARY KEY, boss int REFERENCES person ON DELETE SET NULL)",
    "CREATE TEMP TABLE task (owner int REFERENCES person ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE, note text)",
    "INSERT INTO person VALUES (1, NULL), (2, 1)",
    "INSERT INTO task SELECT 2, item FROM orders",
    "INSERT INTO task VALUES (3, 'nobody')",
    "UPDATE person SET id = 5 WHERE id = 2",
    "SELECT owner, note FROM task ORDER BY note",
    "TRUNCATE person",
    "TRUNCATE person, task",
    "SELECT count(*) FROM task",
    "ALTER TABLE task ALTER CONSTRAINT task_owner_fkey NOT DEFERRABLE",
    "DROP TABLE person",
    "DROP TABLE person CASCADE",
    "INSERT INTO task VALUES (3, 'nobody')",
    "DROP TABLE task",
    // Inheritance.
    "CREATE TEMP TABLE animal (name text, legs int DEFAULT 4)",
    "CREATE TEMP TABLE bird (wings int, CHECK (legs < 3)) INHERITS (animal)",
    "INSERT INTO animal SELECT item, 4 FROM orders",
    "INSERT INTO bird VALUES ('crow', 2, 2)",
    "INSERT INTO bird VALUES ('cat', 4, 0)",
    "SELECT name FROM animal ORDER BY name",
    "SELECT name FROM ONLY animal ORDER BY name",
    "ALTER TABLE animal ADD COLUMN tail boolean DEFAULT true",
    "SELECT * FROM bird",
    "ALTER TABLE bird NO INHERIT animal",
    "SELECT count(*) FROM animal",
    "ALTER TABLE bird INHERIT animal",
    "SELECT count(*) FROM animal",
    "DROP TABLE animal",
    "DROP TABLE animal CASCADE",
    "SELECT * FROM bird",
    // Parts.
    "CREATE TEMP TABLE m (x int, y text) PARTITION BY RANGE (x)",
    "CREATE TEMP TABLE m1 PARTITION OF m FOR VALUES FROM (MINVALUE) TO (10)",
    "CREATE TEMP TABLE m2 PARTITION OF m (y DEFAULT 'none') FOR VALUES FROM (10) TO (20)",
    "INSERT INTO m SELECT id, item FROM orders",
    "INSERT INTO m2 (x) VALUES (12)",
    "INSERT INTO m VALUES (30, 'x')",
    "UPDATE m SET x = x + 10 WHERE x < 2",
    "SELECT x, y FROM m2 ORDER BY x",
    "CREATE TEMP TABLE m3 (x int, y text)",
    "ALTER TABLE m ATTACH PARTITION m3 FOR VALUES FROM (20) TO (MAXVALUE)",
    "INSERT INTO m VALUES (30, 'x')",
    "ALTER TABLE m DETACH PARTITION m3",
    "SELECT count(*) FROM m",
    "DROP TABLE m",
    "SELECT * FROM m1",
    "SELECT * FROM m3",
    // Sequences.
    "CREATE TEMP SEQUENCE s START WITH 5 INCREMENT BY 2",
    "SELECT currval('s')",
    "SELECT nextval('s'), nextval('pg_temp.s'::regclass), currval('s')",
    "SELECT setval('s', 50), nextval('s')",
    "SELECT last_value, is_called FROM s",
    "ALTER SEQUENCE s RESTART",
    "SELECT item, nextval('s') FROM orders ORDER BY 2",
    "CREATE TEMP TABLE counted (id int DEFAULT nextval('s'), n serial, item text)",
    "INSERT INTO counted (item) SELECT item FROM orders",
    "SELECT id, n FROM counted ORDER BY 1",
    "SELECT currval('counted_n_seq'), currval('s')",
    "DROP SEQUENCE s",
    "ALTER SEQUENCE s OWNED BY counted.id",
    "DROP TABLE counted",
    "SELECT nextval('s')",
    "SELECT nextval('counted_n_seq')",
    // Names, indexes, options, exclusion.
    "CREATE TEMP TABLE t (x int PRIMARY KEY WITH (fillfactor = 50), c int4range, EXCLUDE USING gist (c WITH &&)) WITH (fillfactor = 30)",
    "INSERT INTO t VALUES (1, '[0,3)')",
    "INSERT INTO t VALUES (2, '[1,4)')",
    "ALTER TABLE t RENAME TO u",
    "ALTER TABLE u RENAME x TO y",
    "SELECT y FROM u",
    "SELECT * FROM t",
    "CREATE INDEX i ON u (y DESC)",
    "ALTER INDEX i RENAME TO j",
    "DROP INDEX j",
    "DROP INDEX j",
    "ALTER TABLE u SET (fillfactor = 70), ALTER y SET STATISTICS 5, CLUSTER ON t_pkey",
    "DROP TABLE u",
    // What a transaction takes back.
    "BEGIN",
    "CREATE TEMP TABLE a (x int) ON COMMIT DROP",
    "CREATE TEMP TABLE b () INHERITS (a)",
    "SAVEPOINT one",
    "DROP TABLE a CASCADE",
    "ROLLBACK TO one",
    "INSERT INTO b VALUES (1)",
    "SELECT x FROM a",
    "COMMIT",
    "SELECT x FROM b",
    "CREATE TEMP TABLE IF NOT EXISTS a (x int)",
    "CREATE TEMP TABLE IF NOT EXISTS a (y int) ON COMMIT DROP",
    "SELECT x FROM a",
    "DISCARD TEMP",
    "SELECT x FROM a",
];

fn shown(answer: Answer) -> Result<(String, Vec<String>, String), String> {
    // A name that is sent with its schema is shown so in the error.
    answer.map(|r| (r.tag.clone(), r.columns.clone(), r.text())).map_err(|e| format!("{} {}", e.code, e.message.replace("pg_temp.", "")))
}

#[test]
fn temporary_tables_of_every_form_are_as_in_a_private_database() {
    let (database, private) = (shop(), shop());
    private.psql("DELETE FROM orders WHERE tenant_id <> 'acme'");
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut alone = Client::connect(private.port, &[("user", "postgres"), ("database", &private.name)]).unwrap();
    let mut other = Vec::new();
    for sql in SAME {
        let (walled, wanted) = (shown(acme.query(sql)), shown(alone.query(sql)));
        if walled != wanted {
            other.push(format!("{sql}\n  wall:    {walled:?}\n  private: {wanted:?}"));
        }
    }
    assert!(other.is_empty(), "{}", other.join("\n"));
    assert_eq!(database.psql("SELECT count(*) FROM orders"), "4");
}

#[test]
fn a_temporary_table_is_no_way_to_what_lasts() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    for (sql, code) in [
        ("CREATE TEMP TABLE t () INHERITS (orders)", "0A000"),
        ("CREATE TEMP TABLE t (x int REFERENCES orders)", "0A000"),
        ("CREATE TEMP TABLE t (x int, FOREIGN KEY (x) REFERENCES public.orders (id))", "0A000"),
        ("CREATE TEMP TABLE \"text\" (a int)", "0A000"),
        ("SELECT setval('orders_id_seq', 1)", "42501"),
        ("ALTER TABLE orders RENAME TO mine", "42501"),
        ("DROP INDEX orders_pkey", "42704"),
    ] {
        assert_eq!(acme.query(sql).unwrap_err().code, code, "{sql}");
    }
    // Nor is its name: a table of the session's stands before a listed one, and gives way to it.
    acme.query("CREATE TEMP TABLE orders (note text)").unwrap();
    assert_eq!(acme.query("SELECT * FROM orders").unwrap().text(), "");
    assert_eq!(acme.query("SELECT count(*) FROM public.orders").unwrap().text(), "2");
    assert_eq!(acme.query("DELETE FROM orders").unwrap().tag, "DELETE 0");
    acme.query("ALTER TABLE orders RENAME TO mine").unwrap();
    assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    assert_eq!(database.psql("SELECT count(*) FROM orders"), "4");
}
