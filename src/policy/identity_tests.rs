//! Templates and trust.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn check(template: Result<Template, &str>, cases: &[(&str, Option<&str>)]) {
    let template = template.unwrap();
    for (name, tenant) in cases {
        assert_eq!(template.named(name).map(|n| n.tenant).as_deref(), *tenant, "{name}");
    }
}

#[test]
fn templates_find_the_tenant_in_its_place_only() {
    check(
        Template::uri("spiffe://corp/tenant/{tenant}/*"),
        &[
            ("spiffe://corp/tenant/acme/app", Some("acme")),
            ("spiffe://corp/tenant/acme", None),
            ("spiffe://corp/tenant/acme/", None),
            ("spiffe://corp/tenant//app", None),
            ("spiffe://CORP/tenant/acme/app", None),
            ("spiffe://corp/tenant/a%2Fb/app", Some("a%2Fb")),
        ],
    );
    check(
        Template::dns("{tenant}.apps.example"),
        &[
            ("acme.apps.example", Some("acme")),
            ("ACME.Apps.Example", Some("ACME")),
            ("x.acme.apps.example", None),
            ("apps.example", None),
            (".apps.example", None),
            ("acme.apps.example.", None),
        ],
    );
    check(
        Template::text("*@{tenant}"),
        &[("app@acme", Some("acme")), ("a@b@acme", Some("b@acme")), ("@acme", None), ("app@", None), ("acme", None)],
    );
    check(Template::text("tenant_{tenant}"), &[("tenant_acme", Some("acme")), ("xtenant_acme", None), ("tenant_", None)]);
    check(Template::text("{tenant}.*"), &[("acme.app", Some("acme")), ("acme.", None)]);
    check(Template::text("{tenant}"), &[("acme\nglobex", Some("acme\nglobex")), ("", None)]);
}

#[test]
fn templates_find_the_role_in_its_place_only() {
    let cases = [
        (Template::uri("spiffe://corp/{tenant}/role/{role}"), "spiffe://corp/acme/role/clerk", Some(("acme", "clerk"))),
        (Template::uri("spiffe://corp/{tenant}/role/{role}"), "spiffe://corp/acme/role/", None),
        (Template::uri("spiffe://corp/{tenant}/role/{role}"), "spiffe://corp/acme/role/clerk/x", None),
        (Template::dns("{role}.{tenant}.example"), "clerk.acme.example", Some(("acme", "clerk"))),
        (Template::text("{role}@{tenant}"), "clerk@acme", Some(("acme", "clerk"))),
        (Template::text("{role}@{tenant}"), "a@b@acme", Some(("b@acme", "a"))),
        (Template::text("{tenant}.{role}"), "a.b.c", Some(("a.b", "c"))),
        (Template::text("{role}.*@{tenant}"), "clerk.app@acme", Some(("acme", "clerk"))),
        (Template::text("{role}.*@{tenant}"), "clerk@acme", None),
    ];
    for (template, name, expected) in cases {
        let template = template.unwrap();
        assert!(template.names_role());
        let found = template.named(name).map(|n| (n.tenant, n.role.unwrap()));
        assert_eq!(found, expected.map(|(t, r)| (t.to_owned(), r.to_owned())), "{name}");
    }
}

#[test]
fn templates_of_another_form_are_none() {
    for bad in [
        "spiffe://corp/tenant",
        "spiffe://{tenant}/{tenant}",
        "spiffe://corp/x{tenant}",
        "{tenant}",
        "spiffe://{tenant}/x{role}",
        "spiffe://{role}/x",
    ] {
        assert!(Template::uri(bad).is_err(), "{bad}");
    }
    for bad in ["apps.example", "{tenant}", "x{tenant}.example"] {
        assert!(Template::dns(bad).is_err(), "{bad}");
    }
    for bad in ["app", "{tenant}{tenant}", "*{tenant}", "{tenant}*", "*a*{tenant}", "{role}{tenant}", "{role}", "{role}-{role}.{tenant}"] {
        assert!(Template::text(bad).is_err(), "{bad}");
    }
    assert!(Template::principal("spiffe://corp/{tenant}").is_err());
}

#[test]
fn trust_is_of_places_and_of_principals() {
    let ip = |text: &str| Peer::Ip(text.parse().unwrap());
    let net = Trust::Net("10.0.0.0/8".parse().unwrap());
    for (peer, loopback, network) in [
        (ip("127.0.0.9"), true, false),
        (ip("::1"), true, false),
        (ip("::ffff:127.0.0.1"), true, false),
        (ip("10.1.2.3"), false, true),
        (ip("::ffff:10.1.2.3"), false, true),
        (Peer::Unix(None), true, false),
        (Peer::Unknown, false, false),
    ] {
        assert_eq!((Trust::Loopback.holds(peer, &[]), net.holds(peer, &[])), (loopback, network), "{peer:?}");
    }
    let gateway = Trust::Principal(Template::principal("spiffe://corp/gateway/*").unwrap());
    assert!(gateway.holds(ip("10.0.0.1"), &["spiffe://corp/gateway/a".into()]));
    assert!(!gateway.holds(ip("127.0.0.1"), &["spiffe://corp/gateway".into(), "spiffe://corp/app/a".into()]));
    assert!(!gateway.holds(Peer::Unix(None), &[]));
}
