//! How answers and statements are laid out.

use super::*;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn tables_are_aligned_and_numbers_stand_right() {
    let laid = table(&lines("id|name\n1|Marvin\n100|Bo\nINSERT 0 2"));
    assert_eq!(laid, [" id  name", "───  ──────", "  1  Marvin", "100  Bo", "INSERT 0 2"]);
}

#[test]
fn one_column_stays_as_it_is() {
    assert_eq!(table(&lines("count\n0")), ["count", "0"]);
    assert_eq!(table(&lines("ERROR:  a | b")), ["ERROR:  a | b"]);
}

#[test]
fn long_statements_break_before_clauses() {
    let sql = "SELECT a FROM t JOIN u ON t.id = u.id WHERE t.x = 1";
    assert_eq!(broken(sql, 200), [sql]);
    assert_eq!(broken(sql, 30), ["SELECT a", "FROM t", "JOIN u ON t.id = u.id", "WHERE t.x = 1"]);
    assert_eq!(broken(sql, 30).join(" "), sql);
}
