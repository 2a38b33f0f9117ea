//! Which client certificates are SVIDs of which trust domain.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::server::WebPkiClientVerifier;

/// Two of the same name, as are the authorities of two agents that nobody has named.
fn authority() -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().der().clone(), Issuer::new(params, key))
}

fn signed(by: &Issuer<'static, KeyPair>, uris: &[&str], change: fn(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    change(&mut params);
    params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().clone()
}

#[test]
fn each_bundle_verifies_the_svids_of_its_own_trust_domain_only() {
    let ((root, a), (other, b)) = (authority(), authority());
    let bundles = [("a.example".to_owned(), vec![root]), ("b.example".to_owned(), vec![other]), ("empty.example".to_owned(), Vec::new())];
    let verifier =
        Bundles::new(&bundles, |roots| Ok(WebPkiClientVerifier::builder(roots.clone()).allow_unauthenticated().build()?)).unwrap();
    assert_eq!((verifier.root_hint_subjects().len(), verifier.client_auth_mandatory()), (2, false));
    let plain: fn(&mut CertificateParams) = |_| {};
    let (own, elsewhere) = ("spiffe://a.example/tenant/acme", "spiffe://b.example/tenant/acme");
    for (what, by, uris, change, good) in [
        ("its own", &a, &[own][..], plain, true),
        ("the other's own", &b, &[elsewhere], plain, true),
        ("another's, by this one", &a, &[elsewhere], plain, false),
        ("this one's, by another", &b, &[own], plain, false),
        ("one that has no bundle", &a, &["spiffe://c.example/tenant/acme"], plain, false),
        ("one whose bundle is empty", &a, &["spiffe://empty.example/tenant/acme"], plain, false),
        ("no URI name", &a, &[], plain, false),
        ("two", &a, &[own, elsewhere], plain, false),
        ("the same twice", &a, &[own, own], plain, false),
        ("another scheme", &a, &["https://a.example/tenant/acme"], plain, false),
        ("no path", &a, &["spiffe://a.example"], plain, false),
        ("an empty path", &a, &["spiffe://a.example/"], plain, false),
        ("an empty segment", &a, &["spiffe://a.example/tenant//acme"], plain, false),
        ("a segment that goes up", &a, &["spiffe://a.example/x/../tenant"], plain, false),
        ("a port", &a, &["spiffe://a.example:1/tenant"], plain, false),
        ("a user", &a, &["spiffe://x@a.example/tenant"], plain, false),
        ("a query", &a, &["spiffe://a.example/tenant?x"], plain, false),
        ("escapes", &a, &["spiffe://a.example/ten%61nt"], plain, false),
        ("another case", &a, &["spiffe://A.example/tenant"], plain, false),
        ("too long", &a, &[&*format!("spiffe://a.example/{}", "a".repeat(2100))], plain, false),
        ("without usages", &a, &[own], |p| p.key_usages.clear(), true),
        ("an authority", &a, &[own], |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), false),
        ("one that signs", &a, &[own], |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign), false),
        ("one that revokes", &a, &[own], |p| p.key_usages.push(KeyUsagePurpose::CrlSign), false),
        ("an old one", &a, &[own], |p| p.not_after = rcgen::date_time_ymd(2002, 1, 1), false),
    ] {
        let said = verifier.verify_client_cert(&signed(by, uris, change), &[], UnixTime::now());
        assert_eq!(said.is_ok(), good, "{what}: {said:?}");
    }
    assert!(verifier.verify_client_cert(&CertificateDer::from(b"garbage".to_vec()), &[], UnixTime::now()).is_err());
}
