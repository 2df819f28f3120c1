//! The state on disk, one directory per generation: a base file, deltas on top of it, and a manifest
//! that says which of the files count.
//!
//! Files are never changed once the manifest names them. A write adds one and then replaces the
//! manifest, so until that moment the image held before stays the one held, whatever fails. Every block
//! carries a checksum, and the image rebuilt must have the digest it was written with; whatever does
//! not match is a `Doubt`, and the caller falls back to the other generation, the log or another replica.

mod load;
mod manifest;
mod reader;
mod residence;
mod writer;

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use crate::archive::{Blocks, Keys};
use crate::edge::files;
use crate::faults::{Faults, Point};
use crate::image::{Header, Image};

use manifest::{Kind, Listed, Manifest};

pub(crate) use load::load_file;
pub(crate) use residence::Residence;
pub(crate) use writer::Pace;

use residence::Shelf;

/// The keys that may differ from what is held; all when none.
pub(crate) type Changed<'a> = Option<&'a Keys>;

/// Why a generation cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Doubt(pub(crate) String);

/// A place that holds one image.
pub(crate) trait Materialised: Send + Sync {
    /// The header of the image held, if a write was ever finished. Cheap; the image is not verified.
    fn peek(&self) -> Result<Option<Header>, Doubt>;
    /// The verified image.
    fn load(&self) -> Result<Option<Image>, Doubt>;
    /// Makes this the image held, durably. `changed` names every key that may differ from the image
    /// held now; without it everything is written anew. When it fails, the image held before still is. Then values
    /// beyond what may be in memory are read from here.
    fn write(&self, image: &Image, changed: Changed<'_>) -> io::Result<()>;
    /// Tells its files from others where values are read from them.
    fn owner(&self) -> u64;
    /// Has what the image reads from the files of `owner`, which hold an earlier image, read from here.
    fn adopt(&self, image: &Image, owner: u64) -> Result<(), Doubt>;
    /// What the image held takes on the disk.
    fn bytes(&self) -> u64;
    /// Fails when there would be no room for this image even without the one held.
    fn require_room(&self, image: &Image) -> io::Result<()>;
    /// Gives up the image held.
    fn clear(&self) -> io::Result<()>;
    /// Moves what is there out of the way.
    fn set_aside(&self) -> Result<(), Doubt>;
}

/// One directory.
#[derive(Debug)]
pub(crate) struct StateDir {
    dir: PathBuf,
    cluster_id: u128,
    faults: Faults,
    pace: Pace,
    shelf: Shelf,
}

impl StateDir {
    pub(crate) fn new(dir: PathBuf, cluster_id: u128, faults: Faults, held: Residence) -> Self {
        Self {
            dir,
            cluster_id,
            shelf: Shelf::new(held, faults.clone()),
            faults,
            pace: Pace::default(),
        }
    }

    /// Writes at this pace.
    pub(crate) fn paced(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// What the directory holds; a doubtful one is set aside, as nothing can be added to it.
    fn trusted(&self) -> io::Result<Option<Manifest>> {
        let doubt = match Manifest::read(&self.dir, self.cluster_id) {
            Ok(manifest) => return Ok(manifest),
            Err(doubt) => doubt,
        };
        tracing::warn!(dir = %self.dir.display(), %doubt, "a checkpoint is set aside and written anew in full");
        files::set_aside(&self.dir)?;
        Ok(None)
    }

    fn add(&self, held: Option<&Manifest>, image: &Image, changed: Changed<'_>) -> io::Result<()> {
        let number = held.map_or(0, Manifest::last_number) + 1;
        let header = image.header(self.cluster_id);
        let mut listed = Listed {
            kind: if changed.is_some() {
                Kind::Delta
            } else {
                Kind::Base
            },
            number,
            bytes: 0,
            digest: header.digest,
        };
        let path = self.dir.join(listed.name());
        let blocks = Blocks::new(image.clone(), self.cluster_id, changed);
        let written = writer::write(&path, blocks, &self.faults, &self.pace).and_then(|bytes| {
            listed.bytes = bytes;
            self.faults.hit(Point::CheckpointCommit)?;
            let under = held.filter(|_| changed.is_some());
            let manifest = Manifest::new(under, listed, header);
            manifest.write(&self.dir)?;
            Ok(manifest)
        });
        match written {
            Ok(manifest) => {
                // What was written is durable, whatever becomes of memory and of what it replaces.
                if let Err(error) = self.evict(&path, image, changed) {
                    tracing::warn!(%error, dir = %self.dir.display(), "values stay in memory until the next checkpoint");
                }
                if let Err(error) = self.remove_unlisted(&manifest) {
                    tracing::warn!(%error, dir = %self.dir.display(), "files of an old checkpoint stay until the next");
                }
                Ok(())
            }
            Err(error) => {
                self.remove_failed(&path);
                Err(error)
            }
        }
    }

    fn evict(&self, path: &Path, image: &Image, changed: Changed<'_>) -> io::Result<()> {
        let began = Cell::new(Instant::now());
        self.shelf.evict(path, image, changed, || {
            self.pace.rest(began.get().elapsed());
            began.set(Instant::now());
        })
    }

    /// The partial file goes, so that it does not keep a full disk full; unless the manifest has come
    /// to name it, which it may have although replacing it failed.
    fn remove_failed(&self, path: &Path) {
        let names = |manifest: &Manifest| manifest.files().any(|file| self.dir.join(file) == path);
        match Manifest::read(&self.dir, self.cluster_id) {
            Ok(manifest) if manifest.as_ref().is_none_or(|manifest| !names(manifest)) => {
                if let Err(error) = fs::remove_file(path) {
                    tracing::debug!(%error, "there is no partial checkpoint to remove");
                }
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Files no longer named, after the manifest that does not name them is durable.
    fn remove_unlisted(&self, manifest: &Manifest) -> io::Result<()> {
        let listed: Vec<String> = manifest.files().collect();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != manifest::FILE && !listed.contains(&name) {
                let path = entry.path();
                match self.shelf.is_read(&path) {
                    true => fs::remove_file(&path)?,
                    false => files::remove_gently(&path, |took| self.pace.rest(took))?,
                }
            }
        }
        Ok(())
    }
}

impl Materialised for StateDir {
    fn peek(&self) -> Result<Option<Header>, Doubt> {
        let manifest = Manifest::read(&self.dir, self.cluster_id)?;
        Ok(manifest.map(|manifest| manifest.header))
    }

    fn load(&self) -> Result<Option<Image>, Doubt> {
        match Manifest::read(&self.dir, self.cluster_id)? {
            Some(manifest) => {
                let (dir, faults, max) = (&self.dir, &self.faults, self.shelf.bytes_max());
                load::load(dir, &manifest, faults, max, |path| self.shelf.open(path)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn write(&self, image: &Image, changed: Changed<'_>) -> io::Result<()> {
        let held = self.trusted()?;
        files::ensure_dir(&self.dir)?;
        let changed = changed.filter(|_| held.as_ref().is_some_and(Manifest::takes_deltas));
        self.add(held.as_ref(), image, changed)
    }

    fn owner(&self) -> u64 {
        self.shelf.owner()
    }

    fn adopt(&self, image: &Image, owner: u64) -> Result<(), Doubt> {
        let manifest = Manifest::read(&self.dir, self.cluster_id)?
            .ok_or_else(|| Doubt("it holds nothing".into()))?;
        self.shelf.adopt(image, owner, &self.dir, &manifest)
    }

    fn bytes(&self) -> u64 {
        match Manifest::read(&self.dir, self.cluster_id) {
            Ok(Some(manifest)) => manifest.bytes(),
            // What nobody can read is set aside, not removed.
            Ok(None) | Err(_) => 0,
        }
    }

    fn require_room(&self, image: &Image) -> io::Result<()> {
        files::require(&self.dir, image.bytes().saturating_sub(self.bytes()))
    }

    fn clear(&self) -> io::Result<()> {
        // The manifest first: it must not name what is gone.
        files::remove(&self.dir.join(manifest::FILE))?;
        files::sync_dir(&self.dir)?;
        fs::remove_dir_all(&self.dir)
    }

    fn set_aside(&self) -> Result<(), Doubt> {
        files::set_aside(&self.dir).map_err(|error| Doubt(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
