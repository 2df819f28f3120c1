//! What the machine has: processors, memory, disk.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

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

/// Allows this process as many descriptors as it may have, for every run takes one. Answers with
/// the limit before that, which is the one for commands.
pub(crate) fn widen_descriptors() -> Option<u64> {
    static BEFORE: OnceLock<Option<u64>> = OnceLock::new();
    *BEFORE.get_or_init(|| {
        let before = getrlimit(Resource::Nofile);
        let widest = Rlimit {
            current: before.maximum.or(Some(DESCRIPTORS_MAX)),
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, widest) {
            warn!(%error, "cannot allow the agent more descriptors");
        }
        before.current
    })
}

/// The kernel's default for the most that any process may have.
const DESCRIPTORS_MAX: u64 = 1 << 20;

/// The host's name, for the address that others reach the agent at.
pub(crate) fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
