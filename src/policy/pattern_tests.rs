//! What no id can hold is told from the pattern; and where one could, two tenants' prefixes meet.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::RedisPrefix;

/// Patterns, whether an id of it may hold a colon, and ids that are accepted.
const PATTERNS: &[(&str, bool, &[&str])] = &[
    ("[a-z0-9-]{1,63}", false, &["acme"]),
    ("[a-z]{2,}(:[a-z]{2,})?", true, &["acme", "acme:eu"]),
    ("[a-z]{3,}(?:[:/][a-z]+)*", true, &["acme:eu"]),
    ("org-[0-9]+(:team-[0-9]+)?", true, &["org-1:team-2"]),
    ("[0-9a-f]{8}(?::[0-9a-f]{4}){0,3}", true, &["01234567:89ab"]),
    ("[[:punct:]]+", true, &[":"]),
    ("[^/]+", true, &["a:b"]),
    (".+", true, &["a:b"]),
    ("(?s).+", true, &["a:b"]),
    (r"\S+", true, &["a:b"]),
    (r"[\w-]+", false, &["a-b"]),
    (r"\p{L}+", false, &["é"]),
    (r"a\x3ab", true, &["a:b"]),
    (r"(?x) a [:] b", true, &["a:b"]),
    ("acme|globex|acme:eu", true, &["acme:eu"]),
    ("(?i)[a-z]+", false, &["ACME"]),
    ("[9-;]+", true, &["9:;"]),
    (r"(?-u:[ -~])+", true, &["a:b"]),
];

#[test]
fn what_an_id_may_hold_is_read_from_the_pattern() {
    for (pattern, held, ids) in PATTERNS {
        let compiled = TenantPattern::new(pattern).unwrap();
        assert_eq!(compiled.may_hold(':'), *held, "{pattern}");
        for id in *ids {
            assert!(compiled.accept(id).is_some(), "{pattern} {id}");
        }
        // Never no where an id has it.
        for id in ids.iter().filter(|id| id.contains(':')) {
            assert!(compiled.may_hold(':'), "{pattern} {id}");
        }
    }
}

/// All texts over these characters.
fn texts(alphabet: &[char], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..longest {
        let now = all.len();
        for at in from..now {
            all.extend(alphabet.iter().map(|c| format!("{}{c}", all[at])).collect::<Vec<_>>());
        }
        from = now;
    }
    all
}

#[test]
fn no_prefix_of_a_policy_that_passes_begins_another() {
    let alphabet = ['a', ':', '/'];
    let (ids, separators) = (texts(&alphabet, 4), texts(&alphabet, 3));
    for pattern in ["[a:]+", "[a/]+", "a+", "a(:a)?", "a+(:a+)*", "(a:)+", ":a+", "(a|::)+", "[a:/]{1,4}"] {
        let pattern = TenantPattern::new(pattern).unwrap();
        let tenants: Vec<_> = ids.iter().filter_map(|id| pattern.accept(id)).collect();
        for after in separators.iter().filter(|after| !after.is_empty()) {
            let prefix = RedisPrefix { before: "t".into(), after: after.clone() };
            let passes = prefix.is_sound_for(&pattern);
            for one in &tenants {
                for other in tenants.iter().filter(|other| *other != one) {
                    let begins = prefix.of(other).starts_with(&prefix.of(one));
                    assert!(!(passes && begins), "{pattern:?} {after} {one:?} {other:?}");
                    // And by itself at run time.
                    assert!(!(begins && prefix.takes(one) && prefix.takes(other)), "{after} {one:?} {other:?}");
                }
                assert!(!passes || prefix.takes(one), "{after} {one:?}");
            }
        }
    }
}
