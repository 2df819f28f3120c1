//! openraft's log storage over the write-ahead log, with group commit.
//!
//! `append` returns as soon as the entries are readable. One thread makes the log durable: while it
//! waits for one fdatasync, further appends gather and share the next one.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::edge::wal::{Position, Wal, WalVote};
use crate::raft::{self, Entry, EntryPayload, LogId, Types, Vote};

/// One AppendEntries carries about this much; the first entry is always sent whole.
const READ_BYTES_MAX: usize = 1 << 20;

/// Reports the first failed write or sync. It is never retried: what an fsync that failed once
/// left on the disk is unknown.
type OnFault = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// Clones share one log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    work: Condvar,
    released: CancellationToken,
    on_fault: OnFault,
}

struct Inner {
    /// None once closed, which releases the log's files.
    wal: Option<Box<dyn Wal>>,
    waiting: Vec<Waiter>,
    fault: Option<String>,
    closed: bool,
}

/// Somebody who must know when everything written before is durable.
enum Waiter {
    Raft(IOFlushed<Types>),
    Caller(oneshot::Sender<io::Result<()>>),
    /// Nobody; the sync itself is wanted, so that purged chunks are removed.
    Nobody,
}

impl Debug for LogStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStore").finish_non_exhaustive()
    }
}

impl LogStore {
    /// Takes the log and starts its sync thread, which ends after `close`.
    pub(crate) fn new(wal: Box<dyn Wal>, on_fault: OnFault) -> io::Result<Self> {
        let inner = Inner {
            wal: Some(wal),
            waiting: Vec::new(),
            fault: None,
            closed: false,
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            work: Condvar::new(),
            released: CancellationToken::new(),
            on_fault,
        });
        let worker = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("stoa-log-sync".into())
            .spawn(move || worker.sync_until_closed())?;
        Ok(Self { shared })
    }

    /// Ends the sync thread once everything written is durable.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }

    /// Waits until the log's files are released after `close`.
    pub(crate) async fn closed(&self) {
        self.shared.released.cancelled().await;
    }

    fn write(
        &self,
        waiter: Option<Waiter>,
        write: impl FnOnce(&mut dyn Wal) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut inner = self.shared.lock();
        inner.healthy()?;
        if let Err(error) = inner.wal().and_then(write) {
            inner.fault = Some(error.to_string());
            drop(inner);
            (self.shared.on_fault)(&error);
            return Err(error);
        }
        if let Some(waiter) = waiter {
            inner.waiting.push(waiter);
            drop(inner);
            self.shared.work.notify_one();
        }
        Ok(())
    }

    async fn write_durably(
        &self,
        write: impl FnOnce(&mut dyn Wal) -> io::Result<()>,
    ) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.write(Some(Waiter::Caller(done)), write)?;
        wait.await.map_err(io::Error::other)?
    }

    fn read(&self, range: &impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (from, to) = half_open(range);
        let stored = self.shared.lock().wal()?.read(from, to, bytes_max)?;
        stored
            .into_iter()
            .map(|(at, bytes)| decode(at, &bytes))
            .collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding the lock is a fault of this process; the log on disk is intact.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_until_closed(&self) {
        loop {
            let mut inner = self.lock();
            while inner.waiting.is_empty() {
                if inner.closed {
                    let wal = inner.wal.take();
                    drop(inner);
                    // Joins the log's own thread, so not under the lock.
                    drop(wal);
                    self.released.cancel();
                    return;
                }
                inner = self
                    .work
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let batch = std::mem::take(&mut inner.waiting);
            let (done, wait) = sync_channel(1);
            let started = inner.healthy().and_then(|()| inner.wal()?.sync(done));
            drop(inner);
            let result = started.and_then(|()| {
                wait.recv()
                    .unwrap_or_else(|gone| Err(io::Error::other(gone)))
            });
            self.finish(batch, &result);
        }
    }

    fn finish(&self, batch: Vec<Waiter>, result: &io::Result<()>) {
        if let Err(error) = result {
            let first = self.lock().fault.replace(error.to_string()).is_none();
            if first {
                (self.on_fault)(error);
            }
        }
        for waiter in batch {
            waiter.complete(copy(result));
        }
    }
}

impl Inner {
    fn wal(&mut self) -> io::Result<&mut (dyn Wal + 'static)> {
        self.wal
            .as_deref_mut()
            .ok_or_else(|| io::Error::other("the log is closed"))
    }

    fn healthy(&self) -> io::Result<()> {
        match &self.fault {
            Some(fault) => Err(io::Error::other(format!("the log failed before: {fault}"))),
            None => Ok(()),
        }
    }
}

impl Waiter {
    fn complete(self, result: io::Result<()>) {
        match self {
            Self::Raft(flushed) => flushed.io_completed(result),
            // The caller may have gone away; the write stands regardless.
            Self::Caller(done) => drop(done.send(result)),
            Self::Nobody => {}
        }
    }
}

/// Makes the log fit a state that came from a peer: entries it contradicts or covers go.
pub(crate) fn align(wal: &mut dyn Wal, applied: Option<LogId>) -> io::Result<()> {
    let Some(applied) = applied.map(position) else {
        return Ok(());
    };
    let state = wal.state();
    let here = wal.read(applied.1, applied.1 + 1, 1)?;
    let contradicts = here.first().is_some_and(|(at, _)| *at != applied);
    if contradicts {
        wal.truncate(state.purged.map_or(0, |(_, index)| index + 1))?;
    }
    if state.purged < Some(applied) {
        wal.purge(applied)?;
    }
    let (done, wait) = sync_channel(1);
    wal.sync(done)?;
    wait.recv().map_err(io::Error::other)?
}

fn copy(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => index + 1,
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to.max(from))
}

fn position(id: LogId) -> Position {
    (id.leader_id.term, id.index)
}

fn id((term, index): Position) -> LogId {
    raft::log_id(term, index)
}

fn encode(entry: &Entry) -> io::Result<(Position, Bytes)> {
    let bytes = postcard::to_stdvec(&entry.payload).map_err(io::Error::other)?;
    Ok((position(entry.log_id), Bytes::from(bytes)))
}

fn decode(at: Position, bytes: &[u8]) -> io::Result<Entry> {
    let payload: EntryPayload = postcard::from_bytes(bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Entry {
        log_id: id(at),
        payload,
    })
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.read(&range, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.lock().wal()?.state().vote.map(|vote| {
            if vote.committed {
                Vote::new_committed(vote.term, vote.node)
            } else {
                Vote::new(vote.term, vote.node)
            }
        }))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(&(start..end), READ_BYTES_MAX)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.shared.lock().wal()?.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(id),
            last_log_id: state.last.map(id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = WalVote {
            term: vote.leader_id.term,
            committed: vote.committed,
            node: vote.leader_id.voted_for,
        };
        self.write_durably(|wal| wal.save_vote(vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        match committed {
            Some(committed) => self.write(None, |wal| wal.save_committed(position(committed))),
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.lock().wal()?.state().committed.map(id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries
            .into_iter()
            .map(|entry| encode(&entry))
            .collect::<io::Result<_>>()?;
        self.write(Some(Waiter::Raft(callback)), |wal| wal.append(entries))
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |last| last.index + 1);
        self.write_durably(|wal| wal.truncate(from)).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.write(Some(Waiter::Nobody), |wal| wal.purge(position(log_id)))
    }
}
