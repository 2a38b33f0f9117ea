//! The tenant's parameters in Parse and Bind.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::TenantPattern;
use crate::sql::{Kind, Outgoing};

fn tenant(id: &str) -> TenantId {
    TenantPattern::new(".*").unwrap().accept(id).unwrap()
}

fn prepared(client_params: u16, tenant_types: &[u32], own: &[(u16, u32)]) -> Prepared {
    let own = own.iter().map(|(number, type_oid)| OwnParameter { number: *number, type_oid: *type_oid }).collect();
    Prepared {
        outgoing: Outgoing::for_tests("x"),
        client_params,
        tenant_types: tenant_types.to_vec(),
        own,
        channels: Vec::new(),
        kind: Kind::Read,
        assurance: std::sync::Arc::default(),
    }
}

fn values(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        out.extend(value.map_or(-1, |v| i32::try_from(v.len()).unwrap()).to_be_bytes());
        out.extend(value.unwrap_or_default());
    }
    out
}

fn message<'a>(formats: &[u16], count: u16, values: &'a [u8]) -> Bind<'a> {
    Bind { portal: "p", statement: "s", formats: formats.to_vec(), count, values, results: &[0, 0] }
}

/// What stands in a Bind: formats, values.
fn read(bytes: &[u8]) -> (Vec<u16>, Vec<Option<Vec<u8>>>) {
    let bind = wire::bind(&bytes[wire::HEADER_BYTES..]).unwrap();
    let mut reader = Reader::new(bind.values);
    let values = (0..bind.count).map(|_| wire::value(&mut reader).unwrap().map(<[u8]>::to_vec)).collect();
    assert_eq!((bind.portal, bind.statement, bind.results), ("p", "s", &[0, 0][..]));
    (bind.formats, values)
}

#[test]
fn each_form_of_format_codes_keeps_its_meaning() {
    let raw = values(&[Some(b"a"), None]);
    for (formats, wanted) in
        [(&[][..], &[][..]), (&[0], &[0]), (&[1], &[1, 1, 0]), (&[1, 0], &[1, 0, 0]), (&[0, 1], &[0, 1, 0]), (&[0, 0], &[0, 0, 0])]
    {
        let mut out = BytesMut::new();
        write(&mut out, &message(formats, 2, &raw), &prepared(2, &[25], &[]), &tenant("acme")).unwrap();
        let all = vec![Some(b"a".to_vec()), None, Some(b"acme".to_vec())];
        assert_eq!(read(&out), (wanted.to_vec(), all), "{formats:?}");
    }
}

#[test]
fn one_binary_code_without_parameters_is_spread_over_none_of_them() {
    for (formats, wanted) in [(&[][..], &[][..]), (&[0], &[0]), (&[1], &[0, 0])] {
        let mut out = BytesMut::new();
        write(&mut out, &message(formats, 0, &[]), &prepared(0, &[25, 23], &[]), &tenant("7")).unwrap();
        assert_eq!(read(&out), (wanted.to_vec(), vec![Some(b"7".to_vec()); 2]), "{formats:?}");
    }
}

#[test]
fn a_bind_that_the_server_would_refuse_is_refused() {
    let two = prepared(2, &[25], &[]);
    let raw = values(&[None, None]);
    let state = |bind: &Bind<'_>| check(bind, &two, &[25, 25, 25], &tenant("acme")).map_err(|r| r.sqlstate);
    assert_eq!(state(&message(&[0, 1], 2, &raw)), Ok(()));
    assert_eq!(state(&message(&[0, 1, 0], 2, &raw)), Err("08P01"), "a code more than parameters: it would fall on the tenant's");
    assert_eq!(state(&message(&[], 1, &raw[..4])), Err("08P01"));
    assert_eq!(state(&message(&[], 3, &values(&[None; 3]))), Err("08P01"), "a value more: it would stand for the tenant");
    assert_eq!(state(&message(&[2], 2, &raw)), Err("22023"));
    assert_eq!(state(&message(&[0xffff, 0], 2, &raw)), Err("22023"));
}

#[test]
fn only_the_own_tenant_may_be_written() {
    const UUID: &str = "0189c2f0-0000-7000-8000-000000000001";
    let uuid = 0x0189_c2f0_0000_7000_8000_0000_0000_0001u128.to_be_bytes();
    type Case<'a> = (&'a str, u32, u16, Option<&'a [u8]>, bool);
    let cases: &[Case<'_>] = &[
        ("acme", oid::TEXT, 0, Some(b"acme"), true),
        ("acme", oid::TEXT, 1, Some(b"acme"), true),
        ("acme", oid::VARCHAR, 1, Some(b"acme"), true),
        ("acme", oid::TEXT, 0, Some(b"globex"), false),
        ("acme", oid::TEXT, 0, Some(b"acme "), false),
        ("acme", oid::TEXT, 0, Some(b""), false),
        ("acme", oid::TEXT, 0, None, false),
        ("7", oid::INT4, 0, Some(b"7"), true),
        ("7", oid::INT4, 0, Some(b"07"), false),
        ("7", oid::INT4, 1, Some(&[0, 0, 0, 7]), true),
        ("7", oid::INT4, 1, Some(&[0, 7]), false),
        ("7", oid::INT4, 1, Some(b"7"), false),
        ("7", oid::INT2, 1, Some(&[0, 7]), true),
        ("7", oid::INT8, 1, Some(&[0, 0, 0, 0, 0, 0, 0, 7]), true),
        ("99999", oid::INT2, 1, Some(&[0x86, 0x9f]), false),
        (UUID, oid::UUID, 1, Some(&uuid), true),
        (UUID, oid::UUID, 1, Some(&[0; 16]), false),
        (UUID, oid::UUID, 0, Some(UUID.as_bytes()), true),
        ("1", 1700, 1, Some(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 1]), false),
    ];
    for (id, oid, format, value, good) in cases {
        let raw = values(&[Some(b"x"), *value]);
        let own = prepared(2, &[], &[(2, *oid)]);
        let checked = check(&message(&[0, *format], 2, &raw), &own, &[25, *oid], &tenant(id));
        assert_eq!(checked.map_err(|r| r.sqlstate), if *good { Ok(()) } else { Err("42501") }, "{id} {oid} {format} {value:?}");
    }
}

#[test]
fn types_are_the_clients_and_the_tenants() {
    let text = |declared: &[u32], prepared: &Prepared| types(declared, prepared, None).map_err(|r| r.sqlstate);
    assert_eq!(text(&[], &prepared(2, &[25], &[])), Ok(vec![0, 0, 25]));
    assert_eq!(text(&[23], &prepared(2, &[25, 20], &[])), Ok(vec![23, 0, 25, 20]));
    assert_eq!(text(&[23, 23], &prepared(1, &[25], &[])), Err("0A000"));
    let own = |oid| prepared(1, &[], &[(1, oid)]);
    assert_eq!(text(&[], &own(oid::TEXT)), Ok(vec![oid::TEXT]));
    assert_eq!(text(&[0], &own(oid::INT4)), Ok(vec![oid::INT4]));
    assert_eq!(text(&[oid::VARCHAR], &own(oid::TEXT)), Ok(vec![oid::VARCHAR]));
    assert_eq!(text(&[oid::INT8], &own(oid::INT4)), Ok(vec![oid::INT8]));
    assert_eq!(text(&[oid::INT4], &own(oid::TEXT)), Err("42501"), "`007` would become `7`");
    assert_eq!(text(&[oid::BPCHAR], &own(oid::TEXT)), Err("42501"), "blanks at the end would go");
    assert_eq!(text(&[], &prepared(0, &[], &[(1, oid::TEXT)])), Err("08P01"), "an own parameter that is not there");
}

#[test]
fn there_is_room_for_65535_parameters() {
    assert_eq!(types(&[], &prepared(65_534, &[25], &[]), None).map(|t| t.len()), Ok(65_535));
    assert_eq!(types(&[], &prepared(65_535, &[25], &[]), None).map_err(|r| r.sqlstate), Err("54000"));
    assert_eq!(types(&[], &prepared(65_535, &[], &[]), None).map(|t| t.len()), Ok(65_535));
    let raw = values(&vec![None; 65_535]);
    let mut out = BytesMut::from(&b"kept"[..]);
    assert_eq!(write(&mut out, &message(&[], 65_535, &raw), &prepared(65_535, &[25], &[]), &tenant("acme")), Err(WireError::Value));
    assert_eq!(&out[..], b"kept");
}
