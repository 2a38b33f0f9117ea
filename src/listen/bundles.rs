//! Client certificates as X.509-SVIDs: each is verified by the bundle of its own trust domain, and by no other's. Source: SPIFFE's "X.509-SVID", 5, and
//! "Trust Domain and Bundle".

use super::tls::Verifier;
use crate::identity::certificate::trust_domain;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A trust domain's name, and who signs its SVIDs.
pub type Bundle = (String, Vec<CertificateDer<'static>>);

/// Who signs the SVIDs of which trust domain.
#[derive(Debug)]
pub struct Bundles {
    domains: BTreeMap<String, Verifier>,
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Bundles {
    /// `verifier` is what believes these authorities. Errors: as it.
    pub fn new(bundles: &[Bundle], verifier: impl Fn(&Arc<RootCertStore>) -> anyhow::Result<Verifier>) -> anyhow::Result<Self> {
        let (mut domains, mut subjects) = (BTreeMap::new(), Vec::new());
        for (domain, authorities) in bundles {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(authorities.iter().cloned());
            // One without authorities has no SVIDs.
            if !roots.is_empty() {
                subjects.extend(roots.subjects());
                domains.insert(domain.clone(), verifier(&Arc::new(roots))?);
            }
        }
        Ok(Self { domains, subjects, algorithms: ring::default_provider().signature_verification_algorithms })
    }
}

impl ClientCertVerifier for Bundles {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let domain = trust_domain(end_entity).map_err(refuse)?;
        let own = self.domains.get(&domain).ok_or_else(|| refuse("there is no bundle of its trust domain"))?;
        own.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn refuse(why: &'static str) -> Error {
    let why: Box<dyn std::error::Error + Send + Sync> = why.into();
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::from(why))))
}

#[cfg(test)]
#[path = "bundles_tests.rs"]
mod tests;
