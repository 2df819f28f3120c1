//! The format of everything the store keeps on disk about its state: the files of a checkpoint's
//! generation and backups. Bytes in, bytes out; files are `edge/state.rs` and `edge/backup.rs`.
//!
//! A file is a prologue (magic, version, checksum) and blocks of about 256 KiB. A block is
//! `crc32 | length | count | kind` and a payload: items, deleted keys, or remembered requests, in this
//! order. The last block tells what the whole file holds. Each checksum also covers the block's ordinal
//! number, and the last block counts blocks and bytes, so a file that was cut, extended or
//! reordered is found out like one with a flipped bit. Numbers are little-endian.

mod block;
mod cut;
mod record;
mod scan;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::image::Header;

pub(crate) use block::{HEAD_BYTES, Head, PROLOGUE_BYTES, check_prologue};
pub(crate) use cut::{Blocks, places};
pub(crate) use scan::{Block, Placed, Scan};

/// Keys that may have changed. There can be as many as there are objects, so each is as small as can be.
pub(crate) type Keys = BTreeSet<Box<[u8]>>;

/// What the last block says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trailer {
    /// The image this file completes.
    pub(crate) header: Header,
    /// True when the file holds the whole image, false when only what changed.
    pub(crate) whole: bool,
    pub(crate) totals: Totals,
}

/// What came before the last block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) items: u64,
    pub(crate) deleted: u64,
    pub(crate) requests: u64,
}

/// What is wrong with a file of this format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It does not begin like one.
    #[error("it does not begin as a state file does")]
    Foreign,
    /// It is of a later release.
    #[error("it has format version {0}, this release reads 1")]
    Version(u32),
    /// It ends early.
    #[error("it ends too early")]
    Truncated,
    /// There is something behind the last block.
    #[error("something follows the last block")]
    Trailing,
    /// A block is not what was written.
    #[error("a block does not match its checksum")]
    Checksum,
    /// A block is whole, but does not belong here.
    #[error("{0}")]
    Misplaced(&'static str),
    /// A block's payload cannot be understood.
    #[error("a block cannot be decoded")]
    Undecodable,
    /// All blocks are whole, but together they are not what the last one describes.
    #[error("the whole is not what its last block describes: {0}")]
    Contents(String),
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

impl Flaw {
    fn advice(&self) -> &'static str {
        match self {
            Self::Foreign => "name a file that was saved as a backup",
            Self::Version(_) => "use the release of Stoa that wrote it, or a later one",
            Self::Unreadable(_) => "check the path, its permissions and the disk",
            Self::Truncated
            | Self::Trailing
            | Self::Checksum
            | Self::Misplaced(_)
            | Self::Undecodable
            | Self::Contents(_) => "use another copy of it, or another backup",
        }
    }
}

/// A file that must not be used, and where it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.place(), self.flaw.advice())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where the block begins that is wrong.
    pub offset: u64,
    /// Its ordinal number; the first is 0.
    pub block: u64,
    /// What is wrong.
    pub flaw: Flaw,
}

impl Damage {
    /// What is wrong and where, without advice.
    pub(crate) fn place(&self) -> String {
        let Self {
            file,
            offset,
            block,
            flaw,
        } = self;
        format!(
            "{} is damaged at byte {offset} (block {block}): {flaw}",
            file.display()
        )
    }
}

#[cfg(test)]
mod tests;
