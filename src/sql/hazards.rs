//! What makes an expression of this database fail that cannot fail elsewhere: domains, columns that are computed as they are read, types
//! whose values cannot be compared, collations that some functions do not take.

use super::catalog::{Column, Relation, number, text};
use super::functions;
use std::collections::{BTreeMap, BTreeSet};

/// Names, so that whoever names one by whatever way has to reckon with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hazards {
    /// Domains. A literal becomes a value of one as it is looked at, not as the statement is read (parse_coerce.c, coerce_to_domain).
    domains: BTreeSet<String>,
    /// All types of the database's own.
    own_types: BTreeSet<String>,
    /// Those of them that are no domains and no enums.
    composites: BTreeSet<String>,
    /// Listed columns whose values cannot be compared without a chance to fail.
    pub shapes: BTreeSet<String>,
    /// Listed columns that are expressions: GENERATED … VIRTUAL (PostgreSQL 18).
    pub computed: BTreeSet<String>,
    /// Listed columns, and domains, with a collation that is not the database's default: two such meet without one that is certain (42P22).
    collated: BTreeMap<String, BTreeSet<u32>>,
    /// A listed view's query chooses a collation.
    chosen: bool,
    /// A cast from or to a type of the database's own calls a function of its own, which may fail.
    pub casts: bool,
    /// Some collation of the database is not deterministic: patterns and searches fail on it (0A000).
    pub collations: bool,
}

impl Hazards {
    /// Notes a listed relation's columns.
    pub(super) fn note(&mut self, relation: &Relation) {
        let named = |wanted: fn(&Column) -> bool| relation.columns.iter().filter(move |c| wanted(c)).map(|c| c.name.clone());
        self.shapes.extend(named(|c| !c.comparable));
        self.computed.extend(named(|c| c.virtually));
        self.chosen |= relation.definition.as_ref().is_some_and(|d| d.contains("COLLATE"));
        for column in relation.columns.iter().filter(|c| c.collation != 0) {
            self.collated.entry(column.name.clone()).or_default().insert(column.collation);
        }
    }

    /// Notes types and collations, as the catalog's queries tell them.
    pub(super) fn read(&mut self, types: &[Vec<Option<String>>], collations: &[Vec<Option<String>>]) {
        self.domains.extend(types.iter().filter(|row| text(row, 8) == "t").map(|row| text(row, 0)));
        self.composites.extend(types.iter().filter(|row| text(row, 8) != "t" && text(row, 10) != "t").map(|row| text(row, 0)));
        self.own_types.extend(types.iter().map(|row| text(row, 0)));
        self.casts = types.iter().any(|row| text(row, 2) == "t");
        self.collations = !collations.is_empty();
        for row in types.iter().filter(|row| number(row, 9) != 0) {
            self.collated.entry(text(row, 0)).or_default().insert(number(row, 9));
        }
    }

    /// Whether a type by this name, the schema before it if there is one, may be a domain or an array of one.
    pub fn may_be_domain(&self, names: &[&str]) -> bool {
        let Some(name) = names.last() else { return true };
        names.first() == Some(&"information_schema") || self.domains.contains(*name) || self.domains.contains(name.trim_start_matches('_'))
    }

    /// Whether a word names what makes a shape: PostgreSQL's own, or a composite type of the database's.
    pub fn makes_shape(&self, name: &str) -> bool {
        makes_shape(name) || self.composites.contains(name) || self.composites.contains(name.trim_start_matches('_'))
    }

    /// Whether `x.name` may be a cast to a type of the database's own, or of information_schema's.
    pub fn is_own_type(&self, name: &str) -> bool {
        self.own_types.contains(name) || functions::is_information_domain(name)
    }

    /// Whether nothing in the database has a collation of its own.
    pub fn has_one_collation(&self) -> bool {
        self.collated.is_empty() && !self.chosen
    }

    /// The collations, beside the default, of columns or domains by this name.
    pub fn collations_of(&self, name: &str) -> impl Iterator<Item = u32> + '_ {
        self.collated.get(name).into_iter().flatten().copied()
    }

    /// Whether comparisons and what is computed of numbers are all that an operator of this name does.
    pub fn is_plain_operator(name: &str) -> bool {
        matches!(name, "=" | "<>" | "!=" | "<" | ">" | "<=" | ">=" | "+" | "-" | "*" | "/" | "%" | "||")
    }
}

/// Type `unknown`: what becomes of it is told by what stands beside it.
const UNKNOWN: u32 = 705;

/// The collation of type `name` (pg_collation.dat).
pub const C_COLLATION: u32 = 950;

/// Types of pg_catalog whose values are compared without a chance to fail, or that have no comparison at all, which is found as a statement is
/// read; and arrays of those that have one.
const COMPARABLE: &[u32] = &[
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 114, 142, 650, 700, 701, 774, 790, 829, 869, 1042, 1043, 1082, 1083, 1114,
    1184, 1186, 1266, 1560, 1562, 1700, 2202, 2203, 2204, 2205, 2206, 2950, 3220, 3614, 3615, 3734, 3769, 3802, 3904, 3906, 3908, 3910,
    3912, 3926, 4089, 4096, 4191, 4451, 4532, 4533, 4534, 4535, 4536, 5069, // Arrays.
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1021, 1022, 1028, 1040, 1041, 1115,
    1182, 1183, 1185, 1187, 1231, 1270, 1561, 1563, 2207, 2208, 2209, 2210, 2211, 2951, 3221, 3643, 3645, 3735, 3770, 3807, 3905, 3907,
    3909, 3911, 3913, 3927, 4090, 4097, 4192, 6150, 6151, 6152, 6153, 6155, 6157, 271, 651, 775, 791, 1034,
];

/// Whether comparing values of a column cannot fail. `firm`: its type is not PostgreSQL's own, and known to be such (an enum, citext).
pub(super) fn is_comparable(type_oid: u32, firm: bool) -> bool {
    firm || COMPARABLE.contains(&type_oid)
}

/// Whether a type, or a function, by this name makes values that cannot be compared, alone or in arrays, without a chance to fail.
pub fn makes_shape(name: &str) -> bool {
    matches!(
        name,
        "bound_box"
            | "box"
            | "center"
            | "circle"
            | "diagonal"
            | "json"
            | "jsonpath"
            | "line"
            | "lseg"
            | "path"
            | "pclose"
            | "pg_snapshot"
            | "point"
            | "polygon"
            | "popen"
            | "refcursor"
            | "txid_snapshot"
            | "xml"
            | "xpath"
            | "_box"
            | "_circle"
            | "_json"
            | "_jsonpath"
            | "_line"
            | "_lseg"
            | "_path"
            | "_point"
            | "_polygon"
            | "_refcursor"
            | "_xml"
            | "record"
            | "_record"
            | "json_populate_record"
            | "json_populate_recordset"
            | "json_to_record"
            | "json_to_recordset"
            | "jsonb_populate_record"
            | "jsonb_populate_recordset"
            | "jsonb_to_record"
            | "jsonb_to_recordset"
            | "xmltable"
    )
}

/// Type `json`: what is taken out of a value may fail, for it was not looked into as it was read.
const JSON: u32 = 114;

/// Whether a parameter declared as of this type is certainly compared, and taken apart, without a chance to fail.
pub fn is_plain_parameter(type_oid: u32) -> bool {
    type_oid == 0 || (type_oid != JSON && is_comparable(type_oid, type_oid == UNKNOWN))
}

#[cfg(test)]
#[path = "hazards_tests.rs"]
pub(crate) mod tests;
