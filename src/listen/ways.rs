//! How a session gets to its server: by a connection of its own, or by those that are lent to it.

use super::ground::Ground;
use super::{HANDSHAKE, Service, Whom};
use crate::policy::TenantId;
use crate::pool::{Asker, Greeting, Holder, NoLoan, Pool};
use crate::postgres::lent::Pooled;
use crate::postgres::{Session, errors};
use crate::relay::{self, Lender};
use crate::sql::{Judge, Refusal};
use crate::upstream::login::For;
use crate::upstream::postgres::{ConnectError, Connection};
use std::sync::Arc;

/// How it gets there.
pub(super) enum Way {
    /// By a connection of its own.
    Own(Connection),
    /// By those that are lent to it.
    Lent(Arc<Greeting>, Lender),
}

impl Way {
    /// What the server says of itself.
    pub(super) fn parameters(&self) -> &[(String, String)] {
        match self {
            Self::Own(connection) => &connection.parameters,
            Self::Lent(greeting, _) => &greeting.parameters,
        }
    }

    /// Whom a cancel key of the client's means.
    pub(super) fn whom(&self) -> Whom {
        match self {
            Self::Own(connection) => Whom::Backend(connection.key.clone()),
            Self::Lent(_, lender) => Whom::Holder(lender.holder.clone()),
        }
    }

    /// The session knows it.
    pub(super) fn with(&self, session: Session<Judge>) -> Session<Judge> {
        let Self::Lent(greeting, Lender { pool, asker, .. }) = self else { return session };
        session.pooled(Pooled::new(asker.number, pool.hasher.clone(), greeting.settings.clone(), !pool.config.transaction))
    }
}

/// The way to this ground. Errors: what of its error the client may know.
pub(super) async fn find(
    service: &Service,
    ground: &Ground,
    settings: Vec<(String, String)>,
    (tenant, connection): (&TenantId, u64),
) -> Result<Way, (Refusal, &'static str)> {
    let Some(pool) = &ground.pool else {
        return super::postgres::connect(service, ground, &settings, (For::Tenant(tenant.as_str()), connection)).await.map(Way::Own);
    };
    lent(pool, tenant, settings).await.map_err(|error| {
        tracing::warn!(listener = service.door.config.name, tenant = tenant.as_str(), connection, %error, "upstream refused");
        let refusal = match error {
            NoLoan::Connect(error) => known(&error),
            error => relay::refusal(&error),
        };
        (refusal, "upstream")
    })
}

/// None of its own: what the pool's say of the server holds for it.
async fn lent(pool: &Arc<Pool>, tenant: &TenantId, mut settings: Vec<(String, String)>) -> Result<Way, NoLoan> {
    settings.retain(|(name, _)| !pool.sets(name));
    let greeting = tokio::time::timeout(HANDSHAKE + pool.config.wait, pool.greet(tenant, settings)).await.map_err(|_| NoLoan::Silent)??;
    let asker = Asker { tenant: tenant.clone(), number: pool.number(), settings: greeting.settings.clone() };
    Ok(Way::Lent(greeting, Lender { pool: pool.clone(), holder: Arc::new(Holder::default()), asker }))
}

/// A wrong setting is the client's business; all else is the operator's.
pub(super) fn known(error: &ConnectError) -> Refusal {
    match error {
        ConnectError::Server(state, message) if state == "22023" => Refusal::with_state("22023", message.clone()),
        ConnectError::Server(state, _) if state == "53300" => Refusal::with_state("53300", "sorry, too many clients already"),
        _ => errors::no_upstream(),
    }
}
