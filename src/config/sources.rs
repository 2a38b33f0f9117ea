//! Which of a policy's sources count on a port, in what order, and what of those that disagree.

use super::Protocol;
use super::document::{Node, Reader, items};
use crate::policy::{IdentitySources, Policy, StaticSource};

/// An identity source of the policy that counts on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The client certificate.
    Mtls,
    /// A signed token.
    Jwt,
    /// A header of the request that opens a tunnel.
    Header,
    /// A value of the PROXY header.
    Proxy,
    /// What the client says when it begins.
    Startup,
    /// The account at the other end of a Unix socket.
    Peer,
    /// A user and its password.
    Password,
    /// One tenant for the port.
    Static,
    /// What stands before each statement.
    Statement,
}

/// What becomes of sources that disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// They refuse the connection.
    #[default]
    Refuse,
    /// The first that says a tenant counts.
    First,
}

/// A source that the port's protocol cannot ask for is a mistake.
pub(super) fn spoken(reader: &mut Reader<'_>, at: &Node, protocol: Option<Protocol>, identity: &[Source]) {
    if protocol == Some(Protocol::Redis) && identity.contains(&Source::Statement) {
        reader.say(at, "Redis has no statements: `statement` speaks for PostgreSQL only", "take `statement` out");
    }
    let asks = [Source::Jwt, Source::Password].iter().all(|s| identity.contains(s));
    if protocol == Some(Protocol::Postgres) && asks {
        reader.say(at, "PostgreSQL asks for one password: a token or the user's", "name either `jwt` or `password`");
    }
}

/// What the connections of a port can show.
pub(super) struct Shows {
    pub(super) certificates: bool,
    pub(super) tunnel: bool,
    pub(super) proxy: bool,
    pub(super) unix: bool,
}

/// A source that nothing on this port can speak for is a mistake.
pub(super) fn mute(reader: &mut Reader<'_>, at: &Node, sources: &[Source], policy: Option<&Policy>, shows: &Shows) {
    let by_password = policy.is_none_or(|p| p.identity.jwt.as_ref().is_none_or(|j| j.password));
    for source in sources {
        let (shown, message, fix) = match source {
            Source::Mtls => (shows.certificates, "`mtls` needs client certificates", "add `tls:` with `client_ca:`"),
            Source::Header => (shows.tunnel, "`header` needs a tunnel over HTTP", "add `tunnel: http`"),
            Source::Jwt => (by_password || shows.tunnel, "a token in a header needs a tunnel over HTTP", "add `tunnel: http`"),
            Source::Proxy => (shows.proxy, "`proxy` needs PROXY headers", "add `proxy_protocol: { trust: [loopback] }`"),
            Source::Peer => (shows.unix, "`peer` needs a Unix socket", "write `listen: unix:/run/partywall/db.sock`"),
            Source::Startup | Source::Password | Source::Static | Source::Statement => continue,
        };
        if !shown {
            reader.say(at, message, fix);
        }
    }
}

/// The sources of a listener, in its order.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, policy: Option<&Policy>) -> Vec<Source> {
    let mut all = Vec::new();
    for item in items(node) {
        let text = reader.text(item).unwrap_or_default();
        let Some((_, source)) = SOURCES.iter().find(|(word, _)| *word == text) else {
            let words: Vec<&str> = SOURCES.iter().map(|(word, _)| *word).collect();
            reader.say(item, format!("unknown identity source `{text}`"), format!("use one of: {}", words.join(", ")));
            continue;
        };
        if policy.is_some_and(|p| !defines(&p.identity, *source)) {
            reader.say(item, format!("the policy defines no `{text}`"), format!("add `identity: {{ {text}: … }}` to the policy"));
        }
        if all.contains(source) {
            reader.say(item, format!("`{text}` stands twice"), "name each source once");
        }
        all.push(*source);
    }
    if items(node).is_empty() {
        reader.say(node, "no identity source: nobody could connect", "name at least one");
    }
    all
}

/// What of sources that disagree. Behind one that always speaks no other ever counts.
pub(super) fn conflict(reader: &mut Reader<'_>, node: &Node, sources: &[Source], policy: Option<&Policy>) -> Option<Conflict> {
    match reader.text(node)?.as_str() {
        "refuse" => return Some(Conflict::Refuse),
        "first" => {}
        other => {
            reader.say(node, format!("unknown way with sources that disagree: `{other}`"), "write `refuse` or `first`");
            return None;
        }
    }
    let always = policy.and_then(|p| p.identity.fixed.as_ref()).is_some_and(|fixed| matches!(fixed.tenant, StaticSource::Tenant(_)));
    let behind = sources.iter().skip_while(|s| **s != Source::Static).skip(1);
    if always && behind.into_iter().any(|s| *s != Source::Statement) {
        reader.say(
            node,
            "with `first`, `static` is always the one that counts: none behind it ever does",
            "put `static` last in `identity:`",
        );
    }
    Some(Conflict::First)
}

const SOURCES: &[(&str, Source)] = &[
    ("mtls", Source::Mtls),
    ("jwt", Source::Jwt),
    ("header", Source::Header),
    ("proxy", Source::Proxy),
    ("startup", Source::Startup),
    ("peer", Source::Peer),
    ("password", Source::Password),
    ("static", Source::Static),
    ("statement", Source::Statement),
];

fn defines(identity: &IdentitySources, source: Source) -> bool {
    match source {
        Source::Mtls => identity.mtls.is_some(),
        Source::Jwt => identity.jwt.is_some(),
        Source::Header => identity.header.is_some(),
        Source::Proxy => identity.proxy.is_some(),
        Source::Startup => identity.startup.is_some(),
        Source::Peer => identity.peer.is_some(),
        Source::Password => identity.password.is_some(),
        Source::Static => identity.fixed.is_some(),
        Source::Statement => identity.statement.is_some(),
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
