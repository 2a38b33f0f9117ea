//! A tenant's names: what is put before each on the way in, and what is cut off again on the way out.

use super::commands::{Entry, Rule};
use super::role::Rights;
use super::understand::{Place, Refusal};
use super::wire::Request;
use super::{glob, slots};
use crate::policy::{Granted, RedisPolicy, TenantId};
use bytes::Bytes;
use std::sync::Arc;

/// The prefix of one tenant, the keys that all tenants read, and what the policy allows beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    prefix: Bytes,
    escaped: Bytes,
    library: Bytes,
    shared: Vec<Vec<u8>>,
    growth_max_bytes: u64,
    slow_micros: Option<u64>,
    scripts: bool,
    restore: bool,
    reads_replicas: bool,
    slot: Option<u16>,
    role: Option<Arc<Rights>>,
    backstop: bool,
}

/// How the server says that it does not know a command.
const UNKNOWN: &[u8] = b"-ERR unknown command ";
/// How the server, since 7.2, says what one of the wall's users may not; the second in a script.
const USERS: [&[u8]; 2] = [b"-NOPERM User partywall:", b"-ERR ACL failure in script: User partywall:"];
const USER: &[u8] = b"User partywall:";
const HAS: &[u8] = b" has ";
/// What its arguments stand behind.
const ARGUMENTS: &[u8] = b"with args beginning with: ";

impl Names {
    /// None where a key of this tenant could be one that all share, or another tenant's: then the two cannot be told apart.
    pub fn new(policy: &RedisPolicy, tenant: &TenantId) -> Option<Self> {
        if !policy.prefix.takes(tenant) {
            return None;
        }
        let prefix = policy.prefix.of(tenant);
        let shared: Vec<Vec<u8>> = policy.shared.iter().map(|p| p.clone().into_bytes()).collect();
        if shared.iter().any(|pattern| glob::can_begin_with(pattern, &prefix)) {
            return None;
        }
        // A user of the server's cannot have such a pattern.
        if policy.backstop && !(super::acl::can_tell(&prefix) && shared.iter().all(|pattern| super::acl::can_tell(pattern))) {
            return None;
        }
        let (growth_max_bytes, scripts, backstop) = (policy.growth_max_bytes.into(), policy.scripts, policy.backstop);
        // Letters, digits and underscores are all that the server takes; no such name is the beginning of another tenant's.
        let hexadecimal: String = prefix.iter().map(|byte| format!("{byte:02x}")).collect();
        let library = format!("pw{hexadecimal}v{}_", super::library::version()).into();
        let slot = slots::of_prefix(&prefix);
        Some(Self {
            escaped: glob::escape(&prefix).into(),
            prefix: prefix.into(),
            library,
            shared,
            growth_max_bytes,
            slow_micros: policy.slow_micros,
            scripts,
            restore: policy.restore,
            reads_replicas: policy.reads_replicas,
            slot,
            role: None,
            backstop,
        })
    }

    /// The same for sessions of a role.
    #[must_use]
    pub fn with_role(self, granted: &Granted) -> Self {
        Self { role: Rights::of(granted).map(Arc::new), ..self }
    }

    /// Whether replies are read by both alike: only what the role may do differs.
    pub fn differs_in_role_only(&self, other: &Self) -> bool {
        Self { role: None, ..self.clone() } == Self { role: None, ..other.clone() }
    }

    /// Whether its role may all that the other's may.
    pub fn grants_all_of(&self, other: &Self) -> bool {
        match (&self.role, &other.role) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => own.covers(others),
        }
    }

    /// May the session's role run this command? Errors: NOPERM.
    pub fn may_run(&self, entry: &Entry) -> Result<(), Refusal> {
        self.role.as_ref().map_or(Ok(()), |role| role.may_run(entry))
    }

    /// May it use this name there? Errors: NOPERM.
    pub fn may_name(&self, place: Place, name: &[u8]) -> Result<(), Refusal> {
        self.role.as_ref().map_or(Ok(()), |role| role.may_name(place, name))
    }

    /// What a command's arguments ask for beside keys. Errors: more than one tenant may have the server do at once, or when others read what all share.
    pub fn check(&self, entry: &Entry, request: &Request) -> Result<(), Refusal> {
        if ["object idletime", "object freq"].contains(&entry.name) && self.is_shared(request.arg(2)) {
            return Err(Refusal::noperm(entry));
        }
        if entry.rule == Rule::Restore && !self.restore {
            return Err(Refusal::noperm(entry));
        }
        super::bounds::check(entry, request, self.growth_max_bytes)
    }

    /// How far an offset alone may make a string grow.
    pub fn growth_max_bytes(&self) -> u64 {
        self.growth_max_bytes
    }

    /// From how many microseconds on a command is slow. None: none is.
    pub fn slow_micros(&self) -> Option<u64> {
        self.slow_micros
    }

    /// Whether the tenant may run scripts.
    pub fn allows_scripts(&self) -> bool {
        self.scripts
    }

    /// The one slot of Redis Cluster in which all its keys are, where the prefix makes it so.
    pub fn slot(&self) -> Option<u16> {
        self.slot
    }

    /// Whether reads that may be a little behind go to replicas.
    pub fn reads_replicas(&self) -> bool {
        self.reads_replicas
    }

    /// Whether the tenant's connections are a user's of its own on the server.
    pub fn has_backstop(&self) -> bool {
        self.backstop
    }

    /// Patterns of keys that all tenants read.
    pub fn shared(&self) -> &[Vec<u8>] {
        &self.shared
    }

    /// Before each key and channel.
    pub fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// Before each pattern.
    pub fn escaped(&self) -> &Bytes {
        &self.escaped
    }

    /// Before each name of a library or function, as this wall wraps them.
    pub fn library(&self) -> &Bytes {
        &self.library
    }

    /// What the names of any version begin with; `v` and the version, or nothing, and `_` follow.
    fn libraries(&self) -> &[u8] {
        let behind = super::library::version().len() + "v_".len();
        self.library.get(..self.library.len().saturating_sub(behind)).unwrap_or_default()
    }

    /// The pattern of all the tenant's libraries, whichever wall wrapped them.
    pub fn all_libraries(&self) -> Vec<u8> {
        [self.libraries(), b"[_v]*"].concat()
    }

    /// The client's name of a library or function, whichever wall wrapped it. None: it is not the tenant's.
    pub fn own_library<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let rest = name.strip_prefix(self.libraries())?;
        // Before there were versions nothing stood there.
        rest.strip_prefix(b"_").or_else(|| {
            let end = rest.strip_prefix(b"v")?.iter().position(|b| *b == b'_')?;
            rest.get(end + 2..)
        })
    }

    /// Whether there are any shared keys.
    pub fn shares(&self) -> bool {
        !self.shared.is_empty()
    }

    /// Whether a key is one that all share.
    pub fn is_shared(&self, key: &[u8]) -> bool {
        self.shared.iter().any(|pattern| glob::matches(pattern, key, false))
    }

    /// The pattern of all the tenant's names.
    pub fn all(&self) -> Vec<u8> {
        [&self.escaped, b"*".as_slice()].concat()
    }

    /// Whether an error that begins so may name what the command was sent with, whichever it was.
    pub fn may_be_quoted(error: &[u8]) -> bool {
        [UNKNOWN].iter().chain(&USERS).any(|begins| error.starts_with(begins) || begins.starts_with(error))
    }

    /// An error line with the client's own names where the server quotes its keys. The server's sentences put the key at their beginning or at
    /// their end, as a C string with its line ends made blanks.
    pub fn unquote(&self, line: &[u8], quotes: &[Bytes]) -> Vec<u8> {
        const FIRST: &[u8] = b"-NOGROUP No such key '";
        const LAST: &[u8] = b" for key name '";
        if let Some(rest) = line.strip_prefix(b"-ERR Prefix '").and_then(|rest| rest.strip_prefix(self.prefix.as_ref())) {
            return [b"-ERR Prefix '".as_slice(), &self.without_last(rest)].concat();
        }
        // All arguments stand there as they were sent. A server that was asked what it has gets no such command.
        if line.starts_with(UNKNOWN)
            && let Some(at) = line.windows(ARGUMENTS.len()).position(|window| window == ARGUMENTS)
        {
            return [line.get(..at + ARGUMENTS.len()).unwrap_or_default(), b"\r\n"].concat();
        }
        // A user that the tenant does not know it is; 7.0 says so of any.
        if let Some(begins) = USERS.iter().find(|begins| line.starts_with(begins))
            && let Some(at) = line.windows(HAS.len()).position(|window| window == HAS)
        {
            let kept = begins.strip_suffix(USER).unwrap_or_default();
            return [kept, b"this user", line.get(at..).unwrap_or_default()].concat();
        }
        for first in [b"-ERR Library '".as_slice(), b"-ERR Function "] {
            if let Some(rest) = line.strip_prefix(first).and_then(|rest| rest.strip_prefix(self.library.as_ref())) {
                return [first, rest].concat();
            }
        }
        // What ran, where the server itself says it, as of a function that was killed.
        let ran = [b" script: ".as_slice(), &self.library].concat();
        if let Some(at) = line.windows(ran.len()).rposition(|window| window == ran) {
            let (before, behind) = line.split_at(at);
            return [before, b" script: ", behind.get(ran.len()..).unwrap_or_default()].concat();
        }
        for key in quotes {
            let (own, long) = (quoted(b"", key), quoted(&self.prefix, key));
            if let Some(rest) = line.strip_prefix(FIRST).and_then(|rest| rest.strip_prefix(long.as_slice())) {
                return [FIRST, &own, rest].concat();
            }
            let last = [LAST, &long, b"\r\n"].concat();
            if let Some(before) = line.strip_suffix(last.as_slice()) {
                return [before, LAST, &own, b"\r\n"].concat();
            }
        }
        line.to_vec()
    }
}

impl Names {
    /// What CLIENT TRACKING says of a second prefix, behind the first.
    fn without_last(&self, text: &[u8]) -> Vec<u8> {
        let quoted = [b" prefix '".as_slice(), &self.prefix].concat();
        match text.windows(quoted.len()).rposition(|window| window == quoted) {
            Some(at) => {
                let (before, behind) = text.split_at(at + quoted.len());
                [before.strip_suffix(self.prefix.as_ref()).unwrap_or(before), behind].concat()
            }
            None => text.to_vec(),
        }
    }
}

fn quoted(prefix: &[u8], key: &[u8]) -> Vec<u8> {
    let whole = [prefix, key].concat();
    let mut text: Vec<u8> = whole.split(|b| *b == 0).next().unwrap_or_default().to_vec();
    for byte in &mut text {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    text.push(b'\'');
    text
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
