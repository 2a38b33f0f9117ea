//! Patterns; what is escaped matches itself alone.

use super::*;
use proptest::prelude::*;

#[test]
fn patterns_match_as_the_servers() {
    for (pattern, text, yes) in [
        ("*", "", true),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h*llo", "heeello", true),
        ("h[ae]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-c]llo", "hbllo", true),
        ("h[c-a]llo", "hbllo", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a*b*c", "axbxbxc", true),
        ("a*b*c", "axbxbx", false),
        ("[abc", "b", true),
        ("\\", "\\", true),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), yes, "{pattern} {text}");
    }
    assert!(matches(b"MAX*", b"maxmemory", true) && !matches(b"MAX*", b"maxmemory", false));
}

#[test]
fn a_pattern_can_begin_with_a_prefix() {
    for (pattern, yes) in [
        ("config:*", false),
        ("acme:*", true),
        ("a*", true),
        ("*", true),
        ("[a-z]c*", true),
        ("acme", false),
        ("acme:", true),
        ("?cme:x", true),
    ] {
        assert_eq!(can_begin_with(pattern.as_bytes(), b"acme:"), yes, "{pattern}");
    }
}

proptest! {
    #[test]
    fn an_escaped_text_matches_itself_alone(text in "[a*?\\[\\]^\\\\-]{0,12}", other in "[a*?\\[\\]^\\\\-]{0,12}") {
        let pattern = escape(text.as_bytes());
        prop_assert!(matches(&pattern, text.as_bytes(), false));
        prop_assert_eq!(matches(&pattern, other.as_bytes(), false), text == other);
    }
}

/// A server that keeps a table for each slot of a cluster walks one only where the pattern's hash tag stands as it is.
#[test]
fn a_hash_tag_is_not_escaped() {
    assert_eq!(escape(b"{acme-1_x.y@z}:"), b"{acme-1_x.y@z}:");
    assert_eq!(escape(b"{a*}:"), b"{a\\*}:");
}
