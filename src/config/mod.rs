//! `partywall.yaml`: from the file as typed to what `serve` runs; all findings of all files at once. `check` runs the same code.

pub mod document;
mod places;

use crate::policy::{Policy, file};
use document::{Finding, Findings, Node, Reader, Value, entries, items};
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

/// An identity source of the policy that counts on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The client certificate.
    Mtls,
    /// A startup parameter.
    Startup,
    /// One tenant for the port.
    Static,
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
    /// Where it leads.
    pub upstream: Upstream,
    /// What holds on it.
    pub policy: Arc<Policy>,
    /// All of the file: a policy may place tenants on another than `upstream`.
    pub upstreams: Arc<[Upstream]>,
    /// In the order they are tried.
    pub identity: Vec<Source>,
    /// Certificate and key, if it speaks TLS.
    pub tls: Option<Tls>,
    /// Redis, for tests of the wall only: CONFIG passes, which changes the server for everybody.
    pub unsafe_config_passes: bool,
}

/// TLS towards clients.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Who signs client certificates, PEM.
    pub client_ca: Option<PathBuf>,
    /// Refuse a client that does not ask for TLS.
    pub require: bool,
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
    /// The password is read from here when a connection is made.
    pub password_file: Option<PathBuf>,
    /// Verify the server's certificate against these authorities, PEM, and its name against the address.
    pub ca: Option<PathBuf>,
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
    let listeners = items(listeners?).iter().filter_map(|n| listener(&mut reader, n, &upstreams, policies.as_deref(), &base)).collect();
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
        let fields = reader.fields(node, &["address", "database", "user", "password_file", "tls", "pool"], &[]);
        if let Some(pool) = fields.get("pool") {
            let pool = reader.fields(pool, &["mode"], &["size"]);
            if let Some(mode) = pool.get("mode")
                && reader.text(mode).as_deref() != Some("session")
            {
                reader.say(mode, "only `mode: session` is supported yet", "write `pool: { mode: session }`");
            }
        }
        let ca = fields.get("tls").and_then(|n| {
            let tls = reader.fields(n, &["ca"], &[]);
            reader.need(&tls, "ca").and_then(|n| reader.text(n))
        });
        let Some(address) = reader.need(&fields, "address").and_then(|n| host_and_port(reader, n)) else { continue };
        let typed_user = fields.get("user").and_then(|n| reader.text(n));
        let user = typed_user.clone().unwrap_or_else(|| "postgres".into());
        let database = fields.get("database").and_then(|n| reader.text(n)).unwrap_or_else(|| user.clone());
        let password_file = fields.get("password_file").and_then(|n| reader.text(n)).map(|p| base.join(p));
        all.push(Upstream { name: name.clone(), address, database, user, typed_user, password_file, ca: ca.map(|p| base.join(p)) });
    }
    all
}

fn host_and_port(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let good = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !good {
        reader.say(node, format!("`{text}` is no address"), "write `host:port`");
    }
    good.then_some(text)
}

fn listener(
    reader: &mut Reader<'_>,
    node: &Node,
    upstreams: &Arc<[Upstream]>,
    policies: Option<&[Arc<Policy>]>,
    base: &Path,
) -> Option<Listener> {
    let before = reader.findings.len();
    let fields = reader.fields(node, &["name", "protocol", "listen", "upstream", "policy", "identity", "tls", "unsafe_config_passes"], &[]);
    let name = reader.need(&fields, "name").and_then(|n| reader.text(n));
    let protocol = reader.need(&fields, "protocol").and_then(|n| match reader.text(n).as_deref() {
        Some("postgres") => Some(Protocol::Postgres),
        Some("redis") => Some(Protocol::Redis),
        _ => {
            reader.say(n, "unknown protocol", "write `postgres` or `redis`");
            None
        }
    });
    let listen = reader.need(&fields, "listen").and_then(|n| match &n.value {
        Value::Text(path) if path.starts_with("unix:/") => Some(path.clone()),
        _ => host_and_port(reader, n),
    });
    let upstream = reader.need(&fields, "upstream").and_then(|n| {
        let wanted = reader.text(n)?;
        let found = upstreams.iter().find(|u| u.name == wanted).cloned();
        if found.is_none() {
            reader.say(n, format!("no upstream is named `{wanted}`"), "name one of `upstreams:`");
        }
        found
    });
    let policy_node = reader.need(&fields, "policy");
    let policy = policy_node.and_then(|n| {
        let wanted = reader.text(n)?;
        let found = policies?.iter().find(|p| *p.name == *wanted).cloned();
        if found.is_none() {
            reader.say(n, format!("no policy is named `{wanted}`"), "use a policy's `name`");
        }
        found
    });
    let identity = reader.need(&fields, "identity").map(|n| sources(reader, n, policy.as_deref())).unwrap_or_default();
    let tls = fields.get("tls").and_then(|n| tls(reader, n, base));
    let unsafe_config_passes = fields.get("unsafe_config_passes").is_some_and(|n| truth(reader, n));
    let rules = policy.as_ref().map(|p| p.redis.is_some());
    if let (Some(Protocol::Redis), Some(false), Some(at)) = (protocol, rules, policy_node) {
        reader.say(at, "the policy has no `redis:` rules", "add `redis: { prefix: '{tenant}:' }` to it");
    }
    if let (Some(at), true) =
        (fields.get("identity"), identity.contains(&Source::Mtls) && tls.as_ref().is_none_or(|t| t.client_ca.is_none()))
    {
        reader.say(at, "`mtls` needs client certificates", "add `tls:` with `client_ca:`");
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
        upstream: upstream?,
        policy: policy?,
        upstreams: upstreams.clone(),
        identity,
        tls,
        unsafe_config_passes,
    })
}

fn sources(reader: &mut Reader<'_>, node: &Node, policy: Option<&Policy>) -> Vec<Source> {
    let mut all = Vec::new();
    for item in items(node) {
        let text = reader.text(item).unwrap_or_default();
        let defined = policy.map(|p| (p.identity.mtls.is_some(), p.identity.startup.is_some(), p.identity.fixed.is_some()));
        let (source, known) = match text.as_str() {
            "mtls" => (Source::Mtls, defined.is_none_or(|d| d.0)),
            "startup" => (Source::Startup, defined.is_none_or(|d| d.1)),
            "static" => (Source::Static, defined.is_none_or(|d| d.2)),
            "jwt" | "header" => {
                reader.say(item, format!("`{text}` is not supported yet"), "use `mtls`, `startup` or `static`");
                continue;
            }
            _ => {
                reader.say(item, format!("unknown identity source `{text}`"), "use `mtls`, `startup` or `static`");
                continue;
            }
        };
        if !known {
            reader.say(item, format!("the policy defines no `{text}`"), format!("add `identity: {{ {text}: … }}` to the policy"));
        }
        all.push(source);
    }
    if items(node).is_empty() {
        reader.say(node, "no identity source: nobody could connect", "name at least one");
    }
    all
}

fn truth(reader: &mut Reader<'_>, node: &Node) -> bool {
    if let Value::Bool(truth) = node.value {
        return truth;
    }
    reader.say(node, "true or false is expected here", "write `true`");
    true
}

fn tls(reader: &mut Reader<'_>, node: &Node, base: &Path) -> Option<Tls> {
    let fields = reader.fields(node, &["cert", "key", "client_ca", "require"], &[]);
    let path = |reader: &mut Reader<'_>, n: &Node| reader.text(n).map(|p| base.join(p));
    let cert = reader.need(&fields, "cert").and_then(|n| path(reader, n));
    let key = reader.need(&fields, "key").and_then(|n| path(reader, n));
    let client_ca = fields.get("client_ca").and_then(|n| path(reader, n));
    let require = fields.get("require").is_some_and(|n| truth(reader, n));
    Some(Tls { cert: cert?, key: key?, client_ca, require })
}
