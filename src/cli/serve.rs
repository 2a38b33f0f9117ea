//! `partywall serve`

use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The configuration
    #[arg(long, default_value = "partywall.yaml")]
    config: PathBuf,
}

impl Serve {
    /// Runs until it is told to end. Logs go to stderr as JSON, a level by `PARTYWALL_LOG`.
    pub fn run(self) -> ExitCode {
        let filter = tracing_subscriber::EnvFilter::try_from_env("PARTYWALL_LOG").unwrap_or_else(|_| "info".into());
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let result = runtime.map_err(anyhow::Error::from).and_then(|r| r.block_on(crate::app::serve(&self.config)));
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("partywall: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}
