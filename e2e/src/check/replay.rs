//! Tells the story again: the true sequence of changes, one request after the other, through the model.
//!
//! Every request that was told its revision has its place, and is tried there. What no such request
//! explains is the work of one whose outcome is unknown, or of nobody.

use crate::check::claims::{Claims, Index, Writers};
use crate::check::floor::{Floor, is_exact, told};
use crate::check::history::{History, Op, Revision};
use crate::check::model::{Change, Decision, Model};
use crate::check::requests::{Request, Verdict};
use crate::check::truth::{Stands, Truth};
use crate::check::violation::{SequenceFault, Violation, Violations};

mod blame;
mod sight;

use blame::Reason;
use sight::Sights;

/// Between which revisions a request took effect; equal if it changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) before: Revision,
    pub(super) after: Revision,
}

/// The story, told.
#[derive(Debug)]
pub(super) struct Replayed {
    /// Every change from the base on.
    pub(super) changes: Vec<Change>,
    /// Of each request, if it took effect where it should.
    pub(super) places: Vec<Option<Place>>,
    /// False if it broke off at a change nobody knows.
    pub(super) complete: bool,
}

/// Replays the history and judges all contents: of transactions, reads, and the final state.
pub(super) fn replay<'h>(
    history: &'h History,
    requests: &[Request<'h>],
    floor: &Floor<'h>,
    violations: &mut Violations,
) -> Replayed {
    let replay = Replay {
        last: history.end.snapshot.revision,
        borders: borders(history),
        deleted: deleted(requests),
        truth: Truth::of(history, requests),
        model: Model::new(&history.base),
        sights: Sights::of(history, requests),
        queue: queue(requests),
        waiting: Vec::new(),
        mover: None,
        unlikely: None,
        writers: None,
        claims: Claims::default(),
        spent: vec![false; requests.len()],
        movers: Vec::new(),
        told: Replayed {
            changes: Vec::new(),
            places: vec![None; requests.len()],
            complete: true,
        },
        requests,
        floor,
        violations,
    };
    replay.run(history)
}

/// An acknowledged request that has not found its place yet.
#[derive(Debug)]
struct Waiting {
    request: Index,
    /// Least revision it can have been applied at.
    earliest: Revision,
    /// The revision it was told.
    revision: Revision,
    /// Why it did not fit where it was tried first.
    reason: Option<Reason>,
    /// Its change stands where it should not have: it cannot pass for one without changes any more.
    is_convicted: bool,
}

/// Latest first, so that the next is the last.
fn queue(requests: &[Request<'_>]) -> Vec<Waiting> {
    let mut queue: Vec<_> = (requests.iter().enumerate())
        .filter_map(|(request, known)| {
            let (earliest, revision) = known.earliest()?;
            Some(Waiting {
                request,
                earliest,
                revision,
                reason: None,
                is_convicted: false,
            })
        })
        .collect();
    queue.sort_by_key(|waiting| std::cmp::Reverse((waiting.earliest, waiting.revision)));
    queue
}

fn borders(history: &History) -> Vec<Revision> {
    let calls = history.calls.iter().filter(|call| !is_exact(call));
    let mut borders: Vec<_> = calls.filter_map(told).collect();
    borders.sort_unstable();
    borders.dedup();
    borders
}

fn deleted(requests: &[Request<'_>]) -> Vec<Revision> {
    let mut deleted = Vec::new();
    for request in requests {
        if let Verdict::Applied { revisions, .. } = request.verdict {
            let told = request.txn.ops.iter().zip(revisions);
            let deletions = told.filter(|(op, _)| matches!(op, Op::Delete { .. }));
            deleted.extend(deletions.map(|(_, revision)| *revision));
        }
    }
    deleted.sort_unstable();
    deleted
}

/// A request and the changes it makes next.
type Move = (Index, Vec<Change>);

struct Replay<'r, 'h> {
    last: Revision,
    requests: &'r [Request<'h>],
    floor: &'r Floor<'h>,
    /// Revisions between transactions, as far as anybody saw them, ascending.
    borders: Vec<Revision>,
    /// Revisions of deletions that somebody was told to have made, ascending.
    deleted: Vec<Revision>,
    truth: Truth<'h>,
    model: Model,
    sights: Sights<'h>,
    queue: Vec<Waiting>,
    waiting: Vec<Waiting>,
    /// The request that explains the next changes, found while the waiting ones were tried.
    mover: Option<Move>,
    /// One that explains them too, at the price of another promise.
    unlikely: Option<Move>,
    /// Made when the first change needs it.
    writers: Option<Writers>,
    claims: Claims,
    /// Requests that have made their changes, or were blamed once.
    spent: Vec<bool>,
    /// Of each change the request it is known to be of.
    movers: Vec<Option<Index>>,
    told: Replayed,
    violations: &'r mut Violations,
}

impl<'h> Replay<'_, 'h> {
    fn run(mut self, history: &'h History) -> Replayed {
        self.visit(true);
        while self.model.revision < self.last {
            if !self.go_on() {
                let revision = self.model.revision + 1;
                self.violations
                    .add(Violation::Sequence(SequenceFault::Gap { revision }));
                self.told.complete = false;
                return self.told;
            }
        }
        self.finish(history);
        self.told
    }

    /// Makes the next changes. False if nobody knows them.
    fn go_on(&mut self) -> bool {
        let Some(stands) = self.truth.at(self.model.revision + 1) else {
            return false;
        };
        if let Some(next) = self.mover.take() {
            self.go(next);
            return true;
        }
        let (likely, unlikely) = self.unknown_moves(stands);
        if let Some(next) = self.put_among(&likely) {
            self.go(next);
        } else if let Some(changes) = self.deletions_among(likely) {
            self.advance(changes, None);
        } else if let Some(next) = self.unlikely.take().or_else(|| self.put_among(&unlikely)) {
            self.waiting.retain(|waiting| waiting.request != next.0);
            self.go(next);
        } else {
            let change = self.model.change(stands.key, stands.value);
            self.blame(&change);
            self.advance(vec![change], None);
        }
        true
    }

    fn go(&mut self, (request, changes): Move) {
        self.place(request, &changes);
        self.advance(changes, Some(request));
    }

    fn place(&mut self, request: Index, changes: &[Change]) {
        let before = self.model.revision;
        let after = before + changes.len() as u64;
        self.told.places[request] = Some(Place { before, after });
        self.spent[request] = true;
    }

    fn advance(&mut self, changes: Vec<Change>, mover: Option<Index>) {
        let last = changes.len().saturating_sub(1);
        for (number, change) in changes.into_iter().enumerate() {
            self.model.step(&change);
            self.told.changes.push(change);
            self.movers.push(mover);
            self.visit(number == last);
        }
    }

    /// At every revision; a boundary is one between transactions.
    fn visit(&mut self, is_boundary: bool) {
        self.sights.visit(&self.model, is_boundary, self.violations);
        if !is_boundary {
            return;
        }
        self.sights.decide(
            &self.model,
            self.requests,
            &mut self.told.places,
            self.violations,
        );
        let now = self.model.revision;
        while let Some(next) = self.queue.pop_if(|next| next.earliest <= now) {
            self.waiting.push(next);
        }
        self.unlikely = None;
        let mut tried = std::mem::take(&mut self.waiting);
        // Of two that put the same value, the later one found it there.
        tried.sort_by_key(|waiting| self.requests[waiting.request].began);
        for mut waiting in tried {
            if !waiting.is_convicted && self.settles(&mut waiting) {
                continue;
            }
            if waiting.revision <= now {
                self.expire(&waiting);
            } else {
                self.waiting.push(waiting);
            }
        }
    }

    /// Tries an acknowledged request here; true if it is done or is the next to move.
    fn settles(&mut self, waiting: &mut Waiting) -> bool {
        let request = &self.requests[waiting.request];
        let Verdict::Applied {
            revision,
            revisions: told,
        } = request.verdict
        else {
            return true;
        };
        let reason = match self.model.decide(request.txn) {
            Decision::Refused { guard } => Reason::Guard {
                guard,
                at: self.model.revision,
            },
            Decision::Applied { revisions, changes } => {
                let after = self.model.revision + changes.len() as u64;
                if after != revision || revisions != told {
                    Reason::Told {
                        expected: revisions,
                    }
                } else if changes.is_empty() {
                    self.place(waiting.request, &changes);
                    return true;
                } else if self.mover.is_none() && self.stand(&changes) {
                    return self.elect((waiting.request, changes));
                } else {
                    Reason::content(&self.truth, &changes)
                }
            }
        };
        waiting.reason.get_or_insert(reason);
        false
    }

    /// True if this is the next to move. One that would break another promise by it is kept in mind
    /// only: it may have found there what somebody else had put.
    fn elect(&mut self, next: Move) -> bool {
        let is_likely = self.is_likely(&next);
        if is_likely {
            self.mover = Some(next);
        } else {
            self.unlikely = Some(next);
        }
        is_likely
    }

    fn stand(&self, changes: &[Change]) -> bool {
        changes.iter().all(|change| self.truth.agrees(change))
    }

    fn writers(&mut self) -> &Writers {
        let requests = self.requests;
        self.writers.get_or_insert_with(|| Writers::of(requests))
    }

    /// Known by a value it puts. Of two that put the same value, the later one found it there.
    fn put_among(&self, moves: &[Move]) -> Option<Move> {
        let puts = |changes: &[Change]| changes.iter().any(|change| change.new.is_some());
        moves
            .iter()
            .filter(|(_, changes)| puts(changes))
            .min_by_key(|(request, _)| self.requests[*request].began)
            .cloned()
    }

    /// The next changes, if they are deletions, by a request that is not needed to explain others.
    fn deletions_among(&mut self, mut moves: Vec<Move>) -> Option<Vec<Change>> {
        let longest = moves.iter().map(|(_, changes)| changes.len()).max()?;
        moves.retain(|(_, changes)| changes.len() == longest);
        let claimants = moves.iter().map(|(request, _)| *request).collect();
        let (_, changes) = moves.pop()?;
        self.claims.claim(claimants).then_some(changes)
    }

    /// Requests of unknown outcome that would make exactly the next changes: those that can have, and
    /// those that would break another promise by it.
    fn unknown_moves(&mut self, stands: Stands<'h>) -> (Vec<Move>, Vec<Move>) {
        let writers = self.writers();
        let indices: Vec<Index> = match stands.value {
            Some(value) => writers.put(stands.key, value).collect(),
            None => writers.delete(stands.key).to_vec(),
        };
        indices
            .into_iter()
            .filter_map(|request| self.would_move(request))
            .partition(|next| self.is_likely(next) && !self.takes_deletion(next))
    }

    /// It would need a deletion that another request was told to have made.
    fn takes_deletion(&self, (_, changes): &Move) -> bool {
        let revisions = changes.iter().map(|change| &change.revision);
        let mut deleted = revisions.filter(|revision| self.deleted.binary_search(revision).is_ok());
        deleted.next().is_some()
    }

    /// It had begun before anybody saw the changes, and nobody saw only some of them.
    fn is_likely(&self, (request, changes): &Move) -> bool {
        let before = self.model.revision;
        let after = before + changes.len() as u64;
        let seen = self.borders.partition_point(|border| *border <= before);
        let is_whole = self.borders.get(seen).is_none_or(|border| *border >= after);
        is_whole && self.floor.before(self.requests[*request].began) <= before
    }

    fn would_move(&self, index: Index) -> Option<Move> {
        let request = &self.requests[index];
        if self.spent[index] || request.verdict != Verdict::Unknown {
            return None;
        }
        match self.model.decide(request.txn) {
            Decision::Applied { changes, .. } if !changes.is_empty() && self.stand(&changes) => {
                Some((index, changes))
            }
            Decision::Applied { .. } | Decision::Refused { .. } => None,
        }
    }
}
