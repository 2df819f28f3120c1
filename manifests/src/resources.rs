//! Resources: as people write them (`ResourceList`) and as the cluster reckons (`Resources`).
//!
//! Every scalar is a whole number of thousandths, as in Mesos; nothing here is a float, and
//! every sum is checked. The written form keeps the text that was typed.

mod exact;
mod list;
mod quantity;
mod ranges;
mod ratio;

pub use exact::{Imbalance, Resources, Short, amount_text};
pub use list::{Amount, Problem, ResourceList};
pub use quantity::{Milli, QuantityError};
pub use ranges::{RangeError, Ranges};
pub use ratio::Ratio;

/// Processor cores.
pub const CPUS: &str = "cpus";

/// Memory, in bytes.
pub const MEM: &str = "mem";

/// Disk space, in bytes.
pub const DISK: &str = "disk";

/// Graphics processors; only whole ones.
pub const GPUS: &str = "gpus";

/// Network ports: the one resource that is a set of ranges.
pub const PORTS: &str = "ports";

/// The name under which a resource is reckoned: Kubernetes' spellings are taken for ours.
#[must_use]
pub fn canonical(name: &str) -> &str {
    match name {
        "cpu" => CPUS,
        "memory" => MEM,
        other => other,
    }
}

/// True for resources counted in bytes, which print with binary suffixes.
fn in_bytes(name: &str) -> bool {
    name == MEM || name == DISK
}

#[cfg(test)]
mod tests;
