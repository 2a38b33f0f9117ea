//! Streams and what becomes of them, cut at every byte.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::TenantPattern;

fn tenant(id: &str) -> TenantId {
    TenantPattern::new(".+").unwrap().accept(id).unwrap()
}

fn copy(format: CopyFormat, gain: Gain) -> CopyIn {
    CopyIn { format, gain, header: false, column: "tenant_id".into(), type_oid: 25 }
}

fn run(copy: &CopyIn, id: &str, chunks: &[&[u8]]) -> Vec<u8> {
    let (mut injector, mut out) = (Injector::new(copy, &tenant(id)), BytesMut::new());
    chunks.iter().for_each(|chunk| injector.feed(chunk, &mut out));
    injector.finish(&mut out);
    out.to_vec()
}

/// The same at once, byte by byte and cut in two at every place.
fn check(copy: &CopyIn, id: &str, input: &[u8], wanted: &[u8]) {
    let show = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert_eq!(show(&run(copy, id, &[input])), show(wanted), "at once: {:?}", show(input));
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(show(&run(copy, id, &bytes)), show(wanted), "byte by byte: {:?}", show(input));
    for cut in 0..input.len() {
        assert_eq!(show(&run(copy, id, &[&input[..cut], &input[cut..]])), show(wanted), "cut at {cut}: {:?}", show(input));
    }
}

const TEXT: CopyFormat = CopyFormat::Text { delimiter: b'\t' };
const CSV: CopyFormat = CopyFormat::Csv { delimiter: b',', quote: b'"', escape: b'"' };

#[test]
fn text_rows_gain_a_first_field() {
    let cases: &[(&str, &str)] = &[
        ("", ""),
        ("1\tx\n2\ty\n", "acme\t1\tx\nacme\t2\ty\n"),
        ("1\n2", "acme\t1\nacme\t2"),
        ("\n\n", "acme\t\nacme\t\n"),
        ("a\\\nb\nc\n", "acme\ta\\\nb\nacme\tc\n"),
        ("a\\\\\nb\n", "acme\ta\\\\\nacme\tb\n"),
        ("\\N\t1\n", "acme\t\\N\t1\n"),
        ("1\r\n2\r\n", "acme\t1\r\nacme\t2\r\n"),
        ("1\r2\r", "acme\t1\racme\t2\r"),
        ("1\n\\.\nglobex\t2\n", "acme\t1\n\\.\n"),
        ("1\r\n\\.\r\nglobex\t2\r\n", "acme\t1\r\n\\.\r\n"),
        ("1\\.\nglobex\t2\n", "acme\t1\\.\n"),
        ("\\.", "\\."),
        ("\\.x\nglobex\t1\n", "\\.x"),
        ("1\n\\", "acme\t1\nacme\t\\"),
        ("\\\\.\n2\n", "acme\t\\\\.\nacme\t2\n"),
    ];
    for (input, wanted) in cases {
        check(&copy(TEXT, Gain::First), "acme", input.as_bytes(), wanted.as_bytes());
    }
    check(&copy(CopyFormat::Text { delimiter: b'-' }, Gain::First), "a-b\\", b"1-2\n", b"a\\-b\\\\-1-2\n");
}

#[test]
fn csv_rows_gain_a_first_field() {
    let cases: &[(&str, &str)] = &[
        ("1,x\n", "\"acme\",1,x\n"),
        ("\"a\nb\",1\n2,c\n", "\"acme\",\"a\nb\",1\n\"acme\",2,c\n"),
        ("\"a\"\"\nb\"\n2\n", "\"acme\",\"a\"\"\nb\"\n\"acme\",2\n"),
        ("a\"b\nc\"\n2\n", "\"acme\",a\"b\nc\"\n\"acme\",2\n"),
        ("1\r\n\\.\r\nglobex,2\r\n", "\"acme\",1\r\n\\.\r\n"),
        ("\\.x\n2\n", "\"acme\",\\.x\n\"acme\",2\n"),
        ("\\x\n2\n", "\"acme\",\\x\n\"acme\",2\n"),
        ("x\\.\n2\n", "\"acme\",x\\.\n\"acme\",2\n"),
        ("\"\\.\n\",1\n2\n", "\"acme\",\"\\.\n\",1\n\"acme\",2\n"),
    ];
    for (input, wanted) in cases {
        check(&copy(CSV, Gain::First), "acme", input.as_bytes(), wanted.as_bytes());
    }
    let other = CopyFormat::Csv { delimiter: b';', quote: b'\'', escape: b'\\' };
    check(&copy(other, Gain::First), "o'h", b"'a\\'\n';2\n3;4\n", b"'o\\'h';'a\\'\n';2\n'o\\'h';3;4\n");
}

#[test]
fn a_header_gains_the_columns_name() {
    let mut with = copy(CSV, Gain::First);
    with.header = true;
    check(&with, "acme", b"id,note\n1,x\n", b"\"tenant_id\",id,note\n\"acme\",1,x\n");
    let mut with = copy(TEXT, Gain::Missing { fields: 3, at: 2 });
    with.header = true;
    check(&with, "acme", b"id\tnote\n1\tx\n", b"id\tnote\ttenant_id\n1\tx\tacme\n");
}

#[test]
fn the_first_row_tells_whether_the_field_is_missing() {
    for (at, wanted) in [(0, "acme\t1\tx\nacme\t2\ty\n"), (1, "1\tacme\tx\n2\tacme\ty\n"), (2, "1\tx\tacme\n2\ty\tacme\n")] {
        check(&copy(TEXT, Gain::Missing { fields: 3, at }), "acme", b"1\tx\n2\ty\n", wanted.as_bytes());
    }
    let whole = b"1\tacme\tx\n2\tglobex\ty\n";
    check(&copy(TEXT, Gain::Missing { fields: 3, at: 1 }), "acme", whole, whole);
    check(&copy(TEXT, Gain::Missing { fields: 3, at: 2 }), "acme", b"1\tx", b"1\tx\tacme");
    check(&copy(TEXT, Gain::Missing { fields: 3, at: 2 }), "acme", b"1\tx\\.\nq\n", b"1\tx\tacme\\.\n");
    check(&copy(CSV, Gain::Missing { fields: 3, at: 2 }), "acme", b"1,\"a,\nb\"\n2,\n", b"1,\"a,\nb\",\"acme\"\n2,,\"acme\"\n");
    check(&copy(TEXT, Gain::Missing { fields: 2, at: 1 }), "acme", b"", b"");
}

fn binary(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02zz".to_vec();
    for row in rows {
        out.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
        for field in *row {
            out.extend(field.map_or(-1, |f| i32::try_from(f.len()).unwrap()).to_be_bytes());
            out.extend(field.unwrap_or_default());
        }
    }
    out.extend((-1i16).to_be_bytes());
    out
}

#[test]
fn binary_rows_gain_the_field() {
    let input = binary(&[&[Some(b"1"), None], &[Some(b""), Some(b"xyz")]]);
    let first = binary(&[&[Some(b"acme"), Some(b"1"), None], &[Some(b"acme"), Some(b""), Some(b"xyz")]]);
    check(&copy(CopyFormat::Binary, Gain::First), "acme", &input, &first);
    let last = binary(&[&[Some(b"1"), None, Some(b"acme")], &[Some(b""), Some(b"xyz"), Some(b"acme")]]);
    check(&copy(CopyFormat::Binary, Gain::Missing { fields: 3, at: 2 }), "acme", &input, &last);
    let middle = binary(&[&[Some(b"1"), Some(b"acme"), None], &[Some(b""), Some(b"acme"), Some(b"xyz")]]);
    check(&copy(CopyFormat::Binary, Gain::Missing { fields: 3, at: 1 }), "acme", &input, &middle);
    check(&copy(CopyFormat::Binary, Gain::Missing { fields: 2, at: 1 }), "acme", &input, &input);
    check(&copy(CopyFormat::Binary, Gain::Named), "acme", &input, &input);
}

#[test]
fn binary_ids_have_the_columns_form() {
    for (type_oid, id, wanted) in [(23, "7", &7i32.to_be_bytes()[..]), (20, "7", &7i64.to_be_bytes()), (21, "7", &7i16.to_be_bytes())] {
        let mut with = copy(CopyFormat::Binary, Gain::First);
        with.type_oid = type_oid;
        check(&with, id, &binary(&[&[Some(b"1")]]), &binary(&[&[Some(wanted), Some(b"1")]]));
    }
}
