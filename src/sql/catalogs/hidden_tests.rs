//! What is taken out of definitions, and how catalogs are read without it.

use super::*;

#[test]
fn a_name_is_cut_out_of_lists() {
    for (text, wanted) in [
        ("PRIMARY KEY (org_id, id)", Some("PRIMARY KEY (id)")),
        ("UNIQUE (id, org_id)", Some("UNIQUE (id)")),
        ("UNIQUE (a, org_id, b)", Some("UNIQUE (a, b)")),
        ("FOREIGN KEY (org_id, a) REFERENCES t(org_id, id) ON DELETE CASCADE", Some("FOREIGN KEY (a) REFERENCES t(id) ON DELETE CASCADE")),
        ("CREATE INDEX t_org_id_a ON public.t USING btree (org_id, a)", Some("CREATE INDEX t_org_id_a ON public.t USING btree (a)")),
        ("PRIMARY KEY (org_id)", None),
        ("CREATE INDEX i ON public.t USING btree (org_id DESC, a)", None),
        ("CREATE INDEX i ON public.t USING btree (a) WHERE (org_id = 'x'::text)", None),
        ("CHECK ((org_id <> ''::text))", None),
    ] {
        assert_eq!(cut(text, "org_id").as_deref(), wanted, "{text}");
    }
    assert_eq!(cut("PRIMARY KEY (\"Org\", id)", "Org").as_deref(), Some("PRIMARY KEY (id)"));
    assert!(!mentions("my_org_id, org_ids", "org_id") && mentions("a.org_id=1", "org_id"));
}

fn concealed(parts: &[&str]) -> Concealed {
    let row = |line: &str| line.split('|').map(|v| Some(v.to_owned())).collect::<Vec<_>>();
    let columns = ["1|id|||||||||1", "1|org_id|||||||||2", "2|org_id|||||||||1", "3|org_id|||||||||1"].map(row).to_vec();
    let edges = ["U|90|R|1", "U|91|R|3"].map(row).to_vec();
    let answers = HashMap::from([("columns", columns), ("edges", edges), ("parts", parts.iter().map(|l| row(l)).collect())]);
    Concealed::read(&answers, &[(1, "org_id".into()), (2, "org_id".into())])
}

#[test]
fn what_says_the_name_is_gone_and_the_rest_is_cut() {
    let all = concealed(&[
        "R|10|1|2 1|0||CREATE INDEX a ON t USING btree (org_id, id)",
        "R|11|1|2|0||CREATE INDEX b ON t USING btree (org_id)",
        "R|12|1|1 2|0||CREATE INDEX c ON t USING btree (id) INCLUDE (org_id)",
        "R|13|1|1|0||CREATE INDEX d ON t USING btree (id)",
        "R|14|3|1 2|0||CREATE INDEX e ON visible USING btree (org_id, id)",
        "C|20|2|1 2|1|2 1|FOREIGN KEY (org_id, n) REFERENCES t(org_id, id)",
        "C|21|2|1|9|1|FOREIGN KEY (org_id) REFERENCES orgs(id)",
        "C|22|1|1 2|0||CHECK ((org_id <> id))",
        "C|23|3|1 2|1|2 1|FOREIGN KEY (org_id, n) REFERENCES t(org_id, id)",
        "C|24|1|1|0||CHECK ((id > 0))",
        "D|30|1|2|0||'x'::text",
        "G|40|1||0||CREATE TRIGGER g BEFORE UPDATE OF org_id ON t EXECUTE FUNCTION f()",
        "G|41|1||0||CREATE TRIGGER h BEFORE UPDATE ON t EXECUTE FUNCTION f()",
        "W|90|50||0||SELECT t.org_id FROM t",
        "W|91|51||0||SELECT v.org_id FROM visible v",
        "K|1|1||0||HASH (org_id)",
    ]);
    let gone: Vec<u32> = all.gone.iter().map(|(_, oid)| *oid).collect();
    assert_eq!(gone, [21, 22, 23, 30, 40, 11, 12, 90]);
    let of = |oids: &[u32]| oids.iter().copied().collect::<BTreeSet<u32>>();
    assert_eq!((all.names.get("org_id"), all.parts.get("org_id")), (Some(&of(&[1, 2, 50])), Some(&of(&[10]))));
    assert_eq!((all.positions.get(&1), all.own.get(&1), all.theirs.get(&2)), (Some(&of(&[10])), Some(&of(&[20])), Some(&of(&[20]))));
    assert_eq!(all.checks.get(&1), Some(&1));
    assert_eq!((all.parted, all.numbers.get(&2)), (of(&[1]), Some(&of(&[1]))));
    assert!(Concealed::read(&HashMap::new(), &[]).is_empty());
}

#[test]
fn where_nothing_is_hidden_nothing_is_written() {
    let none = Concealed::default();
    for (name, arguments, wanted) in [
        ("col", "a, b", "true"),
        ("sub", "a, b", "true"),
        ("dropped", "a, b, c", "b"),
        ("present", "a, b", "b"),
        ("attnum", "a, b", "b"),
        ("vector", "a, b, oid, oidvector", "b"),
        ("indexdef", "a, f(a, b)", "f(a, b)"),
        ("said", "a, b, c", "b"),
        ("whole", "a", "true"),
        ("unbounded", "a", "true"),
        ("bound", "a, b, c", "b"),
        ("default", "a, b, c", "b"),
        ("checks", "a, b", "b"),
    ] {
        assert_eq!(none.expansion(name, arguments).as_deref(), Some(wanted), "{name}");
    }
    assert_eq!(none.expansion("nothing", "a"), None);
    assert_eq!(split("$1, f(a, b), '{1,2}'"), ["$1", "f(a, b)", "'{1,2}'"]);
}
