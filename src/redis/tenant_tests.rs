//! Connections see each other's lines, counts and patterns.

use super::*;

#[test]
fn connections_come_and_go() {
    let tenant = Tenant::default();
    tenant.join(1, 11, "127.0.0.1:1".into());
    tenant.join(2, 12, "127.0.0.1:2".into());
    tenant.update(2, |m| (m.blocked, m.name, m.last) = (true, Bytes::from_static(b"w"), "blpop"));
    tenant.update(3, |m| m.blocked = true);
    assert_eq!(tenant.counts(), (2, 1));
    assert!(tenant.list("acme", |id, _| id == 2).starts_with("id=2 addr=127.0.0.1:2 laddr= fd=0 name=w age=0 idle=0 flags=b db=0"));
    assert_eq!(tenant.list("acme", |_, _| true).lines().count(), 2);
    assert_eq!(tenant.upstream_ids(|_, member| member.blocked), [12]);
    for id in [1, 2] {
        tenant.listen(id, &[Bytes::from_static(b"p*"), Bytes::from_static(b"p*")]);
    }
    tenant.listen(2, &[Bytes::from_static(b"q*"), Bytes::from_static(b"r*")]);
    assert_eq!(tenant.patterns(), 3);
    tenant.ignore(2, Some(&[Bytes::from_static(b"q*"), Bytes::from_static(b"x*")]));
    assert_eq!(tenant.patterns(), 2);
    tenant.leave(2);
    assert_eq!((tenant.counts(), tenant.patterns()), ((1, 0), 1));
    tenant.ignore(1, None);
    assert_eq!(tenant.patterns(), 0);
    assert_eq!([tenant.number(), tenant.number()], [1, 2]);
}
