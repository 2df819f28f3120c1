//! Which files of a generation count, in which order.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::edge::files;
use crate::edge::state::Doubt;
use crate::image::Header;

pub(super) const FILE: &str = "manifest";

/// Each delta is read at start and its requests are written again, so their number is bounded.
const DELTAS_MAX: usize = 64;

/// What a generation consists of.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// A base and the deltas on top of it, oldest first.
    pub(super) list: Vec<Listed>,
    /// Of the image they make together.
    pub(super) header: Header,
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// Of the image as of this file.
    pub(super) digest: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Base,
    Delta,
}

impl Listed {
    pub(super) fn name(&self) -> String {
        match self.kind {
            Kind::Base => format!("base.{}", self.number),
            Kind::Delta => format!("delta.{}", self.number),
        }
    }
}

impl Manifest {
    /// One more file on top of those held, or a base that replaces them.
    pub(super) fn new(under: Option<&Self>, added: Listed, header: Header) -> Self {
        let mut list = under.map_or(Vec::new(), |held| held.list.clone());
        list.push(added);
        Self { list, header }
    }

    /// None when no write was ever finished in this directory.
    pub(super) fn read(dir: &Path, cluster_id: u128) -> Result<Option<Self>, Doubt> {
        let bytes = match fs::read(dir.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Doubt(format!("its manifest cannot be read: {error}"))),
        };
        let manifest =
            decode(&bytes).ok_or_else(|| Doubt("its manifest is not what was written".into()))?;
        manifest.check(dir, cluster_id)?;
        Ok(Some(manifest))
    }

    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let body = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let sum = crc32fast::hash(&body).to_le_bytes();
        files::replace(&dir.join(FILE), &[&sum, &body[..]].concat())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(Listed::name)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.list.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn last_number(&self) -> u64 {
        self.list.last().map_or(0, |file| file.number)
    }

    /// False when deltas weigh so much that a new base is due: at half of the base each byte changed is
    /// written about three times, and a start reads at most half as much again as the state.
    pub(super) fn takes_deltas(&self) -> bool {
        let (deltas, bases): (Vec<_>, Vec<_>) =
            self.list.iter().partition(|file| file.kind == Kind::Delta);
        let bytes = |files: &[&Listed]| files.iter().map(|file| file.bytes).sum::<u64>();
        deltas.len() < DELTAS_MAX && bytes(&deltas) <= bytes(&bases) / 2
    }

    fn check(&self, dir: &Path, cluster_id: u128) -> Result<(), Doubt> {
        if self.header.cluster_id != cluster_id {
            return Err(Doubt(format!(
                "it belongs to cluster {:032x}",
                self.header.cluster_id
            )));
        }
        for file in &self.list {
            let found = fs::metadata(dir.join(file.name())).map(|found| found.len());
            if !found.as_ref().is_ok_and(|bytes| *bytes == file.bytes) {
                return Err(Doubt(format!(
                    "{} should have {} bytes: {found:?}",
                    file.name(),
                    file.bytes
                )));
            }
        }
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Option<Manifest> {
    let (sum, body) = bytes.split_first_chunk()?;
    if u32::from_le_bytes(*sum) != crc32fast::hash(body) {
        return None;
    }
    postcard::from_bytes(body).ok()
}
