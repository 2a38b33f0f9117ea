//! Sources × good, absent, forged, conflicting.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::config::document::{Findings, Reader};

fn policy(identity: &str) -> Policy {
    let mut findings = Findings::new();
    let text = format!("version: 1\nname: x\ntenants: {{ id: '[a-z]+' }}\nidentity:\n{identity}\n");
    let policy = crate::policy::file::read(&mut Reader { file: "p".into(), findings: &mut findings }, &text);
    policy.unwrap_or_else(|| unreachable!("{findings:?}"))
}

const ALL: &str = "  static: { tenant: acme }\n  startup: { trust: [loopback] }\n  mtls: { uri: 'spiffe://corp/tenant/{tenant}/*' }";

fn ask(sources: &[Source], startup: &[(&str, &str)], peer: &str, uris: Option<&[&str]>) -> Result<String, IdentityError> {
    let startup: Vec<_> = startup.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let uris = uris.map(|u| u.iter().map(|s| (*s).to_owned()).collect());
    let evidence = Evidence { peer: Some(peer.parse().unwrap()), startup: &startup, uris };
    identify(&policy(ALL), sources, &|_| None, &evidence).map(|p| p.tenant.as_str().to_owned())
}

#[test]
fn startup_names_the_tenant_from_loopback_only() {
    let s = &[Source::Startup];
    assert_eq!(ask(s, &[("partywall.tenant", "globex")], "127.0.0.1", None), Ok("globex".into()));
    assert_eq!(ask(s, &[("options", "-c partywall.tenant=globex")], "::1", None), Ok("globex".into()));
    assert_eq!(ask(s, &[("partywall.tenant", "globex")], "10.0.0.9", None), Err(IdentityError::Untrusted));
    assert_eq!(ask(s, &[], "127.0.0.1", None), Err(IdentityError::Absent));
    assert_eq!(ask(s, &[("partywall.tenant", "GLOBEX")], "127.0.0.1", None), Err(IdentityError::Invalid));
    assert_eq!(ask(s, &[("partywall.tenant", "")], "127.0.0.1", None), Err(IdentityError::Invalid));
}

#[test]
fn a_certificate_names_it_by_the_template() {
    let s = &[Source::Mtls];
    assert_eq!(ask(s, &[], "10.0.0.9", Some(&["spiffe://corp/tenant/globex/app"])), Ok("globex".into()));
    for bad in
        ["spiffe://corp/tenant/globex", "spiffe://corp/tenant/globex/a/b", "spiffe://evil/tenant/globex/app", "spiffe://corp/tenant//app"]
    {
        assert_eq!(ask(s, &[], "10.0.0.9", Some(&[bad])), Err(IdentityError::Absent), "{bad}");
    }
    assert_eq!(ask(s, &[], "10.0.0.9", Some(&["spiffe://corp/tenant/glob%65x/app"])), Err(IdentityError::Invalid));
    let two: &[&str] = &["spiffe://corp/tenant/globex/app", "spiffe://corp/tenant/acme/app"];
    assert_eq!(ask(s, &[], "10.0.0.9", Some(two)), Err(IdentityError::Conflict));
    assert_eq!(ask(s, &[], "10.0.0.9", None), Err(IdentityError::Absent));
}

#[test]
fn sources_that_disagree_refuse() {
    let both = &[Source::Static, Source::Startup];
    assert_eq!(ask(both, &[("partywall.tenant", "globex")], "127.0.0.1", None), Err(IdentityError::Conflict));
    assert_eq!(ask(both, &[("partywall.tenant", "acme")], "127.0.0.1", None), Ok("acme".into()));
    assert_eq!(ask(both, &[], "127.0.0.1", None), Ok("acme".into()));
}

#[test]
fn a_real_certificate_is_read() {
    let mut parameters = rcgen::CertificateParams::new(vec!["db.example".into()]).unwrap();
    parameters.subject_alt_names.push(rcgen::SanType::URI("spiffe://corp/tenant/acme/app".try_into().unwrap()));
    let certificate = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    assert_eq!(uri_names(certificate.der()), Some(vec!["spiffe://corp/tenant/acme/app".to_owned()]));
    assert_eq!(uri_names(b"garbage"), None);
}
