//! TLS towards clients: certificate, key, who signs client certificates, and which of those count no more.

use crate::config::{Listener, Protocol, Tls};
use crate::identity::certificate::endpoint;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;

/// The name that PostgreSQL's clients ask for (manual, "SSL Session Encryption"; registered with IANA).
pub const POSTGRESQL: &[u8] = b"postgresql";

/// TLS, ready.
pub struct ServerTls {
    /// Shakes hands.
    pub acceptor: tokio_rustls::TlsAcceptor,
    /// What a client can bind itself to: see [`endpoint`].
    pub endpoint: Option<Vec<u8>>,
    /// Says which client certificates count; None where clients are not asked for one.
    pub verifier: Option<Verifier>,
}

/// Says which client certificates count.
pub type Verifier = Arc<dyn ClientCertVerifier>;

/// Sets TLS up from its files. A client without a certificate passes the handshake and has no mTLS identity; one whose certificate is not
/// signed by `client_ca`, has expired or is revoked, does not. Errors: a file that cannot be read or used.
pub fn server(listener: &Listener, tls: &Tls) -> anyhow::Result<ServerTls> {
    let chain = CertificateDer::pem_file_iter(&tls.cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)?;
    let builder = rustls::ServerConfig::builder();
    let mut verifier: Option<Verifier> = None;
    let builder = if tls.client_ca.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = rustls::RootCertStore::empty();
        for path in &tls.client_ca {
            for certificate in CertificateDer::pem_file_iter(path)? {
                roots.add(certificate?)?;
            }
        }
        let mut lists = Vec::new();
        for path in &tls.crl {
            for list in CertificateRevocationListDer::pem_file_iter(path)? {
                lists.push(list?);
            }
        }
        let built = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated();
        // An authority without a list of its own revokes nothing.
        let built = if lists.is_empty() { built } else { built.with_crls(lists).allow_unknown_revocation_status() };
        builder.with_client_cert_verifier(verifier.insert(built.build()?).clone())
    };
    let endpoint = chain.first().and_then(|c| endpoint(c));
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = match (listener.tunnel, listener.protocol) {
        (true, _) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        (false, Protocol::Postgres) => vec![POSTGRESQL.to_vec()],
        (false, Protocol::Redis) => Vec::new(),
    };
    Ok(ServerTls { acceptor: Arc::new(config).into(), endpoint, verifier })
}
