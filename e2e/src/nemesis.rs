//! What is done to store nodes besides killing them: the network between them is cut, and the power
//! of their disks fails. Both need root; where that is missing they say so and do nothing.

pub mod disk;
pub mod net;

pub use disk::{Disk, Disks};
pub use net::Net;

use std::path::Path;
use std::process::Command;

use crate::command::is_installed;
use crate::{Fault, Outcome};

/// Why networks or disks cannot be made here; none when they can.
#[must_use]
pub fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces and loop mounts take root".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("this machine has no loop devices".to_owned());
    }
    let missing = ["ip", "mkfs.ext4", "mount", "umount"];
    let missing = missing.into_iter().find(|tool| !is_installed(tool));
    missing.map(|tool| format!("`{tool}` is not installed"))
}

/// Runs a system tool to its end; its standard output.
fn tool(line: &str) -> Outcome<String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .output()
        .map_err(|e| Fault::new(format!("`{line}`: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Fault::new(format!("`{line}`: {}", said.trim())))
}
