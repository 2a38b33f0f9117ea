//! Where constants stand, and what has no shape.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

/// `text | letters` of a shape; `-` for none.
fn seen(sql: &str) -> String {
    shape(sql).map_or_else(|| "-".to_owned(), |s| s.key.replace('\0', " | "))
}

#[test]
fn constants_are_taken_out_by_their_class() {
    for (sql, wanted) in [
        ("SELECT a FROM t WHERE id = 7", "SELECT a FROM t WHERE id = $1 | i"),
        ("SELECT 0, 12345678901, 1.50, 'it''s', 'a\\b'", "SELECT $1, $2, $3, $4, $5 | ildte"),
        ("UPDATE t SET a = a + -5 WHERE id=-7 AND x<-1.5", "UPDATE t SET a = a + $1 WHERE id=$2 AND x<$3 | nnm"),
        ("VALUES (-1, -2), (3, '')", "VALUES ($1, $2), ($3, $4) | nnit"),
        ("SELECT a-1, a -2, a - 3, (1) -4, 5 -6", "SELECT a-$1, a -$2, a - $3, ($4) -$5, $6 -$7 | iiiiiii"),
        ("SELECT a->'k'->>-1 FROM t", "SELECT a->$1->>-$2 FROM t | ti"),
        ("SELECT \"it''s\", t1.c2 FROM x9 LIMIT 10 ;\n", "SELECT \"it''s\", t1.c2 FROM x9 LIMIT $1 ;\n | i"),
        (
            "SELECT x FROM t WHERE a IN (1,2) ORDER BY 1, 2 DESC LIMIT 3",
            "SELECT x FROM t WHERE a IN ($1,$2) ORDER BY 1, 2 DESC LIMIT $3 | iii",
        ),
        (
            "SELECT max(a) FROM t GROUP BY f(x ORDER BY 1), 2 HAVING a > 3",
            "SELECT max(a) FROM t GROUP BY f(x ORDER BY 1), 2 HAVING a > $1 | i",
        ),
        ("SELECT (SELECT b FROM u ORDER BY 1), 5", "SELECT (SELECT b FROM u ORDER BY 1), $1 | i"),
        ("SELECT 'größe' AS größe", "SELECT $1 AS größe | t"),
    ] {
        assert_eq!(seen(sql), wanted, "{sql}");
    }
}

#[test]
fn what_is_not_certain_has_no_shape() {
    for sql in [
        "SELECT a FROM t",
        "SELECT 1; SELECT 2",
        "SELECT 1 -- x",
        "SELECT 1 /* x */",
        "SELECT $1 + 1",
        "SELECT $$x$$, 1",
        "SELECT E'x', 1",
        "SELECT u&'x', 1",
        "SELECT U&\"x\", 1",
        "SELECT B'1'",
        "SELECT x'1f'",
        "SELECT 'a' 'b'",
        "SELECT 'a'\n'b'",
        "SELECT 0x1f",
        "SELECT 1_000",
        "SELECT 1e5",
        "SELECT 1.5e5",
        "SELECT .5",
        "SELECT 5.",
        "SELECT 007",
        "SELECT 1234567890",
        "SELECT 12345678901234567890",
        "SELECT -0",
        "SELECT 1a",
        "SELECT 1, 'open",
        "SELECT 1, \"open",
        "SELECT 1)",
        "SELECT 'a\0b'",
        "SELECT 1 WHERE a = \\d",
    ] {
        // An unsigned zero behind a sign is a constant of its own.
        let wanted = if sql == "SELECT -0" { "SELECT -$1 | i" } else { "-" };
        assert_eq!(seen(sql), wanted, "{sql}");
    }
}

#[test]
fn a_place_in_the_shape_is_one_in_the_text() {
    let sql = "SELECT 12345, 'abc', x FROM t WHERE y = -9 AND z";
    let shape = shape(sql).unwrap();
    let place = |word: &str| shape.place(shape.text().find(word).unwrap()).unwrap();
    assert_eq!(place("SELECT"), 0);
    assert_eq!(place("$1"), sql.find("12345").unwrap());
    assert_eq!(place("$2"), sql.find("'abc'").unwrap());
    assert_eq!(place("x FROM"), sql.find("x FROM").unwrap());
    assert_eq!(place("$3"), sql.find("-9").unwrap());
    assert_eq!(place("z"), sql.len() - 1);
    assert_eq!(shape.place(8), None, "inside a parameter");
}

#[test]
fn a_constant_is_printed_so_that_it_reads_the_same() {
    let sql = "SELECT 'it''s', 'a\\''b', -5";
    let shape = shape(sql).unwrap();
    let printed: Vec<_> = shape.literals.iter().map(|l| l.printed(sql).into_owned()).collect();
    assert_eq!(printed, ["'it''s'", " E'a\\\\''b'", "-5"]);
    let values: Vec<_> = shape.literals.iter().map(|l| l.value(sql).into_owned()).collect();
    assert_eq!(values, ["it's", "a\\'b", "-5"]);
}
