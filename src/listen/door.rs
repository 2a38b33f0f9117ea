//! What every connection comes through, whatever it speaks: its PROXY header, TLS, and the question who it is.

use super::attempts::Attempts;
use super::files::Kept;
use super::proxy;
use super::tls::{self, ServerTls, Verifier};
use crate::config::{Conflict, Listener, Source};
use crate::identity::certificate::names;
use crate::identity::jwt::Keys;
use crate::identity::scram::Users;
use crate::identity::{Evidence, Grounds, IdentityError, Principal, Shown, identify};
use crate::policy::{Expiry, Peer, Policy};
use crate::postgres::header;
use crate::relay::{self, Drain};
use crate::upstream::Stream;
use anyhow::Context;
use arc_swap::ArcSwapOption;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// What is under way when a session's identity ends has this long.
const GRACE: Duration = Duration::from_secs(10);
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
    files: Mutex<Files>,
    /// Which client certificates count now; live sessions look whenever it changes.
    verifier: watch::Sender<Option<Verifier>>,
}

/// The files of a listener's own sources, as they were when each could be read last.
#[derive(Default)]
struct Files {
    tls: tls::Files,
    keys: Kept<Arc<Keys>>,
    users: Kept<Arc<Users>>,
    signers: Kept<Arc<header::Keys>>,
}

impl Door {
    /// Reads the files, and waits for the agent where there is one. Errors: one that cannot be read or used.
    pub async fn open(config: &Listener) -> anyhow::Result<Self> {
        let mut files = Files::default();
        let name = || format!("listener `{}`", config.name);
        if let Some(tls) = &config.tls {
            files.tls.reach(tls).await.with_context(name)?;
        }
        let door = Self {
            config: config.clone(),
            attempts: Attempts::new(FAILURES),
            tls: ArcSwapOption::empty(),
            keys: ArcSwapOption::empty(),
            users: ArcSwapOption::empty(),
            signers: ArcSwapOption::empty(),
            files: Mutex::new(files),
            verifier: watch::Sender::new(None),
        };
        match door.renew(&config.policy).1.into_iter().next() {
            Some(error) => Err(error.context(name())),
            None => Ok(door),
        }
    }

    /// Reads what has changed. True: something is new, and counts; and what cannot be used.
    fn renew(&self, policy: &Policy) -> (bool, Vec<anyhow::Error>) {
        let (mut files, mut errors) = (self.files.lock().unwrap_or_else(PoisonError::into_inner), Vec::new());
        let files = &mut *files;
        let mut renewed = false;
        if let Some(config) = &self.config.tls
            && files.tls.renew(config, &mut errors)
        {
            renewed = true;
            // First what takes away: live sessions are looked at even where nothing can be set up.
            self.verifier.send_replace(files.tls.verifier());
            match files.tls.server(&self.config) {
                Ok(tls) => self.tls.store(Some(Arc::new(tls))),
                Err(error) => {
                    if files.tls.pair().is_none() {
                        self.tls.store(None);
                    }
                    errors.push(error.context("tls"));
                }
            }
        }
        let identity = &policy.identity;
        let counts = |source| self.config.identity.contains(&source);
        let named = identity.jwt.as_ref().filter(|_| counts(Source::Jwt)).map(|jwt| &*jwt.keys);
        let parse = |text: &str| Keys::parse(text).map(Arc::new).map_err(anyhow::Error::msg);
        renewed |= kept(&mut files.keys, named, parse, &self.keys, &mut errors);
        let named = identity.password.as_ref().filter(|_| counts(Source::Password)).map(|password| &*password.users);
        let name = named.map(|path| path.display().to_string()).unwrap_or_default();
        let parse = |text: &str| Users::parse(&name, text).map(Arc::new).map_err(anyhow::Error::msg);
        renewed |= kept(&mut files.users, named, parse, &self.users, &mut errors);
        let named = identity.statement.as_ref().filter(|_| counts(Source::Statement)).and_then(|statement| statement.key.as_deref());
        let parse = |text: &str| header::Keys::parse(text).map(Arc::new).map_err(anyhow::Error::msg);
        renewed |= kept(&mut files.signers, named, parse, &self.signers, &mut errors);
        (renewed, errors)
    }

    /// Reads again what has changed; the keys of tokens are those of the policy that holds now. What cannot be used is logged, and what was read of it
    /// before stays.
    pub fn refresh(&self, policy: &Policy) {
        let (renewed, errors) = self.renew(policy);
        if renewed {
            tracing::info!(listener = self.config.name, "certificates and keys renewed");
        }
        for error in errors {
            // Half of a rotation, most likely: tried again.
            tracing::error!(listener = self.config.name, error = format!("{error:#}"), "certificates and keys stay as they were");
        }
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
        // The handshake may have begun long ago, or be the rest of an earlier one.
        self.counts(shown).map_err(std::io::Error::other)?;
        Ok(accepted)
    }

    /// Does the certificate that was shown, if one was, count at this moment? Whoever begins a session asks. Errors: why not.
    pub fn counts(&self, shown: &Shown) -> Result<(), rustls::Error> {
        if shown.chain.is_empty() { Ok(()) } else { verified(self.verifier.borrow().as_ref(), &shown.chain) }
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
            loop {
                tokio::select! {
                    changed = verifier.changed() => if changed.is_err() { return std::future::pending().await },
                    // What rests on a certificate by `trust` alone has no other end.
                    () = next_end(&chain) => {}
                }
                let now = verifier.borrow_and_update().clone();
                let Err(error) = verified(now.as_ref(), &chain) else { continue };
                tracing::info!(listener = name, %error, "a client certificate counts no more; its session ends");
                return;
            }
        })
    }

    /// Users that may show a password; None where the port does not ask for one. Where their list could not be read, nobody is on it.
    pub fn users(&self) -> Option<Arc<Users>> {
        self.config.identity.contains(&Source::Password).then(|| self.users.load_full().unwrap_or_default())
    }

    /// Keys that sign what stands before a statement; None where the policy wants no signature. Where they could not be read, nothing is signed by one.
    pub fn signers(&self, policy: &Policy) -> Option<Arc<header::Keys>> {
        let wanted = policy.identity.statement.as_ref().is_some_and(|statement| statement.key.is_some());
        wanted.then(|| self.signers.load_full().unwrap_or_default())
    }

    /// Who it is. Errors: nobody, and the reason is logged.
    pub fn identify(&self, policy: &Policy, evidence: &Evidence<'_>) -> Result<Principal, IdentityError> {
        self.identify_with(self.config.conflict, policy, evidence)
    }

    /// Which tenant an operator is besides. One that any source says is one, whoever counts among tenants. Errors: as [`Self::identify`].
    pub fn also(&self, policy: &Policy, shown: &Shown) -> Result<Principal, IdentityError> {
        self.identify_with(Conflict::Refuse, policy, &Evidence { shown, startup: &[], token: None, user: None })
    }

    fn identify_with(&self, conflict: Conflict, policy: &Policy, evidence: &Evidence<'_>) -> Result<Principal, IdentityError> {
        let keys = self.keys.load_full();
        let env = |name: &str| std::env::var(name).ok();
        let grounds = Grounds { sources: &self.config.identity, conflict, env: &env, keys: keys.as_deref() };
        let identified = identify(policy, grounds, evidence);
        if let Err(IdentityError::Token(why)) = &identified {
            tracing::info!(listener = self.config.name, why, "a token proves nothing");
        }
        identified
    }
}

/// Reads a file again that a source rests on, and makes what it says count. True: it is new.
fn kept<T>(
    kept: &mut Kept<Arc<T>>,
    named: Option<&Path>,
    parse: impl FnOnce(&str) -> anyhow::Result<Arc<T>>,
    counts: &ArcSwapOption<T>,
    errors: &mut Vec<anyhow::Error>,
) -> bool {
    let renewed = match named {
        Some(path) => kept.renew_text(path, parse),
        None => {
            *kept = Kept::default();
            Ok(false)
        }
    };
    counts.store(kept.get().cloned());
    renewed.unwrap_or_else(|error| {
        errors.push(error);
        false
    })
}

/// What the far end of a fresh connection shows.
pub fn shown(peer: Peer) -> Shown {
    Shown { peer, secret: peer.is_of_this_machine(), ..Shown::default() }
}

/// The drain of a session that has to end at a time of its own.
pub fn until(drain: Drain, end: Option<SystemTime>) -> Drain {
    let Some(end) = end else { return drain };
    ending(drain, at(end))
}

/// The same, where that time may become another.
pub fn until_told(drain: Drain, mut end: watch::Receiver<Option<SystemTime>>) -> Drain {
    ending(drain, async move {
        loop {
            let now = *end.borrow_and_update();
            tokio::select! {
                () = async { match now { Some(now) => at(now).await, None => std::future::pending().await } } => return,
                told = end.changed() => if told.is_err() { return std::future::pending().await },
            }
        }
    })
}

async fn at(end: SystemTime) {
    tokio::time::sleep(end.duration_since(SystemTime::now()).unwrap_or_default()).await;
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

/// Until the next of these certificates has ended.
async fn next_end(chain: &[CertificateDer<'_>]) {
    let now = SystemTime::now();
    // It counts to the end of the second that it names.
    let ends = chain.iter().filter_map(|one| names(one).ends?.checked_add(Duration::from_secs(1)));
    match ends.filter_map(|end| end.duration_since(now).ok()).min() {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

/// Does this certificate count? Errors: why not.
fn verified(verifier: Option<&Verifier>, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
    let (Some(verifier), Some((first, rest))) = (verifier, chain.split_first()) else {
        return Err(rustls::Error::General("client certificates are not asked for any more".into()));
    };
    verifier.verify_client_cert(first, rest, UnixTime::now()).map(drop)
}

/// The drain of a session that ends when `ends` is done, or a little later: what is under way then has a while, and no more.
fn ending(drain: Drain, ends: impl Future<Output = ()> + Send + 'static) -> Drain {
    ending_within(drain, GRACE, ends)
}

fn ending_within(drain: Drain, grace: Duration, ends: impl Future<Output = ()> + Send + 'static) -> Drain {
    let mut outer = drain;
    let (own, receiver) = watch::channel(*outer.borrow_and_update());
    tokio::spawn(async move {
        tokio::pin!(ends);
        let mut level = relay::SERVES;
        let mut last = None;
        loop {
            tokio::select! {
                () = own.closed() => return,
                () = &mut ends, if level == relay::SERVES => {
                    level = relay::ENDED;
                    last = Some(Box::pin(tokio::time::sleep(grace)));
                }
                () = async { if let Some(last) = &mut last { last.await } }, if level == relay::ENDED => level = relay::NOW,
                changed = outer.changed() => if changed.is_err() { return },
            }
            let outer = *outer.borrow_and_update();
            own.send_replace(outer.max(level));
        }
    });
    receiver
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
