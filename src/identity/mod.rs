//! Who is asking: from what the connection shows, and the policy's sources, to a [`Principal`]. No identity, no service.

use crate::config::Source;
use crate::policy::{Policy, StaticSource, TenantId};
use crate::postgres::parameters;
use std::net::IpAddr;

/// What a connection shows of itself.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'a> {
    /// The peer's address; None for a Unix socket.
    pub peer: Option<IpAddr>,
    /// PostgreSQL's startup parameters.
    pub startup: &'a [(String, String)],
    /// The client certificate's URI names, after its chain was verified; None without a certificate.
    pub uris: Option<Vec<String>>,
}

/// A tenant, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose rows.
    pub tenant: TenantId,
    /// Which source said so first.
    pub source: Source,
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
}

/// Asks the sources in order; all that answer must agree. Errors: see [`IdentityError`]; the connection is refused.
pub fn identify(
    policy: &Policy,
    sources: &[Source],
    env: &dyn Fn(&str) -> Option<String>,
    evidence: &Evidence<'_>,
) -> Result<Principal, IdentityError> {
    let mut found: Option<Principal> = None;
    for source in sources {
        let name = match source {
            Source::Static => fixed(policy, env),
            Source::Startup => startup(policy, evidence)?,
            Source::Mtls => mtls(policy, evidence)?,
        };
        let Some(name) = name else { continue };
        let tenant = policy.tenants.accept(&name).ok_or(IdentityError::Invalid)?;
        match &found {
            Some(first) if first.tenant != tenant => return Err(IdentityError::Conflict),
            Some(_) => {}
            None => found = Some(Principal { tenant, source: *source }),
        }
    }
    found.ok_or(IdentityError::Absent)
}

fn fixed(policy: &Policy, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match policy.identity.fixed.as_ref()? {
        StaticSource::Tenant(tenant) => Some(tenant.clone()),
        StaticSource::Env(name) => env(name),
    }
}

fn startup(policy: &Policy, evidence: &Evidence<'_>) -> Result<Option<String>, IdentityError> {
    let Some(source) = &policy.identity.startup else { return Ok(None) };
    let named = parameters::find(evidence.startup, &source.parameter).map_err(|_| IdentityError::Invalid)?;
    let near = evidence.peer.is_none_or(|ip| ip.to_canonical().is_loopback());
    if named.is_some() && !(source.trust_loopback && near) {
        return Err(IdentityError::Untrusted);
    }
    Ok(named)
}

fn mtls(policy: &Policy, evidence: &Evidence<'_>) -> Result<Option<String>, IdentityError> {
    let (Some(source), Some(uris)) = (&policy.identity.mtls, &evidence.uris) else { return Ok(None) };
    let mut tenants: Vec<String> = uris.iter().filter_map(|uri| by_template(&source.uri, uri)).collect();
    tenants.dedup();
    match tenants.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(IdentityError::Conflict),
    }
}

/// `{tenant}` and `*` stand for exactly one segment; everything else is compared as it is, with no decoding.
fn by_template(template: &str, uri: &str) -> Option<String> {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), uri.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut tenant = None;
    for (wanted, given) in wanted.iter().zip(given) {
        match *wanted {
            "{tenant}" => tenant = Some(given.to_owned()),
            "*" if !given.is_empty() => {}
            literal if literal == given => {}
            _ => return None,
        }
    }
    tenant.filter(|t| !t.is_empty())
}

/// The URI names of a certificate (DER). None if it cannot be read.
pub fn uri_names(certificate: &[u8]) -> Option<Vec<String>> {
    use x509_parser::extensions::GeneralName;
    let (rest, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let uris = names.iter().flat_map(|n| &n.value.general_names).filter_map(|n| match n {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    rest.is_empty().then(|| uris.collect())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
