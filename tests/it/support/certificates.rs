//! A certificate authority for a test, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
    serial: u64,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        Self::named("test authority")
    }

    /// A new one of this name.
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A server's, for a DNS name or an address.
    pub fn server(&self, name: &str) -> Signed {
        self.sign(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// A client's with a URI name; none where it is empty. `expired` ones ended long ago.
    pub fn client(&self, uri: &str, expired: bool) -> Signed {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "acme");
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        if !uri.is_empty() {
            params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        }
        if expired {
            (params.not_before, params.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
        }
        self.sign(params)
    }

    /// A client's that ends in so many seconds.
    pub fn ending(&self, uri: &str, seconds: u64) -> Signed {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "acme");
        if !uri.is_empty() {
            params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        }
        params.not_after = (SystemTime::now() + Duration::from_secs(seconds)).into();
        self.sign(params)
    }

    /// A client's with these common names and DNS names.
    pub fn named_client(&self, common: &[&str], dns: &[&str]) -> Signed {
        let mut params = CertificateParams::new(dns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        common.iter().for_each(|name| params.distinguished_name.push(DnType::CommonName, *name));
        self.sign(params)
    }

    /// A list of those of its certificates that count no more, PEM.
    pub fn revoke(&self, revoked: &[&Signed]) -> String {
        self.revoke_in(2020, revoked)
    }

    /// One that was made in this year.
    pub fn revoke_in(&self, year: i32, revoked: &[&Signed]) -> String {
        let one = |signed: &&Signed| rcgen::RevokedCertParams {
            serial_number: signed.serial.into(),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(year, 1, 1),
            next_update: rcgen::date_time_ymd(2200, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(one).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn sign(&self, mut params: CertificateParams) -> Signed {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(serial.into());
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed { certificate: certificate.pem(), key: key.serialize_pem(), serial }
    }
}

/// A stream over TLS.
pub type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// TLS on a socket that has the server's `S`: `name` and `authority` are what the server is verified by. The handshake is complete; an
/// error is the socket's or TLS'.
pub fn tls(socket: TcpStream, name: &str, authority: &Authority, client: Option<&Signed>) -> std::io::Result<Tls> {
    tls_with(socket, name, authority, client, &[])
}

/// The same with protocols to choose from (ALPN).
pub fn tls_with(socket: TcpStream, name: &str, authority: &Authority, client: Option<&Signed>, alpn: &[&str]) -> std::io::Result<Tls> {
    let mut config = tls_config(authority, client, rustls::ALL_VERSIONS);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    tls_as(socket, name, &Arc::new(config))
}

/// What a client of TLS is set up by; used for two connections, the second goes on with the first's session.
pub fn tls_config(
    authority: &Authority,
    client: Option<&Signed>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let builder = rustls::ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    match client {
        None => builder.with_no_client_auth(),
        Some(signed) => {
            let chain = vec![CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap()).unwrap()
        }
    }
}

/// TLS, as set up.
pub fn tls_as(mut socket: TcpStream, name: &str, config: &Arc<rustls::ClientConfig>) -> std::io::Result<Tls> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = rustls::ClientConnection::new(config.clone(), name).map_err(std::io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(rustls::StreamOwned::new(connection, socket))
}

/// Asks for TLS and gives the answer, `S` or `N`.
pub fn ask_for_tls(socket: &mut TcpStream) -> u8 {
    socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    answer[0]
}
