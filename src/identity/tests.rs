//! Every source: good, absent, forged, conflicting, from where it is not trusted.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::certificate::names;
use super::*;
use crate::config::document::{Findings, Reader};

fn policy(identity: &str) -> Policy {
    let mut findings = Findings::new();
    let text = format!("version: 1\nname: x\ntenants: {{ id: '[a-z]+' }}\nidentity:\n{identity}\n");
    let policy = crate::policy::file::read(&mut Reader { file: "p".into(), findings: &mut findings }, &text);
    policy.filter(|_| findings.is_empty()).unwrap_or_else(|| unreachable!("{findings:?}"))
}

const ALL: &str = "  static: { tenant: acme }
  startup: { user: '*@{tenant}', database: 'shop_{tenant}', sni: '{tenant}.db.example', trust: [loopback, 10.0.0.0/8, 'spiffe://corp/gateway'] }
  mtls: { uri: 'spiffe://corp/tenant/{tenant}/*', dns: '{tenant}.apps.example', cn: 'tenant-{tenant}' }
  header: { name: X-Tenant-Id, trust: ['spiffe://corp/gateway'] }
  proxy: { authority: '{tenant}.db.example', ssl_cn: '{tenant}', tlv: { type: 0xE1, value: '{tenant}' } }
  peer: { users: { 1001: acme, 1002: globex } }";

fn at(peer: &str) -> Shown {
    Shown { peer: Peer::Ip(peer.parse().unwrap()), ..Shown::default() }
}

fn ask(sources: &[Source], shown: &Shown, startup: &[(&str, &str)]) -> Result<String, IdentityError> {
    let startup: Vec<_> = startup.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let evidence = Evidence { shown, startup: &startup, token: None, user: None };
    identify(&policy(ALL), Grounds { sources, conflict: Conflict::Refuse, env: &|_| None, keys: None }, &evidence)
        .map(|p| p.tenant.as_str().to_owned())
}

const GLOBEX: fn() -> Result<String, IdentityError> = || Ok("globex".into());

#[test]
fn startup_names_the_tenant_where_it_is_trusted() {
    let s = &[Source::Startup];
    let here = at("127.0.0.1");
    assert_eq!(ask(s, &here, &[("partywall.tenant", "globex")]), GLOBEX());
    assert_eq!(ask(s, &at("::1"), &[("options", "-c partywall.tenant=globex")]), GLOBEX());
    assert_eq!(ask(s, &at("10.0.0.9"), &[("partywall.tenant", "globex")]), GLOBEX());
    assert_eq!(ask(s, &at("11.0.0.9"), &[("partywall.tenant", "globex")]), Err(IdentityError::Untrusted));
    assert_eq!(ask(s, &Shown::default(), &[("partywall.tenant", "globex")]), Err(IdentityError::Untrusted));
    assert_eq!(ask(s, &here, &[]), Err(IdentityError::Absent));
    assert_eq!(ask(s, &here, &[("partywall.tenant", "GLOBEX")]), Err(IdentityError::Invalid));
    assert_eq!(ask(s, &here, &[("partywall.tenant", "")]), Err(IdentityError::Invalid));
    assert_eq!(ask(s, &here, &[("user", "app@globex"), ("database", "shop")]), GLOBEX());
    assert_eq!(ask(s, &here, &[("user", "app"), ("database", "shop_globex")]), GLOBEX());
    assert_eq!(ask(s, &here, &[("user", "shop_globex")]), GLOBEX(), "the database is the user's name where none is given");
    assert_eq!(ask(s, &here, &[("user", "app"), ("options", "-c user=app@globex")]), Err(IdentityError::Absent));
    assert_eq!(ask(s, &here, &[("user", "app@globex"), ("user", "app@acme")]), Err(IdentityError::Conflict));
    assert_eq!(ask(s, &here, &[("user", "app@globex"), ("database", "shop_acme")]), Err(IdentityError::Conflict));
    let named = Shown { sni: Some("globex.db.example".into()), ..here };
    assert_eq!(ask(s, &named, &[("user", "app")]), GLOBEX());
    assert_eq!(ask(s, &Shown { peer: Peer::Unknown, ..named }, &[("user", "app")]), Err(IdentityError::Untrusted));
}

/// Every way to say a parameter a second time.
fn twice(name: &str, first: &str, second: &str) -> Vec<Vec<(String, String)>> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let option = |value: &str| pair("options", &format!("-c {name}={value}"));
    let long = |value: &str| pair("options", &format!("--{}={value}", name.to_uppercase()));
    let both = pair("options", &format!("-c {name}={first} -c {name}={second}"));
    let upper = name.to_uppercase();
    vec![
        vec![pair(name, first), pair(name, second)],
        vec![pair(name, first), pair(&upper, second)],
        vec![pair(&upper, first), pair(name, second)],
        vec![pair(name, first), option(second)],
        vec![option(first), pair(name, second)],
        vec![pair(&upper, first), long(second)],
        vec![option(first), long(second)],
        vec![both],
    ]
}

#[test]
fn who_says_two_things_is_nobody_by_any_spelling() {
    let s = &[Source::Startup];
    let ask = |startup: &[(String, String)], default: &str, more: &[(&str, &str)]| {
        let all: Vec<(&str, &str)> = startup.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain(more.iter().copied()).collect();
        role_by(s, &at("127.0.0.1"), &all, default)
    };
    for (startup, agreed) in twice("partywall.tenant", "acme", "globex").iter().zip(twice("partywall.tenant", "acme", "acme")) {
        assert_eq!(ask(startup, ", default: clerk", &[]), Err(IdentityError::Conflict), "{startup:?}");
        assert_eq!(ask(&agreed, ", default: clerk", &[]), Ok(Role::Unsaid), "{agreed:?}");
    }
    let tenant = [("partywall.tenant", "acme")];
    for (startup, agreed) in twice("partywall.role", "clerk", "admin").iter().zip(twice("partywall.role", "clerk", "clerk")) {
        assert_eq!(ask(startup, "", &tenant), Err(IdentityError::Conflict), "{startup:?}");
        assert_eq!(ask(&agreed, "", &tenant), Ok(Role::Named("clerk".into())), "{agreed:?}");
    }
    for name in ["user", "database"] {
        for (one, other) in
            [(name.to_owned(), name.to_uppercase()), (name.to_uppercase(), name.to_owned()), (name.to_owned(), name.to_owned())]
        {
            let said = [(one, "clerk.app@acme".to_owned()), (other, "clerk.app@globex".to_owned())];
            assert_eq!(ask(&said, "", &[]), Err(IdentityError::Conflict), "{said:?}");
        }
    }
}

#[test]
fn a_certificate_names_it_by_the_templates() {
    let shown = |uris: &[&str], dns: &[&str], cn: &[&str]| {
        let own = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        Shown { certificate: Some(Names { uris: own(uris), dns: own(dns), cn: own(cn), ends: None }), ..at("10.0.0.9") }
    };
    let ask = |shown: Shown| ask(&[Source::Mtls], &shown, &[]);
    assert_eq!(ask(shown(&["spiffe://corp/tenant/globex/app"], &[], &[])), GLOBEX());
    assert_eq!(ask(shown(&[], &["x.example", "globex.apps.example"], &[])), GLOBEX());
    assert_eq!(ask(shown(&[], &[], &["tenant-globex"])), GLOBEX());
    for bad in
        ["spiffe://corp/tenant/globex", "spiffe://corp/tenant/globex/a/b", "spiffe://evil/tenant/globex/app", "spiffe://corp/tenant//app"]
    {
        assert_eq!(ask(shown(&[bad], &[bad], &[bad])), Err(IdentityError::Absent), "{bad}");
    }
    assert_eq!(ask(shown(&["spiffe://corp/tenant/glob%65x/app"], &[], &[])), Err(IdentityError::Invalid));
    assert_eq!(ask(shown(&[], &["*.apps.example"], &[])), Err(IdentityError::Invalid));
    let two = &["spiffe://corp/tenant/globex/app", "spiffe://corp/tenant/acme/app"];
    assert_eq!(ask(shown(two, &[], &[])), Err(IdentityError::Conflict));
    assert_eq!(ask(shown(&two[..1], &["acme.apps.example"], &[])), Err(IdentityError::Conflict));
    assert_eq!(ask(at("10.0.0.9")), Err(IdentityError::Absent));
}

#[test]
fn a_header_counts_from_those_who_are_trusted() {
    let shown = |uri: &str, values: &[&str]| Shown {
        certificate: Some(Names { uris: vec![uri.to_owned()], ..Names::default() }),
        headers: values.iter().map(|v| ("x-tenant-id".to_owned(), (*v).to_owned())).collect(),
        ..at("127.0.0.1")
    };
    let ask = |shown: Shown| ask(&[Source::Header], &shown, &[]);
    assert_eq!(ask(shown("spiffe://corp/gateway", &["globex"])), GLOBEX());
    assert_eq!(ask(shown("spiffe://corp/gateway", &["globex", "globex"])), GLOBEX());
    assert_eq!(ask(shown("spiffe://corp/gateway", &["globex", "acme"])), Err(IdentityError::Conflict));
    assert_eq!(ask(shown("spiffe://corp/gateway", &["globex, acme"])), Err(IdentityError::Invalid));
    assert_eq!(ask(shown("spiffe://corp/gateway", &[])), Err(IdentityError::Absent));
    assert_eq!(ask(shown("spiffe://corp/app", &["globex"])), Err(IdentityError::Untrusted));
    assert_eq!(ask(Shown { certificate: None, ..shown("", &["globex"]) }), Err(IdentityError::Untrusted));
}

#[test]
fn a_proxy_names_it_by_its_values() {
    let shown = |values: &[(u8, &[u8])]| Shown { proxied: values.iter().map(|(k, v)| (*k, v.to_vec())).collect(), ..Shown::default() };
    let ask = |shown: Shown| ask(&[Source::Proxy], &shown, &[]);
    assert_eq!(ask(shown(&[(0x02, b"globex.db.example")])), GLOBEX());
    assert_eq!(ask(shown(&[(0x22, b"globex")])), GLOBEX());
    assert_eq!(ask(shown(&[(0xE1, b"globex"), (0xE0, b"acme")])), GLOBEX());
    assert_eq!(ask(shown(&[(0xE1, b"globex"), (0xE1, b"acme")])), Err(IdentityError::Conflict));
    assert_eq!(ask(shown(&[(0x02, b"globex.db.example"), (0x02, b"db.example")])), Err(IdentityError::Conflict));
    assert_eq!(ask(shown(&[(0xE1, b"globex"), (0xE1, b"globex")])), GLOBEX());
    assert_eq!(ask(shown(&[(0x22, b"globex"), (0x02, b"acme.db.example")])), Err(IdentityError::Conflict));
    assert_eq!(ask(shown(&[(0xE1, b"\xff")])), Err(IdentityError::Invalid));
    assert_eq!(ask(shown(&[(0x02, b"db.example")])), Err(IdentityError::Absent));
}

#[test]
fn an_account_at_a_unix_socket_names_it() {
    let ask = |account| ask(&[Source::Peer], &Shown { peer: account, ..Shown::default() }, &[]);
    assert_eq!(ask(Peer::Unix(Some(1002))), GLOBEX());
    for nobody in [Peer::Unix(Some(0)), Peer::Unix(None), Peer::Unknown, Peer::Ip("127.0.0.1".parse().unwrap())] {
        assert_eq!(ask(nobody), Err(IdentityError::Absent), "{nobody:?}");
    }
}

#[test]
fn sources_that_disagree_refuse() {
    let both = &[Source::Static, Source::Startup];
    let here = at("127.0.0.1");
    assert_eq!(ask(both, &here, &[("partywall.tenant", "globex")]), Err(IdentityError::Conflict));
    assert_eq!(ask(both, &here, &[("partywall.tenant", "acme")]), Ok("acme".into()));
    assert_eq!(ask(both, &here, &[]), Ok("acme".into()));
}

#[test]
fn with_first_the_first_that_speaks_counts_alone() {
    let end = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5);
    let names = Names { uris: vec!["spiffe://corp/globex/admin".into()], ends: Some(end), ..Names::default() };
    let shown = Shown { certificate: Some(names), ..at("127.0.0.1") };
    let ask = |sources: &[Source], startup: &[(&str, &str)]| {
        let startup: Vec<_> = startup.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let grounds = Grounds { sources, conflict: Conflict::First, env: &|_| None, keys: None };
        let evidence = Evidence { shown: &shown, startup: &startup, token: None, user: None };
        let said = identify(&policy(&ROLES.replace("DEFAULT", ", default: clerk")), grounds, &evidence);
        said.map(|p| (p.tenant.as_str().to_owned(), p.role, p.source, p.until))
    };
    let (mtls, startup, fixed) = (Source::Mtls, Source::Startup, Source::Static);
    let by = |tenant: &str, role: Role, source, until| Ok((tenant.to_owned(), role, source, until));
    let named = |role: &str| Role::Named(role.into());
    let acme = &[("partywall.tenant", "acme")][..];
    assert_eq!(ask(&[mtls, startup, fixed], acme), by("globex", named("admin"), mtls, Some(end)));
    // Neither the role nor the end of one that does not count.
    assert_eq!(ask(&[startup, mtls, fixed], acme), by("acme", Role::Unsaid, startup, None));
    assert_eq!(ask(&[startup, fixed, mtls], &[]), by("acme", named("clerk"), fixed, None));
    assert_eq!(ask(&[startup, mtls], &[("partywall.role", "boss"), acme[0]]), Err(IdentityError::Role));
    assert_eq!(ask(&[mtls, startup], &[("partywall.role", "boss"), acme[0]]), by("globex", named("admin"), mtls, Some(end)));
    assert_eq!(ask(&[mtls, startup], &[("partywall.tenant", "A'b")]), Err(IdentityError::Invalid));
    assert_eq!(ask(&[mtls, startup], &[acme[0], ("user", "x.y@globex")]), Err(IdentityError::Conflict), "one source says two");
    assert_eq!(ask(&[startup], &[]), Err(IdentityError::Absent));
}

#[test]
fn the_earliest_end_counts() {
    let end = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let names = Names { uris: vec!["spiffe://corp/tenant/acme/app".into()], ends: Some(end(5)), ..Names::default() };
    let shown = Shown { certificate: Some(names), ..at("10.0.0.9") };
    let until = |identity: &str| {
        let grounds = Grounds { sources: &[Source::Static, Source::Mtls], conflict: Conflict::Refuse, env: &|_| None, keys: None };
        identify(&policy(identity), grounds, &Evidence { shown: &shown, startup: &[], token: None, user: None }).unwrap().until
    };
    assert_eq!(until(ALL), Some(end(5)));
    assert_eq!(until(&ALL.replace("mtls: { ", "mtls: { expiry: keep, ")), None);
}

#[test]
fn a_real_certificate_is_read() {
    let mut parameters = rcgen::CertificateParams::new(vec!["db.example".into()]).unwrap();
    parameters.subject_alt_names.push(rcgen::SanType::URI("spiffe://corp/tenant/acme/app".try_into().unwrap()));
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "acme");
    parameters.not_after = rcgen::date_time_ymd(2031, 1, 1);
    let certificate = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let read = names(certificate.der());
    assert_eq!(read.uris, ["spiffe://corp/tenant/acme/app"]);
    assert_eq!((read.dns, read.cn), (vec!["db.example".to_owned()], vec!["acme".to_owned()]));
    assert_eq!(read.ends, Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_924_992_000)));
    assert_eq!(names(b"garbage"), Names::default());
}

const ROLES: &str = "  static: { tenant: acme, role: clerk }
  startup: { user: '{role}.*@{tenant}', role: partywall.role, trust: [loopback] }
  mtls: { uri: 'spiffe://corp/{tenant}/{role}', dns: '{tenant}.apps.example' }
  header: { name: x-tenant, role: x-role, trust: [loopback] }
  peer: { users: { 1001: acme, 1002: { tenant: acme, role: admin } } }
roles: { clerk: {}, admin: { postgres: all } DEFAULT }";

fn role_by(sources: &[Source], shown: &Shown, startup: &[(&str, &str)], default: &str) -> Result<Role, IdentityError> {
    let startup: Vec<_> = startup.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let evidence = Evidence { shown, startup: &startup, token: None, user: None };
    let policy = policy(&ROLES.replace("DEFAULT", default));
    identify(&policy, Grounds { sources, conflict: Conflict::Refuse, env: &|_| None, keys: None }, &evidence).map(|p| p.role)
}

#[test]
fn a_role_comes_with_the_tenant() {
    let named = |name: &str| Ok(Role::Named(name.into()));
    let role = |sources: &[Source], shown: &Shown, startup: &[(&str, &str)]| role_by(sources, shown, startup, "");
    let here = at("127.0.0.1");
    let s = &[Source::Startup];
    assert_eq!(role(&[Source::Static], &here, &[]), named("clerk"));
    assert_eq!(role(s, &here, &[("user", "admin.app@acme")]), named("admin"));
    assert_eq!(role(s, &here, &[("partywall.tenant", "acme"), ("partywall.role", "admin")]), named("admin"));
    assert_eq!(role(s, &here, &[("user", "admin.app@acme"), ("partywall.role", "clerk")]), Err(IdentityError::Conflict));
    assert_eq!(role(s, &here, &[("partywall.tenant", "acme"), ("partywall.role", "boss")]), Err(IdentityError::Role));
    assert_eq!(role(s, &here, &[("partywall.tenant", "acme")]), Err(IdentityError::Role));
    assert_eq!(role(s, &here, &[("partywall.role", "admin")]), Err(IdentityError::Absent), "a role alone is nobody");
    assert_eq!(role(s, &at("10.0.0.9"), &[("partywall.role", "admin")]), Err(IdentityError::Untrusted));
    assert_eq!(
        role(&[Source::Static, Source::Startup], &here, &[("partywall.tenant", "acme")]),
        named("clerk"),
        "one says it, one does not"
    );
    let both = &[("partywall.tenant", "acme"), ("partywall.role", "admin")];
    assert_eq!(role(&[Source::Static, Source::Startup], &here, both), Err(IdentityError::Conflict));
    let peer = |account| Shown { peer: Peer::Unix(Some(account)), ..Shown::default() };
    assert_eq!(role(&[Source::Peer], &peer(1002), &[]), named("admin"));
    assert_eq!(role(&[Source::Peer], &peer(1001), &[]), Err(IdentityError::Role));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let tunnel = |headers: &[(&str, &str)]| Shown { headers: headers.iter().map(|(n, v)| header(n, v)).collect(), ..at("127.0.0.1") };
    assert_eq!(role(&[Source::Header], &tunnel(&[("x-tenant", "acme"), ("x-role", "admin")]), &[]), named("admin"));
    let twice = tunnel(&[("x-tenant", "acme"), ("x-role", "admin"), ("x-role", "clerk")]);
    assert_eq!(role(&[Source::Header], &twice, &[]), Err(IdentityError::Conflict));
    let certificate = |uris: &[&str], dns: &[&str]| {
        let own = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        Shown { certificate: Some(Names { uris: own(uris), dns: own(dns), cn: Vec::new(), ends: None }), ..at("10.0.0.9") }
    };
    assert_eq!(role(&[Source::Mtls], &certificate(&["spiffe://corp/acme/admin"], &["acme.apps.example"]), &[]), named("admin"));
    let two = certificate(&["spiffe://corp/acme/admin", "spiffe://corp/acme/clerk"], &[]);
    assert_eq!(role(&[Source::Mtls], &two, &[]), Err(IdentityError::Conflict));
}

#[test]
fn who_carries_no_role_gets_the_stated_one_or_is_refused() {
    let here = at("127.0.0.1");
    let said = &[("partywall.tenant", "acme")];
    assert_eq!(role_by(&[Source::Startup], &here, said, ", default: refuse"), Err(IdentityError::Role));
    assert_eq!(role_by(&[Source::Startup], &here, said, ", default: clerk"), Ok(Role::Unsaid));
    let stranger = &[("partywall.tenant", "acme"), ("partywall.role", "stranger")];
    assert_eq!(role_by(&[Source::Startup], &here, stranger, ", default: clerk"), Err(IdentityError::Role));
}
