//! The segments in use: reading entries back, and the disk as the batches meet it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::edge::wal::pool::Pool;
use crate::edge::wal::write_zeros;
use crate::faults::{Faults, Point, Verdict};
use crate::wal::commit::Medium;
use crate::wal::record::{Record, size};
use crate::wal::{self, Place, Position};

/// Open segments by number, up to the one in use.
#[derive(Debug)]
pub(crate) struct Files(Mutex<BTreeMap<u64, Arc<File>>>);

impl Files {
    pub(crate) fn open(dir: &Path, seqs: &[u64]) -> io::Result<Self> {
        let open = |seq: &u64| Ok((*seq, Arc::new(open_segment(dir, *seq)?)));
        let files = seqs.iter().map(open).collect::<io::Result<_>>()?;
        Ok(Self(Mutex::new(files)))
    }

    /// An entry's payload. It must have been written.
    pub(crate) fn read(&self, (term, index): Position, place: Place) -> io::Result<Bytes> {
        let mut bytes = vec![0; size(place.len as usize)];
        let offset = u64::from(place.offset);
        let file = self.get(place.seq)?;
        file.read_exact_at(&mut bytes, offset)
            .map_err(named(place.seq))?;
        let found = match Record::decode(place.seq, offset, &bytes) {
            Ok(Record::Entry(at, body)) if at == (term, index) => {
                return Ok(Bytes::copy_from_slice(body));
            }
            Ok(_) => "another record".to_owned(),
            Err(flaw) => flaw.to_string(),
        };
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{}, byte {offset}: {found} where entry {index} of term {term} was written",
                wal::name(place.seq)
            ),
        ))
    }

    /// Lets go of segments before this one and tells which they were, oldest first.
    pub(crate) fn take_below(&self, seq: u64) -> Vec<u64> {
        let mut files = self.lock();
        let kept = files.split_off(&seq);
        std::mem::replace(&mut *files, kept).into_keys().collect()
    }

    fn get(&self, seq: u64) -> io::Result<Arc<File>> {
        let file = self.lock().get(&seq).cloned();
        file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, wal::name(seq)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<File>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a segment that exists.
pub(crate) fn open_segment(dir: &Path, seq: u64) -> io::Result<File> {
    let path = dir.join(wal::name(seq));
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .open(path)
        .map_err(named(seq))
}

/// Says which segment an error is about.
pub(crate) fn named(seq: u64) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", wal::name(seq)))
}

/// The disk, with the failpoints on the way to it.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) files: Arc<Files>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) faults: Faults,
}

impl Disk {
    pub(crate) fn new(files: Arc<Files>, pool: Arc<Pool>, faults: Faults) -> Self {
        Self {
            files,
            pool,
            faults,
        }
    }
}

impl Medium for Disk {
    fn enter(&mut self, seq: u64) -> io::Result<()> {
        let file = self.pool.take(seq)?;
        self.files.lock().insert(seq, file);
        Ok(())
    }

    fn write(&mut self, seq: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.get(seq)?;
        file.write_all_at(bytes, offset).map_err(named(seq))
    }

    fn sync(&mut self, seq: u64) -> io::Result<()> {
        match self.faults.hit(Point::WalSync)? {
            Verdict::Honest => self.files.get(seq)?.sync_data().map_err(named(seq)),
            Verdict::Lie => Ok(()),
        }
    }

    fn mark(&mut self, seq: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.faults.hit(Point::WalMark)?;
        self.write(seq, offset, bytes)
    }

    fn scrub(&mut self, seq: u64, offset: u64) -> io::Result<()> {
        let file = self.files.get(seq)?;
        let mut file = &*file;
        file.seek(SeekFrom::Start(offset))?;
        let rest = file.metadata()?.len() - offset;
        write_zeros(file, rest, || Ok(())).map_err(named(seq))
    }
}
