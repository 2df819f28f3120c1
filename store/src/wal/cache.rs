//! Payloads of the latest entries, in memory: for `apply`, for followers that lag a little, and for
//! whoever reads an entry that is not on disk yet.

use std::collections::VecDeque;

use bytes::Bytes;

/// The latest entries' payloads. An entry stays at least until its batch is written.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    bytes: usize,
    latest: VecDeque<Cached>,
    /// Batches with a smaller number are on disk.
    unwritten: u64,
}

#[derive(Debug)]
struct Cached {
    batch: u64,
    payload: Bytes,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            latest: VecDeque::new(),
            unwritten: 0,
        }
    }

    /// The payload of the entry that comes `back` entries before the next one.
    pub(crate) fn get(&self, back: u64) -> Option<&Bytes> {
        let back = usize::try_from(back).ok()?;
        let at = self.latest.len().checked_sub(back)?;
        self.latest.get(at).map(|cached| &cached.payload)
    }

    pub(crate) fn push(&mut self, batch: u64, payload: Bytes) {
        self.bytes += payload.len();
        self.latest.push_back(Cached { batch, payload });
        self.evict();
    }

    /// The last entries are gone.
    pub(crate) fn truncate(&mut self, entries: u64) {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        let kept = self.latest.len().saturating_sub(entries);
        let gone = self.latest.drain(kept..);
        self.bytes -= gone.map(|cached| cached.payload.len()).sum::<usize>();
    }

    /// Only this many entries are left in the log.
    pub(crate) fn purge(&mut self, left: usize) {
        let gone = self.latest.len().saturating_sub(left);
        let gone = self.latest.drain(..gone);
        self.bytes -= gone.map(|cached| cached.payload.len()).sum::<usize>();
    }

    /// Batches up to this one are on disk.
    pub(crate) fn written(&mut self, batch: u64) {
        self.unwritten = batch + 1;
        self.evict();
    }

    fn evict(&mut self) {
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.latest.front()
            && oldest.batch < self.unwritten
        {
            self.bytes -= oldest.payload.len();
            self.latest.pop_front();
        }
    }
}
