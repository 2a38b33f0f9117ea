//! Types of a schema file: of built-in ones what the server would tell, of its own what stands there.

use crate::sql::{conversions, functions, hazards, nodes};
use pg_query::protobuf::TypeName;

/// Built-in types by the names that the parser gives them; any other type has OID 0, which is no tenant column's.
const TYPES: &[(&str, u32)] = &[
    ("int2", 21),
    ("int4", 23),
    ("int8", 20),
    ("text", 25),
    ("varchar", 1043),
    ("uuid", 2950),
    ("smallserial", 21),
    ("serial", 23),
    ("bigserial", 20),
    ("bool", 16),
    ("bpchar", 1042),
    ("numeric", 1700),
    ("float4", 700),
    ("float8", 701),
    ("date", 1082),
    ("timestamp", 1114),
    ("timestamptz", 1184),
    ("json", 114),
    ("jsonb", 3802),
    ("bytea", 17),
];

/// An enum or a domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) schema: String,
    pub(super) name: String,
    /// A domain: the OID of its base.
    pub(super) base: Option<u32>,
    /// A domain's own collation.
    pub(super) collation: Option<String>,
    /// Comparing its values cannot fail.
    pub(super) comparable: bool,
}

impl Named {
    /// Of this qualified name.
    pub(super) fn of((schema, name): (String, String)) -> Self {
        Self { schema, name, base: None, collation: None, comparable: true }
    }
}

/// The OID of a type, a domain's base's; 0 of one that is not known.
pub(super) fn oid(own: &[Named], name: &TypeName) -> u32 {
    let Some((_, base)) = nodes::qualified(&name.names).filter(|_| name.array_bounds.is_empty()) else { return 0 };
    let built_in = TYPES.iter().chain(conversions::SHAPES_BY_NAME).find(|(n, _)| *n == base).map(|(_, oid)| *oid);
    built_in.or_else(|| find(own, &base)?.base).unwrap_or(0)
}

/// Whether comparing values of a type cannot fail.
pub(super) fn is_comparable(own: &[Named], name: &TypeName) -> bool {
    let Some((_, base)) = nodes::qualified(&name.names) else { return false };
    let array = !name.array_bounds.is_empty();
    match find(own, &base) {
        Some(named) => named.comparable,
        None if conversions::SHAPES_BY_NAME.iter().any(|(shape, _)| *shape == base) || (array && hazards::makes_shape(&base)) => false,
        None => functions::is_type(&base) || base.ends_with("serial") || matches!(base.as_str(), "citext" | "hstore" | "ltree"),
    }
}

/// The collation that a domain of this name brings.
pub(super) fn collation<'t>(own: &'t [Named], name: &TypeName) -> Option<&'t String> {
    find(own, &nodes::qualified(&name.names)?.1)?.collation.as_ref()
}

fn find<'t>(own: &'t [Named], name: &str) -> Option<&'t Named> {
    own.iter().find(|named| named.name == name)
}

/// A number for a collation, as the server has one for each; nothing for the database's default.
pub(super) fn collation_number(name: Option<&str>) -> String {
    match name {
        None | Some("default") => String::new(),
        Some("C") => hazards::C_COLLATION.to_string(),
        // Others are told apart by their names.
        Some(name) => name.bytes().fold(16384_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)) | 16384).to_string(),
    }
}
