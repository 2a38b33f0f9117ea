//! Statements that another printer turns into other ones: through the wall they answer as on a private database.

use crate::support::{Answer, Client, Postgres, Wall};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity:
  startup: { trust: [loopback] }
postgres:
  layout: rows
  tables:
    public.adv_t:    { scoped: { column: tenant_id, hidden: true } }
    'public.t\"\"u': { shared: read }
";

#[test]
fn what_another_printer_breaks_answers_as_on_a_private_database() {
    let (shared, private) = (Postgres::shared().database(), Postgres::shared().database());
    let table = |more: &str| {
        format!("CREATE TABLE adv_t ({more}id int, b text); CREATE TABLE \"t\"\"\"\"u\" (a text); INSERT INTO \"t\"\"\"\"u\" VALUES ('u');")
    };
    shared.psql(
        &(table("tenant_id text NOT NULL, ")
            + "CREATE TABLE adv_secret (x text); INSERT INTO adv_secret VALUES ('hush'); INSERT INTO adv_t VALUES ('globex', 7, 'theirs')"),
    );
    private.psql(&table(""));
    let wall = Wall::for_database(&shared, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut alone = Client::connect(private.port, &[("user", "postgres"), ("database", &private.name)]).unwrap();
    let told = |answers: Vec<Answer>| answers.into_iter().map(|a| a.map_err(|e| e.code)).collect::<Vec<_>>();
    let mut same = 0;
    // COPY would wait for rows; its options have tests of their own.
    for line in include_str!("../../sql/misprints.txt").lines().filter(|l| !l.starts_with("COPY")) {
        let query = (line.starts_with("SELECT") || line.starts_with("INSERT")) && !line.contains("set_config");
        let through = told(acme.simple(line));
        // The others are refused, or the setting is not the tenant's to see: none of them may be sent otherwise.
        if query || through.iter().all(Result::is_ok) {
            assert_eq!(through, told(alone.simple(line)), "{line}");
            same += 1;
        }
    }
    assert!(same >= 29, "{same}");
    let left = "SELECT string_agg(tenant_id || id, ',' ORDER BY id), (SELECT count(*) FROM adv_secret) FROM adv_t";
    assert_eq!(shared.psql(left), "acme1,globex7|1");
}
