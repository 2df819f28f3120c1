//! Group commit: one thread makes the log durable. While it waits for one sync, further records gather and share
//! the next one.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::IOFlushed;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::edge::metrics::Metrics;
use crate::edge::wal::Opened;
use crate::edge::wal::files::{Disk, Files};
use crate::edge::wal::pool::{Pool, Space};
use crate::faults::{Faults, Point, Verdict};
use crate::raft::Types;
use crate::wal::commit::{Medium, commit};
use crate::wal::writer::{Batch, Source, Writer};
use crate::wal::{Position, State, Vote};

/// How long a lie about a write goes unwritten.
const LIE: Duration = Duration::from_millis(30);

/// Reports the first failed write or sync. It is never retried: what an fsync that failed once
/// left on the disk is unknown.
pub(crate) type OnFault = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// The log, as its users and its thread share it.
pub(crate) struct Group {
    inner: Mutex<Inner>,
    work: Condvar,
    files: Arc<Files>,
    pool: Arc<Pool>,
    faults: Faults,
    released: CancellationToken,
    on_fault: OnFault,
    metrics: Metrics,
}

struct Inner {
    writer: Writer,
    waiting: Vec<Waiter>,
    /// A vote that was said to be durable and is not, and how many batches go before it.
    lie: Option<(Vote, u8)>,
    fault: Option<String>,
    closed: bool,
}

/// Somebody who must know when everything written before is durable.
pub(crate) enum Waiter {
    Raft(IOFlushed<Types>),
    Caller(oneshot::Sender<io::Result<()>>),
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
            lie: None,
            fault: None,
            closed: false,
        };
        let group = Arc::new(Self {
            inner: Mutex::new(inner),
            work: Condvar::new(),
            files: Arc::clone(&disk.files),
            pool: Arc::clone(&disk.pool),
            faults: disk.faults.clone(),
            released: CancellationToken::new(),
            on_fault,
            metrics,
        });
        let pool = Arc::clone(&disk.pool);
        let preparer = thread("stoa-log-ahead", move || pool.run())?;
        let worker = Arc::clone(&group);
        thread("stoa-log-sync", move || {
            worker.run(disk);
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

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Adds records to the next batch. The waiter is told when it is durable. An error stops the log.
    pub(crate) fn write(
        &self,
        waiter: Option<Waiter>,
        write: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut inner = self.lock();
        inner.healthy()?;
        if let Err(error) = write(&mut inner.writer) {
            drop(inner);
            return Err(self.fail(error));
        }
        inner.waiting.extend(waiter);
        drop(inner);
        self.work.notify_one();
        Ok(())
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

    fn run(&self, mut disk: Disk) {
        let (mut batch, mut waiters) = (Batch::default(), Vec::new());
        while let Some(healthy) = self.next(&mut batch, &mut waiters) {
            let awaited = waiters.len();
            let result = healthy.and_then(|()| {
                let write = || self.write_batch(&mut disk, &batch, &mut waiters);
                let started = Instant::now();
                let written = catch_unwind(AssertUnwindSafe(write))
                    .unwrap_or_else(|_| Err(io::Error::other("the log's writer panicked")));
                let bytes = batch.bytes.len() as u64;
                self.metrics.log_synced(started.elapsed(), bytes, awaited);
                written
            });
            self.finish(&batch, &mut waiters, result);
        }
        if let Err(error) = self.end(&mut disk, &mut batch) {
            tracing::warn!(%error, "the log's end could not be marked; nothing is lost by it");
        }
    }

    /// Waits for work. None when the log is closed and nothing is left.
    fn next(&self, batch: &mut Batch, waiters: &mut Vec<Waiter>) -> Option<io::Result<()>> {
        let mut inner = self.lock();
        while inner.writer.is_idle() && inner.waiting.is_empty() {
            if inner.closed {
                return None;
            }
            let woken = self.work.wait(inner);
            inner = woken.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut inner.waiting, waiters);
        batch.clear();
        if !inner.writer.is_idle() {
            inner.tell_the_truth();
            inner.writer.cut(batch);
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
            complete(waiters, &Ok(()));
            std::thread::sleep(LIE);
        }
        commit(batch, disk)
    }

    fn finish(&self, batch: &Batch, waiters: &mut Vec<Waiter>, result: io::Result<()>) {
        let result = result.map_err(|error| self.fail(error));
        complete(waiters, &result);
        if result.is_err() {
            return;
        }
        let mut inner = self.lock();
        inner.writer.written(batch.number);
        let (_, used) = inner.writer.end();
        drop(inner);
        self.pool.used(used);
        if let Some(below) = batch.free_below {
            self.pool.retire(&self.files.take_below(below));
        }
    }

    /// Leaves nothing unmarked, so that at the next start every damage shows.
    fn end(&self, disk: &mut Disk, batch: &mut Batch) -> io::Result<()> {
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

fn complete(waiters: &mut Vec<Waiter>, result: &io::Result<()>) {
    for waiter in waiters.drain(..) {
        let result = match result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        match waiter {
            Waiter::Raft(flushed) => flushed.io_completed(result),
            // The caller may have gone away; the write stands regardless.
            Waiter::Caller(done) => drop(done.send(result)),
        }
    }
}

fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}
