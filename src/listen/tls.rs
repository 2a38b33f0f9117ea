//! TLS towards clients: certificate, key, and who signs client certificates.

use crate::config::Tls;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;

/// Sets TLS up from its files. A client without a certificate passes the handshake and has no mTLS identity; one whose certificate is not
/// signed by `client_ca`, or has expired, does not. Errors: a file that cannot be read or used.
pub fn server(tls: &Tls) -> anyhow::Result<tokio_rustls::TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(&tls.cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)?;
    let builder = rustls::ServerConfig::builder();
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path)? {
                roots.add(certificate?)?;
            }
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build()?)
        }
    };
    Ok(Arc::new(builder.with_single_cert(chain, key)?).into())
}
