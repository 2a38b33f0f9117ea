//! Users of the server: one a tenant and what it may do, never under a name that was there before.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::{RedisPolicy, RedisPrefix, TenantPattern};

fn names(scripts: bool) -> Names {
    let prefix = RedisPrefix { before: String::new(), after: ":".into() };
    let policy = RedisPolicy {
        prefix,
        shared: Vec::new(),
        growth_max_bytes: RedisPolicy::GROWTH_MAX_BYTES,
        slow_micros: Some(RedisPolicy::SLOW_MICROS),
        scripts,
        restore: false,
        reads_replicas: false,
        backstop: true,
    };
    Names::new(&policy, &TenantPattern::new("[a-z]+").unwrap().accept("acme").unwrap()).unwrap()
}

#[test]
fn sessions_of_one_tenant_are_one_user_until_all_are_gone() {
    let backstop = Backstop::new(Arc::default()).unwrap();
    let (one, two) = (backstop.lease("acme", &names(true)), backstop.lease("acme", &names(true)));
    assert!(Arc::ptr_eq(one.users(), two.users()));
    // By another policy it is another.
    let other = backstop.lease("acme", &names(false));
    assert_ne!(one.users().own.name(), other.users().own.name());
    let name = one.users().own.name().to_owned();
    assert!(name.starts_with("partywall:") && name.ends_with(":acme"), "{name}");
    let auth = String::from_utf8(one.users().own.auth().to_vec()).unwrap();
    assert!(auth.starts_with("*3\r\n$4\r\nAUTH\r\n") && auth.contains(&name));
    assert_eq!(backstop.leases(), 3);
    drop((two, other));
    assert_eq!(backstop.leases(), 1);
    assert!(backstop.take_idle().is_empty(), "it is too early");
    drop(one);
    let all = backstop.take_all();
    assert!(all.contains(&name) && all.len() == 4, "{all:?}");
    assert_ne!(backstop.lease("acme", &names(true)).users().own.name(), name, "a name is not given again");
    assert_ne!(Backstop::new(Arc::default()).unwrap().process(), backstop.process());
}

#[test]
fn walls_that_are_gone_have_left_users() {
    let users = [
        "default",
        "partywall:0123456789abcdef:1:acme",
        "partywall:aaaaaaaaaaaaaaaa:maker",
        "partywall:bbbbbbbbbbbbbbbb:0:x",
        "partywall:b",
    ];
    let clients = "id=1 name=partywall:0123456789abcdef user=default\nid=2 name= user=partywall:bbbbbbbbbbbbbbbb:0:x\n";
    assert_eq!(orphans(users.into_iter(), clients), ["partywall:aaaaaaaaaaaaaaaa:maker"]);
}
