//! Tests against real servers: one binary, a module a theme.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::result_large_err, reason = "a test stops where it fails")]

mod applications;
mod backstop;
mod catalogs;
mod check_live;
mod cli;
mod copy;
mod demo;
mod deploy;
mod drivers;
mod dump;
mod functions;
mod hidden;
mod hidden_catalogs;
mod hostile;
mod identity;
mod life;
mod oracle;
mod own;
mod own_database;
mod own_ddl;
mod own_schema;
mod paths;
mod pgbench;
mod redis;
mod redis_clients;
mod redis_hostile;
mod redis_oracle;
mod rows;
mod schemas;
mod scripts;
mod smoke;
mod statements;
mod support;
mod through;
mod tls;
