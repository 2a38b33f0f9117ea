//! Which types a client may declare its parameters as, by number. The server reads a value of any type there is: a row type's tells the names
//! and types of its columns, an enum's its labels, and regclass and its kin, alone or inside another, look up what the value names.

use super::super::Catalog;
use super::super::catalog::{Row, number, text};
use super::FIRST_USER_OID;
use std::collections::HashSet;

/// pg_type.oid of the built-in types that a tenant may name, and of arrays of them (pg_type.dat); 705 (unknown) is as if none were declared, 2278
/// (void) is what a JDBC driver declares an OUT parameter as.
const BUILT_IN: &[u32] = &[
    16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27, 28, 29, 30, 114, 142, 143, 199, 271, 600, 601, 602, 603, 604, 628, 629, 650, 651, 700, 701,
    705, 718, 719, 774, 775, 790, 791, 829, 869, 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016,
    1017, 1018, 1019, 1020, 1021, 1022, 1027, 1028, 1040, 1041, 1042, 1043, 1082, 1083, 1114, 1115, 1182, 1183, 1184, 1185, 1186, 1187,
    1231, 1266, 1270, 1560, 1561, 1562, 1563, 1700, 1790, 2201, 2278, 2949, 2950, 2951, 2970, 3220, 3221, 3614, 3615, 3643, 3645, 3802,
    3807, 3904, 3905, 3906, 3907, 3908, 3909, 3910, 3911, 3912, 3913, 3926, 3927, 4072, 4073, 4451, 4532, 4533, 4534, 4535, 4536, 5038,
    5039, 5069, 6150, 6151, 6152, 6153, 6155, 6157,
];

impl Catalog {
    /// Whether a client may declare a parameter as of this type; 0 is none.
    pub fn takes_parameters_of(&self, type_oid: u32) -> bool {
        type_oid == 0 || is_built_in(type_oid) || self.parameter_types.contains(&type_oid)
    }

    /// Takes the numbers of the types, and of arrays of them, from rows of the types that a tenant may name. Those of rows are none of them.
    pub(in crate::sql) fn read_parameter_types(&mut self, types: &[&Row]) {
        let values = types.iter().filter(|row| number(row, 6) == 0);
        self.parameter_types = values.flat_map(|row| [number(row, 3), number(row, 11)]).filter(|oid| *oid != 0).collect();
    }
}

/// Whether this is a built-in type that a tenant may name, or an array of one.
pub fn is_built_in(type_oid: u32) -> bool {
    BUILT_IN.binary_search(&type_oid).is_ok()
}

/// The types, by number, in which something looks names up, or may: they hold what is not known here.
pub(in crate::sql) fn looking_names_up(types: &[Row]) -> HashSet<u32> {
    let arrays = types.iter().map(|row| (number(row, 11), number(row, 3))).filter(|(array, _)| *array != 0);
    let members = |row: &Row| text(row, 12).split(' ').filter_map(|oid| oid.parse().ok()).collect::<Vec<u32>>();
    let parts = types.iter().map(|row| (number(row, 3), members(row))).chain(arrays.map(|(array, of)| (array, vec![of])));
    let parts: Vec<(u32, Vec<u32>)> = parts.collect();
    let known: HashSet<u32> = parts.iter().map(|(of, _)| *of).collect();
    let looks = |oid: u32| if oid < FIRST_USER_OID { !is_built_in(oid) } else { !known.contains(&oid) };
    let mut found: HashSet<u32> = HashSet::new();
    loop {
        let more: Vec<u32> = parts
            .iter()
            .filter(|(of, inner)| !found.contains(of) && inner.iter().any(|oid| looks(*oid) || found.contains(oid)))
            .map(|(of, _)| *of)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
