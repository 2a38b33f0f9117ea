//! What every connection comes through, whatever it speaks: its PROXY header, TLS, and the question who it is.

use super::attempts::Attempts;
use super::proxy;
use super::tls::{ServerTls, Verifier};
use crate::config::{Listener, Source};
use crate::identity::certificate::names;
use crate::identity::jwt::Keys;
use crate::identity::scram::Users;
use crate::identity::{Evidence, Grounds, IdentityError, Principal, Shown, identify};
use crate::policy::{Expiry, Peer, Policy};
use crate::postgres::header;
use crate::relay::Drain;
use crate::upstream::Stream;
use anyhow::Context;
use arc_swap::ArcSwapOption;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::watch;

/// So many wrong secrets a source may show in a minute before it waits.
const FAILURES: u32 = 20;

/// A listener's way in. Its files are read again when they change; connections that are in stay in.
pub struct Door {
    /// As configured.
    pub config: Listener,
    /// Secrets that clients show.
    pub attempts: Attempts,
    tls: ArcSwapOption<ServerTls>,
    keys: ArcSwapOption<Keys>,
    users: ArcSwapOption<Users>,
    signers: ArcSwapOption<header::Keys>,
    stamps: Mutex<Vec<Stamp>>,
    /// Which client certificates count now; live sessions look whenever it changes.
    verifier: watch::Sender<Option<Verifier>>,
}

/// Differs when a file has been written or another stands in its place.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Door {
    /// Reads the files. Errors: one that cannot be read or used.
    pub fn open(config: &Listener) -> anyhow::Result<Self> {
        let door = Self {
            config: config.clone(),
            attempts: Attempts::new(FAILURES),
            tls: ArcSwapOption::empty(),
            keys: ArcSwapOption::empty(),
            users: ArcSwapOption::empty(),
            signers: ArcSwapOption::empty(),
            stamps: Mutex::default(),
            verifier: watch::Sender::new(None),
        };
        *door.stamps.lock().unwrap_or_else(PoisonError::into_inner) = door.stamps(&config.policy);
        door.read(&config.policy).with_context(|| format!("listener `{}`", config.name))?;
        Ok(door)
    }

    fn read(&self, policy: &Policy) -> anyhow::Result<()> {
        let tls = self.config.tls.as_ref().map(|tls| super::tls::server(&self.config, tls)).transpose().context("tls")?;
        let keys = policy.identity.jwt.as_ref().map(|jwt| read_keys(&jwt.keys)).transpose()?;
        let users = policy.identity.password.as_ref().map(|password| read_users(&password.users)).transpose()?;
        let signers = policy.identity.statement.as_ref().and_then(|s| s.key.as_ref()).map(|path| read_signers(path)).transpose()?;
        self.signers.store(signers.map(Arc::new));
        self.users.store(users.map(Arc::new));
        self.verifier.send_replace(tls.as_ref().and_then(|tls| tls.verifier.clone()));
        self.tls.store(tls.map(Arc::new));
        self.keys.store(keys.map(Arc::new));
        Ok(())
    }

    /// Reads the files again if one has changed; the keys of tokens are those of the policy that holds now. What cannot be used is logged, and
    /// what was read before stays.
    pub fn refresh(&self, policy: &Policy) {
        let now = self.stamps(policy);
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if *stamps == now {
            return;
        }
        match self.read(policy) {
            Ok(()) => {
                *stamps = now;
                tracing::info!(listener = self.config.name, "certificates and keys renewed");
            }
            // Half of a rotation, most likely: tried again.
            Err(error) => {
                tracing::error!(listener = self.config.name, error = format!("{error:#}"), "certificates and keys stay as they were")
            }
        }
    }

    fn stamps(&self, policy: &Policy) -> Vec<Stamp> {
        let mut paths: Vec<&PathBuf> = policy.identity.jwt.iter().map(|jwt| &jwt.keys).collect();
        paths.extend(policy.identity.statement.iter().filter_map(|statement| statement.key.as_ref()));
        paths.extend(policy.identity.password.iter().map(|password| &password.users));
        if let Some(tls) = &self.config.tls {
            paths.extend([&tls.cert, &tls.key].into_iter().chain(&tls.client_ca).chain(&tls.crl));
        }
        let stamp = |path: &&PathBuf| std::fs::metadata(path).ok().and_then(|m| Some((m.modified().ok()?, m.len(), m.ino())));
        paths.iter().map(stamp).collect()
    }

    /// Does the port speak TLS?
    pub fn speaks_tls(&self) -> bool {
        self.config.tls.is_some()
    }

    /// Reads the PROXY header, where the port has one. Errors: it is not there, not whole, or from somebody who is not believed.
    pub async fn announce(&self, stream: Stream, shown: &mut Shown) -> std::io::Result<Stream> {
        let Some(trust) = &self.config.proxy_protocol else { return Ok(stream) };
        if !trust.iter().any(|t| t.holds(shown.peer, &[])) {
            return Err(std::io::Error::other("a PROXY header from where it is not trusted"));
        }
        proxy::read(stream, shown).await
    }

    /// The server's side of a TLS handshake. Errors: it fails, or the port has none.
    pub async fn secure(&self, stream: Stream, shown: &mut Shown) -> std::io::Result<tokio_rustls::server::TlsStream<Stream>> {
        let tls = self.tls.load_full().ok_or_else(|| std::io::Error::other("no TLS here"))?;
        let accepted = tls.acceptor.accept(stream).await?;
        let connection = accepted.get_ref().1;
        shown.certificate = connection.peer_certificates().and_then(|c| c.first()).map(|c| names(c));
        shown.chain = connection.peer_certificates().map(|all| all.iter().map(|c| c.clone().into_owned()).collect()).unwrap_or_default();
        shown.sni = connection.server_name().map(str::to_owned);
        shown.endpoint.clone_from(&tls.endpoint);
        shown.secret = true;
        Ok(accepted)
    }

    /// The drain of a session whose client has shown a certificate: it ends when that counts no more, unless the policy keeps it.
    pub fn watch(&self, drain: Drain, shown: &Shown, policy: &Policy) -> Drain {
        let keeps = policy.identity.mtls.as_ref().is_some_and(|mtls| mtls.expiry == Expiry::Keep);
        if keeps { drain } else { self.watch_always(drain, shown) }
    }

    /// The same, whatever the policy keeps.
    pub fn watch_always(&self, drain: Drain, shown: &Shown) -> Drain {
        if shown.chain.is_empty() {
            return drain;
        }
        let (chain, mut verifier, name) = (shown.chain.clone(), self.verifier.subscribe(), self.config.name.clone());
        // A change since the handshake counts, too.
        verifier.mark_changed();
        ending(drain, async move {
            while verifier.changed().await.is_ok() {
                let now = verifier.borrow_and_update().clone();
                let Err(error) = verified(now.as_ref(), &chain) else { continue };
                tracing::info!(listener = name, %error, "a client certificate counts no more; its session ends");
                return;
            }
            std::future::pending().await
        })
    }

    /// Users that may show a password; None where the port does not ask for one.
    pub fn users(&self) -> Option<Arc<Users>> {
        self.users.load_full().filter(|_| self.config.identity.contains(&Source::Password))
    }

    /// Keys that sign what stands before a statement.
    pub fn signers(&self) -> Option<Arc<header::Keys>> {
        self.signers.load_full()
    }

    /// Who it is. Errors: nobody, and the reason is logged.
    pub fn identify(&self, policy: &Policy, evidence: &Evidence<'_>) -> Result<Principal, IdentityError> {
        let keys = self.keys.load_full();
        let grounds = Grounds { sources: &self.config.identity, env: &|name| std::env::var(name).ok(), keys: keys.as_deref() };
        let identified = identify(policy, grounds, evidence);
        if let Err(IdentityError::Token(why)) = &identified {
            tracing::info!(listener = self.config.name, why, "a token proves nothing");
        }
        identified
    }
}

fn read_keys(path: &Path) -> anyhow::Result<Keys> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Keys::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
}

fn read_signers(path: &Path) -> anyhow::Result<header::Keys> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    header::Keys::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
}

fn read_users(path: &Path) -> anyhow::Result<Users> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Users::parse(&path.display().to_string(), &text).map_err(|e| anyhow::anyhow!(e))
}

/// What the far end of a fresh connection shows.
pub fn shown(peer: Peer) -> Shown {
    Shown { peer, secret: peer.is_of_this_machine(), ..Shown::default() }
}

/// The drain of a session that has to end at a time of its own.
pub fn until(drain: Drain, end: Option<SystemTime>) -> Drain {
    let Some(end) = end else { return drain };
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    ending(drain, tokio::time::sleep(left))
}

/// The drain of a session that has to end when a policy does not list it any more.
pub fn listed(drain: Drain, is_listed: impl Fn() -> bool + Send + 'static) -> Drain {
    let mut told = drain.clone();
    ending(drain, async move {
        while is_listed() {
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    })
}

/// Does this certificate count? Errors: why not.
fn verified(verifier: Option<&Verifier>, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
    let (Some(verifier), Some((first, rest))) = (verifier, chain.split_first()) else {
        return Err(rustls::Error::General("client certificates are not asked for any more".into()));
    };
    verifier.verify_client_cert(first, rest, UnixTime::now()).map(drop)
}

/// The drain of a session that ends, at the latest, when `ends` is done.
fn ending(drain: Drain, ends: impl Future<Output = ()> + Send + 'static) -> Drain {
    let mut outer = drain;
    let (own, receiver) = watch::channel(*outer.borrow_and_update());
    tokio::spawn(async move {
        tokio::pin!(ends);
        let mut ended = false;
        loop {
            tokio::select! {
                () = own.closed() => return,
                () = &mut ends, if !ended => ended = true,
                changed = outer.changed() => if changed.is_err() { return },
            }
            let level = *outer.borrow_and_update();
            own.send_replace(level.max(u8::from(ended)));
        }
    });
    receiver
}
