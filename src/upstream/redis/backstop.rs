//! One user of the server's own a tenant (`backstop: acl`): made when its first connection needs it, under a name that no other wall and no earlier start has,
//! with a password that this process alone knows; removed when the tenant has been away for a while. What the rules say is in `redis/acl.rs`.

use crate::redis::acl;
use crate::redis::commands::Lacks;
use crate::redis::encode;
use crate::redis::names::Names;
use crate::redis::shape::Broken;
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A user whose tenant has no session for so long is removed.
const IDLE: Duration = Duration::from_secs(300);
/// What all names of users begin with.
pub(super) const NAME: &str = "partywall:";

/// One user of the server.
pub struct User {
    name: String,
    /// ACL SETUSER, as it is sent.
    make: Bytes,
    /// AUTH, as it is sent.
    auth: Bytes,
    /// It was made, and is there if nobody removed it.
    made: AtomicBool,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl User {
    fn new<T: AsRef<[u8]>>(name: String, password: &str, rules: &[T]) -> Self {
        let (mut make, mut auth) = (BytesMut::new(), BytesMut::new());
        encode::header(&mut make, b'*', rules.len() + 4);
        for word in ["ACL", "SETUSER", &name] {
            encode::bulk(&mut make, word.as_bytes());
        }
        for rule in rules {
            encode::bulk(&mut make, rule.as_ref());
        }
        // Behind `reset`, which takes all passwords off.
        encode::joined(&mut make, b">", password.as_bytes());
        encode::command(&mut auth, &["AUTH", &name, password]);
        Self { name, make: make.freeze(), auth: auth.freeze(), made: AtomicBool::new(false) }
    }

    /// What it is called on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// ACL SETUSER, for whoever may make users.
    pub fn make(&self) -> &[u8] {
        &self.make
    }

    /// AUTH.
    pub fn auth(&self) -> &Bytes {
        &self.auth
    }

    /// Whether it was made before.
    pub fn is_made(&self) -> bool {
        self.made.load(Ordering::Acquire)
    }

    /// It is, now.
    pub fn set_made(&self) {
        self.made.store(true, Ordering::Release);
    }
}

/// The users that one tenant's connections are.
#[derive(Debug)]
pub struct Users {
    /// All but what is for the next.
    pub own: User,
    /// For commands that the server cannot look at: SORT by patterns, GEORADIUS.
    pub patterns: Arc<User>,
    /// Only makes users, over shared connections.
    pub maker: Arc<User>,
}

impl Users {
    /// What the session changes between them with.
    pub fn switch(&self) -> Arc<acl::Switch> {
        Arc::new(acl::Switch { patterns: self.patterns.auth.clone(), own: self.own.auth.clone() })
    }

    /// Those of nobody: only the one that makes the others is left.
    pub fn nobody(&self) -> Arc<Self> {
        let own = User::new(format!("{NAME}nobody"), "", &["reset"]);
        Arc::new(Self { own, patterns: self.patterns.clone(), maker: self.maker.clone() })
    }
}

/// A tenant's users are there as long as this is held.
pub struct Lease(Box<Leased>);

/// Apart, for each connection has the place for one.
struct Leased {
    users: Arc<Users>,
    backstop: Arc<Backstop>,
    key: Key,
}

impl Lease {
    /// They.
    pub fn users(&self) -> &Arc<Users> {
        &self.0.users
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(entry) = self.backstop.entries().get_mut(&self.key).filter(|entry| Arc::ptr_eq(&entry.users, &self.users)) {
            entry.leases -= 1;
            entry.since = Instant::now();
        }
    }
}

/// A tenant, and what its user may do: by another policy it is another user.
type Key = (String, Vec<Vec<u8>>);

struct Entry {
    users: Arc<Users>,
    leases: usize,
    since: Instant,
}

/// The users of one listener.
pub struct Backstop {
    /// `partywall:` and a number that no other process has.
    process: String,
    password: String,
    lacks: Arc<Lacks>,
    patterns: Arc<User>,
    maker: Arc<User>,
    entries: Mutex<HashMap<Key, Entry>>,
    idle: Duration,
}

impl Backstop {
    /// For a server that lacks some commands. Errors: the system gives no randomness.
    pub fn new(lacks: Arc<Lacks>) -> anyhow::Result<Arc<Self>> {
        let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (mut number, mut secret) = ([0; 8], [0; 32]);
        getrandom::fill(&mut number)?;
        getrandom::fill(&mut secret)?;
        let (process, password) = (format!("{NAME}{}", hexadecimal(&number)), hexadecimal(&secret));
        let patterns = Arc::new(User::new(format!("{process}:patterns"), &password, acl::PATTERNS));
        let maker = Arc::new(User::new(format!("{process}:maker"), &password, acl::MAKER));
        let entries = Mutex::default();
        // Tests do not wait for minutes.
        let set = std::env::var("PARTYWALL_TEST_BACKSTOP_IDLE_MS").ok().and_then(|text| text.parse().ok());
        let idle = set.map_or(IDLE, Duration::from_millis);
        Ok(Arc::new(Self { process, password, lacks, patterns, maker, entries, idle }))
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the names of this process' users begin with; its keeper's connection has it for a name.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// The user that makes the others over connections that clients share.
    pub fn maker(&self) -> &User {
        &self.maker
    }

    /// The user for what the server cannot look at.
    pub fn patterns(&self) -> &User {
        &self.patterns
    }

    /// How often it is to be looked whose tenants are away.
    pub fn pace(&self) -> Duration {
        self.idle.min(Duration::from_secs(5))
    }

    /// A tenant's users.
    pub fn lease(self: &Arc<Self>, tenant: &str, names: &Names) -> Lease {
        let key = (tenant.to_owned(), acl::rules(names, &self.lacks));
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_insert_with(|| {
            // Should a server ever tell a tenant whose user it is, the name does not say how many there were before.
            let serial = serial();
            let readable = tenant.len() <= 64 && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            let name = format!("{}:{serial:016x}:{}", self.process, if readable { tenant } else { "" });
            let own = User::new(name, &self.password, &key.1);
            let users = Users { own, patterns: self.patterns.clone(), maker: self.maker.clone() };
            Entry { users: Arc::new(users), leases: 0, since: Instant::now() }
        });
        entry.leases += 1;
        let users = entry.users.clone();
        drop(entries);
        Lease(Box::new(Leased { users, backstop: self.clone(), key }))
    }

    /// How many sessions there are.
    pub fn leases(&self) -> usize {
        self.entries().values().map(|entry| entry.leases).sum()
    }

    /// Takes those out that nobody has had for a while: no session will be them any more, for their names are not given again.
    pub fn take_idle(&self) -> Vec<Arc<Users>> {
        let mut idle = Vec::new();
        self.entries().retain(|_, entry| {
            let keeps = entry.leases > 0 || entry.since.elapsed() < self.idle;
            if !keeps {
                idle.push(entry.users.clone());
            }
            keeps
        });
        idle
    }

    /// Names of all that may be there, for the end.
    pub fn take_all(&self) -> Vec<String> {
        let mut names = vec![self.patterns.name.clone(), self.maker.name.clone()];
        names.extend(self.entries().drain().map(|(_, entry)| entry.users.own.name.clone()));
        names
    }
}

/// The bytes of a login's answer, and whether it is whole. Errors: it failed.
pub(super) fn logged_in(input: &[u8]) -> Result<(usize, usize), Broken> {
    const OK: &[u8] = b"+OK\r\n";
    match input.starts_with(OK) {
        true => Ok((OK.len(), 1)),
        false if OK.starts_with(input) => Ok((0, 0)),
        false => Err(Broken("a tenant's own user of the server was refused")),
    }
}

/// A number that no other user of this process has, by chance and by count.
fn serial() -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static MADE: AtomicU64 = AtomicU64::new(0);
    KEY.hash_one(MADE.fetch_add(1, Ordering::Relaxed))
}

/// Users of walls that are gone: `users` is what ACL USERS says, `clients` what CLIENT LIST does.
pub fn orphans<'a>(users: impl Iterator<Item = &'a str>, clients: &str) -> Vec<&'a str> {
    let process = |name: &str| name.get(..NAME.len() + 16).filter(|_| name.starts_with(NAME)).map(str::to_owned);
    let fields = clients.split_ascii_whitespace().filter_map(|field| field.strip_prefix("name=").or_else(|| field.strip_prefix("user=")));
    let alive: std::collections::HashSet<String> = fields.filter_map(process).collect();
    users.filter(|name| process(name).is_some_and(|process| !alive.contains(&process))).collect()
}

#[cfg(test)]
#[path = "backstop_tests.rs"]
mod tests;
