//! The log's directory: its files, who holds them, and how it is made and opened.

pub(crate) mod files;
pub(crate) mod group;
pub(crate) mod pool;
pub(crate) mod waiter;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::edge::files::sync_dir;
use crate::faults::{Faults, Point};
use crate::wal::commit::resume;
use crate::wal::replay::{PEEK_BYTES, Replay};
use crate::wal::writer::{Writer, first_bytes};
use crate::wal::{self, FIRST, Position};
use files::{Disk, Files, named};
use pool::Pool;

const LOCK: &str = "lock";
/// Segments under other names: not yet made, no longer used.
const FRESH: &str = "new";
const SPARE: &str = "spare-";

/// An open log. The directory is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) writer: Writer,
    pub(crate) disk: Disk,
    lock: File,
}

/// Makes an empty log unless there is one. With `purged` it goes on behind that position. Blocks.
pub(crate) fn ensure(dir: &Path, segment_bytes: u64, purged: Option<Position>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if segments(dir)?.is_empty() {
        pool::make(
            dir,
            FIRST,
            segment_bytes,
            &first_bytes(segment_bytes, purged),
            |_| Ok(()),
        )?;
    }
    match dir.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Opens a log, and fails with `WouldBlock` when somebody has it open. Blocks while every record is read.
pub(crate) fn open(dir: &Path, faults: &Faults) -> io::Result<Opened> {
    let lock = lock(dir)?;
    remove_leftovers(dir)?;
    let seqs = segments(dir)?;
    let mut replay = Replay::new();
    let mut buffer = Vec::new();
    for seq in &seqs {
        faults.hit(Point::WalOpen)?;
        let len = read(dir, *seq, replay.has_ended(), &mut buffer).map_err(named(*seq))?;
        let taken = replay.take(*seq, len, &buffer);
        taken.map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
    }
    drop(buffer);
    let recovered = replay
        .finish()
        .map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
    let (end, segment_bytes) = (recovered.seq, recovered.segment_bytes);

    let (begun, ready): (Vec<u64>, Vec<u64>) = seqs.into_iter().partition(|seq| *seq <= end);
    let files = Arc::new(Files::open(dir, &begun)?);
    let pool = Pool::open(dir, segment_bytes, faults.clone(), end, &ready)?;
    let mut disk = Disk::new(Arc::clone(&files), Arc::new(pool), Faults::default());
    let writer = resume(recovered, &mut disk)?;
    disk.faults = faults.clone();
    Ok(Opened { writer, disk, lock })
}

fn lock(dir: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What a crash may leave when a segment was being made or removed.
fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let spare = name.to_string_lossy().starts_with(SPARE);
        if spare || entry.path().extension().is_some_and(|it| it == FRESH) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The numbers of all segments, in order.
fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    let mut seqs = Vec::new();
    for entry in fs::read_dir(dir)? {
        seqs.extend(entry?.file_name().to_str().and_then(wal::seq));
    }
    seqs.sort_unstable();
    Ok(seqs)
}

/// Reads the segment, or only its beginning, and returns its length.
fn read(dir: &Path, seq: u64, peek: bool, buffer: &mut Vec<u8>) -> io::Result<u64> {
    let mut file = File::open(dir.join(wal::name(seq)))?;
    let len = file.metadata()?.len();
    buffer.clear();
    if peek {
        file.take(PEEK_BYTES as u64).read_to_end(buffer)?;
    } else {
        buffer.reserve_exact(usize::try_from(len).unwrap_or(0));
        file.read_to_end(buffer)?;
    }
    Ok(len)
}

/// Writes zeros from the present position on, with a break after each part.
fn write_zeros(
    mut file: impl Write,
    mut bytes: u64,
    mut breathe: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let zeros = vec![0; 256 << 10];
    while bytes > 0 {
        breathe()?;
        let part = bytes.min(zeros.len() as u64);
        file.write_all(&zeros[..part as usize])?;
        bytes -= part;
    }
    Ok(())
}

fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}
