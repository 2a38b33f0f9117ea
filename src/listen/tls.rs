//! TLS towards clients: certificate, key, who signs client certificates, and which of those count no more.

use super::agent::Agent;
use super::bundles::{Bundle, Bundles};
use super::files::{Kept, items};
use crate::config::{Listener, Own, Protocol, Tls};
use crate::identity::certificate::{endpoint, list};
use anyhow::Context;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;

/// The name that PostgreSQL's clients ask for (manual, "SSL Session Encryption"; registered with IANA).
pub const POSTGRESQL: &[u8] = b"postgresql";

/// TLS, ready.
pub struct ServerTls {
    /// Shakes hands.
    pub acceptor: tokio_rustls::TlsAcceptor,
    /// What a client can bind itself to: see [`endpoint`].
    pub endpoint: Option<Vec<u8>>,
}

/// Says which client certificates count.
pub type Verifier = Arc<dyn ClientCertVerifier>;

/// What `tls:` names, as it was when each could be read last.
#[derive(Default)]
pub struct Files {
    pair: Kept<Pair>,
    authorities: Vec<Kept<Vec<CertificateDer<'static>>>>,
    lists: Vec<Kept<Vec<List>>>,
    verifier: Option<Verifier>,
    agent: Option<Agent>,
    given: Option<Given>,
}

/// A certificate's chain and its key.
pub type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What an agent gives: the wall's own, and who signs the SVIDs of which trust domain.
pub type Given = (Pair, Vec<Bundle>);

/// Certificates of one authority that count no more.
#[derive(Clone)]
struct List {
    /// Its authority, and for which of its certificates it is; another of the same replaces it.
    of: Vec<u8>,
    /// When it was made, in seconds since 1970.
    made: i64,
    der: CertificateRevocationListDer<'static>,
}

impl Files {
    /// Where an agent has what files would: waits for its first answer. Errors: none comes.
    pub async fn reach(&mut self, tls: &Tls) -> anyhow::Result<()> {
        if let Own::Agent(path) = &tls.own {
            self.agent = Some(Agent::reach(path).await?);
        }
        Ok(())
    }

    /// Reads what has changed; what cannot be used stays as it was, and why is put into `errors`. True: something is new.
    pub fn renew(&mut self, tls: &Tls, errors: &mut Vec<anyhow::Error>) -> bool {
        let (pair, mut judges) = match &tls.own {
            Own::Files { cert, key, client_ca } => {
                // A certificate and another's key are of no use, so these two go together; all else counts as soon as it can be read.
                let pair = told(errors, self.pair.renew(&[cert, key], |_| read_pair(cert, key)));
                self.authorities.resize_with(client_ca.len(), Kept::default);
                let all = self.authorities.iter_mut().zip(client_ca);
                (pair, all.fold(false, |new, (kept, path)| new | told(errors, kept.renew(&[path], |_| authorities(path)))))
            }
            Own::Agent(_) => {
                let new = self.listen(errors);
                (new, new)
            }
        };
        let roots = Arc::new(self.roots());
        self.lists.resize_with(tls.crl.len(), Kept::default);
        for (kept, path) in self.lists.iter_mut().zip(&tls.crl) {
            judges |= told(errors, kept.renew(&[path], |former| lists(path, &roots, former)));
        }
        if judges {
            let all = self.lists.iter().filter_map(Kept::get).flatten().cloned().collect();
            match self.judge(&roots, all) {
                Ok(verifier) => self.verifier = verifier,
                Err(error) => errors.push(error),
            }
        }
        pair || judges
    }

    /// Takes what the agent has said since. What it has taken back counts no more, and neither does what has ended.
    fn listen(&mut self, errors: &mut Vec<anyhow::Error>) -> bool {
        let Some(news) = self.agent.as_mut().and_then(Agent::news) else { return false };
        told(errors, news.map(|given| self.given = given).map(|()| true))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.authorities.iter().filter_map(Kept::get).flatten().cloned());
        let bundles = self.given.iter().flat_map(|(_, bundles)| bundles);
        roots.add_parsable_certificates(bundles.flat_map(|(_, authorities)| authorities).cloned());
        roots
    }

    fn judge(&self, roots: &Arc<RootCertStore>, lists: Vec<List>) -> anyhow::Result<Option<Verifier>> {
        match (&self.agent, &self.given) {
            (None, _) => verifier(roots, lists).map(Some),
            // It has taken back all.
            (Some(_), None) => Ok(None),
            // What one trust domain's authority signs counts for no other.
            (Some(_), Some((_, bundles))) => {
                let bundles = Bundles::new(bundles, |authorities| verifier(authorities, lists.clone()))?;
                Ok(Some(Arc::new(bundles)))
            }
        }
    }

    /// The wall's own certificate and its key, while there is one.
    pub fn pair(&self) -> Option<&Pair> {
        self.given.as_ref().map(|(pair, _)| pair).or(self.pair.get())
    }

    /// Which client certificates count; None where clients are not asked for one.
    pub fn verifier(&self) -> Option<Verifier> {
        self.verifier.clone()
    }

    /// Sets TLS up. A client without a certificate passes the handshake and has no mTLS identity; one whose certificate is not signed by `client_ca`
    /// (an agent's bundle), has expired or is revoked, does not. Errors: there is nothing to set up.
    pub fn server(&self, listener: &Listener) -> anyhow::Result<ServerTls> {
        let (chain, key) = self.pair().context("there is no certificate")?;
        let builder = rustls::ServerConfig::builder();
        let builder = match self.verifier() {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let endpoint = chain.first().and_then(|c| endpoint(c));
        let mut config = builder.with_single_cert(chain.clone(), key.clone_key())?;
        config.alpn_protocols = match (listener.tunnel, listener.protocol) {
            (true, _) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            (false, Protocol::Postgres) => vec![POSTGRESQL.to_vec()],
            (false, Protocol::Redis) => Vec::new(),
        };
        Ok(ServerTls { acceptor: Arc::new(config).into(), endpoint })
    }
}

fn told(errors: &mut Vec<anyhow::Error>, result: anyhow::Result<bool>) -> bool {
    result.unwrap_or_else(|error| {
        errors.push(error);
        false
    })
}

fn read_pair(cert: &Path, key: &Path) -> anyhow::Result<Pair> {
    // The key may stand in the same file.
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    matching(chain, PrivateKeyDer::from_pem_file(key)?)
}

/// A certificate's chain and its key. Errors: it is another's.
pub fn matching(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> anyhow::Result<Pair> {
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider())?;
    Ok((chain, key))
}

fn authorities(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all: Vec<CertificateDer<'static>> = items(path, SectionKind::Certificate)?;
    let mut roots = RootCertStore::empty();
    all.iter().try_for_each(|one| roots.add(one.clone()))?;
    Ok(all)
}

/// The lists of a file. One that is not there any more holds until another of the same authority comes: a file is written piece by piece, and what
/// fetches its pieces may fail at one.
fn lists(path: &Path, roots: &Arc<RootCertStore>, former: Option<&Vec<List>>) -> anyhow::Result<Vec<List>> {
    let mut all = Vec::new();
    for der in items::<CertificateRevocationListDer<'static>>(path, SectionKind::Crl)? {
        let (of, made) = list(&der).context("a list of revoked certificates cannot be read")?;
        all.push(List { of, made, der });
    }
    verifier(roots, all.clone())?;
    let gone = former.into_iter().flatten().filter(|f| all.iter().all(|list| list.of != f.of));
    Ok(gone.cloned().chain(all.iter().cloned()).collect())
}

fn verifier(roots: &Arc<RootCertStore>, mut lists: Vec<List>) -> anyhow::Result<Verifier> {
    // The first of an authority is the one that counts.
    lists.sort_by_key(|list| std::cmp::Reverse(list.made));
    let built = WebPkiClientVerifier::builder(roots.clone()).allow_unauthenticated();
    // An authority without a list of its own revokes nothing.
    let none = lists.is_empty();
    let built = built.with_crls(lists.into_iter().map(|list| list.der));
    Ok(if none { built } else { built.allow_unknown_revocation_status() }.build()?)
}
