//! The store's contact with the world: disk, network, clock and runtime. Decides nothing by itself.

pub mod handle;
pub mod options;
