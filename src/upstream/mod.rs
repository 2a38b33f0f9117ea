//! Connections to the servers behind the wall.

pub mod login;
pub mod postgres;
pub mod redis;

use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream both ways: TCP, Unix socket or TLS over one of them.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Any of them.
pub type Stream = Box<dyn Duplex>;

/// TLS towards a server whose certificate these authorities signed.
fn client_tls(ca: &Path) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    Ok(Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// The name that the server's certificate must have.
fn server_name(address: &str) -> std::io::Result<rustls::pki_types::ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    rustls::pki_types::ServerName::try_from(host).map_err(|e| std::io::Error::other(e.to_string()))
}
