//! Which expressions speak of other tenants.

use super::*;

fn of(expression: &str) -> bool {
    tells(&format!("SELECT {expression}"), &BTreeSet::from(["org", "Te\"nant"]))
}

#[test]
fn a_literal_beside_the_column_tells() {
    for expression in [
        "(org = 'globex'::text)",
        "(org = ANY (ARRAY['acme'::text, 'globex'::text]))",
        "((org)::text = ANY ((ARRAY['acme'::character varying])::text[]))",
        "(n > 1) AND ((org)::text ~~ 'glo%'::text)",
        "(org = 7)",
        "(\"Te\"\"nant\" = 'x'::text)",
        "CASE WHEN (org = 'globex'::text) THEN 1 ELSE 2 END",
        "COALESCE(org, 'globex'::text)",
        "lower(org), ((org || '-'::text) = 'globex-'::text)",
        "(orders.* IS DISTINCT FROM ROW('globex'::text, 1))",
        "starts_with(org, 'glo'::text)",
        "(org = current_setting('x'::text)) OR (org = 'globex'::text)",
        "nothing that can be read",
    ] {
        assert!(of(expression), "{expression}");
    }
    for expression in [
        "(org <> ''::text)",
        "(org IS NOT NULL) AND (n > 1)",
        "(org = current_setting('partywall.tenant'::text, true))",
        "((org || '/'::text) || n)",
        "((org)::character varying(20))",
        "lower(org), n + 1",
        "(status = ANY (ARRAY['org'::text, 'globex'::text]))",
    ] {
        assert!(!of(expression), "{expression}");
    }
    assert!(has_literal("'globex'::text") && has_literal("7") && has_literal("upper('x'::text)"));
    assert!(
        !has_literal("current_setting('partywall.tenant'::text)") && !has_literal("NULL::character varying(8)") && !has_literal("''::text")
    );
}

#[test]
fn names_stand_for_what_they_are_given_to() {
    let columns = BTreeSet::from(["org"]);
    for query in [
        "SELECT s.t FROM (SELECT o.org AS t FROM public.o) s WHERE (s.t = 'globex'::text)",
        "SELECT o.t FROM public.o o(t, id) WHERE (o.t = 'globex'::text)",
        "WITH c(t) AS (SELECT o.org FROM public.o) SELECT c.t FROM c WHERE (c.t = 'globex'::text)",
        "SELECT o.id FROM (public.o JOIN ( VALUES ('globex'::text)) v(t) ON ((o.org = v.t)))",
        "SELECT o.id FROM (public.o JOIN ( VALUES ('globex'::text)) v(org) USING (org))",
        "SELECT o.id FROM public.o WHERE (o.org IN ( SELECT 'globex'::text AS text))",
        "SELECT o.id FROM public.o WHERE (o.org = ( SELECT x.y FROM ( SELECT 'globex'::text AS y) x))",
        "CREATE TRIGGER g BEFORE INSERT ON public.o FOR EACH ROW WHEN ((new.org = 'globex'::text)) EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON DELETE TO public.o WHERE (old.org = 'globex'::text) DO INSTEAD NOTHING",
        "CREATE STATISTICS s ON ((org = 'globex'::text)) FROM o",
    ] {
        assert!(tells(query, &columns), "{query}");
    }
    for query in [
        "SELECT o.org, o.id, 'x'::text AS kind FROM public.o WHERE (o.status = 'open'::text) LIMIT 5",
        "SELECT o.org, unnest.t FROM public.o, LATERAL unnest(o.tags) unnest(t) WHERE (unnest.t = 'open'::text)",
        "SELECT o.id FROM public.o WHERE (EXISTS ( SELECT 1 FROM public.i WHERE ((i.org = o.org) AND (i.kind = 'x'::text))))",
        "SELECT o.org, count(*) FILTER (WHERE (o.status = 'open'::text)) AS n FROM public.o GROUP BY o.org",
        "CREATE TRIGGER g BEFORE INSERT ON public.o FOR EACH ROW WHEN ((new.status = 'x'::text)) EXECUTE FUNCTION f('globex')",
    ] {
        assert!(!tells(query, &columns), "{query}");
    }
}

#[test]
fn keys_of_partitions() {
    let columns = BTreeSet::from(["org"]);
    for key in ["LIST (org)", "RANGE (created, org)", "LIST (lower(org))", "LIST (org COLLATE \"C\" text_pattern_ops)", "what is that"] {
        assert!(is_keyed_by(key, &columns), "{key}");
    }
    assert!(!is_keyed_by("RANGE (created)", &columns) && !is_keyed_by("LIST (((n + 1)))", &columns));
}
