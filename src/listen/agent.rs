//! The agent of SPIFFE's Workload API: the wall's own X.509-SVID and the bundles of trust domains, as it gives them. Source: SPIFFE's "Workload API"
//! and "Workload Endpoint"; the crate `spiffe` speaks to it, and comes back to it when it was away.

#[cfg(feature = "workload-api")]
pub use with::Agent;
#[cfg(not(feature = "workload-api"))]
pub use without::Agent;

#[cfg(feature = "workload-api")]
mod with {
    use crate::listen::tls::{Given, matching};
    use anyhow::Context;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use spiffe::transport::Endpoint;
    use spiffe::x509_source::X509SourceState;
    use spiffe::{Certificate, WorkloadApiClient, X509Source};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    /// From the start to the agent's first answer.
    const START: Duration = Duration::from_secs(10);
    /// One that is away is asked for no more seldom than this.
    const AWAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

    /// An agent that is listened to.
    pub struct Agent {
        source: X509Source,
        path: PathBuf,
        /// Which of its answers was taken last, or that none counts.
        taken: Option<Option<u64>>,
    }

    impl Agent {
        /// Waits for its first answer, for a while. Errors: there is none.
        pub async fn reach(path: &Path) -> anyhow::Result<Self> {
            let own = path.to_owned();
            let connect = Arc::new(move || {
                let endpoint = Endpoint::Unix(own.clone());
                Box::pin(WorkloadApiClient::connect(endpoint)) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
            });
            let source =
                X509Source::builder().client_factory(connect).reconnect_backoff(AWAY.0, AWAY.1).initial_sync_timeout(START).build();
            let source = source.await.with_context(|| {
                let seconds = START.as_secs();
                format!("no SVID from the agent at unix:{} within {seconds} s: is it there, and does it know this process?", path.display())
            })?;
            Ok(Self { source, path: path.to_owned(), taken: None })
        }

        /// What it has said since it was asked last; within, None where nothing that it has said counts any more. Errors: it cannot be used.
        pub fn news(&mut self) -> Option<anyhow::Result<Option<Given>>> {
            let state = self.source.state();
            let now = state.is_usable().then(|| state.revision());
            if self.taken.replace(now) == Some(now) {
                return None;
            }
            let agent = || format!("the agent at unix:{}", self.path.display());
            Some(match state.svid() {
                Err(error) => {
                    tracing::error!(agent = agent(), %error, "its SVID counts no more");
                    Ok(None)
                }
                Ok(_) => given(&state).with_context(agent).map(Some),
            })
        }
    }

    fn given(state: &X509SourceState) -> anyhow::Result<Given> {
        let (svid, context) = (state.svid()?, state.context()?);
        let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes().to_vec());
        let pair = matching(certificates(svid.cert_chain()), PrivateKeyDer::Pkcs8(key))?;
        let bundles = context.bundle_set().iter();
        Ok((pair, bundles.map(|(domain, bundle)| (domain.to_string(), certificates(bundle.authorities()))).collect()))
    }

    fn certificates(all: &[Certificate]) -> Vec<CertificateDer<'static>> {
        all.iter().map(|one| CertificateDer::from(one.as_bytes().to_vec())).collect()
    }
}

#[cfg(not(feature = "workload-api"))]
mod without {
    use crate::listen::tls::Given;
    use std::path::Path;

    /// There is none in this build; the configuration refuses to name one.
    pub enum Agent {}

    impl Agent {
        /// Never.
        #[allow(clippy::unused_async, reason = "as where there is one")]
        pub async fn reach(path: &Path) -> anyhow::Result<Self> {
            anyhow::bail!("unix:{}: this build has no `workload_api`", path.display())
        }

        /// Nothing.
        pub fn news(&mut self) -> Option<anyhow::Result<Option<Given>>> {
            match *self {}
        }
    }
}
