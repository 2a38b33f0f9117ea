//! Operators: clients whose certificate the policy lists. Nobody guards their statements, and each is told in the log `audit`; one that acts for a
//! tenant is guarded as that tenant, gives a reason, and is told all the same.

use super::postgres::{self, Client, Refused};
use super::{Service, Whom, door};
use crate::config::Source;
use crate::identity::{IdentityError, Principal, one, operator};
use crate::observe::{Audit, Meter, Who};
use crate::policy::{Role, TenantId};
use crate::postgres::audit::{Audited, Unguarded};
use crate::postgres::parameters;
use crate::relay::{self, Drain};
use crate::sql::Refusal;
use crate::upstream::login::For;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// The startup parameter by which an operator says why.
const REASON: &str = "partywall.reason";
/// And for whom it acts, where the policy has no other name for it.
const TENANT: &str = "partywall.tenant";
/// In metrics and logs, in the place of a tenant.
const NOBODY: &str = "(operator)";
/// Longest reason, in characters.
const REASON_MAX: usize = 500;

/// Whom an operator acts for, and what the log says of it.
pub(super) struct Acting {
    tenant: Option<TenantId>,
    audit: Audit,
}

/// What an operator wants; None where the client is none. Errors: it names no tenant, or no reason.
pub(super) fn acting(service: &Service, client: &Client) -> Result<Option<Acting>, Refused> {
    let judge = service.shared.judge.load();
    let policy = judge.policy();
    let Some(principal) = operator(policy, &service.door.config.identity, &client.shown) else { return Ok(None) };
    let refuse = |why: &str| (Refusal::with_state("28000", why.to_owned()), "no_identity");
    let find = |name: &str| {
        let all = parameters::values(&client.params, name).map_err(|refusal| (refusal, "parameters"))?;
        one(all).map_err(|error| refuse(&error.to_string()))
    };
    let parameter = policy.identity.startup.as_ref().map_or(TENANT, |s| &s.parameter);
    let reason: String = find(REASON)?.unwrap_or_default().chars().take(REASON_MAX).collect();
    let tenant = match find(parameter)? {
        Some(name) => Some(policy.tenants.accept(&name).ok_or_else(|| refuse("the tenant identity is not valid"))?),
        None => None,
    };
    // Who is a tenant besides is neither: a policy that says both is a mistake.
    match service.door.also(policy, &client.shown) {
        Err(IdentityError::Absent) => {}
        Ok(also) if Some(&also.tenant) == tenant.as_ref() => {}
        _ => return Err(refuse("two identities were given and differ: an operator's and a tenant's")),
    }
    let needed = tenant.is_some() || policy.operators.as_ref().is_some_and(|o| o.reason);
    if needed && reason.trim().is_empty() {
        let (refusal, outcome) = refuse("an operator who acts here has to give a reason");
        return Err((refusal.hint("Connect with options='-c partywall.reason=…'."), outcome));
    }
    Ok(Some(Acting { tenant, audit: Audit { principal, reason } }))
}

/// Serves an operator to the end.
pub(super) async fn serve(service: &Arc<Service>, client: Client, acting: Acting, connection: u64, drain: Drain) {
    let until = client.shown.certificate.as_ref().and_then(|names| names.ends);
    let drain = service.door.watch_always(door::until(drain, until), &client.shown);
    let (own, shown) = (service.clone(), client.shown.clone());
    let is_listed = move || operator(own.shared.judge.load().policy(), &own.door.config.identity, &shown).is_some();
    let drain = door::listed(drain, is_listed);
    let result = match acting.tenant.clone() {
        Some(tenant) => delegated(service, &client.params, tenant, acting, connection).await,
        None => unguarded(service, &client.params, acting, connection).await,
    };
    let (who, told) = match result {
        Ok(begun) => begun,
        Err((refusal, outcome)) => return postgres::refuse(service, client, connection, &refusal, outcome).await,
    };
    let Client { mut stream, input, params, minor, .. } = client;
    let Ok(key) = service.keys.issue() else { return };
    let mut out = bytes::BytesMut::new();
    if postgres::welcome(&mut out, (&params, minor), &told, &key).is_err() || stream.write_all(&out).await.is_err() {
        return service.keys.remove(&key);
    }
    let cancels = match &who {
        Begins::Guarded(begun, _) => begun.key(),
        Begins::Unguarded(upstream, _) => (service.shared.clone(), Whom::Backend(upstream.key.clone())),
    };
    service.keys.point(&key, cancels);
    match who {
        Begins::Guarded(begun, audit) => postgres::converse_audited(stream, input, begun, audit, drain).await,
        Begins::Unguarded(upstream, meter) => {
            let session = Audited::new(Unguarded::default());
            let end = relay::pump(stream, upstream.stream, session, (input, upstream.input), drain, |_| {}, &meter).await;
            meter.ended(&end);
        }
    }
    service.keys.remove(&key);
}

/// What an operator's connection is.
enum Begins {
    Guarded(Box<postgres::Begun>, Audit),
    Unguarded(Box<crate::upstream::postgres::Connection>, Box<Meter>),
}

/// And what the client is told of the server.
type Begun = (Begins, Vec<(String, String)>);

async fn delegated(
    service: &Service,
    params: &[(String, String)],
    tenant: TenantId,
    acting: Acting,
    connection: u64,
) -> Result<Begun, Refused> {
    let principal = Principal { tenant, role: Role::Operator, source: Source::Mtls, until: None };
    let begun = postgres::admit(service, params, principal, connection).await?;
    if begun.is_lent() {
        return Err((Refusal::not_understood("acting for a tenant over a pool is not supported"), "upstream"));
    }
    let told = begun.told();
    Ok((Begins::Guarded(begun, acting.audit), told))
}

async fn unguarded(service: &Service, params: &[(String, String)], acting: Acting, connection: u64) -> Result<Begun, Refused> {
    // A search_path, a role: what an operator sets is its own affair.
    let settings = parameters::unguarded(params).map_err(|refusal| (refusal, "parameters"))?;
    let who = Who { listener: &service.door.config.name, tenant: NOBODY, connection };
    let mut meter = Meter::open(&service.metrics, who, None, service.shared.stale.clone())
        .ok_or_else(|| (Refusal::with_state("53300", "too many connections"), "limit"))?;
    let upstream = postgres::connect(service, &service.shared, &settings, (For::Operator, connection)).await?;
    meter.audit(acting.audit);
    meter.begun(&"operator");
    let told = upstream.parameters.clone();
    Ok((Begins::Unguarded(Box::new(upstream), Box::new(meter)), told))
}
