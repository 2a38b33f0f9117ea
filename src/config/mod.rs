//! `partywall.yaml`: from the file as typed to what `serve` runs; all findings of all files at once. `check` runs the same code.

mod apart;
mod credentials;
pub mod document;
mod places;
mod pool;
mod redis;
mod socket;
mod sources;
mod tls;

pub use credentials::{Credentials, Login, Secret};
pub use redis::{Cluster, Sentinel};
pub use sources::{Conflict, Source};
pub use tls::{Own, Tls};

use crate::policy::sources::trust;
use crate::policy::{Policy, Trust, file};
use document::{Finding, Findings, Node, Reader, Value, entries, items};
pub use pool::Pool;
use socket::host_and_port;
use sources::Shows;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// In file order.
    pub listeners: Vec<Listener>,
    /// Where `/livez`, `/metrics`, … are served, `host:port`.
    pub admin: Option<String>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's protocol 3.
    Postgres,
    /// RESP2 and RESP3.
    Redis,
}

/// One port.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name, for logs and metrics.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// `host:port` or `unix:/path`.
    pub listen: String,
    /// Who may connect to a Unix socket; none: as the umask has it.
    pub socket_mode: Option<u32>,
    /// Where it leads.
    pub upstream: Upstream,
    /// What holds on it.
    pub policy: Arc<Policy>,
    /// All of the file: a policy may place tenants on another than `upstream`.
    pub upstreams: Arc<[Upstream]>,
    /// In the order they are tried.
    pub identity: Vec<Source>,
    /// What of those that disagree.
    pub conflict: Conflict,
    /// Certificate and key, if it speaks TLS.
    pub tls: Option<Tls>,
    /// It speaks HTTP, and the protocol within tunnels that CONNECT opens (RFC 9110, 9.3.6).
    pub tunnel: bool,
    /// Each connection begins with a PROXY header, version 2; from whom it is believed.
    pub proxy_protocol: Option<Vec<Trust>>,
    /// Redis, for tests of the wall only: CONFIG, DEBUG and the like pass, which change the server for everybody; `serve` wants an environment variable
    /// besides.
    pub unsafe_test_passthrough: bool,
}

/// A server behind the wall.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in the file.
    pub name: String,
    /// `host:port`
    pub address: String,
    /// PostgreSQL database.
    pub database: String,
    /// PostgreSQL role.
    pub user: String,
    /// The user as it was typed: without one, a Redis password is the default user's.
    pub typed_user: Option<String>,
    /// Whence its password, and whether tenants have others.
    pub credentials: Credentials,
    /// Verify the server's certificate against these authorities, PEM, and its name against the address.
    pub ca: Option<PathBuf>,
    /// Redis: `address` and others are sentinels, which know where the server is.
    pub sentinel: Option<Sentinel>,
    /// Redis: `address` and others are nodes of a cluster.
    pub cluster: Option<Cluster>,
    /// Redis: clients share this many connections a thread and protocol for commands that keep no state.
    pub multiplex: Option<usize>,
    /// PostgreSQL: clients share connections; none: each has one of its own.
    pub pool: Option<Pool>,
}

/// Reads files for [`load`]; a parameter, so that nothing here touches the disk.
pub trait Files {
    /// The text of a file. Errors: said in words.
    fn text(&self, path: &Path) -> Result<String, String>;
    /// The `*.yaml` and `*.yml` files of a directory, sorted; the path itself if it is a file.
    fn policies(&self, path: &Path) -> Result<Vec<PathBuf>, String>;
}

/// Reads `path` and every policy it names. Errors: all findings.
pub fn load(path: &Path, files: &dyn Files) -> Result<Config, Findings> {
    let mut findings = Findings::new();
    let config = read(path, files, &mut findings);
    let order: Vec<String> = findings.iter().map(|f| f.file.clone()).collect();
    findings.sort_by_key(|f| (order.iter().position(|o| *o == f.file), f.line, f.column));
    config.filter(|_| findings.is_empty()).ok_or(findings)
}

/// Reads one policy file. Errors: all findings.
pub fn load_policy(path: &Path, files: &dyn Files) -> Result<Policy, Findings> {
    let mut findings = Findings::new();
    let policy = open(path, files, &mut findings).and_then(|(mut reader, text)| file::read(&mut reader, &text));
    policy.filter(|_| findings.is_empty()).ok_or(findings)
}

fn open<'f>(path: &Path, files: &dyn Files, findings: &'f mut Findings) -> Option<(Reader<'f>, String)> {
    match files.text(path) {
        Ok(text) => Some((Reader { file: path.display().to_string().into(), findings }, text)),
        Err(message) => {
            let fix = "name a file that can be read".into();
            findings.push(Finding { file: path.display().to_string(), line: 0, column: 0, message, fix });
            None
        }
    }
}

fn read(path: &Path, files: &dyn Files, findings: &mut Findings) -> Option<Config> {
    let (mut reader, text) = open(path, files, findings)?;
    let root = reader.parse(&text)?;
    let fields = reader.fields(&root, &["listeners", "upstreams", "policies", "admin"], &[]);
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let upstreams: Arc<[Upstream]> = reader.need(&fields, "upstreams").map(|n| upstreams(&mut reader, n, &base)).unwrap_or_default().into();
    let admin = fields.get("admin").and_then(|n| reader.text(n));
    let listeners = reader.need(&fields, "listeners");
    let before = reader.findings.len();
    let policies = match reader.need(&fields, "policies").and_then(|n| Some((n, reader.text(n)?))) {
        Some((node, relative)) => policies(&mut reader, node, &base.join(relative), files),
        None => Vec::new(),
    };
    // A policy that cannot be read is told once, not again at each listener.
    let policies = (reader.findings.len() == before).then_some(policies);
    for identity in policies.iter().flatten().map(|p| &p.identity) {
        let (jwt, password) = (identity.jwt.iter().map(|j| &j.keys), identity.password.iter().map(|p| &p.users));
        let key = identity.statement.iter().filter_map(|s| s.key.as_ref());
        jwt.chain(password).chain(key).for_each(|path| drop(open(path, files, reader.findings)));
    }
    let mut opened = Vec::new();
    for node in items(listeners?) {
        if let Some(listener) = listener(&mut reader, node, &upstreams, policies.as_deref(), &base) {
            apart::check(&mut reader, node, &listener, &opened);
            opened.push(listener);
        }
    }
    let listeners = opened;
    Some(Config { listeners, admin })
}

fn policies(reader: &mut Reader<'_>, at: &Node, path: &Path, files: &dyn Files) -> Vec<Arc<Policy>> {
    let mut all: Vec<Arc<Policy>> = Vec::new();
    match files.policies(path) {
        Err(message) => reader.say(at, message, "name a directory or a file, relative to this file"),
        Ok(paths) => {
            for path in paths {
                let Some((mut own, text)) = open(&path, files, reader.findings) else { continue };
                let Some(policy) = file::read(&mut own, &text) else { continue };
                if all.iter().any(|p| p.name == policy.name) {
                    reader.say(at, format!("two policies are named `{}`", policy.name), "give each its own name");
                }
                all.push(Arc::new(policy));
            }
        }
    }
    all
}

fn upstreams(reader: &mut Reader<'_>, node: &Node, base: &Path) -> Vec<Upstream> {
    let mut all = Vec::new();
    for (name, node) in entries(node) {
        let fields = reader.fields(node, UPSTREAM, &[]);
        let pool = fields.get("pool").and_then(|n| pool::read(reader, n));
        let multiplex = fields.get("multiplex").and_then(|n| redis::multiplex(reader, n));
        let ca = fields.get("tls").and_then(|n| {
            let tls = reader.fields(n, &["ca"], &[]);
            reader.need(&tls, "ca").and_then(|n| reader.text(n))
        });
        let sentinel = fields.get("sentinel").and_then(|n| redis::sentinel(reader, n));
        let cluster = fields.get("cluster").map(|n| redis::cluster(reader, n));
        let credentials = credentials::read(reader, &fields, base);
        let Some(address) = reader.need(&fields, "address").and_then(|n| host_and_port(reader, n)) else { continue };
        let typed_user = fields.get("user").and_then(|n| reader.text(n));
        let user = typed_user.clone().unwrap_or_else(|| "postgres".into());
        let database = fields.get("database").and_then(|n| reader.text(n)).unwrap_or_else(|| user.clone());
        all.push(Upstream {
            name: name.clone(),
            address,
            database,
            user,
            typed_user,
            credentials,
            ca: ca.map(|p| base.join(p)),
            pool,
            sentinel,
            cluster,
            multiplex,
        });
    }
    all
}

const UPSTREAM: &[&str] = &[
    "address",
    "database",
    "user",
    "password_file",
    "password_env",
    "password_command",
    "credentials",
    "tls",
    "pool",
    "sentinel",
    "cluster",
    "multiplex",
];

fn listener(
    reader: &mut Reader<'_>,
    node: &Node,
    upstreams: &Arc<[Upstream]>,
    policies: Option<&[Arc<Policy>]>,
    base: &Path,
) -> Option<Listener> {
    let before = reader.findings.len();
    let fields = reader.fields(node, LISTENER, &[]);
    let name = reader.need(&fields, "name").and_then(|n| reader.text(n));
    let protocol = reader.need(&fields, "protocol").and_then(|n| protocol(reader, n));
    let listen = reader.need(&fields, "listen").and_then(|n| socket::listen(reader, n));
    let unix = listen.as_deref().is_some_and(|l| l.starts_with("unix:"));
    let socket_mode = fields.get("socket_mode").and_then(|n| socket::mode(reader, n, unix));
    let upstream = reader.need(&fields, "upstream").and_then(|n| upstream(reader, n, upstreams));
    let policy_node = reader.need(&fields, "policy");
    let policy = policy_node.and_then(|n| {
        let wanted = reader.text(n)?;
        let found = policies?.iter().find(|p| *p.name == *wanted).cloned();
        if found.is_none() {
            reader.say(n, format!("no policy is named `{wanted}`"), "use a policy's `name`");
        }
        found
    });
    let identity = reader.need(&fields, "identity").map(|n| sources::read(reader, n, policy.as_deref())).unwrap_or_default();
    let conflict = fields.get("conflict").and_then(|n| sources::conflict(reader, n, &identity, policy.as_deref())).unwrap_or_default();
    let tls = fields.get("tls").and_then(|n| tls::read(reader, n, base));
    let passthrough = fields.get("unsafe_test_passthrough").is_some_and(|n| truth(reader, n));
    if let (Some(Protocol::Redis), Some(at), true) = (protocol, policy_node, policy.as_ref().is_some_and(|p| p.redis.is_none())) {
        reader.say(at, "the policy has no `redis:` rules", "add `redis: { prefix: '{tenant}:' }` to it");
    }
    let tunnel = fields.get("tunnel").is_some_and(|n| tunnel(reader, n));
    let proxy_protocol = fields.get("proxy_protocol").map(|n| proxies(reader, n));
    shares(reader, fields.get("upstream"), (upstream.as_ref(), policy.as_deref()), protocol, passthrough);
    if let Some(at) = fields.get("identity") {
        sources::spoken(reader, at, protocol, &identity);
        let certificates = tls.as_ref().is_some_and(Tls::asks);
        sources::mute(reader, at, &identity, policy.as_deref(), &Shows { certificates, tunnel, proxy: proxy_protocol.is_some(), unix });
    }
    if let (Some(Protocol::Redis), Some(upstream), Some(at)) = (protocol, &upstream, fields.get("upstream")) {
        credentials::shared(reader, at, upstream);
    }
    if let (Some(Protocol::Postgres), Some(policy), Some(upstream), Some(at)) = (protocol, &policy, &upstream, policy_node) {
        places::check(reader, at, policy, upstream, upstreams);
    }
    if reader.findings.len() > before {
        return None;
    }
    Some(Listener {
        name: name?,
        protocol: protocol?,
        listen: listen?,
        socket_mode,
        upstream: upstream?,
        policy: policy?,
        upstreams: upstreams.clone(),
        identity,
        conflict,
        tls,
        tunnel,
        proxy_protocol,
        unsafe_test_passthrough: passthrough,
    })
}

fn upstream(reader: &mut Reader<'_>, node: &Node, upstreams: &[Upstream]) -> Option<Upstream> {
    let wanted = reader.text(node)?;
    let found = upstreams.iter().find(|u| u.name == wanted).cloned();
    if found.is_none() {
        reader.say(node, format!("no upstream is named `{wanted}`"), "name one of `upstreams:`");
    }
    found
}

/// Whether clients of a port may share connections.
fn shares(
    reader: &mut Reader<'_>,
    at: Option<&Node>,
    (upstream, policy): (Option<&Upstream>, Option<&Policy>),
    protocol: Option<Protocol>,
    passthrough: bool,
) {
    pool::check(reader, at, upstream, protocol, policy);
    redis::check(reader, at, (upstream, policy), protocol, passthrough);
}

const LISTENER: &[&str] = &[
    "name",
    "protocol",
    "listen",
    "socket_mode",
    "upstream",
    "policy",
    "identity",
    "conflict",
    "tls",
    "tunnel",
    "proxy_protocol",
    "unsafe_test_passthrough",
];

fn protocol(reader: &mut Reader<'_>, node: &Node) -> Option<Protocol> {
    match reader.text(node).as_deref() {
        Some("postgres") => Some(Protocol::Postgres),
        Some("redis") => Some(Protocol::Redis),
        _ => {
            reader.say(node, "unknown protocol", "write `postgres` or `redis`");
            None
        }
    }
}

/// Whose PROXY headers are believed.
fn proxies(reader: &mut Reader<'_>, node: &Node) -> Vec<Trust> {
    let fields = reader.fields(node, &["trust"], &[]);
    let trust = trust(reader, node, &fields);
    if trust.iter().any(|t| matches!(t, Trust::Principal(_))) {
        reader.say(node, "a PROXY header comes before any certificate", "trust `loopback` or a network");
    }
    trust
}

fn tunnel(reader: &mut Reader<'_>, node: &Node) -> bool {
    let known = reader.text(node).as_deref() == Some("http");
    if !known {
        reader.say(node, "only tunnels over HTTP are known", "write `tunnel: http`");
    }
    known
}

fn truth(reader: &mut Reader<'_>, node: &Node) -> bool {
    if let Value::Bool(truth) = node.value {
        return truth;
    }
    reader.say(node, "true or false is expected here", "write `true`");
    true
}
