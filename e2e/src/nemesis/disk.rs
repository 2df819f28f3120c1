//! A disk whose power can fail: a small ext4 image, mounted, that can be shut down so that all which
//! was not synced is gone, and mounted again as after a reboot.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

use crate::nemesis::tool;
use crate::rig::Plan;
use crate::{Fault, Outcome};

/// `EXT4_IOC_SHUTDOWN` of the kernel's `fs/ext4/ext4.h`: stops all writes to the device.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: the journal in memory is lost too.
const NO_LOG_FLUSH: u32 = 2;
/// A block of the file system.
const BLOCK_BYTES: usize = 4_096;
/// A killed process may hold the mount for a moment.
const RELEASE_MAX: Duration = Duration::from_secs(10);
const RELEASE_PAUSE: Duration = Duration::from_millis(10);

/// Mount points begin so, which is how leftovers are found.
const PREFIX: &str = "stoa-e2e-disk-";

/// A mounted image; unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// An empty file system of this size, mounted below the root.
    ///
    /// # Errors
    /// When this machine does not allow it: it takes root, `mkfs.ext4`, and loop devices.
    pub fn create(root: &Path, name: &str, mebibytes: u64) -> Outcome<Self> {
        let disk = Self {
            image: root.join(format!("{name}.ext4")),
            mount: root.join(format!("{PREFIX}{name}")),
        };
        File::create(&disk.image)?.set_len(mebibytes << 20)?;
        let image = disk.image.display();
        tool(&format!(
            "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0 {image}"
        ))?;
        fs::create_dir_all(&disk.mount)?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// The power fails: what was not synced is gone, and nothing can be written any more.
    ///
    /// # Errors
    /// When the kernel does not do it.
    #[expect(unsafe_code, reason = "the power of a file system fails by an ioctl")]
    pub fn fail(&self) -> Outcome<()> {
        let root = File::open(&self.mount)?;
        // SAFETY: the opcode reads one u32 through the pointer, which the setter owns.
        unsafe { ioctl(root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }
            .map_err(|e| Fault::new(format!("{}: {e}", self.mount.display())))
    }

    /// Takes all room that is left, to the last byte.
    ///
    /// # Errors
    /// When something else than the room is wanting.
    pub fn fill(&self) -> Outcome<()> {
        let mut file = File::create(self.filler())?;
        // Small pieces last: the rest of a large one that did not fit would be left.
        for bytes in [1 << 20, BLOCK_BYTES] {
            let piece = vec![0; bytes];
            let full = loop {
                if let Err(error) = file.write_all(&piece) {
                    break error;
                }
            };
            if full.kind() != ErrorKind::StorageFull {
                return Err(full.into());
            }
        }
        Ok(file.sync_data()?)
    }

    /// Gives back what `fill` took.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn empty(&self) -> Outcome<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    /// The power is back. Nobody may use the disk while it comes.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn restore(&self) -> Outcome<()> {
        let line = format!("umount {}", self.mount.display());
        let start = Instant::now();
        while let Err(busy) = tool(&line) {
            if start.elapsed() > RELEASE_MAX {
                return Err(busy);
            }
            thread::sleep(RELEASE_PAUSE);
        }
        self.mount()
    }

    fn mount(&self) -> Outcome<()> {
        let (image, mount) = (self.image.display(), self.mount.display());
        tool(&format!("mount -o loop,noatime {image} {mount}")).map(drop)
    }
}

/// A disk for each node of a plan, by the node's name.
#[derive(Debug)]
pub struct Disks(BTreeMap<String, Disk>);

impl Disks {
    /// Makes them below the root, and has the plan's nodes keep their data there.
    ///
    /// # Errors
    /// When this machine does not allow it.
    pub fn below(plan: &mut Plan, root: &Path, mebibytes: u64) -> Outcome<Self> {
        sweep();
        let mut disks = BTreeMap::new();
        for name in &plan.names {
            let disk = Disk::create(root, name, mebibytes)?;
            plan.dirs.insert(name.clone(), disk.path().join("data"));
            disks.insert(name.clone(), disk);
        }
        Ok(Self(disks))
    }

    /// The disk of a node.
    ///
    /// # Errors
    /// When there is no node of this name.
    pub fn of(&self, name: &str) -> Outcome<&Disk> {
        let disk = self.0.get(name);
        disk.ok_or_else(|| Fault::new(format!("`{name}` has no disk")))
    }
}

/// Unmounts what a run that was killed has left: only one proof runs at a time.
pub fn sweep() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for target in targets.filter(|target| is_ours(target)) {
        // What is gone already needs no unmounting.
        drop(tool(&format!("umount -l {target}")));
    }
}

fn is_ours(target: &str) -> bool {
    let name = Path::new(target).file_name();
    name.is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may hold it still.
        drop(tool(&format!("umount -l {}", self.mount.display())));
    }
}
