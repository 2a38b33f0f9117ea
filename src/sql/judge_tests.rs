//! Statements and what becomes of them: cases are files (`tests/sql/*.txt`), code is one `check`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{IdentitySources, Limits, Place, PostgresPolicy, TableEntry, TableRule, TenantPattern};
use std::collections::HashMap;

/// The policy and catalog of the case files: orders, items, notes scoped; countries shared; secrets hidden.
pub fn judge() -> Judge {
    let place = Place { file: "policies/shop.yaml".into(), line: 9, column: 5 };
    let entry = |name: &str, rule: TableRule| TableEntry { schema: "public".into(), name: name.into(), rule, place: place.clone() };
    let scoped = || TableRule::Scoped { column: "tenant_id".into(), hidden: false };
    let tables = vec![
        entry("orders", scoped()),
        entry("items", scoped()),
        entry("loose", scoped()),
        entry("countries", TableRule::SharedRead),
        entry("secrets", TableRule::Hidden),
        entry("v_orders", scoped()),
        entry("v_secrets", scoped()),
    ];
    let policy = Policy {
        name: "shop".into(),
        file: "policies/shop.yaml".into(),
        version: 1,
        tenants: TenantPattern::new("[a-z0-9-]{1,63}").unwrap(),
        identity: IdentitySources::default(),
        operators: None,
        roles: None,
        postgres: Some(PostgresPolicy { tables, explain: crate::policy::Explain::Plan, ..PostgresPolicy::default() }),
        redis: None,
        limits: Limits::default(),
    };
    let rows = |lines: &str| -> catalog::Rows {
        lines.lines().map(|l| l.split_whitespace().map(|w| Some(w.replace('~', ""))).collect()).collect()
    };
    let view = |oid: &str, text: &str| vec![Some(oid.to_owned()), Some(text.to_owned())];
    let views = vec![
        view("6", " SELECT orders.id,\n    orders.tenant_id,\n    orders.note\n   FROM orders\n  WHERE (orders.total > 0);"),
        view("7", " SELECT secrets.id, secrets.tenant_id FROM secrets;"),
    ];
    let answers = HashMap::from([
        ("path", rows("public")),
        (
            "relations",
            rows(
                "1 public orders r\n2 public items r\n3 public loose r\n4 public countries r\n5 public secrets r\n6 public v_orders v\n7 public v_secrets v",
            ),
        ),
        ("views", views),
        ("columns", rows(&columns())),
        ("keys", rows("1 orders_pkey f 1 tenant_id\n1 orders_pkey f 2 id\n2 items_pkey f 1 order_id\n2 items_pkey f 2 line")),
        ("aggregates", rows("count\nmax\nstring_agg")),
        ("functions", rows("lower pg_catalog\nquery_to_xml pg_catalog\npg_read_file pg_catalog\nleak public")),
        ("operators", rows("@#")),
        ("sequences", rows("1 public orders_id_seq id\n5 public secrets_id_seq id")),
        ("types", rows("mood public f ~ ~ ~ ~ ~ f ~ t")),
        (
            "system",
            rows(
                "pg_catalog pg_class 1259 oid oid pg_catalog\npg_catalog pg_class 1259 relname name pg_catalog\npg_catalog pg_class 1259 relowner oid pg_catalog\n\
                 pg_catalog pg_type 1247 oid oid pg_catalog\npg_catalog pg_type 1247 typinput regproc pg_catalog\npg_catalog pg_shadow 9 x oid pg_catalog\n\
                 pg_catalog pg_timezone_names 8 name text pg_catalog",
            ),
        ),
    ]);
    let catalog = Catalog::build(&policy, &answers).unwrap_or_else(|p| panic!("{p:?}"));
    Judge::new(Arc::new(policy), Arc::new(catalog))
}

fn columns() -> String {
    let mut columns = String::new();
    for (oid, names, tenant_not_null) in [
        (1, "id tenant_id customer total note", "t"),
        (2, "order_id line sku qty tenant_id", "t"),
        (3, "id tenant_id note", "f"),
        (4, "code name", "t"),
        (5, "id", "t"),
        (6, "id tenant_id note", "f"),
        (7, "id tenant_id", "f"),
    ] {
        for name in names.split(' ') {
            let type_oid = if matches!(name, "id" | "order_id" | "line" | "qty" | "total") { 23 } else { 25 };
            let not_null = if name == "tenant_id" { tenant_not_null } else { "f" };
            columns.push_str(&format!("{oid} {name} {type_oid} {not_null} f {type_oid} t\n"));
        }
    }
    columns
}

fn outcome(judge: &Judge, sql: &str) -> String {
    match judge.extended(sql, 0, &tenant("acme")) {
        Ok(prepared) => prepared.outgoing.as_str().to_owned(),
        Err(refusal) => {
            format!("! {} {}{}", refusal.sqlstate, refusal.message, refusal.detail.map(|d| format!(" ({d})")).unwrap_or_default())
        }
    }
}

fn tenant(id: &str) -> TenantId {
    TenantPattern::new("[a-z0-9-]{1,63}").unwrap().accept(id).unwrap()
}

/// A case is a statement, `=>` on a line of its own, and what is sent; or `! SQLSTATE …`, of which the start counts.
fn check(file: &str, text: &str) {
    check_with(&judge(), file, text);
}

pub fn check_with(judge: &Judge, file: &str, text: &str) {
    let mut wrong = String::new();
    let mut count = 0;
    let text: String = text.lines().filter(|l| !l.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    for case in text.split("\n\n").map(str::trim).filter(|c| !c.is_empty()) {
        let (sql, wanted) = case.split_once("\n=>\n").unwrap_or((case, "(nothing)"));
        let got = outcome(judge, sql);
        let good = if wanted.starts_with('!') { got.starts_with(wanted) } else { got == wanted };
        if !good {
            wrong.push_str(&format!("{sql}\n=>\n{got}\n\n"));
        }
        count += 1;
    }
    assert!(count > 0, "{file} has no case");
    assert!(wrong.is_empty(), "{file}: these came out otherwise:\n\n{wrong}");
}

/// A schema file and a policy file, as `partywall explain --schema` would have them.
pub fn judge_of(policy: &str, schema: &str) -> Judge {
    let mut findings = crate::config::document::Findings::new();
    let read = crate::policy::file::read(&mut crate::config::document::Reader { file: "p.yaml".into(), findings: &mut findings }, policy);
    let policy = read.unwrap_or_else(|| panic!("{findings:?}"));
    let catalog = offline::from_dump(&policy, schema).unwrap_or_else(|p| panic!("{p:?}"));
    Judge::new(Arc::new(policy), Arc::new(catalog))
}

/// The judge of through.txt.
pub fn through_judge() -> Judge {
    judge_of(include_str!("../../tests/sql/through.yaml"), include_str!("../../tests/sql/through.sql"))
}

#[test]
fn through_tables_are_rewritten_as_the_cases_say() {
    let judge = through_judge();
    check_with(&judge, "through.txt", include_str!("../../tests/sql/through.txt"));
    check_with(&judge, "attacks/through.txt", include_str!("../../tests/sql/attacks/through.txt"));
}

/// The judge of hidden.txt.
pub fn hidden_judge() -> Judge {
    judge_of(include_str!("../../tests/sql/hidden.yaml"), include_str!("../../tests/sql/hidden.sql"))
}

#[test]
fn a_hidden_column_does_not_exist() {
    check_with(&hidden_judge(), "hidden.txt", include_str!("../../tests/sql/hidden.txt"));
}

#[test]
fn attacks_on_hidden_columns_are_held() {
    check_with(&hidden_judge(), "attacks/hidden.txt", include_str!("../../tests/sql/attacks/hidden.txt"));
}

#[test]
fn statements_are_rewritten_as_the_cases_say() {
    check("rewrite.txt", include_str!("../../tests/sql/rewrite.txt"));
}

#[test]
fn xml_is_judged_as_the_cases_say() {
    check("xml.txt", include_str!("../../tests/sql/xml.txt"));
}

#[test]
fn catalogs_are_read_as_the_cases_say() {
    check("catalogs.txt", include_str!("../../tests/sql/catalogs.txt"));
}

#[test]
fn what_is_not_understood_is_refused() {
    check("refuse.txt", include_str!("../../tests/sql/refuse.txt"));
}

#[test]
fn utility_statements_are_rewritten_as_the_cases_say() {
    check("utility.txt", include_str!("../../tests/sql/utility.txt"));
}

/// A case is the text of a simple query, whose later statements know what the earlier ones have made.
fn check_scripts(judge: &Judge, file: &str, text: &str) {
    let mut wrong = String::new();
    for case in text.split("\n\n").map(str::trim).filter(|c| !c.is_empty() && !c.starts_with('#')) {
        let (sql, wanted) = case.split_once("\n=>\n").unwrap_or((case, "(nothing)"));
        let got = match judge.simple(sql, &tenant("acme")) {
            Ok(script) => script.outgoing.as_str().replace("; ", ";\n"),
            Err(r) => format!("! {} {}{}", r.sqlstate, r.message, r.detail.map(|d| format!(" ({d})")).unwrap_or_default()),
        };
        if !(if wanted.starts_with('!') { got.starts_with(wanted) } else { got == wanted }) {
            wrong.push_str(&format!("{sql}\n=>\n{got}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{file}: these came out otherwise:\n\n{wrong}");
}

#[test]
fn temporary_relations_are_made_as_the_cases_say() {
    check_scripts(&judge(), "temps.txt", include_str!("../../tests/sql/temps.txt"));
}

#[test]
fn what_is_copied_from_a_table_with_a_hidden_column_has_known_columns() {
    check_scripts(&hidden_judge(), "hidden-temps.txt", include_str!("../../tests/sql/hidden-temps.txt"));
}

#[test]
fn attacks_by_temporary_relations_are_held() {
    check_scripts(&judge(), "attacks/temps.txt", include_str!("../../tests/sql/attacks/temps.txt"));
}

#[test]
fn what_is_the_sessions_own_is_rewritten_as_the_cases_say() {
    check("own.txt", include_str!("../../tests/sql/own.txt"));
}

#[test]
fn copies_are_rewritten_as_the_cases_say() {
    check("copy.txt", include_str!("../../tests/sql/copy.txt"));
}

/// The same, where the policy lists functions of the application's, and a sequence.
fn listing() -> Judge {
    let judge = judge();
    let (mut policy, mut catalog) = ((**judge.policy()).clone(), (**judge.catalog()).clone());
    let place = policy.postgres.as_ref().unwrap().tables[0].place.clone();
    let function = |name: &str| crate::policy::FunctionEntry {
        schema: "public".into(),
        name: name.into(),
        arguments: Vec::new(),
        place: place.clone(),
    };
    policy.postgres.as_mut().unwrap().functions = vec![function("max"), function("alike")];
    let names = ["max", "alike"].map(|f| ("public".to_owned(), f.to_owned()));
    catalog.functions.extend(names);
    catalog.overloads.insert("max".into());
    catalog.operators.extend(["===", "<"].map(String::from));
    catalog.user_operators.insert("<<<".into());
    catalog.types.insert("hstore".into(), "public".into());
    let tickets = catalog::Relation { kind: 'S', ..(*catalog.sequences[&("public".to_owned(), "orders_id_seq".to_owned())]).clone() };
    let tickets = catalog::Relation { name: "tickets".into(), definition: None, rule: TableRule::SharedRead, ..tickets };
    catalog.sequences.insert(("public".into(), "tickets".into()), Arc::new(tickets));
    Judge::new(Arc::new(policy), Arc::new(catalog))
}

#[test]
fn what_the_policy_lists_is_called_and_may_fail() {
    check_with(&listing(), "listed.txt", include_str!("../../tests/sql/listed.txt"));
    // Where an application has an operator of that name, nothing may look it up unseen.
    let mut catalog = (**listing().catalog()).clone();
    catalog.operators.insert("=".into());
    let judge = Judge::new(listing().policy().clone(), Arc::new(catalog));
    for sql in ["SELECT * FROM orders JOIN items USING (tenant_id)", "SELECT * FROM orders NATURAL JOIN items"] {
        assert!(outcome(&judge, sql).starts_with("! 0A000 USING, NATURAL and CYCLE"), "{}", outcome(&judge, sql));
    }
    let fenced = outcome(&judge, "SELECT id FROM orders WHERE CASE note WHEN 'a' THEN true END");
    assert!(fenced.contains("CASE WHEN orders.tenant_id OPERATOR(pg_catalog.=) $1 THEN CASE note WHEN"), "{fenced}");
    let fenced = outcome(&judge, "SELECT id FROM orders WHERE note IN ('a', 'b')");
    assert!(fenced.contains("$1 THEN note IN ('a', 'b') END"), "{fenced}");
}

#[test]
fn attacks_on_names_are_held() {
    check("attacks/names.txt", include_str!("../../tests/sql/attacks/names.txt"));
}

#[test]
fn attacks_by_functions_operators_and_types_are_held() {
    check("attacks/functions.txt", include_str!("../../tests/sql/attacks/functions.txt"));
}

#[test]
fn attacks_by_writes_are_held() {
    check("attacks/writes.txt", include_str!("../../tests/sql/attacks/writes.txt"));
}

#[test]
fn attacks_by_errors_are_held() {
    check("attacks/errors.txt", include_str!("../../tests/sql/attacks/errors.txt"));
    check("attacks/lazy.txt", include_str!("../../tests/sql/attacks/lazy.txt"));
}

#[test]
fn attacks_by_other_statements_are_held() {
    check("attacks/statements.txt", include_str!("../../tests/sql/attacks/statements.txt"));
}

#[test]
fn a_simple_query_carries_the_tenant_as_a_literal() {
    let script = judge().simple("BEGIN; SELECT id FROM orders; COMMIT", &tenant("acme")).unwrap();
    let wanted = "BEGIN; SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'acme'; COMMIT";
    assert_eq!(script.outgoing.as_str(), wanted);
    assert_eq!(*script.kinds, [Kind::Transaction, Kind::Read, Kind::End]);
    assert_eq!(judge().simple("SELECT $1", &tenant("acme")).unwrap_err().sqlstate, "42P02");
}

#[test]
fn a_named_tenant_column_takes_only_the_own_id() {
    let judge = judge();
    let sql = "INSERT INTO orders (id, tenant_id) VALUES (1, 'acme')";
    assert!(judge.simple(sql, &tenant("acme")).is_ok());
    assert_eq!(judge.simple(sql, &tenant("globex")).unwrap_err().sqlstate, "42501");
    let prepared = judge.extended("INSERT INTO orders (id, tenant_id) VALUES ($1, $2)", 0, &tenant("acme")).unwrap();
    assert_eq!(prepared.own, [OwnParameter { number: 2, type_oid: 25 }]);
    let prepared = judge.extended("UPDATE orders SET tenant_id = $2::text WHERE id = $1", 0, &tenant("acme")).unwrap();
    assert_eq!(prepared.own, [OwnParameter { number: 2, type_oid: 25 }]);
    let update = "UPDATE orders SET tenant_id = 'acme', note = 'x' WHERE id = 1";
    assert!(judge.simple(update, &tenant("acme")).is_ok());
    assert_eq!(judge.simple(update, &tenant("globex")).unwrap_err().sqlstate, "42501");
}

#[test]
fn the_tenants_parameter_follows_the_clients_own() {
    let judge = judge();
    let prepared = judge.extended("SELECT $2, id FROM orders WHERE id = $1", 3, &tenant("acme")).unwrap();
    assert_eq!((prepared.client_params, prepared.tenant_types.as_slice()), (3, &[25][..]));
    assert!(prepared.outgoing.as_str().contains("= ($4)") || prepared.outgoing.as_str().contains("$4"), "{}", prepared.outgoing.as_str());
    // What only looks like a parameter counts for nothing.
    for (sql, own) in
        [("SELECT '$9' FROM orders WHERE id = $1", 1), ("SELECT $2::text, '$1' FROM orders", 2), ("SELECT '$70000' FROM orders", 0)]
    {
        let prepared = judge.extended(sql, 0, &tenant("acme")).unwrap();
        assert_eq!((prepared.client_params, prepared.tenant_types.as_slice()), (own, &[25][..]), "{sql}");
        assert!(prepared.outgoing.as_str().contains(&format!("(pg_catalog.=) ${}", own + 1)), "{}", prepared.outgoing.as_str());
    }
}

#[test]
fn positions_point_into_the_clients_text() {
    let judge = judge();
    let sql = "SELECT nosuch FROM orders";
    let prepared = judge.extended(sql, 0, &tenant("acme")).unwrap();
    assert_eq!(prepared.outgoing.client_position(sql, 8), Some(8));
    assert_eq!(judge.extended("SELECT 1 FROM nosuch", 0, &tenant("acme")).unwrap_err().position, Some(15));
}

#[test]
fn every_line_that_another_printer_breaks_means_what_postgres_means() {
    let judge = judge();
    for line in include_str!("../../tests/sql/misprints.txt").lines() {
        let Ok(stmts) = parse::parse(line) else { continue };
        let printed = parse::deparse(stmts).unwrap();
        verify_same(line, &printed);
        // Through the judge: refused, or proved equal.
        let _ = outcome(&judge, line);
    }
    let kept = outcome(&judge, "SELECT 'x\\''; DROP TABLE adv_t; --'");
    assert_eq!(kept, "SELECT E'x\\\\''; DROP TABLE adv_t; --'");
}

fn verify_same(client: &str, printed: &str) {
    let strip = |text: &str| -> serde_json::Value {
        let mut tree = serde_json::to_value(parse::parse(text).unwrap()).unwrap();
        without_places(&mut tree);
        tree
    };
    assert_eq!(strip(client), strip(printed), "{client}\nprinted as\n{printed}");
}

fn without_places(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|k, _| {
                !k.contains("location") && !k.starts_with("stmt_l") && !k.ends_with("list_start") && !k.ends_with("list_end")
            });
            map.values_mut().for_each(without_places);
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(without_places),
        _ => {}
    }
}

#[test]
fn temporary_tables_are_known_from_one_statement_to_the_next() {
    let judge = judge();
    let sql = "CREATE TEMP TABLE orders (id int, x text); INSERT INTO orders VALUES (1, 'a'), (2, DEFAULT); \
               UPDATE orders SET x = i.sku FROM items i WHERE i.line = orders.id RETURNING *; DELETE FROM orders USING items WHERE id = line; \
               SELECT o.x FROM orders o JOIN public.orders p ON p.id = o.id FOR UPDATE; COPY orders TO STDOUT; DROP TABLE orders; SELECT id FROM orders";
    let script = judge.simple(sql, &tenant("acme")).unwrap();
    let wanted = "CREATE TEMPORARY TABLE pg_temp.orders (id int, x text); INSERT INTO pg_temp.orders VALUES (1, 'a'), (2, DEFAULT); \
                  UPDATE pg_temp.orders SET x = i.sku FROM public.items i WHERE i.tenant_id OPERATOR(pg_catalog.=) 'acme' AND i.line = orders.id RETURNING *; \
                  DELETE FROM pg_temp.orders USING public.items WHERE items.tenant_id OPERATOR(pg_catalog.=) 'acme' AND id = line; \
                  SELECT o.x FROM pg_temp.orders o JOIN public.orders p ON p.id = o.id WHERE p.tenant_id OPERATOR(pg_catalog.=) 'acme' FOR UPDATE; \
                  COPY pg_temp.orders TO STDOUT; DROP TABLE pg_temp.orders; SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'acme'";
    assert_eq!(script.outgoing.as_str(), wanted);
    // A session's own table is nobody else's, whatever the cache holds.
    let mut temps = private::Temps::default();
    temps.completed(&script.kinds[0]);
    for (temps, wanted) in [
        (temps.clone(), "SELECT id FROM pg_temp.orders"),
        (private::Temps::default(), "SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'acme'"),
        (temps, "SELECT id FROM pg_temp.orders"),
    ] {
        let script = judge.simple_for("SELECT id FROM orders", &tenant("acme"), &temps).unwrap();
        assert_eq!(script.outgoing.as_str(), wanted);
    }
}

#[test]
fn without_a_second_opinion_a_statement_is_counted_or_refused() {
    let readable = "SELECT id FROM orders";
    let unreadable = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SEARCH DEPTH FIRST BY n SET s SELECT id FROM orders";
    let by_default = judge();
    for (sql, alone) in [(readable, false), (unreadable, true)] {
        assert_eq!(by_default.simple(sql, &tenant("acme")).unwrap().assurance.alone, alone, "{sql}");
        assert_eq!(by_default.extended(sql, 0, &tenant("acme")).unwrap().assurance.alone, alone, "{sql}");
    }
    let mut policy = (**by_default.policy()).clone();
    policy.postgres.as_mut().unwrap().second_opinion = SecondOpinion::Required;
    let strict = Judge::new(Arc::new(policy), by_default.catalog().clone());
    assert!(strict.simple(readable, &tenant("acme")).is_ok());
    let refusal = strict.simple(unreadable, &tenant("acme")).unwrap_err();
    assert_eq!((refusal.sqlstate, refusal.detail.as_deref()), ("0A000", Some("The second parser cannot read it.")));
}

#[test]
fn temporary_tables_are_changed_by_judged_expressions() {
    let (judge, acme) = (judge(), tenant("acme"));
    let mut temps = private::Temps::default();
    temps.completed(&Kind::CreateTemp { table: private::temporary("t", vec!["id".into()]), vanishes: false });
    for (sql, wanted) in [
        (
            "CREATE UNIQUE INDEX t_id ON t (id DESC NULLS LAST, (id + 1)) WHERE id > 0",
            "CREATE UNIQUE INDEX t_id ON pg_temp.t USING btree (id DESC NULLS LAST, (id + 1)) WHERE id > 0",
        ),
        ("CREATE INDEX ON t (id evil_ops)", "0A000"),
        ("CREATE INDEX ON t USING evil (id)", "0A000"),
        ("CREATE INDEX CONCURRENTLY ON t (id)", "0A000"),
        ("CREATE INDEX pg_class ON t (id)", "0A000"),
        ("CREATE INDEX ON t ((leak(id)))", "42883"),
        ("CREATE INDEX ON public.t (id)", "42P01"),
        (
            "ALTER TABLE t ADD n text DEFAULT lower('X'), DROP id, ALTER n SET NOT NULL, ALTER n TYPE int USING n::int, ADD CONSTRAINT c CHECK (n > 0)",
            "ALTER TABLE pg_temp.t ADD COLUMN n text DEFAULT pg_catalog.lower('X'), DROP id, ALTER COLUMN n SET NOT NULL, ALTER COLUMN n TYPE int USING n::int, ADD CONSTRAINT c CHECK (n > 0)",
        ),
        ("ALTER TABLE t OWNER TO other", "0A000"),
        ("ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES orders (id)", "0A000"),
        ("ALTER TABLE t ADD x int REFERENCES orders (id)", "0A000"),
        ("ALTER TABLE t ADD x int DEFAULT leak(1)", "42883"),
        ("ALTER TABLE t ALTER id TYPE int USING leak(id)", "42883"),
        ("ALTER TABLE t INHERIT orders", "0A000"),
        ("ALTER INDEX t RENAME TO u", "ALTER INDEX pg_temp.t RENAME TO u"),
        ("ALTER INDEX orders RENAME TO u", "42501"),
    ] {
        let became = judge.simple_for(sql, &acme, &temps).map_or_else(|r| r.sqlstate.to_owned(), |s| s.outgoing.as_str().to_owned());
        assert_eq!(became, wanted, "{sql}");
    }
}

fn conditions(columns: &str, cases: &[(&str, &str)]) {
    let policy = "version: 1\nname: p\ntenants: { id: '[a-z]+' }\nidentity: { startup: { trust: [loopback] } }\n\
                  postgres:\n  tables:\n    public.places: { scoped: tenant_id }\n";
    let judge = judge_of(policy, &format!("CREATE TABLE public.places (id int NOT NULL, tenant_id text NOT NULL, {columns});"));
    let guard = "places.tenant_id OPERATOR(pg_catalog.=) $1";
    for (condition, sent) in cases {
        let wanted = format!("SELECT id FROM public.places WHERE {guard} AND {}", sent.replace("GUARD", guard));
        assert_eq!(outcome(&judge, &format!("SELECT id FROM places WHERE {condition}")), wanted);
    }
}

#[test]
fn values_that_fail_as_they_are_compared_are_fenced() {
    conditions(
        "area circle, name text",
        &[
            ("area = '<(0,0),1>'", "CASE WHEN GUARD THEN area = '<(0,0),1>' END"),
            // A call may give such a value.
            ("lower(name) = 'x'", "CASE WHEN GUARD THEN pg_catalog.lower(name) = 'x' END"),
            ("name = 'x'", "name = 'x'"),
        ],
    );
}

#[test]
fn a_conversion_that_costs_no_more_than_a_guard_is_fenced() {
    conditions(
        "size numeric, name text",
        &[
            ("COALESCE(size, 7::float8) IS NULL", "CASE WHEN GUARD THEN COALESCE(size, 7::float8) END IS NULL"),
            ("COALESCE(size, 7::float8) > 1", "COALESCE(size, 7::float8) > 1"),
            ("COALESCE(size, 7) IS NULL", "COALESCE(size, 7) IS NULL"),
            ("lower(name) = 'x'", "pg_catalog.lower(name) = 'x'"),
        ],
    );
}

#[test]
fn what_newer_grammars_have_passes_as_the_cases_say() {
    check("newer.txt", include_str!("../../tests/sql/newer.txt"));
    check("attacks/newer.txt", include_str!("../../tests/sql/attacks/newer.txt"));
    check("json.txt", include_str!("../../tests/sql/json.txt"));
    check("attacks/json.txt", include_str!("../../tests/sql/attacks/json.txt"));
}
