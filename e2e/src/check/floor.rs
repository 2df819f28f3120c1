//! Real time: whoever begins after somebody saw a revision lives at that revision or later.

use std::collections::BTreeMap;

use crate::check::history::{
    Answer, Call, Client, Deed, History, Mode, Nanos, Note, Replica, Revision, Watch,
};
use crate::check::replay::Place;
use crate::check::requests::Request;
use crate::check::violation::{Name, TimeFault, Violation, Violations, Who};

/// Who saw a revision.
#[derive(Clone, Copy, Debug)]
enum Witness<'h> {
    Call(&'h Call),
    Watch(&'h Watch),
}

impl From<Witness<'_>> for Who {
    fn from(witness: Witness<'_>) -> Self {
        match witness {
            Witness::Call(call) => Self::Call(Name::of(call)),
            Witness::Watch(watch) => Self::Watch {
                client: watch.client,
                number: watch.number,
            },
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sight<'h> {
    at: Nanos,
    revision: Revision,
    witness: Witness<'h>,
}

/// The greatest revision anybody had seen, over time.
#[derive(Debug)]
pub(super) struct Floor<'h> {
    base: Revision,
    sights: Vec<Sight<'h>>,
}

impl<'h> Floor<'h> {
    /// Of everything in the history. What lies after its end was not seen but made up.
    pub(super) fn of(history: &'h History) -> Self {
        let last = history.end.snapshot.revision;
        let calls = history.calls.iter().filter_map(sight);
        let events = history.watches.iter().flat_map(events);
        let sights = calls.chain(events).filter(|sight| sight.revision <= last);
        Self::new(history.base.revision, sights.collect())
    }

    fn new(base: Revision, mut sights: Vec<Sight<'h>>) -> Self {
        sights.sort_by_key(|sight| sight.at);
        let mut highest: Option<Sight<'h>> = None;
        for sight in &mut sights {
            let before = highest.filter(|highest| highest.revision >= sight.revision);
            if let Some(Sight {
                revision, witness, ..
            }) = before
            {
                (sight.revision, sight.witness) = (revision, witness);
            }
            highest = Some(*sight);
        }
        Self { base, sights }
    }

    /// What had been seen when a call began.
    pub(super) fn before(&self, began: Nanos) -> Revision {
        self.highest(began)
            .map_or(self.base, |sight| sight.revision.max(self.base))
    }

    fn highest(&self, began: Nanos) -> Option<&Sight<'h>> {
        let count = self.sights.partition_point(|sight| sight.at < began);
        count.checked_sub(1).map(|last| &self.sights[last])
    }

    fn witness(&self, began: Nanos) -> Who {
        self.highest(began)
            .map_or(Who::Base, |sight| sight.witness.into())
    }

    /// Holds every linearizable read and every decision of a transaction to it.
    pub(super) fn judge(
        &self,
        history: &History,
        requests: &[Request<'_>],
        places: &[Option<Place>],
        violations: &mut Violations,
    ) {
        for call in &history.calls {
            if let Some(revision) = linearizable(call) {
                let place = Place {
                    before: revision,
                    after: revision,
                };
                self.hold(call, call.began, place, violations);
            }
        }
        for (request, place) in requests.iter().zip(places) {
            if let Some(place) = place {
                self.hold(request.call, request.began, *place, violations);
            }
        }
    }

    fn hold(&self, call: &Call, began: Nanos, place: Place, violations: &mut Violations) {
        let seen = self.before(began);
        if place.before >= seen {
            return;
        }
        let by = self.witness(began);
        let fault = if place.after < seen {
            TimeFault::Backwards {
                at: place.after,
                seen,
                by,
            }
        } else {
            TimeFault::Future {
                at: place.after,
                seen,
                by,
            }
        };
        violations.add(Violation::Time(Name::of(call), fault));
    }
}

/// Holds every replica to what it has shown the same client.
pub(super) fn judge_replicas(history: &History, violations: &mut Violations) {
    let mut shown: BTreeMap<(Client, Replica), Vec<&Call>> = BTreeMap::new();
    for call in &history.calls {
        shown
            .entry((call.client, call.replica))
            .or_default()
            .push(call);
    }
    for calls in shown.values() {
        let floor = Floor::new(0, calls.iter().copied().filter_map(sight).collect());
        for call in calls.iter().filter(|call| mode(call) == Some(Mode::Stale)) {
            let Some(revision) = told(call) else { continue };
            let seen = floor.before(call.began);
            if revision < seen {
                let by = floor.witness(call.began);
                let fault = TimeFault::ReplicaBackwards {
                    at: revision,
                    seen,
                    by,
                };
                violations.add(Violation::Time(Name::of(call), fault));
            }
        }
    }
}

fn sight(call: &Call) -> Option<Sight<'_>> {
    Some(Sight {
        at: call.ended?,
        revision: told(call)?,
        witness: Witness::Call(call),
    })
}

fn events(watch: &Watch) -> impl Iterator<Item = Sight<'_>> {
    let notes = watch.parts.iter().flat_map(|part| &part.notes);
    notes.filter_map(|note| match note {
        Note::Event(event) => Some(Sight {
            at: event.at,
            revision: event.revision,
            witness: Witness::Watch(watch),
        }),
        Note::Progress(_) => None,
    })
}

/// The revision the call was told.
pub(super) fn told(call: &Call) -> Option<Revision> {
    match &call.deed {
        Deed::Txn {
            answer: Answer::Known(outcome),
            ..
        } => Some(outcome.revision()),
        Deed::Read {
            answer: Answer::Known(seen),
            ..
        } => Some(seen.revision),
        Deed::Txn {
            answer: Answer::Failed | Answer::Unknown,
            ..
        }
        | Deed::Read {
            answer: Answer::Failed | Answer::Unknown,
            ..
        } => None,
    }
}

/// It may have asked for a revision inside of a transaction.
pub(super) fn is_exact(call: &Call) -> bool {
    matches!(mode(call), Some(Mode::Exact(_)))
}

fn mode(call: &Call) -> Option<Mode> {
    match call.deed {
        Deed::Read { mode, .. } => Some(mode),
        Deed::Txn { .. } => None,
    }
}

fn linearizable(call: &Call) -> Option<Revision> {
    told(call).filter(|_| mode(call) == Some(Mode::Linearizable))
}
