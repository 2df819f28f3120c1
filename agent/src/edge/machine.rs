//! What the machine has: processors, memory, disk.

use std::fs;
use std::path::Path;
use std::thread;

use crate::detect::{Found, parse_meminfo};

/// Measures this machine. What cannot be measured counts as absent.
pub(crate) fn measure(data_dir: &Path) -> Found {
    let disk =
        rustix::fs::statvfs(data_dir).map_or(0, |fs| fs.f_blocks.saturating_mul(fs.f_frsize));
    Found {
        cores: thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        memory_bytes: parse_meminfo(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        disk_bytes: disk,
    }
}

/// The host's name, for the address that others reach the agent at.
pub(crate) fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
