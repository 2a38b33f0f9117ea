//! Channels.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::TenantPattern;
use std::collections::HashSet;

#[test]
fn no_two_tenants_channels_meet() {
    let tenant = |id: &str| TenantPattern::new(".*").unwrap().accept(id).unwrap();
    assert_eq!(channel(&tenant("acme"), "jobs"), "pw4:acme:jobs");
    let long = "x".repeat(63);
    let mut seen = HashSet::new();
    for id in ["a", "a:b", "a:b:c", "4:a", &long, &format!("{long}:a"), &"y".repeat(128)] {
        for name in ["b", "b:c", "c", "a:b", &long, &format!("a:{}", &long[2..])] {
            let upstream = channel(&tenant(id), name);
            assert!(upstream.len() <= NAME_BYTES, "{upstream}");
            assert!(seen.insert(upstream), "{id} {name}");
        }
    }
    assert_eq!(channel_value(&tenant("acme"), ""), "");
    assert_eq!(channel_value(&tenant("acme"), &"x".repeat(64)), "x".repeat(64));
}
