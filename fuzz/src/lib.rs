//! Random input against the wall's core. Each target is a function from bytes to a panic; `fuzz_targets/` gives it libFuzzer's input, and
//! `tests/fuzz.rs` a slice of mutated seeds in every run of the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc, reason = "a finding is a panic")]

pub mod audit;
pub mod conversation;
pub mod postgres_server;
pub mod postgres_wire;
pub mod random;
pub mod redis_wire;
pub mod sql;
