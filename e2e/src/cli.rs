//! The commands of `stoa-e2e`, one file each: their flags, what they print, and the exit code they
//! end with.

pub mod bench;
pub mod bench_api;
pub mod bench_store;
pub mod campaign;
pub mod node;
pub mod store;
