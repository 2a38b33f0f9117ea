//! Which channels are the server's own, where the prefix stands in them, and whose a notification is.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[test]
fn the_prefix_stands_behind_the_database() {
    for (name, stands) in [
        ("news", Stands::Behind(0)),
        ("__keyspace@0__:k", Stands::Behind(15)),
        ("__keyspace@15__:", Stands::Behind(16)),
        ("__keyspace@__:k", Stands::Behind(0)),
        ("__keyspace@0_:k", Stands::Behind(0)),
        ("__keyspace@*__:k", Stands::Behind(0)),
        ("__keyspace@000000000000000000000__:k", Stands::Behind(0)),
        ("__keyevent@0__:del", Stands::Bare),
        ("__keyevent@x__:del", Stands::Behind(0)),
        ("__redis__:invalidate", Stands::Bare),
        ("__redis__:invalidate2", Stands::Behind(0)),
    ] {
        assert_eq!(channel(name.as_bytes()), stands, "{name}");
    }
    for (text, stands) in [
        ("*", Some(Stands::Behind(0))),
        ("__keyspace@0__:*", Some(Stands::Behind(15))),
        ("__keyspace@*__:a[b]*", Some(Stands::Behind(15))),
        ("__keyspace@[0__:]*", None),
        ("__keyspace@0*", None),
        ("__keyevent@*__:expired", Some(Stands::Bare)),
        ("__keyevent@0__:*", Some(Stands::Bare)),
        ("__keyevent@*", Some(Stands::Bare)),
        ("__keyevent@0__*", Some(Stands::Bare)),
        ("__keyevent*", None),
        ("__key*__:*", Some(Stands::Bare)),
        ("__key*@0__:*", Some(Stands::Bare)),
        ("__key*__:foo*", None),
        ("__key*", None),
        ("__key[se]*__:*", None),
    ] {
        assert_eq!(pattern(text.as_bytes()), stands, "{text}");
    }
}

#[test]
fn what_upstream_says_is_cut_where_the_prefix_stands() {
    let heard = |name: &str| heard(name.as_bytes(), name.len(), b"acme:").unwrap();
    assert_eq!(heard("acme:news"), Ok(Stands::Behind(0)));
    assert_eq!(heard("__keyspace@0__:acme:k"), Ok(Stands::Behind(15)));
    assert_eq!(heard("__keyspace@0__:globex:k"), Err(()));
    assert_eq!(heard("__keyspace@0__:acme"), Err(()));
    assert_eq!(heard("globex:news"), Err(()));
    assert_eq!(heard("acme"), Err(()));
    assert_eq!(heard("__keyevent@0__:del"), Ok(Stands::Bare));
    // The name is not there as a whole, and bytes of the next element are.
    assert_eq!(super::heard(b"acme", 9, b"acme:"), None);
    assert_eq!(super::heard(b"acme\r\n$1\r\n", 4, b"acme\r\n"), Some(Err(())));
    let pattern = |text: &str| heard_pattern(text.as_bytes(), text.len(), b"a\\*:").unwrap();
    assert_eq!(pattern("a\\*:n*"), Ok(Stands::Behind(0)));
    assert_eq!(pattern("__keyspace@*__:a\\*:k"), Ok(Stands::Behind(15)));
    assert_eq!(pattern("__key*__:*"), Ok(Stands::Bare));
    assert_eq!(pattern("b\\*:n*"), Err(()));
}

fn message(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out += &format!("${}\r\n{word}\r\n", word.len());
    }
    out.into_bytes()
}

#[test]
fn whose_a_notification_is() {
    for (words, at, said) in [
        (vec!["message", "acme:n", "x"], 1, Notice::None),
        (vec!["message", "__keyspace@0__:acme:k", "del"], 1, Notice::Keyspace { own: true }),
        (vec!["message", "__keyspace@0__:globex:k", "del"], 1, Notice::Keyspace { own: false }),
        (vec!["message", "__keyspace@0__:acm", "acme:k"], 1, Notice::Keyspace { own: false }),
        (vec!["message", "__keyevent@0__:del", "acme:k"], 1, Notice::Keyevent { own: true }),
        (vec!["message", "__keyevent@0__:del", "globex:acme:k"], 1, Notice::Keyevent { own: false }),
        (vec!["message", "__keyevent@0__:del", "acm"], 1, Notice::Keyevent { own: false }),
        (vec!["pmessage", "__keyevent@*__:*", "__keyevent@0__:del", "acme:k"], 2, Notice::Keyevent { own: true }),
        (vec!["pmessage", "__keyspace@*__:acme:x", "__keyspace@0__:globex:y__:acme:x", "set"], 2, Notice::Keyspace { own: false }),
        (vec!["pmessage", "acme:*", "acme:__keyevent@0__:del", "x"], 2, Notice::None),
        (vec!["message", "__redis__:invalidate", "x"], 1, Notice::Invalidation),
    ] {
        let bytes = message(&words);
        assert_eq!(notice(&bytes, at, b"acme:"), said, "{words:?}");
        // However little is there, it is that or unclear.
        for end in 0..bytes.len() {
            let part = notice(&bytes[..end], at, b"acme:");
            assert!(part == said || part == Notice::Unclear, "{words:?} {end} {part:?}");
        }
    }
}
