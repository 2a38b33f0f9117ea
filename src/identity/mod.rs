//! Who is asking: from what the connection shows, and the policy's sources, to a [`Principal`]. No identity, no service.

pub mod certificate;
mod json;
pub mod jwt;
pub mod scram;

use crate::config::{Conflict, Source};
use crate::policy::{Expiry, Granted, Named, Peer, Policy, Role, StaticSource, TenantId, Trust};
use crate::postgres::parameters;
use certificate::Names;
use jwt::Keys;
use rustls::pki_types::CertificateDer;
use std::time::SystemTime;

/// What a connection shows of itself before it speaks its protocol.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The far end; what a trusted proxy said of it, if there is one.
    pub peer: Peer,
    /// Its port; 0 where there is none.
    pub port: u16,
    /// Nobody on the way can read it: TLS, a Unix socket or this machine.
    pub secret: bool,
    /// The client certificate's, after its chain was verified; None without a certificate.
    pub certificate: Option<Names>,
    /// That certificate and those that came with it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The host name that TLS asked for (RFC 6066, 3).
    pub sni: Option<String>,
    /// `tls-server-end-point` of the certificate that the client was shown (RFC 5929, 4.1).
    pub endpoint: Option<Vec<u8>>,
    /// The values of a PROXY header, by type; 0x22 within 0x20 counts as 0x22.
    pub proxied: Vec<(u8, Vec<u8>)>,
    /// The headers of the HTTP request that opened the tunnel: names in lower case.
    pub headers: Vec<(String, String)>,
}

/// All that a client has said.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Of the connection.
    pub shown: &'a Shown,
    /// PostgreSQL's startup parameters.
    pub startup: &'a [(String, String)],
    /// A token that came as the password.
    pub token: Option<&'a str>,
    /// Whose the user is whose password was proved.
    pub user: Option<&'a Named>,
}

/// What the sources rest on, besides the policy.
#[derive(Clone, Copy)]
pub struct Grounds<'a> {
    /// The sources of the listener, in order.
    pub sources: &'a [Source],
    /// What of those that disagree.
    pub conflict: Conflict,
    /// Environment variables.
    pub env: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// Keys that sign tokens, if the policy names any.
    pub keys: Option<&'a Keys>,
}

/// A tenant, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose rows.
    pub tenant: TenantId,
    /// Its part within the tenant.
    pub role: Role,
    /// Which source said so first.
    pub source: Source,
    /// When the session ends at the latest.
    pub until: Option<SystemTime>,
}

/// Why there is no principal; the text is for the client and names no tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No source says anything.
    #[error("no tenant identity was given")]
    Absent,
    /// A source names something that is no tenant.
    #[error("the tenant identity is not valid")]
    Invalid,
    /// A source that is not trusted here.
    #[error("the tenant identity comes from where it is not trusted")]
    Untrusted,
    /// Two sources disagree.
    #[error("two tenant identities were given and differ")]
    Conflict,
    /// The policy has roles, and not the one that the sources name, or they name none and nothing is the default.
    #[error("the role is not valid")]
    Role,
    /// A token that proves nothing; the reason is for the log.
    #[error("the token is not valid")]
    Token(String),
    /// A user's password that proves nothing.
    #[error("password authentication failed")]
    Password,
    /// Nobody has looked at what it shows.
    #[error("too many failed attempts, try again later")]
    Busy,
}

/// Whom a source names, and until when it holds.
type Said = Result<Option<(Named, Option<SystemTime>)>, IdentityError>;

/// Asks the sources in order; all that answer must agree on the tenant, and those that say a role on that. With [`Conflict::First`] the first
/// that answers counts alone; what is said behind it and proves nothing refuses all the same. Errors: see [`IdentityError`]; the connection is
/// refused.
pub fn identify(policy: &Policy, grounds: Grounds<'_>, evidence: &Evidence<'_>) -> Result<Principal, IdentityError> {
    let mut found: Option<Principal> = None;
    for source in grounds.sources {
        let Some((named, until)) = said(policy, *source, grounds, evidence)? else { continue };
        let tenant = policy.tenants.accept(&named.tenant).ok_or(IdentityError::Invalid)?;
        let role = named.role.map_or(Role::Unsaid, |role| Role::Named(role.into()));
        match &mut found {
            Some(_) if grounds.conflict == Conflict::First => {}
            Some(first) if first.tenant != tenant => return Err(IdentityError::Conflict),
            Some(first) => {
                first.role = one_role(std::mem::take(&mut first.role), role)?;
                first.until = [first.until, until].into_iter().flatten().min();
            }
            None => found = Some(Principal { tenant, role, source: *source, until }),
        }
    }
    let found = found.ok_or(IdentityError::Absent)?;
    if matches!(policy.granted(&found.role), Granted::Nothing) { Err(IdentityError::Role) } else { Ok(found) }
}

/// The role that either says, if both agree. Errors: they do not.
fn one_role(one: Role, other: Role) -> Result<Role, IdentityError> {
    match (one, other) {
        (Role::Unsaid, role) | (role, Role::Unsaid) => Ok(role),
        (one, other) if one == other => Ok(one),
        _ => Err(IdentityError::Conflict),
    }
}

/// May a token come as the password on this port?
pub fn hears_tokens(policy: &Policy, sources: &[Source]) -> bool {
    sources.contains(&Source::Jwt) && policy.identity.jwt.as_ref().is_some_and(|j| j.password)
}

/// The name by which this client is an operator; None where it is none. It counts where certificates do.
pub fn operator(policy: &Policy, sources: &[Source], shown: &Shown) -> Option<String> {
    let listed = policy.operators.as_ref().filter(|_| sources.contains(&Source::Mtls))?;
    let uris = &shown.certificate.as_ref()?.uris;
    uris.iter().find(|uri| listed.mtls.iter().any(|template| template.fits(uri))).cloned()
}

/// May this client say before each statement whose it is?
pub fn chooses(policy: &Policy, sources: &[Source], shown: &Shown) -> bool {
    sources.contains(&Source::Statement) && policy.identity.statement.as_ref().is_some_and(|s| trusted(&s.trust, shown))
}

fn said(policy: &Policy, source: Source, grounds: Grounds<'_>, evidence: &Evidence<'_>) -> Said {
    let shown = evidence.shown;
    let named = match source {
        Source::Mtls => return mtls(policy, shown),
        Source::Jwt => return token(policy, grounds.keys, evidence),
        Source::Header => header(policy, shown)?,
        Source::Proxy => proxy(policy, shown)?,
        Source::Startup => startup(policy, evidence)?,
        Source::Peer => peer(policy, shown)?,
        Source::Password => evidence.user.cloned(),
        // It speaks with each statement, later.
        Source::Statement => None,
        Source::Static => policy.identity.fixed.as_ref().and_then(|fixed| {
            let tenant = match &fixed.tenant {
                StaticSource::Tenant(tenant) => Some(tenant.clone()),
                StaticSource::Env(name) => (grounds.env)(name),
            };
            Some(Named { tenant: tenant?, role: fixed.role.clone() })
        }),
    };
    Ok(named.map(|named| (named, None)))
}

/// The one whom all names mean, if they agree; a role need not stand in each. Errors: they do not.
fn one_named(all: impl IntoIterator<Item = Named>) -> Result<Option<Named>, IdentityError> {
    let (mut tenants, mut roles) = (Vec::new(), Vec::new());
    for named in all {
        tenants.push(named.tenant);
        roles.extend(named.role);
    }
    let (tenant, role) = (one(tenants)?, one(roles)?);
    Ok(tenant.map(|tenant| Named { tenant, role }))
}

/// The one name, if all agree. Errors: they do not.
pub fn one(names: impl IntoIterator<Item = String>) -> Result<Option<String>, IdentityError> {
    let mut names = names.into_iter();
    let first = names.next();
    if names.any(|name| Some(&name) != first.as_ref()) { Err(IdentityError::Conflict) } else { Ok(first) }
}

fn trusted(trust: &[Trust], shown: &Shown) -> bool {
    let uris = shown.certificate.as_ref().map(|c| c.uris.as_slice()).unwrap_or_default();
    trust.iter().any(|t| t.holds(shown.peer, uris))
}

fn mtls(policy: &Policy, shown: &Shown) -> Said {
    let (Some(source), Some(names)) = (&policy.identity.mtls, &shown.certificate) else { return Ok(None) };
    let kinds = [(&source.uri, &names.uris), (&source.dns, &names.dns), (&source.cn, &names.cn)];
    let all = kinds.into_iter().filter_map(|(template, names)| Some((template.as_ref()?, names)));
    let named = one_named(all.flat_map(|(template, names)| names.iter().filter_map(|name| template.named(name))))?;
    let until = names.ends.filter(|_| source.expiry == Expiry::End);
    Ok(named.map(|named| (named, until)))
}

fn token(policy: &Policy, keys: Option<&Keys>, evidence: &Evidence<'_>) -> Said {
    let Some(source) = &policy.identity.jwt else { return Ok(None) };
    let mut tokens: Vec<&str> = evidence.token.filter(|_| source.password).into_iter().collect();
    if source.header {
        let headers = evidence.shown.headers.iter().filter(|(name, _)| name == "authorization" || name == "proxy-authorization");
        for (_, value) in headers {
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                tokens.push(token.trim());
            }
        }
    }
    let (mut names, mut ends) = (Vec::new(), Vec::new());
    for token in tokens {
        let keys = keys.ok_or_else(|| IdentityError::Token("there is no key to prove it by".into()))?;
        let token = keys.verify(source, token).map_err(IdentityError::Token)?;
        names.push(Named { tenant: token.tenant, role: token.role });
        ends.extend(token.ends);
    }
    let until = ends.into_iter().min().filter(|_| source.expiry == Expiry::End);
    Ok(one_named(names)?.map(|named| (named, until)))
}

fn header(policy: &Policy, shown: &Shown) -> Result<Option<Named>, IdentityError> {
    let Some(source) = &policy.identity.header else { return Ok(None) };
    let said = |wanted: &str| one(shown.headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()));
    let (tenant, role) = (said(&source.name)?, source.role.as_deref().map(said).transpose()?.flatten());
    if (tenant.is_some() || role.is_some()) && !trusted(&source.trust, shown) {
        return Err(IdentityError::Untrusted);
    }
    Ok(tenant.map(|tenant| Named { tenant, role }))
}

fn proxy(policy: &Policy, shown: &Shown) -> Result<Option<Named>, IdentityError> {
    let Some(source) = &policy.identity.proxy else { return Ok(None) };
    let own = source.tlv.as_ref().map(|(kind, template)| (*kind, template));
    let wanted = [source.authority.as_ref().map(|t| (0x02, t)), source.ssl_cn.as_ref().map(|t| (0x22, t)), own];
    let mut names = Vec::new();
    for (kind, template) in wanted.into_iter().flatten() {
        let said = shown.proxied.iter().filter(|(k, _)| *k == kind);
        let texts = said.map(|(_, value)| String::from_utf8(value.clone()).map_err(|_| IdentityError::Invalid));
        names.extend(one(texts.collect::<Result<Vec<_>, _>>()?)?.and_then(|value| template.named(&value)));
    }
    one_named(names)
}

fn startup(policy: &Policy, evidence: &Evidence<'_>) -> Result<Option<Named>, IdentityError> {
    let Some(source) = &policy.identity.startup else { return Ok(None) };
    let said = |name: &str| one(parameters::values(evidence.startup, name).map_err(|_| IdentityError::Invalid)?);
    let mut names: Vec<Named> = said(&source.parameter)?.into_iter().map(|tenant| Named { tenant, role: None }).collect();
    let role = source.role.as_deref().map(said).transpose()?.flatten();
    let user = plain(evidence.startup, "user")?;
    let database = plain(evidence.startup, "database")?.or_else(|| user.clone());
    for (template, value) in [(&source.user, &user), (&source.database, &database), (&source.sni, &evidence.shown.sni)] {
        if let (Some(template), Some(value)) = (template, value) {
            names.extend(template.named(value));
        }
    }
    if (!names.is_empty() || role.is_some()) && !trusted(&source.trust, evidence.shown) {
        return Err(IdentityError::Untrusted);
    }
    let named = one_named(names)?;
    let role = one(named.iter().filter_map(|n| n.role.clone()).chain(role))?;
    Ok(named.map(|named| Named { role, ..named }))
}

/// The one value of a parameter that is none of the server's settings, in any case. Errors: it has two.
pub fn plain(startup: &[(String, String)], wanted: &str) -> Result<Option<String>, IdentityError> {
    one(startup.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone()))
}

fn peer(policy: &Policy, shown: &Shown) -> Result<Option<Named>, IdentityError> {
    let (Some(source), Peer::Unix(Some(account))) = (&policy.identity.peer, shown.peer) else { return Ok(None) };
    one_named(source.users.iter().filter(|(user, _)| *user == account).map(|(_, named)| named.clone()))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
