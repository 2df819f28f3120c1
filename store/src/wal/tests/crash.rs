//! Random use, interrupted by crashes: what was acknowledged is there, and what was not is there up to some
//! point, as if it had been.

use bytes::Bytes;

use super::sim::{Entries, Random, Sim, content, flush};
use crate::wal::commit::resume;
use crate::wal::writer::Writer;
use crate::wal::{Position, State, Vote};

const SEEDS: u64 = 400;
const STEPS: u64 = 120;
const SEGMENT: usize = 4096;

/// What the log should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    state: State,
    entries: Entries,
}

/// A log, the model, and every state since the last that was acknowledged.
struct Run {
    random: Random,
    sim: Sim,
    writer: Writer,
    history: Vec<Model>,
    term: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.state.last.map_or(0, |(_, last)| last + 1)
    }

    fn append(&mut self, (term, index): Position, payload: Bytes) {
        self.entries.insert(index, (term, payload));
        self.state.last = Some((term, index));
    }

    fn truncate(&mut self, from: u64) {
        self.entries.split_off(&from);
        let last = self.entries.last_key_value();
        self.state.last = last
            .map(|(index, (term, _))| (*term, *index))
            .or(self.state.purged);
    }

    fn purge(&mut self, upto: Position) {
        self.entries = self.entries.split_off(&(upto.1 + 1));
        self.state.purged = Some(upto);
        self.state.last = self.state.last.max(Some(upto));
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(SEGMENT);
        Self {
            random: Random::new(seed + 1),
            writer: sim.open(),
            sim,
            history: vec![Model::default()],
            term: 1,
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=8 => self.append(),
            9 => self.truncate(),
            10 => self.purge(),
            11 => self.vote(),
            12 => self.commit(),
            13..=17 => self.flush(),
            18 => self.crash_while_writing(),
            _ => self.crash(),
        }
    }

    fn now(&self) -> Model {
        self.history.last().cloned().unwrap()
    }

    fn append(&mut self) {
        let mut now = self.now();
        self.term += u64::from(self.random.below(8) == 0);
        let mut entries = Vec::new();
        for _ in 0..=self.random.below(6) {
            let at = (self.term, now.next());
            let len = self.random.below(700) as usize;
            let payload = Bytes::from(vec![self.random.below(256) as u8; len]);
            now.append(at, payload.clone());
            self.history.push(now.clone());
            entries.push((at, payload));
        }
        self.writer.append(&entries).unwrap();
    }

    fn truncate(&mut self) {
        let mut now = self.now();
        let committed = now.state.committed.max(now.state.purged);
        let kept = committed.map_or(0, |(_, index)| index + 1);
        if now.next() > kept {
            let from = kept + self.random.below(now.next() - kept);
            assert!(self.writer.truncate(from).unwrap());
            now.truncate(from);
            self.history.push(now);
        }
    }

    fn purge(&mut self) {
        let mut now = self.now();
        let beyond = self.random.below(10) == 0;
        let upto = if beyond {
            (self.term, now.next() + self.random.below(20))
        } else {
            let count = now.entries.len() as u64;
            let skipped = self.random.below(count.max(1)) as usize;
            match now.entries.iter().nth(skipped) {
                Some((index, (term, _))) => (*term, *index),
                None => return,
            }
        };
        self.writer.purge(upto).unwrap();
        now.purge(upto);
        self.history.push(now);
    }

    fn vote(&mut self) {
        let mut now = self.now();
        self.term += 1;
        let vote = Vote {
            term: self.term,
            committed: self.random.below(2) == 0,
            node: self.random.below(5),
        };
        self.writer.vote(vote);
        now.state.vote = Some(vote);
        self.history.push(now);
    }

    fn commit(&mut self) {
        let mut now = self.now();
        let skipped = self.random.below(now.entries.len().max(1) as u64) as usize;
        if let Some((index, (term, _))) = now.entries.iter().nth(skipped) {
            let at = (*term, *index);
            self.writer.commit(at);
            now.state.committed = now.state.committed.max(Some(at));
            assert_eq!(self.writer.state().committed, now.state.committed);
            // It rides with what comes next, so all that is not written yet may come with it.
            self.history.push(now);
        }
    }

    fn flush(&mut self) {
        if !self.writer.is_idle() {
            flush(&mut self.writer, &mut self.sim).unwrap();
            self.history = vec![self.now()];
        }
        assert_eq!(self.writer.state(), self.now().state);
    }

    fn crash_while_writing(&mut self) {
        self.sim.power = Some(self.random.below(8));
        let idle = self.writer.is_idle();
        if flush(&mut self.writer, &mut self.sim).is_ok() && !idle {
            self.history = vec![self.now()];
        }
        self.sim.power = None;
        self.crash();
    }

    /// The process or the power goes; sometimes again while the log is opened, before anybody is told
    /// what was found.
    fn crash(&mut self) {
        loop {
            if self.random.below(3) > 0 {
                self.sim.cut_power(&mut self.random);
            }
            let (state, entries) = content(&self.sim).unwrap_or_else(|error| panic!("{error}"));
            let found = Model { state, entries };
            self.agree(&found);
            if self.random.below(4) > 0 {
                self.history = vec![found];
                break;
            }
            self.sim.power = Some(self.random.below(4));
            let recovered = self.sim.recover().unwrap();
            resume(recovered, &mut self.sim).ok();
            self.sim.power = None;
        }
        self.writer = self.sim.open();
        let kept = self.now().state;
        assert_eq!(self.writer.state(), kept);
    }

    /// What was found is one of the states that were, and later ones are gone. Of the commit only the
    /// latest is written, so it may be older than what is found with it.
    fn agree(&mut self, found: &Model) {
        let bare = |model: &Model| {
            let mut model = model.clone();
            model.state.committed = None;
            model
        };
        let wanted = bare(found);
        let was = self.history.iter().rposition(|model| bare(model) == wanted);
        let was = was.unwrap_or_else(|| panic!("{found:#?} was never the log's state"));
        self.history.truncate(was + 1);
        let mut commits = self.history.iter().map(|model| model.state.committed);
        let commit = found.state.committed;
        assert!(
            commits.any(|known| known == commit),
            "{commit:?} was never the commit"
        );
    }
}

#[test]
fn crashes_lose_nothing_acknowledged() {
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            (0..STEPS).for_each(|_| run.step());
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}
