//! Redis: each tenant has a server of its own that is not there. The way of a command: `wire` scans it, `commands` and `understand` say where its
//! names stand, `rewrite` puts the tenant's prefix before them, and `replies` cuts it off again by position; `session` keeps the order.

pub mod acl;
pub mod audit;
pub mod bounds;
pub mod channels;
pub mod commands;
pub mod cursor;
pub mod encode;
pub mod frames;
pub mod glob;
pub mod info;
pub mod inline;
pub mod keyspace;
pub mod library;
pub mod line;
pub mod local;
pub mod mark;
pub mod names;
pub mod options;
pub mod replies;
pub mod rewrite;
pub mod role;
pub mod script;
pub mod session;
pub mod sha1;
pub mod shape;
pub mod slots;
pub mod slowlog;
pub mod stateless;
pub mod stranger;
pub mod tenant;
pub mod understand;
pub mod value;
pub mod wire;

pub use names::Names;
pub use session::{Session, Setup};

use crate::policy::{Policy, Role, TenantId};
use understand::Refusal;

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    /// These words are sent.
    Sent(Vec<Vec<u8>>),
    /// The wall answers, or asks upstream in its own words.
    Answered(&'static str),
}

/// What becomes of a tenant's command. Errors: why it is refused. None: the policy has no Redis rules, or the tenant could not be told from shared
/// keys.
pub fn explain<A: AsRef<[u8]>>(policy: &Policy, tenant: &TenantId, role: &Role, args: &[A]) -> Option<Result<Explained, Refusal>> {
    let names = Names::new(policy.redis.as_ref()?, tenant)?.with_role(&policy.granted(role));
    Some(explain_for(&names, &wire::Request::new(args)))
}

fn explain_for(names: &Names, request: &wire::Request) -> Result<Explained, Refusal> {
    use commands::Rule;
    let entry = understand::lookup(request, &commands::Lacks::default())?;
    names.may_run(entry)?;
    match entry.rule {
        Rule::Session => return Ok(Explained::Answered("the session keeps transactions, protocol and identity itself")),
        Rule::Keyspace => return Ok(Explained::Answered("the wall walks the tenant's own keys with SCAN")),
        Rule::Script => return Ok(Explained::Answered("the script runs with a redis.call that puts the prefix before every key")),
        Rule::Function => return Ok(Explained::Answered("libraries go upstream under names of the tenant's own")),
        Rule::Clients => return Ok(Explained::Answered("the wall finds the tenant's own clients")),
        Rule::Slowlog => return Ok(Explained::Answered("the wall keeps the tenant's own")),
        Rule::Local => return Ok(Explained::Answered("the wall answers for the tenant alone")),
        _ => {}
    }
    names.check(entry, request)?;
    let plan = match entry.rule {
        Rule::Subscribe => session::subscription(entry, request.len()),
        _ => understand::plan(entry, request)?,
    };
    let mut out = bytes::BytesMut::new();
    rewrite::command(&mut out, request, &plan, names)?;
    let limits = wire::Limits { request_max_bytes: usize::MAX, ..wire::Limits::TENANT };
    let sent = wire::Scanner::default().scan(&mut out, &limits).ok().flatten();
    Ok(Explained::Sent(sent.iter().flat_map(wire::Request::iter).map(<[u8]>::to_vec).collect()))
}

/// Text for a person or an error; bytes that are none become marks.
pub(crate) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..128).unwrap_or(text)).into_owned()
}

/// Text that is judged: all of it, or none.
pub(crate) fn whole(text: &[u8]) -> Option<String> {
    std::str::from_utf8(text).ok().map(str::to_owned)
}

#[cfg(test)]
#[path = "cases_tests.rs"]
pub(crate) mod cases;
