//! The write-ahead log behind a small trait, and raft-log behind that trait.
//!
//! Everything written is readable at once and durable after the next `sync`. Records are checksummed
//! by raft-log; a damaged log refuses to open, it is never shortened silently.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::codeq::{Decode, Encode};
use raft_log::{Config, RaftLog, Types};

/// Term, then index: the order of log ids.
pub(crate) type Position = (u64, u64);

/// A chunk is pinned in memory until the next begins, so its size is also the log's memory.
const CHUNK_BYTES: usize = 4 << 20;
/// Payloads kept in memory for followers that lag a little and for `apply`.
const CACHE_BYTES: usize = 4 << 20;
/// For the sequential replay of one chunk at start.
const READ_BUFFER_BYTES: usize = 1 << 20;
/// Writers wait above this; far more than one batch of entries.
const QUEUE_BYTES: usize = 256 << 20;

/// A durable vote: term, voted for, granted by a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) struct WalVote {
    pub(crate) term: u64,
    pub(crate) committed: bool,
    pub(crate) node: u64,
}

/// The ends of the log and what is saved beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WalState {
    pub(crate) vote: Option<WalVote>,
    pub(crate) committed: Option<Position>,
    pub(crate) purged: Option<Position>,
    pub(crate) last: Option<Position>,
}

/// What the log store needs of a write-ahead log.
pub(crate) trait Wal: Send + 'static {
    /// The present ends.
    fn state(&self) -> WalState;
    /// Entries with `from <= index < to`, in order, stopping after about `bytes_max` but never
    /// before the first.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<(Position, Bytes)>>;
    fn append(&mut self, entries: Vec<(Position, Bytes)>) -> io::Result<()>;
    /// Removes entries at and after the index.
    fn truncate(&mut self, from: u64) -> io::Result<()>;
    /// Forgets entries up to and including the position, which may lie beyond the end.
    fn purge(&mut self, upto: Position) -> io::Result<()>;
    fn save_vote(&mut self, vote: WalVote) -> io::Result<()>;
    /// Best effort: durable with the next sync that happens anyway.
    fn save_committed(&mut self, committed: Position) -> io::Result<()>;
    /// Starts making everything written so far durable and reports once.
    fn sync(&mut self, done: SyncSender<io::Result<()>>) -> io::Result<()>;
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LogTypes;

/// Payload bytes; raft-log wants a codec of its own.
#[derive(Clone, Debug)]
struct Payload(Bytes);

impl Types for LogTypes {
    type LogId = Position;
    type LogPayload = Payload;
    type Vote = WalVote;
    type Callback = SyncSender<io::Result<()>>;
    type UserData = String;

    fn log_index(log_id: &Position) -> u64 {
        log_id.1
    }

    fn payload_size(payload: &Payload) -> u64 {
        payload.0.len() as u64
    }
}

impl Encode for Payload {
    fn encode<W: io::Write>(&self, mut w: W) -> io::Result<usize> {
        let len = u32::try_from(self.0.len()).map_err(io::Error::other)?;
        w.write_all(&len.to_be_bytes())?;
        w.write_all(&self.0)?;
        Ok(4 + self.0.len())
    }
}

impl Decode for Payload {
    fn decode<R: io::Read>(mut r: R) -> io::Result<Self> {
        let mut len = [0; 4];
        r.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len);
        // Grown by what is really there: a damaged length must not allocate gigabytes.
        let mut bytes = Vec::new();
        r.take(u64::from(len)).read_to_end(&mut bytes)?;
        if bytes.len() != len as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self(Bytes::from(bytes)))
    }
}

impl Encode for WalVote {
    fn encode<W: io::Write>(&self, mut w: W) -> io::Result<usize> {
        w.write_all(&self.term.to_be_bytes())?;
        w.write_all(&[u8::from(self.committed)])?;
        w.write_all(&self.node.to_be_bytes())?;
        Ok(17)
    }
}

impl Decode for WalVote {
    fn decode<R: io::Read>(mut r: R) -> io::Result<Self> {
        let (mut term, mut committed, mut node) = ([0; 8], [0; 1], [0; 8]);
        r.read_exact(&mut term)?;
        r.read_exact(&mut committed)?;
        r.read_exact(&mut node)?;
        Ok(Self {
            term: u64::from_be_bytes(term),
            committed: committed[0] != 0,
            node: u64::from_be_bytes(node),
        })
    }
}

/// raft-log in one directory.
#[derive(Debug)]
pub(crate) struct DiskWal(RaftLog<LogTypes>);

impl DiskWal {
    /// Opens or creates the log. Blocks while it replays its chunks.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let mut config = Config::new(dir.display());
        config.log_cache_capacity = Some(CACHE_BYTES);
        config.wal.chunk_max_size = Some(CHUNK_BYTES);
        config.wal.read_buffer_size = Some(READ_BUFFER_BYTES);
        config.wal.flush_queue_max_bytes = Some(QUEUE_BYTES);
        // With no linger raft-log syncs every request by itself; `log.rs` groups them before.
        config.wal.flush_batch_wait = Some(std::time::Duration::ZERO);
        RaftLog::open(Arc::new(config)).map(Self)
    }
}

impl Wal for DiskWal {
    fn state(&self) -> WalState {
        let state = self.0.log_state();
        WalState {
            vote: state.vote().copied(),
            committed: state.committed().copied(),
            purged: state.purged().copied(),
            last: state.last().copied(),
        }
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<(Position, Bytes)>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in self.0.read(from, to) {
            let (position, Payload(payload)) = entry?;
            bytes += payload.len();
            entries.push((position, payload));
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(entries)
    }

    fn append(&mut self, entries: Vec<(Position, Bytes)>) -> io::Result<()> {
        self.0
            .append(entries.into_iter().map(|(at, bytes)| (at, Payload(bytes))))
            .map(drop)
    }

    fn truncate(&mut self, from: u64) -> io::Result<()> {
        // raft-log refuses to truncate where nothing is.
        if self.state().last.is_none_or(|(_, last)| last < from) {
            return Ok(());
        }
        self.0.truncate(from).map(drop)
    }

    fn purge(&mut self, upto: Position) -> io::Result<()> {
        self.0.purge(upto).map(drop)
    }

    fn save_vote(&mut self, vote: WalVote) -> io::Result<()> {
        self.0.save_vote(vote).map(drop)
    }

    fn save_committed(&mut self, committed: Position) -> io::Result<()> {
        // A snapshot may have moved the commit beyond the log; the checkpoint then remembers it.
        let state = self.state();
        if state.last < Some(committed) || state.committed >= Some(committed) {
            return Ok(());
        }
        self.0.commit(committed).map(drop)
    }

    fn sync(&mut self, done: SyncSender<io::Result<()>>) -> io::Result<()> {
        self.0.flush(true, Some(done))
    }
}
