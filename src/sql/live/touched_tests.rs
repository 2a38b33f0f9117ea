//! What functions in SQL and PL/pgSQL name.

use super::*;

/// `r:` read, `w:` written, `c:` called, other statements, `dynamic`, `unreadable`.
fn shown(touched: &Touched) -> String {
    let full = |(schema, name): &Name| if schema.is_empty() { name.clone() } else { format!("{schema}.{name}") };
    let mut all: Vec<String> = Vec::new();
    for (mark, names) in [("r", &touched.reads), ("w", &touched.writes), ("c", &touched.calls)] {
        all.extend(names.iter().map(|n| format!("{mark}:{}", full(n))));
    }
    all.extend(touched.others.iter().cloned());
    all.extend(touched.dynamic.then(|| "dynamic".to_owned()));
    all.extend(touched.unreadable.then(|| "unreadable".to_owned()));
    all.join(" ")
}

#[test]
fn functions_in_sql_name_what_they_name() {
    for (body, wanted) in [
        ("AS 'SELECT 1'", ""),
        ("AS 'SELECT count(*) FROM orders'", "r:orders c:count"),
        ("AS $$ WITH a AS (DELETE FROM s.t WHERE f(x) RETURNING *) INSERT INTO u SELECT * FROM a $$", "r:a w:u w:s.t c:f"),
        ("AS 'UPDATE t SET x = (SELECT max(y) FROM public.u) FROM v; NOTIFY a; SELECT 1'", "r:v r:public.u w:t c:max NotifyStmt"),
        ("BEGIN ATOMIC SELECT public.g(1) FROM public.orders; INSERT INTO a VALUES (1); END", "r:public.orders w:a c:public.g"),
        ("RETURN (SELECT id FROM public.orders LIMIT 1)", "r:public.orders"),
        ("AS 'SELECT FROM WHERE'", "unreadable"),
        ("AS 'TABLE secret'", "r:secret"),
        ("AS 'MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE'", "r:s w:t"),
    ] {
        let text = format!("CREATE FUNCTION public.f(x integer) RETURNS integer LANGUAGE sql {body}");
        assert_eq!(shown(&Touched::of_function("sql", &text)), wanted, "{body}");
    }
}

#[test]
fn functions_in_plpgsql_name_what_they_name() {
    for (body, wanted) in [
        ("BEGIN RETURN NEW; END", ""),
        ("BEGIN NEW.at := now(); RETURN NEW; END", "c:now"),
        ("DECLARE n int := g(1); BEGIN n := (SELECT count(*) FROM orders); n = h(2); RETURN NEW; END", "r:orders c:count c:g c:h"),
        ("BEGIN INSERT INTO audit VALUES (NEW.id, k()); PERFORM pg_notify('a', 'b'); RETURN NEW; END", "w:audit c:k c:pg_notify"),
        ("DECLARE r record; BEGIN FOR r IN SELECT * FROM a.b LOOP NULL; END LOOP; RETURN NEW; END", "r:a.b"),
        ("BEGIN EXECUTE format('DELETE FROM %I', TG_TABLE_NAME); RETURN NEW; END", "c:format dynamic"),
        ("DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; RETURN NEW; END", "dynamic"),
        ("BEGIN RETURN QUERY EXECUTE 'SELECT 1'; END", "dynamic"),
        ("BEGIN SET LOCAL work_mem = '1MB'; IF x(1) THEN RAISE EXCEPTION '%', y(2); END IF; RETURN NEW; END", "c:x c:y VariableSetStmt"),
        ("DECLARE c CURSOR FOR SELECT * FROM z; BEGIN OPEN c; RETURN NEW; EXCEPTION WHEN OTHERS THEN PERFORM w(); END", "r:z c:w"),
        (
            "DECLARE o public.orders%ROWTYPE; n orders.id%TYPE; a int[]; BEGIN SELECT * INTO o FROM orders WHERE id = NEW.id; a[1] := k(1); RETURN o; END",
            "r:orders c:k",
        ),
        ("BEGIN CASE NEW.a WHEN 1 THEN RETURN OLD; ELSE RAISE EXCEPTION USING MESSAGE = m(1); END CASE; END", "c:m"),
        ("BEGIN no sense; END", "unreadable"),
    ] {
        let returns = if body.contains("RETURN QUERY") { "SETOF integer" } else { "trigger" };
        let text = format!("CREATE FUNCTION public.f() RETURNS {returns} LANGUAGE plpgsql AS $x$ {body} $x$");
        assert_eq!(shown(&Touched::of_function("plpgsql", &text)), wanted, "{body}");
    }
    let event = "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO ddl VALUES (tg_tag); END'";
    assert_eq!(shown(&Touched::of_function("plpgsql", event)), "w:ddl");
    assert_eq!(shown(&Touched::of_function("c", "")), "unreadable");
}

#[test]
fn expressions_and_definitions_name_functions() {
    assert_eq!(shown(&Touched::of_expression("(public.f(a) > lower(b))")), "c:lower c:public.f");
    assert_eq!(
        shown(&Touched::of_statement("CREATE INDEX i ON public.t USING btree (public.f(a)) WHERE g(b)")),
        "r:public.t c:g c:public.f"
    );
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON public.t FOR EACH ROW WHEN (public.f(new.a)) EXECUTE FUNCTION public.g()";
    assert_eq!(shown(&Touched::of_statement(trigger)), "r:public.t c:public.f");
}
