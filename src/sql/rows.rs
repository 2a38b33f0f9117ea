//! Which of a statement's output columns are the wall's own: tenant columns, checked in each row and never shown.

use crate::policy::TenantId;

/// What the names of added columns begin with; a text that holds it gets none.
pub const NAME: &str = "partywall row";

/// The name of the added column with this index.
pub fn column_name(index: usize) -> String {
    format!("{NAME} {index}")
}

/// An added column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its type; of a domain the base.
    pub type_oid: u32,
    /// NULL where an outer join made the row up.
    pub nullable: bool,
}

/// How much of what a statement returns is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// It returns nothing of a scoped relation.
    #[default]
    Nothing,
    /// Each scoped relation that it names is checked in each row.
    Whole,
    /// Some are.
    Part,
    /// None is.
    Unchecked,
}

impl Coverage {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Whole => "whole",
            Self::Part => "part",
            Self::Unchecked => "unchecked",
        }
    }
}

/// What is checked in the rows of one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowCheck {
    /// The added columns, the last ones of each row.
    pub columns: Vec<Checked>,
    /// How much that is.
    pub coverage: Coverage,
    /// Columns that are records upstream and rows of a table for the client.
    pub row_types: Vec<RowType>,
}

/// A column that is a row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowType {
    /// Which column, from 0 on.
    pub place: usize,
    /// pg_class.oid
    pub table: u32,
    /// pg_class.reltype
    pub row_type: u32,
}

impl Checked {
    /// Is this value, of format 0 (text) or 1 (binary), the tenant's own?
    pub fn is_own(&self, value: Option<&[u8]>, format: u16, tenant: &TenantId) -> bool {
        match value {
            None => self.nullable,
            Some(value) => same(value, format, self.type_oid, tenant) || (format == 0 && self.means(value, tenant.as_str())),
        }
    }

    /// The server prints a number or uuid in its one form, whatever form the id has.
    fn means(&self, value: &[u8], id: &str) -> bool {
        let Ok(value) = std::str::from_utf8(value) else { return false };
        match self.type_oid {
            oid::INT2 | oid::INT4 | oid::INT8 => value.parse::<i64>().is_ok_and(|n| id.parse() == Ok(n)),
            oid::UUID => uuid(value).is_some_and(|n| uuid(id) == Some(n)),
            _ => false,
        }
    }
}

pub mod oid {
    //! pg_type.oid of the types that an id may have.
    /// name
    pub const NAME: u32 = 19;
    /// int8
    pub const INT8: u32 = 20;
    /// int2
    pub const INT2: u32 = 21;
    /// int4
    pub const INT4: u32 = 23;
    /// text
    pub const TEXT: u32 = 25;
    /// unknown
    pub const UNKNOWN: u32 = 705;
    /// bpchar
    pub const BPCHAR: u32 = 1042;
    /// varchar
    pub const VARCHAR: u32 = 1043;
    /// uuid
    pub const UUID: u32 = 2950;
}

/// Does a value of this type and format (0 text, 1 binary) say what the tenant's id says?
pub fn same(value: &[u8], format: u16, type_oid: u32, tenant: &TenantId) -> bool {
    let id = tenant.as_str();
    if format == 0 {
        return value == id.as_bytes();
    }
    match type_oid {
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN => value == id.as_bytes(),
        oid::INT2 => id.parse::<i16>().is_ok_and(|n| value == n.to_be_bytes()),
        oid::INT4 => id.parse::<i32>().is_ok_and(|n| value == n.to_be_bytes()),
        oid::INT8 => id.parse::<i64>().is_ok_and(|n| value == n.to_be_bytes()),
        oid::UUID => uuid(id).is_some_and(|n| value == n.to_be_bytes()),
        _ => false,
    }
}

/// The canonical form, 8-4-4-4-12 hex digits.
fn uuid(id: &str) -> Option<u128> {
    let digits: String = id.split('-').collect();
    let shaped = id.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    shaped.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
