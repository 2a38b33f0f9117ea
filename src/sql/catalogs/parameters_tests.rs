//! Types of parameters by their numbers.
use super::*;

fn row(name: &str, oid: u32, rows_of: u32, array: u32, members: &str) -> Vec<Option<String>> {
    let mut row = vec![Some(name.to_owned()), Some("public".into()), None, Some(oid.to_string()), None, None, Some(rows_of.to_string())];
    row.extend([None, None, None, None, Some(array.to_string()), Some(members.to_owned())]);
    row
}

#[test]
fn the_list_is_sorted_and_looks_no_names_up() {
    assert!(BUILT_IN.windows(2).all(|pair| pair[0] < pair[1]));
    let looking =
        [24, 1008, 1033, 1034, 2202, 2203, 2204, 2205, 2206, 2207, 2211, 3734, 3735, 3769, 3770, 4089, 4090, 4096, 4097, 4191, 4192];
    assert!(looking.iter().all(|oid| !is_built_in(*oid)));
    // Row types of catalogs, pseudo-types.
    assert!([71, 75, 81, 83, 210, 2249, 2275, 2276, 2281, 2287, 10_000, 12_345].iter().all(|oid| !is_built_in(*oid)));
    assert!([23, 25, 1007, 1043, 2950, 3802].iter().all(|oid| is_built_in(*oid)));
}

#[test]
fn what_holds_a_type_that_looks_names_up_does_so_too() {
    let types = [
        row("mood", 20_000, 0, 20_001, ""),
        row("posint", 20_010, 0, 20_011, "23"),
        row("table_name", 20_020, 0, 20_021, "2205"),
        row("pair", 20_030, 20_029, 20_031, "25 20021"),
        row("of_pairs", 20_040, 20_039, 20_041, "20030"),
        row("of_a_table", 20_050, 20_049, 20_051, "23 30000"),
        row("moods", 20_060, 20_059, 20_061, "20001 20010"),
    ];
    let found = looking_names_up(&types);
    for (oid, looks) in [(20_000, false), (20_010, false), (20_020, true), (20_030, true), (20_040, true), (20_050, true), (20_060, false)]
    {
        assert_eq!(found.contains(&oid), looks, "{oid}");
    }
}

#[test]
fn a_parameter_is_of_a_type_that_the_tenant_may_name() {
    let mut catalog = Catalog::default();
    let (mood, moods) = (row("mood", 20_000, 0, 20_001, ""), row("moods", 20_060, 20_059, 20_061, "20001"));
    catalog.read_parameter_types(&[&mood, &moods]);
    assert!([0, 23, 705, 20_000, 20_001].iter().all(|oid| catalog.takes_parameters_of(*oid)));
    assert!([2205, 83, 20_060, 20_061, 20_002, u32::MAX].iter().all(|oid| !catalog.takes_parameters_of(*oid)));
}
