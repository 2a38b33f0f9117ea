//! What is taken out of the catalogs for what it says of other tenants.

use super::*;

fn rows(lines: &[&str]) -> Rows {
    lines.iter().map(|line| line.split('|').map(|v| Some(v.to_owned())).collect()).collect()
}

/// Table 1 and 2 with the tenant column `org`, their first; a domain 20000 over 20001.
fn concealed(expressions: &[&str], edges: &[&str], views: &[&str]) -> Concealed {
    let columns = ["1|org|20000||||||||1", "1|n|23||||||||2", "2|org|25||||||||1", "3|org|25||||||||1"];
    let answers =
        HashMap::from([("columns", rows(&columns)), (EXPRESSIONS, rows(expressions)), ("edges", rows(edges)), ("views", rows(views))]);
    let mut all = Concealed::default();
    all.read_expressions(&answers, &[(1, "org".into()), (2, "org".into())]);
    all
}

fn of(oids: &[u32]) -> BTreeSet<u32> {
    oids.iter().copied().collect()
}

#[test]
fn what_tells_is_gone_and_the_rest_stays() {
    let all = concealed(
        &[
            "R|10|1|0|(org = 'globex'::text)",
            "R|11|1|0|(n > 5)",
            "R|12|3|0|(org = 'globex'::text)",
            "R|13|2|0|COALESCE(org, 'globex'::text), lower(x)",
            "X|20|1|10|",
            "X|21|1|11|",
            "C|22|1|0|(org = ANY (ARRAY['acme'::text]))",
            "C|23|1|0|(org <> ''::text)",
            "C|24|1|0|(org <> 'x'::text)",
            "D|30|1|1|'globex'::text",
            "D|31|1|2|7",
            "D|32|2|1|current_setting('partywall.tenant'::text)",
            "V|40|20001|0|(VALUE = 'globex'::text)",
            "V|41|20002|0|(VALUE = 'globex'::text)",
            "T|20000|20001|0|",
            "T|20001|25|0|'globex'::text",
            "T|20002|25|0|'globex'::text",
            "G|50|1|0|CREATE TRIGGER g BEFORE INSERT ON t WHEN (new.org = 'globex') EXECUTE FUNCTION f()",
            "S|60|2|0|CREATE STATISTICS s ON (org = 'globex') FROM t",
            "W|70|99|0|CREATE RULE r AS ON SELECT TO m DO INSTEAD SELECT 1 FROM t WHERE t.org = 'globex'",
            "M|1|1|1|",
            "M|1|1|2|",
            "M|3|3|1|",
        ],
        &["W|71|R|80||0", "W|72|R|81||0"],
        &["80|SELECT t.n FROM t WHERE (t.org = 'globex'::text)", "81|SELECT t.n FROM t WHERE (t.n = 5)"],
    );
    let gone: Vec<(char, u32)> = all.gone.iter().copied().collect();
    let wanted = [('C', 20), ('C', 22), ('C', 24), ('C', 40), ('D', 30), ('G', 50), ('R', 10), ('R', 13), ('S', 60), ('W', 70), ('W', 71)];
    assert_eq!(gone, wanted);
    assert_eq!((all.checks.get(&1), all.checks.len()), (Some(&2), 1));
    assert_eq!((&all.copied, &all.defaulted), (&of(&[1, 2]), &of(&[20001])));
    assert_eq!(all.missing, BTreeMap::from([(1, of(&[1]))]));
}

#[test]
fn bounds_by_tenant_are_not_shown() {
    let all = concealed(
        &["K|1|1|6|LIST (org)", "K|2|2|0|HASH (org)", "K|5|5|0|RANGE (created)"],
        &["I|5|R|1||0", "I|6|R|1||0", "I|7|R|5||0", "I|8|R|2||0"],
        &[],
    );
    assert_eq!((&all.bounds, &all.bounded), (&of(&[5]), &of(&[5, 6, 7])));
    assert!(concealed(&["K|1|1|0|RANGE (created)"], &["I|5|R|1||0"], &[]).bounded.is_empty());
}

#[test]
fn the_catalogs_are_read_without_it() {
    let all = concealed(&["C|22|1|0|(org = 'a')", "K|1|1|6|LIST (org)", "M|1|1|1|"], &["I|5|R|1||0", "I|6|R|1||0"], &[]);
    for (name, arguments, wanted) in [
        ("unbounded", "a", "NOT a OPERATOR(pg_catalog.=) ANY ('{5,6}'::pg_catalog.oid[])"),
        ("bound", "a, b, c", "CASE WHEN a OPERATOR(pg_catalog.=) ANY ('{5}'::pg_catalog.oid[]) THEN c ELSE b END"),
        ("default", "a, b, c", "b"),
        (
            "checks",
            "a, b",
            "CASE WHEN a OPERATOR(pg_catalog.=) ANY ('{1}'::pg_catalog.oid[]) THEN (b OPERATOR(pg_catalog.-) 1)::pg_catalog.int2 ELSE b END",
        ),
        (
            "present",
            "a, b",
            "(SELECT b WHERE true AND NOT (attnum OPERATOR(pg_catalog.=) 1 AND a OPERATOR(pg_catalog.=) ANY ('{1}'::pg_catalog.oid[])))",
        ),
    ] {
        assert_eq!(all.expansion(name, arguments).as_deref(), Some(wanted), "{name}");
    }
}
