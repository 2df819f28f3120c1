//! Which entries the log holds and where, and the rules by which that may change. Writing and replaying a
//! record go through the same functions.

use std::collections::VecDeque;

use super::{Place, Position, State, Vote};

/// What no honest log contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Illegal {
    #[error("entry {found} where entry {expected} must be")]
    Gap { expected: u64, found: u64 },
    #[error("an entry of term {found} after one of term {last}")]
    TermBack { last: u64, found: u64 },
    #[error("a truncation after {after:?}, where the log has {here:?}")]
    Truncate {
        after: Option<Position>,
        here: Option<Position>,
    },
    #[error("a purge up to {upto:?} after one up to {purged:?}")]
    PurgeBack {
        upto: Position,
        purged: Option<Position>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    term: u64,
    place: Place,
}

/// The present entries, from the one after the last purged to the last.
#[derive(Debug, Default)]
pub(crate) struct Index {
    state: State,
    slots: VecDeque<Slot>,
    /// Entries up to this one were in segments that are gone, and must yet turn out to be purged or
    /// truncated.
    lost: Option<u64>,
}

impl Index {
    /// As the first remaining segment begins: the entries `state` speaks of are in segments before it.
    pub(crate) fn resumed(state: State) -> Self {
        Self {
            state,
            slots: VecDeque::new(),
            lost: state
                .last
                .map(|(_, last)| last)
                .filter(|last| *last >= after(state.purged)),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// The index of the next entry.
    pub(crate) fn next(&self) -> u64 {
        after(self.state.last)
    }

    /// Index of the first entry that is here.
    pub(crate) fn first(&self) -> u64 {
        self.next() - self.slots.len() as u64
    }

    /// The entries that must be here and are not.
    pub(crate) fn missing(&self) -> Option<(u64, u64)> {
        self.lost.map(|to| (after(self.state.purged), to))
    }

    pub(crate) fn get(&self, index: u64) -> Option<(Position, Place)> {
        let at = usize::try_from(index.checked_sub(self.first())?).ok()?;
        let slot = self.slots.get(at)?;
        Some(((slot.term, index), slot.place))
    }

    /// The segment of the first entry.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.place.seq)
    }

    /// The last entry that has more than this many bytes of the log between it and the entry `at`; none when there is
    /// no such entry here.
    pub(crate) fn behind(&self, at: u64, bytes: u64, segment_bytes: u64) -> Option<u64> {
        let start = |place: Place| place.seq * segment_bytes + u64::from(place.offset);
        let (_, place) = self.get(at)?;
        let limit = start(place).checked_sub(bytes)?;
        let far = |slot: &Slot| start(slot.place) + u64::from(slot.place.len) < limit;
        let count = self.slots.partition_point(far) as u64;
        (self.first() + count).checked_sub(1).filter(|_| count > 0)
    }

    /// How many entries are here.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn check_append(last: Option<Position>, at: Position) -> Result<(), Illegal> {
        // A log without any past may begin anywhere.
        let expected = last.map_or(at.1, |(_, last)| last + 1);
        let term = last.map_or(0, |(term, _)| term);
        if at.1 != expected {
            return Err(Illegal::Gap {
                expected,
                found: at.1,
            });
        }
        if at.0 < term {
            return Err(Illegal::TermBack {
                last: term,
                found: at.0,
            });
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, at: Position, place: Place) -> Result<(), Illegal> {
        Self::check_append(self.state.last, at)?;
        self.slots.push_back(Slot { term: at.0, place });
        self.state.last = Some(at);
        Ok(())
    }

    /// What a truncation from this index keeps last; none when it changes nothing.
    pub(crate) fn truncation(&self, from: u64) -> Option<Option<Position>> {
        let from = from.max(after(self.state.purged));
        if from >= self.next() {
            return None;
        }
        Some(self.position_before(from))
    }

    fn position_before(&self, index: u64) -> Option<Position> {
        let before = index.checked_sub(1)?;
        let here = self.get(before).map(|(position, _)| position);
        here.or(self.state.purged.filter(|(_, purged)| *purged == before))
    }

    pub(crate) fn truncate(&mut self, to: Option<Position>) -> Result<(), Illegal> {
        let from = after(to);
        let here = self.position_before(from);
        // An entry of a segment that is gone cannot be compared.
        let known = from > self.first() || from <= after(self.state.purged);
        let shorter = from < self.next() && to >= self.state.purged;
        if !shorter || (known && here != to) {
            return Err(Illegal::Truncate { after: to, here });
        }
        let kept = from.saturating_sub(self.first());
        self.slots
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.state.last = to;
        self.lost = self.lost.map(|lost| lost.min(from.saturating_sub(1)));
        self.lost = self.lost.filter(|_| to > self.state.purged);
        Ok(())
    }

    /// Forgets entries up to and including the position, which may lie beyond the end.
    pub(crate) fn purge(&mut self, upto: Position) -> Result<(), Illegal> {
        let purged = self.state.purged;
        if purged >= Some(upto) {
            return Err(Illegal::PurgeBack { upto, purged });
        }
        let gone = (upto.1 + 1).saturating_sub(self.first());
        let gone = usize::try_from(gone).unwrap_or(usize::MAX);
        self.slots.drain(..gone.min(self.slots.len()));
        self.state.purged = Some(upto);
        self.lost = self.lost.filter(|lost| *lost > upto.1);
        if self.state.last.is_none_or(|(_, last)| last <= upto.1) {
            self.state.last = Some(upto);
        }
        Ok(())
    }

    pub(crate) fn vote(&mut self, vote: Vote) {
        self.state.vote = Some(vote);
    }

    /// False when it is nothing new. A snapshot may have moved the commit beyond the log; the checkpoint
    /// remembers it then.
    pub(crate) fn commit(&mut self, at: Position) -> bool {
        let news = self.state.committed < Some(at) && Some(at) <= self.state.last;
        if news {
            self.state.committed = Some(at);
        }
        news
    }

    /// What a record says of the commit, wherever the log ended when it was written.
    pub(crate) fn recall_commit(&mut self, at: Position) {
        self.state.committed = self.state.committed.max(Some(at));
    }
}

fn after(position: Option<Position>) -> u64 {
    position.map_or(0, |(_, index)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_far_behind_is_known_by_its_place() {
        let mut index = Index::default();
        // Segments of a thousand bytes, entries of a hundred and more.
        let places = [(0, 100, 100), (0, 300, 600), (1, 50, 100), (1, 200, 100)];
        for (at, (seq, offset, len)) in (1..).zip(places) {
            index.append((1, at), Place { seq, offset, len }).unwrap();
        }
        let table = [
            (4, 0, Some(3)),
            (4, 49, Some(3)),
            (4, 50, Some(2)),
            (4, 299, Some(2)),
            (4, 300, Some(1)),
            (4, 999, Some(1)),
            (4, 1_000, None),
            (4, u64::MAX, None),
            (3, 0, Some(2)),
            (1, 0, None),
            (5, 0, None),
            (0, 0, None),
        ];
        for (at, bytes, expected) in table {
            assert_eq!(index.behind(at, bytes, 1_000), expected, "{at}, {bytes}");
        }
        index.purge((1, 2)).unwrap();
        assert_eq!(index.behind(4, 0, 1_000), Some(3));
        assert_eq!(index.behind(4, 50, 1_000), None);
    }
}
