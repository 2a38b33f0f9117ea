//! TLS towards clients: its files, or the agent of SPIFFE's Workload API that has them.

use super::document::{Fields, Node, Reader, items};
use super::truth;
use std::path::{Path, PathBuf};

/// TLS towards clients.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whence the wall's own certificate, and what says whose it believes.
    pub own: Own,
    /// Certificates that count no more (RFC 5280, 5), PEM.
    pub crl: Vec<PathBuf>,
    /// Refuse a client that does not ask for TLS.
    pub require: bool,
}

/// Whence certificate, key and authorities are.
#[derive(Clone, Debug)]
pub enum Own {
    /// Of files.
    Files {
        /// Certificate chain, PEM.
        cert: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
        /// Who signs client certificates, PEM; none: clients are not asked for one.
        client_ca: Vec<PathBuf>,
    },
    /// Of the agent at this Unix socket: an X.509-SVID, and the bundles of its trust domain and of those federated with it.
    Agent(PathBuf),
}

impl Tls {
    /// Are clients asked for a certificate?
    pub fn asks(&self) -> bool {
        match &self.own {
            Own::Files { client_ca, .. } => !client_ca.is_empty(),
            Own::Agent(_) => true,
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node, base: &Path) -> Option<Tls> {
    let fields = reader.fields(node, &["cert", "key", "client_ca", "workload_api", "crl", "require"], &[]);
    let crl = paths(reader, &fields, "crl", base);
    let own = match fields.get("workload_api") {
        Some(at) => agent(reader, at, &fields),
        None => files(reader, &fields, base),
    };
    let require = fields.get("require").is_some_and(|n| truth(reader, n));
    let tls = Tls { own: own?, crl, require };
    if let (Some(at), false) = (fields.get("crl"), tls.asks()) {
        reader.say(at, "without `client_ca` there are no certificates to revoke", "add `client_ca:`");
    }
    Some(tls)
}

fn files(reader: &mut Reader<'_>, fields: &Fields<'_>, base: &Path) -> Option<Own> {
    let mut path = |key: &str| {
        let node = reader.need(fields, key)?;
        reader.text(node).map(|p| base.join(p))
    };
    let (cert, key) = (path("cert"), path("key"));
    let client_ca = paths(reader, fields, "client_ca", base);
    Some(Own::Files { cert: cert?, key: key?, client_ca })
}

fn agent(reader: &mut Reader<'_>, at: &Node, fields: &Fields<'_>) -> Option<Own> {
    let text = reader.text(at)?;
    for key in ["cert", "key", "client_ca"] {
        if let Some(node) = fields.get(key) {
            reader.say(node, format!("`workload_api` stands in the place of `{key}`"), "keep one of them");
        }
    }
    if !cfg!(feature = "workload-api") {
        reader.say(
            at,
            "this build has no `workload_api`",
            "build with `--features workload-api`, or name files: `cert`, `key`, `client_ca`",
        );
        return None;
    }
    let path = text.strip_prefix("unix:").map(Path::new).filter(|path| path.is_absolute() && *path != Path::new("/"));
    if path.is_none() {
        // By TCP the key would be anybody's to read.
        reader.say(at, format!("`{text}` is no socket of an agent"), "write `unix:/run/spire/agent.sock`");
    }
    path.map(|path| Own::Agent(path.to_owned()))
}

fn paths(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, base: &Path) -> Vec<PathBuf> {
    fields.get(key).map(items).unwrap_or_default().iter().filter_map(|n| reader.text(n).map(|p| base.join(p))).collect()
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
