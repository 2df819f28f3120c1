//! Watches against the true sequence: every change once, in order, without a gap, with both values.

use std::collections::BTreeSet;

use crate::check::history::{End, Event, History, Key, Note, Part, Revision, Value, Watch};
use crate::check::model::Change;
use crate::check::replay::Replayed;
use crate::check::violation::{Violation, Violations, WatchFault, Watcher};

/// Holds every watch, and the final log, to the changes that happened.
pub(super) fn judge(history: &History, replayed: &Replayed, violations: &mut Violations) {
    let truth = Truth {
        base: history.base.revision,
        changes: &replayed.changes,
        complete: replayed.complete,
    };
    judge_log(history, &truth, violations);
    for watch in &history.watches {
        judge_watch(watch, &truth, violations);
    }
}

fn judge_log(history: &History, truth: &Truth<'_>, violations: &mut Violations) {
    let mut follower = Follower::new(Watcher::Log, truth, &[], history.base.revision, violations);
    for event in &history.end.log {
        follower.event(event);
    }
    follower.reach(history.end.snapshot.revision);
    follower.finish();
}

fn judge_watch(watch: &Watch, truth: &Truth<'_>, violations: &mut Violations) {
    let Some(first) = watch.parts.first() else {
        return;
    };
    let mut known = Some(first.after);
    for (part, number) in watch.parts.iter().zip(0..) {
        let watcher = Watcher::Client {
            client: watch.client,
            number: watch.number,
            part: number,
        };
        let start = known.unwrap_or(part.after);
        let mut follower = Follower::new(watcher, truth, &watch.prefix, start, violations);
        follower.part(part);
        let position = follower.finish();
        // After a compaction the watcher lists again, and may go on from anywhere.
        known = (part.end == End::Cut).then_some(position);
    }
}

struct Truth<'a> {
    base: Revision,
    changes: &'a [Change],
    complete: bool,
}

impl<'a> Truth<'a> {
    fn at(&self, revision: Revision) -> Option<&'a Change> {
        let index = revision.checked_sub(self.base + 1)?;
        self.changes.get(usize::try_from(index).ok()?)
    }

    /// Revisions in `(after, to]` that change a key of the prefix.
    fn between(
        &self,
        after: Revision,
        to: Revision,
        prefix: &[u8],
    ) -> impl Iterator<Item = Revision> {
        let index = |revision: Revision| {
            let index = usize::try_from(revision.saturating_sub(self.base)).unwrap_or(usize::MAX);
            index.min(self.changes.len())
        };
        let range = index(after)..index(to).max(index(after));
        let changes = self.changes[range].iter();
        changes
            .filter(move |change| change.key.starts_with(prefix))
            .map(|change| change.revision)
    }

    /// The replay broke off before this revision, so nothing can be said of it.
    fn is_unknown(&self, revision: Revision) -> bool {
        !self.complete && revision > self.base + self.changes.len() as u64
    }
}

/// Goes along with one watch.
struct Follower<'a> {
    watcher: Watcher,
    truth: &'a Truth<'a>,
    prefix: &'a [u8],
    asked: Revision,
    position: Revision,
    left_out: BTreeSet<Revision>,
    violations: &'a mut Violations,
}

impl<'a> Follower<'a> {
    fn new(
        watcher: Watcher,
        truth: &'a Truth<'a>,
        prefix: &'a [u8],
        start: Revision,
        violations: &'a mut Violations,
    ) -> Self {
        Self {
            watcher,
            truth,
            prefix,
            asked: start,
            position: start,
            left_out: BTreeSet::new(),
            violations,
        }
    }

    fn part(&mut self, part: &Part) {
        self.asked = part.after;
        self.resume(part.after);
        for note in &part.notes {
            match note {
                Note::Event(event) => self.event(event),
                Note::Progress(revision) => self.reach(*revision),
            }
        }
        match part.end {
            End::Compacted { oldest } if oldest <= self.position => {
                self.fault(WatchFault::NotCompacted {
                    known: self.position,
                    oldest,
                });
            }
            End::Cut | End::Compacted { .. } => {}
        }
    }

    fn resume(&mut self, after: Revision) {
        let known = self.position;
        if self
            .truth
            .between(known, after, self.prefix)
            .next()
            .is_some()
        {
            self.fault(WatchFault::ResumedPast {
                known,
                resumed: after,
            });
        }
        self.position = known.max(after);
    }

    fn event(&mut self, event: &Event) {
        self.compare(event);
        let revision = event.revision;
        if revision > self.position {
            self.reach(revision - 1);
            self.position = revision;
        } else if self.left_out.remove(&revision) {
            self.fault(WatchFault::Disorder {
                revision,
                after: self.position,
            });
        } else if revision <= self.asked {
            self.fault(WatchFault::Old {
                revision,
                asked: self.asked,
            });
        } else {
            self.fault(WatchFault::Twice { revision });
        }
    }

    /// Everything up to the revision should have been told by now.
    fn reach(&mut self, revision: Revision) {
        let passed = self.truth.between(self.position, revision, self.prefix);
        self.left_out.extend(passed);
        self.position = self.position.max(revision);
    }

    fn compare(&mut self, event: &Event) {
        let truth = self.truth.at(event.revision);
        let same = truth.is_some_and(|change| {
            change.key == event.key
                && change.value() == event.new.as_ref()
                && old(change) == event.old.as_ref()
                && change.key.starts_with(self.prefix)
        });
        // What is older than the base happened before anybody looked.
        let judged = event.revision > self.truth.base && !self.truth.is_unknown(event.revision);
        if judged && !same {
            self.fault(WatchFault::Wrong {
                revision: event.revision,
                told: (Key::clone(&event.key), event.old.clone(), event.new.clone()),
                expected: truth.map(told),
            });
        }
    }

    /// The revision up to which everything was told.
    fn finish(mut self) -> Revision {
        let left_out = std::mem::take(&mut self.left_out);
        if let Some(first) = left_out.first() {
            self.fault(WatchFault::Lost {
                first: *first,
                count: left_out.len(),
            });
        }
        self.position
    }

    fn fault(&mut self, fault: WatchFault) {
        self.violations.add(Violation::Watch(self.watcher, fault));
    }
}

fn old(change: &Change) -> Option<&Value> {
    change.old.as_ref().map(|item| &item.value)
}

fn told(change: &Change) -> (Key, Option<Value>, Option<Value>) {
    (
        Key::clone(&change.key),
        old(change).cloned(),
        change.value().cloned(),
    )
}
