//! Operators on Redis: clients whose certificate the policy lists. `AUTH reason` lets one in unguarded, `AUTH tenant reason` as that tenant; each command
//! of both is told in the log `audit`.

use super::redis::{Service, prepend, refuse};
use super::{HANDSHAKE, door};
use crate::config::Source;
use crate::identity::{IdentityError, Principal, Shown, operator};
use crate::observe::{Audit, Meter, Who};
use crate::policy::{Policy, Role, TenantId};
use crate::redis::Session;
use crate::redis::audit::{Audited, Unguarded};
use crate::redis::encode;
use crate::redis::stranger::Credentials;
use crate::redis::wire::Request;
use crate::relay::{self, Drain};
use crate::upstream::Stream;
use bytes::BytesMut;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// In metrics and logs, in the place of a tenant.
const NOBODY: &str = "(operator)";
/// Longest reason, in characters.
const REASON_MAX: usize = 500;
/// The user that means no tenant: that of AUTH with one word.
const DEFAULT: &str = "default";

/// Whom an operator acts for, and what the log says of it.
#[derive(Debug)]
pub(super) struct Acting {
    tenant: Option<TenantId>,
    audit: Audit,
}

/// The name by which this client is an operator here.
pub(super) fn principal(service: &Service, shown: &Shown) -> Option<String> {
    operator(&service.policy.load(), &service.door.config.identity, shown)
}

/// What an operator says by AUTH or HELLO. Errors: in words, why it is not let in.
pub(super) fn acting(service: &Service, principal: &str, shown: &Shown, said: &Credentials) -> Result<Acting, &'static str> {
    let policy = service.policy.load();
    let tenant = match said.user.as_deref().filter(|user| *user != DEFAULT) {
        Some(name) => Some(policy.tenants.accept(name).ok_or("the tenant identity is not valid")?),
        None => None,
    };
    alone(service, &policy, shown, tenant.as_ref())?;
    let reason: String = said.password.chars().take(REASON_MAX).collect();
    if reason.trim().is_empty() {
        return Err("an operator has to give a reason: AUTH reason, or AUTH tenant reason");
    }
    Ok(Acting { tenant, audit: Audit { principal: principal.to_owned(), reason } })
}

/// Who is a tenant besides is neither: a policy that says both is a mistake.
fn alone(service: &Service, policy: &Policy, shown: &Shown, tenant: Option<&TenantId>) -> Result<(), &'static str> {
    match service.door.also(policy, shown) {
        Err(IdentityError::Absent) => Ok(()),
        Ok(also) if Some(&also.tenant) == tenant => Ok(()),
        _ => Err("two identities were given and differ: an operator's and a tenant's"),
    }
}

/// A client that was let in.
pub(super) struct Caller<'c> {
    pub(super) stream: Stream,
    pub(super) input: BytesMut,
    pub(super) hello: Option<Request>,
    pub(super) shown: &'c Shown,
    pub(super) address: String,
    pub(super) connection: u64,
}

/// Serves an operator to the end, which comes with its certificate's.
pub(super) async fn serve(service: &Arc<Service>, mut caller: Caller<'_>, acting: Acting, drain: Drain) {
    let ends = caller.shown.certificate.as_ref().and_then(|names| names.ends);
    let drain = service.door.watch_always(door::until(drain, ends), caller.shown);
    let (own, shown) = (service.clone(), caller.shown.clone());
    let drain = door::listed(drain, move || principal(&own, &shown).is_some());
    let Acting { tenant, audit } = acting;
    let served = match tenant {
        Some(tenant) => delegated(service, &mut caller, tenant, audit, drain).await,
        None => unguarded(service, &mut caller, audit, drain).await,
    };
    if let Err((words, outcome)) = served {
        refuse(service, &mut caller.stream, caller.connection, &words, outcome).await;
    }
}

async fn delegated(
    service: &Service,
    caller: &mut Caller<'_>,
    tenant: TenantId,
    audit: Audit,
    drain: Drain,
) -> Result<(), super::redis::Refused> {
    let principal = Principal { tenant, role: Role::Operator, source: Source::Mtls, until: None };
    let (mut meter, (upstream, more, _lease), session) =
        service.begin(&principal, caller.connection, (std::mem::take(&mut caller.address), None)).await?;
    meter.audit(audit);
    meter.begun(&"operator");
    let input = prepend(caller.hello.take().map(|hello| hello.encoded()), std::mem::take(&mut caller.input));
    let mut renew = service.renewal(Role::Operator);
    let refresh = |session: &mut Audited<Session>| renew(&mut session.inner);
    let stream = taken(&mut caller.stream);
    let end = Box::pin(relay::pump(stream, upstream, Audited::new(*session), (input, more), drain, refresh, &meter)).await;
    meter.ended(&end);
    Ok(())
}

async fn unguarded(service: &Service, caller: &mut Caller<'_>, audit: Audit, drain: Drain) -> Result<(), super::redis::Refused> {
    let who = Who { listener: &service.door.config.name, tenant: NOBODY, connection: caller.connection };
    let mut meter = Meter::open(&service.metrics, who, None, Arc::new(AtomicBool::new(false)))
        .ok_or_else(|| ("ERR max number of clients reached".to_owned(), "limit"))?;
    let own = match tokio::time::timeout(HANDSHAKE, service.target.connect()).await {
        Ok(Ok(own)) => own,
        Ok(Err(error)) => {
            tracing::warn!(listener = service.door.config.name, %error, "upstream refused");
            return Err(("ERR the server is not available".to_owned(), "upstream"));
        }
        Err(_) => return Err(("ERR the server does not answer".to_owned(), "upstream")),
    };
    meter.audit(audit);
    meter.begun(&"operator");
    // The protocol that it asked for, without its AUTH, which was for the wall.
    let hello = caller.hello.take().map(|hello| {
        let mut out = BytesMut::new();
        encode::command(&mut out, &[b"HELLO".as_slice(), hello.arg(1)]);
        out
    });
    let input = prepend(hello, std::mem::take(&mut caller.input));
    let session = Audited::new(Unguarded::default());
    let stream = taken(&mut caller.stream);
    let end = Box::pin(relay::pump(stream, own.stream, session, (input, own.input), drain, |_| {}, &meter)).await;
    meter.ended(&end);
    Ok(())
}

/// The stream, out of where it stands.
fn taken(stream: &mut Stream) -> Stream {
    std::mem::replace(stream, Box::new(tokio::io::empty()))
}
