//! The file of the audit log: appended to, set aside when it is long, and older ones removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::Options;
use crate::edge::ambient;

/// The open file.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    /// Notes since the last flush.
    unflushed: u64,
    file_bytes: u64,
    backups: usize,
    age: Duration,
    /// The last write failed, and it was said.
    ails: bool,
}

impl Log {
    pub(super) fn open(options: &Options) -> io::Result<Self> {
        if let Some(folder) = options.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let (file, bytes) = open(&options.path)?;
        let log = Self {
            path: options.path.clone(),
            file,
            bytes,
            unflushed: 0,
            file_bytes: options.file_bytes.max(1),
            backups: options.backups,
            age: options.age,
            ails: false,
        };
        log.prune(ambient::now());
        Ok(log)
    }

    /// False: the note is lost.
    pub(super) fn append(&mut self, line: &[u8]) -> bool {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.file_bytes {
            let rotated = self.rotate(ambient::now());
            self.note(rotated.as_ref().err());
        }
        let written = self.file.write_all(line);
        self.note(written.as_ref().err());
        if written.is_ok() {
            self.bytes += line.len() as u64;
            self.unflushed += 1;
        }
        written.is_ok()
    }

    /// Notes that are lost: those since the last flush, if this one fails.
    pub(super) fn flush(&mut self) -> u64 {
        let flushed = self.file.flush();
        self.note(flushed.as_ref().err());
        let unflushed = std::mem::take(&mut self.unflushed);
        if flushed.is_ok() {
            return 0;
        }
        // What is stuck in the buffer would be written a second time, or never: begin anew.
        if let Ok((file, bytes)) = open(&self.path) {
            let stuck = std::mem::replace(&mut self.file, file);
            let (_file, _unwritten) = stuck.into_parts();
            self.bytes = bytes;
        }
        unflushed
    }

    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        self.file.flush()?;
        self.unflushed = 0;
        fs::rename(&self.path, aside(&self.path, now))?;
        (self.file, self.bytes) = open(&self.path)?;
        self.prune(now);
        Ok(())
    }

    /// Removes what is too old or too much.
    fn prune(&self, now: Timestamp) {
        for path in superfluous(older(&self.path), self.backups, self.oldest(now).as_deref()) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an old audit log cannot be removed");
            }
        }
    }

    /// The name an older file must not be below.
    fn oldest(&self, now: Timestamp) -> Option<String> {
        let age = jiff::SignedDuration::try_from(self.age).ok()?;
        let limit = now.checked_sub(age).ok().filter(|_| !self.age.is_zero())?;
        let path = aside(&self.path, limit);
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    }

    /// Says once that writing fails, and once that it goes on.
    fn note(&mut self, error: Option<&io::Error>) {
        let path = self.path.display();
        match error {
            Some(error) if !self.ails => {
                tracing::error!(%path, %error, "the audit log cannot be written: notes are lost");
            }
            None if self.ails => tracing::info!(%path, "the audit log is written again"),
            Some(_) | None => {}
        }
        self.ails = error.is_some();
    }
}

fn open(path: &Path) -> io::Result<(BufWriter<File>, u64)> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((BufWriter::with_capacity(64 << 10, file), bytes))
}

/// `audit.log` becomes `audit-2026-01-31T12-00-00.000.log`.
fn aside(path: &Path, now: Timestamp) -> PathBuf {
    let (stem, extension) = parts(path);
    let time = now.strftime("%Y-%m-%dT%H-%M-%S%.3f");
    path.with_file_name(format!("{stem}-{time}{extension}"))
}

fn parts(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned());
    let stem = text(path.file_stem()).unwrap_or_default();
    let extension = text(path.extension()).map_or_else(String::new, |e| format!(".{e}"));
    (stem, extension)
}

/// The files set aside earlier, oldest first.
fn older(path: &Path) -> Vec<PathBuf> {
    let (stem, extension) = parts(path);
    let prefix = format!("{stem}-");
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new(".")));
    let named = |entry: &fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let time = name.strip_prefix(&prefix)?.strip_suffix(&extension)?;
        time.starts_with(|c: char| c.is_ascii_digit())
            .then(|| entry.path())
    };
    let mut found: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| named(&entry))
        .collect();
    found.sort();
    found
}

/// Of the older files, those that are one too many, or older than the name says.
fn superfluous(older: Vec<PathBuf>, backups: usize, oldest: Option<&str>) -> Vec<PathBuf> {
    let excess = match backups {
        0 => 0,
        kept => older.len().saturating_sub(kept),
    };
    let is_past = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        oldest
            .zip(name)
            .is_some_and(|(oldest, name)| *name < *oldest)
    };
    let numbered = older.into_iter().enumerate();
    let gone = numbered.filter(|(n, path)| *n < excess || is_past(path));
    gone.map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Policy;

    fn options(path: PathBuf) -> Options {
        Options {
            path,
            policy: Policy::usual(),
            file_bytes: 10,
            backups: 2,
            age: Duration::ZERO,
        }
    }

    #[test]
    fn long_files_are_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log/audit.log");
        let mut log = Log::open(&options(path.clone())).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            assert!(log.append(line.as_bytes()));
        }
        assert_eq!(log.flush(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        let kept = older(&path);
        assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "one\ntwo\n");
        drop(log);
        let mut log = Log::open(&options(path.clone())).unwrap();
        assert!(log.append(b"x\n"));
        assert_eq!(log.flush(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\nx\n");
    }

    #[test]
    fn what_is_removed() {
        let at = |second: i64| {
            let time = Timestamp::from_second(second).unwrap();
            aside(Path::new("/l/audit.log"), time)
        };
        assert_eq!(at(0), PathBuf::from("/l/audit-1970-01-01T00-00-00.000.log"));
        let all = || vec![at(0), at(10), at(20)];
        let name = |second| at(second).file_name().unwrap().to_str().unwrap().to_owned();
        for (backups, oldest, gone) in [
            (0, None, vec![]),
            (2, None, vec![at(0)]),
            (0, Some(name(15)), vec![at(0), at(10)]),
            (1, Some(name(5)), vec![at(0), at(10)]),
        ] {
            assert_eq!(superfluous(all(), backups, oldest.as_deref()), gone);
        }
    }
}
