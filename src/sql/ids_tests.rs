//! Which texts are one value.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::TenantPattern;

fn taken(ids: Ids, id: &str) -> bool {
    let catalog = Catalog { ids, ..Catalog::default() };
    catalog.takes_tenant(&TenantPattern::new(".*").unwrap().accept(id).unwrap()).is_ok()
}

#[test]
fn a_number_is_one_text() {
    let numbers = Ids { numbers: true, uuids: false };
    assert!(["7", "0", "-7", "9223372036854775807"].iter().all(|id| taken(numbers, id)));
    // No number at all: no row has it.
    assert!(["acme", "7.0", "seven", "7up"].iter().all(|id| taken(numbers, id)));
    assert!(["07", "007", "+7", "-0", " 7", "0x7", "1_000", "9223372036854775808"].iter().all(|id| !taken(numbers, id)));
}

#[test]
fn a_uuid_is_one_text() {
    let uuids = Ids { numbers: false, uuids: true };
    assert!(taken(uuids, "0a4f2d1c-3b5e-4f60-8a7b-9c0d1e2f3a4b"));
    for id in ["0A4F2D1C-3B5E-4F60-8A7B-9C0D1E2F3A4B", "0a4f2d1c3b5e4f608a7b9c0d1e2f3a4b", "{0a4f2d1c-3b5e-4f60-8a7b-9c0d1e2f3a4b}"] {
        assert!(!taken(uuids, id), "{id}");
    }
    assert!(taken(uuids, "acme") && taken(Ids::default(), "0007"));
}
