//! Values that are read from the files of a generation instead of being held in memory.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::archive::{Block, places};
use crate::edge::state::manifest::Manifest;
use crate::edge::state::reader::Reader;
use crate::edge::state::{Changed, Doubt};
use crate::faults::Faults;
use crate::image::Image;
use crate::slot::{Numbers, Resident};
use crate::values::{OnUnread, ReadAt, ValueFile, allowed};

/// Looked at between two rests.
const AT_ONCE: usize = 4096;

/// How much memory objects may take, and who is told when a value that has to be read cannot be.
#[derive(Clone)]
pub(crate) struct Residence {
    pub(crate) bytes_max: u64,
    pub(crate) on_unread: OnUnread,
    /// Where values are dropped that went to disk.
    pub(crate) drop_freed: Arc<dyn Fn(Vec<Resident>) + Send + Sync>,
}

impl Default for Residence {
    /// All of them.
    fn default() -> Self {
        Self {
            bytes_max: u64::MAX,
            on_unread: Arc::new(|_unread| {}),
            drop_freed: Arc::new(drop),
        }
    }
}

impl fmt::Debug for Residence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Residence").field(&self.bytes_max).finish()
    }
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// The files of one generation that values are read from.
#[derive(Debug)]
pub(super) struct Shelf {
    owner: u64,
    residence: Residence,
    faults: Faults,
    opened: Mutex<Vec<(PathBuf, Weak<ValueFile>)>>,
}

impl Shelf {
    pub(super) fn new(residence: Residence, faults: Faults) -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        Self {
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            residence,
            faults,
            opened: Mutex::default(),
        }
    }

    pub(super) fn owner(&self) -> u64 {
        self.owner
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.residence.bytes_max
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<Arc<ValueFile>> {
        let file = ValueFile::new(
            Box::new(File::open(path)?),
            path.display().to_string(),
            self.owner,
            self.faults.clone(),
            Arc::clone(&self.residence.on_unread),
        );
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.retain(|(_, file)| file.strong_count() > 0);
        opened.push((path.to_owned(), Arc::downgrade(&file)));
        Ok(file)
    }

    /// Whether some reader of an earlier state still needs the file: it may be unlinked then, but not be cut.
    pub(super) fn is_read(&self, path: &Path) -> bool {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened
            .iter()
            .any(|(known, file)| known == path && file.strong_count() > 0)
    }

    /// Has values read from this file, which was just written, as far as there are too many in memory, and all that
    /// were read from files it replaces. Rests in between.
    pub(super) fn evict(
        &self,
        path: &Path,
        image: &Image,
        changed: Changed<'_>,
        rest: impl Fn(),
    ) -> io::Result<()> {
        let file = self.open(path)?;
        let (resident, mut freed) = (image.state.resident(), Vec::new());
        let allowed = allowed(self.residence.bytes_max, image.state.view().len());
        for (n, (slot, offset)) in places(image.state.view(), changed).enumerate() {
            if (resident.bytes() > allowed || slot.is_read_from(self.owner))
                && let Some(value) = slot.evict(&file, offset)
            {
                resident.sub(value.memory());
                freed.push(value);
            }
            if n % AT_ONCE == AT_ONCE - 1 {
                (self.residence.drop_freed)(std::mem::take(&mut freed));
                rest();
            }
        }
        (self.residence.drop_freed)(freed);
        Ok(())
    }

    /// Has what the image reads from `from`'s files read from those of this generation, which has it too.
    pub(super) fn adopt(
        &self,
        image: &Image,
        from: u64,
        dir: &Path,
        manifest: &Manifest,
    ) -> Result<(), Doubt> {
        let doubt = |text: String| Doubt(text);
        let view = image.state.view();
        for listed in manifest.files() {
            let path = dir.join(listed);
            let file = self.open(&path).map_err(|error| doubt(error.to_string()))?;
            let reader = Reader::open(&path, &self.faults).map_err(|flaw| doubt(flaw.place()))?;
            let read = reader.each(|block| {
                if let Block::Items(items) = block {
                    for placed in items {
                        let slot = view.slot(&placed.item.key).filter(|slot| {
                            slot.is_read_from(from) && slot.numbers() == Numbers::of(&placed.item)
                        });
                        slot.and_then(|slot| slot.evict(&file, placed.offset));
                    }
                }
                Ok(())
            });
            read.map_err(|flaw| doubt(flaw.place()))?;
        }
        match view.iter().find(|slot| slot.is_read_from(from)) {
            None => Ok(()),
            Some(slot) => Err(doubt(format!("{slot:?} is not in both checkpoints"))),
        }
    }
}
