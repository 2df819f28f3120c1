//! Who is to blame when the story does not fit.

use crate::check::claims::Index;
use crate::check::history::{History, Key, Op, Revision, Select};
use crate::check::model::{Change, Decision};
use crate::check::replay::sight::difference;
use crate::check::replay::{Replay, Waiting};
use crate::check::requests::Verdict;
use crate::check::truth::Truth;
use crate::check::violation::{Name, SequenceFault, Violation, WriteFault};

/// Why an acknowledged request did not fit where it belongs.
#[derive(Clone, Debug)]
pub(super) enum Reason {
    /// A guard did not hold.
    Guard { guard: usize, at: Revision },
    /// Its operations take other revisions than it was told.
    Told { expected: Vec<Revision> },
    /// Of its changes, so many stand there.
    Content {
        first: Revision,
        present: usize,
        of: usize,
    },
}

impl Reason {
    pub(super) fn content(truth: &Truth<'_>, changes: &[Change]) -> Self {
        Self::Content {
            first: changes.first().map_or(0, |change| change.revision),
            present: changes.iter().filter(|change| truth.agrees(change)).count(),
            of: changes.len(),
        }
    }
}

impl<'h> Replay<'_, 'h> {
    /// An acknowledged request whose place has passed.
    pub(super) fn expire(&mut self, waiting: &Waiting) {
        self.blame_rival(waiting);
        if std::mem::replace(&mut self.spent[waiting.request], true) {
            return;
        }
        let told = waiting.revision;
        let fault = match &waiting.reason {
            Some(Reason::Guard { guard, at }) => WriteFault::DespiteGuard {
                guard: *guard,
                at: *at,
            },
            Some(Reason::Told { expected }) => WriteFault::Told {
                told: self.told_to(waiting.request),
                expected: expected.clone(),
            },
            Some(Reason::Content { first, present, of }) if *present > 0 => WriteFault::Half {
                first: *first,
                present: *present,
                of: *of,
            },
            Some(Reason::Content { .. }) | None => WriteFault::Lost {
                told,
                instead: self.truth.at(told).map(|stands| Key::clone(stands.key)),
            },
        };
        self.fault(waiting.request, fault);
    }

    /// Two that were told the same revision.
    fn blame_rival(&mut self, waiting: &Waiting) {
        let base = self.model.revision - self.movers.len() as u64;
        let rival = (waiting.earliest + 1..=waiting.revision).find_map(|revision| {
            let index = usize::try_from(revision.checked_sub(base + 1)?).ok()?;
            let other = self.movers.get(index).copied().flatten()?;
            matches!(self.requests[other].verdict, Verdict::Applied { .. })
                .then_some((revision, other))
        });
        if let Some((revision, other)) = rival {
            let other = Name::of(self.requests[other].call);
            self.fault(
                waiting.request,
                WriteFault::DuplicateRevision { revision, other },
            );
        }
    }

    /// A change that no request explains here.
    pub(super) fn blame(&mut self, change: &Change) {
        let culprit = self
            .waiting
            .iter()
            .position(|waiting| self.belongs(waiting, change));
        if let Some(culprit) = culprit {
            // It is blamed when its place has passed.
            self.waiting[culprit].is_convicted = true;
            return;
        }
        let suspects = self.suspects(change);
        let Some(suspect) = suspects.first().copied() else {
            self.violations
                .add(Violation::Sequence(SequenceFault::Unexplained {
                    revision: change.revision,
                    key: Key::clone(&change.key),
                    value: change.value().cloned(),
                }));
            return;
        };
        if let Some(fault) = self.crime(suspect, change.revision) {
            self.spent[suspect] = true;
            self.fault(suspect, fault);
        }
    }

    fn belongs(&self, waiting: &Waiting, change: &Change) -> bool {
        let claimed = waiting.earliest < change.revision && change.revision <= waiting.revision;
        claimed && self.makes(waiting.request, change)
    }

    fn makes(&self, request: Index, change: &Change) -> bool {
        self.requests[request].txn.ops.iter().any(|op| match op {
            Op::Put { key, value } => *key == change.key && Some(value) == change.value(),
            Op::Delete { key } => *key == change.key && change.new.is_none(),
        })
    }

    /// Who wrote the value; of deletions, who deleted half of something already.
    fn suspects(&mut self, change: &Change) -> Vec<Index> {
        let writers = self.writers();
        let mut suspects: Vec<Index> = match change.value() {
            Some(value) => writers.put(&change.key, value).collect(),
            None => writers.delete(&change.key).to_vec(),
        };
        let is_deletion = change.new.is_none();
        suspects.retain(|suspect| {
            self.makes(*suspect, change) && (!is_deletion || self.spent[*suspect])
        });
        suspects
    }

    /// What the suspect did wrong; none if it was blamed before.
    fn crime(&self, suspect: Index, revision: Revision) -> Option<WriteFault> {
        let request = &self.requests[suspect];
        let has_moved = matches!(request.verdict, Verdict::Applied { .. } | Verdict::Unknown);
        if let Some(place) = self.told.places[suspect].filter(|_| has_moved) {
            return Some(WriteFault::Twice {
                first: place.before + 1,
                again: revision,
            });
        }
        if self.spent[suspect] {
            return None;
        }
        Some(match request.verdict {
            Verdict::Refused { .. } => WriteFault::DespiteRefusal { revision },
            Verdict::Failed => WriteFault::DespiteFailure { revision },
            Verdict::Applied { revision: told, .. } => {
                let near = revision..revision + request.txn.ops.len() as u64;
                if near.contains(&told) {
                    // What it was told does not fit together, which is found there.
                    return None;
                }
                WriteFault::Elsewhere {
                    told,
                    stands: revision,
                }
            }
            Verdict::Unknown => match self.model.decide(request.txn) {
                Decision::Refused { guard } => WriteFault::DespiteGuard {
                    guard,
                    at: self.model.revision,
                },
                Decision::Applied { changes, .. } => WriteFault::Half {
                    first: revision,
                    present: changes
                        .iter()
                        .filter(|change| self.truth.agrees(change))
                        .count(),
                    of: changes.len(),
                },
            },
        })
    }

    /// Everything has been told; what is left is not in it.
    pub(super) fn finish(&mut self, history: &'h History) {
        let mut left = std::mem::take(&mut self.waiting);
        left.extend(std::mem::take(&mut self.queue).into_iter().rev());
        left.iter().for_each(|waiting| self.expire(waiting));
        let sights = std::mem::take(&mut self.sights);
        sights.finish(self.last, self.requests, self.violations);
        let everything = Select::Prefix(Key::from([]));
        let expected = self.model.select(&everything);
        if let Some((key, told, expected)) = difference(&history.end.snapshot.items, &expected) {
            let fault = SequenceFault::Final {
                key,
                told,
                expected,
            };
            self.violations.add(Violation::Sequence(fault));
        }
    }

    fn told_to(&self, request: Index) -> Vec<Revision> {
        match self.requests[request].verdict {
            Verdict::Applied { revisions, .. } => revisions.to_vec(),
            Verdict::Refused { .. } | Verdict::Failed | Verdict::Unknown => Vec::new(),
        }
    }

    fn fault(&mut self, request: Index, fault: WriteFault) {
        let name = Name::of(self.requests[request].call);
        self.violations.add(Violation::Write(name, fault));
    }
}
