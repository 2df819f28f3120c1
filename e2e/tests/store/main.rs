//! The bare store as real processes: killed, restarted, starved of power and cut off, in short
//! runs of the campaigns that `stoa-e2e store` runs at length.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]

mod bench;
mod ordeals;
mod rig;
