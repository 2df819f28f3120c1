//! Files from which values are read that are not in memory.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::faults::{Faults, Point};

/// About what an object takes in memory beside its value.
const ITEM_BYTES: u64 = 100;
/// Of the memory for objects, values have at least one of so many parts.
const VALUES_PART: u64 = 5;

/// Memory for values where so many objects may take so much: what they leave.
pub(crate) fn allowed(bytes_max: u64, items: usize) -> u64 {
    let left = bytes_max.saturating_sub(items as u64 * ITEM_BYTES);
    left.max(bytes_max / VALUES_PART)
}

/// Bytes that are read from any place of a file.
pub(crate) trait ReadAt: Send + Sync {
    /// Fills the buffer from this offset on. Blocks.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Fills as much of it as there is; returns how much. Blocks.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// How often that was done; only tests count.
    #[cfg(test)]
    fn reads(&self) -> u64 {
        0
    }
}

/// A value on disk cannot be read, or is not what was written. Whoever needs it cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the value at byte {offset} of {file} cannot be relied on: {reason}. Restart this replica: it checks its checkpoints, sets \
     a damaged one aside and goes on from the other one and the log"
)]
pub struct Unread {
    file: String,
    offset: u64,
    reason: String,
}

impl Unread {
    /// Ends the reader, where it has no way to tell. The replica was told before it was made.
    pub(crate) fn abandon(self) -> ! {
        std::panic::resume_unwind(Box::new(self))
    }
}

impl From<Unread> for io::Error {
    fn from(unread: Unread) -> Self {
        Self::new(io::ErrorKind::InvalidData, unread)
    }
}

/// Told of the first value that cannot be read, before its reader is.
pub(crate) type OnUnread = Arc<dyn Fn(&Unread) + Send + Sync>;

/// One file.
pub(crate) struct ValueFile {
    file: Box<dyn ReadAt>,
    name: String,
    owner: u64,
    faults: Faults,
    on_unread: OnUnread,
}

impl ValueFile {
    /// `owner` tells whose file it is.
    pub(crate) fn new(
        file: Box<dyn ReadAt>,
        name: String,
        owner: u64,
        faults: Faults,
        on_unread: OnUnread,
    ) -> Arc<Self> {
        Arc::new(Self {
            file,
            name,
            owner,
            faults,
            on_unread,
        })
    }

    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    /// Appends what is there, if it is whole; else nothing. Blocks.
    pub(crate) fn append(
        &self,
        offset: u64,
        len: usize,
        to: &mut Vec<u8>,
        whole: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), Unread> {
        let before = to.len();
        to.resize(before + len, 0);
        let read = self
            .faults
            .hit(Point::ValueRead)
            .and_then(|_honest| self.file.read_exact_at(&mut to[before..], offset));
        let reason = match read {
            Ok(()) if whole(&to[before..]) => return Ok(()),
            Ok(()) => "it does not match its checksum".to_owned(),
            Err(error) => error.to_string(),
        };
        to.truncate(before);
        let unread = Unread {
            file: self.name.clone(),
            offset,
            reason,
        };
        (self.on_unread)(&unread);
        Err(unread)
    }
}

impl ValueFile {
    /// What is there, up to so many bytes, to be checked by whoever uses it; nothing when it cannot be read. Blocks.
    pub(crate) fn ahead(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let honest = self.faults.hit(Point::ValueRead);
        let read = honest.and_then(|_honest| self.file.read_at(&mut bytes, offset));
        bytes.truncate(read.unwrap_or(0));
        bytes
    }
}

impl fmt::Debug for ValueFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueFile").field(&self.name).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn values_have_what_objects_leave() {
        for (bytes_max, items, values) in [
            (1_000, 0, 1_000),
            (1_000, 3, 700),
            (1_000, 9, 200),
            (1_000, 1_000_000, 200),
            (0, 3, 0),
        ] {
            assert_eq!(allowed(bytes_max, items), values, "{bytes_max} {items}");
        }
    }

    /// A file in memory, and how often it was read.
    #[derive(Clone)]
    struct InMemory(Arc<(Vec<u8>, AtomicU64)>);

    impl ReadAt for InMemory {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            match self.read_at(buffer, offset)? == buffer.len() {
                true => Ok(()),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let (content, reads) = &*self.0;
            reads.fetch_add(1, Ordering::Relaxed);
            let rest = content
                .get(usize::try_from(offset).unwrap()..)
                .unwrap_or_default();
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        }

        fn reads(&self) -> u64 {
            self.0.1.load(Ordering::Relaxed)
        }
    }

    impl ValueFile {
        /// A file with this content.
        pub(crate) fn of(content: &[u8], owner: u64) -> Arc<Self> {
            let (name, faults) = ("memory".to_owned(), Faults::default());
            let file = InMemory(Arc::new((content.to_vec(), AtomicU64::new(0))));
            Self::new(Box::new(file), name, owner, faults, Arc::new(|_unread| {}))
        }

        /// How often it was read.
        pub(crate) fn reads(&self) -> u64 {
            self.file.reads()
        }
    }
}
