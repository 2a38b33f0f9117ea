//! What the wall answers itself: upstream would speak of all tenants, or of the wall's own connection.

use super::commands::Entry;
use super::encode::{self, Resp};
use super::glob;
use super::session::{Session, Setup};
use super::slowlog;
use super::stranger::{self, Credentials};
use super::tenant::Member;
use super::understand::{Refusal, is_word, syntax};
use super::wire::{Request, integer};
use bytes::{Bytes, BytesMut};

/// What CONFIG GET tells: what clients ask for at their start, as a server of the tenant's own would have it.
const CONFIG: &[(&str, &str)] = &[
    ("appendonly", "no"),
    ("databases", "16"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("notify-keyspace-events", ""),
    ("proto-max-bulk-len", "536870912"),
    ("save", ""),
    ("timeout", "0"),
];

/// What HELLO asks for.
#[derive(Debug)]
pub struct Hello {
    /// The protocol, if it names one.
    pub resp: Option<Resp>,
    /// The name, if it gives one.
    pub name: Option<Bytes>,
}

/// The answer to a command that the wall answers itself. Errors: the server's own.
pub fn answer(session: &mut Session, entry: &Entry, request: &Request) -> Result<Bytes, Refusal> {
    let mut out = BytesMut::new();
    match entry.name {
        "acl whoami" => encode::bulk(&mut out, session.setup.tenant.as_bytes()),
        "client id" => encode::integer(&mut out, i64::try_from(session.setup.id).unwrap_or(i64::MAX)),
        "client getname" if session.name.is_empty() => encode::null(&mut out, session.resp),
        "client getname" => encode::bulk(&mut out, &session.name),
        "client setname" => {
            session.name = client_name(request.arg(2))?;
            session.setup.peers.update(session.setup.id, |me| me.name = session.name.clone());
            encode::simple(&mut out, "OK");
        }
        "client no-evict" if ["on", "off"].iter().any(|w| is_word(request.arg(2), w)) => encode::simple(&mut out, "OK"),
        "client no-evict" => return Err(syntax()),
        "client capa" => encode::simple(&mut out, "OK"),
        "client import-source" if is_word(request.arg(2), "off") => encode::simple(&mut out, "OK"),
        "client import-source" => return Err(Refusal::late("Server is not in import mode")),
        "client info" => {
            let own = session.setup.peers.list(&session.setup.tenant, |id, _| id == session.setup.id);
            encode::verbatim(&mut out, session.resp, own.as_bytes());
        }
        "client list" => encode::verbatim(&mut out, session.resp, list(session, request)?.as_bytes()),
        "pubsub numpat" => encode::integer(&mut out, i64::try_from(session.setup.peers.patterns()).unwrap_or(i64::MAX)),
        "role" => {
            encode::header(&mut out, b'*', 3);
            encode::bulk(&mut out, b"master");
            encode::integer(&mut out, 0);
            encode::header(&mut out, b'*', 0);
        }
        "config get" => config(&mut out, session.resp, session.setup.names.slow_micros(), request),
        _ => return Err(Refusal::noperm(entry)),
    }
    Ok(out.freeze())
}

/// CLIENT LIST, all or by TYPE or ID.
fn list(session: &Session, request: &Request) -> Result<String, Refusal> {
    let (peers, tenant) = (&session.setup.peers, &session.setup.tenant);
    if request.len() == 2 {
        return Ok(peers.list(tenant, |_, _| true));
    }
    if is_word(request.arg(2), "id") && request.len() > 3 {
        let ids = request.iter().skip(3).map(|id| integer(id).and_then(|id| u64::try_from(id).ok()));
        let ids: Vec<u64> = ids.collect::<Option<_>>().ok_or_else(|| Refusal::late("Invalid client ID"))?;
        return Ok(peers.list(tenant, |id, _| ids.contains(&id)));
    }
    if !is_word(request.arg(2), "type") || request.len() != 4 {
        return Err(syntax());
    }
    let listens = Member::listens;
    match request.arg(3).to_ascii_lowercase().as_slice() {
        b"normal" => Ok(peers.list(tenant, |_, member| !listens(member))),
        b"pubsub" => Ok(peers.list(tenant, |_, member| listens(member))),
        b"master" | b"replica" | b"slave" => Ok(String::new()),
        _ => Err(Refusal::late(format!("Unknown client type '{}'", super::lossy(request.arg(3))))),
    }
}

fn config(out: &mut BytesMut, resp: Resp, slow: Option<u64>, request: &Request) {
    let wanted = |name: &str| request.iter().skip(2).any(|pattern| glob::matches(pattern, name.as_bytes(), true));
    let slow = slow.map_or("-1".to_owned(), |micros| micros.to_string());
    let length = slowlog::LENGTH.to_string();
    let own = [("slowlog-log-slower-than", slow.as_str()), ("slowlog-max-len", length.as_str())];
    let found: Vec<_> = CONFIG.iter().chain(&own).filter(|(name, _)| wanted(name)).collect();
    encode::map(out, resp, found.len());
    for (name, value) in found {
        encode::bulk(out, name.as_bytes());
        encode::bulk(out, value.as_bytes());
    }
}

fn client_name(name: &[u8]) -> Result<Bytes, Refusal> {
    if name.iter().any(|b| !(b'!'..=b'~').contains(b)) {
        return Err(Refusal::late("Client names cannot contain spaces, newlines or special characters."));
    }
    Ok(Bytes::copy_from_slice(name))
}

/// AUTH after the client's identity is settled: it changes nothing, but that a fresh token puts off the end. Errors: it names another.
pub fn auth(session: &Session, request: &Request) -> Result<Bytes, Refusal> {
    if matches!(request.len(), 2 | 3) && renewed(session, request, 1, request.len() == 3)? {
        return Ok(Bytes::from_static(b"+OK\r\n"));
    }
    match request.len() {
        2 => Err(Refusal::late(
            "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        )),
        3 => {
            same_user(session, request.arg(1))?;
            Ok(Bytes::from_static(b"+OK\r\n"))
        }
        _ => Err(syntax()),
    }
}

fn same_user(session: &Session, user: &[u8]) -> Result<(), Refusal> {
    if user == session.setup.tenant.as_bytes() || user == b"default" { Ok(()) } else { Err(wrong()) }
}

fn wrong() -> Refusal {
    Refusal { late: true, ..Refusal::early("WRONGPASS", "invalid username-password pair or user is disabled.") }
}

/// Does it say a fresh token, where the session takes one? Errors: it is no good.
fn renewed(session: &Session, request: &Request, at: usize, named: bool) -> Result<bool, Refusal> {
    let Some(again) = &session.setup.again else { return Ok(false) };
    match stranger::credentials(request, at, named).filter(Credentials::has_token) {
        Some(said) => (again.0)(&said).then_some(true).ok_or_else(wrong),
        None => Ok(false),
    }
}

/// What a HELLO asks for. Errors: the server's own.
pub fn hello(session: &Session, request: &Request) -> Result<Hello, Refusal> {
    let mut hello = Hello { resp: None, name: None };
    if request.len() > 1 {
        hello.resp = match integer(request.arg(1)) {
            None => return Err(Refusal::late("Protocol version is not an integer or out of range")),
            Some(2) => Some(Resp::Two),
            Some(3) => Some(Resp::Three),
            Some(_) => return Err(Refusal { late: true, ..Refusal::early("NOPROTO", "unsupported protocol version") }),
        };
    }
    let mut at = 2;
    while at < request.len() {
        let (option, more) = (request.arg(at), request.len() - at - 1);
        if is_word(option, "auth") && more >= 2 {
            if !renewed(session, request, at + 1, true)? {
                same_user(session, request.arg(at + 1))?;
            }
            at += 3;
        } else if is_word(option, "setname") && more >= 1 {
            hello.name = Some(client_name(request.arg(at + 1))?);
            at += 2;
        } else {
            return Err(Refusal::late(format!("Syntax error in HELLO option '{}'", super::lossy(option))));
        }
    }
    Ok(hello)
}

/// What HELLO answers.
pub fn greeting(session: &Session) -> Bytes {
    let Setup { version, id, .. } = &session.setup;
    let mut out = BytesMut::new();
    encode::map(&mut out, session.resp, 7);
    for (name, value) in [("server", "redis"), ("version", version.as_str())] {
        encode::bulk(&mut out, name.as_bytes());
        encode::bulk(&mut out, value.as_bytes());
    }
    encode::bulk(&mut out, b"proto");
    encode::integer(&mut out, if session.resp == Resp::Three { 3 } else { 2 });
    encode::bulk(&mut out, b"id");
    encode::integer(&mut out, i64::try_from(*id).unwrap_or(i64::MAX));
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        encode::bulk(&mut out, name.as_bytes());
        encode::bulk(&mut out, value.as_bytes());
    }
    encode::bulk(&mut out, b"modules");
    encode::bulks::<&str>(&mut out, b'*', &[]);
    out.freeze()
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
