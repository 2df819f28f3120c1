//! Group commit: one thread makes the log durable. While it waits for one sync, further records gather and share
//! the next one.
//!
//! An entry that came alone is made durable by the thread that brought it, once it has nothing else to do, as long as
//! the disk is quick: to wake another thread and be woken by it takes as long as a sync.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::edge::metrics::Metrics;
use crate::edge::wal::files::{Disk, Files};
use crate::edge::wal::pool::{Claim, Pool, Space};
use crate::edge::wal::waiter::{Waiter, complete};
use crate::edge::wal::{Opened, thread};
use crate::faults::{Faults, Point, Verdict};
use crate::wal::commit::{Medium, commit};
use crate::wal::writer::{Batch, Source, Writer};
use crate::wal::{Position, State, Vote};

/// How long a lie about a write goes unwritten.
const LIE: Duration = Duration::from_millis(30);
/// A thread with other duties waits for a disk only if none of the last syncs, so many, took longer than this.
const QUICK: Duration = Duration::from_millis(1);
const QUICK_SYNCS: u32 = 8;
/// Nor for more bytes than these.
const LONE_BYTES_MAX: usize = 64 << 10;

/// Reports the first failed write or sync. It is never retried: what an fsync that failed once
/// left on the disk is unknown.
pub(crate) type OnFault = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// The log, as its users and its thread share it.
pub(crate) struct Group {
    /// Taken before `inner` by whoever makes a batch durable.
    desk: Mutex<Desk>,
    inner: Mutex<Inner>,
    work: Condvar,
    files: Arc<Files>,
    pool: Arc<Pool>,
    faults: Faults,
    released: CancellationToken,
    /// Others wait for what is replicated from here.
    leads: AtomicBool,
    /// The last entry that is durable, of those brought since the start.
    durable: watch::Sender<Position>,
    on_fault: OnFault,
    metrics: Metrics,
}

/// The disk, and the batch on its way there.
struct Desk {
    disk: Disk,
    batch: Batch,
    waiters: Vec<Waiter>,
}

struct Inner {
    writer: Writer,
    waiting: Vec<Waiter>,
    /// Somebody is at the desk.
    busy: bool,
    /// Whoever brought what is gathered will make it durable, so the log's thread need not.
    promised: bool,
    /// The last syncs that were, without one in between that was not.
    quick: u32,
    /// A vote that was said to be durable and is not, and how many batches go before it.
    lie: Option<(Vote, u8)>,
    fault: Option<String>,
    closed: bool,
}

impl Group {
    /// Takes the log and starts its threads, which end after `close`.
    pub(crate) fn start(
        opened: Opened,
        on_fault: OnFault,
        metrics: Metrics,
    ) -> io::Result<Arc<Self>> {
        let Opened { writer, disk, lock } = opened;
        let inner = Inner {
            writer,
            waiting: Vec::new(),
            busy: false,
            promised: false,
            quick: 0,
            lie: None,
            fault: None,
            closed: false,
        };
        let (files, pool) = (Arc::clone(&disk.files), Arc::clone(&disk.pool));
        let faults = disk.faults.clone();
        let desk = Desk {
            disk,
            batch: Batch::default(),
            waiters: Vec::new(),
        };
        let group = Arc::new(Self {
            desk: Mutex::new(desk),
            inner: Mutex::new(inner),
            work: Condvar::new(),
            files,
            pool: Arc::clone(&pool),
            faults,
            released: CancellationToken::new(),
            leads: AtomicBool::new(true),
            durable: watch::Sender::default(),
            on_fault,
            metrics,
        });
        let preparer = thread("stoa-log-ahead", move || pool.run())?;
        let worker = Arc::clone(&group);
        thread("stoa-log-sync", move || {
            worker.run();
            preparer.join().ok();
            drop(lock);
            worker.released.cancel();
        })?;
        Ok(group)
    }

    /// Ends the threads once everything written is durable, or cannot be for lack of space.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.pool.close();
        self.work.notify_all();
    }

    /// Waits until the log's directory is free after `close`.
    pub(crate) async fn closed(&self) {
        self.released.cancelled().await;
    }

    pub(crate) fn state(&self) -> State {
        let inner = self.lock();
        let mut state = inner.writer.state();
        state.vote = inner.lie.map(|(vote, _)| vote).or(state.vote);
        state
    }

    pub(crate) fn space(&self) -> watch::Receiver<Space> {
        self.pool.space()
    }

    /// Whether replication of an entry is to go before its sync.
    pub(crate) fn lead(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
    }

    pub(crate) fn durable(&self) -> watch::Receiver<Position> {
        self.durable.subscribe()
    }

    /// Leaves the disk's space to others.
    pub(crate) fn leave(&self, claim: Claim) {
        self.pool.leave(claim);
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Adds records to the next batch. The waiter is told when it is durable. An error stops the log.
    pub(crate) fn write(
        &self,
        waiter: Option<Waiter>,
        write: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> io::Result<()> {
        let inner = self.add(waiter, write)?;
        // Whoever is at it, or has promised to be, looks again afterwards.
        let seen_to = inner.busy || inner.promised;
        drop(inner);
        if !seen_to {
            self.work.notify_one();
        }
        Ok(())
    }

    /// As `write`, of so many bytes that came alone. To be called from a task: it makes them durable here, and where
    /// this replica leads, once nothing else is to be done, so the replication of the entry goes first.
    pub(crate) fn write_lone(
        self: &Arc<Self>,
        waiter: Waiter,
        bytes: usize,
        write: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut inner = self.lock();
        let idle = inner.is_idle() && !inner.busy && !inner.promised;
        // A lie is told at once, and what it is about is written later: not by who must tell it.
        let here = idle && inner.quick >= QUICK_SYNCS && bytes <= LONE_BYTES_MAX;
        if !here || self.faults.is_armed(Point::WalWrite) {
            drop(inner);
            return self.write(Some(waiter), write);
        }
        inner.promised = true;
        drop(inner);
        let added = self.add(Some(waiter), write).map(drop);
        let group = Arc::clone(self);
        tokio::spawn(async move {
            if group.leads.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
            group.keep_promise();
        });
        added
    }

    fn add(
        &self,
        waiter: Option<Waiter>,
        write: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.lock();
        inner.healthy()?;
        if let Err(error) = write(&mut inner.writer) {
            drop(inner);
            return Err(self.fail(error));
        }
        inner.waiting.extend(waiter);
        Ok(inner)
    }

    fn keep_promise(&self) {
        let mut inner = self.lock();
        inner.promised = false;
        // For the next segment the log may have to wait until there is space.
        let here = !inner.writer.seals();
        drop(inner);
        if here && let Ok(mut desk) = self.desk.try_lock() {
            self.sync(&mut desk);
        }
        // There may be more by now, or the log's thread waited for the promise.
        let rest = !self.lock().is_idle();
        if rest {
            self.work.notify_one();
        }
    }

    /// Written with the next batch that there is anyway.
    pub(crate) fn note_commit(&self, committed: Position) {
        self.lock().writer.commit(committed);
    }

    /// Adds the vote to the batch after the next one, which is wrong on purpose.
    pub(crate) fn lie(&self, vote: Vote) {
        self.lock().lie = Some((vote, 1));
    }

    /// Stops the log for this reason.
    pub(crate) fn fail(&self, error: io::Error) -> io::Error {
        let mut inner = self.lock();
        let first = inner.fault.replace(error.to_string()).is_none();
        let expected = inner.closed;
        drop(inner);
        if first && !expected {
            (self.on_fault)(&error);
        }
        error
    }

    pub(crate) fn find(&self, from: u64, to: u64, bytes_max: usize) -> Vec<(Position, Source)> {
        self.lock().writer.find(from, to, bytes_max)
    }

    /// The last entry that has more than this many bytes of the log between it and the entry `at`.
    pub(crate) fn behind(&self, at: u64, bytes: u64) -> Option<u64> {
        self.lock().writer.behind(at, bytes)
    }

    /// The entry's payload. Blocks while the disk is read.
    pub(crate) fn load(&self, at: Position, source: Source) -> io::Result<Bytes> {
        let place = match source {
            Source::Memory(payload) => return Ok(payload),
            Source::Disk(place) => place,
        };
        self.files.read(at, place).map_err(|error| {
            if self.lock().writer.holds(at, place) {
                error
            } else {
                let gone = format!("entry {} was purged while it was read", at.1);
                io::Error::new(io::ErrorKind::NotFound, gone)
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding the lock is a fault of this process; the log on disk is intact.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while self.has_work() {
            self.sync(&mut self.desk());
        }
        if let Err(error) = self.end(&mut self.desk()) {
            tracing::warn!(%error, "the log's end could not be marked; nothing is lost by it");
        }
    }

    /// Waits for work. False when the log is closed and nothing is left.
    fn has_work(&self) -> bool {
        let mut inner = self.lock();
        loop {
            // The task that made the promise may have ended with its runtime.
            match inner.is_idle() {
                false if !inner.promised || inner.closed => return true,
                true if inner.closed => return false,
                _ => {}
            }
            let woken = self.work.wait(inner);
            inner = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes durable what is gathered, if anything is.
    fn sync(&self, desk: &mut Desk) {
        let Some(healthy) = self.take(desk) else {
            return;
        };
        let Desk {
            disk,
            batch,
            waiters,
        } = desk;
        let awaited = waiters.len();
        let started = Instant::now();
        let result = healthy.and_then(|()| {
            let write = || self.write_batch(disk, batch, waiters);
            let written = catch_unwind(AssertUnwindSafe(write))
                .unwrap_or_else(|_| Err(io::Error::other("the log's writer panicked")));
            let bytes = batch.bytes.len() as u64;
            self.metrics.log_synced(started.elapsed(), bytes, awaited);
            written
        });
        self.finish(batch, waiters, result, started.elapsed() < QUICK);
    }

    /// None when nothing is gathered: somebody else was faster.
    fn take(&self, desk: &mut Desk) -> Option<io::Result<()>> {
        let mut inner = self.lock();
        if inner.is_idle() {
            return None;
        }
        inner.busy = true;
        std::mem::swap(&mut inner.waiting, &mut desk.waiters);
        desk.batch.clear();
        if !inner.writer.is_idle() {
            inner.tell_the_truth();
            inner.writer.cut(&mut desk.batch);
        }
        Some(inner.unbroken())
    }

    fn write_batch(
        &self,
        disk: &mut Disk,
        batch: &Batch,
        waiters: &mut Vec<Waiter>,
    ) -> io::Result<()> {
        if self.faults.hit(Point::WalWrite)? == Verdict::Lie {
            complete(waiters, &Ok(()), &self.durable);
            std::thread::sleep(LIE);
        }
        commit(batch, disk)
    }

    fn finish(
        &self,
        batch: &Batch,
        waiters: &mut Vec<Waiter>,
        result: io::Result<()>,
        quick: bool,
    ) {
        let result = result.map_err(|error| self.fail(error));
        complete(waiters, &result, &self.durable);
        let mut inner = self.lock();
        inner.busy = false;
        inner.quick = u32::from(quick) * inner.quick.saturating_add(1);
        if result.is_err() {
            return;
        }
        inner.writer.written(batch.number);
        let (_, used) = inner.writer.end();
        drop(inner);
        self.pool.used(used);
        if let Some(below) = batch.free_below {
            self.pool.retire(&self.files.take_below(below));
        }
    }

    /// Leaves nothing unmarked, so that at the next start every damage shows.
    fn end(&self, Desk { disk, batch, .. }: &mut Desk) -> io::Result<()> {
        let mut inner = self.lock();
        inner.unbroken()?;
        inner.writer.flush_commit();
        batch.clear();
        if !inner.writer.is_idle() {
            inner.writer.cut(batch);
        }
        let (seq, _) = inner.writer.end();
        drop(inner);
        commit(batch, disk)?;
        disk.sync(seq)
    }
}

impl Inner {
    fn is_idle(&self) -> bool {
        self.writer.is_idle() && self.waiting.is_empty()
    }

    fn healthy(&self) -> io::Result<()> {
        if self.closed {
            return Err(io::Error::other("the log is closed"));
        }
        self.unbroken()
    }

    fn unbroken(&self) -> io::Result<()> {
        match &self.fault {
            Some(fault) => Err(io::Error::other(format!("the log failed before: {fault}"))),
            None => Ok(()),
        }
    }

    /// Writes the vote of a lie when its time has come.
    fn tell_the_truth(&mut self) {
        match &mut self.lie {
            Some((vote, 0)) => {
                self.writer.vote(*vote);
                self.lie = None;
            }
            Some((_, batches)) => *batches -= 1,
            None => {}
        }
    }
}
