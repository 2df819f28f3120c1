//! A disk that remembers what was synced, and a log on it.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use crate::wal::commit::{Medium, commit, resume};
use crate::wal::record::{Record, size};
use crate::wal::replay::{Damage, Recovered, Replay};
use crate::wal::writer::{Batch, Source, Writer, first_bytes};
use crate::wal::{FIRST, Position, State};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// Entries by index.
pub(super) type Entries = BTreeMap<u64, (u64, Bytes)>;

/// A small generator; the seed is the whole test.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Segments as processes see them, and as they would be after a power cut.
#[derive(Clone, Debug)]
pub(super) struct Sim {
    pub(super) segment_bytes: usize,
    pub(super) current: BTreeMap<u64, Vec<u8>>,
    durable: BTreeMap<u64, Vec<u8>>,
    spares: Vec<Vec<u8>>,
    /// Operations until the power goes.
    pub(super) power: Option<u64>,
}

impl Sim {
    pub(super) fn new(segment_bytes: usize) -> Self {
        let mut first = first_bytes(segment_bytes as u64, None);
        first.resize(segment_bytes, 0);
        let current = BTreeMap::from([(FIRST, first)]);
        Self {
            segment_bytes,
            durable: current.clone(),
            current,
            spares: Vec::new(),
            power: None,
        }
    }

    pub(super) fn recover(&self) -> Result<Recovered, Damage> {
        let mut replay = Replay::new();
        for (seq, bytes) in &self.current {
            replay.take(*seq, bytes.len() as u64, bytes)?;
        }
        replay.finish()
    }

    pub(super) fn open(&mut self) -> Writer {
        let recovered = self.recover().unwrap_or_else(|damage| panic!("{damage}"));
        resume(recovered, self).unwrap()
    }

    /// Every unsynced sector is there or not, at random.
    pub(super) fn cut_power(&mut self, random: &mut Random) {
        for (seq, current) in &mut self.current {
            let durable = self.durable.get_mut(seq).unwrap();
            let sectors = current.chunks_mut(SECTOR).zip(durable.chunks_mut(SECTOR));
            for (current, durable) in sectors {
                if random.below(2) == 0 {
                    current.copy_from_slice(durable);
                } else {
                    durable.copy_from_slice(current);
                }
            }
        }
    }

    pub(super) fn free_below(&mut self, below: u64) {
        let kept = self.current.split_off(&below);
        let gone = std::mem::replace(&mut self.current, kept);
        self.durable = self.durable.split_off(&below);
        self.spares.extend(gone.into_values());
    }

    fn spend(&mut self) -> io::Result<()> {
        match &mut self.power {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Medium for Sim {
    fn enter(&mut self, seq: u64) -> io::Result<()> {
        self.spend()?;
        let content = self.spares.pop();
        let content = content.unwrap_or_else(|| vec![0; self.segment_bytes]);
        self.current.insert(seq, content.clone());
        self.durable.insert(seq, content);
        Ok(())
    }

    fn write(&mut self, seq: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let segment = self.current.get_mut(&seq).unwrap();
        segment[offset..offset + bytes.len()].copy_from_slice(bytes);
        // When the power goes here, any part of it may have been written.
        self.spend()
    }

    fn sync(&mut self, seq: u64) -> io::Result<()> {
        self.spend()?;
        self.durable.insert(seq, self.current[&seq].clone());
        Ok(())
    }

    fn mark(&mut self, seq: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(seq, offset, bytes)
    }

    fn scrub(&mut self, seq: u64, offset: u64) -> io::Result<()> {
        let zeros = vec![0; self.segment_bytes - offset as usize];
        self.write(seq, offset, &zeros)
    }
}

/// Writes what was gathered. Segments that are no longer needed go.
pub(super) fn flush(writer: &mut Writer, sim: &mut Sim) -> io::Result<()> {
    if writer.is_idle() {
        return Ok(());
    }
    let mut batch = Batch::default();
    writer.cut(&mut batch);
    commit(&batch, sim)?;
    writer.written(batch.number);
    if let Some(below) = batch.free_below {
        sim.free_below(below);
    }
    Ok(())
}

/// Everything a log says, or what was wrong when it was read.
pub(super) fn content(sim: &Sim) -> Result<(State, Entries), String> {
    let recovered = sim.recover().map_err(|damage| damage.to_string())?;
    let Recovered { index, seq, .. } = recovered;
    let writer = Writer::new(index, sim.segment_bytes as u64, seq, 0);
    let mut entries = Entries::new();
    for (at, source) in writer.find(0, u64::MAX, usize::MAX) {
        entries.insert(at.1, (at.0, payload(sim, at, source)?));
    }
    Ok((writer.state(), entries))
}

fn payload(sim: &Sim, at: Position, source: Source) -> Result<Bytes, String> {
    let place = match source {
        Source::Memory(payload) => return Ok(payload),
        Source::Disk(place) => place,
    };
    let offset = place.offset as usize;
    let bytes = &sim.current[&place.seq][offset..offset + size(place.len as usize)];
    match Record::decode(place.seq, u64::from(place.offset), bytes) {
        Ok(Record::Entry(found, body)) if found == at => Ok(Bytes::copy_from_slice(body)),
        other => Err(format!("{other:?}")),
    }
}
