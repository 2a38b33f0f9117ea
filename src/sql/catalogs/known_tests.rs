//! What belongs to a listed relation is known, what does not is not.

use super::*;

fn edges(lines: &str) -> Vec<Vec<Option<String>>> {
    lines.lines().map(|l| l.split(' ').map(|w| Some(w.replace('~', ""))).collect()).collect()
}

#[test]
fn an_object_is_known_through_what_it_belongs_to() {
    let edges = edges(
        "R 20001 R 20000 ~ 0\nR 20002 D 20003 ~ 0\nD 20003 R 20000 ~ 0\nT 20004 R 20000 ~ 0\nT 20005 T 20004 ~ 0\nR 30001 R 30000 ~ 0\n\
         C 20006 R 20000 ~ 0\nC 20007 R 20000 R 30000\nC 20008 R 20000 R 20000\nG 20009 R 20000 P 30002\nG 20010 R 20000 C 20007\nG 20011 R 20000 P 100",
    );
    let known = Known::build(&[20000], &[], &[], &edges);
    for (set, oid, wanted) in [
        ("rel", 20000, true),
        ("rel", 20001, true),
        ("rel", 20002, true),
        ("rel", 30000, false),
        ("rel", 30001, false),
        ("rel", 1259, true),
        ("typ", 20005, true),
        ("con", 20006, true),
        ("con", 20007, false),
        ("con", 20008, true),
        ("trg", 20009, false),
        ("trg", 20010, false),
        ("trg", 20011, true),
    ] {
        assert_eq!(known.has(set, oid), wanted, "{set} {oid}");
    }
}

#[test]
fn a_view_that_names_something_unknown_keeps_its_text() {
    let edges =
        edges("W 21000 R 20000 ~ 0\nU 21000 R 20000 ~ 0\nU 21000 R 30000 ~ 0\nW 21001 R 20001 ~ 0\nU 21001 R 20000 ~ 0\nU 21001 P 88 ~ 0");
    let known = Known::build(&[20000, 20001], &[], &[], &edges);
    assert!(known.has("view", 20001) && !known.has("view", 20000));
    assert!(known.has("rule", 21001) && !known.has("rule", 21000));
}

#[test]
fn a_partition_of_something_unknown_is_not_rooted() {
    let edges = edges("I 20000 R 30000 ~ 0\nI 20001 R 20000 ~ 0\nI 20003 R 20002 ~ 0");
    let known = Known::build(&[20000, 20001, 20002, 20003], &[], &[], &edges);
    let rooted: Vec<bool> = [20000, 20001, 20002, 20003].iter().map(|oid| known.has("rooted", *oid)).collect();
    assert_eq!(rooted, [false, false, true, true]);
}
