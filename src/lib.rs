//! Partywall: a wall between the tenants of one PostgreSQL and one Redis.
//!
//! The modules stand in the order in which a byte meets them; a module may use only those *below* it in the list that
//! `tests/tidy.rs` holds (`config, policy ← sql ← postgres, redis ← identity, upstream, observe ← pool ← relay ← listen,
//! admin, inject ← app ← cli`). The core (`policy`, `sql`, `postgres`, `redis`, `config`) has no sockets, tasks, clock,
//! environment or log, and builds without the feature `net`.

#[cfg(feature = "net")]
pub mod cli;

#[cfg(feature = "net")]
pub mod app;

#[cfg(feature = "net")]
pub mod admin;
#[cfg(feature = "net")]
pub mod listen;
#[cfg(feature = "net")]
pub mod plan;

#[cfg(feature = "net")]
pub mod relay;

#[cfg(feature = "net")]
pub mod pool;

#[cfg(feature = "net")]
pub mod identity;
#[cfg(feature = "net")]
pub mod observe;
#[cfg(feature = "net")]
pub mod upstream;

pub mod postgres;
pub mod redis;

pub mod sql;

pub mod config;
pub mod policy;
pub mod session;
