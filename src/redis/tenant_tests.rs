//! Connections see each other's lines, counts and patterns.

use super::*;

#[test]
fn connections_come_and_go() {
    let tenant = Tenant::default();
    tenant.join(1, Number { id: 11, run: 1 }, "127.0.0.1:1".into());
    tenant.join(2, Number { id: 12, run: 1 }, "127.0.0.1:2".into());
    tenant.update(2, |m| (m.blocked, m.name, m.last) = (true, Bytes::from_static(b"w"), "blpop"));
    tenant.update(3, |m| m.blocked = true);
    assert_eq!(tenant.counts(), (2, 1));
    assert!(tenant.list("acme", |id, _| id == 2).starts_with("id=2 addr=127.0.0.1:2 laddr= fd=0 name=w age=0 idle=0 flags=b db=0"));
    assert_eq!(tenant.list("acme", |_, _| true).lines().count(), 2);
    assert_eq!(tenant.upstream_ids(1, |_, member| member.blocked), [12]);
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

#[test]
fn numbers_hold_for_one_start_of_one_server() {
    let tenant = Tenant::default();
    for (id, upstream) in [(1, (11, 1)), (2, (12, 1)), (3, (13, 2)), (4, (0, 2)), (5, (15, 0)), (6, (16, 0))] {
        tenant.join(id, Number { id: upstream.0, run: upstream.1 }, String::new());
    }
    assert_eq!(tenant.upstream_ids(1, |_, _| true), [11, 12]);
    assert_eq!(tenant.upstream_ids(3, |_, _| true), [13]);
    // Whose own server is not known names nobody, and nobody names it.
    for id in [4, 5, 6, 7] {
        assert_eq!(tenant.upstream_ids(id, |_, _| true), [0; 0]);
        assert!(!tenant.is_numbered(id));
    }
    struct Counter(AtomicUsize);
    impl End for Counter {
        fn end(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    (1..7).for_each(|id| tenant.update(id, |me| me.end = Some(counter.clone())));
    assert_eq!((tenant.end(1, |id, _| id != 1), counter.0.load(Ordering::Relaxed)), (4, 4));
}
