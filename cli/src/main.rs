//! The binary `stoa`: server, agent, a whole cluster at once, and every command a person types.
//!
//! It composes the processes of the other crates and never reaches into them; its commands know
//! the cluster only through the API, as any other client does.
//!
//! Start reading at `args.rs` (what can be typed), then `command.rs` (what it does), then `up.rs`.
//!
//! Tests: what decides (merging, matching, progress, explaining) is plain functions with tables;
//! `tests/cli.rs` runs the binary itself.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")
)]

use std::process::ExitCode;

/// A server's memory grows and shrinks in small objects on many threads
/// (docs/decisions/013-allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod args;

mod exit;

mod ambient;

mod config;

mod runtime;

mod resident;

mod connect;

mod cluster;

mod kinds;

mod target;

mod source;

mod merge;

mod lines;

mod path;

mod apply;

mod explain;

mod output;

mod progress;

mod command;

mod server;

mod agent;

mod up;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    // The supervisor of a task outlives everything else and must stay small: no runtime, no parser.
    if words.nth(1).is_some_and(|word| word == "supervise") {
        return ::agent::supervise(words);
    }
    // Before anything is allocated that stays. Tasks are given huge pages back before they start.
    resident::small_pages();
    runtime::main()
}
