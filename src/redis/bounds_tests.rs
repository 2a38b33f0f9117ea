//! What is too much, and what is the server's own business to refuse.

use super::*;
use crate::redis::commands::{Found, find};

fn said(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let Found::Entry(entry) = find(words[0].as_bytes(), None) else { unreachable!() };
    check(entry, &Request::new(&words), 1 << 20)
        .map_or_else(|refusal| String::from_utf8_lossy(&refusal.text).into_owned(), |()| "fine".into())
}

fn restored(payload: &[u8]) -> String {
    let Found::Entry(entry) = find(b"restore", None) else { unreachable!() };
    check(entry, &Request::new(&[b"RESTORE", b"k".as_slice(), b"0", payload]), 1 << 20)
        .map_or_else(|refusal| String::from_utf8_lossy(&refusal.text).into_owned(), |()| "fine".into())
}

#[test]
fn what_grows_is_bounded() {
    let offset = "ERR bit offset is not an integer or out of range";
    let cases = [
        ("SETBIT k 8388607 1", "fine"),
        ("SETBIT k 8388608 1", offset),
        ("SETBIT k -1 1", "fine"),
        ("SETBIT k x 1", "fine"),
        ("SETRANGE k 1048576 x", "fine"),
        // The value is still to come.
        ("SETRANGE k 1048576", "fine"),
        ("SETRANGE k 1048577", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE k 1048577 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("BITFIELD k GET u8 99999999999 SET u8 0 1", "fine"),
        ("BITFIELD k OVERFLOW SAT INCRBY u8 #1048576 1", offset),
        ("BITFIELD k GET u8 0 SET i16 8388608 1", offset),
        ("BITFIELD k SET u8 #9223372036854775807 1", offset),
        ("BITFIELD k SET u8 0", "ERR syntax error"),
        ("BITFIELD k", "fine"),
        ("GETRANGE k 0 99999999999", "fine"),
    ];
    for (line, wanted) in cases {
        assert_eq!(said(line), wanted, "{line}");
    }
}

#[test]
fn what_is_repeated_is_bounded() {
    for name in ["SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"] {
        assert_eq!(said(&format!("{name} k -1048576")), "fine");
        assert_eq!(said(&format!("{name} k 99999999999")), "fine");
        assert!(said(&format!("{name} k -1048577")).starts_with("ERR value is out of range"));
    }
}

#[test]
fn only_what_the_server_looks_over_is_restored() {
    let wrong = "ERR this proxy restores strings, lists, sets, sorted sets and hashes only";
    // Streams have 15, 19 and 21, a module's values 6 and 7; what comes later is not known.
    for kind in 0..=u8::MAX {
        let good = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20, 22, 23, 24, 25].contains(&kind);
        assert_eq!(restored(&[kind, 1, 2, 3]), if good { "fine" } else { wrong }, "{kind}");
    }
    assert_eq!(restored(b""), "fine");
}

#[test]
fn a_payload_has_no_more_elements_than_bytes() {
    // 6, 14, 32 and 64 bits.
    let few: [&[u8]; 4] = [b"\x05", b"\x40\x05", b"\x80\0\0\0\x05", b"\x81\0\0\0\0\0\0\0\x05"];
    let many: [&[u8]; 4] = [b"\x3f", b"\x40\xff", b"\x80\x01\0\0\0", b"\x81\0\0\0\x02\0\0\0\0"];
    for kind in [2, 3, 4, 5, 22, 24] {
        let with = |count: &[u8]| [[kind].as_slice(), &vec![0; if kind == 24 { 8 } else { 0 }], count, &[0; 10]].concat();
        for (few, many) in few.iter().zip(many) {
            assert_eq!(restored(&with(few)), "fine", "{kind} {few:?}");
            assert_eq!(restored(&with(many)), "ERR Bad data format", "{kind} {many:?}");
        }
    }
    // Of a list the server makes nothing before it has read it.
    assert_eq!(restored(b"\x12\x81\0\0\0\x02\0\0\0\0"), "fine");
}

#[test]
fn what_a_vector_is_projected_by_is_bounded() {
    let wrong = "ERR REDUCE makes more of this than this proxy lets it";
    let blob = |bytes| "x".repeat(bytes);
    for (line, said_) in [
        ("VADD k REDUCE 100 VALUES 2 1 0 e".to_owned(), "fine"),
        (format!("VADD k REDUCE 100 FP32 {} e", blob(8000)), "fine"),
        (format!("vadd k reduce 3000 FP32 {} e", blob(12000)), wrong),
        (format!("VADD k REDUCE 3000 VALUES 3000{} e", " 1".repeat(3000)), wrong),
        ("VADD k REDUCE 9223372036854775807 VALUES 2 1 0 e".to_owned(), wrong),
        ("VADD k FP32".to_owned(), "fine"),
        (format!("VADD k FP32 {} e", blob(12000)), "fine"),
    ] {
        assert_eq!(said(&line), said_, "{}", &line[..20]);
    }
}

#[test]
fn what_a_module_reads_is_bounded() {
    let (filter, brackets) =
        ("ERR a FILTER of more than 1024 bytes is too much for this proxy", "ERR more than 4096 brackets are too much for this proxy");
    let deep = |depth: usize| format!("{{\"a\":\"]\",\"b\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    for (line, said_) in [
        (format!("VSIM k VALUES 2 1 0 COUNT 3 filter {}", "(".repeat(1024)), "fine"),
        (format!("VSIM k VALUES 2 1 0 COUNT 3 filter {}", "(".repeat(1025)), filter),
        (format!("VSIM k ELE FILTER FILTER {}", "-".repeat(1025)), filter),
        (format!("VSETATTR k e {}", deep(4095)), "fine"),
        (format!("VSETATTR k e {}", deep(4096)), brackets),
        (format!("VADD k VALUES 2 1 0 e SETATTR {}", deep(4096)), brackets),
        (format!("VADD k VALUES 2 1 0 {}", deep(4096)), "fine"),
    ] {
        assert_eq!(said(&line), said_, "{}", &line[..20]);
    }
    // None passes before it is there.
    let lacks = crate::redis::commands::Lacks::default();
    for entry in crate::redis::commands::all().filter(|entry| entry.rule == crate::redis::commands::Rule::KeysModule) {
        assert!(!crate::redis::session::forwardable(&[entry.name.as_bytes(), b"k", b"e"], 4, &lacks), "{}", entry.name);
    }
}
