//! openraft's log storage over the write-ahead log, with group commit.
//!
//! `append` returns as soon as the entries are readable; its callback completes when they are durable.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::{oneshot, watch};

use crate::edge::idle_poll::IdlePoll;
use crate::edge::metrics::Metrics;
use crate::edge::outbox::{HELD_MAX, is_lone};
use crate::edge::wal::Opened;
use crate::edge::wal::group::{Group, OnFault};
use crate::edge::wal::pool::{Claim, Space};
use crate::edge::wal::waiter::Waiter;
use crate::faults::{Point, Verdict};
use crate::raft::{self, Entry, EntryPayload, LogId, Types, Vote};
use crate::wal::writer::{Source, Writer};
use crate::wal::{self, Position, State};

/// One AppendEntries carries about this much; the first entry is always sent whole.
const READ_BYTES_MAX: usize = 1 << 20;

/// Clones share one log.
#[derive(Clone)]
pub(crate) struct LogStore {
    group: Arc<Group>,
    idle_poll: IdlePoll,
}

/// Closes the log when it is dropped, unless it is told to keep it open.
pub(crate) struct Closing(Option<LogStore>);

impl Debug for LogStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStore").finish_non_exhaustive()
    }
}

impl Closing {
    pub(crate) fn keep_open(mut self) {
        self.0 = None;
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(log) = &self.0 {
            log.close();
        }
    }
}

impl LogStore {
    /// Takes the log and starts its threads, which end after `close`.
    pub(crate) fn new(opened: Opened, on_fault: OnFault, metrics: Metrics) -> io::Result<Self> {
        Group::start(opened, on_fault, metrics).map(|group| Self {
            group,
            idle_poll: IdlePoll::default(),
        })
    }

    /// The same log, whose lone entries are known there.
    pub(crate) fn polling(self, idle_poll: IdlePoll) -> Self {
        Self { idle_poll, ..self }
    }

    /// Ends the log's threads once everything written is durable, or cannot be for lack of space.
    pub(crate) fn close(&self) {
        self.group.close();
    }

    /// Waits until the log's directory is free after `close`.
    pub(crate) async fn closed(&self) {
        self.group.closed().await;
    }

    pub(crate) fn closing(&self) -> Closing {
        Closing(Some(self.clone()))
    }

    /// The ends of the log, and what is saved beside it.
    pub(crate) fn state(&self) -> State {
        self.group.state()
    }

    /// The last entry that has more than this many bytes of the log between it and the entry `at`.
    pub(crate) fn behind(&self, at: u64, bytes: u64) -> Option<u64> {
        self.group.behind(at, bytes)
    }

    /// Whether the log has room to go on. A log without room waits; it is no fault.
    pub(crate) fn space(&self) -> watch::Receiver<Space> {
        self.group.space()
    }

    /// Whether replication of an entry is to go before its sync here.
    pub(crate) fn lead(&self, leads: bool) {
        self.group.lead(leads);
    }

    /// The last entry that is durable, of those brought since the start.
    pub(crate) fn durable(&self) -> watch::Receiver<Position> {
        self.group.durable()
    }

    /// Leaves the disk's space to others.
    pub(crate) fn leave(&self, claim: Claim) {
        self.group.leave(claim);
    }

    /// Makes the log fit a state that came from a peer: entries it contradicts or covers go.
    pub(crate) async fn align(&self, applied: Option<LogId>) -> io::Result<()> {
        let Some(applied) = applied.map(position) else {
            return Ok(());
        };
        let state = self.state();
        let here = self.group.find(applied.1, applied.1 + 1, 1);
        let contradicts = here.first().is_some_and(|(at, _)| *at != applied);
        self.write_durably(|log| {
            if contradicts {
                log.truncate(state.purged.map_or(0, |(_, index)| index + 1))
                    .map_err(refused)?;
            }
            log.purge(applied).map_err(refused)
        })
        .await
    }

    /// Appends and has the callback completed when it is durable.
    pub(crate) fn append_then(
        &self,
        entries: &[(Position, Bytes)],
        waiter: Waiter,
    ) -> io::Result<()> {
        self.group
            .write(Some(waiter), |log| log.append(entries).map_err(refused))
    }

    /// Purges, without waiting for it to be durable.
    pub(crate) fn forget(&self, upto: Position) -> io::Result<()> {
        self.group
            .write(None, |log| log.purge(upto).map_err(refused))
    }

    async fn write_durably(
        &self,
        write: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.group.write(Some(Waiter::Caller(done)), write)?;
        wait.await.map_err(io::Error::other)?
    }

    async fn read(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (from, to) = half_open(&range);
        drop(range);
        self.group.faults().meet(Point::WalRead).await?;
        let found = self.group.find(from, to, bytes_max);
        let in_memory = |(_, source): &(_, Source)| matches!(source, Source::Memory(_));
        if found.iter().all(in_memory) {
            return load(&self.group, found);
        }
        let group = Arc::clone(&self.group);
        tokio::task::spawn_blocking(move || load(&group, found))
            .await
            .map_err(io::Error::other)?
    }
}

fn load(group: &Group, found: Vec<(Position, Source)>) -> io::Result<Vec<Entry>> {
    let entry = |(at, source)| decode(at, &group.load(at, source)?);
    found.into_iter().map(entry).collect()
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
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

pub(crate) fn position(id: LogId) -> Position {
    (id.leader_id.term, id.index)
}

pub(crate) fn log_id_at((term, index): Position) -> LogId {
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
        log_id: log_id_at(at),
        payload,
    })
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.read(range, usize::MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.state().vote.map(|vote| {
            if vote.committed {
                Vote::new_committed(vote.term, vote.node)
            } else {
                Vote::new(vote.term, vote.node)
            }
        }))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, READ_BYTES_MAX).await
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(log_id_at),
            last_log_id: state.last.map(log_id_at),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = wal::Vote {
            term: vote.leader_id.term,
            committed: vote.committed,
            node: vote.leader_id.voted_for,
        };
        match self.group.faults().meet(Point::WalVote).await {
            Ok(Verdict::Honest) => {}
            Ok(Verdict::Lie) => {
                self.group.lie(vote);
                return Ok(());
            }
            Err(error) => return Err(self.group.fail(error)),
        }
        self.write_durably(|log| {
            log.vote(vote);
            Ok(())
        })
        .await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.group.note_commit(position(committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.state().committed.map(log_id_at))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut encoded, mut lone) = (Vec::new(), true);
        for entry in entries {
            lone &= is_lone(&entry);
            encoded.push(encode(&entry)?);
        }
        // A follower has some at once that were kept back from it while they were others'.
        lone &= encoded.len() <= HELD_MAX;
        let Some(&(last, _)) = encoded.last() else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let waiter = Waiter::Raft(callback, last);
        if lone {
            self.idle_poll.lone();
            let bytes = encoded.iter().map(|(_, payload)| payload.len()).sum();
            let append = |log: &mut Writer| log.append(&encoded).map_err(refused);
            self.group.write_lone(waiter, bytes, append)
        } else {
            self.idle_poll.crowd();
            self.append_then(&encoded, waiter)
        }
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |last| last.index + 1);
        self.write_durably(|log| log.truncate(from).map(drop).map_err(refused))
            .await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.forget(position(log_id))
    }
}
