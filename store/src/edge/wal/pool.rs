//! Segments ahead of need, made by a thread of their own: recycled from purged ones, or filled with zeros. Only here
//! can the disk be full, and that is no fault: it is tried again until there is space.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::edge::files::{self, is_full, sync_dir};
use crate::edge::wal::files::{named, open_segment};
use crate::edge::wal::{FRESH, SPARE, write_zeros};
use crate::faults::{Faults, Point};
use crate::wal;

/// One is used up while the next is made. It is also what is left when the disk is full: what makes room must still
/// be written then.
const READY: usize = 2;
/// Segments are kept ready once this part of the one in use is taken. A log that stays almost empty,
/// as most do in tests, costs one segment.
const WANTED_PART: u64 = 8;
/// From here on the next one is made as fast as the disk allows.
const HURRIED_PART: u64 = 2;
/// Purged segments kept for reuse; purges come in bursts.
const SPARES: usize = 2;
/// While segments are filled with zeros or removed, the log's own syncs have the disk for so many times as long as each
/// part took.
const RESTS: u32 = 3;
const REST_MAX: Duration = Duration::from_millis(50);
/// Space is freed by others, without a word.
const RETRY: Duration = Duration::from_millis(500);

/// Whether the log has room to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Ample,
    /// No new segments are made, but the log finds what it needs among those purged.
    Tight,
    /// The next segments could not be made. What is there will do for a while.
    Low,
    /// Nothing can be written until there is space.
    Exhausted,
}

/// What others need of the disk's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Nothing,
    /// What is left, later. A segment may be made of it that the log cannot go on without: not even what makes room
    /// could be written.
    Later,
    /// What is left, now.
    Now,
}

/// Segments not in use.
#[derive(Debug)]
pub(crate) struct Pool {
    dir: PathBuf,
    segment_bytes: u64,
    faults: Faults,
    stock: Mutex<Stock>,
    changed: Condvar,
    space: watch::Sender<Space>,
}

#[derive(Debug)]
struct Stock {
    ready: VecDeque<(u64, Arc<File>)>,
    /// The number the next one to be made gets.
    next: u64,
    /// Purged segments, oldest first.
    retired: VecDeque<u64>,
    /// Purged segments under their other name.
    spares: VecDeque<u64>,
    /// The log is in real use, so it is worth having segments ready.
    wanted: bool,
    /// The log will need the next one soon.
    hurried: bool,
    /// The log waits for one.
    awaited: bool,
    /// While others need the space, purged segments are used again.
    claim: Claim,
    /// Why the last attempt to make one failed.
    failed: Option<io::Error>,
    /// Failed attempts so far.
    failures: u64,
    /// Nothing is tried before the pause is over.
    paused: bool,
    closed: bool,
}

enum Job {
    Retire(u64),
    Make(u64),
}

impl Pool {
    /// The pool of a log whose last segment in use is `end`.
    pub(crate) fn open(
        dir: &Path,
        segment_bytes: u64,
        faults: Faults,
        end: u64,
        ready: &[u64],
    ) -> io::Result<Self> {
        let open = |seq: &u64| Ok((*seq, Arc::new(open_segment(dir, *seq)?)));
        let stock = Stock {
            ready: ready.iter().map(open).collect::<io::Result<_>>()?,
            next: ready.last().unwrap_or(&end) + 1,
            retired: VecDeque::new(),
            spares: VecDeque::new(),
            wanted: false,
            hurried: false,
            awaited: false,
            claim: Claim::Nothing,
            failed: None,
            failures: 0,
            paused: false,
            closed: false,
        };
        Ok(Self {
            dir: dir.to_owned(),
            segment_bytes,
            faults,
            stock: Mutex::new(stock),
            changed: Condvar::new(),
            space: watch::Sender::new(Space::Ample),
        })
    }

    pub(crate) fn space(&self) -> watch::Receiver<Space> {
        self.space.subscribe()
    }

    /// So much of the segment in use is taken. Told after every sync, so whoever makes segments is woken only when
    /// that says something new.
    pub(crate) fn used(&self, bytes: u64) {
        let hurried = bytes >= self.segment_bytes / HURRIED_PART;
        let stock = self.lock();
        let wanted = stock.wanted || bytes >= self.segment_bytes / WANTED_PART;
        let is_new = (stock.wanted, stock.hurried) != (wanted, hurried);
        drop(stock);
        if is_new {
            self.change(|stock| (stock.wanted, stock.hurried) = (wanted, hurried));
        }
    }

    /// Takes back purged segments, oldest first.
    pub(crate) fn retire(&self, seqs: &[u64]) {
        self.change(|stock| {
            stock.retired.extend(seqs);
            stock.paused = false;
        });
    }

    /// Leaves the space to others.
    pub(crate) fn leave(&self, claim: Claim) {
        self.change(|stock| {
            stock.paused &= stock.claim == claim;
            stock.claim = claim;
        });
    }

    /// The segment with this number, which is the next. Waits for space; fails when the log is closed, or when the
    /// segment cannot be made for another reason.
    pub(crate) fn take(&self, seq: u64) -> io::Result<Arc<File>> {
        self.change(|stock| {
            stock.awaited = stock.ready.is_empty();
            stock.paused &= !stock.awaited;
        });
        let mut stock = self.lock();
        let failures = stock.failures;
        loop {
            if let Some((ready, file)) = stock.ready.pop_front() {
                stock.awaited = false;
                drop(stock);
                self.change(|_| {});
                let expected = ready == seq;
                return expected.then_some(file).ok_or_else(|| {
                    io::Error::other(format!("{} is ready, not the next", wal::name(ready)))
                });
            }
            if stock.closed {
                return Err(io::Error::other("the log is closed"));
            }
            if let Some(error) = stock.failed.as_ref().filter(|error| !is_full(error))
                && stock.failures > failures
            {
                return Err(io::Error::new(error.kind(), error.to_string()));
            }
            stock = self.wait(stock);
        }
    }

    pub(crate) fn close(&self) {
        self.change(|stock| stock.closed = true);
    }

    /// Makes and removes segments until the pool is closed.
    pub(crate) fn run(&self) {
        while let Some(job) = self.next_job() {
            match job {
                Job::Retire(seq) => {
                    let began = Instant::now();
                    self.retired(seq, || self.retire_one(seq));
                    self.rest(began);
                }
                Job::Make(seq) => self.made(seq, || self.make_one(seq)),
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut stock = self.lock();
        loop {
            if stock.closed {
                return None;
            }
            if let Some(job) = stock.job() {
                return Some(job);
            }
            if stock.paused {
                let waited = self.changed.wait_timeout(stock, RETRY);
                let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                stock = woken;
                stock.paused &= !timeout.timed_out();
            } else {
                stock = self.wait(stock);
            }
        }
    }

    fn retired(&self, seq: u64, retire: impl FnOnce() -> io::Result<bool>) {
        let retired = guarded(retire);
        self.change(|stock| match retired {
            Ok(spare) => stock.spares.extend(spare.then_some(seq)),
            Err(error) => {
                tracing::warn!(%error, "a purged segment of the log cannot be removed");
                stock.retired.push_front(seq);
                stock.paused = true;
            }
        });
    }

    /// Removes the segment's name from the log first, then its content. True when it became a spare.
    fn retire_one(&self, seq: u64) -> io::Result<bool> {
        self.faults.hit(Point::WalPurge)?;
        let spare = self.lock().spares.len() < SPARES;
        let path = self.dir.join(wal::name(seq));
        if spare {
            fs::rename(path, self.spare(seq)).map_err(named(seq))?;
        } else {
            fs::remove_file(path).map_err(named(seq))?;
        }
        sync_dir(&self.dir)?;
        Ok(spare)
    }

    fn made(&self, seq: u64, make: impl FnOnce() -> io::Result<File>) {
        let made = guarded(make);
        self.change(|stock| match made {
            Ok(file) => {
                stock.ready.push_back((seq, Arc::new(file)));
                stock.next = seq + 1;
                stock.failed = None;
            }
            Err(error) => {
                if stock.failed.is_none() && !stock.closed {
                    tracing::warn!(%error, "the next segment of the log cannot be made; it is tried again");
                }
                stock.failed = Some(error);
                stock.failures += 1;
                stock.paused = true;
            }
        });
    }

    fn make_one(&self, seq: u64) -> io::Result<File> {
        self.faults.hit(Point::WalSegment)?;
        let spare = self.lock().spares.pop_front();
        match spare {
            Some(spare) => {
                fs::rename(self.spare(spare), self.dir.join(wal::name(seq)))?;
                sync_dir(&self.dir)?;
            }
            None => {
                self.unclaimed()?;
                files::require(&self.dir, self.segment_bytes)?;
                make(&self.dir, seq, self.segment_bytes, &[], |file| {
                    self.breathe(file)
                })?;
            }
        }
        open_segment(&self.dir, seq)
    }

    fn breathe(&self, file: &File) -> io::Result<()> {
        if self.lock().closed {
            return Err(io::Error::other("the log is closed"));
        }
        self.unclaimed()?;
        if !self.hurries() {
            let began = Instant::now();
            file.sync_data()?;
            self.rest(began);
        }
        Ok(())
    }

    fn unclaimed(&self) -> io::Result<()> {
        let stock = self.lock();
        match stock.claim {
            Claim::Nothing => Ok(()),
            Claim::Later if stock.awaited && stock.ready.is_empty() => Ok(()),
            Claim::Later | Claim::Now => {
                let told = "the space that is left is kept for a checkpoint";
                Err(io::Error::new(io::ErrorKind::StorageFull, told))
            }
        }
    }

    /// Leaves the disk to the log's own syncs for most of the time, while there is time.
    fn rest(&self, began: Instant) {
        if !self.hurries() {
            std::thread::sleep((began.elapsed() * RESTS).min(REST_MAX));
        }
    }

    fn hurries(&self) -> bool {
        let stock = self.lock();
        stock.awaited || stock.failed.is_some() || stock.hurried && stock.ready.is_empty()
    }

    fn spare(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{SPARE}{seq:016x}"))
    }

    fn change(&self, change: impl FnOnce(&mut Stock)) {
        let mut stock = self.lock();
        change(&mut stock);
        let space = stock.space();
        self.space
            .send_if_modified(|known| std::mem::replace(known, space) != space);
        drop(stock);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, stock: MutexGuard<'a, Stock>) -> MutexGuard<'a, Stock> {
        let woken = self.changed.wait(stock);
        woken.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    fn job(&mut self) -> Option<Job> {
        if self.paused {
            return None;
        }
        if let Some(seq) = self.retired.pop_front() {
            return Some(Job::Retire(seq));
        }
        let needed = (self.wanted || self.awaited) && self.ready.len() < READY;
        needed.then_some(Job::Make(self.next))
    }

    fn space(&self) -> Space {
        let fails = self.failed.is_some() && (self.awaited || self.ready.len() < READY);
        match (fails, self.awaited) {
            (true, true) => Space::Exhausted,
            (true, false) => Space::Low,
            (false, _) if self.claim != Claim::Nothing => Space::Tight,
            (false, _) => Space::Ample,
        }
    }
}

/// Makes a segment that begins with `head`; the name is there only when the content is durable.
pub(crate) fn make(
    dir: &Path,
    seq: u64,
    segment_bytes: u64,
    head: &[u8],
    breathe: impl Fn(&File) -> io::Result<()>,
) -> io::Result<()> {
    let path = dir.join(wal::name(seq));
    let fresh = path.with_extension(FRESH);
    let written = File::create(&fresh).and_then(|mut file| {
        file.write_all(head)?;
        write_zeros(&file, segment_bytes - head.len() as u64, || breathe(&file))?;
        file.sync_all()
    });
    if let Err(error) = written {
        // It may be what fills the disk.
        fs::remove_file(&fresh).ok();
        return Err(named(seq)(error));
    }
    fs::rename(&fresh, path)?;
    sync_dir(dir)
}

/// A panic is an error like any other to whoever waits for the result.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(io::Error::other("the log's preparer panicked")))
}

#[cfg(test)]
mod tests;
