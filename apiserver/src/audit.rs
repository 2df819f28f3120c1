//! The audit log, as far as it can be decided without I/O: which requests are noted and how fully
//! (`policy.rs`), and how a note reads (`event.rs`). Both follow Kubernetes' `audit.k8s.io/v1`, so that
//! its policies and the tools that read its logs are of use here.

pub mod event;

pub mod policy;

pub use event::{Event, Noted};
pub use policy::{Level, Policy};
