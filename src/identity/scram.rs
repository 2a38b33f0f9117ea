//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, 7677; PostgreSQL manual, "SASL Authentication"), against a list of users that
//! holds what a server stores and no password.

use crate::config::document::{Findings, Reader, entries};
use crate::policy::Named;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as B64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// With it.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";

const BINDING: &str = "tls-server-end-point";
/// Bytes of randomness in a nonce.
const NONCE: usize = 18;
const ITERATIONS_MAX: u32 = 1_000_000;

type Key = [u8; 32];

/// What a server stores of a password (RFC 5803; PostgreSQL's pg_authid.rolpassword).
#[derive(Clone)]
struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored: Key,
    server: Key,
}

/// Users, whose each is, and how each shows that it is the one.
#[derive(Default)]
pub struct Users {
    all: HashMap<String, (Named, Verifier)>,
    /// Makes a stranger's salt the same each time, wherever this list is read.
    secret: Key,
    /// How much is asked of each who is listed, by name: iterations and bytes of salt. A stranger is asked for one of these.
    efforts: Vec<(u32, usize)>,
}

/// The exchange failed; why is for the log.
pub type Failed = &'static str;

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    // A key of any length is taken.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Equal, in a time that does not tell where they differ.
fn same(one: &Key, other: &Key) -> bool {
    one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn random<const N: usize>() -> Result<[u8; N], Failed> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| "the system gives no randomness")?;
    Ok(bytes)
}

impl Verifier {
    /// `SCRAM-SHA-256$iterations:salt$stored key:server key`
    fn parse(text: &str) -> Option<Self> {
        let (work, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let ((iterations, salt), (stored, server)) = (work.split_once(':')?, keys.split_once(':')?);
        let key = |text: &str| B64.decode(text).ok()?.try_into().ok();
        Some(Self {
            iterations: iterations.parse().ok().filter(|i| (1..=ITERATIONS_MAX).contains(i))?,
            salt: B64.decode(salt).ok().filter(|s| !s.is_empty())?,
            stored: key(stored)?,
            server: key(server)?,
        })
    }

    /// A stranger's: nothing fits it, it is the same each time, and it looks like one of those who are listed.
    fn of_nobody(users: &Users, user: &str) -> Self {
        let key = |what: &[u8]| hmac(&users.secret, &[what, user.as_bytes()]);
        let (choice, [stored, server]) = (key(b"effort"), [b"stored".as_slice(), b"server"].map(key));
        let choice = choice.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        let at = usize::try_from(choice % (users.efforts.len().max(1) as u64)).unwrap_or(0);
        let (iterations, length) = users.efforts.get(at).copied().unwrap_or((1, 1));
        let salt = (0_u32..).flat_map(|block| key(&[b"salt".as_slice(), &block.to_be_bytes()].concat())).take(length).collect();
        Self { iterations, salt, stored, server }
    }

    /// Is it this password's?
    fn accepts(&self, password: &str) -> bool {
        let password = stringprep::saslprep(password).unwrap_or(password.into());
        let mut block = hmac(password.as_bytes(), &[&self.salt, &1u32.to_be_bytes()]);
        let mut salted = block;
        for _ in 1..self.iterations {
            block = hmac(password.as_bytes(), &[&block]);
            salted.iter_mut().zip(block).for_each(|(all, one)| *all ^= one);
        }
        same(&Sha256::digest(hmac(&salted, &[b"Client Key"])).into(), &self.stored)
    }
}

impl Users {
    /// Reads a list: `name: { tenant: acme, password: 'SCRAM-SHA-256$…' }`. Errors: every finding, a line each.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let mut findings = Findings::new();
        let mut reader = Reader { file: file.into(), findings: &mut findings };
        let mut all = HashMap::new();
        if let Some(root) = reader.parse(text) {
            for (name, node) in entries(&root) {
                let fields = reader.fields(node, &["tenant", "role", "password"], &[]);
                let role = fields.get("role").and_then(|n| reader.text(n));
                let tenant = reader.need(&fields, "tenant").and_then(|n| reader.text(n));
                let Some(place) = reader.need(&fields, "password") else { continue };
                let verifier = reader.text(place).as_deref().and_then(Verifier::parse);
                if verifier.is_none() {
                    reader.say(
                        place,
                        "this is no SCRAM-SHA-256 verifier",
                        "write what pg_authid.rolpassword holds: `SCRAM-SHA-256$4096:…`",
                    );
                }
                if let (Some(tenant), Some(verifier)) = (tenant, verifier)
                    && all.insert(name.clone(), (Named { tenant, role }, verifier)).is_some()
                {
                    reader.say(node, format!("`{name}` stands twice"), "keep one of them");
                }
            }
        }
        if all.is_empty() && findings.is_empty() {
            return Err(format!("{file}: it lists nobody"));
        }
        let lines: Vec<String> = findings.iter().map(|f| format!("{}:{}:{}: {}; {}", f.file, f.line, f.column, f.message, f.fix)).collect();
        if lines.is_empty() { Ok(Self::new(all)) } else { Err(lines.join("\n")) }
    }

    /// What is made up for strangers comes of the list alone: another process, or this one when it reads the list again, says the same of each.
    fn new(all: HashMap<String, (Named, Verifier)>) -> Self {
        let mut listed: Vec<_> = all.iter().map(|(name, (_, verifier))| (name, verifier)).collect();
        listed.sort_by_key(|(name, _)| *name);
        let keys: Vec<&[u8]> = listed.iter().flat_map(|(_, v)| [v.stored.as_slice(), &v.server]).collect();
        let (secret, efforts) = (hmac(b"strangers", &keys), listed.iter().map(|(_, v)| (v.iterations, v.salt.len())).collect());
        Self { all, secret, efforts }
    }

    /// Whose a user with this password is. Errors: nobody's.
    pub fn check(&self, user: &str, password: &str) -> Result<Named, Failed> {
        let stranger = Verifier::of_nobody(self, user);
        let (named, verifier) = self.all.get(user).map_or((None, &stranger), |(named, v)| (Some(named), v));
        // A stranger's is computed, too: the time does not tell who is listed.
        let accepted = verifier.accepts(password);
        named.filter(|_| accepted).cloned().ok_or("no such user, or another password")
    }
}

/// One exchange, for the user that the startup message named.
pub struct Exchange<'a> {
    named: Option<&'a Named>,
    verifier: Verifier,
    /// The server certificate's hash, over TLS.
    endpoint: Option<&'a [u8]>,
    header: String,
    bare: String,
    challenge: String,
    nonce: String,
}

impl<'a> Exchange<'a> {
    /// Of a user, over a connection with this `tls-server-end-point` (RFC 5929, 4.1), if it is TLS.
    pub fn new(users: &'a Users, user: &str, endpoint: Option<&'a [u8]>) -> Self {
        let known = users.all.get(user);
        let verifier = known.map_or_else(|| Verifier::of_nobody(users, user), |(_, v)| v.clone());
        let empty = String::new;
        Self {
            named: known.map(|(named, _)| named),
            verifier,
            endpoint,
            header: empty(),
            bare: empty(),
            challenge: empty(),
            nonce: empty(),
        }
    }

    /// The mechanisms to offer, the best first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        if self.endpoint.is_some() { &[PLUS, PLAIN] } else { &[PLAIN] }
    }

    /// Takes client-first-message and gives server-first-message. Errors: it is malformed, or asks for what is not there.
    pub fn first(&mut self, mechanism: &str, message: &str) -> Result<&str, Failed> {
        if !self.mechanisms().contains(&mechanism) {
            return Err("a mechanism that was not offered");
        }
        let mut parts = message.splitn(3, ',');
        let (flag, authority, bare) = (parts.next(), parts.next(), parts.next());
        let (Some(flag), Some(""), Some(bare)) = (flag, authority, bare) else { return Err("malformed first message") };
        match (flag, mechanism == PLUS) {
            ("n", false) => {}
            ("y", false) if self.endpoint.is_none() => {}
            ("y", false) => return Err("the client believes that there is no channel binding"),
            (binding, true) if binding.strip_prefix("p=") == Some(BINDING) => {}
            _ => return Err("channel binding does not fit the mechanism"),
        }
        let nonce = bare.strip_prefix("n=").and_then(|b| b.split_once(",r=")).map(|(_, nonce)| nonce);
        let nonce = nonce.filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_graphic() && b != b',')).ok_or("malformed nonce")?;
        self.header = format!("{flag},,");
        self.bare = bare.to_owned();
        self.nonce = format!("{nonce}{}", B64.encode(random::<NONCE>()?));
        self.challenge = format!("r={},s={},i={}", self.nonce, B64.encode(&self.verifier.salt), self.verifier.iterations);
        Ok(&self.challenge)
    }

    /// Takes client-final-message and gives server-final-message and whose the user is. Errors: it proves nothing.
    pub fn last(&self, message: &str) -> Result<(String, Named), Failed> {
        if self.challenge.is_empty() {
            return Err("a last message before the first");
        }
        let (unproved, proof) = message.rsplit_once(",p=").ok_or("no proof")?;
        let (binding, nonce) = unproved.strip_prefix("c=").and_then(|u| u.split_once(",r=")).ok_or("malformed last message")?;
        let mut bound = self.header.clone().into_bytes();
        if self.header.starts_with('p') {
            bound.extend_from_slice(self.endpoint.unwrap_or_default());
        }
        if binding != B64.encode(bound) {
            return Err("bound to another channel");
        }
        if nonce != self.nonce {
            return Err("another nonce");
        }
        let said = [self.bare.as_bytes(), b",", self.challenge.as_bytes(), b",", unproved.as_bytes()];
        let mut key: Key = B64.decode(proof).ok().and_then(|p| p.try_into().ok()).ok_or("malformed proof")?;
        key.iter_mut().zip(hmac(&self.verifier.stored, &said)).for_each(|(key, signature)| *key ^= signature);
        let proved = same(&Sha256::digest(key).into(), &self.verifier.stored);
        match self.named {
            Some(named) if proved => Ok((format!("v={}", B64.encode(hmac(&self.verifier.server, &said))), named.clone())),
            _ => Err("no such user, or another password"),
        }
    }
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
