//! `partywall serve`

use crate::listen::Workers;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The configuration
    #[arg(long, default_value = "partywall.yaml")]
    config: PathBuf,
    /// Threads that serve connections [default: one a processor, at most 4]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

impl Serve {
    /// Runs until it is told to end. Logs go to stderr as JSON, a level by `PARTYWALL_LOG`.
    pub fn run(self) -> ExitCode {
        let filter = tracing_subscriber::EnvFilter::try_from_env("PARTYWALL_LOG").unwrap_or_else(|_| "info".into());
        // Whatever is left out, what is audited is not.
        let filter = match "audit=info".parse() {
            Ok(audit) => filter.add_directive(audit),
            Err(_) => filter,
        };
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("partywall: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(&self) -> anyhow::Result<()> {
        let workers = Workers::start(self.threads.map(usize::from))?;
        // For what is not a session: accepting, the admin port, reading again.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(crate::app::serve(&self.config, workers))
    }
}
