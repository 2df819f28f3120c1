//! What a reader must know of the machine before any figure means something.

use std::fs;
use std::path::Path;

use crate::bench::store::Options;
use crate::{Fault, Outcome, fault, peer};

/// The disk below a folder.
struct Disk {
    kind: String,
    device: String,
}

/// The machine and the rules, a line each.
///
/// # Errors
/// When the folder is on a disk that keeps nothing: fsync costs nothing there.
pub async fn lines(options: &Options) -> Outcome<Vec<String>> {
    let disk = disk(&options.root)?;
    fault::ensure(disk.kind != "tmpfs", || {
        let root = options.root.display();
        format!("{root} is memory, where fsync is free: name a folder on a disk with --dir")
    })?;
    let cores = std::thread::available_parallelism()?;
    Ok(vec![
        format!("{cores} cores ({}), Linux {}", processor()?, release()?),
        format!(
            "{} on {} at {}",
            disk.kind,
            disk.device,
            options.root.display()
        ),
        format!(
            "{}; stoa {}",
            peer::version(Path::new(peer::PROGRAM)).await?,
            build()
        ),
        format!(
            "three members each, all of them and the client on these cores; one system at a time, \
             {} rounds, medians of {:?} after {:?}",
            options.rounds, options.window, options.warm_up
        ),
        "clients: gRPC over plain HTTP/2 to both; one client takes the members in turn".to_owned(),
        "between members: etcd plain HTTP, stoa mutual TLS; both fsync before they acknowledge"
            .to_owned(),
    ])
}

fn build() -> String {
    let profile = if cfg!(debug_assertions) {
        " (a DEBUG build: its figures mean nothing)"
    } else {
        ""
    };
    format!("{}{profile}", env!("CARGO_PKG_VERSION"))
}

fn release() -> Outcome<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/osrelease")?
        .trim()
        .to_owned())
}

fn processor() -> Outcome<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(model.map_or("unknown", |(_, name)| name.trim()).to_owned())
}

fn disk(folder: &Path) -> Outcome<Disk> {
    let folder = folder.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let below = mounts
        .lines()
        .filter_map(mount)
        .filter(|(point, _)| folder.starts_with(point));
    // The last of the deepest: a mount hides those before it.
    below
        .max_by_key(|(point, _)| point.len())
        .map(|(_, disk)| disk)
        .ok_or_else(|| Fault::new(format!("no mount holds {}", folder.display())))
}

/// Mount point, type and device of a line of proc(5)'s `mountinfo`.
fn mount(line: &str) -> Option<(&str, Disk)> {
    let (place, kind) = line.split_once(" - ")?;
    let point = place.split(' ').nth(4)?;
    let mut words = kind.split(' ');
    let disk = Disk {
        kind: words.next()?.to_owned(),
        device: words.next()?.to_owned(),
    };
    Some((point, disk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_behind_its_optional_fields() {
        let line = "36 35 98:0 / /mnt rw,noatime shared:1 master:2 - ext4 /dev/vda rw";
        let (point, disk) = mount(line).unwrap();
        assert_eq!(
            (point, &*disk.kind, &*disk.device),
            ("/mnt", "ext4", "/dev/vda")
        );
    }
}
