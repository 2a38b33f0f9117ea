//! A plan gives what judging the text itself gives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::super::tests::judge;
use super::*;
use crate::policy::TenantPattern;
use crate::sql::literals::shape;

fn tenant(id: &str) -> TenantId {
    TenantPattern::new("[a-z0-9-]{1,63}").unwrap().accept(id).unwrap()
}

/// What is sent when no plan is asked.
fn alone(judge: &Judge, sql: &str, tenant: &TenantId) -> Result<String, Refusal> {
    let private = Private { tenant: Some(tenant.clone()), ..Private::default() };
    let judged = judge.judge(sql, None, &private, false)?;
    judged.statements.iter().try_for_each(|s| s.fits(tenant))?;
    Ok(judged.template.filled(tenant.as_str()).as_str().to_owned())
}

fn sent(judge: &Judge, sql: &str, tenant: &TenantId) -> Result<String, Refusal> {
    judge.simple(sql, tenant).map(|script| script.outgoing.as_str().to_owned())
}

/// The text with other constants of the same classes.
fn with(sql: &str, shape: &Shape, salt: usize) -> String {
    let texts = ["acme", "globex", "", "it''s", "'' OR true --", "$1", "/*", "a\"b", "é", "; DELETE FROM orders", "pg_temp", "{tenant}"];
    let numbers = ["0", "1", "999999999", "42", "2", "65535"];
    let mut out = String::new();
    let mut done = 0;
    for (n, literal) in shape.literals.iter().enumerate() {
        out.push_str(&sql[done..literal.start]);
        let pick = salt * 7 + n * 3;
        let number = numbers[pick % numbers.len()];
        out.push_str(&match shape.key.split_once('\0').unwrap().1.as_bytes()[n] {
            b'i' => number.to_owned(),
            b'n' => format!("-{}", number.replace('0', "1")),
            b'l' => format!("{}0000000001", 1 + pick % 9),
            b'd' => format!("{number}.50"),
            b'm' => format!("-{number}.0"),
            b't' => format!("'{}'", texts[pick % texts.len()]),
            _ => format!("'{}\\'", texts[pick % texts.len()]),
        });
        done = literal.end;
    }
    out + &sql[done..]
}

/// Every statement of the case files, its constants changed: the same text or the same refusal. Gives how many plans were at work.
fn hold(cases: &str) -> usize {
    let mut plans = 0;
    for case in cases.split("\n\n").map(str::trim).filter(|c| !c.starts_with('#')) {
        let sql = case.split_once("\n=>\n").map_or(case, |(sql, _)| sql);
        let Some(shape) = shape(sql) else { continue };
        let (judge, acme) = (judge(), tenant("acme"));
        for salt in 0..8 {
            let text = with(sql, &shape, salt);
            let shape = super::super::literals::shape(&text).unwrap();
            let planned = matches!(judge.plans.get(&shape), Some(Known::Plan(_)));
            for tenant in [&acme, &tenant("globex")] {
                let (got, wanted) = (sent(&judge, &text, tenant), alone(&judge, &text, tenant));
                assert_eq!(got, wanted, "{text}");
            }
            plans += usize::from(planned);
        }
    }
    plans
}

#[test]
fn a_plan_gives_what_judging_the_text_itself_gives() {
    let files = [
        include_str!("../../tests/sql/rewrite.txt"),
        include_str!("../../tests/sql/refuse.txt"),
        include_str!("../../tests/sql/own.txt"),
        include_str!("../../tests/sql/utility.txt"),
        include_str!("../../tests/sql/catalogs.txt"),
        include_str!("../../tests/sql/copy.txt"),
        include_str!("../../tests/sql/misprints.txt"),
        include_str!("../../tests/sql/attacks/errors.txt"),
        include_str!("../../tests/sql/attacks/functions.txt"),
        include_str!("../../tests/sql/attacks/names.txt"),
        include_str!("../../tests/sql/attacks/statements.txt"),
        include_str!("../../tests/sql/attacks/writes.txt"),
    ];
    let plans: usize = files.into_iter().map(hold).sum();
    assert!(plans > 200, "{plans}");
}

#[test]
fn a_plan_is_made_for_the_second_text_and_shared_by_tenants() {
    let judge = judge();
    let known = |sql: &str| judge.plans.get(&shape(sql).unwrap());
    sent(&judge, "SELECT note FROM orders WHERE id = 1", &tenant("acme")).unwrap();
    assert!(matches!(known("SELECT note FROM orders WHERE id = 2"), Some(Known::Seen)));
    sent(&judge, "SELECT note FROM orders WHERE id = 2", &tenant("acme")).unwrap();
    assert!(matches!(known("SELECT note FROM orders WHERE id = 3"), Some(Known::Plan(_))));
    let globex = sent(&judge, "SELECT note FROM orders WHERE id = 3", &tenant("globex")).unwrap();
    assert_eq!(globex, "SELECT note FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'globex' AND id = 3");
}

#[test]
fn what_a_value_decides_has_no_plan() {
    let judge = judge();
    for sql in [
        "SELECT nextval('orders_id_seq')",
        "SELECT set_config('TimeZone', 'UTC', false)",
        "SELECT 'orders'::regclass",
        "SET lock_timeout = 5",
    ] {
        for _ in 0..3 {
            let _ = sent(&judge, sql, &tenant("acme"));
        }
        assert!(!matches!(judge.plans.get(&shape(sql).unwrap()), Some(Known::Plan(_))), "{sql}");
    }
}

#[test]
fn a_constant_in_the_tenant_column_is_checked_in_each_text() {
    let judge = judge();
    for id in 1..4 {
        assert!(sent(&judge, &format!("INSERT INTO orders (id, tenant_id) VALUES ({id}, 'acme')"), &tenant("acme")).is_ok());
    }
    assert!(matches!(judge.plans.get(&shape("INSERT INTO orders (id, tenant_id) VALUES (9, 'x')").unwrap()), Some(Known::Plan(_))));
    let foreign = sent(&judge, "INSERT INTO orders (id, tenant_id) VALUES (4, 'globex')", &tenant("acme")).unwrap_err();
    assert_eq!(foreign.sqlstate, "42501");
}

#[test]
fn places_lead_through_constants_of_any_length() {
    let judge = judge();
    let text = |n: &str| format!("SELECT id, '{n}' FROM orders WHERE note = '{n}' AND total = {} AND custom = 1", n.len());
    let mut script = None;
    for n in ["a", "bb", "a much longer constant than any before"] {
        script = Some((text(n), judge.simple(&text(n), &tenant("acme")).unwrap()));
    }
    let (sql, script) = script.unwrap();
    assert!(matches!(judge.plans.get(&shape(&sql).unwrap()), Some(Known::Plan(_))));
    let sent = script.outgoing.as_str();
    for word in ["id,", "note", "total", "custom", "'a much"] {
        let (here, there) = (sent.rfind(word).unwrap() + 1, sql.rfind(word).unwrap() + 1);
        let found = script.outgoing.client_position(&sql, u32::try_from(here).unwrap());
        assert_eq!(found, Some(u32::try_from(there).unwrap()), "{word}: {sent}");
    }
    assert_eq!(script.outgoing.client_position(&sql, u32::try_from(sent.find("tenant_id").unwrap()).unwrap()), None);
}

#[test]
fn what_was_asked_of_a_constant_is_asked_of_each() {
    let (judge, acme) = (judge(), tenant("acme"));
    let forms = [
        ("SELECT id FROM orders WHERE note > 'y' AND now() - interval '{}' IS NULL", ["99999 days", "99998 days", "7 days"]),
        ("SELECT id FROM orders WHERE note > 'y' AND CURRENT_DATE - {} IS NULL", ["99999999", "99999998", "7"]),
        ("SELECT to_tsvector('{}', note) FROM orders", ["english", "simple", "elsewhere.mine"]),
        ("SELECT id FROM orders TABLESAMPLE bernoulli ({}) WHERE note > 'y'", ["50", "40", "500"]),
    ];
    for (form, constants) in forms {
        for constant in constants {
            let text = form.replace("{}", constant);
            assert_eq!(sent(&judge, &text, &acme), alone(&judge, &text, &acme), "{text}");
        }
    }
}
