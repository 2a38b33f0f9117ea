//! The places of tenants: each with the way to it and the judge of its catalog, read when the first connection needs it.

use super::ground::Ground;
use crate::config::Listener;
use crate::observe::Metrics;
use crate::policy::{Home, Policy, TenantId};
use crate::upstream::postgres::{ConnectError, Target};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Places whose catalogs are kept at once; beyond it the one that has been idle for longest goes.
const PLACES: usize = 256;

/// Why a tenant is not let to its place.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// It has none.
    #[error("{0}")]
    None(#[from] crate::policy::layout::NoHome),
    /// No such upstream: a reload took it away.
    #[error("its upstream is not configured")]
    NoUpstream,
    /// Two tenants would meet.
    #[error("the place is another tenant's")]
    Taken,
    /// Too many are in use.
    #[error("too many places are in use")]
    Full,
    /// It cannot be reached, or its catalog cannot be read.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// A password or certificate cannot be read.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// Whether some tenant may live in the shared tables.
pub fn has_rows(policy: &Policy) -> bool {
    policy.postgres.as_ref().is_none_or(|p| p.layouts.has_rows())
}

/// Server, database and schema.
type Key = (String, String, String);

struct Slot {
    tenant: TenantId,
    ground: OnceCell<Arc<Ground>>,
    used: AtomicU64,
}

/// The places that are known.
#[derive(Default)]
pub struct Homes {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    clock: AtomicU64,
}

impl Homes {
    /// The ground of this tenant; its catalog is read where it is not known yet.
    pub async fn ground(
        &self,
        listener: &Listener,
        shared: &Arc<Ground>,
        tenant: &TenantId,
        metrics: &Metrics,
    ) -> Result<Arc<Ground>, Closed> {
        let policy = shared.judge.load().policy().clone();
        let home = policy.postgres.as_ref().map_or(Ok(Home::Rows), |p| p.layouts.home(tenant))?;
        if home == Home::Rows {
            return Ok(shared.clone());
        }
        let upstream = listener.upstream_of(&home).ok_or(Closed::NoUpstream)?;
        let schema = if let Home::Schema(name) = &home { name.clone() } else { String::new() };
        if schema.is_empty() && (&upstream.address, &upstream.database) == (&listener.upstream.address, &listener.upstream.database) {
            return Err(Closed::Taken);
        }
        let key = (upstream.address.clone(), upstream.database.clone(), schema);
        let slot = self.slot(&key, tenant)?;
        let loaded = slot
            .ground
            .get_or_try_init(|| async {
                let ground = Ground::open(home.clone(), Target::new(&upstream)?, policy.clone()).await?;
                Ok::<_, Closed>(Arc::new(ground.with_pool(&upstream, metrics)))
            })
            .await;
        let ground = match loaded {
            Ok(ground) => ground.clone(),
            Err(error) => {
                self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, s| !Arc::ptr_eq(s, &slot) || s.ground.initialized());
                return Err(error);
            }
        };
        // A reload may have come while the catalog was read.
        ground.want(shared.judge.load().policy().clone());
        if ground.is_behind() {
            ground.catch_up().await?;
        }
        Ok(ground)
    }

    fn slot(&self, key: &Key, tenant: &TenantId) -> Result<Arc<Slot>, Closed> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = slots.get(key) {
            slot.used.store(now, Ordering::Relaxed);
            return if slot.tenant == *tenant { Ok(slot.clone()) } else { Err(Closed::Taken) };
        }
        if slots.len() >= PLACES {
            let idle = |s: &Arc<Slot>| Arc::strong_count(s) == 1 && s.ground.get().is_none_or(|g| Arc::strong_count(g) == 1);
            let oldest = slots.iter().filter(|(_, s)| idle(s)).min_by_key(|(_, s)| s.used.load(Ordering::Relaxed));
            let oldest = oldest.map(|(k, _)| k.clone()).ok_or(Closed::Full)?;
            slots.remove(&oldest);
        }
        let slot = Arc::new(Slot { tenant: tenant.clone(), ground: OnceCell::new(), used: AtomicU64::new(now) });
        slots.insert(key.clone(), slot.clone());
        Ok(slot)
    }

    /// All grounds whose catalogs have been read.
    pub fn grounds(&self) -> Vec<Arc<Ground>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.values().filter_map(|s| s.ground.get().cloned()).collect()
    }
}
