//! How often Rust's side asks for memory for a statement; the statements and columns are those of `judge`. The parser's own C side is not counted.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[path = "judge.rs"]
mod judge;

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    judge::run(|| MEMORY.stats().allocations + MEMORY.stats().reallocations);
}
