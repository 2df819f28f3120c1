//! The authority and certificates on disk. Keys are readable by their owner alone.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{Authority, Pair, PkiError};

impl Authority {
    /// The authority in `dir` (`ca.crt`, `ca.key`); none if neither file exists.
    ///
    /// # Errors
    /// A file cannot be read, or only one of the two is there.
    pub fn load(dir: &Path) -> Result<Option<Self>, PkiError> {
        match (read(&dir.join("ca.crt"))?, read(&dir.join("ca.key"))?) {
            (Some(certificate), Some(key)) => Self::from_pem(&certificate, &key).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(PkiError::Half(dir.to_path_buf())),
        }
    }

    /// The authority in `dir`, made there if there is none.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn load_or_create(dir: &Path, now_s: u64) -> Result<Self, PkiError> {
        if let Some(found) = Self::load(dir)? {
            return Ok(found);
        }
        let made = Self::create(now_s)?;
        made.save(dir)?;
        Ok(made)
    }

    /// Writes `ca.crt` and `ca.key` to `dir`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), PkiError> {
        write_secret(&dir.join("ca.key"), self.key_pem())?;
        write_secret(&dir.join("ca.crt"), self.certificate_pem())
    }
}

impl Pair {
    /// Writes `<name>.crt` and `<name>.key` to `dir`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: &Path, name: &str) -> Result<(), PkiError> {
        write_secret(&dir.join(format!("{name}.key")), &self.key)?;
        write_secret(&dir.join(format!("{name}.crt")), &self.certificate)
    }
}

/// Replaces a file's text in one step, so that no reader ever sees half of it. Mode 0600; a
/// missing parent directory is made with mode 0700.
///
/// # Errors
/// The directory or file cannot be written.
pub fn write_secret(path: &Path, text: &str) -> Result<(), PkiError> {
    if let Some(parent) = path.parent() {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent);
        made.map_err(|source| PkiError::Io {
            path: parent.to_path_buf(),
            source,
        })?;
    }
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, path));
    written.map_err(|source| PkiError::Io {
        path: path.to_path_buf(),
        source,
    })
}

fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::Io {
            path: path.to_path_buf(),
            source,
        }),
    }
}
