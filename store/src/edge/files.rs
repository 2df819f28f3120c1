//! Small durable file operations: replace a file at once, make a directory, set something damaged aside.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// Damaged directories kept for a look at them; older ones are removed so they cannot fill the disk.
const ASIDE_MAX: u32 = 2;

/// So much of a file is removed at a time.
const REMOVED_BYTES: u64 = 8 << 20;

/// What comes before the checksum of a sealed text.
const SEAL: &str = "crc32 = ";

/// Replaces the file so that a crash leaves either the old or the new content.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_dir(parent(path))
}

/// The file's content, or none when there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a text file, with a checksum as its last line.
pub(crate) fn replace_sealed(path: &Path, text: &str) -> io::Result<()> {
    let sum = crc32fast::hash(text.as_bytes());
    replace(path, format!("{text}{SEAL}{sum:08x}\n").as_bytes())
}

/// What `replace_sealed` wrote there; none when there is no such file.
pub(crate) fn read_sealed(path: &Path) -> io::Result<Option<String>> {
    let Some(sealed) = read(path)? else {
        return Ok(None);
    };
    let whole = sealed.rfind(SEAL).and_then(|at| {
        let (text, seal) = sealed.split_at(at);
        let sum = format!("{SEAL}{:08x}\n", crc32fast::hash(text.as_bytes()));
        (seal == sum).then(|| text.to_owned())
    });
    whole.map(Some).ok_or_else(|| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let told = format!(
            "{name} does not match its checksum: it is damaged or was edited. Start this replica on an empty data directory with --join"
        );
        io::Error::new(io::ErrorKind::InvalidData, told)
    })
}

/// Makes the directory unless it is there, so that it survives a crash.
pub(crate) fn ensure_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    sync_dir(parent(dir))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes a file from its end, a part at a time, and rests after each, told how long it took. A gigabyte that goes at
/// once holds up the file system's journal, and with it everybody's syncs, for 50 ms and more.
pub(crate) fn remove_gently(path: &Path, rest: impl Fn(Duration)) -> io::Result<()> {
    // Where that cannot be, as on a full disk of some file systems, it goes at once.
    if let Err(error) = shorten(path, rest) {
        tracing::debug!(%error, path = %path.display(), "a file cannot be removed part by part");
    }
    fs::remove_file(path)
}

/// Leaves no more than a part. Parts end at whole multiples, where no block has to be written for its rest.
fn shorten(path: &Path, rest: impl Fn(Duration)) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let parts = file.metadata()?.len().div_ceil(REMOVED_BYTES);
    for left in (1..parts).rev() {
        let began = Instant::now();
        file.set_len(left * REMOVED_BYTES)?;
        rest(began.elapsed());
    }
    Ok(())
}

/// Renames the directory to `<name>.bad-N` and keeps only the latest few of those.
pub(crate) fn set_aside(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let next = (1..).find(|n| !aside(dir, *n).exists()).unwrap_or(u32::MAX);
    fs::rename(dir, aside(dir, next))?;
    if let Some(old) = next.checked_sub(ASIDE_MAX).filter(|old| *old > 0) {
        // The name stays taken by an empty directory, so that numbers keep growing.
        fs::remove_dir_all(aside(dir, old))?;
        fs::create_dir(aside(dir, old))?;
    }
    sync_dir(parent(dir))
}

fn aside(dir: &Path, n: u32) -> PathBuf {
    dir.with_extension(format!("bad-{n}"))
}

/// Whether it failed for want of space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Fails, as writing them would, when the directory's file system says that it has no room for so many bytes.
pub(crate) fn require(dir: &Path, bytes: u64) -> io::Result<()> {
    match available(dir) {
        Some(room) if room < bytes => {
            let told = format!("{bytes} bytes are needed and {room} are available");
            Err(io::Error::new(io::ErrorKind::StorageFull, told))
        }
        Some(_) | None => Ok(()),
    }
}

/// Bytes that may still be written to the directory's file system; none when it does not say, as some in user space.
fn available(dir: &Path) -> Option<u64> {
    let told = rustix::fs::statvfs(dir).ok()?;
    (told.f_blocks > 0).then(|| told.f_bavail.saturating_mul(told.f_frsize))
}

/// Makes the directory's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory the path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_a_disk_that_says_it_is_full_is() {
        let folder = tempfile::tempdir().unwrap();
        require(folder.path(), 1).unwrap();
        assert!(is_full(&require(folder.path(), u64::MAX).unwrap_err()));
        // These say nothing: there is no such folder, and a file system without blocks.
        require(&folder.path().join("gone"), u64::MAX).unwrap();
        require(Path::new("/proc"), u64::MAX).unwrap();
    }

    #[test]
    fn a_file_goes_part_by_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        for (bytes, rests) in [
            (0, 0),
            (REMOVED_BYTES, 0),
            (REMOVED_BYTES + 1, 1),
            (3 * REMOVED_BYTES, 2),
        ] {
            File::create(&path).unwrap().set_len(bytes).unwrap();
            let (rested, before) = (Cell::new(0), Cell::new(bytes));
            remove_gently(&path, |_took| {
                let left = fs::metadata(&path).unwrap().len();
                let gone = before.replace(left) - left;
                assert!((1..=REMOVED_BYTES).contains(&gone), "{gone}");
                rested.set(rested.get() + 1);
            })
            .unwrap();
            assert_eq!(rested.get(), rests, "{bytes}");
            assert!(!path.exists());
        }
    }
}
