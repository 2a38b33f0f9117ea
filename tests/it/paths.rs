//! search_path and temporary tables over transactions and savepoints: a tenant's names mean what they mean in a database of its own.

use crate::support::{Answer, Client, Database, Postgres, Wall};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.t: { scoped: tenant_id }
    one.t:    { scoped: tenant_id }
    two.t:    { scoped: tenant_id }
";

/// Each schema's table says which one it is.
fn schema(column: &str, values: &[&str]) -> String {
    let rows = |schema: &str| values.iter().map(|v| format!("({v} '{schema}')")).collect::<Vec<_>>().join(", ");
    let table = |s: &str| format!("CREATE TABLE {s}.t ({column} here text); INSERT INTO {s}.t VALUES {};", rows(s));
    format!("CREATE SCHEMA one; CREATE SCHEMA two; {}{}{}", table("public"), table("one"), table("two"))
}

struct Pair {
    _shared: Database,
    private: Database,
    wall: Wall,
}

fn pair() -> Pair {
    let (shared, private) = (Postgres::shared().database(), Postgres::shared().database());
    shared.psql(&schema("tenant_id text NOT NULL,", &["'acme',", "'globex',"]));
    private.psql(&schema("", &[""]));
    let wall = Wall::for_database(&shared, POLICY);
    Pair { _shared: shared, private, wall }
}

impl Pair {
    fn clients(&self) -> [Client; 2] {
        self.clients_with(&[])
    }

    fn clients_with(&self, startup: &[(&str, &str)]) -> [Client; 2] {
        let as_user = |port, more: &[(&str, &str)]| Client::connect(port, &[&[("user", "postgres")], more, startup].concat()).unwrap();
        [as_user(self.wall.port("pg"), &[("partywall.tenant", "acme")]), as_user(self.private.port, &[("database", &self.private.name)])]
    }
}

fn shown(answer: &Answer) -> String {
    answer.as_ref().map_or_else(|e| e.code.clone(), |rows| format!("{} {}", rows.tag, rows.text()))
}

/// A statement a step; after each one `SELECT here FROM t` is asked as well, where a transaction is not broken.
const PLAYS: &[&[&str]] = &[
    &["BEGIN", "SET search_path = one", "ROLLBACK"],
    &["BEGIN", "SET search_path = one", "COMMIT", "RESET search_path"],
    &["BEGIN", "SET LOCAL search_path = one", "COMMIT"],
    &["SET search_path = one", "BEGIN", "SAVEPOINT a", "SET search_path = two", "ROLLBACK TO a", "COMMIT"],
    &["BEGIN", "SAVEPOINT a", "SET search_path = two", "RELEASE a", "SET LOCAL search_path = one", "COMMIT", "RESET ALL"],
    &["BEGIN", "SAVEPOINT a", "SET search_path = one", "SAVEPOINT a", "SET search_path = two", "RELEASE a", "ROLLBACK TO a", "COMMIT"],
    &["BEGIN", "SET search_path = one", "SAVEPOINT a", "SELECT 1/0", "SET search_path = two", "ROLLBACK TO a", "COMMIT"],
    &["BEGIN", "SET search_path = one", "SELECT 1/0", "COMMIT"],
    &[
        "BEGIN",
        "SAVEPOINT a",
        "SET LOCAL search_path = two",
        "ROLLBACK TO SAVEPOINT a",
        "ROLLBACK AND CHAIN",
        "SET search_path = one",
        "COMMIT AND CHAIN",
        "ROLLBACK",
    ],
    &[
        "BEGIN",
        "SAVEPOINT a",
        "SAVEPOINT \"A\"",
        "SET search_path = one",
        "ROLLBACK TO A",
        "SET search_path = two",
        "ROLLBACK TO \"A\"",
        "COMMIT",
    ],
    &[
        "BEGIN",
        "SAVEPOINT a",
        "CREATE TEMP TABLE t (here text)",
        "ROLLBACK TO a",
        "CREATE TEMP TABLE t (here text) ON COMMIT DROP",
        "COMMIT",
    ],
    &[
        "BEGIN",
        "SAVEPOINT a",
        "CREATE TEMP TABLE t (here text) ON COMMIT DROP",
        "ROLLBACK TO a",
        "CREATE TEMP TABLE t (here text)",
        "COMMIT",
        "DROP TABLE t",
    ],
    &["BEGIN", "CREATE TEMP TABLE t (here text)", "SAVEPOINT a", "DROP TABLE t", "ROLLBACK TO a", "ROLLBACK"],
    &["SET search_path = one; SELECT 1/0"],
    &["SET search_path = one; COMMIT; SELECT 1/0"],
    &["BEGIN; SET search_path = one; ROLLBACK", "BEGIN; SET search_path = two; COMMIT", "ROLLBACK; SET search_path = one"],
    &["SET search_path = public", "DISCARD ALL"],
    &["SELECT set_config('search_path', 'one', false)", "BEGIN", "SELECT set_config('search_path', 'two', true)", "COMMIT"],
];

#[test]
fn what_is_rolled_back_does_not_count_any_more() {
    let pair = pair();
    let begun: [&[(&str, &str)]; 3] = [&[], &[("search_path", "two, public")], &[("options", "-c search_path=\"one\",two")]];
    let plays = [false, true].into_iter().flat_map(|e| PLAYS.iter().map(move |p| (e, p)));
    for (startup, (extended, play)) in begun.into_iter().flat_map(|s| plays.clone().map(move |p| (s, p))) {
        let mut told = pair.clients_with(startup).map(|mut client| {
            let mut all = vec![shown(&client.query("SHOW search_path")), shown(&client.query("SELECT here FROM t"))];
            for step in *play {
                if extended && !step.contains("; ") {
                    all.push(shown(&client.extended(step, &[])));
                    all.push(shown(&client.extended("SELECT here FROM t", &[])));
                } else {
                    all.extend(client.simple(step).iter().map(shown));
                    all.push(shown(&client.query("SELECT here FROM t")));
                }
            }
            all
        });
        let private = std::mem::take(&mut told[1]);
        assert_eq!(told[0], private, "{play:?}, extended: {extended}, begun with {startup:?}");
    }
}

#[test]
fn a_pipeline_waits_until_it_is_known_what_counts() {
    let pair = pair();
    let say = |client: &mut Client, sql: &str| {
        client.parse("", sql, &[]);
        client.bind("", "", &[]);
        client.execute("", 0);
    };
    for parts in [
        // A failure undoes the path, of which the next part knows only later.
        &["SET search_path = one|SELECT 1/0", "SELECT here FROM t"][..],
        &["BEGIN|SET search_path = one|ROLLBACK|SELECT here FROM t", "SELECT here FROM t"],
        &[
            "BEGIN|SET search_path = one|SAVEPOINT a|SET search_path = two|ROLLBACK TO a|SELECT here FROM t",
            "SELECT here FROM t",
            "COMMIT",
            "SELECT here FROM t",
        ],
        &["BEGIN|CREATE TEMP TABLE t (here text)|ROLLBACK|SELECT here FROM t"],
    ] {
        let told = pair.clients().map(|mut client| {
            for part in parts {
                part.split('|').for_each(|sql| say(&mut client, sql));
                client.sync();
            }
            parts.iter().flat_map(|_| client.answers()).map(|a| shown(&a)).collect::<Vec<_>>()
        });
        assert_eq!(told[0], told[1], "{parts:?}");
    }
}

/// In one query all is judged before any of it has run: what could mean one thing or another is refused, and what means the same is not.
#[test]
fn one_query_of_many_statements_is_refused_rather_than_guessed() {
    let pair = pair();
    let [mut acme, _] = pair.clients();
    for (sql, after) in [
        ("BEGIN; SET search_path = one; ROLLBACK; SELECT here FROM t", "public"),
        ("BEGIN; SET search_path = one; SET search_path = two; COMMIT; SELECT here FROM t", "two"),
        ("BEGIN; SET search_path = one; SAVEPOINT a; SET search_path = public; ROLLBACK TO a; SELECT here FROM t; COMMIT", "two"),
    ] {
        assert_eq!(acme.query(sql).unwrap_err().code, "0A000", "{sql}");
        // What stands before it is done, as a server's own failure leaves it.
        acme.query("ROLLBACK").unwrap();
        assert_eq!(acme.query("SELECT here FROM t").unwrap().text(), after, "after {sql}");
    }
    acme.query("RESET search_path").unwrap();
    acme.query("BEGIN").unwrap();
    acme.query("SET search_path = one").unwrap();
    assert_eq!(acme.query("ROLLBACK; SELECT here FROM t").unwrap_err().code, "0A000");
    assert_eq!(acme.query("SELECT here FROM t").unwrap().text(), "public");
    let answers = acme.simple("BEGIN; SET search_path = one; SELECT here FROM two.t; COMMIT; SELECT here FROM two.t; RESET search_path");
    let told: Vec<String> = answers.iter().map(shown).collect();
    assert!(told.iter().filter(|t| *t == "SELECT 1 two").count() == 2, "{told:?}");
    assert_eq!(acme.query("SELECT here FROM t").unwrap().text(), "public");
}

#[test]
fn a_path_that_the_policy_does_not_know_lets_nobody_in() {
    let pair = pair();
    for path in ["pg_temp, one", "nowhere", "information_schema", "one, pg_catalog", "one;two", ""] {
        let begun = Client::connect(pair.wall.port("pg"), &[("user", "postgres"), ("partywall.tenant", "acme"), ("search_path", path)]);
        match path {
            "" => assert_eq!(begun.unwrap().query("SELECT here FROM t").unwrap_err().code, "42P01"),
            _ => assert_eq!(begun.err().unwrap().code, "42501", "{path}"),
        }
    }
}
