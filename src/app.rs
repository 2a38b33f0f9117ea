//! The only wiring: from the configuration to running listeners, reload and drain.

use crate::config::{self, Config, Files, Protocol};
use crate::listen::attempts::Attempts;
use crate::listen::cancel::CancelKeys;
use crate::listen::ground::Ground;
use crate::listen::homes::{Homes, has_rows};
use crate::listen::renewal::lines;
use crate::listen::{Door, Service, Socket, Workers, keep, redis, run};
use crate::observe::{Metrics, Upstream};
use crate::policy::{Home, Layouts, Policy};
use crate::relay::{self, Drain};
use crate::upstream::postgres::{ConnectError, Target};
use crate::upstream::redis::{Backstop, Event, Keeper, Multiplex};
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// From SIGTERM to the end of sessions that are still in a transaction.
const DRAIN: Duration = Duration::from_secs(30);
/// How often files are looked at, and idle connections are given back.
const REFRESH: Duration = Duration::from_secs(2);

/// Wrong requests to cancel in a minute that a source may send: some come too late.
const CANCELS: u32 = 100;

/// Without it set to 1 no listener has `unsafe_test_passthrough`.
const PASSTHROUGH: &str = "PARTYWALL_UNSAFE_TEST_PASSTHROUGH";

/// The file system.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn text(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"))
    }

    fn policies(&self, path: &Path) -> Result<Vec<PathBuf>, String> {
        if !path.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let entries = std::fs::read_dir(path).map_err(|e| format!("cannot be read: {e}"))?;
        let is_policy = |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml" || e == "yml");
        let mut all: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(is_policy).collect();
        all.sort();
        Ok(all)
    }
}

/// Runs the wall until SIGTERM or SIGINT; `workers` serve the connections. Errors: everything that stops the start, in words.
pub async fn serve(path: &Path, workers: Workers) -> anyhow::Result<()> {
    // Before anybody is served: until they are heard, a SIGTERM ends the process, and what its clients are in the midst of.
    let mut signals = Signals::hear()?;
    let (drain, watcher) = watch::channel(0u8);
    let drain = Arc::new(drain);
    let mut running = tokio::select! {
        running = start(path, workers, watcher, &drain) => running?,
        // One that waits for its servers has nothing to drain.
        () = signals.end() => return Ok(()),
    };
    wait_for_the_end(path, &running.services, &mut signals, &drain).await;
    let _ = drain.send(relay::DRAINS);
    tokio::select! {
        () = all(&mut running.tasks) => {}
        _ = signals.term.recv() => {}
        () = tokio::time::sleep(DRAIN) => {}
    }
    let _ = drain.send(relay::NOW);
    let _ = tokio::time::timeout(Duration::from_secs(6), all(&mut running.tasks)).await;
    if let Some(admin) = running.admin {
        admin.abort();
    }
    Ok(())
}

/// What was started.
struct Running {
    services: Services,
    tasks: JoinSet<()>,
    admin: Option<JoinHandle<()>>,
    /// The last to go: their end is waited for.
    _workers: Arc<Workers>,
}

/// Reads the configuration and starts its listeners, one after the other. Errors: as of [`serve`].
async fn start(path: &Path, workers: Workers, watcher: Drain, drain: &Arc<watch::Sender<u8>>) -> anyhow::Result<Running> {
    let (config, workers) = (load(path)?, Arc::new(workers));
    let metrics = Arc::new(Metrics::default());
    let (mut services, mut tasks) = (Services::default(), JoinSet::new());
    for listener in &config.listeners {
        let socket = Socket::bind(&listener.listen, listener.socket_mode)
            .await
            .with_context(|| format!("listener `{}` cannot listen on {}", listener.name, listener.listen))?;
        match listener.protocol {
            Protocol::Postgres => {
                let service = Arc::new(postgres_service(listener, metrics.clone(), &socket).await?);
                services.postgres.push(service.clone());
                tasks.spawn(crate::listen::watch::watch(service.clone(), watcher.clone()));
                tasks.spawn(keep(service.clone(), drain.clone(), watcher.clone()));
                tasks.spawn(run(service, socket, workers.clone(), watcher.clone()));
            }
            Protocol::Redis => {
                let service = Arc::new(redis_service(listener, metrics.clone(), &socket).await?);
                services.redis.push(service.clone());
                // The server's own suite ends busy scripts itself, and counts connections.
                if !listener.unsafe_test_passthrough {
                    tasks.spawn(redis::watch(service.clone(), watcher.clone()));
                }
                tasks.spawn(redis::keep(service.clone(), keeper(&service).await?, watcher.clone()));
                tasks.spawn(run(service, socket, workers.clone(), watcher.clone()));
            }
        }
    }
    let admin = match &config.admin {
        Some(address) => {
            let socket = crate::admin::bind(address).await?;
            println!("admin: http on {}", socket.local_addr()?);
            Some(tokio::spawn(crate::admin::serve(socket, metrics, watcher)))
        }
        None => None,
    };
    Ok(Running { services, tasks, admin, _workers: workers })
}

/// What the process is told from outside.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// From now on they do not end the process by themselves. Errors: the system gives none.
    fn hear() -> std::io::Result<Self> {
        let (term, int, hup) = (SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup());
        Ok(Self { term: signal(term)?, int: signal(int)?, hup: signal(hup)? })
    }

    /// It is to end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// What runs, by protocol.
#[derive(Default)]
struct Services {
    postgres: Vec<Arc<Service>>,
    redis: Vec<Arc<redis::Service>>,
}

impl Services {
    /// Certificates and keys that have changed are read again.
    fn refresh(&self) {
        self.postgres.iter().for_each(|s| s.door.refresh(s.shared.judge.load().policy()));
        self.redis.iter().for_each(|s| s.door.refresh(&s.policy.load()));
    }
}

async fn postgres_service(listener: &config::Listener, metrics: Arc<Metrics>, socket: &Socket) -> anyhow::Result<Service> {
    let door = Door::open(listener).await?;
    let target = Target::new(&listener.upstream).with_context(|| format!("upstream `{}`", listener.upstream.name))?;
    let shared = ground(target, listener).await?;
    let (name, policy) = (&listener.name, &listener.policy.name);
    let tables = || format!("{} tables of", shared.judge.load().catalog().relations.len());
    let what = if has_rows(&listener.policy) { tables() } else { "each tenant's own place, by".to_owned() };
    println!("{name}: postgres on {} → {} ({what} policy `{policy}`)", socket.address(), listener.upstream.address);
    Ok(Service {
        door,
        shared: Arc::new(shared.with_pool(&listener.upstream, &metrics)),
        homes: Homes::default(),
        keys: CancelKeys::default(),
        cancels: Attempts::new(CANCELS),
        metrics,
        reloads: tokio::sync::Notify::new(),
    })
}

async fn redis_service(listener: &config::Listener, metrics: Arc<Metrics>, socket: &Socket) -> anyhow::Result<redis::Service> {
    let upstream = || format!("upstream `{}` at {}", listener.upstream.name, listener.upstream.address);
    // A file alone must not be enough to open the server to its tenants.
    if listener.unsafe_test_passthrough && std::env::var(PASSTHROUGH).as_deref() != Ok("1") {
        bail!("listener `{}`: `unsafe_test_passthrough` is for tests of the wall only; leave it out", listener.name);
    }
    let door = Door::open(listener).await?;
    let target = crate::upstream::redis::Target::new(&listener.upstream).with_context(upstream)?;
    let about = target.about().await.with_context(upstream)?;
    if let Some(follow) = target.follow() {
        tokio::spawn(follow);
    }
    let version = about.version;
    if about.replies_unbounded {
        tracing::warn!(
            listener = listener.name,
            "upstream's client-output-buffer-limit has no bound for normal clients: set one, or one tenant's replies can take its memory"
        );
    }
    let (name, policy) = (&listener.name, &listener.policy.name);
    println!("{name}: redis on {} → {} (version {version}, policy `{policy}`)", socket.address(), listener.upstream.address);
    let lacks = Arc::new(about.lacks);
    let backstop = Backstop::new(lacks.clone())?;
    let multiplex = listener.upstream.multiplex.map(|connections| {
        let (metrics, listener) = (metrics.clone(), listener.name.clone());
        Arc::new(Multiplex::new(target.clone(), connections, Arc::new(move |event| metrics.upstream(&listener, said(event)))))
    });
    Ok(redis::Service {
        door,
        policy: ArcSwap::new(listener.policy.clone()),
        generation: AtomicU64::new(0),
        target,
        multiplex,
        metrics,
        // RandomState is keyed by the system's randomness: who does not know the key cannot guess the value.
        secret: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), name),
        version,
        lacks,
        backstop,
        sanitizes: about.sanitizes,
        tenants: Mutex::default(),
    })
}

/// What looks after tenants' users of the server. Errors: the policy wants them, and there can be none.
async fn keeper(service: &redis::Service) -> anyhow::Result<Keeper> {
    let mut keeper = Keeper::new(service.target.clone(), service.backstop.clone());
    if service.policy.load().redis.as_ref().is_some_and(|policy| policy.backstop) {
        if !crate::redis::acl::is_possible(&service.version) {
            bail!("`redis.backstop: acl` needs a server of version 7.0 or later, this one is {}", service.version);
        }
        let why = "`redis.backstop: acl` needs the right to ACL SETUSER, DELUSER and USERS, CLIENT LIST and SETNAME on the server";
        keeper.begin().await.context(why)?;
    }
    Ok(keeper)
}

/// What happens to connections upstream, in the words of the metrics.
fn said(event: Event) -> Upstream {
    match event {
        Event::SharedOpened => Upstream::Opened("shared"),
        Event::SharedClosed => Upstream::Closed("shared"),
        Event::OwnTaken => Upstream::Opened("own"),
        Event::OwnLeft => Upstream::Closed("own"),
        Event::Lost => Upstream::Failed("lost"),
        Event::CutOff => Upstream::Failed("cut_off"),
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// Reads and reports the configuration. Errors: the findings, a line each.
fn load(path: &Path) -> anyhow::Result<Config> {
    config::load(path, &Disk).map_err(|findings| {
        let lines: Vec<String> = findings.iter().map(|f| format!("{}:{}:{}: {}; {}", f.file, f.line, f.column, f.message, f.fix)).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}

async fn ground(target: Target, listener: &config::Listener) -> anyhow::Result<Ground> {
    match Ground::open(Home::Rows, target, listener.policy.clone()).await {
        Err(ConnectError::Catalog(problems)) => bail!(lines(&problems)),
        other => other.with_context(|| format!("upstream `{}` at {}", listener.upstream.name, listener.upstream.address)),
    }
}

/// SIGHUP reloads; SIGTERM and SIGINT end it. Nothing here waits for a server: [`keep`] does.
async fn wait_for_the_end(path: &Path, services: &Services, signals: &mut Signals, drain: &watch::Sender<u8>) {
    loop {
        tokio::select! {
            _ = signals.term.recv() => return,
            _ = signals.int.recv() => return,
            _ = signals.hup.recv() => match load(path) {
                Ok(config) => {
                    reload(services, &config);
                    // The policies may name other files.
                    services.refresh();
                    // The same again: who only listens looks at what holds now.
                    drain.send_modify(|_| {});
                }
                Err(error) => tracing::error!(%error, "the new configuration is not used"),
            },
            () = tokio::time::sleep(REFRESH) => {
                services.refresh();
                for service in &services.postgres {
                    let grounds = std::iter::once(service.shared.clone()).chain(service.homes.grounds());
                    grounds.filter_map(|g| g.pool.clone()).for_each(|pool| pool.prune());
                }
            }
        }
    }
}

/// Policies are renewed; listeners stay as they are until a restart.
fn reload(services: &Services, config: &Config) {
    for service in &services.redis {
        match config.listeners.iter().find(|l| l.name == service.door.config.name) {
            Some(listener) if listener.policy.version == service.policy.load().version => {}
            Some(listener) if listener.policy.redis.is_some() => {
                service.policy.store(listener.policy.clone());
                service.generation.fetch_add(1, Ordering::AcqRel);
                tracing::info!(listener = service.door.config.name, "policy renewed");
            }
            _ => tracing::warn!(listener = service.door.config.name, "gone from the configuration; it stays until a restart"),
        }
    }
    for service in &services.postgres {
        match config.listeners.iter().find(|l| l.name == service.door.config.name) {
            Some(listener) if !layouts(&listener.policy).same_places(&layouts(service.shared.judge.load().policy())) => {
                // A session stays where its connection is: another place is another connection.
                tracing::error!(listener = service.door.config.name, "`layout` is another: the old policy stays until a restart");
            }
            Some(listener) => service.reload(listener.policy.clone()),
            None => tracing::warn!(listener = service.door.config.name, "gone from the configuration; it stays until a restart"),
        }
    }
}

fn layouts(policy: &Policy) -> Layouts {
    policy.postgres.as_ref().map(|p| p.layouts.clone()).unwrap_or_default()
}
