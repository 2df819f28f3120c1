//! Backups: one file with the whole state at one revision, taken while the replica works, checked
//! anywhere, and restored into a new cluster of any size.

mod restore;

use std::fs;
use std::path::Path;

use bytes::Bytes;

use crate::archive::{Blocks, Trailer};
use crate::digest;
use crate::edge::state::load_file;
use crate::faults::Faults;
use crate::image::Image;
use crate::item::Revision;

pub use crate::archive::{Damage, Flaw};
pub use crate::values::Unread;
pub use restore::{REVISION_BUMP, RestoreError, RestoreOptions, restore};

/// The file, in chunks of about 256 KiB that are made as they are asked for. It shows the state as
/// it was when it was begun; writes go on meanwhile.
#[derive(Debug)]
pub struct Backup {
    blocks: Blocks<'static>,
    revision: Revision,
}

impl Backup {
    pub(crate) fn new(image: Image, cluster_id: u128) -> Self {
        let revision = image.state.view().revision();
        Self {
            blocks: Blocks::new(image, cluster_id, None),
            revision,
        }
    }

    /// The revision it holds.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl Iterator for Backup {
    type Item = Result<Bytes, Unread>;

    /// Ends with an error when a value on disk cannot be read.
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.blocks.next()?.map(Bytes::from))
    }
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The cluster it was taken from.
    pub cluster_id: u128,
    /// The store's revision.
    pub revision: Revision,
    /// Number of items.
    pub items: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Digest of the state, as replicas report it.
    pub digest: u128,
    /// Index of the last log entry it includes.
    pub applied_index: Option<u64>,
}

/// Reads the whole file and rebuilds the state in memory, so that a file found good here can be
/// restored. Blocks.
///
/// # Errors
/// With the place of whatever is not as it was written.
pub fn verify(path: &Path) -> Result<Summary, Damage> {
    read(path).map(|(_, summary)| summary)
}

/// A cluster id for the members of one restore, which all compute the same from the same words.
///
/// `digest` is the backup's; `members` are those of the new cluster. `token` tells this restore from
/// another one of the same file into the same members: ids of clusters must never meet again.
#[must_use]
pub fn cluster_id(digest: u128, members: &[(String, String, String)], token: &str) -> u128 {
    let members = members.iter();
    let words = members.flat_map(|(name, peer, api)| [&name[..], peer, api]);
    digest::words(digest, words.chain([token]))
}

fn read(path: &Path) -> Result<(Image, Summary), Damage> {
    let (image, trailer) = load_file(path, &Faults::default())?;
    let bytes = fs::metadata(path).map(|file| file.len());
    let bytes = bytes.map_err(|error| Damage {
        file: path.to_owned(),
        offset: 0,
        block: 0,
        flaw: Flaw::Unreadable(error.to_string()),
    })?;
    let summary = summary(&trailer, bytes);
    Ok((image, summary))
}

fn summary(trailer: &Trailer, bytes: u64) -> Summary {
    let header = &trailer.header;
    Summary {
        cluster_id: header.cluster_id,
        revision: header.counters.revision,
        items: header.items,
        bytes,
        digest: header.digest,
        applied_index: header.applied.map(|id| id.index),
    }
}
