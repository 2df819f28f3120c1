//! Reads one state file block by block.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::archive::{
    Block, Damage, Flaw, HEAD_BYTES, Head, PROLOGUE_BYTES, Scan, Trailer, check_prologue,
};
use crate::faults::{Faults, Point};

/// Heads are read through this; payloads mostly go past it.
const BUFFER_BYTES: usize = 64 << 10;

/// A file being read. Everything it yields is checked; only at the end is it known to be complete.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    path: PathBuf,
    file: BufReader<File>,
    left: u64,
    scan: Scan,
    /// Reused from block to block.
    payload: Vec<u8>,
    faults: &'a Faults,
}

impl<'a> Reader<'a> {
    pub(super) fn open(path: &Path, faults: &'a Faults) -> Result<Self, Damage> {
        let at_start = |flaw| Damage {
            file: path.to_owned(),
            offset: 0,
            block: 0,
            flaw,
        };
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (left, file) = opened.map_err(|error| at_start(unreadable(&error)))?;
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(BUFFER_BYTES, file),
            left,
            scan: Scan::new(),
            payload: Vec::new(),
            faults,
        };
        let mut prologue = [0; PROLOGUE_BYTES];
        reader
            .fill(&mut prologue)
            .and_then(|()| check_prologue(&prologue))
            .map_err(at_start)?;
        Ok(reader)
    }

    /// Hands every block but the last to `take`; the last is returned once the file is complete.
    pub(super) fn each(
        mut self,
        mut take: impl FnMut(Block) -> Result<(), Flaw>,
    ) -> Result<Trailer, Damage> {
        loop {
            let (offset, block) = (self.scan.offset(), self.scan.ordinal());
            let found = self.next().and_then(|found| match found {
                Block::End(trailer) => self.complete(*trailer).map(Some),
                other @ (Block::Items(_) | Block::Deleted(_) | Block::Requests(_)) => {
                    take(other).map(|()| None)
                }
            });
            match found {
                Ok(Some(trailer)) => return Ok(trailer),
                Ok(None) => {}
                Err(flaw) => {
                    return Err(Damage {
                        file: self.path,
                        offset,
                        block,
                        flaw,
                    });
                }
            }
        }
    }

    fn next(&mut self) -> Result<Block, Flaw> {
        self.faults
            .hit(Point::CheckpointRead)
            .map_err(|error| unreadable(&error))?;
        let mut raw = [0; HEAD_BYTES];
        self.fill(&mut raw)?;
        let head = Head::new(raw);
        // A damaged length must not allocate gigabytes.
        if u64::from(head.len()) > self.left {
            return Err(Flaw::Truncated);
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(head.len() as usize, 0);
        self.fill(&mut payload)?;
        let block = self.scan.block(head, &payload);
        self.payload = payload;
        block
    }

    fn complete(&self, trailer: Trailer) -> Result<Trailer, Flaw> {
        if self.left == 0 {
            Ok(trailer)
        } else {
            Err(Flaw::Trailing)
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Flaw> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(Flaw::Truncated)?;
        self.file.read_exact(bytes).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                Flaw::Truncated
            } else {
                unreadable(&error)
            }
        })
    }
}

fn unreadable(error: &io::Error) -> Flaw {
    Flaw::Unreadable(error.to_string())
}
