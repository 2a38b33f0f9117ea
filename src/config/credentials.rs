//! What the wall logs in with upstream: a password from a file, the environment or a command; by tenant, or for all.

use super::document::{Fields, Node, Reader, entries, items};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a password comes from. `{tenant}` in it is the tenant's id, where it is for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Secret {
    /// There is none.
    #[default]
    None,
    /// A file, read for each new connection.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// What a program prints; run again when a login fails.
    Command(Vec<String>),
}

/// A user and its password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// None: the upstream's.
    pub user: Option<String>,
    /// Its password.
    pub secret: Secret,
}

/// By tenant, or for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The wall's own, and that of tenants without one.
    pub secret: Secret,
    /// For each tenant; `{tenant}` stands for its id.
    pub each: Option<Login>,
    /// Of single tenants.
    pub tenants: BTreeMap<String, Login>,
    /// Of operators.
    pub operators: Option<Login>,
}

impl Credentials {
    /// Has some tenant one of its own?
    pub fn by_tenant(&self) -> bool {
        self.each.is_some() || !self.tenants.is_empty()
    }
}

/// The keys that name a password.
pub(super) const KEYS: [&str; 3] = ["password_file", "password_env", "password_command"];

/// Reads those of an upstream; paths are relative to `base`.
pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, base: &Path) -> Credentials {
    let secret = secret(reader, fields, base);
    let Some(node) = fields.get("credentials") else { return Credentials { secret, ..Credentials::default() } };
    let of = reader.fields(node, &["each", "tenants", "operators"], &[]);
    let each = of.get("each").map(|n| login(reader, n, base));
    let tenants = of.get("tenants").map(entries).unwrap_or_default().iter();
    let tenants: BTreeMap<String, Login> = tenants.map(|(id, n)| (id.clone(), login(reader, n, base))).collect();
    let operators = of.get("operators").map(|n| login(reader, n, base));
    let credentials = Credentials { secret, each, tenants, operators };
    if !credentials.by_tenant() && credentials.operators.is_none() {
        reader.say(node, "nobody has credentials of its own", "add `each:`, `tenants:` or `operators:`");
    }
    credentials
}

/// Connections that clients share have one login.
pub(super) fn shared(reader: &mut Reader<'_>, at: &Node, upstream: &super::Upstream) {
    if upstream.credentials.by_tenant() || upstream.credentials.operators.is_some() {
        reader.say(at, "clients of Redis share connections, which have one login", "take `credentials` of this upstream out");
    }
}

fn login(reader: &mut Reader<'_>, node: &Node, base: &Path) -> Login {
    let fields = reader.fields(node, &["user", KEYS[0], KEYS[1], KEYS[2]], &[]);
    let user = fields.get("user").and_then(|n| reader.text(n));
    Login { user, secret: secret(reader, &fields, base) }
}

fn secret(reader: &mut Reader<'_>, fields: &Fields<'_>, base: &Path) -> Secret {
    let given: Vec<&Node> = KEYS.iter().filter_map(|key| fields.get(key)).collect();
    if let [_, second, ..] = given.as_slice() {
        reader.say(second, "a password comes from one place", "keep one of `password_file`, `password_env` and `password_command`");
    }
    if let Some(node) = fields.get(KEYS[0]) {
        return reader.text(node).map_or(Secret::None, |path| Secret::File(base.join(path)));
    }
    if let Some(node) = fields.get(KEYS[1]) {
        return reader.text(node).map_or(Secret::None, Secret::Env);
    }
    let Some(node) = fields.get(KEYS[2]) else { return Secret::None };
    let words: Vec<String> = items(node).iter().filter_map(|n| reader.text(n)).collect();
    if words.is_empty() {
        reader.say(node, "no program is named", "write `password_command: [program, argument]`");
        return Secret::None;
    }
    Secret::Command(words)
}
