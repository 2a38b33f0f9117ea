//! Ids of tenants where the tenant column holds numbers or UUIDs: texts that differ may be one value there (`7` and `07`).

use super::{Catalog, Refusal};
use crate::policy::{TableRule, TenantId};

const NUMBERS: [u32; 3] = [20, 21, 23];
const UUID: u32 = 2950;

impl Catalog {
    /// Takes note of the types of listed tenant columns.
    pub(super) fn read_ids(&mut self) {
        let scoped = self.relations.values().filter_map(|r| match &r.rule {
            TableRule::Scoped { column, .. } => r.column(column).or(r.hidden.as_ref().map(|(_, c)| c)).map(|c| c.type_oid),
            _ => None,
        });
        let types: Vec<u32> = scoped.collect();
        self.ids = Ids { numbers: types.iter().any(|t| NUMBERS.contains(t)), uuids: types.contains(&UUID) };
    }

    /// Whether the id is the one text for what the tenant columns hold. Errors: 42501, where another tenant's id may mean the same value.
    pub(super) fn takes_tenant(&self, tenant: &TenantId) -> Result<(), Refusal> {
        let id = tenant.as_str();
        let number = self.ids.numbers && may_be_number(id) && !is_one_number(id);
        if number || (self.ids.uuids && may_be_uuid(id) && !is_one_uuid(id)) {
            return Err(Refusal::not_allowed("this tenant id is not written as the tenant column's type writes it")
                .detail("Ids that differ as text would be one value in the column.")
                .hint("Numbers go without leading zeros and signs; UUIDs in lower case, with hyphens."));
        }
        Ok(())
    }
}

/// Which types listed tenant columns have, beside text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ids {
    numbers: bool,
    uuids: bool,
}

/// Whether a column of numbers may take it (int8in; since PostgreSQL 16 also `0x7` and `1_000`).
fn may_be_number(id: &str) -> bool {
    let digits = id.trim().trim_start_matches(['+', '-']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '_' | 'x' | 'X' | 'o' | 'O'))
}

/// Whether a column of UUIDs may take it (string_to_uuid).
fn may_be_uuid(id: &str) -> bool {
    let digits: Vec<char> = id.chars().filter(|c| !matches!(c, '{' | '}' | '-')).collect();
    digits.len() == 32 && digits.iter().all(char::is_ascii_hexdigit)
}

fn is_one_number(id: &str) -> bool {
    id.parse::<i64>().is_ok_and(|number| number.to_string() == id)
}

fn is_one_uuid(id: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    id.len() == 36 && id.bytes().enumerate().all(fits)
}

#[cfg(test)]
#[path = "ids_tests.rs"]
mod tests;
