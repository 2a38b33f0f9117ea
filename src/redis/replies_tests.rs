//! Names are cut by position, all else is the same; every chunking gives the same; hostile replies break, they do not blow.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::redis::cases::names;
use crate::redis::shape::Message;
use bytes::Bytes;
use proptest::prelude::*;

fn feed(reply: &Reply, pieces: &[&[u8]]) -> Result<(String, bool, usize), Broken> {
    let (mut stripper, mut input, mut out, names) = (Stripper::default(), BytesMut::new(), BytesMut::new(), names());
    for piece in pieces {
        input.extend_from_slice(piece);
        if stripper.feed(reply, &names, &mut input, &mut out)? {
            assert!(stripper.at_rest());
            return Ok((out.escape_ascii().to_string(), true, input.len()));
        }
    }
    Ok((out.escape_ascii().to_string(), false, input.len()))
}

fn whole(reply: impl Into<Reply>, bytes: &str) -> Result<String, Broken> {
    let reply = reply.into();
    let at_once = feed(&reply, &[bytes.as_bytes()]);
    let bytewise: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
    assert_eq!(at_once.as_ref().map(|r| &r.0).ok(), feed(&reply, &bytewise).as_ref().map(|r| &r.0).ok(), "{bytes}");
    let (out, done, left) = at_once?;
    assert!(done && left == 0, "{bytes} is not whole");
    Ok(out)
}

fn text(bytes: &str) -> String {
    bytes.as_bytes().escape_ascii().to_string()
}

#[test]
fn plain_replies_pass() {
    for bytes in [
        "+OK\r\n",
        "-ERR x\r\n",
        ":1\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "$6\r\nacme:k\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(123456789012345678901234567890\r\n",
        "!5\r\nERR x\r\n",
        "=5\r\ntxt:a\r\n",
        "%1\r\n+a\r\n~1\r\n:1\r\n",
        "$?\r\n;2\r\nab\r\n;0\r\n",
        "*?\r\n:1\r\n.\r\n",
        "%?\r\n+a\r\n*0\r\n.\r\n",
    ] {
        assert_eq!(whole(Shape::Plain, bytes), Ok(text(bytes)), "{bytes}");
    }
    // Attributes are not known of the server: they are left out.
    assert_eq!(whole(Shape::Plain, "|1\r\n+k\r\n%1\r\n$6\r\nacme:k\r\n,0.5\r\n:1\r\n"), Ok(text(":1\r\n")));
    assert_eq!(whole(Shape::Plain, "*2\r\n|0\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n"), Ok(text("*2\r\n:1\r\n:2\r\n")));
}

#[test]
fn names_are_cut_where_they_stand() {
    let scan = Shape::Scan { hide: None };
    let cases: &[(Shape, &str, &str)] = &[
        (Shape::Name, "$6\r\nacme:k\r\n", "$1\r\nk\r\n"),
        (Shape::Name, "$-1\r\n", "$-1\r\n"),
        (Shape::Name, "$11\r\nacme:acme:k\r\n", "$6\r\nacme:k\r\n"),
        (Shape::Each, "*2\r\n$6\r\nacme:k\r\n$5\r\nacme:\r\n", "*2\r\n$0\r\n\r\n$1\r\nk\r\n"),
        (Shape::First, "*2\r\n$6\r\nacme:k\r\n$6\r\nacme:v\r\n", "*2\r\n$1\r\nk\r\n$6\r\nacme:v\r\n"),
        (Shape::First, "*-1\r\n", "*-1\r\n"),
        (scan, "*2\r\n$1\r\n5\r\n*1\r\n$6\r\nacme:k\r\n", "*2\r\n$1\r\n5\r\n*1\r\n$1\r\nk\r\n"),
        (Shape::Even, "*4\r\n$6\r\nacme:a\r\n:1\r\n$6\r\nacme:b\r\n:0\r\n", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:0\r\n"),
        (
            Shape::Streams,
            "*1\r\n*2\r\n$6\r\nacme:s\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*0\r\n",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*0\r\n",
        ),
        (Shape::Streams, "%1\r\n$6\r\nacme:s\r\n*1\r\n*2\r\n$6\r\nacme:x\r\n*0\r\n", "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$6\r\nacme:x\r\n*0\r\n"),
        (
            Shape::Message(Message::ByPattern),
            ">4\r\n$8\r\npmessage\r\n$6\r\nacme:*\r\n$6\r\nacme:c\r\n$6\r\nacme:m\r\n",
            ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$6\r\nacme:m\r\n",
        ),
        (Shape::Message(Message::Channel), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"),
        (
            Shape::Message(Message::Invalidate),
            ">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\nacme:k\r\n",
            ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
        ),
        (Shape::Message(Message::Invalidate), ">2\r\n$10\r\ninvalidate\r\n_\r\n", ">2\r\n$10\r\ninvalidate\r\n_\r\n"),
        (Shape::Count, "*2\r\n$6\r\nacme:k\r\n$5\r\nother\r\n", ":2\r\n"),
        (Shape::Count, "*0\r\n", ":0\r\n"),
        (Shape::Silence, "*2\r\n:1\r\n*1\r\n:2\r\n", ""),
        (Shape::Instead(Bytes::from_static(b"+X\r\n")), "%1\r\n+a\r\n+b\r\n", "+X\r\n"),
        (Shape::Instead(Bytes::from_static(b"+X\r\n")), "-ERR y\r\n", "-ERR y\r\n"),
        (Shape::InsteadOfAll(Bytes::from_static(b"+X\r\n")), "-ERR y\r\n", "+X\r\n"),
        (Shape::Name, "$8\r\nconfig:x\r\n", "$8\r\nconfig:x\r\n"),
    ];
    for (shape, bytes, out) in cases {
        assert_eq!(whole(shape.clone(), bytes), Ok(text(out)), "{bytes}");
    }
}

#[test]
fn of_what_is_told_by_name_only_the_known_is_said() {
    let cases = [
        ("*4\r\n+size\r\n:1\r\n+vset-uid\r\n:18\r\n", "*4\r\n+size\r\n:1\r\n+vset-uid\r\n:0\r\n"),
        ("%2\r\n+vset-uid\r\n:18\r\n+size\r\n:1\r\n", "%2\r\n+vset-uid\r\n:0\r\n+size\r\n:1\r\n"),
        // What it may be another time.
        ("*2\r\n+later\r\n*2\r\n+size\r\n$1\r\nx\r\n", "*2\r\n+later\r\n:0\r\n"),
        ("*2\r\n$4\r\nsize\r\n:1\r\n", "*2\r\n$4\r\nsize\r\n:0\r\n"),
        ("*2\r\n:5\r\n:1\r\n", "*2\r\n:5\r\n:0\r\n"),
        ("*2\r\n+later\r\n|1\r\n+a\r\n+b\r\n:18\r\n", "*2\r\n+later\r\n:0\r\n"),
        ("*-1\r\n", "*-1\r\n"),
        ("-WRONGTYPE x\r\n", "-WRONGTYPE x\r\n"),
    ];
    for (bytes, out) in cases {
        assert_eq!(whole(Shape::Facts, bytes), Ok(text(out)), "{bytes}");
        let exec = Shape::Exec(vec![Reply::default(), Shape::Facts.into()]);
        assert_eq!(whole(exec, &format!("*2\r\n+OK\r\n{bytes}")), Ok(text(&format!("*2\r\n+OK\r\n{out}"))), "{bytes}");
    }
}

#[test]
fn names_have_an_order_of_their_own() {
    let names = |names: &[&str], prefix: &str| -> String {
        names.iter().map(|name| format!("${}\r\n{prefix}{name}\r\n", prefix.len() + name.len())).collect()
    };
    let own = text(&format!("*3\r\n{}", names(&["a", "b", "c"], "")));
    let library = |name: &str| {
        let name = [crate::redis::cases::names().library().as_ref(), name.as_bytes()].concat();
        format!("*2\r\n$12\r\nlibrary_name\r\n${}\r\n{}\r\n", name.len(), String::from_utf8(name).unwrap())
    };
    let libraries = |names: [&str; 2]| whole(Shape::Libraries, &format!("*2\r\n{}", names.map(library).concat())).unwrap();
    for given in [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]] {
        let each = format!("*3\r\n{}", names(&given, "acme:"));
        assert_eq!(whole(Shape::Each, &each), Ok(own.clone()));
        let exec = Shape::Exec(vec![Shape::Each.into(), Reply::default(), Shape::Each.into()]);
        assert_eq!(whole(exec, &format!("*3\r\n{each}+OK\r\n{each}")), Ok(format!("*3\\r\\n{own}+OK\\r\\n{own}")));
        let scan = Shape::Exec(vec![Shape::Scan { hide: None }.into()]);
        let page = format!("*1\r\n*2\r\n$1\r\n0\r\n{each}");
        assert_eq!(whole(scan, &page), Ok(format!("{}{own}", text("*1\r\n*2\r\n$1\r\n0\r\n"))));
    }
    assert_eq!(libraries(["a", "b"]), libraries(["b", "a"]));
    // What is not of all tenants stays as it is.
    let plain = "*2\r\n$1\r\nb\r\n$1\r\na\r\n";
    assert_eq!(whole(Shape::Plain, plain), Ok(text(plain)));
}

#[test]
fn exec_answers_each_in_its_own_way() {
    let shapes =
        [Shape::Plain, Shape::Each, Shape::Count, Shape::InsteadOfAll(Bytes::from_static(b":7\r\n")), Shape::First, Shape::Streams];
    let exec = Shape::Exec(shapes.into_iter().map(Reply::from).collect());
    let bytes = "*6\r\n+OK\r\n*1\r\n$6\r\nacme:k\r\n*2\r\n:1\r\n:2\r\n+PONG\r\n-WRONGTYPE x\r\n*1\r\n*2\r\n$6\r\nacme:s\r\n*0\r\n";
    let out = "*6\r\n+OK\r\n*1\r\n$1\r\nk\r\n:2\r\n:7\r\n-WRONGTYPE x\r\n*1\r\n*2\r\n$1\r\ns\r\n*0\r\n";
    assert_eq!(whole(exec.clone(), bytes), Ok(text(out)));
    assert_eq!(whole(exec.clone(), "*-1\r\n"), Ok(text("*-1\r\n")));
    assert_eq!(whole(exec.clone(), "-EXECABORT x\r\n"), Ok(text("-EXECABORT x\r\n")));
    assert!(whole(exec, "*1\r\n+OK\r\n").is_err());
    assert_eq!(whole(Shape::Exec(Vec::new()), "*0\r\n"), Ok(text("*0\r\n")));
}

#[test]
fn errors_quote_the_clients_names() {
    let reply = Reply { shape: Shape::Streams, quotes: vec![Bytes::from_static(b"s")] };
    let line = "-NOGROUP No such key 'acme:s' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
    assert_eq!(whole(reply.clone(), line), Ok(text(&line.replace("acme:", ""))));
    let nested = Shape::Exec(vec![reply]);
    assert_eq!(whole(nested, &format!("*1\r\n{line}")), Ok(text(&format!("*1\r\n{}", line.replace("acme:", "")))));
}

#[test]
fn what_is_not_the_tenants_breaks() {
    for (shape, bytes) in [
        (Shape::Name, "$6\r\nelse:k\r\n"),
        (Shape::Name, "$3\r\nacm\r\n"),
        (Shape::Name, "+acme:k\r\n"),
        (Shape::Name, "*1\r\n$6\r\nacme:k\r\n"),
        (Shape::Each, "*1\r\n:1\r\n"),
        (Shape::Name, "$?\r\n;6\r\nacme:k\r\n;0\r\n"),
        (Shape::Plain, "?\r\n"),
        (Shape::Plain, "$x\r\n"),
        (Shape::Plain, "$-2\r\n"),
        (Shape::Plain, "*+1\r\n"),
        (Shape::Plain, ".\r\n"),
        (Shape::Plain, ";1\r\n"),
        (Shape::Plain, "$1\n"),
        (Shape::Count, "$-1\r\n"),
    ] {
        assert!(whole(shape.clone(), bytes).is_err(), "{shape:?} {bytes}");
    }
    assert!(feed(&Reply::default(), &[&[b'*'; 100]]).is_err());
    assert!(feed(&Reply::default(), &["*1\r\n".repeat(100_000).as_bytes()]).is_err());
}

#[test]
fn deep_replies_pass_without_recursion() {
    let bytes = format!("{}:1\r\n", "*1\r\n".repeat(10_000));
    assert_eq!(feed(&Reply::default(), &[bytes.as_bytes()]).map(|r| (r.0.len(), r.1)), Ok((text(&bytes).len(), true)));
}

#[test]
fn a_large_value_is_not_kept() {
    let (mut stripper, mut input, mut out) = (Stripper::default(), BytesMut::from("$536870912\r\n"), BytesMut::new());
    let piece = [b'x'; 16 << 10];
    for _ in 0..1000 {
        assert!(!stripper.feed(&Reply::default(), &names(), &mut input, &mut out).unwrap());
        assert!(input.is_empty() && out.len() <= piece.len() + 16);
        out.clear();
        input.extend_from_slice(&piece);
    }
}

/// Any reply, as RESP3.
fn frames() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-z:]{0,8}".prop_map(|t| format!("${}\r\n{t}\r\n", t.len())),
        any::<i64>().prop_map(|n| format!(":{n}\r\n")),
        "[a-z ]{0,8}".prop_map(|t| format!("+{t}\r\n")),
        Just("_\r\n".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|items| {
            let count = items.len();
            format!("*{count}\r\n{}", items.concat())
        })
    })
}

proptest! {
    #[test]
    fn any_plain_reply_passes_unchanged(bytes in frames()) {
        prop_assert_eq!(whole(Shape::Plain, &bytes), Ok(text(&bytes)));
        // A public decoder agrees where it ends.
        let (_, length) = redis_protocol::resp3::decode::complete::decode(bytes.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len());
    }

    #[test]
    fn bytes_from_anywhere_never_panic(bytes in prop::collection::vec(prop::sample::select(b"*$:+-_%|>~;?.=!acme:0129\r\n".to_vec()), 0..80)) {
        for shape in [Shape::Plain, Shape::Each, Shape::Streams, Shape::Facts, Shape::Count, Shape::Exec(vec![Shape::Each.into(), Shape::Plain.into()])] {
            let pieces: Vec<&[u8]> = bytes.chunks(3).collect();
            let _ = feed(&shape.into(), &pieces);
        }
    }
}
